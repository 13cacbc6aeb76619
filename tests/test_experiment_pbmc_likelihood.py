"""The committed table of likelihoods on PBMC3k, and the functions that made it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from course_lib.analysis.posterior import get_marginal_ll
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.experiments import pbmc_likelihood as experiment


@pytest.fixture(scope="module")
def cells() -> Cells:
    """Two types of cell, negative binomial counts."""
    random = np.random.default_rng(0)
    mean = random.gamma(1.0, 2.0, size=(2, 20))[random.integers(0, 2, 120)]
    return cells_from_counts(random.poisson(random.gamma(1.0, mean)) + (np.arange(20) == 0))


def test_the_table_holds_every_model_for_five_seeds(table):
    assert list(table.columns) == experiment.COLUMNS
    keys = list(table[["model", "library", "gene_likelihood"]].itertuples(index=False, name=None))
    assert keys == [*experiment.MODELS] * 5
    assert sorted(table["seed"].unique()) == [0, 1, 2, 3, 4]
    assert table["epoch"].between(1, experiment.EPOCHS).all()
    assert table["lr"].isin(experiment.LEARNING_RATES).all()


def test_every_difference_is_that_of_its_own_seed_and_library(table):
    nb = table[table["gene_likelihood"] == "nb"].set_index(["seed", "library"])["log_likelihood"]
    others = table[table["gene_likelihood"] != "nb"]
    expected = others["log_likelihood"].to_numpy() - nb.loc[list(zip(others["seed"], others["library"], strict=True))]
    np.testing.assert_allclose(others["difference"], expected, atol=2e-4)
    assert (others["low"] < others["difference"]).all()
    assert (others["difference"] < others["high"]).all()
    assert others["better"].between(0, 1).all()
    assert table.loc[table["gene_likelihood"] == "nb", ["difference", "low", "high", "better"]].isna().all().all()


def test_the_poisson_loses_to_the_nb_in_every_seed_under_both_libraries(table):
    poisson = table[table["gene_likelihood"] == "poisson"]
    assert len(poisson) == 10
    assert (poisson["high"] < 0).all()


def test_the_provenance_is_that_of_the_script(table, made):
    assert made["settings"] == experiment.provenance(5)["settings"]
    assert made["seeds"] == sorted(table["seed"].unique())
    assert set(made["versions"]) >= {"python", "torch", "numpy", "scipy"}


def test_the_learning_rate_of_the_table_is_the_one_validation_preferred(table, made):
    judged = pd.DataFrame(made["learning_rates"])
    best = judged.loc[judged.groupby(["model", "gene_likelihood"])["validation_loss"].idxmin()]
    best = best.set_index(["model", "gene_likelihood"])["lr"]
    used = table.groupby(["model", "gene_likelihood"])["lr"].agg(["min", "max"])
    assert (used["min"] == used["max"]).all()
    pd.testing.assert_series_equal(used["min"].sort_index(), best.sort_index(), check_names=False)


def test_paired_is_scipys_one_sample_t():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 50))
    found = experiment.paired(a, b)
    oracle = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found["difference"] == pytest.approx(np.mean(a - b))
    assert (found["low"], found["high"]) == pytest.approx((oracle.low, oracle.high))
    assert found["better"] == np.mean(a > b)


def test_the_split_has_the_shares_it_says_and_no_cell_twice(cells):
    marked = replace(cells, x=torch.arange(120.0)[:, None].expand(-1, 20))
    parts = experiment.split(marked, seed=3)
    assert [len(part) for part in parts] == [78, 12, 30]
    assert len(torch.cat([part.x[:, 0] for part in parts]).unique()) == 120


@pytest.mark.parametrize("model", ["scvi", "simplified"])
def test_training_keeps_the_epoch_that_validation_chose(cells, model):
    training, validation, _ = experiment.split(cells, 0)
    trained = experiment.train(model, "nb", training, validation, lr=5e-2, seed=0, epochs=60)
    losses = trained.history["validation_loss"]
    assert trained.epoch < len(losses)  # it overfits, or this test says nothing
    assert trained.validation_loss == losses.min()
    assert trained.epoch == losses.idxmin()


def test_the_table_holds_the_librarys_own_bound_of_the_test_cells(cells):
    trainings = experiment.train_all(cells, 0, dict.fromkeys([(m, g) for m, _, g in experiment.MODELS], 1e-2), epochs=1)
    rows = experiment.score(trainings, cells, 0, n_samples=7).set_index(["model", "gene_likelihood"])
    _, _, test = experiment.split(cells, 0)
    for key, trained in trainings.items():
        assert rows.loc[key, "log_likelihood"] == pytest.approx(get_marginal_ll(trained.model, test, 7).mean())


def test_run_chooses_rates_and_writes_the_table_and_its_provenance(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "pbmc3k", lambda n_genes: None)
    monkeypatch.setattr(experiment, "cells_from_counts", lambda data: cells)
    choose, train_all, score = experiment.choose_lr, experiment.train_all, experiment.score
    monkeypatch.setattr(experiment, "choose_lr", lambda cells: choose(cells, epochs=2))
    monkeypatch.setattr(experiment, "train_all", lambda cells, seed, rates: train_all(cells, seed, rates, epochs=2))
    monkeypatch.setattr(experiment, "score", lambda trainings, cells, seed: score(trainings, cells, seed, n_samples=3))
    made = pd.read_csv(experiment.run(2, tmp_path))
    assert list(made.columns) == experiment.COLUMNS
    assert len(made) == 2 * len(experiment.MODELS)
    written = json.loads((tmp_path / "pbmc_likelihood.json").read_text(encoding="utf-8"))
    assert written["seeds"] == [0, 1]
    assert len(written["learning_rates"]) == len(experiment.MODELS) * len(experiment.LEARNING_RATES)
