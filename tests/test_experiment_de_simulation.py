"""The committed tables of differential expression on known truth and on nothing, and the functions that made them."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from anndata import AnnData

from course_lib.data.scvi_process import simulate
from course_lib.experiments import de_simulation
from course_lib.experiments.record import RESULTS

MODES = ["change", "change_tiny_pseudocount", "vanilla"]


def median(table, mode, over, measure):
    rows = table[(table["mode"] == mode) & (table["over"] == over) & (table["measure"] == measure)]
    return rows["value"].median()


def test_the_simulations_are_all_there(table, made):
    assert list(table.columns) == ["seed", "mode", "over", "measure", "value"]
    assert made["seeds"] == list(range(10))
    assert made["settings"]["simulation"] == de_simulation.SIMULATION
    methods = table.groupby(["mode", "over"])["seed"].unique()
    assert sorted(methods.index) == [*((m, o) for m in MODES for o in ("means", "pairs")), ("wilcoxon", "cells")]
    assert all(sorted(seeds) == made["seeds"] for seeds in methods)
    shares = table[table["measure"].isin(["auc", "fdp", "power"])]["value"]
    assert shares.between(0, 1).all()


def test_both_questions_rank_changed_genes_first(table):
    for over in de_simulation.OVER:
        assert median(table, "change", over, "auc") > 0.95


def test_the_posterior_of_means_is_far_narrower_than_its_error(table):
    error = median(table, "change", "means", "lfc_error")
    assert median(table, "change", "means", "lfc_std") < error / 5
    assert median(table, "change", "means", "lfc_std") < median(table, "change", "means", "counting_error") / 5


def test_the_calibration_covers_every_gene(made):
    calibration = pd.read_csv(RESULTS / "de_calibration.csv")
    n_genes = calibration.groupby(["mode", "over"])["n_genes"].sum()
    assert (n_genes == len(made["seeds"]) * made["settings"]["simulation"]["n_genes"]).all()
    assert calibration["predicted"].between(calibration["low"] - 1e-5, calibration["high"] + 1e-5).all()


def test_where_nothing_differs_change_mode_calls_next_to_nothing(made):
    null = pd.read_csv(RESULTS / "de_null.csv")
    assert sorted(null["data"].unique()) == ["pbmc3k", "simulation"]
    assert null.groupby("data")["seed"].unique().map(sorted).map(list).tolist() == [made["null_seeds"]] * 2
    assert sorted(null["library"].dropna().unique()) == ["learned", "observed"]
    assert null.loc[null["mode"] == "change", "fraction_called"].max() < 0.05


# The functions


def test_true_change_is_what_brute_force_finds():
    rng = np.random.default_rng(0)
    rho1, rho2 = rng.random((5, 4)), rng.random((7, 4))
    c, delta = 0.1, 0.4
    pairs = [[abs(np.log2((a + c) / (b + c))) > delta for a in rho1[:, g] for b in rho2[:, g]] for g in range(4)]
    np.testing.assert_allclose(de_simulation.true_change(rho1, rho2, "pairs", c, delta), np.mean(pairs, axis=1))
    means = [abs(np.log2((rho1[:, g].mean() + c) / (rho2[:, g].mean() + c))) > delta for g in range(4)]
    np.testing.assert_array_equal(de_simulation.true_change(rho1, rho2, "means", c, delta), means)


def test_false_discoveries_are_counted_by_how_untrue_they_are():
    table = pd.DataFrame({"score": [4.0, 3, 2, 1], "called": [True, True, True, False]})
    found = de_simulation.measures(table, np.array([1.0, 0.6, 0.0, 1.0]))
    assert found["fdp"] == pytest.approx((0 + 0.4 + 1) / 3)
    assert found["power"] == pytest.approx(2 / 3)
    assert found["auc"] == pytest.approx(2 / 3)  # of changed against unchanged gene, three pairs, one in wrong order
    assert (found["n_true"], found["n_called"]) == (3, 3)


def test_where_nothing_is_changed_there_is_nothing_to_rank_or_to_find():
    table = pd.DataFrame({"score": [2.0, 1.0], "called": [True, False]})
    found = de_simulation.measures(table, np.zeros(2))
    assert np.isnan(found["auc"])
    assert np.isnan(found["power"])
    assert (found["fdp"], found["n_true"]) == (1, 0)


def test_calibration_bins_hold_what_they_say():
    genes = pd.DataFrame({"mode": "m", "over": "o", "proba": [0.0, 0.04, 0.3, 0.95, 1.0], "truth": [0, 1, 0, 1, 1.0]})
    table = de_simulation.calibration(genes)
    assert table["low"].tolist() == [0.0, 0.25, 0.95]
    assert table["high"].tolist() == [0.05, 0.5, 1.0]
    assert table["n_genes"].tolist() == [2, 1, 2]
    np.testing.assert_allclose(table["predicted"], [0.02, 0.3, 0.975])
    np.testing.assert_allclose(table["realised"], [0.5, 0.0, 1.0])


@pytest.fixture(scope="module")
def small():
    return simulate(200, 60, n_types=2, n_changed=5, fold=4.0, seed=0)


def test_one_half_is_thinned_and_nothing_else_is_touched(small):
    data, thinned, whole = de_simulation.halves_of_one_type(small, "type_0", seed=0)
    of_type = (small.obs["cell_type"] == "type_0").to_numpy()
    np.testing.assert_array_equal(thinned | whole, of_type)
    assert thinned.sum() == whole.sum() == of_type.sum() / 2
    np.testing.assert_array_equal(data.X[~thinned], small.X[~thinned])
    assert (data.X[thinned] <= small.X[thinned]).all()
    molecules = small.X[thinned].sum()
    assert data.X[thinned].sum() == pytest.approx(0.4 * molecules, abs=5 * np.sqrt(0.24 * molecules))


def test_wilcoxon_is_that_of_scipy(small):
    one, two = ((small.obs["cell_type"] == name).to_numpy() for name in ("type_0", "type_1"))
    x = small.X.astype(np.float64)
    x = np.log1p(1e4 * x / x.sum(1, keepdims=True))
    p = scipy.stats.mannwhitneyu(x[one], x[two], method="asymptotic", use_continuity=False).pvalue
    data = AnnData(small.X.astype(np.float32), obs=small.obs, var=small.var)
    table = de_simulation.wilcoxon(data, one, two)
    assert table.index.tolist() == small.var_names.tolist()
    assert scipy.stats.spearmanr(table["score"], -p).statistic > 0.95  # scanpy does not correct its variance for ties
    clear = scipy.stats.false_discovery_control(p)
    assert table["called"][clear < 1e-6].all()
    assert not table["called"][clear > 0.2].any()


def test_one_seed_runs_small(monkeypatch):
    monkeypatch.setitem(de_simulation.TRAINING, "epochs", 2)
    measures, genes = de_simulation.run_seed(0, n_cells=150, n_genes=60, n_changed=5)
    assert list(measures.columns) == ["mode", "over", "measure", "value"]
    assert np.isfinite(measures["value"]).all()
    assert len(genes) == 4 * 60  # two change modes, two questions
    null = de_simulation.null_seed(simulate(150, 60, n_types=2, n_changed=5, seed=0), "type_0", 0)
    assert len(null) == 2 * 6 + 1
    assert null["fraction_called"].between(0, 1).all()
