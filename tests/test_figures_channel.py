"""The pictures of the channel show what they were given: lines, noise, limits, and where they cross."""

import numpy as np
import pandas as pd
from drawn import title, words

from course_lib.figures import channel as figures


def test_white_noise_draws_one_line_a_seed_and_the_share_in_both_panels():
    rows = [(s, seed, e, 0.1 * e, -0.001 * e) for s in ("deep", "linear") for seed in range(3) for e in (1, 2)]
    table = pd.DataFrame(rows, columns=["setting", "seed", "epoch", "train", "held_out"])
    fig = figures.noise_by_epoch(table, table.iloc[:2], share=0.016)
    for ax in fig.axes:
        assert len(ax.lines) == 2 * 3 + 2
        assert list(ax.lines[-1].get_ydata()) == [0.016, 0.016]
        assert {"deep", "linear", "L/G"} <= set(words(ax.texts))


def test_the_curve_is_drawn_through_the_points_it_was_given():
    x, curve = np.random.default_rng(0).normal(size=(20, 2)), np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    fig = figures.curve_over_cloud(x, x[:, 0], curve, 0.85)
    segments = fig.axes[0].collections[1].get_segments()
    np.testing.assert_array_equal(segments[0], curve[:2])
    np.testing.assert_array_equal(segments[1], curve[1:])
    assert "85%" in title(fig.axes[0])


def test_the_channel_shows_scheme_line_and_limit_on_a_logarithmic_axis():
    (ax,) = figures.noise_on_the_code([0.01, 0.1], [0.8, 0.1], [0.5, 0.49], [0.99, 0.9]).axes
    assert ax.get_xscale() == "log"
    assert {"straight", "folded", "no scheme\ndoes better"} <= set(words(ax.texts))


def test_the_bridge_draws_the_line_and_says_from_which_noise_on_it_loses():
    x, curve = np.random.default_rng(0).normal(size=(20, 2)), np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    fig = figures.one_number_for_two(x, curve, 0.85, [0.01, 0.03, 0.1], [0.8, 0.4, 0.1], [0.5, 0.5, 0.49])
    left, right = fig.axes
    np.testing.assert_array_equal(left.collections[1].get_segments()[1], curve[1:])
    assert "85%" in title(left)
    assert "0.03" in title(right)
    assert {"straight", "folded"} <= set(words(right.texts))
