"""Poisson, NB or ZINB for the counts of PBMC3k? Held-out likelihoods, cell by cell, over several seeds.

    python -m course_lib.experiments.pbmc_likelihood [--seeds 5] [--to data/results]

Two comparisons that never mix, because a likelihood given the total and one without it are of different things:

- the full scVI with a learned library: Poisson, NB, ZINB;
- the simplified scVI, whose library is the observed total: Poisson, NB.

A seed decides the split into training (65 %), validation (10 %) and test cells (25 %), the weights, the minibatches
and the draws. Validation decides everything that is chosen: for each model the learning rate, on seed 0, and in every
run the epoch. Test cells are scored once, by the importance-weighted bound with 100 draws.

``pbmc_likelihood.csv``, one row for each seed and model: ``log_likelihood``, nats per test cell; ``difference`` to the
NB of the same seed and library, the mean over test cells, with its 95 % interval ``low`` to ``high``, and ``better``,
the share of cells that prefer this model to the NB; ``lr`` and ``epoch``, as chosen. ``pbmc_likelihood.json`` says with
what it was made, and how validation judged each learning rate.

Axes: N cells, G genes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
import torch
from numpy.typing import NDArray

from course_lib.analysis.posterior import get_marginal_ll
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.split import split_indices
from course_lib.experiments.data_sets import pbmc3k
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.training import fit

N_GENES, FRACTIONS, N_SAMPLES = 2_000, (0.65, 0.10, 0.25), 100
EPOCHS, PATIENCE, LEARNING_RATES = 60, 10, (1e-3, 3e-3)
ADAM: dict[str, Any] = {"eps": 0.01, "weight_decay": 1e-6}  # scvi-tools' settings

MODELS = (  # model, library, gene_likelihood
    ("scvi", "learned", "nb"),
    ("scvi", "learned", "poisson"),
    ("scvi", "learned", "zinb"),
    ("simplified", "observed", "nb"),
    ("simplified", "observed", "poisson"),
)
COLUMNS = [
    "seed", "model", "library", "gene_likelihood", "lr", "epoch", "log_likelihood", "difference", "low", "high",
    "better",
]  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A model at the epoch that validation chose, and the loss it had there."""

    model: SCVI | SimplifiedSCVI
    lr: float
    epoch: int
    validation_loss: float
    history: pd.DataFrame


def split(cells: Cells, seed: int) -> tuple[Cells, Cells, Cells]:
    """Training, validation and test cells."""
    train, validation, test = (cells[index] for index in split_indices(len(cells), FRACTIONS, seed=seed))
    return train, validation, test


def train(
    model: str, gene_likelihood: str, cells: Cells, validation: Cells, *, lr: float, seed: int, epochs: int = EPOCHS
) -> Trained:
    """Train one model; keep the epoch with the lowest validation −ELBO."""
    torch.manual_seed(seed)
    if model == "scvi":
        built: SCVI | SimplifiedSCVI = SCVI(
            cells.genes,
            library_prior=log_library_moments(cells),
            gene_likelihood=gene_likelihood,  # type: ignore[arg-type]
        )
    else:
        built = SimplifiedSCVI(cells.n_genes, gene_likelihood=gene_likelihood)  # type: ignore[arg-type]
    history = fit(
        built, cells, validation=validation, epochs=epochs, patience=PATIENCE, lr=lr, seed=seed, progress=False, **ADAM
    )
    losses = history["validation_loss"]
    return Trained(built, lr, int(losses.idxmin()), float(losses.min()), history)


def paired(log_likelihood: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, float]:
    """Mean over cells of the difference to ``reference``, its 95 % t-interval, and the share of cells above zero."""
    gap = log_likelihood - reference
    low, high = scipy.stats.t.interval(0.95, len(gap) - 1, gap.mean(), scipy.stats.sem(gap))
    return {"difference": gap.mean(), "low": low, "high": high, "better": (gap > 0).mean()}


Trainings = dict[tuple[str, str], Trained]  # (model, gene_likelihood) → what came of training it


def choose_lr(cells: Cells, seed: int = 0, epochs: int = EPOCHS) -> tuple[pd.DataFrame, Trainings]:
    """How validation judges each learning rate on one seed: a row for each model and rate, and the best trainings."""
    training, validation, _ = split(cells, seed)
    rows: list[tuple[Any, ...]] = []
    best: Trainings = {}
    for model, library, likelihood in MODELS:
        for lr in LEARNING_RATES:
            trained = train(model, likelihood, training, validation, lr=lr, seed=seed, epochs=epochs)
            rows.append((model, library, likelihood, lr, trained.epoch, round(trained.validation_loss, 2)))
            print(*rows[-1], flush=True)
            before = best.setdefault((model, likelihood), trained)
            if trained.validation_loss < before.validation_loss:
                best[model, likelihood] = trained
    return pd.DataFrame(rows, columns=["model", "library", "gene_likelihood", "lr", "epoch", "validation_loss"]), best


def train_all(cells: Cells, seed: int, rates: dict[tuple[str, str], float], epochs: int = EPOCHS) -> Trainings:
    """Every model of ``MODELS`` with one seed; ``rates`` maps (model, gene_likelihood) to its learning rate."""
    training, validation, _ = split(cells, seed)
    return {
        (model, likelihood): train(
            model, likelihood, training, validation, lr=rates[model, likelihood], seed=seed, epochs=epochs
        )
        for model, _, likelihood in MODELS
    }


def score(trainings: Trainings, cells: Cells, seed: int, n_samples: int = N_SAMPLES) -> pd.DataFrame:
    """The rows of the table for one seed: every model on the same test cells, and beside the NB of its library."""
    _, _, test = split(cells, seed)
    rows: list[dict[str, Any]] = []
    nb: dict[str, NDArray[np.float64]] = {}
    for model, library, likelihood in MODELS:  # the NB of a library comes first
        trained = trainings[model, likelihood]
        scores = get_marginal_ll(trained.model, test, n_samples)  # (N,) nats; the same seed for every model
        nb.setdefault(library, scores)
        row = {"seed": seed, "model": model, "library": library, "gene_likelihood": likelihood, "lr": trained.lr}
        row |= {"epoch": trained.epoch, "log_likelihood": scores.mean()}
        rows.append(row if likelihood == "nb" else row | paired(scores, nb[library]))
    return pd.DataFrame(rows, columns=COLUMNS)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    cells = cells_from_counts(pbmc3k(N_GENES))
    judged, trainings = choose_lr(cells)
    rates = {key: trained.lr for key, trained in trainings.items()}
    tables = []
    for seed in range(n_seeds):
        if seed > 0:  # the trainings of seed 0 are there already
            trainings = train_all(cells, seed, rates)
        tables.append(score(trainings, cells, seed))
        print(tables[-1].round(2).to_string(index=False), flush=True)
        made = provenance(seed + 1) | {"learning_rates": judged.to_dict(orient="records")}
        path = save(pd.concat(tables), folder, "pbmc_likelihood", made, float_format="%.4f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("pbmc_likelihood", "torch", "numpy", "scipy", "scanpy") | {
        "data": "PBMC3k, raw counts of the labelled cells",
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_genes": N_GENES, "fractions": list(FRACTIONS), "n_latent": 10, "hidden": [128], "batch_size": 128,
            "epochs": EPOCHS, "patience": PATIENCE, "lr_candidates": list(LEARNING_RATES), **ADAM,
            "iwae_samples": N_SAMPLES,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Poisson, NB or ZINB: writes pbmc_likelihood.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
