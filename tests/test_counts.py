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

from course_lib.probability.counts import (
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
    log_nb,
    log_poisson,
    log_zinb,
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


def by_mpmath(function, points):
    with mpmath.workdps(50):
        return np.array([float(function(*(mpmath.mpf(float(value)) for value in point))) for point in points])


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
    """d/dlog μ and d/dlog θ of log NB, worked out on paper: the scale on which a decoder's outputs move."""
    of_mu = theta * (x - mu) / (theta + mu)
    of_theta = theta * (
        mpmath.digamma(x + theta) - mpmath.digamma(theta) + mpmath.log(theta / (theta + mu)) + (mu - x) / (theta + mu)
    )
    return of_mu, of_theta


def assert_within(ours, expected):
    """The promise of single precision: 1e-4 nats, or 1e-5 relative where the number itself is large."""
    ours = ours.detach().double().numpy()
    assert np.isfinite(ours).all()
    np.testing.assert_array_less(np.abs(ours - expected), np.maximum(1e-4, 1e-5 * np.abs(expected)))


# ---------------------------------------------------------------------------------------------- log-probabilities


@pytest.mark.parametrize(
    "ours, exact, points",
    [
        (log_poisson, exact_poisson, corners(COUNTS, MU)),
        (log_nb, exact_nb, corners(COUNTS, MU, THETA)),
        (log_zinb, exact_zinb, corners([0, 1, 7, 100_000], MU, THETA, LOGITS)),
    ],
)
def test_log_probabilities_agree_with_fifty_digits_in_single_precision(ours, exact, points):
    result = ours(*columns(points))
    assert result.dtype == torch.float32
    assert_within(result, by_mpmath(exact, points))


def log_uniform(low, high):
    return st.floats(np.log(low), np.log(high)).map(lambda value: float(np.float32(np.exp(value))))


@settings(max_examples=150, deadline=None)
@given(
    x=st.one_of(st.integers(0, 20), st.integers(0, 100_000)),
    mu=log_uniform(1e-8, 1e5),
    theta=log_uniform(1e-4, 1e6),
    zi_logits=st.floats(-1e4, 1e4, width=32),
)
def test_log_probabilities_agree_with_fifty_digits_between_the_corners(x, mu, theta, zi_logits):
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


@pytest.mark.parametrize("dtype, digits", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_nb_slopes_agree_with_fifty_digits(dtype, digits):
    points = corners(COUNTS, MU, THETA)
    x, mu, theta = columns(points, dtype)
    log_nb(x, mu, theta).sum().backward()
    of_mu = (mu.grad * mu).detach().double().numpy()
    of_theta = (theta.grad * theta).detach().double().numpy()
    expected_mu = by_mpmath(lambda *p: exact_nb_slopes(*p)[0], points)
    expected_theta = by_mpmath(lambda *p: exact_nb_slopes(*p)[1], points)
    # What may remain beyond the digits of the result. Above zero, where all is summed in double precision: the last
    # digit of ψ(θ) times θ, and that of x. At zero, in the precision that came in: log(1 + μ/θ) less (μ/θ)/(1 + μ/θ),
    # two numbers of at most μ/θ, times θ.
    above_zero = 1e-14 * (theta.detach().double().numpy() + points[:, 0] + points[:, 1])
    remains = np.where(points[:, 0] > 0, above_zero, digits * points[:, 1]) + 1e-300
    np.testing.assert_array_less(np.abs(of_mu - expected_mu), digits * np.abs(expected_mu) + remains)
    np.testing.assert_array_less(np.abs(of_theta - expected_theta), digits * np.abs(expected_theta) + remains)


def test_the_slope_of_a_large_theta_is_not_rounding_noise():
    """ψ(x + θ) and ψ(θ) agree in all digits that single precision has; their difference must be taken before."""
    torch.manual_seed(0)
    x, mu = torch.poisson(torch.ones(128, 1)), torch.ones(128, 1)
    log_theta = torch.tensor([1e3]).log().requires_grad_()
    log_nb(x, mu, log_theta.exp()).sum().backward()
    points = torch.cat([x, mu, log_theta.exp().detach().expand(128, 1)], 1).numpy()
    expected = by_mpmath(lambda *p: exact_nb_slopes(*p)[1], points).sum()
    assert float(log_theta.grad) == pytest.approx(expected, rel=0.01)


def test_zinb_slope_of_the_logit_is_the_posterior_minus_the_prior_of_dropout():
    points = corners([0, 1, 7], MU, THETA, LOGITS[1:])
    x, mu, theta, logits = columns(points)
    log_zinb(x, mu, theta, logits).sum().backward()
    pi = scipy.special.expit(points[:, 3].astype(np.float64))

    def posterior(x, mu, theta, logits):
        put_in = 1 / (1 + mpmath.exp(-logits))
        return put_in / (put_in + (1 - put_in) * mpmath.exp(exact_nb(x, mu, theta))) if x == 0 else mpmath.mpf(0)

    np.testing.assert_allclose(logits.grad, by_mpmath(posterior, points) - pi, rtol=1e-4, atol=1e-6)


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
