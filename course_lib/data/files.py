"""Cells from a file: the gate looks at every count once, block by block, and none stays in memory.

Axes: N cells, G genes.
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr
from anndata.io import read_elem
from scipy.sparse import csr_matrix

from course_lib.data.cells import StoredCells
from course_lib.data.checks import COUNT_CHECKS, NAME_CHECKS, NotCounts
from course_lib.data.doubts import named_as_if_transposed, spread_as_if_transposed
from course_lib.data.file_rows import NUMBERS_AT_ONCE, FileRows, file_state, opened
from course_lib.data.gate import annotate
from course_lib.data.rows import BUFFER, smallest_kind
from course_lib.data.tables import Table, as_numbers, is_numeric


def cells_from_file(
    path: str | PathLike[str], *, layer: str | None = None, batch_key: str | None = None, label_key: str | None = None
) -> StoredCells:
    """Check that a file holds raw counts, and hand them to a model minibatch by minibatch.

    For tables too large for memory: ``obs`` and ``var`` are read whole, of the counts never more than some thousand
    cells at a time. The cells are used as those of ``cells_from_counts``; choose some of them, for training or
    testing, with ``cells.subset(index)``, which reads nothing. The file stays as it is, and must: cells of a file that
    was written again since refuse to be read.

    Parameters
    ----------
    path : an .h5ad file, or a .zarr folder, as anndata writes them, the counts dense or sparse by rows (CSR).
        Uncompressed, or in chunks of some ten thousand numbers, they are read fastest.
    layer : name in ``layers``; None takes ``X``.   batch_key, label_key : columns of ``obs``, as in
        ``cells_from_counts``.

    Raises
    ------
    FileNotFoundError : no such file.
    TypeError : what is no path, or values that are no numbers.
    NotCounts : negative or fractional values.
    ValueError : what is no such file, a damaged one, columns first (CSC), and all that ``cells_from_counts`` refuses.
        The first offender in the file is named, by row, cell and gene; the rows after it were not looked at.

    Warns
    -----
    UserWarning : as ``cells_from_counts``.
    """
    path = _existing(path)
    with _explained(path), opened(path) as file:
        place = _find_table(file, path, layer)
        rows = _as_stored(file, path, place)
        obs, var = _names(file["obs"], path), _names(file["var"], path)
        if rows.shape != (len(obs), len(var)):
            raise ValueError(
                f"{path}: expected a table of {len(obs):,} cells and {len(var):,} genes, as obs and var say, found "
                f"{rows.shape[0]:,} × {rows.shape[1]:,} in {place!r}. The file is damaged: write it again."
            )
        cells, genes = [str(name) for name in obs.index], [str(name) for name in var.index]
        whole = Table(csr_matrix(rows.shape), cells, genes, f"{place} of {path.name}")
        for check in NAME_CHECKS:
            check(whole)
        annotation, doubts = annotate(obs, len(cells), genes, batch_key, label_key)
        try:
            rows, spread = _check_counts(file, rows, whole)
        except NotCounts as error:
            raise NotCounts(f"{error} {_tables(file)}") from None
    for doubt in filter(None, [*doubts, named_as_if_transposed(whole) or spread]):
        warnings.warn(doubt, stacklevel=2)
    return StoredCells(rows, np.arange(len(cells)), **annotation, counts=True)


def _check_counts(file: Any, rows: FileRows, whole: Table) -> tuple[FileRows, str]:
    """One pass over the counts: the rows with type and digest of their counts, and what looks wrong about them."""
    n_cells, n_genes = rows.shape
    step = min(BUFFER, max(1, NUMBERS_AT_ONCE // n_genes))
    largest, of_genes, of_cells = 0.0, np.zeros(n_genes), np.zeros(n_cells)  # largest count, totals
    digests = [hashlib.blake2b(digest_size=16) for _ in range(3)]
    for start in range(0, n_cells, step):
        stop = min(start + step, n_cells)
        stored = rows.read(file, np.arange(start, stop))
        values = as_numbers(stored, whole.source)
        if values.nnz != stored.nnz:
            raise ValueError(
                f"{whole.source}: expected one entry for each cell and gene, found several in rows {start:,} to "
                f"{stop - 1:,}. Read the file, call sum_duplicates() on the table, and write it again."
            )
        block = Table(values, whole.cells[start:stop], whole.genes, whole.source, start if n_cells > step else None)
        for check in COUNT_CHECKS:
            check(block)
        largest = max(largest, values.data.max(initial=0))
        of_cells[start:stop] = np.asarray(values.sum(axis=1)).ravel()
        of_genes += np.asarray(values.sum(axis=0)).ravel()
        for digest, part in zip(digests, (np.diff(values.indptr), values.indices, values.data), strict=True):
            digest.update(part.astype(np.float32 if part is values.data else np.int32).data)
    seen = "".join(digest.hexdigest() for digest in digests)
    return replace(rows, kind=smallest_kind(largest), digest=seen), spread_as_if_transposed(
        whole.source, of_cells, of_genes
    )


def _existing(path: Any) -> Path:
    """The path of something that may be an AnnData: an HDF5 file or a zarr folder."""
    if not isinstance(path, str | PathLike):
        raise TypeError(
            f"path: expected the path of an .h5ad file or .zarr folder, found a {type(path).__name__}. "
            "For data in memory call cells_from_counts."
        )
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path: expected an .h5ad file or .zarr folder, found nothing at {path.absolute()}.")
    if path.is_dir() and not any((path / name).exists() for name in (".zgroup", "zarr.json")):
        raise ValueError(f"{path}: expected an .h5ad file or .zarr folder, found a folder that is no zarr store.")
    if path.is_file() and not h5py.is_hdf5(path):
        raise ValueError(
            f"{path}: expected an .h5ad file, found one that is not HDF5. If it is whole and of another kind, read it "
            "with scanpy or anndata, and write it with data.write_h5ad(…)."
        )
    return path


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of HDF5 and zarr name neither the file nor a remedy."""
    try:
        yield
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{path}: expected a whole file as anndata writes it, found one that cannot be read: "
            f"{type(error).__name__}: {error} Copy or download it again, or write it again with anndata."
        ) from error


def _find_table(file: Any, path: Path, layer: str | None) -> str:
    """The place of the counts in the file."""
    missing = [name for name in ("obs", "var") if name not in file]
    if missing:
        raise ValueError(
            f"{path}: expected an AnnData with obs and var, found {', '.join(sorted(file)) or 'nothing'}. "
            "Read it with the program for its format, and write it with data.write_h5ad(…)."
        )
    if layer is not None and not isinstance(layer, str):
        raise TypeError(f"layer: expected a name, found a {type(layer).__name__}. {_tables(file)}")
    place = "X" if layer is None else f"layers/{layer}"
    if place not in file:
        raise ValueError(f"layer: expected a table of {path}, found no {place!r}. {_tables(file)}")
    return place


def _tables(file: Any) -> str:
    """What there is to choose from, in words to type."""
    places = ["X (layer=None)"] if "X" in file else []
    places += [f"layer={name!r}" for name in file.get("layers", ())]
    raw = " There is raw, too: data.raw.to_adata().write_h5ad(…) gives it a file of its own." if "raw" in file else ""
    return f"The file has {', '.join(places) or 'no table'}.{raw}"


def _as_stored(file: Any, path: Path, place: str) -> FileRows:
    """The table before its counts were looked at: ``kind`` is the type in the file, ``digest`` empty."""

    def kind(array: Any) -> np.dtype[Any]:
        is_numeric(array.dtype, f"{place} of {path.name}")
        return np.dtype(np.float32) if array.dtype == np.float16 else array.dtype.newbyteorder("=")  # for SciPy

    table, state = file[place], file_state(path, place)
    if isinstance(table, h5py.Dataset | zarr.Array):
        if len(table.shape) != 2:
            raise ValueError(f"{path}: expected cells × genes in {place!r}, found shape {table.shape}.")
        return FileRows(path, place, (table.shape[0], table.shape[1]), None, kind(table), "", state)
    encoding = table.attrs.get("encoding-type", "a form without a name")
    if encoding != "csr_matrix":
        by_columns = encoding == "csc_matrix"
        raise ValueError(
            f"{path}: expected a table stored dense or by rows (csr_matrix), found {encoding} in {place!r}"
            + (", where a cell lies scattered over the whole file. " if by_columns else ". ")
            + "Convert it once, where memory suffices: data.X = data.X.tocsr(), and data.write_h5ad(…)."
        )
    starts = table["indptr"][:].astype(np.int64)
    shape = (int(table.attrs["shape"][0]), int(table.attrs["shape"][1]))
    lengths = {table["data"].shape[0], table["indices"].shape[0], int(starts[-1])}
    unwritten = isinstance(table["data"], zarr.Array) and table["data"].nchunks_initialized < table["data"].nchunks
    if len(starts) != shape[0] + 1 or starts[0] != 0 or np.any(np.diff(starts) < 0) or len(lengths) > 1 or unwritten:
        raise ValueError(
            f"{path}: expected {shape[0]:,} rows of entries that follow each other, found a damaged table in {place!r}"
            f"{', with missing chunks' if unwritten else ''}. Copy or download the file again, or write it again."
        )
    return FileRows(path, place, shape, starts, kind(table["data"]), "", state)


def _names(group: Any, path: Path) -> pd.DataFrame:
    frame = read_elem(group)
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"{path}: expected a data frame in {group.name!r}, found a {type(frame).__name__}.")
    return frame
