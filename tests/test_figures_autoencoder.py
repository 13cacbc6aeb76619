"""The pictures of notebook 01 show what they were given: positions, labels, titles."""

import numpy as np
import pandas as pd
from drawn import title, words

from course_lib.figures import autoencoder as figures


def test_the_hourglass_names_every_width_and_is_narrowest_at_the_code():
    (ax,) = figures.hourglass([2000, 512, 32, 512, 2000], "a title").axes
    assert [t for t in words(ax.texts) if t.replace(",", "").isdigit()] == ["2,000", "512", "32", "512", "2,000"]
    heights = [bar.get_height() for bar in ax.patches if hasattr(bar, "get_height")]
    assert int(np.argmin(heights)) == 2
    assert {"encoder", "decoder", "z, the code"} <= set(words(ax.texts))


def test_the_learning_curve_draws_both_losses_and_both_baselines():
    history = pd.DataFrame({"train_loss": [2.0, 1.0], "validation_loss": [2.1, 1.2]}, index=[1, 2])
    (ax,) = figures.learning_curve(history, pca_errors={3: 1.1, 4: 0.9}, mean_error=2.5).axes
    drawn = {tuple(np.asarray(line.get_ydata(), float)) for line in ax.lines}
    assert {(2.5, 2.5), (1.1, 1.1), (0.9, 0.9), (2.1, 1.2), (2.0, 1.0)} <= drawn
    assert {"training", "validation", "the mean cell ", "PCA, 3 numbers ", "PCA, 4 numbers "} <= set(words(ax.texts))


def test_each_model_has_its_line_beside_pcas_axis():
    x = np.random.default_rng(0).normal(size=(20, 2))
    fig = figures.axes_in_the_plane(x, (np.zeros(2), np.array([1.0, 0.0])), {"A": (np.ones(2), np.array([0.0, 2.0]))})
    pca, model, _ = fig.axes[0].lines
    assert np.ptp(pca.get_ydata()) == 0
    assert list(model.get_xdata()) == [1.0, 1.0]


def test_codes_are_coloured_by_the_angle():
    angle = np.array([0.0, 1.0, 2.0])
    fig = figures.codes_of_a_curve(angle, {"PCA": np.zeros((3, 2)), "AE": np.ones((3, 2))})
    for ax in fig.axes[:2]:
        np.testing.assert_array_equal(ax.collections[0].get_array(), angle)
    assert [title(ax) for ax in fig.axes[:2]] == ["PCA", "AE"]


def test_quarters_of_the_turn_are_named_where_their_points_lie_the_short_way_round():
    angle = np.array([6.2, 1.5, 3.2, 4.7, 0.4])  # 6.2 is nearer to a full turn than 0.4 is to none
    (ax, _) = figures.codes_of_a_curve(angle, {"AE": np.stack([angle, -angle], axis=1)}).axes
    placed = {text.get_text(): text.get_position() for text in ax.texts}
    assert placed == {"0": (6.2, -6.2), "π/2": (1.5, -1.5), "π": (3.2, -3.2), "3π/2": (4.7, -4.7)}


def test_error_against_width_has_a_tick_for_every_width():
    table = pd.DataFrame({"autoencoder": [0.5, 0.2], "pca": [0.6, 0.3], "tail": [0.6, 0.31]}, index=[1, 4])
    fig = figures.width_against_error({"left": table, "right": table}, {"left": 0.1, "right": 0.1})
    assert list(fig.axes[0].get_xticks()) == [1, 4]
    assert {"PCA, held out", "autoencoder", "noise"} <= set(words(fig.axes[1].get_legend().get_texts()))
    marks = {line.get_label(): (line.get_marker(), line.get_linestyle()) for line in fig.axes[1].get_lines()}
    assert len(set(marks.values())) == len(marks) == 4  # told apart without colour


def test_a_crowd_is_thinned_to_what_is_drawn_and_keeps_its_colours():
    angle = np.linspace(0, 6, 2 * figures.DRAWN + 1)
    fig = figures.codes_of_a_curve(angle, {"AE": np.stack([angle, -angle], axis=1)})
    drawn = fig.axes[0].collections[0]
    assert figures.DRAWN / 2 < len(drawn.get_offsets()) <= figures.DRAWN
    np.testing.assert_array_equal(drawn.get_array(), drawn.get_offsets()[:, 0])


def test_the_true_gene_is_drawn_in_the_order_of_the_angle():
    angle = np.array([2.0, 0.0, 1.0])
    fig = figures.one_gene_cleaned(angle, angle, 10 * angle, {"A": angle, "B": angle})
    for ax in fig.axes:
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0, 1, 2])
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0, 10, 20])
        assert ax.get_xlabel().endswith("radians")
