"""Full scVI: its terms by hand, its bound against evidence by quadrature, its priors, and what it learns."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from course_lib.data.cells import Cells, cells_from_counts, log_total
from course_lib.data.scvi_process import simulate
from course_lib.models.scvi import SCVI, LibraryPrior, log_library_moments
from course_lib.probability.bounds import iwae
from course_lib.probability.quadrature import Grid
from course_lib.training.fit import fit

GENES, BATCHES = tuple("abcdef"), ("first", "second", "third")
PRIOR = LibraryPrior(torch.tensor([2.5, 3.5, 3.0]), torch.tensor([0.4, 0.6, 0.5]))


def a_model(gene_likelihood: str = "zinb", library_prior: LibraryPrior | None = PRIOR, n_latent: int = 2) -> SCVI:
    """Random weights, larger than at the start of training, so that z and s matter; BatchNorm has seen cells."""
    torch.manual_seed(0)
    model = SCVI(
        GENES,
        BATCHES,
        library_prior=library_prior,
        n_latent=n_latent,
        hidden=(5, 4),
        dropout=0.4,
        gene_likelihood=gene_likelihood,
    )
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.running_mean.normal_(0.3, 0.2)
                part.running_var.uniform_(0.2, 0.8)
        for layer in model.decoder.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(2)
        if gene_likelihood != "poisson":
            model.decoder.log_theta.copy_(torch.linspace(-1, 2, len(GENES)))
        model.z_encoder.to_log_variance.bias.fill_(-0.7)
    return model.eval()


def some_cells(n: int = 5, dtype: torch.dtype = torch.float32) -> Cells:
    x = np.random.default_rng(0).poisson(2, (n, len(GENES))) * (1 + np.arange(len(GENES)) % 3)
    return Cells(torch.from_numpy(x).to(dtype), torch.arange(n) % len(BATCHES), GENES, BATCHES)


def by_hand(model: SCVI, cells: Cells, z, log_library):
    """What the model's words say, in NumPy and SciPy: moments of both q, ρ, and log p(x∣z, ℓ, s)."""
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}

    def affine(name, h):
        return h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def encoder(name):
        h = np.log1p(x)
        for linear, norm in ((0, 1), (4, 5)):  # Linear, BatchNorm, ReLU, Dropout
            h = affine(f"{name}.trunk.{linear}", h)
            norm = f"{name}.trunk.{norm}"
            h = (h - weights[f"{norm}.running_mean"]) / np.sqrt(weights[f"{norm}.running_var"] + 1e-3)
            h = np.maximum(h * weights[f"{norm}.weight"] + weights[f"{norm}.bias"], 0)
        return affine(f"{name}.to_mu", h), np.exp(affine(f"{name}.to_log_variance", h) / 2) + 1e-4

    x = cells.x.double().numpy()
    q = {"z": encoder("z_encoder")}
    if model.learns_library:
        q["library"] = encoder("library_encoder")
    h = np.concatenate([z, np.eye(len(BATCHES))[cells.batch.numpy()]], axis=1)
    for name in ("decoder.trunk.0", "decoder.trunk.2"):
        h = np.maximum(affine(name, h), 0)
    rho = scipy.special.softmax(affine("decoder.to_rho", h), axis=-1)
    mu = np.exp(log_library) * rho
    if model.decoder.gene_likelihood == "poisson":
        return q, rho, scipy.stats.poisson(mu).logpmf(x).sum(1)
    theta = np.exp(weights["decoder.log_theta"])
    log_p = scipy.stats.nbinom(theta, theta / (theta + mu)).logpmf(x)
    if model.decoder.gene_likelihood == "zinb":
        pi = scipy.special.expit(affine("decoder.to_zi_logits", h))
        log_p = np.log(pi * (x == 0) + (1 - pi) * np.exp(log_p))
    return q, rho, log_p.sum(1)


# ------------------------------------------------------------------------------------------------------- the bound


@pytest.mark.parametrize("gene_likelihood", ["zinb", "nb", "poisson"])
@pytest.mark.parametrize("library_prior", [PRIOR, None], ids=["learned", "observed"])
def test_the_elbo_is_what_its_equation_says(gene_likelihood, library_prior, monkeypatch):
    model, cells = a_model(gene_likelihood, library_prior), some_cells()
    assert bool((cells.x == 0).any())
    z, noise = torch.randn(5, 2), torch.randn(5, 1)
    log_library = log_total(cells.x) if library_prior is None else 3 + 0.3 * noise
    monkeypatch.setattr(Normal, "rsample", lambda q, shape=(): z if q.batch_shape == (5, 2) else log_library)
    q, rho, log_p = by_hand(model, cells, z.double().numpy(), log_library.double().numpy())
    bound = model.elbo(cells)
    np.testing.assert_allclose(bound.reconstruction.detach(), log_p, rtol=1e-5)
    mean, sd = q["z"]
    kl_z = (sd**2 + mean**2 - 1 - 2 * np.log(sd)).sum(1) / 2
    np.testing.assert_allclose(bound.kl_z.detach(), kl_z, rtol=1e-5)
    expected = -log_p + kl_z
    if library_prior is None:
        assert bound.kl_library is None
    else:
        kl_library = [
            kl_by_quadrature(scipy.stats.norm(*at), scipy.stats.norm(float(PRIOR.mean[s]), float(PRIOR.sd[s])))
            for *at, s in zip(*(part.squeeze(1) for part in q["library"]), cells.batch, strict=True)
        ]
        np.testing.assert_allclose(bound.kl_library.detach(), kl_library, rtol=1e-4)
        expected = expected + kl_library
    np.testing.assert_allclose(bound.value.detach(), -expected, rtol=1e-5)
    assert float(model.loss(cells)["loss"].detach()) == pytest.approx(float(expected.mean()), rel=1e-5)
    halved = float(model.loss(cells, kl_weight=0.5)["loss"].detach())
    assert halved == pytest.approx(float((expected - kl_z / 2).mean()), rel=1e-5)
    mu = model.decode(z, log_library, cells.batch).base_dist.mu.detach()
    np.testing.assert_allclose(mu / log_library.exp(), rho, rtol=1e-5)
    np.testing.assert_allclose(mu.sum(1), log_library.exp().squeeze(1), rtol=1e-5)  # each row of ρ sums to one


def kl_by_quadrature(q, p):
    low, high = q.ppf(1e-14), q.ppf(1 - 1e-14)
    return scipy.integrate.quad(lambda t: q.pdf(t) * (q.logpdf(t) - p.logpdf(t)), low, high, limit=200)[0]


def evidence_by_quadrature(model: SCVI, cells: Cells) -> torch.Tensor:
    """log p(x∣s), or log p(x∣s, Σx): the integral over z (one dimension), and over log ℓ where it is latent."""
    z = Grid(-8, 8, 161)
    log_pz = torch.from_numpy(scipy.stats.norm.logpdf(z.z.numpy()))
    evidence = []
    for i in range(len(cells)):
        s = int(cells.batch[i])
        if not model.learns_library:
            log_px = model.decode(z.z.view(-1, 1, 1), log_total(cells.x[i : i + 1]), cells.batch[i : i + 1])
            evidence.append(z.log_integral(log_px.log_prob(cells.x[i]).squeeze(-1) + log_pz))
            continue
        mean, sd = float(PRIOR.mean[s]), float(PRIOR.sd[s])
        ell = Grid(mean - 8 * sd, mean + 8 * sd, 161)
        log_prior = torch.from_numpy(scipy.stats.norm(mean, sd).logpdf(ell.z.numpy()))
        p = model.decode(z.z.view(-1, 1, 1, 1), ell.z.view(-1, 1, 1), cells.batch[i : i + 1])
        inner = ell.log_integral(p.log_prob(cells.x[i]).squeeze(-1) + log_prior)  # (K,): ℓ integrated out
        evidence.append(z.log_integral(inner + log_pz))
    return torch.stack(evidence)


@pytest.mark.parametrize("gene_likelihood", ["zinb", "nb"])
@pytest.mark.parametrize("library_prior", [PRIOR, None], ids=["learned", "observed"])
def test_the_bound_tightens_to_the_exact_evidence(gene_likelihood, library_prior):
    model = a_model(gene_likelihood, library_prior, n_latent=1).double()
    cells, n = some_cells(6, torch.float64), 20_000
    torch.manual_seed(1)
    with torch.no_grad():
        evidence = evidence_by_quadrature(model, cells)
        log_weights = model.log_weights(cells, n)
        elbos = torch.stack([model.elbo(cells).value for _ in range(500)])
    assert log_weights.shape == (n, 6)
    weights = (log_weights - evidence).exp()  # their mean is one, whatever q is
    assert bool((((weights.mean(0) - 1) / (weights.std(0) / n**0.5)).abs() < 4).all())
    torch.testing.assert_close(iwae(log_weights), evidence, rtol=0, atol=0.1)
    assert bool((elbos.mean(0) + 4 * elbos.std(0) / 500**0.5 < evidence).all())
    # The ELBO is the mean log-weight: the two methods draw from the same q and score the same densities.
    apart = elbos.mean(0) - log_weights.mean(0)
    assert bool((apart.abs() < 4 * (elbos.var(0) / 500 + log_weights.var(0) / n) ** 0.5).all())


# ------------------------------------------------------------------------------------------------ the library size


def test_the_prior_of_the_library_has_the_moments_of_log_totals_in_each_batch():
    cells = cells_from_counts(simulate(300, 30, n_changed=2, log_library_means=(6.0, 8.0)), batch_key="batch")
    prior, totals = log_library_moments(cells), np.log(cells.x.double().numpy().sum(1))
    for s in range(2):
        own = totals[cells.batch.numpy() == s]
        assert float(prior.mean[s]) == pytest.approx(own.mean(), rel=1e-5)
        assert float(prior.sd[s]) == pytest.approx(own.std(ddof=1), rel=1e-4)
    model = SCVI(cells.genes, cells.batches, library_prior=prior)
    p = model.prior_library(cells.batch)
    assert p.batch_shape == (300, 1)
    torch.testing.assert_close(p.mean.squeeze(1), prior.mean[cells.batch])
    torch.testing.assert_close(p.stddev.squeeze(1), prior.sd[cells.batch])


def test_the_encoder_of_the_library_starts_near_the_prior():
    cells = cells_from_counts(simulate(300, 30, n_changed=2, log_library_means=(9.0, 9.4)), batch_key="batch")
    prior = log_library_moments(cells)
    torch.manual_seed(0)
    model = SCVI(cells.genes, cells.batches, library_prior=prior)
    q = model.encode_library(cells.x)  # training mode: BatchNorm standardises, as in the first step
    assert float(q.mean.mean().detach()) == pytest.approx(float(prior.mean.mean()), abs=0.3)  # it would be 0 otherwise
    assert float(q.stddev.log().mean().exp().detach()) == pytest.approx(float(prior.sd.mean()), rel=0.2)  # and 1
    assert float(kl_divergence(q, model.prior_library(cells.batch)).mean().detach()) < 5


def cells_with_totals(*totals: int, batches: int = 1) -> Cells:
    x = torch.tensor([[float(total), 0.0] for total in totals])
    return Cells(x, torch.arange(len(totals)) % batches, ("a", "b"), tuple("rst"[:batches]))


@pytest.mark.parametrize(
    "cells, message",
    [
        (cells_with_totals(5), "batch 'r' has 1 cells with 1 different totals"),
        # Rounding gives equal numbers a spread of 1e-7, or none, as their count has it.
        *((cells_with_totals(*[123] * n), f"batch 'r' has {n} cells with 1 different totals") for n in (7, 50, 99)),
        (cells_with_totals(5, 7, 6, 7, batches=2), "batch 's' has 2 cells with 1 different totals"),
        (cells_with_totals(5, 7, batches=3), "batch 'r' has 1 cells"),
    ],
)
def test_a_batch_without_a_spread_of_totals_is_refused(cells, message):
    with pytest.raises(ValueError, match=message) as error:
        log_library_moments(cells)
    assert "library_prior=None" in str(error.value)


def test_loading_a_state_leaves_the_prior_that_another_model_was_built_with():
    prior = LibraryPrior(torch.tensor([1.0]), torch.tensor([0.5]))
    first, second = (SCVI(GENES, library_prior=prior, hidden=(4,)) for _ in range(2))
    other = SCVI(GENES, library_prior=LibraryPrior(torch.tensor([7.0]), torch.tensor([0.2])), hidden=(4,))
    first.load_state_dict(other.state_dict())
    assert float(first.prior_library(torch.tensor([0])).mean) == 7
    assert float(second.prior_library(torch.tensor([0])).mean) == float(prior.mean) == 1


# ------------------------------------------------------------------------------------------------------ the networks


def test_the_decoder_sees_the_batch_and_the_encoders_do_not():
    model, cells = a_model(), some_cells()
    elsewhere = Cells(cells.x, (cells.batch + 1) % 3, cells.genes, cells.batches)
    z = torch.randn(5, 2)
    here, there = (model.decode(z, log_total(c.x), c.batch).base_dist for c in (cells, elsewhere))
    assert bool(((here.mu - there.mu).abs().sum(1) > 1e-3).all())
    assert bool(((here.zi_logits - there.zi_logits).abs().sum(1) > 1e-3).all())
    torch.testing.assert_close(here.theta, there.theta)
    bounds = [model.elbo(c) for c in (cells, elsewhere)]
    torch.testing.assert_close(bounds[0].kl_z, bounds[1].kl_z)  # q(z∣x) is the same
    assert bool(((bounds[0].kl_library - bounds[1].kl_library).abs() > 1e-3).all())  # its prior is not
    for encoder in (model.z_encoder, model.library_encoder):
        assert encoder.trunk[0].in_features == len(GENES)


def test_samples_of_z_stand_before_the_cells_and_each_keeps_its_batch():
    model, cells = a_model(), some_cells()
    z, log_library = torch.randn(3, 5, 2), torch.randn(3, 5, 1)
    p = model.decode(z, log_library, cells.batch)
    assert p.batch_shape == (3, 5)
    assert p.event_shape == (6,)
    for k in range(3):
        alone = model.decode(z[k], log_library[k], cells.batch)
        torch.testing.assert_close(p.log_prob(cells.x)[k], alone.log_prob(cells.x))
    for i in range(5):  # and a cell decodes the same in other company
        alone = model.decode(z[0, i : i + 1], log_library[0, i : i + 1], cells.batch[i : i + 1])
        torch.testing.assert_close(p.base_dist.mu[0, i], alone.base_dist.mu[0])


@pytest.mark.parametrize(
    "gene_likelihood, has_theta, has_pi", [("zinb", True, True), ("nb", True, False), ("poisson", False, False)]
)
@pytest.mark.parametrize("library_prior", [PRIOR, None], ids=["learned", "observed"])
def test_parameters_exist_where_they_are_used_and_all_are_learned(gene_likelihood, has_theta, has_pi, library_prior):
    model = a_model(gene_likelihood, library_prior).train()
    names = set(model.state_dict())
    assert ("decoder.log_theta" in names) == has_theta
    assert ("decoder.to_zi_logits.weight" in names) == has_pi
    for part in ("library_mean", "library_sd", "library_encoder.to_mu.weight"):
        assert (part in names) == (library_prior is not None)
    model.loss(some_cells(60))["loss"].backward()
    for name, parameter in model.named_parameters():
        assert float(parameter.grad.abs().max()) > 0, name
    assert (
        type(model.decode(torch.zeros(5, 2), torch.zeros(5, 1), torch.zeros(5).long()).base_dist).__name__
        == ({"zinb": "ZeroInflatedNegativeBinomial", "nb": "NegativeBinomial", "poisson": "Poisson"}[gene_likelihood])
    )


def test_the_encoders_standardise_and_drop_out_while_training_only_and_the_decoder_never():
    model, cells = a_model(), some_cells()
    for encode in (model.encode, model.encode_library):
        torch.testing.assert_close(encode(cells.x).mean, encode(cells.x).mean)
        torch.testing.assert_close(encode(cells.x).mean[:2], encode(cells.x[:2]).mean)  # company does not matter
        model.train()
        assert not torch.equal(encode(cells.x).mean, encode(cells.x).mean)
        model.eval()
    kinds = {type(part).__name__ for part in model.decoder.modules()}
    assert not kinds & {"Dropout", "BatchNorm1d"}
    assert [type(part).__name__ for part in model.z_encoder.trunk[:4]] == ["Linear", "BatchNorm1d", "ReLU", "Dropout"]


def test_a_saved_model_comes_back():
    model, cells = a_model(), some_cells()
    other_prior = LibraryPrior(torch.zeros(3), torch.ones(3))
    other = SCVI(GENES, BATCHES, library_prior=other_prior, n_latent=2, hidden=(5, 4)).eval()
    other.load_state_dict(model.state_dict())
    results = []
    for m in (model, other):
        torch.manual_seed(3)
        results.append(m.log_weights(cells, 4))
    torch.testing.assert_close(*results)


# --------------------------------------------------------------------------------------------------------- learning


def test_it_learns_library_sizes_profile_and_dispersion_of_one_kind_of_cell():
    data = simulate(
        1_000, 25, n_types=1, n_changed=0, batch_sd=0, dropout=0, log_library_means=(6.0,), log_library_sd=0.5, seed=3
    )
    cells = cells_from_counts(data)
    torch.manual_seed(0)
    model = SCVI(
        cells.genes,
        library_prior=log_library_moments(cells),
        n_latent=2,
        hidden=(32,),
        dropout=0,
        gene_likelihood="nb",
    )
    history = fit(model, cells, epochs=30, lr=2e-2, progress=False)
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0] - 3
    assert {"train_kl_z", "train_kl_library"} <= set(history)
    with torch.no_grad():
        rho = model.decode(torch.zeros(1, 2), torch.zeros(1, 1), torch.tensor([0])).base_dist.mu.squeeze(0).numpy()
        log_theta = model.decoder.log_theta.numpy()
        log_library = model.encode_library(cells.x).mean.squeeze(1).numpy()
    seen = data.X.mean(axis=0) > 5  # the dispersion of a gene that hardly occurs cannot be known
    assert seen.sum() > 10
    np.testing.assert_allclose(rho[seen], data.layers["rho"][0][seen], rtol=0.25)
    assert float(np.median(np.abs(log_theta - np.log(data.var["theta"]))[seen])) < 0.2
    error_of = [np.log(data.obs["library"]) - guess for guess in (log_library, np.log(data.X.sum(axis=1)))]
    assert error_of[0].std() < error_of[1].std()  # the posterior knows ℓ better than the total count does


# ------------------------------------------------------------------------------------------------------------ refusals


def test_impossible_models_are_refused():
    with pytest.raises(ValueError, match="gene_likelihood: expected 'zinb', 'nb' or 'poisson', found 'gauss'"):
        SCVI(GENES, library_prior=None, gene_likelihood="gauss")
    with pytest.raises(ValueError, match=r"library_prior: expected one mean and one sd for each of the 2 batches"):
        SCVI(GENES, ("r", "s"), library_prior=PRIOR)
    with pytest.raises(ValueError, match=r"found shapes \(1,\) and \(\)"):
        SCVI(GENES, library_prior=LibraryPrior(torch.tensor([1.0]), torch.tensor(0.5)))
    with pytest.raises(ValueError, match="dropout: expected 0 ≤ dropout < 1, found 1"):
        SCVI(GENES, library_prior=None, dropout=1.0)


def test_the_model_knows_its_genes_and_batches_by_name():
    model = SCVI(list(GENES), list(BATCHES), library_prior=None)
    assert model.genes == GENES
    assert model.batches == BATCHES
    assert "learns_library=False" in repr(model)
    assert "n_batches=3" in repr(model)
