"""How much of white noise comes back through 32 numbers? The lecture's deep autoencoder and a linear one, over seeds.

    python -m course_lib.experiments.white_noise [--seeds 5] [--to data/results]

A seed decides everything that is random: the noise, the weights and the minibatches. The 2,000 features are
independent, so a linear map to 32 numbers explains 32/2000 of the variance of new rows. The table is
``white_noise.csv``, one row for each seed, setting and epoch: ``train``, the fraction of the variance of the training
rows explained (averaged while the epoch runs), and ``held_out``, the same for rows that training never saw, after the
epoch. ``white_noise.json`` says with what it was made.

Axes: N rows, G features, L latent dimensions.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from course_lib.data.cells import cells_from_expression
from course_lib.data.toys import white_noise
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.linear import TiedLinearAutoencoder
from course_lib.training.fit import fit

N_FEATURES, HIDDEN, N_LATENT, N_HELD_OUT, BATCH_SIZE = 2_000, (512, 256), 32, 1_000, 128
SETTINGS: dict[str, dict[str, float]] = {
    "deep": {"n_train": 4_000, "lr": 1e-3, "epochs": 10},
    "deep_slow": {"n_train": 4_000, "lr": 1e-4, "epochs": 20},
    "deep_more_rows": {"n_train": 16_000, "lr": 1e-3, "epochs": 8},
    "linear": {"n_train": 4_000, "lr": 1e-3, "epochs": 10},
}


def explained_per_epoch(setting: str, seed: int, **changes: float) -> pd.DataFrame:
    """Train one model on white noise; what it explains after each epoch.

    Parameters
    ----------
    setting : a key of ``SETTINGS``.   seed : of the rows, the weights and the minibatches.
    changes : entries of the setting to replace, such as ``epochs=3`` for a short run.

    Returns
    -------
    One row for each epoch, columns ``setting, seed, epoch, train, held_out``; the last two are at most 1, and
    negative where the model forecasts worse than the training rows' mean.
    """
    if setting not in SETTINGS:
        raise ValueError(f"setting: expected one of {list(SETTINGS)}, found {setting!r}.")
    chosen = SETTINGS[setting] | changes
    n_train = int(chosen["n_train"])
    rows = white_noise(n_train + N_HELD_OUT, N_FEATURES, seed)  # (N, G)
    train, held_out = rows[:n_train], rows[n_train:]
    torch.manual_seed(seed)
    model: TiedLinearAutoencoder | Autoencoder
    if setting == "linear":
        model = TiedLinearAutoencoder(N_FEATURES, N_LATENT)
    else:
        model = Autoencoder(N_FEATURES, N_LATENT, HIDDEN)
    history = fit(
        model,
        cells_from_expression(train),
        validation=cells_from_expression(held_out),
        epochs=int(chosen["epochs"]),
        lr=chosen["lr"],
        batch_size=BATCH_SIZE,
        seed=seed,
        progress=False,
    )
    table = pd.DataFrame({"setting": setting, "seed": seed, "epoch": history.index})
    for column, loss, x in (("train", "train_loss", train), ("held_out", "validation_loss", held_out)):
        table[column] = 1 - history[loss].to_numpy() / np.square(x - train.mean(0)).mean()
    return table


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    tables = []
    for seed in range(n_seeds):
        for setting in SETTINGS:
            tables.append(explained_per_epoch(setting, seed))
            last = tables[-1].iloc[-1]
            print(f"seed {seed}, {setting}: train {last.train:.4f}, held out {last.held_out:.4f}", flush=True)
        path = save(pd.concat(tables), folder, "white_noise", provenance(seed + 1), float_format="%.5f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("white_noise", "torch", "numpy") | {
        "data": "white noise, N(0, 1)",
        "seeds": list(range(n_seeds)),
        "settings": SETTINGS,
        "n_features": N_FEATURES,
        "n_latent": N_LATENT,
        "hidden": list(HIDDEN),
        "n_held_out": N_HELD_OUT,
        "batch_size": BATCH_SIZE,
    }


def main() -> None:
    """The command line."""
    command_line("White noise through 32 numbers; writes white_noise.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
