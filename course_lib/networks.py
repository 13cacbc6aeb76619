"""Networks: stacks of fully connected layers, and the encoder that ends in a Gaussian.

Axes: N cells, G genes, H hidden units, L latent dimensions, B batches.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import one_hot

from course_lib.arguments import whole_number, widths


def fully_connected(sizes: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Linear layers of the given sizes; ReLU and dropout after every one but the last.

    Parameters
    ----------
    sizes : widths from input to output, at least two: ``[G, 512, 256, L]`` is an encoder.
    dropout : the probability that a hidden unit is silenced while training, 0 ≤ dropout < 1.

    Raises
    ------
    ValueError : fewer than two sizes, a size below 1, or a dropout outside [0, 1).
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes: expected two or more widths ≥ 1, found {list(sizes)}; give input, hidden…, output.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: expected 0 ≤ dropout < 1, found {dropout}; it is a probability.")
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes[:-1]):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(sizes[-2], sizes[-1]))  # no activation: the last layer may be any real number
    return nn.Sequential(*layers)


class BatchNorm(nn.BatchNorm1d):
    """Each unit standardised over all cells, and all samples of each: (..., H). torch's takes axis 1 for the units."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h.flatten(0, -2)).view(h.shape)


class Trunk(nn.Sequential):
    """Hidden layers, one after the other. Built for batches, every linear layer sees the cell's beside its input."""

    def __init__(self, *layers: nn.Module, n_batches: int = 0):
        super().__init__(*layers)
        self.n_batches = n_batches

    def forward(self, h: Tensor, batch: Tensor | None = None) -> Tensor:
        """(..., N, G), and codes (N,) where it was built for batches, to (..., N, H)."""
        if self.n_batches == 0:
            return super().forward(h)
        if batch is None:
            raise ValueError(
                "batch: expected codes (N,), for this network sees the batch, found None; cells.batch is it."
            )
        s = one_hot(batch, self.n_batches).to(h.dtype).expand(*h.shape[:-1], -1)  # (..., N, B)
        for layer in self:
            h = layer(torch.cat([h, s], dim=-1) if isinstance(layer, nn.Linear) else h)
        return h

    def extra_repr(self) -> str:
        return f"n_batches={self.n_batches}" if self.n_batches else ""


def hidden_layers(sizes: Sequence[int], dropout: float = 0.0, batch_norm: bool = False, n_batches: int = 0) -> Trunk:
    """A trunk: a linear layer from each size to the next, each followed by ReLU, and by dropout where it is above zero.

    Parameters
    ----------
    sizes : widths from input to the last hidden layer: ``[G, 512, 256]``.
    dropout : the probability that a hidden unit is silenced while training, 0 ≤ dropout < 1.
    batch_norm : standardise each unit over the minibatch before its ReLU (Ioffe and Szegedy 2015,
        https://doi.org/10.48550/arXiv.1502.03167), with the constant that scvi-tools uses. The running averages move
        by a tenth in each step, scvi-tools' by a hundredth, which lag behind the weights for dozens of epochs.
    n_batches : B, where every layer sees the batch beside its input, one-hot, as in scvi-tools; 0: none does.

    Raises
    ------
    ValueError : a size below 1, or a dropout outside [0, 1).
    """
    if min(sizes) < 1:
        raise ValueError(f"sizes: expected widths ≥ 1, found {list(sizes)}; give input, hidden….")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: expected 0 ≤ dropout < 1, found {dropout}; it is a probability.")
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers.append(nn.Linear(n_in + n_batches, n_out))
        if batch_norm:
            layers.append(BatchNorm(n_out, eps=0.001))
        layers.append(nn.ReLU())
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    return Trunk(*layers, n_batches=n_batches)


class GaussianEncoder(nn.Module):
    """q(z∣x) = N(μ_φ(x), σ²_φ(x)): a trunk that all share, then one head for the mean and one for the log-variance."""

    def __init__(
        self,
        n_input: int,
        hidden: Sequence[int],
        n_latent: int,
        dropout: float = 0.0,
        batch_norm: bool = False,
        n_batches: int = 0,
    ):
        super().__init__()
        hidden = widths("hidden", hidden)
        self.trunk = hidden_layers([n_input, *hidden], dropout, batch_norm, n_batches)
        self.to_mu = nn.Linear(hidden[-1], whole_number("n_latent", n_latent))
        self.to_log_variance = nn.Linear(hidden[-1], n_latent)

    def forward(self, x: Tensor, batch: Tensor | None = None) -> Normal:
        """(N, G) to one normal for each cell and latent dimension: batch shape (N, L)."""
        h = self.trunk(x, batch)  # (N, H)
        variance = self.to_log_variance(h).exp() + 1e-4  # (N, L) a floor keeps log σ finite
        return Normal(self.to_mu(h), variance.sqrt())
