"""What ``fit`` is given, besides numbers: checked once, before anything is touched; and what it leaves on the model."""

from typing import Any

from course_lib.data.cells import CellTable
from course_lib.data.matching import check_alike, check_cells


def check_arguments(model: Any, cells: CellTable, validation: CellTable | None) -> None:
    """ValueError unless cells and validation are alike, and such as the model was built for or trained on before."""
    check_cells(model, cells)
    if validation is not None:
        check_cells(model, validation, "validation")
        check_alike(cells, validation, "validation")


def remember(model: Any, cells: CellTable, epochs: int) -> None:
    """Write on the model what later questions are checked against: plain attributes, not part of its ``state_dict``.

    ``genes``: the names of what it learned from, unless it was built with them. ``epochs_trained``: how many epochs its
    weights have behind them, in all calls of ``fit``.
    """
    if getattr(model, "genes", None) is None:
        model.genes = cells.genes
    model.epochs_trained = epochs
