"""The second gate: who may be asked, and about which cells.

Axes: N cells, G genes, B batches. A model knows its ``genes`` and ``batches`` by name. A column in the wrong place
would be read as another gene, without an error and with plausible numbers, so it is refused here
(``data.matching`` compares the names).
"""

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, overload

import torch

from course_lib.data.cells import Cells, CellTable, StoredCells, cells_from_counts
from course_lib.data.columns import ONLY_BATCH
from course_lib.data.matching import Named, check_cells

COUNT_MODEL = ("genes", "batches", "learns_library", "encode", "decode")  # what protocol.CountModel must have


@overload
def cells_for(
    model: Named, data: StoredCells, *, layer: None = None, batch_key: None = None, sparse: bool = False
) -> StoredCells: ...
@overload
def cells_for(
    model: Named, data: Any, *, layer: str | None = None, batch_key: str | None = None, sparse: Literal[True]
) -> StoredCells: ...
@overload
def cells_for(
    model: Named, data: Any, *, layer: str | None = None, batch_key: str | None = None, sparse: Literal[False] = False
) -> Cells: ...
def cells_for(
    model: Named, data: Any, *, layer: str | None = None, batch_key: str | None = None, sparse: bool = False
) -> CellTable:
    """Raw counts of ``data``, as the cells that ``model`` was built for.

    Parameters
    ----------
    data : AnnData with the model's genes, in the model's order; or cells that were made elsewhere, such as those of
        ``data.files.cells_from_file``.   layer, batch_key, sparse : as in ``cells_from_counts``, for an AnnData.

    Returns
    -------
    Cells whose batch codes are the model's, whichever of its batches occur in ``data``.

    Raises
    ------
    TypeError : a model that knows no genes and batches by name.
    ValueError : what ``cells_from_counts`` refuses; other genes, or the same in another order; a batch that the model
        has not seen; a layer or batch_key for cells, which have their counts and batches already.
    """
    check_model("cells_for", model, ("genes", "batches"))
    if isinstance(data, CellTable):
        if layer is not None or batch_key is not None:
            raise ValueError("layer, batch_key: expected None beside cells, whose batches are known; leave them out.")
        cells, source = data, "cells"
    else:
        cells = cells_from_counts(data, layer=layer, batch_key=batch_key, sparse=sparse)  # type: ignore[call-overload]
        source = f"data.obs[{batch_key!r}]"
    found = repr(batch_key) if cells is not data else f"cells with {cells.batches}"
    if cells.batches == (ONLY_BATCH,) and model.batches != (ONLY_BATCH,):
        raise ValueError(f"batch_key: expected the column of obs that names {model.batches}, found {found}.")
    if model.batches == (ONLY_BATCH,) and cells.batches != (ONLY_BATCH,):
        raise ValueError(f"batch_key: expected none, as the model was built without, found {found}; leave it out.")
    strangers = [name for name in cells.batches if name not in model.batches]
    if strangers:
        raise ValueError(
            f"{source}: expected batches that the model has seen, {model.batches}, found {strangers[0]!r} "
            f"({len(strangers)} unknown); leave these cells out, or train a model with them."
        )
    codes = torch.tensor([model.batches.index(name) for name in cells.batches])  # ours to the model's
    cells = replace(cells, batch=codes.to(cells.device)[cells.batch], batches=model.batches)
    check_cells(model, cells)
    return cells


def check_question(question: str, model: Any, cells: Any, needs: Sequence[str]) -> None:
    """Nothing if ``model`` has all that the question needs and was built for, or trained on, such cells.

    Raises
    ------
    TypeError : a class, a model that lacks something, something else than cells.
    ValueError : no cell; other genes or batches than the model's.
    """
    check_model(question, model, needs)
    check_is_cells(cells)
    check_cells(model, cells)


def check_is_cells(cells: Any) -> None:
    """TypeError for something else than cells, ValueError for none."""
    if not hasattr(cells, "parts"):
        raise TypeError(
            f"cells: expected Cells, found {type(cells).__name__}; make them with cells_for(model, data, …), or "
            "cells_from_counts(data, …)."
        )
    if len(cells) == 0:
        raise ValueError("cells: expected at least one, found none; is the mask that chose them all False?")


def check_model(question: str, model: Any, needs: Sequence[str]) -> None:
    """TypeError unless ``model`` is an instance that has all of ``needs``."""
    if isinstance(model, type):
        raise TypeError(f"model: expected a trained model, found the class {model.__name__}; build one and train it.")
    lacking = [name for name in needs if not hasattr(model, name)]
    if lacking:
        raise TypeError(
            f"model: expected one with {', '.join(needs)} to ask for {question}, found {type(model).__name__}, which "
            f"lacks {', '.join(lacking)}; course_lib.models.scvi.SCVI has them all."
        )


def check_decoder_of_z(question: str, model: Any) -> None:
    """TypeError unless ``decode`` takes z alone: that of a count model asks for library size and batch too."""
    try:
        inspect.signature(model.decode).bind(None)
    except TypeError:
        raise TypeError(
            f"model: expected a decoder of z alone to ask for {question}, as an autoencoder or a VAE has, found "
            f"{type(model).__name__}, whose decode takes {inspect.signature(model.decode)}; for a model of counts ask "
            "get_normalized_expression(model, cells, library_size='latent')."
        ) from None


def warn_untrained(model: Any) -> None:
    """UserWarning if ``training.fit`` never trained the model: what it says would look like results all the same."""
    if not getattr(model, "epochs_trained", 0):
        warnings.warn(
            f"model: expected a trained one, found this {type(model).__name__} with no epoch of fit behind it: its "
            "answers are those of random weights. If they were trained elsewhere, say model.epochs_trained = 1.",
            stacklevel=3,
        )
