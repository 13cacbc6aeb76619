"""What is a label worth? A tenth of the labels of each type is kept, and several methods name the other cells.

    python -m course_lib.experiments.annotation [--seeds 5] [--to data/results]        needs the extra `peer`

Data: PBMC3k (2,638 cells × 2,000 genes, 8 types); the mouse cortex (3,005 × 558) by its 7 classes, and by its 47
subclasses, where a cell without subclass is never labelled and never judged; the mosaic (1,200 × 500, 8 types, 3
batches); and a simulation (2,000 × 500, 5 types, 2 batches, drawn anew for each seed), where Bayes' rule with the true
parameters is the ceiling, ``bayes``. Of PBMC3k also 3 % and 1 % of the labels, part of the 10 %, one of each type at
least. The methods are those of ``label_methods``.

A seed decides which labels are kept, weights, minibatches and the simulation. A fifth of the cells of each type, the
same in every seed, is neither labelled nor judged: of PBMC3k and the cortex their labels chose the settings of
``scanvi``, and nothing else was used for that. Types of PBMC3k and of the cortex were born of clustering the same
counts: methods that see clusters are helped.

- ``annotation.csv``: seed, data, method, measure, value; measures of ``label_methods.score`` over the cells judged,
  and ``cpu_s``, seconds of processor time, training of the codes included;
- ``annotation_types.csv``: seed, data, method, type, ``kept`` cells, ``judged`` cells, ``recall``;
- ``annotation_reliability.csv``: seed, data, method, and the bins of ``analysis.calibration.reliability``.

Axes: N cells, C labels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from course_lib.analysis.bayes_classifier import type_probabilities
from course_lib.analysis.calibration import reliability
from course_lib.data.scvi_process import simulate
from course_lib.experiments import data_sets
from course_lib.experiments.label_methods import (
    SETTINGS,
    Probabilities,
    label_all,
    recall,
    score,
    without_labels,
)
from course_lib.experiments.record import command_line, made_with, save

KEPT, VALIDATION, VALIDATION_SEED = 0.1, 0.2, 1234
NO_SUBCLASS = "(none)"
SIMULATION: dict[str, Any] = {
    "n_cells": 2_000, "n_genes": 500, "n_types": 5, "n_changed": 40, "fold": 2.5,
    "log_library_means": (5.0, 5.5),
}  # fmt: skip
CHOSEN_ON: dict[str, object] = {
    "labels": "validation, of PBMC3k and the cortex's classes; kept labels of seeds 0 and 1",
    "measure": "mean log-likelihood of the true label; PBMC3k, cortex; beside it accuracy, likewise",
    "candidates": {
        "α 50, one cycle to 1e-2, 20 epochs, p(c) the labels' frequencies (chosen: highest mean of the two)": [
            -0.198,
            -0.158,
            0.934,
            0.949,
        ],
        "α 50, one cycle to 1e-2, 20 epochs, p(c) uniform (scanvi_uniform)": [-0.209, -0.158, 0.934, 0.950],
        "α 50, one cycle to 2e-2, 20 epochs, p(c) uniform": [-0.215, -0.158, 0.936, 0.950],
        "α 50, one cycle to 2e-3, 20 epochs, p(c) uniform": [-0.198, -0.172, 0.930, 0.940],
        "α 10, one cycle to 1e-2, 20 epochs, p(c) uniform": [-0.219, -0.162, 0.932, 0.949],
        "α 200, one cycle to 1e-2, 20 epochs, p(c) uniform": [-0.220, -0.164, 0.934, 0.948],
    },
    "classifier": {
        "cells": "validation of PBMC3k, the same measures; α 50, one cycle to 2e-3, 20 epochs",
        "started at the logistic regression, p(c) uniform (chosen)": [-0.198, 0.930],
        "started by 10 epochs with encoder and decoder frozen, p(c) uniform": [-0.257, 0.926],
        "started at random, p(c) the frequencies of the labels": [-0.732, 0.796],
    },
    "probabilities": {
        "q(c∣z) at the mean of z (chosen)": [-0.198, -0.158],
        "mean of q(c∣z) over 50 draws of z": [-0.194, -0.158],
    },
}


@dataclass(frozen=True)
class Question:
    """Cells, the column of obs that names their types, how long scvi-tools' SCVI is trained, and how many are kept."""

    data: str
    column: str
    peer_epochs: int
    batch_key: str | None = None
    kept: float = KEPT  # share of the labels of each type


QUESTIONS = {
    "pbmc3k": Question("pbmc3k", "cell_type", 120),
    "pbmc3k_3pc": Question("pbmc3k", "cell_type", 120, kept=0.03),
    "pbmc3k_1pc": Question("pbmc3k", "cell_type", 120, kept=0.01),
    "cortex": Question("cortex", "cell_type", 250),
    "cortex_47": Question("cortex", "level2class", 250),
    "mosaic": Question("mosaic", "cell_type", 400, "batch"),
    "simulation": Question("simulation", "cell_type", 200, "batch"),
}


def load(name: str, seed: int) -> AnnData:
    """The cells of a question's ``data``."""
    if name == "simulation":
        return data_sets.with_log(simulate(**SIMULATION, seed=seed))
    return {"pbmc3k": data_sets.pbmc3k, "cortex": data_sets.cortex, "mosaic": data_sets.mosaic}[name]()


def kept_labels(
    types: NDArray[np.str_], share: float, seed: int, among: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """A random ``share`` of the cells of each type, at least one, of those ``among``: a mask (N,)."""
    random = np.random.default_rng(seed)
    kept = np.zeros(len(types), dtype=bool)
    for name in np.unique(types):
        members = types == name
        places = np.flatnonzero(members if among is None else members & among)
        kept[random.permutation(places)[: max(1, round(share * members.sum()))]] = True
    return kept


def split(
    types: NDArray[np.str_], seed: int, share: float = KEPT
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Who is labelled, whose label chose the settings, and who is judged: three masks (N,) without a cell in common."""
    named = types != NO_SUBCLASS
    validation = kept_labels(types, VALIDATION, VALIDATION_SEED) & named
    kept = kept_labels(types, share, seed, ~validation) & named
    return kept, validation, named & ~kept & ~validation


def rows_of(
    found: dict[str, Probabilities], labels: tuple[str, ...], types: NDArray[np.str_], kept: NDArray[np.bool_],
    judged: NDArray[np.bool_],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """The rows of the three tables for one question and seed."""
    scores, of_types, bins = [], [], []
    for method, said in found.items():
        measured = score(said.table, labels, types, judged) | {"cpu_s": said.cpu_s}
        scores.append(pd.DataFrame({"method": method, "measure": measured.keys(), "value": measured.values()}))
        truth, table = types[judged], said.table[judged]
        by_type = recall(table, labels, truth)
        of_types.append(
            pd.DataFrame({
                "method": method, "type": by_type.index,
                "kept": [int((types[kept] == name).sum()) for name in by_type.index],
                "judged": [int((truth == name).sum()) for name in by_type.index], "recall": by_type.to_numpy(),
            })
        )  # fmt: skip
        bins.append(reliability(table, truth, labels).assign(method=method))
    return pd.concat(scores), pd.concat(of_types), pd.concat(bins)


def run_seed(seed: int, questions: dict[str, Question] = QUESTIONS) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """All questions once; questions on the same cells share what is learned without labels."""
    tables: list[tuple[pd.DataFrame, ...]] = []
    learned_of = {}
    for name, question in questions.items():
        data = load(question.data, seed)
        types = data.obs[question.column].to_numpy(dtype=str)
        kept, _, judged = split(types, seed, question.kept)
        if question.data not in learned_of:
            learned_of[question.data] = without_labels(data, question.batch_key, seed, question.peer_epochs)
        found, labels = label_all(data, types, kept, question.batch_key, seed, learned_of[question.data])
        if question.data == "simulation":
            found["bayes"] = Probabilities(type_probabilities(data), 0.0)
        tables.append(tuple(table.assign(data=name) for table in rows_of(found, labels, types, kept, judged)))
        wide = tables[-1][0].pivot(index="method", columns="measure", values="value")
        print(f"seed {seed}, {name}\n{wide.round(3).to_string()}", flush=True)
    scores, of_types, bins = (pd.concat(part).assign(seed=seed) for part in zip(*tables, strict=True))
    return (
        scores[["seed", "data", "method", "measure", "value"]],
        of_types[["seed", "data", "method", "type", "kept", "judged", "recall"]],
        bins[["seed", "data", "method", "lower", "upper", "confidence", "accuracy", "n"]],
    )


def run(n_seeds: int, folder: Path) -> Path:
    """Write the tables and their provenance after every seed; returns the first table's path."""
    done: list[tuple[pd.DataFrame, ...]] = []
    for seed in range(n_seeds):
        done.append(run_seed(seed))
        scores, of_types, bins = (pd.concat(part) for part in zip(*done, strict=True))
        save(of_types, folder, "annotation_types")
        save(bins, folder, "annotation_reliability")
        path = save(scores, folder, "annotation", provenance(seed + 1), float_format="%.5f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the tables were made."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "scanpy", "scvi-tools")
    return made_with("annotation", *packages) | {
        "data": {name: vars(question) for name, question in QUESTIONS.items()},
        "simulation": SIMULATION,
        "seeds": list(range(n_seeds)),
        "labels": {"kept": KEPT, "validation": VALIDATION, "validation_seed": VALIDATION_SEED},
        "settings": SETTINGS,
        "chosen_on": CHOSEN_ON,
    }


def main() -> None:
    """The command line."""
    command_line("Methods name cells from a tenth of the labels; writes annotation*.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
