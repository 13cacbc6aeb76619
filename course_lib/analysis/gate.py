"""The second gate: cells may enter a trained model only if it knows their genes and their batch.

Axes: N cells, G genes, B batches. A model knows its ``genes`` and ``batches`` by name. A column in the wrong place
would be read as another gene, without an error and with plausible numbers, so it is refused here.
"""

from dataclasses import replace
from itertools import compress
from typing import Any

import torch

from course_lib.analysis.protocol import Named
from course_lib.data.cells import ONLY_BATCH, Cells, cells_from_counts


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


def check_cells(model: Named, cells: Cells) -> None:
    """ValueError unless ``cells`` have the model's genes, in its order, and its batches."""
    if cells.genes != model.genes:
        raise ValueError(f"cells: {_difference(model.genes, cells.genes)}")
    if cells.batches != model.batches:
        raise ValueError(
            f"cells: the model numbers the batches {model.batches}, found {cells.batches}; "
            "make the cells with analysis.gate.cells_for(model, data, batch_key=…)."
        )


def _difference(expected: tuple[str, ...], found: tuple[str, ...]) -> str:
    """Say how the genes found differ from those expected, and what to do."""
    if set(expected) == set(found):
        moved = next(compress(expected, (a != b for a, b in zip(expected, found, strict=True))))
        return (
            f"the model's {len(expected):,} genes in another order, first {moved!r} at column {found.index(moved)} "
            f"instead of {expected.index(moved)}; use data[:, list(model.genes)]."
        )
    missing = [name for name in expected if name not in set(found)]
    extra = [name for name in found if name not in set(expected)]
    first = f", first {missing[0]!r}" if missing else ""
    return (
        f"expected the model's {len(expected):,} genes, found {len(found):,}: {len(missing):,} missing{first}, "
        f"{len(extra):,} that the model does not know. "
        + ("Choose them with data[:, list(model.genes)]." if not missing else "Train a model on the genes you have.")
    )
