"""The gate: what becomes ``Cells`` has passed here, and is named as it came in.

Axes: N cells, G genes, B batches.
"""

import contextlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData, Raw

from course_lib.data.checks import COUNT_CHECKS, NAME_CHECKS, Check, NotCounts
from course_lib.data.columns import ONLY_BATCH, read_batches, read_labels
from course_lib.data.doubts import almost_a_name_per_cell, named_as_if_transposed, spread_as_if_transposed
from course_lib.data.tables import Table, read_table


def pass_gate(
    data: Any, checks: tuple[Check, ...], layer: str | None, batch_key: str | None, label_key: str | None
) -> tuple[Table, dict[str, Any]]:
    """The checked table, and what ``Cells`` says of it besides its numbers. Warns at the caller of its caller."""
    if isinstance(data, Raw):
        data = data.to_adata()
    table = read_table(data, layer)
    try:
        for check in (*NAME_CHECKS, *checks):
            check(table)
    except NotCounts as error:
        raise NotCounts(f"{error}{_counts_elsewhere(data)}") from None
    obs = _obs(data, batch_key=batch_key, label_key=label_key)
    annotation, doubts = annotate(obs, len(table.cells), table.genes, batch_key, label_key)
    doubts.append(named_as_if_transposed(table))
    if checks is COUNT_CHECKS and not doubts[-1]:
        totals = (np.asarray(table.values.sum(axis=axis), dtype=np.float64).ravel() for axis in (1, 0))
        doubts.append(spread_as_if_transposed(table.source, *totals))
    for doubt in filter(None, doubts):
        warnings.warn(doubt, stacklevel=3)  # at the caller of cells_from_counts
    return table, annotation | {"counts": checks is COUNT_CHECKS}


def annotate(
    obs: pd.DataFrame, n_cells: int, genes: Sequence[str], batch_key: str | None, label_key: str | None
) -> tuple[dict[str, Any], list[str]]:
    """The fields of ``Cells`` that say something of genes and single cells, and what looks wrong about them."""
    batch: np.ndarray = np.zeros(n_cells, dtype=np.int64)
    batches: tuple[str, ...] = (ONLY_BATCH,)
    label: np.ndarray | None = None
    labels: tuple[str, ...] = ()
    doubts = []
    if batch_key is not None:
        batch, batches = read_batches(obs, batch_key)
        doubts.append(almost_a_name_per_cell("batch_key", batch_key, batches, len(batch)))
    if label_key is not None:
        label, labels = read_labels(obs, label_key)
        doubts.append(almost_a_name_per_cell("label_key", label_key, labels, int((label >= 0).sum())))
    return {
        "batch": torch.from_numpy(batch),
        "genes": tuple(genes),
        "batches": batches,
        "label": None if label is None else torch.from_numpy(label),
        "labels": labels,
    }, doubts


def _obs(data: Any, **keys: str | None) -> pd.DataFrame:
    """``data.obs``, which only an AnnData has; nobody asks a plain table for it without a key."""
    if isinstance(data, AnnData):
        return data.obs
    for argument, key in keys.items():
        if key is not None:
            raise ValueError(
                f"{argument}: expected an AnnData to find {key!r} in, found a {type(data).__name__} for data. "
                f"Pass an AnnData with that column in obs, or leave {argument} out."
            )
    return pd.DataFrame()


def _counts_elsewhere(data: Any) -> str:
    """Where else in ``data`` counts are, in words to type: layers and ``raw`` are put through the same checks."""
    if not isinstance(data, AnnData):
        return ""
    places: dict[str, tuple[AnnData, str | None]] = {f"pass layer={name!r}": (data, name) for name in data.layers}
    if data.X is not None:
        places["leave layer out, for data.X"] = (data, None)
    if data.raw is not None:
        places[f"pass data.raw.to_adata(), which has {data.raw.n_vars:,} genes"] = (data.raw.to_adata(), None)
    found = []
    for words, (place, layer) in places.items():
        with contextlib.suppress(ValueError, TypeError):
            table = read_table(place, layer)
            for check in (*NAME_CHECKS, *COUNT_CHECKS):
                check(table)
            found.append(words)
    if not found:
        return " No layer of data holds counts, nor does data.raw: go back to the file that held them."
    return f" There are counts in data: {', or '.join(found)}."
