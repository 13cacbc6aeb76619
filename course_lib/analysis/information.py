r"""How much does the code say of a cell? What q(z∣x) costs over the prior, in bits, and where the codes lie together.

A code whose noise has been chosen is a channel (the appendix of that name). The KL of the ELBO is its price: averaged
over cells,

.. math:: E_x\,KL(q(z∣x) ‖ p(z)) = I(x; z) + KL(q(z) ‖ p(z)), \qquad q(z) = E_x\,q(z∣x),

what z tells about which cell it was, and how far the codes of all cells together, the aggregate posterior q(z), are
from the prior (Hoffman and Johnson 2016, http://approximateinference.org/accepted/HoffmanJohnson2016.pdf). Where the
second is zero, as for the exact posterior of data from the model itself, the price is information, and in the
linear-Gaussian case it is ½ log₂(1 + SNR) bits for each dimension, the capacity of a Gaussian channel.

Axes: N cells, L latent dimensions. Models are asked in evaluation mode.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from course_lib.analysis.gate import check_question
from course_lib.analysis.latent import encode
from course_lib.analysis.parts import device_of, one_after_another, parts_of
from course_lib.arguments import seed_number
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells, CellTable


def bits_per_dimension(model: Any, cells: CellTable) -> NDArray[np.floating]:
    """KL(q(z_l∣x_n) ‖ p(z_l)) of each cell and latent dimension, in bits: nats ÷ log 2.

    Parameters
    ----------
    model : a VAE of any kind, with ``encode`` to a Normal over (N, L) and ``prior``.

    Returns
    -------
    (N, L), never negative. The mean over cells says what each dimension carries; the sum over dimensions is
    ``bits_per_cell``.

    Raises
    ------
    TypeError : a model without a prior, such as an autoencoder, or whose code is no Normal; no cells.
    ValueError : cells of other genes or batches than the model's.
    """
    check_question("bits_per_dimension", model, cells, ["encode", "prior"])

    def bits(part: Cells) -> Tensor:
        return kl_divergence(_posterior(model, part), model.prior) / math.log(2)

    with evaluating(model):
        return one_after_another(len(cells), (bits(part) for part in parts_of(model, cells)))


def bits_per_cell(model: Any, cells: CellTable) -> NDArray[np.floating]:
    """KL(q(z∣x_n) ‖ p(z)) of each cell in bits, (N,): what its whole code costs. Raises as ``bits_per_dimension``."""
    return bits_per_dimension(model, cells).sum(axis=1)


def draw_codes(model: Any, cells: CellTable, *, seed: int = 0) -> NDArray[np.floating]:
    """One z ~ q(z∣x_n) for each cell, (N, L): together a sample of the aggregate posterior q(z), to hold against p(z).

    Posterior means will not do: they lack the noise, and lie closer together than the prior even where q(z) equals it.
    Raises as ``bits_per_dimension``.
    """
    check_question("draw_codes", model, cells, ["encode", "prior"])
    with evaluating(model), seeded(seed_number(seed), device_of(model, cells)):
        return one_after_another(len(cells), (_posterior(model, part).sample() for part in parts_of(model, cells)))


def _posterior(model: Any, part: Cells) -> Normal:
    q = encode(model, part)
    if not isinstance(q, Normal):
        raise TypeError(
            f"model: expected an encoder that gives a Normal for each latent dimension, found "
            f"{type(q).__name__}; ask a VAE."
        )
    return q
