"""Kinds by antibodies: heaps whose truth is known, ratios by hand, the pair's kinds beside RNA that they never saw."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gmean, norm

from course_lib.analysis.antibodies import (
    AMBIGUOUS,
    BLOOD_GATES,
    centred_log_ratio,
    label_by_antibodies,
    positive_probability,
)
from course_lib.data.committed import load_pbmc_pair

CARRIES = {
    "CD14+ Monocytes": ["CD14", "CD4"],
    "B cells": ["CD19"],
    "CD4 T cells": ["CD3", "CD4"],
    "CD8 T cells": ["CD3", "CD8a"],
    "NK cells": ["CD56", "CD16"],
    "T cells with neither": ["CD3"],
}
PANEL = ["CD3", "CD4", "CD8a", "CD14", "CD16", "CD19", "CD56", "CD45RA"]


def simulated(n_cells=300, seed=0, stain=1.0):
    """Counts of eight antibodies in two runs, the second four times as deep, with three times the background.

    There CD3 stains ``stain`` times as much, background and all.
    """
    rng = np.random.default_rng(seed)
    kind = rng.choice(list(CARRIES), n_cells, p=[0.25, 0.1, 0.35, 0.12, 0.1, 0.08])
    run = np.arange(n_cells) % 2
    mean = np.full((n_cells, len(PANEL)), 6.0) * np.where(run == 1, 3.0, 1.0)[:, None]  # run 1: more background, too
    for j, marker in enumerate(PANEL):
        carries = np.array([marker in CARRIES[name] for name in kind])
        mean[carries, j] = 400.0
    mean[:, PANEL.index("CD45RA")] = rng.lognormal(4, 0.3, n_cells)
    mean[run == 1, PANEL.index("CD3")] *= stain
    mean *= np.where(run == 1, 4.0, 1.0)[:, None] * rng.lognormal(0, 0.2, (n_cells, 1))
    counts = rng.poisson(mean * rng.gamma(8.0, 1 / 8, mean.shape))
    return pd.DataFrame(counts, columns=PANEL), np.array(["first", "second"])[run], kind


def test_the_centred_log_ratio_is_the_log_over_the_geometric_mean():
    counts = np.array([[0, 1, 7], [99, 0, 9]])
    expected = np.log((counts + 1) / gmean(counts + 1, axis=1)[:, None])
    np.testing.assert_allclose(centred_log_ratio(counts), expected, atol=1e-12)
    assert centred_log_ratio([[3, 3]]).tolist() == [[0, 0]]


def test_the_probability_of_the_upper_heap_is_bayes_rule():
    rng = np.random.default_rng(0)
    upper = rng.random(20_000) < 0.2
    values = rng.normal(np.where(upper, 5.0, 0.0), 1.0)
    high, low = 0.2 * norm.pdf(values, 5), 0.8 * norm.pdf(values, 0)
    np.testing.assert_allclose(positive_probability(values), high / (high + low), atol=0.05)
    flipped = positive_probability(-values)
    np.testing.assert_allclose(flipped, 1 - positive_probability(values), atol=1e-3)


def test_it_rises_with_the_value():
    """The upper heap is wide, the lower one narrow: far below, no cell may be called positive for that."""
    rng = np.random.default_rng(1)
    values = np.sort(np.r_[rng.normal(0, 0.3, 200), rng.normal(6, 2, 60), -2.0, -2.0, -2.1])
    assert (np.diff(positive_probability(values)) >= -1e-9).all()


def test_one_heap_is_no_two():
    values = norm.ppf((np.arange(200) + 0.5) / 200)
    with pytest.raises(ValueError, match=r"values: expected two heaps, at least 3 .*found [0-2]\.\d; .*leave it out"):
        positive_probability(values)
    with pytest.raises(ValueError, match="values: expected two heaps, found 2 for every cell"):
        positive_probability(np.full(40, 2.0))
    protein = pd.DataFrame({"CD3": (100 * np.exp(values)).round(), "CD4": 100})
    with pytest.raises(ValueError, match="protein: CD3 in run 10k: values: expected two heaps"):
        label_by_antibodies(protein, ["10k"] * 200, {"T cells": "CD3+"})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_simulated_kinds_are_found_in_both_runs_and_those_without_a_gate_are_ambiguous(seed):
    protein, run, kind = simulated(seed=seed)
    found = label_by_antibodies(protein, run)
    gated = np.isin(kind, list(BLOOD_GATES))
    for name in np.unique(run):
        mine = gated & (run == name)
        assert (found[mine] == kind[mine]).mean() > 0.95
        assert set(found[run == name]) == {*BLOOD_GATES, AMBIGUOUS}
    wrong = (found != kind) & (found != AMBIGUOUS)
    assert wrong.mean() < 0.01
    assert (found[~gated] == AMBIGUOUS).all()


def test_runs_are_gated_each_by_itself():
    """CD3's background of the second run stands where its marker stands in the first."""
    protein, run, kind = simulated(stain=66 / 3)
    found = label_by_antibodies(protein, run)
    for name in ("first", "second"):
        mine = run == name
        np.testing.assert_array_equal(found[mine], label_by_antibodies(protein[mine], run[mine]))
        gated = mine & np.isin(kind, list(BLOOD_GATES))
        assert (found[gated] == kind[gated]).mean() > 0.95


def test_a_cell_of_two_kinds_and_one_between_the_heaps_are_ambiguous():
    protein, run, kind = simulated()
    gates = {"T cells": "CD3+", "CD4 cells": "CD4+", "monocytes": "CD14+"}
    found = label_by_antibodies(protein, run, gates)
    assert set(found[kind == "CD4 T cells"]) <= {AMBIGUOUS, "T cells", "CD4 cells"}
    assert (found[kind == "CD4 T cells"] == AMBIGUOUS).mean() > 0.9
    sure, surer = (label_by_antibodies(protein, run, least_probability=p) == AMBIGUOUS for p in (0.6, 1 - 1e-12))
    assert (surer >= sure).all()
    assert surer.sum() > sure.sum()


@pytest.fixture(scope="module")
def pair():
    data = load_pbmc_pair()
    return data, label_by_antibodies(data.obsm["protein"], data.obs["batch"])


def test_both_runs_of_the_pair_have_all_kinds_and_few_ambiguous_cells(pair):
    data, kinds = pair
    counts = pd.crosstab(kinds, data.obs["batch"])
    assert set(counts.index) == {*BLOOD_GATES, AMBIGUOUS}
    assert counts.to_numpy().min() >= 10
    assert (kinds == AMBIGUOUS).mean() < 0.1


@pytest.mark.parametrize(
    "gene, kind",
    [
        ("MS4A1", "B cells"), ("CD79A", "B cells"), ("LYZ", "CD14+ Monocytes"), ("S100A8", "CD14+ Monocytes"),
        ("CD14", "CD14+ Monocytes"), ("CD8A", "CD8 T cells"), ("CD8B", "CD8 T cells"), ("GNLY", "NK cells"),
        ("KLRD1", "NK cells"),
    ],
)  # fmt: skip
def test_kinds_by_antibodies_carry_the_rna_that_made_none_of_them(pair, gene, kind):
    data, kinds = pair
    share = np.asarray(data[:, gene].X.todense()).ravel() / np.asarray(data.X.sum(axis=1)).ravel()
    means = pd.Series(share).groupby([data.obs["batch"].to_numpy(), kinds]).mean().unstack().drop(columns=AMBIGUOUS)
    for _, of_kind in means.iterrows():
        first, second = of_kind.nlargest(2)
        assert of_kind.idxmax() == kind
        assert first > 1.5 * second


def test_what_the_rows_are_called_does_not_matter(pair):
    data, kinds = pair
    protein = data.obsm["protein"]
    again = label_by_antibodies(protein.reset_index(drop=True), data.obs["batch"].to_numpy())
    np.testing.assert_array_equal(again, kinds)


PROTEIN, RUN, _ = simulated(60)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"protein": PROTEIN.to_numpy()}, TypeError, "protein: expected a data frame .*found a ndarray; name the col"),
        ({"protein": -PROTEIN}, ValueError, "counts: expected numbers ≥ 0, found -.*raw counts"),
        ({"protein": PROTEIN.replace(PROTEIN.iloc[0, 0], np.nan)}, ValueError, "counts: expected finite numbers"),
        ({"run": RUN[:-1]}, ValueError, r"run: expected one for each of the 60 cells, found shape \(59,\)"),
        ({"gates": {}}, ValueError, "gates: expected at least one kind"),
        ({"gates": {"B cells": "CD20+"}}, ValueError, r"gates: .*'B cells'.*such as CD3\+, found 'CD20\+'; there are"),
        ({"gates": {"B cells": "CD19"}}, ValueError, r"gates: .*found 'CD19'"),
        ({"gates": {"B cells": ""}}, ValueError, "gates: .*found ''"),
        ({"run": np.arange(60)}, ValueError, "protein: .* in run 0: values: expected at least 20 cells.*found 1"),
        ({"least_probability": 0.5}, ValueError, "least_probability: expected above 0.5 and below 1, found 0.5"),
        ({"least_probability": "0.9"}, TypeError, "least_probability: expected a number"),
    ],
)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        label_by_antibodies(**({"protein": PROTEIN, "run": RUN} | change))
