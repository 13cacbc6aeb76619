"""k-means scored by labels it did not see."""

import numpy as np

from course_lib.analysis.clustering import kmeans_ari


def blobs(distance: float, n_each: int = 100) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], n_each)
    centres = distance * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return centres[np.unique(labels, return_inverse=True)[1]] + rng.standard_normal((3 * n_each, 2)), labels


def test_groups_far_apart_are_found_whatever_they_are_called():
    codes, labels = blobs(distance=50.0)
    renamed = np.array([{"a": 7, "b": 3, "c": 5}[name] for name in labels])
    assert kmeans_ari(codes, labels) == 1.0
    assert kmeans_ari(codes, renamed) == 1.0


def test_labels_at_random_score_about_zero():
    codes, labels = blobs(distance=50.0)
    assert abs(kmeans_ari(codes, np.random.default_rng(1).permutation(labels))) < 0.05


def test_pairs_counted_by_hand_agree():
    codes = np.array([[0.0], [0.1], [10.0], [10.1]])
    labels = np.array(["a", "a", "a", "b"])
    # k-means makes {0, 1} and {2, 3}. Of 6 pairs, 3 share a label, 2 a cluster, 1 both; expected by chance 3·2/6 = 1.
    # ARI = (both − expected) / (mean of the two − expected) = (1 − 1) / (2.5 − 1).
    assert abs(kmeans_ari(codes, labels)) < 1e-12
