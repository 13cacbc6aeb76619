"""What annotation is for: one experiment is labelled, the next one is to be named.

    python -m course_lib.experiments.annotation_transfer [--seeds 5] [--to data/results]        needs the extra `peer`

``pair``
    Two 10x runs, 200 cells each × 1,000 genes. The 5k run is labelled, the 10k run is named. Labels and judgement are
    the antibodies' (``analysis.antibodies``), which no method sees; a cell that fits no type is neither labelled nor
    judged.
``kang``
    Blood at rest (CTRL, labelled) and under interferon-β (STIM, named). Labels and judgement are those of marker genes
    (``data.marker_labels``); these genes are taken out, and of the others methods see the 1,000 most variable within
    conditions. Unassigned cells are neither labelled nor judged.

Methods are those of ``label_methods``, with s, the run or the condition, where they know batches (scVI, scANVI and
scvi-tools'); and ``scanvi_no_batch``, ours without s. The condition of Kang's cells is biology; it is s here because
the types are asked for, whatever the condition. Labels are the same in every seed; a seed decides weights and
minibatches, so that ``lr_pcs`` is the same in all.

``annotation_transfer.csv``: seed, data, method, measure, value; the measures of ``label_methods.score`` over the cells
judged, ``own_accuracy``, the share of the labelled cells that get their own label back, and ``cpu_s``, seconds of
processor time.

Axes: N cells, C labels.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from course_lib.analysis.antibodies import AMBIGUOUS, label_by_antibodies
from course_lib.analysis.labels import predict
from course_lib.data.genes import most_variable
from course_lib.data.marker_labels import BLOOD_MARKERS, UNASSIGNED, marker_genes
from course_lib.experiments import data_sets
from course_lib.experiments.label_methods import (
    SETTINGS,
    Probabilities,
    few_labels,
    label_all,
    our_scanvi,
    our_scvi,
    score,
    without_labels,
)
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scanvi import label_frequencies

PEER_EPOCHS = {"pair": 400, "kang": 120}
N_GENES = 1_000


def pair() -> tuple[AnnData, NDArray[np.str_], NDArray[np.bool_]]:
    """Cells, types by antibodies, and which cells are of the labelled run."""
    data = data_sets.pbmc_pair(N_GENES, within_runs=True)
    types = label_by_antibodies(data.obsm["protein"], data.obs["batch"])
    return data, types, (data.obs["batch"] == "5k").to_numpy()


def kang() -> tuple[AnnData, NDArray[np.str_], NDArray[np.bool_]]:
    """Cells without the marker genes, types by these genes, and which cells are of the labelled condition."""
    data = data_sets.kang()
    data = data[:, ~data.var_names.isin(marker_genes(BLOOD_MARKERS))].copy()
    data.obs["batch"] = data.obs["condition"]
    data = most_variable(data, N_GENES, batch_key="batch")
    return data, data_sets.cell_types(data), (data.obs["condition"] == "CTRL").to_numpy()


TRANSFERS = {"pair": pair, "kang": kang}


def run_seed(name: str, seed: int, peer_epochs: int | None = None) -> pd.DataFrame:
    """Every method on one transfer: columns method, measure, value."""
    data, types, source = TRANSFERS[name]()
    named = ~np.isin(types, [AMBIGUOUS, UNASSIGNED])
    kept, judged = source & named, ~source & named & np.isin(types, types[source & named])
    epochs = PEER_EPOCHS[name] if peer_epochs is None else peer_epochs
    found, labels = label_all(data, types, kept, "batch", seed, without_labels(data, "batch", seed, epochs))
    start = time.process_time()
    cells, _ = few_labels(data, types, kept, None)
    model = our_scanvi(cells, our_scvi(cells, seed), seed, label_frequencies(cells))
    found["scanvi_no_batch"] = Probabilities(predict(model, cells, soft=True), time.process_time() - start)
    tables = []
    for method, said in found.items():
        measured = score(said.table, labels, types, judged)
        measured["own_accuracy"] = score(said.table, labels, types, kept)["accuracy"]
        measured["cpu_s"] = said.cpu_s
        tables.append(pd.DataFrame({"method": method, "measure": measured.keys(), "value": measured.values()}))
    return pd.concat(tables)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance after every seed; returns the table's path."""
    tables = []
    for seed in range(n_seeds):
        for name in TRANSFERS:
            tables.append(run_seed(name, seed).assign(seed=seed, data=name))
            wide = tables[-1].pivot(index="method", columns="measure", values="value")
            print(f"seed {seed}, {name}\n{wide.round(3).to_string()}", flush=True)
        table = pd.concat(tables)[["seed", "data", "method", "measure", "value"]]
        path = save(table, folder, "annotation_transfer", provenance(seed + 1), float_format="%.5f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    cells = {}
    for name, build in TRANSFERS.items():
        _, types, source = build()
        cells[name] = pd.crosstab(types, np.where(source, "labelled", "named")).to_dict()
    packages = ("torch", "numpy", "scipy", "scikit-learn", "scanpy", "scvi-tools")
    return made_with("annotation_transfer", *packages) | {
        "cells": cells,
        "marker_genes_left_out": marker_genes(BLOOD_MARKERS),
        "seeds": list(range(n_seeds)),
        "settings": SETTINGS | {"peer_epochs": PEER_EPOCHS},
    }


def main() -> None:
    """The command line."""
    command_line(
        "Labels of one run or condition name the other; writes annotation_transfer.csv and .json.", run, seeds=5
    )


if __name__ == "__main__":
    main()
