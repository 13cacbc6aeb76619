"""What is each choice in building scVI worth? One at a time against the default, on cells held out.

    python -m course_lib.experiments.scvi_choices [--data cortex pbmc_pair] [--seeds 5] [--to data/results]

The choices are those of Lopez et al. 2018 and of scvi-tools: BatchNorm and dropout in the decoder too, encoders that
see the batch, more layers, wider ones, a dispersion for each gene in each batch. ``paper`` is all that the paper says
of its networks: BatchNorm and dropout in every one of them, and q(z∣x, s). Everything else is the default's: ZINB,
learned library, 10 latent dimensions.

Two data sets. ``cortex``: 3,005 cells × 558 genes, one batch, 7 types. ``pbmc_pair``: 400 cells of two 10x runs × 1,000
genes, two batches, no types; the choices that speak of batches are asked here alone. A seed decides the split (65 %
training, 10 % validation, 25 % test), the weights, the minibatches and the starts of k-means, the same for every
choice. The validation −ELBO chooses the epoch: training ends 25 epochs after the best, whose weights are kept.

``scvi_choices.csv`` has one row for each data set, seed and choice:

``validation_elbo``, ``test_elbo``
    −ELBO per cell in nats, reconstruction averaged over 25 draws of each cell, as in experiment ``cortex``. The course
    takes its defaults from the first; no score below had a say.
``ari``
    of k-means on the posterior means of all cells, with the true number of types; cortex only.
``entropy``
    of the batches among 50 neighbours of each cell, nats, and its ``ceiling``, batches permuted; pair only.
``epoch``, ``epochs``, ``seconds``
    the epoch whose weights were kept, how many were trained, and processor seconds of the training.

Where only one data set is asked for, the rows of the other stay in the table.

Axes: N cells, L latent dimensions.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from course_lib.analysis.clustering import kmeans_ari
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.mixing import batch_entropy, batch_entropy_ceiling
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.split import split_indices
from course_lib.experiments.cortex import held_out_bound
from course_lib.experiments.data_sets import cell_types, cortex, pbmc_pair
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training.fit import fit

SPLIT, N_NEIGHBORS = (0.65, 0.10, 0.25), 50
EPOCHS, PATIENCE, EPS, WEIGHT_DECAY = 300, 25, 0.01, 1e-6
LR = {"cortex": 3e-3, "pbmc_pair": 3e-3}
BATCH_SIZE = {"cortex": 128, "pbmc_pair": 64}
DATA: dict[str, Callable[[], AnnData]] = {"cortex": cortex, "pbmc_pair": pbmc_pair}
EVERYWHERE: dict[str, dict[str, Any]] = {
    "default": {},
    "no BatchNorm": {"batch_norm": "none"},
    "BatchNorm in the decoder too": {"batch_norm": "both"},
    "no dropout": {"dropout": 0.0},
    "dropout in the decoder too": {"decoder_dropout": 0.1},
    "two layers": {"hidden": (128, 128)},
    "256 units": {"hidden": (256,)},
}
CHOICES: dict[str, dict[str, dict[str, Any]]] = {
    "cortex": EVERYWHERE | {"paper": {"batch_norm": "both", "decoder_dropout": 0.1}},
    "pbmc_pair": EVERYWHERE
    | {
        "encoders see the batch": {"encode_batch": True},
        "dispersion per gene and batch": {"dispersion": "gene-batch"},
        "paper": {"batch_norm": "both", "decoder_dropout": 0.1, "encode_batch": True},
    },
}
COLUMNS = [
    "data", "seed", "choice", "validation_elbo", "test_elbo", "ari", "entropy", "ceiling", "epoch", "epochs", "seconds",
]  # fmt: skip


def train(
    training: Cells, validation: Cells, name: str, choices: dict[str, Any], seed: int, epochs: int = EPOCHS
) -> tuple[SCVI, dict[str, float]]:
    """One model, with the weights of its best epoch, and how long it took."""
    torch.manual_seed(seed)
    model = SCVI(training.genes, training.batches, library_prior=log_library_moments(training), **choices)
    start = time.process_time()
    history = fit(
        model, training, validation=validation, epochs=epochs, patience=PATIENCE, batch_size=BATCH_SIZE[name],
        lr=LR[name], eps=EPS, weight_decay=WEIGHT_DECAY, seed=seed, progress=False,
    )  # fmt: skip
    seconds = time.process_time() - start
    best = float(history["validation_loss"].idxmin())
    return model, {"epoch": best, "epochs": float(len(history)), "seconds": seconds}


def scores(codes: np.ndarray, data: AnnData, seed: int) -> dict[str, float]:
    """Of codes (N, L): types found where there are types, batches mixed where there are batches."""
    if "batch" not in data.obs:
        return {"ari": kmeans_ari(codes, cell_types(data), seed)}
    batch = data.obs["batch"].to_numpy(dtype=str)
    return {
        "entropy": batch_entropy(codes, batch, N_NEIGHBORS),
        "ceiling": batch_entropy_ceiling(codes, batch, None, N_NEIGHBORS, seed=seed),
    }


def run_seed(name: str, data: AnnData, seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """One row for each choice on one data set."""
    cells = cells_from_counts(data, batch_key="batch" if "batch" in data.obs else None)
    training, validation, test = (cells[index] for index in split_indices(len(cells), SPLIT, seed))
    held_out = {"validation_elbo": validation, "test_elbo": test}
    rows: list[dict[str, Any]] = []
    for choice, settings in CHOICES[name].items():
        model, reached = train(training, validation, name, settings, seed, epochs)
        bounds = {column: held_out_bound(model, part)["elbo"] for column, part in held_out.items()}
        found = scores(get_latent_representation(model, cells), data, seed)
        rows.append({"choice": choice, **bounds, **found, **reached})
        print(f"{name}, seed {seed}: {rows[-1]}", flush=True)
    return pd.DataFrame(rows).assign(data=name, seed=seed).reindex(columns=COLUMNS)


def run(n_seeds: int, data: Sequence[str], folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    path = folder / "scvi_choices.csv"
    kept = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    tables = {name: kept[kept["data"] == name] for name in DATA}
    for name in data:
        tables[name] = kept[:0]
        loaded = DATA[name]()
        for seed in range(n_seeds):
            found = run_seed(name, loaded, seed, EPOCHS)
            tables[name] = pd.concat([tables[name], found]) if len(tables[name]) else found
            whole = pd.concat([table for table in tables.values() if len(table)])
            save(whole, folder, "scvi_choices", provenance(whole), float_format="%.4f")
    return path


def against_default(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """(choices, seeds) for each data set: ``column`` less its value under the default, same seed and cells."""
    wide = table.pivot(index=["data", "choice"], columns="seed", values=column)
    return wide - wide.xs("default", level="choice").reindex(wide.index.get_level_values("data")).to_numpy()


def provenance(table: pd.DataFrame) -> dict[str, object]:
    """With what the table was made."""
    return made_with("scvi_choices", "torch", "numpy", "scikit-learn", "scanpy") | {
        "data": {name: sorted({int(seed) for seed in part["seed"]}) for name, part in table.groupby("data")},
        "choices": CHOICES,
        "settings": {
            "split": list(SPLIT), "epochs_at_most": EPOCHS, "patience": PATIENCE, "lr": LR, "batch_size": BATCH_SIZE,
            "eps": EPS, "weight_decay": WEIGHT_DECAY, "n_neighbors": N_NEIGHBORS, "draws": 25,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("What each choice in building scVI is worth; writes scvi_choices.csv and .json.", run, seeds=5,
                 data=tuple(DATA))  # fmt: skip


if __name__ == "__main__":
    main()
