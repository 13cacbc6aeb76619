"""Kinds of cell from antibodies: which markers a cell's surface carries, as a cytometrist gates, without any RNA.

Antibody counts fall into two heaps, background and marker. In each run by itself, since runs differ in depth and in
background, a mixture of two Gaussians finds the heaps of every marker, and a cell is positive, negative or neither.
A kind is a list of markers that must be there or must not, such as "CD19+ CD3- CD14-"; a cell that fits no kind is
``"ambiguous"``. Labels made so owe nothing to RNA: they may judge what was made of it.

Axes: N cells, A antibodies.
"""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.mixture import GaussianMixture

from course_lib.analysis.tables import name_of_each, number_table
from course_lib.arguments import real_number

AMBIGUOUS = "ambiguous"
LEAST_SEPARATION = 3.0  # standard deviations between the heaps: two equal heaps begin to show two peaks at 2
LEAST_CELLS = 20

# Rarer kinds are left to "ambiguous", such as dendritic cells, CD16+ monocytes, and T cells without CD4 and CD8.
BLOOD_GATES = {
    "CD14+ Monocytes": "CD14+ CD3- CD19-",
    "B cells": "CD19+ CD3- CD14-",
    "CD4 T cells": "CD3+ CD4+ CD8a- CD14- CD19-",
    "CD8 T cells": "CD3+ CD8a+ CD4- CD14- CD19-",
    "NK cells": "CD56+ CD4- CD3- CD14- CD19-",
}


def centred_log_ratio(counts: ArrayLike) -> NDArray[np.floating]:
    r"""Log counts, from which each cell's mean over its antibodies is taken: how deep a cell was read cancels.

    .. math:: \log(1 + x_{na}) - \frac1A \sum_b \log(1 + x_{nb})

    Parameters
    ----------
    counts : (N, A), ≥ 0, all antibodies of the panel: with others, the mean is another.

    Returns
    -------
    (N, A), each row of mean zero.

    Raises
    ------
    TypeError, ValueError : counts that are not a finite table of numbers ≥ 0.

    Source: Aitchison 1982, https://doi.org/10.1111/j.2517-6161.1982.tb01195.x; for antibodies, with one added to the
    counts or not, Stoeckius et al. 2017, https://doi.org/10.1038/nmeth.4380.
    """
    table = number_table("counts", counts)
    if (table < 0).any():
        raise ValueError(f"counts: expected numbers ≥ 0, found {table.min():g}; give raw counts, not their logarithms.")
    log = np.log1p(table)
    return log - log.mean(axis=1, keepdims=True)


def positive_probability(values: ArrayLike) -> NDArray[np.float64]:
    """How probable it is that a cell belongs to the upper of two heaps, Gaussians of one common variance.

    A common variance gives one threshold: the probability rises with the value. With two, the wider heap would win at
    both ends.

    Parameters
    ----------
    values : (N,), one marker in one run.

    Returns
    -------
    (N,) 0 to 1.

    Raises
    ------
    ValueError : fewer than 20 cells, all alike, or heaps less than three standard deviations apart.
    """
    table = number_table("values", np.reshape(np.asarray(values), (-1, 1)))
    if len(table) < LEAST_CELLS:
        raise ValueError(f"values: expected at least {LEAST_CELLS} cells to find two heaps in, found {len(table)}.")
    if np.ptp(table) == 0:
        raise ValueError(f"values: expected two heaps, found {table[0, 0]:g} for every cell; leave this marker out.")
    heaps = GaussianMixture(2, covariance_type="tied", n_init=5, random_state=0).fit(table)
    separation = float(np.ptp(heaps.means_) / np.sqrt(heaps.covariances_.item()))
    if separation < LEAST_SEPARATION:
        raise ValueError(
            f"values: expected two heaps, at least {LEAST_SEPARATION:g} standard deviations apart, found "
            f"{separation:.1f}; this marker does not divide these cells, so leave it out of the gates."
        )
    return heaps.predict_proba(table)[:, heaps.means_.argmax()]


def label_by_antibodies(
    protein: pd.DataFrame,
    run: ArrayLike,
    gates: Mapping[str, str] = BLOOD_GATES,
    *,
    least_probability: float = 0.9,
) -> NDArray[np.str_]:
    """The one kind whose markers a cell carries and whose counter-markers it lacks, or ``"ambiguous"``.

    Parameters
    ----------
    protein : (N, A) raw counts, a column for each antibody.   run : (N,); heaps are found in each run by itself.
    gates : kind → markers, each with its sign, such as ``{"B cells": "CD19+ CD3- CD14-"}``.
    least_probability : above .5, below 1; a cell is positive from there, negative up to 1 − there, else neither.

    Returns
    -------
    (N,) names.

    Raises
    ------
    TypeError, ValueError : no data frame, counts below zero or not finite, no gates, a marker without column or sign,
        runs of another number than cells, a probability out of its range, a marker that shows no two heaps in a run.
    """
    if not isinstance(protein, pd.DataFrame):
        raise TypeError(
            f"protein: expected a data frame with a column for each antibody, found a {type(protein).__name__}; "
            "name the columns, such as data.obsm['protein'] of load_pbmc_pair()."
        )
    if not gates:
        raise ValueError("gates: expected at least one kind with its markers, found none; BLOOD_GATES has five.")
    signs = {kind: _signs(kind, markers, protein) for kind, markers in gates.items()}
    runs = name_of_each("run", run, len(protein))
    if not 0.5 < real_number("least_probability", least_probability) < 1:
        raise ValueError(f"least_probability: expected above 0.5 and below 1, found {least_probability}.")
    ratios = pd.DataFrame(centred_log_ratio(protein), columns=protein.columns)
    state = {marker: np.zeros(len(runs)) for wanted in signs.values() for marker in wanted}  # 1, −1, or 0: neither
    for marker, name in product(state, np.unique(runs)):
        try:
            probability = positive_probability(ratios.loc[runs == name, marker])
        except ValueError as error:
            raise ValueError(f"protein: {marker} in run {name}: {error}") from error
        negative = np.where(probability <= 1 - least_probability, -1, 0)
        state[marker][runs == name] = np.where(probability >= least_probability, 1, negative)
    fits = np.stack([np.all([state[m] == sign for m, sign in wanted.items()], axis=0) for wanted in signs.values()])
    return np.where(fits.sum(axis=0) == 1, np.array(list(signs))[fits.argmax(axis=0)], AMBIGUOUS)  # fits: (kinds, N)


def _signs(kind: str, markers: str, protein: pd.DataFrame) -> dict[str, int]:
    """Marker → 1 if it must be there, −1 if it must not."""
    words = markers.split()
    wrong = [word for word in words if word[-1] not in "+-" or word[:-1] not in protein.columns]
    if wrong or not words:
        raise ValueError(
            f"gates: expected for {kind!r} names of antibodies with + or -, such as {protein.columns[0]}+, found "
            f"{(wrong or [markers])[0]!r}; there are {', '.join(map(str, protein.columns))}."
        )
    return {word[:-1]: 1 if word[-1] == "+" else -1 for word in words}
