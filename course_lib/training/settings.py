"""The arguments of a training run: checked once, before anything is touched."""

import math
import operator
from dataclasses import dataclass

import torch

from course_lib.data.cells import CellTable


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
        self.seed = _whole("seed", self.seed, 0, "any whole number from 0 on will do")
        if self.patience is not None:
            self.patience = _whole("patience", self.patience, 1, "None means no early stopping")
        if self.kl_warmup > self.epochs:  # scvi-tools #1569
            raise ValueError(
                f"kl_warmup = {self.kl_warmup} is more than epochs = {self.epochs}: the KL term would never reach its "
                f"full weight. Choose kl_warmup ≤ epochs"
            )
        if self.one_cycle and self.patience is not None:
            raise ValueError(
                f"patience = {self.patience} does not go with one_cycle=True: while the learning rate is high the loss "
                f"rises for some epochs, and falls at the end. Pass patience=None, or one_cycle=False"
            )
        self.torch_device()

    def torch_device(self) -> torch.device:
        """``device`` as PyTorch's object. ValueError if it is not there."""
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise ValueError(f"device must be 'cpu' or 'cuda'; got {self.device!r}") from None
        if device.type not in ("cpu", "cuda"):  # Apple's MPS gives NaN: scvi-tools #3105
            raise ValueError(f"device must be 'cpu' or 'cuda'; got {self.device!r}, which the course does not support")
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(
                f"device = {self.device!r}, but PyTorch {torch.__version__} finds {torch.cuda.device_count()} CUDA "
                f"GPUs here. Use device='cpu', or install a CUDA build of PyTorch on a machine with a GPU"
            )
        return device

    def check(self, cells: CellTable, validation: CellTable | None) -> None:
        """ValueError if these settings cannot go with these cells."""
        if len(cells) < 2:
            raise ValueError(f"cells holds {len(cells)} cells; training needs at least 2")
        if validation is not None and len(validation) == 0:
            raise ValueError("validation holds no cells; pass some, or validation=None")
        if self.patience is not None and validation is None:
            raise ValueError(
                f"patience = {self.patience} needs validation cells, whose loss decides when to stop. "
                f"Pass validation=…, or patience=None"
            )


def _whole(name: str, value: int, least: int, why: str) -> int:
    """``value`` as Python's int (NumPy's will do), or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number ≥ {least} ({why}); got {value!r}")
    return number


def _number(name: str, value: float, zero_too: bool = True) -> float:
    """``value`` as Python's float, or ValueError."""
    if not (math.isfinite(value) and (value > 0 or (zero_too and value == 0))):
        raise ValueError(f"{name} must be a finite number {'≥' if zero_too else '>'} 0; got {value!r}")
    return float(value)
