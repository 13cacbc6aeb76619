"""Differential expression where it is hard beside where it is easy, and beside rank tests with the same thresholds.

    python -m course_lib.experiments.de_contests [--seeds 10] [--data easy … hard thinned] [--to data/results]

``de_contests.csv``, one row per setting, seed, mode, over and measure; ``de_contests.json`` says with what it was made.
A seed decides the data, the split, the weights, the minibatches and the draws. Axes: N cells, G genes.

Settings. "easy" is the simulation of ``de_simulation``; "fold", "cells", "batches" and "zeros" each make one thing
harder, and "hard" all four: changes of 1.3 instead of twofold; forty cells in a group instead of 667; four of five
cells of one group from batch 0 and of the other from batch 1; nine counts in ten zero, as in droplets. Cells that a
setting takes from the two types compared are gone for everybody; those of the third type stay, and show what a batch
does.
"thinned", where nothing is to be found: PBMC3k's CD14+ monocytes in two halves, one thinned to 40 % of its molecules.

Modes, over "means" or "pairs" of one trained model: "change"; "change_own_batch", the same with
``batch_correction=False``; "vanilla". Over "cells", Wilcoxon's test on log1p of counts per 10,000, called at an
adjusted p below .05: "wilcoxon", as Scanpy runs it by default, and then one thing different each: "wilcoxon_ties"
(the variance that tied ranks have), "wilcoxon_depth" (the deeper group thinned to the other's depth before),
"wilcoxon_batches" (ranks within batches), "wilcoxon_size" (called only if the plain rates' ∣LFC∣, with change mode's c,
is above δ too); "wilcoxon_all" does all of it.

The truth is each way's own estimand on the true ρ, as in ``de_simulation``: a change of means beyond δ for change mode
and for Wilcoxon with a size, the fraction of pairs beyond δ over pairs, any difference of means for the rest. Measures:
``auc``, ``n_true``, ``n_called``, ``fdp``, ``power``, and ``pseudocount`` for change mode; for "thinned" ``n_called``,
and ``fraction_called``, all false. Where most genes lie below c, those that change by δ are the abundant ones, and
``auc`` rewards whoever ranks abundant genes first. So ``auc_any`` asks every way for the same genes, those whose means
differ at all: the simulator changes genes of any abundance.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from course_lib.analysis.differential_expression import default_pseudocount
from course_lib.analysis.groups import group_masks
from course_lib.analysis.rank_sum import rank_sum
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.scvi_process import simulate
from course_lib.experiments.data_sets import pbmc3k
from course_lib.experiments.de_simulation import (
    DELTA,
    FDR_TARGET,
    KEPT,
    N_PAIRS,
    N_SAMPLES,
    NULL_GENES,
    NULL_TYPE,
    SIMULATION,
    TINY,
    TRAINING,
    Over,
    auc,
    compare,
    halves_of_one_type,
    measures,
    train,
    true_change,
)
from course_lib.experiments.record import command_line, made_with, save

Groups = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # masks (N,) of the cells compared

SMALL_FOLD: dict[str, Any] = {"fold": 1.3}
DROPLETS: dict[str, Any] = {"log_library_means": (4.0, 4.6), "base_sd": 1.5, "dropout": 0.0}
# What is other than in the easy simulation, and how many cells of type 0 stay in batches 0 and 1; of type 1, 1 and 0.
SETTINGS: dict[str, tuple[dict[str, Any], tuple[int, int] | None]] = {
    "easy": ({}, None),
    "fold": (SMALL_FOLD, None),
    "cells": ({}, (20, 20)),
    "batches": ({}, (240, 60)),
    "zeros": (DROPLETS, None),
    "hard": (SMALL_FOLD | DROPLETS, (32, 8)),
}
# As long as scvi-tools trains so few cells by default, with the patience that it has where it stops early. 750 cells
# are some five steps an epoch: too few for the patience of five epochs that de_simulation has.
LONG: dict[str, Any] = {"epochs": 400, "patience": 45}
NULL = "thinned"
NOTHING = 1e-6  # of a log₂ fold change: what floating point leaves
ASKED: tuple[tuple[str, Over], ...] = (
    ("change", "means"),
    ("change", "pairs"),
    ("change_own_batch", "means"),
    ("vanilla", "means"),
    ("vanilla", "pairs"),
)
RANK_TESTS: dict[str, frozenset[str]] = {  # what each does that Scanpy's default does not
    "wilcoxon": frozenset(),
    "wilcoxon_ties": frozenset({"ties"}),
    "wilcoxon_depth": frozenset({"depth"}),
    "wilcoxon_batches": frozenset({"batches"}),
    "wilcoxon_size": frozenset({"size"}),
    "wilcoxon_all": frozenset({"ties", "depth", "batches", "size"}),
}


def draw(setting: str, seed: int, **smaller: Any) -> tuple[AnnData, Groups]:
    """Cells of one setting, those that it takes away left out, and the two types to compare."""
    changes, per_batch = SETTINGS[setting]
    data = simulate(**(SIMULATION | changes | smaller), seed=seed)
    if per_batch is not None:
        data = _few_cells(data, per_batch, np.random.default_rng([2, seed]))
    return data, group_masks(data.obs, "cell_type", "type_0", "type_1")


def _few_cells(data: AnnData, per_batch: tuple[int, int], rng: np.random.Generator) -> AnnData:
    """As many cells of type 0 from batches 0 and 1 as asked for, of type 1 the other way round; all other cells."""
    stays = (~data.obs["cell_type"].isin(["type_0", "type_1"])).to_numpy()
    for cell_type, numbers in (("type_0", per_batch), ("type_1", per_batch[::-1])):
        for batch, number in enumerate(numbers):
            of_both = (data.obs["cell_type"] == cell_type) & (data.obs["batch"] == f"batch_{batch}")
            stays[rng.choice(np.flatnonzero(of_both), number, replace=False)] = True
    return data[stays].copy()


def at_equal_depth(x: NDArray, groups: Groups, rng: np.random.Generator) -> NDArray[np.int64]:
    """Counts (N, G) with the deeper group's molecules kept at random, until both groups expect as many per cell."""
    x = np.asarray(x).astype(np.int64)
    depths = np.array([x[group].sum(1).mean() for group in groups])
    deeper = groups[int(depths.argmax())]
    x[deeper] = rng.binomial(x[deeper], depths.min() / depths.max())
    return x


def rank_tests(data: AnnData, groups: Groups, pseudocount: float, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each of ``RANK_TESTS``: its name, and a table with ``score`` and ``called``, a row per gene."""
    x = np.asarray(data.X, dtype=np.float64)
    thinned = at_equal_depth(x, groups, np.random.default_rng([3, seed]))
    rates = [(x[group] / x[group].sum(1, keepdims=True)).mean(0) for group in groups]
    change = np.abs(np.log2(rates[0] + pseudocount) - np.log2(rates[1] + pseudocount))
    batch = data.obs["batch"].to_numpy() if "batch" in data.obs else None
    for name, does in RANK_TESTS.items():
        table = rank_sum(
            _log(thinned if "depth" in does else x), *groups,
            strata=batch if "batches" in does else None, ties="ties" in does,
        )  # fmt: skip
        score, called = table["z"].abs(), table["p_adjusted"] < FDR_TARGET
        if "size" in does:  # those that did not change by δ rank behind all that did
            score, called = score + (change > DELTA) * (score.max() + 1), called & (change > DELTA)
        yield name, pd.DataFrame({"score": score, "called": called})


def _log(x: NDArray) -> NDArray[np.float64]:
    """log1p of counts per 10,000; a cell that thinning has emptied stays empty."""
    return np.log1p(1e4 * x / np.maximum(x.sum(1, keepdims=True), 1))


def answers(
    data: AnnData, cells: Cells, groups: Groups, seed: int
) -> Iterator[tuple[str, Over | str, bool, float, pd.DataFrame]]:
    """Every way to ask: mode, over, whether it asks for a size, the pseudocount c, and its table."""
    model, c = train(cells, seed, **LONG), default_pseudocount(cells)
    for mode, over in ASKED:
        name, corrected = mode.removesuffix("_own_batch"), not mode.endswith("_own_batch")
        table = compare(model, cells, *groups, name, over, seed, batch_correction=corrected)
        yield mode, over, name == "change", c, table
    for name, table in rank_tests(data, groups, c, seed):
        yield name, "cells", "size" in RANK_TESTS[name], c, table


def run_seed(setting: str, seed: int, **smaller: Any) -> pd.DataFrame:
    """Measures of every way to ask in one simulation: columns mode, over, measure, value."""
    data, groups = draw(setting, seed, **smaller)
    rho1, rho2 = (data.layers["rho_biology"][group] for group in groups)
    different = true_change(rho1, rho2, "means", TINY, NOTHING) > 0
    rows: list[tuple[str, str, str, float]] = []
    for mode, over, sized, c, table in answers(data, cells_from_counts(data, batch_key="batch"), groups, seed):
        least = (c, DELTA) if sized else (TINY, NOTHING)
        found = measures(table, true_change(rho1, rho2, "pairs" if over == "pairs" else "means", *least))
        found["auc_any"] = auc(different, table["score"])
        if mode.startswith("change"):
            found["pseudocount"] = c
        rows += [(mode, over, name, value) for name, value in found.items()]
    return pd.DataFrame(rows, columns=["mode", "over", "measure", "value"])


def null_seed(data: AnnData, cell_type: str, seed: int) -> pd.DataFrame:
    """What each way calls where nothing differs but depth: columns mode, over, measure, value."""
    halves, thinned, whole = halves_of_one_type(data, cell_type, seed)
    halves.obs = halves.obs[[]]  # one batch
    rows: list[tuple[str, str, str, float]] = []
    for mode, over, _, _, table in answers(halves, cells_from_counts(halves), (thinned, whole), seed):
        rows.append((mode, over, "n_called", float(table["called"].sum())))
        rows.append((mode, over, "fraction_called", float(table["called"].mean())))
    return pd.DataFrame(rows, columns=["mode", "over", "measure", "value"])


def run(n_seeds: int, folder: Path, data: Sequence[str] = (*SETTINGS, NULL)) -> Path:
    """Write the table and its provenance, setting by setting; returns the table's path."""
    tables: list[pd.DataFrame] = []
    for setting in data:
        for seed in range(n_seeds):
            table = null_seed(pbmc3k(NULL_GENES), NULL_TYPE, seed) if setting == NULL else run_seed(setting, seed)
            table.insert(0, "setting", setting)
            table.insert(1, "seed", seed)
            tables.append(table)
            shown = table[table["measure"].isin(["auc", "n_called", "fdp", "power"])]
            print(shown.pivot(index=["setting", "seed", "mode", "over"], columns="measure", values="value").to_string())
            path = save(pd.concat(tables), folder, "de_contests", provenance(n_seeds, data))
    return path


def provenance(n_seeds: int, data: Sequence[str]) -> dict[str, object]:
    """With what the table was made."""
    settings = {name: SETTINGS[name][0] | {"cells_per_batch": SETTINGS[name][1]} for name in data if name != NULL}
    return made_with("de_contests", "torch", "numpy", "scipy", "scikit-learn", "scanpy", "anndata") | {
        "data": "simulated from the full scVI process; PBMC3k for the null",
        "seeds": list(range(n_seeds)),
        "settings": {
            "simulation": SIMULATION, "harder": settings, "training": TRAINING | LONG, "gene_likelihood": "zinb",
            "delta": DELTA, "fdr_target": FDR_TARGET, "n_samples": N_SAMPLES, "n_pairs": N_PAIRS,
            "null_type": NULL_TYPE, "null_genes": NULL_GENES, "molecules_kept": KEPT,
        },
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line(
        "Differential expression where it is hard, beside rank tests; writes de_contests.csv and .json.",
        run, seeds=10, data=(*SETTINGS, NULL),
    )  # fmt: skip


if __name__ == "__main__":
    main()
