"""How ``training.fit`` trains, told to Lightning: optimizer, learning rate and random numbers; and a quiet Trainer."""

import logging
import warnings
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.optim.lr_scheduler import LambdaLR

from course_lib.arguments import choice, not_negative, positive, seed_number
from course_lib.programs.cells_data import epoch_seed
from course_lib.training.fit import learning_rate_at


class Recipe(LightningModule):
    """Adam, at a steady rate or in one cycle, with the names and the meaning of ``fit``.

    PyTorch's global random numbers are set anew in each epoch and each process: two processes that draw the same noise
    average one draw with itself.
    """

    def __init__(
        self, *, lr: float = 1e-3, one_cycle: bool = False, eps: float = 1e-8, weight_decay: float = 0.0, seed: int = 0
    ):
        super().__init__()
        self.lr, self.eps = positive("lr", lr), positive("eps", eps)
        self.one_cycle = choice("one_cycle", one_cycle, (True, False))
        self.weight_decay, self.seed = not_negative("weight_decay", weight_decay), seed_number(seed)

    def configure_optimizers(self) -> Any:
        """Adam; the share of the run that is behind is counted in steps, not in cells: the last step may be shorter."""
        adam = torch.optim.Adam(self.parameters(), lr=self.lr, eps=self.eps, weight_decay=self.weight_decay, fused=True)
        steps = self.trainer.estimated_stepping_batches
        cycle = LambdaLR(adam, lambda step: learning_rate_at(step / steps, 1.0, self.one_cycle))
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Noise of dropout and of draws."""
        torch.manual_seed(epoch_seed(self.seed, self.current_epoch, self.global_rank))

    def on_fit_end(self) -> None:
        """Leave what was trained in evaluation mode, as ``fit`` does."""
        self.eval()


def trainer(epochs: int, **more: Any) -> Trainer:
    """A Trainer for one process on the CPU that says nothing and writes nothing; ``more`` is for ``lightning.Trainer``.

    Two processes: ``devices=2, strategy="ddp"``. Checkpoints: ``callbacks=[ModelCheckpoint(folder)]``.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    checkpoints = any(isinstance(callback, Checkpoint) for callback in more.get("callbacks", ()))
    quiet: dict[str, Any] = {
        "logger": False, "enable_checkpointing": checkpoints, "enable_progress_bar": False,
        "enable_model_summary": False,
    }  # fmt: skip
    one_process: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0}
    return Trainer(max_epochs=epochs, **(quiet | one_process | more))
