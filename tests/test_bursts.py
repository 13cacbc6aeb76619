"""The two-state promoter: its formula, its simulation, and the NB that it tends to, each by something else."""

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad

from course_lib.data.promoter import promoter_counts, promoter_trace
from course_lib.probability.bursts import bursty_limit, log_beta_poisson, log_hyp1f1, moments

# k_on, k_off, r: bursty; slow and bimodal; hardly ever on; nearly always on (a Poisson); fast (a Poisson)
PROMOTERS = [(1.5, 20.0, 80.0), (0.4, 0.6, 40.0), (0.02, 3.0, 500.0), (50.0, 0.01, 7.0), (300.0, 300.0, 10.0)]


def pmf(n: int, *promoter: float) -> np.ndarray:
    return log_beta_poisson(torch.arange(n), *promoter).exp().numpy()


@pytest.mark.parametrize("promoter", PROMOTERS)
def test_the_formula_is_the_published_one_in_fifty_digits(promoter):
    with mpmath.workdps(50):
        a, b, r = (mpmath.mpf(value) for value in promoter)

        def published(x):  # with ₁F₁ of −r, whose terms alternate: fifty digits are enough to lose some
            return (
                x * mpmath.log(r) - mpmath.loggamma(x + 1) + mpmath.log(mpmath.beta(a + x, b) / mpmath.beta(a, b))
                + mpmath.log(mpmath.hyp1f1(a + x, a + b + x, -r))
            )  # fmt: skip

        counts = [0, 1, 2, 5, 17, 60, 200]
        expected = [float(published(x)) for x in counts]
    np.testing.assert_allclose(log_beta_poisson(torch.tensor(counts), *promoter), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("promoter", PROMOTERS[:2])
def test_it_is_the_integral_over_p(promoter):
    a, b, r = promoter
    by_quadrature = [
        quad(lambda p, x=x: scipy.stats.poisson.pmf(x, r * p), 0, 1, weight="alg", wvar=(a - 1, b - 1), limit=200)[0]
        for x in range(40)
    ]
    np.testing.assert_allclose(pmf(40, *promoter), np.array(by_quadrature) / scipy.special.beta(a, b), atol=1e-8)


@pytest.mark.parametrize("promoter", PROMOTERS)
def test_it_sums_to_one_and_has_its_moments(promoter):
    n = int(promoter[2] + 12 * promoter[2] ** 0.5 + 40)
    p, x = pmf(n, *promoter), np.arange(n)
    mean, variance = moments(*promoter)
    assert p.sum() == pytest.approx(1, abs=1e-10)
    assert p @ x == pytest.approx(mean, rel=1e-9)
    assert p @ (x - mean) ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("a, b, z", [(0.01, 0.02, 1e-6), (3.0, 3.0, 200.0), (2.0, 500.0, 1000.0), (40.0, 41.5, 5000.0)])
def test_log_hyp1f1_keeps_its_digits_where_the_function_itself_overflows(a, b, z):
    with mpmath.workdps(40):
        expected = float(mpmath.log(mpmath.hyp1f1(a, b, z)))
    found = float(log_hyp1f1(a, torch.tensor(b, dtype=torch.float64), z))
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-15)


def test_bursts_tend_to_the_nb_with_theta_the_rate_of_bursts():
    k_on, burst = 1.5, 4.0
    x = np.arange(60)
    limit = scipy.stats.nbinom(n=k_on, p=1 / (1 + burst)).pmf(x)  # θ/(θ+μ) with θ = k_on, μ = k_on · burst
    apart = [np.abs(pmf(60, k_on, k, burst * k) - limit).max() for k in (10.0, 100.0, 1000.0)]
    ratios = np.array(apart[:-1]) / apart[1:]
    assert apart[-1] < 2e-4
    np.testing.assert_allclose(ratios, 10, rtol=0.25)  # the error falls like 1/k_off
    found = bursty_limit(k_on, 10.0, burst * 10.0)
    np.testing.assert_allclose(found.log_prob(torch.tensor(x)).exp(), limit, rtol=1e-9)


@pytest.mark.parametrize("promoter", [(1.5, 20.0, 80.0), (0.4, 0.6, 40.0)])
def test_simulated_cells_follow_the_formula(promoter):
    n = 2_000
    counts = promoter_counts(n, *promoter, seed=1)
    p = pmf(counts.max() + 1, *promoter)
    seen = np.bincount(counts) / n
    often = n * p > 15  # where a normal approximation holds
    z = (seen - p)[often] / np.sqrt(p * (1 - p) / n)[often]
    assert often.sum() > 8
    assert np.abs(z).max() < 4
    mean, variance = moments(*promoter)
    assert counts.mean() == pytest.approx(mean, abs=4 * (variance / n) ** 0.5)


def test_what_the_mrna_remembers_of_the_promoter_is_a_beta():
    """p = ∫ s(t) e^(t−T) dt of the promoter's path s alone, no molecule counted, from 200 cells."""
    a, b, until = 0.8, 1.7, 12.0
    remembered = []
    for seed in range(200):
        trace = promoter_trace(a, b, 1.0, until=until, seed=seed)
        ends = np.append(trace.time[1:], until)
        remembered.append(np.sum(trace.on * (np.exp(ends - until) - np.exp(trace.time - until))))
    assert scipy.stats.kstest(remembered, scipy.stats.beta(a, b).cdf).pvalue > 0.001


def test_a_trace_changes_one_thing_at_a_time_and_makes_no_mrna_while_off():
    trace = promoter_trace(2.0, 5.0, 30.0, until=20.0, seed=3)
    switched, made = np.diff(trace.on.astype(int)), np.diff(trace.mrna)
    assert set(np.abs(switched) + np.abs(made)) == {1}
    assert trace.on[:-1][made > 0].all()
    assert trace.mrna.min() == 0
    assert (np.diff(trace.time) > 0).all()
    assert trace.time[0] == 0
    assert trace.time[-1] <= 20


def test_the_same_seed_gives_the_same_cells():
    np.testing.assert_array_equal(
        promoter_counts(50, 1.0, 2.0, 9.0, seed=4), promoter_counts(50, 1.0, 2.0, 9.0, seed=4)
    )
    assert (promoter_counts(50, 1.0, 2.0, 9.0, seed=4) != promoter_counts(50, 1.0, 2.0, 9.0, seed=5)).any()


@pytest.mark.parametrize("x", [[-1], [0.5], [float("nan")], [float("inf")]])
def test_counts_that_are_none_are_refused(x):
    with pytest.raises(ValueError, match="x: expected counts"):
        log_beta_poisson(torch.tensor(x), 1.0, 2.0, 3.0)


@pytest.mark.parametrize("ask", [
    lambda *p: log_beta_poisson(torch.tensor([1]), *p), moments, bursty_limit,
    lambda *p: promoter_counts(10, *p), lambda *p: promoter_trace(*p, until=1.0),
])  # fmt: skip
@pytest.mark.parametrize("place, name", enumerate(["k_on", "k_off", "rate"]))
def test_rates_that_cannot_be_are_refused_by_name(ask, place, name):
    for wrong in (0.0, -1.0, float("nan")):
        rates = [1.0, 2.0, 3.0]
        rates[place] = wrong
        with pytest.raises(ValueError, match=f"^{name}: expected a"):
            ask(*rates)
    with pytest.raises(ValueError, match="until"):
        promoter_trace(1.0, 2.0, 3.0, until=0.0)
    with pytest.raises(TypeError, match="n_cells"):
        promoter_counts(2.5, 1.0, 2.0, 3.0)  # type: ignore[arg-type]
