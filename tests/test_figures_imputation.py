"""The pictures of notebook 11 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
from drawn import legend, lines, points, title, words

from course_lib.figures import imputation as draw
from course_lib.figures.style import COLOUR

RNG = np.random.default_rng(0)


def test_hidden_counts_stand_beside_the_constant_and_their_errors_add_up_to_one():
    true, imputed = np.array([1.0, 2, 3, 10]), np.array([2.0, 2, 5, 18])
    fig, alt = draw.hidden_and_imputed(true, imputed, 3.0)
    left, right = fig.axes
    assert words(left.texts) == ["equal ", "constant 3"]
    constant, ours = (line for line in right.get_lines() if len(line.get_xdata()) == 300)
    assert constant.get_color() == COLOUR["wrong"]
    assert ours.get_color() == COLOUR["model"]
    x, y = ours.get_xdata(), ours.get_ydata()
    assert y[0] == 0.25  # one of four is exact
    assert y[np.searchsorted(x, 1.0)] == 0.5
    assert y[-1] == 1
    assert title(right) == "Half err by at most 1.50"  # errors 1, 0, 2, 8
    assert "constant 1.50 (mean 2.50)" in alt  # errors 2, 1, 0, 7
    assert "E[ℓρ] 1.50 (mean 2.75)" in alt


@pytest.fixture
def table():
    rows = [(seed, method, start + 0.1 * seed) for seed in range(3) for method, start in (("knn", 2.0), ("zinb", 1.0))]
    return pd.DataFrame(rows, columns=["seed", "method", "error"])


def test_errors_have_a_dot_for_each_seed_a_ring_for_the_live_run_and_a_row_for_what_was_published(table):
    fig, alt = draw.errors(
        table,
        {"error": "error, molecules"},
        ["knn", "zinb", "scvi_tools"],
        {"zinb": {"error": 1.05}},
        {"A": 1.3, "B": 1.33, "C": 1.9, "D": 9.0},
    )
    (ax,) = fig.axes
    assert words(ax.get_yticklabels()) == ["published", "neighbours", "scVI, ZINB"]  # who has no row has no line
    knn, zinb, ring, *diamonds = ax.get_lines()
    np.testing.assert_allclose(knn.get_xdata(), [2.0, 2.1, 2.2])
    np.testing.assert_allclose(zinb.get_xdata(), [1.0, 1.1, 1.2])
    assert np.round(zinb.get_ydata()).tolist() == [1, 1, 1]
    assert (knn.get_color(), zinb.get_color()) == (COLOUR["pca"], COLOUR["model"])
    assert (ring.get_xdata(), ring.get_ydata()) == ([1.05], [1])
    assert [(line.get_xdata(), line.get_ydata()) for line in diamonds] == [([1.3], [-1]), ([1.33], [-1]), ([1.9], [-1])]
    assert words(ax.texts) == ["D 9 →", "A 1.3, B 1.33", "C 1.9"]  # beyond the panel: said, not drawn
    assert title(ax) == "Least: scVI, ZINB, 1.10"
    assert "neighbours 2.10, scVI, ZINB 1.10" in alt
    assert "published A 1.3, B 1.33, C 1.9, D 9" in alt


def test_colours_tell_ours_from_theirs_and_from_rivals():
    keys = ("nb_rate", "zinb_given_zero", "scvi_tools", "knn", "pca", "constant")
    mine, other, rival, anchor = COLOUR["model"], COLOUR["other"], COLOUR["pca"], COLOUR["reference"]
    assert [draw._colour(key) for key in keys] == [mine, mine, other, rival, rival, anchor]


def test_best_answers_stand_where_the_losses_are_least():
    grid = np.linspace(0, 4, 41)
    losses = {"squared": 1 + (grid - 3) ** 2, "absolute": 1 + np.abs(grid - 2), "median": 1 + np.abs(grid - 1)}
    fig, alt = draw.best_answers(np.arange(1, 6), np.array([0.4, 0.3, 0.2, 0.07, 0.03]), grid, losses)
    left, right = fig.axes
    assert words(left.texts) == ["squared: 3.0", "absolute: 2.0", "median: 1.0"]
    heights = [line.get_ydata()[1] for line in left.get_lines()]
    assert heights == sorted(heights)  # the leftmost answer is the tallest line
    assert legend(right) == ["squared", "absolute", "median"]
    assert "squared 3.0, absolute 2.0, median 1.0" in alt
    assert "mode 1" in alt


def test_what_zeros_lost_is_drawn_against_the_forecast():
    mu = np.logspace(-2, 2, 5)
    removed = np.arange(24.0)  # two zeros in each of twelve bins
    fig, alt = draw.lost_in_zeros(mu, {"π = 0.5": mu / 2}, {"truth": removed, "model": 2 * removed + 1}, removed)
    left, right = fig.axes
    np.testing.assert_allclose(lines(left)["π = 0.5"].get_ydata(), mu / 2)
    np.testing.assert_allclose(lines(right)["truth"].get_xdata(), np.arange(0.5, 24, 2))
    np.testing.assert_allclose(lines(right)["truth"].get_ydata(), np.arange(0.5, 24, 2))
    np.testing.assert_allclose(lines(right)["model"].get_xdata(), 2 * np.arange(0.5, 24, 2) + 1)
    assert "π = 0.5: 0.50 at μ = 1.0, 50 at 100" in alt
    assert "forecasts by truth within 0.00" in alt
    assert "forecasts by model within 3.00" in alt


def test_costs_of_answers_are_those_of_a_sample():
    counts, law, grid = np.array([1, 2, 3, 10]), np.array([0.4, 0.3, 0.2, 0.1]), np.array([1.0, 2.0, 1.4])
    sample = np.repeat(counts, [400, 300, 200, 101])  # a draw more, so that no median falls between two
    costs = draw.costs_of_answers(counts, law, grid)
    for name, of in (
        ("squared", lambda gap: (gap**2).mean()),
        ("absolute", np.mean),
        ("median of absolute", np.median),
    ):
        expected = [of(np.abs(sample - answer)) for answer in grid]
        np.testing.assert_allclose(costs[name], expected, rtol=0.01)


def test_replicas_are_compared_as_ratios_and_zeros_as_gaps():
    data = {"mean": np.array([1.0, 2.0, 8.0]), "share of zeros": np.array([0.5, 0.2, 0.0])}
    models = {
        "Poisson": {"mean": 0.5 * data["mean"], "share of zeros": data["share of zeros"] - 0.1},
        "ZINB": {"mean": 2.0 * data["mean"], "share of zeros": data["share of zeros"] + 0.1},
    }
    fig, alt = draw.replicas(data, models, floor=0.01)
    assert title(fig.axes[0]) == "Mean: Poisson ×0.50, ZINB ×2.00"
    assert title(fig.axes[1]) == "Share of zeros: Poisson −0.100, ZINB +0.100"
    poisson, zinb = points(fig.axes[0])
    np.testing.assert_allclose(poisson[:, 0], data["mean"])
    np.testing.assert_allclose(zinb[:, 1], 2 * data["mean"])
    assert legend(fig.axes[0]) == ["Poisson", "ZINB"]
    assert "a dot for each of 3 genes" in alt


def test_pairs_of_genes_say_how_far_apart_they_are():
    observed = np.linspace(-0.5, 0.9, 50)
    fig, alt = draw.pairs_of_genes(observed, {"replica": 0.5 * observed, "other half": observed + 0.2})
    apart = np.sqrt(np.mean((0.5 * observed) ** 2))
    assert title(fig.axes[0]) == f"Replica: {apart:.3f} apart (RMS)"
    assert title(fig.axes[1]) == "Other half: 0.200 apart (RMS)"
    assert f"replica {apart:.3f} apart, slope 0.50" in alt
    assert "50 pairs" in alt


def test_ranks_are_red_where_they_are_far_from_uniform():
    values = {"wrong": np.array([0.01, 0.99] * 100), "right": (np.arange(2_000) + 0.5) / 2_000}
    fig, alt = draw.ranks_of_truth(values, {"wrong": 0.5, "right": 0.9}, 0.9)
    wrong, right = (ax.patches for ax in fig.axes)
    assert wrong[0].get_height() == pytest.approx(10)  # half of the ranks in a twentieth of the width
    assert right[0].get_height() == pytest.approx(1, abs=0.05)
    assert title(fig.axes[0]) == "wrong: 0.500 covered"
    reds = [patches[0].get_facecolor()[:3] for patches in (wrong, right)]
    assert reds[0] != reds[1]
    assert "right: covered 0.900, density 1.00 at the ends, 1.00 in the middle" in alt


def test_invented_correlations_stand_beside_how_little_moves():
    r = {"counts": RNG.normal(0, 0.02, 500), "log ρ": RNG.uniform(-1, 1, 500), "drawn": RNG.normal(0, 0.02, 500)}
    fig, alt = draw.invented(r, {"independent": np.full(9, 0.04), "differ": np.full(7, 0.5)})
    left, right = fig.axes
    assert legend(left) == ["counts", "log ρ", "drawn"]
    widths = [np.count_nonzero(patch.get_data().values) for patch in left.patches]
    assert widths[1] > 5 * widths[0]
    assert [len(line.get_xdata()) for line in right.get_lines()] == [9, 7]
    assert words(right.get_yticklabels()) == ["independent", "differ"]
    assert f"log ρ: median ∣r∣ {np.median(np.abs(r['log ρ'])):.2f}" in alt
    assert "independent: median 0.040; sd of log ρ, differ: median 0.500" in alt


def test_invented_by_size_has_a_panel_for_each_setting_and_the_median_over_seeds():
    rows = [
        (setting, n, seed, method, start / n**0.5 + 0.001 * seed)
        for setting in (3, 1)
        for n in (100, 400)
        for seed in range(3)
        for method, start in (("raw", 1.0), ("rho", 5.0))
    ]
    table = pd.DataFrame(rows, columns=["setting", "n_cells", "seed", "method", "median_r"])
    fig, alt = draw.invented_by_size(table, {3: "Three types", 1: "One type"})
    np.testing.assert_allclose(lines(fig.axes[0])["counts"].get_ydata(), [0.101, 0.051])
    assert title(fig.axes[1]) == "One type, 400 cells: 0.25 in log ρ, 0.051 in counts"
    assert "Three types, log ρ: 0.501 to 0.251" in alt


def test_one_pair_says_its_correlation_in_every_version():
    a = RNG.normal(size=200)
    fig, alt = draw.one_pair({"Counts": (a, RNG.normal(size=200)), "ρ": (a, -a)}, [["A", "B"], ["C", "D"]])
    assert title(fig.axes[1]) == "ρ: r = −1.00"
    assert [ax.get_xlabel() for ax in fig.axes] == ["A", "C"]
    assert "ρ, C and D: -1.00" in alt
    np.testing.assert_allclose(points(fig.axes[1])[0], np.c_[a, -a])
