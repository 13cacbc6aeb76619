"""What a trained scVI says about cells: against NumPy, quadrature, and its own distribution."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from anndata import AnnData
from small import cells_by_hand, weights_in_numpy
from torch import nn

from course_lib.analysis import parts
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import (
    get_latent_library_size,
    get_marginal_ll,
    get_normalized_expression,
    get_rho,
    posterior_predictive_sample,
)
from course_lib.data.cells import Cells
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi import SCVI, LibraryPrior
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.probability.bounds import iwae
from course_lib.probability.quadrature import Grid

GENES, BATCHES = tuple("abcde"), ("first", "second", "third")
PRIOR = LibraryPrior(torch.tensor([2.5, 3.5, 3.0]), torch.tensor([0.4, 0.6, 0.5]))


def a_model(library_prior: LibraryPrior | None = PRIOR, n_latent: int = 2, gene_likelihood: str = "zinb") -> SCVI:
    """Left in training mode, with dropout and batch statistics that would show in every number."""
    torch.manual_seed(0)
    model = SCVI(
        GENES,
        BATCHES,
        library_prior=library_prior,
        n_latent=n_latent,
        hidden=(6,),
        dropout=0.5,
        gene_likelihood=gene_likelihood,
    )
    with torch.no_grad():
        for layer in model.decoder.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(2.5)
        model.z_encoder.to_log_variance.bias.fill_(-0.5)
        model.decoder.trunk[0].bias.fill_(0.5)
    return model.train()


def some_cells(n: int = 7) -> Cells:
    x = np.random.default_rng(0).poisson(3, (n, len(GENES))) + 1
    return cells_by_hand(x, torch.arange(n) % 3, GENES, BATCHES)


def rho_by_hand(model, z, batch):
    """ρ in NumPy: (N, L) and (N,) to (N, G)."""
    weights = weights_in_numpy(model)
    h = np.concatenate([z, np.eye(3)[batch]], axis=1)
    h = np.maximum(h @ weights["decoder.trunk.0.weight"].T + weights["decoder.trunk.0.bias"], 0)
    return scipy.special.softmax(h @ weights["decoder.to_rho.weight"].T + weights["decoder.to_rho.bias"], axis=1)


def moments(model, encode, cells):
    """Mean and deviation of q, asked in evaluation mode."""
    model.eval()
    with torch.no_grad():
        q = encode(cells.x)
    model.train()
    return q.mean.double().numpy(), q.stddev.double().numpy()


# ------------------------------------------------------------------------------------------- normalised expression


def test_normalised_expression_is_rho_at_the_posterior_mean_in_the_cells_own_batch():
    model, cells = a_model(), some_cells()
    z, _ = moments(model, model.encode, cells)
    ours = get_normalized_expression(model, cells)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, rho_by_hand(model, z, cells.batch.numpy()), rtol=1e-5)
    np.testing.assert_allclose(ours.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(z, get_latent_representation(model, cells), rtol=1e-6)


def test_transform_batch_decodes_every_cell_as_if_it_came_from_there():
    model, cells = a_model(), some_cells()
    z, _ = moments(model, model.encode, cells)
    one = {name: rho_by_hand(model, z, np.full(7, s)) for s, name in enumerate(BATCHES)}
    assert np.abs(one["first"] - one["third"]).max() > 0.01
    for name in BATCHES:
        np.testing.assert_allclose(get_normalized_expression(model, cells, transform_batch=name), one[name], rtol=1e-5)
    both = get_normalized_expression(model, cells, transform_batch=["third", "first"])
    np.testing.assert_allclose(both, (one["first"] + one["third"]) / 2, rtol=1e-5)


def test_library_size_scales_the_rows():
    model, cells = a_model(), some_cells()
    rho = get_normalized_expression(model, cells)
    np.testing.assert_allclose(get_normalized_expression(model, cells, library_size=1e4), 1e4 * rho, rtol=1e-5)
    denoised = get_normalized_expression(model, cells, library_size="latent")
    np.testing.assert_allclose(denoised, get_latent_library_size(model, cells)[:, None] * rho, rtol=1e-5)
    observed = get_normalized_expression(a_model(None), cells, library_size="latent")
    np.testing.assert_allclose(observed.sum(1), cells.x.sum(1), rtol=1e-5)


def test_draws_of_z_average_to_the_integral_over_q():
    model, cells, n = a_model(n_latent=1), some_cells(4), 20_000
    mean, sd = moments(model, model.encode, cells)
    at, weight = np.polynomial.hermite_e.hermegauss(60)
    z = mean + sd * at  # (N, 60)
    batch = cells.batch.numpy()
    each = np.stack([rho_by_hand(model, z[:, [k]], batch) for k in range(60)])
    expected = np.einsum("k,kng->ng", weight / weight.sum(), each)
    spread = np.sqrt(np.einsum("k,kng->ng", weight / weight.sum(), (each - expected) ** 2))
    ours = get_normalized_expression(model, cells, n_samples=n)
    assert (np.abs(ours - expected) < 4.5 * spread / n**0.5 + 1e-4 * expected).all()  # a kink of ReLU costs the 1e-4
    assert (
        np.abs(get_normalized_expression(model, cells) - expected).max() > 0.005
    )  # the mean of z is not the mean of ρ


def test_rho_of_many_draws_keeps_their_axis():
    model, batch = a_model().eval(), torch.tensor([0, 2, 1])
    z = torch.randn(4, 3, 2)
    with torch.no_grad():
        rho = get_rho(model, z, batch)
    assert rho.shape == (4, 3, 5)
    for k in range(4):
        np.testing.assert_allclose(rho[k], rho_by_hand(model, z[k].double().numpy(), batch.numpy()), rtol=1e-5)


# ----------------------------------------------------------------------------------------------------- library size


def test_the_library_size_is_the_mean_of_a_log_normal_or_the_total_where_it_is_observed():
    model, cells = a_model(), some_cells()
    mean, sd = moments(model, model.encode_library, cells)
    expected = scipy.stats.lognorm(s=sd.squeeze(1), scale=np.exp(mean.squeeze(1))).mean()
    np.testing.assert_allclose(get_latent_library_size(model, cells), expected, rtol=1e-5)
    np.testing.assert_array_equal(get_latent_library_size(a_model(None), cells), cells.x.sum(1))


# ------------------------------------------------------------------------------------------------------- new counts


@pytest.mark.parametrize("gene_likelihood", ["zinb", "nb", "poisson"])
@pytest.mark.parametrize("library_prior", [PRIOR, None], ids=["learned", "observed"])
def test_predictive_samples_have_the_mean_that_z_and_library_and_dropout_give(gene_likelihood, library_prior):
    model, cells, n = a_model(library_prior, 1, gene_likelihood), some_cells(4), 20_000
    x = posterior_predictive_sample(model, cells, n)
    assert x.shape == (n, 4, 5)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.round(x))
    mean, sd = moments(model, model.encode, cells)
    at, weight = np.polynomial.hermite_e.hermegauss(60)
    z = torch.from_numpy(mean + sd * at).float().T.unsqueeze(-1)  # (60, N, 1)
    library = get_latent_library_size(model, cells)  # z and ℓ are independent under q, and the mean is linear in ℓ
    with torch.no_grad():
        p = model.eval().decode(z, torch.from_numpy(library).log().unsqueeze(-1), cells.batch).base_dist
    expected = np.einsum("k,kng->ng", weight / weight.sum(), p.mean.double().numpy())
    z_score = (x.mean(0, dtype=np.float64) - expected) / (x.std(0, dtype=np.float64) / n**0.5)
    assert np.abs(z_score).max() < 4.5


def test_predictive_samples_draw_a_state_and_a_library_for_every_sample():
    """Under Poisson, counts of one cell's genes vary together only because ℓ does."""
    model, cells = a_model(gene_likelihood="poisson"), some_cells(1)
    totals = posterior_predictive_sample(model, cells, 20_000).sum(-1)[:, 0]
    mean, sd = (float(part.squeeze()) for part in moments(model, model.encode_library, cells))
    ell = scipy.stats.lognorm(s=sd, scale=np.exp(mean))
    assert totals.var() == pytest.approx(ell.var() + ell.mean(), rel=0.1)  # Var E + E Var
    assert ell.var() > ell.mean()


# ------------------------------------------------------------------------------------------------------- likelihood


@pytest.mark.parametrize("library_prior", [PRIOR, None], ids=["learned", "observed"])
def test_marginal_ll_is_the_importance_weighted_bound_of_these_draws(library_prior):
    model, cells = a_model(library_prior), some_cells()
    ours = get_marginal_ll(model, cells, 50, seed=3)
    assert ours.dtype == np.float64
    assert ours.shape == (7,)
    model.eval()
    torch.manual_seed(3)
    with torch.no_grad():
        np.testing.assert_allclose(ours, iwae(model.log_weights(cells, 50)), rtol=1e-6)


def test_marginal_ll_approaches_the_evidence_whatever_the_chunks(monkeypatch):
    model, cells, z = a_model(None, n_latent=1), some_cells(), Grid(-8, 8, 801)
    with torch.no_grad():
        p = model.decode(z.z.float().view(-1, 1, 1).expand(-1, 7, 1), cells.x.sum(-1, keepdim=True).log(), cells.batch)
        log_joint = p.log_prob(cells.x).double() + torch.from_numpy(scipy.stats.norm.logpdf(z.z)).unsqueeze(-1)
    evidence = z.log_integral(log_joint.T)
    for chunk in (2_000_000, 3 * 4_000 * 5, 2_000 * 5):  # all cells, three, one with half of its draws at a time
        monkeypatch.setattr(parts, "CHUNK", chunk)
        np.testing.assert_allclose(get_marginal_ll(model, cells, 4_000), evidence, atol=0.1)
    assert np.ptp(evidence.numpy()) > 1  # cells in another order would not pass


# ----------------------------------------------------------------------------------------- modes, seeds, chunks


@pytest.mark.parametrize(
    "options", [{}, {"transform_batch": ["first", "second"]}, {"library_size": "latent"}, {"library_size": 10.0}]
)
def test_chunks_do_not_change_what_is_computed(options, monkeypatch):
    model, cells = a_model(), some_cells()
    whole = get_normalized_expression(model, cells, **options)
    sizes = []
    for chunk in (1, 10, 15, 34):  # one, two, three and six cells at a time
        monkeypatch.setattr(parts, "CHUNK", chunk)
        sizes.append(max(len(part) for part in parts.parts_of(model, cells)))
        np.testing.assert_allclose(get_normalized_expression(model, cells, **options), whole, rtol=1e-5)
    assert sizes == [1, 2, 3, 6]
    assert posterior_predictive_sample(model, cells, 3).shape == (3, 7, 5)


RANDOM = {
    "expression": lambda model, cells, seed: get_normalized_expression(model, cells, n_samples=3, seed=seed),
    "samples": lambda model, cells, seed: posterior_predictive_sample(model, cells, 2, seed=seed),
    "likelihood": lambda model, cells, seed: get_marginal_ll(model, cells, 5, seed=seed),
}


@pytest.mark.parametrize("name", RANDOM)
def test_randomness_comes_from_the_seed_alone_and_leaves_the_callers_stream(name):
    model, cells = a_model(), some_cells()
    state = torch.get_rng_state()
    first = RANDOM[name](model, cells, 0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    np.testing.assert_array_equal(RANDOM[name](model, cells, 0), first)
    assert (RANDOM[name](model, cells, 1) != first).any()


EVERY = {
    **{name: lambda model, cells, ask=ask: ask(model, cells, 0) for name, ask in RANDOM.items()},
    "point expression": get_normalized_expression,
    "library": get_latent_library_size,
    "latent": get_latent_representation,
}


@pytest.mark.parametrize("name", EVERY)
def test_models_answer_in_evaluation_mode_and_return_to_the_mode_they_were_in(name):
    model, cells = a_model(), some_cells()
    running = model.z_encoder.trunk[1].running_mean.clone()
    asked_while_training = EVERY[name](model, cells)
    assert model.training
    torch.testing.assert_close(model.z_encoder.trunk[1].running_mean, running)
    model.eval()
    np.testing.assert_array_equal(EVERY[name](model, cells), asked_while_training)
    assert not model.training


@pytest.mark.parametrize("name", EVERY)
def test_cells_of_other_genes_or_batches_are_refused(name):
    model, cells = a_model(), some_cells()
    with pytest.raises(ValueError, match="cells: the 5 genes of the model in another order, first 'a'"):
        EVERY[name](model, replace(cells, genes=tuple("bacde")))
    with pytest.raises(ValueError, match="cells: the model numbers the batches"):
        EVERY[name](model, replace(cells, batches=("second", "first", "third")))


@pytest.mark.parametrize(
    "ask, error, message",
    [
        (
            lambda m, c: get_normalized_expression(m, c, transform_batch="fourth"),
            ValueError,
            r"transform_batch: .*fourth",
        ),
        (
            lambda m, c: get_normalized_expression(m, c, transform_batch=["first", "x"]),
            ValueError,
            r"_batch: .*\['x'\]",
        ),
        (
            lambda m, c: get_normalized_expression(m, c, transform_batch=[]),
            ValueError,
            "transform_batch: .* found none",
        ),
        (
            lambda m, c: get_normalized_expression(m, c, transform_batch=0),
            TypeError,
            "transform_batch: expected a batch's",
        ),
        (
            lambda m, c: get_normalized_expression(m, c, transform_batch=[0]),
            ValueError,
            r"transform_batch: .*found \[0\]",
        ),
        (lambda m, c: get_normalized_expression(m, c, library_size=0), ValueError, "library_size: .* > 0, found 0"),
        (lambda m, c: get_normalized_expression(m, c, library_size=-1.0), ValueError, "library_size: .* found -1.0"),
        (lambda m, c: get_normalized_expression(m, c, library_size=np.inf), ValueError, "library_size: .* found inf"),
        (lambda m, c: get_normalized_expression(m, c, library_size=np.nan), ValueError, "library_size: .* found nan"),
        (
            lambda m, c: get_normalized_expression(m, c, library_size="total"),
            ValueError,
            "a total > 0 or 'latent', .*'total'",
        ),
        (lambda m, c: get_normalized_expression(m, c, library_size=None), TypeError, "library_size: .*found None"),
        (lambda m, c: get_normalized_expression(m, c, n_samples=0), ValueError, "n_samples: .* ≥ 1, found 0"),
        (lambda m, c: get_normalized_expression(m, c, n_samples=2.0), TypeError, "n_samples: .*found 2.0"),
        (lambda m, c: get_normalized_expression(m, c, seed=1.5), TypeError, "seed: .* found 1.5"),
        (lambda m, c: posterior_predictive_sample(m, c, 0), ValueError, "n_samples: .* ≥ 1, found 0"),
        (lambda m, c: posterior_predictive_sample(m, c, True), TypeError, "n_samples: .* found True"),
        (lambda m, c: posterior_predictive_sample(m, c, seed=-1), ValueError, "seed: .* found -1"),
        (lambda m, c: get_marginal_ll(m, c, 0), ValueError, "n_samples: .* ≥ 1, found 0"),
        (lambda m, c: get_marginal_ll(m, c, "100"), TypeError, "n_samples: .* found '100'"),
        (
            lambda m, c: get_marginal_ll(m, c, seed=2**70),
            ValueError,
            "seed: expected a whole number from 0 to 4294967295",
        ),
    ],
)
def test_impossible_questions_are_refused(ask, error, message):
    with pytest.raises(error, match=message):
        ask(a_model(), some_cells())


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_cells_is_named_and_the_way_to_make_them(name):
    with pytest.raises(TypeError, match=r"cells: expected Cells, found AnnData; make them with cells_for\(model, data"):
        EVERY[name](a_model(), AnnData(np.ones((2, 5))))
    with pytest.raises(ValueError, match="cells: expected at least one, found none"):
        EVERY[name](a_model(), some_cells()[:0])


@pytest.mark.parametrize("name", ["expression", "samples", "point expression", "library"])
def test_a_model_without_library_or_batches_is_named_with_what_it_lacks(name):
    for other in (VAE(5), Autoencoder(5), SimplifiedSCVI(5)):
        with pytest.raises(
            TypeError, match=f"found {type(other).__name__}, which lacks genes, batches, learns_library"
        ):
            EVERY[name](other, some_cells())
    with pytest.raises(TypeError, match="model: expected a trained model, found the class SCVI"):
        EVERY[name](SCVI, some_cells())


def test_an_autoencoder_has_no_likelihood_and_says_so():
    with pytest.raises(TypeError, match="log_weights to ask for get_marginal_ll, found Autoencoder, which lacks log_w"):
        get_marginal_ll(Autoencoder(5), some_cells())


@pytest.mark.parametrize("other", [SimplifiedSCVI(5, hidden=(6,)), VAE(5, hidden=(6,))])
def test_every_model_that_weighs_its_draws_has_a_marginal_likelihood(other):
    cells = some_cells()
    torch.manual_seed(3)
    with torch.no_grad():
        expected = iwae(other.log_weights(cells, 50))
    np.testing.assert_allclose(get_marginal_ll(other, cells, 50, seed=3), expected, rtol=1e-6)
