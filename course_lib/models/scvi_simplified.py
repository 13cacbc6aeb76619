"""Simplified scVI: the VAE of notebook 04 with another decoder. Counts are scored as counts.

Axes: N cells, G genes, L latent dimensions, K samples of z.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from course_lib.arguments import choice, network_sizes
from course_lib.data.cells import Cells, log_total
from course_lib.networks import GaussianEncoder, hidden_layers
from course_lib.probability.bounds import ELBO
from course_lib.probability.counts import NegativeBinomial, Poisson
from course_lib.probability.gaussian import standard_normal

GeneLikelihood = Literal["nb", "poisson"]


class CountDecoder(nn.Module):
    """p(x∣z, ℓ): NB with mean ℓρ and inverse dispersion θ, or Poisson with mean ℓρ; ρ = softmax f_ϑ(z)."""

    def __init__(self, n_latent: int, hidden: Sequence[int], n_genes: int, gene_likelihood: GeneLikelihood):
        super().__init__()
        self.gene_likelihood = gene_likelihood
        self.trunk = hidden_layers([n_latent, *hidden])
        self.to_rho = nn.Linear(hidden[-1], n_genes)
        self.log_theta = nn.Parameter(torch.zeros(n_genes), requires_grad=gene_likelihood == "nb")  # (G,)

    def forward(self, z: Tensor, log_library: Tensor) -> Independent:
        """(..., L) and (N, 1) to one distribution over cells: event shape (G,), so ``log_prob`` sums over genes."""
        rho = self.to_rho(self.trunk(z)).softmax(-1)  # (..., G), each row sums to one
        mu = log_library.exp() * rho  # (..., G)
        if self.gene_likelihood == "poisson":
            return Independent(Poisson(mu), 1)
        return Independent(NegativeBinomial(mu, self.log_theta.exp()), 1)

    def extra_repr(self) -> str:
        return f"gene_likelihood={self.gene_likelihood!r}"


class SimplifiedSCVI(nn.Module):
    """z ~ N(0, I), x∣z ~ NB(ℓρ(z), θ), with ℓ the cell's total count, and q(z∣x) = N(μ_φ, σ²_φ) to infer z.

    Parameters
    ----------
    n_genes : G.   n_latent : L.   hidden : the encoder's widths; the decoder takes them in reverse.
    gene_likelihood : "nb" or "poisson".

    ℓ is a function of the counts that the model scores: what it gives is log p(x∣Σx), as an approximation, since the
    genes are scored as if Σx did not bind them.

    Source: the lecture's simplification of Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2.
    """

    needs_counts = True  # expression is refused

    def __init__(
        self,
        n_genes: int,
        n_latent: int = 10,
        hidden: Sequence[int] = (128,),
        gene_likelihood: GeneLikelihood = "nb",
    ):
        super().__init__()
        n_genes, n_latent, hidden = network_sizes(n_genes, n_latent, hidden)
        choice("gene_likelihood", gene_likelihood, get_args(GeneLikelihood))
        self.n_latent = n_latent
        self.encoder = GaussianEncoder(n_genes, hidden, n_latent)
        self.decoder = CountDecoder(n_latent, [*reversed(hidden)], n_genes, gene_likelihood)

    @property
    def prior(self) -> Normal:
        """p(z) = N(0, I), batch shape (L,)."""
        return standard_normal(self.n_latent, like=next(self.parameters()))

    def encode(self, x: Tensor) -> Normal:
        """q(z∣x): counts (N, G) to batch shape (N, L). The network sees log(1 + x), which keeps its inputs small."""
        return self.encoder(torch.log1p(x))

    def decode(self, z: Tensor, log_library: Tensor) -> Independent:
        """p(x∣z, ℓ): (..., L) and (N, 1) to a distribution over whole cells; its ``log_prob`` has shape (...)."""
        return self.decoder(z, log_library)

    def elbo(self, cells: Cells) -> ELBO:
        """As for the VAE; new are the library size and a likelihood of counts."""
        q = self.encode(cells.x)  # q(z∣x), (N, L)
        p = self.decode(q.rsample(), log_total(cells.x))  # p(x∣z, ℓ)
        return ELBO(
            reconstruction=p.log_prob(cells.x),  # (N,)
            kl_z=kl_divergence(q, self.prior).sum(-1),  # (N,)
        )

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """−ELBO per cell, the KL weighted by ``kl_weight``."""
        return self.elbo(cells).loss(kl_weight)

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        """log p(x∣z_k, ℓ) + log p(z_k) − log q(z_k∣x) for K draws from q: (K, N), one z_k in all three."""
        q = self.encode(cells.x)
        z = q.rsample((n_samples,))  # (K, N, L)
        log_p = self.decode(z, log_total(cells.x)).log_prob(cells.x)
        return log_p + self.prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)
