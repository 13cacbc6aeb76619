"""The linear decoder: its words in NumPy, its bound against evidence by quadrature, and programmes of genes found."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats
import torch
from anndata import AnnData
from small import cells_by_hand, weights_in_numpy, weights_of
from torch.distributions import Normal

from course_lib.analysis.differential_expression import differential_expression
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import get_normalized_expression, posterior_predictive_sample
from course_lib.data.cells import Cells, cells_from_counts, log_total
from course_lib.models.linear_scvi import LinearSCVI
from course_lib.models.scvi import SCVI, LibraryPrior, start_at_profile
from course_lib.probability.bounds import iwae
from course_lib.probability.quadrature import Grid
from course_lib.training.fit import fit

GENES, BATCHES = tuple("abcdef"), ("first", "second", "third")
PRIOR = LibraryPrior(torch.tensor([2.5, 3.5, 3.0]), torch.tensor([0.4, 0.6, 0.5]))


def a_model(gene_likelihood="zinb", library_prior=None, n_latent=2, **choices) -> LinearSCVI:
    """Random weights, larger than at the start of training."""
    torch.manual_seed(0)
    model = LinearSCVI(
        GENES, BATCHES, library_prior=library_prior, n_latent=n_latent, hidden=(5,), gene_likelihood=gene_likelihood,
        **choices,
    )  # fmt: skip
    with torch.no_grad():
        model.decoder.to_rho.weight.mul_(2)
        if gene_likelihood != "poisson":
            model.decoder.log_theta.copy_(torch.linspace(-1, 2, model.decoder.log_theta.numel()).view_as(
                model.decoder.log_theta
            ))  # fmt: skip
        model.z_encoder.to_log_variance.bias.fill_(-0.7)
    return model.eval()


def some_cells(n: int = 5, dtype: torch.dtype = torch.float32) -> Cells:
    x = np.random.default_rng(0).poisson(2, (n, len(GENES))) * (1 + np.arange(len(GENES)) % 3)
    return Cells(torch.from_numpy(x).to(dtype), torch.arange(n) % len(BATCHES), GENES, BATCHES)


# Its words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dispersion", ["gene", "gene-batch"])
@pytest.mark.parametrize("gene_likelihood", ["zinb", "nb", "poisson"])
def test_the_decoder_is_a_softmax_of_a_sum_and_nothing_else(gene_likelihood, dispersion):
    model, cells = a_model(gene_likelihood, dispersion=dispersion), some_cells()
    z, log_library = torch.randn(5, 2), 3 + 0.3 * torch.randn(5, 1)
    weights = weights_in_numpy(model)
    x, s, codes = cells.x.double().numpy(), np.eye(3)[cells.batch.numpy()], z.double().numpy()
    w, b = weights["decoder.to_rho.weight"], weights["decoder.to_rho.bias"]
    rho = scipy.special.softmax(codes @ w[:, :2].T + s @ w[:, 2:].T + b, axis=1)
    mu = np.exp(log_library.double().numpy()) * rho
    if gene_likelihood == "poisson":
        expected = scipy.stats.poisson(mu).logpmf(x)
    else:
        theta = np.exp(weights["decoder.log_theta"])
        theta = theta[cells.batch.numpy()] if dispersion == "gene-batch" else theta
        expected = scipy.stats.nbinom(theta, theta / (theta + mu)).logpmf(x)
    if gene_likelihood == "zinb":
        w, b = weights["decoder.to_zi_logits.weight"], weights["decoder.to_zi_logits.bias"]
        pi = scipy.special.expit(codes @ w[:, :2].T + s @ w[:, 2:].T + b)
        expected = np.log(pi * (x == 0) + (1 - pi) * np.exp(expected))
    p = model.decode(z, log_library, cells.batch)
    np.testing.assert_allclose(p.base_dist.mu.detach(), mu, rtol=1e-5)
    np.testing.assert_allclose(p.log_prob(cells.x).detach(), expected.sum(1), rtol=1e-5)
    inside = {name for name in weights if name.startswith("decoder.")} - {"decoder.log_theta"}
    layers = ("to_rho", "to_zi_logits") if gene_likelihood == "zinb" else ("to_rho",)
    assert inside == {f"decoder.{layer}.{part}" for layer in layers for part in ("weight", "bias")}


def test_a_step_along_one_axis_of_z_moves_log_rho_by_that_column_of_the_loadings():
    model, cells = a_model(), some_cells()
    assert model.loadings.shape == (6, 2)
    assert not model.loadings.requires_grad
    z = torch.randn(5, 2)
    here, there = (
        model.decode(at, torch.zeros(5, 1), cells.batch).base_dist.mu.detach().log()
        for at in (z, z + torch.tensor([0.0, 0.5]))
    )
    moved = (there - here) / 0.5  # (N, G), up to one number for each cell
    moved = moved - moved.mean(1, keepdim=True)
    column = model.loadings[:, 1] - model.loadings[:, 1].mean()
    torch.testing.assert_close(moved, column.expand(5, -1), rtol=1e-4, atol=1e-5)


def test_the_decoder_sees_the_batch_and_the_encoders_do_not():
    model, cells = a_model(), some_cells()
    elsewhere = replace(cells, batch=(cells.batch + 1) % 3)
    here, there = (model.decode(torch.zeros(5, 2), log_total(c.x), c.batch).base_dist for c in (cells, elsewhere))
    assert bool(((here.mu - there.mu).abs().sum(1) > 1e-3).all())
    assert bool(((here.zi_logits - there.zi_logits).abs().sum(1) > 1e-3).all())
    torch.testing.assert_close(model.elbo(cells).kl_z, model.elbo(elsewhere).kl_z)


def test_samples_of_z_stand_before_the_cells_and_each_keeps_its_batch():
    model, cells = a_model(), some_cells()
    z, log_library = torch.randn(3, 5, 2), torch.randn(3, 5, 1)
    p = model.decode(z, log_library, cells.batch)
    assert p.batch_shape == (3, 5)
    for k in range(3):
        alone = model.decode(z[k], log_library[k], cells.batch)
        torch.testing.assert_close(p.log_prob(cells.x)[k], alone.log_prob(cells.x))


def test_the_bound_tightens_to_the_exact_evidence():
    model, n = a_model(n_latent=1).double(), 20_000
    cells, z = some_cells(6, torch.float64), Grid(-8, 8, 161)
    log_pz = torch.from_numpy(scipy.stats.norm.logpdf(z.z.numpy()))
    torch.manual_seed(1)
    with torch.no_grad():
        model.z_encoder.to_log_variance.bias.fill_(0.5)  # q wider than p(z∣x): no weight is large
        log_px = [
            model.decode(z.z.view(-1, 1, 1), log_total(cells.x[i : i + 1]), cells.batch[i : i + 1])
            .log_prob(cells.x[i]).squeeze(-1) for i in range(6)
        ]  # fmt: skip
        evidence = torch.stack([z.log_integral(each + log_pz) for each in log_px])
        log_weights = model.log_weights(cells, n)
        elbos = torch.stack([model.elbo(cells).value for _ in range(500)])
    torch.testing.assert_close(iwae(log_weights), evidence, rtol=0, atol=0.05)
    assert bool((elbos.mean(0) + 4 * elbos.std(0) / 500**0.5 < evidence).all())


@pytest.mark.parametrize("gene_likelihood", ["zinb", "nb", "poisson"])
@pytest.mark.parametrize("library_prior", [PRIOR, None], ids=["learned", "observed"])
def test_every_parameter_is_learned(gene_likelihood, library_prior):
    model = a_model(gene_likelihood, library_prior).train()
    model.loss(some_cells(60))["loss"].backward()
    for name, parameter in model.named_parameters():
        assert float(parameter.grad.abs().max()) > 0, name


def test_the_encoders_are_those_of_scvi_and_the_decoder_has_fewer_weights():
    linear, deep = a_model(), SCVI(GENES, BATCHES, library_prior=None, n_latent=2, hidden=(5,))

    def shapes(model):
        return {n: tuple(w.shape) for n, w in model.state_dict().items() if not n.startswith("decoder.")}

    assert shapes(linear) == shapes(deep)
    assert linear.decoder.to_rho.weight.shape == (6, 2 + 3)
    lines = inspect.getsource(type(linear.decoder).__init__).splitlines()
    assert len(lines) <= 8  # "a five-line change of our decoder", its signature included


# The course's tools --------------------------------------------------------------------------------------------------


def programmes(n_cells: int = 1_500, n_genes: int = 60, seed: int = 0):
    """Counts from two linear programmes of genes, two batches: data, and what was put in, (N, 2) and (G, 2)."""
    random = np.random.default_rng(seed)
    z, batch = random.normal(size=(n_cells, 2)), random.integers(2, size=n_cells)
    w = np.zeros((n_genes, 2))
    w[:15, 0], w[15:30, 1] = 1.0, 0.7
    shift = random.normal(0, 0.5, n_genes)  # of the second batch
    rho = scipy.special.softmax(z @ w.T + batch[:, None] * shift + random.normal(0, 0.7, n_genes), axis=1)
    library = random.lognormal(7, 0.3, (n_cells, 1))
    mu = library * rho
    data = AnnData(random.poisson(mu * random.gamma(10, 1 / 10, mu.shape)).astype(np.float32))
    data.obs["batch"] = np.array(["one", "two"])[batch]
    return data, z, w


@pytest.mark.slow
def test_training_finds_the_programmes_that_were_put_in():
    data, z, w = programmes()
    cells = cells_from_counts(data, batch_key="batch")
    torch.manual_seed(0)
    model = LinearSCVI(cells.genes, cells.batches, library_prior=None, n_latent=2, gene_likelihood="nb")
    start_at_profile(model.decoder, cells)
    history = fit(
        model, cells, epochs=40, one_cycle=True, lr=2e-2, eps=0.01, weight_decay=1e-6, seed=0, progress=False
    )  # fmt: skip
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    found, truth = (each - each.mean(0) for each in (model.loadings.numpy(), w))  # a softmax sees no constant
    angles = np.rad2deg(scipy.linalg.subspace_angles(found, truth))
    assert angles.max() < 5  # the same plane of programmes; which axes span it, N(0, I) does not say
    codes = get_latent_representation(model, cells)
    fitted = np.c_[codes, np.ones(len(codes))] @ np.linalg.lstsq(np.c_[codes, np.ones(len(codes))], z, rcond=None)[0]
    assert (1 - ((z - fitted) ** 2).sum(0) / ((z - z.mean(0)) ** 2).sum(0)).min() > 0.9
    spread = [w_ @ np.linalg.cholesky(np.cov(z_.T)) for w_, z_ in ((found, codes), (truth, z))]  # of log ρ, over cells
    sizes = [np.linalg.svd(each, compute_uv=False) for each in spread]
    np.testing.assert_allclose(*sizes, rtol=0.1)


def test_what_is_asked_of_scvi_is_answered():
    data, *_ = programmes(120, 12)
    cells = cells_from_counts(data, batch_key="batch")
    torch.manual_seed(0)
    model = LinearSCVI(cells.genes, cells.batches, library_prior=None, n_latent=2, hidden=(8,))
    fit(model, cells, epochs=1, seed=0, progress=False)
    rho = get_normalized_expression(model, cells, transform_batch="one")
    np.testing.assert_allclose(np.asarray(rho).sum(1), 1, rtol=1e-5)
    groups = (np.arange(120) < 60, np.arange(120) >= 60)
    assert len(differential_expression(model, cells, *groups, n_samples=10)) == 12
    assert posterior_predictive_sample(model, cells, 2).shape == (2, 120, 12)


def test_rho_starts_at_the_mean_profile():
    x = torch.tensor([[999.0, 0.0, 9.0], [1000.0, 0.0, 90.0]])
    cells = cells_by_hand(x)
    model = LinearSCVI(cells.genes, library_prior=None, n_latent=2)
    before = weights_of(model)
    start_at_profile(model.decoder, cells)
    np.testing.assert_allclose(
        model.decoder.to_rho.bias.softmax(-1).detach(), np.array([2000, 1, 100]) / 2101, rtol=1e-5
    )
    moved = {name for name, value in weights_of(model).items() if not torch.equal(value, before[name])}
    assert moved == {"decoder.to_rho.bias"}


def test_the_learned_library_is_in_the_bound(monkeypatch):
    model, cells = a_model(library_prior=PRIOR), some_cells()
    bound = model.elbo(cells)
    q = model.encode_library(cells.x)
    prior = Normal(PRIOR.mean[cells.batch][:, None], PRIOR.sd[cells.batch][:, None])
    expected = (prior.scale / q.scale).log() + (q.variance + (q.mean - prior.mean) ** 2) / (2 * prior.variance) - 0.5
    torch.testing.assert_close(bound.kl_library, expected.squeeze(1))


@pytest.mark.parametrize(
    "choices, error, message",
    [
        ({"gene_likelihood": "normal"}, ValueError, r"gene_likelihood: expected .*, found 'normal'"),
        ({"dispersion": "gene-cell"}, ValueError, r"dispersion: expected .*, found 'gene-cell'"),
        ({"hidden": ()}, ValueError, r"hidden: expected at least one hidden layer, found none"),
        ({"n_latent": 0}, ValueError, r"n_latent: expected a whole number ≥ 1, found 0"),
        ({"dropout": 1.0}, ValueError, r"dropout: expected"),
        ({"decoder_dropout": 0.1}, TypeError, "decoder_dropout"),
        ({"library_prior": 3.0}, TypeError, r"library_prior: expected a LibraryPrior or None, found float"),
    ],
)
def test_what_cannot_be_is_refused_by_name(choices, error, message):
    with pytest.raises(error, match=message):
        LinearSCVI(GENES, BATCHES, **({"library_prior": None} | choices))
