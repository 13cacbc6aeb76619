"""How many latent dimensions, how many clusters? Asked of counts alone: by the bound, and by what comes back.

    python -m course_lib.experiments.latent_number [--seeds 5] [--to data/results]

scVI (negative binomial, observed library) on cortex, on PBMC3k, and on ``one_cloud``: the cells of PBMC3k with their
totals, but every molecule drawn from the mean profile of all cells, so that there is nothing to find.

A seed decides the split (90 % to learn from, 10 % held out), weights, minibatches, the halves and the cuts. All cells
are embedded by posterior means and cut by Leiden. Training is as in the experiment ``clustering``, where it was chosen
with ten dimensions, and the same for every size. Labels stand in the tables to be looked at: none chose anything.

``latent_number.csv`` has one row for each data set, seed and number of dimensions:

- ``elbo`` and its terms, ``iwae``: nats per held-out cell, −ELBO with ``cortex.DRAWS`` draws and −log p(x) as bounded
  by ``IWAE_DRAWS``; lower is better;
- ``active``: dimensions whose KL, mean over the held-out cells, is above ``ACTIVE`` nats;
- ``n_clusters`` at γ = ``RESOLUTION``; ``agreement``: ARI of this cut with those of the other seeds, their mean;
- ``ari``: of this cut with the labels; ``kmeans_ari``: of k-means with as many clusters as labels.

``latent_number_cuts.csv`` has one row for each data set, seed and resolution, all with ``N_LATENT`` dimensions:

- ``n_clusters``, ``ari`` (no labels: empty) of the cut, and ``seeds``, its mean ARI with those of the other seeds;
- ``halves``: each molecule of each cell goes to one of two tables, either with probability ½ (Batson et al. 2019,
  https://doi.org/10.1101/786269; Neufeld et al. 2022, https://doi.org/10.1093/biostatistics/kxac047). A model and a cut
  for each table, with the same seed; their ARI.

Axes: N cells, G genes, L latent dimensions, S seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from course_lib.analysis.clustering import kmeans_ari, knn_graph, leiden
from course_lib.analysis.information import bits_per_dimension
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import get_marginal_ll
from course_lib.data.cells import Cells
from course_lib.data.split import split_indices
from course_lib.experiments.clustering import N_NEIGHBORS, SCVI_DECAY, SCVI_EPS, SCVI_TRAINING
from course_lib.experiments.cortex import DRAWS, held_out_bound
from course_lib.experiments.data_sets import cortex, counts_and_types, pbmc3k
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, start_at_profile
from course_lib.training import fit

SIZES, N_LATENT = (2, 5, 10, 20, 40), 10
RESOLUTIONS, RESOLUTION = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0), 1.0
HELD_OUT, IWAE_DRAWS, ACTIVE = 0.1, 50, 0.1  # ACTIVE: nats, as in notebook 04
Cuts = dict[float, NDArray[np.str_]]  # resolution → (N,) clusters


@dataclass(frozen=True)
class Counted:
    """Cells, the names that nothing here learns from or chooses by, and how long to train."""

    cells: Cells
    labels: NDArray[np.str_] | None  # (N,)
    training: Mapping[str, float]


def counted(data: AnnData, training: Mapping[str, float]) -> Counted:
    """The table as the model sees it, and its labels."""
    return Counted(*counts_and_types(data), training)


def one_cloud(data: Counted, seed: int = 0) -> Counted:
    """As many molecules in each cell, all drawn from one profile, the mean one: no types, no labels."""
    x = data.cells.x.double().numpy()
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(x.sum(1).astype(int), x.sum(0) / x.sum())  # (N, G)
    return replace(data, cells=replace(data.cells, x=torch.from_numpy(drawn).float()), labels=None)


DATA: dict[str, Callable[[], Counted]] = {
    "cortex": lambda: counted(cortex(), SCVI_TRAINING["cortex"]),
    "pbmc3k": lambda: counted(pbmc3k(), SCVI_TRAINING["pbmc3k"]),
    "one_cloud": lambda: one_cloud(counted(pbmc3k(), SCVI_TRAINING["pbmc3k"])),
}


def halves_of_molecules(cells: Cells, seed: int) -> tuple[Cells, Cells]:
    """Each molecule of each cell goes to the one table or to the other: two measurements of the same cells.

    If x is Poisson with rate λ, the halves are independent Poisson counts with rate λ/2. What they share is λ: all that
    made this cell's expression what it was, the chance in it included.
    """
    x = cells.x.numpy().astype(np.int64)
    first = np.random.default_rng(seed).binomial(x, 0.5)  # (N, G)
    one, other = (torch.from_numpy(part).float() for part in (first, x - first))
    return replace(cells, x=one), replace(cells, x=other)


def train(cells: Cells, n_latent: int, training: Mapping[str, float], seed: int) -> SCVI:
    """scVI with an observed library and no zero inflation: the model of notebook 05."""
    torch.manual_seed(seed)
    model = SCVI(cells.genes, library_prior=None, gene_likelihood="nb", n_latent=n_latent)
    start_at_profile(model.decoder, cells)
    fit(
        model, cells, epochs=int(training["epochs"]), lr=training["lr"], one_cycle=True, eps=SCVI_EPS,
        weight_decay=SCVI_DECAY, seed=seed, progress=False,
    )  # fmt: skip
    return model


def cut(codes: NDArray[np.floating], resolutions: Sequence[float], seed: int) -> Cuts:
    """Leiden's clusters of codes (N, L) at each resolution, on one graph."""
    graph = AnnData(obsm={"codes": codes}, shape=(len(codes), 0))
    knn_graph(graph, "codes", N_NEIGHBORS, seed)
    found = {}
    for gamma in resolutions:
        leiden(graph, gamma, seed=seed)
        found[gamma] = graph.obs["leiden"].to_numpy(dtype=str)
    return found


def held_out(model: SCVI, cells: Cells) -> dict[str, float]:
    """What the counts of cells that taught nothing say about a model."""
    bound = held_out_bound(model, cells)
    nats = bits_per_dimension(model, cells).mean(axis=0) * np.log(2)  # (L,)
    return {name: bound[name] for name in ("elbo", "reconstruction", "kl_z")} | {
        "iwae": -float(get_marginal_ll(model, cells, IWAE_DRAWS).mean()),
        "active": int((nats > ACTIVE).sum()),
    }


def agreement(cuts: Sequence[NDArray[np.str_]]) -> list[float]:
    """For each of S cuts of the same cells the mean ARI with the others; NaN if there are none."""
    pairs = np.array([[adjusted_rand_score(one, other) for other in cuts] for one in cuts])  # (S, S), ones across
    return [float(np.delete(row, place).mean()) if len(row) > 1 else float("nan") for place, row in enumerate(pairs)]


def one_size(data: Counted, n_latent: int, seed: int) -> tuple[dict[str, float], Cuts]:
    """Learn from nine tenths of the cells: a row of the first table without agreement, and the cuts of all cells."""
    inside, outside = split_indices(len(data.cells), (1 - HELD_OUT, HELD_OUT), seed)
    model = train(data.cells[inside], n_latent, data.training, seed)
    codes = get_latent_representation(model, data.cells)
    cuts = cut(codes, RESOLUTIONS if n_latent == N_LATENT else [RESOLUTION], seed)
    row = held_out(model, data.cells[outside]) | {"n_clusters": len(np.unique(cuts[RESOLUTION]))}
    if data.labels is not None:
        row["ari"] = float(adjusted_rand_score(data.labels, cuts[RESOLUTION]))
        row["kmeans_ari"] = kmeans_ari(codes, data.labels, seed)
    return row, cuts


def cuts_of_halves(data: Counted, seed: int) -> tuple[Cuts, Cuts]:
    """A model and its cuts for each half of the molecules of all cells."""
    one, other = (
        cut(get_latent_representation(train(part, N_LATENT, data.training, seed), part), RESOLUTIONS, seed)
        for part in halves_of_molecules(data.cells, seed)
    )
    return one, other


def rows_of_cuts(data: Counted, whole: Cuts, halves: tuple[Cuts, Cuts]) -> list[dict[str, float]]:
    """The second table for one seed, without the agreement between seeds."""
    return [
        {
            "resolution": gamma,
            "n_clusters": len(np.unique(found)),
            "halves": float(adjusted_rand_score(halves[0][gamma], halves[1][gamma])),
            "ari": float("nan") if data.labels is None else float(adjusted_rand_score(data.labels, found)),
        }
        for gamma, found in whole.items()
    ]


def run(n_seeds: int, folder: Path) -> Path:
    """Write both tables and their provenance after every seed; returns the path of the first."""
    everything = {name: load() for name, load in DATA.items()}
    rows: list[dict[str, object]] = []
    rows_cut: list[dict[str, object]] = []
    cuts: dict[tuple[str, int], list[Cuts]] = {}  # data and size → for each seed
    for seed in range(n_seeds):
        for name, data in everything.items():
            for n_latent in [N_LATENT] if data.labels is None else SIZES:
                row, found = one_size(data, n_latent, seed)
                cuts.setdefault((name, n_latent), []).append(found)
                rows.append({"data": name, "seed": seed, "n_latent": n_latent, **row})
                print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False), flush=True)
            seen = rows_of_cuts(data, cuts[name, N_LATENT][seed], cuts_of_halves(data, seed))
            rows_cut += [{"data": name, "seed": seed, **row} for row in seen]
        path = save(with_agreement(rows, cuts), folder, "latent_number", provenance(seed + 1), float_format="%.4f")
        save(cuts_with_agreement(rows_cut, cuts), folder, "latent_number_cuts", float_format="%.4f")
    return path


def with_agreement(rows: list[dict[str, object]], cuts: Mapping[tuple[str, int], list[Cuts]]) -> pd.DataFrame:
    """The first table, sorted, with the column ``agreement``."""
    between = {key: agreement([found[RESOLUTION] for found in of_seeds]) for key, of_seeds in cuts.items()}
    table = pd.DataFrame(rows)
    table["agreement"] = [between[r.data, r.n_latent][r.seed] for r in table.itertuples()]
    return table.sort_values(["data", "seed", "n_latent"], kind="stable")


def cuts_with_agreement(rows: list[dict[str, object]], cuts: Mapping[tuple[str, int], list[Cuts]]) -> pd.DataFrame:
    """The second table, sorted, with the column ``seeds``."""
    between = {
        (name, gamma): agreement([found[gamma] for found in of_seeds])
        for (name, n_latent), of_seeds in cuts.items()
        if n_latent == N_LATENT
        for gamma in RESOLUTIONS
    }
    table = pd.DataFrame(rows)
    table["seeds"] = [between[r.data, r.resolution][r.seed] for r in table.itertuples()]
    return table.sort_values(["data", "seed", "resolution"], kind="stable")


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the tables were made."""
    return made_with("latent_number", "torch", "numpy", "scikit-learn", "scanpy", "igraph") | {
        "data": "cortex (558 genes of largest spread), PBMC3k (named cells, 2,000 most variable genes), one cloud",
        "seeds": list(range(n_seeds)),
        "settings": {
            "sizes": list(SIZES), "n_latent_of_cuts": N_LATENT, "resolutions": list(RESOLUTIONS),
            "resolution_of_sizes": RESOLUTION, "hidden": [128], "gene_likelihood": "nb", "library": "observed",
            "start": "ρ at the mean profile", "one_cycle": SCVI_TRAINING, "eps": SCVI_EPS, "weight_decay": SCVI_DECAY,
            "batch_size": 128, "held_out": HELD_OUT, "draws": DRAWS, "iwae_draws": IWAE_DRAWS, "active": ACTIVE,
            "n_neighbors": N_NEIGHBORS,
        },
        "chosen_on": "training: as in the experiment clustering, at ten dimensions; no label was looked at",
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Latent dimensions and resolutions, by bound and by stability; writes two tables.", run, seeds=5)


if __name__ == "__main__":
    main()
