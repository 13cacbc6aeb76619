"""Permuted copies of genes: what they keep, and what is gone."""

import numpy as np
import pytest
from small import cells_by_hand, three_types

from course_lib.data.permuted import ENDING, with_permuted_copies


def test_a_copy_has_its_genes_counts_within_every_bin_of_totals():
    cells, _ = three_types()
    both = with_permuted_copies(cells, n_bins=8, seed=1)
    x, copies = both.x[:, :30].numpy(), both.x[:, 30:].numpy()
    np.testing.assert_array_equal(x, cells.x)
    assert both.genes == (*cells.genes, *(gene + ENDING for gene in cells.genes))
    for members in np.array_split(np.argsort(x.sum(1), kind="stable"), 8):
        np.testing.assert_array_equal(np.sort(x[members], 0), np.sort(copies[members], 0))
    assert (np.sort(x, 1) != np.sort(copies, 1)).any()  # columns by themselves, no whole cells


def test_genes_of_one_programme_lose_their_correlation_and_keep_that_with_the_total():
    rng = np.random.default_rng(0)
    n = 4_000
    library, programme = rng.lognormal(0, 0.5, (n, 1)), rng.lognormal(0, 1.0, (n, 1))
    x = np.hstack(
        [rng.poisson(5 * library * programme * np.ones((1, 10))), rng.poisson(100 * library * np.ones((1, 9)))]
    )
    both = with_permuted_copies(cells_by_hand(x + 0.0), n_bins=100, seed=0).x.numpy()
    share = both[:, :19] / both[:, :19].sum(1, keepdims=True), both[:, 19:] / both[:, :19].sum(1, keepdims=True)
    of_programme = [np.corrcoef(s[:, :10], rowvar=False)[np.triu_indices(10, 1)].mean() for s in share]
    assert of_programme[0] > 0.5
    assert abs(of_programme[1]) < 0.1
    with_total = [np.corrcoef(part, both[:, :19].sum(1))[0, 1] for part in (both[:, 12], both[:, 19 + 12])]
    assert with_total[1] == pytest.approx(with_total[0], abs=0.1)


def test_same_seed_same_copies():
    cells, _ = three_types()
    one, again, other = (with_permuted_copies(cells, seed=seed).x for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_bad_input_is_named():
    cells, _ = three_types()
    with pytest.raises(TypeError, match="cells: expected Cells, found ndarray"):
        with_permuted_copies(cells.x.numpy())
    with pytest.raises(
        ValueError, match="n_bins: expected a whole number from 1 to 120, two cells in each bin, found 121"
    ):
        with_permuted_copies(cells, n_bins=121)
    with pytest.raises(ValueError, match="cells: expected genes without copies"):
        with_permuted_copies(with_permuted_copies(cells))
