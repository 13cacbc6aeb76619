"""Two unbiased estimators of the same gradient: score function and reparameterised.

Both estimate ∇_{μ, σ} E_{z ~ N(μ, σ²I)}[f(z)] from draws of z.
Axes: S samples, D dimensions of z. A gradient is stored as (2D,): first ∂/∂μ_d, then ∂/∂σ_d.

Source: Kingma and Welling 2014, section 2.4 (pathwise); Williams 1992, https://doi.org/10.1007/BF00992696 (score function).
"""

from collections.abc import Callable

import torch
from torch import Tensor

Integrand = Callable[[Tensor], Tensor]


def score_function_samples(
    f: Integrand, mu: Tensor, sigma: Tensor, n_samples: int, generator: torch.Generator
) -> Tensor:
    r"""S single-sample estimates f(z) ∇ log q(z): only values of f are needed, never its derivative.

    Parameters
    ----------
    f : (S, D) to (S,).   mu, sigma : (D,), σ > 0.   n_samples : S.

    Returns
    -------
    (S, 2D). Their mean estimates the gradient; ∂ log q/∂μ = (z − μ)/σ², ∂ log q/∂σ = ((z − μ)² − σ²)/σ³.
    """
    epsilon = torch.randn(n_samples, len(mu), generator=generator, dtype=mu.dtype)  # (S, D)
    z = mu + sigma * epsilon
    score = torch.cat([epsilon / sigma, (epsilon**2 - 1) / sigma], dim=-1)  # (S, 2D)
    return f(z).unsqueeze(-1) * score


def reparameterised_samples(
    f: Integrand, mu: Tensor, sigma: Tensor, n_samples: int, generator: torch.Generator
) -> Tensor:
    r"""S single-sample estimates ∇ f(μ + σε): the derivative of f flows through z to μ and σ.

    Parameters and return value as in :func:`score_function_samples`; f must be differentiable in z.
    """
    epsilon = torch.randn(n_samples, len(mu), generator=generator, dtype=mu.dtype)  # (S, D)
    z = (mu + sigma * epsilon).detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(z).sum(), z)  # (S, D) ∂f/∂z of each sample
    return torch.cat([slope, slope * epsilon], dim=-1)  # dz/dμ = 1, dz/dσ = ε


def total_variance(samples: Tensor) -> Tensor:
    """Sum over the 2D components of the variance of a single-sample estimate.  (S, 2D) to a scalar."""
    return samples.var(dim=0).sum()
