r"""Wilcoxon's rank sum test, gene by gene, with the two choices that change its answer on counts.

Axes: N cells, G genes, S strata.

Most counts of most genes are zero, so most ranks are tied. And where cells come from several batches, a difference
between batches passes for one between groups, unless cells are ranked within their own batch. With n₁ + n₂ = n cells
and R the sum of group 1's ranks in a stratum,

.. math:: z = \frac{\sum_s w_s \big(R_s - n_{1s} (n_s + 1) / 2\big)}{\sqrt{\sum_s w_s^2 V_s}}, \qquad
    V_s = \frac{n_{1s} n_{2s}}{n_s (n_s - 1)} \sum_{i \in s} \big(r_i - (n_s + 1) / 2\big)^2, \qquad
    w_s = \frac{1}{n_s + 1}

With one stratum this is Wilcoxon's test, and without ties V is n₁ n₂ (n + 1) / 12. With several it is van Elteren's.

Sources: Wilcoxon 1945, https://doi.org/10.2307/3001968; van Elteren 1960, "On the combination of independent two-sample
tests of Wilcoxon", Bulletin de l'Institut International de Statistique 37, 351–361.
"""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from course_lib.analysis.groups import group_positions
from course_lib.analysis.tables import name_of_each, number_table
from course_lib.arguments import choice


def rank_sum(
    values: Any, group1: ArrayLike, group2: ArrayLike, *, strata: ArrayLike | None = None, ties: bool = True
) -> pd.DataFrame:
    """Are the values of group 1 higher than those of group 2? One row per gene, in their order.

    Parameters
    ----------
    values : (N, G), dense or sparse: log-normalised expression, say. Only their order matters.
    group1, group2 : boolean masks (N,) or positions.
    strata : (N,) labels, such as batches: cells are ranked within their own. A stratum without cells of both groups
        says nothing and is left out. None: all cells in one.
    ties : True takes the variance that ranks with ties have; False the one without, which is too large, so that the
        test is shy: more so, the more zeros a gene has. False is what Scanpy does by default.

    Returns
    -------
    Columns ``z`` (above zero: higher in group 1), ``p`` (two-sided, by the normal approximation) and ``p_adjusted``
    (Benjamini & Hochberg 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x). A gene whose values are all equal
    has z = 0.

    Raises
    ------
    TypeError, ValueError : values that are no table of finite numbers, groups that overlap or do not fit, other strata
        than one for each cell, none with cells of both groups.
    """
    table = number_table("values", values.toarray() if scipy.sparse.issparse(values) else values, 2)
    first, second = group_positions(group1, group2, len(table))
    ties = choice("ties", ties, (False, True))
    labels = name_of_each("strata", np.zeros(len(table)) if strata is None else strata, len(table))
    if not np.isin(labels[first], labels[second]).any():
        raise ValueError(
            "strata: expected one with cells of both groups, found none: groups and strata coincide, and no test can "
            "tell one from the other."
        )

    difference, variance = np.zeros((2, table.shape[1]))
    for stratum in np.unique(labels):
        one, two = first[labels[first] == stratum], second[labels[second] == stratum]
        if len(one) and len(two):
            above, spread = _one_stratum(table[one], table[two], ties)
            weight = 1 / (len(one) + len(two) + 1)
            difference += weight * above
            variance += weight**2 * spread
    z = np.divide(difference, np.sqrt(variance), out=np.zeros_like(difference), where=variance > 0)
    p = 2 * scipy.stats.norm.sf(np.abs(z))
    return pd.DataFrame({"z": z, "p": p, "p_adjusted": scipy.stats.false_discovery_control(p)})


def _one_stratum(
    one: NDArray[np.float64], two: NDArray[np.float64], ties: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rank sum of group 1 less its expectation, and its variance if all orders are equally likely: (G,) each."""
    n1, n2 = len(one), len(two)
    n = n1 + n2
    ranks = scipy.stats.rankdata(np.concatenate([one, two]), axis=0) - (n + 1) / 2  # (n, G), mean zero
    squares = np.square(ranks).sum(0) if ties else np.full(ranks.shape[1], n * (n**2 - 1) / 12)
    return ranks[:n1].sum(0), n1 * n2 / (n * (n - 1)) * squares
