"""The committed table of the two starts of the library's head, and the functions that made it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from small import same_weights, three_types, weights_of

from course_lib.contexts import evaluating
from course_lib.experiments import cortex, library_start
from course_lib.experiments.record import RESULTS
from course_lib.models.scvi import log_library_moments

SHORT = {"one cycle": {"epochs": 2, "lr": 1e-2, "one_cycle": True}, "constant": {"epochs": 2, "lr": 1e-3}}


@pytest.fixture(scope="module")
def small():
    return three_types()


def test_the_starts_differ_in_where_the_head_begins_and_in_nothing_else(small):
    cells, _ = small
    zero, prior = (library_start.build(cells, 0, start) for start in ("zero", "prior"))
    expected = log_library_moments(cells)
    with evaluating(zero), evaluating(prior):
        at_zero, at_prior = (model.encode_library(cells.x) for model in (zero, prior))
    assert abs(at_zero.mean.mean()) < 1  # one molecule a cell, give or take
    assert abs(at_prior.mean.mean() - expected.mean) < 1
    torch.testing.assert_close(at_prior.mean - at_zero.mean, expected.mean.expand(len(cells), 1), atol=1e-4, rtol=0)
    for model in (zero, prior):
        with torch.no_grad():
            model.library_encoder.to_mu.bias.zero_()
            model.library_encoder.to_log_variance.bias.zero_()
    assert same_weights(weights_of(zero), weights_of(prior))


def test_one_seed_has_each_way_from_each_start_and_is_the_same_twice(small):
    cells, types = small
    table, again = (library_start.run_seed(cells, types, seed=3, ways=SHORT) for _ in range(2))
    assert list(table.columns) == library_start.COLUMNS
    expected = [(way, start) for way in SHORT for start in library_start.STARTS]
    assert list(table[["way", "start"]].itertuples(index=False, name=None)) == expected
    pd.testing.assert_frame_equal(table, again)
    total = table["reconstruction"] + table["kl_z"] + table["kl_library"]
    np.testing.assert_allclose(table["elbo"], total, rtol=1e-5)


def test_one_command_writes_table_and_provenance(small, tmp_path, monkeypatch):
    cells, types = small
    monkeypatch.setattr(library_start, "counts_and_types", lambda data: (cells, types))
    monkeypatch.setattr(library_start, "cortex_counts", lambda n_genes: None)
    monkeypatch.setattr(library_start, "WAYS", SHORT)
    path = library_start.run(2, tmp_path)
    assert pd.read_csv(path)["seed"].tolist() == [0] * 4 + [1] * 4
    made = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert made["seeds"] == [0, 1]
    assert made["ways"] == SHORT


# The table ------------------------------------------------------------------------------------------------------------


def test_the_table_has_five_seeds_as_the_script_says(table, made):
    expected = [(s, w, start) for s in range(5) for w in library_start.WAYS for start in library_start.STARTS]
    assert list(table[["seed", "way", "start"]].itertuples(index=False, name=None)) == expected
    assert made["ways"] == library_start.WAYS
    assert made["settings"] == library_start.provenance(5)["settings"]
    assert np.isfinite(table.drop(columns=["way", "start"])).all().all()


def test_the_start_at_the_prior_by_one_cycle_is_experiment_cortex_again(table):
    """Two scripts, one model: what differs is the machine's last digits."""
    ours = table[(table["way"] == "one cycle") & (table["start"] == "prior")].set_index("seed")
    theirs = pd.read_csv(RESULTS / "cortex.csv").query("method == 'scvi'").set_index("seed")
    np.testing.assert_allclose(ours["elbo"], theirs["elbo"], rtol=2e-3)
    assert library_start.WAYS["one cycle"]["lr"] == cortex.LR


def test_no_length_of_training_makes_up_for_the_start_at_zero(table):
    wide = table.pivot(index=["way", "seed"], columns="start", values="elbo")
    assert (wide["zero"] - wide["prior"] > 50).all()
    recipe = wide["prior"].unstack("way")
    assert (recipe["constant"] - recipe["one cycle"]).abs().max() < 15
