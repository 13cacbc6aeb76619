"""Which cells are compared with which: groups from labels, masks or positions, checked once.

Axes: N cells.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Keys = str | Sequence[str]


def group_masks(
    obs: pd.DataFrame, groupby: str, group1: Keys, group2: Keys | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks (N,) from a column of labels, as ``adata.obs`` holds them.

    Parameters
    ----------
    groupby : the column.   group1, group2 : a label, or several that make one group; ``group2=None``: all other cells
        that have a label.

    Raises
    ------
    ValueError : an unknown column or label.
    """
    if groupby not in obs:
        raise ValueError(f"groupby: {groupby!r} is not in obs; choose from {', '.join(map(repr, obs.columns))}.")
    labels = obs[groupby]
    known = [str(label) for label in pd.unique(labels.dropna())]
    text = labels.astype(str).to_numpy(dtype=str)

    def mask(name: str, keys: Keys) -> NDArray[np.bool_]:
        keys = [keys] if isinstance(keys, str) else [str(key) for key in keys]
        unknown = [key for key in keys if key not in known]
        if unknown or not keys:
            found = f"no cell with {groupby} = {unknown[0]!r}" if unknown else "no label"
            raise ValueError(f"{name}: {found}; choose from {', '.join(map(repr, sorted(known)))}.")
        return np.isin(text, keys)

    first = mask("group1", group1)
    second = ~first & labels.notna().to_numpy() if group2 is None else mask("group2", group2)
    return first, second


def group_positions(group1: ArrayLike, group2: ArrayLike, n_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Masks or positions to sorted positions, two groups of at least two cells without a cell in common.

    Raises
    ------
    ValueError : a mask of another length, positions outside 0 … N − 1 or repeated, a group without cells or with
        one, groups that overlap.
    """
    first, second = _positions("group1", group1, n_cells), _positions("group2", group2, n_cells)
    shared = np.intersect1d(first, second)
    if len(shared):
        raise ValueError(
            f"group1, group2: {len(shared):,} cells are in both, first cell {shared[0]}; "
            "a cell cannot be compared with itself, leave it out of one group."
        )
    return first, second


def _positions(name: str, group: ArrayLike, n_cells: int) -> NDArray[np.int64]:
    array = np.asarray(group)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "biu"):
        raise ValueError(
            f"{name}: expected a boolean mask or integer positions, one-dimensional, found {array.dtype} of shape "
            f"{array.shape}; for labels use group_masks(adata.obs, …)."
        )
    if array.dtype.kind == "b":
        if len(array) != n_cells:
            raise ValueError(
                f"{name}: a mask of {len(array):,} for {n_cells:,} cells; make it from the obs of the same cells."
            )
        array = np.flatnonzero(array)
    array = array.astype(np.int64)
    if len(array) < 2:
        raise ValueError(
            f"{name}: found {'no cell' if len(array) == 0 else 'one cell'}; a group needs at least two, "
            "and some dozens to say much."
        )
    if array.min() < 0 or array.max() >= n_cells:
        raise ValueError(f"{name}: positions from {array.min()} to {array.max()} for {n_cells:,} cells (0 to N − 1).")
    positions, times = np.unique(array, return_counts=True)
    if len(positions) < len(array):
        raise ValueError(f"{name}: cell {positions[times > 1][0]} stands in it more than once; name each cell once.")
    return positions
