"""Which cells are compared with which: groups from labels, masks or positions, checked once.

Axes: N cells.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from course_lib.arguments import text

Keys = str | int | Iterable[str | int]  # a label or several; 0 finds "0", as Leiden names its clusters


def group_masks(
    obs: pd.DataFrame, groupby: str, group1: Keys, group2: Keys | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks (N,) from a column of labels, as ``adata.obs`` holds them.

    Parameters
    ----------
    groupby : the column.   group1, group2 : a label, or several that make one group; ``group2=None``: all other cells
        that have a label. Labels are compared as text: 0 is "0".

    Raises
    ------
    TypeError : what is no data frame, no column name, no label.   ValueError : an unknown column or label.
    """
    if not isinstance(obs, pd.DataFrame):
        raise TypeError(f"obs: expected a data frame, such as adata.obs, found {type(obs).__name__}.")
    if text("groupby", groupby) not in obs:
        columns = ", ".join(map(repr, obs.columns))
        raise ValueError(f"groupby: expected a column of obs, one of {columns}, found {groupby!r}.")
    labels = obs[groupby]
    if isinstance(labels, pd.DataFrame):
        raise ValueError(f"groupby: expected one column {groupby!r}, found {labels.shape[1]}; rename the others.")
    known = [str(label) for label in pd.unique(labels.dropna())]
    of_cells = labels.astype(str).to_numpy(dtype=str)

    def mask(name: str, keys: Any) -> NDArray[np.bool_]:
        if isinstance(keys, str) or not isinstance(keys, Iterable):
            keys = [keys]
        wanted = [str(key) for key in keys]
        unknown = [key for key in wanted if key not in known]
        if unknown or not wanted:
            found = f"{unknown[0]!r}, which no cell has" if unknown else "none"
            raise ValueError(
                f"{name}: expected a label in obs[{groupby!r}] or several, of {', '.join(map(repr, sorted(known)))}, "
                f"found {found}."
            )
        return np.isin(of_cells, wanted) & labels.notna().to_numpy()

    first = mask("group1", group1)
    second = ~first & labels.notna().to_numpy() if group2 is None else mask("group2", group2)
    return first, second


def group_positions(group1: ArrayLike, group2: ArrayLike, n_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Masks or positions to sorted positions, two groups of at least two cells without a cell in common.

    A pandas mask whose index is not 0 … N − 1 is refused: cells are numbered, not named, so nobody could tell whether
    it is in their order.

    Raises
    ------
    TypeError : what is neither a mask nor positions.   ValueError : a mask of another length or with an index of its
        own, positions outside 0 … N − 1 or repeated, a group without cells or with one, groups that overlap.
    """
    first, second = _positions("group1", group1, n_cells), _positions("group2", group2, n_cells)
    shared = np.intersect1d(first, second)
    if len(shared):
        raise ValueError(
            f"group1, group2: expected no cell in both, found {len(shared):,}, first cell {shared[0]}; leave it out of "
            "one group, for a cell cannot be compared with itself."
        )
    return first, second


def _positions(name: str, group: Any, n_cells: int) -> NDArray[np.int64]:
    array = np.asarray(group.detach().cpu() if isinstance(group, Tensor) else group)
    if array.size and array.dtype.kind not in "biu":
        raise TypeError(
            f"{name}: expected a boolean mask or integer positions, found {array.dtype}; for labels use "
            "group_masks(adata.obs, …), and fill what is missing in a mask."
        )
    if array.ndim != 1:
        raise ValueError(f"{name}: expected a mask or positions in one dimension, found shape {array.shape}.")
    if array.dtype.kind == "b":
        if len(array) != n_cells:
            raise ValueError(
                f"{name}: expected a mask of the {n_cells:,} cells, found one of {len(array):,}; make it from the obs "
                "of the same cells."
            )
        if isinstance(group, pd.Series) and not np.array_equal(group.index, np.arange(n_cells)):
            raise ValueError(
                f"{name}: expected a mask by position, found a Series with an index of its own ({group.index[0]!r}), "
                "which numbered cells cannot be matched to. If its rows are in the order of the cells, as in the "
                "obs they were made from, pass .to_numpy(); group_masks(adata.obs, …) makes such masks."
            )
        array = np.flatnonzero(array)
    array = array.astype(np.int64)
    if len(array) < 2:
        raise ValueError(
            f"{name}: expected at least two cells, and some dozens to say much, found "
            f"{'no cell' if len(array) == 0 else 'one cell'}."
        )
    if array.min() < 0 or array.max() >= n_cells:
        raise ValueError(
            f"{name}: expected positions from 0 to {n_cells - 1:,}, one less than the cells there are, found "
            f"{array.min()} to {array.max()}."
        )
    positions, times = np.unique(array, return_counts=True)
    if len(positions) < len(array):
        raise ValueError(f"{name}: expected each cell once, found cell {positions[times > 1][0]} more than once.")
    return positions
