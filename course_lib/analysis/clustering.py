"""Do groups show without labels? k-means cuts the latent space, and the labels are used only to score the cut.

Axes: N cells, L latent dimensions.
"""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score


def kmeans_ari(codes: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """Adjusted Rand index between ``labels`` and k-means on ``codes``, with as many clusters as there are labels.

    Parameters
    ----------
    codes : (N, L).   labels : (N,), not seen by k-means.   seed : of its ten starts.

    Returns
    -------
    1 if the two divide the cells alike, about 0 for a division at random (Hubert and Arabie 1985,
    https://doi.org/10.1007/BF01908075).
    """
    n_clusters = len(np.unique(labels))
    found = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(codes)
    return float(adjusted_rand_score(labels, found))
