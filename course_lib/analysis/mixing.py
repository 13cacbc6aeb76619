"""Do batches mix in a latent space? Ask each cell which batches its nearest neighbours come from.

Axes: N cells, L latent dimensions, B batches, k neighbours.

A number alone says little: the most that any method can reach depends on how often each batch occurs, and in which
types. So the entropy stands beside its ceiling, the same measure once batches mean nothing within a type.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import entropy
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from course_lib.analysis.tables import name_of_each, number_table
from course_lib.arguments import seed_number, whole_number


def batch_entropy(codes: ArrayLike, batch: ArrayLike, n_neighbors: int = 50) -> float:
    r"""Entropy of the batch frequencies among a cell's k nearest neighbours, averaged over all cells.

    .. math:: -\frac1N \sum_n \sum_b f_{nb} \log f_{nb}, \qquad f_{nb} = \frac1k \#\{\text{neighbours of } n
        \text{ from batch } b\}

    Parameters
    ----------
    codes : (N, L), finite; distances are Euclidean.   batch : (N,), a code or name for each cell.
    n_neighbors : k, from 1 to N − 1. A cell is not its own neighbour.

    Returns
    -------
    Nats, from 0 (all neighbours of one batch, for every cell) to log B. Even perfect mixing stays a little below log B,
    because k neighbours are a sample: about (B − 1)/(2k) lower where the batches are equally frequent.

    Raises
    ------
    TypeError, ValueError : codes that are not a finite (N, L) table of numbers; another number of batch entries, or one
        that is missing; k that is not a whole number in its range.

    Source: Haghverdi et al. 2018, https://doi.org/10.1038/nbt.4091; with k = 50 in Lopez et al. 2018,
    https://doi.org/10.1038/s41592-018-0229-2, Methods, where 100 cells are drawn to average over. Here: all cells.
    """
    table = number_table("codes", codes)
    names = name_of_each("batch", batch, len(table))
    return _entropy(_neighbours(table, n_neighbors), names)


def batch_entropy_ceiling(
    codes: ArrayLike, batch: ArrayLike, labels: ArrayLike | None, n_neighbors: int = 50, seed: int = 0
) -> float:
    """The same entropy after the batches were permuted among the cells of each type: what removal could reach.

    Neighbours stay as they are; only which batch a cell claims to be from is shuffled. A type that occurs in one batch
    keeps it, so a method is not asked to mix what has no counterpart.

    Parameters
    ----------
    codes, batch, n_neighbors : as in ``batch_entropy``.
    labels : (N,), the type of each cell; None permutes over all cells, which assumes that every batch has the same
        types equally often.
    seed : of the one permutation.

    Returns
    -------
    Nats, at most log B.

    Raises
    ------
    TypeError, ValueError : as ``batch_entropy``, and the same of labels and seed.
    """
    table = number_table("codes", codes)
    names = name_of_each("batch", batch, len(table))
    return _entropy(_neighbours(table, n_neighbors), shuffled_within(names, labels, seed))


def shuffled_within(batch: ArrayLike, labels: ArrayLike | None, seed: int = 0) -> NDArray[Any]:
    """Batches permuted among the cells of each type: as they would lie if they meant nothing within a type.

    Parameters
    ----------
    batch, labels, seed : as in ``batch_entropy_ceiling``, whose permutation this is; any other score of mixing has its
        ceiling by the same.

    Returns
    -------
    (N,) the batches, each as often in each type as before.

    Raises
    ------
    TypeError, ValueError : batches or labels that are missing or of unequal number, a seed that is none.
    """
    shuffled = name_of_each("batch", batch, np.size(batch)).copy()
    types = name_of_each("labels", np.zeros(len(shuffled)) if labels is None else labels, len(shuffled))
    rng = np.random.default_rng(seed_number(seed))
    for name in np.unique(types):
        members = np.flatnonzero(types == name)
        shuffled[members] = rng.permutation(shuffled[members])
    return shuffled


def same_batch_neighbours(coordinates: ArrayLike, batch: ArrayLike, n_neighbors: int = 15) -> tuple[float, float]:
    """How often a cell's neighbours come from its own batch, and how often they would if batches were mixed at random.

    Parameters
    ----------
    coordinates : (N, D), such as principal components.   batch : (N,) labels.

    Returns
    -------
    The observed share, and the share expected under random mixing: Σ_b (n_b/N)(n_b − 1)/(N − 1).
    """
    table = number_table("coordinates", coordinates)
    codes = np.unique(name_of_each("batch", batch, len(table)), return_inverse=True)[1]
    index, sizes = _neighbours(table, n_neighbors), np.bincount(codes)
    expected = (sizes * (sizes - 1)).sum() / (len(codes) * (len(codes) - 1))
    return float((codes[index] == codes[:, None]).mean()), float(expected)


def label_knn_accuracy(
    train: ArrayLike, train_labels: ArrayLike, test: ArrayLike, test_labels: ArrayLike, n_neighbors: int = 15
) -> float:
    """The fraction of test cells whose label is the majority's among their nearest training cells.

    Parameters
    ----------
    train : (N, L).   train_labels : (N,).   test : (M, L).   test_labels : (M,).   n_neighbors : 1 to N.

    Returns
    -------
    0 to 1. Compare it with the share of the commonest label, which a classifier reaches without looking.

    Raises
    ------
    TypeError, ValueError : tables that are not finite numbers or of different widths; labels that are missing, of
        another number than cells, or none of which occurs on both sides.
    """
    known, new = number_table("train", train), number_table("test", test)
    names, truth = (
        name_of_each("train_labels", train_labels, len(known)),
        name_of_each("test_labels", test_labels, len(new)),
    )
    if new.shape[1] != known.shape[1]:
        raise ValueError(f"test: expected {known.shape[1]} columns as in train, found {new.shape[1]}.")
    if not np.isin(truth, names).any():
        raise ValueError(
            f"test_labels: expected names that occur in train_labels, such as {names[0].item()!r}, found "
            f"{truth[0].item()!r} and no other that does; give both as names, or both as codes."
        )
    k = whole_number("n_neighbors", n_neighbors, 1, len(known), "the training cells there are")
    return float(KNeighborsClassifier(k).fit(known, names).score(new, truth))


def _entropy(neighbours: NDArray[np.int64], batch: NDArray[Any]) -> float:
    names, codes = np.unique(batch, return_inverse=True)
    frequencies = (codes[neighbours][..., None] == np.arange(len(names))).mean(axis=1)  # (N, k, B) to (N, B)
    return float(entropy(frequencies, axis=1).mean())


def _neighbours(codes: NDArray[Any], n_neighbors: int) -> NDArray[np.int64]:
    """Who is near: (N, k) positions. scikit-learn leaves a cell out of its own neighbours, copies of it not."""
    k = whole_number("n_neighbors", n_neighbors, 1, len(codes) - 1, "the other cells there are")
    return NearestNeighbors(n_neighbors=k).fit(codes).kneighbors(return_distance=False)
