"""The committed tables of GENEEX on eighty tumours: aggregates only; and that the script still makes such rows."""

import numpy as np
import pandas as pd
import pytest

from course_lib.experiments import geneex_tumours
from course_lib.experiments.record import RESULTS
from course_lib.models.geneex import training_memory

SUMMARY = ["split", "pca_2", "pca_10", "pca_all", "site_pca", "site_untrained", "site_geneex"]


@pytest.fixture(scope="module")
def summary():
    return pd.read_csv(RESULTS / "geneex_tumours_summary.csv")


def test_the_tables_hold_one_row_for_each_split_and_epoch_and_nothing_of_single_samples(table, summary, made):
    assert list(table.columns) == ["split", "epoch", "train", "held_out"]
    assert list(summary.columns) == [*SUMMARY, "predicted_bytes", "measured_bytes"]
    assert summary["split"].tolist() == made["splits"]
    assert table.groupby("split").size().tolist() == [made["epochs"] + 1] * len(made["splits"])


def test_the_prediction_of_memory_was_made_from_the_width_alone_and_was_met(summary, made):
    predicted = training_memory(made["n_genes"], made["n_latent"], made["hidden"], made["batch_size"]).total
    np.testing.assert_allclose(summary["predicted_bytes"], predicted, rtol=1e-4)
    assert (abs(summary["predicted_bytes"] / summary["measured_bytes"] - 1) < 0.1).all()


def test_one_split_runs_small():
    counts = np.random.default_rng(0).poisson(5.0, (40, 30))
    site = np.repeat(["breast", "lung"], 20)
    counts[site == "lung", :10] *= 4
    result = geneex_tumours.run_split(counts, site, seed=0, epochs=2)
    assert [row["epoch"] for row in result["epochs"]] == [0, 1, 2]
    assert list(result["summary"]) == [*SUMMARY, "predicted_bytes", "measured_bytes"]
    assert result["summary"]["pca_2"] > 0.1
    assert result["summary"]["site_pca"] == 1.0
