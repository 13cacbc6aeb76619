"""Are generated cells like real ones? Two scores that disagree, and why one of them misleads.

Axes: N and M cells, G genes.
"""

import numpy as np
from scipy.spatial.distance import cdist, pdist
from sklearn.neighbors import NearestNeighbors


def energy_distance(a: np.ndarray, b: np.ndarray) -> float:
    r"""Energy distance between two samples of cells: zero in expectation only for one distribution.

    .. math:: 2\,E\lVert A - B\rVert - E\lVert A - A'\rVert - E\lVert B - B'\rVert

    Parameters
    ----------
    a : (N, G).   b : (M, G). Two rows or more each. Pairs of a row with itself are left out, so the estimate is
        unbiased, and may fall slightly below zero for two samples of one distribution.

    Returns
    -------
    A distance in the units of the data.

    Source: Székely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    for name, sample in (("a", a), ("b", b)):
        if sample.ndim != 2 or len(sample) < 2:
            raise ValueError(f"{name}: expected two or more cells as rows, found shape {sample.shape}.")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"b: expected {a.shape[1]} genes as in a, found {b.shape[1]}.")
    return float(2 * cdist(a, b).mean() - pdist(a).mean() - pdist(b).mean())


def nearest_neighbour_distance(generated: np.ndarray, real: np.ndarray) -> float:
    """Mean Euclidean distance from each generated cell to the nearest real one.

    A tempting score, and a misleading one: a blurred cell lies near many real cells, and the mean cell can win.
    """
    return float(NearestNeighbors(n_neighbors=1).fit(real).kneighbors(generated)[0].mean())
