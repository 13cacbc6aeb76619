"""GENEEX beside PCA on blood cells, at equal latent size, over seeds.

    python -m course_lib.experiments.geneex_pbmc3k [--seeds 3] [--to data/results]

A seed decides which cells are held out, the weights and the minibatches. The table is ``geneex_pbmc3k.csv``, one row
for each seed, number of latent dimensions and method (``geneex``, ``untrained``, ``pca``): ``held_out``, the fraction
of the variance of held-out cells explained, and ``knn``, the fraction of held-out cells whose type is the majority's
among their 15 nearest training cells in latent space. ``geneex_pbmc3k.json`` says with what it was made.

Axes: N cells, G genes, L latent dimensions.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.mixing import label_knn_accuracy
from course_lib.analysis.reconstruction import variance_explained
from course_lib.data.cells import Cells, cells_from_expression
from course_lib.data.split import split_indices
from course_lib.experiments.data_sets import cell_types, pbmc3k
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.geneex import GENEEX
from course_lib.training.fit import fit

N_GENES, HELD_OUT, LATENT_SIZES = 1_000, 0.2, (2, 10, 128)
EPOCHS, LR, BATCH_SIZE = 8, 3e-4, 64


def blood() -> tuple[np.ndarray, np.ndarray]:
    """Log-normalised expression of the labelled cells of PBMC3k, (N, G), and their types, (N,)."""
    data = pbmc3k(N_GENES)
    return data.layers["log"].toarray(), cell_types(data)


def split_and_centre(x: np.ndarray, seed: int) -> tuple[Cells, np.ndarray, np.ndarray]:
    """All cells less the training cells' mean of each gene; indices of training and of held-out cells."""
    train, held_out = split_indices(len(x), (1 - HELD_OUT, HELD_OUT), seed=seed)
    return cells_from_expression(x - x[train].mean(0)), train, held_out


def run_latent_size(x: np.ndarray, label: np.ndarray, n_latent: int, seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """Train GENEEX once and score it beside its untrained self and PCA.

    Parameters
    ----------
    x : (N, G).   label : (N,).   n_latent : L of both methods.   seed : of split, weights and minibatches.

    Returns
    -------
    One row for each method; columns ``seed, n_latent, method, held_out, knn``.
    """
    cells, train, held_out = split_and_centre(x, seed)
    centred, mean = cells.x.numpy(), np.zeros(cells.n_genes)

    def row(method: str, codes: np.ndarray, reconstruction: np.ndarray) -> dict[str, object]:
        explained = variance_explained(centred[held_out], reconstruction, mean)
        knn = label_knn_accuracy(codes[train], label[train], codes[held_out], label[held_out])
        return {"seed": seed, "n_latent": n_latent, "method": method, "held_out": explained, "knn": knn}

    pca = PCA(n_latent, random_state=0).fit(centred[train])
    codes = pca.transform(centred)
    rows = [row("pca", codes, pca.inverse_transform(codes[held_out]))]
    torch.manual_seed(seed)
    model = GENEEX(cells.n_genes, n_latent)
    for method in ("untrained", "geneex"):
        if method == "geneex":
            fit(model, cells[train], epochs=epochs, batch_size=BATCH_SIZE, lr=LR, seed=seed, progress=False)
        rows.append(row(method, get_latent_representation(model, cells), get_reconstruction(model, cells[held_out])))
    return pd.DataFrame(rows)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    x, label = blood()
    tables = []
    for seed in range(n_seeds):
        for n_latent in LATENT_SIZES:
            tables.append(run_latent_size(x, label, n_latent, seed))
            print(tables[-1].to_string(index=False, header=False), flush=True)
        path = save(pd.concat(tables), folder, "geneex_pbmc3k", provenance(seed + 1))
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("geneex_pbmc3k", "torch", "numpy", "scikit-learn", "scanpy") | {
        "data": f"PBMC3k, labelled cells, log1p of counts per 10,000, {N_GENES} most variable genes, centred",
        "seeds": list(range(n_seeds)),
        "latent_sizes": list(LATENT_SIZES),
        "held_out": HELD_OUT,
        "epochs": EPOCHS,
        "lr": LR,
        "batch_size": BATCH_SIZE,
    }


def main() -> None:
    """The command line."""
    command_line("GENEEX beside PCA on PBMC3k; writes geneex_pbmc3k.csv and .json.", run, seeds=3)


if __name__ == "__main__":
    main()
