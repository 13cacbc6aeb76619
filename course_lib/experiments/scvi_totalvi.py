"""scvi-tools' totalVI at its defaults, trained and asked as the experiment on proteins needs it: the extra `peer`.

Axes: N cells, G genes, T antibodies, L latent dimensions.
"""

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from course_lib.data.protein_cells import ProteinCells
from course_lib.experiments.scvi_tools import QUIET


def as_anndata(cells: ProteinCells) -> AnnData:
    """As scvi-tools wants them: antibodies in ``obsm``, zeros throughout a batch where they were not measured."""
    data = AnnData(cells.x.numpy(), var=pd.DataFrame(index=list(cells.genes)))
    data.obs["batch"] = pd.Categorical.from_codes(cells.batch.numpy(), list(cells.batches))  # codes as ours
    protein = np.nan_to_num(cells.protein.numpy())
    data.obsm["protein"] = pd.DataFrame(protein, index=data.obs_names, columns=list(cells.proteins))
    return data


def train(cells: ProteinCells, seed: int, epochs: int | None = None) -> Any:
    """TOTALVI with all its defaults, on the CPU, without a word.

    20 dimensions, two hidden layers of 256 in the encoder and one in each decoder, up to 400 epochs, early stopping on
    a tenth of the cells. A batch without antibodies brings its adversarial classifier.
    """
    import scvi

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scvi.settings.verbosity = logging.ERROR
    scvi.settings.seed = seed
    data = as_anndata(cells)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # plans that it and the packages below it announce
        scvi.model.TOTALVI.setup_anndata(data, protein_expression_obsm_key="protein", batch_key="batch")
        model = scvi.model.TOTALVI(data)
        model.train(max_epochs=epochs, accelerator="cpu", **{**QUIET, "logger": None})  # its monitor wants some logger
    return model


def latent(model: Any, cells: ProteinCells) -> np.ndarray:
    """Posterior means of z: (N, L)."""
    return quietly(model.get_latent_representation, as_anndata(cells))


def foreground(model: Any, cells: ProteinCells, n_samples: int = 25) -> pd.DataFrame:
    """Its foreground probability, the mean of 1 − π over draws: (N, T)."""
    return quietly(
        model.get_protein_foreground_probability, as_anndata(cells), n_samples=n_samples, return_mean=True, silent=True
    ).reset_index(drop=True)


def expected_counts(model: Any, cells: ProteinCells, batch: str, n_samples: int = 25) -> pd.DataFrame:
    """Its expected counts with background, decoded in a batch that has antibodies: (N, T)."""
    _, protein = quietly(
        model.get_normalized_expression, as_anndata(cells), n_samples=n_samples, return_mean=True, silent=True,
        transform_batch=batch, include_protein_background=True,
    )  # fmt: skip
    return protein.reset_index(drop=True)


def quietly(question: Any, *arguments: Any, **named: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return question(*arguments, **named)
