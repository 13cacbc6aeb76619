"""The table behind the thread policy says what course_lib/threads.py says."""

import json
from pathlib import Path

import pandas as pd
import pytest

from course_lib.experiments import threads

RESULTS = Path(__file__).resolve().parent.parent / "data" / "results"


@pytest.fixture(scope="module")
def speed() -> pd.DataFrame:
    """Median cells per second: one row for each setting, one column for each load."""
    table = pd.read_csv(RESULTS / "threads.csv")
    assert tuple(table.columns) == threads.COLUMNS
    return table.groupby(["setting", "load"])["cells_per_second"].median().unstack()


def test_every_setting_is_measured_under_every_load_as_often_as_the_provenance_says(speed):
    assert set(speed.index) == set(threads.SETTINGS)
    assert set(speed.columns) == set(threads.LOADS)
    repeats = json.loads((RESULTS / "threads.json").read_text())["repeats"]
    table = pd.read_csv(RESULTS / "threads.csv")
    assert (table.groupby(["setting", "load"]).size() == repeats).all()


def test_one_thread_keeps_its_speed_when_a_core_is_busy_and_the_default_does_not(speed):
    kept = speed["one core busy"] / speed["quiet"]
    assert kept["one thread"] > 0.8
    assert kept["library default"] < 0.5
    assert speed["one core busy"]["one thread"] > 1.5 * speed["one core busy"]["library default"]


def test_one_thread_is_slower_when_all_is_quiet(speed):
    assert speed["quiet"]["one thread"] < speed["quiet"]["library default"]
