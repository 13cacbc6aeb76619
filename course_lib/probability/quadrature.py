"""Integrals over a one-dimensional latent, so that every claim about the ELBO can be computed.

With one latent dimension the marginal p(x) = ∫ p(x, z) dz is a sum over a fine grid. The trapezoid rule on a smooth
function that vanishes at both ends converges faster than any power of the spacing, so 4,001 points give
all the digits that double precision holds (Trefethen and Weideman 2014, https://doi.org/10.1137/130932132).

Axes: N data points, K grid points. Everything is kept as logarithms until the last moment.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

LogDensity = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Grid:
    """Equally spaced points z_k on [low, high], in double precision.

    The interval must hold all of the mass: ±10 does for a standard-normal prior, whose density there is 1e-22.
    """

    low: float = -10.0
    high: float = 10.0
    points: int = 4001

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low: expected low < high, found {self.low} and {self.high}; swap them.")
        if self.points < 3:
            raise ValueError(f"points: expected at least 3, found {self.points}; use some thousands.")

    @property
    def z(self) -> Tensor:
        """(K,) the points."""
        return torch.linspace(self.low, self.high, self.points, dtype=torch.float64)

    @property
    def dz(self) -> float:
        """The distance between two neighbours."""
        return (self.high - self.low) / (self.points - 1)

    @property
    def weights(self) -> Tensor:
        """(K,) the trapezoid's weights: dz everywhere, half of it at both ends."""
        weights = torch.full((self.points,), self.dz, dtype=torch.float64)
        weights[[0, -1]] /= 2
        return weights

    def log_integral(self, log_f: Tensor) -> Tensor:
        """log ∫ exp(log_f) dz.

        Parameters
        ----------
        log_f : (..., K), the logarithm of the integrand at every grid point.

        Returns
        -------
        (...), finite where the integrand is positive somewhere.
        """
        return torch.logsumexp(log_f + self.weights.log().to(log_f.device), dim=-1)

    def expectation(self, log_q: Tensor, f: Tensor) -> Tensor:
        """E_q[f] = ∫ q(z) f(z) dz.

        Parameters
        ----------
        log_q : (..., K), a normalised log-density on the grid.   f : (..., K), any real value.

        Returns
        -------
        (...). Where q is zero, f does not count, even if it is infinite there (0 · log 0 = 0).
        """
        q = log_q.exp()
        return torch.where(q > 0, q * f, torch.zeros_like(q)) @ self.weights.to(q.device)


def log_evidence(grid: Grid, log_joint: Tensor) -> Tensor:
    """log p(x) = log ∫ p(x, z) dz.  ``log_joint``: (N, K), log p(x_n, z_k).  Returns (N,)."""
    return grid.log_integral(log_joint)


def log_posterior(grid: Grid, log_joint: Tensor) -> Tensor:
    """log p(z∣x) = log p(x, z) − log p(x) on the grid (Bayes' theorem).  (N, K) to (N, K)."""
    return log_joint - log_evidence(grid, log_joint).unsqueeze(-1)


def elbo(grid: Grid, log_q: Tensor, log_joint: Tensor) -> Tensor:
    """ELBO = E_q[log p(x, z) − log q(z)], by quadrature.  ``log_q``, ``log_joint``: (N, K).  Returns (N,)."""
    return grid.expectation(log_q, log_joint - log_q)


def kl(grid: Grid, log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q ‖ p) = E_q[log q − log p], by quadrature.  (N, K) and (N, K) to (N,).  Infinite where q > 0 and p = 0."""
    return grid.expectation(log_q, log_q - log_p)


def on_grid(grid: Grid, q: Distribution) -> Tensor:
    """log q_n(z_k) of N one-dimensional distributions (batch shape (N,)) on the grid: (N, K), double precision."""
    return q.log_prob(grid.z.to(q.mean.device).unsqueeze(-1)).T
