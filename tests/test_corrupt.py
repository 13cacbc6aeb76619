"""Counts hidden or thinned away: how many, where, and that nothing else moves."""

import numpy as np
import pytest
import scipy.stats
from anndata import AnnData
from small import cells_by_hand, three_types

from course_lib.data.cells import cells_from_counts, cells_from_expression
from course_lib.data.corrupt import Hidden, hide_counts, thin
from course_lib.data.scvi_process import simulate

Z_BOUND = 5.0  # see test_toys


@pytest.fixture(scope="module")
def cells():
    return three_types()[0]


def test_hidden_counts_are_zero_now_and_nothing_else_moved(cells):
    before = cells.x.clone()
    corrupted, hidden = hide_counts(cells, 0.1, seed=3)
    x = corrupted.x.numpy().copy()
    assert (x[hidden.cell, hidden.gene] == 0).all()
    assert (hidden.count > 0).all()
    x[hidden.cell, hidden.gene] = hidden.count
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(cells.x, before)  # the caller's cells stay theirs
    assert (corrupted.genes, corrupted.batches, corrupted.counts) == (cells.genes, cells.batches, cells.counts)
    assert len({*zip(hidden.cell, hidden.gene, strict=True)}) == len(hidden) == round(0.1 * float((before > 0).sum()))


def test_every_nonzero_count_is_as_likely_to_be_hidden_as_any_other(cells):
    """Over seeds: how many of a cell's nonzeros go is hypergeometric; large counts go as often as small ones."""
    x = cells.x.numpy()
    nonzero = x > 0
    per_cell, total, n_seeds = nonzero.sum(1), int(nonzero.sum()), 200
    n_hidden, hits, of_ones = round(0.2 * total), np.zeros(len(x)), 0
    for seed in range(n_seeds):
        _, hidden = hide_counts(cells, 0.2, seed)
        hits += np.bincount(hidden.cell, minlength=len(x))
        of_ones += int((hidden.count == 1).sum())
    law = scipy.stats.hypergeom(total, per_cell, n_hidden)
    assert np.abs((hits - n_seeds * law.mean()) / np.sqrt(n_seeds * law.var())).max() < Z_BOUND
    ones = scipy.stats.hypergeom(total, int((x == 1).sum()), n_hidden)
    assert abs(of_ones - n_seeds * ones.mean()) < Z_BOUND * np.sqrt(n_seeds * ones.var())


def test_same_seed_same_entries(cells):
    (one, first), (again, second), (_, other) = (hide_counts(cells, 0.1, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.x, again.x)
    np.testing.assert_array_equal(first.gene, second.gene)
    assert (first.gene != other.gene).any()


def test_some_of_the_hidden_entries_keep_their_row_column_and_count():
    hidden = Hidden(np.array([0, 0, 5]), np.array([1, 2, 0]), np.array([7.0, 8.0, 9.0], dtype=np.float32))
    some = hidden[np.array([2, 0])]
    assert len(some) == 2
    assert (some.cell.tolist(), some.gene.tolist(), some.count.tolist()) == ([5, 0], [0, 1], [9.0, 7.0])


def test_the_parts_of_thinned_cells_add_up_and_the_kept_one_is_binomial(cells):
    x, n_seeds, share = cells.x.numpy(), 200, 0.7
    sums = np.zeros_like(x)
    for seed in range(n_seeds):
        kept, held = thin(cells, share, seed)
        np.testing.assert_array_equal(kept.x.numpy() + held, x)
        assert (held >= 0).all()
        sums += kept.x.numpy()
    law = scipy.stats.binom(n_seeds * x, share)
    z = ((sums - law.mean()) / np.sqrt(np.maximum(law.var(), 1e-9)))[x > 0]
    assert scipy.stats.kstest(z[:2000], "norm").pvalue > 1e-6
    assert np.abs(z).max() < Z_BOUND + 1  # over thousands of entries


def test_thinned_poisson_counts_are_independent_and_nb_counts_share_their_rate():
    rng = np.random.default_rng(0)
    mu, theta, n = 20.0, 2.0, 200_000
    poisson = rng.poisson(mu, (n, 1)) + 0.0
    nb = rng.poisson(rng.gamma(theta, mu / theta, (n, 1))) + 0.0
    filled = np.ones((n, 1))  # so that no cell is empty
    for x, expected in [(poisson, 0.0), (nb, 0.5 * 0.5 * mu**2 / theta)]:
        kept, held = thin(cells_by_hand(np.hstack([x, filled * 1000])), 0.5, 0)
        a, b = kept.x[:, 0].double().numpy(), held[:, 0].astype(float)
        products = (a - mu / 2) * (b - mu / 2)
        assert abs(products.mean() - expected) < Z_BOUND * products.std() / np.sqrt(n)


def test_thinned_zinb_counts_are_zinb_with_the_same_theta_and_pi():
    data = simulate(4000, 30, n_changed=2, log_library_means=(6.0,), batch_sd=0.0, dropout=0.2, seed=1)
    kept, _ = thin(cells_from_counts(data), 0.6, 0)
    mu, theta = 0.6 * data.obs["library"].to_numpy()[:, None] * data.layers["rho"], data.var["theta"].to_numpy()
    pi = data.layers["zi_probs"]
    zero = pi + (1 - pi) * (1 + mu / theta) ** -theta
    z = ((kept.x.numpy() == 0) - zero).sum(0) / np.sqrt((zero * (1 - zero)).sum(0))
    assert np.abs(z).max() < Z_BOUND


@pytest.mark.parametrize("what", [hide_counts, thin])
def test_bad_input_is_named(cells, what):
    name = "fraction" if what is hide_counts else "keep"
    for value in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match=f"{name}: expected 0 < {name} < 1, found {value}"):
            what(cells, value)
    with pytest.raises(TypeError, match="seed: expected a whole number"):
        what(cells, 0.5, 1.5)
    with pytest.raises(
        TypeError, match=r"cells: expected Cells of raw counts .* found ndarray; take cells_from_counts"
    ):
        what(cells.x.numpy())
    with pytest.raises(TypeError, match="found expression"):
        what(cells_from_expression(AnnData(np.ones((3, 2)))))


def test_a_cell_that_would_be_empty_is_named():
    x = np.full((50, 40), 300.0)
    x[7] = 0
    x[7, 0] = 1
    cells = cells_by_hand(x)
    with pytest.raises(ValueError, match=r"keep: expected every cell to keep a count, found cell 7 .* raise it"):
        thin(cells, 0.01, 0)
    with pytest.raises(ValueError, match=r"fraction: expected every cell to keep a count, found cell .* lower it"):
        hide_counts(cells, 0.999, 0)
    with pytest.raises(ValueError, match=r"fraction: expected one that hides a count or more, found 0\.0001"):
        hide_counts(cells, 0.0001, 0)
