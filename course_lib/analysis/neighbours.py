"""Does the latent space keep labels together? Held-out cells are named by their nearest training cells."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier


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
