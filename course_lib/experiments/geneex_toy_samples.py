"""GENEEX on the lecture's toy by the number of cells that it learns from, with and without dropout, to convergence.

    python -m course_lib.experiments.geneex_toy_samples [--seeds 3] [--to data/results]

``geneex_toy`` trains for four epochs on 4,800 cells. Here training goes on until the loss of 300 further cells has not
fallen for so many steps, and the weights of its lowest point are kept. These cells are drawn for the purpose; PCA,
which needs none, does not get them. All methods of a seed are judged on the same 1,200 held-out cells, and a smaller
training set is contained in each larger one.

``geneex_toy_samples.csv``, one row for each seed, number of training cells ``n_cells``, method (``geneex``,
``geneex_no_dropout``, ``untrained``, ``pca``, ``oracle``, ``oracle_depth``) and number of latent dimensions
``n_latent``; PCA has as many components as the training cells allow. An oracle is told each held-out cell's program
(``oracle_depth``: and its library size), and has learned its means from 4,800 cells, whatever ``n_cells``.

- ``held_out``: fraction of the variance of held-out cells explained.
- ``noise``: how much of a cell's noise comes back. With m the mean that the deeper oracle expects of the cell,
  Σ(x′ − m)(x − m) / Σ(x − m)². A model that knows only what cells have in common has 0; an orthogonal projection of
  white noise to d of G dimensions has d/G, and its held-out variance is larger by that share of the noise.
- ``ari``: how well k-means on the codes finds the programs.   ``depth``: R² of log library size read from the codes.
- ``epochs``: when the loss of the validation cells was lowest.   ``steps``: optimizer steps until then.

Axes: N cells, G genes, L latent dimensions.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from course_lib.analysis.clustering import kmeans_ari
from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.reconstruction import variance_explained
from course_lib.data.cells import Cells
from course_lib.experiments.geneex_toy import (
    HELD_OUT,
    N_CELLS,
    TARGET_SUM,
    Toy,
    library_read_from,
    oracle_means,
    toy,
)
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.geneex import GENEEX
from course_lib.training.fit import fit

FOLD, SIZES, N_VALIDATION = 1.5, (100, 300, 1_000, 3_000), 300
LATENT_SIZES, PCA_SIZES = (2, 128), (2, 3, 128)
DROPOUT = {"geneex": 0.1, "geneex_no_dropout": 0.0}
LR, BATCH_SIZE = 3e-4, 128
MAX_STEPS, PATIENCE_STEPS = 1_500, 100


def first_cells(whole: Toy, n_cells: int) -> tuple[Toy, Cells, np.ndarray]:
    """The first n training cells, the last ones for validation, and the mean by which all were centred anew, (G,).

    Raises
    ------
    ValueError : training and validation cells that would overlap.
    """
    last = len(whole.train) - N_VALIDATION
    if not 2 <= n_cells <= last:
        raise ValueError(
            f"n_cells: expected from 2 to {last}, so that {N_VALIDATION} further cells are left for validation, "
            f"found {n_cells}; take fewer, or simulate more."
        )
    train, validation = whole.train[slice(n_cells)], whole.train[slice(last, None)]
    mean = train.x.mean(0)

    def centred(cells: Cells) -> Cells:
        return replace(cells, x=cells.x - mean)

    part = replace(
        whole, train=centred(train), held_out=centred(whole.held_out), train_truth=whole.train_truth.iloc[:n_cells]
    )
    return part, centred(validation), mean.numpy()


def noise_passed_on(x: np.ndarray, back: np.ndarray, expected: np.ndarray) -> float:
    """Σ(x′ − m)(x − m) / Σ(x − m)², all (N, G)."""
    noise = x - expected
    return float(((back - expected) * noise).sum() / np.square(noise).sum())


def converge(model: GENEEX, train: Cells, validation: Cells, seed: int, max_steps: int = MAX_STEPS) -> tuple[int, int]:
    """Train until the validation loss falls no more; returns epochs and steps to its lowest point."""
    steps = math.ceil(len(train) / BATCH_SIZE)  # of one epoch
    history = fit(
        model,
        train,
        validation=validation,
        epochs=math.ceil(max_steps / steps),
        patience=math.ceil(PATIENCE_STEPS / steps),
        batch_size=BATCH_SIZE,
        lr=LR,
        seed=seed,
        progress=False,
    )
    best = int(history["validation_loss"].idxmin())
    return best, best * steps


def run_size(
    whole: Toy, n_cells: int, seed: int, latent_sizes: Sequence[int] = LATENT_SIZES, max_steps: int = MAX_STEPS
) -> pd.DataFrame:
    """Oracles, PCA, untrained and trained networks for one number of training cells.

    Parameters
    ----------
    whole : the toy with all its training cells.   seed : of weights and minibatches.   max_steps : at most so many.

    Returns
    -------
    One row for each method and number of latent dimensions; columns ``n_cells, method, n_latent, held_out, noise``,
    and ``ari, depth, epochs, steps`` where they apply.
    """
    data, validation, shift = first_cells(whole, n_cells)
    x, mean = data.held_out.x.numpy(), np.zeros(data.held_out.n_genes)
    expected = oracle_means(whole, depth=True) - shift
    rows: list[dict[str, object]] = []

    def add(method: str, back: np.ndarray, codes: np.ndarray | None = None, **further: float) -> None:
        rows.append({"n_cells": n_cells, "method": method, "n_latent": None if codes is None else codes.shape[1]})
        rows[-1] |= {"held_out": variance_explained(x, back, mean), "noise": noise_passed_on(x, back, expected)}
        if codes is not None:
            rows[-1] |= {"ari": kmeans_ari(codes, data.program), "depth": library_read_from(codes, data)}
        rows[-1] |= further

    add("oracle", oracle_means(whole, depth=False) - shift)
    add("oracle_depth", expected)
    pca = PCA(min(max(PCA_SIZES), n_cells - 1, data.train.n_genes), svd_solver="full").fit(data.train.x.numpy())
    codes = pca.transform(x)
    for k in sorted({min(size, codes.shape[1]) for size in PCA_SIZES}):
        add("pca", codes[:, :k] @ pca.components_[:k], codes[:, :k])
    for n_latent in latent_sizes:
        for method, dropout in DROPOUT.items():
            torch.manual_seed(seed)
            model = GENEEX(data.train.n_genes, n_latent, dropout=dropout)
            if method == "geneex":
                add(
                    "untrained",
                    get_reconstruction(model, data.held_out),
                    get_latent_representation(model, data.held_out),
                )
            epochs, steps = converge(model, data.train, validation, seed, max_steps)
            codes = get_latent_representation(model, data.held_out)
            add(method, get_reconstruction(model, data.held_out), codes, epochs=epochs, steps=steps)
    return pd.DataFrame(rows)


def run_seed(seed: int) -> pd.DataFrame:
    """Every number of training cells."""
    whole = toy(FOLD, TARGET_SUM, seed)
    table = pd.concat([run_size(whole, n_cells, seed) for n_cells in SIZES], ignore_index=True)
    table.insert(0, "seed", seed)
    return table


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    tables = []
    for seed in range(n_seeds):
        tables.append(run_seed(seed))
        print(tables[-1].to_string(index=False), flush=True)
        path = save(pd.concat(tables), folder, "geneex_toy_samples", provenance(seed + 1))
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("geneex_toy_samples", "torch", "numpy", "scikit-learn") | {
        "data": f"three_programs as in geneex_toy, fold {FOLD}, {N_CELLS} cells, {HELD_OUT:.0%} held out",
        "seeds": list(range(n_seeds)),
        "sizes": list(SIZES),
        "n_validation": N_VALIDATION,
        "latent_sizes": list(LATENT_SIZES),
        "dropout": DROPOUT,
        "lr": LR,
        "batch_size": BATCH_SIZE,
        "max_steps": MAX_STEPS,
        "patience_steps": PATIENCE_STEPS,
    }


def main() -> None:
    """The command line."""
    command_line("GENEEX on three programs by number of cells; writes geneex_toy_samples.csv and .json.", run, seeds=3)


if __name__ == "__main__":
    main()
