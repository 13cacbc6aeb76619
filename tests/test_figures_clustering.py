"""The pictures of notebook 07 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from drawn import legend, lines, points, title, words

from course_lib.experiments.clustering import METHODS
from course_lib.figures import clustering as draw

RNG = np.random.default_rng(0)


def test_the_graph_draws_an_arrow_per_neighbour_and_an_edge_per_pair():
    points = np.array([[0.0, 0], [1, 0], [5, 0], [6, 0]])
    neighbours = np.array([[1], [0], [3], [1]])  # 3 → 1 crosses
    fig, alt = draw.from_points_to_graph(points, neighbours, np.array([0, 0, 1, 1]))
    left, right = fig.axes
    assert len(left.patches) == 4
    edges = [(line.get_linestyle(), sorted(line.get_xdata())) for line in right.get_lines()]
    assert sorted(edges) == [("-", [0, 1]), ("-", [5, 6]), ("--", [1, 6])]
    assert "3 edges in 2 clusters, 1 of them between" in alt
    assert "3 edges, 1 of them cut" in title(right)


def test_methods_show_every_seed_and_the_t_interval_of_their_mean():
    table = pd.DataFrame(
        [
            {"data": "cortex", "seed": s, "method": m, "ari": 0.1 * i + 0.01 * s}
            for s in range(5)
            for i, m in enumerate(METHODS)
        ]
    )
    fig, alt = draw.methods_compared(table, {"ari": "ARI"}, METHODS, {"cortex": "a finding"})
    (ax,) = fig.axes
    dots = [line for line in ax.get_lines() if len(line.get_xdata()) == 5]
    np.testing.assert_allclose(
        [line.get_xdata() for line in dots], [[0.1 * i + 0.01 * s for s in range(5)] for i in range(4)]
    )
    assert words(ax.get_yticklabels()) == list(METHODS.values())
    assert title(ax) == "a finding"
    assert "cortex scVI ARI 0.32 ± 0.02" in alt


def test_the_interval_is_students():
    values = np.array([0.5, 0.7, 0.6, 0.65, 0.55])
    mean, half = draw.mean_and_half_width(values)
    low, high = scipy.stats.t.interval(0.95, 4, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert np.isnan(draw.mean_and_half_width(values[:1])[1])


def cuts_table():
    rows = []
    for data, halves in {"cortex": [0.8, 0.9, 0.6], "one_cloud": [1.0, 0.01, 0.02]}.items():
        for seed in (0, 1):
            for gamma, n, value in zip((0.1, 0.5, 4.0), (1 if data == "one_cloud" else 3, 8, 30), halves, strict=True):
                labelled = 0.5 if data == "cortex" else np.nan
                rows.append((data, seed, gamma, n, value + 0.02 * seed, labelled))
    return pd.DataFrame(rows, columns=["data", "seed", "resolution", "n_clusters", "halves", "ari"])


def test_cuts_draw_means_over_seeds_and_leave_out_what_is_one_cluster():
    fig, alt = draw.cuts_on_counts(cuts_table(), {"cortex": "cortex", "one_cloud": "one cloud"})
    clusters, halves, afterwards = (lines(ax) for ax in fig.axes)
    assert clusters["one cloud"].get_ydata().tolist() == [1, 8, 30]
    np.testing.assert_allclose(halves["cortex"].get_ydata(), [0.81, 0.91, 0.61])
    assert halves["one cloud"].get_xdata().tolist() == [0.5, 4.0]
    assert {"cortex", "one cloud"} & {*afterwards} == {"cortex"}  # a cloud has no labels
    assert clusters["cortex"].get_linestyle() != clusters["one cloud"].get_linestyle()  # not by colour alone
    assert "cortex: halves agree most at γ = 0.5, ARI 0.91 with 8 clusters" in alt
    assert "one cloud: halves agree most at γ = 4, ARI 0.03 with 30 clusters" in alt


def test_sizes_draw_bound_dimensions_and_both_agreements():
    rows = [
        {"data": "cortex", "seed": s, "n_latent": n, "elbo": 100.0 - n + s, "iwae": 98.0 - n + s, "active": min(n, 8),
         "agreement": 0.5, "ari": 0.3, "kmeans_ari": 0.7}
        for s in (0, 1) for n in (2, 10)
    ]  # fmt: skip
    fig, alt = draw.sizes_on_counts(pd.DataFrame(rows), {"cortex": "cortex"})
    bound, active, seeds, labels = (lines(ax) for ax in fig.axes)
    np.testing.assert_allclose(bound["−ELBO"].get_ydata(), [8, 0])  # against the same seed's at ten
    np.testing.assert_allclose(bound["−IWAE"].get_ydata(), [8, 0])
    assert active["active"].get_ydata().tolist() == [2, 8]
    assert seeds["seeds"].get_ydata().tolist() == [0.5, 0.5]
    assert labels["k-means"].get_ydata().tolist() == [0.7, 0.7]
    assert labels["Leiden"].get_ydata().tolist() == [0.3, 0.3]
    assert "L = 10: −ELBO 90.5, −IWAE 88.5, 8.0 active, seeds 0.50, labels 0.70 by k-means and 0.30 by Leiden" in alt


def test_maps_colour_the_same_type_alike_on_each():
    labels = np.array(["NK cells", "B cells", "NK cells", "B cells"])
    maps = {"one": RNG.normal(size=(4, 2)), "two": RNG.normal(size=(4, 2))}
    fig, alt = draw.maps(maps, labels, "what is kept")
    first, second = (ax.collections[0] for ax in fig.axes)
    np.testing.assert_array_equal(first.get_offsets(), maps["one"])
    np.testing.assert_array_equal(first.get_facecolors(), second.get_facecolors())
    assert (first.get_facecolors()[0] == first.get_facecolors()[2]).all()
    assert (first.get_facecolors()[0] != first.get_facecolors()[1]).any()
    assert legend(fig.axes[1]) == ["NK cells", "B cells"]
    assert "4 cells on 2 maps. what is kept" in alt


def test_map_distances_tell_rank_correlations_with_and_without_one_type():
    real, of_one = np.array([1.0, 2, 3, 4, 5, 6]), np.array([False, False, False, False, True, True])
    near = np.array([1.0, 2, 3, 4, 0.2, 0.1])  # in order but for the pairs of one type
    fig, alt = draw.map_distances(real, {"UMAP": np.stack([near, near**2]), "kept": real[None]}, of_one)
    left, right = fig.axes
    np.testing.assert_allclose(lines(left)["megakaryocytes"].get_ydata(), [0.2, 0.1])
    np.testing.assert_allclose(lines(left)["other pairs"].get_ydata(), [1, 2, 3, 4])
    expected = scipy.stats.spearmanr(real, near)[0]
    np.testing.assert_allclose(lines(right)["all pairs"].get_xdata(), [expected, expected])
    np.testing.assert_allclose(lines(right)["without one type"].get_xdata(), [1, 1])
    assert f"UMAP, all pairs, {expected:.2f} to {expected:.2f}; UMAP, without one type, 1.00 to 1.00" in alt


def test_noise_is_drawn_on_both_planes_with_the_number_of_clusters():
    plane, on_map = RNG.normal(size=(30, 2)), RNG.normal(size=(30, 2))
    fig, alt = draw.clusters_of_noise(plane, np.arange(30) % 3, on_map, np.arange(30) % 10)
    np.testing.assert_array_equal(np.vstack(points(fig.axes[0])), plane)
    np.testing.assert_array_equal(np.vstack(points(fig.axes[1])), on_map)
    assert "3 Leiden clusters" in alt
    assert "10 clusters of the map" in alt


def test_marker_dots_scale_area_with_the_share():
    shares = pd.DataFrame({"MS4A1": [0.9, 0.1], "PPBP": [0.0, 1.0]}, index=["0: B", "1: megakaryocyte"])
    fig, alt = draw.marker_dots(shares, shares)
    sizes = fig.axes[0].collections[0].get_sizes()
    np.testing.assert_allclose(sizes - sizes.min(), 330 * shares.to_numpy().ravel())  # row by row
    assert "MS4A1 in 0: B (0.90)" in alt
    assert "PPBP in 1: megakaryocyte (1.00)" in alt


def test_agreement_writes_each_value_and_marks_the_best():
    table = pd.DataFrame({"PCA": [1.0, 0.6], "scVI": [0.62, 0.99]}, index=["on PCA", "on scVI"])
    fig, alt = draw.agreement(table, "Each wins on its own labels")
    written = {text.get_position(): (text.get_text(), text.get_weight()) for text in fig.axes[0].texts}
    assert written[0, 0] == ("1.00", "bold")
    assert written[1, 0] == ("0.62", "normal")
    assert written[1, 1] == ("0.99", "bold")
    assert "labels on scVI: PCA 0.60, scVI 0.99" in alt
