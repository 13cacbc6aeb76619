"""Ours beside scvi-tools' on three data sets: the bound, the groups found, the runs mixed, the seconds it took.

    python -m course_lib.experiments.side_by_side [--seeds 5] [--to data/results]        needs the extra `peer`

Three programs learn from the same training cells, with the observed total for ℓ, so that every bound is of log p(x∣Σx):

``scvi_tools``
    ``scvi.model.SCVI`` as it comes: every setting of the model and of ``train`` at its default, but that it trains on
    all cells it is given, where it would by itself hold a tenth back and only look at it.
``same_settings``
    Ours at those very settings: as many epochs, the learning rate constant, KL warm-up over 400 epochs, ZINB, dropout,
    BatchNorm on both sides. What differs is the start of the weights, and how fast BatchNorm's averages follow them.
``course``
    Ours as the course trains it: one cycle of the learning rate, ρ begins at the mean profile, no warm-up. These
    settings come from the experiments ``cortex``, ``clustering`` (PBMC3k) and ``pair``, which chose them on validation
    cells by their −ELBO. On the pair that is a negative binomial, as there.

The data: the cortex, 558 genes; PBMC3k, 2,000 genes; the pair of two runs, 1,000 genes within runs, with s. A seed
decides the split (65 % training, 10 % validation, which nothing here looks at, 25 % test), the weights, the minibatches
and the starts of k-means. ``side_by_side.csv`` has one row for each seed, data set and program:

``elbo``
    −ELBO per test cell in nats, KL with weight 1, the reconstruction a mean over ``DRAWS`` draws.
``ari``, ``nmi``
    k-means with the true number of types on the posterior means of all cells; the pair's types are its antibodies', and
    cells that fit no type have no say.
``entropy``, ``entropy_ceiling``
    Of runs among 50 neighbours, nats, and the same once runs were shuffled within types; only where there are runs.
``epochs``, ``cpu_s``
    How long it trained: epochs, and seconds of processor time on one thread.

Axes: N cells, G genes, L latent dimensions.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from course_lib.analysis.antibodies import AMBIGUOUS
from course_lib.analysis.clustering import clustering_scores
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.mixing import batch_entropy, batch_entropy_ceiling
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.split import split_indices
from course_lib.experiments import clustering, cortex, data_sets, pair, scvi_tools
from course_lib.experiments.batches import N_NEIGHBORS
from course_lib.experiments.cortex import DRAWS, held_out_bound, mean_terms
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, start_at_profile
from course_lib.training import fit

PROGRAMS = {"scvi_tools": "scvi-tools", "same_settings": "ours, same settings", "course": "ours, as the course trains"}
ADAM: dict[str, Any] = {"eps": 0.01, "weight_decay": 1e-6}  # of all three programs
THEIR_LR, THEIR_WARMUP, THEIR_BATCH_SIZE = 1e-3, 400, 128  # scvi-tools' defaults
PARTS = {"training": 0.65, "validation": 0.10, "test": 0.25}
COLUMNS = ["seed", "data", "program", "elbo", "ari", "nmi", "entropy", "entropy_ceiling", "epochs", "cpu_s"]
Measured = dict[str, float]


@dataclass(frozen=True)
class Asked:
    """A data set, how its cells are split, and how the course trains on it."""

    load: Callable[[], AnnData]  # counts, cell types, and runs where there are any
    batch_key: str | None
    order: tuple[str, str, str]  # of the parts, so that validation cells are those on which settings were chosen
    gene_likelihood: Any
    training: dict[str, Any]  # epochs, top of the learning rate, cells in a minibatch

    def split(self, n_cells: int, seed: int) -> dict[str, np.ndarray]:
        """The cells of each part."""
        indices = split_indices(n_cells, [PARTS[part] for part in self.order], seed)
        return dict(zip(self.order, indices, strict=True))


FIRST, LAST = ("training", "validation", "test"), ("training", "test", "validation")
DATA = {
    "cortex": Asked(
        data_sets.cortex, None, FIRST, "zinb", {"epochs": cortex.EPOCHS, "lr": cortex.LR, "batch_size": 128}
    ),
    "pbmc3k": Asked(
        data_sets.pbmc3k, None, FIRST, "zinb", {**clustering.SCVI_TRAINING["pbmc3k"], "batch_size": 128}
    ),
    "pair": Asked(
        lambda: pair.labelled_pair("within_runs"), "batch", LAST, "nb",
        {"epochs": pair.EPOCHS, "lr": pair.LR, "batch_size": pair.BATCH_SIZE},
    ),
}  # fmt: skip


def their_epochs(n_cells: int) -> int:
    """What ``train`` of scvi-tools takes for so many cells when it is not told."""
    return int(max(1, min(round(20_000 / n_cells * 400), 400)))


def timed(train: Callable[[], object]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    train()
    return time.process_time() - start


def run_program(
    program: str, asked: Asked, training: Cells, test: Cells, cells: Cells, seed: int, epochs: int | None = None
) -> tuple[np.ndarray, Measured]:
    """Train one program: posterior means (N, L) of all cells, its bound on the test cells, epochs and seconds."""
    settings = dict(asked.training) if program == "course" else {"epochs": their_epochs(len(training))}
    settings["epochs"] = epochs or settings["epochs"]
    if program == "scvi_tools":
        theirs = scvi_tools.build(training, seed, learn_library=False)
        seconds = timed(lambda: scvi_tools.train(theirs, settings["epochs"]))
        codes, bound = scvi_tools.latent(theirs, cells), mean_terms(scvi_tools.bound(theirs, test, DRAWS))
        return codes, {"elbo": bound["elbo"], "epochs": settings["epochs"], "cpu_s": seconds}
    torch.manual_seed(seed)
    if program == "course":
        ours = SCVI(cells.genes, cells.batches, library_prior=None, gene_likelihood=asked.gene_likelihood)
        start_at_profile(ours.decoder, training)
        settings["one_cycle"] = True
    else:
        ours = SCVI(cells.genes, cells.batches, library_prior=None, batch_norm="both")
        settings |= {"lr": THEIR_LR, "batch_size": THEIR_BATCH_SIZE}
        settings["kl_warmup"] = min(THEIR_WARMUP, settings["epochs"])  # the same number, but in a test
    seconds = timed(lambda: fit(ours, training, seed=seed, progress=False, **settings, **ADAM))
    bound = held_out_bound(ours, test)
    measured = {"elbo": bound["elbo"], "epochs": settings["epochs"], "cpu_s": seconds}
    return get_latent_representation(ours, cells), measured


def scores(codes: np.ndarray, data: AnnData, batch_key: str | None, seed: int) -> Measured:
    """Types found in codes (N, L), and runs mixed where there are any."""
    types = data_sets.cell_types(data)
    known = types != AMBIGUOUS
    found = clustering_scores(codes[known], types[known], seed)
    measured = {"ari": found["ari"], "nmi": found["nmi"]}
    if batch_key is not None:
        batch = data.obs[batch_key].to_numpy(dtype=str)
        measured["entropy"] = batch_entropy(codes, batch, N_NEIGHBORS)
        measured["entropy_ceiling"] = batch_entropy_ceiling(codes, batch, types, N_NEIGHBORS, seed)
    return measured


def run_seed(
    data: AnnData, asked: Asked, seed: int, programs: tuple[str, ...] = tuple(PROGRAMS), epochs: int | None = None
) -> pd.DataFrame:
    """One row for each program on one data set; ``epochs`` shortens every training."""
    cells = cells_from_counts(data, batch_key=asked.batch_key)
    parts = asked.split(len(cells), seed)
    rows: list[dict[str, object]] = []
    for program in programs:
        codes, measured = run_program(
            program, asked, cells[parts["training"]], cells[parts["test"]], cells, seed, epochs
        )
        rows.append({"seed": seed, "program": program, **measured, **scores(codes, data, asked.batch_key, seed)})
    return pd.DataFrame(rows)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    loaded = {name: asked.load() for name, asked in DATA.items()}
    run_seed(loaded["pair"], DATA["pair"], 0, epochs=1)  # the first training imports much: nobody's seconds
    tables = []
    for seed in range(n_seeds):
        for name, data in loaded.items():
            tables.append(run_seed(data, DATA[name], seed).assign(data=name))
            print(tables[-1].round(3).to_string(index=False), flush=True)
        table = pd.concat(tables)[COLUMNS]
        path = save(table, folder, "side_by_side", provenance(loaded, seed + 1), float_format="%.4f")
    return path


def provenance(loaded: dict[str, AnnData], n_seeds: int) -> dict[str, object]:
    """With what the table was made, and where the settings come from."""
    return made_with("side_by_side", "torch", "numpy", "scikit-learn", "scanpy", "scvi-tools") | {
        "data": {name: {"cells": data.n_obs, "genes": data.n_vars} for name, data in loaded.items()},
        "seeds": list(range(n_seeds)),
        "settings": {
            "split": PARTS, "library": "observed", "n_latent": 10, "hidden": [128], "draws": DRAWS, **ADAM,
            "scvi_tools": "its own defaults, trained on all training cells",
            "same_settings": {
                "gene_likelihood": "zinb", "batch_norm": "both", "lr": THEIR_LR, "kl_warmup": THEIR_WARMUP,
                "batch_size": THEIR_BATCH_SIZE, "one_cycle": False,
            },
            "course": {
                name: {"gene_likelihood": asked.gene_likelihood, **asked.training, "one_cycle": True, "kl_warmup": 0}
                for name, asked in DATA.items()
            },
            "entropy_neighbors": N_NEIGHBORS,
        },
        "chosen_on": {
            "cells": "validation cells, by their −ELBO, in the experiments named; nothing was chosen here",
            "cortex": "cortex.json", "pbmc3k": "clustering.json", "pair": "pair.json",
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Ours beside scvi-tools on three data sets; writes side_by_side.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
