"""Do groups show without labels? k-means and Leiden cut the latent space; labels are used only to score the cut.

Axes: N cells, L latent dimensions, K clusters.

Two cuts are compared by pairs of cells (ARI) or by information (NMI); scikit-learn computes both. The silhouette
compares no cuts: it asks how well the *labels* fit the codes, and belongs on the true labels.
"""

import warnings
from typing import Any

import numpy as np
import scanpy
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from course_lib.analysis.tables import name_of_each, number_table
from course_lib.arguments import positive, seed_number, text, whole_number


def kmeans(codes: ArrayLike, n_clusters: int, seed: int = 0) -> NDArray[np.int32]:
    """The cluster of each cell: K centres, each the mean of its cells, each cell with the nearest centre.

    Parameters
    ----------
    codes : (N, L), finite.   n_clusters : K, 1 to N.   seed : of its ten starts, of which the tightest is kept.

    Returns
    -------
    (N,) numbers 0 to K − 1. Which cluster gets which number means nothing.

    Raises
    ------
    TypeError, ValueError : here and below, codes that are not a finite table of numbers, labels that are missing or of
        another number than cells, a number of another kind or out of its range; the message names the argument.
    """
    table = number_table("codes", codes)
    n_clusters = whole_number("n_clusters", n_clusters, 1, len(table), "the cells there are")
    return KMeans(n_clusters, n_init=10, random_state=seed_number(seed)).fit_predict(table)


def kmeans_ari(codes: ArrayLike, labels: ArrayLike, seed: int = 0) -> float:
    """Adjusted Rand index between ``labels`` and k-means on ``codes``, with as many clusters as there are labels.

    Parameters
    ----------
    codes : (N, L).   labels : (N,), not seen by k-means.   seed : of its ten starts.

    Returns
    -------
    1 if the two divide the cells alike, about 0 for a division at random (Hubert and Arabie 1985,
    https://doi.org/10.1007/BF01908075).
    """
    table = number_table("codes", codes)
    names = name_of_each("labels", labels, len(table), least=2)
    return float(adjusted_rand_score(names, kmeans(table, len(np.unique(names)), seed)))


def knn_graph(data: AnnData, use_rep: str, n_neighbors: int = 15, seed: int = 0) -> None:
    """Join each cell of ``data`` to its nearest in ``data.obsm[use_rep]``, through ``scanpy.pp.neighbors``.

    Parameters
    ----------
    n_neighbors : as scanpy counts them, the cell itself included; 2 to N.   seed : of the search, where N is large.

    Writes
    ------
    ``data.obsp["distances"]`` and ``["connectivities"]`` (N, N), sparse, and ``data.uns["neighbors"]``, in place of an
    earlier graph. Connectivities are weights in (0, 1], made symmetric, as UMAP defines them
    (https://doi.org/10.21105/joss.00861).
    """
    if use_rep not in data.obsm:
        raise ValueError(
            f"use_rep: expected a key of data.obsm, {sorted(data.obsm)}, found {use_rep!r}; write it there."
        )
    codes = number_table(f"data.obsm[{use_rep!r}]", data.obsm[use_rep])
    n_neighbors = whole_number("n_neighbors", n_neighbors, 2, len(codes), "the cells there are")
    scanpy.pp.neighbors(data, n_neighbors=n_neighbors, use_rep=use_rep, random_state=seed_number(seed))


def leiden(data: AnnData, resolution: float = 1.0, key_added: str = "leiden", seed: int = 0) -> None:
    """Cut the graph of ``knn_graph`` where few edges run, through ``scanpy.tl.leiden`` with igraph.

    Parameters
    ----------
    resolution : γ > 0 of the modularity; a higher one gives more clusters.   seed : of the order of its moves.

    Writes
    ------
    ``data.obs[key_added]``, categories "0", "1", …; which cluster gets which number means nothing. Its own earlier
    clusters there are replaced without a word, any other column with a warning.

    Source: Traag et al. 2019, https://doi.org/10.1038/s41598-019-41695-z.
    """
    if "neighbors" not in data.uns:
        raise ValueError("data: expected a graph, found none; call knn_graph(data, use_rep=…) first.")
    resolution, seed = positive("resolution", resolution), seed_number(seed)
    warn_of_loss(data, text("key_added", key_added))
    scanpy.tl.leiden(
        data, resolution=resolution, key_added=key_added, random_state=seed,
        flavor="igraph", n_iterations=2, directed=False,
    )  # fmt: skip


def warn_of_loss(data: AnnData, key: str) -> None:
    """UserWarning if ``data.obs`` has a column of that name which is not of Leiden's making: labels, perhaps."""
    if key in data.obs and "resolution" not in dict(data.uns.get(key, {})).get("params", {}):
        warnings.warn(
            f"key_added: data.obs[{key!r}] was there, not made by leiden, and is replaced by clusters; "
            "choose another key_added to keep such a column.",
            stacklevel=3,
        )


def clustering_scores(codes: ArrayLike, labels: ArrayLike, seed: int = 0) -> dict[str, float]:
    """How well k-means with the true number of clusters finds the labels, and how well the labels fit the codes.

    Parameters
    ----------
    codes : (N, L).   labels : (N,), true names, at least two, and fewer than cells.   seed : of k-means' starts.

    Returns
    -------
    ``ari`` and ``nmi`` (arithmetic mean of the entropies below) between labels and k-means, and ``asw``, the mean
    silhouette width of the *labels*, −1 to 1. Given k-means' own clusters instead, the silhouette would say how tight
    they are and nothing about the labels: a mistake found in published code.
    """
    table = number_table("codes", codes)
    names = name_of_each("labels", labels, len(table), least=2)
    n_names = len(np.unique(names))
    if n_names == len(table):
        raise ValueError(f"labels: expected fewer than cells, found {n_names} different ones; are they cell names?")
    found = kmeans(table, n_names, seed)
    return cut_scores(names, found) | {"asw": float(silhouette_score(table, names))}


def cut_scores(labels: ArrayLike, found: ArrayLike) -> dict[str, float]:
    """``ari`` and ``nmi`` of two divisions of the same N cells. The order of the two does not matter."""
    labels = name_of_each("labels", labels, _length(labels))
    found = name_of_each("found", found, len(labels))
    return {
        "ari": float(adjusted_rand_score(labels, found)),
        "nmi": float(normalized_mutual_info_score(labels, found)),
    }


def _length(values: Any) -> int:
    if np.ndim(values) != 1 or len(values) == 0:
        raise ValueError(f"labels: expected (N,), a name for each cell, found shape {np.shape(values)}.")
    return len(values)
