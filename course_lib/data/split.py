"""Cells to learn from and cells to be judged by."""

from collections.abc import Sequence

import numpy as np


def split_indices(n: int, fractions: Sequence[float] = (0.8, 0.2), seed: int = 0) -> tuple[np.ndarray, ...]:
    """Split the indices 0 … n − 1 at random into disjoint parts that together hold every index once.

    Parameters
    ----------
    n : number of cells.   fractions : one per part, each > 0, together 1.   seed : the same seed, the same split.

    Returns
    -------
    One sorted int64 array per fraction. Its length is within 1 of fraction · n.

    Raises
    ------
    ValueError
        If the fractions are not positive or do not add up to 1, or if a part would be empty.
    """
    if not fractions or not all(fraction > 0 for fraction in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions must be positive and add up to 1; got {tuple(fractions)}, which add up to {sum(fractions):g}"
        )
    ends = np.rint(np.cumsum(fractions) * n).astype(int)
    ends[-1] = n  # whatever the rounding of the sum
    if np.diff(ends, prepend=0).min() < 1:
        raise ValueError(f"n = {n} cells are too few for fractions {tuple(fractions)}: one part would be empty")
    order = np.random.default_rng(seed).permutation(n)
    return tuple(np.sort(part) for part in np.split(order, ends[:-1]))
