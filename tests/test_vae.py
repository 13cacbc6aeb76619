"""The VAE: its ELBO against exact evidence, its gradient, its decoders, its samples."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from torch.distributions import Normal

from course_lib.data.cells import cells_from_expression
from course_lib.models.vae import VAE, CategoricalVAE
from course_lib.probability import quadrature
from course_lib.probability.bounds import iwae
from course_lib.probability.linear_gaussian import LinearGaussian
from course_lib.probability.quadrature import Grid


def a_linear_vae() -> tuple[VAE, LinearGaussian]:
    """A VAE whose decoder is one linear layer: probabilistic PCA, whose evidence is exact."""
    torch.manual_seed(0)
    vae = VAE(6, n_latent=2, hidden=(8,), sigma=0.7).double()
    linear = nn.Linear(2, 6).double()
    vae.decoder.to_mean = linear
    with torch.no_grad():
        linear.weight.mul_(3)
        vae.encoder.to_log_variance.bias.fill_(-1.0)  # a q that is far from the prior: each term of the ELBO counts
    return vae, LinearGaussian(linear.weight.detach(), linear.bias.detach(), torch.tensor(0.7).double())


def test_the_mean_elbo_is_the_closed_form_and_below_the_exact_evidence():
    vae, exact = a_linear_vae()
    x = exact.evidence().sample((5,))
    cells = cells_from_expression(x)
    cells = type(cells)(x, cells.batch, cells.genes, cells.batches)  # double precision
    q = vae.encode(x)
    draws = torch.stack([vae.elbo(cells).value for _ in range(4000)]).detach()
    expected = exact.elbo(x, torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.variance))).detach()
    z_score = (draws.mean(0) - expected) / (draws.std(0) / len(draws) ** 0.5)
    assert z_score.abs().max() < 4
    assert bool((expected < exact.evidence().log_prob(x)).all())
    weights = vae.log_weights(cells, 20_000).detach()
    torch.testing.assert_close(iwae(weights), exact.evidence().log_prob(x), rtol=0, atol=0.15)


@pytest.mark.slow
def test_the_elbos_gradient_is_the_gradient_of_the_closed_form():
    vae, exact = a_linear_vae()
    x = exact.evidence().sample((3,))
    cells = type(cells_from_expression(x))(x, torch.zeros(3, dtype=torch.long), ("g",) * 6, ("b",))
    q = vae.encode(x)
    closed = exact.elbo(x, torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.variance))).sum()
    bias = vae.encoder.to_mu.bias
    (expected,) = torch.autograd.grad(closed, bias)
    draws = torch.stack([torch.autograd.grad(vae.elbo(cells).value.sum(), bias)[0] for _ in range(4000)])
    assert ((draws.mean(0) - expected) / (draws.std(0) / len(draws) ** 0.5)).abs().max() < 4


def test_reconstruction_is_summed_over_genes_with_its_constant():
    torch.manual_seed(0)
    vae = VAE(7, n_latent=2, hidden=(5,), sigma=0.3)
    cells, z = cells_from_expression(torch.randn(4, 7)), torch.randn(4, 2)
    p = vae.decode(z)
    expected = scipy.stats.norm(p.mean.detach(), 0.3).logpdf(cells.x).sum(-1)
    np.testing.assert_allclose(p.log_prob(cells.x).detach(), expected, rtol=1e-5)


def test_the_categorical_vaes_evidence_is_a_distribution_over_categories():
    torch.manual_seed(0)
    vae, grid = CategoricalVAE(5, n_latent=1, hidden=(8,)).double(), Grid()
    with torch.no_grad():
        log_px_given_z = vae.decode(grid.z.unsqueeze(-1).unsqueeze(-2)).log_prob(torch.eye(5).double())  # (K, 5)
    log_joint = log_px_given_z.T + Normal(0.0, 1.0).log_prob(grid.z)
    assert float(quadrature.log_evidence(grid, log_joint).exp().sum()) == pytest.approx(1.0, abs=1e-9)


def test_samples_have_the_mean_and_covariance_of_the_exact_evidence():
    vae, exact = a_linear_vae()
    torch.manual_seed(1)
    x = vae.sample(100_000)
    covariance = exact.weight @ exact.weight.T + exact.sigma**2 * torch.eye(6).double()
    torch.testing.assert_close(x.mean(0), exact.bias, rtol=0, atol=4 * float(covariance.diagonal().max() / 1e5) ** 0.5)
    torch.testing.assert_close(torch.cov(x.T), covariance, rtol=0.05, atol=0.05)


def test_sigma_is_learned_only_when_asked():
    assert not VAE(4, sigma=2.0).decoder.log_sigma.requires_grad
    learned = VAE(4, sigma=2.0, learn_sigma=True).decoder.log_sigma
    assert learned.requires_grad
    np.testing.assert_allclose(learned.exp().detach(), 2.0, rtol=1e-6)


def test_a_sigma_of_zero_is_refused():
    with pytest.raises(ValueError, match="sigma: expected a number > 0, found 0"):
        VAE(4, sigma=0)
