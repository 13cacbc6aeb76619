"""The figures of notebook 02 draw what they are given, with labels and findings."""

import numpy as np
import pandas as pd
import pytest
from drawn import lines, points, words

from course_lib.figures import geneex as figures
from course_lib.models.geneex import training_memory


def test_programs_sorts_cells_and_averages_programs():
    program = np.array(["B", "A", "B", "A"])
    cells = np.array([[2.0, 0.0], [0.0, 4.0], [4.0, 0.0], [0.0, 2.0]])
    left, right = figures.programs(cells, program, ("one", "two")).axes[:2]
    np.testing.assert_array_equal(left.images[0].get_array(), cells[[1, 3, 0, 2]])
    np.testing.assert_array_equal(right.images[0].get_array(), [[0, 3], [3, 0]])
    assert words(right.get_yticklabels()) == ["program A", "program B"]


@pytest.mark.parametrize("draw", [figures.codes, figures.named_codes])
def test_codes_show_every_cell_once(draw):
    codes, labels = np.random.default_rng(0).standard_normal((60, 2)), np.repeat(["A", "B", "C"], 20)
    fig = draw([(codes, "found", ("z1", "z2")), (codes, "again", ("a", "b"))], labels)
    for ax in fig.axes:
        drawn = np.concatenate(points(ax))
        assert len(drawn) == 60
    assert fig.axes[0].get_xlabel() == "z1"
    assert fig.axes[1].get_ylabel() == "b"


def test_beside_pca_averages_over_seeds():
    table = pd.DataFrame(
        [
            {"seed": seed, "n_latent": size, "method": method, "held_out": 0.1 * seed, "knn": 0.5}
            for seed in (0, 2)
            for size in (2, 128)
            for method in ("pca", "geneex", "untrained")
        ]
    )
    ax = figures.beside_pca(table, ("variance", "types")).axes[0]
    means = {line.get_label(): line.get_ydata().tolist() for line in ax.get_lines() if line.get_label()[0] != "_"}
    assert set(means) == {"GENEEX", "PCA", "untrained"}
    assert means["PCA"] == pytest.approx([0.1, 0.1])


def test_memory_parts_stack_up_to_the_total_without_activations():
    memory = training_memory(1000, 128, (2048, 1024), 32)
    (ax,) = figures.memory_parts({"1,000 genes": memory}, "a fifth").axes
    ends = max(bar.get_x() + bar.get_width() for bar in ax.patches)
    assert ends == pytest.approx((memory.total - memory.activations) / 1e9)


def test_words_for_alternative_text_carry_the_values():
    table = pd.DataFrame({"method": ["pca", "pca"], "n_latent": [2, 2], "held_out": [0.1, 0.3], "knn": [0.8, 1.0]})
    assert figures.scores_in_words(table) == "PCA 0.20/0.90 at 2"


def cohorts_table():
    """Two seeds; the second's values lie 0.1 higher. PCA of 128 has 39 components where there are 40 samples."""
    rows = []
    for seed in (0, 1):
        for n_train, sizes in ((40, (2, 10, 39)), (240, (2, 10, 128, 239))):
            methods = [("pca", size) for size in sizes] + [("untrained", 128), ("geneex", 128)]
            for method, size in methods + [("geneex_no_dropout", 128)] * (n_train == 240):
                value = 0.1 * seed + size / 1000
                row = {"seed": seed, "n_train": n_train, "method": method, "n_latent": size, "held_out": value}
                rows.append(
                    row | {"cohort": 0.5, "normals": seed, "tumours": 1.0, "n_normals": 3 - seed, "n_tumours": 9}
                )
    return pd.DataFrame(rows)


def toy_table():
    rows = []
    for seed in (0, 1):
        for n_cells, sizes in ((100, (2, 3, 99)), (3000, (2, 3, 128))):
            methods = [("oracle", None), ("oracle_depth", None), *(("pca", size) for size in sizes)]
            methods += [(m, size) for size in (2, 128) for m in ("untrained", "geneex", "geneex_no_dropout")]
            for method, size in methods:
                row = {"seed": seed, "n_cells": n_cells, "method": method, "n_latent": size, "held_out": 0.06 + seed}
                rows.append(row | {"noise": (size or 0) / 1000, "ari": 0.5, "depth": 0.25 + seed / 2})
    return pd.DataFrame(rows)


def test_cohorts_draw_means_over_seeds_and_as_many_components_as_there_are():
    fig = figures.cohorts(cohorts_table(), ("loses", "names"))
    drawn = lines(fig.axes[0])
    assert {name for name in drawn if name[0] != "_"} == {
        "PCA 2",
        "PCA 10",
        "PCA 128*",
        "GENEEX 128",
        "128, no dropout",
        "untrained 128",
    }
    assert drawn["PCA 128*"].get_ydata() == pytest.approx([0.05 + 0.039, 0.05 + 0.128])
    assert drawn["128, no dropout"].get_xdata().tolist() == [240]
    assert "* n − 1" in fig.axes[0].get_xlabel()
    assert [ax.get_xscale() for ax in fig.axes] == ["log", "log"]


def test_dots_of_methods_that_name_the_cohort_equally_often_stand_side_by_side():
    left, right = figures.cohorts(cohorts_table(), ("loses", "names")).axes
    starts = [
        {float(line.get_xdata()[0]) for line in ax.get_lines() if line.get_marker() == "o" and line.get_xdata()[0] < 60}
        for ax in (left, right)
    ]
    assert starts[0] == {40.0}
    assert len(starts[1]) == 5  # methods
    assert all(abs(start / 40 - 1) < 0.15 for start in starts[1])
    assert lines(right)["GENEEX 128"].get_xdata().tolist() == [40, 240]


def test_the_toy_compares_equal_sizes_in_each_panel():
    table = toy_table()
    table.loc[(table["method"] == "oracle") & (table["n_cells"] == 100), "held_out"] = 0.5  # centred by fewer cells
    fig = figures.toy_by_cells(table, ("two", "128"))
    few, many = (set(lines(ax)) for ax in fig.axes)
    assert lines(fig.axes[0])["oracle: program"].get_ydata() == pytest.approx([0.5, 0.56])
    named = {"oracle: program", "oracle: depth too"}
    assert {name for name in few if name[0] != "_"} == named | {"PCA 2", "PCA 3", "GENEEX 2", "2, no dropout"}
    assert {name for name in many if name[0] != "_"} == named | {"PCA 128*", "GENEEX 128", "128, no dropout"}


def test_noise_and_depth_are_those_of_the_most_cells_side_by_side_by_size():
    left, right = figures.noise_and_depth(toy_table(), ("noise", "depth")).axes
    rows = ["PCA 2", "GENEEX 2", "2, no dropout", "PCA 3", "PCA 128", "GENEEX 128", "128, no dropout"]
    assert words(left.get_yticklabels())[::-1] == rows
    assert words(left.texts)[::-1] == ["0.002"] * 3 + ["0.003"] + ["0.128"] * 3
    assert words(right.texts) == ["0.50"] * 7
    assert all(len(line.get_xdata()) == 2 for line in left.get_lines())


def test_words_say_the_first_and_the_last_number_of_samples():
    text = figures.sizes_in_words(cohorts_table(), "held_out")
    assert text.startswith("PCA 2 0.05 at 40 to 0.05; PCA 10 0.06 at 40 to 0.06; PCA 128* 0.09 at 40 to 0.18")
    assert "128, no dropout 0.18" in text
    assert text.endswith("at 240")
