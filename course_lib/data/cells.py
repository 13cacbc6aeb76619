"""The gate: what enters a model has passed here, and is a ``Cells``.

Axes: N cells, G genes, B batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from anndata import AnnData
from torch import Tensor

from course_lib.data.checks import COUNT_CHECKS, EXPRESSION_CHECKS, Check, Table
from course_lib.data.columns import read_batches, read_labels

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
    data : AnnData, or a plain (N, G) table: array, tensor, SciPy sparse matrix or data frame (cells in rows).
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
    ValueError : values that are not counts (negative, not whole, NaN, infinite, above 2²⁴), a cell without counts,
        duplicate names, no cells, no genes, a table that is not two-dimensional or not of numbers, an unknown
        ``layer``, ``batch_key`` or ``label_key``, a cell without a batch. The message says what, where first, and
        what to do.
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
    table = _read_table(data, layer)
    for check in checks:
        check(table)
    batch: np.ndarray = np.zeros(len(table.cells), dtype=np.int64)
    batches: tuple[str, ...] = (ONLY_BATCH,)
    if batch_key is not None:
        batch, batches = read_batches(_obs(data, "batch_key", batch_key), batch_key)
    label: np.ndarray | None = None
    labels: tuple[str, ...] = ()
    if label_key is not None:
        label, labels = read_labels(_obs(data, "label_key", label_key), label_key)
    dense = table.values if isinstance(table.values, np.ndarray) else table.values.toarray()
    return Cells(
        x=torch.from_numpy(np.array(dense, dtype=np.float32, order="C")),  # a copy: the caller's table stays theirs
        batch=torch.from_numpy(batch),
        genes=tuple(table.genes),
        batches=batches,
        label=None if label is None else torch.from_numpy(label),
        labels=labels,
    )


def _obs(data: Any, argument: str, key: str) -> pd.DataFrame:
    if not isinstance(data, AnnData):
        raise ValueError(
            f"{argument}={key!r} needs an AnnData, and data is a {type(data).__name__}: "
            f"pass an AnnData with that column in obs, or leave {argument} out."
        )
    return data.obs


def _read_table(data: Any, layer: str | None) -> Table:
    """Find the numbers and their names, and insist that they are numbers in two dimensions."""
    if isinstance(data, AnnData):
        values, source = _choose_layer(data, layer)
        cells, genes = [str(name) for name in data.obs_names], [str(name) for name in data.var_names]
        return Table(_as_numbers(values, source), cells, genes, source)
    if layer is not None:
        raise ValueError(
            f"layer={layer!r} needs an AnnData, and data is a {type(data).__name__}: "
            "pass the AnnData, or leave layer out."
        )
    values = _as_numbers(data, "data")
    if isinstance(data, pd.DataFrame):
        return Table(values, [str(name) for name in data.index], [str(name) for name in data.columns], "data")
    n_cells, n_genes = values.shape
    return Table(values, [f"cell_{i}" for i in range(n_cells)], [f"gene_{j}" for j in range(n_genes)], "data")


def _choose_layer(data: AnnData, layer: str | None) -> tuple[Any, str]:
    if data.isbacked:
        raise ValueError(f"data is read from {data.filename} as needed (backed); call data.to_memory() first.")
    if layer is None:
        if data.X is None:
            raise ValueError(f"data.X is missing. Pass layer=… : {_those_there('data.layers', data.layers)}.")
        return data.X, "data.X"
    if layer not in data.layers:
        raise ValueError(
            f"layer={layer!r} is not in data.layers. Choose from {_those_there('data.layers', data.layers)}, "
            "or leave layer out to use data.X."
        )
    return data.layers[layer], f"data.layers[{layer!r}]"


def _those_there(where: str, keys: Any) -> str:
    names = [repr(str(key)) for key in keys]
    return f"what {where} has: {', '.join(names)}" if names else f"what {where} has: nothing"


def _as_numbers(values: Any, source: str) -> Any:
    """Return (N, G) numbers: an ndarray, or a CSR matrix if ``values`` is sparse."""
    if scipy.sparse.issparse(values):
        values = values.tocsr(copy=True)
        values.sum_duplicates()  # in the copy: two entries for one place would each be checked for themselves
    elif isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    else:
        try:
            values = np.asarray(values)
        except ValueError as error:  # nested lists of unequal lengths
            raise ValueError(f"{source} is not a table: {error}. Give every cell the same number of genes.") from error
    if values.dtype.kind not in "iuf":
        raise ValueError(
            f"{source} holds {values.dtype} values, not numbers. Convert it, for example with .astype('float32'), "
            "and keep names and labels outside the table."
        )
    if values.ndim != 2:
        raise ValueError(
            f"{source} has shape {tuple(values.shape)}, which is {values.ndim}-D: cells in rows and genes in columns "
            "are needed, (N, G). For one cell use values[None, :]."
        )
    return values
