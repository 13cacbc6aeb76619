"""Networks: stacks of fully connected layers, and the encoder that ends in a Gaussian.

Axes: N cells, G genes, H hidden units, L latent dimensions.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.distributions import Normal


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


class GaussianEncoder(nn.Module):
    """q(z∣x) = N(μ_φ(x), σ²_φ(x)): a trunk that all share, then one head for the mean and one for the log-variance."""

    def __init__(self, n_input: int, hidden: Sequence[int], n_latent: int, dropout: float = 0.0):
        super().__init__()
        if len(hidden) < 1:
            raise ValueError("hidden: expected at least one hidden layer, found none; try hidden=(128,).")
        self.trunk = nn.Sequential(fully_connected([n_input, *hidden], dropout), nn.ReLU(), nn.Dropout(dropout))
        self.to_mu = nn.Linear(hidden[-1], n_latent)
        self.to_log_variance = nn.Linear(hidden[-1], n_latent)

    def forward(self, x: Tensor) -> Normal:
        """(N, G) to one normal for each cell and latent dimension: batch shape (N, L)."""
        h = self.trunk(x)  # (N, H)
        sigma = (0.5 * self.to_log_variance(h)).exp() + 1e-4  # (N, L) a floor keeps log σ finite
        return Normal(self.to_mu(h), sigma)
