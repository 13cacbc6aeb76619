"""The rank sum test against SciPy, Scanpy and every order there is."""

from itertools import combinations, product

import numpy as np
import pytest
import scanpy
import scipy.sparse
import scipy.stats
from anndata import AnnData

from course_lib.analysis.rank_sum import rank_sum


@pytest.fixture(scope="module")
def counts():
    """Mostly zeros: (60, 8) with a shift of the last gene; group 1 are the first 25."""
    rng = np.random.default_rng(0)
    x = rng.poisson(0.4, (60, 8)).astype(float)
    x[:25, 7] += 1
    return x


ONE = np.arange(60) < 25


def test_with_ties_it_is_scipys_mann_whitney(counts):
    expected = scipy.stats.mannwhitneyu(counts[ONE], counts[~ONE], method="asymptotic", use_continuity=False).pvalue
    table = rank_sum(counts, ONE, ~ONE)
    np.testing.assert_allclose(table["p"], expected, rtol=1e-9)
    np.testing.assert_allclose(table["p_adjusted"], scipy.stats.false_discovery_control(expected), rtol=1e-9)
    assert table["z"][7] > 3


@pytest.mark.parametrize("ties", [False, True])
def test_its_scores_are_scanpys_with_and_without_the_correction(counts, ties):
    data = AnnData(np.log1p(counts))
    data.obs["group"] = np.where(ONE, "one", "two")
    scanpy.tl.rank_genes_groups(data, "group", groups=["one"], reference="two", method="wilcoxon", tie_correct=ties)
    expected = scanpy.get.rank_genes_groups_df(data, "one").set_index("names")["scores"].loc[list(data.var_names)]
    np.testing.assert_allclose(rank_sum(data.X, ONE, ~ONE, ties=ties)["z"], expected, rtol=1e-5)


def test_ties_left_out_make_the_test_shy(counts):
    with_ties, without = rank_sum(counts, ONE, ~ONE)["z"].abs(), rank_sum(counts, ONE, ~ONE, ties=False)["z"].abs()
    assert (with_ties > without).all()


@pytest.mark.parametrize("ties", [False, True])
def test_strata_agree_with_all_orders_within_them(ties):
    """All ways to choose group 1 within the strata are equally likely: mean and variance by enumeration."""
    values = np.array([3.0, 1, 2, 4, 8, 5, 7, 6, 9]) if not ties else np.array([0.0, 0, 2, 0, 0, 1, 0, 3, 3])
    strata = np.array(list("aaaabbbbb"))
    one = np.array([1, 0, 1, 0, 1, 1, 0, 0, 0], dtype=bool)
    weighted = np.zeros(9)
    for stratum in "ab":
        inside = strata == stratum
        weighted[inside] = scipy.stats.rankdata(values[inside]) / (inside.sum() + 1)
    of_a, of_b = combinations(range(4), 2), list(combinations(range(4, 9), 2))
    sums = [weighted[list(a + b)].sum() for a, b in product(of_a, of_b)]
    expected = (weighted[one].sum() - np.mean(sums)) / np.std(sums)
    found = rank_sum(values[:, None], one, ~one, strata=strata, ties=ties)["z"]
    assert found[0] == pytest.approx(expected)


def test_a_batch_passes_for_a_difference_unless_cells_are_ranked_within_it():
    rng = np.random.default_rng(1)
    batch = rng.random(400) < np.where(np.arange(400) < 200, 0.8, 0.2)
    values, one = rng.normal(size=(400, 50)) + 2.0 * batch[:, None], np.arange(400) < 200
    assert (rank_sum(values, one, ~one)["p"] < 1e-3).all()
    within = rank_sum(values, one, ~one, strata=batch)
    assert np.abs(within["z"]).max() < 4
    assert within["z"].std() == pytest.approx(1, abs=0.35)


def test_exchanging_the_groups_changes_the_sign_and_sparse_is_dense(counts):
    there = rank_sum(counts, ONE, ~ONE)
    np.testing.assert_allclose(rank_sum(counts, ~ONE, ONE)["z"], -there["z"])
    np.testing.assert_array_equal(rank_sum(scipy.sparse.csr_matrix(counts), ONE, ~ONE)["z"], there["z"])


def test_a_gene_that_never_varies_and_a_stratum_of_one_group_say_nothing(counts):
    table = rank_sum(np.zeros((60, 2)), ONE, ~ONE)
    assert table["z"].tolist() == [0, 0]
    assert table["p"].tolist() == [1, 1]
    strata = np.where(np.arange(60) < 5, "only one", "both")
    np.testing.assert_allclose(
        rank_sum(counts, ONE, ~ONE, strata=strata)["z"], rank_sum(counts[5:], ONE[5:], ~ONE[5:])["z"]
    )


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"strata": ["a"] * 59}, ValueError, "strata: expected one for each of the 60 cells, found shape \\(59,\\)"),
        ({"strata": [None] + ["a"] * 59}, ValueError, "strata: expected one for each cell, found none for 1 of them"),
        ({"strata": ONE}, ValueError, "strata: expected one with cells of both groups, found none"),
        ({"ties": "yes"}, ValueError, "ties: expected False or True, found 'yes'"),
        ({"group1": ~ONE}, ValueError, "group1, group2: expected no cell in both"),
        ({"values": np.full((60, 2), np.nan)}, ValueError, "values: expected finite numbers"),
        ({"values": np.zeros(60)}, ValueError, r"values: expected \(N, L\)"),
        ({"values": np.array([["a"]] * 60)}, TypeError, "values: expected numbers"),
    ],
)
def test_what_cannot_be_ranked_is_refused(counts, settings, error, message):
    with pytest.raises(error, match=message):
        rank_sum(**{"values": counts, "group1": ONE, "group2": ~ONE} | settings)
