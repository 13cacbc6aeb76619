"""Denoising invents correlations: genes that have nothing to do with each other, before and after it.

    python -m course_lib.experiments.invented_correlation [--seeds 5] [--to data/results]

- ``simulated``: cells of scVI's own process without dropout or batches, of one type or of three. Correlations are those
  between its ``unrelated`` genes: the genes that no type changes, with a mean above ``MIN_MEAN``. Given a cell's
  library size their counts are independent of each other and of everything else. Others do depend on the type, where
  there are three.
- ``cortex``: real cells, and beside each gene a copy dealt anew among cells of the same total (``data.permuted``).
  ``real`` genes may be correlated. Their ``control``, the copies, are not; model and methods see both.

A seed decides the simulated cells, the permutation, the weights, the minibatches and the draws. ``METHODS`` says what
is correlated, always as a logarithm. ``invented_correlation.csv`` has one row for each seed, data, ``n_types``,
``n_cells``, ``genes`` and method:

``q50``, ``q90``, ``q99``
    quantiles of ∣r∣ over all pairs of these ``n_genes`` genes.
``mean_r2``
    mean of r² over all pairs, each gene with itself included: its inverse is the number of dimensions in which the
    genes vary, as if equally in each.
``sd_log``
    median over genes of the standard deviation over cells of what is correlated: where it is nothing, r means nothing.

Axes: N cells, G genes.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from course_lib.analysis.posterior import get_normalized_expression, posterior_predictive_sample
from course_lib.analysis.predictive_checks import correlations, pairs
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.expression import log_normalise
from course_lib.data.permuted import ENDING, with_permuted_copies
from course_lib.data.scvi_process import simulate
from course_lib.experiments.data_sets import cortex
from course_lib.experiments.imputation import EPS, LR, WEIGHT_DECAY, neighbour_means, pca_reconstructions, train
from course_lib.experiments.record import command_line, made_with, save

N_TYPES, N_CELLS, N_GENES, N_CHANGED, FOLD = (1, 3), (500, 1_000, 3_000), 200, 20, 3.0
LOG_LIBRARY_MEANS, MIN_MEAN = (7.9,), 0.1
EPOCHS, DRAWS, NEIGHBOURS, COMPONENTS = 60, 25, 20, 10

METHODS = {
    "raw": "log1p CP10k",
    "rho": "scVI, log ρ averaged over draws",
    "rho_draw": "scVI, log ρ of one draw",
    "predictive": "scVI, replicated counts",
    "knn": "20 neighbours pooled",
    "pca": "10 components",
}
COLUMNS = [
    "seed", "data", "n_types", "n_cells", "genes", "n_genes", "method", "q50", "q90", "q99", "mean_r2", "sd_log",
]  # fmt: skip


def logarithms(cells: Cells, seed: int, epochs: int = EPOCHS) -> dict[str, NDArray[np.floating]]:
    """What each method makes of the counts, (N, G) in logarithms."""
    model = train(cells, "nb", seed, epochs)
    replicated = posterior_predictive_sample(model, cells, seed=seed)[0]
    (_, pooled), (_, back) = *neighbour_means(cells, [NEIGHBOURS]), *pca_reconstructions(cells, [COMPONENTS])
    return {
        "raw": log_normalise(cells.x.numpy(), 1e4),
        "rho": np.log(get_normalized_expression(model, cells, n_samples=DRAWS, seed=seed)),
        "rho_draw": np.log(get_normalized_expression(model, cells, n_samples=1, seed=seed)),
        "predictive": log_normalise(replicated, 1e4),
        "knn": log_normalise(pooled, 1e4),
        "pca": log_normalise(back, 1e4),
    }


def measures(values: NDArray[np.floating]) -> dict[str, float]:
    """Of logarithms (N, G): how strongly the genes are correlated, whatever the sign."""
    r = correlations(values)
    size = np.abs(pairs(r))
    quantiles = np.nanquantile(size, [0.5, 0.9, 0.99])
    square = np.square(r)
    return {
        "n_genes": values.shape[1],
        **dict(zip(("q50", "q90", "q99"), map(float, quantiles), strict=True)),
        "mean_r2": float(np.nanmean(square)),
        "sd_log": float(np.median(values.astype(np.float64).std(0))),
    }


def run_simulated(seed: int, n_types: int, n_cells: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """A row for each method, about the unrelated genes of simulated cells."""
    data = simulate(
        n_cells, N_GENES, n_types=n_types, n_changed=N_CHANGED if n_types > 1 else 0, fold=FOLD,
        log_library_means=LOG_LIBRARY_MEANS, batch_sd=0.0, dropout=0.0, seed=seed,
    )  # fmt: skip
    unrelated = (data.var["changed_in"] == "none").to_numpy() & (np.asarray(data.X).mean(0) > MIN_MEAN)
    found = logarithms(cells_from_counts(data), seed, epochs)
    rows = [{"method": method, **measures(values[:, unrelated])} for method, values in found.items()]
    return pd.DataFrame(rows).assign(seed=seed, data="simulated", n_types=n_types, n_cells=n_cells, genes="unrelated")[
        COLUMNS
    ]


def run_cortex(cells: Cells, seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """A row for each method, about the genes of real cells, and about their permuted copies."""
    both = with_permuted_copies(cells, seed=seed)
    control = np.array([gene.endswith(ENDING) for gene in both.genes])
    rows = [
        {"genes": name, "method": method, **measures(values[:, which])}
        for method, values in logarithms(both, seed, epochs).items()
        for name, which in (("real", ~control), ("control", control))
    ]
    return pd.DataFrame(rows).assign(seed=seed, data="cortex", n_types=7, n_cells=len(cells))[COLUMNS]


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    cells, tables = cells_from_counts(cortex(558)), []
    for seed in range(n_seeds):
        tables += [run_simulated(seed, n_types, n_cells) for n_types in N_TYPES for n_cells in N_CELLS]
        tables.append(run_cortex(cells, seed))
        print(pd.concat(tables[-1 - len(N_TYPES) * len(N_CELLS) :]).round(3).to_string(index=False), flush=True)
        path = save(pd.concat(tables), folder, "invented_correlation", provenance(seed + 1), float_format="%.5g")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("invented_correlation", "torch", "numpy", "scikit-learn", "scanpy") | {
        "data": "course_lib.data.scvi_process.simulate, and Cortex, 558 genes with their permuted copies",
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_types": list(N_TYPES), "n_cells": list(N_CELLS), "n_genes": N_GENES, "n_changed": N_CHANGED,
            "fold": FOLD, "log_library_means": list(LOG_LIBRARY_MEANS), "min_mean": MIN_MEAN, "gene_likelihood": "nb",
            "n_latent": 10, "hidden": [128], "epochs": EPOCHS, "one_cycle": True, "lr": LR, "eps": EPS,
            "weight_decay": WEIGHT_DECAY, "batch_size": 128, "draws": DRAWS, "neighbours": NEIGHBOURS,
            "components": COMPONENTS, "chosen": "by nobody: those of the imputation experiment on the cortex",
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Correlations that denoising invents; writes invented_correlation.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
