"""Ways to name cells: scores by scikit-learn, and every method learns from the labels it is given and no others."""

import importlib.util

import numpy as np
import pytest
from anndata import AnnData
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from course_lib.data.scvi_process import simulate
from course_lib.experiments import label_methods
from course_lib.experiments.data_sets import with_log

peer = pytest.mark.skipif(
    importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
)
LABELS = ("a", "b", "c", "d")


@pytest.fixture
def forecast():
    """Probabilities of 300 cells of four types, of which d is the rarest; they are often right."""
    random = np.random.default_rng(0)
    types = random.choice(LABELS, size=300, p=[0.4, 0.3, 0.25, 0.05])
    table = random.dirichlet(np.ones(4), size=300)
    table[np.arange(300), [LABELS.index(name) for name in types]] += 0.6
    return table / table.sum(axis=1, keepdims=True), types


def test_scores_are_those_of_scikit_learn(forecast):
    table, types = forecast
    judged = np.arange(300) % 3 > 0
    found = label_methods.score(table, LABELS, types, judged)
    named = np.array(LABELS)[table.argmax(axis=1)]
    assert found["accuracy"] == pytest.approx(accuracy_score(types[judged], named[judged]))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(types[judged], named[judged]))
    assert found["log_likelihood"] == pytest.approx(-log_loss(types[judged], table[judged], labels=list(LABELS)))
    rare = judged & (types == "d")
    assert found["rare_recall"] == pytest.approx((named[rare] == "d").mean())
    assert 0 < found["calibration_error"] < 1


def test_a_true_label_held_for_impossible_costs_a_finite_amount(forecast):
    table, types = np.eye(4)[[0, 1]], np.array(["a", "c"])
    found = label_methods.score(table, LABELS, types, np.ones(2, dtype=bool))
    assert found["log_likelihood"] == pytest.approx(np.log(label_methods.LEAST_PROBABILITY) / 2)
    assert found["accuracy"] == found["balanced_accuracy"] == 0.5


def few_cells() -> tuple[AnnData, np.ndarray, np.ndarray]:
    data = with_log(simulate(300, 60, n_types=3, n_changed=8, fold=6.0, log_library_means=(6.0, 6.5), seed=1))
    types = data.obs["cell_type"].to_numpy(dtype=str)
    return data, types, np.arange(300) % 4 == 0


@peer
@pytest.mark.slow
def test_every_method_names_cells_and_looks_at_no_label_that_was_not_given(monkeypatch):
    monkeypatch.setattr(label_methods, "SCVI_EPOCHS", 15)
    monkeypatch.setattr(label_methods, "SCANVI_EPOCHS", 5)
    data, types, kept = few_cells()
    learned = label_methods.without_labels(data, "batch", seed=0, peer_epochs=3)
    found, labels = label_methods.label_all(data, types, kept, "batch", 0, learned)
    assert tuple(found) == label_methods.METHODS
    assert labels == ("type_0", "type_1", "type_2")
    for method, said in found.items():
        assert said.table.shape == (300, 3)
        np.testing.assert_allclose(said.table.sum(axis=1), 1, atol=1e-4)
        if method != "scvi_tools":  # three epochs of it are a test of the call alone
            assert label_methods.score(said.table, labels, types, ~kept)["accuracy"] > 0.6, method
        assert said.cpu_s > 0
    lies = np.where(kept, types, np.roll(types, 1))
    again, _ = label_methods.label_all(data, lies, kept, "batch", 0, learned)
    for method in label_methods.METHODS:
        np.testing.assert_allclose(again[method].table, found[method].table, atol=1e-4, err_msg=method)
