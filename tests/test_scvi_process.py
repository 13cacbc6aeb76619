"""The scVI process against closed forms: moments of the NB, balance of the changes, frequencies of dropout."""

import hashlib

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate

Z_BOUND = 5.0  # see test_toys
P_BOUND = 2 * scipy.stats.norm.sf(Z_BOUND)  # the same bound for a p-value: 6e-7


def _z_of_sum(values, means, variances):
    """Sums over cells of independent values, in standard deviations: (G,)."""
    return (values - means).sum(0) / np.sqrt(variances.sum(0))


@pytest.fixture(scope="module")
def data():
    return simulate(4000, 200, n_changed=10, seed=11)


def test_counts_have_the_mean_of_a_zero_inflated_negative_binomial(data):
    mu = data.obs["library"].to_numpy()[:, None] * data.layers["rho"]
    theta, pi = data.var["theta"].to_numpy(), data.layers["zi_probs"]
    variance = (1 - pi) * (mu + mu**2 / theta + pi * mu**2)
    assert np.abs(_z_of_sum(data.X.astype(float), (1 - pi) * mu, variance)).max() < Z_BOUND


def test_without_dropout_the_variance_is_mu_plus_mu_squared_over_theta():
    data = simulate(6000, 60, n_changed=5, dropout=0.0, log_library_means=(6.0,), seed=12)
    assert not data.layers["dropped"].any()
    assert not data.layers["zi_probs"].any()
    mu = data.obs["library"].to_numpy()[:, None] * data.layers["rho"]
    theta = data.var["theta"].to_numpy()
    variance = mu + mu**2 / theta
    squares = (data.X - mu) ** 2
    # fourth central moment of the NB: σ⁴ (3 + 6/θ + 1/σ²), from its excess kurtosis 6/r + p²/((1−p) r)
    spread = variance**2 * (3 + 6 / theta + 1 / variance) - variance**2
    assert np.abs(_z_of_sum(squares, variance, spread)).max() < Z_BOUND
    assert np.abs(_z_of_sum(squares, mu, spread)).max() > 20  # Poisson is refused, so the test can see


def test_counts_follow_scipys_zero_inflated_negative_binomial():
    """Randomised probability integral transform: F(x−1) + u f(x) is uniform if and only if the law is right."""
    data = simulate(3000, 30, n_changed=3, log_library_means=(4.0, 6.0), theta_median=1.0, dropout=0.3, seed=13)
    mu = data.obs["library"].to_numpy()[:, None] * data.layers["rho"]
    theta, pi = data.var["theta"].to_numpy(), data.layers["zi_probs"]

    def uniformity(size, success):
        nb = scipy.stats.nbinom(size, success)
        below = np.where(data.X > 0, pi + (1 - pi) * nb.cdf(data.X.astype(float) - 1), 0.0)
        here = (1 - pi) * nb.pmf(data.X) + pi * (data.X == 0)
        u = below + np.random.default_rng(0).random(here.shape) * here
        return scipy.stats.kstest(u.ravel(), "uniform").pvalue

    assert uniformity(theta, theta / (theta + mu)) > P_BOUND
    assert uniformity(1.2 * theta, 1.2 * theta / (1.2 * theta + mu)) < P_BOUND  # a θ off by a fifth is noticed
    assert uniformity(theta, mu / (theta + mu)) < P_BOUND  # and SciPy's p swapped


@pytest.mark.parametrize("base_sd", [0.0, 1.5])
def test_the_base_profile_has_the_spread_asked_for(base_sd):
    settings = {"n_cells": 6, "n_genes": 4000, "n_types": 2, "n_changed": 0, "dropout": 0.0, "seed": 17}
    rho = simulate(**settings, base_sd=base_sd).uns["truth"]["rho_types"][0]
    spread = Z_BOUND / np.sqrt(2 * len(rho))
    assert np.log(rho).std() == pytest.approx(base_sd, rel=spread, abs=1e-12)
    one = simulate(**settings, base_sd=1.0).uns["truth"]["rho_types"][0]
    np.testing.assert_array_equal(one, simulate(**settings).uns["truth"]["rho_types"][0])


def test_dropout_comes_as_often_as_pi_says_in_every_gene_and_every_cell(data):
    dropped, pi = data.layers["dropped"].astype(float), data.layers["zi_probs"]
    assert np.abs(_z_of_sum(dropped, pi, pi * (1 - pi))).max() < Z_BOUND
    assert np.abs(_z_of_sum(dropped.T, pi.T, (pi * (1 - pi)).T)).max() < Z_BOUND
    assert (data.X[data.layers["dropped"]] == 0).all()


def test_the_count_before_dropout_is_kept_and_no_random_number_moved_for_it():
    data = simulate(50, 40, n_changed=2, dropout=0.3, seed=5)
    y, dropped = data.layers["before_dropout"], data.layers["dropped"]
    np.testing.assert_array_equal(data.X, np.where(dropped, 0, y))
    assert (y[dropped] > 0).any()
    # of these cells as they were drawn before the layer was there
    assert hashlib.blake2b(data.X.astype("<u4").tobytes(), digest_size=8).hexdigest() == "236e1982154ba0ca"


def test_counts_before_dropout_are_negative_binomial_where_they_were_dropped_too(data):
    mu = data.obs["library"].to_numpy()[:, None] * data.layers["rho"]
    variance = mu + mu**2 / data.var["theta"].to_numpy()
    where = data.layers["dropped"]
    z = _z_of_sum(data.layers["before_dropout"] * where.astype(float), mu * where, variance * where)
    assert np.abs(z).max() < Z_BOUND


def test_dropout_varies_by_cell_and_by_gene_as_stated(data):
    logit = np.log(data.layers["zi_probs"]) - np.log1p(-data.layers["zi_probs"])
    a, b = logit.mean(1), logit.mean(0)
    np.testing.assert_allclose(logit, a[:, None] + b - logit.mean(), atol=1e-9)  # additive, nothing else
    assert a.std() == pytest.approx(0.5, rel=Z_BOUND / np.sqrt(2 * len(a)))
    assert b.std() == pytest.approx(1.0, rel=Z_BOUND / np.sqrt(2 * len(b)))
    assert np.median(data.layers["zi_probs"]) == pytest.approx(0.1, abs=0.03)


def test_dropout_is_independent_of_what_it_hides(data):
    """Dropped or not, the hidden mean is the same: no correlation of the mask with ℓρ beyond that with π."""
    mu = np.log(data.obs["library"].to_numpy()[:, None] * data.layers["rho"])
    pi = data.layers["zi_probs"]
    surprise = data.layers["dropped"] - pi
    assert abs((surprise * (mu - mu.mean())).sum()) < Z_BOUND * np.sqrt((pi * (1 - pi) * (mu - mu.mean()) ** 2).sum())


def test_rows_of_rho_sum_to_one_with_and_without_the_batch(data):
    for layer in ("rho", "rho_biology"):
        np.testing.assert_allclose(data.layers[layer].sum(1), 1.0, rtol=0, atol=1e-12)
        assert (data.layers[layer] > 0).all()


@pytest.mark.parametrize("fold", [1.0, 1.7, 8.0])
def test_balanced_changes_move_their_own_genes_by_fold_and_no_other(fold):
    data = simulate(60, 120, n_types=3, n_changed=7, fold=fold, seed=14)
    rho, owner = data.uns["truth"]["rho_types"], data.var["changed_in"].astype(str).to_numpy()
    direction = data.var["direction"].to_numpy()
    np.testing.assert_allclose(rho.sum(1), 1.0, atol=1e-12)
    unchanged = owner == "none"
    assert (direction[unchanged] == 0).all()
    assert unchanged.sum() == 120 - 2 * 3 * 7
    for t in range(3):
        for other in {0, 1, 2} - {t}:
            own = owner == f"type_{t}"
            np.testing.assert_allclose(rho[t, own] / rho[other, own], fold ** direction[own])
            np.testing.assert_allclose(rho[t, unchanged], rho[other, unchanged])
            up, down = own & (direction == 1), own & (direction == -1)
            assert up.sum() == down.sum() == 7
            np.testing.assert_allclose(rho[t, own].sum(), rho[other, own].sum())
            # matched: the down genes stand, unchanged, where the up genes go
            np.testing.assert_allclose(np.sort(rho[other, down]), np.sort(rho[t, up]))


def test_library_sizes_are_log_normal_in_each_batch(data):
    log = np.log(data.obs["library"])
    for batch, mean in zip(["batch_0", "batch_1"], [7.6, 8.2], strict=True):
        z = (log[data.obs["batch"] == batch] - mean) / 0.3
        assert scipy.stats.kstest(z, "norm").pvalue > P_BOUND


def test_theta_is_log_normal_about_its_median():
    theta = simulate(10, 3000, theta_median=4.0, seed=15).var["theta"]
    assert scipy.stats.kstest((np.log(theta) - np.log(4.0)) / 0.5, "norm").pvalue > P_BOUND


def test_batch_multiplies_rho_by_its_factors_and_normalises(data):
    factors = np.exp(data.uns["truth"]["batch_log_factors"])[data.obs["batch"].cat.codes]
    product = data.layers["rho_biology"] * factors
    np.testing.assert_allclose(data.layers["rho"], product / product.sum(1, keepdims=True))
    assert data.uns["truth"]["batch_log_factors"].std() == pytest.approx(0.3, rel=Z_BOUND / np.sqrt(2 * 400))


def test_rho_biology_depends_on_the_type_alone_and_equals_rho_without_batches():
    data = simulate(200, 40, n_changed=2, batch_sd=0.0, seed=16)
    by_type = data.uns["truth"]["rho_types"][data.obs["cell_type"].cat.codes]
    np.testing.assert_array_equal(data.layers["rho_biology"], by_type)
    np.testing.assert_allclose(data.layers["rho"], by_type, atol=1e-15)


@pytest.mark.parametrize("n_types", [2, 3])
def test_types_and_batches_are_equally_frequent_independent_and_in_no_order(n_types):
    data = simulate(4000, 40, n_types=n_types, n_changed=2, seed=18)
    for column, n_kinds in (("cell_type", n_types), ("batch", 2)):
        counts = data.obs[column].value_counts()
        assert counts.max() - counts.min() <= 1
        changes = (np.diff(data.obs[column].cat.codes) != 0).mean()  # 0 in blocks, 1 in turn
        expected = 1 - 1 / n_kinds
        assert abs(changes - expected) < Z_BOUND * np.sqrt(expected / n_kinds / len(data))
    table = data.obs.groupby(["cell_type", "batch"], observed=False).size().unstack()
    assert scipy.stats.chi2_contingency(table).pvalue > P_BOUND


def test_changed_genes_lie_anywhere():
    changed = simulate(30, 2000, n_changed=100, seed=19).var["changed_in"] != "none"
    assert scipy.stats.mannwhitneyu(np.flatnonzero(changed), np.flatnonzero(~changed)).pvalue > P_BOUND


def test_one_type_in_one_batch_is_a_null():
    data = simulate(50, 30, n_types=1, n_changed=0, log_library_means=(7.0,), seed=17)
    assert (data.layers["rho_biology"] == data.layers["rho_biology"][0]).all()
    assert (data.layers["rho"] == data.layers["rho"][0]).all()
    assert set(data.var["changed_in"]) == {"none"}


def test_same_seed_same_cells_other_seed_other_cells():
    first, again, other = (simulate(40, 30, n_changed=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.layers["rho"], again.layers["rho"])
    assert (first.X != other.X).any()


@settings(max_examples=25, deadline=None)
@given(
    n_types=st.integers(1, 4),
    n_batches=st.integers(1, 3),
    n_changed=st.integers(0, 5),
    fold=st.floats(1.0, 10.0),
    dropout=st.floats(0.0, 0.5),
    batch_sd=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_gate_accepts_what_the_process_makes(n_types, n_batches, n_changed, fold, dropout, batch_sd, seed):
    data = simulate(
        30, 50, n_types=n_types, n_changed=n_changed, fold=fold, log_library_means=(7.0,) * n_batches,
        dropout=dropout, batch_sd=batch_sd, seed=seed,
    )  # fmt: skip
    cells = cells_from_counts(data, batch_key="batch")
    np.testing.assert_array_equal(cells.x.numpy(), data.X)
    assert cells.batches == tuple(f"batch_{i}" for i in range(n_batches))
    np.testing.assert_array_equal(cells.batch.numpy(), data.obs["batch"].cat.codes)
    np.testing.assert_allclose(data.layers["rho"].sum(1), 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_types": 0}, "n_types: expected a whole number ≥ 1, found 0"),
        ({"n_cells": 0}, "n_cells: expected a whole number ≥ 1, found 0"),
        ({"n_types": 41, "n_changed": 0}, "n_cells: expected a cell for each of 41 types .* found 40"),
        ({"log_library_means": (7.0,) * 41, "n_changed": 0}, "and each of 41 batches, found 40"),
        ({"log_library_means": ()}, "log_library_means: expected a mean of log ℓ for each batch, found none"),
        ({"log_library_means": 7.0}, "log_library_means: expected a sequence of numbers, found 7.0"),
        ({"log_library_means": (np.nan,)}, r"log_library_means\[0\]: expected a finite number, found nan"),
        ({"n_changed": 6}, "n_genes: expected at least 36, for 6 pairs in each of 3 types, found 30"),
        ({"n_changed": -1}, "n_changed: expected a whole number ≥ 0, found -1"),
        ({"fold": 0.9}, "fold: expected a number ≥ 1, found 0.9"),
        ({"fold": np.nan}, "fold: expected a finite number, found nan"),
        ({"theta_median": 0.0}, "theta_median: expected a number > 0, found 0.0"),
        ({"dropout": 1.0}, "dropout: expected 0 ≤ dropout < 1, found 1.0"),
        ({"dropout": -0.1}, "dropout: expected 0 ≤ dropout < 1, found -0.1"),
        ({"batch_sd": -1.0}, "batch_sd: expected a number ≥ 0, found -1.0"),
        ({"base_sd": -1.0}, "base_sd: expected a number ≥ 0, found -1.0"),
        ({"log_library_sd": -1.0}, "log_library_sd: expected a number ≥ 0, found -1.0"),
        ({"seed": -1}, "seed: expected a whole number ≥ 0, found -1"),
        ({"log_library_means": (0.0,)}, "expected a count in every cell, found cell .*raise log_library_means"),
    ],
)
def test_bad_arguments_are_named_with_what_was_found(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        simulate(**({"n_cells": 40, "n_genes": 30, "n_changed": 2} | arguments))
