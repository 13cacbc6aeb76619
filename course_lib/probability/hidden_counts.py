r"""What stood where a zero is seen? Functionals of the count y that dropout, or we, removed.

Axes: N cells, G genes, K draws of the parameters. Two questions that are easily taken for one:

- a zero was *observed*: x = 0, and dropout may have put it there. If it did, nothing is known of y but its law
  NB(μ, θ); if not, y = 0. Hence E[y∣x = 0] = P(dropout∣x = 0) μ;
- a zero was *made* from a count known to be above zero. Then y has the law of the NB given y > 0, and the π of the
  model, which explains zeros that were there before, does not enter.

Source of the model: Lopez et al. 2018, Methods (https://doi.org/10.1038/s41592-018-0229-2).
"""

import torch
from torch import Tensor

from course_lib.probability.counts import ZeroInflatedNegativeBinomial


def mean_given_zero(p: ZeroInflatedNegativeBinomial) -> Tensor:
    r"""Expected count before dropout where the count is zero.

    .. math::

        \mathbb{E}[y ∣ x = 0] = \frac{π}{π + (1-π)\,\text{NB}(0)}\; μ

    Returns
    -------
    (N, G), in (0, μ).
    """
    return p.dropout_probability() * p.mu


def mean_above_zero(mu: Tensor, theta: Tensor) -> Tensor:
    r"""Expected count where it is known to be above zero.

    .. math:: \mathbb{E}[y ∣ y > 0] = \frac{μ}{1 - \text{NB}(0)}, \qquad \text{NB}(0) = (1 + μ/θ)^{-θ}

    Parameters
    ----------
    mu : (K, N, G), > 0: K draws.   theta : (G,), > 0.

    Returns
    -------
    (N, G), ≥ 1: of the mixture of the K laws, so that a draw counts as much as it expects counts above zero.
    """
    return mu.mean(0) / above_zero(mu, theta).mean(0)


def median_above_zero(mu: Tensor, theta: Tensor) -> Tensor:
    r"""The smallest m with P(y ≤ m ∣ y > 0) ≥ ½, for the mixture of K negative binomials: what an L1 error rewards.

    Masses are added from y = 1 upwards, NB(y+1) = NB(y) (y+θ)/(y+1) · μ/(μ+θ), each entry as far as its median.

    Parameters
    ----------
    mu : (K, N, G), > 0: K draws.   theta : (G,), > 0.

    Returns
    -------
    (N, G), whole numbers ≥ 1, in the precision of ``mu``.
    """
    dtype, shape = mu.dtype, mu.shape[1:]
    mu, theta = (part.double().flatten(1) for part in torch.broadcast_tensors(mu, theta))  # (K, M)
    log_ratio = (mu / (mu + theta)).log()
    log_mass = theta.log() + log_ratio - theta * torch.log1p(mu / theta)  # log NB(1), in logs: NB(0) may underflow
    half = above_zero(mu, theta).sum(0) / 2  # (M,)
    median, seen = torch.ones_like(half), log_mass.exp().sum(0)
    todo = torch.arange(len(half), device=mu.device)
    y = 1
    while len(todo := todo[below := seen < half * (1 - 1e-12)]):  # a tie broken by rounding would cost a whole count
        log_mass, log_ratio, theta, half = (part[..., below] for part in (log_mass, log_ratio, theta, half))
        log_mass = log_mass + ((y + theta) / (y + 1)).log() + log_ratio
        y += 1
        seen = seen[below] + log_mass.exp().sum(0)
        median[todo] = y
    return median.reshape(shape).to(dtype)


def above_zero(mu: Tensor, theta: Tensor) -> Tensor:
    """P(y > 0) = 1 − NB(0), with all digits where μ is small."""
    return -torch.expm1(-theta * torch.log1p(mu / theta))
