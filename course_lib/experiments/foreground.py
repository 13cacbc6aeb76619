"""What foreground is worth: against gates and in each type of cell, by how high it stands and by where β started.

    python -m course_lib.experiments.foreground [--seeds 5] [--to data/results]

Our TOTALVI on the mosaic's 800 paired cells and on the pair's 400, all of them trained on: nothing is predicted here.

``totalvi``, ``totalvi_fold2``
    P(v = 0∣y) > .5, and the same where α ≥ 2 is asked for as well. 2 was chosen beforehand, as a twofold change.
``one_start``
    the same model and question, but β starts in all antibodies of a batch from the same heap, as in scvi-tools: the
    lower of two Gaussians in the log counts of one cell's antibodies, averaged over 100 cells of the batch.

A seed decides weights and minibatches, and the 100 cells. ``foreground.csv`` has one row for each seed, data, method,
measure and name:

- ``agreement`` with the gate of ``analysis.antibodies``, share of cells, and ``positive``, the share above .5, for each
  antibody and batch, "cd3.1 p3_0"; of method ``gate``, what the gate says;
- ``probability``, mosaic: the mean over cells of a type, "cd3.1 Mono"; ``alpha`` likewise, the mean of α.

Axes: N cells, T antibodies, B batches.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from course_lib.analysis.latent import encode
from course_lib.analysis.proteins import foreground_probability
from course_lib.contexts import evaluating
from course_lib.data.protein_cells import ProteinCells
from course_lib.experiments.proteins import EPOCHS, GATED, N_LATENT, fitted, gates, pair_cells, paired_cells
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.totalvi import TOTALVI, BackgroundPrior, lower_heap, start_of_background

FOLD, CELLS_PER_BATCH = 2.0, 100
COLUMNS = ["method", "measure", "name", "value"]


def one_start(cells: ProteinCells, seed: int) -> BackgroundPrior:
    """One heap for all antibodies of a batch, found across the antibodies of single cells."""
    rng = np.random.default_rng(seed)
    rows = []  # of each batch, mean and sd
    for s in range(len(cells.batches)):
        members = np.flatnonzero((cells.batch == s).numpy())
        chosen = torch.log1p(cells.protein[rng.choice(members, CELLS_PER_BATCH)]).double().numpy()  # (n, T)
        rows.append(np.mean([lower_heap(cell) for cell in chosen], axis=0))
    heaps = torch.tensor(np.array(rows)).float().unsqueeze(-1)  # (B, 2, 1)
    mean, sd = heaps.repeat(1, 1, len(cells.proteins)).unbind(1)  # (B, T) each
    return BackgroundPrior(mean, sd, torch.ones(len(cells.batches), dtype=torch.bool))


def train(cells: ProteinCells, background: BackgroundPrior, seed: int, epochs: int) -> TOTALVI:
    """Our TOTALVI with the settings of the experiment ``proteins``."""
    torch.manual_seed(seed)
    model = TOTALVI(cells.genes, cells.batches, cells.proteins, background=background, n_latent=N_LATENT)
    return fitted(model, cells, seed, epochs)


def mean_alpha(model: Any, cells: ProteinCells) -> pd.DataFrame:
    """α at the posterior mean of z: (N, T)."""
    with evaluating(model):
        z = encode(model, cells).mean
        p = model.decode_protein(z, torch.zeros(len(cells), len(cells.proteins)), cells.batch).base_dist  # β = 1
    return pd.DataFrame(p.mu_foreground.numpy(), columns=list(cells.proteins))


def by_type(cells: ProteinCells, names: tuple[str, ...], method: str, measure: str, table: pd.DataFrame) -> list[Any]:
    """Its mean in each type of cell."""
    assert cells.label is not None
    types = np.array(cells.labels)[cells.label.numpy()]
    means = table[list(names)].groupby(types).mean()
    return [(method, measure, f"{name} {kind}", means.loc[kind, name]) for name in names for kind in means.index]


def run_seed(data: str, cells: ProteinCells, seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """Every method on one data set: columns method, measure, name, value."""
    ours = train(cells, start_of_background(cells), seed, epochs)
    other = train(cells, one_start(cells, seed), seed, epochs)
    found = {
        "totalvi": foreground_probability(ours, cells),
        "totalvi_fold2": foreground_probability(ours, cells, fold=FOLD),
        "one_start": foreground_probability(other, cells),
    }
    rows = [row[1:] for row in gates(cells, GATED[data], found)]
    if cells.label is not None:
        for method, table in found.items():
            rows += by_type(cells, GATED[data], method, "probability", table)
        for method, model in {"totalvi": ours, "one_start": other}.items():
            rows += by_type(cells, GATED[data], method, "alpha", mean_alpha(model, cells))
    return pd.DataFrame(rows, columns=COLUMNS)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    sets = {"mosaic": paired_cells(), "pair": pair_cells()}
    tables = []
    for seed in range(n_seeds):
        for data, cells in sets.items():
            tables.append(run_seed(data, cells, seed).assign(seed=seed, data=data))
        shown = pd.concat(tables[-len(sets) :])
        agreement = shown[shown["measure"] == "agreement"].groupby(["data", "method"])["value"]
        print(f"seed {seed}\n{agreement.describe().round(3).to_string()}", flush=True)
        table = pd.concat(tables)[["seed", "data", *COLUMNS]]
        path = save(table, folder, "foreground", provenance(sets, seed + 1), float_format="%.4f")
    return path


def provenance(sets: dict[str, ProteinCells], n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("foreground", "torch", "numpy", "scikit-learn", "anndata", "mudata") | {
        "data": {name: f"{len(c)} cells, {c.n_genes} genes, {len(c.proteins)} antibodies" for name, c in sets.items()},
        "seeds": list(range(n_seeds)),
        "settings": {
            "as": "course_lib.experiments.proteins", "epochs": EPOCHS, "fold": FOLD, "cells_per_batch": CELLS_PER_BATCH,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Foreground against gates and by type; writes foreground.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
