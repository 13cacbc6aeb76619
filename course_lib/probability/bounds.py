"""Lower bounds on log p(x): the ELBO and the importance-weighted bound.

Axes: N cells, K samples of the latent state for each cell.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class ELBO:
    """Evidence lower bound of each cell, term by term: E_q[log p(x∣z)] − KL(q(z∣x) ‖ p(z)).

    A model with a second latent variable, the library size ℓ, pays a second KL for it; one with more latent variables
    names what it pays for each of them in ``further``.

    Source: Kingma and Welling 2014, equation 3 (https://doi.org/10.48550/arXiv.1312.6114).
    """

    reconstruction: Tensor  # (N,) E_q[log p(x∣z)], here from one draw of z: unbiased
    kl_z: Tensor  # (N,) KL(q(z∣x) ‖ p(z)) ≥ 0
    kl_library: Tensor | None = None  # (N,) KL(q(ℓ∣x) ‖ p(ℓ∣s)) ≥ 0, where ℓ is latent
    further: Mapping[str, Tensor] = field(default_factory=dict)  # name to (N,): what else the bound pays, subtracted

    def __post_init__(self) -> None:
        taken = {"loss", "reconstruction", "kl_z", "kl_library"} & set(self.further)
        if taken:
            raise ValueError(f"further: expected names of its own for each term, found {sorted(taken)}; rename it.")

    @property
    def value(self) -> Tensor:
        """(N,) the bound itself, in nats."""
        return self.reconstruction - self.kl_z - sum(self.other_costs.values())

    @property
    def other_costs(self) -> dict[str, Tensor]:
        """Name to (N,): every cost beside the KL of z."""
        library = {} if self.kl_library is None else {"kl_library": self.kl_library}
        return library | dict(self.further)

    def loss(self, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """What training minimises: −ELBO with the KL weighted, averaged over cells, never over genes.

        Parameters
        ----------
        kl_weight : β ≥ 0. One is the ELBO; below one (warm-up) and above one (β-VAE) are not bounds on log p(x)
            that the model was derived from. It weighs the KL of z; every other cost counts in full.

        Returns
        -------
        Scalars ``loss``, ``reconstruction`` (−E_q[log p(x∣z)]), ``kl_z``, where ℓ is latent ``kl_library``, and the
        terms of ``further`` by their names, in nats per cell.
        """
        reconstruction, kl_z = -self.reconstruction.mean(), self.kl_z.mean()
        others = {name: cost.mean() for name, cost in self.other_costs.items()}
        loss = reconstruction + kl_weight * kl_z + sum(others.values())
        return {"loss": loss, "reconstruction": reconstruction, "kl_z": kl_z, **others}


def iwae(log_weights: Tensor) -> Tensor:
    r"""Importance-weighted bound: log of the mean of K importance weights.

    .. math:: \log\tfrac1K\sum_k \frac{p(x, z_k)}{q(z_k∣x)} \quad\text{with}\quad z_k \sim q(z∣x)

    With K = 1 its expectation is the ELBO; it rises with K towards log p(x).

    Parameters
    ----------
    log_weights : (K, N), log p(x∣z_k) + log p(z_k) − log q(z_k∣x), the same z_k in all three densities.

    Returns
    -------
    (N,) in nats.

    Source: Burda, Grosse and Salakhutdinov 2016, equation 8 (https://doi.org/10.48550/arXiv.1509.00519).
    """
    if log_weights.ndim != 2:
        raise ValueError(
            f"log_weights: expected (K, N), K samples of N cells, found shape {tuple(log_weights.shape)}; "
            "stack the samples along a first axis."
        )
    return torch.logsumexp(log_weights, dim=0) - math.log(log_weights.shape[0])
