"""For a while: random numbers of our own, and a model in evaluation mode. Afterwards all is as it was found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch


class HasModes(Protocol):
    """What every ``nn.Module`` brings: training mode and evaluation mode."""

    training: bool

    def eval(self) -> Any: ...
    def train(self, mode: bool = True) -> Any: ...


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, PyTorch's global generators (CPU, and the GPU if there is one in use) start from ``seed``.

    Outside, dropout and sampling go on as if nothing had happened.
    """
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def evaluating(model: HasModes) -> Iterator[None]:
    """Evaluation mode without gradients: dropout is off and answers repeat. The model's mode comes back at the end."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
