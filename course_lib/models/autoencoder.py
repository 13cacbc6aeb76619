"""The autoencoder: squeeze a cell through L numbers and ask for the cell back.

Axes: N cells, G genes, L latent dimensions.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.arguments import choice, fraction, network_sizes
from course_lib.data.cells import Cells
from course_lib.networks import fully_connected

Head = Literal["mse", "bce", "cross_entropy"]


class Autoencoder(nn.Module):
    """x → z → x′. The loss follows the data, and the decoder's last activation follows the loss.

    Parameters
    ----------
    n_genes : G, the width of input and output.   n_latent : L, the width of the bottleneck.
    hidden : widths between them; the decoder takes them in reverse.   dropout : on the hidden layers, in [0, 1).
    head : what kind of number x is.

        ================  ========================================  ==================  =====================
        head              x                                         last activation     loss, per gene
        ================  ========================================  ==================  =====================
        "mse"             any real number                           none                (x − x′)²
        "bce"             in [0, 1]                                 sigmoid             −x log x′ − (1−x) log(1−x′)
        "cross_entropy"   ≥ 0, each row sums to one                 softmax             −x log x′
        ================  ========================================  ==================  =====================

    Source: Hinton and Salakhutdinov 2006, https://doi.org/10.1126/science.1127647.
    """

    def __init__(
        self,
        n_genes: int,
        n_latent: int = 32,
        hidden: Sequence[int] = (512, 256),
        dropout: float = 0.0,
        head: Head = "mse",
    ):
        super().__init__()
        n_genes, n_latent, hidden = network_sizes(n_genes, n_latent, hidden, least_layers=0)
        dropout = fraction("dropout", dropout, zero_too=True)
        self.head = choice("head", head, get_args(Head))
        self.encoder = fully_connected([n_genes, *hidden, n_latent], dropout)
        self.decoder = fully_connected([n_latent, *reversed(hidden), n_genes], dropout)

    def extra_repr(self) -> str:
        """What its layers do not tell, so that a checkpoint of one head is not resumed with another."""
        return f"head={self.head!r}"

    def encode(self, x: Tensor) -> Tensor:
        """(N, G) to the code z: (N, L), any real number."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """(N, L) to the reconstruction x′: (N, G), in the space of the data."""
        output = self.decoder(z)
        if self.head == "bce":
            return output.sigmoid()
        if self.head == "cross_entropy":
            return output.softmax(dim=-1)
        return output

    def forward(self, x: Tensor) -> Tensor:
        """x′ = decode(encode(x)), (N, G)."""
        return self.decode(self.encode(x))

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """Mean over genes and cells of the head's loss. There is no KL here, so ``kl_weight`` changes nothing."""
        loss = reconstruction_loss(self.head, self.decoder(self.encode(cells.x)), cells.x)
        return {"loss": loss, "reconstruction": loss}


def reconstruction_loss(head: Head, output: Tensor, x: Tensor) -> Tensor:
    """The loss of a head from the decoder's output *before* its last activation, where logarithms stay finite.

    Parameters
    ----------
    output : (N, G), any real number.   x : (N, G), in the support of the head.

    Returns
    -------
    scalar, the mean over genes and cells: (1/G) Σ_g, as MSE and cross-entropy are usually written.

    Raises
    ------
    ValueError : x lies outside the support of the head.
    """
    if head == "mse":
        return F.mse_loss(output, x)
    if head == "bce":
        if x.min() < 0 or x.max() > 1:
            raise ValueError(
                f"x: expected values in [0, 1] for head 'bce', found {x.min():.3g} to {x.max():.3g}; "
                "scale the data or use head 'mse'."
            )
        return F.binary_cross_entropy_with_logits(output, x)
    row_sums = x.sum(-1)
    if x.min() < 0 or not torch.allclose(row_sums, torch.ones_like(row_sums), atol=1e-4):
        raise ValueError(
            f"x: expected proportions for head 'cross_entropy' (≥ 0, rows summing to 1), found a minimum of "
            f"{x.min():.3g} and row sums from {row_sums.min():.3g} to {row_sums.max():.3g}; divide each row by its sum."
        )
    return -(x * output.log_softmax(dim=-1)).mean()


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that sees a corrupted cell and must return the clean one.

    Every entry is set to zero with probability ``noise``, drawn anew for each entry and each step.
    The code may then be wider than the data: copying the input no longer solves the task.

    Source: Vincent et al. 2008, https://doi.org/10.1145/1390156.1390294.
    """

    def __init__(self, n_genes: int, n_latent: int, hidden: Sequence[int], noise: float):
        noise = fraction("noise", noise, zero_too=False)  # before anything is built
        super().__init__(n_genes, n_latent, hidden)
        self.noise = noise

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, noise={self.noise}"

    def corrupt(self, x: Tensor) -> Tensor:
        """(N, G) with one Bernoulli draw for each entry deciding whether it is set to zero."""
        return x * (torch.rand_like(x) >= self.noise)

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """Squared error between the clean cell and what came back from the corrupted one."""
        loss = reconstruction_loss(self.head, self.decoder(self.encode(self.corrupt(cells.x))), cells.x)
        return {"loss": loss, "reconstruction": loss}
