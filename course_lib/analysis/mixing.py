"""Do batches mix in a latent space? Ask each cell which batches its nearest neighbours come from.

Axes: N cells, L latent dimensions, B batches, k neighbours.

A number alone says little: the most that any method can reach depends on how often each batch occurs, and in which
types. So the entropy stands beside its ceiling, the same measure once batches mean nothing within a type.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import entropy
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors


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
    ValueError : codes that are not a finite (N, L) table; another number of batch entries; k out of its range.

    Source: Haghverdi et al. 2018, https://doi.org/10.1038/nbt.4091; with k = 50 in Lopez et al. 2018,
    https://doi.org/10.1038/s41592-018-0229-2, Methods, where 100 cells are drawn to average over. Here: all cells.
    """
    codes = _table(codes)
    _one_per_cell("batch", batch, len(codes))
    return _entropy(_neighbours(codes, n_neighbors), np.asarray(batch))


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
    ValueError : as ``batch_entropy``; another number of labels than cells.
    """
    codes = _table(codes)
    _one_per_cell("batch", batch, len(codes))
    labels = np.zeros(len(codes)) if labels is None else labels
    _one_per_cell("labels", labels, len(codes))
    rng = np.random.default_rng(seed)
    shuffled = np.array(batch)
    for label in np.unique(labels):
        members = np.flatnonzero(np.asarray(labels) == label)
        shuffled[members] = rng.permutation(shuffled[members])
    return _entropy(_neighbours(codes, n_neighbors), shuffled)


def same_batch_neighbours(coordinates: np.ndarray, batch: np.ndarray, n_neighbors: int = 15) -> tuple[float, float]:
    """How often a cell's neighbours come from its own batch, and how often they would if batches were mixed at random.

    Parameters
    ----------
    coordinates : (N, D), such as principal components.   batch : (N,) labels.

    Returns
    -------
    The observed share, and the share expected under random mixing: Σ_b (n_b/N)(n_b − 1)/(N − 1).
    """
    codes = np.unique(np.asarray(batch), return_inverse=True)[1]
    if len(codes) <= n_neighbors:
        raise ValueError(f"n_neighbors: expected fewer than the {len(codes)} cells, found {n_neighbors}.")
    index = NearestNeighbors(n_neighbors=n_neighbors).fit(coordinates).kneighbors(return_distance=False)
    sizes = np.bincount(codes)
    expected = (sizes * (sizes - 1)).sum() / (len(codes) * (len(codes) - 1))
    return float((codes[index] == codes[:, None]).mean()), float(expected)


def label_knn_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, n_neighbors: int = 15
) -> float:
    """The fraction of test cells whose label is the majority's among their nearest training cells.

    Parameters
    ----------
    train : (N, L).   train_labels : (N,).   test : (M, L).   test_labels : (M,).

    Returns
    -------
    0 to 1. Compare it with the share of the commonest label, which a classifier reaches without looking.
    """
    if len(train) < n_neighbors:
        raise ValueError(f"n_neighbors: expected at most {len(train)} training cells, found {n_neighbors}; take fewer.")
    return float(KNeighborsClassifier(n_neighbors).fit(train, train_labels).score(test, test_labels))


def _entropy(neighbours: NDArray[np.int64], batch: NDArray[np.generic]) -> float:
    names, codes = np.unique(batch, return_inverse=True)
    frequencies = (codes[neighbours][..., None] == np.arange(len(names))).mean(axis=1)  # (N, k, B) to (N, B)
    return float(entropy(frequencies, axis=1).mean())


def _neighbours(codes: NDArray[np.float64], n_neighbors: int) -> NDArray[np.int64]:
    """Who is near: (N, k) positions. scikit-learn leaves a cell out of its own neighbours, copies of it not."""
    if not 1 <= n_neighbors < len(codes):
        raise ValueError(
            f"n_neighbors: expected 1 to {len(codes) - 1}, the other cells there are, found {n_neighbors}; "
            "take fewer neighbours or more cells."
        )
    return NearestNeighbors(n_neighbors=n_neighbors).fit(codes).kneighbors(return_distance=False)


def _table(codes: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(codes, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"codes: expected (N, L), one row for each cell, found shape {table.shape}.")
    if not np.isfinite(table).all():
        row = np.flatnonzero(~np.isfinite(table).all(axis=1))[0]
        raise ValueError(f"codes: row {row} is not finite, so it has no neighbours; did the training diverge?")
    return table


def _one_per_cell(name: str, values: ArrayLike, n_cells: int) -> None:
    if np.shape(values) != (n_cells,):
        raise ValueError(f"{name}: expected one for each of the {n_cells} cells, found shape {np.shape(values)}.")
