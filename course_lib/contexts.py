"""For a while: random numbers of our own, evaluation mode, no interrupt. Afterwards all is as it was found."""

import signal
import threading
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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block has ended, and takes effect then.

    For what must not be torn: PyTorch imports half of itself when the first optimizer of a session is made, and
    an import that stops in the middle leaves it unusable. Only the main thread ever sees Ctrl-C; elsewhere nothing is
    done.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:  # None: not Python's to restore
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)
