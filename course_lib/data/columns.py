"""Columns of ``obs`` as a model sees them: integer codes and the names they stand for.

Axes: N cells, C names.
"""

import numpy as np
import pandas as pd

ONLY_BATCH = "all cells"  # the name of the one batch when no batch_key is given

# What a missing value is called once a column of numbers or objects was turned into text.
MISSING_AS_TEXT = ("", "nan", "<NA>")


def read_batches(obs: pd.DataFrame, key: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes (N,) int64 and the names of the batches that occur; every cell must have one.

    Names stand in the order of the categories, or sorted where the column has none.

    Raises
    ------
    TypeError : a key that is not one name.
    ValueError : a key that is not in ``obs`` or stands there twice, or a cell without a batch.
    """
    codes, names = _codes(obs, key, "batch_key")
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise ValueError(
            f"batch_key: expected a batch for every cell, found {len(missing):,} without in data.obs[{key!r}], "
            f"first cell {str(obs.index[missing[0]])!r} (row {missing[0]:,}). Fill in their batch, or remove these "
            "cells."
        )
    return codes, names


def read_labels(obs: pd.DataFrame, key: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes (N,) int64, −1 where a cell has no label, and the names of the labels that occur.

    Order and errors as for ``read_batches``, but a label may be missing: NaN, None or empty text.
    """
    return _codes(obs, key, "label_key")


def _codes(obs: pd.DataFrame, key: str, argument: str) -> tuple[np.ndarray, tuple[str, ...]]:
    column = _column(obs, key, argument)
    missing = (column.isna() | column.astype(str).str.strip().isin(MISSING_AS_TEXT)).to_numpy()
    if not isinstance(column.dtype, pd.CategoricalDtype):
        if column.dtype == object:  # of mixed types, which have no order
            column = column.astype(str)
        column = column.where(~missing).astype("category")  # sorted: 9 before 10
    categories = np.array([str(category) for category in column.cat.categories], dtype=object)
    of_category, names = pd.factorize(categories)  # 1 and "1" are one name
    code = np.full(len(column), -1, dtype=np.int64)  # (N,)
    code[~missing] = of_category[column.cat.codes.to_numpy()[~missing]]
    occurring = np.unique(code[~missing])
    code[~missing] = np.searchsorted(occurring, code[~missing])
    return code, tuple(names[i] for i in occurring)


def _column(obs: pd.DataFrame, key: str, argument: str) -> pd.Series:
    if not isinstance(key, str):
        raise TypeError(
            f"{argument}: expected the name of one column of data.obs, found {key!r}. To use several columns, join "
            "them first: data.obs['joined'] = data.obs['a'].astype(str) + '_' + data.obs['b'].astype(str)."
        )
    columns = [str(name) for name in obs.columns]
    if key not in columns:
        there = ", ".join(map(repr, columns)) or "none"
        raise ValueError(f"{argument}: expected a column of data.obs, found {key!r}. The columns are: {there}.")
    if columns.count(key) > 1:
        raise ValueError(
            f"{argument}: expected one column of data.obs named {key!r}, found {columns.count(key)}. "
            "Rename them, or keep the first of each name: data.obs = data.obs.loc[:, ~data.obs.columns.duplicated()]."
        )
    return obs.iloc[:, columns.index(key)]
