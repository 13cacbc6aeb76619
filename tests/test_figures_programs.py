"""The pictures of notebook 12 draw what they were given, and their words carry its numbers."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn import lines, title, untidy, words

from course_lib.figures import programs as draw
from course_lib.figures.style import COLOUR


def normal(grid, mean, sd):
    return np.exp(-(((grid - mean) / sd) ** 2) / 2) / sd / np.sqrt(2 * np.pi)


def test_the_bound_ends_where_its_last_fifth_is_and_densities_tell_their_width():
    grid = np.linspace(-5, 5, 2_001)
    densities = {"prior": normal(grid, 0, 1), "guide": normal(grid, 0.5, 0.2), "exact": normal(grid, 0.5, 0.1)}
    fig, alt = draw.guide_found([-9.0] * 8 + [-3.0, -2.0], -2.0, grid, densities)
    left, right = fig.axes
    assert title(left) == "The estimate ends at −2.50 nats"
    np.testing.assert_allclose(left.get_lines()[1].get_ydata(), -2.0)
    assert words(right.texts) == ["prior", "guide", "exact"]
    assert right.get_lines()[1].get_color() == COLOUR["model"]
    assert "prior 1.00, guide 0.20, exact 0.10" in alt
    assert "log p(x) = -2.00" in alt


class Law:
    """A distribution as a trace holds it."""

    def __init__(self, batch, event):
        self.batch_shape, self.event_shape = batch, event


def test_the_programs_graph_shows_sites_shapes_and_what_depends_on_what():
    independent = SimpleNamespace(base_dist=Law(None, None), batch_shape=(8,), event_shape=(2,))
    sites = {
        "z": {"fn": independent, "is_observed": False},
        "log_library": {"fn": Law((8,), (1,)), "is_observed": False},
        "x": {"fn": Law((8,), (30,)), "is_observed": True},
    }
    fig, alt = draw.program_graph(sites, {"z": [], "log_library": [], "x": ["z", "log_library", "theta"]}, "cells")
    (ax,) = fig.axes
    written = words(ax.texts)
    assert "x ∼ Law\nbatch (8,), event (30,)" in written
    assert "z ∼ Law\nbatch (8,), event (2,)" in written
    assert {text.get_text() for text in ax.texts if text.get_weight() == "bold"} == {"x ∼ Law\nbatch (8,), event (30,)"}
    assert "Arrows: z to x, log ℓ to x, θ to x" in alt
    assert "x ∼ Law, observed" in alt
    assert "log ℓ ∼ Law, sampled" in alt
    assert untidy(fig) == []


@pytest.fixture
def ways():
    rows = [
        (seed, way, bound + seed, cpu[seed])  # the machine was not always as fast: compared within a seed
        for seed in range(3)
        for way, bound, cpu in (("fit", 100.0, (2, 4, 8)), ("pyro", 101.0, (5, 10, 8)))
    ]
    return pd.DataFrame(rows, columns=["seed", "way", "elbo", "cpu_s"])


def test_ways_are_compared_with_the_first_and_lines_add_up(ways):
    parts = pd.DataFrame(
        [("fit", "model and bound", 50), ("fit", "loop", 80), ("pyro", "model and bound", 30)],
        columns=["way", "part", "lines"],
    )
    fig, alt = draw.ways_compared(ways, parts, {"pyro": 101.5}, ["fit", "pyro"])
    bounds, seconds, written = fig.axes
    assert title(bounds) == "Bounds within 1.0%"
    assert title(seconds) == "Seconds: up to ×2.5"
    assert title(written) == "30 to 130 lines"
    assert words(bounds.get_yticklabels()) == ["the course's fit", "Pyro, Trace_ELBO"]
    fit, pyro, *pairs, ring = bounds.get_lines()
    np.testing.assert_allclose(fit.get_xdata(), [100, 101, 102])
    np.testing.assert_allclose(pyro.get_xdata(), [101, 102, 103])
    np.testing.assert_allclose([line.get_xdata() for line in pairs], [[100, 101], [101, 102], [102, 103]])
    assert (ring.get_xdata(), ring.get_ydata()) == ([101.5], [1])
    assert [(bar.get_x(), bar.get_width()) for bar in written.patches] == [(0, 50), (50, 80), (0, 30)]
    assert words(written.texts) == ["model\n50", "loop\n80", "model\n30"]
    assert "Pyro, Trace_ELBO 102.0 nats, 8.0 s, 30 lines" in alt


def test_a_slip_is_held_against_the_right_run_of_the_same_seed():
    rows = [(seed, "right", 100.0 + 10 * seed, 100.0 + 10 * seed) for seed in range(3)]
    for k, slip in enumerate(draw.SLIPS):
        rows += [(seed, slip, 100.0 + 10 * seed + 10.0**k / 100, 105.0 + 10 * seed) for seed in range(3)]
    table = pd.DataFrame(rows, columns=["seed", "slip", "bound", "elbo"])
    fig, alt = draw.cost_of_slips(table, noise=2.0)
    (ax,) = fig.axes
    dear, cheap = list(draw.SLIPS)[-1], next(iter(draw.SLIPS))
    assert words(ax.get_yticklabels())[0] == draw.SLIPS[dear]
    assert words(ax.get_yticklabels())[-1] == draw.SLIPS[cheap]
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0].get_xdata(), 100_000.0)
    assert dots[0].get_color() == COLOUR["wrong"]
    assert dots[-1].get_color() == COLOUR["reference"]
    diamonds = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "D"]
    np.testing.assert_allclose(diamonds, 5.0)
    assert title(ax) == "5 of 8 slips cost more than chance, up to 100,000 nats"
    assert "variance for sd +100,000.0 (carried over +5.0)" in alt


def test_a_strip_is_coloured_where_its_process_reads_and_white_elsewhere():
    kinds = np.repeat(["B cells", "NK cells"], 4)
    dealt = {"cut": [np.arange(4), np.arange(4, 8)], "dealt": [np.arange(0, 8, 2), np.arange(1, 8, 2)]}
    fig, alt = draw.shards(kinds, dealt)
    (ax,) = fig.axes
    file, first, second, *_ = (image.get_array()[0] for image in ax.images)
    assert (file < 1).any(1).all()
    np.testing.assert_allclose(first[4:], 1.0)
    np.testing.assert_allclose(first[:4], file[:4])
    np.testing.assert_allclose(second[:4], 1.0)
    assert title(ax) == "Of 2 kinds of cell the poorer process sees: cut 1; dealt 2"
    assert "cut, process 1 1 kinds" in alt
    assert "dealt, process 0 2 kinds" in alt


def test_averaged_gradients_say_how_far_off_they_are_relative_to_their_length():
    exact = np.array([3.0, 4.0, 0.0])
    fig, alt = draw.averaged_gradients({"a": exact, "b": exact}, {"a": exact, "b": exact + np.array([0, 0, 1.0])})
    assert [title(ax) for ax in fig.axes] == ["a: off by 0%", "b: off by 20%"]
    assert "a 0.0e+00; b 2.0e-01" in alt


def test_runs_are_drawn_by_seed_and_speeds_held_against_one_process_of_the_same_minibatch():
    rows = [
        (seed, n, kind, shards, 700.0 + seed + 0.1 * n + 2 * (shards == "halves"))
        for seed in range(3)
        for kind, shards, n in draw.RUNS
    ]
    table = pd.DataFrame(rows, columns=["seed", "processes", "batch_norm", "shards", "elbo"])
    settings = [(r, batch, n) for r in range(2) for batch, n in ((128, 1), (256, 2), (512, 1), (512, 2))]
    speeds = pd.DataFrame(
        [(r, n, 1, batch, batch * 10 * n * (1 - 0.2 * (n == 2))) for r, batch, n in settings],
        columns=["repeat", "processes", "threads", "total_batch", "cells_per_second"],
    )
    fig, alt = draw.out_of_one_process(table, speeds)
    left, right = fig.axes
    assert title(left) == "Dealt: within 0.10 nats. Cut: +2.0"
    assert title(right) == "Two processes: ×1.60 to ×3.20"
    assert words(left.get_yticklabels())[2] == "BatchNorm, two, file cut"
    seed_zero = left.get_lines()[0]
    np.testing.assert_allclose(seed_zero.get_xdata(), [700.1, 700.2, 702.2, 700.1, 700.2])
    assert [bar.get_width() for bar in right.patches] == [1280, 4096, 5120, 8192]
    assert words(right.texts) == [" ×1.00", " ×3.20", " ×1.00", " ×1.60"]
    assert "BatchNorm, two, file cut: 703.20" in alt
    assert "2 processes: 256 each: 8,192" in alt


def test_the_plan_tells_what_fits_and_how_much_sooner_many_are():
    table = pd.DataFrame({"hours": [8.0, 5.0, 2.0], "dollars": [0.4, 0.5, 0.6]}, index=[1, 2, 8])
    sizes = pd.Series({"file": 4e10, "sparse": 1.1e11, "dense": 8e11})
    fig, alt = draw.on_paper(table, sizes, 10**8, memory=64e9)
    left, right = fig.axes
    assert title(left) == "Below 64 GB: in the file, packed"
    assert title(right) == "8 processes: 4 times sooner"
    assert [bar.get_width() for bar in left.patches] == [40, 110, 800]
    ideal = lines(right)["no loss"].get_ydata()
    np.testing.assert_allclose(ideal, [8, 4, 1])
    np.testing.assert_allclose(lines(right)["planned: 120 min"].get_ydata(), [8, 5, 2])
    assert "2: 5.0 h, $0.50" in alt
    assert "in memory, dense 800 GB" in alt
