r"""The count of an antibody: background, or background and more on top, and nobody says which.

Axes: N cells, T antibodies. Parameters broadcast against each other and against the counts. An antibody sticks a little
to every cell, so that there is a second way to be above zero, and a zero is rarely seen:

.. math::

    v ∼ \text{Bernoulli}(π), \qquad
    y ∼ \begin{cases} \text{NB}(β, φ) & \text{if } v = 1 \\ \text{NB}(αβ, φ) & \text{if } v = 0 \end{cases}

β is the mean of the background (v = 1), αβ that of the foreground, φ the inverse dispersion of both. α ≥ 1 gives the
parts their names: without it they could change places and π would mean its opposite, with the same likelihood.

Source: Gayoso et al. 2021, https://doi.org/10.1038/s41592-020-01050-x, Methods.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from course_lib.probability.counts import NegativeBinomial, log_nb


def log_nb_mixture(
    y: Tensor, mu_background: Tensor, mu_foreground: Tensor, theta: Tensor, mixture_logits: Tensor
) -> Tensor:
    r"""Log-probability of a count under the mixture, with v summed out.

    .. math:: \log\left(π\,\text{NB}(y; β, φ) + (1 - π)\,\text{NB}(y; αβ, φ)\right)

    Parameters
    ----------
    y : (N, T), integers ≥ 0.   mu_background : (N, T), β > 0.   mu_foreground : (N, T), αβ ≥ β.   theta : (T,), φ > 0.
    mixture_logits : (N, T), log π/(1−π), π the probability of background.

    Returns
    -------
    (N, T) in nats. Added as logarithms: at a count of thousands each part alone may be below the smallest number.
    """
    background = logsigmoid(mixture_logits) + log_nb(y, mu_background, theta)  # log π NB(y; β, φ)
    foreground = logsigmoid(-mixture_logits) + log_nb(y, mu_foreground, theta)  # log (1 − π) NB(y; αβ, φ)
    return torch.logaddexp(background, foreground)


class NegativeBinomialMixture(Distribution):
    """π NB(β, φ) + (1 − π) NB(αβ, φ): background and foreground of an antibody. Mean πβ + (1 − π)αβ.

    scvi-tools' class of that name calls the four mu1, mu2, theta1 and mixture_logits.

    Parameters
    ----------
    mu_background : (N, T), β > 0.   mu_foreground : (N, T), αβ ≥ β.   theta : (T,) or (N, T), φ > 0.
    mixture_logits : (N, T), log π/(1−π), π the probability of background.
    """

    support = constraints.nonnegative_integer
    arg_constraints: ClassVar = {
        "mu_background": constraints.positive,
        "mu_foreground": constraints.positive,
        "theta": constraints.positive,
        "mixture_logits": constraints.real,
    }

    def __init__(
        self,
        mu_background: Tensor,
        mu_foreground: Tensor,
        theta: Tensor,
        mixture_logits: Tensor,
        validate_args: bool | None = None,
    ):
        self.mu_background, self.mu_foreground = mu_background, mu_foreground
        self.theta, self.mixture_logits = theta, mixture_logits
        shapes = (part.shape for part in (mu_background, mu_foreground, theta, mixture_logits))
        super().__init__(batch_shape=torch.broadcast_shapes(*shapes), validate_args=validate_args)
        if self._validate_args and not (mu_foreground >= mu_background).all():
            raise ValueError(
                "mu_foreground: expected at least mu_background everywhere, found less; the two would have changed "
                "their names, and foreground_probability its meaning."
            )

    @property
    def mixture_probs(self) -> Tensor:
        """π, the probability of background before the count is seen."""
        return torch.sigmoid(self.mixture_logits)

    @property
    def mean(self) -> Tensor:
        mean = self.mixture_probs * self.mu_background + (1 - self.mixture_probs) * self.mu_foreground
        return mean.expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        # Var = E[Var | v] + Var[E | v]: the NBs' own, and that of a mean which jumps between β and αβ
        pi, low, high = self.mixture_probs, self.mu_background, self.mu_foreground
        within = pi * (low + low**2 / self.theta) + (1 - pi) * (high + high**2 / self.theta)
        return within + pi * (1 - pi) * (high - low) ** 2

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return log_nb_mixture(value, self.mu_background, self.mu_foreground, self.theta, self.mixture_logits)

    def foreground_probability(self, value: Tensor) -> Tensor:
        """P(v = 0∣y), by Bayes: how probable it is that a count came from the foreground, (N, T).

        The prior odds (1 − π)/π times the ratio of the two likelihoods; the sigmoid turns log odds into a probability.
        """
        evidence = log_nb(value, self.mu_foreground, self.theta) - log_nb(value, self.mu_background, self.theta)
        return torch.sigmoid(evidence - self.mixture_logits)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        background = torch.rand(shape, device=self.mu_background.device) < self.mixture_probs  # v, one for each count
        mu = torch.where(background, self.mu_background, self.mu_foreground)
        return NegativeBinomial(mu, self.theta, validate_args=False).sample()
