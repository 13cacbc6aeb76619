"""The pictures of notebook 13 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from drawn import legend, lines, points, title, untidy, words

from course_lib.figures import proteins as draw

RNG = np.random.default_rng(0)


def test_heaps_count_each_run_and_draw_its_gate():
    run = np.array(["a"] * 30 + ["b"] * 10)
    counts = {"CD3": np.array([0] * 4 + [20] * 26 + [50] * 10), "CD19": np.full(40, 7)}
    fig, alt = draw.heaps(counts, run, {"CD3": {"a": 30.0, "b": 60.0}}, "told")
    first, second = fig.axes
    drawn = {patch.get_label(): patch for patch in first.patches}
    heights = {name: patch.get_xy()[:, 1].max() for name, patch in drawn.items()}
    assert heights == {"a": 26, "b": 10}
    gates = [np.expm1(line.get_xdata()[0]) for line in first.get_lines()]
    np.testing.assert_allclose(gates, [30, 60])
    assert not second.get_lines()
    assert legend(first) == ["a", "b"]
    assert "CD3: median 20, zeros 10.0%, gate a 30, b 60" in alt


def test_laws_are_summed_over_the_bins_of_the_histogram():
    counts = RNG.poisson(20, 500)
    law = scipy.stats.poisson(20).pmf(np.arange(200))
    fig, alt = draw.one_and_two(counts, {"one": law, "two": law}, "told")
    ax = fig.axes[0]
    bars = np.array([(patch.get_x(), patch.get_width(), patch.get_height()) for patch in ax.patches])
    assert (bars[:, 1] * bars[:, 2]).sum() == pytest.approx(1, abs=1e-9)  # every cell is in a bar
    step = ax.get_lines()[0].get_ydata()
    assert (step[:-1] * bars[:, 1]).sum() == pytest.approx(1, abs=0.02)  # and so is the law, but for what lies beyond
    np.testing.assert_allclose(step[:-1], bars[:, 2], atol=0.5)
    assert title(ax) == "told"
    low = int(np.quantile(counts, 0.02))
    assert f"Share below {low}: cells {np.mean(counts < low):.2f}, one {law[:low].sum():.2f}" in alt


def test_the_mixture_stands_on_its_background_and_names_even_odds():
    background, foreground = np.array([0.4, 0.2, 0.1, 0.0]), np.array([0.0, 0.05, 0.15, 0.1])
    fig, alt = draw.mixture((background, foreground), foreground / (background + foreground), (1.0, 3.0))
    bars = fig.axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars[4:]], foreground)
    np.testing.assert_allclose([bar.get_y() for bar in bars[4:]], background)
    assert "background on 0.70" in alt
    assert "one half at a count of 2" in alt
    assert fig.axes[1].get_lines()[1].get_xdata()[1] == pytest.approx(1.75)  # between 1, at 0.2, and 2, at 0.6


def test_beliefs_tell_the_mean_of_each_density():
    x = np.linspace(-4, 8, 1_201)
    densities = {"after y = 1": scipy.stats.norm.pdf(x, 1, 0.5)}
    fig, alt = draw.background_beliefs(x, scipy.stats.norm.pdf(x, 2, 0.5), densities, "told")
    assert legend(fig.axes[0]) == ["prior", "after y = 1"]
    np.testing.assert_array_equal(lines(fig.axes[0])["after y = 1"].get_ydata(), densities["after y = 1"])
    assert "prior mean 2.00, after y = 1 1.00" in alt


def test_the_graph_is_tidy_and_heavy_where_scvi_has_nothing():
    fig, alt = draw.model_graph()
    assert untidy(fig) == []
    heavy = {text.get_text() for text in fig.axes[0].texts if text.get_weight() == "bold"}
    assert {"log1p(y)", "background(z, s)", "α(z, s) ≥ 1, π(z, s)", "φ"} <= heavy
    assert not {"log1p(x)", "ρ(z, s)", "θ", "x ∼ NB(ℓρ, θ)"} & heavy
    assert "background NB(β, φ) and foreground NB(αβ, φ)" in alt


def test_drawn_counts_are_divided_by_their_coin():
    counts = np.array([1, 1, 1, 30])
    drawn, coin = np.array([1.0, 2.0, 30.0, 40.0]), np.array([True, True, True, False])
    fig, alt = draw.learned_parts({"CD19": (counts, drawn, coin)}, "told")
    ax = fig.axes[0]
    edges = np.append([bar.get_x() for bar in ax.patches], ax.patches[-1].get_x() + ax.patches[-1].get_width())
    shares = [(line.get_ydata()[:-1] * np.diff(edges)).sum() for line in ax.get_lines()]
    np.testing.assert_allclose(shares, [0.75, 0.25])
    assert ax.get_title(loc="left") == "CD19: 25%"
    assert "background mean 11, foreground 40 on 25% of cells" in alt


def test_beside_the_gates_each_cell_stands_at_its_count_and_probability():
    counts, probability = np.array([0, 9, 99]), np.array([0.0, 0.4, 1.0])
    fig, alt = draw.beside_gates({"CD3": (counts, probability, 0.75)}, ["B", "NK", "B"], "told")
    (dots,) = points(fig.axes[0])[:1]
    np.testing.assert_allclose(sorted(dots[:, 1]), probability)
    np.testing.assert_allclose(np.expm1(dots[np.argsort(dots[:, 1]), 0]), counts)
    assert "gate: CD3 75%" in alt


def test_pairs_of_markers_keep_the_order_of_the_two():
    first, second = np.array([1.0, 10.0, 100.0]), np.array([5.0, 5.0, 5.0])
    fig, alt = draw.pairs_of_markers({"Counts": (first, second)}, ("CD4", "CD8"), ["B", "B", "B"])
    ax = fig.axes[0]
    np.testing.assert_allclose(np.expm1(points(ax)[0]), np.column_stack([first, second]))
    assert ax.get_xlabel() == "CD4 (log scale)"
    assert ax.get_ylabel() == "CD8 (log scale)"
    assert "Counts: medians 10.0 and 5.0" in alt


def test_compared_draws_every_seed_its_mean_and_the_live_run_in_the_first_panel():
    values = {"totalvi": [0.8, 0.9], "ridge": [0.5, 0.7]}
    fig, alt = draw.compared({"A": values, "B": values}, {"A": "share", "B": "index"}, {"totalvi": 0.85})
    left, right = fig.axes
    dots = [line.get_xdata() for line in left.get_lines() if line.get_marker() == "o" and len(line.get_xdata()) == 2]
    np.testing.assert_allclose(dots, list(values.values()))
    bars = [line.get_xdata()[0] for line in left.get_lines() if line.get_marker() == "None"]
    np.testing.assert_allclose(bars, [0.85, 0.6])
    rings = [[line for line in ax.get_lines() if line.get_markersize() == 14] for ax in (left, right)]
    assert [len(some) for some in rings] == [1, 0]
    assert rings[0][0].get_xdata()[0] == 0.85
    assert words(left.get_yticklabels()) == ["RNA and antibodies, totalVI", "ridge regression"]
    assert "Means over 2 seeds. share: RNA and antibodies, totalVI 0.850" in alt


def test_compared_gives_panels_with_other_methods_their_own_names():
    fig, _ = draw.compared({"A": {"totalvi": [1.0]}, "B": {"knn": [0.5]}}, {"A": "a", "B": "b"}, {})
    assert [words(ax.get_yticklabels()) for ax in fig.axes] == [["RNA and antibodies, totalVI"], ["neighbours in RNA"]]


def test_kinds_stand_by_their_size_and_show_mean_and_seeds():
    recall = {"rna": pd.DataFrame({"B": [0.2, 0.4], "NK": [1.0, 1.0]})}
    fig, alt = draw.kinds_found(recall, {"B": 5, "NK": 50}, "told")
    ax = fig.axes[0]
    assert words(ax.get_yticklabels()) == ["NK (50)", "B (5)"]
    means = next(line for line in ax.get_lines() if line.get_markersize() == 9)
    np.testing.assert_allclose(means.get_xdata(), [1.0, 0.3])
    seeds = [line.get_xdata() for line in ax.get_lines() if line.get_markersize() == 4]
    np.testing.assert_allclose(seeds, [[1.0, 1.0], [0.2, 0.4]])
    assert "RNA alone, scVI: NK 1.00, B 0.30" in alt


def test_by_kind_puts_the_first_table_across():
    x = pd.DataFrame({"CD3": [1.0, 2.0, 3.0]}, index=["B", "NK", "Mono"])
    fig, alt = draw.by_kind({"measured": x, "imputed": 2 * x}, "told")
    ax = fig.axes[0]
    placed = {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in ax.get_lines()[1:]}
    assert placed == {"B": (1.0, 2.0), "NK": (2.0, 4.0), "Mono": (3.0, 6.0)}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("measured", "imputed")
    assert "Correlations over kinds: CD3 1.00" in alt
    assert words(ax.texts) == ["NK", "B", "Mono"]
    fig, _ = draw.by_kind({"measured": x, "imputed": x + np.array([[0.3], [-0.3], [0.5]])}, "told")
    assert words(fig.axes[0].texts) == ["Mono"]  # the others are near the diagonal
