"""Counts taken out and filled in: scVI beside the gene's mean, neighbours, PCA and scvi-tools; and what is possible.

    python -m course_lib.experiments.imputation [--seeds 5] [--data cortex pbmc3k] [--to data/results]

Needs the extra `peer`; scvi-tools is asked where counts were hidden, as in its paper. Two ways to take counts out, each
on cortex and PBMC3k (``data.corrupt``):

- ``hidden``: a tenth of the nonzero counts is set to zero, as in scVI's paper, and judged where they stood;
- ``thinned``: every molecule is held out with probability 0.1, and every entry is judged, its value times 0.1/0.9.

A seed decides what is taken out, the weights, the minibatches and the draws. Every method sees the remaining counts
alone. A fifth of the entries that are judged is for validation and decides the settings, by the median L1 error where
counts were hidden and by the deviance where they were thinned; errors are of the other four fifths.

``imputation.csv``, one row for each data set, corruption, seed and method:

``median_l1``, ``mean_l1``, ``rmse``
    of the errors, in molecules.
``deviance``
    the mean Poisson deviance per entry, where counts were thinned; an expected count below ``FLOOR`` is taken for it.
``setting``
    what validation chose: the constant, the neighbours, the components.
``cpu_s``
    seconds of processor time, from the counts to the values; choosing a setting included.

``imputation_ceiling.csv``: on cells of scVI's own process, among the entries that dropout removed (``dropped``) and
among all zeros (``zeros``), the error of ``mean`` and of ``given_zero`` from the true parameters (``truth``) and from a
trained model (``zinb``): ``rmse`` in molecules and ``correlation`` with the counts before dropout.

Axes: N cells, G genes, H hidden entries.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import mean_poisson_deviance
from sklearn.neighbors import NearestNeighbors

from course_lib.analysis.imputation import Estimate, impute
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.corrupt import hide_counts, thin
from course_lib.data.expression import log_normalise
from course_lib.data.scvi_process import simulate
from course_lib.data.split import split_indices
from course_lib.experiments import recovery, scvi_tools
from course_lib.experiments.data_sets import cortex, pbmc3k
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, GeneLikelihood, log_library_moments, start_at_profile
from course_lib.probability.counts import ZeroInflatedNegativeBinomial
from course_lib.probability.hidden_counts import mean_given_zero
from course_lib.training import fit

FRACTION, KEEP, VALIDATION, DRAWS, FLOOR = 0.1, 0.9, 0.2, 25, 1e-4
DATA: dict[str, Callable[[], AnnData]] = {"cortex": lambda: cortex(558), "pbmc3k": lambda: pbmc3k(2_000)}
EPOCHS, LR, EPS, WEIGHT_DECAY = {"cortex": 60, "pbmc3k": 30}, 1e-2, 0.01, 1e-6  # LR: the top of one cycle
THEIR_EPOCHS = {"cortex": 250, "pbmc3k": 120}
CONSTANTS, NEIGHBOURS, COMPONENTS = range(1, 11), (5, 10, 20, 40, 80, 160, 320), (5, 10, 20, 40, 80)
NEIGHBOUR_COMPONENTS = 30
PROCESS: dict[str, Any] = {"n_cells": 3_000, "n_genes": 300, "log_library_means": (7.6, 8.2), "dropout": 0.1}

METHODS = {
    "zero": "Nothing filled in",
    "constant": "One constant",
    "gene_mean": "The gene's mean, times the cell's total",
    "knn": "Neighbours pooled",
    "pca": "PCA of log1p CP10k",
    "untrained": "scVI before training",
    "zinb": "scVI, E[ℓρ]",
    "zinb_given_zero": "scVI, P(dropout∣0)·ℓρ",
    "zinb_above_zero_mean": "scVI, mean of y∣y>0",
    "zinb_above_zero_median": "scVI, median of y∣y>0",
    "zinb_rate": "scVI, own count too",
    "nb": "NB, E[ℓρ]",
    "nb_above_zero_mean": "NB, mean of y∣y>0",
    "nb_above_zero_median": "NB, median of y∣y>0",
    "nb_rate": "NB, own count too",
    "scvi_tools": "scvi-tools, ℓ learned",
}
ESTIMATES: dict[str, dict[GeneLikelihood, tuple[Estimate, ...]]] = {  # of each corruption
    "hidden": {
        "zinb": ("mean", "given_zero", "above_zero_mean", "above_zero_median"),
        "nb": ("mean", "above_zero_mean", "above_zero_median"),
    },
    "thinned": {"zinb": ("mean", "rate"), "nb": ("mean", "rate")},
}
CHOSEN_ON = {
    "entries": "validation, seed 0",
    "measure": "median L1 where counts were hidden, ZINB, E_q[ℓρ]",
    "candidates": {
        "cortex": {
            "one cycle to 1e-2, 60 epochs (chosen)": 2.142,
            "one cycle to 2e-2, 60 epochs": 2.144,
            "one cycle to 1e-2, 30 epochs": 2.171,
            "one cycle to 2e-2, 30 epochs": 2.164,
        },
        "pbmc3k": {
            "one cycle to 1e-2, 30 epochs (chosen)": 0.854,
            "one cycle to 2e-2, 30 epochs": 0.856,
            "one cycle to 1e-2, 60 epochs": 0.863,
        },
    },
}
MEASURES = ["median_l1", "mean_l1", "rmse", "deviance"]
COLUMNS = ["data", "corruption", "seed", "method", *MEASURES, "setting", "cpu_s"]

Values = NDArray[np.floating]  # (N, G), molecules of the cell's own library
Judge = Callable[[Values], dict[str, float]]


def build(cells: Cells, gene_likelihood: GeneLikelihood, seed: int) -> SCVI:
    """The course's full model, library learned, before training: ρ near the mean profile, ℓ near its prior."""
    torch.manual_seed(seed)
    model = SCVI(cells.genes, library_prior=log_library_moments(cells), gene_likelihood=gene_likelihood)
    start_at_profile(model.decoder, cells)
    return model


def train(cells: Cells, gene_likelihood: GeneLikelihood, seed: int, epochs: int) -> SCVI:
    """The same after training."""
    model = build(cells, gene_likelihood, seed)
    fit(
        model, cells, epochs=epochs, one_cycle=True, lr=LR, eps=EPS, weight_decay=WEIGHT_DECAY, seed=seed,
        progress=False,
    )  # fmt: skip
    return model


# Without a model ------------------------------------------------------------------------------------------------------


def gene_mean(cells: Cells) -> Values:
    """Each gene's share of all counts, times the cell's total."""
    x = cells.x.double().numpy()
    return x.sum(1, keepdims=True) * x.sum(0) / x.sum()


def neighbour_means(cells: Cells, ks: Sequence[int] = NEIGHBOURS) -> Iterator[tuple[int, Values]]:
    """For each k: the counts of the k nearest cells, itself among them, pooled, scaled to the cell's total.

    Nearest on the 30 leading principal components of log1p CP10k.
    """
    x = cells.x.double().numpy()
    expression = log_normalise(x, 1e4)
    codes = PCA(min(NEIGHBOUR_COMPONENTS, *x.shape), random_state=0).fit_transform(expression)
    order = NearestNeighbors(n_neighbors=max(ks)).fit(codes).kneighbors(codes, return_distance=False)  # (N, k)
    total = x.sum(1, keepdims=True)
    for k in ks:
        pooled = np.stack([x[row].sum(0) for row in order[:, :k]])  # (N, G)
        yield k, total * pooled / pooled.sum(1, keepdims=True)


def pca_reconstructions(cells: Cells, ns: Sequence[int] = COMPONENTS) -> Iterator[tuple[int, Values]]:
    """For each n: log1p CP10k back from n principal components, as counts of the cell's total, none below zero."""
    x = cells.x.double().numpy()
    expression = log_normalise(x, 1e4)
    pca = PCA(max(ns), random_state=0).fit(expression)
    codes, total = pca.transform(expression), x.sum(1, keepdims=True)
    for n in ns:
        back = codes[:, :n] @ pca.components_[:n] + pca.mean_
        yield n, np.expm1(np.maximum(back, 0)) * total / 1e4


def chosen(candidates: Iterator[tuple[int, Values]], judge: Judge, measure: str) -> tuple[int, Values]:
    """The setting with the smallest error on the validation entries, and its values."""
    best, least = None, np.inf
    for setting, values in candidates:
        if (error := judge(values)[measure]) < least:
            best, least = (setting, values), error
    assert best is not None
    return best


# Judges ---------------------------------------------------------------------------------------------------------------


def errors(values: NDArray[np.floating], truth: NDArray[np.floating]) -> dict[str, float]:
    """Of imputed values and true counts, entry by entry, (H,) each."""
    error = np.abs(values.astype(np.float64) - truth)
    return {
        "median_l1": float(np.median(error)),
        "mean_l1": float(error.mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
    }


def hide(cells: Cells, seed: int) -> tuple[Cells, Judge, Judge]:
    """The cells with a tenth of their nonzero counts set to zero, and the errors on validation and on test entries."""
    corrupted, hidden = hide_counts(cells, FRACTION, seed)
    parts = [hidden[i] for i in split_indices(len(hidden), (VALIDATION, 1 - VALIDATION), seed)]
    validation, test = (
        lambda values, part=part: errors(values[part.cell, part.gene], part.count) for part in parts
    )  # fmt: skip
    return corrupted, validation, test


def hold_out(cells: Cells, seed: int) -> tuple[Cells, Judge, Judge]:
    """The cells with nine tenths of their molecules, and the errors of what is expected of the others."""
    kept, held = thin(cells, KEEP, seed)
    parts = split_indices(held.size, (VALIDATION, 1 - VALIDATION), seed)

    def judge_of(part: NDArray[np.int64]) -> Judge:
        def judge(values: Values) -> dict[str, float]:
            expected = values.ravel()[part] * (1 - KEEP) / KEEP
            deviance = mean_poisson_deviance(held.ravel()[part], np.maximum(expected, FLOOR))
            return errors(expected, held.ravel()[part]) | {"deviance": float(deviance)}

        return judge

    return kept, judge_of(parts[0]), judge_of(parts[1])


# Contest --------------------------------------------------------------------------------------------------------------


def run_seed(
    data: str,
    corruption: str,
    cells: Cells,
    seed: int,
    *,
    epochs: int | None = None,
) -> pd.DataFrame:
    """One row for each method but scvi-tools'."""
    corrupted, validation, test = (hide if corruption == "hidden" else hold_out)(cells, seed)
    measure = "median_l1" if corruption == "hidden" else "deviance"
    rows: list[dict[str, Any]] = []

    def add(method: str, seconds: float, values: Values, setting: int | None = None) -> None:
        rows.append({"method": method, **test(values), "setting": setting, "cpu_s": seconds})

    add("zero", 0.0, np.zeros(corrupted.x.shape))
    if corruption == "hidden":
        constants = ((c, np.full(corrupted.x.shape, float(c))) for c in CONSTANTS)
        setting, values = chosen(constants, validation, measure)
        add("constant", 0.0, values, setting)
    start = time.process_time()
    values = gene_mean(corrupted)
    add("gene_mean", time.process_time() - start, values)
    for method, candidates in [("knn", neighbour_means(corrupted)), ("pca", pca_reconstructions(corrupted))]:
        start = time.process_time()
        setting, values = chosen(candidates, validation, measure)
        add(method, time.process_time() - start, values, setting)
    add("untrained", 0.0, impute(build(corrupted, "zinb", seed), corrupted, n_samples=DRAWS))
    for likelihood, estimates in ESTIMATES[corruption].items():
        start = time.process_time()
        model = train(corrupted, likelihood, seed, EPOCHS[data] if epochs is None else epochs)
        trained = time.process_time() - start
        for estimate in estimates:
            start = time.process_time()
            values = impute(model, corrupted, estimate, n_samples=DRAWS, seed=seed)
            method = likelihood if estimate == "mean" else f"{likelihood}_{estimate}"
            add(method, trained + time.process_time() - start, values)
    return pd.DataFrame(rows).assign(data=data, corruption=corruption, seed=seed).reindex(columns=COLUMNS)


def run_scvi_tools(data: str, cells: Cells, seed: int, epochs: int | None = None) -> pd.DataFrame:
    """The row of scvi-tools where counts were hidden: ZINB, library learned, its own function for E_q[ℓρ]."""
    corrupted, _, test = hide(cells, seed)
    start = time.process_time()
    model = scvi_tools.build(corrupted, seed, learn_library=True)
    scvi_tools.train(model, THEIR_EPOCHS[data] if epochs is None else epochs)
    values = model.get_normalized_expression(library_size="latent", n_samples=DRAWS, return_numpy=True)
    row = {"data": data, "corruption": "hidden", "seed": seed, "method": "scvi_tools", **test(values)}
    return pd.DataFrame([row | {"cpu_s": time.process_time() - start}]).reindex(columns=COLUMNS)


# Ceiling --------------------------------------------------------------------------------------------------------------


def ceiling(seed: int, epochs: int = recovery.EPOCHS, process: Mapping[str, Any] = PROCESS) -> pd.DataFrame:
    """What the true parameters know of a count that dropout removed, and what a trained model knows."""
    data = simulate(**process, seed=seed)
    cells = cells_from_counts(data, batch_key="batch")
    model = recovery.train(cells, "zinb", seed, epochs)
    p = ZeroInflatedNegativeBinomial(
        torch.from_numpy(data.obs["library"].to_numpy()[:, None] * data.layers["rho"]),
        torch.from_numpy(data.var["theta"].to_numpy()),
        torch.from_numpy(data.layers["zi_probs"]).logit(),
    )
    values: dict[tuple[str, str], Values] = {("truth", "mean"): p.mu.numpy()}
    values["truth", "given_zero"] = mean_given_zero(p).numpy()
    for estimate in ("mean", "given_zero"):
        values["zinb", estimate] = impute(model, cells, estimate, n_samples=DRAWS, seed=seed)
    entries = {"dropped": data.layers["dropped"], "zeros": np.asarray(data.X) == 0}
    y = data.layers["before_dropout"].astype(np.float64)
    rows = [
        {
            "seed": seed, "entries": name, "who": who, "estimate": estimate, "rmse": errors(v[where], y[where])["rmse"],
            "correlation": float(np.corrcoef(v[where], y[where])[0, 1]),
        }
        for name, where in entries.items()
        for (who, estimate), v in values.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def run(n_seeds: int, data: Sequence[str], folder: Path) -> Path:
    """Write both tables and their provenance, scvi-tools' rows last; returns the path of the first."""
    everything = {name: cells_from_counts(DATA[name]()) for name in data}
    tables, ceilings = [], []
    for seed in range(n_seeds):
        ceilings.append(ceiling(seed))
        save(pd.concat(ceilings), folder, "imputation_ceiling", float_format="%.4f")
        for name, cells in everything.items():
            for corruption in ESTIMATES:
                tables.append(run_seed(name, corruption, cells, seed))
                print(tables[-1].round(3).to_string(index=False), flush=True)
        path = save(pd.concat(tables), folder, "imputation", provenance(seed + 1, data), float_format="%.4f")
    for seed in range(n_seeds):  # two thirds of the time: last, so that a run that breaks off leaves ours whole
        for name, cells in everything.items():
            tables.append(run_scvi_tools(name, cells, seed))
            print(tables[-1].round(3).to_string(index=False), flush=True)
        path = save(pd.concat(tables), folder, "imputation", provenance(n_seeds, data), float_format="%.4f")
    return path


def provenance(n_seeds: int, data: Sequence[str] = tuple(DATA)) -> dict[str, object]:
    """With what the tables were made."""
    return made_with("imputation", "torch", "numpy", "scikit-learn", "scanpy", "scvi-tools") | {
        "data": list(data),
        "seeds": list(range(n_seeds)),
        "settings": {
            "hidden_fraction": FRACTION, "kept": KEEP, "validation": VALIDATION, "draws": DRAWS, "floor": FLOOR,
            "epochs": EPOCHS, "one_cycle": True, "lr": LR, "eps": EPS, "weight_decay": WEIGHT_DECAY, "batch_size": 128,
            "n_latent": 10, "hidden": [128], "constants": list(CONSTANTS), "neighbours": list(NEIGHBOURS),
            "neighbour_components": NEIGHBOUR_COMPONENTS, "components": list(COMPONENTS),
            "scvi_tools": "its own defaults, ZINB, library learned", "scvi_tools_epochs": THEIR_EPOCHS,
            "process": PROCESS | {"log_library_means": list(PROCESS["log_library_means"])},
        },
        "chosen_on": CHOSEN_ON,
    }  # fmt: skip


def main() -> None:
    """The command line."""
    about = "Counts hidden or thinned away, and imputed; writes imputation.csv, .json and imputation_ceiling.csv."
    command_line(about, run, seeds=5, data=list(DATA))


if __name__ == "__main__":
    main()
