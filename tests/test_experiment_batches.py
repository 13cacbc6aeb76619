"""The committed table of batch mixing, and that its script still makes such rows."""

import numpy as np
import pytest

from course_lib.experiments import batches

SCVI = {"elbo", "kl_z", "epoch"}


def by_seed(table, data, method, measure):
    """One value for each seed, in order."""
    rows = table[(table["data"] == data) & (table["method"] == method) & (table["measure"] == measure)]
    return rows.sort_values("seed")["value"].to_numpy()


def expected_rows(with_types):
    measures = {"entropy", "ceiling", "batch_knn"} | ({"label_knn"} if with_types else set())
    return {(method, name) for method in ("scvi_batch", "scvi_no_batch") for name in measures | SCVI} | {
        ("pca", name) for name in measures
    }


def test_the_table_is_whole(table, made):
    assert list(table.columns) == ["seed", "data", "method", "measure", "value"]
    assert made["seeds"] == [0, 1, 2, 3, 4]
    for (_, name), rows in table.groupby(["seed", "data"]):
        assert set(zip(rows["method"], rows["measure"], strict=True)) == expected_rows(name != "pbmc_pair")
    assert table.groupby("data")["seed"].unique().map(sorted).to_dict() == dict.fromkeys(batches.DATA, made["seeds"])
    assert not table.duplicated(["seed", "data", "method", "measure"]).any()
    assert (table.loc[table["measure"] == "entropy", "value"] < np.log(3)).all()


def test_in_every_seed_telling_the_decoder_the_batch_mixes_the_batches(table):
    for name in batches.DATA:
        with_batch, without = (by_seed(table, name, m, "entropy") for m in ("scvi_batch", "scvi_no_batch"))
        assert (with_batch > without).all()
        assert (with_batch > by_seed(table, name, "pca", "entropy")).all()
    assert (by_seed(table, "pbmc_pair", "scvi_batch", "entropy") > 0.55).all()


def test_types_stay_apart_within_two_points_in_the_median(table):
    for name in ("mosaic", "simulation"):
        lost = by_seed(table, name, "scvi_no_batch", "label_knn") - by_seed(table, name, "scvi_batch", "label_knn")
        assert np.median(lost) <= 0.02


def test_one_seed_runs_small():
    rows = batches.run_seed(batches.with_log(batches.simulated(0)[:150].copy()), seed=0, epochs=1)
    assert set(zip(rows["method"], rows["measure"], strict=True)) == expected_rows(with_types=True)
    assert np.isfinite(rows["value"]).all()


def test_without_types_there_is_no_label_accuracy():
    data = batches.simulated(0)[:150]
    data.obs.drop(columns="cell_type", inplace=True)
    found = batches.measure(np.random.default_rng(0).standard_normal((150, 3)), data, seed=0)
    assert set(found) == {"entropy", "ceiling", "batch_knn"}


def test_codes_that_hold_type_and_batch_are_measured_so():
    data = batches.simulated(0)[:400]
    label, batch = (data.obs[key].cat.codes.to_numpy() for key in ("cell_type", "batch"))
    noise = 1e-3 * np.random.default_rng(0).standard_normal((400, 2))
    apart = batches.measure(np.stack([label, batch], axis=1) * 1.0 + noise, data, seed=0)
    assert (apart["label_knn"], apart["batch_knn"]) == (1.0, 1.0)
    assert apart["entropy"] < 0.1  # about 50 cells of each type and batch
    mixed = batches.measure(np.stack([label, 0 * batch], axis=1) * 1.0 + noise, data, seed=0)
    assert mixed["label_knn"] == 1.0
    assert mixed["entropy"] == pytest.approx(mixed["ceiling"], abs=0.02)
    assert abs(mixed["batch_knn"] - 0.5) < 0.15


def test_the_pair_is_cut_to_the_genes_the_record_names(made):
    assert batches.DATA["pbmc_pair"](0).shape == (400, made["settings"]["pair_genes"])
