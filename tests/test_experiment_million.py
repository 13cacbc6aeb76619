"""What a million cells cost: the counts are scVI's, every way is measured, and the table keeps what was promised."""

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from course_lib.data.files import cells_from_file
from course_lib.experiments import million
from course_lib.experiments.record import RESULTS


@pytest.fixture
def small(monkeypatch):
    """A run of seconds: few genes, small tables, questions asked in this process."""
    for name, value in {
        "N_GENES": 100, "N_TYPES": 2, "SIZES": (400, 800), "N_BOUND": 800, "EPOCHS": 1, "TIMED_CELLS": 800,
        "WRITTEN_AT_ONCE": 300, "DRAWN_AT_ONCE": 70,
    }.items():  # fmt: skip
        monkeypatch.setattr(million, name, value)


def test_counts_are_negative_binomial():
    """Mean, variance and zeros of each gene against SciPy, within five standard errors."""
    n, library, rho, theta = 200_000, 20.0, np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.5, 2.0, 1.0, 10.0])
    rng = np.random.default_rng(0)
    x = million.draw_counts(rng, np.full(n, library), np.broadcast_to(rho, (n, 4)), theta).toarray()
    truth = scipy.stats.nbinom(theta, theta / (theta + library * rho))
    zero, (mean, variance, _, excess) = truth.pmf(0), truth.stats("mvsk")
    assert np.all(np.abs(x.mean(0) - mean) < 5 * np.sqrt(variance / n))
    assert np.all(np.abs(x.var(0) - variance) < 5 * variance * np.sqrt((excess + 2) / n))
    assert np.all(np.abs((x == 0).mean(0) - zero) < 5 * np.sqrt(zero * (1 - zero) / n))
    assert abs(np.corrcoef(x[:, 0], x[:, 1])[0, 1]) < 5 / np.sqrt(n)  # sharing out a total leaves no trace


def test_the_file_is_written_batch_by_batch_and_the_same_each_time(small, tmp_path):
    for name in ("a", "b"):
        million.write_cells(tmp_path / f"{name}.h5ad", 800)
    first, again = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("a", "b"))
    assert first.shape == (800, 100)
    assert (first.X != again.X).nnz == 0
    assert first.obs["batch"].is_monotonic_increasing
    assert first.obs.groupby("batch", observed=True)["cell_type"].value_counts().eq(100).all()
    cells = cells_from_file(tmp_path / "a.h5ad", batch_key="batch")  # it passes the gate
    assert cells.batches == ("batch_0", "batch_1", "batch_2", "batch_3")
    np.testing.assert_array_equal(cells[:].x, first.X.toarray())


def test_every_way_is_measured_at_every_size_and_the_bound_for_every_seed(small, tmp_path, monkeypatch):
    asked = {"epoch": lambda way, path, _: million.one_epoch(way, path), "bound": million.bound}
    monkeypatch.setattr(
        million, "in_new_process", lambda what, way, path, seed=0: {"way": way} | asked[what](way, path, seed)
    )
    path = million.run(800, 2, tmp_path, tmp_path / "results")
    table, bounds = pd.read_csv(path), pd.read_csv(tmp_path / "results" / "million_bound.csv")
    assert set(zip(table["way"], table["n_cells"], strict=True)) == {(w, n) for w in million.WAYS for n in (400, 800)}
    assert set(zip(bounds["way"], bounds["seed"], strict=True)) == {(w, s) for w in ("file", "sparse") for s in (0, 1)}
    assert (bounds["n_cells"] == 720).all()
    assert (table[["epoch_seconds", "cells_per_second", "peak_bytes", "file_bytes"]] > 0).all().all()
    assert bounds.groupby("seed")["test_loss"].nunique().eq(2).all()  # another order, another result


def test_a_question_is_answered_by_a_process_of_its_own(monkeypatch, tmp_path):
    """The answer is JSON on standard output; the real one is asked by the experiment itself."""
    script = tmp_path / "course.py"
    script.write_text("import json, os, sys; print(json.dumps({'pid': os.getpid(), 'asked': sys.argv[2:]}))")
    monkeypatch.setattr(million.sys, "executable", sys.executable)
    real = million.subprocess.run
    monkeypatch.setattr(
        million.subprocess, "run", lambda command, **keys: real([command[0], str(script), *command[3:]], **keys)
    )
    answer = million.in_new_process("bound", "file", Path("x.h5ad"), 3)
    assert answer["pid"] != million.os.getpid()
    assert answer["asked"] == ["bound", "file", "x.h5ad", "3"]
    assert answer["way"] == "file"


def test_the_peak_of_memory_knows_what_was_held_and_is_not_forgotten():
    before = million.peak_memory()
    held = np.ones(before // 8)  # as much again
    assert million.peak_memory() > 1.5 * before
    del held
    assert million.peak_memory() > 1.5 * before


# What the committed tables say ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cost(table):
    """One row for each way and number of cells."""
    wide = table.set_index(["way", "n_cells"]).sort_index()
    assert set(wide.index) == {(way, size) for way in million.WAYS for size in million.SIZES}
    return wide


def test_a_million_cells_from_a_file_take_a_gigabyte_and_a_half_at_most(cost):
    peak = cost.loc["file", "peak_bytes"]
    assert peak[1_000_000] <= 1.5e9
    assert peak[1_000_000] < cost.loc[("sparse", 1_000_000), "peak_bytes"]
    assert peak[1_000_000] < cost.loc[("dense", 1_000_000), "peak_bytes"] / 5


def test_a_file_keeps_seventy_per_cent_of_the_speed_in_memory_at_every_size(cost):
    speed = cost["cells_per_second"].unstack("way")
    assert (speed["file"] >= 0.7 * speed[["sparse", "dense"]].max(axis=1)).all()


def test_shuffling_in_blocks_reaches_the_bound_of_full_shuffling(made):
    bound = pd.read_csv(RESULTS / "million_bound.csv").pivot(index="seed", columns="way", values="test_loss")
    assert list(bound.index) == made["bound"]["seeds"] == [0, 1, 2]
    assert (abs(bound["file"] / bound["sparse"] - 1) < 1e-3).all()
