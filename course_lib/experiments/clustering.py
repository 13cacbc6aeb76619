"""Which latent space finds the types? PCA, AE, VAE and scVI on cortex and PBMC3k, over several seeds.

    python -m course_lib.experiments.clustering [--seeds 5] [--to data/results]

A seed draws nine tenths of the cells, the same for all methods, and decides weights, minibatches and the starts of
k-means and Leiden. So PCA, which has no weights to start, varies too: by the cells it was shown. Nothing sees a label
while it learns, so the cells that were learned from are the ones clustered; the last tenth is embedded afterwards and
named by its neighbours. The table is ``clustering.csv``, one row for each data set, seed and method: ``ari`` and
``nmi`` between labels and k-means with the true number of clusters, ``asw``, the silhouette of the labels, the same
two for Leiden at resolution 1 with ``n_clusters``, and ``label_knn``, the fraction of held-out cells named right.

Axes: N cells, G genes, L latent dimensions.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from sklearn.decomposition import PCA

from course_lib.analysis.clustering import clustering_scores, cut_scores, knn_graph, leiden
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.mixing import label_knn_accuracy
from course_lib.data.cells import Cells, cells_from_counts, cells_from_expression
from course_lib.data.split import split_indices
from course_lib.experiments.data_sets import cell_types, cortex, pbmc3k, with_log
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi import SCVI, log_library_moments, start_at_profile
from course_lib.models.vae import VAE
from course_lib.training import fit

METHODS = {"pca": "PCA", "ae": "AE", "vae": "VAE", "scvi": "scVI"}
N_LATENT, HIDDEN, SIGMA = 10, (128,), 0.5  # SIGMA: where the fit of the VAE's σ starts
HELD_OUT, N_NEIGHBORS, RESOLUTION = 0.1, 15, 1.0
DATA: dict[str, Callable[[], AnnData]] = {"cortex": cortex, "pbmc3k": pbmc3k}
# One cycle of scVI: its length and the top of its learning rate, by the −ELBO of validation cells of another split
# (cortex: see the experiment ``cortex``; PBMC3k: 677 after 15 or 25 epochs, 678 after 50 at a constant 1e-3).
SCVI_TRAINING: dict[str, dict[str, Any]] = {"cortex": {"epochs": 60, "lr": 2e-2}, "pbmc3k": {"epochs": 20, "lr": 1e-2}}
SCVI_EPS, SCVI_DECAY = 0.01, 1e-6
GAUSSIAN_EPOCHS, GAUSSIAN_LR = 40, 3e-3  # AE and VAE, as in the experiment ``generators``


@dataclass(frozen=True)
class Labelled:
    """Counts as scVI sees them, the same log-normalised for the others, and the names nobody learns from."""

    counts: Cells  # (N, G)
    expression: Cells  # (N, G) log1p of counts per 10,000 of these genes
    labels: np.ndarray  # (N,) names

    def __getitem__(self, index: np.ndarray) -> "Labelled":
        return Labelled(self.counts[index], self.expression[index], self.labels[index])


def labelled(data: AnnData) -> Labelled:
    """Both views of the cells, of the genes that ``data`` has and no others, and their types."""
    return Labelled(cells_from_counts(data), cells_from_expression(with_log(data), layer="log"), cell_types(data))


def embed(
    method: str, train: Labelled, others: Labelled, seed: int, training: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Codes, (N, L) and (M, L), of the cells learned from and of others, by one of ``METHODS``."""
    if method == "pca":
        pca = PCA(N_LATENT, random_state=seed).fit(train.expression.x.numpy())
        return pca.transform(train.expression.x.numpy()), pca.transform(others.expression.x.numpy())
    torch.manual_seed(seed)
    if method == "scvi":
        prior = log_library_moments(train.counts)
        scvi = SCVI(train.counts.genes, library_prior=prior, n_latent=N_LATENT, hidden=HIDDEN)
        start_at_profile(scvi.decoder, train.counts)
        fit(
            scvi, train.counts, **training, one_cycle=True, eps=SCVI_EPS, weight_decay=SCVI_DECAY, seed=seed,
            progress=False,
        )  # fmt: skip
        return get_latent_representation(scvi, train.counts), get_latent_representation(scvi, others.counts)
    model: Autoencoder | VAE
    if method == "ae":
        model = Autoencoder(train.expression.n_genes, N_LATENT, HIDDEN)
    elif method == "vae":
        model = VAE(train.expression.n_genes, N_LATENT, HIDDEN, sigma=SIGMA, learn_sigma=True)
    else:
        raise ValueError(f"method: expected one of {list(METHODS)}, found {method!r}.")
    fit(model, train.expression, epochs=GAUSSIAN_EPOCHS, lr=GAUSSIAN_LR, seed=seed, progress=False)
    return get_latent_representation(model, train.expression), get_latent_representation(model, others.expression)


def score(codes: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """One row of the table, without ``label_knn``."""
    graph = AnnData(obsm={"codes": codes}, shape=(len(codes), 0))
    knn_graph(graph, "codes", N_NEIGHBORS, seed)
    leiden(graph, RESOLUTION, seed=seed)
    found = graph.obs["leiden"].to_numpy(dtype=str)
    by_leiden = {f"leiden_{name}": value for name, value in cut_scores(labels, found).items()}
    return clustering_scores(codes, labels, seed) | by_leiden | {"n_clusters": len(np.unique(found))}


def run_seed(
    cells: Labelled, seed: int, training: dict[str, Any], methods: Iterable[str] = tuple(METHODS)
) -> pd.DataFrame:
    """Draw the cells, learn, cluster and score with one seed: a row for each method."""
    inside, outside = split_indices(len(cells.labels), (1 - HELD_OUT, HELD_OUT), seed=seed)
    train, held_out = cells[inside], cells[outside]
    rows = []
    for method in methods:
        codes, new = embed(method, train, held_out, seed, training)
        right = label_knn_accuracy(codes, train.labels, new, held_out.labels, N_NEIGHBORS)
        rows.append({"seed": seed, "method": method} | score(codes, train.labels, seed) | {"label_knn": right})
    return pd.DataFrame(rows)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    data = {name: labelled(load()) for name, load in DATA.items()}
    tables = []
    for seed in range(n_seeds):
        for name, cells in data.items():
            tables.append(run_seed(cells, seed, SCVI_TRAINING[name]))
            tables[-1].insert(0, "data", name)
            print(tables[-1].round(3).to_string(index=False), flush=True)
        in_order = pd.concat(tables).sort_values(["data", "seed"], kind="stable")
        path = save(in_order, folder, "clustering", provenance(seed + 1), float_format="%.4f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("clustering", "torch", "numpy", "scikit-learn", "scanpy", "igraph") | {
        "data": "cortex (558 genes of largest spread) and PBMC3k (named cells, 2,000 most variable genes)",
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_latent": N_LATENT, "hidden": list(HIDDEN), "batch_size": 128, "held_out": HELD_OUT,
            "n_neighbors": N_NEIGHBORS, "resolution": RESOLUTION,
            "scvi": {"gene_likelihood": "zinb", "library": "learned", "start": "ρ at the mean profile",
                     "one_cycle": SCVI_TRAINING, "eps": SCVI_EPS, "weight_decay": SCVI_DECAY},
            "ae_vae": {"epochs": GAUSSIAN_EPOCHS, "lr": GAUSSIAN_LR, "sigma_start": SIGMA},
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("PCA, AE, VAE and scVI scored by clustering; writes clustering.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
