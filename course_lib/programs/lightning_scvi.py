"""Our own scVI for Lightning: what to minimise stands here, the loop is Lightning's.

Source: Falcon and the Lightning team, https://doi.org/10.5281/zenodo.3828935.
"""

from typing import Any

from torch import Tensor

from course_lib.data.cells import Cells
from course_lib.data.matching import check_cells
from course_lib.models.scvi import SCVI
from course_lib.programs.recipe import Recipe


class LightningSCVI(Recipe):
    """An ``SCVI``, kept as ``model``, with the recipe of ``fit`` (``lr``, ``one_cycle``, ``eps``, ``weight_decay``).

    Raises
    ------
    TypeError : another kind of model.   ValueError : an argument out of range; cells of other genes or batches.
    """

    def __init__(self, model: SCVI, **recipe: Any):
        super().__init__(**recipe)
        if not isinstance(model, SCVI):
            raise TypeError(f"model: expected an SCVI, found {type(model).__name__}; build one first.")
        self.model = model

    def training_step(self, cells: Cells, step: int) -> Tensor:
        """−ELBO of a minibatch, nats per cell."""
        return self.model.loss(cells)["loss"]

    def validation_step(self, cells: Cells, step: int) -> None:
        """The same of cells that are not learned from, averaged over all processes."""
        self.log("validation_loss", self.model.loss(cells)["loss"], batch_size=len(cells), sync_dist=True)

    def on_fit_start(self) -> None:
        """Other genes or batches are refused before the first step."""
        trainer: Any = self.trainer
        check_cells(self.model, trainer.datamodule.cells)
