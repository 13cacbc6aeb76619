"""scvi-tools' scVI as the course's: every weight in its place, so that both say the same of the same cells.

    model = scvi.model.SCVI(data)              # trained by scvi-tools 1.4, or loaded from its file
    ours = from_scvi_tools(model)
    cells = cells_for(ours, data, batch_key="batch")

``scvi.model.LinearSCVI`` becomes the course's ``LinearSCVI`` likewise; the BatchNorm behind its linear layers, which
the course's lacks, is in evaluation mode another linear map, and goes into their weights and biases.

Where their networks lack an input that ours have (the batch, where there is one, or in the layers after the first), its
weights are zero. What ours cannot say at all is refused by name.

Axes: H hidden units, G genes, L latent dimensions, B batches.
"""

import sys
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from course_lib.contexts import seeded
from course_lib.data.columns import ONLY_BATCH
from course_lib.models.linear_scvi import LinearSCVI
from course_lib.models.scvi import SCVI, Dispersion, GeneLikelihood, LibraryPrior, Side
from course_lib.networks import Trunk

VERSION = "1.4."
FLOOR = 1e-4  # under their variances, as under ours
MODELS = {"scvi.model._scvi.SCVI": "scvi.model.SCVI", "scvi.model._linear_scvi.LinearSCVI": "scvi.model.LinearSCVI"}
VAE, LINEAR = "scvi.module._vae.VAE", "scvi.module._vae.LDVAE"  # their modules


def from_scvi_tools(model: Any) -> SCVI:
    """The course's model with the weights, genes and batches of a trained ``scvi.model.SCVI``, in evaluation mode.

    Equal on the same cells, up to scvi-tools' 1e-8 inside its logarithms: q(z∣x), q(log ℓ∣x), ρ, μ, θ, π, and with the
    same draws the ELBO. ``model`` is not changed. Of a trained ``scvi.model.LinearSCVI``: a ``LinearSCVI``, equal in
    the same, and ``loadings`` are its ``get_loadings()``.

    Raises
    ------
    TypeError : something that is not scvi-tools'.
    ValueError : another model or version of scvi-tools; a model that is not trained, or set up with what the course's
        has no place for: covariates besides the batch, size factors, minified data, batch embeddings, layer norm, a
        logistic normal z, a dispersion per label or cell, a likelihood that is not of counts, networks of other parts.
    """
    check_model(model)
    check_module(model.module)
    fields = model.registry["field_registries"]
    batch = fields["batch"]["state_registry"]
    named = model.registry["setup_args"]["batch_key"] is not None
    ours: Any = from_module(
        model.module,
        genes=fields["X"]["state_registry"]["column_names"],
        batches=[str(name) for name in batch["categorical_mapping"]] if named else (ONLY_BATCH,),
    )
    ours.epochs_trained = max((len(table) for table in (model.history or {}).values()), default=1)
    return ours


def from_module(module: Any, genes: Any, batches: Any) -> SCVI:
    """The same for a bare ``scvi.module.VAE`` or ``LDVAE``, which knows no names."""
    linear = name_of(module) == LINEAR
    learns_library = not module.use_observed_lib_size
    prior = None
    if learns_library:
        mean, variance = module.library_log_means[0], module.library_log_vars[0]  # (B,)
        prior = LibraryPrior(mean.detach().cpu(), variance.detach().cpu().sqrt())
    settings: dict[str, Any] = {
        "library_prior": prior,
        "n_latent": module.n_latent,
        "hidden": (module.n_hidden,) * module.n_layers,
        "dropout": dropout_of(module.z_encoder),
        "gene_likelihood": module.gene_likelihood,
        "dispersion": module.dispersion,
    }
    if not linear:
        settings["decoder_dropout"] = dropout_of(module.decoder)
        settings["batch_norm"] = side_of(module)
        settings["encode_batch"] = module.encode_covariates and module.n_batch > 1
    with seeded(0, torch.device("cpu")):  # weights at random, each to be replaced; the caller's generator stays
        ours = (LinearSCVI if linear else SCVI)(genes, batches, **settings)
    state = encoder_state("z_encoder", module.z_encoder, ours.z_encoder.trunk)
    state |= (linear_decoder_state if linear else decoder_state)(module, ours) | theta_state(module)
    if prior is not None:
        state |= {"library_mean": prior.mean, "library_sd": prior.sd}
        state |= encoder_state("library_encoder", module.l_encoder, ours.library_encoder.trunk)
    ours.load_state_dict(state)  # strict: a tensor of ours without one of theirs is an error
    return ours.eval()


# What fits ------------------------------------------------------------------------------------------------------------


def refuse(setting: str, expected: object, found: object, why: str) -> None:
    raise ValueError(f"{setting}: expected {expected}, found {found}; {why}.")


def name_of(thing: Any) -> str:
    """Of its class, with the module that it is written in."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def check_model(model: Any) -> None:
    """Refuse what is no trained model of a kind and version whose names this module knows."""
    name = name_of(model)
    if name.split(".")[0] != "scvi":
        raise TypeError(f"model: expected a scvi.model.SCVI, found {name}; pass the model that scvi-tools trained.")
    if name not in MODELS:
        expected = " or ".join(MODELS.values())
        refuse("model", expected, name, "the course has no model of that kind to carry it over to")
    version = sys.modules["scvi"].__version__  # it made the model, so it is loaded
    if not version.startswith(VERSION):
        refuse("scvi-tools", f"version {VERSION}x", version, "other versions may mean other things by the same names")
    if model.module is None or not model.is_trained:
        refuse("model", "a trained model", "one that is not", "call model.train() first")
    if model.minified_data_type is not None:
        refuse("minified_data_type", None, repr(model.minified_data_type), "set the model up with its counts")
    setup = model.registry["setup_args"]
    for key in ("size_factor_key", "categorical_covariate_keys", "continuous_covariate_keys"):
        if setup.get(key):
            refuse(key, None, repr(setup[key]), "the course's decoder sees the batch and nothing else beside z")


def check_module(module: Any) -> None:
    """Refuse a ``scvi.module.VAE`` or ``LDVAE`` with a setting that the course's model has no place for."""
    if name_of(module) not in (VAE, LINEAR):
        found = name_of(module)
        refuse("module", "scvi.module.VAE or scvi.module.LDVAE", found, "another module may compute something else")
    for setting, allowed, why in (
        ("gene_likelihood", get_args(GeneLikelihood), "the course scores counts as counts"),
        ("dispersion", get_args(Dispersion), "the course's θ belongs to a gene, or to a gene in a batch"),
        ("latent_distribution", ("normal",), "the course's z is normal"),
        ("batch_representation", ("one-hot",), "the course's networks see the batch one-hot"),
        ("log_variational", (True,), "the course's encoders see log(1 + x)"),
        ("use_size_factor_key", (False, None), "the course's ℓ is the total count, or learned"),
    ):
        if getattr(module, setting) not in allowed:
            expected = " or ".join(repr(value) for value in allowed if value is not None)
            refuse(setting, expected, repr(getattr(module, setting)), why)
    for name in ("z_encoder", "l_encoder"):
        encoder = getattr(module, name)
        if encoder.var_activation is not torch.exp:
            refuse("var_activation", "torch.exp", encoder.var_activation, "the course's encoders give a log-variance")
        if encoder.var_eps != FLOOR:
            refuse("var_eps", FLOOR, encoder.var_eps, "the floor under a variance is fixed")


# What goes where ------------------------------------------------------------------------------------------------------

State = dict[str, Tensor]


def encoder_state(name: str, theirs: Any, trunk: Trunk) -> State:
    """A ``scvi.nn.Encoder`` as our ``GaussianEncoder``."""
    return (
        trunk_state(f"{name}.trunk", theirs.encoder, trunk)
        | under(f"{name}.to_mu", theirs.mean_encoder)
        | under(f"{name}.to_log_variance", theirs.var_encoder)
    )


def decoder_state(module: Any, ours: SCVI) -> State:
    """Their decoder."""
    decoder = module.decoder
    state = trunk_state("decoder.trunk", decoder.px_decoder, ours.decoder.trunk)
    state |= under("decoder.to_rho", decoder.px_scale_decoder[0])
    if module.gene_likelihood == "zinb":
        state |= under("decoder.to_zi_logits", decoder.px_dropout_decoder)
    return state


def linear_decoder_state(module: Any, ours: SCVI) -> State:
    """Their linear decoder, whose two layers have each a BatchNorm behind them unless they were built without."""
    n_inputs = ours.decoder.to_rho.in_features
    state = folded("decoder.to_rho", module.decoder.factor_regressor, n_inputs)
    if module.gene_likelihood == "zinb":
        state |= folded("decoder.to_zi_logits", module.decoder.px_dropout_decoder, n_inputs)
    return state


def folded(name: str, theirs: Any, n_inputs: int) -> State:
    """Linear, then BatchNorm as it stands in evaluation mode, γ(Wz + b − m)/√(v + ε) + β, as one W and one b."""
    layers = [layer for block in theirs.fc_layers for layer in block if layer is not None]
    if kinds(layers) not in (["Linear"], ["Linear", "BatchNorm"]):
        refuse(name, "Linear → BatchNorm", " → ".join(kinds(layers)), "the course's networks have no other parts")
    linear, *norms = layers
    weight = linear.weight.detach().double()  # (G, L + B), or (G, L) where there is one batch
    bias = torch.zeros_like(weight[:, 0]) if linear.bias is None else linear.bias.detach().double()  # (G,)
    for norm in norms:
        gain = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()  # (G,)
        weight, bias = gain[:, None] * weight, gain * (bias - norm.running_mean) + norm.bias.detach()
    weight = pad(weight, (0, n_inputs - weight.shape[1]))
    return {f"{name}.weight": weight.float(), f"{name}.bias": bias.float()}


def theta_state(module: Any) -> State:
    """θ, which they keep beside the decoder: theirs of each batch is (G, B)."""
    if module.gene_likelihood == "poisson":
        return {}
    return {"decoder.log_theta": module.px_r.T if module.dispersion == "gene-batch" else module.px_r}


def trunk_state(name: str, theirs: Any, ours: Trunk) -> State:
    """Their ``FCLayers`` in our trunk: the same layers in the same order, BatchNorm's running averages included."""
    layers = [layer for block in theirs.fc_layers for layer in block if layer is not None]
    if kinds(layers) != kinds(ours):
        refuse(name, " → ".join(kinds(ours)), " → ".join(kinds(layers)), "the course's networks have no other parts")
    state: State = {}
    for place, (layer, mine) in enumerate(zip(layers, ours, strict=True)):
        state |= under(f"{name}.{place}", layer)
        if isinstance(mine, nn.Linear):
            missing = mine.in_features - layer.in_features  # inputs that stand last in ours: the batch
            if missing not in (0, ours.n_batches) or layer.bias is None:
                found = f"{layer.in_features} (bias: {layer.bias is not None})"
                refuse(
                    f"{name}.{place}", f"{mine.in_features} inputs and a bias", found, "there is no place for others"
                )
            state[f"{name}.{place}.weight"] = pad(layer.weight, (0, missing))  # (H, n_in + B)
    return state


def under(name: str, layer: nn.Module) -> State:
    """A layer's tensors under the name that it has in ours."""
    return {f"{name}.{key}": value for key, value in layer.state_dict().items()}


def kinds(layers: Any) -> list[str]:
    """Names of the layers' kinds; our BatchNorm takes more axes than torch's and computes the same."""
    return [type(layer).__name__.replace("BatchNorm1d", "BatchNorm") for layer in layers]


def dropout_of(network: nn.Module) -> float:
    """The probability in its hidden layers; 0 where there is no such layer."""
    return next((float(layer.p) for layer in network.modules() if isinstance(layer, nn.Dropout)), 0.0)


def side_of(module: Any) -> Side:
    """Where there is BatchNorm."""
    encoder, decoder = (
        any(isinstance(layer, nn.BatchNorm1d) for layer in network.modules())
        for network in (module.z_encoder, module.decoder)
    )
    return ("both" if decoder else "encoder") if encoder else ("decoder" if decoder else "none")
