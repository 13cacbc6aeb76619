"""What stood where a zero is seen: against SciPy's sums and quantiles, and against counts that were really dropped."""

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch

from course_lib.probability.counts import ZeroInflatedNegativeBinomial
from course_lib.probability.hidden_counts import above_zero, mean_above_zero, mean_given_zero, median_above_zero

Z_BOUND = 5.0  # see test_toys
MU = torch.logspace(-6, 3.5, 40, dtype=torch.float64)[:, None].expand(40, 7)
THETA = torch.logspace(-2, 3, 7, dtype=torch.float64)


def scipys(mu, theta):
    return scipy.stats.nbinom(theta.numpy(), (theta / (theta + mu)).numpy())


@pytest.mark.parametrize("logit", [-20.0, -2.0, 0.0, 3.0, 20.0])
def test_the_mean_given_zero_is_the_sum_over_all_counts_that_may_have_stood_there(logit):
    mu = torch.tensor([0.01, 1.0, 7.0, 60.0], dtype=torch.float64)
    theta, zi_logits = torch.tensor(1.5, dtype=torch.float64), torch.tensor(logit, dtype=torch.float64)
    y = np.arange(5_000)[:, None]
    pi = scipy.special.expit(logit)
    joint = scipys(mu, theta).pmf(y) * np.where(y == 0, 1.0, pi)  # y and x = 0: a zero stays one, others are dropped
    expected = (y * joint).sum(0) / joint.sum(0)
    np.testing.assert_allclose(mean_given_zero(ZeroInflatedNegativeBinomial(mu, theta, zi_logits)), expected, rtol=1e-9)


def test_the_mean_given_zero_is_that_of_counts_dropped_in_a_simulation():
    generator = torch.Generator().manual_seed(0)
    mu, theta, pi, n = 4.0, 0.7, 0.3, 400_000
    y = torch.poisson(torch._standard_gamma(torch.full((n,), theta)) * mu / theta, generator).numpy()
    zero = (torch.rand(n, generator=generator).numpy() < pi) | (y == 0)
    p = ZeroInflatedNegativeBinomial(torch.tensor(mu), torch.tensor(theta), torch.tensor(pi).logit())
    assert abs(y[zero].mean() - float(mean_given_zero(p))) < Z_BOUND * y[zero].std() / np.sqrt(zero.sum())


def test_the_mean_above_zero_is_scipys_also_where_the_mean_is_tiny():
    y = np.arange(1, 60_000)[:, None]
    for j in (1, 3, 6):  # θ
        mu, theta = MU[:32, j], THETA[j]  # as far as the sum reaches
        mass = scipys(mu, theta).pmf(y)
        expected = (y * mass).sum(0) / mass.sum(0)
        np.testing.assert_allclose(mean_above_zero(mu[None], theta), expected, rtol=2e-6)
    assert float(mean_above_zero(torch.full((1, 1), 1e-12), torch.ones(1))) == pytest.approx(1, abs=1e-6)


def test_the_median_above_zero_is_scipys_quantile_everywhere():
    law = scipys(MU, THETA)
    np.testing.assert_array_equal(median_above_zero(MU[None], THETA), law.isf(law.sf(0) / 2))
    assert median_above_zero(MU[None].float(), THETA.float()).dtype == torch.float32


def test_draws_weigh_as_much_as_they_expect_counts_above_zero():
    """A draw that expects nothing says nothing about a count known to be there: brute force over the mixture."""
    mu, theta = torch.tensor([[0.01], [3.0], [40.0]], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    y = np.arange(1, 2_000)
    mass = np.stack([scipys(m, theta).pmf(y) for m in mu]).mean(0)  # of the mixture
    share = mass / mass.sum()
    assert float(mean_above_zero(mu, theta)) == pytest.approx((y * share).sum(), rel=1e-9)
    assert float(median_above_zero(mu, theta)) == y[np.searchsorted(share.cumsum(), 0.5)]
    of_each = mean_above_zero(mu[:, None], theta).numel()
    assert of_each == 1
    assert float(mean_above_zero(mu, theta)) != pytest.approx(
        float(torch.stack([mean_above_zero(m[None], theta) for m in mu]).mean()), rel=0.05
    )


def test_the_median_minimises_the_absolute_error_and_the_mean_the_square():
    mu, theta = torch.tensor([[6.0]], dtype=torch.float64), torch.tensor([1.2], dtype=torch.float64)
    y = np.arange(1, 1_000)
    share = scipys(mu[0], theta).pmf(y) / scipys(mu[0], theta).sf(0)
    guesses = np.arange(1, 40)
    absolute = [(np.abs(y - guess) * share).sum() for guess in guesses]
    assert guesses[int(np.argmin(absolute))] == float(median_above_zero(mu, theta))
    mean = float(mean_above_zero(mu, theta))
    assert ((y - mean) ** 2 * share).sum() < min(((y - mean - d) ** 2 * share).sum() for d in (-0.1, 0.1))


def test_the_probability_of_a_count_keeps_its_digits():
    with mpmath.workdps(50):
        for mu, theta in [(1e-9, 2.0), (1e-6, 1e3), (0.3, 1e-2), (40.0, 1e6), (3e3, 0.5)]:
            exact = 1 - (1 + mpmath.mpf(mu) / theta) ** -mpmath.mpf(theta)
            found = above_zero(*torch.tensor([[mu], [theta]], dtype=torch.float64))
            assert float(found) == pytest.approx(float(exact), rel=1e-12, abs=0)
