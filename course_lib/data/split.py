"""Cells to learn from and cells to be judged by; samples of one patient on one side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

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


def group_folds(groups: ArrayLike, strata: ArrayLike, n_folds: int = 5, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Divide N samples into parts so that a group is never in two of them, and every kind is spread evenly.

    Two samples of one patient resemble each other: with one to learn from and the other to be judged by, a model is
    praised for knowing the patient. Each part in turn is held out, so that every sample is judged once.

    Parameters
    ----------
    groups : (N,) whose sample it is: a patient, a donor.   strata : (N,) what kind of sample, such as cancer or type.
    n_folds : from 2 to the number of groups.   seed : ≥ 0; the same seed, the same parts.

    Returns
    -------
    One sorted int64 array of indices per part. Of groups with the same kinds of samples, any two parts have equally
    many, or one more.

    Raises
    ------
    TypeError : ``n_folds`` or ``seed`` is no whole number.
    ValueError : groups and strata that are not two lists of the same length, more parts than groups.
    """
    owners, kinds = _two_columns(groups, strata)
    seed = whole_number("seed", seed, least=0)
    names, group = np.unique(owners, return_inverse=True)  # (N,) codes
    n_folds = whole_number("n_folds", n_folds, 2, len(names), "the groups there are")
    held = np.array([" + ".join(sorted(kinds[group == g].astype(str))) for g in range(len(names))])
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(held[order], kind="stable")]  # alike beside each other, at random among themselves
    fold = np.empty(len(names), dtype=int)
    fold[order] = np.arange(len(names)) % n_folds
    return tuple(np.flatnonzero(fold[group] == part) for part in range(n_folds))


def nested_order(strata: ArrayLike, seed: int = 0) -> np.ndarray:
    """The indices of N samples at random, but so that every beginning holds each kind in about its share of all.

    The first 40 and the first 80 are then a smaller and a larger sample of one mixture, and one contains the other.

    Parameters
    ----------
    strata : (N,) what kind of sample.   seed : ≥ 0.

    Returns
    -------
    (N,) int64, each index once. Of the first n, a kind has its n/N-th part, up to rounding.
    """
    kinds = np.asarray(strata)
    rng = np.random.default_rng(whole_number("seed", seed, least=0))
    place = np.empty(len(kinds))
    for name in np.unique(kinds):
        members = rng.permutation(np.flatnonzero(kinds == name))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def _two_columns(groups: ArrayLike, strata: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    owners, kinds = np.asarray(groups), np.asarray(strata)
    if owners.ndim != 1 or owners.shape != kinds.shape:
        raise ValueError(
            f"groups, strata: expected one entry for each sample in both, found shapes {owners.shape} and "
            f"{kinds.shape}; take two columns of one table."
        )
    return owners, kinds
