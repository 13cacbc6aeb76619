"""Does a forecaster that says 80 % prove right in 80 of 100 cases? Reliability, and the expected calibration error.

Axes: N cells, C labels.

Source: DeGroot and Fienberg 1983, https://doi.org/10.2307/2987588; the expected error over bins of Naeini et al. 2015,
https://doi.org/10.1609/aaai.v29i1.9602.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from course_lib.analysis.tables import name_of_each, number_table
from course_lib.arguments import unique_names, whole_number

BINS = 10


def reliability(probabilities: ArrayLike, truth: ArrayLike, labels: Sequence[str], n_bins: int = BINS) -> pd.DataFrame:
    """How often the most probable label is the true one, among cells that were equally confident.

    Parameters
    ----------
    probabilities : (N, C), rows sum to one.   truth : (N,) names; one that is not among ``labels`` was never right.
    labels : C names, in the order of the columns.   n_bins : of equal width between 0 and 1; the upper edge is in.

    Returns
    -------
    One row for each bin that has cells: ``lower`` and ``upper`` edge, mean ``confidence`` (the largest probability),
    ``accuracy``, and ``n`` cells.

    Raises
    ------
    TypeError : what is no table of numbers.
    ValueError : probabilities below 0 or rows that do not sum to one; another number of names than rows or columns.
    """
    table, names = number_table("probabilities", probabilities), unique_names("labels", labels)
    n_bins = whole_number("n_bins", n_bins)
    if table.shape[1] != len(names):
        raise ValueError(
            f"labels: expected one for each of the {table.shape[1]} columns of probabilities, found {len(names)}."
        )
    off = np.flatnonzero((table < 0).any(axis=1) | (np.abs(table.sum(axis=1) - 1) > 1e-3))
    if len(off):
        raise ValueError(
            f"probabilities: expected numbers ≥ 0 whose rows sum to one, found row {off[0]} with sum "
            f"{table[off[0]].sum():.4g} and least {table[off[0]].min():.4g} ({len(off)} such rows); logits want a "
            "softmax first, and probabilities none."
        )
    types = name_of_each("truth", truth, len(table)).astype(str)
    confidence = table.max(axis=1)
    right = np.array(names)[table.argmax(axis=1)] == types
    edges = np.linspace(0, 1, n_bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)  # lower < confidence ≤ upper
    found = pd.DataFrame({"bin": which, "confidence": confidence, "accuracy": right, "n": 1}).groupby("bin")
    bins = found.agg({"confidence": "mean", "accuracy": "mean", "n": "sum"}).reset_index()
    bins.insert(0, "lower", edges[bins["bin"]])
    bins.insert(1, "upper", edges[bins["bin"] + 1])
    return bins.drop(columns="bin")


def calibration_error(bins: pd.DataFrame) -> float:
    r"""Expected calibration error of a ``reliability`` table: 0 to 1.

    .. math:: \sum_b \frac{n_b}{N} \, |\text{accuracy}_b - \text{confidence}_b|
    """
    gap = (bins["accuracy"] - bins["confidence"]).abs()
    return float((bins["n"] * gap).sum() / bins["n"].sum())
