"""Reliability and its expected error: by hand, and of forecasters whose calibration is known."""

import numpy as np
import pytest

from course_lib.analysis.calibration import calibration_error, reliability

LABELS = ("a", "b")


def test_bins_confidence_accuracy_and_error_are_those_worked_out_by_hand():
    probabilities = [[0.95, 0.05], [0.91, 0.09], [0.2, 0.8], [0.75, 0.25], [0.45, 0.55]]
    truth = ["a", "b", "b", "a", "a"]
    bins = reliability(probabilities, truth, LABELS, n_bins=5)
    np.testing.assert_allclose(bins["lower"], [0.4, 0.6, 0.8])
    np.testing.assert_allclose(bins["upper"], [0.6, 0.8, 1.0])
    assert bins["n"].tolist() == [1, 2, 2]
    np.testing.assert_allclose(bins["confidence"], [0.55, 0.775, 0.93])  # 0.8 itself is in the bin that ends there
    np.testing.assert_allclose(bins["accuracy"], [0, 1, 0.5])
    assert calibration_error(bins) == pytest.approx((0.55 + 2 * 0.225 + 2 * 0.43) / 5)


@pytest.mark.parametrize("sharpness, over", [(1.0, 0.0), (3.0, 0.05)])
def test_who_draws_the_truth_from_the_forecast_is_calibrated_and_who_sharpens_it_is_not(sharpness, over):
    random = np.random.default_rng(0)
    forecast = random.dirichlet(np.ones(4), size=200_000)
    truth = np.array(list("abcd"))[(forecast.cumsum(axis=1) < random.random((len(forecast), 1))).sum(axis=1)]
    said = forecast**sharpness / (forecast**sharpness).sum(axis=1, keepdims=True)
    bins = reliability(said, truth, tuple("abcd"))
    error = calibration_error(bins)
    if over == 0:
        standard = np.sqrt(bins["accuracy"] * (1 - bins["accuracy"]) / bins["n"])
        assert ((bins["accuracy"] - bins["confidence"]).abs() < 5 * standard + 1e-9).all()
        assert error < 0.01
    else:
        assert error > over
        assert (bins["confidence"] > bins["accuracy"]).all()


def test_a_type_without_column_is_never_right_and_a_sure_forecast_is_in_the_last_bin():
    bins = reliability([[1.0, 0.0], [1.0, 0.0]], ["a", "stranger"], LABELS)
    assert bins["accuracy"].tolist() == [0.5]
    assert bins["upper"].tolist() == [1.0]
    assert calibration_error(bins) == 0.5


GOOD = [[0.5, 0.5], [0.9, 0.1]]


@pytest.mark.parametrize(
    "probabilities, truth, labels, n_bins, error, message",
    [
        ([[0.5, 0.6]], ["a"], LABELS, 10, ValueError, r"rows sum to one, found row 0 with sum 1\.1"),
        ([[3.0, -2.0]], ["a"], LABELS, 10, ValueError, "logits want a softmax first"),
        ([[np.nan, 1.0]], ["a"], LABELS, 10, ValueError, "probabilities: expected finite"),
        ([["x", "y"]], ["a"], LABELS, 10, TypeError, "probabilities: expected numbers"),
        (GOOD, ["a"], LABELS, 10, ValueError, "truth: expected one for each of the 2 cells"),
        (GOOD, ["a", None], LABELS, 10, ValueError, "truth: expected one for each cell, found none for 1"),
        (GOOD, ["a", "b"], ("a", "b", "c"), 10, ValueError, "labels: expected one for each of the 2 columns"),
        (GOOD, ["a", "b"], "ab", 10, TypeError, "labels: expected a sequence"),
        (GOOD, ["a", "b"], LABELS, 0, ValueError, "n_bins: expected"),
    ],
)
def test_bad_input_is_refused_by_name(probabilities, truth, labels, n_bins, error, message):
    with pytest.raises(error, match=message):
        reliability(probabilities, truth, labels, n_bins)
