"""Six cohorts: patients stay on one side, nothing is chosen on held-out samples, scores are what brute force says."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdata

from course_lib.analysis.reconstruction import pca_variance_explained
from course_lib.data.tumours import RTCGA_SHA256
from course_lib.experiments import cohorts

COLUMNS = ["seed", "n_train", "method", "n_latent", "held_out", "train", "cohort", "normals", "tumours"]
COLUMNS += ["n_normals", "n_tumours", "lr", "epochs"]


@pytest.fixture
def samples():
    """50 patients: 20 of cohort A with a tumour and a normal sample each, 30 of cohort B with a tumour."""
    rng = np.random.default_rng(0)
    cohort = np.array(["A"] * 40 + ["B"] * 30)
    normal = np.array([False] * 20 + [True] * 20 + [False] * 30)
    patient = np.array([f"p{i:02}" for i in (*range(20), *range(20), *range(20, 50))])
    x = rng.normal(5, 1, (70, 12)) + 2 * (cohort == "B")[:, None] * (np.arange(12) < 6) - 3 * normal[:, None]
    return cohorts.Samples(x.astype(np.float32), cohort, normal, patient)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(cohorts, "HIDDEN", (16, 8))
    monkeypatch.setattr(cohorts, "N_LATENT", 4)
    monkeypatch.setattr(cohorts, "PCA_SIZES", (2, 4))


def test_five_seeds_hold_out_every_sample_once_and_never_a_patient_who_is_learned_from(samples):
    splits = [cohorts.split(samples, seed) for seed in range(5)]
    np.testing.assert_array_equal(np.sort(np.concatenate([held_out for _, held_out in splits])), np.arange(70))
    for order, held_out in splits:
        assert sorted([*order, *held_out]) == list(range(70))
        assert not set(samples.patient[order]) & set(samples.patient[held_out])
    assert not np.array_equal(cohorts.split(samples, 5)[1], splits[0][1])  # the next five are other folds


def test_learning_rate_and_length_have_the_lowest_loss_on_patients_who_are_not_learned_from(samples, monkeypatch):
    train, _ = cohorts.split(samples, 0)
    samples.x[:, 0] = [int(name[1:]) for name in samples.patient]  # gene 0 says whose sample it is
    losses = {cohorts.LRS[0]: [3.0, 2.0, 2.5], cohorts.LRS[1]: [4.0, 3.0, 1.0]}
    seen = []

    def fit(model, cells, *, validation, lr, **settings):
        seen.append([{round(float(v)) for v in part.x[:, 0] - cells.x[:, 0].min()} for part in (cells, validation)])
        assert len(cells) + len(validation) == len(train)
        return pd.DataFrame({"validation_loss": losses[lr]}, index=[1, 2, 3])

    monkeypatch.setattr(cohorts, "fit", fit)
    assert cohorts.choose(samples, train, 0.1, cohorts.LRS, seed=0, max_steps=3) == (cohorts.LRS[1], 3)
    assert len(seen) == len(cohorts.LRS)
    for learned, validated in seen:
        assert not learned & validated


def test_held_out_samples_change_neither_what_is_chosen_nor_what_is_learned(samples, small):
    order, held_out = cohorts.split(samples, 1)
    before = cohorts.run_size(samples, order[:40], held_out, 1, no_dropout=True, max_steps=3)
    samples.x[held_out] += np.linspace(-4, 9, 12, dtype=np.float32)
    after = cohorts.run_size(samples, order[:40], held_out, 1, no_dropout=True, max_steps=3)
    same = ["method", "n_latent", "train", "lr", "epochs"]
    pd.testing.assert_frame_equal(before[same], after[same])
    assert (before["held_out"] != after["held_out"]).all()


def test_scores_are_those_of_the_nearest_training_sample(samples):
    train, held_out = cohorts.split(samples, 2)
    codes = np.random.default_rng(1).standard_normal((70, 3))
    nearest = {i: min(train, key=lambda j, i=i: np.linalg.norm(codes[i] - codes[j])) for i in held_out}
    kin = [samples.cohort[i] == samples.cohort[j] for i, j in nearest.items()]
    normals = [samples.normal[j] for i, j in nearest.items() if samples.normal[i]]
    tumours = [not samples.normal[j] for i, j in nearest.items() if not samples.normal[i] and samples.cohort[i] == "A"]
    expected = {"cohort": np.mean(kin), "normals": np.mean(normals), "tumours": np.mean(tumours)}
    expected |= {"n_normals": len(normals), "n_tumours": len(tumours)}
    assert cohorts.scores(samples, train, held_out, codes) == pytest.approx(expected)


def test_pca_explains_what_it_explains_elsewhere_and_with_all_components_the_nearest_is_that_of_all_genes(
    samples, small
):
    order, held_out = cohorts.split(samples, 0)
    train = order[:10]  # fewer than genes
    rows = cohorts.run_size(samples, train, held_out, 0, max_steps=1)
    pca = rows[rows["method"] == "pca"].set_index("n_latent")
    assert pca.index.tolist() == [2, 4, 9]
    for k in pca.index:
        expected = pca_variance_explained(samples.x[train], samples.x[held_out], k)
        assert pca.loc[k, "held_out"] == pytest.approx(expected, abs=1e-5)
    assert pca.loc[9, "train"] == pytest.approx(1)
    in_genes = cohorts.scores(samples, train, held_out, samples.x)
    assert pca.loc[9, list(in_genes)].to_dict() == pytest.approx(in_genes)


def test_one_seed_runs_small_and_dropout_is_left_out_at_the_largest_size_only(samples, small):
    rows = cohorts.run_seed(samples, 3, sizes=(8, 40), max_steps=2)
    assert list(rows.columns) == COLUMNS
    assert rows.groupby("n_train")["method"].nunique().to_dict() == {8: 3, 40: 4}
    assert rows.loc[rows["method"] == "geneex_no_dropout", "n_train"].tolist() == [40]
    trained = rows[rows["method"].str.startswith("geneex")]
    assert trained["epochs"].notna().all()
    assert trained["lr"].nunique() == 1  # chosen once


def test_more_samples_than_there_are_and_originals_that_are_nowhere_are_refused(samples, monkeypatch):
    with pytest.raises(ValueError, match="sizes: expected at most 5"):
        cohorts.run_seed(samples, 0, sizes=(10, 69))
    monkeypatch.delenv("COURSE_ORIGINALS", raising=False)
    with pytest.raises(ValueError, match="COURSE_ORIGINALS: expected a folder"):
        cohorts.originals()


def test_epochs_are_as_many_as_the_steps_take():
    assert [cohorts.n_epochs(n, 80) for n in (32, 40, 41, 240)] == [80, 80, 40, 14]


def test_files_become_logarithms_with_cohort_tissue_and_patient(tmp_path):
    for place, name in enumerate(RTCGA_SHA256):
        barcodes = [f"TCGA-OR-A5J{place}-01A-11R-A29S-07", f"TCGA-OR-A5J{place}-11A-11R-A29S-07"]
        frame = pd.DataFrame({"bcr_patient_barcode": barcodes, "?|1": [0.0, 1.0], "TP53|7157": [3.0, float(place)]})
        rdata.write_rda(tmp_path / f"{name}.rnaseq.rda", {f"{name}.rnaseq": frame})
    samples = cohorts.read(tmp_path)
    np.testing.assert_allclose(samples.x[:2], np.log([[1, 4], [2, 1]]), rtol=1e-6)
    assert samples.cohort.tolist() == [name for name in RTCGA_SHA256 for _ in range(2)]
    assert samples.normal.tolist() == [False, True] * 6
    assert samples.patient[:3].tolist() == ["TCGA-OR-A5J0", "TCGA-OR-A5J0", "TCGA-OR-A5J1"]
    assert samples.kind[:2].tolist() == ["ACC", "ACC normal"]
    assert samples.rival_tumours.tolist() == [True, False] * 6


@pytest.mark.slow
def test_the_original_files_hold_thirteen_normal_samples_and_nine_patients_twice():
    if "COURSE_ORIGINALS" not in os.environ:
        pytest.skip("the environment variable COURSE_ORIGINALS names no folder with the original files")
    samples = cohorts.read(Path(os.environ["COURSE_ORIGINALS"]))
    assert samples.x.shape == (317, 20_531)
    assert dict(zip(*np.unique(samples.cohort[samples.normal], return_counts=True), strict=True)) == {
        "CHOL": 9,
        "STAD": 4,
    }
    assert len(np.unique(samples.patient)) == 308
    for seed in range(5):
        order, held_out = cohorts.split(samples, seed)
        assert len(order) >= max(cohorts.SIZES)
        assert samples.normal[held_out].any()
        assert samples.normal[order[: min(cohorts.SIZES)]].any()


def test_the_table_is_whole_and_holds_nothing_of_single_samples(table, made):
    assert list(table.columns) == COLUMNS
    assert (table.groupby(["seed", "n_train", "method", "n_latent"]).size() == 1).all()
    assert sorted(table["n_train"].unique()) == made["sizes"]
    assert sorted(table["seed"].unique()) == made["seeds"]
    assert sum(made["n_samples"].values()) == 317
    assert set(table["lr"].dropna()) <= set(made["lrs"])
    once = table.drop_duplicates(["seed", "n_train"])  # every normal sample is held out in one of five seeds
    if made["seeds"] == [0, 1, 2, 3, 4]:
        assert once.groupby("n_train")["n_normals"].sum().eq(13).all()
    assert table[["held_out", "train"]].max(axis=None) <= 1 + 1e-6
    assert table[["cohort", "normals", "tumours"]].stack().between(0, 1).all()
