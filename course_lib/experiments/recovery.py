"""Does scVI find what made the counts? Cells from its own process, whose library size, θ, π and ρ are known.

    python -m course_lib.experiments.recovery [--seeds 5] [--to data/results]

A seed decides everything that is random: the cells, the split, the weights and the minibatches. Dropout varies from
cell to cell, so two cells of one library size have unequal totals, and the total is a poor guess of ℓ. The models never
see the truth; every quantity is measured on all cells. How long to train is decided by the validation −ELBO.

The table is ``recovery.csv``, one row for each seed, quantity and model, with ``model`` one of ``MODELS``, or "data"
(what the counts say without a model) or "truth" (what the true parameters would reach). ``recovery.json`` says with
what it was made. The quantities:

- ``library_rmse``: root mean square of log ℓ̂ − log ℓ after removing its mean, ℓ̂ from the mean of q(log ℓ∣x);
  ``library_correlation`` of the two, ``library_correlation_within`` after removing the mean of each batch. The same
  of the log total under ``…_total``;
- ``library_bias``: the mean that was removed; ``library_bias_total``;
- ``theta_median_relative_error`` of θ̂ over genes of mean count above 1; ``theta_median_ratio``, of θ̂/θ;
- ``dropout_auc``: does π/(π + (1−π) NB(0)) rank the zeros that were dropped above those that were not?
  ``dropout_auc_truth``: with the true ℓ, ρ, θ, π. ``dropout_auc_pi_truth``: by the true π alone;
- ``zi_mean``: mean π, and ``zi_mean_truth``; ``zi_cell_correlation``: of the mean logit π of a cell with its truth;
- against the true ρ without the batch effect, each cell decoded as if from every batch and averaged:
  ``rho_median_relative_error``; ``rho_type_correlation`` of the log₂ fold changes between the means of two types, over
  genes and pairs of types; ``rho_batch_gap``, the median over genes of ∣log₂∣ of the ratio of the means of two batches,
  0 where the batch is gone. The same of counts divided by their total under ``…_raw``.

Axes: N cells, G genes, B batches.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from course_lib.analysis.posterior import get_normalized_expression
from course_lib.contexts import evaluating
from course_lib.data.cells import Cells, cells_from_counts, log_total
from course_lib.data.scvi_process import simulate
from course_lib.data.split import split_indices
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, GeneLikelihood, log_library_moments
from course_lib.probability.counts import ZeroInflatedNegativeBinomial
from course_lib.training import fit

N_CELLS, N_GENES, LOG_LIBRARY_MEANS, DROPOUT = 3_000, 300, (7.6, 8.2), 0.1
EPOCHS, PATIENCE, LR, EPS, WEIGHT_DECAY, VALIDATION = 100, 15, 1e-3, 0.01, 1e-6, 0.1
MIN_MEAN = 1.0  # θ is judged where there are counts to judge it by

MODELS: dict[str, tuple[GeneLikelihood, bool]] = {  # likelihood, and whether the library is learned
    "zinb": ("zinb", True),
    "nb": ("nb", True),
    "zinb_observed": ("zinb", False),
}
Measured = dict[str, float]


def train(cells: Cells, model: str, seed: int, epochs: int = EPOCHS) -> SCVI:
    """One of ``MODELS``, with the weights of the epoch whose validation −ELBO was lowest."""
    likelihood, learns_library = MODELS[model]
    train_index, validation_index = split_indices(len(cells), (1 - VALIDATION, VALIDATION), seed=seed)
    train_cells = cells[train_index]
    torch.manual_seed(seed)
    prior = log_library_moments(train_cells) if learns_library else None
    scvi = SCVI(cells.genes, cells.batches, library_prior=prior, gene_likelihood=likelihood)
    fit(
        scvi, train_cells, validation=cells[validation_index], epochs=epochs, patience=PATIENCE,
        lr=LR, eps=EPS, weight_decay=WEIGHT_DECAY, seed=seed, progress=False,
    )  # fmt: skip
    return scvi


def log_library(scvi: SCVI, cells: Cells) -> torch.Tensor:
    """The mean of q(log ℓ∣x), or the log total where it is taken for ℓ: (N, 1)."""
    with evaluating(scvi):
        return scvi.encode_library(cells.x).mean if scvi.learns_library else log_total(cells.x)


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def library_measures(estimate: NDArray[np.floating], truth: NDArray[np.floating], batch: NDArray) -> Measured:
    """Of log ℓ̂ and log ℓ, (N,) each, in batches (N,)."""
    error = estimate - truth
    within = [v - pd.Series(v).groupby(batch).transform("mean").to_numpy() for v in (estimate, truth)]
    return {
        "library_rmse": float(error.std()),
        "library_bias": float(error.mean()),
        "library_correlation": correlation(estimate, truth),
        "library_correlation_within": correlation(*within),
    }


def rho_measures(rho: NDArray[np.floating], data: AnnData) -> Measured:
    """Of normalised expression (N, G), against the true ρ without the batch effect."""
    truth = data.layers["rho_biology"]
    by_type = [pd.DataFrame(table).groupby(data.obs["cell_type"].to_numpy()).mean() for table in (rho, truth)]
    by_batch = pd.DataFrame(rho).groupby(data.obs["batch"].to_numpy()).mean()
    changes = [np.concatenate([np.log2(m.loc[a] / m.loc[b]) for a, b in combinations(m.index, 2)]) for m in by_type]
    gaps = [np.abs(np.log2(by_batch.loc[a] / by_batch.loc[b])) for a, b in combinations(by_batch.index, 2)]
    return {
        "rho_median_relative_error": float(np.median(np.abs(rho / truth - 1))),
        "rho_type_correlation": correlation(*changes),
        "rho_batch_gap": float(np.median(np.concatenate(gaps))),
    }


def dropout_auc(score: torch.Tensor, data: AnnData) -> float:
    """Among the zeros: is the score (N, G) higher where a count was dropped than where the NB gave none?"""
    zero = np.asarray(data.X) == 0
    return float(roc_auc_score(data.layers["dropped"][zero], score.numpy()[zero]))


def dropout_calibration(forecast: NDArray[np.floating], data: AnnData) -> tuple[NDArray, NDArray]:
    """Do forecasts come true? Zeros in tenths of their dropout probability (N, G): mean forecast and share dropped."""
    zero = np.asarray(data.X) == 0
    table = pd.DataFrame({"forecast": forecast[zero], "dropped": data.layers["dropped"][zero]})
    mean = table.groupby(np.digitize(table["forecast"], np.linspace(0, 1, 11)[1:-1])).mean()
    return mean["forecast"].to_numpy(), mean["dropped"].to_numpy()


def model_measures(scvi: SCVI, cells: Cells, data: AnnData) -> Measured:
    """What a trained model found, beside the truth in ``data``."""
    estimate, batch = log_library(scvi, cells), cells.batch.numpy()
    found = library_measures(estimate.squeeze(-1).numpy(), np.log(data.obs["library"].to_numpy()), batch)
    ratio = scvi.decoder.log_theta.exp().detach().numpy() / data.var["theta"].to_numpy()
    ratio = ratio[cells.x.mean(0).numpy() > MIN_MEAN]
    found |= {
        "theta_median_relative_error": float(np.median(np.abs(ratio - 1))),
        "theta_median_ratio": float(np.median(ratio)),
    }
    if scvi.decoder.gene_likelihood == "zinb":
        with evaluating(scvi):
            p = scvi.decode(scvi.encode(cells.x).mean, estimate, cells.batch).base_dist
        true_logits = logit(data.layers["zi_probs"]).mean(1)
        found |= {
            "dropout_auc": dropout_auc(p.dropout_probability(), data),
            "zi_mean": float(p.zi_probs.mean()),
            "zi_cell_correlation": correlation(p.zi_logits.mean(1).numpy(), true_logits),
        }
    rho = get_normalized_expression(scvi, cells, transform_batch=cells.batches)
    return found | rho_measures(rho, data)


def data_measures(cells: Cells, data: AnnData) -> Measured:
    """What the counts say without a model."""
    total = log_total(cells.x).squeeze(-1).numpy()
    library = library_measures(total, np.log(data.obs["library"].to_numpy()), cells.batch.numpy())
    rho = rho_measures((cells.x / cells.x.sum(1, keepdim=True)).numpy(), data)
    return {f"{name}_total": value for name, value in library.items()} | {f"{n}_raw": v for n, v in rho.items()}


def truth_measures(data: AnnData) -> Measured:
    """What the true parameters reach: no model can be expected to do better."""
    mu = torch.from_numpy(data.obs["library"].to_numpy()[:, None] * data.layers["rho"])
    theta, pi = torch.from_numpy(data.var["theta"].to_numpy()), torch.from_numpy(data.layers["zi_probs"])
    p = ZeroInflatedNegativeBinomial(mu, theta, pi.logit())
    return {
        "dropout_auc_truth": dropout_auc(p.dropout_probability(), data),
        "dropout_auc_pi_truth": dropout_auc(pi, data),
        "zi_mean_truth": float(pi.mean()),
    }


def run_seed(seed: int, n_cells: int = N_CELLS, n_genes: int = N_GENES, epochs: int = EPOCHS) -> pd.DataFrame:
    """Simulate, train every model and measure: columns quantity, model, value."""
    data = simulate(n_cells, n_genes, log_library_means=LOG_LIBRARY_MEANS, dropout=DROPOUT, seed=seed)
    cells = cells_from_counts(data, batch_key="batch")
    measured = {"data": data_measures(cells, data), "truth": truth_measures(data)}
    for model in MODELS:
        measured[model] = model_measures(train(cells, model, seed, epochs), cells, data)
    rows = [(quantity, model, value) for model, found in measured.items() for quantity, value in found.items()]
    return pd.DataFrame(rows, columns=["quantity", "model", "value"])


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    tables = []
    for seed in range(n_seeds):
        tables.append(run_seed(seed).assign(seed=seed))
        wide = tables[-1].pivot(index="quantity", columns="model", values="value")
        print(f"seed {seed}\n{wide.round(3).to_string()}", flush=True)
        table = pd.concat(tables)[["seed", "quantity", "model", "value"]]
        path = save(table, folder, "recovery", provenance(seed + 1), float_format="%.5f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("recovery", "torch", "numpy", "scipy", "scikit-learn", "anndata", "pandas") | {
        "data": "course_lib.data.scvi_process.simulate, 3 types, 2 batches",
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_cells": N_CELLS, "n_genes": N_GENES, "log_library_means": list(LOG_LIBRARY_MEANS), "dropout": DROPOUT,
            "epochs_at_most": EPOCHS, "patience": PATIENCE, "lr": LR, "eps": EPS, "weight_decay": WEIGHT_DECAY,
            "batch_size": 128, "validation": VALIDATION, "n_latent": 10, "hidden": [128],
            "theta_of_genes_with_mean_above": MIN_MEAN,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("What scVI recovers of a simulated truth; writes recovery.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
