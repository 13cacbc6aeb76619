"""The committed table of generators, and the functions that made it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from course_lib.data.cells import cells_from_expression
from course_lib.experiments import generators


@pytest.fixture(scope="module")
def cells():
    """Two types of cell with noise of their own."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(2, 30)) * 2
    return cells_from_expression(centres[random.integers(0, 2, 300)] + random.normal(size=(300, 30)))


def test_the_table_holds_every_generator_for_five_seeds(table):
    assert list(table.columns) == ["seed", "generator", "energy", "nearest"]
    assert table["generator"].tolist() == [*generators.GENERATORS] * 5
    assert sorted(table["seed"].unique()) == [0, 1, 2, 3, 4]
    assert np.isfinite(table[["energy", "nearest"]]).all().all()
    assert (table["nearest"] > 0).all()


def test_the_provenance_is_that_of_the_script(table, made):
    today = generators.provenance(5)
    assert made["settings"] == today["settings"]
    assert made["seeds"] == sorted(table["seed"].unique())
    assert set(made["versions"]) >= {"python", "torch", "numpy"}


def test_vae_draws_lie_below_both_uses_of_the_autoencoder_in_every_seed(table):
    energy = table.pivot(index="seed", columns="generator", values="energy")
    assert (energy["vae_draws"] < energy[["ae_prior", "ae_gaussian"]].min(axis=1)).all()
    assert (energy.idxmin(axis=1) == "real").all()
    assert (energy.idxmax(axis=1) == "mean_cell").all()


def test_the_mean_cell_wins_the_nearest_neighbour_distance(table):
    nearest = table.pivot(index="seed", columns="generator", values="nearest")
    assert (nearest.idxmin(axis=1) == "mean_cell").all()


def test_one_seed_runs_small_and_repeats(cells):
    first, second = (generators.run_seed(cells, seed=1, epochs=2) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert list(first.index) == [*generators.GENERATORS]
    assert not first.equals(generators.run_seed(cells, seed=2, epochs=2))


def test_every_generator_makes_what_its_name_says(cells):
    vae, ae = generators.train(cells, seed=0, epochs=2)
    made = generators.generate(vae, ae, cells, 40, seed=0)
    assert {tuple(x.shape) for x in made.values()} == {(40, 30)}
    torch.testing.assert_close(made["mean_cell"], cells.x.mean(0).expand(40, -1))
    real = {tuple(row) for row in cells.x.tolist()}
    assert all(tuple(row) in real for row in made["real"].tolist())
    noise = made["ae_gaussian_noise"] - made["ae_gaussian"]
    expected = (cells.x - ae(cells.x)).std(0)
    torch.testing.assert_close(noise.std(0).mean(), expected.mean(), rtol=0.15, atol=0)
    sigma = vae.decoder.log_sigma.exp()
    torch.testing.assert_close((made["vae_draws"] - made["vae_means"]).std(0).mean(), sigma.mean(), rtol=0.15, atol=0)
    assert not made["vae_draws"].requires_grad


def test_the_fitted_gaussian_has_the_codes_moments():
    codes = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32) @ np.diag([1, 2, 3]).astype(np.float32)
    fitted = generators.gaussian_fitted_to(codes)
    np.testing.assert_allclose(fitted.mean, codes.mean(0), atol=1e-5)
    np.testing.assert_allclose(fitted.covariance_matrix, np.cov(codes.T), rtol=1e-4, atol=1e-4)


def test_the_expression_is_logged_counts_per_ten_thousand():
    cells, types = generators.log_expression(50)
    assert cells.x.shape == (2_700, 50)
    assert len(types) == 2_700
    assert "B cells" in types
    assert float(cells.x.min()) == 0
    assert float(cells.x.expm1().sum(1).max()) <= 1e4


def test_run_writes_the_table_and_its_provenance(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(generators, "log_expression", lambda: (cells, None))
    monkeypatch.setattr(generators, "EPOCHS", 1)
    small = generators.run_seed
    monkeypatch.setattr(generators, "run_seed", lambda cells, seed: small(cells, seed, epochs=1))
    path = generators.run(2, tmp_path)
    assert len(pd.read_csv(path)) == 2 * len(generators.GENERATORS)
    assert json.loads((tmp_path / "generators.json").read_text(encoding="utf-8"))["seeds"] == [0, 1]
