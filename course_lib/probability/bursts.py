r"""Where a Gamma–Poisson comes from: a promoter that is on and off, and the counts of its mRNA.

The two-state promoter, in its stationary state. All rates are in units of the mRNA's decay, so that a molecule lives
one unit of time on average: k_on from off to on, k_off from on to off, r new molecules while on. Then

.. math:: p ∼ \text{Beta}(k_\text{on}, k_\text{off}), \qquad x∣p ∼ \text{Poisson}(r p).

p is the time that the promoter was on, as its mRNA remembers it: the past is weighted by :math:`e^{-\text{age}}`, since
so large a share of the molecules made at that age is left.

If the promoter is on rarely and briefly and works hard when it is (k_off and r large, r/k_off fixed), mRNA comes in
bursts of r/k_off molecules on average, k_on of them in a molecule's lifetime. The Beta becomes a Gamma, and the counts
NB(μ = k_on r/k_off, θ = k_on): inverse dispersion is the number of bursts that a cell still remembers.

Source: Peccoud and Ycart 1995 (https://doi.org/10.1006/tpbi.1995.1027); for single cells, Kim and Marioni 2013
(https://doi.org/10.1186/gb-2013-14-1-r7).
"""

import math

import torch
from torch import Tensor

from course_lib.arguments import positive
from course_lib.probability.counts import NegativeBinomial


def log_beta_poisson(x: Tensor, k_on: float, k_off: float, rate: float) -> Tensor:
    r"""Log-probability of a count under Poisson(r p) with p ~ Beta(k_on, k_off), p integrated out.

    .. math:: \log\frac{r^x}{x!} + \log\frac{B(k_\text{on}+x,\, k_\text{off})}{B(k_\text{on},\, k_\text{off})}
        - r + \log {}_1F_1(k_\text{off};\; k_\text{on}+k_\text{off}+x;\; r)

    Usually written with :math:`{}_1F_1(k_\text{on}+x;\; k_\text{on}+k_\text{off}+x;\; -r)` and without −r, which is the
    same (Kummer's transformation); but the terms of that series alternate and cancel, and here all are positive.

    Parameters
    ----------
    x : any shape, integers ≥ 0.   k_on, k_off, rate : > 0, in units of the mRNA's decay; ``rate`` is r.

    Returns
    -------
    The shape of ``x``, in nats, double precision. A count takes some r + 10 √r terms.

    Raises
    ------
    TypeError, ValueError : a rate that is no number > 0; a count that is negative or not whole.
    """
    k_on, k_off, rate = (positive(*pair) for pair in (("k_on", k_on), ("k_off", k_off), ("rate", rate)))
    x = torch.as_tensor(x).double()
    if not bool(((x >= 0) & (x == x.floor()) & x.isfinite()).all()):
        raise ValueError("x: expected counts, 0, 1, 2, …, found one that is not; pass raw counts.")
    log_betas = _log_beta(k_on + x, k_off) - _log_beta(x.new_tensor(k_on), k_off)
    log_factors = x * math.log(rate) - torch.lgamma(x + 1) - rate
    return log_factors + log_betas + log_hyp1f1(k_off, k_on + k_off + x, rate)


def log_hyp1f1(a: float, b: Tensor, z: float) -> Tensor:
    r"""log of Kummer's function for b ≥ a > 0 and z > 0, where every term of its series is positive.

    .. math:: \log {}_1F_1(a; b; z) = \log \sum_{n=0}^\infty \frac{(a)_n}{(b)_n}\frac{z^n}{n!}, \qquad
        (a)_n = a(a+1)\cdots(a+n-1)

    Parameters
    ----------
    a, z : > 0.   b : any shape, ≥ a.

    Returns
    -------
    The shape of ``b``. As (a)_n ≤ (b)_n, what follows the last term is less than a Poisson(z)'s tail beyond it.
    """
    n = torch.arange(math.ceil(z + 12 * math.sqrt(z) + 60), dtype=torch.float64)  # (T,) terms 0 … T − 1
    ratio = torch.log((a + n) / (b.unsqueeze(-1) + n) * z / (n + 1))  # (…, T) log of term n+1 over term n
    log_terms = torch.cumsum(ratio, dim=-1)
    return torch.logaddexp(torch.logsumexp(log_terms, dim=-1), torch.zeros_like(b))  # the term n = 0 is one


def moments(k_on: float, k_off: float, rate: float) -> tuple[float, float]:
    """Mean and variance of the count: the mean and variance of r p, and once more the mean, for the Poisson."""
    k_on, k_off, rate = (positive(*pair) for pair in (("k_on", k_on), ("k_off", k_off), ("rate", rate)))
    both = k_on + k_off
    mean = rate * k_on / both
    return mean, mean + rate**2 * k_on * k_off / (both**2 * (both + 1))


def bursty_limit(k_on: float, k_off: float, rate: float) -> NegativeBinomial:
    """The NB that the counts tend to as k_off and r grow at a fixed r/k_off: mean k_on r/k_off, θ = k_on."""
    k_on, k_off, rate = (positive(*pair) for pair in (("k_on", k_on), ("k_off", k_off), ("rate", rate)))
    mu, theta = torch.tensor([rate * k_on / k_off, k_on], dtype=torch.float64)
    return NegativeBinomial(mu, theta)


def _log_beta(a: Tensor, b: float) -> Tensor:
    """log B(a, b)."""
    return torch.lgamma(a) + math.lgamma(b) - torch.lgamma(a + b)
