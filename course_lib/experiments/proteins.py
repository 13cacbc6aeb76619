"""RNA and antibodies of the same blood cells: types named, antibodies imputed, foreground held against a gate.

    python -m course_lib.experiments.proteins [--seeds 5] [--to data/results]        needs the extra `peer`

The mosaic's 800 cells with RNA (500 genes) and antibodies (224), two batches, 8 types; the pair's 400 cells with 14.
Seed s holds out part s of five, drawn once, so that over five seeds every cell is held out once; it decides weights,
minibatches and starts too. Whatever is compared is compared on the same parts. Labels are never shown to a method. They
were probably named from RNA and antibodies together (Hao et al. 2021), which favours whoever uses both.

``labels``: who is near whom? A method learns from 640 cells and gives codes to all 800.

``totalvi``
    ours, both modalities: 10 dimensions.
``rna``
    our SCVI, negative binomial, on the RNA.   ``antibodies``: our TOTALVI, to which RNA is shown as zeros, and whose
    term of the RNA is left out.
``pca_rna``, ``pca_clr``, ``pca_both``
    10 principal components of log1p of counts per 10,000; of centred log ratios of the antibodies; both side by side,
    each table first divided by the root of its total variance.
``scvi_tools``
    its TOTALVI at its own defaults: 20 dimensions, wider networks, up to 400 epochs.

``impute_batch`` hides the antibodies of all of p4_0, ``impute_cells`` those of the 160 cells held out, whose RNA stays.
``totalvi``, ``totalvi_zeros`` (never trained without antibodies: ``hide_protein`` 0), ``scvi_tools`` (by batch only: it
takes a batch of zeros as missing), ``ridge``, ``knn``: ridge regression, and the mean of 30 neighbours, of log1p counts
on 50 principal components of the RNA.

``gate``: the gate of ``analysis.antibodies.positive_probability`` on centred log ratios, and ``foreground > 0.5``: the
share of all cells in which they agree; on the mosaic of the models that learned from 640. ``totalvi`` by P(v = 0∣y),
``totalvi_prior`` and ``scvi_tools`` by 1 − π(z).

``proteins.csv`` has one row for each seed, data, task, method, measure and name:

- labels: ``label_knn``, held-out cells named by 15 nearest of the others; ``ari`` of k-means on all cells; ``named``,
  how many held-out cells of one type were named another, "CD8 T → NK";
- imputation: ``pearson`` for each antibody, between logarithms of expected and counted, each less its batch's mean;
- gate: ``agreement`` for each antibody and batch, empty where the gate finds no two heaps; ``positive``, the share of
  cells above .5, by the gate too;
- all: ``cpu_s``, seconds to train.

Axes: N cells, G genes, T antibodies, L latent dimensions.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch import Tensor
from torch.distributions import Normal

from course_lib.analysis.antibodies import centred_log_ratio, positive_probability
from course_lib.analysis.clustering import kmeans_ari
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.proteins import foreground_probability, impute_protein
from course_lib.data.cells import Cells
from course_lib.data.committed import load_citeseq, load_pbmc_pair_mudata
from course_lib.data.protein_cells import ProteinCells, cells_from_mudata
from course_lib.data.split import split_indices
from course_lib.experiments import scvi_totalvi
from course_lib.experiments.data_sets import pbmc_pair
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, start_at_profile
from course_lib.models.totalvi import TOTALVI, start_of_background
from course_lib.probability.bounds import ELBO
from course_lib.training import fit

N_LATENT, FOLDS, N_NEIGHBORS = 10, 5, 15
IMPUTE_COMPONENTS, IMPUTE_NEIGHBORS = 50, 30
EPOCHS, LR, EPS, WEIGHT_DECAY, BATCH_SIZE = 60, 2e-2, 0.01, 1e-6, 64  # LR: the top of one cycle
PAIR_GENES, SUFFIX = 1_000, "_TotalSeqB"
HIDDEN_BATCH, SEEN_BATCH = "p4_0", "p3_0"
GATED = {
    "mosaic": ("cd3.1", "cd3.2", "cd4.1", "cd4.2", "cd8", "cd8a", "cd14", "cd19"),
    "pair": tuple(f"{name}{SUFFIX}" for name in ("CD3", "CD4", "CD8a", "CD14", "CD19")),
}
CHOSEN_ON: dict[str, object] = {
    "cells": "96 validation cells of the 640 of seed 0; no label and no gate was looked at",
    "measure": "−ELBO with the antibodies shown, and with the antibodies hidden from the encoder, nats per cell",
    "candidates": {
        "one cycle to 2e-2, 60 epochs, hide_protein 0.25, α = 1 + softplus, 10 dimensions, 128 units (chosen)":
            [799.4, 813.6],
        "α = 1 + relu, as scvi-tools": [806.9, 818.0],
        "hide_protein 0": [798.8, 2386.0],
        "hide_protein 0.5": [803.7, 815.3],
        "one cycle to 1e-2": [808.7, 819.2],
        "one cycle to 4e-2": [799.8, 813.1],
        "100 epochs": [802.8, 819.5],
        "30 epochs": [813.6, 822.3],
        "dropout 0": [801.0, 820.3],
        "dropout 0.2": [801.5, 812.8],
        "20 dimensions": [800.8, 814.0],
        "BatchNorm in the decoders too": [802.1, 816.5],
        "256 units": [801.3, 817.5],
    },
    "ridge and knn": "mean correlation on the same cells, of 10, 20, 50 components, whitened or not: .505 (50, not "
    "whitened; .475 to .505) and .514 (30 neighbours of 10, 15, 30; .463 to .514)",
}  # fmt: skip
Rows = list[tuple[str, str, str, str, float]]  # task, method, measure, name, value
Codes = NDArray[np.floating]


class AntibodiesAlone(TOTALVI):
    """Our TOTALVI without RNA: the encoder sees zeros in its place, and log p(x∣z, s) is left out of the bound."""

    def encode(self, x: Tensor, batch: Tensor | None = None, protein: Tensor | None = None) -> Normal:
        return super().encode(torch.zeros_like(x), batch, protein)

    def elbo(self, cells: Cells) -> ELBO:
        bound = super().elbo(cells)
        return replace(bound, reconstruction=torch.zeros_like(bound.reconstruction))


def paired_cells() -> ProteinCells:
    """The mosaic's 800 cells with RNA and antibodies; batches p3_0 and p4_0."""
    mdata = load_citeseq()
    return cells_from_mudata(mdata[mdata["protein"].obs_names], batch_key="batch", label_key="cell_type")


def pair_cells() -> ProteinCells:
    """The pair's 400 cells with 14 antibodies and the genes that vary most over both runs together."""
    mdata = load_pbmc_pair_mudata()
    genes = list(pbmc_pair(PAIR_GENES).var_names)
    return cells_from_mudata(mdata[:, [*genes, *mdata["protein"].var_names]], batch_key="batch")


def held_out(n_cells: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the cells to learn from and of those held out: part ``seed`` of five, the parts drawn once."""
    test = split_indices(n_cells, (1 / FOLDS,) * FOLDS, seed=0)[seed % FOLDS]
    return np.setdiff1d(np.arange(n_cells), test), test


def train(cells: ProteinCells, seed: int, kind: type[TOTALVI] = TOTALVI, epochs: int = EPOCHS, **settings: Any) -> Any:
    """Our TOTALVI with the experiment's settings."""
    background = start_of_background(cells)
    torch.manual_seed(seed)
    model = kind(cells.genes, cells.batches, cells.proteins, background=background, n_latent=N_LATENT, **settings)
    return fitted(model, cells, seed, epochs)


def train_rna(cells: Cells, seed: int, epochs: int = EPOCHS) -> SCVI:
    """Our SCVI of the RNA, the same widths and settings."""
    torch.manual_seed(seed)
    model = SCVI(cells.genes, cells.batches, library_prior=None, gene_likelihood="nb", n_latent=N_LATENT)
    return fitted(model, cells, seed, epochs)


def fitted(model: Any, cells: Cells, seed: int, epochs: int) -> Any:
    start_at_profile(model.decoder, cells)
    fit(
        model, cells, epochs=epochs, one_cycle=True, batch_size=BATCH_SIZE, lr=LR, eps=EPS, weight_decay=WEIGHT_DECAY,
        seed=seed, progress=False,
    )  # fmt: skip
    return model


def timed(work: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[Any, float]:
    """What it returns, and the seconds of processor time that it took."""
    start = time.process_time()
    return work(*arguments, **named), time.process_time() - start


# Labels ---------------------------------------------------------------------------------------------------------------


def log_normalised(x: Tensor) -> Codes:
    """log1p of counts per 10,000: (N, G)."""
    return torch.log1p(x / x.sum(-1, keepdim=True) * 1e4).numpy()


def components(table: Codes, train: NDArray[np.int64], n: int = N_LATENT) -> Codes:
    """Principal components, learned from some cells, of all: (N, n)."""
    return PCA(n, random_state=0).fit(table[train]).transform(table)


def components_of_all(cells: ProteinCells, train: NDArray[np.int64]) -> dict[str, Codes]:
    """The three baselines, (N, 10), (N, 10) and (N, 20); side by side, both tables weigh the same."""
    tables = {"pca_rna": log_normalised(cells.x), "pca_clr": centred_log_ratio(cells.protein.numpy())}
    found = {name: components(table, train) for name, table in tables.items()}
    scaled = [found[name] / np.sqrt(table[train].var(0).sum()) for name, table in tables.items()]
    return found | {"pca_both": np.hstack(scaled)}


def judge(codes: Codes, types: NDArray[np.str_], train: NDArray[np.int64], test: NDArray[np.int64], seed: int) -> Rows:
    """Held-out cells named by their neighbours among the others, and k-means of all."""
    named = KNeighborsClassifier(N_NEIGHBORS).fit(codes[train], types[train]).predict(codes[test])
    counts = pd.Series([f"{a} → {b}" for a, b in zip(types[test], named, strict=True)]).value_counts().sort_index()
    scores: Rows = [
        ("labels", "", "label_knn", "", float((named == types[test]).mean())),
        ("labels", "", "ari", "", kmeans_ari(codes, types, seed)),
    ]
    return scores + [("labels", "", "named", str(pair), float(n)) for pair, n in counts.items()]


def labels(cells: ProteinCells, seed: int, epochs: int = EPOCHS, peer_epochs: int | None = None) -> tuple[Rows, Any]:
    """Every method's codes, judged; and the two totalVIs that were trained."""
    assert cells.label is not None
    types = np.array(cells.labels)[cells.label.numpy()]
    learn, test = held_out(len(cells), seed)
    models: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    models["totalvi"], seconds["totalvi"] = timed(train, cells[learn], seed, epochs=epochs)
    models["rna"], seconds["rna"] = timed(train_rna, cells[learn], seed, epochs)
    models["antibodies"], seconds["antibodies"] = timed(train, cells[learn], seed, AntibodiesAlone, epochs)
    peer, seconds["scvi_tools"] = timed(scvi_totalvi.train, cells[learn], seed, peer_epochs)
    codes = {name: get_latent_representation(model, cells) for name, model in models.items()}
    codes |= components_of_all(cells, learn) | {"scvi_tools": scvi_totalvi.latent(peer, cells)}
    rows: Rows = [("labels", method, "cpu_s", "", value) for method, value in seconds.items()]
    for method, values in codes.items():
        found = judge(values, types, learn, test, seed)
        rows += [(task, method, measure, name, value) for task, _, measure, name, value in found]
    return rows, (models["totalvi"], peer)


# Imputation -----------------------------------------------------------------------------------------------------------


def impute(
    cells: ProteinCells, hidden: Tensor, seed: int, epochs: int = EPOCHS, peer_epochs: int | None = None, *, peer: bool
) -> Rows:
    """Antibodies of the cells in the mask ``hidden`` (N,) from their RNA, by each method, against their counts."""
    task = "impute_batch" if peer else "impute_cells"
    given = cells.without_protein(hidden)
    seen, blind = (~hidden).numpy(), hidden.numpy()
    log_counts = torch.log1p(cells.protein).numpy()  # (N, T)
    rna = components(log_normalised(cells.x), np.arange(len(cells)), IMPUTE_COMPONENTS)
    guesses: dict[str, Codes] = {}
    seconds: dict[str, float] = {}
    regressions = {
        "ridge": RidgeCV(alphas=np.logspace(-1, 4, 11)), "knn": KNeighborsRegressor(IMPUTE_NEIGHBORS),
    }  # fmt: skip
    for method, regression in regressions.items():
        learned, seconds[method] = timed(regression.fit, rna[seen], log_counts[seen])
        guesses[method] = learned.predict(rna[blind])
    for method, share in {"totalvi": 0.25, "totalvi_zeros": 0.0}.items():
        model, seconds[method] = timed(train, given, seed, epochs=epochs, hide_protein=share)
        guesses[method] = np.log1p(impute_protein(model, given[hidden]).to_numpy())
    if peer:
        other, seconds["scvi_tools"] = timed(scvi_totalvi.train, given, seed, peer_epochs)
        expected = scvi_totalvi.expected_counts(other, given, SEEN_BATCH).to_numpy()
        guesses["scvi_tools"] = np.log1p(expected[blind])
    rows: Rows = [(task, method, "cpu_s", "", value) for method, value in seconds.items()]
    for method, guess in guesses.items():
        r = pearson(guess, log_counts[blind], cells.batch[hidden].numpy())
        rows += [(task, method, "pearson", name, value) for name, value in zip(cells.proteins, r, strict=True)]
    return rows


def pearson(guess: Codes, truth: Codes, batch: NDArray[np.int64]) -> Codes:
    """Correlation of each column with its own, over cells, each less the mean of its batch: (T,); NaN of a constant."""
    parts = [(table - table[batch == s].mean(0))[batch == s] for table in (guess, truth) for s in np.unique(batch)]
    half = len(parts) // 2
    a, b = np.concatenate(parts[:half]).astype(float), np.concatenate(parts[half:]).astype(float)
    with np.errstate(invalid="ignore"):
        return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


# Gates ----------------------------------------------------------------------------------------------------------------


def gates(cells: ProteinCells, names: tuple[str, ...], foreground: dict[str, pd.DataFrame]) -> Rows:
    """Each method's foreground against the gate, for each antibody in each batch."""
    ratios = pd.DataFrame(centred_log_ratio(cells.protein.numpy()), columns=list(cells.proteins))
    rows: Rows = []
    for name in names:
        for s, batch in enumerate(cells.batches):
            inside = (cells.batch == s).numpy()
            where = f"{name} {batch}"
            try:
                positive = positive_probability(ratios.loc[inside, name]) > 0.5
                rows.append(("gate", "gate", "positive", where, float(positive.mean())))
            except ValueError:  # no two heaps to hold anything against
                positive = None
            for method, table in foreground.items():
                above = table.loc[inside, name].to_numpy() > 0.5
                agreement = np.nan if positive is None else float((above == positive).mean())
                rows.append(("gate", method, "positive", where, float(above.mean())))
                rows.append(("gate", method, "agreement", where, agreement))
    return rows


def both_foregrounds(model: Any, cells: ProteinCells) -> dict[str, pd.DataFrame]:
    """Given the counts, and before they are seen."""
    return {
        "totalvi": foreground_probability(model, cells),
        "totalvi_prior": foreground_probability(model, cells, given_counts=False),
    }


# All of it ------------------------------------------------------------------------------------------------------------


def run_seed(
    mosaic: ProteinCells, pair: ProteinCells, seed: int, epochs: int = EPOCHS, peer_epochs: int | None = None
) -> pd.DataFrame:
    """Every task: columns data, task, method, measure, name, value."""
    rows, (ours, theirs) = labels(mosaic, seed, epochs, peer_epochs)
    in_batch = mosaic.batch == mosaic.batches.index(HIDDEN_BATCH)
    in_part = torch.zeros(len(mosaic), dtype=torch.bool)
    in_part[torch.from_numpy(held_out(len(mosaic), seed)[1])] = True
    rows += impute(mosaic, in_batch, seed, epochs, peer_epochs, peer=True)
    rows += impute(mosaic, in_part, seed, epochs, peer=False)
    found = both_foregrounds(ours, mosaic) | {"scvi_tools": scvi_totalvi.foreground(theirs, mosaic)}
    rows += gates(mosaic, GATED["mosaic"], found)
    of_pair, seconds = timed(train, pair, seed, epochs=epochs)
    rows_of_pair: Rows = [("gate", "totalvi", "cpu_s", "", seconds)]
    rows_of_pair += gates(pair, GATED["pair"], both_foregrounds(of_pair, pair))
    columns = ["task", "method", "measure", "name", "value"]
    tables = {"mosaic": pd.DataFrame(rows, columns=columns), "pair": pd.DataFrame(rows_of_pair, columns=columns)}
    return pd.concat([table.assign(data=data) for data, table in tables.items()])


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    mosaic, pair = paired_cells(), pair_cells()
    tables = []
    for seed in range(n_seeds):
        tables.append(run_seed(mosaic, pair, seed).assign(seed=seed))
        shown = tables[-1][tables[-1]["measure"] != "named"]
        wide = shown.groupby(["data", "task", "measure", "method"], sort=False)["value"].median().unstack()
        print(f"seed {seed}\n{wide.round(3).to_string()}", flush=True)
        table = pd.concat(tables)[["seed", "data", "task", "method", "measure", "name", "value"]]
        path = save(table, folder, "proteins", provenance(mosaic, pair, seed + 1), float_format="%.4f")
    return path


def provenance(mosaic: ProteinCells, pair: ProteinCells, n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "anndata", "mudata", "scvi-tools", "lightning")
    return made_with("proteins", *packages) | {
        "data": {
            "mosaic": f"{len(mosaic)} cells, {mosaic.n_genes} genes, {len(mosaic.proteins)} antibodies",
            "pair": f"{len(pair)} cells, {pair.n_genes} genes, {len(pair.proteins)} antibodies",
        },
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_latent": N_LATENT, "hidden": [128], "hide_protein": 0.25, "epochs": EPOCHS, "one_cycle": True, "lr": LR,
            "eps": EPS, "weight_decay": WEIGHT_DECAY, "batch_size": BATCH_SIZE, "start": "ρ at the mean profile",
            "folds": FOLDS, "knn_neighbors": N_NEIGHBORS, "impute_components": IMPUTE_COMPONENTS,
            "impute_neighbors": IMPUTE_NEIGHBORS, "draws": 25, "scvi_tools": "its defaults",
        },
        "chosen_on": CHOSEN_ON,
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("RNA and antibodies, together and apart; writes proteins.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
