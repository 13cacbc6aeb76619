"""The loss on cells that training does not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from course_lib.training.divergence import stop_unless_finite
from course_lib.training.history import Means
from course_lib.training.protocol import Trainable
from course_lib.training.rng import seeded
from course_lib.training.settings import Settings

if TYPE_CHECKING:
    from course_lib.data.cells import Cells


def validation_terms(model: Trainable, cells: Cells, settings: Settings, epoch: int) -> dict[str, float]:
    """The terms of the loss, each a mean over ``cells``. The model is in eval mode already.

    Two choices make epochs comparable. The KL term has its final weight, also during warm-up. The noise of a sampled
    loss comes from a generator seeded anew each time: every epoch sees the same noise, and training's own stream of
    random numbers does not notice that anyone validated.
    """
    means = Means()
    with torch.no_grad(), seeded(settings.seed, settings.torch_device()):
        for index in torch.arange(len(cells)).split(settings.batch_size):
            terms = model.loss(cells[index], kl_weight=settings.kl_weight)
            means.add(terms, len(index))
    stop_unless_finite(means.values(), None, f"on the validation cells after epoch {epoch}")
    return means.values()
