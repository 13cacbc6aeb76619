"""Results land in the AnnData where scverse looks for them, all of them or none."""

import anndata
import numpy as np
import pytest
import scipy.sparse
import torch

from course_lib.analysis import parts
from course_lib.analysis.annotate import annotate
from course_lib.analysis.gate import cells_for
from course_lib.analysis.latent import get_latent_representation
from course_lib.data.cells import cells_from_counts
from course_lib.data.files import cells_from_file
from course_lib.data.scvi_process import simulate
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE


@pytest.fixture(scope="module")
def simulated():
    return simulate(120, 30, n_changed=2, log_library_means=(6.0, 6.5))


@pytest.fixture(scope="module")
def model(simulated):
    cells = cells_from_counts(simulated, batch_key="batch")
    torch.manual_seed(0)
    model = SCVI(cells.genes, cells.batches, library_prior=log_library_moments(cells)).eval()
    model.epochs_trained = 1  # so it claims
    return model


def test_latent_state_library_and_expression_are_the_networks_own(simulated, model):
    data = simulated.copy()
    annotate(data, model, batch_key="batch")
    x = torch.log1p(torch.from_numpy(np.asarray(data.X, dtype=np.float32)))
    with torch.no_grad():
        q, q_library = model.z_encoder(x), model.library_encoder(x)
        batch = torch.from_numpy(data.obs["batch"].cat.codes.to_numpy(dtype=np.int64))
        rho = model.decoder.to_rho(model.decoder.trunk(q.loc, batch)).softmax(-1)
    np.testing.assert_allclose(data.obsm["X_scVI"], q.loc, rtol=1e-5, atol=1e-6)
    log_normal_mean = torch.exp(q_library.loc + q_library.scale**2 / 2).squeeze(-1)
    np.testing.assert_allclose(data.obs["scvi_library_size"], log_normal_mean, rtol=1e-5)
    np.testing.assert_allclose(data.layers["scvi_normalized"], rho, rtol=1e-4, atol=1e-7)


def test_counts_may_stand_in_a_layer(simulated, model):
    in_layer, in_x = simulated.copy(), simulated.copy()
    in_layer.layers["counts"], in_layer.X = in_layer.X, np.log1p(in_layer.X.astype(np.float32))
    annotate(in_layer, model, layer="counts", batch_key="batch")
    annotate(in_x, model, batch_key="batch")
    np.testing.assert_array_equal(in_layer.obsm["X_scVI"], in_x.obsm["X_scVI"])


def test_refused_cells_stay_untouched(simulated, model):
    data = simulated[:, ::-1].copy()
    before = (list(data.obsm), list(data.obs), list(data.layers))
    with pytest.raises(ValueError, match="another order"):
        annotate(data, model, batch_key="batch")
    assert before == (list(data.obsm), list(data.obs), list(data.layers))


def test_normalised_expression_is_left_out_where_it_is_not_wanted(simulated, model):
    data = simulated.copy()
    annotate(data, model, batch_key="batch", normalized=False)
    assert list(data.layers) == list(simulated.layers)
    assert {*data.obsm, *data.obs} >= {"X_scVI", "scvi_library_size"}


def test_results_go_under_another_name_where_one_is_given(simulated, model):
    data = simulated.copy()
    annotate(data, model, batch_key="batch", key_added="run2")
    annotate(data, model, batch_key="batch")  # nothing replaced, so no warning, which would be an error here
    np.testing.assert_array_equal(data.obsm["X_run2"], data.obsm["X_scVI"])
    np.testing.assert_array_equal(data.obs["run2_library_size"], data.obs["scvi_library_size"])
    np.testing.assert_array_equal(data.layers["run2_normalized"], data.layers["scvi_normalized"])


def test_sparse_counts_stay_sparse_and_say_the_same(simulated, model, monkeypatch):
    dense, sparse = simulated.copy(), simulated.copy()
    sparse.X = scipy.sparse.csr_matrix(sparse.X)
    sparse.layers["counts"] = sparse.X
    annotate(dense, model, batch_key="batch")
    monkeypatch.setattr(scipy.sparse.csr_matrix, "toarray", only(50, scipy.sparse.csr_matrix.toarray))
    monkeypatch.setattr(parts, "CHUNK", 50 * sparse.n_vars)
    for layer in (None, "counts"):
        annotate(sparse, model, layer=layer, batch_key="batch", key_added=str(layer))
        np.testing.assert_allclose(sparse.obsm[f"X_{layer}"], dense.obsm["X_scVI"], atol=1e-5)
        np.testing.assert_allclose(sparse.layers[f"{layer}_normalized"], dense.layers["scvi_normalized"], rtol=1e-4)


def only(most, toarray):
    """``toarray`` that refuses more than so many rows at once."""

    def checked(table, *arguments, **keys):
        assert table.shape[0] <= most, f"{table.shape[0]} rows made dense at once"
        return toarray(table, *arguments, **keys)

    return checked


def test_an_anndata_that_stays_in_its_file_is_refused_with_another_way(simulated, model, tmp_path):
    data = simulated.copy()
    data.write_h5ad(tmp_path / "simulated.h5ad")
    backed = anndata.read_h5ad(tmp_path / "simulated.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"data: expected an AnnData in memory.*cells_from_file\(path"):
        annotate(backed, model, batch_key="batch")
    backed.file.close()
    cells = cells_for(model, cells_from_file(tmp_path / "simulated.h5ad", batch_key="batch"))
    annotate(data, model, batch_key="batch")
    np.testing.assert_allclose(get_latent_representation(model, cells), data.obsm["X_scVI"], atol=1e-5)


def test_what_is_replaced_is_named(simulated, model):
    data = simulated.copy()
    data.obsm["X_scVI"] = np.zeros((data.n_obs, 2))
    with pytest.warns(UserWarning, match=r"key_added: found obsm\['X_scVI'\], now replaced; choose another name"):
        annotate(data, model, batch_key="batch")
    assert data.obsm["X_scVI"].shape == (data.n_obs, 10)
    with pytest.warns(UserWarning, match=r"obsm\['X_scVI'\], obs\['scvi_library_size'\], layers\['scvi_normalized'\]"):
        annotate(data, model, batch_key="batch")


def test_a_model_that_was_never_trained_annotates_with_a_warning(simulated, model):
    untrained = SCVI(model.genes, model.batches, library_prior=None)
    with pytest.warns(UserWarning, match="expected a trained one, found this SCVI with no epoch of fit"):
        annotate(simulated.copy(), untrained, batch_key="batch")


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"data": np.ones((3, 30))}, TypeError, "data: expected an AnnData to write into, found ndarray"),
        ({"model": VAE(30)}, TypeError, "to ask for annotate, found VAE, which lacks genes, batches, learns_library"),
        ({"model": SimplifiedSCVI(30)}, TypeError, "found SimplifiedSCVI, which lacks genes, batches, learns_library"),
        ({"model": Autoencoder(30)}, TypeError, "found Autoencoder, which lacks genes, batches, learns_library"),
        ({"model": SCVI}, TypeError, "model: expected a trained model, found the class SCVI"),
        ({"key_added": ""}, TypeError, "key_added: expected a name, found ''"),
        ({"key_added": 2}, TypeError, "key_added: expected a name, found 2"),
    ],
)
def test_what_cannot_be_annotated_is_named(simulated, model, change, error, message):
    with pytest.raises(error, match=message):
        annotate(**({"data": simulated.copy(), "model": model, "batch_key": "batch"} | change))
