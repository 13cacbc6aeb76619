"""One encoder for all cells, or one q for each: what amortisation saves and what it costs.

Axes: N cells, L latent dimensions.
"""

import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from course_lib.data.cells import Cells


def fit_local_posteriors(model: nn.Module, cells: Cells, *, steps: int, lr: float = 0.02, seed: int = 0) -> Normal:
    """Give each cell a μ and σ of its own, start them where the encoder points, and raise the ELBO; the decoder stays.

    Parameters
    ----------
    model : a VAE with ``encode``, ``decode`` and ``prior``.   steps : of Adam, full batch.   lr : its learning rate.

    Returns
    -------
    Normal with batch shape (N, L): the variational distributions after the last step, detached.

    Source: the difference is the amortisation gap of Cremer, Li and Duvenaud 2018,
    https://doi.org/10.48550/arXiv.1801.03558.
    """
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, found {steps}.")
    with torch.no_grad():
        start = model.encode(cells.x)
    mu = start.mean.clone().requires_grad_()  # (N, L)
    log_sigma = start.stddev.log().requires_grad_()  # (N, L)
    optimizer = torch.optim.Adam([mu, log_sigma], lr=lr)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(steps):
            q = Normal(mu, log_sigma.exp())
            elbo = model.decode(q.rsample()).log_prob(cells.x) - kl_divergence(q, model.prior).sum(-1)  # (N,)
            mu.grad, log_sigma.grad = torch.autograd.grad(-elbo.sum(), [mu, log_sigma])  # the decoder gets none
            optimizer.step()
    return Normal(mu.detach(), log_sigma.detach().exp())
