"""One encoder for all cells, or one q for each: what amortisation saves and what it costs.

Axes: N cells, L latent dimensions.
"""

import torch
from torch.distributions import Normal, kl_divergence

from course_lib.analysis.gate import check_decoder_of_z, check_question
from course_lib.analysis.parts import device_of
from course_lib.analysis.protocol import VariationalModel
from course_lib.arguments import positive, seed_number, whole_number
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells


def fit_local_posteriors(
    model: VariationalModel, cells: Cells, *, steps: int, lr: float = 0.02, draws: int = 16, seed: int = 0
) -> Normal:
    """Give each cell a μ and σ of its own, start them where the encoder points, and raise the ELBO; the decoder stays.

    Parameters
    ----------
    model : a VAE with ``encode``, ``decode`` and ``prior``.   steps : of Adam, all cells in each: few enough for that.
    lr : its learning rate at the start; it falls linearly to zero, so that the noise of the last draws is averaged out.
    draws : of z for each cell and step.

    Returns
    -------
    Normal with batch shape (N, L): the variational distributions after the last step, detached.

    Source: the difference is the amortisation gap of Cremer, Li and Duvenaud 2018,
    https://doi.org/10.48550/arXiv.1801.03558.
    """
    check_question("fit_local_posteriors", model, cells, ["encode", "decode", "prior"])
    check_decoder_of_z("fit_local_posteriors", model)
    steps, draws, lr = whole_number("steps", steps), whole_number("draws", draws), positive("lr", lr)
    where = device_of(model, cells)
    x = cells[:].to(where).x  # (N, G)
    with evaluating(model), seeded(seed_number(seed), where):
        start = model.encode(x)
        mu = start.mean.clone().requires_grad_()  # (N, L)
        log_sigma = start.stddev.log().requires_grad_()  # (N, L)
        optimizer = torch.optim.Adam([mu, log_sigma], lr=lr)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
            with torch.enable_grad():
                q = Normal(mu, log_sigma.exp())
                reconstruction = model.decode(q.rsample((draws,))).log_prob(x).mean(0)  # (N,)
                elbo = reconstruction - kl_divergence(q, model.prior).sum(-1)  # (N,)
                mu.grad, log_sigma.grad = torch.autograd.grad(-elbo.sum(), [mu, log_sigma])  # the decoder gets none
            optimizer.step()
    return Normal(mu.detach(), log_sigma.detach().exp())
