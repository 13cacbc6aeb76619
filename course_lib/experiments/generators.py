"""Which generator makes cells like real ones? AE and VAE on PBMC3k, scored against held-out cells, over several seeds.

    python -m course_lib.experiments.generators [--seeds 5] [--to data/results]

A seed decides everything that is random: which cells are held out, the weights, the minibatches and the draws. Every
generator makes as many cells as are held out. The table is ``generators.csv``, one row for each seed and generator:
``energy``, the energy distance to the held-out cells, and ``nearest``, the mean distance from a generated cell to the
nearest held-out one, both in units of log1p expression. ``generators.json`` says with what it was made.

Axes: N cells, G genes, L latent dimensions.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from course_lib.analysis.generation import energy_distance, nearest_neighbour_distance
from course_lib.analysis.latent import get_latent_representation
from course_lib.contexts import evaluating
from course_lib.data.cells import Cells
from course_lib.data.committed import load_pbmc3k
from course_lib.data.genes import most_variable
from course_lib.data.split import split_indices
from course_lib.experiments.data_sets import expression_and_types, with_log
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.vae import VAE
from course_lib.training import fit

N_GENES, N_LATENT, HIDDEN, SIGMA = 1_000, 10, (128,), 0.5  # SIGMA: where the fit of the decoder's σ starts
EPOCHS, LR, HELD_OUT = 40, 3e-3, 0.2

GENERATORS = {
    "real": "real cells (training)",
    "vae_draws": "VAE: z ~ N(0, I), x ~ p(x∣z)",
    "vae_means": "VAE: z ~ N(0, I), mean of p(x∣z)",
    "vae_gaussian_draws": "VAE: z ~ Gaussian fitted to codes, x ~ p(x∣z)",
    "ae_prior": "AE: z ~ N(0, I)",
    "ae_gaussian": "AE: z ~ Gaussian fitted to codes",
    "ae_gaussian_noise": "AE: the same, plus its residual noise",
    "mean_cell": "the mean cell, copied",
}


def log_expression(n_genes: int = N_GENES) -> tuple[Cells, np.ndarray]:
    """PBMC3k, unnamed cells included, as log1p of counts per 10,000, and the type of each cell.

    The genes are chosen on all cells, held-out ones included, by their counts alone; no model sees more than that.
    """
    data = with_log(load_pbmc3k())  # log1p of counts per 10,000 of all genes
    return expression_and_types(most_variable(data, n_genes))


def train(train_cells: Cells, seed: int, epochs: int = EPOCHS) -> tuple[VAE, Autoencoder]:
    """A VAE that fits its σ and an autoencoder of the same widths, both trained the same way."""
    torch.manual_seed(seed)
    vae = VAE(train_cells.n_genes, N_LATENT, HIDDEN, sigma=SIGMA, learn_sigma=True)
    ae = Autoencoder(train_cells.n_genes, N_LATENT, HIDDEN)
    for model in (vae, ae):
        fit(model, train_cells, epochs=epochs, lr=LR, seed=seed, progress=False)
    return vae, ae


def gaussian_fitted_to(codes: np.ndarray) -> torch.distributions.MultivariateNormal:
    """N(mean, covariance) of the codes, (N, L) to a distribution over (L,)."""
    codes64 = torch.from_numpy(codes.astype(np.float64))
    return torch.distributions.MultivariateNormal(codes64.mean(0).float(), codes64.T.cov().float())


def generate(vae: VAE, ae: Autoencoder, train_cells: Cells, n_cells: int, seed: int) -> dict[str, Tensor]:
    """``n_cells`` cells from every generator, each (n_cells, G), in the order of ``GENERATORS``."""
    torch.manual_seed(seed)
    ae_codes = gaussian_fitted_to(get_latent_representation(ae, train_cells))
    vae_codes = gaussian_fitted_to(get_latent_representation(vae, train_cells))
    with evaluating(vae), evaluating(ae):
        p = vae.decode(vae.prior.sample((n_cells,)))  # p(x∣z) at z ~ N(0, I)
        ae_cells = ae.decode(ae_codes.sample((n_cells,)))
        residual = (train_cells.x - ae(train_cells.x)).std(0)  # (G,) what the AE leaves over, gene by gene
        return {
            "real": train_cells.x[torch.randperm(len(train_cells))[:n_cells]],
            "vae_draws": p.sample(),
            "vae_means": p.mean,
            "vae_gaussian_draws": vae.decode(vae_codes.sample((n_cells,))).sample(),
            "ae_prior": ae.decode(torch.randn(n_cells, N_LATENT)),
            "ae_gaussian": ae_cells,
            "ae_gaussian_noise": ae_cells + residual * torch.randn_like(ae_cells),
            "mean_cell": train_cells.x.mean(0).expand(n_cells, -1),
        }


def score(generated: dict[str, Tensor], held_out: Cells) -> pd.DataFrame:
    """Index ``generator``; columns ``energy`` and ``nearest``, both against the held-out cells."""
    real = held_out.x.numpy()
    rows = {
        name: (energy_distance(x.numpy(), real), nearest_neighbour_distance(x.numpy(), real))
        for name, x in generated.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["energy", "nearest"]).rename_axis("generator")


def run_seed(cells: Cells, seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    """Split, train, generate and score with one seed."""
    train_index, test_index = split_indices(len(cells), (1 - HELD_OUT, HELD_OUT), seed=seed)
    train_cells, held_out = cells[train_index], cells[test_index]
    vae, ae = train(train_cells, seed, epochs)
    return score(generate(vae, ae, train_cells, len(held_out), seed), held_out)


def run(n_seeds: int, folder: Path) -> Path:
    """Write the table and its provenance; returns the table's path."""
    cells, _ = log_expression()
    tables = []
    for seed in range(n_seeds):
        tables.append(run_seed(cells, seed).reset_index().assign(seed=seed))
        print(f"seed {seed}\n{tables[-1].round(3).to_string(index=False)}", flush=True)
        table = pd.concat(tables)[["seed", "generator", "energy", "nearest"]]
        path = save(table, folder, "generators", provenance(seed + 1), float_format="%.4f")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the table was made."""
    return made_with("generators", "torch", "numpy", "scipy", "scikit-learn", "scanpy") | {
        "data": "PBMC3k, log1p of counts per 10,000",
        "seeds": list(range(n_seeds)),
        "settings": {
            "n_genes": N_GENES, "n_latent": N_LATENT, "hidden": list(HIDDEN), "sigma_start": SIGMA,
            "epochs": EPOCHS, "lr": LR, "batch_size": 128, "held_out": HELD_OUT,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("AE against VAE as generators; writes generators.csv and .json.", run, seeds=5)


if __name__ == "__main__":
    main()
