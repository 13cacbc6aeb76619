r"""Composition: ρ is a share, so where a few genes rise much, all others fall, though none of them changed.

Axes: K draws, G genes.

Let a gene's absolute expression be α_g, molecules made per cell, so that ρ_g = α_g / Σ α. Of a gene that kept its α

.. math:: \log_2 \frac{ρ_{1g}}{ρ_{2g}} = -\log_2 \frac{\sum_h α_{1h}}{\sum_h α_{2h}},

the same for all of them: the **composition shift**. Counts cannot tell it from a change of all these genes. Whoever
holds that *most* well-counted genes kept their α can estimate it, by the median over these genes, and rescale. That is
an assumption about biology, so it is never made for you; it misleads where most genes do move, or where a panel was
chosen for those that do and few others are in it. Before you believe a shift, ask for it over genes of other
abundance: if the answer moves, so do the genes, and no median gives them a zero.

Rescaling comes before a pseudocount is added. Afterwards it is too late: log₂(ρ + c) of a gene far below c did not move
with the composition, and taking the shift from it as well would make up a change.

Source: Anders & Huber 2010, https://doi.org/10.1186/gb-2010-11-10-r106, equation 5: size factors by the median of
ratios.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

WELL_COUNTED = 100.0  # molecules of a gene in each group: counting leaves its log₂ ratio a deviation of at most .2
FEWEST = 10  # genes that a median should be taken over, at least


def well_counted(total1: ArrayLike, total2: ArrayLike) -> NDArray[np.bool_]:
    """Genes with at least ``WELL_COUNTED`` molecules in either group: totals of each gene (G,) and (G,) to (G,).

    Raises
    ------
    ValueError : fewer than ``FEWEST`` such genes.
    """
    enough = np.minimum(np.asarray(total1), np.asarray(total2)) >= WELL_COUNTED
    if enough.sum() < FEWEST:
        raise ValueError(
            f"groups: expected at least {FEWEST} genes with {WELL_COUNTED:g} molecules or more in each group, found "
            f"{enough.sum()}; take groups of more cells, or compare shares as they are."
        )
    return enough


def composition_shift(rho1: Tensor, rho2: Tensor, genes: ArrayLike) -> Tensor:
    """Median log₂(ρ₁/ρ₂) over the well-counted genes: (K, G), (K, G) and a mask (G,) to (K, 1).

    Below zero: something else took a larger share in group 1. Exchanging the groups changes its sign.
    """
    chosen = torch.as_tensor(np.asarray(genes), device=rho1.device)
    ratio = torch.log2(rho1[:, chosen]) - torch.log2(rho2[:, chosen])
    return ratio.quantile(0.5, dim=1, keepdim=True)  # of an even number the middle of the two: median() takes the lower


def centred(rho1: Tensor, rho2: Tensor, genes: ArrayLike) -> tuple[Tensor, Tensor]:
    """ρ₁ and ρ₂ rescaled so that their ratio has median one over the well-counted genes: (K, G) each.

    Half of the shift is given to either group, so that exchanging the groups exchanges the results, whatever c is added
    afterwards. What returns is no share any more: its rows do not sum to one.
    """
    half = torch.exp2(composition_shift(rho1, rho2, genes) / 2)
    return rho1 / half, rho2 * half
