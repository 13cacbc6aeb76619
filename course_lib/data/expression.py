"""From counts to expression that a squared error can judge.

Axes: N cells or samples, G genes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def log_normalise(counts: ArrayLike, target_sum: float) -> NDArray[np.float32]:
    r"""Share of each gene in its cell, times a common total, then a logarithm.

    .. math:: \log\left(1 + T\, \frac{x_{ng}}{\sum_{g'} x_{ng'}}\right)

    Parameters
    ----------
    counts : (N, G), ≥ 0.
    target_sum : T > 0, the total that every cell is brought to. With T = 1 nearly every value lies so far below one
        that the logarithm does nothing; take a typical total, 10,000 for droplets, or 1,000,000 for bulk.

    Returns
    -------
    (N, G) float32, ≥ 0.

    Raises
    ------
    ValueError : a target that is not positive, or a cell without counts.
    """
    x = np.asarray(counts, dtype=np.float64)
    if target_sum <= 0:
        raise ValueError(f"target_sum: expected a positive total, found {target_sum}; 10,000 is usual.")
    library = x.sum(axis=1, keepdims=True)  # (N, 1)
    empty = np.flatnonzero(~(library > 0))
    if empty.size:
        raise ValueError(f"counts: row {empty[0]} adds up to {library[empty[0], 0]:g}; leave out cells without counts.")
    return np.log1p(target_sum * x / library).astype(np.float32)
