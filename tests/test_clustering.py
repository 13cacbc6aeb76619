"""k-means and Leiden scored by labels they did not see; every score against pairs, tables or points worked by hand."""

from itertools import combinations

import numpy as np
import pytest
from anndata import AnnData

from course_lib.analysis.clustering import clustering_scores, cut_scores, kmeans, kmeans_ari, knn_graph, leiden


def blobs(distance: float, n_each: int = 100) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], n_each)
    centres = distance * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return centres[np.unique(labels, return_inverse=True)[1]] + rng.standard_normal((3 * n_each, 2)), labels


def with_codes(codes: np.ndarray) -> AnnData:
    return AnnData(obsm={"X_codes": codes}, shape=(len(codes), 0))


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


def test_kmeans_centres_are_the_means_of_their_cells():
    codes, _ = blobs(distance=4.0)
    found = kmeans(codes, 3, seed=1)
    centres = np.array([codes[found == k].mean(axis=0) for k in range(3)])
    nearest = np.linalg.norm(codes[:, None] - centres, axis=-1).argmin(axis=1)
    assert np.bincount(found).min() > 0
    np.testing.assert_array_equal(found, nearest)


def test_ari_is_that_of_counted_pairs():
    rng = np.random.default_rng(0)
    labels, found = rng.integers(0, 3, 40), rng.integers(0, 4, 40)
    found[:25] = labels[:25]
    pairs = list(combinations(range(40), 2))
    alike = np.array([labels[i] == labels[j] for i, j in pairs])
    joined = np.array([found[i] == found[j] for i, j in pairs])
    expected = alike.sum() * joined.sum() / len(pairs)
    by_hand = ((alike & joined).sum() - expected) / ((alike.sum() + joined.sum()) / 2 - expected)
    assert 0.1 < by_hand < 0.9
    assert cut_scores(labels, found)["ari"] == pytest.approx(by_hand)


def test_nmi_is_that_of_a_table_worked_by_hand():
    labels, found = np.array(list("aabb")), np.array([0, 0, 0, 1])
    # p(label, cluster): a0 ½, b0 ¼, b1 ¼.  H(label) = log 2, H(cluster) = −¾ log ¾ − ¼ log ¼,
    # I = ½ log(½ / (½·¾)) + ¼ log(¼ / (½·¾)) + ¼ log(¼ / (½·¼)).
    information = 0.5 * np.log(4 / 3) + 0.25 * np.log(2 / 3) + 0.25 * np.log(2)
    entropies = np.log(2), -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert cut_scores(labels, found)["nmi"] == pytest.approx(information / np.mean(entropies))


def test_ari_and_nmi_are_not_swapped():
    labels, found = np.repeat([0, 1], 50), np.arange(100) // 10  # clusters too fine: NMI forgives it, ARI does not
    scores = cut_scores(labels, found)
    # Of 4,950 pairs 2,450 share a label, 450 a cluster, all of these also a label.
    assert scores["ari"] == pytest.approx((450 - 2450 * 450 / 4950) / ((2450 + 450) / 2 - 2450 * 450 / 4950))
    assert scores["nmi"] == pytest.approx(2 * np.log(2) / (np.log(2) + np.log(10)))


def test_silhouette_is_that_of_points_on_a_line_and_of_the_labels_not_of_k_means():
    codes, labels = np.array([[0.0], [1.0], [4.0], [5.0]]), np.array(["a", "a", "a", "b"])
    # a: distance within, b: to the other label; s = (b − a) / max(a, b). A label with one cell gets 0.
    # at 0: a = (1 + 4)/2, b = 5;   at 1: a = (1 + 3)/2, b = 4;   at 4: a = (4 + 3)/2, b = 1.
    by_hand = np.mean([(5 - 2.5) / 5, (4 - 2) / 4, (1 - 3.5) / 3.5, 0])
    scores = clustering_scores(codes, labels)
    assert scores["asw"] == pytest.approx(by_hand)
    assert scores["ari"] == pytest.approx(0, abs=1e-12)  # k-means makes {0, 1}, {4, 5}, whose silhouette is .77


def test_scores_hold_what_the_parts_give():
    codes, labels = blobs(distance=3.0)
    scores = clustering_scores(codes, labels, seed=4)
    assert scores["ari"] == kmeans_ari(codes, labels, seed=4)
    assert scores["nmi"] == cut_scores(labels, kmeans(codes, 3, seed=4))["nmi"]
    assert 0 < scores["asw"] < scores["ari"] < 1


def test_leiden_finds_the_pieces_of_a_graph_that_falls_apart():
    codes, labels = blobs(distance=50.0, n_each=40)
    data = with_codes(codes)
    knn_graph(data, "X_codes", n_neighbors=15)
    leiden(data, resolution=0.1)
    assert cut_scores(labels, data.obs["leiden"])["ari"] == 1.0


def test_the_graph_joins_each_cell_to_its_nearest():
    codes = np.random.default_rng(0).normal(size=(30, 3))
    data = with_codes(codes)
    knn_graph(data, "X_codes", n_neighbors=5)
    distances = np.linalg.norm(codes[:, None] - codes, axis=-1)
    for cell, row in enumerate(data.obsp["distances"].toarray()):
        assert set(np.flatnonzero(row)) == set(np.argsort(distances[cell])[1:5])  # scanpy counts the cell itself
    weights = data.obsp["connectivities"]
    assert abs(weights - weights.T).max() == 0
    assert 0 < weights.data.min() <= weights.data.max() <= 1


def test_a_higher_resolution_gives_more_clusters_and_repeats():
    data = with_codes(np.random.default_rng(0).normal(size=(400, 2)))
    knn_graph(data, "X_codes")
    for resolution, key in ((0.2, "low"), (3.0, "high"), (3.0, "again")):
        leiden(data, resolution, key_added=key, seed=3)
    assert data.obs["low"].nunique() < data.obs["high"].nunique()
    assert data.obs["high"].tolist() == data.obs["again"].tolist()


def test_leiden_reaches_the_modularity_of_the_best_of_all_cuts():
    """Seven cells, so that every division can be tried."""
    codes = np.array([[0.0], [1.0], [2.1], [10.0], [11.0], [12.1], [13.3]])
    data = with_codes(codes)
    knn_graph(data, "X_codes", n_neighbors=3)
    leiden(data)
    weights = data.obsp["connectivities"].toarray()
    degree = weights.sum(axis=1)
    excess = weights - np.outer(degree, degree) / degree.sum()

    def modularity(cut):
        cut = np.asarray(cut)
        return (excess * (cut[:, None] == cut)).sum() / degree.sum()

    best = max(modularity(cut) for cut in divisions(7))
    assert modularity(data.obs["leiden"]) == pytest.approx(best)


def divisions(n):
    """Every way to divide n things: each joins a group there is, or opens the next."""
    if n == 0:
        yield []
        return
    for rest in divisions(n - 1):
        for group in range(max(rest, default=-1) + 2):
            yield [*rest, group]


@pytest.mark.parametrize(
    "codes, labels, message",
    [
        (
            np.zeros((4, 2)),
            np.array(["a", "b", "a"]),
            r"labels: expected one for each of the 4 cells, found shape \(3,\)",
        ),
        (np.zeros((3, 2)), np.array(["a", "a", "a"]), r"labels: expected at least two different ones, all are .*a"),
        (np.zeros(4), np.array(["a", "b", "a", "b"]), r"codes: expected \(N, L\).*found shape \(4,\)"),
        (np.array([[0.0], [np.nan]]), np.array(["a", "b"]), r"codes: 1 values are NaN or infinite"),
    ],
)
def test_what_cannot_be_scored_is_refused(codes, labels, message):
    with pytest.raises(ValueError, match=message):
        clustering_scores(codes, labels)
    with pytest.raises(ValueError, match=message):
        kmeans_ari(codes, labels)


def test_two_cuts_of_different_cells_are_not_compared():
    with pytest.raises(ValueError, match=r"found: expected one cluster per label, found shapes \(3,\), \(2,\)"):
        cut_scores(np.array([0, 1]), np.array([0, 1, 1]))


@pytest.mark.parametrize("n_clusters", [0, 5])
def test_as_many_clusters_as_there_are_cells_at_most(n_clusters):
    with pytest.raises(ValueError, match=f"n_clusters: expected 1 to 4, .* found {n_clusters}"):
        kmeans(np.arange(4.0)[:, None], n_clusters)


def test_a_graph_needs_codes_and_neighbours_that_are_there():
    data = with_codes(np.arange(6.0)[:, None])
    with pytest.raises(ValueError, match=r"use_rep: 'X_pca' is not in data.obsm, which has \['X_codes'\]"):
        knn_graph(data, "X_pca")
    for n_neighbors in (1, 7):
        with pytest.raises(ValueError, match=f"n_neighbors: expected 2 to 6, .* found {n_neighbors}"):
            knn_graph(data, "X_codes", n_neighbors)


def test_leiden_needs_a_graph_and_a_positive_resolution():
    data = with_codes(np.random.default_rng(0).normal(size=(30, 2)))
    with pytest.raises(ValueError, match=r"data: expected a graph, found none; call knn_graph"):
        leiden(data)
    knn_graph(data, "X_codes")
    with pytest.raises(ValueError, match="resolution: expected a number > 0, found 0"):
        leiden(data, resolution=0)
