"""The speed table: how it was made, that it is complete, and that its clock measures what it says."""

import json
import time

import numpy as np
import pandas as pd
import pytest
import torch

from course_lib.data.scvi_process import simulate
from course_lib.experiments import speed
from course_lib.experiments.record import RESULTS


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(RESULTS / "speed.csv")


def test_both_programs_were_timed_equally_often_on_every_data_set(table):
    counts = table.dropna(subset="cells_per_s").groupby(["data", "program"]).size()
    assert set(counts.index) == {(d, p) for d in speed.DATA for p in ("course_lib", "scvi-tools")}
    assert counts.nunique() == 1


def test_the_record_says_how_many_threads_both_had():
    record = json.loads((RESULTS / "speed.json").read_text())
    assert record["threads"] >= 1
    assert {"torch", "scvi-tools"} <= set(record["versions"])


def test_cells_per_second_leaves_out_setting_up_and_the_first_epoch(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(time, "process_time", lambda: clock[0] / 4)  # the processor was ours a quarter of the time

    def train(data, epochs):
        clock[0] += 100.0 + 2.0 * epochs  # a slow start, then two seconds for each epoch

    data = simulate(50, 40, n_changed=2)
    assert speed.cells_per_second(train, data, epochs=4) == pytest.approx([50 / 2.0, 50 / 0.5])


def test_the_profile_names_every_part_of_a_step():
    torch.manual_seed(0)
    parts = speed.profile(simulate(200, 40, n_changed=2), steps=2)
    assert list(parts) == ["encoders", "decoder", "log-likelihood", "gradients", "Adam"]
    assert np.isfinite(list(parts.values())).all()
