"""What scores are given, checked once: a table of numbers with a row for each cell, and a name for each cell.

Axes: N cells, L columns.
"""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from torch import Tensor


def number_table(name: str, values: Any, least: int = 1) -> NDArray[np.floating[Any]]:
    """(N, L) finite numbers, N ≥ ``least``, in their own precision: an array, a tensor, a data frame, a list of rows.

    Raises
    ------
    TypeError : text, objects, a sparse matrix.   ValueError : another shape, too few rows, NaN, infinity.
    """
    if scipy.sparse.issparse(values):
        raise TypeError(f"{name}: expected a dense table, found a sparse matrix; pass .toarray(), if it is small.")
    table = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if table.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers, found {table.dtype}; keep names and labels outside of the table.")
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"{name}: expected (N, L), one row for each cell, found shape {table.shape}.")
    if len(table) < least:
        raise ValueError(f"{name}: expected {least} or more cells as rows, found {len(table)}.")
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{name}: expected finite numbers, found NaN or infinity in {int((~finite).sum())} rows, first row "
            f"{np.flatnonzero(~finite)[0]}; did the training diverge?"
        )
    return table if table.dtype.kind == "f" else table.astype(np.float64)


def name_of_each(name: str, values: Any, n_cells: int, *, least: int = 1) -> NDArray[Any]:
    """(N,) labels, clusters or batches, none of them missing, at least so many of them different.

    Raises
    ------
    ValueError : another number of them than cells, a missing one (None, NaN, NA), too few different ones.
    """
    names = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if names.shape != (n_cells,):
        raise ValueError(f"{name}: expected one for each of the {n_cells} cells, found shape {names.shape}.")
    missing = np.flatnonzero(pd.isna(names))
    if len(missing):
        raise ValueError(
            f"{name}: expected one for each cell, found none for {len(missing)} of them, first cell {missing[0]}; "
            "leave these cells out."
        )
    if names.dtype.kind == "O":  # of mixed kinds, which have no order: 1 and "1" are one name, as in data.cells
        names = names.astype(str)
    if len(np.unique(names)) < least:
        raise ValueError(
            f"{name}: expected at least {least} different ones, found {names[0].item()!r} for every cell; there is "
            "nothing to compare."
        )
    return names
