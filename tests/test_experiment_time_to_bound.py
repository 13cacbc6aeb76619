"""Time to the bound: the clock stands while the bound is looked at, and a run ends when the mark is passed."""

import math

import pytest
import torch

from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.experiments import time_to_bound
from course_lib.experiments.time_to_bound import Parts, Passed, Watch, Way, first_below, train_ours


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets: processor and wall, the second twice as fast."""
    now = [0.0]
    monkeypatch.setattr(time_to_bound, "_now", lambda: (now[0], 2 * now[0]))
    return now


def test_the_clock_stands_still_while_the_bound_is_looked_at(clock):
    watch = Watch()

    def look_for_an_hour():
        clock[0] += 3_600
        return 10.0

    clock[0] = 100.0  # setting up
    for _ in range(2):
        watch.start()
        clock[0] += 3.0  # an epoch
        watch.start()  # every minibatch says so
        watch.look(look_for_an_hour)
    assert [(row["epoch"], row["cpu_s"], row["wall_s"]) for row in watch.rows] == [(1, 3.0, 6.0), (2, 6.0, 12.0)]


def test_a_watch_ends_the_run_below_its_mark_and_not_at_it(clock):
    watch = Watch(mark=5.0)
    for bound in (9.0, 5.0):
        watch.start()
        watch.look(lambda bound=bound: bound)
    watch.start()
    with pytest.raises(Passed):
        watch.look(lambda: 4.9)
    assert watch.best == 4.9


def test_a_bound_that_is_no_number_never_passes(clock):
    watch = Watch(mark=5.0)
    watch.start()
    watch.look(lambda: math.nan)
    assert watch.best == math.inf


def test_the_first_epoch_at_or_below_the_mark_counts():
    seen = [
        {"epoch": 1, "cpu_s": 1.0, "wall_s": 1.5, "bound": 9.0},
        {"epoch": 2, "cpu_s": 2.0, "wall_s": 2.5, "bound": 7.0},
        {"epoch": 3, "cpu_s": 3.0, "wall_s": 3.5, "bound": 6.0},
    ]
    assert first_below(seen, 7.0) == {"epochs": 2, "cpu_s": 2.0, "wall_s": 2.5}
    assert first_below(seen, 1.0) == {"epochs": None, "cpu_s": None, "wall_s": None}


def test_ours_is_looked_at_once_after_every_epoch_and_stops_when_it_passes():
    parts = Parts.of(cells_from_counts(simulate(300, 50, n_changed=2)), seed=0)
    whole = Watch()
    ask = train_ours(parts, False, Way("default", lr=3e-3, epochs=4), 0, whole)
    assert [row["epoch"] for row in whole.rows] == [1, 2, 3, 4]
    assert whole.rows[-1]["bound"] == pytest.approx(ask(parts.test))  # the same noise whenever it is asked
    assert whole.rows[-1]["bound"] < whole.rows[0]["bound"]
    stopped = Watch(mark=whole.rows[1]["bound"] + 1e-3)
    train_ours(parts, False, Way("default", lr=3e-3, epochs=4), 0, stopped)
    assert len(stopped.rows) == 2  # a watch does not change what it watches


def test_a_run_that_diverges_is_a_run_that_never_passes():
    parts = Parts.of(cells_from_counts(simulate(300, 50, n_changed=2)), seed=0)
    watch = Watch(mark=0.0)
    train_ours(parts, True, Way("preferred", lr=1e3, epochs=4), 0, watch)
    assert first_below(watch.rows, 0.0)["epochs"] is None


def test_the_three_parts_share_no_cell():
    cells = cells_from_counts(torch.arange(1, 401).reshape(200, 2))
    parts = Parts.of(cells, seed=3)
    firsts = [set(part.x[:, 0].tolist()) for part in (parts.training, parts.validation, parts.test)]
    assert [len(part) for part in firsts] == [130, 20, 50]
    assert len(set.union(*firsts)) == 200


def test_no_cell_is_left_over_alone_in_the_last_minibatch():
    left_over = next(n for n in range(1_500, 1_800) if round(0.65 * n) % time_to_bound.BATCH_SIZE == 1)
    training = Parts.of(cells_from_counts(torch.ones(left_over, 2, dtype=torch.int64)), seed=0).training
    assert len(training) % time_to_bound.BATCH_SIZE == 0


def test_the_test_cells_are_taken_evenly_since_files_are_sorted_by_kind():
    counts = torch.ones(8_000, 2, dtype=torch.int64)
    counts[4_000:] = 2  # a second kind of cell
    test = Parts.of(cells_from_counts(counts), seed=0).test
    assert 250 < len(test) <= time_to_bound.TEST_CELLS
    assert float((test.x[:, 0] == 2).float().mean()) == pytest.approx(0.5, abs=0.05)


# What the committed table says ----------------------------------------------------------------------------------------

WAYS = {("scvi-tools", "default"), ("scvi-tools", "preferred")} | {
    ("course_lib", way) for way in ("default", "preferred", "one cycle")
}


@pytest.fixture(scope="module")
def times_faster(table):
    """How many times as long scvi-tools computes, in its sooner way, as ours in one cycle; NaN where ours lost."""
    wide = table.pivot(index=["data", "library", "seed"], columns=["program", "way"], values="cpu_s")
    return wide["scvi-tools"].min(axis=1) / wide["course_lib", "one cycle"]


def test_the_table_holds_every_way_for_three_seeds(table, made):
    groups = table.groupby(["data", "library", "seed"])
    assert set(groups.groups) == {
        (data, library, seed)
        for data in time_to_bound.DATA
        for library in time_to_bound.LIBRARIES
        for seed in made["seeds"]
    }
    assert len(made["seeds"]) == 3
    assert all({*zip(rows["program"], rows["way"], strict=True)} == WAYS and len(rows) == 5 for _, rows in groups)
    assert (groups["mark"].nunique() == 1).all()
    passed = table["epochs"].notna()
    assert (table.loc[passed, "best"] <= table.loc[passed, "mark"] + 0.01).all()
    assert (table.loc[~passed, "best"] > table.loc[~passed, "mark"]).all()
    assert made["settings"] == time_to_bound.provenance(3, [])["settings"]


def test_with_a_learned_library_the_bound_is_reached_ten_times_sooner_in_every_run(times_faster):
    learned = times_faster.xs("learned", level="library")
    assert (learned > 10).all()  # NaN is not


def test_with_an_observed_one_four_times_sooner_and_where_it_is_lost_it_is_by_a_hair(times_faster, table):
    observed = times_faster.xs("observed", level="library")
    assert (observed.dropna() > 4).all()
    assert observed.isna().sum() <= 1
    ours = table[(table["program"] == "course_lib") & (table["way"] == "one cycle")]
    assert (ours["best"] < 1.001 * ours["mark"]).all()
