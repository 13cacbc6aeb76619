"""The pictures of notebook 10 draw what they were given, and their words carry its numbers."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.special
from drawn import lines, points, title, untidy, words

from course_lib.figures import annotation as draw


def test_the_graph_is_tidy_and_heavy_where_scvi_has_nothing():
    fig, alt = draw.model_graph()
    assert untidy(fig) == []
    heavy = {text.get_text() for text in fig.axes[0].texts if text.get_weight() == "bold"}
    assert {"classifier", "u_encoder", "u_decoder", "p(z∣u, c)"} <= heavy
    assert not {"decoder", "z_encoder"} & heavy
    assert "New: the classifier" in alt


def test_two_spaces_keep_cells_and_colours():
    left, right = np.eye(4)[:, :2], np.eye(4)[:, 2:]
    fig, alt = draw.two_spaces({"one": left, "two": right}, ["B cells", "NK cells", "B cells", "NK cells"], "told")
    np.testing.assert_array_equal(points(fig.axes[0])[0], left)
    np.testing.assert_array_equal(points(fig.axes[1])[0], right)
    assert "4 labelled cells" in alt
    assert "told" in alt


@pytest.mark.parametrize("gap", [1.0, -2.0])
def test_with_the_entropy_the_top_is_bayes_rule(gap):
    fig, alt = draw.entropy_term((-10.0, -10.0 - gap), ("a", "b"))
    curves, expected = lines(fig.axes[0]), scipy.special.expit(gap)
    q, bound = curves["with entropy"].get_data()
    assert q[bound.argmax()] == pytest.approx(expected, abs=0.002)
    assert bound.max() == pytest.approx(np.logaddexp(-10.0, -10.0 - gap), abs=1e-5)
    q, bound = curves["without"].get_data()
    assert q[bound.argmax()] == float(gap > 0)
    assert f"top is at {expected:.2f}" in alt


def test_a_second_softmax_puts_a_floor_under_the_loss_and_takes_the_pull():
    fig, alt = draw.double_softmax(4)
    loss, pull = (lines(ax) for ax in fig.axes)
    assert loss["once"].get_ydata()[-1] == pytest.approx(0, abs=1e-3)
    assert loss["twice"].get_ydata()[-1] == pytest.approx(np.log(1 + 3 / np.e), abs=1e-3)
    assert pull["once"].get_ydata()[0] == pytest.approx(1, abs=1e-3)  # 1 − q, by hand
    assert pull["twice"].get_ydata()[0] == pytest.approx(0, abs=1e-3)
    assert "among 4 labels" in alt


def scores(datas=("one", "two"), methods=("lr_pcs", "scanvi")):
    rows = [
        (seed, data, method, measure, 0.5 + 0.1 * d + 0.02 * m + 0.2 * (measure == "accuracy") + 0.02 * seed)
        for seed in (0, 1)
        for (d, data), (m, method) in itertools.product(enumerate(datas), enumerate(methods))
        for measure in ("accuracy", "balanced_accuracy")
    ]
    return pd.DataFrame(rows, columns=["seed", "data", "method", "measure", "value"])


def test_rivals_show_each_seed_filled_for_accuracy_and_open_for_balanced():
    live = {"one": {"accuracy": 0.9, "balanced_accuracy": 0.8}}
    fig, alt = draw.compared(scores(), {"one": "first", "two": "second"}, ("lr_pcs", "scanvi"), live)
    ax = fig.axes[0]
    dots = [line for line in ax.get_lines() if line.get_marker() == "s"]
    np.testing.assert_allclose(dots[0].get_xdata(), [0.7, 0.72])
    np.testing.assert_allclose(dots[1].get_xdata(), [0.5, 0.52])
    assert dots[0].get_markerfacecolor() != "none"
    assert dots[1].get_markerfacecolor() == "none"
    crosses = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "x"]
    assert crosses == [0.9, 0.8]
    assert not [line for line in fig.axes[1].get_lines() if line.get_marker() == "x"]
    assert words(ax.get_yticklabels()) == ["regression on PCs", "scANVI, ours"]
    assert title(ax) == "first"
    assert "two, scANVI, ours 0.83 (0.63)" in alt


def test_worth_draws_means_over_seeds_against_the_share_kept():
    fig, alt = draw.worth(scores(), {"one": 1, "two": 10}, ("lr_pcs", "scanvi"))
    left, right = (lines(ax) for ax in fig.axes)
    np.testing.assert_allclose(left["scANVI, ours"].get_xdata(), [1, 10])
    np.testing.assert_allclose(left["scANVI, ours"].get_ydata(), [0.73, 0.83])
    np.testing.assert_allclose(right["regression on PCs"].get_ydata(), [0.51, 0.61])
    assert "balanced accuracy, regression on PCs: 0.51 at 1 %, 0.61 at 10 %" in alt


def test_types_stand_on_the_same_row_in_every_panel():
    rows = [
        (data, method, name, kept, recall)
        for data, few in (("one", 1), ("two", 4))
        for method in ("lr_pcs", "scanvi")
        for name, kept, recall in (("a", 3, 0.3), ("b", few, 0.9))  # in "two" b has more labels than a
    ]
    table = pd.DataFrame(rows, columns=["data", "method", "type", "kept", "recall"])
    fig, _ = draw.types_found(table, {"one": "first", "two": "second"}, ("lr_pcs", "scanvi"))
    assert words(fig.axes[0].get_yticklabels()) == ["b", "a"]  # fewest labels on top
    for ax in fig.axes:
        marks = [line for line in ax.get_lines() if line.get_markersize() == 9]
        for line in marks:
            placed = {round(float(y)): x for x, y in zip(*line.get_data(), strict=True)}
            assert placed == {0: 0.9, 1: 0.3}


def test_pooled_bins_weigh_seeds_by_their_cells():
    bins = pd.DataFrame(
        {
            "method": "scanvi", "lower": [0.8, 0.8], "upper": [0.9, 0.9], "confidence": [0.82, 0.88],
            "accuracy": [1.0, 0.5], "n": [30, 90],
        }
    )  # fmt: skip
    (row,) = draw.pool(bins).to_dict("records")
    assert (row["n"], row["accuracy"]) == (120, pytest.approx(0.625))
    assert row["confidence"] == pytest.approx(0.865)
    fig, alt = draw.reliability_curves(bins, ("scanvi",))
    np.testing.assert_allclose(fig.axes[0].get_lines()[1].get_data(), [[0.865], [0.625]])
    assert "right -0.240 more often than it says" in alt


def test_the_ceiling_sorts_cells_by_who_is_right():
    exact = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    ours = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]])
    fig, alt = draw.ceiling(ours, exact, np.zeros(4, dtype=int), "a finding")
    found = {line.get_label(): line.get_data() for line in fig.axes[0].get_lines()[1:]}
    np.testing.assert_allclose(found["only Bayes' rule right: 1"], [[0.8], [0.3]])
    np.testing.assert_allclose(found["only the model right: 1"], [[0.4], [0.9]])
    assert "4 hidden cells: both right 1, only Bayes' rule right 1, only the model right 1, both wrong 1" in alt
