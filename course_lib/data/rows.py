"""Where counts wait until a minibatch needs them: rows of numbers, kept sparse, handed out dense.

Axes: N rows, G genes. A store of rows knows nothing of names, batches or checks; ``data.cells.StoredCells`` does.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

BLOCK = 64  # neighbouring rows that are read together
BUFFER = 128 * BLOCK  # rows held in memory at once, from 128 places: they are shuffled among each other


class Rows(Protocol):
    """N rows of G counts, in memory or in a file."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N, G)."""

    @property
    def in_memory(self) -> bool:
        """Whether any row costs as much as any other: else neighbours are cheaper together."""

    @property
    def digest(self) -> str:
        """Other counts, other digest."""

    def load(self, positions: NDArray[np.int64]) -> csr_matrix:
        """These rows, in this order: (n, G). A position may occur more than once."""


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Rows in memory, in compressed form (CSR): beside each count above zero stands its column."""

    counts: csr_matrix  # (N, G)

    in_memory = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.counts.shape

    @cached_property
    def digest(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.counts.indptr, self.counts.indices, self.counts.data):
            digest.update(str(part.dtype).encode())
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def load(self, positions: NDArray[np.int64]) -> csr_matrix:
        return self.counts[positions]


def smallest_kind(largest: float) -> np.dtype[Any]:
    """The type of fewest bytes for counts up to ``largest``. In cells they seldom pass 255, which one byte holds."""
    return np.dtype(np.uint8 if largest <= 255 else np.uint16 if largest <= 65535 else np.float32)


def compact(counts: csr_matrix) -> csr_matrix:
    """A copy of (N, G) counts in few bytes: five for each above zero, with its column, where none passes 255."""
    index = np.int32 if max(counts.nnz, counts.shape[1]) <= np.iinfo(np.int32).max else np.int64
    data = counts.data.astype(smallest_kind(counts.data.max(initial=0)))
    return csr_matrix((data, counts.indices.astype(index), counts.indptr.astype(index)), shape=counts.shape)


def shuffled_blocks(n_rows: int, shuffle: torch.Generator) -> Tensor:
    """The positions 0 … n_rows − 1, (N,): blocks of neighbours in random order, each block in its own order."""
    starts = torch.arange(0, n_rows, BLOCK)
    starts = starts[torch.randperm(len(starts), generator=shuffle)]
    positions = (starts.unsqueeze(1) + torch.arange(BLOCK)).flatten()  # (blocks, BLOCK) to (blocks · BLOCK,)
    return positions[positions < n_rows]  # the last block of the table may be shorter, wherever it stands now
