"""scVI with a linear decoder: the hidden layer between z and the genes is gone, and each weight can be read.

ρ = softmax(W z + W_s s + b), and where counts are zero-inflated logit π is another such sum. The encoders keep their
hidden layers: only what is generated has to be simple. Source: Svensson et al. 2020,
https://doi.org/10.1093/bioinformatics/btaa169.

Axes: N cells, G genes, L latent dimensions, B batches, K samples of z.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from course_lib.data.columns import ONLY_BATCH
from course_lib.models.scvi import SCVI, Decoder, Dispersion, GeneLikelihood, LibraryPrior
from course_lib.networks import Trunk


class LinearDecoder(Decoder):
    """p(x∣z, ℓ, s) = ZINB(ℓ softmax(W z + W_s s + b), θ, π(z, s)): h is the pair (z, s) itself."""

    def __init__(
        self, n_latent: int, n_batches: int, n_genes: int, gene_likelihood: GeneLikelihood, dispersion: Dispersion
    ):
        n_h = n_latent + n_batches
        super().__init__(n_latent, n_batches, [n_h], n_genes, gene_likelihood, dispersion, 0.0, batch_norm=False)
        self.trunk = Beside(n_batches=n_batches)  # in the place of the hidden layers


class Beside(Trunk):
    """A trunk without layers: (z, s), the latent state and the batch, one-hot, side by side."""

    def forward(self, z: Tensor, batch: Tensor) -> Tensor:  # type: ignore[override]  # a decoder always has it
        """(..., N, L) and codes (N,) to (..., N, L + B)."""
        s = one_hot(batch, self.n_batches).to(z.dtype).expand(*z.shape[:-1], -1)
        return torch.cat([z, s], dim=-1)


class LinearSCVI(SCVI):
    """z ~ N(0, I), log ℓ ~ N(mean_s, sd_s²), x∣z, ℓ, s ~ ZINB(ℓ softmax(W z + W_s s + b), θ, π(z, s)).

    Parameters
    ----------
    genes, batches, library_prior, n_latent, gene_likelihood, dispersion : as in ``SCVI``.
    hidden, dropout : of the encoders; the decoder has nothing hidden, and nothing to drop.

    Raises
    ------
    TypeError, ValueError : as ``SCVI``.

    Source: Svensson et al. 2020, https://doi.org/10.1093/bioinformatics/btaa169.
    """

    def __init__(
        self,
        genes: Sequence[str],
        batches: Sequence[str] = (ONLY_BATCH,),
        *,
        library_prior: LibraryPrior | None,
        n_latent: int = 10,
        hidden: Sequence[int] = (128,),
        dropout: float = 0.1,
        gene_likelihood: GeneLikelihood = "zinb",
        dispersion: Dispersion = "gene",
    ):
        super().__init__(
            genes, batches, library_prior=library_prior, n_latent=n_latent, hidden=hidden, dropout=dropout,
            gene_likelihood=gene_likelihood, dispersion=dispersion,
        )  # fmt: skip
        self.decoder = LinearDecoder(self.n_latent, len(self.batches), len(self.genes), gene_likelihood, dispersion)

    @property
    def loadings(self) -> Tensor:
        """W: (G, L). One more of z_j adds column j to the logits of ρ: log ρ moves by it, up to one number per cell.

        So a number that all genes of a column share means nothing, and a sign is z_j's to choose.
        """
        return self.decoder.to_rho.weight[:, : self.n_latent].detach()
