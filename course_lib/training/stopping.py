"""When to stop: before a NaN reaches the weights, or once the validation loss no longer falls."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from course_lib.training.history import number
from course_lib.training.protocol import Trainable

LIKELY_CAUSES = """Likely causes, commonest first:
  - the learning rate is too high: try a tenth of it;
  - raw counts where the model expects log values: their squares and exponentials overflow;
  - a cell without counts: its library size is 0 and log 0 is −∞;
  - NaN or infinity in the data."""


class TrainingDiverged(FloatingPointError):
    """The loss or its gradient is NaN or infinite.

    The parameters are those from before the step that would have used it. BatchNorm's running averages, if the model
    has any, have seen the minibatch already.
    """


def stop_unless_finite(terms: Mapping[str, Tensor | float], model: Trainable | None, where: str) -> None:
    """Raise TrainingDiverged if a term of the loss, or the gradient that it left in ``model``, is not finite.

    A finite loss can have an infinite gradient (√0 has), which would spoil the weights a step before the loss shows it.
    """
    values = {name: number(value) for name, value in terms.items()}
    if not all(math.isfinite(value) for value in values.values()):
        listed = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        raise TrainingDiverged(f"The loss is not finite {where}: {listed}. {LIKELY_CAUSES}")
    if model is None:
        return
    # A sum is NaN or infinite if any element is: one number per tensor, no temporary the size of the gradient.
    sums = {name: p.grad.sum() for name, p in model.named_parameters() if p.grad is not None}
    if sums and not torch.stack(list(sums.values())).isfinite().all():
        names = [name for name, total in sums.items() if not total.isfinite()]
        raise TrainingDiverged(
            f"The loss is finite ({values['loss']:g}) but its gradient is not {where}, in {', '.join(names[:3])}"
            f"{' and others' if len(names) > 3 else ''}. A square root or logarithm of 0 does this. {LIKELY_CAUSES}"
        )


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
