"""Two runs integrated and judged: one seed runs, scores find what was put in, and the committed table is whole."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

from course_lib.analysis.antibodies import AMBIGUOUS, BLOOD_GATES
from course_lib.experiments import pair

benchmark = pytest.mark.skipif(
    importlib.util.find_spec("scib_metrics") is None or importlib.util.find_spec("harmonypy") is None,
    reason="scib-metrics and harmonypy are not installed: pip install -e '.[test,benchmark]'",
)
SCORES = {*pair.MIXING, *(f"{name}_ceiling" for name in pair.MIXING), *pair.KEEPING}


def expected_rows():
    trained = {(method, name) for method in ("scvi_batch", "scvi_no_batch") for name in pair.TRAINED}
    return {(method, name) for method in pair.METHODS for name in SCORES} | trained


def three_types(rng, gap):
    """Codes (360, 2): three types in three places, batches ``gap`` apart in each; and some cells of no type."""
    types = np.repeat(["A", "B", "C"], 120).astype("<U9")
    batch = np.tile(["first", "second"], 180)
    codes = rng.normal(0, 1, (360, 2)) + 50 * np.stack([types == "B", types == "C"], axis=1)
    codes[:, 0] += gap * (batch == "second")
    types[::25] = AMBIGUOUS
    return codes, batch, types


def test_the_pair_is_labelled_by_its_antibodies_and_loses_no_cell():
    data = pair.labelled_pair("within_runs")
    assert data.shape == (400, pair.N_GENES)
    assert set(data.obs["cell_type"]) == {*BLOOD_GATES, AMBIGUOUS}
    other = pair.labelled_pair("over_runs")
    assert list(other.obs["cell_type"]) == list(data.obs["cell_type"])
    assert set(other.var_names) != set(data.var_names)


def test_types_are_named_by_the_other_batch_alone():
    codes = np.array([[0.0], [0.1], [9.0], [9.1]]).repeat(20, axis=0)
    batch = np.tile(np.repeat(["first", "second"], 20), 2)
    types = np.repeat(["A", "B"], 40)
    assert pair.named_by_the_other(codes, batch, types) == 1
    swapped = np.where(batch == "second", 9 - codes[:, 0], codes[:, 0])[:, None]  # types change places in one batch
    assert pair.named_by_the_other(swapped, batch, types) == 0


@benchmark
@pytest.mark.slow
def test_codes_whose_mixing_and_types_are_known_are_scored_so():
    rng = np.random.default_rng(0)
    mixed, apart = (pair.measure(*three_types(rng, gap), seed=0) for gap in (0, 15))
    assert set(mixed) == set(apart) == SCORES
    for name in pair.MIXING:
        assert mixed[name] == pytest.approx(mixed[f"{name}_ceiling"], abs=0.25)
        assert apart[name] < 0.1
        assert apart[f"{name}_ceiling"] > 0.5
    assert mixed["label_knn"] == mixed["label_across"] == mixed["ari"] == 1
    assert apart["label_knn"] == 1
    assert apart["graph_connectivity"] == pytest.approx(0.5, abs=0.06)
    assert mixed["graph_connectivity"] > 0.9


@benchmark
def test_harmony_brings_together_what_a_batch_moved():
    """Ten dimensions: Harmony compares directions, and in two there are few."""
    rng = np.random.default_rng(1)
    types, batch = rng.integers(0, 3, 360), np.tile(["first", "second"], 180)
    codes = rng.normal(0, 0.5, (360, 10)) + 10 * np.eye(10)[types]
    codes[:, 9] += 4.0 * (batch == "second")
    moved = pair.harmony(codes, batch, seed=0)
    assert moved.shape == codes.shape

    def gap(values):
        return np.abs(values[batch == "first"].mean(0) - values[batch == "second"].mean(0)).max()

    assert gap(moved) < 0.5 * gap(codes)
    assert pair.kmeans_ari(moved, types) == 1
    np.testing.assert_array_equal(moved, pair.harmony(codes, batch, seed=0))


@benchmark
@pytest.mark.slow
def test_one_seed_runs_small():
    rows = pair.run_seed(pair.labelled_pair("within_runs"), seed=0, epochs=1)
    assert set(zip(rows["method"], rows["measure"], strict=True)) == expected_rows()
    assert np.isfinite(rows["value"]).all()


@pytest.mark.slow
def test_the_validation_cells_teach_nothing(monkeypatch):
    from course_lib.data.split import split_indices

    data = pair.labelled_pair("within_runs")
    data.X = data.X.toarray()
    _, validation = split_indices(400, (1 - pair.VALIDATION, pair.VALIDATION), 3)
    before, _ = pair.scvi(data, "batch", seed=3, epochs=1)
    data.X[np.asarray(validation)[0]] *= 3
    after, _ = pair.scvi(data, "batch", seed=3, epochs=1)
    others = np.setdiff1d(np.arange(400), np.asarray(validation)[:1])
    np.testing.assert_array_equal(before[others], after[others])
    assert (before != after).any()


def test_the_table_is_whole(request):
    table, made = (request.getfixturevalue(name) for name in ("table", "made"))
    assert list(table.columns) == ["seed", "genes", "method", "measure", "value"]
    assert made["seeds"] == [0, 1, 2, 3, 4]
    assert not table.duplicated(["seed", "genes", "method", "measure"]).any()
    for _, rows in table.groupby(["seed", "genes"]):
        assert set(zip(rows["method"], rows["measure"], strict=True)) == expected_rows()
    assert set(zip(table["seed"], table["genes"], strict=True)) == {(s, g) for s in made["seeds"] for g in pair.GENES}
    unit = table[~table["measure"].isin([*pair.TRAINED, "entropy", "entropy_ceiling"])]
    assert unit["value"].between(-0.1, 1.0001).all()


def test_in_every_seed_the_decoder_that_knows_the_run_mixes_the_runs(request):
    table = request.getfixturevalue("table")
    wide = table.pivot(index=["genes", "seed"], columns=["measure", "method"], values="value")
    for name in ("entropy", "ilisi"):
        assert (wide[name, "scvi_batch"] > wide[name, "scvi_no_batch"]).all()
        assert (wide[name, "scvi_batch"] > wide[name, "pca"]).all()


def test_the_record_counts_the_cells_of_each_type(request):
    made = request.getfixturevalue("made")
    counts = pd.DataFrame(made["cells"])
    assert counts.sum().to_dict() == {"5k": 200, "10k": 200}
    assert made["chosen_on"]
