"""From a trained model back to the cells: the latent state, and the reconstruction it gives.

Axes: N cells, G genes, L latent dimensions. Models are asked in evaluation mode, so dropout is off and answers repeat.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from course_lib.analysis.gate import check_decoder_of_z, check_question
from course_lib.analysis.parts import one_after_another, parts_of
from course_lib.analysis.protocol import Coder, Encoder
from course_lib.contexts import evaluating
from course_lib.data.cells import Cells, CellTable


def encode(model: Encoder, cells: Cells) -> Any:
    """q(z∣x), or the code of x.

    q(z∣x, s) where the model says that its encoder sees the batch (``encodes_batch``), q(z∣x, y) where it sees the
    antibodies (``encodes_protein``).
    """
    if getattr(model, "encodes_protein", False):
        return model.encode(cells.x, cells.batch, cells.protein)  # type: ignore[call-arg, attr-defined]
    if getattr(model, "encodes_batch", False):
        return model.encode(cells.x, cells.batch)  # type: ignore[call-arg]
    return model.encode(cells.x)


def mean_of(code: Tensor | Distribution) -> Tensor:
    """One value for what a model returned: a tensor as it is, a distribution's mean."""
    return code.mean if isinstance(code, Distribution) else code


def get_latent_representation(model: Encoder, cells: CellTable) -> NDArray[np.float32]:
    """The code of each cell: z for an autoencoder, the mean of q(z∣x) for a VAE.

    Returns
    -------
    (N, L) float32.  Store it as ``adata.obsm["X_…"]``, for scVI ``adata.obsm["X_scVI"]``.

    Raises
    ------
    TypeError : a model without ``encode``, or no cells.
    ValueError : cells of other genes, or of other batches where the model knows its own.
    """
    check_question("get_latent_representation", model, cells, ["encode"])
    with evaluating(model):
        return one_after_another(len(cells), (mean_of(encode(model, part)) for part in parts_of(model, cells)))


def get_reconstruction(model: Coder, cells: CellTable) -> NDArray[np.float32]:
    """decode(encode(x)): (N, G), the decoder's mean at the posterior mean where the model is a VAE.

    The whole result is in memory, whatever the cells are kept in: 4 bytes × N × G.

    Raises
    ------
    TypeError, ValueError : as above; a model whose decoder needs more than z.
    """
    check_question("get_reconstruction", model, cells, ["encode", "decode"])
    check_decoder_of_z("get_reconstruction", model)

    def reconstructed(part: Cells) -> Tensor:
        return mean_of(model.decode(mean_of(encode(model, part))))

    with evaluating(model):
        return one_after_another(len(cells), (reconstructed(part) for part in parts_of(model, cells)))
