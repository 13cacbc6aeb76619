"""The variational autoencoder: the code becomes a distribution, and so does the reconstruction.

Axes: N cells, G genes, L latent dimensions, K samples of z.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical, kl_divergence

from course_lib.arguments import choice, network_sizes, positive, whole_number
from course_lib.data.cells import Cells
from course_lib.networks import GaussianEncoder, fully_connected
from course_lib.probability.bounds import ELBO
from course_lib.probability.gaussian import standard_normal


class GaussianDecoder(nn.Module):
    """p(x∣z) = N(μ_ϑ(z), σ²): a network gives the mean; σ is fixed, or one learned number for each gene."""

    def __init__(self, n_latent: int, hidden: Sequence[int], n_genes: int, sigma: float, learn_sigma: bool):
        super().__init__()
        self.to_mean = fully_connected([n_latent, *hidden, n_genes])
        log_sigma = torch.full((n_genes,), sigma).log()  # (G,)
        self.log_sigma = nn.Parameter(log_sigma, requires_grad=learn_sigma)

    def forward(self, z: Tensor) -> Distribution:
        """(..., L) to one distribution over cells: event shape (G,), so ``log_prob`` sums over genes."""
        return Independent(Normal(self.to_mean(z), self.log_sigma.exp()), 1)  # (..., G)


class CategoricalDecoder(nn.Module):
    """p(x∣z) = Categorical(softmax f_ϑ(z)): one draw from G categories, written one-hot."""

    def __init__(self, n_latent: int, hidden: Sequence[int], n_categories: int):
        super().__init__()
        self.to_logits = fully_connected([n_latent, *hidden, n_categories])

    def forward(self, z: Tensor) -> Distribution:
        """(..., L) to a distribution over one-hot rows: event shape (G,)."""
        return OneHotCategorical(logits=self.to_logits(z))  # probabilities: softmax of the logits


class VAE(nn.Module):
    """z ~ N(0, I), x∣z ~ N(μ_ϑ(z), σ²), with q(z∣x) = N(μ_φ(x), σ²_φ(x)) to infer z.

    Parameters
    ----------
    n_genes : G.   n_latent : L.   hidden : the encoder's widths; the decoder takes them in reverse.
    sigma : σ of the decoder, in the units of x.   learn_sigma : fit one σ_g for each gene, starting there.

    Source: Kingma and Welling 2014, https://doi.org/10.48550/arXiv.1312.6114.
    """

    def __init__(
        self,
        n_genes: int,
        n_latent: int = 10,
        hidden: Sequence[int] = (128,),
        sigma: float = 1.0,
        learn_sigma: bool = False,
    ):
        super().__init__()
        n_genes, n_latent, hidden = network_sizes(n_genes, n_latent, hidden)
        sigma, learn_sigma = positive("sigma", sigma), choice("learn_sigma", learn_sigma, (False, True))
        self.n_latent = n_latent
        self.encoder = GaussianEncoder(n_genes, hidden, n_latent)
        self.decoder: nn.Module = GaussianDecoder(n_latent, [*reversed(hidden)], n_genes, sigma, learn_sigma)

    @property
    def prior(self) -> Normal:
        """p(z) = N(0, I), batch shape (L,)."""
        return standard_normal(self.n_latent, like=next(self.parameters()))

    def encode(self, x: Tensor) -> Normal:
        """q(z∣x): (N, G) to batch shape (N, L). Its dimensions are kept apart, because we look at the KL of each."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Distribution:
        """p(x∣z): (..., L) to a distribution over whole cells; its ``log_prob`` has shape (...)."""
        return self.decoder(z)

    def elbo(self, cells: Cells) -> ELBO:
        """log p(x) is at least E_q[log p(x∣z)] − KL(q ‖ p(z)); the expectation from one reparameterised draw."""
        q = self.encode(cells.x)  # q(z∣x), (N, L)
        p = self.decode(q.rsample())  # p(x∣z)
        return ELBO(
            reconstruction=p.log_prob(cells.x),  # (N,)
            kl_z=kl_divergence(q, self.prior).sum(-1),  # (N,)
        )

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """−ELBO per cell, the KL weighted by ``kl_weight``."""
        return self.elbo(cells).loss(kl_weight)

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        """log p(x∣z_k) + log p(z_k) − log q(z_k∣x) for K draws from q: (K, N), one z_k in all three."""
        q = self.encode(cells.x)
        z = q.rsample((n_samples,))  # (K, N, L)
        return self.decode(z).log_prob(cells.x) + self.prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)

    @torch.no_grad()
    def sample(self, n_cells: int) -> Tensor:
        """New cells: z ~ p(z), then x ~ p(x∣z).  (N, G)."""
        return self.decode(self.prior.sample((n_cells,))).sample()


class CategoricalVAE(VAE):
    """The lecture's figure 10: the same VAE with a softmax at the end of the decoder. x is one-hot, (N, G)."""

    def __init__(self, n_categories: int, n_latent: int, hidden: Sequence[int]):
        super().__init__(whole_number("n_categories", n_categories), n_latent, hidden)
        self.decoder = CategoricalDecoder(n_latent, [*reversed(hidden)], n_categories)
