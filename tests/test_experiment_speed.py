"""The speed table: its clocks measure what they say, and who goes first alternates."""

import numpy as np
import pytest
import torch

from course_lib.data.scvi_process import simulate
from course_lib.experiments import speed


def test_setting_up_counts_for_neither(monkeypatch):
    clock = [0.0, 0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(speed.time, "process_time", lambda: clock[1])

    def train(data, epochs):
        clock[0] += 10 + 0.5 * epochs  # ten seconds of set-up, half a second an epoch
        clock[1] += 3 + 0.125 * epochs

    assert speed.training_seconds(train, None, epochs=4) == pytest.approx([2.0, 0.5])


def test_who_goes_first_alternates_and_rates_are_units_a_second():
    order = []

    def program(name, wall, cpu):
        def call():
            order.append(name)
            return np.array([wall, cpu])

        return call

    calls = {"course_lib": program("course_lib", 2.0, 1.0), "scvi-tools": program("scvi-tools", 4.0, 4.0)}
    first = speed.in_turn("latent", calls, 100, repeat=0)
    speed.in_turn("latent", calls, 100, repeat=1)
    assert order == ["course_lib", "scvi-tools", "scvi-tools", "course_lib"]
    assert [(row["per_s"], row["per_cpu_s"]) for row in first] == [(50, 100), (25, 25)]


def test_the_matrix_products_are_those_of_a_training_step():
    torch.manual_seed(0)
    n_genes, steps = 40, 2
    counted = []
    real = torch.Tensor.__matmul__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "__matmul__", lambda a, b: counted.append((*a.shape, b.shape[1])) or real(a, b))
        speed.matrix_products(n_genes, steps)
    model = speed.train_ours(simulate(200, n_genes, n_changed=2), 1)
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    multiplications = sum(rows * inner * columns for rows, inner, columns in counted)
    forwards = sum(speed.BATCH_SIZE * layer.in_features * layer.out_features for layer in layers)
    first = 2 * speed.BATCH_SIZE * n_genes * 128  # whose inputs are counts: no gradient flows into them
    assert multiplications == steps * (3 * forwards - first)


def test_the_profile_names_every_part_of_a_step():
    torch.manual_seed(0)
    parts = speed.profile(simulate(200, 40, n_changed=2), steps=2)
    assert list(parts) == ["encoders", "decoder", "log-likelihood", "gradients", "Adam"]
    assert np.isfinite(list(parts.values())).all()


# What the committed table says ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ratio(table):
    """How many times as fast as scvi-tools, medians over the repeats: (data, threads, task)."""
    median = table.groupby(["data", "threads", "task", "program"])["per_s"].median().unstack()
    return median["course_lib"] / median["scvi-tools"]


def test_every_task_is_measured_as_often_as_the_provenance_says(table, made):
    counted = table.groupby(["data", "threads", "task", "program"]).size().unstack("program")
    assert (counted[["course_lib", "scvi-tools"]] == made["repeats"]).all().all()
    asked = {(data, threads, "train") for data in speed.DATA for threads in made["threads"]}
    asked |= {(data, n, task) for data in speed.ASKED for n in made["threads"] for task in ("iwae", "latent", "de")}
    assert set(counted.index) == asked


def test_training_is_ahead_of_scvi_tools_as_far_as_was_aimed_at(ratio):
    on_one = ratio.xs((1, "train"), level=["threads", "task"])
    assert on_one["cortex"] >= 1.4
    assert (on_one.drop("cortex") >= 1.8).all()
    assert (ratio > 1).all()  # no task, no number of threads is lost
