"""The figures of notebook 02 draw what they are given, with labels and findings."""

import numpy as np
import pandas as pd
import pytest
from drawn import points, words

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
