"""How much of the data comes back: the fraction of variance explained, on cells the model has not seen.

Axes: N cells, G genes.
"""

import numpy as np
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA


def variance_explained(x: np.ndarray, reconstruction: np.ndarray, mean: np.ndarray) -> float:
    """1 − Σ(x − x′)² / Σ(x − mean)², over all cells and genes.

    Parameters
    ----------
    x, reconstruction : (N, G).   mean : (G,), of the *training* cells: the forecast one makes without a model.

    Returns
    -------
    At most 1. Zero is as good as the mean; below zero is worse.

    Raises
    ------
    ValueError : shapes differ, or x has no variance around ``mean``.
    """
    x, reconstruction = np.asarray(x, dtype=np.float64), np.asarray(reconstruction, dtype=np.float64)
    if x.shape != reconstruction.shape:
        raise ValueError(f"reconstruction: expected the shape of x, {x.shape}, found {reconstruction.shape}.")
    total = np.square(x - mean).sum()
    if total == 0:
        raise ValueError("x: every value equals the mean, so there is no variance to explain.")
    return float(1 - np.square(x - reconstruction).sum() / total)


def pca_variance_explained(train: np.ndarray, test: np.ndarray, n_components: int, seed: int = 0) -> float:
    """The same score for PCA: components from ``train`` (N, G), scored on ``test`` (M, G)."""
    pca = PCA(n_components, random_state=seed).fit(train)
    return variance_explained(test, pca.inverse_transform(pca.transform(test)), train.mean(0))


def largest_angle(a: np.ndarray, b: np.ndarray) -> float:
    """The largest principal angle between the column spaces of two (G, L) matrices, in degrees.

    0° means the same subspace (up to rotation of its basis), 90° that some direction of one is orthogonal
    to all of the other.  Source: Björck and Golub 1973, https://doi.org/10.2307/2005662, through SciPy.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"b: expected {a.shape[0]} rows as in a, found {b.shape[0]}; columns are the basis vectors.")
    return float(np.degrees(subspace_angles(a, b).max()))
