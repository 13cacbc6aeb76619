"""The course beside scvi-tools, on the same inputs, with the same weights and the same random numbers.

Whoever has only the course's own packages skips this file: ``pip install -e '.[test,peer]'`` brings scvi-tools. One
difference between the programs is known and stated where it matters: scvi-tools adds 1e-8 inside its logarithms.
"""

import importlib.util
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from anndata import AnnData

from course_lib.analysis import differential_expression as de
from course_lib.analysis.gate import cells_for
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import get_latent_library_size, get_marginal_ll
from course_lib.data.cells import cells_from_counts
from course_lib.models.scvi import SCVI, LibraryPrior, log_library_moments
from course_lib.peers.scvi_tools import from_module, from_scvi_tools
from course_lib.probability.counts import log_nb, log_poisson, log_zinb

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
    ),
    # What scvi-tools, Lightning and their dependencies warn about is not the course's to mend.
    pytest.mark.filterwarnings("ignore"),
]

N_CELLS, N_GENES, N_LATENT, N_HIDDEN = 200, 50, 4, 16
LIKELIHOODS = ["zinb", "nb", "poisson"]
LIBRARIES = ["learned", "observed"]


def counts(n_batches: int) -> AnnData:
    """Two types of cell, library sizes of their own in each batch."""
    random = np.random.default_rng(0)
    profiles = random.dirichlet(np.ones(N_GENES), size=2)
    types, batch = random.integers(2, size=N_CELLS), random.integers(n_batches, size=N_CELLS)
    library = random.lognormal(5.5 + 0.5 * batch, 0.4)
    data = AnnData(random.poisson(library[:, None] * profiles[types]).astype(np.float32))
    data.obs["batch"] = [f"batch {code}" for code in batch]
    data.obs["type"] = types
    return data


def a_pair(scvi, likelihood: str = "zinb", library: str = "learned", n_batches: int = 1):
    """Their module with random weights, and the course's model with a copy of them. Both in double precision."""
    data = counts(n_batches)
    cells = cells_from_counts(data, batch_key="batch" if n_batches > 1 else None)
    torch.manual_seed(1)
    prior = LibraryPrior(torch.linspace(5.4, 6.1, n_batches), torch.linspace(0.3, 0.5, n_batches))
    theirs = scvi.module.VAE(
        N_GENES, n_batch=n_batches, n_hidden=N_HIDDEN, n_latent=N_LATENT, gene_likelihood=likelihood,
        use_batch_norm="encoder", use_observed_lib_size=library == "observed",
        library_log_means=prior.mean.numpy()[None], library_log_vars=prior.sd.numpy()[None] ** 2,
    )  # fmt: skip
    for norm in (module for module in theirs.modules() if isinstance(module, torch.nn.BatchNorm1d)):
        for tensor, value in ((norm.weight, 1.0), (norm.bias, 0.0), (norm.running_mean, 0.0), (norm.running_var, 1.0)):
            tensor.data.copy_(value + 0.3 * torch.rand_like(tensor))  # as after training, not as at the start
    ours = from_module(theirs, cells.genes, cells.batches)
    tensors = {"X": cells.x.double(), "batch": cells.batch[:, None], "labels": torch.zeros(N_CELLS, 1)}
    cells = type(cells)(cells.x.double(), cells.batch, cells.genes, cells.batches)
    theirs = theirs.double().eval()
    if library == "learned":  # their one-hot batches are single, whatever the weights
        theirs.library_log_means, theirs.library_log_vars = (
            theirs.library_log_means.float(), theirs.library_log_vars.float()
        )  # fmt: skip
    return theirs, ours.double().eval(), tensors, cells


# Distributions --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid():
    """x, μ, θ and logit π in double precision, where scvi-tools' formula does not cancel and its 1e-8 is small."""
    axes = ([0, 1, 2, 10, 100, 1000], np.logspace(-1, 3, 9), np.logspace(-1, 2, 7), np.linspace(-10, 10, 5))
    mesh = np.meshgrid(*axes, indexing="ij")
    return [torch.from_numpy(np.asarray(values, dtype=np.float64).reshape(-1, 1)) for values in mesh]


def test_log_probabilities_are_scvi_tools_own(scvi, grid):
    x, mu, theta, zi_logits = grid
    theirs = scvi.distributions
    pairs = {
        "poisson": (log_poisson(x, mu), theirs.Poisson(mu).log_prob(x)),
        "nb": (log_nb(x, mu, theta), theirs.NegativeBinomial(mu=mu, theta=theta).log_prob(x)),
        "zinb": (
            log_zinb(x, mu, theta, zi_logits),
            theirs.ZeroInflatedNegativeBinomial(mu=mu, theta=theta, zi_logits=zi_logits).log_prob(x),
        ),
    }
    for name, (ours, other) in pairs.items():
        # log(μ + 1e-8) for log μ, x times: 1e-7 · x at μ = 0.1, and likewise for θ
        torch.testing.assert_close(ours, other, rtol=1e-6, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


# The model ------------------------------------------------------------------------------------------------------------

EVERY_MODEL = pytest.mark.parametrize(
    "likelihood, library, n_batches",
    [(likelihood, library, b) for likelihood in LIKELIHOODS for library in LIBRARIES for b in (1, 2)],
)
EXACT = {"rtol": 1e-6, "atol": 1e-4}  # nats: 50 genes, each with scvi-tools' 1e-8 beside μ and θ


@EVERY_MODEL
def test_the_elbo_is_scvi_tools_own_term_by_term(scvi, likelihood, library, n_batches):
    theirs, ours, tensors, cells = a_pair(scvi, likelihood, library, n_batches)
    with torch.no_grad():
        torch.manual_seed(0)
        _, _, other = theirs(tensors, loss_kwargs={"kl_weight": 0.3})
        torch.manual_seed(0)  # both draw z, then ℓ
        bound = ours.elbo(cells)
        torch.manual_seed(0)
        loss = ours.loss(cells, kl_weight=0.3)["loss"]
    torch.testing.assert_close(-bound.reconstruction, other.reconstruction_loss["reconstruction_loss"], **EXACT)
    torch.testing.assert_close(bound.kl_z, other.kl_local["kl_divergence_z"], **EXACT)
    if library == "learned":
        torch.testing.assert_close(bound.kl_library, other.kl_local["kl_divergence_l"], **EXACT)
    else:
        assert bound.kl_library is None
    torch.testing.assert_close(loss, other.loss, **EXACT)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_importance_weighted_likelihood_is_scvi_tools_own(scvi, library):
    theirs, ours, tensors, cells = a_pair(scvi, library=library, n_batches=2)
    torch.manual_seed(3)
    other = theirs.marginal_ll(tensors, n_mc_samples=20, n_mc_samples_per_pass=20)
    torch.manual_seed(3)
    torch.randn(N_CELLS, N_LATENT, dtype=torch.float64)  # scvi-tools draws z, and ℓ, once before those it uses
    if library == "learned":
        torch.randn(N_CELLS, 1, dtype=torch.float64)
    with torch.no_grad():
        mine = torch.logsumexp(ours.log_weights(cells, 20), 0) - np.log(20)
    torch.testing.assert_close(mine, other, **EXACT)
    # and through the public function, whose draws are its own: two estimates of one number
    again = get_marginal_ll(ours, cells, n_samples=400)
    many = theirs.marginal_ll(tensors, n_mc_samples=400, n_mc_samples_per_pass=200).numpy()
    differences = again - many
    standard_error = differences.std() / np.sqrt(N_CELLS)  # across cells, whose draws are independent
    assert abs(differences.mean()) < 4 * standard_error


# The library ----------------------------------------------------------------------------------------------------------


def their_model(scvi, data: AnnData, **settings):
    """A model over AnnData, as their users build one."""
    scvi.model.SCVI.setup_anndata(data, batch_key="batch")
    return scvi.model.SCVI(data, n_hidden=N_HIDDEN, n_latent=N_LATENT, use_batch_norm="encoder", **settings)


def test_the_prior_of_the_library_has_scvi_tools_moments(scvi):
    data = counts(2)
    theirs = their_model(scvi, data, use_observed_lib_size=False).module
    prior = log_library_moments(cells_from_counts(data, batch_key="batch"))
    n = data.obs["batch"].value_counts().sort_index().to_numpy()  # they divide by n, the course by n − 1
    np.testing.assert_allclose(prior.mean, theirs.library_log_means[0], rtol=1e-6)
    np.testing.assert_allclose(prior.sd**2 * (n - 1) / n, theirs.library_log_vars[0], rtol=1e-5)


def test_a_cell_without_counts_is_refused_where_scvi_tools_warns(scvi):
    data = counts(2)
    data.X[7] = 0
    with pytest.warns(UserWarning, match="empty cells"):
        their_model(scvi, data, use_observed_lib_size=False)
    with pytest.raises(ValueError, match="count"):
        cells_from_counts(data, batch_key="batch")


# What users ask -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def over_anndata(scvi):
    """Their model over AnnData and the course's with its weights; single precision, as in use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = counts(2)
        torch.manual_seed(5)
        theirs = their_model(scvi, data, gene_likelihood="nb", use_observed_lib_size=False)
    theirs.is_trained_ = True
    theirs.module.z_encoder.mean_encoder.weight.data.mul_(5)  # types apart, as after training
    theirs.module.decoder.px_scale_decoder[0].weight.data.mul_(4)
    theirs.module.eval()
    ours = from_scvi_tools(theirs)
    return theirs, ours, cells_for(ours, data, batch_key="batch"), data


def test_latent_state_and_library_size_are_those_that_scvi_tools_returns(over_anndata):
    theirs, ours, cells, _ = over_anndata
    np.testing.assert_allclose(get_latent_representation(ours, cells), theirs.get_latent_representation(), atol=1e-5)
    np.testing.assert_allclose(get_latent_library_size(ours, cells), theirs.get_latent_library_size()[:, 0], rtol=1e-5)


SAME = {"over": "pairs", "n_pairs": 400}


@pytest.fixture
def same_draws(monkeypatch):
    """Draws of ρ for pairs of cells, from which both programs conclude. Genes differ by 0 to 3 in log₂."""
    random = np.random.default_rng(2)
    base = random.lognormal(-6, 1, size=N_GENES)
    shift = np.linspace(0, 3, N_GENES)
    rho1 = base * 2 ** (shift + random.normal(size=(SAME["n_pairs"], N_GENES)))
    rho2 = base * 2 ** random.normal(size=(SAME["n_pairs"], N_GENES))
    mine = (torch.from_numpy(rho1), torch.from_numpy(rho2))
    monkeypatch.setattr(de, "pair_draws", lambda *_: iter([mine]))
    data = counts(1)
    cells = cells_from_counts(data)
    model = SCVI(cells.genes, library_prior=None, n_latent=N_LATENT, hidden=(N_HIDDEN,))
    return rho1, rho2, cells, model


def their_conclusion(scvi, rho1: np.ndarray, rho2: np.ndarray, **settings) -> dict[str, np.ndarray]:
    """scvi-tools' decision rule alone, on draws that it would otherwise make itself."""
    draws = iter([rho1, rho2])
    asked = SimpleNamespace(
        representation_fn=None,
        scale_sampler=lambda **_: {"scale": next(draws), "batch": np.zeros(len(rho1))},
    )
    return scvi.model.base.DifferentialComputation.get_bayes_factors(asked, None, None, **settings)


def halves(cells) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(cells)) < 80, np.arange(len(cells)) >= 80


def test_vanilla_bayes_factors_are_scvi_tools_own_on_the_same_draws(scvi, same_draws):
    rho1, rho2, cells, model = same_draws
    mine = de.differential_expression(model, cells, *halves(cells), mode="vanilla", **SAME).loc[list(cells.genes)]
    other = their_conclusion(scvi, rho1, rho2, mode="vanilla")
    for column in ("proba_m1", "proba_m2", "bayes_factor", "scale1", "scale2"):
        np.testing.assert_allclose(mine[column], other[column], rtol=1e-6, atol=1e-7, err_msg=column)
    assert 0 < (mine["bayes_factor"].abs() >= 3).sum() < N_GENES


@pytest.mark.parametrize("delta", [0.25, 1.0])
def test_change_mode_is_scvi_tools_own_on_the_same_draws(scvi, same_draws, delta):
    rho1, rho2, cells, model = same_draws
    settings = {"mode": "change", "delta": delta}
    mine = de.differential_expression(model, cells, *halves(cells), pseudocount=1e-6, **SAME, **settings)
    mine = mine.loc[list(cells.genes)]
    other = their_conclusion(scvi, rho1, rho2, pseudocounts=1e-6, test_mode="two", **settings)  # both directions
    for column in ("proba_de", "proba_not_de", "bayes_factor"):
        np.testing.assert_allclose(mine[column], other[column], rtol=1e-6, atol=1e-7, err_msg=column)
    # theirs takes these at c/1000: at ρ above 1e-4 a pseudocount of 1e-6 moves a log₂ by at most 0.015
    for column in ("lfc_mean", "lfc_median", "lfc_std"):
        np.testing.assert_allclose(mine[column], other[column], atol=0.03, err_msg=column)


def test_vanilla_probabilities_agree_to_monte_carlo_error_when_each_draws_for_itself(over_anndata):
    theirs, ours, cells, data = over_anndata
    first = (data.obs["type"] == 0).to_numpy()
    n = 4_000
    settings = {"mode": "vanilla", "over": "pairs", "n_pairs": n, "batch_correction": False}
    mine = de.differential_expression(ours, cells, first, ~first, **settings).loc[list(cells.genes)]
    np.random.seed(0)  # noqa: NPY002  scvi-tools draws cells from NumPy's global generator
    torch.manual_seed(0)
    other = theirs.differential_expression(
        idx1=first, idx2=~first, mode="vanilla", n_samples_overall=n, batch_correction=False, silent=True
    ).loc[data.var_names]
    p = (mine["proba_m1"] + other["proba_m1"]) / 2
    standard_error = np.sqrt(2 * p * (1 - p) / n)
    assert ((mine["proba_m1"] - other["proba_m1"]).abs() < 4.5 * standard_error + 1e-3).all()  # 50 genes at once
    assert (p - 0.5).abs().max() > 0.1
