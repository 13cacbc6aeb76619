"""How much of the data comes back: the fraction of variance explained, on cells the model has not seen.

Axes: N cells, G genes.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from course_lib.analysis.tables import number_table
from course_lib.arguments import seed_number, whole_number


def variance_explained(x: ArrayLike, reconstruction: ArrayLike, mean: ArrayLike) -> float:
    """1 − Σ(x − x′)² / Σ(x − mean)², over all cells and genes.

    Parameters
    ----------
    x, reconstruction : (N, G).   mean : (G,), of the *training* cells: the forecast one makes without a model.

    Returns
    -------
    At most 1. Zero is as good as the mean; below zero is worse.

    Raises
    ------
    TypeError, ValueError : values that are not finite numbers, shapes that differ, an x without variance around
        ``mean``.
    """
    data = number_table("x", x).astype(np.float64)
    back, centre = number_table("reconstruction", reconstruction), number_table("mean", np.atleast_2d(mean))
    if back.shape != data.shape:
        raise ValueError(f"reconstruction: expected the shape of x, {data.shape}, found {back.shape}.")
    if centre.shape != (1, data.shape[1]):
        raise ValueError(
            f"mean: expected one number for each of the {data.shape[1]} genes, found shape {np.shape(mean)}."
        )
    total = np.square(data - centre).sum()
    if total == 0:
        raise ValueError("x: expected some variance, found every value equal to the mean; there is none to explain.")
    return float(1 - np.square(data - back).sum() / total)


def pca_variance_explained(train: ArrayLike, test: ArrayLike, n_components: int, seed: int = 0) -> float:
    """The same score for PCA: components from ``train`` (N, G), scored on ``test`` (M, G).

    ``n_components`` : L, 1 to the smaller of N and G.   ``seed`` : of scikit-learn's solver, where it draws.
    """
    known, new = number_table("train", train, 2), number_table("test", test)
    if new.shape[1] != known.shape[1]:
        raise ValueError(f"test: expected {known.shape[1]} genes as in train, found {new.shape[1]}.")
    n_components = whole_number("n_components", n_components, 1, min(known.shape), "the smaller side of train")
    pca = PCA(n_components, random_state=seed_number(seed)).fit(known)
    return variance_explained(new, pca.inverse_transform(pca.transform(new)), known.mean(0))


def largest_angle(a: ArrayLike, b: ArrayLike) -> float:
    """The largest principal angle between the column spaces of two (G, L) matrices, in degrees.

    0° means the same subspace (up to rotation of its basis), 90° that some direction of one is orthogonal
    to all of the other.  Source: Björck and Golub 1973, https://doi.org/10.2307/2005662, through SciPy.
    """
    one, other = number_table("a", a).astype(np.float64), number_table("b", b).astype(np.float64)
    if len(one) != len(other):
        raise ValueError(f"b: expected {len(one)} rows as in a, found {len(other)}; columns are the basis vectors.")
    return float(np.degrees(subspace_angles(one, other).max()))
