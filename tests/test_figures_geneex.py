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


def test_training_error_is_one_minus_variance_explained():
    table = pd.DataFrame({"seed": [0, 0, 1, 1], "epoch": [0, 1, 0, 1], "held_out": [-9.0, 0.5, -99.0, 0.25]})
    (ax,) = figures.training_error({"T = 1000": table, "T = 1": table}, "worse").axes
    assert [line.get_ydata().tolist() for line in ax.get_lines()[:2]] == [[10.0, 0.5], [100.0, 0.75]]
    assert ax.get_lines()[0].get_color() != ax.get_lines()[2].get_color()
    assert ax.get_yscale() == "log"


def test_over_seeds_draws_one_dot_a_seed():
    values = np.linspace(0.1, 0.9, 5)
    fig = figures.over_seeds({"128\nuntrained": values, "128": values}, {"PCA 2": values}, ("left", "right"))
    dots = [line for line in fig.axes[0].get_lines() if line.get_linestyle() == "None"]
    assert [len(line.get_ydata()) for line in dots] == [5, 5]
    assert dots[0].get_color() != dots[1].get_color()


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


def test_tumours_draw_every_split_and_pcas_bands():
    curves = pd.DataFrame(
        [{"split": s, "epoch": e, "train": 0.1 * e, "held_out": 0.05 * e} for s in (0, 1) for e in (0, 1, 2)]
    )
    summary = pd.DataFrame({"split": [0, 1], "pca_2": [0.1, 0.2], "pca_10": [0.3, 0.4], "pca_all": [0.5, 0.6]})
    (ax,) = figures.tumours(curves, summary, "loses").axes
    labels = [line.get_label() for line in ax.get_lines() if not line.get_label().startswith("_")]
    assert labels == ["training", "GENEEX, held out", "PCA 2", "PCA 10", "PCA all"]
    assert len(ax.collections) == 3


def test_predicted_and_measured_are_in_gigabytes():
    (ax,) = figures.predicted_and_measured(5e9, [4e9, 6e9], "met").axes
    assert [bar.get_width() for bar in ax.patches[:3]] == [6.0, 4.0, 5.0]


def test_words_for_alternative_text_carry_the_values():
    assert figures.ranges({"128\nuntrained": pd.Series([0.2, 0.45])}) == "128 untrained 0.20 to 0.45"
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


def test_normals_are_pooled_over_seeds_not_averaged():
    left, right = figures.normals(cohorts_table(), ("found", "kept")).axes
    assert lines(left)["GENEEX 128"].get_ydata() == pytest.approx([2 / 5, 2 / 5])  # none of 3, and both of 2
    assert left.get_ylabel().startswith("of 5 held-out normal")
    assert right.get_ylabel().startswith("of 18 held-out tumour")


def test_the_toy_compares_equal_sizes_in_each_panel():
    few, many = (set(lines(ax)) for ax in figures.toy_by_cells(toy_table(), ("two", "128")).axes)
    named = {"told the program", "and the depth"}
    assert {name for name in few if name[0] != "_"} == named | {"PCA 2", "PCA 3", "GENEEX 2", "2, no dropout"}
    assert {name for name in many if name[0] != "_"} == named | {"PCA 128*", "GENEEX 128", "128, no dropout"}


def test_programs_of_the_toy_stand_beside_untrained_networks():
    (ax,) = figures.toy_programs(toy_table(), "found").axes
    drawn = lines(ax)
    assert {"untrained 2", "untrained 128"} <= set(drawn)
    assert drawn["GENEEX 2"].get_linestyle() != drawn["GENEEX 128"].get_linestyle()
    assert drawn["GENEEX 128"].get_ydata().tolist() == [0.5, 0.5]


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
