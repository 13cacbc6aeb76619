"""Do batches mix once the decoder is told which batch a cell is from, and do types stay apart?

    python -m course_lib.experiments.batches [--seeds 5] [--to data/results]

Three data sets. ``mosaic``: 1,200 cells × 500 genes, three batches that look like donors, 8 types. ``pbmc_pair``: 400
cells of two 10x runs, 1,000 genes chosen over both runs together, so that genes which tell the runs apart are among
them; no types. ``simulation``: cells of scVI's own process, two batches that distort every gene, 4 types.

Each is embedded by PCA (10 components of log1p of counts per 10,000, the total over all genes), by scVI with the batch
given to the decoder (``scvi_batch``), and by the same scVI with all cells in one batch (``scvi_no_batch``): negative
binomial, observed library, posterior means of 10 dimensions. A seed decides the split, the weights, the minibatches,
the permutation of the ceiling, the folds of the label kNN and, in the simulation, the cells. The validation −ELBO
chooses the epoch.

The encoder never sees the batch; z may tell it all the same, for the genes do. With the batch given, the decoder has it
for nothing, and whatever z says about it costs KL and gains no likelihood: so it is left out. Without, it pays its way.
Where batches are donors, as the mosaic's seem to be, a difference between donors goes out with the rest.

The table is ``batches.csv``, one row for each seed, data, method and measure; ``batches.json`` says with what it was
made. The measures, over all cells:

- ``entropy`` of the batches among 50 neighbours, nats; ``ceiling``: the same after permuting batches within types,
  over all cells where there are no types;
- ``label_knn``: types named by 15 neighbours in other folds (five folds, stratified); only where there are types;
- ``batch_knn``: the same for batches: what a cell still tells of its origin (chance: the share of the largest batch);
- ``elbo``: the lowest validation −ELBO, nats per cell; ``kl_z`` of that epoch; ``epoch``, which one it was.

Axes: N cells, L latent dimensions.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold

from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.mixing import batch_entropy, batch_entropy_ceiling, label_knn_accuracy
from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.data.split import split_indices
from course_lib.experiments.data_sets import cell_types, mosaic, pbmc_pair, with_log
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI
from course_lib.training import fit

N_LATENT, N_NEIGHBORS, FOLDS = 10, 50, 5
EPOCHS, PATIENCE, LR, EPS, WEIGHT_DECAY, BATCH_SIZE, VALIDATION = 150, 25, 3e-3, 0.01, 1e-6, 64, 0.1
PAIR_GENES = 1_000
SIMULATION = {
    "n_cells": 1200, "n_genes": 200, "n_types": 4, "n_changed": 10, "fold": 2.0, "log_library_means": (5.5, 6.1),
    "dropout": 0.0,
}  # fmt: skip
Measured = dict[str, float]


def simulated(seed: int) -> AnnData:
    """Cells whose batches distort every gene and whose types change eighty genes twofold, without dropout."""
    return simulate(**SIMULATION, seed=seed)  # type: ignore[arg-type]


DATA: dict[str, Callable[[int], AnnData]] = {
    "mosaic": lambda seed: mosaic(),
    "pbmc_pair": lambda seed: pbmc_pair(PAIR_GENES),
    "simulation": lambda seed: with_log(simulated(seed)),
}


def pca(data: AnnData) -> np.ndarray:
    """(N, L): principal components of ``layers["log"]``."""
    return PCA(N_LATENT, random_state=0).fit_transform(data.layers["log"].toarray())


def scvi(data: AnnData, batch_key: str | None, seed: int, epochs: int = EPOCHS) -> tuple[np.ndarray, Measured]:
    """Posterior means (N, L) of all cells, and how well the validation cells were explained."""
    cells = cells_from_counts(data, batch_key=batch_key)
    train, validation = split_indices(len(cells), (1 - VALIDATION, VALIDATION), seed=seed)
    torch.manual_seed(seed)
    model = SCVI(cells.genes, cells.batches, library_prior=None, gene_likelihood="nb", n_latent=N_LATENT)
    history = fit(
        model, cells[train], validation=cells[validation], epochs=epochs, patience=PATIENCE, batch_size=BATCH_SIZE,
        lr=LR, eps=EPS, weight_decay=WEIGHT_DECAY, seed=seed, progress=False,
    )  # fmt: skip
    best = history["validation_loss"].idxmin()
    reached = {"elbo": history.loc[best, "validation_loss"], "kl_z": history.loc[best, "validation_kl_z"]}
    return get_latent_representation(model, cells), reached | {"epoch": float(best)}


def cross_validated_knn(codes: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Label kNN accuracy, every cell named once by cells of the other folds."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(codes, labels)
    return float(np.mean([label_knn_accuracy(codes[a], labels[a], codes[b], labels[b]) for a, b in folds]))


def measure(codes: np.ndarray, data: AnnData, seed: int) -> Measured:
    """Mixing of batches and keeping of types in codes (N, L)."""
    batch = data.obs["batch"].to_numpy(dtype=str)
    labels = cell_types(data) if "cell_type" in data.obs else None
    found = {
        "entropy": batch_entropy(codes, batch, N_NEIGHBORS),
        "ceiling": batch_entropy_ceiling(codes, batch, labels, N_NEIGHBORS, seed=seed),
        "batch_knn": cross_validated_knn(codes, batch, seed),
    }
    return found if labels is None else found | {"label_knn": cross_validated_knn(codes, labels, seed)}


def run_seed(data: AnnData, seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """Every method on one data set: columns method, measure, value."""
    with_batch, reached_with = scvi(data, "batch", seed, epochs)
    without, reached_without = scvi(data, None, seed, epochs)
    measured = {
        "scvi_batch": measure(with_batch, data, seed) | reached_with,
        "scvi_no_batch": measure(without, data, seed) | reached_without,
        "pca": measure(pca(data), data, seed),
    }
    rows = [(method, name, value) for method, found in measured.items() for name, value in found.items()]
    return pd.DataFrame(rows, columns=["method", "measure", "value"])


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    tables = []
    for seed in range(n_seeds):
        for name, load in DATA.items():
            tables.append(run_seed(load(seed), seed).assign(seed=seed, data=name))
            wide = tables[-1].pivot(index="measure", columns="method", values="value")
            print(f"seed {seed}, {name}\n{wide.round(3).to_string()}", flush=True)
        table = pd.concat(tables)[["seed", "data", "method", "measure", "value"]]
        path = save(table, folder, "batches", provenance(seed + 1), float_format="%.5f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("batches", "torch", "numpy", "scipy", "scikit-learn", "scanpy", "anndata", "pandas") | {
        "data": list(DATA),
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_latent": N_LATENT, "hidden": [128], "gene_likelihood": "nb", "library": "observed",
            "epochs_at_most": EPOCHS, "patience": PATIENCE, "lr": LR, "eps": EPS, "weight_decay": WEIGHT_DECAY,
            "batch_size": BATCH_SIZE, "validation": VALIDATION, "pair_genes": PAIR_GENES, "n_neighbors": N_NEIGHBORS,
            "knn_neighbors": 15, "knn_folds": FOLDS, "simulation": SIMULATION,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Batch mixing with and without s; writes batches.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
