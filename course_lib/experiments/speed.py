"""How fast does full scVI train here, and in scvi-tools? In turn, in one process, under one thread setting.

    python -m course_lib.experiments.speed [--repeats 3] [--to data/results]        needs the extra `peer`

Both train the same model on the same counts: ZINB, learned library, 10 latent dimensions, one hidden layer of 128,
minibatches of 128 cells. What is timed is a call that trains, less a call that trains for one epoch, so that setting
up counts for neither. Two tables: ``speed.csv``, one row for each repeat, data set and program, with ``cells_per_s``
by the clock on the wall and ``cells_per_cpu_s`` by the processor's (they differ where other programs want the cores),
and on PBMC3k the seconds that 100 importance samples of every cell's likelihood take (``iwae_s``); and
``speed_profile.csv``, the milliseconds that each part of our training step takes.

Axes: N cells, G genes.
"""

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from course_lib.analysis.posterior import get_marginal_ll
from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.experiments.data_sets import cortex, pbmc3k
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training.fit import fit

IWAE_SAMPLES = 100
DATA: dict[str, Callable[[], AnnData]] = {
    "cortex": lambda: cortex()[:2_253].copy(),  # as many as the paper trained on
    "pbmc3k": pbmc3k,
    "simulated": lambda: AnnData(simulate(20_000, 2_000, log_library_means=(7.6,)).X),
}


def train_ours(data: AnnData, epochs: int) -> SCVI:
    """The course's model, trained for so many epochs."""
    cells = cells_from_counts(data)
    torch.manual_seed(0)
    model = SCVI(cells.genes, library_prior=log_library_moments(cells))
    fit(model, cells, epochs=epochs, lr=1e-3, eps=0.01, weight_decay=1e-6, progress=False)
    return model


def train_theirs(data: AnnData, epochs: int):  # type: ignore[no-untyped-def]
    """scvi-tools' model of the same sizes, trained for so many epochs, without progress bar, logger or checkpoints."""
    import scvi

    data = AnnData(data.X.astype(np.float32))
    scvi.settings.seed = 0
    scvi.settings.verbosity = 40
    scvi.model.SCVI.setup_anndata(data)
    model = scvi.model.SCVI(data, gene_likelihood="zinb", use_observed_lib_size=False)
    model.train(
        max_epochs=epochs, train_size=1.0, batch_size=128, accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    return model


def seconds(call: Callable[[], object]) -> np.ndarray:
    """Seconds of a call: on the wall's clock, and of this process on the processors."""
    start = np.array([time.perf_counter(), time.process_time()])
    call()
    return np.array([time.perf_counter(), time.process_time()]) - start


def cells_per_second(train: Callable[[AnnData, int], object], data: AnnData, epochs: int) -> np.ndarray:
    """Cells seen per second, by either clock, between the end of epoch 1 and the end of epoch 1 + ``epochs``."""
    one = seconds(lambda: train(data, 1))
    return data.n_obs * epochs / (seconds(lambda: train(data, 1 + epochs)) - one)


def measure(data: AnnData, name: str, epochs: int, repeat: int) -> list[dict[str, object]]:
    """Ours and theirs, in turn; who goes first alternates with the repeat."""
    programs = {"course_lib": train_ours, "scvi-tools": train_theirs}
    order = list(programs) if repeat % 2 == 0 else [*reversed(programs)]
    rows = []
    for program in order:
        wall, cpu = cells_per_second(programs[program], data, epochs)
        row = {"data": name, "program": program, "repeat": repeat}
        rows.append(row | {"cells_per_s": round(wall), "cells_per_cpu_s": round(cpu)})
        print(rows[-1], flush=True)
    return rows


def measure_iwae(data: AnnData, repeat: int) -> list[dict[str, object]]:
    """Seconds for the importance-weighted likelihood of every cell, ours and theirs."""
    ours, theirs, cells = train_ours(data, 1), train_theirs(data, 1), cells_from_counts(data)
    calls = {
        "course_lib": lambda: get_marginal_ll(ours, cells, IWAE_SAMPLES),
        "scvi-tools": lambda: theirs.get_marginal_ll(n_mc_samples=IWAE_SAMPLES, n_mc_samples_per_pass=IWAE_SAMPLES),
    }
    rows = [
        {"data": "pbmc3k", "program": program, "repeat": repeat, "iwae_s": round(float(seconds(call)[0]), 1)}
        for program, call in calls.items()
    ]
    print(rows, flush=True)
    return rows


def profile(data: AnnData, steps: int = 50) -> dict[str, float]:
    """Median milliseconds of each part of a training step on 128 cells."""
    cells = cells_from_counts(data)[:128]
    model = train_ours(data, 1).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=0.01, weight_decay=1e-6)
    times: dict[str, list[float]] = {}
    for _ in range(steps):
        clock = time.perf_counter()

        def lap(part: str) -> None:
            nonlocal clock
            now = time.perf_counter()
            times.setdefault(part, []).append(1_000 * (now - clock))
            clock = now

        q, q_library = model.encode(cells.x), model.encode_library(cells.x)
        lap("encoders")
        p = model.decode(q.rsample(), q_library.rsample(), cells.batch)
        lap("decoder")
        log_likelihood = p.log_prob(cells.x).mean()
        lap("log-likelihood")
        (-log_likelihood).backward()
        lap("gradients")
        optimizer.step()
        optimizer.zero_grad()
        lap("Adam")
    return {part: round(float(np.median(values)), 2) for part, values in times.items()}


def run(repeats: int, folder: Path, data: Sequence[str] = tuple(DATA)) -> Path:
    """Write the table and its provenance; returns the table's path."""
    warnings.simplefilter("ignore")  # scvi-tools' dependencies announce their plans
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows: list[dict[str, object]] = []
    profiles: list[dict[str, object]] = []
    provenance = made_with("speed", "torch", "numpy", "scvi-tools") | {"iwae_samples": IWAE_SAMPLES}
    for name in data:
        counts = DATA[name]()
        epochs = max(2, round(40_000 / counts.n_obs))
        for repeat in range(repeats):
            rows += measure(counts, name, epochs, repeat)
            if name == "pbmc3k" and repeat == 0:
                rows += measure_iwae(counts, repeat)
        profiles += [{"data": name, "part": part, "ms": ms} for part, ms in profile(counts).items()]
        save(pd.DataFrame(profiles), folder, "speed_profile", float_format=None)
        path = save(pd.DataFrame(rows), folder, "speed", provenance, float_format=None)
    return path


def main() -> None:
    """The command line."""
    command_line("Training speed of the course's scVI beside scvi-tools'.", run, repeats=3, data=list(DATA))


if __name__ == "__main__":
    main()
