"""The pictures of notebook 09 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
from drawn import lines, points, title, words

from course_lib.figures import practice as draw
from course_lib.figures.style import COLOUR


def test_a_cell_at_a_threshold_is_dropped_and_crossed_out():
    cells = pd.DataFrame({"n_genes_by_counts": [800, 2_500, 900, 2_499], "pct_counts_mt": [2.0, 2.0, 5.0, 4.9]})
    fig, alt = draw.thresholds({"one run": cells}, 2_500, 5)
    (ax,) = fig.axes
    kept, gone, *_ = ax.get_lines()
    assert (kept.get_marker(), sorted(kept.get_xdata())) == ("o", [800, 2_499])
    assert (gone.get_marker(), sorted(gone.get_ydata())) == ("x", [2.0, 5.0])
    assert title(ax) == "one run: 2 of 4 go"
    assert "2 of 4 cells dropped, median share 3.5 %" in alt


def test_doublets_show_how_many_score_higher_and_who_carries_two_lineages():
    observed, simulated = np.array([0.1, 0.1, 0.2, 0.4]), np.array([0.1, 0.3, 0.4, 0.5])
    both = pd.DataFrame({"doublets": [0.5, 0.2], "others": [0.1, 0.0]}, index=["B and T", "B and NK"])
    fig, alt = draw.doublets(observed, simulated, 0.25, both)
    left, right = fig.axes
    assert "25 % of droplets" in words(left.texts)
    assert "75 % of sums of two cells" in words(left.texts)
    dots = [line for line in left.get_lines() if line.get_marker() == "o"]
    assert [float(dot.get_ydata()[0]) for dot in dots] == [75, 25]
    assert [bar.get_width() for bar in right.patches] == [50, 20, 10, 0]
    assert all(bar.get_y() > other.get_y() for bar, other in zip(right.patches[:2], right.patches[2:], strict=True))
    assert title(right) == "Two lineages: 5 times as often, or more"
    assert "1 of 4 droplets above the threshold, 75 % of the simulated sums" in alt
    assert "B and T: 50 % of doublets, 10 % of others" in alt


@pytest.mark.parametrize("loss, finding", [(90.0, "The loss runs below −ELBO"), (110.0, "The loss is not below −ELBO")])
def test_training_says_whether_the_loss_is_below_the_bound(loss, finding):
    ends = {"train_loss": loss, "elbo_train": 100.0, "elbo_validation": 120.0}
    history = {key: pd.DataFrame({key: [200.0, end]}) for key, end in ends.items()}
    fig, alt = draw.training(history)
    (ax,) = fig.axes
    drawn = lines(ax)
    assert drawn["loss, training"].get_ydata().tolist() == [200, loss]
    assert drawn["−ELBO, validation"].get_ydata().tolist() == [200, 120]
    assert drawn["loss, training"].get_linestyle() != drawn["−ELBO, training"].get_linestyle()  # not by colour alone
    assert drawn["loss, training"].get_xdata().tolist() == [1, 2]
    assert title(ax) == finding
    assert "−ELBO, validation 200 to 120" in alt


def test_maps_tell_runs_by_shape_and_both_maps_apart():
    umap, tsne = np.array([[0.0, 0], [1, 1], [2, 2]]), np.array([[5.0, 5], [6, 6], [7, 7]])
    runs, types = np.array(["5k", "10k", "5k"]), np.array(["B cells", "B cells", "NK cells"])
    fig, alt = draw.maps(umap, tsne, runs, types, 0.5, 0.7)
    by_run, by_type, other = fig.axes
    ten, five = by_run.collections
    assert ten.get_offsets().tolist() == [[1, 1]]
    assert five.get_offsets().tolist() == [[0, 0], [2, 2]]
    assert len(ten.get_paths()[0].vertices) != len(five.get_paths()[0].vertices)
    np.testing.assert_allclose(points(by_type)[0], umap)
    np.testing.assert_allclose(points(other)[0], tsne)
    assert title(by_run) == "Runs: entropy 0.50 of 0.70"
    assert "Batch entropy 0.50 of 0.70 nats" in alt


def test_a_query_lies_on_the_rings_of_its_reference():
    reference, places = np.zeros((4, 2)), np.ones((2, 2))
    fig, alt = draw.query(reference, {"found": (places, np.array(["B cells", "ambiguous"]))})
    assert words(fig.axes[0].get_legend().get_texts()) == ["reference", "of no one kind", "B cells"]
    rings, dots = points(fig.axes[0])[:2]
    np.testing.assert_allclose(rings, reference)
    np.testing.assert_allclose(dots, places)
    assert len(fig.axes[0].collections[0].get_facecolor()) == 0  # rings: empty
    assert title(fig.axes[0]) == "found"
    assert "4 cells of the reference as rings" in alt


def test_loadings_are_signed_and_the_step_is_theirs_against_ours():
    table = pd.DataFrame([[1.0, -0.5], [0.1, -0.9]], index=["A", "B"], columns=["1", "2"])
    changes = pd.DataFrame({"ours": [1.0, -2.0, 0.5], "theirs": [2.0, -4.0, 1.0]}, index=["A", "B", "C"])
    fig, alt = draw.loadings(table, changes, ["A", "B"], "a finding", "from here to there")
    left, right = fig.axes[:2]
    np.testing.assert_allclose(left.images[0].get_array(), table)
    low, high = left.images[0].get_clim()
    assert low == -high  # zero stays the colour of nothing
    assert sorted(words(left.texts)) == ["+", "−", "−"]
    np.testing.assert_allclose(right.get_lines()[0].get_xydata(), [[2, 1], [-4, -2], [1, 0.5]])
    assert {text.get_text() for text in right.texts} == {"A", "B"}
    assert title(left) == "a finding"
    assert "A 1; B 2" in alt
    assert "3 genes in two programs, correlation 1.00" in alt


def test_side_by_side_draws_each_seed_and_names_who_bounds_best():
    programs = {"scvi_tools": "scvi-tools", "same_settings": "same", "course": "ours"}
    rows = [
        {"seed": s, "data": data, "program": p, "elbo": 100.0 - 10 * i + s, "ari": 0.5 + 0.1 * i, "nmi": 0.6,
         "entropy": 0.4 if data == "pair" else np.nan, "entropy_ceiling": 0.7 if data == "pair" else np.nan,
         "epochs": 10, "cpu_s": 10.0**i}
        for data in ("cortex", "pair") for s in (0, 1) for i, p in enumerate(programs)
    ]  # fmt: skip
    fig, alt = draw.side_by_side(pd.DataFrame(rows), programs, {"cortex": "mouse", "pair": "two runs"})
    axes = np.reshape(fig.axes, (2, 4))
    bounds = [line for line in axes[0, 0].get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in bounds] == [[100, 101], [90, 91], [80, 81]]
    assert [line.get_ydata().tolist() for line in bounds] == [[0, 0], [1, 1], [2, 2]]
    hollow = [line for line in axes[0, 1].get_lines() if line.get_markerfacecolor() == "none"]
    assert [line.get_xdata().tolist() for line in hollow] == [[0.6, 0.6]] * 3  # NMI
    assert not axes[0, 3].axison
    assert axes[1, 3].axison
    ceilings = [line for line in axes[1, 3].get_lines() if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in ceilings] == [[0.7, 0.7]]
    assert fig.get_suptitle() == "Lowest −ELBO in 4 of 4 comparisons: ours"
    assert "mouse: scvi-tools −ELBO 100, ARI 0.50, NMI 0.60, 1 s" in alt
    assert "entropy 0.40" in alt.split("two runs")[1]
    assert "entropy" not in alt.split("two runs")[0]
    assert draw.PROGRAM_COLOUR["course"] == COLOUR["model"]
