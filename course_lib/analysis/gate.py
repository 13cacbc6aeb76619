"""The second gate: cells may enter a trained model only if it knows their genes and their batch.

Axes: N cells, G genes, B batches. A model knows its ``genes`` and ``batches`` by name. A column in the wrong place
would be read as another gene, without an error and with plausible numbers, so it is refused here.
"""

from dataclasses import replace
from typing import Any

import torch

from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.columns import ONLY_BATCH
from course_lib.data.matching import Named, check_cells


def cells_for(model: Named, data: Any, *, layer: str | None = None, batch_key: str | None = None) -> Cells:
    """Raw counts of ``data``, as the cells that ``model`` was built for.

    Parameters
    ----------
    data : AnnData with the model's genes, in the model's order.   layer, batch_key : as in ``cells_from_counts``.

    Returns
    -------
    Cells whose batch codes are the model's, whichever of its batches occur in ``data``.

    Raises
    ------
    ValueError : what ``cells_from_counts`` refuses; other genes, or the same in another order; a batch that the model
        has not seen.
    """
    cells = cells_from_counts(data, layer=layer, batch_key=batch_key)
    if batch_key is None and model.batches != (ONLY_BATCH,):
        raise ValueError(f"batch_key: expected the column of data.obs that names {model.batches}, found None.")
    if batch_key is not None and model.batches == (ONLY_BATCH,):
        raise ValueError(f"batch_key: the model was built without batches, found {batch_key!r}; leave it out.")
    strangers = [name for name in cells.batches if name not in model.batches]
    if strangers:
        raise ValueError(
            f"data.obs[{batch_key!r}]: the model has not seen batch {strangers[0]!r} ({len(strangers)} unknown), "
            f"only {model.batches}; leave these cells out, or train a model with them."
        )
    codes = torch.tensor([model.batches.index(name) for name in cells.batches])  # ours to the model's
    cells = replace(cells, batch=codes[cells.batch], batches=model.batches)
    check_cells(model, cells)
    return cells
