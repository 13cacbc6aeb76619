"""What the analysis asks of a variational model. ``analysis`` imports no model: any that has these will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor
from torch.distributions import Distribution, Normal

if TYPE_CHECKING:
    from course_lib.data.cells import Cells


class Coder(Protocol):
    """What every model of the course has, autoencoders and VAEs alike; ``nn.Module`` brings the switches."""

    training: bool

    def encode(self, x: Tensor) -> Any:
        """(N, G) to a code (N, L), or to a distribution over codes."""

    def decode(self, z: Tensor) -> Any:
        """(N, L) to a reconstruction (N, G), or to a distribution over cells."""

    def eval(self) -> Any: ...
    def train(self, mode: bool = True) -> Any: ...


class VariationalModel(Protocol):
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
