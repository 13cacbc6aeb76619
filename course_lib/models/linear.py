"""The autoencoder that is PCA: one linear layer, used forwards to encode and backwards to decode.

Axes: N cells, G genes, L latent dimensions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.arguments import whole_number
from course_lib.data.cells import Cells


class TiedLinearAutoencoder(nn.Module):
    """z = x W, x′ = z Wᵀ + b, trained on the squared error.

    At its minimum the columns of W span the space of the first L principal components, up to rotation, if the data are
    centred or ``bias`` absorbs their mean. On uncentred data without a bias they span another space.

    Parameters
    ----------
    n_genes : G.   n_latent : L ≤ G.   bias : whether the decoder adds b: (G,).

    Source: Baldi and Hornik 1989, https://doi.org/10.1016/0893-6080(89)90014-2.
    """

    def __init__(self, n_genes: int, n_latent: int, bias: bool = True):
        super().__init__()
        n_genes, n_latent = whole_number("n_genes", n_genes), whole_number("n_latent", n_latent)
        if not 1 <= n_latent <= n_genes:
            raise ValueError(f"n_latent: expected 1 ≤ n_latent ≤ n_genes = {n_genes}, found {n_latent}.")
        self.weight = nn.Parameter(torch.randn(n_genes, n_latent) / n_genes**0.5)  # (G, L)
        self.bias = nn.Parameter(torch.zeros(n_genes)) if bias else None

    def encode(self, x: Tensor) -> Tensor:
        """(N, G) to (N, L)."""
        return x @ self.weight

    def decode(self, z: Tensor) -> Tensor:
        """(N, L) to (N, G), with the same weights transposed."""
        x = z @ self.weight.T
        return x if self.bias is None else x + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """x′ = decode(encode(x)), (N, G)."""
        return self.decode(self.encode(x))

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """Mean squared error over genes and cells."""
        loss = F.mse_loss(self(cells.x), cells.x)
        return {"loss": loss, "reconstruction": loss}
