"""The committed table of correlations that denoising invents, and that its script measures what it says."""

import numpy as np
import pytest
import scipy.stats
from small import three_types

from course_lib.experiments import invented_correlation


def by_seed(table, measure="q50", **where):
    rows = table[np.logical_and.reduce([table[name] == value for name, value in where.items()])]
    return rows.sort_values("seed")[measure].to_numpy()


def test_the_table_is_whole(table, made):
    assert list(table.columns) == invented_correlation.COLUMNS
    assert made["seeds"] == [0, 1, 2, 3, 4]
    settings = table.groupby(["data", "n_types", "n_cells", "genes", "method"])
    assert all(sorted(rows["seed"]) == made["seeds"] for _, rows in settings)
    assert len(settings) == len(invented_correlation.METHODS) * (2 * 3 + 2)
    assert table.notna().all(axis=None)


@pytest.mark.parametrize("n_cells", invented_correlation.N_CELLS)
def test_unrelated_genes_are_correlated_once_denoised_and_not_before(table, n_cells):
    where = {"data": "simulated", "n_types": 3, "n_cells": n_cells}
    raw, rho, replicated = (by_seed(table, method=m, **where) for m in ("raw", "rho", "predictive"))
    chance = scipy.stats.norm.ppf(0.75) / np.sqrt(n_cells)  # median of ∣r∣ of independent genes
    np.testing.assert_allclose(raw, chance, rtol=0.2)
    np.testing.assert_allclose(replicated, chance, rtol=0.2)
    assert (rho > 8 * raw).all()
    for method in ("rho_draw", "knn", "pca"):
        assert (by_seed(table, method=method, **where) > 1.5 * raw).all()


def test_with_one_type_and_many_cells_nothing_varies_that_could_be_correlated(table):
    spread = [
        by_seed(table, "sd_log", data="simulated", n_types=1, n_cells=n, method="rho") for n in (500, 1_000, 3_000)
    ]
    assert (spread[2] < 0.01).all()
    assert np.mean(spread[0]) > np.mean(spread[1]) > np.mean(spread[2])


def test_permuted_genes_give_the_game_away(table):
    for method in ("rho", "pca", "knn"):
        control = by_seed(table, data="cortex", genes="control", method=method)
        raw = by_seed(table, data="cortex", genes="control", method="raw")
        assert (control > 3 * raw).all()


def test_one_setting_runs_small():
    rows = invented_correlation.run_simulated(0, 3, 120, epochs=1)
    assert set(rows["method"]) == set(invented_correlation.METHODS)
    assert (rows["n_genes"] <= invented_correlation.N_GENES - 2 * 3 * invented_correlation.N_CHANGED).all()
    cells, _ = three_types()
    rows = invented_correlation.run_cortex(cells, 0, epochs=1)
    assert rows.groupby("genes").size().to_dict() == {"real": 6, "control": 6}
    assert (rows["n_genes"] == 30).all()


def test_measures_are_those_of_scipys_correlations():
    values = np.random.default_rng(0).normal(size=(50, 4)) @ np.array(
        [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 1, 3]]
    )
    found = invented_correlation.measures(values)
    r = np.array([[scipy.stats.pearsonr(values[:, a], values[:, b])[0] for b in range(4)] for a in range(4)])
    size = np.abs(r[np.triu_indices(4, 1)])
    assert found["q50"] == pytest.approx(np.median(size))
    assert found["q99"] == pytest.approx(np.quantile(size, 0.99))
    assert found["mean_r2"] == pytest.approx((r**2).mean())
    assert found["sd_log"] == pytest.approx(np.median(values.std(0)))
    assert found["n_genes"] == 4


def test_genes_that_vary_in_two_dimensions_have_two_effective_ones():
    angles = np.linspace(0, np.pi, 100, endpoint=False)
    values = np.random.default_rng(0).normal(size=(20_000, 2)) @ np.stack([np.cos(angles), np.sin(angles)])
    assert 1 / invented_correlation.measures(values)["mean_r2"] == pytest.approx(2, rel=0.02)
