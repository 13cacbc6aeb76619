"""What a user passes for data, as a ``Table``: numbers in two dimensions with names, not yet checked for anything else.

Axes: N cells, G genes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number
from os import PathLike, fspath
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from anndata import AnnData
from torch import Tensor

WHAT_FITS = "an AnnData, a data frame, an array, a tensor or a SciPy sparse matrix, with cells in rows"


@dataclass(frozen=True)
class Table:
    """Numbers with names, as they came in, whole or a block of neighbouring rows.

    A table too large for memory is checked block by block; ``first_row`` keeps the rows in messages those of the
    whole table.
    """

    values: Any  # (N, G) ndarray, or a SciPy CSR matrix without duplicate entries
    cells: Sequence[str]  # N names
    genes: Sequence[str]  # G names
    source: str  # how messages call the values: "data.X", "data.layers['counts']", …
    first_row: int | None = None  # row of the whole table at which this block begins; None: this is the whole table

    @property
    def stored(self) -> np.ndarray:
        """The numbers held in memory: all (N, G) of a dense table, the explicitly stored ones of a sparse table."""
        return self.values if isinstance(self.values, np.ndarray) else self.values.data

    @property
    def name(self) -> str:
        """``source``, and which rows of it if these are not all."""
        if self.first_row is None:
            return self.source
        return f"{self.source}, rows {self.first_row:,} to {self.first_row + self.values.shape[0] - 1:,}"

    def cell(self, row: int) -> str:
        """Name and place of the cell in one row of ``values``."""
        return f"cell {self.cells[row]!r} (row {row + (self.first_row or 0):,})"

    def first(self, wrong: np.ndarray) -> str:
        """Say where the first True of ``wrong`` (same shape as ``stored``) stands, and what is there."""
        position = int(np.argmax(wrong))  # argmax of booleans: the first True, rows first
        if isinstance(self.values, np.ndarray):
            row, column = divmod(position, self.values.shape[1])
        else:
            row = int(np.searchsorted(self.values.indptr, position, side="right")) - 1
            column = int(self.values.indices[position])
        value = str(self.stored.ravel()[position]).removesuffix(".0")  # all digits: 2.9999999 is not 3
        return f"first {value} at {self.cell(row)}, gene {self.genes[column]!r} (column {column:,})"


def read_table(data: Any, layer: str | None = None, argument: str = "data") -> Table:
    """Find the numbers and their names, and insist that they are numbers in two dimensions.

    ``argument`` is what messages call ``data``.

    Raises
    ------
    TypeError : ``data`` is no table, or a table of something else than numbers.
    ValueError : a layer that is not there, values that are not (N, G), hidden behind a mask, backed by a file, or a
        damaged sparse matrix.
    """
    if isinstance(data, AnnData):
        values, source = _choose_layer(data, layer, argument)
        cells, genes = [str(name) for name in data.obs_names], [str(name) for name in data.var_names]
        return Table(as_numbers(values, source), cells, genes, source)
    _is_one_table(data, argument)
    if layer is not None:
        raise ValueError(
            f"layer: expected an AnnData to find {layer!r} in, found a {type(data).__name__} for {argument}. "
            "Pass the AnnData, or leave layer out."
        )
    values = as_numbers(data, argument)
    if isinstance(data, pd.DataFrame):
        return Table(values, [str(name) for name in data.index], [str(name) for name in data.columns], argument)
    n_cells, n_genes = values.shape
    return Table(values, [f"cell_{i}" for i in range(n_cells)], [f"gene_{j}" for j in range(n_genes)], argument)


def _choose_layer(data: AnnData, layer: object, argument: str) -> tuple[Any, str]:
    if data.isbacked:
        raise ValueError(
            f"{argument}: expected an AnnData in memory, found one that reads {data.filename} as needed (backed). "
            f"Call {argument}.to_memory() first."
        )
    there = ", ".join(repr(str(name)) for name in data.layers) or "none"
    if layer is None:
        if data.X is None:
            raise ValueError(f"{argument}.X: expected a table, found none. The layers are: {there}; pass one of them.")
        return data.X, f"{argument}.X"
    if not isinstance(layer, str):
        raise TypeError(
            f"layer: expected a name in data.layers, found a {type(layer).__name__}. The layers are: {there}. "
            "To pass a table that is no layer, pass it for data."
        )
    if layer not in data.layers:
        raise ValueError(
            f"layer: expected a name in data.layers, found {layer!r}. The layers are: {there}; "
            "leave layer out to use data.X."
        )
    return data.layers[layer], f"{argument}.layers[{layer!r}]"


def _is_one_table(data: Any, argument: str) -> None:
    """Refuse what NumPy would turn into an array of objects, or never finish turning into one."""
    if scipy.sparse.issparse(data) or isinstance(data, np.ndarray | Tensor | pd.DataFrame | pd.Series | Number):
        return
    found, remedy = f"a {type(data).__name__}", f"Pass {WHAT_FITS}."
    if data is None:
        found = "None"
        remedy += " Many functions of scanpy change data in place and return None: do not assign their result to data."
    elif isinstance(data, str | PathLike):
        found, remedy = f"the path {fspath(data)!r}", "Read the file first: anndata.read_h5ad(path)."
    elif isinstance(data, type):
        found = f"the class {data.__name__}"
    elif isinstance(data, list | tuple):
        odd = _first_odd(data)
        if odd is None:
            return
        found = f"a {type(data).__name__} that holds a {type(odd).__name__}"
        if isinstance(odd, AnnData):
            remedy = 'Join them: anndata.concat(data, label="batch", index_unique="-"), and pass batch_key="batch".'
    elif hasattr(data, "mod"):  # MuData: one AnnData for each modality
        parts = ", ".join(f"data.mod[{name!r}]" for name in data.mod)
        remedy = f"Pass the one with the counts of genes, of {parts}."
    elif hasattr(data, "__array__"):
        return
    raise TypeError(f"{argument}: expected one table of numbers, found {found}. {remedy}")


def _first_odd(rows: Sequence[Any]) -> Any:
    """The first entry of a nested list that is neither a row nor a number nor text; None if there is none."""
    plain = (np.ndarray, np.generic, Tensor, pd.Series, Number, str, bytes, type(None))
    for row in rows:
        entries = row if isinstance(row, list | tuple) else (row,)
        for entry in entries:
            if not isinstance(entry, (*plain, list, tuple)):
                return entry
    return None


def as_numbers(values: Any, source: str) -> Any:
    """Return (N, G) numbers: an ndarray, or a CSR matrix in canonical form if ``values`` is sparse."""
    if isinstance(values, Tensor):
        values = _from_torch(values, source)
    if scipy.sparse.issparse(values):
        is_numeric(values.dtype, source)
        _is_two_dimensional(values.shape, source)
        return _as_csr(values, source)
    if isinstance(values, np.ma.MaskedArray):
        hidden = int(np.ma.getmaskarray(values).sum())
        if hidden:
            raise ValueError(
                f"{source}: expected a value in every place, found a masked array that hides {hidden:,}. "
                f"Say what they are: {source}.filled(0) if they are zeros, or leave out these cells or genes."
            )
    if isinstance(values, pd.DataFrame):
        values = _from_frame(values, source)
    try:
        values = np.asarray(values)
    except ValueError as error:  # nested lists of unequal lengths
        raise ValueError(
            f"{source}: expected the same number of genes in every cell, found rows of unequal length ({error})."
        ) from error
    is_numeric(values.dtype, source)
    _is_two_dimensional(values.shape, source)
    return values.astype(np.float32) if values.dtype == np.float16 else values  # in 16 bits 2²⁴ is infinite


def is_numeric(dtype: Any, source: str) -> None:
    if np.dtype(dtype).kind not in "iuf":
        raise TypeError(
            f"{source}: expected numbers, integers or floats, found {dtype} values. Keep names, labels and dates "
            "outside the table; numbers that are stored as text or as objects become numbers with .astype('float32')."
        )


def _is_two_dimensional(shape: tuple[int, ...], source: str) -> None:
    if len(shape) != 2:
        raise ValueError(
            f"{source}: expected cells in rows and genes in columns, (N, G), found shape {tuple(shape)}, "
            f"{len(shape)}-D. For one cell use values[None, :]."
        )


def _from_torch(values: Tensor, source: str) -> Any:
    values = values.detach().cpu()
    if values.is_floating_point() and values.dtype not in (torch.float16, torch.float32, torch.float64):
        values = values.float()  # bfloat16 and narrower, which NumPy lacks: float32 holds them exactly
    if values.layout == torch.strided:
        return values.resolve_conj().resolve_neg().numpy()
    _is_two_dimensional(values.shape, source)
    values = (values.float() if values.dtype == torch.float16 else values).to_sparse_coo().coalesce()
    return scipy.sparse.coo_array((values.values().numpy(), values.indices().numpy()), shape=values.shape)


def _from_frame(values: pd.DataFrame, source: str) -> Any:
    odd = [str(name) for name, dtype in values.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    if odd:
        listed = ", ".join(map(repr, odd[:5])) + (" …" if len(odd) > 5 else "")
        raise TypeError(
            f"{source}: expected numbers in every column, found {len(odd):,} columns of something else, {listed}. "
            "Leave them out (data.drop(columns=[…])); numbers stored as text or as objects become numbers with "
            ".astype('float32')."
        )
    if any(pd.api.types.is_extension_array_dtype(dtype) for dtype in values.dtypes):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)  # pandas' integers that may be missing
    return values


def _as_csr(values: Any, source: str) -> Any:
    """CSR with sorted columns and one entry for each place; the caller's matrix stays as it is."""
    try:
        _is_whole_sparse(values)
    except ValueError as error:
        raise ValueError(
            f"{source}: expected a sparse matrix whose indices fit its shape {values.shape}, found a damaged one: "
            f"{error}. Read it again, or build it from its entries: "
            "scipy.sparse.coo_matrix((values, (rows, columns)), shape)."
        ) from error
    csr = values.tocsr()
    if csr.dtype == np.float16:  # which SciPy stores, but does not compute with
        csr = csr.astype(np.float32)
    if not csr.has_canonical_format:
        # Two entries for one place would each be checked for themselves. Added as they are, 200 + 100 is 44 in uint8.
        wide = {"i": np.int64, "u": np.uint64, "f": np.float64}[csr.dtype.kind]
        csr = csr.astype(wide, copy=True)
        csr.sum_duplicates()
    return csr


def _is_whole_sparse(values: Any) -> None:
    """Raise SciPy's ValueError if an index points outside the matrix: its compiled code would follow it anywhere."""
    if values.format in ("csr", "csc", "bsr"):
        parts = (values.data, values.indices, values.indptr)
        type(values)(parts, shape=values.shape).check_format(full_check=True)
    elif values.format == "coo":
        scipy.sparse.coo_array((values.data, values.coords), shape=values.shape)
