"""Two runs of blood cells, integrated by four methods, judged by scIB's scores and by antibodies that saw no RNA.

    python -m course_lib.experiments.pair [--seeds 5] [--to data/results]        needs the extra `benchmark`

The pair: 200 + 200 cells of two 10x runs, 1,000 genes, chosen once over both runs together (``over_runs``), so that
those which tell the runs apart are among them, and once within runs (``within_runs``), as the field does. Methods:

``pca``
    10 principal components of log1p of counts per 10,000, the total over all genes.
``harmony``
    these components, moved by Harmony until the runs mix in its soft clusters, with harmonypy's own settings (Korsunsky
    et al. 2019, https://doi.org/10.1038/s41592-019-0619-0).
``scvi_no_batch``, ``scvi_batch``
    scVI without and with s: negative binomial, observed library, 10 dimensions, posterior means.

Types are antibodies' (``course_lib.analysis.antibodies``): whoever scores well on them was not helped by labels that a
clustering of RNA had made. A cell that fits no type has no say where types are scored.

A seed decides the split (90 % training, 10 % validation), weights, minibatches, Harmony's clusters, starts of k-means,
folds and shuffles; PCA itself is the same in every seed. Settings of scVI were chosen on validation cells by their
−ELBO; no score was looked at.

``pair.csv`` has one row for each seed, choice of genes, method and measure:

- do runs mix? ``entropy`` of runs among 50 neighbours, nats; ``ilisi`` and ``kbet``, 0 to 1. Beside each its
  ``_ceiling``: the same once runs were shuffled within types (cells of no type among themselves);
- are types kept? ``clisi``, ``graph_connectivity``, 0 to 1; ``ari`` of k-means with as many clusters as types;
  ``label_knn``, types named by 15 neighbours in other folds;
- both at once: ``label_across``, types named by 15 neighbours of the *other* run, mean of both directions;
- scVI only: ``elbo`` and ``kl_z`` of the validation cells, nats per cell, after the last epoch.

Axes: N cells, L latent dimensions.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from course_lib.analysis.antibodies import AMBIGUOUS, BLOOD_GATES, label_by_antibodies
from course_lib.analysis.clustering import kmeans_ari
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.mixing import batch_entropy, label_knn_accuracy, shuffled_within
from course_lib.data.cells import cells_from_counts
from course_lib.data.split import split_indices
from course_lib.experiments import scib
from course_lib.experiments.batches import FOLDS, N_LATENT, N_NEIGHBORS, cross_validated_knn, pca
from course_lib.experiments.cortex import held_out_bound
from course_lib.experiments.data_sets import cell_types, pbmc_pair
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, start_at_profile
from course_lib.training import fit

N_GENES, VALIDATION = 1_000, 0.1
EPOCHS, LR, EPS, WEIGHT_DECAY, BATCH_SIZE = 60, 2e-2, 0.01, 1e-6, 64  # LR: the top of one cycle
GENES = {"over_runs": False, "within_runs": True}
METHODS = ("pca", "harmony", "scvi_no_batch", "scvi_batch")
MIXING = ("entropy", "ilisi", "kbet")  # each has a ceiling
KEEPING = ("clisi", "graph_connectivity", "ari", "label_knn", "label_across")
TRAINED = ("elbo", "kl_z")
CHOSEN_ON: dict[str, object] = {
    "cells": "validation, seed 0, genes within runs; no score was looked at",
    "measure": "−ELBO after the last epoch, with s and without",
    "candidates": {
        "one cycle to 2e-2, 60 epochs (chosen: lowest mean of the two)": [672.0, 671.8],
        "one cycle to 1e-2, 60 epochs": [671.6, 673.4],
        "one cycle to 5e-3, 60 epochs": [675.1, 677.4],
        "one cycle to 1e-2, 30 epochs": [676.2, 679.6],
        "one cycle to 1e-2, 100 epochs": [678.1, 679.7],
        "one cycle to 5e-3, 100 epochs": [674.7, 676.3],
    },
}
Measured = dict[str, float]


def labelled_pair(genes: str) -> AnnData:
    """The pair with one choice of genes, and in ``obs["cell_type"]`` what its antibodies say."""
    data = pbmc_pair(N_GENES, within_runs=GENES[genes])
    data.obs["cell_type"] = label_by_antibodies(data.obsm["protein"], data.obs["batch"])
    return data


def harmony(codes: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
    """Codes (N, L), moved until batches mix."""
    import harmonypy

    found = harmonypy.run_harmony(
        codes, pd.DataFrame({"batch": batch}), "batch", random_state=seed, ncores=1, verbose=False
    )
    return np.asarray(found.Z_corr)


def scvi(
    data: AnnData, batch_key: str | None, seed: int, epochs: int = EPOCHS, lr: float = LR
) -> tuple[np.ndarray, Measured]:
    """Posterior means (N, L) of all cells, and how well the validation cells are explained."""
    cells = cells_from_counts(data, batch_key=batch_key)
    training, validation = (cells[part] for part in split_indices(len(cells), (1 - VALIDATION, VALIDATION), seed))
    torch.manual_seed(seed)
    model = SCVI(cells.genes, cells.batches, library_prior=None, gene_likelihood="nb", n_latent=N_LATENT)
    start_at_profile(model.decoder, training)
    fit(
        model, training, epochs=epochs, one_cycle=True, batch_size=BATCH_SIZE, lr=lr, eps=EPS,
        weight_decay=WEIGHT_DECAY, seed=seed, progress=False,
    )  # fmt: skip
    bound = held_out_bound(model, validation)
    return get_latent_representation(model, cells), {name: bound[name] for name in TRAINED}


def measure(codes: np.ndarray, batch: np.ndarray, types: np.ndarray, seed: int) -> Measured:
    """Mixing of batches, with ceilings, and keeping of types in codes (N, L)."""
    ceiling = mixing(codes, shuffled_within(batch, types, seed))
    known = types != AMBIGUOUS
    codes_of, batch_of, type_of = codes[known], batch[known], types[known]
    return mixing(codes, batch) | {f"{name}_ceiling": ceiling[name] for name in MIXING} | {
        "clisi": scib.clisi(codes_of, type_of),
        "graph_connectivity": scib.graph_connectivity(codes_of, type_of),
        "ari": kmeans_ari(codes_of, type_of, seed),
        "label_knn": cross_validated_knn(codes_of, type_of, seed),
        "label_across": named_by_the_other(codes_of, batch_of, type_of),
    }  # fmt: skip


def mixing(codes: np.ndarray, batch: np.ndarray) -> Measured:
    """The three scores of mixing, over all cells."""
    return {
        "entropy": batch_entropy(codes, batch, N_NEIGHBORS),
        "ilisi": scib.ilisi(codes, batch),
        "kbet": scib.kbet(codes, batch),
    }


def named_by_the_other(codes: np.ndarray, batch: np.ndarray, types: np.ndarray) -> float:
    """Types of each batch named by their neighbours in all others, mean over batches."""
    return float(
        np.mean([
            label_knn_accuracy(codes[batch != name], types[batch != name], codes[batch == name], types[batch == name])
            for name in np.unique(batch)
        ])
    )  # fmt: skip


def run_seed(data: AnnData, seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """Every method on one choice of genes: columns method, measure, value."""
    batch, types = data.obs["batch"].to_numpy(dtype=str), cell_types(data)
    components = pca(data)
    with_batch, reached_with = scvi(data, "batch", seed, epochs)
    without, reached_without = scvi(data, None, seed, epochs)
    measured = {
        "pca": measure(components, batch, types, seed),
        "harmony": measure(harmony(components, batch, seed), batch, types, seed),
        "scvi_no_batch": measure(without, batch, types, seed) | reached_without,
        "scvi_batch": measure(with_batch, batch, types, seed) | reached_with,
    }
    rows = [(method, name, value) for method, found in measured.items() for name, value in found.items()]
    return pd.DataFrame(rows, columns=["method", "measure", "value"])


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    pairs = {genes: labelled_pair(genes) for genes in GENES}
    tables = []
    for seed in range(n_seeds):
        for genes, data in pairs.items():
            tables.append(run_seed(data, seed).assign(seed=seed, genes=genes))
            wide = tables[-1].pivot(index="measure", columns="method", values="value")
            print(f"seed {seed}, {genes}\n{wide.round(3).to_string()}", flush=True)
        table = pd.concat(tables)[["seed", "genes", "method", "measure", "value"]]
        path = save(table, folder, "pair", provenance(pairs, seed + 1), float_format="%.5f")
    return path


def provenance(pairs: dict[str, AnnData], n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    of_type = pd.crosstab(pairs["within_runs"].obs["batch"], pairs["within_runs"].obs["cell_type"])
    shared = len(set.intersection(*(set(data.var_names) for data in pairs.values())))
    packages = ("torch", "numpy", "scipy", "scikit-learn", "scanpy", "harmonypy", "scib-metrics", "jax")
    return made_with("pair", *packages) | {
        "data": "PBMC pair, 200 + 200 cells of two 10x runs",
        "genes": {"chosen": N_GENES, "in_both_choices": shared},
        "gates": BLOOD_GATES,
        "cells": {str(run): {str(kind): int(n) for kind, n in row.items()} for run, row in of_type.iterrows()},
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_latent": N_LATENT, "hidden": [128], "gene_likelihood": "nb", "library": "observed",
            "validation": VALIDATION, "epochs": EPOCHS, "one_cycle": True, "lr": LR, "eps": EPS,
            "weight_decay": WEIGHT_DECAY, "batch_size": BATCH_SIZE, "start": "ρ at the mean profile",
            "entropy_neighbors": N_NEIGHBORS, "scib_neighbors": scib.N_NEIGHBORS, "knn_neighbors": 15,
            "knn_folds": FOLDS,
        },
        "chosen_on": CHOSEN_ON,
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Harmony and scVI on two runs, antibodies as judge; writes pair.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
