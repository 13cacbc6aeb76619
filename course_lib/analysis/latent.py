"""From a trained model back to the cells: the latent state, and the reconstruction it gives.

Axes: N cells, G genes, L latent dimensions. Models are asked in evaluation mode, so dropout is off and answers repeat.
"""

from typing import Any

import numpy as np
from torch import Tensor
from torch.distributions import Distribution

from course_lib.analysis.protocol import Coder, Encoder
from course_lib.contexts import evaluating
from course_lib.data.cells import Cells
from course_lib.data.matching import check_cells


def encode(model: Encoder, cells: Cells) -> Any:
    """q(z∣x), or the code of x; q(z∣x, s) where the model says that its encoder sees the batch (``encodes_batch``)."""
    if getattr(model, "encodes_batch", False):
        return model.encode(cells.x, cells.batch)  # type: ignore[call-arg]
    return model.encode(cells.x)


def mean_of(code: Tensor | Distribution) -> Tensor:
    """One value for what a model returned: a tensor as it is, a distribution's mean."""
    return code.mean if isinstance(code, Distribution) else code


def get_latent_representation(model: Encoder, cells: Cells) -> np.ndarray:
    """The code of each cell: z for an autoencoder, the mean of q(z∣x) for a VAE.

    Returns
    -------
    (N, L) float32.  Store it as ``adata.obsm["X_…"]``, for scVI ``adata.obsm["X_scVI"]``.

    Raises
    ------
    ValueError : cells of other genes, or of other batches where the model knows its own.
    """
    check_cells(model, cells)
    with evaluating(model):
        return mean_of(encode(model, cells)).cpu().numpy()


def get_reconstruction(model: Coder, cells: Cells) -> np.ndarray:
    """decode(encode(x)): (N, G), the decoder's mean at the posterior mean where the model is a VAE."""
    check_cells(model, cells)
    with evaluating(model):
        return mean_of(model.decode(mean_of(model.encode(cells.x)))).cpu().numpy()
