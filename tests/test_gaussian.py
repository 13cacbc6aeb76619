"""The Gaussian's density and its KL, against SciPy, quadrature, torch and finite differences."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from course_lib.probability.gaussian import kl_to_standard_normal, standard_normal

CORNERS = [(0.0, 1.0), (3.0, 0.01), (-2.5, 4.0), (0.0, 1e-3), (20.0, 1.0), (1e-6, 1.0)]


@pytest.mark.parametrize("mu, sigma", CORNERS)
def test_kl_closed_form_agrees_with_adaptive_quadrature(mu, sigma):
    q, p = scipy.stats.norm(mu, sigma), scipy.stats.norm(0, 1)
    expected, _ = scipy.integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), mu - 12 * sigma, mu + 12 * sigma, limit=200
    )
    ours = kl_to_standard_normal(torch.tensor(mu).double(), torch.tensor(sigma).double())
    assert float(ours) == pytest.approx(expected, rel=1e-8, abs=1e-10)


def test_kl_agrees_with_torch_in_single_precision():
    mu, sigma = torch.randn(200, 10), torch.rand(200, 10) * 3 + 1e-3
    expected = kl_divergence(Normal(mu, sigma), Normal(torch.zeros(10), torch.ones(10)))
    torch.testing.assert_close(kl_to_standard_normal(mu, sigma), expected, rtol=1e-5, atol=1e-5)


def test_kl_gradient_is_its_finite_difference():
    mu = torch.tensor([0.3, -2.0], dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(kl_to_standard_normal, (mu, sigma))


@settings(max_examples=200, deadline=None)
@given(mu=st.floats(-50, 50), sigma=st.floats(1e-4, 50))
def test_kl_is_never_negative_and_positive_away_from_the_prior(mu, sigma):
    kl = float(kl_to_standard_normal(torch.tensor(mu).double(), torch.tensor(sigma).double()))
    assert kl >= -1e-12
    if abs(mu) > 1e-3 or abs(sigma - 1) > 1e-3:
        assert kl > 1e-7


def test_the_prior_follows_the_precision_it_is_asked_for():
    prior = standard_normal(3, like=torch.zeros(1, dtype=torch.float64))
    assert prior.batch_shape == (3,)
    assert prior.mean.dtype == torch.float64
    expected = scipy.stats.norm(0, 1).logpdf([0.0, 1.0, -2.0])
    np.testing.assert_allclose(prior.log_prob(torch.tensor([0.0, 1.0, -2.0]).double()), expected, rtol=1e-12)
