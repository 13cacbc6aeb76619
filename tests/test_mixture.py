"""The mixture of background and foreground against SciPy, brute force and Bayes' rule."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp
from scipy.stats import nbinom

from course_lib.probability.counts import log_nb
from course_lib.probability.mixture import NegativeBinomialMixture, log_nb_mixture


@pytest.fixture(scope="module")
def grid():
    """y, β, α, φ and logit π in double precision, every combination, (M,) each."""
    axes = (
        [0, 1, 2, 10, 100, 1000],
        [0.1, 3.0, 50.0],
        [1.0, 1.5, 20.0],
        [0.1, 2.0, 30.0],
        [-30.0, -3.0, 0.0, 2.0, 40.0],
    )
    return [values.ravel() for values in np.meshgrid(*axes, indexing="ij")]


def scipy_nb(y, mu, theta):
    return nbinom.logpmf(y, theta, theta / (theta + mu))


def scipy_mixture(y, beta, alpha, phi, logits):
    parts = [
        -np.logaddexp(0, -logits) + scipy_nb(y, beta, phi),
        -np.logaddexp(0, logits) + scipy_nb(y, alpha * beta, phi),
    ]
    return logsumexp(parts, axis=0)


def tensors(values, dtype=torch.float64):
    y, beta, alpha, phi, logits = (torch.tensor(value, dtype=dtype) for value in values)
    return y, beta, alpha * beta, phi, logits


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
def test_the_log_probability_is_scipys_in_either_precision(grid, dtype, tolerance):
    found = log_nb_mixture(*tensors(grid, dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), scipy_mixture(*grid), rtol=tolerance, atol=tolerance)


def test_probabilities_add_up_to_one_and_give_mean_and_variance():
    parameters = [torch.tensor([value], dtype=torch.float64) for value in (4.0, 30.0, 3.0, 0.4)]
    p = NegativeBinomialMixture(*parameters)
    y = torch.arange(2_000, dtype=torch.float64)
    weights = p.log_prob(y).exp()
    assert weights.sum().item() == pytest.approx(1, abs=1e-9)
    mean = (weights * y).sum().item()
    assert p.mean.item() == pytest.approx(mean, rel=1e-9)
    assert p.variance.item() == pytest.approx(((y - mean) ** 2 * weights).sum().item(), rel=1e-9)


def test_samples_have_its_mean_and_variance():
    torch.manual_seed(0)
    p = NegativeBinomialMixture(
        torch.tensor([2.0, 20.0]), torch.tensor([40.0, 25.0]), torch.tensor([5.0, 2.0]), torch.tensor([0.5, -2.0])
    )
    draws = p.sample((200_000,)).double()
    assert draws.shape == (200_000, 2)
    error = (p.variance / 200_000).sqrt()
    assert ((draws.mean(0) - p.mean).abs() < 4 * error).all()
    torch.testing.assert_close(draws.var(0).float(), p.variance, rtol=0.03, atol=0)


def test_the_foreground_probability_is_bayes_rule(grid):
    y, beta, alpha, phi, logits = grid
    odds = -logits + scipy_nb(y, alpha * beta, phi) - scipy_nb(y, beta, phi)
    count, *parameters = tensors(grid)
    found = NegativeBinomialMixture(*parameters).foreground_probability(count)
    np.testing.assert_allclose(found.numpy(), expit(odds), atol=1e-9)


def test_the_foreground_probability_rises_with_the_count_from_the_prior_at_one_heap():
    y = torch.arange(60.0)
    rising = NegativeBinomialMixture(
        torch.tensor(5.0), torch.tensor(25.0), torch.tensor(4.0), torch.tensor(1.0)
    ).foreground_probability(y)
    assert (rising.diff() >= 0).all()
    assert rising[0] < 0.05
    assert rising[-1] > 0.95
    alike = NegativeBinomialMixture(torch.tensor(5.0), torch.tensor(5.0), torch.tensor(4.0), torch.tensor(1.0))
    torch.testing.assert_close(alike.foreground_probability(y), torch.full((60,), 1 / (1 + np.e)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("logits", "part"), [(1e4, 0), (-1e4, 1)])
def test_at_a_certain_component_it_is_that_negative_binomial(logits, part):
    y, means, phi = torch.tensor([0.0, 7.0, 900.0]), (torch.tensor(3.0), torch.tensor(80.0)), torch.tensor(2.0)
    found = log_nb_mixture(y, *means, phi, torch.tensor(logits))
    torch.testing.assert_close(found, log_nb(y, means[part], phi), rtol=1e-5, atol=1e-5)


def test_a_count_far_from_both_parts_keeps_a_finite_logarithm_and_slope():
    mu = torch.tensor([0.01], requires_grad=True)
    found = log_nb_mixture(torch.tensor([5_000.0]), mu, 2 * mu, torch.tensor([50.0]), torch.tensor([0.0]))
    found.backward()
    assert torch.isfinite(found).all()
    assert found.item() < -10_000  # each part alone is zero even in double precision
    assert torch.isfinite(mu.grad).all()


def test_gradients_are_those_of_finite_differences():
    y = torch.tensor([0.0, 1.0, 30.0, 400.0], dtype=torch.float64)
    parameters = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([2.0, 3.0, 20.0, 50.0], [9.0, 3.5, 60.0, 500.0], [0.5, 2.0, 8.0, 20.0], [-1.0, 0.0, 2.0, -4.0])
    ]
    assert torch.autograd.gradcheck(lambda *p: log_nb_mixture(y, *p), parameters)


def test_a_foreground_below_the_background_is_refused():
    one = torch.ones(2)
    with pytest.raises(ValueError, match="mu_foreground: expected at least mu_background everywhere, found less"):
        NegativeBinomialMixture(one, torch.tensor([2.0, 0.9]), one, one, validate_args=True)


@pytest.mark.parametrize(("name", "place"), [("mu_background", 0), ("mu_foreground", 1), ("theta", 2)])
def test_parameters_that_are_not_positive_are_refused_by_name(name, place):
    parameters = [torch.ones(2), torch.full((2,), 2.0), torch.ones(2), torch.zeros(2)]
    parameters[place] = torch.tensor([1.0, -1.0])
    with pytest.raises(ValueError, match=name):
        NegativeBinomialMixture(*parameters, validate_args=True)
