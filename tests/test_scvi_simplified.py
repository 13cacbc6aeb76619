"""Simplified scVI: its terms by hand, its bound against exact evidence, and what it learns."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from small import weights_in_numpy
from torch.distributions import Normal

from course_lib.data.cells import Cells, cells_from_counts, log_total
from course_lib.data.scvi_process import simulate
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.probability import quadrature
from course_lib.probability.bounds import iwae
from course_lib.probability.quadrature import Grid
from course_lib.training.fit import fit


def a_model(gene_likelihood: str = "nb", n_latent: int = 2, n_genes: int = 6) -> SimplifiedSCVI:
    """Random weights, larger than at the start of training, so that z matters; θ differs between genes."""
    torch.manual_seed(0)
    model = SimplifiedSCVI(n_genes, n_latent=n_latent, hidden=(5, 4), gene_likelihood=gene_likelihood)
    with torch.no_grad():
        for layer in model.decoder.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(2)
        model.encoder.to_log_variance.bias.fill_(-0.7)
        model.decoder.log_theta.copy_(torch.linspace(-1, 2, n_genes))
    return model


def some_cells(n: int = 4, n_genes: int = 6) -> Cells:
    return cells_from_counts(np.random.default_rng(0).poisson(3, (n, n_genes)) + np.arange(n_genes) % 2)


def by_hand(model, x, z):
    """What the model's words say, in NumPy and SciPy: the mean and deviation of q, ρ, and log p(x∣z, ℓ)."""
    weights = weights_in_numpy(model)

    def affine(name, h):
        return h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    h = np.log1p(x)
    for name in ("encoder.trunk.0", "encoder.trunk.2"):
        h = np.maximum(affine(name, h), 0)
    mean, sd = affine("encoder.to_mu", h), np.sqrt(np.exp(affine("encoder.to_log_variance", h)) + 1e-4)
    h = z
    for name in ("decoder.trunk.0", "decoder.trunk.2"):
        h = np.maximum(affine(name, h), 0)
    rho = scipy.special.softmax(affine("decoder.to_rho", h), axis=-1)
    mu, theta = x.sum(1, keepdims=True) * rho, np.exp(weights["decoder.log_theta"])
    p = scipy.stats.poisson(mu)
    if model.decoder.gene_likelihood == "nb":
        p = scipy.stats.nbinom(theta, theta / (theta + mu))
    return mean, sd, rho, p.logpmf(x).sum(-1)


@pytest.mark.parametrize("gene_likelihood", ["nb", "poisson"])
def test_the_elbo_is_what_its_equation_says(gene_likelihood, monkeypatch):
    model, cells = a_model(gene_likelihood), some_cells()
    z = torch.randn(4, 2)
    monkeypatch.setattr(Normal, "rsample", lambda self, shape=(): z)
    mean, sd, rho, log_p = by_hand(model, cells.x.double().numpy(), z.double().numpy())
    bound = model.elbo(cells)
    np.testing.assert_allclose(bound.reconstruction.detach(), log_p, rtol=1e-5)
    np.testing.assert_allclose(bound.kl_z.detach(), (sd**2 + mean**2 - 1 - np.log(sd**2)).sum(1) / 2, rtol=1e-5)
    assert bound.kl_library is None
    p = model.decode(z, log_total(cells.x)).base_dist
    np.testing.assert_allclose((p.mu / cells.x.sum(1, keepdim=True)).detach(), rho, rtol=1e-5)
    np.testing.assert_allclose(p.mu.sum(1).detach(), cells.x.sum(1), rtol=1e-5)  # ρ sums to one
    expected = -(log_p - 0.5 * (sd**2 + mean**2 - 1 - np.log(sd**2)).sum(1) / 2).mean()
    assert float(model.loss(cells, kl_weight=0.5)["loss"].detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_the_bound_tightens_to_the_exact_evidence():
    """One latent dimension: the evidence is an integral over a line."""
    model, grid = a_model(n_latent=1).double(), Grid()
    cells = some_cells()
    cells = replace(cells, x=cells.x.double())
    torch.manual_seed(1)
    with torch.no_grad():
        z = grid.z.view(-1, 1, 1)
        log_px = model.decode(z, log_total(cells.x)).log_prob(cells.x)  # (K, N)
        log_joint = log_px + scipy_normal(grid.z)
        evidence = quadrature.log_evidence(grid, log_joint.T)
        q = model.encode(cells.x)
        expected_elbo = (grid.weights * q.log_prob(z).squeeze(-1).exp().T * log_px.T).sum(-1)
        expected_elbo = expected_elbo - torch.distributions.kl_divergence(q, model.prior).sum(-1)
        draws = torch.stack([model.elbo(cells).value for _ in range(3_000)])
        log_weights = model.log_weights(cells, 20_000)
    assert bool((((draws.mean(0) - expected_elbo) / (draws.std(0) / 3_000**0.5)).abs() < 4).all())
    assert bool((expected_elbo < evidence - 0.02).all())  # q is not the posterior: the bound has a gap to close
    weights = (log_weights - evidence).exp()  # their mean is one, whatever q is
    assert log_weights.shape == (20_000, 4)
    assert bool((((weights.mean(0) - 1) / (weights.std(0) / 20_000**0.5)).abs() < 4).all())
    torch.testing.assert_close(iwae(log_weights), evidence, rtol=0, atol=0.05)


def scipy_normal(z):
    return torch.from_numpy(scipy.stats.norm.logpdf(z.numpy())).unsqueeze(-1)


def test_the_library_size_is_the_total_and_only_scales_the_mean():
    x = torch.tensor([[1.0, 2.0], [5.0, 0.0]])
    np.testing.assert_allclose(log_total(x), np.log([[3.0], [5.0]]), rtol=1e-6)
    model, z = a_model(), torch.randn(3, 2)
    one, ten = (model.decode(z, torch.full((3, 1), size).log()).base_dist for size in (1.0, 10.0))
    torch.testing.assert_close(ten.mu, 10 * one.mu)
    torch.testing.assert_close(ten.theta, one.theta)


def test_a_poisson_model_has_no_theta_to_learn():
    assert not a_model("poisson").decoder.log_theta.requires_grad
    assert a_model("nb").decoder.log_theta.requires_grad


def test_every_parameter_of_the_model_is_learned():
    for gene_likelihood in ("nb", "poisson"):
        model = a_model(gene_likelihood)
        model.loss(some_cells(30))["loss"].backward()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert float(parameter.grad.abs().max()) > 0, name


def test_a_saved_model_comes_back():
    model, other, cells = a_model(), SimplifiedSCVI(6, n_latent=2, hidden=(5, 4)), some_cells()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.encode(cells.x).mean, model.encode(cells.x).mean)
    z = torch.randn(4, 2)
    torch.testing.assert_close(
        other.decode(z, log_total(cells.x)).log_prob(cells.x), model.decode(z, log_total(cells.x)).log_prob(cells.x)
    )


def test_it_learns_the_profile_and_the_dispersion_of_one_kind_of_cell():
    data = simulate(
        1_000, 25, n_types=1, n_changed=0, batch_sd=0, dropout=0, log_library_means=(6.0,), log_library_sd=0.5, seed=3
    )
    cells = cells_from_counts(data)
    torch.manual_seed(0)
    model = SimplifiedSCVI(25, n_latent=2, hidden=(32,))
    history = fit(model, cells, epochs=25, lr=2e-2, progress=False)
    rho_truth, theta_truth = data.layers["rho"][0], data.var["theta"].to_numpy()
    mu = data.X.sum(axis=1, keepdims=True) * rho_truth
    of_the_truth = -scipy.stats.nbinom(theta_truth, theta_truth / (theta_truth + mu)).logpmf(data.X).sum(1).mean()
    assert history["train_loss"].iloc[0] > of_the_truth + 3
    assert history["train_loss"].iloc[-1] == pytest.approx(of_the_truth, abs=0.5)
    with torch.no_grad():
        rho = model.decode(torch.zeros(1, 2), torch.zeros(1, 1)).base_dist.mu.squeeze(0).numpy()
        log_theta = model.decoder.log_theta.numpy()
    seen = data.X.mean(axis=0) > 5  # the dispersion of a gene that hardly occurs cannot be known
    assert seen.sum() > 10
    np.testing.assert_allclose(rho[seen], rho_truth[seen], rtol=0.2)
    assert float(np.median(np.abs(log_theta - np.log(theta_truth))[seen])) < 0.15


def test_another_likelihood_is_refused():
    with pytest.raises(ValueError, match="gene_likelihood: expected 'nb' or 'poisson', found 'zinb'"):
        SimplifiedSCVI(5, gene_likelihood="zinb")
    assert "gene_likelihood='nb'" in repr(SimplifiedSCVI(5))
