"""GENEEX: an autoencoder as wide as the transcriptome, and what that width costs.

Axes: N profiles, G genes, L latent dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from course_lib.models.autoencoder import Autoencoder

BYTES_PER_FLOAT = 4  # single precision


class GENEEX(Autoencoder):
    """The lecture's autoencoder for expression profiles: G → 2,048 → 1,024 → 128 and back, squared error.

    ReLU and dropout follow every hidden layer; the latent layer and the output are linear (a ReLU on the bottleneck
    would force z ≥ 0). Architecture: MCB128, block 5; the nearest published code is P1B1 of the NCI-DOE collaboration,
    https://github.com/CBIIT/NCI-DOE-Collab-Pilot1-Gene-Expression-Autoencoder.
    """

    def __init__(self, n_genes: int, n_latent: int = 128, hidden: Sequence[int] = (2048, 1024), dropout: float = 0.1):
        super().__init__(n_genes, n_latent, hidden, dropout)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that one training run holds at its peak, predicted from the widths alone."""

    parameters: int  # how many numbers are learned
    weights: int  # bytes
    gradients: int  # bytes: one number for each parameter
    moments: int  # bytes: Adam keeps two running means for each parameter
    activations: int  # bytes: what the forward pass keeps for the backward pass

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.weights + self.gradients + self.moments + self.activations


def training_memory(n_genes: int, n_latent: int, hidden: Sequence[int], batch_size: int) -> TrainingMemory:
    """Predict the memory of training a symmetric autoencoder with Adam, before anything is allocated.

    A layer from n to m units has n·m weights and m biases. ``fit`` takes PyTorch's fused Adam, which goes through each
    tensor once, number by number, and needs no memory of its own.

    Parameters
    ----------
    n_genes : G.   n_latent : L.   hidden : widths between.   batch_size : cells in one minibatch.

    Returns
    -------
    TrainingMemory, in bytes; it leaves out the data and the interpreter.
    """
    sizes = [n_genes, *hidden, n_latent, *reversed(hidden), n_genes]
    layers = [n_in * n_out + n_out for n_in, n_out in pairwise(sizes)]
    parameters = sum(layers)
    # Each hidden layer is kept before and after its ReLU and dropout; input, code and output once, and the
    # squared error keeps one difference of the output's size.
    units = n_genes + 2 * 3 * sum(hidden) + n_latent + 2 * n_genes
    return TrainingMemory(
        parameters=parameters,
        weights=BYTES_PER_FLOAT * parameters,
        gradients=BYTES_PER_FLOAT * parameters,
        moments=2 * BYTES_PER_FLOAT * parameters,
        activations=BYTES_PER_FLOAT * batch_size * units,
    )
