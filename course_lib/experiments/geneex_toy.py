"""GENEEX on the lecture's toy: three programs of genes, found without labels, over seeds.

    python -m course_lib.experiments.geneex_toy [--seeds 5] [--to data/results]

A seed decides everything that is random: the cells, which of them are held out, the weights and the minibatches. The
table is ``geneex_toy.csv``, one row for each seed, setting and epoch; epoch 0 is the untrained network. ``held_out``
is the fraction of the variance of held-out cells explained; ``ari`` and ``ari_pca`` say how well k-means finds the
programs among held-out cells, in all latent dimensions and in their first two principal components (blank for epochs
in between). ``pca_held_out`` and ``pca_ari`` are the same for PCA of the genes with two components. ``geneex_toy.json``
says with what it was made.

Axes: N cells, G genes, L latent dimensions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from course_lib.analysis.clustering import kmeans_ari
from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.reconstruction import variance_explained
from course_lib.data.cells import Cells, cells_from_expression
from course_lib.data.expression import log_normalise
from course_lib.data.split import split_indices
from course_lib.data.toys import three_programs
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.geneex import GENEEX
from course_lib.training.fit import fit

N_CELLS, N_GENES, MEAN_LIBRARY, TARGET_SUM, HELD_OUT = 6_000, 1_000, 1_800, 1_000, 0.2
LR, BATCH_SIZE = 2e-4, 256
SETTINGS: dict[str, dict[str, float]] = {
    "latent_128": {"n_latent": 128, "fold": 1.5, "target_sum": TARGET_SUM, "epochs": 4},
    "latent_2": {"n_latent": 2, "fold": 1.5, "target_sum": TARGET_SUM, "epochs": 4},
    "no_target_sum": {"n_latent": 2, "fold": 1.5, "target_sum": 1, "epochs": 4},
    "threefold_untrained": {"n_latent": 128, "fold": 3, "target_sum": TARGET_SUM, "epochs": 0},
}


@dataclass(frozen=True)
class Toy:
    """Training and held-out cells, both less the training cells' mean of each gene, and the truth about them."""

    train: Cells
    held_out: Cells
    train_truth: pd.DataFrame  # columns program (A, B or C) and library
    held_out_truth: pd.DataFrame

    @property
    def program(self) -> np.ndarray:
        """(N,) the program of each held-out cell."""
        return self.held_out_truth["program"].to_numpy(dtype=str)


def toy(fold: float, target_sum: float, seed: int, n_cells: int = N_CELLS, n_genes: int = N_GENES) -> Toy:
    """Simulate, bring each cell to ``target_sum``, take logarithms, split, centre."""
    data = three_programs(n_cells, n_genes, fold=fold, mean_library=MEAN_LIBRARY, seed=seed)
    x = log_normalise(data.X, target_sum)  # (N, G)
    train, held_out = split_indices(len(x), (1 - HELD_OUT, HELD_OUT), seed=seed)
    x -= x[train].mean(0)
    return Toy(
        cells_from_expression(x[train]),
        cells_from_expression(x[held_out]),
        data.obs.iloc[train],
        data.obs.iloc[held_out],
    )


def scores(model: GENEEX, data: Toy) -> dict[str, float]:
    """Held-out variance explained, and the ARI from all latent dimensions and from their first two components."""
    z = get_latent_representation(model, data.held_out)  # (N, L)
    seen = PCA(2, random_state=0).fit_transform(z) if z.shape[1] > 2 else z
    mean = np.zeros(data.held_out.n_genes)  # the data are centred on the training cells
    return {
        "held_out": variance_explained(data.held_out.x.numpy(), get_reconstruction(model, data.held_out), mean),
        "ari": kmeans_ari(z, data.program),
        "ari_pca": kmeans_ari(seen, data.program),
    }


def pca_scores(data: Toy) -> dict[str, float]:
    """The same for two principal components of the genes."""
    pca = PCA(2, random_state=0).fit(data.train.x.numpy())
    x = data.held_out.x.numpy()
    codes = pca.transform(x)
    explained = variance_explained(x, pca.inverse_transform(codes), np.zeros(x.shape[1]))
    return {"pca_held_out": explained, "pca_ari": kmeans_ari(codes, data.program)}


def oracle(data: Toy, depth: bool) -> float:
    """Held-out variance explained by :func:`oracle_means`."""
    x = data.held_out.x.numpy()
    return variance_explained(x, oracle_means(data, depth), np.zeros(x.shape[1]))


def oracle_means(data: Toy, depth: bool) -> np.ndarray:
    """What to expect of each held-out cell, (N, G), by least squares on what no model is told: each cell's program.

    With ``depth`` the logarithm of the cell's library size is known too, with a slope of its own in each program.
    """

    def design(truth: pd.DataFrame) -> np.ndarray:
        program = pd.get_dummies(truth["program"]).to_numpy(dtype=float)  # (N, 3)
        return np.hstack([program, program * np.log(truth[["library"]].to_numpy())]) if depth else program

    profiles = np.linalg.lstsq(design(data.train_truth), data.train.x.numpy(), rcond=None)[0]  # (3 or 6, G)
    return design(data.held_out_truth) @ profiles


def library_read_from(codes: np.ndarray, data: Toy) -> float:
    """R² of log library size by least squares on the codes of the held-out cells, (N, L), half fitted, half scored."""
    library = np.log(data.held_out_truth["library"].to_numpy())
    half = len(codes) // 2
    return float(LinearRegression().fit(codes[:half], library[:half]).score(codes[half:], library[half:]))


def run_setting(setting: str, seed: int, n_cells: int = N_CELLS, **changes: float) -> pd.DataFrame:
    """Score an untrained GENEEX, train it, score it again.

    Parameters
    ----------
    setting : a key of ``SETTINGS``.   seed : of cells, split, weights and minibatches.
    changes : entries of the setting to replace, such as ``epochs=1`` for a short run.

    Returns
    -------
    One row for each epoch from 0; columns ``setting, seed, epoch, held_out, ari, ari_pca, pca_held_out, pca_ari``.
    """
    if setting not in SETTINGS:
        raise ValueError(f"setting: expected one of {list(SETTINGS)}, found {setting!r}.")
    chosen = SETTINGS[setting] | changes
    data = toy(chosen["fold"], chosen["target_sum"], seed, n_cells)
    torch.manual_seed(seed)
    model = GENEEX(data.train.n_genes, int(chosen["n_latent"]))
    rows = [{"epoch": 0} | scores(model, data)]
    if chosen["epochs"] > 0:
        history = fit(
            model,
            data.train,
            validation=data.held_out,
            epochs=int(chosen["epochs"]),
            batch_size=BATCH_SIZE,
            lr=LR,
            seed=seed,
            progress=False,
        )
        explained = 1 - history["validation_loss"] / float(data.held_out.x.square().mean())
        rows += [{"epoch": epoch, "held_out": value} for epoch, value in explained.items()]
        rows[-1] |= scores(model, data)
    table = pd.DataFrame(rows).assign(**pca_scores(data))
    table.insert(0, "setting", setting)
    table.insert(1, "seed", seed)
    return table


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    tables = []
    for seed in range(n_seeds):
        for setting in SETTINGS:
            tables.append(run_setting(setting, seed))
            print(tables[-1].iloc[[0, -1]].to_string(index=False, header=False), flush=True)
        path = save(pd.concat(tables), folder, "geneex_toy", provenance(seed + 1))
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("geneex_toy", "torch", "numpy", "scikit-learn") | {
        "data": f"three_programs: {N_CELLS} cells, {N_GENES} genes, mean library {MEAN_LIBRARY}",
        "seeds": list(range(n_seeds)),
        "settings": SETTINGS,
        "held_out": HELD_OUT,
        "lr": LR,
        "batch_size": BATCH_SIZE,
    }


def main() -> None:
    """The command line."""
    command_line("GENEEX on three programs; writes geneex_toy.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
