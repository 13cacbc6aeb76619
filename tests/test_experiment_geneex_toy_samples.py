"""The toy by number of cells: what is compared is nested and centred, and passing on noise is counted as that."""

import numpy as np
import pytest
import torch

from course_lib.analysis.reconstruction import pca_variance_explained
from course_lib.experiments import geneex_toy_samples as samples
from course_lib.experiments.geneex_toy import oracle, toy
from course_lib.models.geneex import GENEEX

COLUMNS = ["n_cells", "method", "n_latent", "held_out", "noise", "ari", "depth", "epochs", "steps"]


@pytest.fixture(scope="module")
def whole():
    return toy(1.5, 1000, seed=0, n_cells=900, n_genes=60)  # 720 to train on


def test_a_smaller_training_set_is_in_the_larger_both_are_centred_and_validation_is_apart(whole):
    small, validation, small_mean = samples.first_cells(whole, 100)
    large, _, large_mean = samples.first_cells(whole, 420)
    assert float(small.train.x.mean(0).abs().max()) < 1e-5 < float(small.held_out.x.mean(0).abs().max())
    np.testing.assert_allclose(small.train.x + small_mean, (large.train.x + large_mean)[:100], atol=1e-5)
    np.testing.assert_allclose(small.held_out.x + small_mean, whole.held_out.x, atol=1e-5)
    known = {tuple(row) for row in whole.train.x[:420].numpy().round(3).tolist()}
    assert not known & {tuple(row) for row in (validation.x + small_mean).numpy().round(3).tolist()}
    assert (small.train_truth["library"].to_numpy() == whole.train_truth["library"].to_numpy()[:100]).all()


@pytest.mark.parametrize("n_cells", [1, 421])
def test_training_cells_that_would_be_validation_cells_are_refused(whole, n_cells):
    with pytest.raises(ValueError, match="n_cells: expected from 2 to 420"):
        samples.first_cells(whole, n_cells)


def test_a_projection_passes_on_its_share_of_white_noise_and_an_oracle_none():
    rng = np.random.default_rng(0)
    expected, noise = rng.normal(size=(4000, 50)), rng.normal(size=(4000, 50))
    axes = np.linalg.qr(rng.normal(size=(50, 10)))[0]
    x = expected + noise
    assert samples.noise_passed_on(x, expected + noise @ axes @ axes.T, expected) == pytest.approx(10 / 50, abs=0.01)
    assert samples.noise_passed_on(x, expected, expected) == 0
    assert samples.noise_passed_on(x, x, expected) == pytest.approx(1)


def test_training_ends_at_the_lowest_validation_loss(whole):
    data, validation, _ = samples.first_cells(whole, 200)  # two minibatches
    torch.manual_seed(0)
    model = GENEEX(60, 4, hidden=(16,))
    epochs, steps = samples.converge(model, data.train, validation, seed=0, max_steps=9)
    assert 1 <= epochs <= 5
    assert steps == 2 * epochs


def test_one_size_runs_small_and_what_needs_no_training_agrees_with_what_computes_it_elsewhere(whole):
    rows = samples.run_size(whole, 40, seed=0, latent_sizes=(2,), max_steps=1)
    assert list(rows.columns) == COLUMNS
    assert rows["method"].tolist() == ["oracle", "oracle_depth", *["pca"] * 3, "untrained", *samples.DROPOUT]
    pca = rows[rows["method"] == "pca"].set_index("n_latent")
    assert pca.index.tolist() == [2, 3, 39]  # forty cells span no more
    x, held_out = whole.train.x.numpy()[:40], whole.held_out.x.numpy()
    for k in (2, 3, 39):
        assert pca.loc[k, "held_out"] == pytest.approx(pca_variance_explained(x, held_out, k), abs=1e-4)
    assert pca["noise"].is_monotonic_increasing
    large = samples.run_size(whole, 420, seed=0, latent_sizes=(), max_steps=1).set_index("method")
    for name, depth in (("oracle", False), ("oracle_depth", True)):
        assert large.loc[name, "held_out"] == pytest.approx(oracle(whole, depth), abs=0.01)
    assert large.loc["oracle_depth", "noise"] == 0


def test_the_table_is_whole(table, made):
    assert list(table.columns) == ["seed", *COLUMNS]
    assert sorted(table["seed"].unique()) == made["seeds"]
    trained = table[table["method"].isin(made["dropout"])]
    assert len(trained) == len(made["seeds"]) * len(made["sizes"]) * len(made["latent_sizes"]) * 2
    assert trained["steps"].max() <= made["max_steps"] + made["batch_size"]
    assert table["held_out"].max() < 1


def test_depth_is_the_third_component_and_not_in_the_first_two(table):
    pca = table[(table["method"] == "pca") & (table["n_cells"] == table["n_cells"].max())].set_index("n_latent")
    assert pca.loc[2, "depth"].max() < 0.1
    assert pca.loc[3, "depth"].min() > 0.5
