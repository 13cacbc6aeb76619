"""Stop when the validation loss no longer falls, and keep the weights of the epoch where it was lowest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from course_lib.training.protocol import Trainable


class EarlyStopping:
    """Waits ``patience`` epochs for a lower validation loss. ``patience=None``: never stops, keeps nothing.

    Epochs before ``kl_warmup`` count for nothing: while the KL term grows, the loss that training minimises changes
    from epoch to epoch, and patience would run out on a model that has not met its own objective yet (scvi-tools #307).
    """

    def __init__(self, patience: int | None, kl_warmup: int) -> None:
        self.patience = patience
        self.kl_warmup = kl_warmup
        self.best_loss = math.inf
        self.best_epoch = 0  # 0: none yet
        self.best_weights: dict[str, Any] = {}
        self.waited = 0  # epochs since the best one

    @property
    def over(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def update(self, epoch: int, row: Mapping[str, float], model: Trainable) -> None:
        """Look at a finished epoch's row of the history."""
        if self.patience is None or epoch < self.kl_warmup:
            return
        if row["validation_loss"] < self.best_loss:
            self.best_loss = row["validation_loss"]
            self.best_epoch = epoch
            self.best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            self.waited = 0
        else:
            self.waited += 1

    def restore_best(self, model: Trainable) -> None:
        """Give the model the weights of the best epoch, if any were kept."""
        if self.best_weights:
            model.load_state_dict(self.best_weights)
