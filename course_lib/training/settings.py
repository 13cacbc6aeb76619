"""The numbers that decide a training run: checked once, before anything is touched."""

from dataclasses import dataclass
from typing import Any

import torch

from course_lib.arguments import choice, not_negative, positive, whole_number


@dataclass
class Settings:
    """What decides how a run goes, besides the model and the cells. For meanings see ``fit``."""

    epochs: int
    batch_size: int
    lr: float
    one_cycle: bool
    weight_decay: float
    eps: float
    kl_weight: float
    kl_warmup: int
    patience: int | None
    seed: int
    device: str

    def __post_init__(self) -> None:
        self.epochs = whole_number("epochs", self.epochs)
        self.batch_size = whole_number("batch_size", self.batch_size, least=2)  # BatchNorm: one cell has no variance
        self.lr = positive("lr", self.lr)
        self.one_cycle = choice("one_cycle", self.one_cycle, (True, False))
        self.weight_decay = not_negative("weight_decay", self.weight_decay)
        self.eps = positive("eps", self.eps)
        self.kl_weight = not_negative("kl_weight", self.kl_weight)
        self.kl_warmup = whole_number("kl_warmup", self.kl_warmup, least=0)
        self.seed = whole_number("seed", self.seed, least=0)
        if self.seed >= 2**64:
            raise ValueError(
                f"seed: expected a whole number below 2⁶⁴, as PyTorch's generators take it, found {self.seed}"
            )
        if self.patience is not None:
            self.patience = whole_number("patience", self.patience)
        if self.kl_warmup > self.epochs:  # scvi-tools #1569
            raise ValueError(
                f"kl_warmup: expected at most epochs = {self.epochs}, found {self.kl_warmup}: the KL term would never "
                f"reach its full weight"
            )
        if self.one_cycle and self.patience is not None:
            raise ValueError(
                f"patience: expected None with one_cycle=True, found {self.patience}: while the learning rate is high "
                f"the loss rises for some epochs, and falls at the end. Leave one of the two out"
            )
        self.device = str(_device(self.device))

    def torch_device(self) -> torch.device:
        """``device`` as PyTorch's object."""
        return torch.device(self.device)


def _device(value: Any) -> torch.device:
    """The device of that name, or ValueError if it is not there."""
    try:
        device = torch.device(value if isinstance(value, str | torch.device) else "")
    except RuntimeError:
        device = torch.device("meta")  # no device at all
    if device.type not in ("cpu", "cuda"):  # Apple's MPS gives NaN: scvi-tools #3105
        raise ValueError(f"device: expected 'cpu' or 'cuda', found {value!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device: expected one that is there, found {value!r}, and PyTorch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA GPUs here. Use device='cpu', or install a CUDA build of PyTorch on a "
            f"machine with a GPU"
        )
    return device
