"""Models of scvi-tools carried over: the same numbers from the same cells, in every configuration, or a refusal.

Whoever has only the course's own packages skips this file: ``pip install -e '.[test,peer]'`` brings scvi-tools. A few
steps of its own loss move every weight and BatchNorm's averages away from where they start; one model is trained by
scvi-tools itself, saved and loaded.
"""

import importlib.util
import itertools

import numpy as np
import pytest
import torch
from anndata import AnnData
from torch.distributions import Normal

from course_lib.analysis.gate import cells_for
from course_lib.analysis.latent import encode, get_latent_representation
from course_lib.analysis.posterior import (
    encode_library,
    get_latent_library_size,
    get_marginal_ll,
    get_normalized_expression,
)
from course_lib.data.columns import ONLY_BATCH
from course_lib.models.linear_scvi import LinearSCVI
from course_lib.models.scvi import SCVI
from course_lib.peers.quiet import QUIET_TRAINING, quiet
from course_lib.peers.scvi_tools import from_scvi_tools
from course_lib.probability.bounds import iwae

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
    ),
    # What scvi-tools, Lightning and their dependencies warn about is not the course's to mend.
    pytest.mark.filterwarnings("ignore"),
]

N_CELLS, N_GENES = 90, 30
BATCHES = ("v3", "v2", "a run")  # neither in the order of letters nor of the cells
SAME = {"rtol": 1e-5, "atol": 0.0}


def counts(n_batches: int) -> AnnData:
    """Two types of cell, library sizes of their own in each batch; the batches are categories in an order of theirs."""
    random = np.random.default_rng(0)
    profiles = random.dirichlet(np.ones(N_GENES), size=2)
    types, batch = random.integers(2, size=N_CELLS), random.integers(n_batches, size=N_CELLS)
    library = random.lognormal(5.5 + 0.5 * batch, 0.4)
    data = AnnData(random.poisson(library[:, None] * profiles[types]).astype(np.float32))
    data.var_names = [f"gene {j}" for j in range(N_GENES)]
    data.obs["batch"] = np.array(BATCHES)[batch]
    data.obs["batch"] = data.obs["batch"].astype("category").cat.set_categories(list(BATCHES[:n_batches]))
    data.obs["type"] = [f"type {kind}" for kind in types]
    data.obs["depth"] = library
    return data


def build(scvi, data: AnnData, setup: dict | None = None, kind: str = "SCVI", **settings):
    """A model over ``data`` as their users build one, with the weights of the start."""
    build_as = getattr(scvi.model, kind)
    n_batches = data.obs["batch"].cat.categories.size
    build_as.setup_anndata(data, **({"batch_key": "batch" if n_batches > 1 else None} | (setup or {})))
    torch.manual_seed(0)
    return build_as(data, **({"n_hidden": 12, "n_latent": 3} | settings))


def trained(scvi, n_batches: int = 3, setup: dict | None = None, kind: str = "SCVI", **settings):
    """The same after a few large steps of its own loss, as after training; in evaluation mode."""
    model = build(scvi, counts(n_batches), setup, kind, **settings)
    module, tensors = model.module.train(), everything(model)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(8):
        optimizer.zero_grad()
        module(tensors)[2].loss.backward()
        optimizer.step()
    model.is_trained_ = True
    module.eval()
    return model


def everything(model) -> dict[str, torch.Tensor]:
    """All cells as their module takes them."""
    (tensors,) = model._make_data_loader(model.adata, batch_size=N_CELLS)
    return tensors


def cells_of(ours: SCVI, model):
    return cells_for(ours, model.adata, batch_key=None if ours.batches == (ONLY_BATCH,) else "batch")


def largest_difference(mine: torch.Tensor, other: torch.Tensor) -> float:
    """Relative, over all numbers."""
    return float(((mine - other) / other).abs().max())


@torch.no_grad()
def differences(model) -> dict[str, float]:
    """What both say of the same cells with the same draws: the largest relative difference of each kind of number."""
    ours, tensors = from_scvi_tools(model), everything(model)
    cells = cells_of(ours, model)
    torch.manual_seed(1)
    inference, generative, loss = model.module(tensors)  # draws z, then ℓ
    q = encode(ours, cells)
    p = ours.decode(inference["z"], inference["library"], cells.batch).base_dist
    px = generative["px"]
    pairs = {
        "mean of z": (q.mean, inference["qz"].loc),
        "sd of z": (q.stddev, inference["qz"].scale),
        "ρ": (ours.decode(inference["z"], 0 * inference["library"], cells.batch).base_dist.mu, px.scale),
        "μ": (p.mu, px.rate if model.module.gene_likelihood == "poisson" else px.mu),
    }
    if ours.learns_library:
        q_library = encode_library(ours, cells)
        pairs |= {"mean of log ℓ": (q_library.mean, inference["ql"].loc)}
        pairs |= {"sd of log ℓ": (q_library.stddev, inference["ql"].scale)}
    if model.module.gene_likelihood != "poisson":
        pairs |= {"θ": (p.theta.expand(N_CELLS, -1), px.theta.expand(N_CELLS, -1))}
    if model.module.gene_likelihood == "zinb":
        pairs |= {"π": (p.zi_logits.sigmoid(), px.zi_logits.sigmoid())}
    torch.manual_seed(1)
    bound = ours.elbo(cells)  # draws z, then ℓ
    other = loss.reconstruction_loss["reconstruction_loss"] + sum(loss.kl_local.values())
    pairs |= {"−ELBO": (-bound.value, other)}
    return {name: largest_difference(*pair) for name, pair in pairs.items()}


# Every configuration --------------------------------------------------------------------------------------------------

CONFIGURATIONS = [
    {
        "gene_likelihood": likelihood,
        "use_observed_lib_size": observed,
        "n_batches": b,
        "n_layers": d,
        "dispersion": theta,
    }
    for likelihood, observed, b, d, theta in itertools.product(
        ("zinb", "nb", "poisson"), (True, False), (1, 3), (1, 2), ("gene", "gene-batch")
    )
]
OTHERS = [
    {"use_batch_norm": "none"},
    {"use_batch_norm": "encoder"},
    {"use_batch_norm": "decoder", "n_layers": 2},
    {"encode_covariates": True, "use_observed_lib_size": False},
    {"encode_covariates": True, "n_layers": 2},
    {"encode_covariates": True, "n_batches": 1},
    {"deeply_inject_covariates": False, "n_layers": 3},
    {"deeply_inject_covariates": False, "encode_covariates": True, "n_layers": 2, "use_observed_lib_size": False},
    {"dropout_rate": 0.0},
    {"setup": {"labels_key": "type"}},  # labels are read by a dispersion per label alone
]


def in_words(settings: dict) -> str:
    return " ".join(str(value) for value in settings.values())


@pytest.mark.parametrize("settings", [*CONFIGURATIONS, *OTHERS], ids=in_words)
def test_both_say_the_same_of_the_same_cells(scvi, settings):
    found = differences(trained(scvi, **settings))
    assert {name: value for name, value in found.items() if not value < 1e-5} == {}


LINEAR = [
    {"gene_likelihood": likelihood, "use_observed_lib_size": observed, "n_batches": b, "dispersion": theta}
    for likelihood, observed, b, theta in itertools.product(
        ("zinb", "nb", "poisson"), (True, False), (1, 3), ("gene", "gene-batch")
    )
] + [
    {"gene_likelihood": "zinb", "n_layers": 2},
    {"gene_likelihood": "zinb", "use_batch_norm": False},
    {"gene_likelihood": "zinb", "use_batch_norm": False, "bias": True, "n_batches": 1},
    {"gene_likelihood": "zinb", "bias": True},
    {"encode_covariates": True},  # they take it, and their linear model's encoders do not see the batch all the same
]


@pytest.mark.parametrize("settings", LINEAR, ids=in_words)
def test_both_say_the_same_of_the_same_cells_where_the_decoder_is_linear(scvi, settings):
    model = trained(scvi, kind="LinearSCVI", **settings)
    ours = from_scvi_tools(model)
    assert isinstance(ours, LinearSCVI)
    found = differences(model)
    assert {name: value for name, value in found.items() if not value < 1e-5} == {}
    np.testing.assert_allclose(ours.loadings, model.get_loadings(), rtol=1e-5, atol=1e-7)
    assert ours.loadings.std() > 0.05


def test_a_linear_model_that_scvi_tools_trained(scvi):
    """BatchNorm's averages, gains and shifts, far from where they start."""
    model = build(scvi, counts(3), kind="LinearSCVI", gene_likelihood="zinb", use_observed_lib_size=True)
    with quiet():
        model.train(max_epochs=20, batch_size=32, train_size=1.0, plan_kwargs={"lr": 0.02}, **QUIET_TRAINING)
    model.module.eval()
    norm = model.module.decoder.factor_regressor.fc_layers[0][1]
    for tensor, start in ((norm.running_mean, 0), (norm.running_var, 1), (norm.weight, 1), (norm.bias, 0)):
        assert float((tensor - start).abs().max()) > 0.1
    assert max(differences(model).values()) < 1e-5
    ours = from_scvi_tools(model)
    np.testing.assert_allclose(ours.loadings, model.get_loadings(), rtol=1e-5, atol=1e-7)
    assert (ours.genes, ours.batches, ours.epochs_trained) == (tuple(model.adata.var_names), BATCHES, 20)


def test_in_double_precision_only_their_constant_inside_logarithms_is_left(scvi):
    """log(μ + 1e-8) for log μ, x times, and likewise θ: below 1e-7 of log p(x). The rest agrees to rounding."""
    model = trained(scvi, gene_likelihood="zinb", use_observed_lib_size=False, n_layers=2)
    ours = from_scvi_tools(model).double()
    cells, tensors = cells_of(ours, model), everything(model)
    module = model.module.double()
    for buffer in ("library_log_means", "library_log_vars"):  # they multiply these by a one-hot batch in single
        setattr(module, buffer, getattr(module, buffer).float())
    z, log_library = torch.randn(N_CELLS, 3).double(), torch.rand(N_CELLS, 1).double() + 5
    with torch.no_grad():
        px = module.generative(z, log_library, tensors["batch"])["px"]
        p = ours.decode(z, log_library, cells.batch)
        torch.testing.assert_close(p.base_dist.mu, px.mu, rtol=1e-12, atol=0)
        torch.testing.assert_close(p.base_dist.zi_logits, px.zi_logits, rtol=1e-10, atol=1e-12)
        mine, other = p.log_prob(cells.x.double()), px.log_prob(cells.x.double()).sum(-1)
    assert 1e-12 < largest_difference(mine, other) < 1e-7


def test_a_model_that_scvi_tools_trained_saved_and_loaded(scvi, tmp_path):
    data = counts(3)
    model = build(scvi, data, use_observed_lib_size=False)
    model.train(
        max_epochs=2, batch_size=32, train_size=1.0, accelerator="cpu", enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    model.save(tmp_path / "saved")
    loaded = scvi.model.SCVI.load(tmp_path / "saved", data, accelerator="cpu")
    state = torch.get_rng_state()
    for each in (model, loaded):
        ours = from_scvi_tools(each)
        assert ours.genes == tuple(data.var_names)
        assert ours.batches == BATCHES
        assert ours.epochs_trained == 2
        assert not ours.training
        assert max(differences(each).values()) < 1e-5
    assert ours.z_encoder.trunk[3].p == 0.1  # training may go on from here, as theirs would
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    torch.set_rng_state(state)
    mine = from_scvi_tools(model)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers stay where they were
    with torch.no_grad():
        for tensor in mine.state_dict().values():
            tensor.zero_()
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} of theirs was changed through ours"


# What users ask -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def observed(scvi):
    model = trained(scvi, gene_likelihood="zinb", n_layers=2, dispersion="gene-batch")
    ours = from_scvi_tools(model)
    return model, ours, cells_of(ours, model)


@pytest.fixture(scope="module")
def learned(scvi):
    model = trained(scvi, gene_likelihood="nb", use_observed_lib_size=False, encode_covariates=True)
    ours = from_scvi_tools(model)
    return model, ours, cells_of(ours, model)


@pytest.fixture
def no_noise(monkeypatch):
    """Every draw is its mean: their expression at one draw of z is then ours at the posterior mean."""
    monkeypatch.setattr(Normal, "rsample", lambda q, shape=(): q.loc.expand(*shape, *q.loc.shape))


def test_a_decoder_gives_each_batch_its_own(observed):
    model, ours, cells = observed
    z, log_library = torch.randn(N_CELLS, 3), torch.full((N_CELLS, 1), 5.0)
    with torch.no_grad():
        decoded = []
        for code in range(3):
            batch = torch.full((N_CELLS,), code)
            px = model.module.generative(z, log_library, batch[:, None])["px"]
            mine = ours.decode(z, log_library, batch)
            torch.testing.assert_close(mine.base_dist.mu, px.mu, **SAME)
            torch.testing.assert_close(mine.base_dist.theta, px.theta, **SAME)
            torch.testing.assert_close(mine.log_prob(cells.x), px.log_prob(cells.x).sum(-1), **SAME)
            decoded.append(mine.base_dist)
        samples = torch.randn(4, N_CELLS, 3)  # and K samples of z at once
        px = model.module.generative(samples, log_library.expand(4, -1, -1), cells.batch[:, None])["px"]
        torch.testing.assert_close(ours.decode(samples, log_library, cells.batch).base_dist.mu, px.mu, **SAME)
    for one, other in itertools.combinations(decoded, 2):
        assert largest_difference(one.mu, other.mu) > 0.01
        assert largest_difference(one.theta, other.theta) > 0.01


@pytest.mark.parametrize("which", ["observed", "learned"])
def test_latent_state_and_library_size_are_those_that_scvi_tools_returns(which, request):
    model, ours, cells = request.getfixturevalue(which)
    np.testing.assert_allclose(
        get_latent_representation(ours, cells), model.get_latent_representation(), rtol=1e-5, atol=1e-6
    )
    library = model.get_latent_library_size(give_mean=ours.learns_library)[:, 0]
    np.testing.assert_allclose(get_latent_library_size(ours, cells), library, rtol=1e-5)


@pytest.mark.parametrize("transform_batch", [None, "v2", list(BATCHES)])
@pytest.mark.parametrize("which", ["observed", "learned"])
def test_normalised_expression_is_scvi_tools_own(which, transform_batch, request, no_noise):
    model, ours, cells = request.getfixturevalue(which)
    for library_size in (1, 10_000):
        theirs = model.get_normalized_expression(
            transform_batch=transform_batch, library_size=library_size, n_samples=1, return_numpy=True
        )
        mine = get_normalized_expression(ours, cells, transform_batch=transform_batch, library_size=library_size)
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_with_an_observed_library_the_expected_counts_are_scvi_tools_own(observed, no_noise):
    model, ours, cells = observed
    theirs = model.get_normalized_expression(library_size="latent", n_samples=1, return_numpy=True)
    np.testing.assert_allclose(get_normalized_expression(ours, cells, library_size="latent"), theirs, rtol=1e-5)


@pytest.mark.parametrize("which", ["observed", "learned"])
def test_marginal_likelihoods_are_scvi_tools_own(which, request):
    model, ours, cells = request.getfixturevalue(which)
    torch.manual_seed(3)
    theirs = model.module.marginal_ll(everything(model), n_mc_samples=20, n_mc_samples_per_pass=20)
    torch.manual_seed(3)
    everything(model)  # a loader draws a number
    torch.randn(N_CELLS, 3)  # they draw z, and ℓ, once before those they use
    if ours.learns_library:
        torch.randn(N_CELLS, 1)
    with torch.no_grad():
        torch.testing.assert_close(iwae(ours.log_weights(cells, 20)), theirs, **SAME)
    # and through the public functions, whose draws are their own: two estimates of one number
    apart = get_marginal_ll(ours, cells, n_samples=300) - np.asarray(
        model.get_marginal_ll(n_mc_samples=300, n_mc_samples_per_pass=300, return_mean=False)
    )
    assert abs(apart.mean()) < 4 * apart.std() / N_CELLS**0.5  # across cells, whose draws are independent


def test_genes_and_batches_keep_their_names_and_other_cells_are_refused(learned):
    model, ours, _ = learned
    assert ours.genes == tuple(model.adata.var_names)
    assert ours.batches == BATCHES
    some = model.adata[model.adata.obs["batch"] != "v3"].copy()  # fewer batches, in another order
    some.obs["batch"] = some.obs["batch"].astype(str)
    cells = cells_for(ours, some, batch_key="batch")
    np.testing.assert_allclose(
        get_latent_representation(ours, cells), model.get_latent_representation(some), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="another order"):
        cells_for(ours, some[:, ::-1].copy(), batch_key="batch")


def test_one_named_batch_keeps_its_name_and_none_is_the_courses_only_one(scvi):
    assert from_scvi_tools(trained(scvi, n_batches=1)).batches == (ONLY_BATCH,)
    named = trained(scvi, n_batches=1, setup={"batch_key": "batch"})
    assert from_scvi_tools(named).batches == ("v3",)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"dispersion": "gene-label", "setup": {"labels_key": "type"}},
            r"dispersion: expected 'gene' or 'gene-batch', found 'gene-label'",
        ),
        ({"dispersion": "gene-cell"}, r"dispersion: expected .*, found 'gene-cell'; the course's θ belongs to a gene"),
        ({"gene_likelihood": "normal"}, r"gene_likelihood: expected 'zinb' or 'nb' or 'poisson', found 'normal'"),
        ({"latent_distribution": "ln"}, r"latent_distribution: expected 'normal', found 'ln'"),
        ({"batch_representation": "embedding"}, r"batch_representation: expected 'one-hot', found 'embedding'"),
        ({"log_variational": False}, r"log_variational: expected True, found False"),
        ({"use_layer_norm": "encoder"}, r"z_encoder.trunk: expected Linear.*, found .*LayerNorm"),
        ({"use_layer_norm": "decoder", "use_batch_norm": "none"}, r"decoder.trunk: expected .*, found .*LayerNorm"),
        ({"use_layer_norm": "both"}, r"found .*LayerNorm.*; the course's networks have no other parts"),
        ({"var_activation": torch.nn.functional.softplus}, r"var_activation: expected torch.exp, found .*softplus"),
        ({"extra_encoder_kwargs": {"var_eps": 1e-3}}, r"var_eps: expected 0.0001, found 0.001"),
        ({"extra_encoder_kwargs": {"activation_fn": torch.nn.Tanh}}, r"z_encoder.trunk: expected .*, found .*Tanh"),
        ({"extra_decoder_kwargs": {"activation_fn": torch.nn.ELU}}, r"decoder.trunk: expected .*, found .*ELU"),
        ({"extra_decoder_kwargs": {"bias": False}}, r"decoder.trunk.0: expected \d+ inputs and a bias, found .*False"),
        ({"setup": {"size_factor_key": "depth"}}, r"size_factor_key: expected None, found 'depth'"),
        (
            {"setup": {"categorical_covariate_keys": ["type"]}},
            r"categorical_covariate_keys: expected None, found \['type'\]; .* sees the batch and nothing else beside z",
        ),
        (
            {"setup": {"categorical_covariate_keys": ["type"]}, "encode_covariates": True},
            r"categorical_covariate_keys: expected None, found \['type'\]",
        ),
        (
            {"setup": {"continuous_covariate_keys": ["depth"]}},
            r"continuous_covariate_keys: expected None, found \['depth'\]",
        ),
    ],
    ids=lambda value: in_words(value) if isinstance(value, dict) else "",
)
def test_what_the_course_has_no_place_for_is_refused_by_name(scvi, settings, message):
    setup = settings.get("setup")
    model = build(scvi, counts(3), setup, **{name: value for name, value in settings.items() if name != "setup"})
    model.is_trained_ = True
    with pytest.raises(ValueError, match=message):
        from_scvi_tools(model)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"latent_distribution": "ln"}, r"latent_distribution: expected 'normal', found 'ln'"),
        ({"dispersion": "gene-cell"}, r"dispersion: expected .*, found 'gene-cell'"),
    ],
)
def test_what_has_no_place_is_refused_of_a_linear_model_too(scvi, settings, message):
    model = build(scvi, counts(3), kind="LinearSCVI", **settings)
    model.is_trained_ = True
    with pytest.raises(ValueError, match=message):
        from_scvi_tools(model)


def test_a_linear_layer_followed_by_something_else_is_refused(scvi):
    model = trained(scvi, kind="LinearSCVI")
    model.module.decoder.factor_regressor.fc_layers[0].append(torch.nn.ReLU())
    with pytest.raises(ValueError, match=r"decoder.to_rho: expected Linear → BatchNorm, found Linear.*ReLU"):
        from_scvi_tools(model)


def test_covariates_are_refused_from_the_shapes_alone_too(scvi):
    """A module that grew another input (here by hand) has no place either."""
    model = trained(scvi)
    first = model.module.decoder.px_decoder.fc_layers[0][0]
    model.module.decoder.px_decoder.fc_layers[0][0] = torch.nn.Linear(first.in_features + 2, first.out_features)
    with pytest.raises(ValueError, match=r"decoder.trunk.0: expected 6 inputs and a bias, found 8"):
        from_scvi_tools(model)


def test_other_models_and_other_things_are_refused(scvi, monkeypatch):
    with pytest.raises(ValueError, match=r"model: expected a trained model, found one that is not; call model.train"):
        from_scvi_tools(build(scvi, counts(1)))
    with pytest.raises(ValueError, match=r"model: expected a trained model, found one that is not; call model.train"):
        from_scvi_tools(build(scvi, counts(1), kind="LinearSCVI"))
    other = build(scvi, counts(1), {"batch_key": None}, kind="AUTOZI")
    expected = r"model: expected scvi.model.SCVI or scvi.model.LinearSCVI, found scvi.model._autozi.AUTOZI; the course"
    with pytest.raises(ValueError, match=expected):
        from_scvi_tools(other)
    model = trained(scvi)
    for thing in (None, model.adata, from_scvi_tools(model)):
        with pytest.raises(TypeError, match=r"model: expected a scvi.model.SCVI, found .*; pass the model"):
            from_scvi_tools(thing)
    with pytest.raises(ValueError, match=r"model: expected scvi.model.SCVI or .*, found scvi.module._vae.VAE"):
        from_scvi_tools(model.module)
    with monkeypatch.context() as patch:
        patch.setattr(scvi, "__version__", "1.5.0")
        with pytest.raises(ValueError, match=r"scvi-tools: expected version 1.4.x, found 1.5.0"):
            from_scvi_tools(model)
    theirs = type("VAE", (scvi.module.VAE,), {"__module__": "somewhere"})
    model.module.__class__ = theirs
    with pytest.raises(ValueError, match=r"module: expected scvi.module.VAE or .*, found somewhere.VAE"):
        from_scvi_tools(model)


def test_minified_data_is_refused(scvi):
    model = trained(scvi)
    model.adata.obsm["mean"], model.adata.obsm["variance"] = model.get_latent_representation(return_dist=True)
    model.minify_adata(use_latent_qzm_key="mean", use_latent_qzv_key="variance")
    with pytest.raises(ValueError, match="minified_data_type: expected None, found 'latent_posterior"):
        from_scvi_tools(model)
