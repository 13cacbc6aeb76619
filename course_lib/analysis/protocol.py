"""What the analysis asks of a model, question by question. ``analysis`` imports no model: any that has these will do.

Which function needs which of them stands in ``course_lib/models/__init__.py``; what training needs is in
``training/protocol.py``.
"""

from typing import Any, Protocol

from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Normal

from course_lib.contexts import HasModes
from course_lib.data.cells import Cells
from course_lib.data.matching import Named


class Weighted(HasModes, Protocol):
    """A model that can weigh draws of its latent variables: a VAE of any kind."""

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        """log p(x, z_k, ℓ_k∣s) − log q(z_k, ℓ_k∣x) for K draws from q: (K, N)."""


class Encoder(HasModes, Protocol):
    """What every model of the course has."""

    def encode(self, x: Tensor) -> Any:
        """(N, G) to a code (N, L), or to a distribution over codes."""


class Coder(Encoder, Protocol):
    """Autoencoders and VAEs alike."""

    def decode(self, z: Tensor) -> Any:
        """(N, L) to a reconstruction (N, G), or to a distribution over cells."""


class VariationalModel(HasModes, Protocol):
    """A prior, an encoder and a decoder, as in ``course_lib.models.vae``."""

    n_latent: int

    @property
    def prior(self) -> Normal:
        """p(z), batch shape (L,)."""

    def encode(self, x: Tensor) -> Normal:
        """q(z∣x): (N, G) to batch shape (N, L)."""

    def decode(self, z: Tensor) -> Distribution:
        """p(x∣z): (..., L) to a distribution over whole cells."""

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """−ELBO and its terms."""

    # The rest is what every nn.Module brings.
    def double(self) -> Any: ...


class CountModel(Weighted, Named, Protocol):
    """Batches, a library size and a likelihood of counts, as in ``course_lib.models.scvi``.

    A model whose encoders see the batch says so, ``encodes_batch = True``: both are then called with (x, batch).
    """

    n_latent: int
    learns_library: bool

    def encode(self, x: Tensor) -> Normal:
        """q(z∣x): (N, G) to batch shape (N, L)."""

    def encode_library(self, x: Tensor) -> Normal:
        """q(log ℓ∣x): (N, G) to batch shape (N, 1); only where ``learns_library``."""

    def decode(self, z: Tensor, log_library: Tensor, batch: Tensor) -> Independent:
        """p(x∣z, ℓ, s): (..., N, L), (..., N, 1), (N,) to a distribution over whole cells, with a mean ``mu``."""


class LabelModel(HasModes, Named, Protocol):
    """A model that names types of cell, as in ``course_lib.models.scanvi``."""

    labels: tuple[str, ...]  # C names

    def encode(self, x: Tensor) -> Normal:
        """q(z∣x): (N, G) to batch shape (N, L)."""

    def classify(self, z: Tensor) -> Categorical:
        """q(c∣z): (N, L) to batch shape (N,)."""


class ProteinModel(HasModes, Named, Protocol):
    """RNA and antibodies, as in ``course_lib.models.totalvi``."""

    proteins: tuple[str, ...]  # T names
    measures_protein: Tensor  # (B,) whether cells of the batch had antibodies when it was trained

    def encode(self, x: Tensor, batch: Tensor | None = None, protein: Tensor | None = None) -> Normal:
        """q(z∣x, y), or where a row of ``protein`` is NaN q(z∣x): (N, G), (N,), (N, T) to batch shape (N, L)."""

    def encode_background(self, z: Tensor, batch: Tensor) -> Normal:
        """q(log β∣z, s): (..., N, L) and (N,) to batch shape (..., N, T)."""

    def decode_protein(self, z: Tensor, log_beta: Tensor, batch: Tensor) -> Independent:
        """p(y∣z, β, s), whose ``base_dist`` is a ``NegativeBinomialMixture``: (..., N, T)."""
