"""A tenth of the labels: who is labelled and who is judged, and the committed tables are whole and say what is told."""

import dataclasses
import importlib.util

import numpy as np
import pandas as pd
import pytest
from conftest import RESULTS

from course_lib.experiments import annotation, label_methods
from course_lib.experiments.annotation import KEPT, NO_SUBCLASS, QUESTIONS, VALIDATION, kept_labels, split

TYPES = np.array(["a"] * 200 + ["b"] * 50 + ["c"] * 4 + [NO_SUBCLASS] * 30)
MEASURES = {"accuracy", "balanced_accuracy", "calibration_error", "log_likelihood", "rare_recall", "cpu_s"}


def methods_of(name: str) -> set[str]:
    return {*label_methods.METHODS, *(["bayes"] if name == "simulation" else [])}


def test_a_share_of_each_type_is_kept_and_one_cell_at_least():
    kept = kept_labels(TYPES, 0.1, seed=0)
    assert [kept[name == TYPES].sum() for name in "abc"] == [20, 5, 1]
    assert (kept != kept_labels(TYPES, 0.1, seed=1)).any()
    among = np.arange(len(TYPES)) % 2 == 0
    assert not (kept_labels(TYPES, 0.1, 0, among) & ~among).any()


@pytest.mark.parametrize("share", [KEPT, 0.03, 0.01])
def test_labelled_validation_and_judged_cells_have_none_in_common(share):
    parts = split(TYPES, 0, share)
    assert np.sum(parts, axis=0).tolist() == (TYPES != NO_SUBCLASS).astype(int).tolist()  # every named cell once
    kept, validation, _ = parts
    assert validation.sum() == sum(max(1, round(VALIDATION * n)) for n in (200, 50, 4))
    assert kept.sum() == sum(max(1, round(share * n)) for n in (200, 50, 4))
    other_kept, other_validation, _ = split(TYPES, 1, share)
    np.testing.assert_array_equal(validation, other_validation)  # in every seed the same
    assert (kept != other_kept).any()
    assert not (kept & ~split(TYPES, 0)[0]).any()  # few labels are some of the many


@pytest.mark.skipif(importlib.util.find_spec("scvi") is None, reason="scvi-tools: pip install -e '.[test,peer]'")
@pytest.mark.slow
def test_one_seed_runs_small(monkeypatch):
    monkeypatch.setattr(label_methods, "SCVI_EPOCHS", 2)
    monkeypatch.setattr(label_methods, "SCANVI_EPOCHS", 2)
    monkeypatch.setattr(annotation, "SIMULATION", annotation.SIMULATION | {"n_cells": 300})
    few = {"simulation": dataclasses.replace(QUESTIONS["simulation"], peer_epochs=1)}
    scores, of_types, bins = annotation.run_seed(3, few)
    assert set(zip(scores["method"], scores["measure"], strict=True)) == {
        (method, measure) for method in methods_of("simulation") for measure in MEASURES
    }
    types = annotation.load("simulation", 3).obs["cell_type"].to_numpy(dtype=str)
    kept, _, judged = split(types, 3)
    for _, rows in of_types.groupby("method"):
        assert rows["kept"].sum() == kept.sum()
        assert rows["judged"].sum() == judged.sum()
    value = scores.set_index(["method", "measure"])["value"]
    for method, rows in of_types.groupby("method"):
        assert np.average(rows["recall"], weights=rows["judged"]) == pytest.approx(value[method, "accuracy"])
        assert rows["recall"].mean() == pytest.approx(value[method, "balanced_accuracy"])
    for method, rows in bins.groupby("method"):
        assert rows["n"].sum() == judged.sum()
        assert np.average(rows["accuracy"], weights=rows["n"]) == pytest.approx(value[method, "accuracy"])
    assert (scores["seed"] == 3).all()


# The committed tables


def test_the_table_is_whole(table, made):
    assert list(table.columns) == ["seed", "data", "method", "measure", "value"]
    assert made["seeds"] == sorted(set(table["seed"])) == [0, 1, 2, 3, 4]
    assert set(zip(table["seed"], table["data"], strict=True)) == {
        (s, name) for s in made["seeds"] for name in QUESTIONS
    }
    for (_, name), rows in table.groupby(["seed", "data"]):
        expected = {(method, measure) for method in methods_of(name) for measure in MEASURES}
        assert set(zip(rows["method"], rows["measure"], strict=True)) == expected
        assert len(rows) == len(expected)
    shares = table[~table["measure"].isin(["cpu_s", "log_likelihood"])]
    assert shares["value"].between(0, 1).all()


@pytest.mark.parametrize("name", ["types", "reliability"])
def test_the_further_tables_add_up_to_the_first(table, name):
    further = pd.read_csv(RESULTS / f"annotation_{name}.csv")
    weight, hit = ("judged", "recall") if name == "types" else ("n", "accuracy")
    value = table.set_index(["seed", "data", "method", "measure"])["value"]
    groups = further.groupby(["seed", "data", "method"])
    assert len(groups) == len(value.xs("accuracy", level="measure"))
    for at, rows in groups:
        assert np.average(rows[hit], weights=rows[weight]) == pytest.approx(value[(*at, "accuracy")], abs=1e-3)


def mean_of(table, data, method, measure="accuracy"):
    rows = table[(table["data"] == data) & (table["method"] == method) & (table["measure"] == measure)]
    return rows["value"].mean()


def test_on_blood_ours_is_level_with_the_regression_on_components_and_four_points_above_scvi_tools(table):
    ours = mean_of(table, "pbmc3k", "scanvi")
    assert ours > mean_of(table, "pbmc3k", "lr_pcs") - 0.01
    assert ours > mean_of(table, "pbmc3k", "scvi_tools") + 0.04


def test_where_few_cells_are_labelled_the_frequencies_of_labels_buy_accuracy_with_rare_types(table):
    assert mean_of(table, "pbmc3k_1pc", "scanvi") > mean_of(table, "pbmc3k_1pc", "scanvi_uniform") + 0.05
    rare = [mean_of(table, "pbmc3k", method, "rare_recall") for method in ("scanvi", "scanvi_uniform")]
    assert rare[0] < rare[1]


def test_scaled_components_mend_the_regressions_calibration_and_cost_accuracy_where_labels_are_few(table):
    plain, scaled = (mean_of(table, "cortex_47", m, "calibration_error") for m in ("lr_pcs", "lr_pcs_scaled"))
    assert scaled < plain / 2
    assert mean_of(table, "pbmc3k_1pc", "lr_pcs_scaled") < mean_of(table, "pbmc3k_1pc", "lr_pcs") - 0.05


def test_nobody_passes_the_ceiling_of_the_simulation(table):
    rows = table[(table["data"] == "simulation") & (table["measure"] == "accuracy")]
    best = rows.pivot(index="seed", columns="method", values="value")
    assert (best.drop(columns="bayes").max(axis=1) < best["bayes"]).all()
    assert (best["bayes"] < 0.995).all()
