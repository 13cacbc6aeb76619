"""Differential expression where the truth is known, and where there is nothing to find; over several seeds.

    python -m course_lib.experiments.de_simulation [--seeds 10] [--to data/results]

Three tables, and ``de_simulation.json`` says with what they were made. A seed decides the data, the split, the weights,
the minibatches and the draws. Axes: N cells, G genes.

``de_simulation.csv``, one row per seed, mode, over and measure. Cells from the full scVI process, two of three types
compared. The truth is what the method estimates, computed on the true ρ: the change between the groups' means, or the
fraction of pairs of cells that differ; never the flag that a gene was meant to change. Modes are "vanilla", "change",
"change_tiny_pseudocount" (the same with c = 1e-9) and "wilcoxon" (log-normalised counts, Benjamini-Hochberg at .05,
over "cells"). Measures: ``auc``; ``n_true``, ``n_called``, ``power``; ``fdp``, the realised share of false discoveries
(over pairs: of pairs that do not differ); and of the change ``lfc_error``, root mean square of its posterior mean less
the truth (shrinkage of true changes included), ``lfc_std``, what the posterior says that should be, and
``counting_error``, what the counts allow a model that fits each group's mean freely.

``de_calibration.csv``: genes of all seeds in bins of ``proba_de``: mean probability beside the share truly changed.

``de_null.csv``: two halves of one type, one thinned to 40 % of its molecules. PBMC3k's CD14+ monocytes, and a simulated
type. Fraction of genes called, the largest probability (vanilla: of either sign), the mean absolute change.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import scanpy
import torch
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from course_lib.analysis.differential_expression import differential_expression
from course_lib.analysis.groups import group_masks
from course_lib.analysis.posterior import get_latent_library_size
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.data.split import split_indices
from course_lib.experiments.data_sets import pbmc3k, with_log
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training import fit

SIMULATION: dict[str, Any] = {"n_cells": 2_000, "n_genes": 400, "n_types": 3, "n_changed": 20, "fold": 2.0}
TRAINING: dict[str, Any] = {"epochs": 100, "patience": 5, "lr": 3e-3, "eps": 0.01, "weight_decay": 1e-6}
DELTA, FDR_TARGET, N_SAMPLES, N_PAIRS = 0.25, 0.05, 50, 5_000
TINY = 1e-9
Over = Literal["means", "pairs"]
MODES: dict[str, tuple[Literal["vanilla", "change"], float | None]] = {
    "vanilla": ("vanilla", None),
    "change": ("change", None),
    "change_tiny_pseudocount": ("change", TINY),
}
OVER: tuple[Over, ...] = ("means", "pairs")
BINS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
NULL_SEEDS, NULL_TYPE, NULL_GENES, KEPT = 3, "CD14+ Monocytes", 1_000, 0.4


def train(cells: Cells, seed: int, learns_library: bool = True, **training: Any) -> SCVI:
    """ZINB scVI on nine tenths of the cells, stopped by the rest; ``training`` replaces some of ``TRAINING``."""
    train_index, validation_index = split_indices(len(cells), (0.9, 0.1), seed=seed)
    seen = cells[train_index]
    prior = log_library_moments(seen) if learns_library else None
    torch.manual_seed(seed)
    model = SCVI(cells.genes, cells.batches, library_prior=prior, gene_likelihood="zinb")
    fit(model, seen, validation=cells[validation_index], seed=seed, progress=False, **(TRAINING | training))
    return model


def compare(
    model: SCVI, cells: Cells, one: NDArray, two: NDArray, mode: str, over: Over, seed: int, **more: Any
) -> pd.DataFrame:
    """The table of ``differential_expression`` in the order of the cells' genes, with ``score`` and ``called``."""
    name, pseudocount = MODES[mode]
    table = differential_expression(
        model, cells, one, two, mode=name, over=over, delta=DELTA, fdr_target=FDR_TARGET, pseudocount=pseudocount,
        n_samples=N_SAMPLES, n_pairs=N_PAIRS, seed=seed, **more,
    ).loc[list(cells.genes)]  # fmt: skip
    if name == "vanilla":
        return table.assign(score=table["bayes_factor"].abs(), called=table["is_de"])
    return table.assign(score=table["proba_de"], called=table[f"is_de_fdr_{FDR_TARGET}"])


def wilcoxon(data: AnnData, one: NDArray, two: NDArray) -> pd.DataFrame:
    """Wilcoxon's rank sum test on log1p of counts per 10,000: index gene, ``score`` (∣z∣) and ``called`` (BH)."""
    groups = AnnData(data.X, obs=pd.DataFrame(index=data.obs_names), var=data.var[[]])[one | two]
    groups = with_log(groups)
    groups.obs["group"] = pd.Categorical(np.where(one[one | two], "one", "two"))
    scanpy.tl.rank_genes_groups(groups, "group", groups=["one"], reference="two", method="wilcoxon", layer="log")
    table = scanpy.get.rank_genes_groups_df(groups, "one").set_index("names").loc[list(data.var_names)]
    return pd.DataFrame({"score": table["scores"].abs(), "called": table["pvals_adj"] < FDR_TARGET})


def true_change(rho1: NDArray, rho2: NDArray, over: str, pseudocount: float, delta: float) -> NDArray[np.float64]:
    """How far each gene is truly changed, in [0, 1]: (N₁, G) and (N₂, G) to (G,).

    Over means it is 1 where ∣LFC∣ of the mean profiles is above δ, else 0. Over pairs, the fraction of all pairs.
    """
    log1, log2 = (np.log2(rho + pseudocount) for rho in (rho1, rho2))
    if over == "means":
        return (np.abs(true_lfc(rho1, rho2, pseudocount)) > delta).astype(float)
    return np.mean([(np.abs(row - log2) > delta).mean(0) for row in log1], axis=0)


def true_lfc(rho1: NDArray, rho2: NDArray, pseudocount: float) -> NDArray[np.float64]:
    """log₂ fold change of the groups' mean profiles, (G,)."""
    return np.log2(rho1.mean(0) + pseudocount) - np.log2(rho2.mean(0) + pseudocount)


def measures(table: pd.DataFrame, truth: NDArray) -> dict[str, float]:
    """AUC, realised false discoveries and power of one method; ``truth`` (G,) in [0, 1].

    NaN where there is nothing to rank (AUC: genes of one kind only) or to find (power).
    """
    called, changed = table["called"].to_numpy(), truth > 0.5
    return {
        "auc": auc(changed, table["score"]),
        "n_true": float(changed.sum()),
        "n_called": float(called.sum()),
        "fdp": float(np.mean(1 - truth[called])) if called.any() else 0.0,
        "power": float(called[changed].mean()) if changed.any() else np.nan,
    }


def auc(changed: NDArray, score: ArrayLike) -> float:
    """How often a changed gene scores above an unchanged one, ties counted half: (G,) and (G,)."""
    return float(roc_auc_score(changed, score)) if 0 < changed.sum() < len(changed) else np.nan


def counting_error(model: SCVI, cells: Cells, table: pd.DataFrame, one: NDArray, two: NDArray) -> NDArray[np.float64]:
    """Standard error of the change of means that the spread of the counts between cells leaves, in log₂: (G,).

    Of x/ℓ in each group, by the delta method: what a model that fits each group's mean freely cannot be better than.
    """
    x = cells.x.numpy() / get_latent_library_size(model, cells)[:, None]
    variance = np.zeros(cells.n_genes)
    for group, scale in ((one, table["scale1"]), (two, table["scale2"])):
        relative = x[group].std(0) / np.sqrt(group.sum()) / np.maximum(x[group].mean(0), 1e-12)
        variance += (relative * scale / (scale + table["pseudocounts"])).to_numpy() ** 2
    return np.sqrt(variance) / np.log(2)


def run_seed(seed: int, **smaller: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measures (columns mode, over, measure, value) and genes (mode, over, proba, truth) of one simulation."""
    data = simulate(**(SIMULATION | smaller), seed=seed)
    cells = cells_from_counts(data, batch_key="batch")
    model = train(cells, seed)
    one, two = group_masks(data.obs, "cell_type", "type_0", "type_1")
    rho1, rho2 = data.layers["rho_biology"][one], data.layers["rho_biology"][two]
    rows: list[tuple[str, str, str, float]] = []
    genes = []
    for mode in MODES:
        for over in OVER:
            table = compare(model, cells, one, two, mode, over, seed)
            if mode == "vanilla":  # any difference counts; 1e-6: those of floating point do not
                found = measures(table, true_change(rho1, rho2, over, TINY, 1e-6))
            else:
                c = table["pseudocounts"].iloc[0]
                truth = true_change(rho1, rho2, over, c, DELTA)
                found = measures(table, truth) | {
                    "lfc_error": float(np.sqrt(np.mean((table["lfc_mean"] - true_lfc(rho1, rho2, c)) ** 2))),
                    "lfc_std": float(table["lfc_std"].median()),
                    "counting_error": float(np.median(counting_error(model, cells, table, one, two))),
                    "pseudocount": c,
                }
                genes.append(pd.DataFrame({"mode": mode, "over": over, "proba": table["proba_de"], "truth": truth}))
            rows += [(mode, over, name, value) for name, value in found.items()]
    truth = true_change(rho1, rho2, "means", TINY, 1e-6)
    rows += [("wilcoxon", "cells", name, value) for name, value in measures(wilcoxon(data, one, two), truth).items()]
    return pd.DataFrame(rows, columns=["mode", "over", "measure", "value"]), pd.concat(genes)


def calibration(genes: pd.DataFrame) -> pd.DataFrame:
    """Mean probability beside mean truth in bins of the probability, for each mode and over."""
    edges = np.array(BINS)
    genes = genes.assign(bin=np.clip(np.searchsorted(edges, genes["proba"], side="right") - 1, 0, len(edges) - 2))
    table = genes.groupby(["mode", "over", "bin"]).agg(
        n_genes=("proba", "size"), predicted=("proba", "mean"), realised=("truth", "mean")
    )
    table = table.reset_index()
    table.insert(2, "low", edges[table["bin"]])
    table.insert(3, "high", edges[table["bin"] + 1])
    return table.drop(columns="bin")


def halves_of_one_type(data: AnnData, cell_type: str, seed: int) -> tuple[AnnData, NDArray, NDArray]:
    """A copy of ``data`` in which a random half of one type keeps 40 % of its molecules: data, thinned half, other."""
    rng = np.random.default_rng(seed)
    members = rng.permutation(np.flatnonzero(data.obs["cell_type"] == cell_type))
    thinned, whole = np.zeros(data.n_obs, dtype=bool), np.zeros(data.n_obs, dtype=bool)
    thinned[members[: len(members) // 2]], whole[members[len(members) // 2 :]] = True, True
    x = (data.X if isinstance(data.X, np.ndarray) else data.X.toarray()).astype(np.int64)
    x[thinned] = rng.binomial(x[thinned], KEPT)
    return AnnData(x.astype(np.float32), obs=data.obs.copy(), var=data.var[[]].copy()), thinned, whole


def null_seed(data: AnnData, cell_type: str, seed: int) -> pd.DataFrame:
    """One row for each library, mode and over: what is called where nothing differs but depth."""
    data, thinned, whole = halves_of_one_type(data, cell_type, seed)
    cells = cells_from_counts(data)
    rows: list[tuple[str, str, str, float, float, float]] = []
    for library in ("learned", "observed"):
        model = train(cells, seed, learns_library=library == "learned")
        for mode in MODES:
            for over in OVER:
                table = compare(model, cells, thinned, whole, mode, over, seed)
                vanilla = mode == "vanilla"
                largest = table[["proba_m1", "proba_m2"]].max().max() if vanilla else table["proba_de"].max()
                change = np.nan if vanilla else table["lfc_mean"].abs().mean()
                rows.append((library, mode, over, table["called"].mean(), largest, change))
    rows.append(("", "wilcoxon", "cells", wilcoxon(data, thinned, whole)["called"].mean(), np.nan, np.nan))
    columns = ["library", "mode", "over", "fraction_called", "largest_proba", "mean_absolute_lfc"]
    return pd.DataFrame(rows, columns=columns)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the tables and their provenance; returns the first table's path."""
    tables, genes = [], []
    for seed in range(n_seeds):
        table, genes_of_seed = run_seed(seed)
        print(f"seed {seed}\n{table.to_string(index=False)}", flush=True)
        tables.append(table.assign(seed=seed)[["seed", "mode", "over", "measure", "value"]])
        genes.append(genes_of_seed)
        path = save(pd.concat(tables), folder, "de_simulation", provenance(seed + 1))
        save(calibration(pd.concat(genes)), folder, "de_calibration")
    null_sources: dict[str, Callable[[int], pd.DataFrame]] = {
        "simulation": lambda seed: null_seed(simulate(**SIMULATION, batch_sd=0.0, seed=seed), "type_0", seed),
        "pbmc3k": lambda seed: null_seed(pbmc3k(NULL_GENES), NULL_TYPE, seed),
    }
    nulls = []
    for name, one_seed in null_sources.items():
        for seed in range(min(n_seeds, NULL_SEEDS)):
            nulls.append(one_seed(seed))
            print(f"{name}, seed {seed}\n{nulls[-1].to_string(index=False)}", flush=True)
            nulls[-1].insert(0, "data", name)
            nulls[-1].insert(1, "seed", seed)
            save(pd.concat(nulls), folder, "de_null")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the tables were made."""
    return made_with("de_simulation", "torch", "numpy", "scipy", "scikit-learn", "scanpy", "anndata") | {
        "data": "simulated from the full scVI process; PBMC3k for the null",
        "seeds": list(range(n_seeds)),
        "null_seeds": list(range(min(n_seeds, NULL_SEEDS))),
        "settings": {
            "simulation": SIMULATION, "training": TRAINING, "gene_likelihood": "zinb", "delta": DELTA,
            "fdr_target": FDR_TARGET, "n_samples": N_SAMPLES, "n_pairs": N_PAIRS, "null_type": NULL_TYPE,
            "null_genes": NULL_GENES, "molecules_kept": KEPT,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Differential expression against known truth; writes de_*.csv and .json.", run, seeds=10)


if __name__ == "__main__":
    main()
