"""k-means and Leiden scored by labels they did not see; every score against pairs, tables or points worked by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse
from anndata import AnnData
from sklearn.cluster import KMeans

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


def tightness(codes, found):
    return sum(np.square(codes[found == k] - codes[found == k].mean(0)).sum() for k in np.unique(found))


def test_kmeans_keeps_the_tightest_of_ten_starts_that_its_seed_decides():
    codes = np.random.default_rng(0).normal(size=(120, 2))  # noise: each start ends somewhere else
    ours = [tightness(codes, kmeans(codes, 7, seed)) for seed in range(5)]
    single = [tightness(codes, KMeans(7, n_init=1, random_state=s).fit_predict(codes)) for s in range(5)]
    assert all(a <= b + 1e-9 for a, b in zip(ours, single, strict=True))  # the first of the ten is the same
    assert np.mean(ours) < 0.99 * np.mean(single)
    assert kmeans(codes, 7, 0).tolist() == kmeans(codes, 7, 0).tolist() != kmeans(codes, 7, 1).tolist()
    labels = np.random.default_rng(1).integers(7, size=120)
    assert kmeans_ari(codes, labels, seed=0) != kmeans_ari(codes, labels, seed=1)


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


def test_the_seed_of_leiden_decides_how_noise_is_cut():
    data = with_codes(np.random.default_rng(0).normal(size=(400, 2)))
    knn_graph(data, "X_codes")
    for seed in range(4):
        leiden(data, key_added=f"seed {seed}", seed=seed)
    assert len({tuple(data.obs[f"seed {seed}"]) for seed in range(4)}) > 1


def test_the_seed_of_the_neighbours_search_arrives_there(monkeypatch):
    """It matters from some thousand cells on, where the search is approximate and takes long to start."""
    asked = []
    monkeypatch.setattr(scanpy.pp, "neighbors", lambda *_, **settings: asked.append(settings["random_state"]))
    for seed in (0, 3):
        knn_graph(with_codes(np.arange(6.0)[:, None]), "X_codes", 3, seed)
    assert asked == [0, 3]


def test_leiden_replaces_its_own_clusters_silently_and_other_columns_with_a_warning():
    data = with_codes(np.random.default_rng(0).normal(size=(40, 2)))
    data.obs["cell_type"] = ["B", "T"] * 20
    knn_graph(data, "X_codes", n_neighbors=5)
    for key in ("leiden", "fine", "leiden", "fine"):  # warnings are errors here
        leiden(data, key_added=key)
    with pytest.warns(UserWarning, match=r"key_added: data.obs\['cell_type'\] was there, not made by leiden"):
        leiden(data, key_added="cell_type")
    assert set(data.obs["cell_type"]) == set(data.obs["leiden"])


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


FOUR, AB = np.arange(8.0).reshape(4, 2), ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    "codes, labels, error, message",
    [
        (FOUR, AB[:3], ValueError, r"labels: expected one for each of the 4 cells, found shape \(3,\)"),
        (FOUR, [AB], ValueError, r"labels: expected one for each of the 4 cells, found shape \(1, 4\)"),
        (FOUR, ["a"] * 4, ValueError, "labels: expected at least 2 different ones, found .*a.* for every cell"),
        (
            FOUR,
            ["a", np.nan, "b", None],
            ValueError,
            "labels: expected one for each cell, found none for 2 .*first cell 1",
        ),
        (FOUR, [0.0, np.nan, 1.0, 1.0], ValueError, "labels: .*found none for 1 of them, first cell 1; leave these"),
        (FOUR, pd.Categorical(["a", None, "b", "b"]), ValueError, "labels: .*found none for 1 of them, first cell 1"),
        (np.zeros(4), AB, ValueError, r"codes: expected \(N, L\).*found shape \(4,\)"),
        (np.zeros((4, 0)), AB, ValueError, r"codes: expected \(N, L\).*found shape \(4, 0\)"),
        (
            np.array([[0.0], [np.nan], [np.inf], [1]]),
            AB,
            ValueError,
            "codes: .*found NaN or infinity in 2 rows, first row 1",
        ),
        (np.array([["1"], ["2"], ["3"], ["4"]]), AB, TypeError, "codes: expected numbers, found <U1"),
        (pd.DataFrame({"z": [1, 2, 3, 4], "type": AB}), AB, TypeError, "codes: expected numbers, found object"),
        (scipy.sparse.eye(4).tocsr(), AB, TypeError, "codes: expected a dense table, found a sparse matrix"),
    ],
)
def test_what_cannot_be_scored_is_refused(codes, labels, error, message):
    with pytest.raises(error, match=message):
        clustering_scores(codes, labels)
    with pytest.raises(error, match=message):
        kmeans_ari(codes, labels)


def test_labels_of_mixed_kinds_are_compared_as_text():
    assert kmeans_ari(np.array([[0.0], [0.1], [9.0], [9.1]]), pd.Series([1, "1", "b", "b"], dtype=object)) == 1.0


def test_as_many_labels_as_cells_have_no_silhouette():
    with pytest.raises(
        ValueError, match="labels: expected fewer than cells, found 4 different ones; are they cell names"
    ):
        clustering_scores(FOUR, ["a", "b", "c", "d"])


@pytest.mark.parametrize(
    "labels, found, message",
    [
        ([0, 1], [0, 1, 1], r"found: expected one for each of the 2 cells, found shape \(3,\)"),
        ([0, 1], [0, np.nan], "found: expected one for each cell, found none for 1"),
        (["a", None], [0, 1], "labels: expected one for each cell, found none for 1"),
        ([], [], r"labels: expected \(N,\), a name for each cell, found shape \(0,\)"),
        ([[0, 1]], [[0, 1]], r"labels: expected \(N,\), .*found shape \(1, 2\)"),
    ],
)
def test_two_cuts_of_different_cells_are_not_compared(labels, found, message):
    with pytest.raises(ValueError, match=message):
        cut_scores(labels, found)


@pytest.mark.parametrize(
    "n_clusters, seed, error, message",
    [
        (0, 0, ValueError, "n_clusters: expected a whole number from 1 to 4, the cells there are, found 0"),
        (5, 0, ValueError, "n_clusters: .* from 1 to 4, .* found 5"),
        (2.0, 0, TypeError, "n_clusters: .* found 2.0"),
        ("2", 0, TypeError, "n_clusters: .* found '2'"),
        (2, None, TypeError, "seed: .* found None"),
        (2, -1, ValueError, "seed: .* found -1"),
        (2, 2**70, ValueError, "seed: expected a whole number from 0 to 4294967295"),
    ],
)
def test_numbers_that_kmeans_cannot_use_are_refused(n_clusters, seed, error, message):
    with pytest.raises(error, match=message):
        kmeans(FOUR, n_clusters, seed)


def test_a_graph_needs_codes_and_neighbours_that_are_there():
    data = with_codes(np.arange(6.0)[:, None])
    with pytest.raises(ValueError, match=r"use_rep: expected a key of data.obsm, \['X_codes'\], found 'X_pca'"):
        knn_graph(data, "X_pca")
    for n_neighbors in (1, 7):
        with pytest.raises(ValueError, match=f"n_neighbors: .* from 2 to 6, .* found {n_neighbors}"):
            knn_graph(data, "X_codes", n_neighbors)
    with pytest.raises(TypeError, match=r"n_neighbors: .* found 3.0"):
        knn_graph(data, "X_codes", 3.0)
    data.obsm["X_codes"] = np.array([[0.0], [np.nan], [1], [2], [3], [4]])
    with pytest.raises(ValueError, match=r"data.obsm\['X_codes'\]: expected finite numbers, .*first row 1"):
        knn_graph(data, "X_codes", 3)


def test_leiden_needs_a_graph_a_positive_resolution_a_name_and_a_seed():
    data = with_codes(np.random.default_rng(0).normal(size=(30, 2)))
    with pytest.raises(ValueError, match=r"data: expected a graph, found none; call knn_graph"):
        leiden(data)
    knn_graph(data, "X_codes")
    for settings, error, message in [
        ({"resolution": 0}, ValueError, "resolution: expected a number > 0, found 0"),
        ({"resolution": np.inf}, ValueError, "resolution: expected a finite number, found inf"),
        ({"resolution": "1"}, TypeError, "resolution: expected a number, found '1'"),
        ({"key_added": None}, TypeError, "key_added: expected a name, found None"),
        ({"seed": 1.5}, TypeError, "seed: .* found 1.5"),
    ]:
        with pytest.raises(error, match=message):
            leiden(data, **settings)
    assert list(data.obs) == []
