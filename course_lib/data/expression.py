"""From counts to expression that a squared error can judge.

Axes: N cells or samples, G genes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.arguments import positive
from course_lib.data.checks import ABUNDANCE_CHECKS
from course_lib.data.tables import read_table


def log_normalise(counts: Any, target_sum: float) -> NDArray[np.float32]:
    r"""Share of each gene in its cell, times a common total, then a logarithm.

    .. math:: \log\left(1 + T\, \frac{x_{ng}}{\sum_{g'} x_{ng'}}\right)

    Parameters
    ----------
    counts : (N, G), ≥ 0, or an AnnData, whose ``X`` is taken: what the gate reads, sparse or not. Estimated counts may
        be fractions.
    target_sum : T > 0, the total that every cell is brought to. With T = 1 nearly every value lies so far below one
        that the logarithm does nothing; take a typical total, 10,000 for droplets, or 1,000,000 for bulk.

    Returns
    -------
    (N, G) float32, ≥ 0, dense. ``counts`` is not changed.

    Raises
    ------
    TypeError : ``counts`` is no table of numbers, or ``target_sum`` no number.
    ValueError : a target that is not positive and finite, negative values (they were scaled), logarithms of counts (a
        second one would make numbers that mean nothing), NaN or infinities, or a cell without counts.
    """
    target_sum = positive("target_sum", target_sum)
    table = read_table(counts, argument="counts")
    for check in ABUNDANCE_CHECKS:
        check(table)
    x = table.values if isinstance(table.values, np.ndarray) else table.values.toarray()
    x = x.astype(np.float64)
    library = x.sum(axis=1, keepdims=True)  # (N, 1)
    return np.log1p(target_sum * x / library).astype(np.float32)
