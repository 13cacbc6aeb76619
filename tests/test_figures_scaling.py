"""The picture of what many cells cost draws what it was given, and its words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
from drawn import lines, title, words

from course_lib.figures.scaling import ALLOWED_GB, WAYS, cost_of_an_epoch


@pytest.fixture
def table():
    rows = [
        {"way": way, "n_cells": n, "epoch_seconds": n / speed, "cells_per_second": speed, "peak_bytes": 4e8 + size * n}
        for way, speed, size in [("dense", 500.0, 9000), ("file", 400.0, 300), ("sparse", 480.0, 2000)]
        for n in (1_000_000, 1_000, 100_000)
    ]
    return pd.DataFrame(rows)


def test_every_way_is_a_line_of_seconds_and_one_of_memory(table):
    fig, alt = cost_of_an_epoch(table)
    left, right = fig.axes
    for way, name in WAYS.items():
        rows = table[table["way"] == way].sort_values("n_cells")
        np.testing.assert_allclose(lines(left)[name].get_xydata(), rows[["n_cells", "epoch_seconds"]])
        np.testing.assert_allclose(lines(right)[name].get_ydata(), rows["peak_bytes"] / 1e9)
        assert name in words(left.texts)
    assert "in a file 2,500 s and 0.70 GB" in alt
    assert "in memory, dense 2,000 s and 9.40 GB" in alt
    assert "80% of the speed in memory" in title(left)  # of the faster of the two in memory
    assert title(right) == "1,000,000 cells take 0.7 GB from a file, 2.4 in memory"
    assert f"{ALLOWED_GB} GB" in words(right.texts)
    assert {ax.get_xscale() for ax in fig.axes} == {ax.get_yscale() for ax in fig.axes} == {"log"}


def test_a_table_that_was_too_large_to_be_dense_is_drawn_without_it(table):
    fig, alt = cost_of_an_epoch(table[(table["way"] != "dense") | (table["n_cells"] < 1_000_000)])
    assert "dense" not in alt.split("cells: ")[1]
    assert "83%" in title(fig.axes[0])
