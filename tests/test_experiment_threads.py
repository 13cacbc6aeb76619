"""The table behind the thread policy says what course_lib/threads.py says."""

import pandas as pd
import pytest

from course_lib.experiments import threads


@pytest.fixture(scope="module")
def speed(table) -> pd.DataFrame:
    """Median cells per second: one row for each setting, one column for each load."""
    assert tuple(table.columns) == threads.COLUMNS
    return table.groupby(["setting", "load"])["cells_per_second"].median().unstack()


def test_every_setting_is_measured_under_every_load_as_often_as_the_provenance_says(speed, table, made):
    assert set(speed.index) == set(threads.SETTINGS)
    assert set(speed.columns) == set(threads.LOADS)
    assert (table.groupby(["setting", "load"]).size() == made["repeats"]).all()


def test_one_thread_keeps_its_speed_when_a_core_is_busy_and_the_default_does_not(speed):
    kept = speed["one core busy"] / speed["quiet"]
    assert kept["one thread"] > 0.8
    assert kept["library default"] < 0.5
    assert speed["one core busy"]["one thread"] > 1.5 * speed["one core busy"]["library default"]


def test_one_thread_is_slower_when_all_is_quiet(speed):
    assert speed["quiet"]["one thread"] < speed["quiet"]["library default"]
