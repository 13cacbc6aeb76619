"""Do groups show without labels? k-means and Leiden cut the latent space; labels are used only to score the cut.

Axes: N cells, L latent dimensions, K clusters.

Two cuts are compared by pairs of cells (ARI) or by information (NMI); scikit-learn computes both. The silhouette
compares no cuts: it asks how well the *labels* fit the codes, and belongs on the true labels.
"""

import numpy as np
import scanpy
from anndata import AnnData
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score


def kmeans(codes: np.ndarray, n_clusters: int, seed: int = 0) -> np.ndarray:
    """The cluster of each cell: K centres, each the mean of its cells, each cell with the nearest centre.

    Parameters
    ----------
    codes : (N, L).   n_clusters : K, 1 to N.   seed : of its ten starts, of which the tightest is kept.

    Returns
    -------
    (N,) numbers 0 to K − 1. Which cluster gets which number means nothing.
    """
    codes = _checked(codes)
    if not 1 <= n_clusters <= len(codes):
        raise ValueError(f"n_clusters: expected 1 to {len(codes)}, the cells there are, found {n_clusters}.")
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(codes)


def kmeans_ari(codes: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """Adjusted Rand index between ``labels`` and k-means on ``codes``, with as many clusters as there are labels.

    Parameters
    ----------
    codes : (N, L).   labels : (N,), not seen by k-means.   seed : of its ten starts.

    Returns
    -------
    1 if the two divide the cells alike, about 0 for a division at random (Hubert and Arabie 1985,
    https://doi.org/10.1007/BF01908075).
    """
    labels = _named(codes, labels)
    return float(adjusted_rand_score(labels, kmeans(codes, len(np.unique(labels)), seed)))


def knn_graph(data: AnnData, use_rep: str, n_neighbors: int = 15, seed: int = 0) -> None:
    """Join each cell of ``data`` to its nearest in ``data.obsm[use_rep]``, through ``scanpy.pp.neighbors``.

    Parameters
    ----------
    n_neighbors : as scanpy counts them, the cell itself included; 2 to N.   seed : of the search, where N is large.

    Writes
    ------
    ``data.obsp["distances"]`` and ``["connectivities"]`` (N, N), sparse, and ``data.uns["neighbors"]``.
    Connectivities are weights in (0, 1], made symmetric, as UMAP defines them (https://doi.org/10.21105/joss.00861).
    """
    if use_rep not in data.obsm:
        raise ValueError(f"use_rep: {use_rep!r} is not in data.obsm, which has {sorted(data.obsm)}; write it there.")
    codes = _checked(data.obsm[use_rep])
    if not 2 <= n_neighbors <= len(codes):
        raise ValueError(f"n_neighbors: expected 2 to {len(codes)}, the cells there are, found {n_neighbors}.")
    scanpy.pp.neighbors(data, n_neighbors=n_neighbors, use_rep=use_rep, random_state=seed)


def leiden(data: AnnData, resolution: float = 1.0, key_added: str = "leiden", seed: int = 0) -> None:
    """Cut the graph of ``knn_graph`` where few edges run, through ``scanpy.tl.leiden`` with igraph.

    Parameters
    ----------
    resolution : γ > 0 of the modularity; a higher one gives more clusters.   seed : of the order of its moves.

    Writes
    ------
    ``data.obs[key_added]``, categories "0", "1", …; which cluster gets which number means nothing.

    Source: Traag et al. 2019, https://doi.org/10.1038/s41598-019-41695-z.
    """
    if not resolution > 0:
        raise ValueError(f"resolution: expected a number > 0, found {resolution}.")
    if "neighbors" not in data.uns:
        raise ValueError("data: expected a graph, found none; call knn_graph(data, use_rep=…) first.")
    scanpy.tl.leiden(
        data, resolution=resolution, key_added=key_added, random_state=seed,
        flavor="igraph", n_iterations=2, directed=False,
    )  # fmt: skip


def clustering_scores(codes: np.ndarray, labels: np.ndarray, seed: int = 0) -> dict[str, float]:
    """How well k-means with the true number of clusters finds the labels, and how well the labels fit the codes.

    Parameters
    ----------
    codes : (N, L).   labels : (N,), true names, at least two.   seed : of k-means' starts.

    Returns
    -------
    ``ari`` and ``nmi`` (arithmetic mean of the entropies below) between labels and k-means, and ``asw``, the mean
    silhouette width of the *labels*, −1 to 1. Given k-means' own clusters instead, the silhouette would say how tight
    they are and nothing about the labels: a mistake found in published code.
    """
    labels = _named(codes, labels)
    found = kmeans(codes, len(np.unique(labels)), seed)
    return cut_scores(labels, found) | {"asw": float(silhouette_score(codes, labels))}


def cut_scores(labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """``ari`` and ``nmi`` of two divisions of the same N cells. The order of the two does not matter."""
    if np.shape(labels) != np.shape(found):
        raise ValueError(f"found: expected one cluster per label, found shapes {np.shape(found)}, {np.shape(labels)}.")
    return {
        "ari": float(adjusted_rand_score(labels, found)),
        "nmi": float(normalized_mutual_info_score(labels, found)),
    }


def _checked(codes: np.ndarray) -> np.ndarray:
    """(N, L) finite numbers, or a ValueError that says what else was found."""
    codes = np.asarray(codes)
    if codes.ndim != 2:
        raise ValueError(f"codes: expected (N, L), one row per cell, found shape {codes.shape}.")
    if not np.isfinite(codes).all():
        raise ValueError(f"codes: {int((~np.isfinite(codes)).sum())} values are NaN or infinite; did training diverge?")
    return codes


def _named(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) labels, at least two of them different."""
    labels = np.asarray(labels)
    if labels.shape != (len(codes),):
        raise ValueError(f"labels: expected one for each of the {len(codes)} cells, found shape {labels.shape}.")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"labels: expected at least two different ones, all are {labels[0]!r}; nothing to compare.")
    return labels
