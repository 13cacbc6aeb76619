"""On paper: what a model of a hundred million cells would take, from what was measured on fewer.

Two tables, made live from ``million.csv`` (one process: seconds and bytes of a cell) and ``distributed_time.csv`` (what
a second process costs). Nothing here was run on 10⁸ cells; every assumption is one of the constants.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from course_lib.arguments import whole_number
from course_lib.experiments.million import N_GENES
from course_lib.experiments.record import RESULTS

N_CELLS = 10**8  # of one atlas
SHARE_ABOVE_ZERO = 0.11  # of the counts, as in the cells of ``million``
BYTES_ABOVE_ZERO, BYTES_DENSE = 5, 4  # in memory: one of count and four of column; one float32 a gene
BATCH_SIZE = 128  # cells a step, in each process: the minibatch of all grows with their number
SMALL_STEPS = 62_500  # scvi-tools' rule: 400 epochs of 20,000 cells, https://docs.scvi-tools.org; fewer cells, no more
PROCESSES = (1, 2, 4, 8, 16, 32, 64)  # each on one core
PRICE = 0.05  # US dollars an hour and core, assumed: the order of list prices of rented virtual CPUs in 2025


@dataclass(frozen=True)
class Measured:
    """What the committed tables say, on one core of the machine that made them."""

    cells_per_second: float  # one process, from the file, a million cells
    file_bytes: float  # of a cell, compressed
    efficiency: float  # of two processes: cells per second, by twice those of one with the same minibatch each


def measured(results: Path = RESULTS) -> Measured:
    """Read the two tables, medians over repeats."""
    million = pd.read_csv(results / "million.csv").query("way == 'file'").sort_values("n_cells").iloc[-1]
    time = pd.read_csv(results / "distributed_time.csv").query("threads == 1")
    speed = time.groupby(["processes", "total_batch"])["cells_per_second"].median()
    return Measured(
        cells_per_second=float(million["cells_per_second"]),
        file_bytes=float(million["file_bytes"] / million["n_cells"]),
        efficiency=float(speed[2, 2 * BATCH_SIZE] / (2 * speed[1, BATCH_SIZE])),
    )


def sizes(n_cells: int = N_CELLS, facts: Measured | None = None) -> pd.Series:
    """Bytes of ``n_cells`` cells × 2,000 genes: ``file``, ``sparse`` and ``dense`` in memory."""
    n_cells, facts = whole_number("n_cells", n_cells), facts or measured()
    counts = n_cells * N_GENES
    return pd.Series(
        {
            "file": n_cells * facts.file_bytes,
            "sparse": counts * SHARE_ABOVE_ZERO * BYTES_ABOVE_ZERO,
            "dense": counts * BYTES_DENSE,
        }
    )


def plan(n_cells: int = N_CELLS, facts: Measured | None = None) -> pd.DataFrame:
    """Hours and money for training scVI once on ``n_cells`` cells.

    Returns
    -------
    Index ``processes``; columns ``minibatch`` (cells a step, all processes), ``epochs`` and ``steps`` needed,
    ``efficiency`` (share of its time that a process learns), ``read_mb_per_second`` (what the disk must deliver),
    ``hours`` of the clock, ``dollars``.

    Notes
    -----
    A step of P processes lasts as long as one of a single process, plus the averaging of gradients. Round a ring each
    passes on 2 (P − 1)/P times the gradients' bytes (Patarasuk and Yuan 2009,
    https://doi.org/10.1016/j.jpdc.2008.09.002), so that P processes lose at most twice what two lose, as long as the
    wires between machines are as fast as between the two processes that were measured. Epochs: so many that all steps
    see as many cells as ``SMALL_STEPS`` minibatches of 128, and each cell once at least. That one step with P times
    the cells, and P times the learning rate, does the work of P steps is assumed (Goyal et al. 2017,
    https://doi.org/10.48550/arXiv.1706.02677), and fails for very large minibatches.
    """
    n_cells, facts = whole_number("n_cells", n_cells), facts or measured()
    processes = np.array(PROCESSES)
    lost = (1 / facts.efficiency - 1) * 2 * (processes - 1) / processes  # of a step's time, added to it
    efficiency = 1 / (1 + lost)
    speed = processes * facts.cells_per_second * efficiency  # cells per second
    epochs = max(1, -(-SMALL_STEPS * BATCH_SIZE // n_cells))
    hours = epochs * n_cells / speed / 3600
    table = {
        "minibatch": processes * BATCH_SIZE,
        "epochs": epochs,
        "steps": epochs * -(-n_cells // (processes * BATCH_SIZE)),
        "efficiency": efficiency,
        "read_mb_per_second": speed * facts.file_bytes / 1e6,
        "hours": hours,
        "dollars": hours * processes * PRICE,
    }
    return pd.DataFrame(table, index=pd.Index(processes, name="processes"))
