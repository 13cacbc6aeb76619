"""Two unbiased estimators of the same gradient: score function and reparameterised.

Both estimate ∇_{μ, σ} E_{z ~ N(μ, σ²I)}[f(z)] from draws of z.
Axes: S samples, D dimensions of z. A gradient is stored as (2D,): first ∂/∂μ_d, then ∂/∂σ_d.

Sources: pathwise, Kingma and Welling 2014, https://doi.org/10.48550/arXiv.1312.6114, section 2.4; score function,
Williams 1992, https://doi.org/10.1007/BF00992696.
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


def variance_ratios(
    n_dims: int, delta: float, sigma: float, n_samples: int, generator: torch.Generator
) -> tuple[float, float]:
    """Score-function variance over pathwise variance for the same quadratic, measured: plain, and with a baseline.

    The baseline E[f] = D(δ² + σ²) is subtracted from f before it meets the score: E[∇ log q] = 0, so no bias comes of
    it.

    Parameters
    ----------
    n_dims, delta, sigma : as in :func:`variance_ratio_of_a_quadratic`.   n_samples : S draws for each of the three.
    """
    mu, sd = torch.full((n_dims,), delta).double(), torch.full((n_dims,), sigma).double()
    mean_f = (mu**2 + sd**2).sum()

    def f(z: Tensor) -> Tensor:
        return z.square().sum(-1)

    def centred(z: Tensor) -> Tensor:
        return f(z) - mean_f

    path = total_variance(reparameterised_samples(f, mu, sd, n_samples, generator))
    plain = total_variance(score_function_samples(f, mu, sd, n_samples, generator))
    baseline = total_variance(score_function_samples(centred, mu, sd, n_samples, generator))
    return float(plain / path), float(baseline / path)


def variance_ratio_of_a_quadratic(n_dims: int, delta: float, sigma: float) -> float:
    r"""Score-function variance over pathwise variance for f(z) = ‖z − a‖², with μ_d − a_d = δ and σ_d = σ throughout.

    Both variances are summed over the 2D components. With y_d = (δ + σε_d)², f is y_i plus a rest that is independent
    of ε_i, so every component needs only moments of one standard normal: E ε² = 1, E ε⁴ = 3, E ε⁶ = 15, E ε⁸ = 105.

    Parameters
    ----------
    n_dims : D, at least 1.   delta : δ, any real number.   sigma : σ > 0.

    Returns
    -------
    The ratio, which grows like D².
    """
    d2, s2 = delta**2, sigma**2
    rest_mean = (n_dims - 1) * (d2 + s2)  # E Σ_{j ≠ i} y_j
    rest_square = (n_dims - 1) * (4 * d2 * s2 + 2 * s2**2) + rest_mean**2
    # E[f² ε²]/σ² − (2δ)² and E[f² (ε² − 1)²]/σ² − (2σ)²
    by_mu = (d2**2 + 18 * d2 * s2 + 15 * s2**2 + 2 * rest_mean * (d2 + 3 * s2) + rest_square) / s2 - 4 * d2
    by_sigma = (
        2 * d2**2 + 60 * d2 * s2 + 78 * s2**2 + 2 * rest_mean * (2 * d2 + 10 * s2) + 2 * rest_square
    ) / s2 - 4 * s2
    pathwise = 4 * s2 + 4 * (d2 + 2 * s2)  # Var 2(δ + σε) + Var 2(δ + σε)ε
    return (by_mu + by_sigma) / pathwise
