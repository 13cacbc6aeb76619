"""Contests of ways to find changed genes: settings as hard as they say, rank tests that do what their names say."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from anndata import AnnData

from course_lib.experiments import de_contests, de_simulation

WAYS = [*((mode, over) for mode, over in de_contests.ASKED), *((name, "cells") for name in de_contests.RANK_TESTS)]

# The committed table


def test_every_setting_holds_every_way_and_seed(request):
    table, made = request.getfixturevalue("table"), request.getfixturevalue("made")
    assert list(table.columns) == ["setting", "seed", "mode", "over", "measure", "value"]
    assert made["seeds"] == list(range(10))
    assert made["settings"]["simulation"] == de_simulation.SIMULATION
    runs = table.drop_duplicates(["setting", "mode", "over", "seed"]).groupby("setting")
    assert sorted(runs.groups) == sorted([*de_contests.SETTINGS, de_contests.NULL])
    for _, of_setting in runs:
        ways = of_setting.groupby(["mode", "over"])["seed"].apply(sorted)
        assert sorted(ways.index) == sorted(WAYS)
        assert all(seeds == made["seeds"] for seeds in ways)
    shares = table[table["measure"].isin(["auc", "auc_any", "fdp", "power", "fraction_called"])]["value"].dropna()
    assert shares.between(0, 1).all()


# The settings


@pytest.fixture(scope="module", params=de_contests.SETTINGS)
def setting(request):
    return request.param, *de_contests.draw(request.param, seed=0)


def test_a_setting_is_as_hard_as_it_says(setting):
    name, data, (one, two) = setting
    batch = (data.obs["batch"] == "batch_0").to_numpy()
    share = batch[one].mean(), batch[two].mean()
    few, unbalanced, sparse = (name in (alone, "hard") for alone in ("cells", "batches", "zeros"))
    assert share == ((0.8, 0.2) if unbalanced else (pytest.approx(0.5, abs=0.01),) * 2 if few else share)
    if few:
        assert one.sum() == two.sum() == 40
    else:
        assert min(one.sum(), two.sum()) >= 300
    zeros = (np.asarray(data.X) == 0).mean()
    assert (0.87 < zeros < 0.93) == sparse
    assert data.n_obs - one.sum() - two.sum() == 666  # the third type is whole
    rho1, rho2 = (data.layers["rho_biology"][group].mean(0) for group in (one, two))
    change = np.abs(np.log2(rho1 / rho2))
    fold = 1.3 if name in ("fold", "hard") else 2.0
    np.testing.assert_allclose(change[change > 1e-6], np.log2(fold))
    assert (change > 1e-6).sum() == 80


# The rank tests


@pytest.fixture(scope="module")
def data():
    """Two groups of 100 cells, half of either in batch a; ten genes. The first has half the depth and one gene up."""
    rng = np.random.default_rng(0)
    x = rng.poisson(np.where(np.arange(200)[:, None] < 100, 1.0, 2.0) * np.linspace(0.2, 4, 10), (200, 10))
    x[:100, 9] = rng.poisson(6, 100)  # up by a half, for 4 would be half of 8
    obs = pd.DataFrame({"batch": np.tile(["a", "b"], 100)}, index=[f"cell_{i}" for i in range(200)])
    return AnnData(x.astype(np.float32), obs=obs)


ONE = np.arange(200) < 100
GROUPS = (ONE, ~ONE)


def test_the_deeper_group_is_thinned_to_the_others_depth_and_the_other_left_alone(data):
    x = np.asarray(data.X)[:, :9]
    thinned = de_contests.at_equal_depth(x, GROUPS, np.random.default_rng(0))
    np.testing.assert_array_equal(thinned[ONE], x[ONE])
    assert (thinned <= x).all()
    depth = thinned.sum(1)
    error = float(np.sqrt(x[~ONE].sum() / 4)) / 100
    assert depth[~ONE].mean() == pytest.approx(depth[ONE].mean(), abs=5 * error)
    back = de_contests.at_equal_depth(x[::-1], GROUPS, np.random.default_rng(0))
    np.testing.assert_array_equal(back[~ONE], x[::-1][~ONE])  # whichever group is the deeper one


def by_name(data, pseudocount=1e-9):
    return dict(de_contests.rank_tests(data, GROUPS, pseudocount, seed=0))


def test_plain_is_scanpys_default_and_ties_are_corrected_where_it_says_so(data):
    tests = by_name(data)
    assert list(tests) == list(de_contests.RANK_TESTS)
    plain = de_simulation.wilcoxon(data, *GROUPS)
    np.testing.assert_allclose(tests["wilcoxon"]["score"], plain["score"], rtol=0.01)  # its rounding undoes some ties
    assert tests["wilcoxon"]["called"].tolist() == plain["called"].tolist()
    x = np.asarray(data.X, dtype=float)
    log = np.log1p(1e4 * x / x.sum(1, keepdims=True))
    p = scipy.stats.mannwhitneyu(log[ONE], log[~ONE], method="asymptotic", use_continuity=False).pvalue
    np.testing.assert_allclose(tests["wilcoxon_ties"]["score"], scipy.stats.norm.isf(p / 2), rtol=1e-6)


def test_a_size_is_asked_for_on_top_and_ranks_the_genes_that_have_it_first(data):
    plain, sized = (by_name(data, 1e-9)[name] for name in ("wilcoxon", "wilcoxon_size"))
    rates = [np.asarray(data.X)[group] / np.asarray(data.X)[group].sum(1, keepdims=True) for group in GROUPS]
    far = np.abs(np.log2(rates[0].mean(0) / rates[1].mean(0))) > 0.25
    assert 0 < far.sum() < 10
    assert sized["called"].tolist() == (plain["called"] & far).tolist()
    assert sized["score"][far].min() > sized["score"][~far].max()
    assert not by_name(data, 1e3)["wilcoxon_size"]["called"].any()  # a large c leaves no size


def test_cells_are_ranked_within_their_batch_where_it_says_so(data):
    shifted = data.copy()
    shifted.X[(shifted.obs["batch"] == "a").to_numpy(), 0] += 50  # the other genes' shares fall with it
    moved = (by_name(shifted)["wilcoxon_batches"]["score"] - by_name(shifted)["wilcoxon"]["score"]).abs()
    assert moved.max() > 0.1
    without = shifted.copy()
    del without.obs["batch"]
    np.testing.assert_array_equal(by_name(without)["wilcoxon_batches"]["score"], by_name(without)["wilcoxon"]["score"])


# Seeds


def test_one_seed_of_a_hard_setting_runs_small(monkeypatch):
    monkeypatch.setitem(de_contests.LONG, "epochs", 1)
    monkeypatch.setitem(de_contests.SETTINGS, "hard", (de_contests.SETTINGS["hard"][0], (8, 2)))
    table = de_contests.run_seed("hard", 0, n_cells=150, n_genes=60, n_changed=5)
    assert list(table.columns) == ["mode", "over", "measure", "value"]
    assert [*table[["mode", "over"]].drop_duplicates().itertuples(index=False, name=None)] == WAYS
    assert set(table["measure"]) == {"auc", "auc_any", "n_true", "n_called", "fdp", "power", "pseudocount"}
    assert np.isfinite(table.loc[table["measure"].isin(["auc_any", "fdp"]), "value"]).all()
    true = table[table["measure"] == "n_true"].groupby("mode")["value"].agg(["min", "max"])
    assert (true.loc[["vanilla", "wilcoxon"]] == 20).all(axis=None)  # every gene that was changed
    assert true.loc["change", "max"] < 20  # rare ones are none beyond δ, at this c


def test_the_null_calls_are_counted(monkeypatch):
    monkeypatch.setitem(de_contests.LONG, "epochs", 1)
    data, _ = de_contests.draw("easy", 0, n_cells=90, n_genes=60, n_changed=5)
    table = de_contests.null_seed(data, "type_0", 0)
    assert [*table[["mode", "over"]].drop_duplicates().itertuples(index=False, name=None)] == WAYS
    wide = table.pivot(index=["mode", "over"], columns="measure", values="value")
    np.testing.assert_allclose(wide["n_called"] / 60, wide["fraction_called"])


def test_a_run_writes_its_settings_beside_the_table(tmp_path, monkeypatch):
    row = pd.DataFrame({"mode": ["change"], "over": ["means"], "measure": ["auc"], "value": [0.5]})
    monkeypatch.setattr(de_contests, "run_seed", lambda setting, seed: row.copy())
    path = de_contests.run(2, tmp_path, ["easy", "hard"])
    table = pd.read_csv(path)
    assert table["setting"].tolist() == ["easy", "easy", "hard", "hard"]
    assert table["seed"].tolist() == [0, 1, 0, 1]
    assert '"cells_per_batch": [' in path.with_suffix(".json").read_text(encoding="utf-8")
