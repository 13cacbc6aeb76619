"""Stop before a NaN reaches the weights, and say what to look for."""

from __future__ import annotations

import math
from collections.abc import Mapping

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
