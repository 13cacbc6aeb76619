"""The committed tables of counts taken out and filled in, and that their script measures what it says."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import RESULTS
from small import cells_by_hand, three_types

from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.experiments import imputation

CEILING = RESULTS / "imputation_ceiling.csv"


@pytest.fixture(scope="module")
def ceiling():
    return pd.read_csv(CEILING)


def by_seed(table, data, corruption, method, measure):
    """One value for each seed, in order."""
    rows = table[(table["data"] == data) & (table["corruption"] == corruption) & (table["method"] == method)]
    return rows.sort_values("seed")[measure].to_numpy()


def test_the_table_is_whole(table, made):
    assert list(table.columns) == imputation.COLUMNS
    assert made["seeds"] == [0, 1, 2, 3, 4]
    assert set(table["method"]) == set(imputation.METHODS)
    assert all(sorted(rows["seed"]) == made["seeds"] for _, rows in table.groupby(["data", "corruption", "method"]))
    assert np.isfinite(table[["median_l1", "mean_l1", "rmse", "cpu_s"]]).all(axis=None)
    assert np.isfinite(table.loc[table["corruption"] == "thinned", "deviance"]).all()


def test_on_the_cortex_the_model_finds_hidden_counts_as_the_course_says(table):
    error = {name: by_seed(table, "cortex", "hidden", name, "median_l1") for name in imputation.METHODS}
    assert (error["zinb"] < 2.4).all()
    assert (error["nb"] < 2.4).all()
    for other in ("knn", "pca", "gene_mean", "constant", "zero"):
        assert (error["zinb"] < error[other]).all()
    assert (error["constant"] < error["gene_mean"]).all()  # a number that knows nothing beats one that knows the gene
    assert (error["zinb"] < error["zinb_given_zero"]).all()  # π is no answer to a zero that we made
    assert (error["zinb_above_zero_median"] < error["zinb"]).all()


def test_on_pbmc3k_a_constant_of_one_has_no_median_error(table):
    constant = table[(table["data"] == "pbmc3k") & (table["method"] == "constant")]
    assert (constant["setting"] == 1).all()
    assert (constant["median_l1"] == 0).all()
    constant, model = (by_seed(table, "pbmc3k", "hidden", m, "mean_l1") for m in ("constant", "zinb_above_zero_mean"))
    assert (model < constant).all()


def test_of_counts_thinned_away_the_own_count_tells_most(table):
    for data in imputation.DATA:
        deviance = {
            name: by_seed(table, data, "thinned", name, "deviance")
            for name in ("zinb", "zinb_rate", "nb", "nb_rate", "knn", "pca", "gene_mean", "zero")
        }
        for likelihood in ("zinb", "nb"):
            assert (deviance[f"{likelihood}_rate"] < deviance[likelihood]).all()
            for other in ("knn", "pca", "gene_mean", "zero"):
                assert (deviance[f"{likelihood}_rate"] < deviance[other]).all()


def test_nobody_beats_the_truth_at_its_own_question(ceiling):
    assert sorted(ceiling["seed"].unique()) == [0, 1, 2, 3, 4]
    wide = ceiling.pivot(index="seed", columns=["entries", "who", "estimate"], values="rmse")
    best = {"zeros": "given_zero", "dropped": "mean"}  # what is asked of all zeros, and of those known to be dropped
    for entries, estimate in best.items():
        assert (wide[entries].idxmin(axis=1) == ("truth", estimate)).all()
        assert (wide[entries, "zinb", estimate] < 1.05 * wide[entries, "truth", estimate]).all()


def test_a_seed_runs_small_and_gives_every_method():
    small = imputation.PROCESS | {"n_cells": 350, "n_genes": 130}
    cells = cells_from_counts(simulate(**small))
    for corruption, estimates in imputation.ESTIMATES.items():
        rows = imputation.run_seed("cortex", corruption, cells, 0, epochs=1)
        expected = {f"{m}_{e}" if e != "mean" else m for m, all_of_it in estimates.items() for e in all_of_it}
        assert expected < set(rows["method"]) < set(imputation.METHODS)
        assert np.isfinite(rows[["median_l1", "mean_l1", "rmse"]]).all(axis=None)
        assert rows["deviance"].notna().all() == (corruption == "thinned")
        assert rows.set_index("method").loc["knn", "setting"] in imputation.NEIGHBOURS
    assert np.isfinite(imputation.ceiling(0, epochs=1, process=small)["rmse"]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed")
def test_scvi_tools_is_asked_on_the_same_entries():
    cells, _ = three_types()
    row = imputation.run_scvi_tools("cortex", cells, 0, epochs=1).iloc[0]
    assert (row["method"], row["corruption"]) == ("scvi_tools", "hidden")
    assert 0 < row["median_l1"] < 100


def test_a_gene_mean_is_the_independence_table():
    x = np.array([[1.0, 2, 3], [0, 5, 1], [4, 4, 4]])
    expected = scipy.stats.contingency.expected_freq(x)
    np.testing.assert_allclose(imputation.gene_mean(cells_by_hand(x)), expected)


def test_neighbours_are_pooled_and_scaled_to_the_cells_own_total():
    """Two kinds of cell, two cells each: the two nearest are a cell and its fellow."""
    x = np.array([[10.0, 3, 10], [30, 10, 20], [1, 100, 1], [1, 40, 1]])
    ((k, values),) = imputation.neighbour_means(cells_by_hand(x), [2])
    assert k == 2
    np.testing.assert_allclose(values[0], 23 * np.array([40, 13, 30]) / 83)
    np.testing.assert_allclose(values[3], 42 * np.array([2, 140, 2]) / 144)


def test_all_components_give_the_counts_back():
    cells, _ = three_types()
    ((_, few), (_, all_of_them)) = imputation.pca_reconstructions(cells, [1, 30])
    np.testing.assert_allclose(all_of_them, cells.x, atol=1e-2)
    assert (few >= 0).all()
    assert np.abs(few - cells.x.numpy()).mean() > 0.5


def test_errors_are_numpys_and_entries_that_choose_do_not_judge():
    found = imputation.errors(np.array([1.0, 2, 7, 4]), np.array([1.0, 4, 1, 8]))
    assert found == {"median_l1": 3, "mean_l1": 3, "rmse": pytest.approx(np.sqrt((4 + 36 + 16) / 4))}
    cells, _ = three_types()
    corrupted, validation, test = imputation.hide(cells, 0)
    gone = np.argwhere(corrupted.x.numpy() != cells.x.numpy())
    for judge in (validation, test):
        assert judge(cells.x.numpy())["mean_l1"] == 0  # whoever knows the counts makes no error
    noisy = cells.x.numpy().copy()
    wrong = gone[np.random.default_rng(0).permutation(len(gone))[:50]]
    noisy[tuple(wrong.T)] += 1  # 50 errors of one, each counted by one judge
    n_validation = round(imputation.VALIDATION * len(gone))
    total = validation(noisy)["mean_l1"] * n_validation + test(noisy)["mean_l1"] * (len(gone) - n_validation)
    assert total == pytest.approx(50)


def test_what_was_held_out_is_expected_in_the_proportion_of_the_parts():
    """The true means of the kept counts, times 1/9: SciPy's Poisson likelihoods, entry by entry, over both judges."""
    rng = np.random.default_rng(0)
    mu = rng.gamma(2.0, 5.0, (60, 40))
    cells = cells_by_hand(rng.poisson(mu))
    kept, validation, test = imputation.hold_out(cells, 1)
    held = cells.x.numpy() - kept.x.numpy()
    expected = 0.1 * mu
    saturated = scipy.stats.poisson.logpmf(held, np.maximum(held, 1e-300))
    deviance = 2 * (saturated - scipy.stats.poisson.logpmf(held, expected))
    found = 0.2 * validation(0.9 * mu)["deviance"] + 0.8 * test(0.9 * mu)["deviance"]
    assert found == pytest.approx(deviance.mean(), rel=1e-6)
    for factor in (0.8, 1.25):
        assert test(0.9 * factor * mu)["deviance"] > test(0.9 * mu)["deviance"]


def test_the_setting_with_the_smallest_validation_error_is_chosen():
    candidates = iter([(5, np.full((1, 1), 3.0)), (10, np.full((1, 1), 1.0)), (20, np.full((1, 1), 2.0))])
    setting, values = imputation.chosen(candidates, lambda v: {"error": float(v[0, 0])}, "error")
    assert (setting, values.item()) == (10, 1.0)
