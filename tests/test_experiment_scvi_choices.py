"""The functions that ask what each choice in building scVI is worth."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from course_lib.data.scvi_process import simulate
from course_lib.experiments import scvi_choices
from course_lib.models.scvi import SCVI
from course_lib.training import fit as fit_of_training


def small(n_batches: int):
    """120 cells × 20 genes of two types, with batches in ``obs`` where there is more than one."""
    data = simulate(
        120, 20, n_types=2, n_changed=4, fold=4.0, log_library_means=(5.5, 6.1)[:n_batches], dropout=0.0, seed=0
    )
    if n_batches == 1:
        del data.obs["batch"]
    else:
        del data.obs["cell_type"]
    return data


@pytest.fixture
def short(monkeypatch):
    """Small data under the names of the real ones, two epochs, few draws, and neighbours for few cells."""
    monkeypatch.setattr(scvi_choices, "DATA", {"cortex": lambda: small(1), "pbmc_pair": lambda: small(2)})
    monkeypatch.setattr(scvi_choices, "EPOCHS", 2)
    monkeypatch.setattr(scvi_choices, "N_NEIGHBORS", 10)
    monkeypatch.setattr("course_lib.experiments.cortex.DRAWS", 2)
    shrink = {choice: {"hidden": (8,)} | given for choice, given in scvi_choices.EVERYWHERE.items()}
    shrink |= {"two layers": {"hidden": (8, 8)}, "256 units": {"hidden": (16,)}}
    monkeypatch.setattr(
        scvi_choices,
        "CHOICES",
        {name: shrink | {"paper": given["paper"]} for name, given in scvi_choices.CHOICES.items()},
    )


def test_each_choice_but_the_papers_changes_one_thing():
    defaults = SCVI.__init__.__kwdefaults__
    for name, choices in scvi_choices.CHOICES.items():
        assert choices["default"] == {}
        for choice, given in choices.items():
            for argument, value in given.items():
                assert defaults[argument] != value, f"{choice}: {argument}={value} is the default"
            assert len(given) == 1 or choice in ("default", "paper"), f"{name}, {choice}"
    asked_of_both = set(scvi_choices.CHOICES["cortex"])
    assert set(scvi_choices.CHOICES["pbmc_pair"]) - asked_of_both == {
        "encoders see the batch", "dispersion per gene and batch"
    }  # fmt: skip
    for given in scvi_choices.CHOICES["pbmc_pair"].values():
        SCVI(tuple("abc"), ("r", "s"), library_prior=None, **given)


def test_one_command_makes_the_table_and_one_data_set_at_a_time_the_same(short, tmp_path):
    def without_time(folder):
        table = pd.read_csv(folder / "scvi_choices.csv")
        assert (table.pop("seconds") > 0).all()
        return table

    scvi_choices.run(2, list(scvi_choices.DATA), tmp_path / "whole")
    table = without_time(tmp_path / "whole")
    assert [*table.columns, "seconds"] == scvi_choices.COLUMNS
    expected = [
        (name, seed, choice) for name in scvi_choices.DATA for seed in range(2) for choice in scvi_choices.CHOICES[name]
    ]
    assert list(table[["data", "seed", "choice"]].itertuples(index=False, name=None)) == expected
    assert np.isfinite(table[["validation_elbo", "test_elbo"]]).all().all()
    assert (table["ari"].notna() == (table["data"] == "cortex")).all()
    assert (table["entropy"].notna() == (table["data"] == "pbmc_pair")).all()
    assert (table["ceiling"].dropna() <= np.log(2)).all()
    assert table["epochs"].between(1, 2).all()
    made = json.loads((tmp_path / "whole" / "scvi_choices.json").read_text(encoding="utf-8"))
    assert made["data"] == {"cortex": [0, 1], "pbmc_pair": [0, 1]}

    for name in reversed(scvi_choices.DATA):
        scvi_choices.run(2, [name], tmp_path / "parts")
    pd.testing.assert_frame_equal(without_time(tmp_path / "parts"), table)


def test_every_choice_starts_from_the_same_cells_and_the_seed_decides_them(short, monkeypatch):
    seen = []

    def fit(model, cells, **given):
        seen.append((cells.x.clone(), given["validation"].x.clone(), given["seed"]))
        return fit_of_training(model, cells, **given)

    monkeypatch.setattr(scvi_choices, "fit", fit)
    for seed in (0, 1):
        scvi_choices.run_seed("pbmc_pair", small(2), seed, epochs=1)
    n_choices = len(scvi_choices.CHOICES["pbmc_pair"])
    for training, validation, seed in seen:
        assert torch.equal(training, seen[seed * n_choices][0])
        assert torch.equal(validation, seen[seed * n_choices][1])
    assert not torch.equal(seen[0][0], seen[-1][0])


def test_against_the_default_a_choice_is_compared_with_the_same_seed():
    rows = [
        (data, seed, choice, 100 * seed + 1_000 * (data == "b") + worth * (seed + 1))
        for data in "ab"
        for seed in (0, 1)
        for choice, worth in (("default", 0.0), ("better", -2.0), ("worse", 3.0))
    ]
    table = pd.DataFrame(rows, columns=["data", "seed", "choice", "test_elbo"])
    apart = scvi_choices.against_default(table, "test_elbo")
    for data in "ab":
        assert apart.loc[(data, "default")].tolist() == [0, 0]
        assert apart.loc[(data, "better")].tolist() == [-2, -4]
        assert apart.loc[(data, "worse")].tolist() == [3, 6]


# What the committed table says ----------------------------------------------------------------------------------------


def test_the_table_holds_every_choice_for_five_seeds(table, made):
    assert list(table.columns) == scvi_choices.COLUMNS
    for name, choices in scvi_choices.CHOICES.items():
        rows = table[table["data"] == name]
        assert rows["choice"].tolist() == [*choices] * 5
        assert sorted(rows["seed"].unique()) == made["data"][name] == [0, 1, 2, 3, 4]
    asked = json.loads(json.dumps(scvi_choices.CHOICES))  # JSON knows no tuples
    assert made["choices"] == asked
    stopped = table["epochs"] < scvi_choices.EPOCHS  # all but the slowest learner ended by themselves
    assert set(table.loc[~stopped, "choice"]) <= {"no BatchNorm"}


def test_the_default_follows_the_validation_bound(table):
    """No other choice is better on both data sets, and on the cortex none is on average."""
    apart = scvi_choices.against_default(table, "validation_elbo").mean(axis=1).unstack("data")
    assert (apart["cortex"].dropna().drop("default") > 0).all()
    both = apart.dropna().drop("default")
    assert (both.max(axis=1) > 0).all()


def test_without_batchnorm_the_cortex_loses_and_dropout_in_the_decoder_helps_four_hundred_cells(table):
    apart = scvi_choices.against_default(table, "validation_elbo")
    assert (apart.loc["cortex", "no BatchNorm"] > 10).all()
    assert (apart.loc["pbmc_pair", "dropout in the decoder too"] < 0).all()
