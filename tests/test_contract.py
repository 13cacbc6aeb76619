"""What a new model must have, and what it then gets: models written here, which the library has never seen.

The first has what ``fit`` needs, an encoder and a decoder. The second has what ``analysis`` asks of a model of counts,
and the third what it asks of one that names types. Each is a screen, imports nothing from ``models/``, and is trained,
saved, resumed and asked like the library's own. What they must have stands in ``course_lib/models/__init__.py``.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from small import same_weights, weights_of
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal, Poisson, kl_divergence

from course_lib.analysis.amortisation import fit_local_posteriors
from course_lib.analysis.annotate import annotate
from course_lib.analysis.clustering import kmeans
from course_lib.analysis.differential_expression import differential_expression
from course_lib.analysis.exact_bound import bound_by_quadrature
from course_lib.analysis.gate import cells_for
from course_lib.analysis.information import bits_per_dimension, draw_codes
from course_lib.analysis.labels import annotate_labels, predict
from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.posterior import (
    get_latent_library_size,
    get_marginal_ll,
    get_normalized_expression,
    posterior_predictive_sample,
)
from course_lib.data.cells import Cells, cells_from_counts, log_total
from course_lib.probability.quadrature import Grid
from course_lib.training import fit

N_GENES, N_TYPES = 6, 2


class PoissonFactors(nn.Module):
    """x_g ~ Poisson(exp(z·w_g + b_g)), z ~ N(0, I). Training asks for ``loss``; ``analysis`` for the rest."""

    def __init__(self, n_genes: int, n_latent: int):
        super().__init__()
        self.n_latent = n_latent
        self.to_z = nn.Linear(n_genes, 2 * n_latent)  # mean and log σ
        self.to_log_mean = nn.Linear(n_latent, n_genes)

    @property
    def prior(self) -> Normal:
        return Normal(self.to_z.weight.new_zeros(self.n_latent), 1.0)

    def encode(self, x: Tensor) -> Normal:
        mu, log_sigma = self.to_z(x.log1p()).chunk(2, dim=-1)
        return Normal(mu, log_sigma.exp())

    def decode(self, z: Tensor) -> Independent:
        return Independent(Poisson(self.to_log_mean(z).exp()), 1)

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        q = self.encode(cells.x)
        reconstruction = -self.decode(q.rsample()).log_prob(cells.x).mean()
        kl_z = kl_divergence(q, self.prior).sum(-1).mean()
        return {"loss": reconstruction + kl_weight * kl_z, "reconstruction": reconstruction, "kl_z": kl_z}

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        q = self.encode(cells.x)
        z = q.rsample((n_samples,))  # (K, N, L)
        return self.decode(z).log_prob(cells.x) + (self.prior.log_prob(z) - q.log_prob(z)).sum(-1)


class MeanCount(Poisson):
    """``get_rho`` reads the mean of a count from ``mu``."""

    @property
    def mu(self) -> Tensor:
        return self.rate


class BatchedFactors(PoissonFactors):
    """x ~ Poisson(ℓ softmax(z·w + b_s)), ℓ the total: with names, a library size and batches."""

    needs_counts = True
    learns_library = False

    def __init__(self, genes: tuple[str, ...], batches: tuple[str, ...], n_latent: int):
        super().__init__(len(genes), n_latent)
        self.genes, self.batches = genes, batches
        self.of_batch = nn.Embedding(len(batches), len(genes))

    def decode(self, z: Tensor, log_library: Tensor, batch: Tensor) -> Independent:
        rho = (self.to_log_mean(z) + self.of_batch(batch)).softmax(-1)
        return Independent(MeanCount(log_library.exp() * rho), 1)

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        q = self.encode(cells.x)
        p = self.decode(q.rsample(), log_total(cells.x), cells.batch)
        reconstruction, kl_z = -p.log_prob(cells.x).mean(), kl_divergence(q, self.prior).sum(-1).mean()
        return {"loss": reconstruction + kl_weight * kl_z, "reconstruction": reconstruction, "kl_z": kl_z}

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        q = self.encode(cells.x)
        z = q.rsample((n_samples,))  # (K, N, L)
        log_p = self.decode(z, log_total(cells.x), cells.batch).log_prob(cells.x)  # (K, N)
        return log_p + (self.prior.log_prob(z) - q.log_prob(z)).sum(-1)


class NamedFactors(BatchedFactors):
    """The same with names of types, and a classifier of z."""

    def __init__(self, genes: tuple[str, ...], batches: tuple[str, ...], labels: tuple[str, ...], n_latent: int):
        super().__init__(genes, batches, n_latent)
        self.labels = labels
        self.to_label = nn.Linear(n_latent, len(labels))

    def classify(self, z: Tensor) -> Categorical:
        return Categorical(logits=self.to_label(z))

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        terms, known = super().loss(cells, kl_weight), cells.label >= 0
        log_q = self.classify(self.encode(cells.x).mean).log_prob(cells.label.clamp(min=0))
        return terms | {"loss": terms["loss"] - (log_q * known).mean()}


def two_types(n_cells: int = 60, seed: int = 0) -> AnnData:
    """Two types that differ in half of the genes, in two batches."""
    random = np.random.default_rng(seed)
    kind, donor = random.integers(0, N_TYPES, n_cells), random.integers(0, 2, n_cells)
    mean = np.where(np.arange(N_GENES) < N_GENES // 2, 12.0, 2.0)  # of type 0; type 1 has it the other way round
    counts = random.poisson(np.where(kind[:, None] == 0, mean, mean[::-1])) + (np.arange(N_GENES) == 0)
    obs = pd.DataFrame(
        {"type": np.array(["a", "b"])[kind], "donor": np.array(["d1", "d2"])[donor]},
        index=[f"cell_{i}" for i in range(n_cells)],
    )
    return AnnData(counts.astype(np.float32), obs, pd.DataFrame(index=[f"gene {g}" for g in range(N_GENES)]))


DATA = two_types()
TYPES = DATA.obs["type"].to_numpy()
CELLS = cells_from_counts(DATA, batch_key="donor")


def first_tier(n_latent: int = 2) -> PoissonFactors:
    torch.manual_seed(0)
    return PoissonFactors(N_GENES, n_latent)


def second_tier() -> BatchedFactors:
    torch.manual_seed(0)
    return BatchedFactors(CELLS.genes, CELLS.batches, n_latent=2)


MODELS = [first_tier, second_tier]
TRAINING = {"validation": CELLS[40:], "lr": 0.05, "batch_size": 20, "progress": False}


@pytest.fixture(scope="module", params=MODELS, ids=["first tier", "second tier"])
def trained(request):
    model = request.param()
    history = fit(model, CELLS[:40], epochs=40, **TRAINING)
    return model, history


# Training


def test_it_learns_and_its_terms_are_recorded(trained):
    model, history = trained
    assert {"train_kl_z", "validation_reconstruction", "kl_weight"} < set(history.columns)
    assert history.validation_loss.iloc[-1] < 0.8 * history.validation_loss.iloc[0]
    assert (model.genes, model.epochs_trained) == (CELLS.genes, 40)


@pytest.mark.parametrize("build", MODELS, ids=["first tier", "second tier"])
def test_it_is_saved_and_resumed_to_the_last_bit(build, tmp_path):
    fit(whole := build(), CELLS[:40], epochs=6, kl_warmup=3, **TRAINING)
    fit(build(), CELLS[:40], epochs=4, kl_warmup=3, checkpoint=tmp_path, **TRAINING)
    torch.manual_seed(99)
    fit(resumed := copy.deepcopy(build()), CELLS[:40], epochs=6, kl_warmup=3, checkpoint=tmp_path, **TRAINING)
    assert same_weights(weights_of(whole), weights_of(resumed))


class OnlyLoss(nn.Module):
    """One mean per gene."""

    def __init__(self, n_genes: int):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(n_genes))

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        return {"loss": (cells.x - self.mean).square().mean()}


def test_a_loss_is_all_that_training_needs():
    model = OnlyLoss(N_GENES)
    fit(model, CELLS, epochs=400, lr=0.1, batch_size=len(CELLS), progress=False)
    np.testing.assert_allclose(model.mean.detach(), CELLS.x.mean(0), rtol=0.01)
    with pytest.raises(TypeError, match=r"expected one with encode .*found OnlyLoss, which lacks encode"):
        get_latent_representation(model, CELLS)


# What every model with an encoder is asked


def test_its_codes_tell_the_types_apart(trained):
    codes = get_latent_representation(trained[0], CELLS)
    assert codes.shape == (len(CELLS), 2)
    found = kmeans(codes, N_TYPES)
    agreement = np.mean(found == (TYPES == "a"))
    assert max(agreement, 1 - agreement) > 0.95


def test_it_refuses_cells_of_other_genes(trained):
    for fewer in (DATA[:, 1:], DATA[:, ::-1]):
        with pytest.raises(ValueError, match=r"list\(model\.genes\)|Train a model"):
            get_latent_representation(trained[0], cells_from_counts(fewer, batch_key="donor"))


# What a decoder of z alone is asked: the first tier


def test_a_decoder_of_z_alone_gives_the_reconstruction_the_bound_and_posteriors_of_its_own():
    model = first_tier(n_latent=1)
    fit(model, CELLS[:40], epochs=40, **TRAINING)
    assert get_reconstruction(model, CELLS).shape == (len(CELLS), N_GENES)
    bound = bound_by_quadrature(model, CELLS, Grid(-8.0, 8.0, 2001))
    torch.testing.assert_close(bound.log_evidence, bound.elbo + bound.gap)
    assert (bound.gap > 0).all()
    # The same number by importance sampling: tight with many draws, but for cells whose weights have a heavy tail.
    by_sampling = torch.from_numpy(get_marginal_ll(model, CELLS, 20_000))
    assert (by_sampling - bound.log_evidence).abs().median() < 0.02
    own = fit_local_posteriors(model, CELLS, steps=50)
    assert own.mean.shape == (len(CELLS), 1)
    assert bits_per_dimension(model, CELLS).shape == draw_codes(model, CELLS).shape == (len(CELLS), 1)


@pytest.mark.parametrize(
    "ask",
    [
        get_normalized_expression,
        get_latent_library_size,
        posterior_predictive_sample,
        lambda model, cells: differential_expression(model, cells, TYPES == "a", TYPES == "b"),
        lambda model, cells: annotate(DATA.copy(), model, batch_key="donor"),
    ],
)
def test_the_first_tier_is_told_what_it_lacks(ask):
    model = first_tier()
    fit(model, CELLS, epochs=1, progress=False)
    with pytest.raises(TypeError, match="PoissonFactors, which lacks "):
        ask(model, CELLS)


# What a model of counts is asked: the second tier


@pytest.fixture(scope="module")
def counts():
    model = second_tier()
    fit(model, CELLS[:40], epochs=40, **TRAINING)
    return model


def test_its_expression_sums_to_one_and_follows_the_batch(counts):
    rho = get_normalized_expression(counts, CELLS)
    np.testing.assert_allclose(rho.sum(1), 1, rtol=1e-5)
    one, two = (get_normalized_expression(counts, CELLS, transform_batch=donor) for donor in CELLS.batches)
    own = np.where(CELLS.batch[:, None] == 0, one, two)
    np.testing.assert_allclose(rho, own, rtol=1e-5)
    assert (rho[TYPES == "a", 1] > rho[TYPES == "b", 1].max()).mean() > 0.95  # gene 1 is high in type a


def test_its_bound_tightens_with_more_draws(counts):
    one, many = (get_marginal_ll(counts, CELLS, n_samples).mean() for n_samples in (1, 200))
    elbo = -counts.loss(CELLS)["loss"].item()
    assert one == pytest.approx(elbo, abs=0.5)
    assert many > one


def test_differential_expression_finds_the_genes_that_differ(counts):
    table = differential_expression(counts, CELLS, TYPES == "a", TYPES == "b", n_samples=500)
    assert set(table.index) == set(CELLS.genes)
    assert table["is_de_fdr_0.05"].all()
    high_in_a = [f"gene {g}" for g in range(N_GENES // 2)]
    assert set(table.index[table["lfc_mean"] > 0]) == set(high_in_a)


def test_new_counts_look_like_the_old_ones(counts):
    drawn = posterior_predictive_sample(counts, CELLS, n_samples=50)
    np.testing.assert_allclose(drawn.mean((0, 1)), CELLS.x.mean(0), rtol=0.1)
    np.testing.assert_allclose(get_latent_library_size(counts, CELLS), CELLS.x.sum(1))


def test_cells_kept_sparse_are_trained_on_and_asked_about_like_any_others(counts):
    sparse = cells_from_counts(DATA, batch_key="donor", sparse=True)
    for ask in (get_latent_representation, get_normalized_expression, get_latent_library_size):
        np.testing.assert_allclose(ask(counts, sparse), ask(counts, CELLS), rtol=1e-5)
    fit(dense := second_tier(), CELLS, epochs=3, progress=False)
    fit(kept := second_tier(), sparse, epochs=3, progress=False)
    assert same_weights(weights_of(dense), weights_of(kept))


def test_annotate_writes_its_answers_into_the_data(counts):
    data = DATA[:, list(counts.genes)].copy()
    annotate(data, counts, batch_key="donor")
    np.testing.assert_allclose(
        data.obsm["X_scVI"], get_latent_representation(counts, cells_for(counts, DATA, batch_key="donor"))
    )
    assert data.layers["scvi_normalized"].shape == DATA.shape


# What a model that names types is asked: the third tier


def test_a_classifier_of_z_is_all_that_names_need():
    few = DATA.copy()
    few.obs["label"] = pd.Categorical(np.where(np.arange(len(few)) < 12, TYPES, None))
    cells = cells_from_counts(few, batch_key="donor", label_key="label")
    torch.manual_seed(0)
    model = NamedFactors(cells.genes, cells.batches, cells.labels, n_latent=2)
    fit(model, cells, epochs=60, lr=0.05, batch_size=20, progress=False)
    assert (predict(model, cells) == TYPES).mean() > 0.95
    annotate_labels(few, model, batch_key="donor")
    np.testing.assert_allclose(few.obsm["scvi_label_probabilities"], predict(model, CELLS, soft=True), rtol=1e-5)
    with pytest.raises(ValueError, match=r"the model numbers the labels \('a', 'b'\), found \('b',\)"):
        predict(model, cells_from_counts(few[TYPES == "b"], label_key="type", batch_key="donor"))
    with pytest.raises(TypeError, match="BatchedFactors, which lacks labels, classify"):
        predict(second_tier(), CELLS)
