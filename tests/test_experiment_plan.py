"""The plan on paper: sums that anyone can do again."""

import pandas as pd
import pytest

from course_lib.experiments import plan as paper
from course_lib.experiments.plan import Measured, measured, plan, sizes
from course_lib.experiments.record import RESULTS

FACTS = Measured(cells_per_second=5_000, file_bytes=400, efficiency=0.8)


def test_one_process_takes_cells_by_speed():
    table = plan(10**8, FACTS)
    assert list(table.index) == list(paper.PROCESSES)
    assert table.loc[1, "hours"] == pytest.approx(10**8 / 5_000 / 3_600)
    assert table.loc[1, "efficiency"] == 1
    assert table.loc[1, "steps"] == 10**8 / 128
    assert table.loc[1, "read_mb_per_second"] == pytest.approx(2.0)


def test_two_processes_have_the_measured_efficiency_and_more_lose_at_most_twice_as_much():
    table = plan(10**8, FACTS)
    assert table.loc[2, "efficiency"] == pytest.approx(0.8)
    assert table["efficiency"].is_monotonic_decreasing
    lost = 1 / table["efficiency"] - 1
    assert lost.max() < 2 * lost[2]
    assert table.loc[64, "hours"] == pytest.approx(table.loc[1, "hours"] / 64 / table.loc[64, "efficiency"])
    assert (table["dollars"] / (table["hours"] * table.index)).to_numpy() == pytest.approx(paper.PRICE)


def test_few_cells_are_seen_often_and_many_once():
    assert plan(20_000, FACTS)["epochs"].unique() == [400]
    assert plan(10**8, FACTS)["epochs"].unique() == [1]
    assert plan(20_000, FACTS).loc[1, "steps"] == pytest.approx(paper.SMALL_STEPS, rel=0.01)


def test_sizes_are_counts_times_bytes():
    found = sizes(1_000, FACTS)
    assert found["file"] == 400_000
    assert found["dense"] == 1_000 * 2_000 * 4
    assert found["sparse"] == pytest.approx(1_000 * 220 * 5)


def test_what_was_measured_is_read_from_the_tables(tmp_path):
    pd.DataFrame(
        {"way": ["dense", "file", "file"], "n_cells": [10**6, 1_000, 10**6], "cells_per_second": [9.0, 8.0, 7_000],
         "file_bytes": [1, 1, 366e6]}
    ).to_csv(tmp_path / "million.csv")  # fmt: skip
    pd.DataFrame(
        [(1, 1, 128, 100), (1, 1, 128, 120), (1, 2, 128, 150), (2, 1, 256, 176), (2, 1, 128, 1)],
        columns=["processes", "threads", "total_batch", "cells_per_second"],
    ).to_csv(tmp_path / "distributed_time.csv")
    assert measured(tmp_path) == Measured(7_000, 366, pytest.approx(176 / 220))


def test_the_committed_tables_answer():
    assert 0.2 < measured().efficiency <= 1.1
    assert plan().loc[1, "hours"] < 24
    with pytest.raises(ValueError, match="n_cells: expected"):
        plan(0, FACTS)
    assert (RESULTS / "distributed_time.csv").exists()
