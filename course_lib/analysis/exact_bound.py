"""The bound of a VAE with one latent dimension, by quadrature: how high it stands, and how far below log p(x).

Axes: N cells, K grid points. The model is copied to double precision, so that the identity
log p(x) = ELBO + KL(q(z∣x) ‖ p(z∣x)) can be held to many digits.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from course_lib.analysis.gate import check_decoder_of_z, check_question
from course_lib.analysis.protocol import VariationalModel
from course_lib.data.cells import Cells
from course_lib.probability import quadrature
from course_lib.probability.quadrature import Grid


@dataclass(frozen=True)
class Bound:
    """The three numbers of each cell, in nats; the first is the sum of the other two. Each was integrated by itself."""

    log_evidence: Tensor  # (N,) log p(x)
    elbo: Tensor  # (N,)
    gap: Tensor  # (N,) KL(q(z∣x) ‖ p(z∣x)) ≥ 0


@torch.no_grad()
def log_joint_on_grid(model: VariationalModel, cells: Cells, grid: Grid) -> Tensor:
    """log p(x_n, z_k) = log p(x_n∣z_k) + log p(z_k): (N, K), double precision.

    Raises TypeError for a model that is no VAE, ValueError if its latent state has more than one dimension.
    """
    check_question("a bound by quadrature", model, cells, ["encode", "decode", "prior", "n_latent"])
    check_decoder_of_z("a bound by quadrature", model)
    if model.n_latent != 1:
        raise ValueError(
            f"model: expected n_latent = 1, found {model.n_latent}; a grid over more dimensions has points**n_latent "
            "points. Use course_lib.probability.bounds.iwae there."
        )
    model = copy.deepcopy(model).double()
    x = cells[:].x.double()
    z = grid.z.to(x.device).unsqueeze(-1)  # (K, 1)
    log_likelihood = model.decode(z.unsqueeze(1)).log_prob(x)  # (K, N)
    return log_likelihood.T + model.prior.log_prob(z).squeeze(-1)


@torch.no_grad()
def bound_by_quadrature(model: VariationalModel, cells: Cells, grid: Grid, q: Normal | None = None) -> Bound:
    """log p(x), the ELBO and the gap of every cell.

    Parameters
    ----------
    model : a VAE with ``encode``, ``decode``, ``prior`` and ``n_latent`` = 1.
    grid : wide enough to hold all of q and of the posterior, and finer than the narrower of the two.
    q : batch shape (N, 1); what to use instead of the encoder's q(z∣x).
    """
    log_joint = log_joint_on_grid(model, cells, grid)  # (N, K)
    if q is None:
        q = copy.deepcopy(model).double().encode(cells[:].x.double())
    log_q = quadrature.on_grid(grid, Normal(q.mean.squeeze(-1).double(), q.stddev.squeeze(-1).double()))  # (N, K)
    return Bound(
        log_evidence=quadrature.log_evidence(grid, log_joint),
        elbo=quadrature.elbo(grid, log_q, log_joint),
        gap=quadrature.kl(grid, log_q, quadrature.log_posterior(grid, log_joint)),
    )


class WithExactBound(nn.Module):
    """A VAE that also reports ``log_evidence``, ``elbo`` and ``gap`` where it is validated: means over the cells.

    Training sees the wrapped model's loss and nothing else.
    """

    def __init__(self, model: VariationalModel, grid: Grid):
        super().__init__()
        self.model, self.grid = model, grid

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """The model's loss; outside of training with the three numbers beside it."""
        terms = self.model.loss(cells, kl_weight)
        if self.training:
            return terms
        bound = bound_by_quadrature(self.model, cells, self.grid)
        means = {"log_evidence": bound.log_evidence, "elbo": bound.elbo, "gap": bound.gap}
        return terms | {name: value.mean() for name, value in means.items()}
