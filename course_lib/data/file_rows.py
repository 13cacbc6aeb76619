"""Rows of counts in an .h5ad file or a .zarr folder, read as they are asked for.

anndata says how the table is written; h5py and zarr read it, which anndata needs anyway. Measured on 100,000 cells of
2,000 genes, 11 % of them counted, in blocks of 64 neighbours and buffers of 8,192 cells, thousands of cells a second of
one core (.h5ad as it is written by default, with gzip, and .zarr):

- h5py and zarr, as here: 199, 51, 28;
- anndata's ``sparse_dataset``, indexed by the rows of a buffer: 23, 18, 28; by the slice of each block: 9, 8, 5;
- ``scdataset`` 0.3.0, which shuffles the same way over what anndata reads: 25, 18.

``annbatch`` is not to be had for every Python of the course, and anndata's lazy reading needs dask. A training step
eats some 6,000 cells a second.

A file is opened for each reading and closed behind it: nothing stays open that Windows would lock, a fork would share,
or a pickle could not hold. Opening costs a millisecond, so read some thousand rows at once.

Axes: N rows, G genes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

NUMBERS_AT_ONCE = 2**24  # in the largest dense temporary: 64 MB


@dataclass(frozen=True, eq=False)
class FileRows:
    """N rows of G counts, as anndata writes them: CSR or dense.

    Parameters
    ----------
    place : of the table in the file, "X" or "layers/…".
    starts : (N + 1,) where each row's entries begin and the last one's end; None for a dense table.
    kind : the smallest type that holds every count, to which they are cast as they are read.
    digest : of the counts, collected when they were checked: to read them anew for every run would take as long as an
        epoch of reading.
    state : size and time of writing of the file when it was checked.
    """

    path: Path
    place: str
    shape: tuple[int, int]
    starts: NDArray[np.int64] | None
    kind: np.dtype[Any]
    digest: str
    state: tuple[int, int]

    in_memory = False

    def load(self, positions: NDArray[np.int64]) -> csr_matrix:
        """These rows, in this order: (n, G) in memory. They are read in the file's order, each once."""
        if file_state(self.path, self.place) != self.state:
            raise ValueError(
                f"{self.path}: expected the file that was checked, found it moved or written again since. "
                "Call cells_from_file anew."
            )
        rows, back = np.unique(positions, return_inverse=True)
        with opened(self.path) as file:
            return self.read(file, rows)[back]

    def read(self, file: Any, rows: NDArray[np.int64]) -> csr_matrix:
        """Rows in ascending order, from an open file: (n, G)."""
        table = file[self.place]
        if self.starts is None:
            step = max(1, NUMBERS_AT_ONCE // max(1, self.shape[1]))
            parts = [rows[i : i + step] for i in range(0, max(1, len(rows)), step)]
            return vstack([csr_matrix(_take(table, _runs(part)).astype(self.kind)) for part in parts], format="csr")
        runs = [(int(self.starts[first]), int(self.starts[end])) for first, end in _runs(rows)]
        data, columns = _take(table["data"], runs).astype(self.kind), _take(table["indices"], runs)
        starts = np.concatenate([[0], np.cumsum(self.starts[rows + 1] - self.starts[rows])])
        return csr_matrix((data, columns, starts), shape=(len(rows), self.shape[1]))


def _runs(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ascending positions as stretches of neighbours: (first, one past the last)."""
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, cuts) if len(run)]


def _take(array: Any, runs: list[tuple[int, int]]) -> Any:
    """Stretches of the first axis, one after the other."""
    if len(runs) < 2 or not isinstance(array, zarr.Array):
        return np.concatenate([array[first:end] for first, end in runs or [(0, 0)]])
    wanted = np.concatenate([np.arange(first, end) for first, end in runs])
    return array.oindex[(wanted, *[slice(None)] * (array.ndim - 1))]  # each chunk unpacked once, not once a stretch


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The root of the file, for reading: an ``h5py.File`` or a ``zarr.Group``."""
    if path.is_dir():
        yield zarr.open_group(path, mode="r")
        return
    with h5py.File(path, "r") as file:
        yield file


def file_state(path: Path, place: str) -> tuple[int, int]:
    """Bytes, and the time of the last writing in nanoseconds; of a folder, over all files of the table."""
    files = [path] if path.is_file() else [part for part in (path / place).rglob("*") if part.is_file()]
    states = [file.stat() for file in files]
    return sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0)
