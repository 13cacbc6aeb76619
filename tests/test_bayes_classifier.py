"""The ceiling of a simulation: by hand, by calibration, and nobody passes it."""

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression

from course_lib.analysis.bayes_classifier import type_probabilities
from course_lib.analysis.calibration import calibration_error, reliability
from course_lib.data.scvi_process import simulate


def accuracy(probabilities, data) -> float:
    return float((probabilities.argmax(axis=1) == data.obs["cell_type"].cat.codes).mean())


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_it_is_bayes_rule_with_scipys_negative_binomial(dropout):
    data = simulate(20, 12, n_types=3, n_changed=2, log_library_means=(3.0, 4.0), dropout=dropout, seed=1)
    truth, found = data.uns["truth"], type_probabilities(data)
    for n in range(len(data)):
        x, pi = np.asarray(data.X[n], dtype=float), data.layers["zi_probs"][n]
        s, theta = data.obs["batch"].cat.codes.iloc[n], data.var["theta"].to_numpy()
        joint = []
        for rho in truth["rho_types"] * np.exp(truth["batch_log_factors"][s]):
            mu = data.obs["library"].iloc[n] * rho / rho.sum()
            joint.append(np.prod(pi * (x == 0) + (1 - pi) * scipy.stats.nbinom(theta, theta / (theta + mu)).pmf(x)))
        np.testing.assert_allclose(found[n], np.array(joint) / np.sum(joint), rtol=1e-6, atol=1e-12)


def test_the_true_profile_is_the_one_that_the_simulator_used():
    data = simulate(60, 20, n_types=2, n_changed=4, batch_sd=0.8, seed=2)
    truth, types = data.uns["truth"], data.obs["cell_type"].cat.codes.to_numpy()
    rho = truth["rho_types"][types] * np.exp(truth["batch_log_factors"][data.obs["batch"].cat.codes])
    np.testing.assert_allclose(rho / rho.sum(axis=1, keepdims=True), data.layers["rho"])


def test_it_is_calibrated_and_a_regression_on_the_same_cells_stays_below():
    settings = {"n_genes": 60, "n_types": 4, "n_changed": 6, "fold": 2.0, "log_library_means": (4.5, 5.0)}
    data = simulate(6_000, **settings, seed=0)
    found = type_probabilities(data)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    names = tuple(data.obs["cell_type"].cat.categories)
    bins = reliability(found, data.obs["cell_type"].to_numpy(), names)
    assert calibration_error(bins) < 0.02
    ceiling = accuracy(found, data)
    assert ceiling == pytest.approx(found.max(axis=1).mean(), abs=0.02)  # what it expects of itself
    assert 0.4 < ceiling < 0.97
    log = np.log1p(np.asarray(data.X, dtype=float) / np.asarray(data.X).sum(1, keepdims=True) * 1e4)
    train = np.arange(len(data)) < 4_000
    types = data.obs["cell_type"].to_numpy()
    other = LogisticRegression(max_iter=500, C=0.1).fit(log[train], types[train]).score(log[~train], types[~train])
    assert other < accuracy(found[~train], data[~train])


def test_without_a_difference_between_types_it_knows_nothing():
    data = simulate(40, 12, n_types=3, n_changed=0, seed=0)
    np.testing.assert_allclose(type_probabilities(data), 1 / 3)


def test_data_without_truth_are_refused():
    data = simulate(20, 12, n_types=2, n_changed=2)
    del data.uns["truth"], data.layers["zi_probs"]
    with pytest.raises(ValueError, match=r"simulated: expected the truth beside the counts, found no zi_probs, truth"):
        type_probabilities(data)
