"""scvi-tools' model, trained and asked as the experiments need it. Needs the extra `peer`.

Axes: N cells, G genes, K draws.
"""

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch.distributions import Normal, kl_divergence

from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells
from course_lib.probability.bounds import ELBO

QUIET: dict[str, Any] = {
    "logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False,
}  # fmt: skip


def build(cells: Cells, seed: int, *, learn_library: bool, n_latent: int = 10) -> Any:
    """scvi-tools' SCVI for these cells and their batches: ZINB, its own defaults for the rest, not yet trained."""
    import scvi

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scvi.settings.verbosity = logging.ERROR
    scvi.settings.seed = seed
    data = AnnData(cells.x.numpy(), var=pd.DataFrame(index=list(cells.genes)))
    data.obs["batch"] = pd.Categorical.from_codes(cells.batch.numpy(), list(cells.batches))  # codes as ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # plans that the packages below it announce
        scvi.model.SCVI.setup_anndata(data, batch_key="batch")
        return scvi.model.SCVI(
            data, n_latent=n_latent, gene_likelihood="zinb", use_observed_lib_size=not learn_library
        )  # fmt: skip


def train(model: Any, epochs: int, **settings: Any) -> None:
    """Train on all cells of the model, minibatches of 128, on the CPU, without a word; evaluation mode afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and loggers
        model.train(max_epochs=epochs, train_size=1.0, accelerator="cpu", **QUIET, **settings)
    model.module.eval()


def latent(model: Any, cells: Cells) -> np.ndarray:
    """Posterior means of z: (N, L)."""
    with evaluating(model.module):
        q: Normal = model.module.inference(cells.x, batch_of(cells))["qz"]
    return q.mean.numpy()


def bound(model: Any, cells: Cells, n_draws: int) -> ELBO:
    """The bound of each cell from its own networks, reconstruction averaged over K ≥ 2 draws of z and ℓ."""
    with evaluating(model.module), seeded(0, cells.device):
        q = model.module.inference(cells.x, batch_of(cells), n_samples=n_draws)
        p = model.module.generative(q["z"], q["library"], batch_of(cells))  # (K, N, G)
        kl_library = None if q["ql"] is None else kl_divergence(q["ql"], p["pl"]).sum(-1)
        kl_z = kl_divergence(q["qz"], Normal(0.0, 1.0)).sum(-1)
        return ELBO(p["px"].log_prob(cells.x).sum(-1).mean(0), kl_z, kl_library)


def batch_of(cells: Cells) -> torch.Tensor:
    """scvi-tools wants the batch of each cell as (N, 1)."""
    return cells.batch.unsqueeze(-1)
