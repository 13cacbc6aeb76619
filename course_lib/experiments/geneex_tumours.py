"""GENEEX at the lecture's size: every gene of eighty bulk tumours, beside PCA, and the memory it takes.

    COURSE_ORIGINALS=FOLDER python -m course_lib.experiments.geneex_tumours [--splits 3] [--to data/results]

FOLDER holds ``gdc_htseq_80x60483.npz`` (see ``course_lib.data.tumours.load_gdc_htseq``), which is not part of the
course. Each split runs in a process of its own, so that the peak of its memory can be read off: about 5.5 GB and some
minutes. A split's seed decides which samples are held out, the weights and the minibatches. The learning rate was
chosen after short trials on split 0, and the number of epochs raised from 24 because the held-out curves still rose.

Two tables of aggregate figures, no sample's values among them. ``geneex_tumours.csv``: one row for each split and
epoch; ``held_out``, the fraction of the variance of held-out samples explained (epoch 0: the untrained network), and
``train``, the same on the training samples. ``geneex_tumours_summary.csv``: one row for each split with PCA's
``pca_2``, ``pca_10`` and ``pca_all`` (as many components as the training samples span); the accuracy with which
a held-out sample's 5 nearest training samples name its organ, in GENEEX's latent space (``site_geneex``), untrained
(``site_untrained``) and in PCA's space of all components (``site_pca``); ``predicted_bytes`` and ``measured_bytes``.
``geneex_tumours.json`` says with what they were made.

Axes: N samples, G genes, L latent dimensions.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.mixing import label_knn_accuracy
from course_lib.analysis.reconstruction import variance_explained
from course_lib.data.cells import cells_from_expression
from course_lib.data.expression import log_normalise
from course_lib.data.split import split_indices
from course_lib.data.tumours import load_gdc_htseq
from course_lib.experiments.record import RESULTS, made_with, save
from course_lib.models.geneex import GENEEX, training_memory
from course_lib.training.fit import fit

TARGET_SUM, HELD_OUT, N_NEIGHBORS = 1e6, 0.2, 5
N_LATENT, HIDDEN = 128, (2048, 1024)
EPOCHS, LR, BATCH_SIZE = 60, 1e-4, 32


def peak_memory() -> int:
    """The largest amount of memory this process has held at once, in bytes."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run_split(counts: np.ndarray, site: np.ndarray, seed: int, epochs: int = EPOCHS) -> dict[str, object]:
    """Split, train and score once, and measure by how much training raised this process's peak memory.

    Parameters
    ----------
    counts : (N, G).   site : (N,) organ of each sample.   seed : of split, weights and minibatches.

    Returns
    -------
    ``epochs``: list of rows of the first table.   ``summary``: the row of the second.
    """
    train, held_out = split_indices(len(counts), (1 - HELD_OUT, HELD_OUT), seed=seed)
    x = log_normalise(counts, TARGET_SUM)  # (N, G)
    x -= x[train].mean(0)
    mean = np.zeros(x.shape[1])
    cells = cells_from_expression(x)

    n_components = min(len(train) - 1, x.shape[1])  # centred training samples span no more dimensions
    pca = PCA(n_components, svd_solver="full").fit(x[train])
    codes = pca.transform(x)  # (N, K)
    summary: dict[str, float] = {"split": seed}
    for name, k in (("pca_2", 2), ("pca_10", min(10, codes.shape[1])), ("pca_all", codes.shape[1])):
        summary[name] = variance_explained(x[held_out], codes[held_out, :k] @ pca.components_[:k], mean)

    def site_accuracy(codes: np.ndarray) -> float:
        return label_knn_accuracy(codes[train], site[train], codes[held_out], site[held_out], N_NEIGHBORS)

    summary["site_pca"] = site_accuracy(codes)

    warm = torch.nn.Linear(2, 2)  # loads what PyTorch loads at its first step
    fit_nothing = torch.optim.Adam(warm.parameters())
    warm(torch.ones(1, 2)).sum().backward()
    fit_nothing.step()
    predicted = training_memory(x.shape[1], N_LATENT, HIDDEN, BATCH_SIZE).total  # before anything is allocated
    before = peak_memory()

    torch.manual_seed(seed)
    model = GENEEX(x.shape[1], N_LATENT, HIDDEN)
    summary["site_untrained"] = site_accuracy(get_latent_representation(model, cells))
    rows: list[dict[str, float]] = [{"split": seed, "epoch": 0}]
    for name, index in (("train", train), ("held_out", held_out)):
        rows[0][name] = variance_explained(x[index], get_reconstruction(model, cells[index]), mean)
    history = fit(
        model,
        cells[train],
        validation=cells[held_out],
        epochs=epochs,
        batch_size=BATCH_SIZE,
        lr=LR,
        seed=seed,
        progress=False,
    )
    measured = peak_memory() - before

    for epoch, row in history.iterrows():
        rows.append({"split": seed, "epoch": epoch})
        rows[-1]["train"] = 1 - row["train_loss"] / np.square(x[train]).mean()
        rows[-1]["held_out"] = 1 - row["validation_loss"] / np.square(x[held_out]).mean()
    summary["site_geneex"] = site_accuracy(get_latent_representation(model, cells))
    summary |= {"predicted_bytes": predicted, "measured_bytes": measured}
    return {"epochs": rows, "summary": summary}


def run(n_splits: int, folder: Path, originals: Path) -> list[Path]:
    """Write both tables and their provenance; returns the tables' paths."""
    shape = load_gdc_htseq(originals).shape
    results = []
    for seed in range(n_splits):
        command = [sys.executable, "-m", "course_lib.experiments.geneex_tumours", "--split", str(seed)]
        child = subprocess.run(command, env=os.environ | {"COURSE_ORIGINALS": str(originals)}, stdout=subprocess.PIPE)
        child.check_returncode()
        results.append(json.loads(child.stdout))
        print(json.dumps(results[-1]["summary"]), json.dumps(results[-1]["epochs"][-1]), flush=True)
        rows = pd.DataFrame([row for result in results for row in result["epochs"]])
        summary = pd.DataFrame([result["summary"] for result in results])
        paths = [
            save(rows, folder, "geneex_tumours", provenance(seed + 1, shape)),
            save(summary, folder, "geneex_tumours_summary"),
        ]
    return paths


def provenance(n_splits: int, shape: tuple[int, ...]) -> dict[str, object]:
    """With what the tables were made."""
    return made_with("geneex_tumours", "torch", "numpy", "scikit-learn") | {
        "data": "80 bulk tumours of the Genomic Data Commons (40 breast, 40 lung), HTSeq counts; aggregates only",
        "n_samples": shape[0],
        "n_genes": shape[1],
        "target_sum": TARGET_SUM,
        "splits": list(range(n_splits)),
        "held_out": HELD_OUT,
        "n_latent": N_LATENT,
        "hidden": list(HIDDEN),
        "epochs": EPOCHS,
        "lr": LR,
        "batch_size": BATCH_SIZE,
        "n_neighbors": N_NEIGHBORS,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="GENEEX on 80 tumours; writes geneex_tumours*.csv and .json.")
    parser.add_argument("--splits", type=int, default=3, help="how many splits, from 0 (default 3)")
    parser.add_argument("--split", type=int, help="run this one alone and print its result as JSON")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if "COURSE_ORIGINALS" not in os.environ:
        parser.error("set COURSE_ORIGINALS to the folder that holds gdc_htseq_80x60483.npz; see the top of this file")
    originals = Path(os.environ["COURSE_ORIGINALS"])
    if arguments.split is None:
        print(*run(arguments.splits, arguments.to, originals), sep="\n")
    else:
        data = load_gdc_htseq(originals)
        result = run_split(data.X, data.obs["site"].to_numpy(dtype=str), arguments.split, arguments.epochs)
        print(json.dumps(result, default=float))


if __name__ == "__main__":
    main()
