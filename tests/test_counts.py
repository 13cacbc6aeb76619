"""Count distributions against mpmath, SciPy, torch, quadrature and their own samples."""

import itertools

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.probability import saddle_point
from course_lib.probability.counts import (
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
    log_nb,
    log_poisson,
    log_zinb,
    slope_in_log_mu,
    textbook_nb,
    textbook_poisson,
    textbook_zinb,
)

COUNTS = [0, 1, 2, 7, 100, 3_000, 100_000]
MU = [1e-8, 1e-4, 0.03, 1.0, 50.0, 3e3, 1e5]
THETA = [1e-4, 1e-2, 0.5, 3.0, 100.0, 1e4, 1e6]
LOGITS = [-np.inf, -1e4, -100.0, -20.0, -5.0, -0.3, 0.0, 2.0, 17.0, 30.0, 1e3, 1e4]


def corners(*axes):
    """All combinations, rounded to single precision first: (number, axes). Every oracle sees the rounded values."""
    return np.array(list(itertools.product(*axes)), dtype=np.float32)


def columns(points, dtype=torch.float32):
    """x, and the parameters as leaves that ask for gradients."""
    x, *parameters = (torch.from_numpy(column).to(dtype) for column in points.T.copy())
    return x, *(p.requires_grad_() for p in parameters)


KNOWN = {}


def by_mpmath(function, points):
    """One row for each point: the function's number, or its numbers. Worked out once for both routes."""
    key = (function.__name__, points.tobytes())
    if key not in KNOWN:
        with mpmath.workdps(40):
            rows = [function(*(mpmath.mpf(float(value)) for value in point)) for point in points]
        KNOWN[key] = np.array(rows, dtype=object).astype(float)
    return KNOWN[key]


def exact_poisson(x, mu):
    return x * mpmath.log(mu) - mu - mpmath.loggamma(x + 1)


def exact_nb(x, mu, theta):
    log_choose = mpmath.loggamma(x + theta) - mpmath.loggamma(theta) - mpmath.loggamma(x + 1)
    return log_choose + theta * mpmath.log(theta / (theta + mu)) + x * mpmath.log(mu / (theta + mu))


def exact_zinb(x, mu, theta, zi_logits):
    pi, kept = 1 / (1 + mpmath.exp(-zi_logits)), 1 / (1 + mpmath.exp(zi_logits))
    nb = exact_nb(x, mu, theta)
    return mpmath.log(pi + kept * mpmath.exp(nb)) if x == 0 else mpmath.log(kept) + nb


def exact_nb_slopes(x, mu, theta):
    """∂/∂μ and ∂/∂θ of log NB, worked out on paper, and the negative part of the latter."""
    of_mu = theta * (x - mu) / (theta + mu) / mu
    bend = mpmath.log((x + theta) / (theta + mu)) - (x - mu) / (theta + mu)
    return (
        of_mu,
        bend + mpmath.digamma(x + theta) - mpmath.log(x + theta) - mpmath.digamma(theta) + mpmath.log(theta),
        bend,
    )


def exact_zinb_slopes(x, mu, theta, zi_logits):
    """∂/∂μ, ∂/∂θ and ∂/∂logit of log ZINB: a zero belongs to the NB with probability ``kept``."""
    pi, not_pi = 1 / (1 + mpmath.exp(-zi_logits)), 1 / (1 + mpmath.exp(zi_logits))
    nb = mpmath.exp(exact_nb(x, mu, theta))
    kept = not_pi * nb / (pi + not_pi * nb) if x == 0 else mpmath.mpf(1)
    of_logits = pi * not_pi * (1 - nb) / (pi + not_pi * nb) if x == 0 else -pi
    of_mu, of_theta, bend = exact_nb_slopes(x, mu, theta)
    return kept * of_mu, kept * of_theta, of_logits, kept * bend


def assert_within(ours, expected):
    """The promise of single precision: 1e-4 nats, or 3e-6 relative where the number itself is large."""
    ours = ours.detach().double().numpy()
    assert np.isfinite(ours).all()
    np.testing.assert_array_less(np.abs(ours - expected), np.maximum(1e-4, 3e-6 * np.abs(expected)))


def assert_slope_within(ours, expected, part=0.0):
    """The promise of a slope: 1e-4 relative, also at and near x = μ and at θ = 1e6.

    Two exceptions: what single precision cannot hold (1e-37), and ∂/∂θ, a negative and a positive part, where these
    cancel to less than one percent: near the best θ of a count, and at x = 1 for μ → 0. There 1e-6 of a part remains.
    """
    error = np.abs(ours.double().numpy() - expected)
    np.testing.assert_array_less(error, 1e-4 * np.abs(expected) + 1e-6 * np.abs(part) + 1e-37)


@pytest.fixture(params=["all entries", "those above zero"])
def route(request, monkeypatch):
    """Every table goes one way, whatever its density."""
    monkeypatch.setattr(saddle_point, "DENSE", {"all entries": -1.0, "those above zero": 2.0}[request.param])


@pytest.fixture(scope="module")
def draws():
    """Points all over the range: (3,000, 4) x, μ, θ, logit; many x are typical of their NB, equal to μ, or near it."""
    random, n = np.random.default_rng(0), 3_000

    def log_uniform(low, high):
        return np.exp(random.uniform(np.log(low), np.log(high), n))

    mu, theta, kind = log_uniform(1e-8, 1e5), log_uniform(1e-4, 1e6), random.integers(10, size=n)
    theta[random.random(n) < 0.1] = 1e6
    x = np.where(
        kind < 5, np.floor(log_uniform(0.5, 1e5)), np.minimum(random.poisson(random.gamma(theta, mu / theta)), 1e5)
    )
    mu = np.where((kind == 4) & (x > 0), x, mu)
    mu = np.where((kind == 3) & (x > 0), x * np.exp(random.normal(size=n) * log_uniform(1e-7, 0.3)), mu)
    return np.column_stack([x, mu, theta, random.uniform(-60, 60, n)]).astype(np.float32)


# ---------------------------------------------------------------------------------------------- log-probabilities


@pytest.mark.parametrize(
    "ours, exact, points",
    [
        (log_poisson, exact_poisson, corners(COUNTS, MU)),
        (log_nb, exact_nb, corners(COUNTS, MU, THETA)),
        (log_zinb, exact_zinb, corners([0, 1, 7, 100_000], MU, THETA, LOGITS)),
    ],
)
def test_log_probabilities_agree_with_forty_digits_in_single_precision(ours, exact, points, route):
    result = ours(*columns(points))
    assert result.dtype == torch.float32
    assert_within(result, by_mpmath(exact, points))


@pytest.mark.parametrize(
    "ours, exact, n", [(log_poisson, exact_poisson, 2), (log_nb, exact_nb, 3), (log_zinb, exact_zinb, 4)]
)
def test_log_probabilities_agree_with_forty_digits_all_over_the_range(ours, exact, n, draws, route):
    assert_within(ours(*columns(draws[:, :n])), by_mpmath(exact, draws[:, :n]))


def log_uniform(low, high):
    return st.floats(np.log(low), np.log(high)).map(lambda value: float(np.float32(np.exp(value))))


@settings(max_examples=150, deadline=None)
@given(
    x=st.one_of(st.integers(0, 20), st.integers(0, 100_000)),
    mu=log_uniform(1e-8, 1e5),
    theta=log_uniform(1e-4, 1e6),
    zi_logits=st.floats(-1e4, 1e4, width=32),
)
def test_log_probabilities_agree_with_forty_digits_between_the_corners(x, mu, theta, zi_logits):
    point = np.array([[x, mu, theta, zi_logits]], dtype=np.float32)
    assert_within(log_nb(*columns(point[:, :3])), by_mpmath(exact_nb, point[:, :3]))
    assert_within(log_zinb(*columns(point)), by_mpmath(exact_zinb, point))


def test_log_probabilities_agree_with_scipy_in_double_precision():
    points = corners(range(60), [0.01, 1.0, 40.0], [0.1, 2.0, 500.0]).astype(np.float64)
    x, mu, theta = points.T
    ours = columns(points, torch.float64)
    expected = scipy.stats.nbinom(theta, theta / (theta + mu)).logpmf(x)  # SciPy: n = θ, p = θ/(θ+μ)
    np.testing.assert_allclose(log_nb(*ours).detach(), expected, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(log_poisson(*ours[:2]).detach(), scipy.stats.poisson(mu).logpmf(x), rtol=1e-11)


def test_log_probabilities_of_zinb_in_double_precision_agree_with_forty_digits():
    points = corners([0, 1, 7, 3_000], MU, THETA[:5], LOGITS)
    result = log_zinb(*columns(points, torch.float64))
    np.testing.assert_allclose(result.detach(), by_mpmath(exact_zinb, points), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("asked", [False, True])
def test_zeros_keep_their_digits_where_theta_is_large(asked, route):
    """In most cells most counts are zero, and expected to be: tiny numbers, of which each cell adds up thousands."""
    points = corners([0], MU[:5], [3.0, 1e4, 1e6, 1e8])
    x, mu, theta = columns(points)
    mu.requires_grad_(asked)
    with torch.set_grad_enabled(asked):
        result = log_nb(x, mu, theta).detach()
    digits = 1e-6 if saddle_point.DENSE > 1 else 1e-5
    np.testing.assert_allclose(result, by_mpmath(exact_nb, points), rtol=digits, atol=2e-7)


def test_nb_agrees_with_torch_whose_logits_are_log_mu_minus_log_theta():
    x, mu, theta = (column.detach() for column in columns(corners(range(60), [0.01, 1.0, 40.0], [0.1, 2.0, 500.0])))
    x, mu, theta = x.double(), mu.double(), theta.double()
    theirs = torch.distributions.NegativeBinomial(theta, logits=mu.log() - theta.log())
    torch.testing.assert_close(log_nb(x, mu, theta), theirs.log_prob(x), rtol=1e-10, atol=1e-11)
    ours = NegativeBinomial(mu, theta)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)


@pytest.mark.parametrize(
    "p",
    [
        Poisson(torch.tensor(30.0).double()),
        NegativeBinomial(torch.tensor(5.0).double(), torch.tensor(0.3).double()),
        NegativeBinomial(torch.tensor(0.2).double(), torch.tensor(1e5).double()),
        *(ZeroInflatedNegativeBinomial(*torch.tensor([4.0, 0.5, logits]).double()) for logits in (-np.inf, -2.0, 9.0)),
    ],
)
def test_the_probabilities_of_all_counts_sum_to_one_and_have_the_stated_moments(p):
    x = torch.arange(3_000).double()
    pmf = p.log_prob(x).exp()
    assert float(pmf.sum()) == pytest.approx(1, abs=1e-9)
    assert float((pmf * x).sum()) == pytest.approx(float(p.mean), rel=1e-8)
    assert float((pmf * (x - p.mean) ** 2).sum()) == pytest.approx(float(p.variance), rel=1e-8)


@pytest.mark.parametrize("x", [0, 1, 6, 40])
@pytest.mark.parametrize("mu, theta", [(3.0, 2.0), (0.4, 5.0), (10.0, 1.5)])
def test_nb_is_a_poisson_whose_mean_was_drawn_from_a_gamma(x, mu, theta):
    w = scipy.stats.gamma(theta, scale=mu / theta)

    def product(value):
        return scipy.stats.poisson.pmf(x, value) * w.pdf(value)

    expected = sum(scipy.integrate.quad(product, *span, epsabs=0)[0] for span in ((0, 10), (10, 60), (60, 400)))
    ours = NegativeBinomial(torch.tensor(mu).double(), torch.tensor(theta).double()).log_prob(torch.tensor(x).double())
    assert float(ours.exp()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("zi_logits", [-np.inf, -1e4, -90.0])
def test_without_dropout_zinb_is_nb(zi_logits):
    means = MU if zi_logits == -np.inf else MU[:5]  # at e⁻⁹⁰ and less a zero is still likelier than with μ = 100,000
    x, mu, theta = columns(corners(COUNTS, means, THETA))
    torch.testing.assert_close(log_zinb(x, mu, theta, torch.tensor(zi_logits)), log_nb(x, mu, theta))


def test_at_large_theta_nb_is_poisson():
    x, mu = columns(corners([0, 1, 7, 30], [0.01, 1.0, 20.0]))
    torch.testing.assert_close(log_nb(x, mu, torch.tensor(1e10)), log_poisson(x, mu), rtol=1e-5, atol=1e-6)
    assert bool(((log_nb(x, mu, torch.tensor(1.0)) - log_poisson(x, mu)).abs() > 1).any())


# ------------------------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("zi_logits", [None, *LOGITS])
def test_gradients_are_finite_everywhere_in_single_precision(zi_logits):
    x, mu, theta = columns(corners(COUNTS, MU, THETA))
    if zi_logits is None:
        log_nb(x, mu, theta).sum().backward()
    else:
        logits = torch.full_like(x, zi_logits).requires_grad_()
        log_zinb(x, mu, theta, logits).sum().backward()
        assert bool(torch.isfinite(logits.grad).all())
    assert bool(torch.isfinite(mu.grad).all() and torch.isfinite(theta.grad).all())


def test_gradients_are_finite_differences():
    x = torch.tensor([0.0, 0.0, 1.0, 4.0, 250.0]).double()
    mu = torch.tensor([0.1, 30.0, 2.0, 0.5, 90.0]).double().requires_grad_()
    theta = torch.tensor([0.3, 4.0, 20.0, 0.7, 3.0]).double().requires_grad_()
    logits = torch.tensor([-3.0, 2.0, 0.1, -0.5, 1.0]).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda mu: log_poisson(x, mu), (mu,))
    assert torch.autograd.gradcheck(lambda *p: log_nb(x, *p), (mu, theta))
    assert torch.autograd.gradcheck(lambda *p: log_zinb(x, *p), (mu, theta, logits))
    shared = theta[:1].detach().requires_grad_()  # one θ for all: its gradient is a sum
    assert torch.autograd.gradcheck(lambda theta: log_nb(x, mu.detach(), theta), (shared,))


SLOPES_AT = corners([0, 1, 2, 7, 3_000, 100_000], MU, THETA, [-60.0, -1.0, 60.0])


@pytest.mark.parametrize("where", ["all over the range", "at the corners"])
def test_slopes_agree_with_forty_digits_in_single_precision(where, draws, route):
    points = draws if where == "all over the range" else SLOPES_AT
    x, mu = columns(points[:, :2])
    log_poisson(x, mu).sum().backward()
    assert_slope_within(mu.grad, (points[:, 0].astype(float) - points[:, 1]) / points[:, 1])

    x, mu, theta = columns(points[:, :3])
    log_nb(x, mu, theta).sum().backward()
    of_mu, of_theta, bend = by_mpmath(exact_nb_slopes, points[:, :3]).T
    assert_slope_within(mu.grad, of_mu)
    assert_slope_within(theta.grad, of_theta, bend)
    assert bool((mu.grad[x == mu] == 0).all())

    x, mu, theta, logits = columns(points)
    log_zinb(x, mu, theta, logits).sum().backward()
    of_mu, of_theta, of_logits, bend = by_mpmath(exact_zinb_slopes, points).T
    assert_slope_within(mu.grad, of_mu)
    assert_slope_within(theta.grad, of_theta, bend)
    assert_slope_within(logits.grad, of_logits)


def test_slopes_agree_with_forty_digits_in_double_precision():
    points = corners(COUNTS, MU, THETA)
    x, mu, theta = columns(points, torch.float64)
    log_nb(x, mu, theta).sum().backward()
    of_mu, of_theta, _ = by_mpmath(exact_nb_slopes, points).T
    # What may remain beyond the digits of the result: the last digit of ψ(θ), and of log(1 + μ/θ) and (μ−x)/(θ+μ).
    m, t = points[:, 1].astype(float), points[:, 2].astype(float)
    remains = 1e-14 * (1 + m / t + points[:, 0] / (t + m) + 1 / t)
    error = np.abs(mu.grad.numpy() - of_mu)
    np.testing.assert_array_less(error, 1e-12 * np.abs(of_mu) + 1e-13 * (t + points[:, 0]) / m)
    np.testing.assert_array_less(np.abs(theta.grad.numpy() - of_theta), 1e-12 * np.abs(of_theta) + remains)


def test_the_slope_of_a_large_theta_is_not_rounding_noise():
    """ψ(x + θ) and ψ(θ) agree in all digits that single precision has; their difference must be taken before."""
    torch.manual_seed(0)
    x, mu = torch.poisson(torch.ones(128, 1)), torch.ones(128, 1)
    log_theta = torch.tensor([1e3]).log().requires_grad_()
    log_nb(x, mu, log_theta.exp()).sum().backward()
    points = torch.cat([x, mu, log_theta.exp().detach().expand(128, 1)], 1).numpy()
    expected = (by_mpmath(exact_nb_slopes, points)[:, 1] * points[:, 2]).sum()
    assert float(log_theta.grad) == pytest.approx(expected, rel=1e-3)


def test_a_shared_theta_collects_the_slopes_of_all_its_cells(route):
    torch.manual_seed(0)
    mu, theta, logits = torch.rand(3, 6, 5) * 4, torch.rand(5).add(0.2).requires_grad_(), torch.randn(6, 5)
    x, weight = torch.poisson(torch.ones(6, 5)), torch.randn(3, 6, 5)
    (weight * log_zinb(x, mu, theta, logits)).sum().backward()
    own = theta.detach().expand(3, 6, 5).double().clone().requires_grad_()
    (weight * textbook_zinb(x, mu.double(), own, logits)).sum().backward()
    torch.testing.assert_close(theta.grad.double(), own.grad.sum((0, 1)), rtol=1e-5, atol=1e-5)


def test_slopes_are_computed_only_where_a_parameter_asks_for_them(route):
    asked = []

    def spy(function):
        def spied(*tensors, slopes):
            asked.append(slopes)
            return function(*tensors, slopes=slopes)

        return spied

    nb = saddle_point.NB
    nb = saddle_point.Formula(nb.prepare, spy(nb.at_zero), spy(nb.score))
    x, mu, theta = torch.tensor([0.0, 3.0]), torch.tensor([1.0, 2.0]), torch.tensor(2.0)
    assert not saddle_point.log_prob(nb, x, mu, theta).requires_grad
    with torch.no_grad():
        assert not saddle_point.log_prob(nb, x, mu.clone().requires_grad_(), theta).requires_grad
    assert set(asked) == {False}
    mu.requires_grad_()
    saddle_point.log_prob(nb, x, mu, theta).sum().backward()
    assert True in asked
    assert mu.grad is not None
    assert theta.grad is None


def test_second_derivatives_are_refused_in_single_precision_and_right_in_double():
    x, mu, theta = (
        torch.tensor([0.0, 3.0]),
        torch.tensor([1.0, 2.0]).requires_grad_(),
        torch.tensor(2.0).requires_grad_(),
    )
    with pytest.raises(RuntimeError, match=r"second derivative.*model\.double\(\)"):
        torch.autograd.grad(log_nb(x, mu, theta).sum(), mu, create_graph=True)
    mu, theta = mu.detach().double().requires_grad_(), theta.detach().double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda *p: log_nb(x, *p), (mu, theta))
    assert torch.autograd.gradgradcheck(lambda mu: log_poisson(x, mu), (mu,))
    assert torch.autograd.gradgradcheck(
        lambda *p: log_zinb(x, *p), (mu, theta, torch.ones(2).double().requires_grad_())
    )


def test_a_mean_that_a_softmax_rounded_to_zero_spoils_no_gradient(route):
    x, mu, theta, logits = columns(np.array([[0, 0, 2, -1], [0, 1, 2, -1], [2, 1, 2, -1]], dtype=np.float32))
    log_zinb(x, mu, theta, logits).sum().backward()
    for p in (mu, theta, logits):
        assert bool(torch.isfinite(p.grad).all())
    assert float(mu.grad[0]) == pytest.approx(-1 / (1 + np.exp(-1)), rel=1e-6)  # −(1−π): a mean can only hurt


# ---------------------------------------------------------------------------------------- two functions, two routes


def test_bend_is_log_less_its_tangent_to_the_last_digits():
    t = np.concatenate([np.logspace(-12, 9, 400), -np.logspace(-12, -0.01, 200)]).astype(np.float32)
    ours = saddle_point.bend(torch.from_numpy(t), torch.from_numpy(1 + t.astype(float)).float())
    np.testing.assert_allclose(ours, by_mpmath(exact_bend, t[:, None]), rtol=1.5e-6)
    ratio = np.logspace(-12, -0.1, 200).astype(np.float32)  # where t is next to −1, only 1 + t has digits
    ours = saddle_point.bend(torch.from_numpy(ratio) - 1, torch.from_numpy(ratio))
    np.testing.assert_allclose(ours, by_mpmath(exact_bend, ratio.astype(float)[:, None] - 1), rtol=1.5e-6)


def exact_bend(t):
    return mpmath.log1p(t) - t


def test_stirlings_errors_agree_with_forty_digits():
    y = np.concatenate([np.linspace(1, 4, 300), np.logspace(0, 6, 300)]).astype(np.float32)
    delta = by_mpmath(exact_stirling, y[:, None])
    np.testing.assert_allclose(saddle_point.stirling(1 / torch.from_numpy(y)), delta[:, 0], atol=3e-8)
    np.testing.assert_allclose(saddle_point.stirling_slope(1 / torch.from_numpy(y)), delta[:, 1], rtol=2e-6)
    theta = np.logspace(-4, 6, 400).astype(np.float32)
    delta = by_mpmath(exact_stirling, theta[:, None])
    _, of_theta, slope = saddle_point.of_theta(torch.from_numpy(theta))
    np.testing.assert_allclose(of_theta, delta[:, 0] - np.log(theta.astype(float)) / 2, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slope, delta[:, 1], rtol=5e-6)


def exact_stirling(y):
    """δ(y) and δ'(y)."""
    delta = mpmath.loggamma(y + 1) - (y + 0.5) * mpmath.log(y) + y - mpmath.log(2 * mpmath.pi) / 2
    return delta, mpmath.digamma(y) - mpmath.log(y) + 1 / (2 * y)


@pytest.mark.parametrize("share, all_alike", [(0.0, False), (0.2, False), (0.8, True), (1.0, True)])
def test_the_share_of_counts_above_zero_decides_the_route(share, all_alike):
    used = []

    def at_zero(*tensors, slopes):
        used.append("at_zero")
        return saddle_point.poisson_at_zero(*tensors, slopes=slopes)

    formula = saddle_point.Formula(saddle_point.poisson_prepare, at_zero, saddle_point.poisson)
    x = (torch.arange(100.0).view(10, 10) < 100 * share).float() * 7
    saddle_point.log_prob(formula, x, torch.ones(10, 10))
    assert (not used) == all_alike


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("block", [1, 7, 40, 10**6])
def test_neither_route_nor_blocks_nor_layout_change_a_number(density, block, route, monkeypatch):
    monkeypatch.setattr(saddle_point, "BLOCK", block)
    torch.manual_seed(0)
    k, n, g = 3, 6, 5
    x = torch.poisson(torch.full((n, g), 3.0)) * (torch.rand(n, g) < density)
    mu, theta, logits = torch.rand(g, n, k).add(0.1), torch.rand(n, g).add(0.1), torch.randn(k, 1, g)
    mu = mu.permute(2, 1, 0)  # (K, N, G), its memory in the opposite order
    tables = [
        (x, mu, theta, logits),
        (x.t().contiguous().t(), mu[0], theta[0], logits[0]),
        (x[:, ::2], mu[1, :, ::2], theta[:, ::2], torch.tensor(0.3)),
        (x[:1], mu, theta[0], logits),  # one cell for all
        (x[:, :1], mu, theta[0], logits),
        (torch.stack([x, 2 * x, x + 1]), mu, theta[0], logits[0]),  # counts of their own for each sample
        (x[None], mu[0], torch.tensor(2.0), logits),
        (torch.tensor(4), mu[0, 0, 0], torch.tensor(2.0), torch.tensor(0.3)),
        (x[:0], mu[:, :0], theta[0], logits),
    ]
    for x, *parameters in tables:
        before = [t.clone() for t in (x, *parameters)]
        for n, ours, textbook in (
            (1, log_poisson, textbook_poisson),
            (2, log_nb, textbook_nb),
            (3, log_zinb, textbook_zinb),
        ):
            single = [p.detach().requires_grad_() for p in parameters[:n]]
            double = [p.detach().double().requires_grad_() for p in parameters[:n]]
            value, expected = ours(x, *single), textbook(x.double(), *double)
            assert value.shape == expected.shape
            torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
            value.sum().backward()
            expected.sum().backward()
            for p, q in zip(single, double, strict=True):
                torch.testing.assert_close(p.grad.double(), q.grad, rtol=1e-4, atol=1e-4)
        assert all(torch.equal(t, b) for t, b in zip((x, *parameters), before, strict=True))


def test_going_back_twice_gives_the_same_slopes(route):
    x, mu, theta, logits = columns(corners([0, 3], [0.5, 2.0], [1.5], [0.2]))
    value = log_zinb(x, mu, theta, logits)
    first = torch.autograd.grad(value.sum(), (mu, theta, logits), retain_graph=True)
    again = torch.autograd.grad(value.sum(), (mu, theta, logits))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_the_precision_of_the_parameters_is_the_precision_of_the_result():
    x, mu, theta = torch.tensor([0.0, 4.0]), torch.tensor([1.0, 2.0]), torch.tensor(2.0)
    assert log_nb(x.double(), mu, theta).dtype == torch.float32
    assert log_nb(x, mu.double(), theta).dtype == torch.float64
    assert log_nb(x, mu.half(), theta.half()).dtype == torch.float16
    exact = scipy.stats.nbinom(2, 2 / (2 + mu.numpy().astype(float))).logpmf(x)
    np.testing.assert_allclose(log_nb(x, mu.double(), theta), exact, rtol=1e-13)
    np.testing.assert_allclose(log_nb(x, mu.half(), theta.half()), exact, rtol=1e-3)


# ------------------------------------------------------------------------------------------------------- dropout


def test_dropout_probability_is_bayes_rule():
    points = corners([0], [1e-4, 0.5, 3.0, 1e3], [1e-2, 2.0, 1e4], LOGITS)
    _, mu, theta, logits = (column.detach() for column in columns(points))
    _, m, t, logit = points.T.astype(np.float64)
    pi, zero = scipy.special.expit(logit), scipy.stats.nbinom(t, t / (t + m)).pmf(0)
    with np.errstate(invalid="ignore"):  # 0/0 where π underflows and a zero is impossible: not a question
        expected = pi / (pi + (1 - pi) * zero)
    ours = ZeroInflatedNegativeBinomial(mu, theta, logits).dropout_probability()
    known = np.isfinite(expected) & ((pi > 0) | (zero > 1e-30))
    assert known.mean() > 0.8
    np.testing.assert_allclose(ours[known], expected[known], rtol=1e-4, atol=1e-7)


def test_among_the_zeros_of_a_sample_that_share_was_put_in():
    torch.manual_seed(0)
    p = ZeroInflatedNegativeBinomial(torch.tensor(1.5), torch.tensor(2.0), torch.tensor(-0.5))
    n = 100_000
    dropped = torch.rand(n) < p.zi_probs
    counts = NegativeBinomial(p.mu, p.theta).sample((n,)).masked_fill(dropped, 0)
    share, expected = float(dropped[counts == 0].double().mean()), float(p.dropout_probability())
    assert abs(share - expected) < 4 * (expected * (1 - expected) / int((counts == 0).sum())) ** 0.5


# ------------------------------------------------------------------------------------------------------- samples

DISTRIBUTIONS = {
    "poisson": Poisson(torch.tensor([0.02, 3.0, 400.0])),
    "nb": NegativeBinomial(torch.tensor([0.02, 3.0, 400.0]), torch.tensor([0.5, 2.0, 30.0])),
    "nb of odd cells": NegativeBinomial(torch.tensor([0.5, 3.0, 40.0]), torch.tensor([0.1, 0.2, 0.5])),
    "zinb": ZeroInflatedNegativeBinomial(
        torch.tensor([0.02, 3.0, 400.0]), torch.tensor([0.5, 2.0, 30.0]), torch.tensor([-1.0, 0.5, 2.0])
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_have_the_stated_mean_variance_and_zeros(name):
    torch.manual_seed(0)
    p, n = DISTRIBUTIONS[name], 200_000
    x = p.sample((n,)).double()
    assert x.shape == (n, 3)
    assert torch.equal(x, x.round())
    fourth = ((x - x.mean(0)) ** 4).mean(0)
    assert bool(((x.mean(0) - p.mean).abs() < 4 * (p.variance / n) ** 0.5).all())
    assert bool(((x.var(0) - p.variance).abs() < 4 * ((fourth - x.var(0) ** 2) / n) ** 0.5).all())
    zero = p.log_prob(torch.zeros(3)).exp()
    assert bool((((x == 0).double().mean(0) - zero).abs() <= 4 * (zero * (1 - zero) / n) ** 0.5 + 1e-9).all())


@pytest.mark.parametrize("name", ["nb", "zinb"])
def test_every_count_is_drawn_for_itself(name):
    """Two cells share θ and π, but neither the Gamma draw nor the dropout: their counts and zeros do not correlate."""
    torch.manual_seed(0)
    mu, theta, n = torch.full((2, 1), 4.0), torch.tensor([0.3]), 40_000
    p = (
        NegativeBinomial(mu, theta)
        if name == "nb"
        else ZeroInflatedNegativeBinomial(mu, torch.tensor([50.0]), torch.tensor([0.0]))
    )
    x = p.sample((n,)).squeeze(-1).double()  # (n, 2)
    assert abs(float(torch.corrcoef(x.T)[0, 1])) < 4 / n**0.5
    assert abs(float(torch.corrcoef((x == 0).double().T)[0, 1])) < 4 / n**0.5
    assert abs(float(torch.corrcoef(torch.stack([x[:-1, 0], x[1:, 0]]))[0, 1])) < 4 / n**0.5


def test_samples_ask_for_no_gradient_and_survive_the_corners():
    _, mu, theta = columns(corners([0], MU, THETA))
    x = ZeroInflatedNegativeBinomial(mu, theta, torch.zeros(())).sample((50,))
    assert not x.requires_grad
    assert bool(torch.isfinite(x).all() and (x >= 0).all())


# -------------------------------------------------------------------------------------------- shapes and refusals


def test_parameters_broadcast_against_each_other_and_against_the_counts():
    torch.manual_seed(0)
    k, n, g = 4, 5, 3
    x = torch.poisson(torch.ones(n, g))
    mu, theta, logits = torch.rand(k, n, g) + 0.1, torch.rand(g) + 0.1, torch.randn(n, g)
    each = [
        [[float(log_zinb(x[j, i], mu[h, j, i], theta[i], logits[j, i])) for i in range(g)] for j in range(n)]
        for h in range(k)
    ]
    p = ZeroInflatedNegativeBinomial(mu, theta, logits)
    assert p.batch_shape == p.mean.shape == p.variance.shape == p.dropout_probability().shape == (k, n, g)
    torch.testing.assert_close(p.log_prob(x), torch.tensor(each))
    assert NegativeBinomial(torch.tensor(2.0), theta).log_prob(x).shape == (n, g)
    assert NegativeBinomial(mu[0, :, :1], theta).sample((2,)).shape == (2, n, g)
    for p in (NegativeBinomial(torch.tensor(2.0), theta), ZeroInflatedNegativeBinomial(mu[0, 0, 0], theta, mu[0, 0])):
        assert p.mean.shape == p.variance.shape == (g,)


def test_scalars_stay_scalars_and_whole_counts_may_be_integers():
    mu, theta, logits = torch.tensor(2.0), torch.tensor(3.0), torch.tensor(-1.0)
    for p in (Poisson(mu), NegativeBinomial(mu, theta), ZeroInflatedNegativeBinomial(mu, theta, logits)):
        for x in (0, 4):
            assert p.log_prob(torch.tensor(x)).shape == ()
            assert p.log_prob(torch.tensor(x)).dtype == torch.float32
            torch.testing.assert_close(p.log_prob(torch.tensor(x)), p.log_prob(torch.tensor(float(x))))
        assert p.sample().shape == ()


ONE = torch.ones(2)


@pytest.mark.parametrize(
    "build, parameter",
    [
        (lambda: Poisson(torch.tensor([1.0, 0.0])), "mu"),
        (lambda: NegativeBinomial(-ONE, ONE), "mu"),
        (lambda: NegativeBinomial(ONE, torch.tensor([1.0, 0.0])), "theta"),
        (lambda: NegativeBinomial(ONE, torch.tensor([1.0, np.nan])), "theta"),
        (lambda: ZeroInflatedNegativeBinomial(ONE, ONE, torch.tensor([0.0, np.nan])), "zi_logits"),
    ],
)
def test_impossible_parameters_are_named(build, parameter):
    with pytest.raises(ValueError, match=f"Expected parameter {parameter} "):
        build()


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_what_is_no_count_is_refused(name, value):
    with pytest.raises(ValueError, match="within the support"):
        DISTRIBUTIONS[name].log_prob(torch.tensor(value))


def test_checks_can_be_left_out_where_the_gate_has_checked():
    p = ZeroInflatedNegativeBinomial(ONE, ONE, ONE, validate_args=False)
    assert bool(torch.isfinite(p.log_prob(torch.tensor([0.0, 2.0]))).all())
    assert bool(torch.isnan(NegativeBinomial(ONE, -ONE, validate_args=False).log_prob(ONE)).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_in_log_mu_is_the_residual_shrunk_by_overdispersion(dtype):
    x = torch.arange(40, dtype=dtype).unsqueeze(-1)  # (40, 1): one slope for each count, though μ and θ are shared
    mu, theta = torch.tensor([4.0, 0.1, 90.0], dtype=dtype), torch.tensor([2.0, 50.0, 1e6], dtype=dtype)
    found = slope_in_log_mu(x, mu, theta)
    assert found.shape == (40, 3)
    np.testing.assert_allclose(found, theta * (x - mu) / (theta + mu), rtol=2e-5, atol=2e-5)


def test_the_slope_in_log_mu_leaves_a_model_without_gradient():
    mu = torch.tensor([3.0], requires_grad=True)
    with torch.no_grad():
        slope = slope_in_log_mu(torch.tensor([5.0]), mu, torch.tensor([1.0]))
    assert mu.grad is None
    assert not slope.requires_grad
    assert float(slope) == pytest.approx(0.5, rel=1e-5)
