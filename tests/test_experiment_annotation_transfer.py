"""One run names another: who is labelled, what is hidden from the methods, and the committed table is whole."""

import importlib.util

import numpy as np
import pytest

from course_lib.analysis.antibodies import AMBIGUOUS, BLOOD_GATES
from course_lib.data.marker_labels import BLOOD_MARKERS, UNASSIGNED, marker_genes
from course_lib.experiments import annotation_transfer, label_methods

METHODS = {*label_methods.METHODS, "scanvi_no_batch"}
MEASURES = {
    "accuracy", "balanced_accuracy", "calibration_error", "log_likelihood", "rare_recall", "own_accuracy", "cpu_s",
}  # fmt: skip


def test_the_pairs_types_come_from_antibodies_and_one_run_is_labelled():
    data, types, source = annotation_transfer.pair()
    assert set(types) == {*BLOOD_GATES, AMBIGUOUS}
    assert source.sum() == 200
    assert (data.obs["batch"][source] == "5k").all()


def test_the_genes_that_named_kangs_cells_are_hidden_from_the_methods():
    data, types, source = annotation_transfer.kang()
    assert not set(data.var_names) & set(marker_genes(BLOOD_MARKERS))
    assert data.n_vars == annotation_transfer.N_GENES
    assert (data.obs["condition"][source] == "CTRL").all()
    assert (data.obs["condition"][~source] == "STIM").all()
    assert UNASSIGNED in set(types)


@pytest.mark.skipif(importlib.util.find_spec("scvi") is None, reason="scvi-tools: pip install -e '.[test,peer]'")
@pytest.mark.slow
def test_one_seed_runs_small_and_the_named_cells_labels_teach_nothing(monkeypatch):
    monkeypatch.setattr(label_methods, "SCVI_EPOCHS", 2)
    monkeypatch.setattr(label_methods, "SCANVI_EPOCHS", 2)
    given = []
    real = label_methods.label_all

    def spy(data, types, kept, *rest):
        given.append((types, kept, data.obs["batch"].to_numpy()))
        return real(data, types, kept, *rest)

    monkeypatch.setattr(annotation_transfer, "label_all", spy)
    rows = annotation_transfer.run_seed("pair", 0, peer_epochs=1)
    assert set(zip(rows["method"], rows["measure"], strict=True)) == {(m, k) for m in METHODS for k in MEASURES}
    assert np.isfinite(rows["value"]).all()
    for types, kept, run in given:
        assert set(run[kept]) == {"5k"}
        assert AMBIGUOUS not in set(types[kept])


def test_the_table_is_whole(table, made):
    assert list(table.columns) == ["seed", "data", "method", "measure", "value"]
    assert made["seeds"] == sorted(set(table["seed"])) == [0, 1, 2, 3, 4]
    for _, rows in table.groupby(["seed", "data"]):
        assert set(zip(rows["method"], rows["measure"], strict=True)) == {(m, k) for m in METHODS for k in MEASURES}
        assert len(rows) == len(METHODS) * len(MEASURES)
    assert set(zip(table["seed"], table["data"], strict=True)) == {
        (seed, name) for seed in made["seeds"] for name in annotation_transfer.TRANSFERS
    }
    assert made["cells"]["pair"]["named"][AMBIGUOUS] < 20


def test_under_interferon_every_latent_state_beats_components_in_every_seed_and_between_runs_they_are_near_the_best(
    table,
):
    accuracy = table[table["measure"] == "accuracy"].pivot(index=["data", "seed"], columns="method", values="value")
    others = accuracy.drop(columns=["lr_pcs", "lr_pcs_scaled"])
    assert (others.loc["kang"].min(axis=1) > accuracy.loc["kang", "lr_pcs"] + 0.05).all()
    assert (others.loc["kang"].min(axis=1) > accuracy.loc["kang", "lr_pcs_scaled"] + 0.05).all()
    assert accuracy.loc["pair", "lr_pcs"].mean() > others.loc["pair"].mean().max() - 0.03
