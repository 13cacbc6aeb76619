"""GENEEX on six cohorts of tumours beside PCA, by the number of samples that both learn from.

    COURSE_ORIGINALS=FOLDER python -m course_lib.experiments.cohorts [--seeds 5] [--to data/results]

FOLDER holds the six ``<COHORT>.rnaseq.rda`` that ``course_lib.data.tumours.load_rtcga`` reads: 317 samples × 20,531
genes, not part of the course. What enters is log(1 + RSEM): these estimates are already scaled within each sample (the
upper quartile of the genes that are there is 1,000), so no target sum is needed; the natural logarithm as everywhere in
the course (log₂ would multiply every value by 1.44, and no score here would change). The mean of each gene over the
training samples is subtracted.

A seed holds out one fifth of the *patients*, for nine gave a tumour and a normal sample; the five seeds hold out every
sample once. Of the others, the first n of one order are learned from, so that 40 are among the 80. The number of epochs
is chosen on a fifth of these n, the learning rate on a fifth of the largest n, for every n of that seed (which favours
the network where n is small); never on held-out samples. Then a new network learns from all n. PCA learns from all n at
once.

``cohorts.csv``, aggregates only: one row for each seed, number of training samples ``n_train``, method (``pca``,
``geneex``, ``geneex_no_dropout``, ``untrained``) and latent size ``n_latent``. PCA has 2, 10, 128 and as many
components as centred training samples span, n − 1; where n − 1 < 128 the last two are one. ``held_out`` and ``train``
are fractions of variance explained. Three scores ask the nearest training sample in latent space, one only, because a
kind with two training samples never has a majority among five: ``cohort``, the share of held-out samples whose
nearest is of the same cohort; ``normals``, the share of the held-out normal samples whose nearest is normal; and
``tumours``, the same for the tumours of those cohorts that have normals (``n_normals`` and ``n_tumours`` say of how
many). With all components, PCA's nearest is that of all genes: what is left out is equally far from every training
sample. ``lr`` and ``epochs`` are what was chosen. ``cohorts.json`` says with what the table was made.

At this width a network holds 1.4 GB while it learns, and 0.4 GB more while the best epoch's weights are kept.

Axes: N samples, G genes, L latent dimensions.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.mixing import label_knn_accuracy
from course_lib.analysis.reconstruction import variance_explained
from course_lib.data.cells import Cells, cells_from_expression
from course_lib.data.split import group_folds, nested_order
from course_lib.data.tumours import load_rtcga
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.geneex import GENEEX
from course_lib.training.fit import fit

N_FOLDS, SIZES = 5, (40, 80, 160, 240)
N_LATENT, HIDDEN, DROPOUT = 128, (2048, 1024), 0.1
PCA_SIZES = (2, 10, 128)
BATCH_SIZE, LRS = 40, (3e-4, 1e-3)
MAX_STEPS, PATIENCE_STEPS = 100, 20  # optimizer steps; in epochs, more the fewer samples there are


@dataclass(frozen=True)
class Samples:
    """Pieces of tissue, and what no model is told about them."""

    x: np.ndarray  # (N, G), log(1 + RSEM), float32
    cohort: np.ndarray  # (N,) names such as "ACC"
    normal: np.ndarray  # (N,) bool: normal tissue, by the barcode's sample type
    patient: np.ndarray  # (N,) the barcode's first three fields

    @property
    def kind(self) -> np.ndarray:
        """(N,) cohort, and whether the tissue is normal."""
        return np.where(self.normal, np.char.add(self.cohort, " normal"), self.cohort)

    @property
    def rival_tumours(self) -> np.ndarray:
        """(N,) bool: tumours of the cohorts that have normal samples too."""
        return ~self.normal & np.isin(self.cohort, self.cohort[self.normal])


def originals() -> Path:
    """The folder with the original files.

    Raises
    ------
    ValueError : ``COURSE_ORIGINALS`` is not set, or names no folder.
    """
    folder = os.environ.get("COURSE_ORIGINALS", "")
    if not Path(folder).is_dir() or not folder:
        raise ValueError(
            f"COURSE_ORIGINALS: expected a folder that holds the six <COHORT>.rnaseq.rda, found {folder!r}; set this "
            "environment variable, as the top of course_lib/experiments/cohorts.py shows."
        )
    return Path(folder)


def read(folder: Path) -> Samples:
    """The six cohorts below each other."""
    data = load_rtcga(folder=folder)
    barcode = data.obs["barcode"].to_numpy(dtype=str)
    return Samples(
        np.log1p(data.X),
        data.obs["cohort"].to_numpy(dtype=str),
        data.obs["is_normal"].to_numpy(dtype=bool),
        np.array(["-".join(code.split("-")[:3]) for code in barcode]),
    )


def split(samples: Samples, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples to learn from, in the order they are taken, and samples held out. Seeds 0 to 4 are five folds."""
    round_, part = divmod(seed, N_FOLDS)
    held_out = group_folds(samples.patient, samples.kind, N_FOLDS, seed=round_)[part]
    pool = np.setdiff1d(np.arange(len(samples.x)), held_out)
    return pool[nested_order(samples.kind[pool], seed=seed)], held_out


def scores(samples: Samples, train: np.ndarray, held_out: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """What the nearest training sample says about held-out ones. ``codes`` : (N, L) of all samples."""

    def nearest(names: np.ndarray, asked: np.ndarray) -> float:
        return label_knn_accuracy(codes[train], names[train], codes[asked], names[asked], n_neighbors=1)

    tissue = np.where(samples.normal, "normal", "tumour")
    normals, tumours = held_out[samples.normal[held_out]], held_out[samples.rival_tumours[held_out]]
    return {
        "cohort": nearest(samples.cohort, held_out),
        "normals": nearest(tissue, normals),
        "tumours": nearest(tissue, tumours),
        "n_normals": len(normals),
        "n_tumours": len(tumours),
    }


def centred(x: np.ndarray, train: np.ndarray) -> Cells:
    """All samples less the mean of each gene over ``train``."""
    return cells_from_expression(x - x[train].mean(0))


def n_epochs(n_samples: int, steps: int) -> int:
    """How many epochs take so many steps, at least."""
    return math.ceil(steps / math.ceil(n_samples / BATCH_SIZE))


def choose(
    samples: Samples, train: np.ndarray, dropout: float, lrs: Sequence[float], seed: int, max_steps: int
) -> tuple[float, int]:
    """Learning rate and number of epochs with the lowest loss on a fifth of the training samples.

    No patient is both in that fifth and in the rest, which this learns from. Held-out samples are not looked at.
    """
    validation, *rest = (train[fold] for fold in group_folds(samples.patient[train], samples.kind[train], 5, seed))
    learn = np.concatenate(rest)
    cells = centred(samples.x, learn)
    lowest: dict[tuple[float, int], float] = {}
    for lr in lrs:
        torch.manual_seed(seed)
        history = fit(
            GENEEX(cells.n_genes, N_LATENT, HIDDEN, dropout),
            cells[learn],
            validation=cells[validation],
            epochs=n_epochs(len(learn), max_steps),
            patience=n_epochs(len(learn), PATIENCE_STEPS),
            batch_size=BATCH_SIZE,
            lr=lr,
            seed=seed,
            progress=False,
        )
        lowest[lr, int(history["validation_loss"].idxmin())] = history["validation_loss"].min()
    return min(lowest, key=lowest.__getitem__)


def learned(train: Cells, dropout: float, lr: float, epochs: int, seed: int) -> GENEEX:
    """A new network, trained on all training samples. Nothing else that is large stays in memory."""
    torch.manual_seed(seed)
    model = GENEEX(train.n_genes, N_LATENT, HIDDEN, dropout)
    fit(model, train, epochs=epochs, batch_size=BATCH_SIZE, lr=lr, seed=seed, progress=False)
    model.zero_grad()
    return model


def asked(model: GENEEX, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, L) and reconstructions (N, G) of all samples."""
    return get_latent_representation(model, cells), get_reconstruction(model, cells)


def run_size(
    samples: Samples,
    train: np.ndarray,
    held_out: np.ndarray,
    seed: int,
    lrs: Sequence[float] = LRS,
    no_dropout: bool = False,
    max_steps: int = MAX_STEPS,
) -> pd.DataFrame:
    """PCA, an untrained and a trained GENEEX on the same samples.

    Parameters
    ----------
    train, held_out : indices.   seed : of validation part, weights and minibatches.   lrs : to choose from.
    no_dropout : train one more network, without it.   max_steps : of the optimizer, at most.

    Returns
    -------
    One row for each method and size; columns ``n_train, method, n_latent, held_out, train, cohort, normals, tumours,
    n_normals, n_tumours``, and ``lr, epochs`` where something was chosen.
    """
    cells = centred(samples.x, train)
    x, mean = cells.x.numpy(), np.zeros(cells.n_genes)
    rows: list[dict[str, object]] = []

    def add(method: str, codes: np.ndarray, back: np.ndarray, **chosen: float) -> None:
        explained = {
            name: variance_explained(x[part], back[part], mean)
            for name, part in (("held_out", held_out), ("train", train))
        }
        rows.append({"n_train": len(train), "method": method, "n_latent": codes.shape[1]} | explained)
        rows[-1] |= scores(samples, train, held_out, codes) | chosen

    spanned = min(len(train) - 1, cells.n_genes)  # dimensions of the centred training samples
    pca = PCA(spanned, svd_solver="full").fit(x[train])
    codes = pca.transform(x)
    for k in sorted({min(size, spanned) for size in (*PCA_SIZES, spanned)}):
        add("pca", codes[:, :k], codes[:, :k] @ pca.components_[:k])

    torch.manual_seed(seed)
    add("untrained", *asked(GENEEX(cells.n_genes, N_LATENT, HIDDEN), cells))
    for method, dropout in [("geneex", DROPOUT), ("geneex_no_dropout", 0.0)][: 2 if no_dropout else 1]:
        lr, epochs = choose(samples, train, dropout, lrs, seed, max_steps)
        lrs = (lr,)
        add(method, *asked(learned(cells[train], dropout, lr, epochs, seed), cells), lr=lr, epochs=epochs)
    return pd.DataFrame(rows)


def run_seed(samples: Samples, seed: int, sizes: Sequence[int] = SIZES, max_steps: int = MAX_STEPS) -> pd.DataFrame:
    """Every size of one split; the network without dropout at the largest only.

    Raises
    ------
    ValueError : a size for which there are not so many samples.
    """
    order, held_out = split(samples, seed)
    if max(sizes) > len(order):
        raise ValueError(
            f"sizes: expected at most {len(order)}, the samples that seed {seed} does not hold out, found "
            f"{max(sizes)}; leave it out."
        )
    parts: list[pd.DataFrame] = []
    lrs = LRS
    for n in sorted(sizes, reverse=True):
        parts.insert(0, run_size(samples, order[:n], held_out, seed, lrs, n == max(sizes), max_steps))
        lrs = tuple(parts[0]["lr"].dropna().unique())  # one, from the largest on
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "seed", seed)
    return table


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    samples = read(originals())
    tables = []
    for seed in range(n_seeds):
        tables.append(run_seed(samples, seed))
        print(tables[-1].to_string(index=False), flush=True)
        path = save(pd.concat(tables), folder, "cohorts", provenance(seed + 1, samples))
    return path


def provenance(n_seeds: int, samples: Samples) -> dict[str, object]:
    """With what the table was made."""
    kinds, numbers = np.unique(samples.kind, return_counts=True)
    return made_with("cohorts", "torch", "numpy", "scikit-learn", "rdata") | {
        "data": "RTCGA, RSEM-normalised expression of six cohorts, log(1 + x), centred; aggregates only",
        "n_genes": samples.x.shape[1],
        "n_samples": {str(kind): int(number) for kind, number in zip(kinds, numbers, strict=True)},
        "seeds": list(range(n_seeds)),
        "held_out": 1 / N_FOLDS,
        "sizes": list(SIZES),
        "n_latent": N_LATENT,
        "hidden": list(HIDDEN),
        "dropout": DROPOUT,
        "batch_size": BATCH_SIZE,
        "lrs": list(LRS),
        "max_steps": MAX_STEPS,
        "patience_steps": PATIENCE_STEPS,
        "n_neighbors": 1,
    }


def main() -> None:
    """The command line."""
    command_line("GENEEX beside PCA on six cohorts of tumours; writes cohorts.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
