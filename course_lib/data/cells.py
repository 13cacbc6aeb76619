"""Cells: what enters a model, and what training and analysis go over. What makes them has passed the gate.

Axes: N cells, G genes, B batches. A table of cells may keep its counts dense in memory (``Cells``), sparse in memory or
in a file (``StoredCells``). Training and analysis go over either, minibatch by minibatch, and a minibatch is always a
plain ``Cells``: who writes a model need not know where it came from.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from course_lib.data.checks import COUNT_CHECKS, EXPRESSION_CHECKS
from course_lib.data.gate import pass_gate
from course_lib.data.rows import BUFFER, Rows, SparseRows, compact, shuffled_blocks
from course_lib.data.tables import Table

Index = Tensor | np.ndarray | slice  # integer positions, a boolean mask, or a slice


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

    def __getitem__(self, index: Index) -> Self:
        """Several cells at once: integer positions, a boolean mask or a slice, in one indexing call per tensor."""
        index = _as_tensor(index)
        label = None if self.label is None else self.label[index]
        return replace(self, x=self.x[index], batch=self.batch[index], label=label)

    def subset(self, index: Index) -> Self:
        """Several cells at once, kept as these are: what ``fit`` takes as a part of a table of either kind."""
        return self[index]

    def to(self, device: torch.device | str) -> Self:
        label = None if self.label is None else self.label.to(device)
        return replace(self, x=self.x.to(device), batch=self.batch.to(device), label=label)

    def parts(self, n_cells: int) -> Iterator[Self]:
        """All cells in their order, so many at a time."""
        return (self[start : start + n_cells] for start in range(0, len(self), n_cells))

    def buffers(self, batch_size: int, shuffle: torch.Generator) -> Iterator[Self]:
        """These cells, as they are: in memory every order is cheap."""
        yield self

    def digest(self) -> str:
        """Other values, batches, labels or order: another digest."""
        return _digest(self)

    @property
    def n_genes(self) -> int:
        return self.x.shape[1]

    @property
    def device(self) -> torch.device:
        return self.batch.device


@dataclass(frozen=True, eq=False)
class StoredCells:
    """N cells whose counts wait in a store of rows, sparse in memory or in a file.

    Make one with ``cells_from_counts(…, sparse=True)`` or ``data.files.cells_from_file``. Indexing makes a plain, dense
    ``Cells`` of the chosen cells, on the device of ``batch``; ``subset`` chooses without reading anything.
    """

    rows: Rows  # where the counts are
    positions: NDArray[np.int64]  # (N,) the row of each cell
    batch: Tensor  # (N,) int64 codes into `batches`
    genes: tuple[str, ...]  # G names, in the order of the columns
    batches: tuple[str, ...]  # B names
    label: Tensor | None = None  # (N,) int64 codes into `labels`, −1 where a cell has none
    labels: tuple[str, ...] = ()  # C names of cell types
    counts: bool | None = None  # as in ``Cells``

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: Index) -> Cells:
        """Several cells at once, as the ``Cells`` that a model sees: the only place where counts become dense."""
        chosen = self.subset(index)
        counts = self.rows.load(chosen.positions)  # (n, G), CSR
        x = torch.from_numpy(counts.toarray()).float().to(self.device)  # SciPy's C: faster than a scatter in NumPy
        return Cells(x, chosen.batch, self.genes, self.batches, chosen.label, self.labels, self.counts)

    def subset(self, index: Index) -> "StoredCells":
        """Several cells at once, their counts left where they are."""
        index = _as_tensor(index)
        positions = self.positions[index if isinstance(index, slice) else index.cpu().numpy()]
        label = None if self.label is None else self.label[index]
        return replace(self, positions=positions, batch=self.batch[index], label=label)

    def load(self, index: Index) -> "StoredCells":
        """Several cells at once, their counts read into memory."""
        chosen = self.subset(index)
        rows = SparseRows(self.rows.load(chosen.positions))
        return replace(chosen, rows=rows, positions=np.arange(len(chosen)))

    def to(self, device: torch.device | str) -> "StoredCells":
        """The same cells; codes move now, counts as they come."""
        label = None if self.label is None else self.label.to(device)
        return replace(self, batch=self.batch.to(device), label=label)

    def parts(self, n_cells: int) -> Iterator[Cells]:
        """All cells in their order, so many at a time; a file is read in longer stretches."""
        stretch = max(1, BUFFER // n_cells) * n_cells
        for start in range(0, len(self), stretch):
            loaded = self.load(slice(start, start + stretch))
            yield from (loaded[i : i + n_cells] for i in range(0, len(loaded), n_cells))

    def buffers(self, batch_size: int, shuffle: torch.Generator) -> Iterator["StoredCells"]:
        """In memory, these cells as they are. From a file, random blocks of neighbours, so many as a buffer holds.

        The last buffer takes what is left over and is up to twice as long, so that none is too short to be shuffled.
        """
        if self.rows.in_memory:
            yield self
            return
        size = max(1, BUFFER // batch_size) * batch_size
        cuts = range(size, len(self) - size + 1, size)
        for index in shuffled_blocks(len(self), shuffle).tensor_split(list(cuts)):
            yield self.load(index)

    def digest(self) -> str:
        return _digest(self)

    @property
    def n_genes(self) -> int:
        return self.rows.shape[1]

    @property
    def device(self) -> torch.device:
        return self.batch.device


CellTable = Cells | StoredCells  # what training and analysis go over


def _as_tensor(index: Index) -> Tensor | slice:
    if not isinstance(index, Index):
        raise TypeError(
            f"cells[index] takes a tensor, an array or a slice, not {type(index).__name__}: "
            "for one cell write cells[i:i + 1]."
        )
    return torch.from_numpy(index) if isinstance(index, np.ndarray) else index


def _digest(cells: CellTable) -> str:
    """BLAKE2b of every field that says something of single cells."""
    digest = hashlib.blake2b(digest_size=16)
    for field in fields(cells):
        value = getattr(cells, field.name)
        if isinstance(value, Tensor):
            value = value.cpu().numpy()
        if isinstance(value, np.ndarray):
            digest.update(field.name.encode())
            digest.update(np.ascontiguousarray(value).data)
        elif field.name == "rows":
            digest.update(f"{value.digest} {value.in_memory}".encode())
    return digest.hexdigest()


def log_total(x: Tensor) -> Tensor:
    """log ℓ_n with ℓ_n = Σ_g x_ng, the observed library size: (N, G) to (N, 1)."""
    return x.sum(-1, keepdim=True).log()


@overload
def cells_from_counts(
    data: Any,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    label_key: str | None = None,
    sparse: Literal[False] = False,
) -> Cells: ...
@overload
def cells_from_counts(
    data: Any,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    label_key: str | None = None,
    sparse: Literal[True],
) -> StoredCells: ...
def cells_from_counts(
    data: Any,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    label_key: str | None = None,
    sparse: bool = False,
) -> CellTable:
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
    sparse : keep the counts compressed, and make only minibatches dense. Where one count in ten is above zero a cell
        takes an eighth of the memory: 5 bytes an entry, not 4 a gene. Everything else is as with ``sparse=False``.

    Returns
    -------
    Cells, with dense float32 copies of the counts; StoredCells if ``sparse``. ``data`` is not changed.

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
    table, annotation = pass_gate(_not_cells(data), COUNT_CHECKS, layer, batch_key, label_key)
    if sparse:
        rows = SparseRows(compact(csr_matrix(table.values)))
        return StoredCells(rows, np.arange(len(table.cells)), **annotation)
    return Cells(_dense(table), **annotation)


def cells_from_expression(
    data: Any, *, layer: str | None = None, batch_key: str | None = None, label_key: str | None = None
) -> Cells:
    """Check that ``data`` holds finite numbers, and hand them to a model: log-normalised, scaled or bulk expression.

    Parameters, result and errors are those of ``cells_from_counts``, except that values may be negative or
    fractional and a row may be all zeros.
    """
    table, annotation = pass_gate(_not_cells(data), EXPRESSION_CHECKS, layer, batch_key, label_key)
    return Cells(_dense(table), **annotation)


def _not_cells(data: Any) -> Any:
    if isinstance(data, CellTable):
        found = f"{type(data).__name__}, which have passed the gate"
        raise TypeError(f"data: expected a table, found {found}: pass them on as they are.")
    return data


def _dense(table: Table) -> Tensor:
    values = table.values if isinstance(table.values, np.ndarray) else table.values.toarray()
    return torch.from_numpy(np.array(values, dtype=np.float32, order="C"))  # a copy: the caller's table stays theirs
