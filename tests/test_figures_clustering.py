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


def test_silhouettes_stand_above_their_points():
    widths = np.array([0.8, -0.5, 0.25])
    fig, alt = draw.silhouettes(np.array([0.0, 1, 4]), np.array(["a", "b", "b"]), widths)
    stems = [line for line in fig.axes[0].get_lines() if len(line.get_xdata()) == 2 and line.get_linewidth() == 5]
    assert [stem.get_ydata()[1] for stem in stems] == [0.8, -0.5, 0.25]
    assert words(fig.axes[0].texts) == ["a: 0.80", "b: −0.50", "b: 0.25"]
    assert "b at 1: -0.50" in alt
    assert "mean 0.18" in alt


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


def test_the_sweep_draws_clusters_and_both_scores():
    table = pd.DataFrame(
        {"n_clusters": [3, 8, 30], "ari": [0.5, 0.9, 0.1], "nmi": [0.6, 0.8, 0.5]}, index=[0.1, 0.5, 4]
    )
    fig, alt = draw.resolution_sweep(table, n_types=8)
    left, right = fig.axes
    assert left.get_lines()[0].get_ydata().tolist() == [3, 8, 30]
    drawn = {label: line.get_ydata().tolist() for label, line in lines(right).items()}
    assert drawn == {"ARI": [0.5, 0.9, 0.1], "NMI": [0.6, 0.8, 0.5]}
    assert "3 to 30 clusters; ARI goes from 0.50 to 0.10" in alt
    assert "0.90, is at γ = 0.5" in alt


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


def test_map_distances_tell_the_rank_correlation():
    real = np.array([1.0, 2, 3, 4])
    fig, alt = draw.map_distances(real, {"kept": real**2, "turned": -real + 5})
    assert [ax.get_title(loc="left").split("\n")[0] for ax in fig.axes] == ["kept:", "turned:"]
    assert "kept 1.00, turned -1.00" in alt
    drawn = fig.axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, real**2 / 7.5)
    assert all(ax.get_ylim()[1] > drawn.max() for ax in fig.axes)  # none is cut off by a neighbour's scale


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
