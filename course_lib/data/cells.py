"""The gate: what enters a model has passed here, and is a ``Cells``.

Axes: N cells, G genes, B batches.
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData, Raw
from torch import Tensor

from course_lib.data.checks import COUNT_CHECKS, EXPRESSION_CHECKS, NAME_CHECKS, Check, NotCounts
from course_lib.data.columns import read_batches, read_labels
from course_lib.data.doubts import almost_a_name_per_cell, named_as_if_transposed, spread_as_if_transposed
from course_lib.data.tables import read_table

ONLY_BATCH = "all cells"  # the name of the one batch when no batch_key is given


@dataclass(frozen=True, eq=False)  # eq: two tensors compare elementwise, which is no yes or no
class Cells:
    """What a model sees of N cells.

    Make one with ``cells_from_counts`` or ``cells_from_expression``, which check what goes in.
    ``genes`` and ``batches`` let a trained model refuse cells measured on other genes, or from a batch it never saw.
    """

    x: Tensor  # (N, G) float32: counts, or continuous expression
    batch: Tensor  # (N,) int64 codes into `batches`
    genes: tuple[str, ...]  # G names, in the order of x's columns
    batches: tuple[str, ...]  # B names
    label: Tensor | None = None  # (N,) int64 codes into `labels`, −1 where a cell has none
    labels: tuple[str, ...] = ()  # C names of cell types
    counts: bool | None = None  # x holds raw counts; False: expression; None: built by hand, so nobody looked

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor | np.ndarray | slice) -> "Cells":
        """Several cells at once: integer positions, a boolean mask or a slice, in one indexing call per tensor."""
        if not isinstance(index, Tensor | np.ndarray | slice):
            raise TypeError(
                f"cells[index] takes a tensor, an array or a slice, not {type(index).__name__}: "
                "for one cell write cells[i:i + 1]."
            )
        if isinstance(index, np.ndarray):
            index = torch.from_numpy(index)
        label = None if self.label is None else self.label[index]
        return replace(self, x=self.x[index], batch=self.batch[index], label=label)

    def to(self, device: torch.device | str) -> "Cells":
        label = None if self.label is None else self.label.to(device)
        return replace(self, x=self.x.to(device), batch=self.batch.to(device), label=label)

    def parts(self, n_cells: int) -> Iterator["Cells"]:
        """All cells in their order, so many at a time."""
        return (self[start : start + n_cells] for start in range(0, len(self), n_cells))

    @property
    def n_genes(self) -> int:
        return self.x.shape[1]

    @property
    def device(self) -> torch.device:
        return self.batch.device


def log_total(x: Tensor) -> Tensor:
    """log ℓ_n with ℓ_n = Σ_g x_ng, the observed library size: (N, G) to (N, 1)."""
    return x.sum(-1, keepdim=True).log()


def cells_from_counts(
    data: Any, *, layer: str | None = None, batch_key: str | None = None, label_key: str | None = None
) -> Cells:
    """Check that ``data`` holds raw counts, and hand them to a model.

    Parameters
    ----------
    data : AnnData, its ``raw``, or a plain (N, G) table: array, tensor, SciPy sparse matrix or data frame (cells in
        rows).
    layer : name in ``data.layers``; None takes ``data.X``.
    batch_key : column of ``data.obs`` that says which batch a cell came from; None puts all cells in one batch.
    label_key : column of ``data.obs`` with kinds of cell; a label may be missing (NaN, None or empty text), and is
        then coded −1. None: the cells carry no labels. Batches and labels are coded in the order of the column's
        categories, or sorted; a category that no cell has is left out.

    Returns
    -------
    Cells, with dense float32 copies of the counts. ``data`` is not changed.

    Raises
    ------
    TypeError : what is no table (None, a path, a list of AnnData, a MuData), or not of numbers.
    NotCounts : negative or fractional values; the message names the layer that holds counts, if there is one.
    ValueError : NaN, infinities, counts above 2²⁴, a cell without counts, duplicate names, no cells, no genes, a table
        that is not two-dimensional, a mask, a damaged sparse matrix, an unknown ``layer``, ``batch_key`` or
        ``label_key``, a cell without a batch. Every message says what was expected, what was found, where first, and
        what to do.

    Warns
    -----
    UserWarning : genes seem to stand in rows, or ``batch_key`` or ``label_key`` names nearly every cell differently.
    """
    return _pass_gate(data, COUNT_CHECKS, layer, batch_key, label_key)


def cells_from_expression(
    data: Any, *, layer: str | None = None, batch_key: str | None = None, label_key: str | None = None
) -> Cells:
    """Check that ``data`` holds finite numbers, and hand them to a model: log-normalised, scaled or bulk expression.

    Parameters, result and errors are those of ``cells_from_counts``, except that values may be negative or
    fractional and a row may be all zeros.
    """
    return _pass_gate(data, EXPRESSION_CHECKS, layer, batch_key, label_key)


def _pass_gate(
    data: Any, checks: tuple[Check, ...], layer: str | None, batch_key: str | None, label_key: str | None
) -> Cells:
    if isinstance(data, Cells):
        raise TypeError("data: expected a table, found Cells, which have passed the gate: pass them on as they are.")
    if isinstance(data, Raw):
        data = data.to_adata()
    table = read_table(data, layer)
    try:
        for check in (*NAME_CHECKS, *checks):
            check(table)
    except NotCounts as error:
        raise NotCounts(f"{error}{_counts_elsewhere(data)}") from None
    doubts = [named_as_if_transposed(table) or (spread_as_if_transposed(table) if checks is COUNT_CHECKS else "")]
    batch: np.ndarray = np.zeros(len(table.cells), dtype=np.int64)
    batches: tuple[str, ...] = (ONLY_BATCH,)
    if batch_key is not None:
        batch, batches = read_batches(_obs(data, "batch_key", batch_key), batch_key)
        doubts.append(almost_a_name_per_cell("batch_key", batch_key, batches, len(batch)))
    label: np.ndarray | None = None
    labels: tuple[str, ...] = ()
    if label_key is not None:
        label, labels = read_labels(_obs(data, "label_key", label_key), label_key)
        doubts.append(almost_a_name_per_cell("label_key", label_key, labels, int((label >= 0).sum())))
    for doubt in filter(None, doubts):
        warnings.warn(doubt, stacklevel=3)  # at the caller of cells_from_counts
    dense = table.values if isinstance(table.values, np.ndarray) else table.values.toarray()
    return Cells(
        x=torch.from_numpy(np.array(dense, dtype=np.float32, order="C")),  # a copy: the caller's table stays theirs
        batch=torch.from_numpy(batch),
        genes=tuple(table.genes),
        batches=batches,
        label=None if label is None else torch.from_numpy(label),
        labels=labels,
        counts=checks is COUNT_CHECKS,
    )


def _obs(data: Any, argument: str, key: str) -> pd.DataFrame:
    if not isinstance(data, AnnData):
        raise ValueError(
            f"{argument}: expected an AnnData to find {key!r} in, found a {type(data).__name__} for data. "
            f"Pass an AnnData with that column in obs, or leave {argument} out."
        )
    return data.obs


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
