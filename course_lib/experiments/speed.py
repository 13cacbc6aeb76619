"""How fast is full scVI here, and in scvi-tools? In turn, in one process, under one thread setting.

    python -m course_lib.experiments.speed [--repeats 5] [--data …] [--to data/results]        needs the extra `peer`

Both are the same model on the same counts: ZINB, learned library, 10 latent dimensions, one hidden layer of 128. Each
keeps its own defaults for the rest: scvi-tools has BatchNorm in its decoder too. Who goes first alternates with the
repeat. ``speed.csv`` has one row for each data set, number of threads, task, program and repeat, with ``wall_s`` by the
clock on the wall, ``cpu_s`` by the processor's (they differ with more than one thread, and where other programs want
the cores), and ``per_s``, ``per_cpu_s``: how many units of the task a second. The tasks:

``train``
    cells seen in training, minibatches of 128. A call that trains, less a call that trains for one epoch, so that
    setting up counts for neither. The program "matrix products" is the limit: the products of one step alone, forwards
    and backwards, without a loss, an optimizer or anything between them.
``iwae``
    cells whose likelihood is bounded with 100 importance samples.
``latent``
    cells whose posterior mean is found.
``de``
    pairs of cells whose ρ is compared gene by gene: change mode, δ = .25, 5,000 pairs from two halves of the cells.

``speed_profile.csv``: the milliseconds that each part of our training step takes, one thread.

Axes: N cells, G genes, H hidden units.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from course_lib.analysis.differential_expression import differential_expression
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import get_marginal_ll
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.experiments import scvi_tools
from course_lib.experiments.data_sets import cortex, pbmc3k
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training.fit import fit

ADAM: dict[str, Any] = {"lr": 1e-3, "eps": 0.01, "weight_decay": 1e-6}  # scvi-tools' settings
BATCH_SIZE, IWAE_SAMPLES, IWAE_CELLS, N_PAIRS, DELTA = 128, 100, 256, 5_000, 0.25
EPOCH_CELLS = 40_000  # about so many cells are seen in a timed training
DATA: dict[str, Callable[[], AnnData]] = {
    "cortex": lambda: cortex()[:2_253].copy(),  # × 558, as many as the paper trained on
    "pbmc3k": pbmc3k,  # 2,638 × 2,000
    "simulated": lambda: simulate(20_000, 2_000, log_library_means=(7.6,)),
}
Calls = dict[str, Callable[[], np.ndarray]]  # a program, and how to time it
ASKED = ("cortex", "pbmc3k")  # the data sets of the other tasks


def train_ours(data: AnnData, epochs: int) -> SCVI:
    """The course's model, trained for so many epochs."""
    cells = cells_from_counts(data)
    torch.manual_seed(0)
    model = SCVI(cells.genes, library_prior=log_library_moments(cells))
    fit(model, cells, epochs=epochs, batch_size=BATCH_SIZE, progress=False, **ADAM)
    return model


def train_theirs(data: AnnData, epochs: int) -> Any:
    """scvi-tools' model of the same sizes, trained for so many epochs."""
    model = scvi_tools.build(cells_from_counts(data), 0, learn_library=True)
    scvi_tools.train(model, epochs)
    return model


def matrix_products(n_genes: int, steps: int, hidden: int = 128, n_latent: int = 10) -> None:
    """The products of ``steps`` training steps of ``SCVI`` on minibatches of 128 cells, and nothing else."""
    n = BATCH_SIZE
    widths = [  # of every linear layer, and whether its input needs a gradient
        *[(n_genes, hidden, False)] * 2,  # first layers of the encoders of z and ℓ
        *[(hidden, n_latent, True)] * 2, *[(hidden, 1, True)] * 2,  # their heads
        (n_latent + 1, hidden, True), *[(hidden, n_genes, True)] * 2,  # the decoder, with ρ and π
    ]  # fmt: skip
    layers = [(torch.rand(n, a), torch.rand(b, a), torch.rand(n, b), inner) for a, b, inner in widths]
    for _ in range(steps):
        for x, weight, gradient, inner in layers:
            x @ weight.T  # (N, b)
            gradient.T @ x  # (b, a)
            if inner:
                gradient @ weight  # (N, a)


def seconds(call: Callable[[], object]) -> np.ndarray:
    """Seconds of a call: on the wall's clock, and of this process on the processors."""
    start = np.array([time.perf_counter(), time.process_time()])
    call()
    return np.array([time.perf_counter(), time.process_time()]) - start


def training_seconds(train: Callable[[AnnData, int], object], data: AnnData, epochs: int) -> np.ndarray:
    """Seconds between the end of epoch 1 and the end of epoch 1 + ``epochs``, by either clock."""
    one = seconds(lambda: train(data, 1))
    return seconds(lambda: train(data, 1 + epochs)) - one


def measure_training(data: AnnData, repeat: int) -> list[dict[str, object]]:
    """Ours, theirs, and the matrix products alone."""
    epochs = max(2, round(EPOCH_CELLS / data.n_obs))
    steps = epochs * -(-data.n_obs // BATCH_SIZE)
    calls = {
        "course_lib": lambda: training_seconds(train_ours, data, epochs),
        "scvi-tools": lambda: training_seconds(train_theirs, data, epochs),
        "matrix products": lambda: seconds(lambda: matrix_products(data.n_vars, steps)),
    }
    return in_turn("train", calls, data.n_obs * epochs, repeat)


def measure_questions(data: AnnData, repeat: int) -> list[dict[str, object]]:
    """What is asked of a trained model: ours and theirs, each after one epoch, which is all that time depends on."""
    ours, theirs, cells = train_ours(data, 1), train_theirs(data, 1), cells_from_counts(data)
    some, first = slice(0, IWAE_CELLS), np.arange(data.n_obs) < data.n_obs // 2
    questions: dict[str, tuple[int, Callable[[], object], Callable[[], object]]] = {
        "iwae": (
            IWAE_CELLS,
            lambda: get_marginal_ll(ours, cells[some], IWAE_SAMPLES),
            lambda: theirs.get_marginal_ll(
                indices=np.arange(IWAE_CELLS), n_mc_samples=IWAE_SAMPLES, n_mc_samples_per_pass=IWAE_SAMPLES
            ),
        ),
        "latent": (
            data.n_obs,
            lambda: get_latent_representation(ours, cells),
            lambda: theirs.get_latent_representation(),
        ),
        "de": (
            N_PAIRS,
            lambda: differential_expression(
                ours, cells, first, ~first, over="pairs", n_pairs=N_PAIRS, delta=DELTA, batch_correction=False
            ),
            lambda: theirs.differential_expression(
                idx1=first, idx2=~first, mode="change", delta=DELTA, n_samples_overall=N_PAIRS, silent=True
            ),
        ),
    }
    rows = []
    for task, (units, mine, other) in questions.items():
        calls: Calls = {"course_lib": partial(seconds, mine), "scvi-tools": partial(seconds, other)}
        rows += in_turn(task, calls, units, repeat)
    return rows


def in_turn(task: str, calls: Calls, units: int, repeat: int) -> list[dict[str, object]]:
    """A row for each program; who goes first alternates with the repeat."""
    rows: list[dict[str, object]] = []
    for program in list(calls) if repeat % 2 == 0 else [*reversed(calls)]:
        wall, cpu = calls[program]()
        row: dict[str, object] = {"task": task, "program": program, "repeat": repeat}
        row |= {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}
        rows.append(row | {"per_s": round(units / wall), "per_cpu_s": round(units / cpu)})
    return rows


def profile(data: AnnData, steps: int = 50) -> dict[str, float]:
    """Median milliseconds of each part of a training step on 128 cells."""
    cells = cells_from_counts(data)[:BATCH_SIZE]
    model = train_ours(data, 1).train()
    optimizer = torch.optim.Adam(model.parameters(), fused=True, **ADAM)
    times: dict[str, list[float]] = {}
    for _ in range(steps):
        for part, milliseconds in step_by_part(model, cells, optimizer).items():
            times.setdefault(part, []).append(milliseconds)
    return {part: round(float(np.median(values)), 2) for part, values in times.items()}


def step_by_part(model: SCVI, cells: Cells, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """One training step, and the milliseconds of its parts."""
    laps: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(part: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        laps[part], clock = 1_000 * (now - clock), now

    q, q_library = model.encode(cells.x), model.encode_library(cells.x)
    lap("encoders")
    p = model.decode(q.rsample(), q_library.rsample(), cells.batch)
    lap("decoder")
    log_likelihood: Tensor = p.log_prob(cells.x).mean()
    lap("log-likelihood")
    (-log_likelihood).backward()
    lap("gradients")
    optimizer.step()
    optimizer.zero_grad()
    lap("Adam")
    return laps


def run(repeats: int, folder: Path, data: Sequence[str] = tuple(DATA)) -> Path:
    """Write the tables and their provenance after every data set; returns the path of the first."""
    warnings.simplefilter("ignore")  # scvi-tools' dependencies announce their plans
    rows: list[dict[str, object]] = []
    profiles: list[dict[str, object]] = []
    before, all_threads = torch.get_num_threads(), torch.multiprocessing.cpu_count()
    provenance = made_with("speed", "torch", "numpy", "scvi-tools") | {
        "threads": [1, all_threads], "repeats": repeats, "batch_size": BATCH_SIZE, "iwae_samples": IWAE_SAMPLES,
        "iwae_cells": IWAE_CELLS, "n_pairs": N_PAIRS, "delta": DELTA, "adam": ADAM,
    }  # fmt: skip
    for name in data:
        counts = DATA[name]()
        for threads in (1, all_threads):
            torch.set_num_threads(threads)
            for repeat in range(repeats):
                found = measure_training(counts, repeat)
                found += measure_questions(counts, repeat) if name in ASKED else []
                rows += [{"data": name, "threads": threads} | row for row in found]
                print(pd.DataFrame(found).to_string(index=False), flush=True)
        torch.set_num_threads(1)
        profiles += [{"data": name, "part": part, "ms": ms} for part, ms in profile(counts).items()]
        save(pd.DataFrame(profiles), folder, "speed_profile", float_format=None)
        path = save(pd.DataFrame(rows), folder, "speed", provenance, float_format=None)
    torch.set_num_threads(before)
    return path


def main() -> None:
    """The command line."""
    command_line("Speed of the course's scVI beside scvi-tools'.", run, repeats=5, data=list(DATA))


if __name__ == "__main__":
    main()
