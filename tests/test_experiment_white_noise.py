"""White noise through 32 numbers: the run measures what it says, and the committed table holds the notebook's claim."""

import numpy as np
import pandas as pd
import pytest
import torch

from course_lib.data.toys import white_noise
from course_lib.experiments.white_noise import N_FEATURES, N_HELD_OUT, N_LATENT, SETTINGS, explained_per_epoch

COLUMNS = ["setting", "seed", "epoch", "train", "held_out"]


def test_the_committed_table_holds_every_epoch_of_every_setting_and_seed(table, made):
    assert list(table.columns) == COLUMNS
    assert made["settings"] == SETTINGS
    expected = [(s, seed, e + 1) for seed in made["seeds"] for s in SETTINGS for e in range(int(SETTINGS[s]["epochs"]))]
    assert list(table[COLUMNS[:3]].itertuples(index=False, name=None)) == expected
    assert len(made["seeds"]) >= 3
    assert {"torch", "numpy", "python"} <= set(made["versions"])


def test_no_deep_network_exceeds_what_a_linear_map_explains(table):
    share = N_LATENT / N_FEATURES
    assert table.loc[table["setting"] != "linear", "held_out"].max() < share
    last = table[(table["setting"] == "linear") & (table["epoch"] == SETTINGS["linear"]["epochs"])]
    assert (last["held_out"] - share).abs().max() < 0.002
    assert table.loc[table["setting"] == "deep", "train"].max() > 2 * share  # it remembers the rows it trains on


def test_a_short_run_scores_the_trained_network_on_rows_it_did_not_train_on():
    run = explained_per_epoch("linear", seed=7, n_train=300, epochs=2)
    assert list(run.columns) == COLUMNS
    assert run["epoch"].tolist() == [1, 2]
    assert run["train"].iloc[-1] > run["held_out"].iloc[-1]
    again = explained_per_epoch("linear", seed=7, n_train=300, epochs=2)
    pd.testing.assert_frame_equal(run, again)


def test_without_learning_the_score_is_that_of_the_untrained_weights():
    """At a vanishing learning rate x′ = x W Wᵀ with the weights drawn from the seed: computed here in NumPy."""
    run = explained_per_epoch("linear", seed=3, n_train=200, epochs=1, lr=1e-12)
    rows = white_noise(200 + N_HELD_OUT, N_FEATURES, seed=3).astype(np.float64)
    train, held_out = rows[:200], rows[200:]
    torch.manual_seed(3)
    w = (torch.randn(N_FEATURES, N_LATENT) / N_FEATURES**0.5).double().numpy()
    expected = 1 - np.square(held_out - held_out @ w @ w.T).sum() / np.square(held_out - train.mean(0)).sum()
    assert run["held_out"].item() == pytest.approx(expected, abs=1e-5)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match=r"setting: expected one of .*, found 'shallow'"):
        explained_per_epoch("shallow", seed=0)
