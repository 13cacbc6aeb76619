"""scVI as two Pyro programs: a model that makes cells, and a guide that guesses the hidden numbers of those it sees.

Axes: N cells, G genes, L latent dimensions, B batches. Both programs are made of the networks of an ``SCVI``, its very
tensors: train the programs, and the model has learned; load a trained model, and the programs know what it knows.
Source: Bingham et al. 2019, https://doi.org/10.48550/arXiv.1810.09538.
"""

from typing import Any

import pyro
import torch
from pyro.distributions import Normal, constraints
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.nn import PyroModule, PyroParam
from torch import Tensor

from course_lib.arguments import whole_number
from course_lib.models.scvi import SCVI
from course_lib.probability.counts import ZeroInflatedNegativeBinomial

pyro.settings.set(module_local_params=True)  # a program's parameters are its own; no store that all programs share


class ZINB(ZeroInflatedNegativeBinomial, TorchDistributionMixin):
    """The course's ZINB(μ, θ, π), with what Pyro asks of a distribution beside ``log_prob`` and ``sample``."""

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ZINB":
        """The same distribution for each cell of a larger table."""
        mu, theta, zi_logits = (p.expand(batch_shape) for p in (self.mu, self.theta, self.zi_logits))
        return ZINB(mu, theta, zi_logits, validate_args=False)


class SCVIModel(PyroModule):
    """p(z) p(log ℓ∣s) p(x∣z, ℓ, s), the program that makes cells.

    Parameters
    ----------
    scvi : with ZINB, one θ a gene and a learned library.   n_cells : how many the whole table has.

    Raises
    ------
    TypeError, ValueError : another kind of model, or fewer than one cell.
    """

    library_mean: Tensor
    library_sd: Tensor

    def __init__(self, scvi: SCVI, n_cells: int):
        super().__init__()
        check_model(scvi)
        self.n_latent, self.n_cells = scvi.n_latent, whole_number("n_cells", n_cells)
        decoder = scvi.decoder
        self.trunk, self.to_rho, self.to_zi_logits = decoder.trunk, decoder.to_rho, decoder.to_zi_logits
        self.theta: Any = PyroParam(decoder.log_theta.detach().exp(), constraints.positive)  # (G,), a pyro.param
        self.theta_unconstrained = decoder.log_theta  # Pyro learns log θ, as we do: let it be ours
        self.register_buffer("library_mean", scvi.library_mean)
        self.register_buffer("library_sd", scvi.library_sd)

    def forward(self, x: Tensor | None, batch: Tensor) -> Tensor:
        """Counts (N, G), or None to draw them, and codes (N,): returns the counts."""
        zeros, ones = self.library_mean.new_zeros(self.n_latent), self.library_mean.new_ones(self.n_latent)  # (L,)
        with pyro.plate("cells", self.n_cells, subsample=batch):  # log-probabilities count n_cells / N times
            z = pyro.sample("z", Normal(zeros, ones).to_event(1))  # (N, L)
            mean, sd = self.library_mean[batch].unsqueeze(-1), self.library_sd[batch].unsqueeze(-1)  # (N, 1)
            log_library = pyro.sample("log_library", Normal(mean, sd).to_event(1))  # (N, 1)
            h = self.trunk(z, batch)  # (N, H)
            mu = log_library.exp() * self.to_rho(h).softmax(-1)  # (N, G)
            return pyro.sample("x", ZINB(mu, self.theta, self.to_zi_logits(h)).to_event(1), obs=x)  # (N, G)


class SCVIGuide(PyroModule):
    """q(z∣x) q(log ℓ∣x), the program that guesses: an amortised guide. Parameters and errors as for ``SCVIModel``."""

    def __init__(self, scvi: SCVI, n_cells: int):
        super().__init__()
        check_model(scvi)
        self.n_cells = whole_number("n_cells", n_cells)
        self.z_encoder, self.library_encoder = scvi.z_encoder, scvi.library_encoder

    def forward(self, x: Tensor, batch: Tensor) -> None:
        """Counts (N, G), codes (N,)."""
        y = torch.log1p(x)  # (N, G)
        with pyro.plate("cells", self.n_cells, subsample=batch):
            q, q_library = self.z_encoder(y, batch), self.library_encoder(y, batch)
            pyro.sample("z", Normal(q.loc, q.scale).to_event(1))  # (N, L)
            pyro.sample("log_library", Normal(q_library.loc, q_library.scale).to_event(1))  # (N, 1)


def check_model(scvi: SCVI) -> None:
    """TypeError unless it is an SCVI, ValueError unless it is the one that the programs write down."""
    if not isinstance(scvi, SCVI):
        raise TypeError(f"scvi: expected an SCVI, found {type(scvi).__name__}; make one, and give the programs that.")
    decoder = scvi.decoder
    found = (decoder.gene_likelihood, decoder.dispersion, scvi.learns_library)
    if found != ("zinb", "gene", True):
        raise ValueError(
            f"scvi: expected gene_likelihood='zinb', dispersion='gene' and a library_prior, found {found[0]!r}, "
            f"{found[1]!r} and {'one' if found[2] else 'none'}; the programs write down no other model."
        )
