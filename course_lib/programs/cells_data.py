"""Cells for Lightning: each process goes over cells of its own, in an order of its own, as many steps as the others.

Axes: N cells, G genes. A minibatch is a plain ``Cells``, cut by the course's own ``shuffled``: from memory or, in
buffers of neighbours, from a file.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor

from course_lib.arguments import seed_number, whole_number
from course_lib.data.cells import Cells, CellTable
from course_lib.data.matching import check_alike
from course_lib.data.rows import shuffled_blocks
from course_lib.training.fit import shuffled


class CellsData(LightningDataModule):
    """The cells to learn from, and those to be judged by, in memory or in a file.

    Parameters
    ----------
    cells, validation : every process gets its own ``shard`` of both.   batch_size : cells per step and process, ≥ 2.
    seed : decides which cells a process gets, and in which order.

    Raises
    ------
    TypeError, ValueError : no cells, other genes or batches in ``validation``; fewer than two cells for each process.
    """

    def __init__(self, cells: CellTable, *, batch_size: int = 128, seed: int = 0, validation: CellTable | None = None):
        super().__init__()
        tables: dict[str, Any] = {"cells": cells} | ({} if validation is None else {"validation": validation})
        for name, table in tables.items():
            if not isinstance(table, CellTable):
                raise TypeError(f"{name}: expected cells, found {type(table).__name__}; see cells_from_counts.")
        if validation is not None:
            check_alike(cells, validation, "validation")
        self.cells, self.validation, self.seed = cells, validation, seed_number(seed)
        self.batch_size = whole_number("batch_size", batch_size, least=2)  # BatchNorm: one cell has no variance

    def train_dataloader(self) -> "Minibatches":
        """This process's minibatches."""
        trainer = self._trainer()
        return Minibatches(
            self.cells.subset(self.positions(len(self.cells), trainer.global_rank, trainer.world_size)),
            self.batch_size,
            lambda: epoch_seed(self.seed, trainer.current_epoch, trainer.global_rank),
        )

    def val_dataloader(self) -> list[Any]:
        """This process's part of the validation cells, none without any."""
        if self.validation is None:
            return []
        trainer = self._trainer()
        mine = self.positions(len(self.validation), trainer.global_rank, trainer.world_size)
        return [Parts(self.validation.subset(mine), self.batch_size)]

    def positions(self, n_cells: int, rank: int, n_ranks: int) -> Tensor:
        """Which cells a process gets."""
        return shard(n_cells, rank, n_ranks, self.seed)

    def _trainer(self) -> Any:
        if self.trainer is None:
            raise ValueError("CellsData: expected a Trainer, which says which process this is; trainer(…).fit(…) does.")
        return self.trainer


class Minibatches:
    """An epoch of ``cells`` in minibatches: shuffled anew whenever one goes over it, by the seed it then asks for."""

    def __init__(self, cells: CellTable, batch_size: int, seed_now: Callable[[], int]):
        self.cells, self.batch_size, self.seed_now = cells, batch_size, seed_now

    def __iter__(self) -> Iterator[Cells]:
        yield from shuffled(self.cells, self.batch_size, torch.Generator().manual_seed(self.seed_now()))

    def __len__(self) -> int:
        """Steps of an epoch; a single cell left over joins the step before."""
        full, rest = divmod(len(self.cells), self.batch_size)
        return max(full + (rest > 1), 1)


class Parts:
    """``cells`` in their order, some at a time."""

    def __init__(self, cells: CellTable, batch_size: int):
        self.cells, self.batch_size = cells, batch_size

    def __iter__(self) -> Iterator[Cells]:
        return self.cells.parts(self.batch_size)

    def __len__(self) -> int:
        return -(-len(self.cells) // self.batch_size)


def shard(n_cells: int, rank: int, n_ranks: int, seed: int) -> Tensor:
    """The positions of the cells that process ``rank`` reads, in the file's order: (n_cells // n_ranks,).

    Blocks of 64 neighbours are dealt out at random, since a file is often sorted by batch and type: cut in two, its
    halves would show the two processes other batches. All processes get equally many, so that none waits for a step
    that the others do not take; the at most ``n_ranks − 1`` cells left over are in no shard.

    Raises
    ------
    ValueError : fewer than two cells for each process, or a rank that is none of 0 … n_ranks − 1.
    """
    n_ranks = whole_number("n_ranks", n_ranks)
    rank = whole_number("rank", rank, 0, n_ranks - 1)
    each = n_cells // n_ranks
    if each < 2:
        raise ValueError(
            f"cells: expected at least 2 for each of {n_ranks} processes, found {n_cells}; use fewer processes."
        )
    dealt = shuffled_blocks(n_cells, torch.Generator().manual_seed(seed))  # (N,), the same in every process
    return dealt[rank * each : (rank + 1) * each].sort().values


def epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Random numbers of their own for each epoch and process: no state to save, so a resumed run repeats them."""
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1)[0])
