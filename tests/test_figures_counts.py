"""The pictures of notebook 00 show what they were given: points, curves, titles, labels of the axes."""

import numpy as np
import pandas as pd
import pytest
from drawn import points, title, words

from course_lib.figures import counts as figures

MEAN, CURVE = np.array([0.1, 1.0, 10.0]), np.array([0.1, 10.0])
LIBRARY = np.array([600.0, 2000.0, 2500.0, 9000.0])
XY = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
GROUPS = {"not chosen": np.array([True, False, False]), "chosen": np.array([False, True, True])}

DRAWN = {
    "count_table": lambda: figures.count_table(
        pd.DataFrame([[0, 3], [17, 1]], columns=["CD3D", "LYZ"]), ["T cells", "Monocytes"], "Mostly zero"
    ),
    "values_and_libraries": lambda: figures.values_and_libraries(
        np.array([[0, 0, 0, 1], [0, 2, 4, 5]]), LIBRARY, ("Half are zero", "Depth differs")
    ),
    "mean_variance": lambda: figures.mean_variance(
        MEAN,
        MEAN**2,
        {"mean": CURVE, "Poisson": CURVE, "+ libraries": 2 * CURVE, "+ overdispersion": 3 * CURVE},
        "Above the line",
    ),
    "overdispersions": lambda: figures.overdispersions(
        MEAN, 1 / MEAN, 0.2, pd.Series({(0.1, 1.0): 3.0, (1.0, 10.0): 0.3}), "Not one for all"
    ),
    "zeros_against_mean": lambda: figures.zeros_against_mean(
        MEAN,
        np.exp(-MEAN),
        {"mean": CURVE, "Poisson": np.exp(-CURVE), "negative binomial": 1 / (1 + CURVE)},
        "Few extra zeros",
    ),
    "distances": lambda: figures.distances(
        pd.DataFrame({"cells": [0.5, 0.2], "shuffled": [0.4, 0.05]}, index=[10, 1000]), "Contrast is lost"
    ),
    "batches": lambda: figures.batches(
        [(XY, np.array(["a", "b", "a", "b"]), "Apart"), (XY + 1, np.array(["c", "c", "d", "e"]), "Mixed")]
    ),
    "with_and_without_labels": lambda: figures.with_and_without_labels(
        XY, np.array(["B cells", "NK cells", "unassigned", "NK cells"]), ("Without names", "With names")
    ),
    "memory": lambda: figures.memory(
        np.array([1e3, 1e7]),
        {"dense": np.array([8e7, 8e11]), "sparse": np.array([7e6, 7e10]), "one minibatch": np.array([1e7, 1e7])},
        16e9,
        "One line is flat",
    ),
    "target_sums": lambda: figures.target_sums(
        np.array([0.001, 0.1]),
        {"T1": np.log1p([0.001, 0.1]), "T10000": np.log1p([10.0, 1000.0])},
        ["Hardly a bend", "It bends"],
    ),
    "variable_genes": lambda: figures.variable_genes(MEAN, 2 * MEAN, GROUPS, {"PPBP": 2}, "One stands out"),
    "descent": lambda: figures.descent(
        np.array([1.5, 0.5]), np.array([4.0, 2.0]), np.linspace(0, 2, 5), np.linspace(0, 2, 5) ** 2, 0.25, "Downhill"
    ),
}

SAID = {  # titles, then (x label, y label), panel by panel
    "count_table": (["Mostly zero"], [("gene g", "cell n, named by kind")]),
    "values_and_libraries": (
        ["Half are zero", "Depth differs"],
        [("count $x_{ng}$", "share of all entries"), ("library size: counts in a cell (log scale)", "cells")],
    ),
    "mean_variance": (["Above the line"], [("mean count of a gene (log scale)", "variance (log scale)")]),
    "overdispersions": (
        ["Not one for all"],
        [("mean count of a gene (log scale)", "overdispersion $φ_g$ (log scale)")],
    ),
    "zeros_against_mean": (["Few extra zeros"], [("mean count of a gene (log scale)", "share of cells with a zero")]),
    "distances": (["Contrast is lost"], [("number of genes (log scale)", "spread / mean of distances (log scale)")]),
    "batches": (["Apart", "Mixed"], [("PC 1", "PC 2")] * 2),
    "with_and_without_labels": (["Without names", "With names"], [("UMAP 1", "UMAP 2")] * 2),
    "memory": (["One line is flat"], [("cells (log scale)", "memory (log scale)")]),
    "target_sums": (
        ["Hardly a bend", "It bends"],
        [("share of the library, $x_{ng}/ℓ_n$", "T1"), ("share of the library, $x_{ng}/ℓ_n$", "T10000")],
    ),
    "variable_genes": (["One stands out"], [("mean count (log scale)", "variance / expected variance (log scale)")]),
    "descent": (["Downhill"], [("parameter $w$, the log of the Poisson rate", "loss: −log-likelihood per cell")]),
}


def sorted_points(ax) -> np.ndarray:
    """All points of all scatters, in rows sorted by x: the order of drawing says nothing."""
    drawn = np.concatenate(points(ax))
    return drawn[np.argsort(drawn[:, 0])]


@pytest.mark.parametrize("name", DRAWN)
def test_the_figure_draws_and_has_its_titles_and_axis_labels(name):
    fig = DRAWN[name]()
    fig.canvas.draw()
    titles, labels = SAID[name]
    assert [title(ax) for ax in fig.axes] == titles
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in fig.axes] == labels
    for ax in fig.axes:
        for axis, label in (("x", ax.get_xlabel()), ("y", ax.get_ylabel())):
            assert (getattr(ax, f"get_{axis}scale")() == "log") == ("(log scale)" in label)


def test_every_public_function_is_tested_here():
    public = {
        name
        for name, item in vars(figures).items()
        if callable(item) and getattr(item, "__module__", "") == figures.__name__
    }
    assert {name for name in public if not name.startswith("_")} == set(DRAWN) == set(SAID)


def test_the_table_writes_every_number_in_its_place():
    (ax,) = DRAWN["count_table"]().axes
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "0",
        (1, 0): "3",
        (0, 1): "17",
        (1, 1): "1",
    }
    assert words(ax.get_xticklabels()) == ["CD3D", "LYZ"]
    assert words(ax.get_yticklabels()) == ["T cells", "Monocytes"]


def test_the_bars_are_shares_of_all_entries_and_the_histogram_holds_every_cell():
    left, right = DRAWN["values_and_libraries"]().axes
    assert [bar.get_height() for bar in left.patches] == [4 / 8, 1 / 8, 1 / 8, 0, 1 / 8, 1 / 8]
    assert sum(bar.get_height() for bar in right.patches) == len(LIBRARY)
    assert list(right.lines[0].get_xdata()) == [2250, 2250]
    assert words(right.texts) == ["median 2,250"]


def test_medians_lie_over_their_bands_and_the_one_phi_over_all():
    (ax,) = DRAWN["overdispersions"]().axes
    *medians, one = ax.lines
    bands = [band.get_xydata().tolist() for band in medians]
    assert bands == [[[0.1, 3.0], [1.0, 3.0]], [[1.0, 0.3], [10.0, 0.3]]]
    assert list(one.get_ydata()) == [0.2, 0.2]
    assert words(ax.texts) == ["3.00", "0.30", "bars: medians", "the one φ, 0.20"]
    medians, rest = pd.Series({(0.1, 1.0): 3.0}), pd.Series({(0.1, 1.0): 0.4})
    (ax,) = figures.overdispersions(MEAN, 1 / MEAN, 0.2, medians, "Odd cells", rest).axes
    _, dashed, _ = ax.lines
    assert dashed.get_xydata().tolist() == [[0.1, 0.4], [1.0, 0.4]]
    assert "dashed: without each gene's two largest cells" in words(ax.texts)


@pytest.mark.parametrize(
    "name, y", [("mean_variance", MEAN**2), ("overdispersions", 1 / MEAN), ("zeros_against_mean", np.exp(-MEAN))]
)
def test_each_gene_is_a_dot_at_its_mean(name, y):
    (ax,) = DRAWN[name]().axes
    np.testing.assert_allclose(sorted_points(ax), np.column_stack([MEAN, y]))


def test_the_curves_are_the_given_ones_under_their_names():
    (ax,) = DRAWN["mean_variance"]().axes
    for line, factor, name in zip(ax.lines, (1, 2, 3), ("Poisson", "+ libraries", "+ overdispersion"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), CURVE)
        np.testing.assert_array_equal(line.get_ydata(), factor * CURVE)
        assert line.get_label() == name
        assert name in words(ax.texts)
    (ax,) = DRAWN["zeros_against_mean"]().axes
    curves = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(curves["Poisson"], np.exp(-CURVE))
    np.testing.assert_array_equal(curves["NB, one φ"], 1 / (1 + CURVE))


def test_distances_are_drawn_at_the_number_of_genes():
    (ax,) = DRAWN["distances"]().axes
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}
    assert drawn == {"cells": ([10, 1000], [0.5, 0.2]), "shuffled": ([10, 1000], [0.4, 0.05])}
    assert words(ax.get_xticklabels()) == ["10", "1,000"]


def colour_at(ax, xy) -> tuple:
    crowd = ax.collections[0]
    index = int(np.flatnonzero((np.asarray(crowd.get_offsets()) == xy).all(1))[0])
    return tuple(crowd.get_facecolors()[index][:3])


def legend_colours(ax) -> dict[str, tuple]:
    handles, names = ax.get_legend_handles_labels()
    return {name: tuple(handle.get_facecolors()[0][:3]) for handle, name in zip(handles, names, strict=True)}


def test_a_cell_keeps_its_batch_when_the_order_of_drawing_is_shuffled():
    for ax, shift, batch in zip(DRAWN["batches"]().axes, (0, 1), ("abab", "ccde"), strict=True):
        np.testing.assert_array_equal(sorted_points(ax), XY + shift)
        names = legend_colours(ax)
        assert list(names) == sorted(set(batch))
        assert len(set(names.values())) == len(names)
        assert [colour_at(ax, xy) for xy in XY + shift] == [names[b] for b in batch]


def test_names_colour_the_same_points_and_cells_without_one_are_not_in_the_legend():
    left, right = DRAWN["with_and_without_labels"]().axes
    np.testing.assert_array_equal(sorted_points(left), XY)
    np.testing.assert_array_equal(sorted_points(right), XY)
    names = legend_colours(right)
    assert list(names) == ["NK cells", "B cells"]
    found = [colour_at(right, xy) for xy in XY]
    assert [found[0], found[1], found[3]] == [names["B cells"], names["NK cells"], names["NK cells"]]
    assert found[2] not in names.values()


def test_memory_is_read_in_units_and_the_laptop_has_its_line():
    fig = DRAWN["memory"]()
    (ax,) = fig.axes
    dense, sparse, minibatch, laptop = ax.lines
    assert list(dense.get_ydata()) == [8e7, 8e11]
    assert list(sparse.get_ydata()) == [7e6, 7e10]
    assert list(minibatch.get_ydata()) == [1e7, 1e7]
    assert list(laptop.get_ydata()) == [16e9, 16e9]
    assert {"dense", "sparse", "one minibatch", "a laptop with 16 GB"} == set(words(ax.texts))
    written = ax.yaxis.get_major_formatter()
    assert [written(size) for size in (1e12, 1e10, 1e7, 1e4)] == ["1 TB", "10 GB", "10 MB", "10 kB"]


def test_the_straight_line_runs_from_zero_to_the_largest_share():
    fig = DRAWN["target_sums"]()
    for ax, values in zip(fig.axes, (np.log1p([0.001, 0.1]), np.log1p([10.0, 1000.0])), strict=True):
        straight, curve = ax.lines
        np.testing.assert_array_equal(straight.get_xydata(), [[0, 0], [0.1, values[1]]])
        np.testing.assert_array_equal(curve.get_xydata(), np.column_stack([[0.001, 0.1], values]))


def test_groups_of_genes_are_drawn_in_turn_and_names_stand_at_their_genes():
    (ax,) = DRAWN["variable_genes"]().axes
    assert list(legend_colours(ax)) == ["not chosen", "chosen"]
    for group, mask in zip(ax.collections, GROUPS.values(), strict=True):
        np.testing.assert_array_equal(group.get_offsets(), np.column_stack([MEAN, 2 * MEAN])[mask])
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("PPBP", (10.0, 20.0))]


def test_the_steps_lie_where_they_were_taken():
    (ax,) = DRAWN["descent"]().axes
    curve, steps, best = ax.lines
    np.testing.assert_array_equal(curve.get_ydata(), np.linspace(0, 2, 5) ** 2)
    np.testing.assert_array_equal(steps.get_xydata(), [[1.5, 4.0], [0.5, 2.0]])
    assert list(best.get_xdata()) == [0.25, 0.25]
    assert words(ax.texts) == ["start", "log of the sample mean"]
