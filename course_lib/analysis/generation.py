"""Are generated cells like real ones? Two scores that disagree, and why one of them misleads.

Axes: N and M cells, G genes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist, pdist
from sklearn.neighbors import NearestNeighbors

from course_lib.analysis.tables import number_table


def energy_distance(a: ArrayLike, b: ArrayLike) -> float:
    r"""Energy distance between two samples of cells: zero in expectation only for one distribution.

    .. math:: 2\,E\lVert A - B\rVert - E\lVert A - A'\rVert - E\lVert B - B'\rVert

    Parameters
    ----------
    a : (N, G).   b : (M, G). Two rows or more each. Pairs of a row with itself are left out, so the estimate is
        unbiased, and may fall slightly below zero for two samples of one distribution.

    Returns
    -------
    A distance in the units of the data.

    Raises
    ------
    TypeError, ValueError : tables that are not finite numbers, too few rows, different numbers of genes.

    Source: Székely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018.
    """
    first, second = _of_the_same_genes("a", a, "b", b, least=2)
    return float(2 * cdist(first, second).mean() - pdist(first).mean() - pdist(second).mean())


def nearest_neighbour_distance(generated: ArrayLike, real: ArrayLike) -> float:
    """Mean Euclidean distance from each generated cell to the nearest real one: (M, G) and (N, G).

    A tempting score, and a misleading one: a blurred cell lies near many real cells, and the mean cell can win.
    """
    made, found = _of_the_same_genes("generated", generated, "real", real, least=1)
    return float(NearestNeighbors(n_neighbors=1).fit(found).kneighbors(made)[0].mean())


def _of_the_same_genes(
    name: str, values: ArrayLike, other_name: str, others: ArrayLike, *, least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table, other = number_table(name, values, least), number_table(other_name, others, least)
    if other.shape[1] != table.shape[1]:
        raise ValueError(f"{other_name}: expected {table.shape[1]} genes as in {name}, found {other.shape[1]}.")
    return table.astype(np.float64), other.astype(np.float64)
