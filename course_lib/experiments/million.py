"""What a million cells cost: seconds and memory of an epoch, from a file and in memory; and what block shuffling does.

    python -m course_lib.experiments.million [--largest 1000000] [--seeds 3] [--work FOLDER] [--to data/results]

Simulated counts of 2,000 genes, 11 % of them above zero, are written batch by batch and in each type by type, as files
that were joined are: the hardest order for shuffling in blocks. SCVI, with a learned library and batches, is trained on
them for one epoch, in a process of its own for each size and each way of keeping the counts: in the file, sparse in
memory, dense in memory. ``million.csv`` has a row for each; a peak of memory is the process's largest resident size,
imports included, and seconds are those of the processor, since a busy machine stretches the others. On 100,000 cells
the bound on held-out cells after equal epochs is compared between shuffling in blocks, from the file, and full
shuffling, in memory: ``million_bound.csv``. ``million.json`` says with what both were made. One thread, half an hour.

Axes: N cells, G genes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
import torch
from anndata.io import sparse_dataset, write_elem
from numpy.typing import NDArray

from course_lib.data.cells import CellTable, cells_from_counts
from course_lib.data.files import cells_from_file
from course_lib.data.scvi_process import simulate
from course_lib.data.split import split_indices
from course_lib.experiments.record import RESULTS, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training.fit import fit

SIZES = (1_000, 10_000, 100_000, 1_000_000)
N_GENES, N_TYPES, N_BATCHES, SEED = 2_000, 8, 4, 0
LOG_LIBRARY_MEANS, LOG_LIBRARY_SD = (5.5, 5.6, 5.7, 5.8), 0.3
WRITTEN_AT_ONCE, DRAWN_AT_ONCE = 10_000, 500  # cells: few writings; tables that a processor's cache can hold
BATCH_SIZE = 128
TIMED_CELLS = 20_000  # small tables are gone through as often as makes so many
N_BOUND, EPOCHS, HELD_OUT = 100_000, 5, 0.1


def in_file(path: Path) -> CellTable:
    """Cells that stay where they are."""
    return cells_from_file(path, batch_key="batch")


def sparse_in_memory(path: Path) -> CellTable:
    """Cells whose counts above zero are in memory."""
    return cells_from_counts(anndata.read_h5ad(path), batch_key="batch", sparse=True)


def dense_in_memory(path: Path) -> CellTable:
    """Cells as small data sets are kept."""
    return cells_from_counts(anndata.read_h5ad(path), batch_key="batch")


WAYS: dict[str, Callable[[Path], CellTable]] = {"file": in_file, "sparse": sparse_in_memory, "dense": dense_in_memory}


def write_cells(path: Path, n_cells: int) -> None:
    """Counts from scVI's process without dropout, (N, G) CSR of one byte and more, ordered by batch and type.

    Chunks of 8,192 numbers, packed by gzip: a third of the bytes of plain numbers, and reading a cell takes 12 µs of a
    processor, where training on it takes 150.
    """
    truth = simulate(
        2 * N_TYPES * N_BATCHES, N_GENES, n_types=N_TYPES, log_library_means=LOG_LIBRARY_MEANS, dropout=0, seed=SEED
    )
    theta = truth.var["theta"].to_numpy()  # (G,)
    factors = np.exp(truth.uns["truth"]["batch_log_factors"])  # (B, G)
    rho = factors[:, None] * truth.uns["truth"]["rho_types"]  # (B, T, G)
    rho /= rho.sum(-1, keepdims=True)
    batch, cell_type = np.divmod(np.arange(n_cells) * N_BATCHES * N_TYPES // n_cells, N_TYPES)  # (N,) each, in blocks
    obs = pd.DataFrame(
        {
            "batch": pd.Categorical.from_codes(batch, [f"batch_{s}" for s in range(N_BATCHES)]),
            "cell_type": pd.Categorical.from_codes(cell_type, [f"type_{c}" for c in range(N_TYPES)]),
        },
        index=[f"cell_{n}" for n in range(n_cells)],
    )
    rng = np.random.default_rng(SEED)
    with h5py.File(path, "w") as file:
        write_elem(file, "/", anndata.AnnData(obs=obs, var=truth.var[["theta"]]))
        for start in range(0, n_cells, WRITTEN_AT_ONCE):
            parts, end = [], min(start + WRITTEN_AT_ONCE, n_cells)
            for first in range(start, end, DRAWN_AT_ONCE):
                drawn = slice(first, min(first + DRAWN_AT_ONCE, end))
                s, c = batch[drawn], cell_type[drawn]
                library = np.exp(rng.normal(np.take(LOG_LIBRARY_MEANS, s), LOG_LIBRARY_SD))  # (n,) ℓ
                parts.append(draw_counts(rng, library, rho[s, c], theta))
            counts = scipy.sparse.vstack(parts, format="csr")
            if start == 0:
                keys = {"chunks": (8192,), "compression": "gzip", "compression_opts": 1, "shuffle": True}
                write_elem(file, "X", counts, dataset_kwargs=keys)
            else:
                sparse_dataset(file["X"]).append(counts)


def draw_counts(
    rng: np.random.Generator, library: NDArray[np.float64], rho: NDArray[np.float64], theta: NDArray[np.float64]
) -> scipy.sparse.csr_matrix:
    """x_ng ~ Poisson(w_ng), w_ng ~ Gamma(shape θ_g, mean ℓ_n ρ_ng): (n, G) uint16.

    Independent Poisson counts are a Poisson total, shared out in proportion to their means: some 300 draws a cell,
    where gene by gene it would be 2,000.
    """
    n_cells, n_genes = rho.shape
    w = rng.standard_gamma(theta.astype(np.float32), rho.shape, np.float32) * (library[:, None] * rho / theta)  # (n, G)
    ends = w.cumsum(1)
    totals = rng.poisson(ends[:, -1])  # (n,)
    ends = ends / ends[:, -1:] + np.arange(n_cells)[:, None]  # gene g of cell n owns the numbers up to ends[n, g]
    cell = np.repeat(np.arange(n_cells), totals)  # (molecules,)
    gene = np.searchsorted(ends.ravel(), cell + rng.random(len(cell)), side="right") - cell * n_genes
    return scipy.sparse.coo_matrix((np.ones(len(cell), np.uint16), (cell, gene)), shape=rho.shape).tocsr()


def one_epoch(way: str, path: Path) -> dict[str, float]:
    """Train in this process; seconds of the processor to open the table and for an epoch, and the largest memory."""
    start = time.process_time()
    cells = WAYS[way](path)
    opened = time.process_time() - start
    model = new_model(cells)
    fit(model, cells.subset(slice(0, 2 * BATCH_SIZE)), epochs=1, batch_size=BATCH_SIZE, progress=False)  # warm up
    epochs = max(1, TIMED_CELLS // len(cells))
    start, started = time.process_time(), time.perf_counter()
    fit(model, cells, epochs=epochs, batch_size=BATCH_SIZE, progress=False)
    seconds, elapsed = time.process_time() - start, time.perf_counter() - started
    return {
        "n_cells": len(cells),
        "open_seconds": opened,
        "epoch_seconds": seconds / epochs,
        "epoch_elapsed": elapsed / epochs,
        "cells_per_second": epochs * len(cells) / seconds,
        "peak_bytes": peak_memory(),
        "file_bytes": path.stat().st_size,
    }


def bound(way: str, path: Path, seed: int) -> dict[str, float]:
    """−ELBO of held-out cells, nats a cell, after ``EPOCHS`` epochs; the seed decides split, weights and order."""
    cells = WAYS[way](path)
    train, held_out = (cells.subset(part) for part in split_indices(len(cells), (1 - HELD_OUT, HELD_OUT), seed))
    torch.manual_seed(seed)
    model = new_model(train)
    history = fit(model, train, validation=held_out, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=seed, progress=False)
    return {"n_cells": len(train), "seed": seed, "epochs": EPOCHS, "test_loss": history["validation_loss"].iloc[-1]}


def new_model(cells: CellTable) -> SCVI:
    """scVI with a learned library, at its defaults."""
    return SCVI(cells.genes, cells.batches, library_prior=log_library_moments(cells))


def peak_memory() -> int:
    """The largest resident size of this process so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # of this program alone; getrusage's may be that of the process it was forked from
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_new_process(question: str, way: str, path: Path, seed: int = 0) -> dict[str, Any]:
    """Ask ``one_epoch`` or ``bound`` in a process of its own."""
    command = [sys.executable, "-m", "course_lib.experiments.million", "--ask", question, way, str(path), str(seed)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True)
    return {"way": way, **json.loads(done.stdout)}


def run(largest: int, n_seeds: int, work: Path, folder: Path) -> Path:
    """Write both tables and their provenance; returns the path of the first. The files in ``work`` stay there."""
    sizes = [size for size in SIZES if size <= largest]
    paths = {size: work / f"cells_{size}.h5ad" for size in {*sizes, min(N_BOUND, largest)}}
    rows: list[dict[str, Any]] = []
    for size in sorted(paths):
        if not paths[size].exists():
            part = paths[size].with_suffix(".part")
            write_cells(part, size)
            part.rename(paths[size])
        for way in WAYS:
            rows.append(in_new_process("epoch", way, paths[size]))
            print(json.dumps(rows[-1]), flush=True)
            table = save(pd.DataFrame(rows), folder, "million", provenance(largest, n_seeds))
        if size != min(N_BOUND, largest):
            continue
        bounds = []
        for seed in range(n_seeds):
            for way in ("file", "sparse"):
                bounds.append(in_new_process("bound", way, paths[size], seed))
                print(json.dumps(bounds[-1]), flush=True)
                save(pd.DataFrame(bounds), folder, "million_bound", float_format="%.7g")
    return table


def provenance(largest: int, n_seeds: int) -> dict[str, object]:
    """With what the tables were made."""
    return made_with("million", "torch", "numpy", "scipy", "anndata", "h5py") | {
        "sizes": [size for size in SIZES if size <= largest],
        "n_genes": N_GENES,
        "n_types": N_TYPES,
        "n_batches": N_BATCHES,
        "log_library_means": LOG_LIBRARY_MEANS,
        "log_library_sd": LOG_LIBRARY_SD,
        "seed_of_counts": SEED,
        "batch_size": BATCH_SIZE,
        "threads": 1,
        "bound": {
            "cells": min(N_BOUND, largest),
            "held_out": HELD_OUT,
            "epochs": EPOCHS,
            "seeds": list(range(n_seeds)),
        },
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Seconds and memory of an epoch; writes million*.csv and million.json."
    )
    parser.add_argument("--largest", type=int, default=SIZES[-1], choices=SIZES, help="leave out larger tables")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of the bound, from 0 (default 3)")
    parser.add_argument(
        "--work", type=Path, help="keep the files of counts here (1 GB); else they are made and removed"
    )
    parser.add_argument("--to", type=Path, default=RESULTS, help="the folder of the tables and their provenance")
    parser.add_argument("--ask", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask is not None:
        question, way, path, seed = options.ask
        print(json.dumps(one_epoch(way, Path(path)) if question == "epoch" else bound(way, Path(path), int(seed))))
        return
    with tempfile.TemporaryDirectory(prefix="million-cells-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        print(run(options.largest, options.seeds, work, options.to))


if __name__ == "__main__":
    main()
