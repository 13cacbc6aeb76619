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


def kl_to_standard_normal(mu: Tensor, sigma: Tensor) -> Tensor:
    r"""KL(N(μ, σ²) ‖ N(0, 1)) in closed form, one value for each latent dimension.

    .. math:: \tfrac12\,(μ^2 + σ^2 - 1 - \log σ^2)

    Parameters
    ----------
    mu : (N, L), any real value.   sigma : (N, L), the standard deviation, > 0.

    Returns
    -------
    (N, L) in nats, never negative. Its sum over L is the KL of the whole latent state.

    Source: Kingma and Welling 2014, appendix B (https://doi.org/10.48550/arXiv.1312.6114).
    """
    return 0.5 * (mu**2 + sigma**2 - 1 - 2 * torch.log(sigma))
