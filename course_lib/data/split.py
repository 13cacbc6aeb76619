"""Cells to learn from and cells to be judged by."""

from collections.abc import Sequence

import numpy as np

from course_lib.arguments import real_numbers, whole_number


def split_indices(n: int, fractions: Sequence[float] = (0.8, 0.2), seed: int = 0) -> tuple[np.ndarray, ...]:
    """Split the indices 0 … n − 1 at random into disjoint parts that together hold every index once.

    Parameters
    ----------
    n : number of cells.   fractions : one per part, each > 0, together 1.   seed : ≥ 0; the same seed, the same split.

    Returns
    -------
    One sorted int64 array per fraction. Its length is within 1 of fraction · n.

    Raises
    ------
    TypeError : ``n`` or ``seed`` is no whole number, or ``fractions`` no sequence of numbers.
    ValueError : fractions that are not positive or do not add up to 1, or a part that would be empty.
    """
    n, seed = whole_number("n", n), whole_number("seed", seed, least=0)
    fractions = real_numbers("fractions", fractions)
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions: expected positive numbers that add up to 1, found {fractions}, which add up to "
            f"{sum(fractions):g}; such as (0.8, 0.2)."
        )
    ends = np.rint(np.cumsum(fractions) * n).astype(int)
    ends[-1] = n  # whatever the rounding of the sum
    if np.diff(ends, prepend=0).min() < 1:
        raise ValueError(
            f"n: expected enough cells for a part of each of {fractions}, found {n:,}, with which one would be "
            "empty; take more cells, or a larger smallest part."
        )
    order = np.random.default_rng(seed).permutation(n)
    return tuple(np.sort(part) for part in np.split(order, ends[:-1]))
