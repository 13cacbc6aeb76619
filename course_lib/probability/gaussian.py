"""Gaussians: the one density that both ends of a VAE share.

Axes: N cells, L latent dimensions. A diagonal Gaussian is a ``torch.distributions.Normal`` whose
batch shape is (N, L): one independent normal for each latent dimension of each cell.
"""

import torch
from torch import Tensor
from torch.distributions import Normal


def standard_normal(n_latent: int, like: Tensor | None = None) -> Normal:
    """The prior p(z) = N(0, I): L independent standard normals.

    Parameters
    ----------
    n_latent : L, at least 1.
    like : a tensor whose device and floating type the prior takes; float32 on the CPU without it.

    Returns
    -------
    Normal with batch shape (L,).
    """
    like = torch.zeros(()) if like is None else like
    return Normal(like.new_zeros(n_latent), like.new_ones(n_latent))
