"""The committed table of representations, and the functions that made it."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from course_lib.experiments import clustering

SCORES = ["ari", "nmi", "asw", "leiden_ari", "leiden_nmi", "n_clusters", "label_knn"]

SHORT = {"epochs": 2, "lr": 1e-3}


@pytest.fixture(scope="module")
def cells():
    """Two types that differ in half of 30 genes, and little in their totals."""
    random = np.random.default_rng(0)
    types = random.integers(0, 2, 120)
    rates = np.array([np.repeat([3.0, 1.0], 15), np.repeat([1.0, 3.0], 15)])
    data = AnnData(random.poisson(rates[types]).astype(np.float32))
    data.obs["cell_type"] = types.astype(str)
    return clustering.labelled(data)


def test_the_table_holds_every_method_for_both_data_and_five_seeds(table):
    assert list(table.columns) == ["data", "seed", "method", *SCORES]
    assert table["method"].tolist() == [*clustering.METHODS] * 10
    assert table.groupby(["data", "method"])["seed"].apply(sorted).tolist() == [[0, 1, 2, 3, 4]] * 8
    assert sorted(table["data"].unique()) == sorted(clustering.SCVI_TRAINING)


def test_scores_lie_in_their_ranges(table):
    assert table[["ari", "nmi", "leiden_ari", "leiden_nmi", "label_knn"]].stack().between(0, 1).all()
    assert table["asw"].between(-1, 1).all()
    assert (table["n_clusters"] > 1).all()


def test_the_provenance_is_that_of_the_script(table, made):
    assert made["settings"] == clustering.provenance(5)["settings"]
    assert made["seeds"] == sorted(table["seed"].unique())
    assert set(made["versions"]) >= {"python", "torch", "numpy", "scanpy", "igraph"}


def test_on_cortex_every_network_beats_pca_by_ari_and_nmi_in_every_seed(table):
    for measure in ("ari", "nmi"):
        wide = table[table["data"] == "cortex"].pivot(index="seed", columns="method", values=measure)
        assert (wide[["ae", "vae", "scvi"]].min(axis=1) > wide["pca"] + 0.05).all()


def test_on_pbmc3k_pca_has_the_highest_silhouette_in_every_seed(table):
    wide = table[table["data"] == "pbmc3k"].pivot(index="seed", columns="method", values="asw")
    assert (wide.idxmax(axis=1) == "pca").all()


def test_the_lead_over_pca_belongs_to_kmeans_not_to_leiden(table):
    cortex = table[table["data"] == "cortex"].groupby("method")[["ari", "leiden_ari"]].mean()
    lead = cortex.loc["scvi"] - cortex.loc["pca"]
    assert lead["ari"] > 0.1
    assert abs(lead["leiden_ari"]) < 0.05


def test_scvi_has_the_lowest_silhouette_everywhere(table):
    wide = table.pivot(index=["data", "seed"], columns="method", values="asw")
    assert (wide.idxmin(axis=1) == "scvi").all()


def test_one_seed_runs_small_and_repeats(cells):
    first, second = (clustering.run_seed(cells, seed=1, training=SHORT) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert first["method"].tolist() == [*clustering.METHODS]
    assert not first.equals(clustering.run_seed(cells, seed=2, training=SHORT))


def test_the_held_out_cells_teach_nobody(cells, monkeypatch):
    seen = {}

    def remember(method, train, others, seed, training):
        seen[method] = train.labels, others.labels
        return np.asarray(train.counts.x)[:, :2], np.asarray(others.counts.x)[:, :2]

    monkeypatch.setattr(clustering, "embed", remember)
    rows = clustering.run_seed(cells, seed=0, training=SHORT, methods=("pca", "ae"))
    assert [len(labels) for labels in seen["pca"]] == [108, 12]
    for one, other in zip(seen["pca"], seen["ae"], strict=True):  # the same cells for all methods
        np.testing.assert_array_equal(one, other)
    assert rows["ari"].nunique() == 1


def test_pca_finds_types_that_differ_in_half_of_the_genes(cells):
    codes, new = clustering.embed("pca", cells[np.arange(100)], cells[np.arange(100, 120)], seed=0, training=SHORT)
    assert (codes.shape, new.shape) == ((100, 10), (20, 10))
    scores = clustering.score(codes, cells.labels[:100], seed=0)
    assert scores["ari"] > 0.9
    assert scores["asw"] > 0


def test_only_known_methods_are_taken(cells):
    with pytest.raises(ValueError, match=r"method: expected one of .*'scvi'.*, found 'tsne'"):
        clustering.embed("tsne", cells, cells, seed=0, training=SHORT)


def test_both_views_are_of_the_same_cells(cells):
    counts, expression = cells.counts.x.numpy(), cells.expression.x.numpy()
    np.testing.assert_allclose(expression, np.log1p(1e4 * counts / counts.sum(1, keepdims=True)), rtol=1e-4)


def test_run_writes_the_table_and_its_provenance(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(clustering, "SCVI_TRAINING", {"cortex": SHORT, "pbmc3k": SHORT})
    monkeypatch.setattr(clustering, "DATA", {"cortex": lambda: None, "pbmc3k": lambda: None})
    monkeypatch.setattr(clustering, "labelled", lambda data: cells)
    path = clustering.run(2, tmp_path)
    table = pd.read_csv(path)
    assert table["data"].tolist() == ["cortex"] * 8 + ["pbmc3k"] * 8
    assert table["seed"].tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    assert json.loads((tmp_path / "clustering.json").read_text(encoding="utf-8"))["seeds"] == [0, 1]
