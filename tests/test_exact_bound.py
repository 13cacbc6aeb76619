"""The bound of a one-dimensional VAE by quadrature, against the linear-Gaussian model where everything is a formula."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from course_lib.analysis.amortisation import fit_local_posteriors
from course_lib.analysis.exact_bound import WithExactBound, bound_by_quadrature, log_joint_on_grid
from course_lib.data.cells import Cells, cells_from_counts, cells_from_expression
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.probability.linear_gaussian import LinearGaussian
from course_lib.probability.quadrature import Grid
from course_lib.training.fit import fit

GRID = Grid(-8, 8, 1601)


def a_linear_vae(n_genes: int = 4) -> tuple[VAE, LinearGaussian, Cells]:
    """A VAE with one latent dimension whose decoder is one linear layer, the same model as formulas, and cells."""
    torch.manual_seed(0)
    vae = VAE(n_genes, n_latent=1, hidden=(8,), sigma=0.7)
    linear = nn.Linear(1, n_genes)
    vae.decoder.to_mean = linear
    sigma = vae.decoder.log_sigma.detach().double().exp()[0]
    exact = LinearGaussian(linear.weight.detach().double(), linear.bias.detach().double(), sigma)
    return vae, exact, cells_from_expression(exact.evidence().sample((20,)).float())


def test_evidence_elbo_and_gap_agree_with_the_formulas():
    vae, exact, cells = a_linear_vae()
    bound = bound_by_quadrature(vae, cells, GRID)
    x = cells.x.double()
    q = copy.deepcopy(vae).double().encode(x)
    full = MultivariateNormal(q.mean.detach(), torch.diag_embed(q.variance.detach()))
    torch.testing.assert_close(bound.log_evidence, exact.evidence().log_prob(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(bound.elbo, exact.elbo(x, full), rtol=0, atol=1e-6)
    torch.testing.assert_close(bound.log_evidence, bound.elbo + bound.gap, rtol=0, atol=1e-9)
    assert bool((bound.gap > 0).all())


def test_the_gap_closes_with_the_exact_posterior_as_q():
    vae, exact, cells = a_linear_vae()
    posterior = exact.posterior(cells.x.double())
    bound = bound_by_quadrature(vae, cells, GRID, q=Normal(posterior.mean, posterior.covariance_matrix[:, 0].sqrt()))
    assert float(bound.gap.abs().max()) < 1e-6


def test_the_model_keeps_its_precision_and_its_gradients():
    vae, _, cells = a_linear_vae()
    bound = bound_by_quadrature(vae, cells, GRID)
    assert next(vae.parameters()).dtype == torch.float32
    assert not bound.elbo.requires_grad
    assert bound.elbo.dtype == torch.float64


def test_watching_does_not_change_training():
    vae, _, cells = a_linear_vae()
    alone = copy.deepcopy(vae)
    history = fit(WithExactBound(vae, GRID), cells, validation=cells, epochs=3, batch_size=10, progress=False)
    fit(alone, cells, validation=cells, epochs=3, batch_size=10, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(vae.parameters(), alone.parameters(), strict=True))
    bound = bound_by_quadrature(vae, cells, GRID)
    for name in ("log_evidence", "elbo", "gap"):
        assert history[f"validation_{name}"].iloc[-1] == pytest.approx(float(getattr(bound, name).mean()), abs=1e-6)
        assert f"train_{name}" not in history


def test_two_latent_dimensions_are_refused():
    with pytest.raises(ValueError, match="n_latent = 1, found 2"):
        log_joint_on_grid(VAE(4, n_latent=2, hidden=(8,)), cells_from_expression(torch.zeros(2, 4)), GRID)


def test_a_q_for_each_cell_is_at_least_as_good_as_the_encoders():
    vae, _, cells = a_linear_vae()
    own = fit_local_posteriors(vae, cells, steps=400)
    amortised, local = bound_by_quadrature(vae, cells, GRID), bound_by_quadrature(vae, cells, GRID, q=own)
    assert bool((local.elbo >= amortised.elbo - 1e-3).all())
    assert float(local.gap.max()) < 0.01  # the posterior is Gaussian: a Gaussian can match it


def test_a_q_in_single_precision_is_integrated_in_double():
    vae, exact, cells = a_linear_vae()
    q = Normal(torch.full((20, 1), 0.3), torch.full((20, 1), 0.37))  # single precision: log σ would lose nine digits
    double = MultivariateNormal(q.mean.double(), torch.diag_embed(q.stddev.double() ** 2))
    bound = bound_by_quadrature(vae, cells, GRID, q=q)
    torch.testing.assert_close(bound.elbo, exact.elbo(cells.x.double(), double), rtol=0, atol=1e-8)


def test_what_is_no_vae_is_named():
    cells = cells_from_counts(torch.ones(2, 4))
    with pytest.raises(TypeError, match="which lacks prior, n_latent"):
        log_joint_on_grid(Autoencoder(4, 1, (8,)), cells, GRID)
    with pytest.raises(TypeError, match=r"a decoder of z alone to ask for a bound by quadrature, .*SimplifiedSCVI"):
        bound_by_quadrature(SimplifiedSCVI(4, 1, (8,)), cells, GRID)
