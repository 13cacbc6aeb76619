"""A part of the cells at a time, so that what analysis holds at once does not grow with their number.

Axes: N cells, G genes, K samples. Cells may be kept dense, sparse or in a file, on a CPU or a GPU; a part is dense and
lies where the model computes.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_lib.data.cells import Cells, CellTable

# Numbers in the largest temporary, K × n × G for a part of n cells: two megabytes, as much as a core's own cache holds.
# Between 200,000 and 4,000,000 it makes a tenth of a difference to the time that answers take.
CHUNK = 500_000


def device_of(model: Any, cells: CellTable) -> torch.device:
    """Where the model computes: where its weights are, or the cells if it has none."""
    return next((weights.device for weights in model.parameters()), cells.device)


def at_a_time(numbers: int) -> int:
    """How many things that hold so many numbers each fit ``CHUNK``, at least one."""
    return max(1, CHUNK // numbers)


def parts_of(
    model: Any, cells: CellTable, n_samples: int = 1, positions: NDArray[np.int64] | None = None
) -> Iterator[Cells]:
    """All cells in their order, or those at ``positions``, where the model computes.

    As many at a time as K samples of their genes fit ``CHUNK``.
    """
    size, device = at_a_time(n_samples * cells.n_genes), device_of(model, cells)
    parts = cells.parts(size) if positions is None else parts_at(positions, cells, size)
    return (part.to(device) for part in parts)


def parts_at(positions: NDArray[np.int64], cells: CellTable, size: int) -> Iterator[Cells]:
    """The cells at these positions, so many at a time. Sorted positions are the cheapest to read from a file."""
    if isinstance(cells, Cells):  # dense and in memory: any position is cheap, and a copy of them all would not be
        return (cells[positions[start : start + size]] for start in range(0, len(positions), size))
    return cells.subset(positions).parts(size)


def one_after_another(n_cells: int, results: Iterable[Tensor], axis: int = 0) -> NDArray[Any]:
    """The results of all parts as one array of ``n_cells`` along ``axis``; no more than a part is in memory twice."""
    whole, done = np.empty(0), 0
    for result in results:
        part = np.moveaxis(result.cpu().numpy(), axis, 0)
        if done == 0:
            whole = np.empty((n_cells, *part.shape[1:]), part.dtype)
        whole[done : done + len(part)] = part
        done += len(part)
    return np.moveaxis(whole, 0, axis)
