"""Scores of integration as scIB defines them, from scib-metrics. Needs the extra `benchmark`.

Source: Luecken et al. 2022, https://doi.org/10.1038/s41592-021-01336-8. Neighbours are exact here, a cell first among
its own, and as many as scib-metrics' own benchmark takes for each score.

Axes: N cells, L latent dimensions, k neighbours.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

N_NEIGHBORS = {"lisi": 90, "kbet": 50, "graph_connectivity": 15}  # each cell among its own
Names = NDArray[np.str_]


def lisi(codes: NDArray[np.floating], names: Names, n_neighbors: int = N_NEIGHBORS["lisi"]) -> NDArray[np.float64]:
    r"""How many names stand around each cell, if all were equally frequent: the local inverse Simpson index.

    .. math:: 1 \Big/ \sum_b f_{nb}^2, \qquad f_{nb} = \sum_{m \text{ of name } b} w_{nm}

    The weights w of a cell's k − 1 neighbours sum to one and fall exponentially with distance, at the rate that makes
    their perplexity ⌊k/3⌋.

    Parameters
    ----------
    codes : (N, L).   names : (N,), batches or types.   n_neighbors : k, the cell included.

    Returns
    -------
    (N,) from 1 to the number of names.

    Source: Korsunsky et al. 2019, https://doi.org/10.1038/s41592-019-0619-0.
    """
    return np.asarray(_library().lisi_knn(_neighbours(codes, n_neighbors), names))


def ilisi(codes: NDArray[np.floating], batch: Names) -> float:
    """The median LISI of batches, scaled: 0, every cell among its own batch alone, to 1, all batches equally near."""
    return float(_library().ilisi_knn(_neighbours(codes, N_NEIGHBORS["lisi"]), batch))


def clisi(codes: NDArray[np.floating], labels: Names) -> float:
    """The median LISI of types, scaled and turned around: 1, every cell among its own type alone, to 0."""
    return float(_library().clisi_knn(_neighbours(codes, N_NEIGHBORS["lisi"]), labels))


def graph_connectivity(codes: NDArray[np.floating], labels: Names) -> float:
    """Of each type, the share of its cells in its largest strongly connected part of the graph; the mean over types."""
    return float(_library().graph_connectivity(_neighbours(codes, N_NEIGHBORS["graph_connectivity"]), labels))


def kbet(codes: NDArray[np.floating], batch: Names) -> float:
    """The share of cells around whom batches are as frequent as among all cells, by a χ² test at level .05.

    Over all types together: where batches hold types in other proportions, even perfect mixing fails some tests, which
    the ceiling shows. scIB asks within each type; but there a type of some thirty cells scores 0 as soon as one of them
    lies apart.

    Source: Büttner et al. 2019, https://doi.org/10.1038/s41592-018-0254-1.
    """
    return float(_library().kbet(_neighbours(codes, N_NEIGHBORS["kbet"]), batch)[0])


def _library() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # UMAP, which it imports, misses TensorFlow
        import scib_metrics

    scib_metrics.settings.verbosity = 30  # warnings
    return scib_metrics


def _neighbours(codes: NDArray[np.floating], n_neighbors: int) -> Any:
    from scib_metrics.nearest_neighbors import NeighborsResults

    distances, indices = NearestNeighbors(n_neighbors=n_neighbors).fit(codes).kneighbors(codes)
    return NeighborsResults(indices=indices, distances=distances)
