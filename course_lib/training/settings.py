"""The numbers that decide a training run: checked once, before anything is touched."""

import math
import operator
from dataclasses import dataclass
from typing import Any

import torch


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
        self.epochs = _whole("epochs", self.epochs, 1, "train for at least one epoch")
        self.batch_size = _whole("batch_size", self.batch_size, 2, "BatchNorm needs two cells to have a variance")
        self.lr = _number("lr", self.lr, zero_too=False)
        self.weight_decay = _number("weight_decay", self.weight_decay)
        self.eps = _number("eps", self.eps, zero_too=False)
        self.kl_weight = _number("kl_weight", self.kl_weight)
        self.kl_warmup = _whole("kl_warmup", self.kl_warmup, 0, "0 means no warm-up")
        self.seed = _whole("seed", self.seed, 0, "below 2⁶⁴, as PyTorch's generators take it", most=2**64 - 1)
        if self.patience is not None:
            self.patience = _whole("patience", self.patience, 1, "None means no early stopping")
        if self.kl_warmup > self.epochs:  # scvi-tools #1569
            raise ValueError(
                f"kl_warmup: expected at most epochs = {self.epochs}, found {self.kl_warmup}: the KL term would never "
                f"reach its full weight"
            )
        if not isinstance(self.one_cycle, bool):
            raise ValueError(f"one_cycle: expected True or False, found {self.one_cycle!r}")
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


def _whole(name: str, value: Any, least: int, why: str, most: float = math.inf) -> int:
    """``value`` as Python's int (NumPy's will do), or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most or isinstance(value, bool):
        raise ValueError(f"{name}: expected a whole number ≥ {least} ({why}), found {value!r}")
    return number


def _number(name: str, value: Any, zero_too: bool = True) -> float:
    """``value`` as Python's float, or ValueError."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # None, a table, 10**400, a tensor of several numbers
        number = math.nan
    if not (math.isfinite(number) and (number > 0 or (zero_too and number == 0))):
        raise ValueError(f"{name}: expected a finite number {'≥' if zero_too else '>'} 0, found {value!r}")
    return number
