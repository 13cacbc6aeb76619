"""The committed table of GENEEX beside PCA on blood cells, and that its script still makes such rows."""

import numpy as np

from course_lib.experiments import geneex_pbmc3k

COLUMNS = ["seed", "n_latent", "method", "held_out", "knn"]


def test_the_table_is_whole(table, made):
    assert list(table.columns) == COLUMNS
    assert (table.groupby(["seed", "n_latent", "method"]).size() == 1).all()
    assert len(table) == len(made["seeds"]) * len(made["latent_sizes"]) * 3
    assert set(table["method"]) == {"pca", "untrained", "geneex"}
    assert table["held_out"].max() < 1
    assert table["knn"].between(0, 1).all()


def test_one_run_gives_three_methods_and_pca_beats_an_untrained_network():
    rng = np.random.default_rng(0)
    label = np.repeat(["a", "b"], 60)
    x = rng.standard_normal((120, 40)).astype(np.float32) + 3 * (label == "b")[:, None]
    rows = geneex_pbmc3k.run_latent_size(x, label, n_latent=2, seed=0, epochs=1).set_index("method")
    assert sorted(rows.index) == ["geneex", "pca", "untrained"]
    assert rows.loc["pca", "held_out"] > 0.5 > rows.loc["untrained", "held_out"]
    assert rows.loc["pca", "knn"] == 1.0


def test_the_training_cells_are_centred_and_the_split_is_disjoint():
    x = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32) + 5
    cells, train, held_out = geneex_pbmc3k.split_and_centre(x, seed=3)
    assert float(cells.x[train].mean(0).abs().max()) < 1e-5
    assert sorted([*train, *held_out]) == list(range(50))
