r"""Count distributions: how likely is x, given what the decoder says?

Axes: N cells, G genes. Parameters broadcast against each other and against the counts; the shapes shown are the usual
ones. The letters are those of scVI: mean μ, inverse dispersion θ (variance μ + μ²/θ), and the logit of π for dropout.

Every likelihood stands here twice. ``textbook_…`` is the definition, one term of the equation a line; it is a small
difference of giants, so only double precision has the digits for it. ``log_…`` takes the textbook in double precision,
and in single, in which models train, the saddle-point form of ``saddle_point``: the same number without that loss.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from course_lib.probability import saddle_point
from course_lib.probability.saddle_point import Formula


def log_poisson(x: Tensor, mu: Tensor) -> Tensor:
    r"""Log-probability of a count under Poisson(μ).

    .. math:: x\log μ - μ - \log x!

    Parameters
    ----------
    x : (N, G), integers ≥ 0.   mu : (N, G), > 0.

    Returns
    -------
    (N, G) in nats, in the precision of ``mu``.
    """
    return _log_prob(saddle_point.POISSON, textbook_poisson, x, mu)


def log_nb(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    r"""Log-probability of a count under NB(mean μ, inverse dispersion θ).

    .. math:: \log\tfrac{Γ(x+θ)}{Γ(θ)\,x!} + θ\log\tfrac{θ}{θ+μ} + x\log\tfrac{μ}{θ+μ}

    Parameters
    ----------
    x : (N, G), integers ≥ 0.   mu : (N, G), > 0.   theta : (G,), > 0.

    Returns
    -------
    (N, G) in nats. Variance of the distribution: μ + μ²/θ; as θ → ∞ it becomes Poisson(μ).
    """
    return _log_prob(saddle_point.NB, textbook_nb, x, mu, theta)


def log_zinb(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    r"""Log-probability of a count that is zero with probability π, and else drawn from NB(μ, θ).

    .. math::

        \log(π + (1-π)\,\text{NB}(0)) \;\text{ at } x = 0, \qquad \log(1-π) + \log \text{NB}(x) \;\text{ above.}

    Parameters
    ----------
    x : (N, G), integers ≥ 0.   mu : (N, G), > 0.   theta : (G,), > 0.
    zi_logits : (N, G), log π/(1−π), any real number; −∞ gives the negative binomial.

    Returns
    -------
    (N, G) in nats. The mean of the distribution is (1−π)μ, not μ.

    Source: Lopez et al. 2018, Methods (https://doi.org/10.1038/s41592-018-0229-2).
    """
    return _log_prob(saddle_point.ZINB, textbook_zinb, x, mu, theta, zi_logits)


def slope_in_log_mu(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    r"""How log NB(x) answers to the logarithm of its mean, by automatic differentiation of ``log_nb``.

    .. math:: \frac{∂\log \text{NB}(x)}{∂\log μ} = \frac{θ}{θ+μ}\,(x - μ)

    The residual, shrunk by overdispersion. It is what a decoder hears of each count; of a Poisson's, θ → ∞,
    it hears the residual in full.

    Parameters
    ----------
    x : (N, G), integers ≥ 0.   mu : (N, G), > 0.   theta : (G,), > 0.

    Returns
    -------
    (N, G).
    """
    shape = torch.broadcast_shapes(x.shape, mu.shape, theta.shape)  # a slope for each count, not their sum
    log_mu = mu.detach().log().expand(shape).clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(log_nb(x, log_mu.exp(), theta.detach()).sum(), log_mu)
    return slope


def textbook_poisson(x: Tensor, mu: Tensor) -> Tensor:
    """The definition of ``log_poisson``, in the precision of what comes in."""
    return torch.xlogy(x, mu) - mu - torch.lgamma(x + 1)


def textbook_nb(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    """The definition of ``log_nb``, in the precision of what comes in."""
    return (
        torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
        - theta * torch.log1p(mu / theta)  # θ log θ/(θ+μ)
        - torch.special.xlog1py(x, theta / mu)  # x log μ/(θ+μ)
    )  # fmt: skip


def textbook_zinb(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    """The definition of ``log_zinb``, in the precision of what comes in."""
    nb = textbook_nb(x, mu, theta)
    # π = e^l / (1+e^l) and 1−π = 1 / (1+e^l), so log(π + (1−π)NB(0)) = log(e^l + NB(0)) + log(1−π).
    log_kept = logsigmoid(-zi_logits)  # log(1−π)
    return torch.where(x == 0, torch.logaddexp(zi_logits, nb), nb) + log_kept


def _log_prob(formula: Formula, textbook: Callable[..., Tensor], x: Tensor, *parameters: Tensor) -> Tensor:
    """The saddle-point form in single precision, else the textbook in double; in the precision of the parameters."""
    dtype = functools.reduce(torch.promote_types, (p.dtype for p in parameters))
    if dtype == torch.float32:
        return saddle_point.log_prob(formula, x, *parameters)
    return textbook(x.double(), *(p.double() for p in parameters)).to(dtype)


class _Counts(Distribution):
    """What the three distributions share: counts for support, and parameters that broadcast against each other."""

    support = constraints.nonnegative_integer

    def __init__(self, validate_args: bool | None, **parameters: Tensor):
        for name, value in parameters.items():
            setattr(self, name, value)
        shape = torch.broadcast_shapes(*(value.shape for value in parameters.values()))
        super().__init__(batch_shape=shape, validate_args=validate_args)


class Poisson(_Counts):
    """Poisson(μ): mean and variance μ. What counting alone does.

    Parameters
    ----------
    mu : (N, G), > 0.
    """

    arg_constraints: ClassVar = {"mu": constraints.positive}
    mu: Tensor

    def __init__(self, mu: Tensor, validate_args: bool | None = None):
        super().__init__(validate_args, mu=mu)

    @property
    def mean(self) -> Tensor:
        return self.mu

    @property
    def variance(self) -> Tensor:
        return self.mu

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return log_poisson(value, self.mu)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        return torch.poisson(self.mu.expand(self._extended_shape(sample_shape)))


class NegativeBinomial(_Counts):
    """NB(μ, θ): a Poisson whose mean is itself drawn, w ~ Gamma(shape θ, mean μ). Mean μ, variance μ + μ²/θ.

    ``torch.distributions.NegativeBinomial`` takes (total_count = θ, logits = log μ − log θ) instead, and
    ``scipy.stats.nbinom`` (n = θ, p = θ/(θ+μ)).

    Parameters
    ----------
    mu : (N, G), > 0.   theta : (G,) or (N, G), > 0.
    """

    arg_constraints: ClassVar = {"mu": constraints.positive, "theta": constraints.positive}
    mu: Tensor
    theta: Tensor

    def __init__(self, mu: Tensor, theta: Tensor, validate_args: bool | None = None):
        super().__init__(validate_args, mu=mu, theta=theta)

    @property
    def mean(self) -> Tensor:
        return self.mu.expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        return self.mu + self.mu**2 / self.theta

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return log_nb(value, self.mu, self.theta)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        w = torch._standard_gamma(self.theta.expand(shape)) * (self.mu / self.theta)  # mean = shape · scale = μ
        return torch.poisson(w)


class ZeroInflatedNegativeBinomial(_Counts):
    """ZINB(μ, θ, π): zero with probability π, else NB(μ, θ). Mean (1−π)μ.

    Parameters
    ----------
    mu : (N, G), > 0: the mean of the NB part.   theta : (G,) or (N, G), > 0.   zi_logits : (N, G), log π/(1−π).
    """

    arg_constraints: ClassVar = {
        "mu": constraints.positive,
        "theta": constraints.positive,
        "zi_logits": constraints.real,
    }
    mu: Tensor
    theta: Tensor
    zi_logits: Tensor

    def __init__(self, mu: Tensor, theta: Tensor, zi_logits: Tensor, validate_args: bool | None = None):
        super().__init__(validate_args, mu=mu, theta=theta, zi_logits=zi_logits)

    @property
    def zi_probs(self) -> Tensor:
        """π, the probability that a zero is put in whatever the NB drew."""
        return torch.sigmoid(self.zi_logits)

    @property
    def mean(self) -> Tensor:
        return ((1 - self.zi_probs) * self.mu).expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        # Var = E[Var | kept or dropped] + Var[E | …]: (1−π)(μ + μ²/θ) + π(1−π)μ²
        return (1 - self.zi_probs) * (self.mu + self.mu**2 / self.theta + self.zi_probs * self.mu**2)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return log_zinb(value, self.mu, self.theta, self.zi_logits)

    def dropout_probability(self) -> Tensor:
        """P(put in by π, given that a zero was seen): π / (π + (1−π) NB(0)), (N, G)."""
        return torch.sigmoid(self.zi_logits + self.theta * torch.log1p(self.mu / self.theta))  # NB(0) = (1+μ/θ)^−θ

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        counts = NegativeBinomial(self.mu, self.theta, validate_args=False).sample(sample_shape)
        return counts.masked_fill(torch.rand_like(counts) < self.zi_probs, 0)  # one draw for each count
