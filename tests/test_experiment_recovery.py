"""The committed table of what scVI recovers of a simulated truth, and that its script measures what it says."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from course_lib.data.cells import cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.experiments import recovery
from course_lib.models.scvi import SCVI


@pytest.fixture(scope="module")
def data():
    return simulate(400, 130, log_library_means=(7.6, 8.2), seed=1)


def by_seed(table, quantity, model):
    """One value for each seed, in order."""
    return table[(table["quantity"] == quantity) & (table["model"] == model)].sort_values("seed")["value"].to_numpy()


def test_the_table_is_whole(table, made):
    assert list(table.columns) == ["seed", "quantity", "model", "value"]
    assert set(table["model"]) == {*recovery.MODELS, "data", "truth"}
    assert made["seeds"] == [0, 1, 2, 3, 4]
    assert all(sorted(rows["seed"]) == made["seeds"] for _, rows in table.groupby(["quantity", "model"]))
    assert np.isfinite(table["value"]).all()


def test_in_every_seed_the_model_finds_what_the_course_says_it_finds(table):
    assert (by_seed(table, "library_rmse", "zinb") < by_seed(table, "library_rmse_total", "data")).all()
    assert (by_seed(table, "library_correlation", "zinb") > 0.95).all()
    assert (by_seed(table, "theta_median_relative_error", "zinb") < 0.25).all()
    lost = by_seed(table, "dropout_auc_truth", "truth") - by_seed(table, "dropout_auc", "zinb")
    assert (lost < 0.05).all()
    assert (by_seed(table, "rho_batch_gap", "zinb") < 0.1 * by_seed(table, "rho_batch_gap_raw", "data")).all()


def test_a_model_without_dropout_calls_it_dispersion(table):
    assert (by_seed(table, "theta_median_ratio", "nb") < by_seed(table, "theta_median_ratio", "zinb")).all()


def test_one_seed_runs_small_and_gives_every_quantity_of_the_table(table):
    rows = recovery.run_seed(0, n_cells=150, n_genes=130, epochs=1)
    assert set(zip(rows["quantity"], rows["model"], strict=True)) == set(
        zip(table["quantity"], table["model"], strict=True)
    )
    assert np.isfinite(rows["value"]).all()


def test_a_shift_of_log_library_is_bias_and_not_error():
    truth, batch = np.array([1.0, 2.0, 4.0, 5.0]), np.array([0, 0, 1, 1])
    found = recovery.library_measures(truth + 3, truth, batch)
    assert found == pytest.approx(
        {"library_rmse": 0, "library_bias": 3, "library_correlation": 1, "library_correlation_within": 1}, abs=1e-12
    )
    crossed = recovery.library_measures(np.array([2.0, 1.0, 5.0, 4.0]), truth, batch)  # right batch, wrong order in it
    assert crossed["library_correlation"] == pytest.approx(0.8)
    assert crossed["library_correlation_within"] == pytest.approx(-1)
    assert crossed["library_rmse"] == pytest.approx(1)


def test_the_true_rho_makes_no_error(data):
    perfect = recovery.rho_measures(data.layers["rho_biology"], data)
    assert perfect["rho_median_relative_error"] == 0
    assert perfect["rho_type_correlation"] == pytest.approx(1)
    twice = recovery.rho_measures(2 * data.layers["rho_biology"], data)
    assert twice["rho_median_relative_error"] == 1


def test_the_batch_gap_is_the_factor_between_batches_in_doublings(data):
    factors = data.uns["truth"]["batch_log_factors"]  # (B, G)
    batch = data.obs["batch"].cat.codes.to_numpy()
    distorted = recovery.rho_measures(np.exp(factors[batch]), data)  # nothing but the batch
    assert distorted["rho_batch_gap"] == pytest.approx(np.median(np.abs(factors[0] - factors[1])) / np.log(2))
    assert recovery.rho_measures(data.layers["rho"], data)["rho_batch_gap"] > 0.3


def test_the_true_posterior_probability_ranks_dropout_better_than_the_true_pi_does(data):
    found = recovery.truth_measures(data)
    assert 0.5 < found["dropout_auc_pi_truth"] < found["dropout_auc_truth"] < 1
    assert found["zi_mean_truth"] == pytest.approx(data.layers["dropped"].mean(), abs=0.01)


def test_dropout_is_scored_among_the_zeros_alone(data):
    dropped = torch.from_numpy(data.layers["dropped"])
    zero = torch.from_numpy(np.asarray(data.X) == 0)
    assert recovery.dropout_auc(dropped.double(), data) == 1
    misled = torch.where(zero, dropped.double(), 2.0)  # whatever is said of counts above zero
    assert recovery.dropout_auc(misled, data) == 1
    assert recovery.dropout_auc(-dropped.double(), data) == 0


def test_an_observed_library_is_the_total(data):
    cells = cells_from_counts(data, batch_key="batch")
    scvi = SCVI(cells.genes, cells.batches, library_prior=None)
    found, total = recovery.model_measures(scvi, cells, data), recovery.data_measures(cells, data)
    assert found["library_rmse"] == total["library_rmse_total"]
    error = np.log(np.asarray(data.X).sum(1)) - np.log(data.obs["library"])
    assert found["library_rmse"] == pytest.approx(error.std(ddof=0), rel=1e-5)


def test_calibration_counts_zeros_alone_in_tenths_of_their_forecast():
    data = AnnData(np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 0.0]]))
    data.layers["dropped"] = np.array([[True, False, False], [True, False, True]])
    forecast = np.array([[0.61, 0.63, 0.99], [0.65, 0.05, 0.07]])
    found, share = recovery.dropout_calibration(forecast, data)
    np.testing.assert_allclose(found, [0.06, 0.63])
    np.testing.assert_allclose(share, [1 / 2, 2 / 3])
