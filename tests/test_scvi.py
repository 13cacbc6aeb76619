"""Full scVI: its terms by hand, its bound against evidence by quadrature, its priors, and what it learns."""

from dataclasses import replace

import numpy as np
import pandas
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from small import cells_by_hand, weights_in_numpy, weights_of
from torch import nn
from torch.distributions import Normal, kl_divergence

from course_lib.analysis.differential_expression import differential_expression
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import (
    get_latent_library_size,
    get_marginal_ll,
    get_normalized_expression,
    posterior_predictive_sample,
)
from course_lib.data.cells import Cells, cells_from_counts, log_total
from course_lib.data.scvi_process import simulate
from course_lib.models.scvi import SCVI, LibraryPrior, log_library_moments, start_at_profile
from course_lib.probability.bounds import iwae
from course_lib.probability.quadrature import Grid
from course_lib.training.fit import fit

GENES, BATCHES = tuple("abcdef"), ("first", "second", "third")
PRIOR = LibraryPrior(torch.tensor([2.5, 3.5, 3.0]), torch.tensor([0.4, 0.6, 0.5]))


def a_model(gene_likelihood="zinb", library_prior=PRIOR, n_latent=2, hidden=(5, 4), **choices) -> SCVI:
    """Random weights, larger than at the start of training, so that z and s matter; BatchNorm has seen cells."""
    torch.manual_seed(0)
    model = SCVI(
        GENES,
        BATCHES,
        library_prior=library_prior,
        n_latent=n_latent,
        hidden=hidden,
        dropout=0.4,
        gene_likelihood=gene_likelihood,
        **choices,
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
            log_theta = model.decoder.log_theta
            log_theta.copy_(torch.linspace(-1, 2, log_theta.numel()).view(log_theta.shape))
        model.z_encoder.to_log_variance.bias.fill_(-0.7)
    return model.eval()


def some_cells(n: int = 5, dtype: torch.dtype = torch.float32) -> Cells:
    x = np.random.default_rng(0).poisson(2, (n, len(GENES))) * (1 + np.arange(len(GENES)) % 3)
    return Cells(torch.from_numpy(x).to(dtype), torch.arange(n) % len(BATCHES), GENES, BATCHES)


def by_hand(model: SCVI, cells: Cells, z, log_library):
    """What the model's words say, in NumPy and SciPy: moments of both q, ρ, and log p(x∣z, ℓ, s)."""
    weights = weights_in_numpy(model)

    def affine(name, h):
        return h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def trunk(name, h, sees_batch):
        """Linear, BatchNorm, ReLU, Dropout, Linear, …: what stands there, in its order, in evaluation mode."""
        for place, layer in enumerate(model.get_submodule(name)):
            at = f"{name}.{place}"
            if isinstance(layer, nn.Linear):
                h = affine(at, np.concatenate([h, s], axis=1) if sees_batch else h)
            elif isinstance(layer, nn.BatchNorm1d):
                h = (h - weights[f"{at}.running_mean"]) / np.sqrt(weights[f"{at}.running_var"] + 1e-3)
                h = h * weights[f"{at}.weight"] + weights[f"{at}.bias"]
            elif isinstance(layer, nn.ReLU):
                h = np.maximum(h, 0)
        return h

    def encoder(name):
        h = trunk(f"{name}.trunk", np.log1p(x), model.encodes_batch)
        return affine(f"{name}.to_mu", h), np.sqrt(np.exp(affine(f"{name}.to_log_variance", h)) + 1e-4)

    x, s = cells.x.double().numpy(), np.eye(len(BATCHES))[cells.batch.numpy()]
    q = {"z": encoder("z_encoder")}
    if model.learns_library:
        q["library"] = encoder("library_encoder")
    h = trunk("decoder.trunk", z, sees_batch=True)
    rho = scipy.special.softmax(affine("decoder.to_rho", h), axis=-1)
    mu = np.exp(log_library) * rho
    if model.decoder.gene_likelihood == "poisson":
        return q, rho, scipy.stats.poisson(mu).logpmf(x).sum(1)
    theta = np.exp(weights["decoder.log_theta"])
    if model.decoder.dispersion == "gene-batch":
        theta = theta[cells.batch.numpy()]
    log_p = scipy.stats.nbinom(theta, theta / (theta + mu)).logpmf(x)
    if model.decoder.gene_likelihood == "zinb":
        pi = scipy.special.expit(affine("decoder.to_zi_logits", h))
        log_p = np.log(pi * (x == 0) + (1 - pi) * np.exp(log_p))
    return q, rho, log_p.sum(1)


# ------------------------------------------------------------------------------------------------------- the bound


PAPERS = {"batch_norm": "both", "decoder_dropout": 0.3, "encode_batch": True, "dispersion": "gene-batch"}
CHOICES = [
    {},
    {"hidden": (5,)},
    {"hidden": (5, 4, 3)},
    {"batch_norm": "none"},
    {"batch_norm": "decoder"},
    {"encode_batch": True},
    {"dispersion": "gene-batch"},
    PAPERS,
]


@pytest.mark.parametrize("choices", CHOICES, ids=str)
@pytest.mark.parametrize("gene_likelihood", ["zinb", "nb", "poisson"])
@pytest.mark.parametrize("library_prior", [PRIOR, None], ids=["learned", "observed"])
def test_the_elbo_is_what_its_equation_says(gene_likelihood, library_prior, choices, monkeypatch):
    model, cells = a_model(gene_likelihood, library_prior, **choices), some_cells()
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
        np.testing.assert_allclose(bound.kl_library.detach(), kl_library, rtol=1e-4, atol=1e-7)  # single precision
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


def test_rho_starts_at_the_mean_profile_of_the_cells_and_nothing_else_moves():
    x = torch.tensor([[999.0, 0.0, 9.0], [1000.0, 0.0, 90.0]])  # with a molecule for each gene: 2000, 1, 100
    cells = cells_by_hand(x)
    model = SCVI(cells.genes, library_prior=None, n_latent=2)
    before = weights_of(model)
    start_at_profile(model.decoder, cells)
    start = model.decoder.to_rho.bias.softmax(-1)
    np.testing.assert_allclose(start.detach(), np.array([2000, 1, 100]) / 2101, rtol=1e-5)
    moved = {name for name, value in weights_of(model).items() if not torch.equal(value, before[name])}
    assert moved == {"decoder.to_rho.bias"}


def cells_with_totals(*totals: int, batches: int = 1) -> Cells:
    x = torch.tensor([[float(total), 0.0] for total in totals])
    return cells_by_hand(x, torch.arange(len(totals)) % batches, batches="rst"[:batches])


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
    elsewhere = replace(cells, batch=(cells.batch + 1) % 3)
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


def test_encoders_that_see_the_batch_answer_for_each_batch_and_insist_on_it():
    model, cells = a_model(encode_batch=True), some_cells()
    for encode in (model.encode, model.encode_library):
        here, there = (encode(cells.x, batch).mean for batch in (cells.batch, (cells.batch + 1) % 3))
        assert bool(((here - there).abs().sum(1) > 1e-4).all())
        with pytest.raises(ValueError, match=r"batch: expected codes \(N,\).*found None; cells.batch is it"):
            encode(cells.x)
    first = model.z_encoder.trunk[0]
    assert first.in_features == len(GENES) + len(BATCHES)  # the counts, then the batch
    with torch.no_grad():
        first.weight[:, len(GENES) :] = 0
        model.z_encoder.trunk[4].weight[:, 5:] = 0
    torch.testing.assert_close(model.encode(cells.x, cells.batch).mean, model.encode(cells.x, 0 * cells.batch).mean)


def test_analysis_tells_the_encoders_the_batch_of_each_cell():
    model, cells = a_model(encode_batch=True), some_cells()
    with torch.no_grad():
        q, q_library = model.encode(cells.x, cells.batch), model.encode_library(cells.x, cells.batch)
    np.testing.assert_allclose(get_latent_representation(model, cells), q.mean, rtol=1e-6)
    library = (q_library.mean + q_library.variance / 2).exp().squeeze(1)
    np.testing.assert_allclose(get_latent_library_size(model, cells), library, rtol=1e-6)
    with torch.no_grad():
        rho = model.decode(q.mean, 0 * cells.x[:, :1], cells.batch).base_dist.mu
    np.testing.assert_allclose(get_normalized_expression(model, cells), rho, rtol=1e-5)
    model.epochs_trained = 1  # random weights will do here
    groups = (np.arange(5) < 2, np.arange(5) >= 2)
    assert len(differential_expression(model, cells, *groups, n_samples=10)) == len(GENES)
    assert posterior_predictive_sample(model, cells, 2).shape == (2, 5, 6)
    assert get_marginal_ll(model, cells, 3).shape == (5,)


@pytest.mark.parametrize("hidden", [(5,), (5, 4), (5, 4, 3)])
def test_the_decoder_takes_the_widths_in_reverse_and_the_encoder_of_the_library_the_first(hidden):
    model = a_model(hidden=hidden)

    def outputs(trunk):
        return tuple(layer.out_features for layer in trunk if isinstance(layer, nn.Linear))

    assert outputs(model.z_encoder.trunk) == hidden
    assert outputs(model.decoder.trunk) == hidden[::-1]
    assert outputs(model.library_encoder.trunk) == (5,)
    assert model.decoder.to_rho.in_features == 5
    seen = [layer.in_features for layer in model.decoder.trunk if isinstance(layer, nn.Linear)]
    assert seen == [3 + n for n in (2, *hidden[:0:-1])]  # every layer sees the three batches


def test_a_dispersion_of_each_batch_moves_the_variance_of_its_own_cells_only():
    model, cells = a_model(dispersion="gene-batch"), some_cells()
    z, log_library = torch.randn(4, 5, 2), torch.full((4, 5, 1), 3.0)
    before = model.decode(z, log_library, cells.batch).base_dist
    assert model.decoder.log_theta.shape == (3, 6)
    with torch.no_grad():
        model.decoder.log_theta[1] += 1
    after = model.decode(z, log_library, cells.batch).base_dist
    torch.testing.assert_close(after.mu, before.mu)
    ratio = (after.theta / before.theta).detach()  # (N, G)
    expected = torch.where(cells.batch == 1, np.e, 1.0).unsqueeze(1).expand(5, 6)
    torch.testing.assert_close(ratio, expected.to(ratio.dtype))


DROPS, STANDARDISES = "Dropout", "BatchNorm"


@pytest.mark.parametrize(
    "choices, encoders, decoder",
    [
        ({}, {DROPS, STANDARDISES}, set()),
        ({"batch_norm": "none"}, {DROPS}, set()),
        ({"batch_norm": "decoder"}, {DROPS}, {STANDARDISES}),
        ({"batch_norm": "both", "decoder_dropout": 0.25}, {DROPS, STANDARDISES}, {DROPS, STANDARDISES}),
        ({"decoder_dropout": 0.25, "batch_norm": "none"}, {DROPS}, {DROPS}),
    ],
)
def test_batch_norm_and_dropout_stand_on_the_side_that_was_asked_for(choices, encoders, decoder):
    model = a_model(**choices)
    for network, expected in ((model.z_encoder, encoders), (model.library_encoder, encoders), (model.decoder, decoder)):
        kinds = [type(part).__name__ for part in network.trunk]
        assert set(kinds) - {"Linear", "ReLU"} == expected
        layer = ["Linear", *[STANDARDISES] * (STANDARDISES in expected), "ReLU", *[DROPS] * (DROPS in expected)]
        assert kinds[: len(layer)] == layer
    rates = {part.p for part in model.decoder.modules() if isinstance(part, nn.Dropout)}
    assert rates == ({0.25} if DROPS in decoder else set())
    assert {part.p for part in model.z_encoder.modules() if isinstance(part, nn.Dropout)} == {0.4}


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_each_side_standardises_and_drops_out_while_training_only(side):
    rate = {"decoder_dropout": 0.5} if side == "decoder" else {}
    model, cells = a_model(batch_norm=side, **rate), some_cells()
    z, log_library = torch.randn(5, 2), torch.full((5, 1), 3.0)

    def decode(x):
        return model.decode(z[: len(x)], log_library[: len(x)], cells.batch[: len(x)]).base_dist

    asked = [model.encode, model.encode_library] if side == "encoder" else [decode]
    for ask in asked:
        torch.testing.assert_close(ask(cells.x).mean, ask(cells.x).mean)
        torch.testing.assert_close(ask(cells.x).mean[:2], ask(cells.x[:2]).mean)  # company does not matter
        model.train()
        assert not torch.equal(ask(cells.x).mean, ask(cells.x).mean)
        model.eval()


@pytest.mark.parametrize("batch_norm", ["none", "both"])
def test_each_dropout_is_felt_alone(batch_norm):
    """Without the other side's: what varies from call to call is this side's own."""
    cells = some_cells()
    model = SCVI(GENES, BATCHES, library_prior=PRIOR, hidden=(50,), dropout=0.0, decoder_dropout=0.5,
                 batch_norm=batch_norm).train()  # fmt: skip
    torch.testing.assert_close(model.encode(cells.x).mean, model.encode(cells.x).mean)
    z, log_library = torch.randn(5, 10), torch.zeros(5, 1)
    first, second = (model.decode(z, log_library, cells.batch).base_dist.mu for _ in range(2))
    assert not torch.equal(first, second)
    model = SCVI(GENES, BATCHES, library_prior=PRIOR, hidden=(50,), dropout=0.5, batch_norm=batch_norm).train()
    assert not torch.equal(model.encode(cells.x).mean, model.encode(cells.x).mean)
    assert not torch.equal(model.encode_library(cells.x).mean, model.encode_library(cells.x).mean)
    first, second = (model.decode(z, log_library, cells.batch).base_dist.mu for _ in range(2))
    torch.testing.assert_close(first, second)


def test_a_decoder_with_batch_norm_standardises_samples_and_cells_together():
    model, cells = a_model(batch_norm="both"), some_cells()
    z, log_library = torch.randn(3, 5, 2), torch.randn(3, 5, 1)
    together = model.decode(z, log_library, cells.batch).base_dist.mu
    alone = torch.stack([model.decode(z[k], log_library[k], cells.batch).base_dist.mu for k in range(3)])
    torch.testing.assert_close(together, alone)  # (K, N, G), in evaluation mode
    model.train()
    flat = model.decoder.trunk[1].running_mean.clone()
    model.decode(z, log_library, cells.batch)
    hidden = model.decoder.trunk[0](torch.cat([z, torch.eye(3)[cells.batch].expand(3, 5, 3)], -1)).view(15, 4)
    torch.testing.assert_close(model.decoder.trunk[1].running_mean, 0.9 * flat + 0.1 * hidden.mean(0))


def test_the_librarys_prior_is_given_and_not_learned():
    cells = some_cells(60)
    model = a_model(batch_norm="both")
    assert not {"library_mean", "library_sd"} & {name for name, _ in model.named_parameters()}
    fit(model, cells, epochs=2, lr=0.05, progress=False)
    torch.testing.assert_close(model.library_mean, PRIOR.mean, rtol=0, atol=0)
    torch.testing.assert_close(model.library_sd, PRIOR.sd, rtol=0, atol=0)


def test_a_saved_model_comes_back():
    model, cells = a_model(**PAPERS), some_cells()
    other_prior = LibraryPrior(torch.zeros(3), torch.ones(3))
    other = SCVI(GENES, BATCHES, library_prior=other_prior, n_latent=2, hidden=(5, 4), **PAPERS).eval()
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


def prior_of(mean, sd) -> LibraryPrior:
    return LibraryPrior(torch.tensor([mean]), torch.tensor([sd]))


NAN, INF = float("nan"), float("inf")
ONE = torch.tensor([1.0])


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (
            {"batches": "donor1"},
            TypeError,
            r"batches: expected a sequence of names, found the string 'donor1'; write \(",
        ),
        ({"batches": ()}, ValueError, "batches: expected at least one name, found none"),
        ({"batches": 3}, TypeError, "batches: expected a sequence of names, found 3"),
        ({"batches": None}, TypeError, "batches: expected a sequence of names, found None"),
        ({"batches": {"r", "s"}}, TypeError, "batches: expected a sequence of names, found {"),
        ({"batches": ("r", "s", "r")}, ValueError, "batches: expected names that differ, found 'r' 2 times"),
        ({"batches": (1, 2)}, TypeError, "batches: expected names that are strings, found 1 at position 0"),
        ({"genes": ()}, ValueError, "genes: expected at least one name, found none"),
        ({"genes": 558}, TypeError, "genes: expected a sequence of names, found 558; give cells.genes"),
        ({"genes": "Actb"}, TypeError, "genes: expected a sequence of names, found the string 'Actb'"),
        ({"genes": ("a", "b", "b")}, ValueError, "genes: expected names that differ, found 'b' 2 times"),
        ({"n_latent": 0}, ValueError, "n_latent: expected a whole number ≥ 1, found 0"),
        ({"n_latent": -1}, ValueError, "n_latent: expected a whole number ≥ 1, found -1"),
        ({"n_latent": 10.0}, TypeError, "n_latent: expected a whole number such as 10, found 10.0"),
        ({"n_latent": True}, TypeError, "n_latent: expected a whole number such as 10, found True"),
        ({"hidden": 128}, TypeError, r"hidden: expected a sequence of widths, found 128; one layer is hidden=\(128,\)"),
        ({"hidden": ()}, ValueError, "hidden: expected at least one hidden layer, found none"),
        ({"hidden": (64, 0)}, ValueError, r"hidden\[1\]: expected a whole number ≥ 1, found 0"),
        ({"hidden": (64.0,)}, TypeError, r"hidden\[0\]: expected a whole number such as 10, found 64.0"),
        ({"hidden": "128"}, TypeError, "hidden: expected a sequence of widths, found '128'"),
        ({"dropout": 1.0}, ValueError, "dropout: expected 0 ≤ dropout < 1, found 1.0"),
        ({"dropout": NAN}, ValueError, "dropout: expected a finite number, found nan"),
        ({"dropout": "0.1"}, TypeError, "dropout: expected a number, found '0.1'"),
        ({"decoder_dropout": -0.1}, ValueError, "decoder_dropout: expected 0 ≤ decoder_dropout < 1, found -0.1"),
        ({"batch_norm": True}, ValueError, "batch_norm: expected 'none', 'encoder', 'decoder' or 'both', found True"),
        ({"encode_batch": "yes"}, ValueError, "encode_batch: expected False or True, found 'yes'"),
        (
            {"gene_likelihood": "gauss"},
            ValueError,
            "gene_likelihood: expected 'zinb', 'nb' or 'poisson', found 'gauss'",
        ),
        ({"dispersion": "gene-cell"}, ValueError, "dispersion: expected 'gene' or 'gene-batch', found 'gene-cell'"),
        ({"library_prior": (ONE, ONE)}, TypeError, "library_prior: expected a LibraryPrior or None, found tuple"),
        ({"library_prior": True}, TypeError, "library_prior: expected a LibraryPrior or None, found bool"),
        (
            {"library_prior": PRIOR, "batches": ("r", "s")},
            ValueError,
            r"library_prior: expected one mean and one sd for each of the 2 batches, found shapes \(3,\) and \(3,\)",
        ),
        ({"library_prior": LibraryPrior(ONE, torch.tensor(0.5))}, ValueError, r"found shapes \(1,\) and \(\)"),
    ],
)
def test_impossible_models_are_refused_before_anything_is_built(arguments, error, message, monkeypatch):
    monkeypatch.setattr(nn.Linear, "__init__", lambda *_, **__: pytest.fail("a layer was built"))
    with pytest.raises(error, match=message):
        SCVI(**{"genes": GENES, "library_prior": None} | arguments)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: prior_of(1.0, 0.0), ValueError, r"expected finite means and finite sds > 0, found .* sd \[0.0\]"),
        (lambda: prior_of(1.0, -0.5), ValueError, r"sd \[-0.5\]; log_library_moments\(cells\) gives both"),
        (lambda: prior_of(1.0, NAN), ValueError, r"sd \[nan\]"),
        (lambda: prior_of(1.0, INF), ValueError, r"sd \[inf\]"),
        (lambda: prior_of(NAN, 1.0), ValueError, r"found mean \[nan\]"),
        (lambda: prior_of(-INF, 1.0), ValueError, r"found mean \[-inf\]"),
        (lambda: LibraryPrior(np.ones(1), np.ones(1)), TypeError, r"expected two tensors \(B,\), found array"),
        (lambda: LibraryPrior(ONE, 0.5), TypeError, r"expected two tensors \(B,\), found tensor.* and 0.5"),
    ],
)
def test_a_prior_that_is_no_distribution_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_model_knows_its_genes_and_batches_by_name():
    model = SCVI(list(GENES), list(BATCHES), library_prior=None)
    assert model.genes == GENES
    assert model.batches == BATCHES
    assert "learns_library=False" in repr(model)
    assert "n_batches=3" in repr(model)
    assert SCVI(np.array(GENES), pandas.Index(BATCHES), library_prior=None, n_latent=np.int64(3)).batches == BATCHES
    differ = {repr(a_model(**choices)) for choices in CHOICES}
    assert len(differ) == len(CHOICES)  # a checkpoint of one is not resumed with another
