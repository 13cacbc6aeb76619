"""Does it matter, after full training, where the head of the library size starts? Mouse cortex, full scVI.

    python -m course_lib.experiments.library_start [--seeds 5] [--to data/results]

The model, cells, split, draws and scores are those of experiment ``cortex`` (its ``scvi``: ZINB, library learned). One
thing differs between two rows of a seed: ``start`` is ``prior``, where q(log ℓ∣x) begins near p(log ℓ), or ``zero``,
where it begins near N(0, 1), one molecule a cell, as the heads of most programs do. Weights, minibatches and noise are
the same. ρ begins at the mean profile in both. Each pair is trained in two ways, both to their end and with the KL at
weight 1 throughout:

``one cycle``
    as in experiment ``cortex``: 60 epochs, the learning rate up to 2e-2 and down.
``constant``
    at the learning rate and length that scvi-tools has there: 250 epochs at 1e-3.

``library_start.csv`` has one row for each seed, way and start, with the columns of ``cortex.csv``.

Axes: N cells, G genes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from course_lib.analysis.clustering import clustering_scores
from course_lib.analysis.latent import get_latent_representation
from course_lib.data.cells import Cells
from course_lib.data.split import split_indices
from course_lib.experiments import cortex
from course_lib.experiments.data_sets import cortex as cortex_counts
from course_lib.experiments.data_sets import counts_and_types
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments, start_at_profile
from course_lib.training import fit

STARTS = ("prior", "zero")
WAYS: dict[str, dict[str, Any]] = {
    "one cycle": {"epochs": cortex.EPOCHS, "lr": cortex.LR, "one_cycle": True},
    "constant": {"epochs": cortex.THEIR_EPOCHS, "lr": 1e-3},
}
COLUMNS = ["seed", "way", "start", "ari", "nmi", "asw", "elbo", "reconstruction", "kl_z", "kl_library"]


@torch.no_grad()
def start_at_zero(model: SCVI) -> None:
    """Undo what the constructor did: q(log ℓ∣x) begins near N(0, 1) for every cell."""
    for head in (model.library_encoder.to_mu, model.library_encoder.to_log_variance):
        head.bias.zero_()


def build(training: Cells, seed: int, start: str) -> SCVI:
    """The untrained model of experiment ``cortex``, from one of the ``STARTS``."""
    torch.manual_seed(seed)
    model = SCVI(training.genes, library_prior=log_library_moments(training), n_latent=cortex.N_LATENT)
    start_at_profile(model.decoder, training)
    if start == "zero":
        start_at_zero(model)
    return model


def train(training: Cells, seed: int, start: str, **way: Any) -> SCVI:
    """Built and trained; ``way`` goes to ``fit``."""
    model = build(training, seed, start)
    fit(model, training, eps=cortex.EPS, weight_decay=cortex.WEIGHT_DECAY, seed=seed, progress=False, **way)
    return model


def run_seed(
    cells: Cells, labels: np.ndarray, seed: int, ways: dict[str, dict[str, Any]] = WAYS, split: tuple = cortex.SPLIT
) -> pd.DataFrame:
    """One row for each way and start."""
    training, _, test = (cells[index] for index in split_indices(len(cells), split, seed))
    rows: list[dict[str, object]] = []
    for way, settings in ways.items():
        for start in STARTS:
            model = train(training, seed, start, **settings)
            scores = clustering_scores(get_latent_representation(model, cells), labels, seed)
            rows.append({"way": way, "start": start, **scores, **cortex.held_out_bound(model, test)})
            print(f"seed {seed}: {rows[-1]}", flush=True)
    return pd.DataFrame(rows).assign(seed=seed)[COLUMNS]


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    cells, labels = counts_and_types(cortex_counts(cortex.N_GENES))
    tables = []
    for seed in range(n_seeds):
        tables.append(run_seed(cells, labels, seed))
        path = save(pd.concat(tables), folder, "library_start", provenance(seed + 1), float_format="%.4f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("library_start", "torch", "numpy", "scikit-learn", "scanpy") | {
        "data": "Cortex, 3,005 cells, the 558 genes of largest standard deviation of raw counts",
        "seeds": list(range(n_seeds)),
        "ways": WAYS,
        "settings": {
            "n_latent": cortex.N_LATENT, "hidden": [128], "split": list(cortex.SPLIT), "draws": cortex.DRAWS,
            "eps": cortex.EPS, "weight_decay": cortex.WEIGHT_DECAY, "kl_warmup": 0, "batch_size": 128,
            "rho": "starts at the mean profile in all",
        },
        "chosen_on": "the one cycle: validation cells of experiment cortex, with the start at the prior; the constant "
        "rate: nothing, it is scvi-tools' default, and 250 epochs are those of experiment cortex",
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Where the library's head starts, after full training; writes library_start.csv and .json.", run,
                 seeds=5)  # fmt: skip


if __name__ == "__main__":
    main()
