"""What counting predicts, against SciPy's distributions and simulation."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse
import scipy.stats

from course_lib.analysis.counting_noise import (
    common_overdispersion,
    count_moments,
    overdispersion_of_each_gene,
    predicted_variance,
    predicted_zero_fraction,
    relative_spread,
)
from course_lib.analysis.mixing import same_batch_neighbours


def counts(phi: float, n_cells: int = 2000, n_genes: int = 200, seed: int = 0) -> np.ndarray:
    """Gamma–Poisson counts with unequal libraries; ρ the same in every cell."""
    rng = np.random.default_rng(seed)
    mu = np.outer(rng.lognormal(5, 0.4, n_cells), rng.dirichlet(np.ones(n_genes)))
    rate = rng.gamma(1 / phi, mu * phi) if phi > 0 else mu
    return rng.poisson(rate)


@pytest.mark.parametrize("phi", [0.0, 0.3])
def test_variance_and_zeros_of_simulated_counts_are_as_predicted(phi):
    x = counts(phi)
    moments = count_moments(x)
    assert predicted_variance(moments, moments.mean, phi) == pytest.approx(moments.variance, rel=0.2)
    zeros = predicted_zero_fraction(moments, moments.rho, phi)
    standard_error = np.sqrt(np.maximum(zeros * (1 - zeros), 1e-4) / len(x))
    assert np.abs(zeros - moments.zero_fraction).max() < 5 * standard_error.max()


@pytest.mark.parametrize("phi", [0.0, 0.05, 0.3, 1.0])
def test_the_common_overdispersion_is_recovered(phi):
    x = counts(phi)
    assert common_overdispersion(x, count_moments(x)) == pytest.approx(phi, abs=0.02 + 0.08 * phi)


def test_each_genes_overdispersion_is_recovered_and_their_weighted_mean_is_the_common_one():
    rng = np.random.default_rng(1)
    phi = np.array([0.05, 0.2, 0.5, 1.0])
    mu = np.outer(np.full(20_000, 100.0), [0.4, 0.3, 0.2, 0.1])  # equal libraries in expectation
    x = np.column_stack([rng.poisson(rng.gamma(1 / phi, mu * phi)), np.zeros(20_000)])  # the last gene is never seen
    moments = count_moments(x)
    flat = dataclasses.replace(moments, library=np.full(20_000, 100.0), rho=np.array([0.4, 0.3, 0.2, 0.1, 0.0]))
    each = overdispersion_of_each_gene(x, flat)
    np.testing.assert_allclose(each[:4], phi, rtol=0.06)
    assert np.isnan(each[4])
    weights = np.square(flat.mu).sum(0)[:4]
    assert common_overdispersion(x, flat) == pytest.approx(np.average(each[:4], weights=weights), rel=1e-12)


def test_an_odd_cell_makes_the_overdispersion_of_a_gene_and_leaving_it_out_does_not_make_an_nb_a_poisson():
    x = counts(0.8, n_genes=50)
    x[7, :10] += 60
    moments = count_moments(x)
    abundant = moments.mean > 1
    full, rest = (overdispersion_of_each_gene(x, moments, leave_out=k) for k in (0, 2))
    assert np.median(rest[10:][abundant[10:]]) == pytest.approx(0.8, rel=0.15)
    assert np.median(full[10:][abundant[10:]]) == pytest.approx(0.8, rel=0.15)
    plain = counts(0.0, n_genes=50)
    plain[7, :10] += 60
    moments = count_moments(plain)
    odd = np.flatnonzero(moments.mean[:10] < 2)
    full, rest = (overdispersion_of_each_gene(plain, moments, leave_out=k) for k in (0, 1))
    assert len(odd) > 2
    assert full[odd].min() > 0.1
    assert np.abs(rest[odd]).max() < 0.15


def test_zero_fractions_are_scipys_averaged_over_cells():
    moments = count_moments(counts(0.3, n_cells=40))
    poisson = scipy.stats.poisson(moments.mu).pmf(0).mean(0)
    np.testing.assert_allclose(predicted_zero_fraction(moments, moments.rho, 0.0), poisson, rtol=1e-12)
    theta = 2.5
    nb = scipy.stats.nbinom(theta, theta / (theta + moments.mu)).pmf(0).mean(0)
    np.testing.assert_allclose(predicted_zero_fraction(moments, moments.rho, 1 / theta), nb, rtol=1e-12)


def test_moments_are_numpys_for_dense_and_sparse_counts():
    x = counts(0.3, n_cells=50)
    for table in (x, scipy.sparse.csr_matrix(x)):
        moments = count_moments(table)
        np.testing.assert_allclose(moments.variance, x.var(0, ddof=1))
        np.testing.assert_allclose(moments.zero_fraction, (x == 0).mean(0))
        np.testing.assert_allclose(moments.mu.sum(0), x.sum(0))  # ℓρ keeps each gene's total
        np.testing.assert_allclose(moments.mu.sum(1), x.sum(1))  # and each cell's


def test_the_variance_worked_by_hand_of_three_cells():
    moments = count_moments(np.array([[1, 1], [2, 2], [3, 3]]))  # libraries 2, 4, 6: variance 4, of the mean's square ¼
    found = predicted_variance(moments, np.array([2.0, 8.0]), 0.5)
    np.testing.assert_allclose(found, [2 + (1 / 4 + 0.5 * 5 / 4) * 4, 8 + (1 / 4 + 0.5 * 5 / 4) * 64], rtol=1e-12)


def test_distances_between_independent_coordinates_concentrate_as_the_square_root_of_the_dimension():
    rng = np.random.default_rng(0)
    spreads = [relative_spread(scipy.spatial.distance.pdist(rng.normal(size=(300, d)))) for d in (10, 1000)]
    # ‖a − b‖² is 2χ²_d: its root has relative spread close to 1/√(2d).
    assert spreads == pytest.approx([20**-0.5, 2000**-0.5], rel=0.1)


def test_neighbours_of_mixed_batches_are_as_often_strangers_as_chance_says():
    rng = np.random.default_rng(0)
    batch = np.repeat(["a", "b", "b"], 200)
    mixed, expected = same_batch_neighbours(rng.normal(size=(600, 2)), batch)
    assert mixed == pytest.approx(expected, abs=0.03)
    assert expected == pytest.approx((200 * 199 + 400 * 399) / (600 * 599))
    apart, _ = same_batch_neighbours(rng.normal(size=(600, 2)) + 50 * (batch == "a")[:, None], batch)
    assert apart == 1.0


MOMENTS = count_moments(np.array([[1, 2], [3, 4]]))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: count_moments(np.array([[1, 2], [0, 0]])),
            ValueError,
            "x: expected a count in each cell, found 1 of 2",
        ),
        (lambda: count_moments(np.array([[1, 2]])), ValueError, "x: expected 2 or more cells as rows, found 1"),
        (lambda: count_moments(np.array([[1, 2], [np.nan, 1]])), ValueError, "x: expected finite numbers"),
        (lambda: count_moments(np.array([[1, 2], [-1, 3]])), ValueError, "x: expected counts, found -1 among them"),
        (lambda: count_moments(np.array([["a"], ["b"]])), TypeError, "x: expected numbers, found <U1"),
        (lambda: common_overdispersion(np.ones((3, 2)), MOMENTS), ValueError, r"x: .*\(2, 2\), found shape \(3, 2\)"),
        (lambda: overdispersion_of_each_gene(np.ones((3, 2)), MOMENTS), ValueError, r"x: .*found shape \(3, 2\)"),
        (
            lambda: overdispersion_of_each_gene(np.array([[1, 2], [3, 4]]), MOMENTS, leave_out=1),
            ValueError,
            "leave_out: expected a whole number from 0 to 0, which leaves two cells, found 1",
        ),
        (lambda: predicted_variance(MOMENTS, np.ones(2), -0.1), ValueError, "phi: expected a number ≥ 0, found -0.1"),
        (lambda: predicted_zero_fraction(MOMENTS, np.ones(2), np.inf), ValueError, "phi: expected a finite number"),
        (lambda: relative_spread(np.zeros(3)), ValueError, "distances: expected some above zero .*mean 0.0; are all"),
        (lambda: relative_spread(np.array([])), ValueError, "distances: .*found 0 with mean none"),
        (lambda: relative_spread(np.array([1, np.nan])), ValueError, "distances: .*mean nan"),
        (lambda: same_batch_neighbours(np.ones((5, 2)), np.zeros(5)), ValueError, "n_neighbors: .*from 1 to 4, .*15"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
