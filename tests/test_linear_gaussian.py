"""The linear-Gaussian model against SciPy's multivariate normal, quadrature in two dimensions, and scikit-learn."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal

from course_lib.probability.linear_gaussian import LinearGaussian


def a_model(n_features=6, n_latent=2, sigma=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(n_features, n_latent, generator=generator, dtype=torch.float64)
    bias = torch.randn(n_features, generator=generator, dtype=torch.float64)
    return LinearGaussian(weight, bias, torch.tensor(sigma, dtype=torch.float64))


def random_q(n, n_latent, seed, diagonal=False):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(n, n_latent, n_latent, generator=generator, dtype=torch.float64) * 0.7
    covariance = factor @ factor.mT + 0.05 * torch.eye(n_latent, dtype=torch.float64)
    if diagonal:
        covariance = torch.diag_embed(torch.diagonal(covariance, dim1=-2, dim2=-1))
    return MultivariateNormal(torch.randn(n, n_latent, generator=generator, dtype=torch.float64), covariance)


def test_evidence_agrees_with_scipy():
    model, x = a_model(), torch.randn(20, 6, dtype=torch.float64) * 2
    covariance = model.weight.numpy() @ model.weight.numpy().T + float(model.sigma) ** 2 * np.eye(6)
    expected = scipy.stats.multivariate_normal(model.bias.numpy(), covariance).logpdf(x.numpy())
    np.testing.assert_allclose(model.evidence().log_prob(x), expected, rtol=1e-10)


def test_posterior_is_the_normalised_joint_on_a_grid():
    model, x = a_model(), torch.randn(3, 6, dtype=torch.float64)
    axis = torch.linspace(-7, 7, 701, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    mean_x = z @ model.weight.T + model.bias
    for n in range(3):
        log_joint = scipy.stats.norm(mean_x.numpy(), float(model.sigma)).logpdf(x[n].numpy()).sum(-1)
        log_joint = log_joint + scipy.stats.norm.logpdf(z.numpy()).sum(-1)
        weight = np.exp(log_joint - log_joint.max())
        weight /= weight.sum()
        mean = weight @ z.numpy()
        covariance = (z.numpy() - mean).T @ ((z.numpy() - mean) * weight[:, None])
        posterior = model.posterior(x[n : n + 1])
        np.testing.assert_allclose(posterior.mean[0], mean, atol=1e-8)
        np.testing.assert_allclose(posterior.covariance_matrix[0], covariance, atol=1e-8)


def test_closed_form_elbo_agrees_with_monte_carlo():
    model, x, q = a_model(), torch.randn(2, 6, dtype=torch.float64), random_q(2, 2, seed=1)
    torch.manual_seed(0)
    z = q.sample((200_000,))
    log_joint = torch.distributions.Normal(z @ model.weight.T + model.bias, model.sigma).log_prob(x).sum(
        -1
    ) + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    draws = log_joint - q.log_prob(z)
    z_score = (draws.mean(0) - model.elbo(x, q)) / (draws.std(0) / len(draws) ** 0.5)
    assert z_score.abs().max() < 4


@settings(max_examples=60, deadline=None)
@given(n_features=st.integers(2, 12), n_latent=st.integers(1, 5), sigma=st.floats(0.1, 3), seed=st.integers(0, 10_000))
def test_log_evidence_is_elbo_plus_kl_in_any_number_of_dimensions(n_features, n_latent, sigma, seed):
    model = a_model(n_features, n_latent, sigma, seed)
    torch.manual_seed(seed)
    x = torch.randn(4, n_features, dtype=torch.float64)
    q = random_q(4, n_latent, seed)
    elbo, evidence = model.elbo(x, q), model.evidence().log_prob(x)
    gap = torch.distributions.kl_divergence(q, model.posterior(x))
    torch.testing.assert_close(elbo + gap, evidence, rtol=1e-9, atol=1e-6)
    assert bool((elbo <= evidence + 1e-8).all())
    torch.testing.assert_close(model.elbo(x, model.posterior(x)), evidence, rtol=1e-9, atol=1e-7)


def test_the_best_diagonal_q_beats_every_other_diagonal_and_misses_the_evidence():
    leaning = torch.tensor([[1.0, 0.8], [0.9, 1.0], [-0.7, -0.9], [0.3, 0.1]], dtype=torch.float64)  # posterior tilts
    model = LinearGaussian(leaning, torch.zeros(4).double(), torch.tensor(0.5).double())
    x = torch.randn(5, 4, dtype=torch.float64)
    best_q = model.best_diagonal(x)
    best = model.elbo(x, best_q)
    for scale in (0.5, 0.9, 1.1, 2.0):  # its variances are a maximum
        other = MultivariateNormal(best_q.mean, best_q.covariance_matrix * scale)
        assert bool((model.elbo(x, other) < best).all())
    for seed in range(30):
        assert bool((model.elbo(x, random_q(5, 2, seed, diagonal=True)) <= best).all())
    assert bool((model.evidence().log_prob(x) - best > 0.1).all())


def test_the_best_diagonal_q_is_exact_when_the_weights_are_orthogonal():
    orthogonal = torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64))[0] * torch.tensor([2.0, 0.7])
    model = LinearGaussian(orthogonal.double(), torch.zeros(6).double(), torch.tensor(0.4).double())
    x = torch.randn(5, 6, dtype=torch.float64)
    torch.testing.assert_close(model.elbo(x, model.best_diagonal(x)), model.evidence().log_prob(x))


def test_shapes_and_signs_are_checked():
    with pytest.raises(ValueError, match="weight, bias: expected"):
        LinearGaussian(torch.ones(4, 2), torch.ones(2), torch.tensor(1.0))
    with pytest.raises(ValueError, match="sigma: expected one number > 0"):
        LinearGaussian(torch.ones(4, 2), torch.ones(4), torch.tensor(-1.0))


def test_the_fit_keeps_what_exceeds_the_noise_pays_its_capacity_and_leaves_sigma_to_the_fourth_over_lambda():
    """Oracle: NumPy's eigenvalues of the data's covariance, λ. Two of four directions exceed σ² = 1."""
    sd, turn = np.array([4.0, 2.0, 0.6, 0.3]), np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    x = torch.tensor(np.random.default_rng(1).normal(size=(500, 4)) * sd @ turn.T + 3)
    lam = np.linalg.eigvalsh(np.cov(x.numpy().T, ddof=0))[::-1]
    model = LinearGaussian.fitted(x, n_latent=3, sigma=1.0)
    np.testing.assert_allclose(model.weight.norm(dim=0) ** 2, [lam[0] - 1, lam[1] - 1, 0], atol=1e-9)
    q = model.posterior(x)
    prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    price = float(torch.distributions.kl_divergence(q, prior).mean())
    assert price == pytest.approx(0.5 * np.log(lam[:2]).sum(), rel=1e-9)
    left = float((x - q.mean @ model.weight.T - model.bias).var(0, correction=0).sum())
    assert left == pytest.approx((1 / lam[:2]).sum() + lam[2:].sum(), rel=1e-9)


def test_no_other_weight_is_more_likely_than_the_fit():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.diag(
        torch.tensor([3.0, 2.0, 1.0, 0.5, 0.5]).double()
    )
    fit = LinearGaussian.fitted(x, n_latent=2, sigma=0.8)
    best = fit.evidence().log_prob(x).sum()
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        nudge = 0.05 * torch.randn(5, 2, generator=generator, dtype=torch.float64)
        assert LinearGaussian(fit.weight + nudge, fit.bias, fit.sigma).evidence().log_prob(x).sum() < best


def test_a_fit_with_more_dimensions_than_features_is_refused():
    with pytest.raises(ValueError, match="n_latent: expected 1 to 3"):
        LinearGaussian.fitted(torch.ones(5, 3).double(), n_latent=4, sigma=1.0)
