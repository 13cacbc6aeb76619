"""Labels from a model with a classifier: its own numbers, and all or none of them in the AnnData."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from course_lib.analysis import parts
from course_lib.analysis.gate import cells_for
from course_lib.analysis.labels import annotate_labels, predict
from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.models.scanvi import SCANVI
from course_lib.models.scvi import SCVI


@pytest.fixture(scope="module")
def simulated():
    return simulate(120, 30, n_types=3, n_changed=2, log_library_means=(6.0, 6.5))


@pytest.fixture(scope="module")
def model(simulated):
    cells = cells_from_counts(simulated, batch_key="batch", label_key="cell_type")
    torch.manual_seed(0)
    model = SCANVI(cells.genes, cells.batches, cells.labels, library_prior=None, encode_batch=True).eval()
    model.classifier.weight.data.mul_(4)  # so that cells differ in their label
    model.epochs_trained = 1  # so it claims
    return model


def own_probabilities(model, data) -> np.ndarray:
    """By the networks' weights: a softmax of logits at the mean of z."""
    x = torch.log1p(torch.from_numpy(np.asarray(data.X, dtype=np.float32)))
    batch = torch.from_numpy(data.obs["batch"].cat.codes.to_numpy(dtype=np.int64))
    with torch.no_grad():
        z = model.z_encoder(x, batch).loc
        return (z @ model.classifier.weight.T + model.classifier.bias).softmax(-1).numpy()


def test_probabilities_are_the_softmax_of_the_logits_at_the_mean_of_z(simulated, model, monkeypatch):
    expected = own_probabilities(model, simulated)
    cells = cells_for(model, simulated, batch_key="batch")
    monkeypatch.setattr(parts, "CHUNK", 50 * cells.n_genes)  # several parts
    found = predict(model, cells, soft=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    names = predict(model, cells)
    assert names.tolist() == [model.labels[code] for code in expected.argmax(axis=1)]
    assert len(set(names)) > 1


def test_a_cells_own_label_is_not_looked_at(simulated, model):
    labelled = cells_from_counts(simulated, batch_key="batch", label_key="cell_type")
    without = cells_for(model, simulated, batch_key="batch")
    np.testing.assert_array_equal(predict(model, labelled, soft=True), predict(model, without, soft=True))


def test_labels_and_probabilities_land_in_the_anndata(simulated, model):
    data = simulated[::-1].copy()
    annotate_labels(data, model, batch_key="batch")
    expected = own_probabilities(model, data)
    table = data.obsm["scvi_label_probabilities"]
    assert isinstance(table, pd.DataFrame)
    assert tuple(table.columns) == model.labels
    assert table.index.equals(data.obs_names)
    np.testing.assert_allclose(table, expected, atol=1e-6)
    label = data.obs["scvi_label"]
    assert tuple(label.cat.categories) == model.labels
    assert label.tolist() == table.idxmax(axis=1).tolist()


def test_they_survive_a_file(simulated, model, tmp_path):
    data = simulated.copy()
    annotate_labels(data, model, batch_key="batch")
    data.write_h5ad(tmp_path / "labelled.h5ad")
    again = anndata.read_h5ad(tmp_path / "labelled.h5ad")
    pd.testing.assert_frame_equal(again.obsm["scvi_label_probabilities"], data.obsm["scvi_label_probabilities"])
    assert again.obs["scvi_label"].tolist() == data.obs["scvi_label"].tolist()


def test_counts_may_be_sparse_in_a_layer_and_results_have_another_name(simulated, model):
    data = simulated.copy()
    data.layers["counts"], data.X = scipy.sparse.csr_matrix(data.X), np.log1p(data.X.astype(np.float32))
    annotate_labels(data, model, layer="counts", batch_key="batch", key_added="run2")
    np.testing.assert_allclose(data.obsm["run2_label_probabilities"], own_probabilities(model, simulated), atol=1e-6)
    assert {"scvi_label", "scvi_label_probabilities"}.isdisjoint({*data.obs, *data.obsm})


def test_what_is_replaced_is_named(simulated, model):
    data = simulated.copy()
    annotate_labels(data, model, batch_key="batch")
    with pytest.warns(
        UserWarning, match=r"found obs\['scvi_label'\], obsm\['scvi_label_probabilities'\], now replaced"
    ):
        annotate_labels(data, model, batch_key="batch")


def test_refused_cells_stay_untouched(simulated, model):
    data = simulated[:, ::-1].copy()
    before = (list(data.obs), list(data.obsm))
    with pytest.raises(ValueError, match="another order"):
        annotate_labels(data, model, batch_key="batch")
    assert before == (list(data.obs), list(data.obsm))


def test_a_model_that_was_never_trained_labels_with_a_warning(simulated, model):
    untrained = SCANVI(model.genes, model.batches, model.labels, library_prior=None)
    with pytest.warns(UserWarning, match="expected a trained one, found this SCANVI with no epoch of fit"):
        annotate_labels(simulated.copy(), untrained, batch_key="batch")


def test_an_anndata_that_stays_in_its_file_is_refused_with_another_way(simulated, model, tmp_path):
    simulated.write_h5ad(tmp_path / "simulated.h5ad")
    backed = anndata.read_h5ad(tmp_path / "simulated.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"data: expected an AnnData in memory.*ask about cells_for\(model"):
        annotate_labels(backed, model, batch_key="batch")
    backed.file.close()


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"data": np.ones((3, 30))}, TypeError, "data: expected an AnnData to write into, found ndarray"),
        (
            {"model": SCVI(["g"], library_prior=None)},
            TypeError,
            "annotate_labels, found SCVI, which lacks labels",
        ),
        ({"model": SCANVI}, TypeError, "model: expected a trained model, found the class SCANVI"),
        ({"key_added": ""}, TypeError, "key_added: expected a name, found ''"),
        ({"batch_key": None}, ValueError, "batch_key: expected the column of obs"),
    ],
)
def test_what_cannot_be_labelled_is_named(simulated, model, change, error, message):
    with pytest.raises(error, match=message):
        annotate_labels(**({"data": simulated.copy(), "model": model, "batch_key": "batch"} | change))


def test_questions_that_make_no_sense_are_refused(simulated, model):
    cells = cells_for(model, simulated, batch_key="batch")
    for asked, error, message in (
        (lambda: predict(SCVI(cells.genes, cells.batches, library_prior=None), cells), TypeError, "lacks labels"),
        (lambda: predict(model, cells, soft="yes"), ValueError, "soft: expected False or True"),
        (lambda: predict(model, simulated), TypeError, "cells: expected Cells"),
        (lambda: predict(model, cells[:0]), ValueError, "cells: expected at least one"),
    ):
        with pytest.raises(error, match=message):
            asked()
