"""The linear-Gaussian model, where evidence and posterior are exact in any number of dimensions.

Probabilistic PCA (Tipping and Bishop 1999, https://doi.org/10.1111/1467-9868.00196):

    z ~ N(0, I_L),    x | z ~ N(W z + b, σ² I_G).

Axes: N data points, G features, L latent dimensions. W: (G, L), b: (G,), σ: a positive scalar.
It is a VAE whose decoder is linear; everything a VAE approximates is a formula here, so this module is the oracle.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal, kl_divergence


@dataclass(frozen=True)
class LinearGaussian:
    """p(z) = N(0, I), p(x∣z) = N(Wz + b, σ²I). Raises ValueError where the shapes do not fit or σ ≤ 0."""

    weight: Tensor  # (G, L)
    bias: Tensor  # (G,)
    sigma: Tensor  # scalar, > 0

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(
                f"weight, bias: expected (G, L) and (G,), found {tuple(self.weight.shape)} and "
                f"{tuple(self.bias.shape)}; store W with one row per feature."
            )
        if self.sigma.numel() != 1 or not bool(self.sigma > 0):
            raise ValueError(f"sigma: expected one number > 0, found {self.sigma}; it is a standard deviation.")

    @classmethod
    def fitted(cls, x: Tensor, n_latent: int, sigma: float) -> "LinearGaussian":
        """The W and b that make data most likely at a given σ: the first L principal directions, each √(λ_l − σ²) long.

        A direction whose variance λ_l does not exceed σ² gets a column of zeros (Tipping and Bishop 1999, section 3.2,
        with σ² given rather than fitted).

        Parameters
        ----------
        x : (N, G), double precision.   n_latent : L, 1 to G.   sigma : σ > 0, in the units of x.
        """
        if not 1 <= n_latent <= x.shape[1]:
            raise ValueError(f"n_latent: expected 1 to {x.shape[1]}, the features of x, found {n_latent}; take fewer.")
        variances, directions = torch.linalg.eigh(x.T.cov(correction=0))  # ascending
        lengths = (variances.flip(0)[:n_latent] - sigma**2).clamp(min=0).sqrt()
        return cls(directions.flip(1)[:, :n_latent] * lengths, x.mean(0), torch.tensor(sigma, dtype=x.dtype))

    def evidence(self) -> LowRankMultivariateNormal:
        """p(x) = N(b, W Wᵀ + σ² I): batch shape (), event shape (G,)."""
        return LowRankMultivariateNormal(self.bias, self.weight, self.sigma**2 * torch.ones_like(self.bias))

    def information(self) -> Tensor:
        r"""I(x; z), what a measurement and its state tell about each other: a scalar, in nats.

        .. math:: \tfrac12\log\det\big(I_L + W^\top W / σ^2\big) = \tfrac12\sum_l \log(1 + \text{SNR}_l)

        SNR_l are the eigenvalues of WᵀW/σ²: L Gaussian channels side by side (Shannon 1948,
        https://doi.org/10.1002/j.1538-7305.1948.tb00917.x).
        """
        identity = torch.eye(self.weight.shape[1], dtype=self.weight.dtype)
        return 0.5 * torch.logdet(identity + self.weight.T @ self.weight / self.sigma**2)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z∣x) = N(M⁻¹Wᵀ(x − b), σ²M⁻¹) with M = WᵀW + σ²I.  x: (N, G).  Batch shape (N,), event shape (L,)."""
        n_latent = self.weight.shape[1]
        identity = torch.eye(n_latent, dtype=x.dtype)
        precision = (self.weight.T @ self.weight) / self.sigma**2 + identity  # (L, L) = M / σ²
        mean = torch.linalg.solve(precision, self.weight.T @ (x - self.bias).T).T / self.sigma**2  # (N, L)
        return MultivariateNormal(mean, precision_matrix=precision)

    def elbo(self, x: Tensor, q: MultivariateNormal) -> Tensor:
        r"""ELBO = E_q[log p(x∣z)] − KL(q ‖ p(z)) in closed form, for any Gaussian q.

        .. math:: \log N(x;\,Wm+b,\,σ^2 I) - \tfrac{1}{2σ^2}\mathrm{tr}(W S W^\top) - KL(N(m, S)\,‖\,N(0, I))

        Parameters
        ----------
        x : (N, G).   q : batch shape (N,), event shape (L,), mean m and covariance S.

        Returns
        -------
        (N,) in nats, never above ``evidence().log_prob(x)``.
        """
        n_features, n_latent = self.weight.shape
        mean_x = q.mean @ self.weight.T + self.bias  # (N, G)
        spread = torch.einsum("gl,nlm,gm->n", self.weight, q.covariance_matrix, self.weight)  # tr(W S Wᵀ)
        squared_error = (x - mean_x).square().sum(-1) + spread  # E_q ‖x − Wz − b‖²
        reconstruction = -0.5 * squared_error / self.sigma**2 - 0.5 * n_features * torch.log(
            2 * torch.pi * self.sigma**2
        )
        prior = MultivariateNormal(torch.zeros(n_latent, dtype=x.dtype), torch.eye(n_latent, dtype=x.dtype))
        return reconstruction - kl_divergence(q, prior)

    def best_diagonal(self, x: Tensor) -> MultivariateNormal:
        """The q with a diagonal covariance that maximises the ELBO: the posterior's mean, variances 1 / precision_ll.

        It equals the posterior only where WᵀW is diagonal (Bishop 2006, section 10.1.2).
        """
        exact = self.posterior(x)
        variance = 1 / torch.diagonal(exact.precision_matrix, dim1=-2, dim2=-1)  # (N, L)
        return MultivariateNormal(exact.mean, torch.diag_embed(variance))
