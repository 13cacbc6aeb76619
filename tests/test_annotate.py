"""Results land in the AnnData where scverse looks for them, all of them or none."""

import numpy as np
import pytest
import torch

from course_lib.analysis.annotate import annotate
from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.models.scvi import SCVI, log_library_moments


@pytest.fixture(scope="module")
def simulated():
    return simulate(120, 30, n_changed=2, log_library_means=(6.0, 6.5))


@pytest.fixture(scope="module")
def model(simulated):
    cells = cells_from_counts(simulated, batch_key="batch")
    torch.manual_seed(0)
    return SCVI(cells.genes, cells.batches, library_prior=log_library_moments(cells)).eval()


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
