"""The toy's committed table, and that its script still makes such rows."""

import numpy as np
import pytest

from course_lib.experiments import geneex_toy

COLUMNS = ["setting", "seed", "epoch", "held_out", "ari", "ari_pca", "pca_held_out", "pca_ari"]


def test_the_table_is_whole(table, made):
    assert list(table.columns) == COLUMNS
    assert made["settings"] == geneex_toy.SETTINGS
    assert made["seeds"] == [0, 1, 2, 3, 4]
    for name, setting in geneex_toy.SETTINGS.items():
        rows = table[table["setting"] == name]
        assert sorted(rows["seed"].unique()) == made["seeds"]
        assert (rows.groupby("seed")["epoch"].max() == setting["epochs"]).all()
    assert table["held_out"].max() <= 1
    assert table[["ari", "ari_pca", "pca_ari"]].max().max() <= 1


def test_training_finds_the_programs_that_random_weights_do_not(table):
    for name in ("latent_128", "latent_2"):
        rows = table[table["setting"] == name]
        last = rows[rows["epoch"] == rows["epoch"].max()]
        assert rows.loc[rows["epoch"] == 0, ["ari", "ari_pca"]].max().max() < 0.5
        assert last[["ari", "ari_pca"]].min().min() > 0.99
        assert (last["held_out"] >= 0.9 * last["pca_held_out"]).all()
    threefold = table[table["setting"] == "threefold_untrained"]
    assert threefold[["ari", "ari_pca"]].min().min() > 0.9


def test_one_seed_runs_small():
    rows = geneex_toy.run_setting("latent_2", seed=0, n_cells=120, epochs=1)
    assert list(rows.columns) == COLUMNS
    assert rows["epoch"].tolist() == [0, 1]
    assert np.isfinite(rows.drop(columns="setting").to_numpy(dtype=float)).all()


def test_the_toy_is_centred_on_its_training_cells():
    data = geneex_toy.toy(fold=1.5, target_sum=1000, seed=0, n_cells=200, n_genes=30)
    assert float(data.train.x.mean(0).abs().max()) < 1e-5 < float(data.held_out.x.mean(0).abs().max())
    assert len(data.program) == len(data.held_out) == 40
    assert set(data.program) == {"A", "B", "C"}


def test_an_unknown_setting_is_named():
    with pytest.raises(ValueError, match="setting: expected one of"):
        geneex_toy.run_setting("latent_3", seed=0)


def test_an_oracle_explains_what_the_programs_do_and_more_with_the_library_size():
    data = geneex_toy.toy(fold=1.5, target_sum=1000, seed=0, n_cells=6000, n_genes=1000)
    truth = data.held_out_truth["program"]
    means = data.train.x.numpy()
    profile = {name: means[data.train_truth["program"] == name].mean(0) for name in "ABC"}
    by_hand = np.stack([profile[name] for name in truth])
    x = data.held_out.x.numpy()
    expected = 1 - ((x - by_hand) ** 2).sum() / (x**2).sum()
    np.testing.assert_allclose(geneex_toy.oracle(data, depth=False), expected, rtol=1e-4)
    assert geneex_toy.oracle(data, depth=True) > geneex_toy.oracle(data, depth=False)


def test_library_size_is_read_from_codes_that_hold_it_and_not_from_noise():
    data = geneex_toy.toy(fold=1.5, target_sum=1000, seed=0, n_cells=1500, n_genes=30)
    library = np.log(data.held_out_truth[["library"]].to_numpy())
    noise = np.random.default_rng(0).standard_normal((len(library), 2))
    assert geneex_toy.library_read_from(np.hstack([3 - 2 * library, noise]), data) > 0.999
    assert geneex_toy.library_read_from(noise, data) < 0.1
