"""What the loop asks of a model. Any ``nn.Module`` with a ``loss`` method has it, a student's own included.

What else is good to have, and what ``analysis`` asks, stands in ``course_lib/models/__init__.py``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from course_lib.data.cells import Cells


class Trainable(Protocol):
    """An ``nn.Module`` with parameters that can say how wrong it is about some cells.

    After training it has two plain attributes more: ``genes``, the names of what it learned from, unless it was built
    with them, and ``epochs_trained``, the epochs that its weights have behind them. Both are outside of its
    ``state_dict``.
    """

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """Scalars: ``"loss"``, which training minimises, and every term worth recording, each a mean over the cells.

        ``kl_weight`` is the weight of a KL term; a model without one leaves it.
        """

    # The rest is what every nn.Module brings.
    def buffers(self) -> Iterator[Tensor]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
    def train(self) -> Any: ...
    def eval(self) -> Any: ...
    def to(self, device: torch.device) -> Any: ...
