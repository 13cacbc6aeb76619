"""Are two subspaces the same? The angles between them, whatever basis each is written in."""

import numpy as np
from scipy.linalg import subspace_angles


def largest_angle(a: np.ndarray, b: np.ndarray) -> float:
    """The largest principal angle between the column spaces of two (G, L) matrices, in degrees.

    0° means the same subspace (up to rotation of its basis), 90° that some direction of one is orthogonal
    to all of the other.  Source: Björck and Golub 1973, https://doi.org/10.2307/2005662, through SciPy.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"b: expected {a.shape[0]} rows as in a, found {b.shape[0]}; columns are the basis vectors.")
    return float(np.degrees(subspace_angles(a, b).max()))
