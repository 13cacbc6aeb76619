"""When to stop: before a NaN reaches the model, or once the validation loss no longer falls."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    """The loss, its gradient or a parameter of a distribution is NaN, infinite or outside of its support.

    The model is as it was before the step that would have used it: parameters, and BatchNorm's running averages.
    """


class Guard:
    """Around a minibatch, from the loss to its gradient: what goes wrong there leaves the model as it was.

    BatchNorm's running averages change in the loss itself, so a copy is kept: a NaN would stay in them for ever.
    """

    def __init__(self, model: Trainable, n_genes: int) -> None:
        self.n_genes = n_genes
        self.buffers = list(model.buffers())
        self.kept = [buffer.clone() for buffer in self.buffers]

    @contextmanager
    def __call__(self, where: str) -> Iterator[None]:
        for kept, buffer in zip(self.kept, self.buffers, strict=True):
            kept.copy_(buffer)
        try:
            yield
        except BaseException as error:
            for kept, buffer in zip(self.kept, self.buffers, strict=True):
                buffer.copy_(kept)
            self._explain(error, where)
            raise

    def _explain(self, error: BaseException, where: str) -> None:
        """Raise the error that says what to do, where PyTorch's own does not."""
        text = str(error)
        if isinstance(error, TrainingDiverged):
            raise TrainingDiverged(f"Training diverged {where}: {text}. {LIKELY_CAUSES}") from None
        if isinstance(error, ValueError) and text.startswith("Expected parameter"):  # so torch.distributions begins
            refused = text.partition(", but found invalid values")[0]
            raise TrainingDiverged(
                f"Training diverged {where}: {refused}. The weights went where it is NaN, 0 or infinite; or, in the "
                f"first minibatch, nothing in the model keeps it in range, as exp does above 0. {LIKELY_CAUSES}"
            ) from error
        widths = re.search(r"shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)", text)
        if widths and int(widths[1]) == self.n_genes:
            raise ValueError(
                f"cells: expected {widths[2]} genes, as many as a layer of the model takes, found {self.n_genes}; "
                f"choose those genes, or build the model for {self.n_genes}"
            ) from error


def stop_unless_finite(terms: Mapping[str, Tensor | float], model: Trainable | None = None) -> None:
    """Raise TrainingDiverged if a term of the loss, or the gradient that it left in ``model``, is not finite.

    A finite loss can have an infinite gradient (√0 has), which would spoil the weights a step before the loss shows it.
    """
    values = {name: number(value) for name, value in terms.items()}
    if not all(math.isfinite(value) for value in values.values()):
        listed = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        raise TrainingDiverged(f"the loss is not finite: {listed}")
    if model is None:
        return
    # A sum is NaN or infinite if any element is: one number per tensor, no temporary the size of the gradient.
    sums = {name: p.grad.sum() for name, p in model.named_parameters() if p.grad is not None}
    if not sums:
        raise ValueError(
            "model.loss: expected a 'loss' that depends on the model's parameters, found no gradient in any"
        )
    if not torch.stack(list(sums.values())).isfinite().all():
        names = [name for name, total in sums.items() if not total.isfinite()]
        raise TrainingDiverged(
            f"the loss is finite ({values['loss']:g}) but its gradient is not, in {', '.join(names[:3])}"
            f"{' and others' if len(names) > 3 else ''}, as a square root or logarithm of 0 makes it"
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
