"""The pictures of notebook 08 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
from drawn import legend, lines, points, title, words
from matplotlib.colors import to_rgb

from course_lib.figures import differential_expression as draw
from course_lib.figures.cell_types import colour_of


def de_table(lfc, proba, called, **more):
    genes = [f"g{i}" for i in range(len(lfc))]
    columns = {"lfc_mean": lfc, "proba_de": proba, "called": called, "lfc_std": 0.1 * np.ones(len(lfc))}
    return pd.DataFrame(columns | more, index=genes)


def test_two_cells_tell_the_share_of_draws_above():
    a, b = {"up": np.array([3.0, 4.0]), "same": np.array([1.0, 2.0])}, {"up": np.ones(2), "same": np.array([2.0, 1.0])}
    fig, alt = draw.two_cells(a, b, ("B cells", "CD14+ Monocytes"))
    assert [ax.get_title().split("\n")[0] or ax.get_title(loc="left").split("\n")[0] for ax in fig.axes] == [
        "up",
        "same",
    ]
    assert "up 1.000; same 0.500" in alt
    fills = [patch.get_facecolor()[:3] for patch in fig.axes[0].patches]
    assert fills[0] == to_rgb(colour_of("B cells"))
    assert fills[-1] == to_rgb(colour_of("CD14+ Monocytes"))


def test_growing_groups_draws_one_line_per_way_and_every_size():
    shares = pd.DataFrame({"one": [0.0, 0.4, 0.9], "two": [0.1, 0.1, 0.1]}, index=[4, 16, 64])
    fig, alt = draw.growing_groups(shares)
    drawn = {label: list(line.get_ydata()) for label, line in lines(fig.axes[0]).items()}
    assert drawn["one"] == [0.0, 0.4, 0.9]
    assert words(fig.axes[0].get_xticklabels()) == ["4", "16", "64"]
    assert "one: 0.00 to 0.90" in alt


def fdr_table():
    table = de_table([0.1, -2.0, 1.0], [0.4, 1.0, 0.9], [False, True, True])  # not in the order of p
    return table.rename(columns={"called": "is_de_fdr_0.06"})


def test_running_fdr_draws_risks_and_their_running_mean():
    fig, alt = draw.running_fdr(fdr_table(), delta=0.5, target=0.06)
    drawn = {label: line.get_ydata() for label, line in lines(fig.axes[1]).items()}
    np.testing.assert_allclose(drawn["1 − p of this gene"], [0, 0.1, 0.6])
    np.testing.assert_allclose(drawn["mean of 1 − p so far"], [0, 0.05, 0.7 / 3])
    assert (
        "2 genes are called, 0 of them with p ≤ ½; expected share of false calls 0.050, 1 − p of the last 0.10" in alt
    )


def test_running_fdr_shows_which_genes_are_called_beside_delta():
    table = fdr_table()
    fig, alt = draw.running_fdr(table, delta=0.5, target=0.06)
    left = fig.axes[0]
    grey, blue = points(left)
    np.testing.assert_array_equal(grey, [[0.1, 0.4]])
    np.testing.assert_array_equal(blue, [[-2.0, 1.0], [1.0, 0.9]])
    band = left.patches[0]
    assert (band.get_x(), band.get_width()) == (-0.5, 1.0)  # ∣LFC∣ up to δ
    assert "a change beyond δ = 0.5, target 0.06" in alt
    fillers = table.assign(**{"is_de_fdr_0.06": True})
    fig, alt = draw.running_fdr(fillers, delta=0.5, target=0.06)
    assert title(fig.axes[0]) == "3 called (blue), 1 at p ≤ ½"
    assert "expected share of false calls 0.233" in alt
    none = table.assign(**{"is_de_fdr_0.06": False})
    assert "none is called" in draw.running_fdr(none, delta=0.5, target=0.06)[1]


def test_softmax_moves_says_where_the_untouched_genes_stand():
    lfc = {"raised": np.array([1.2, -0.4, -0.4]), "balanced": np.array([1.0, -1.0, 0.0])}
    changed = {"raised": np.array([True, False, False]), "balanced": np.array([True, True, False])}
    fig, alt = draw.softmax_moves(lfc, changed, delta=0.25)
    assert "raised: 1 genes changed by hand, the others at -0.40" in alt
    assert "balanced: 2 genes changed by hand, the others at 0.00" in alt
    assert sorted(np.concatenate(points(fig.axes[0]))[:, 1]) == [-0.4, -0.4, 1.2]


def test_simulation_draws_a_dot_per_run_and_a_ring_for_the_live_one():
    auc = {"means": [0.9, 1.0, 0.8], "pairs": [0.7, 0.6, 0.5]}
    fdp = {"means": [0.0, 0.3, 0.1], "pairs": [0.0, 0.0, 0.0]}
    fig, alt = draw.simulation(auc, fdp, {"means": 0.95}, {"means": 0.2}, target=0.05)
    left, right = fig.axes
    assert words(left.get_yticklabels()) == ["means", "pairs"]
    rings = [line for line in left.get_lines() if line.get_markersize() == 13]
    assert [float(np.ravel(ring.get_xdata())[0]) for ring in rings] == [0.95]
    assert right.get_xlim()[1] > 0.3
    assert "Dots for 3 simulations" in alt
    assert "means: false discoveries 0.100, at most 0.300" in alt


def test_calibration_keeps_every_bin():
    table = pd.DataFrame(
        {"over": ["means", "means", "pairs"], "predicted": [0.1, 0.9, 0.5], "realised": [0.2, 0.8, 0.4], "n_genes": 9}
    )
    fig, alt = draw.calibration(table)
    np.testing.assert_allclose(points(fig.axes[0])[0], [[0.1, 0.2], [0.9, 0.8]])
    assert legend(fig.axes[0]) == [
        "over means: 9 of 18 genes below 0.2",
        "over pairs: 0 of 9 genes below 0.2",
    ]
    assert "over means: 0.10 stated 0.20 true, 0.90 stated 0.80 true" in alt


def test_the_null_shows_shares_and_says_how_many_were_called():
    proba = {"over means": np.array([0.0, 0.0, 0.3, 0.4]), "over pairs": np.full(4, 0.6)}
    called = {"over means": 0, "over pairs": 0, "Wilcoxon": 3}
    fig, alt = draw.null_probabilities(proba, np.array([0.01, 0.01, 0.02, 0.9]), called)
    for ax in fig.axes:
        assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)
    assert "over means: largest probability 0.400, 0 of 4 genes called" in alt
    assert "Wilcoxon: 3 of 4" in alt


def test_volcanoes_name_the_markers_that_the_table_holds():
    table = de_table([2.0, -1.0, 0.1], [1.0, 0.9, 0.2], [True, True, False])
    fig, alt = draw.volcanoes({"over means": table}, "called", ["g0", "g1", "absent"])
    assert set(words(fig.axes[0].texts)) == {"g0", "g1"}
    assert "over means: 2 of 3 genes called" in alt
    assert "g0 +2.0, g1 -1.0" in alt


def test_likelihoods_measure_the_rarely_seen_genes_alone():
    rates = {"rate1": [3.0, 1.0], "rate2": [1.0, 1.0], "pseudocounts": [1.0, 1.0]}
    seen = {"non_zeros_proportion1": [0.5, 0.01], "non_zeros_proportion2": [0.5, 0.02]}
    table = de_table([1.0, 0.7], [1, 1], [True, True], **rates, **seen)
    fig, alt = draw.likelihoods({"NB": table, "ZINB": table}, rare=0.1)
    assert "NB: root mean square distance from the diagonal, rarely seen genes, 0.70" in alt
    assert "seen in < 1 of 10 cells" in legend(fig.axes[0])


def test_composition_takes_the_median_over_the_well_counted_and_counts_calls_by_sign():
    rates = {"raw_mean1": [4.0, 9.0, 1.0, 0.2], "raw_mean2": [2.0, 9.0, 1.0, 0.0]}
    before = de_table([3.0, -0.4, -0.6, 5.0], [1] * 4, [True, True, False, False], **rates)
    after = de_table([3.5, 0.1, -0.1, 5.0], [1] * 4, [True, False, False, False], **rates)
    fig, alt = draw.composition({"before": before, "after": after}, ["g1", "g2"], ["g0"], "called")
    assert "before: median of the well-counted genes −0.50, 1 called up, 1 down" in alt
    assert "after: median of the well-counted genes 0.00, 1 called up, 0 down" in alt
    others, counted, expected = points(fig.axes[0])
    np.testing.assert_allclose(expected, [[3, 3]])
    np.testing.assert_allclose(counted, [[9, -0.4], [1, -0.6]])
    np.testing.assert_allclose(others, [[0.1, 5]])


def test_beside_wilcoxon_sorts_genes_by_who_calls_them():
    table = pd.DataFrame(
        {"lfc_mean": [1.0, 2, 3, 4], "score": [1.0, 2, 3, 4], "ours": [1, 1, 0, 0], "theirs": [1, 0, 1, 0]}
    ).astype({"ours": bool, "theirs": bool})
    fig, alt = draw.beside_wilcoxon(table)
    assert legend(fig.axes[0]) == [
        "neither: 1",
        "both: 1",
        "scVI alone: 1",
        "Wilcoxon alone: 1",
    ]
    assert "rank correlation 1.00" in alt


def test_donors_draw_both_tests_beside_the_level():
    shares = pd.DataFrame({"cells": [0.1, 0.6], "donors": [0.05, 0.04]}, index=[10, 300])
    fig, alt = draw.donors(shares, 0.05)
    drawn = {label: list(line.get_ydata()) for label, line in lines(fig.axes[0]).items()}
    assert drawn["cells"] == [0.1, 0.6]
    assert "cells: 0.10 to 0.60" in alt
    assert "donors: 0.05 to 0.04" in alt
