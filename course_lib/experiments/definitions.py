"""Where scvi-tools defines something else than the course: one row each, with a number by either definition.

    table = differing_definitions(model, group1, group2)        # model: a trained scvi.model.SCVI

Needs the extra `peer`. Both programs hold the same weights (``peers.from_scvi_tools``), so whatever differs is the
definition. Their defaults are read from the signatures of the version that is installed, and every number is computed
from the model given.

Axes: N cells, G genes, L latent dimensions.
"""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import nn

from course_lib.analysis.bayes_decision import STRONG
from course_lib.analysis.differential_expression import default_pseudocount, differential_expression
from course_lib.analysis.gate import cells_for
from course_lib.analysis.groups import group_positions
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import get_normalized_expression
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells, log_total
from course_lib.data.columns import ONLY_BATCH
from course_lib.models.scvi import SCVI
from course_lib.peers.quiet import quiet
from course_lib.peers.scvi_tools import from_scvi_tools

COLUMNS = ["what", "scvi_tools", "course", "measured", "by_theirs", "by_ours"]
N_LOGARITHMS = 500  # cells whose logarithms are compared, in double precision


def differing_definitions(theirs: Any, group1: ArrayLike, group2: ArrayLike, seed: int = 0) -> pd.DataFrame:
    """What the two programs mean by the same words, on one trained model and two groups of its cells.

    Parameters
    ----------
    theirs : a trained ``scvi.model.SCVI`` that ``from_scvi_tools`` takes.
    group1, group2 : masks (N,) or positions of the cells that differential expression compares.
    seed : of all draws; the caller's random numbers are not touched.

    Returns
    -------
    One row for each definition. ``what`` it is about; how ``scvi_tools`` and the ``course`` have it; what was
    ``measured``; its value ``by_theirs`` and ``by_ours``.

    Raises
    ------
    TypeError, ValueError : as ``from_scvi_tools``, and as ``differential_expression`` of the groups.
    """
    ours = from_scvi_tools(theirs)
    batch_key = None if ours.batches == (ONLY_BATCH,) else theirs.registry["setup_args"]["batch_key"]
    cells = cells_for(ours, theirs.adata, layer=theirs.registry["setup_args"]["layer"], batch_key=batch_key)
    first, second = group_positions(group1, group2, len(cells))
    with numbered(seed):  # models that are built and loaders draw numbers too
        rows = [
            *of_training(theirs, cells),
            *of_expression(theirs, ours, cells, seed),
            *of_differential_expression(theirs, ours, cells, first, second, seed),
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


Row = tuple[str, str, str, str, float, float]


def of_training(theirs: Any, cells: Cells) -> list[Row]:
    """What ``train`` does unless it is told otherwise."""
    from scvi.train import TrainingPlan

    move, my_move = momentum_of(theirs.module), momentum_of(SCVI(cells.genes[:2], library_prior=None))
    epochs, warmup = len(theirs.history["elbo_train"]), default_of(TrainingPlan, "n_epochs_kl_warmup")
    idle = sum(part.numel() for part in theirs.module.l_encoder.parameters())
    return [
        (
            "cells learned from", "nine tenths, if train_size is not given", "all that are given to fit",
            "cells", len(theirs.train_indices), len(cells),
        ),
        (
            "KL warm-up", f"over {warmup} epochs, however many there are", "none, if kl_warmup is not given",
            f"weight of the KL in epoch {epochs}", min((epochs - 1) / warmup, 1.0), 1.0,  # theirs count from 0
        ),
        (
            "running averages of BatchNorm", f"move by {move:g} a step", f"move by {my_move:g}",
            "steps until half of the old is forgotten", half_life(move), half_life(my_move),
        ),
        (
            "library size", f"use_observed_lib_size={default_of(type(theirs), 'use_observed_lib_size')}",
            "library_prior has to be said", "parameters of an encoder of ℓ where ℓ is observed", idle, 0,
        ),
    ]  # fmt: skip


def of_expression(theirs: Any, ours: SCVI, cells: Cells, seed: int) -> list[Row]:
    """What ``get_normalized_expression`` returns, and what stands inside of logarithms."""
    with numbered(seed):
        calls = [theirs.get_normalized_expression(return_numpy=True) for _ in range(2)]
    mine = [get_normalized_expression(ours, cells, seed=seed + call) for call in range(2)]
    return [
        (
            "normalised expression", "ρ at one draw of z", "ρ at the mean of q(z∣x)",
            "two calls differ by, median, per cent", 100 * apart(*calls), 100 * apart(*mine),
        ),
        (
            "logarithms", "of μ + 1e-8 and θ + 1e-8", "of μ and θ",
            "log p(x∣z) of a count moved by, at most, nats", logarithms_moved(theirs, ours, cells), 0.0,
        ),
    ]  # fmt: skip


def of_differential_expression(
    theirs: Any, ours: SCVI, cells: Cells, first: np.ndarray, second: np.ndarray, seed: int
) -> list[Row]:
    """What ``differential_expression`` asks, of which cells, and how it answers."""

    def ask(**settings: Any) -> pd.DataFrame:
        with quiet(), numbered(seed):
            return theirs.differential_expression(idx1=first, idx2=second, silent=True, **settings)

    def answer(**settings: Any) -> pd.DataFrame:
        return differential_expression(ours, cells, first, second, seed=seed, **settings)

    asked = type(theirs).differential_expression
    vanilla, change = ask(mode="vanilla"), ask(mode="change")
    both_sides, corrected = ask(mode="change", test_mode="two"), ask(mode="change", batch_correction=True)
    mine = answer()
    c, my_c = float(change["pseudocounts"].iloc[0]), default_pseudocount(cells)
    over_pairs = answer(over="pairs", batch_correction=False)
    column = "is_de_fdr_0.05"
    left_out = len(first) - len(theirs_inliers(theirs, first))
    return [
        (
            "question", f'mode="{default_of(asked, "mode")}": is ρ₁ > ρ₂?', 'mode="change": is ∣LFC∣ > δ?',
            f"genes called (vanilla: ∣log Bayes factor∣ ≥ {STRONG:g})",
            int((vanilla["bayes_factor"].abs() >= STRONG).sum()), int(mine[column].sum()),
        ),
        (
            "what is compared", "pairs of cells", "the groups' means", "per cent of genes with .05 < p(DE) < .95",
            100 * undecided(change), 100 * undecided(mine),
        ),
        (
            "p(DE)", "the likelier direction's", "both directions together", "mean over genes",
            float(change["proba_de"].mean()), float(both_sides["proba_de"].mean()),
        ),
        ("pseudocount c", "from the fit, over G", "0.1 molecules in a median cell", "c, in 10⁻⁶", 1e6 * c, 1e6 * my_c),
        (
            "LFC that is reported", "at c/1000", "at c", "largest ∣lfc_mean∣, over pairs",
            float(change["lfc_mean"].abs().max()), float(over_pairs["lfc_mean"].abs().max()),
        ),
        (
            "batch correction", f"batch_correction={default_of(asked, 'batch_correction')}", "batch_correction=True",
            "genes called, change mode", int(change[column].sum()), int(corrected[column].sum()),
        ),
        (
            "outlying cells",
            f"filter_outlier_cells={default_of(asked, 'filter_outlier_cells')}; True leaves a tenth out",
            "all cells of a group count",
            f"cells of the first group's {len(first)} left out", left_out, 0,
        ),
    ]  # fmt: skip


# The measures ---------------------------------------------------------------------------------------------------------


def default_of(function: Any, argument: str) -> Any:
    """The default of an argument, from the signature."""
    return inspect.signature(function).parameters[argument].default


def momentum_of(module: Any) -> Any:
    """By how much the averages of its first BatchNorm move in a step."""
    return next(part.momentum for part in module.modules() if isinstance(part, nn.BatchNorm1d))


def half_life(momentum: float) -> float:
    """Steps until an average that moves by ``momentum`` each step has forgotten half of what it was."""
    return math.log(0.5) / math.log1p(-momentum)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Median over all numbers of how far two tables are apart, relative to the first."""
    return float(np.median(np.abs(other / one - 1)))


def undecided(table: pd.DataFrame) -> float:
    """Share of genes of which p(DE) says neither yes nor no."""
    return float(table["proba_de"].between(0.05, 0.95, inclusive="neither").mean())


def theirs_inliers(theirs: Any, positions: np.ndarray) -> np.ndarray:
    """The cells of a group that scvi-tools keeps when it is asked to leave out those that lie apart in z."""
    from scvi.model.base import DifferentialComputation

    asked = DifferentialComputation(None, theirs.get_latent_representation, theirs.adata_manager)
    return asked.filter_outlier_cells(positions)


def logarithms_moved(theirs: Any, ours: SCVI, cells: Cells) -> float:
    """By how much the 1e-8 moves log p(x_ng∣z) at most, over all genes of some cells; z at its mean, double precision.

    Both score the same counts by the same μ, θ and π: only the formula differs.
    """
    import scvi

    some = cells[:N_LOGARITHMS]
    with evaluating(ours):
        z = torch.from_numpy(get_latent_representation(ours, some))
        p = ours.decode(z, log_total(some.x), some.batch).base_dist
    mine: dict[str, torch.Tensor] = {name: getattr(p, name).double() for name in names_of(p)}
    other = dict(mine) if "theta" in mine else {"rate": mine["mu"]}
    kinds = {"zi_logits": "ZeroInflatedNegativeBinomial", "theta": "NegativeBinomial", "rate": "Poisson"}
    kind = next(kinds[name] for name in kinds if name in other)
    x = some.x.double()
    moved = getattr(scvi.distributions, kind)(**other).log_prob(x) - type(p)(**mine).log_prob(x)
    return float(moved.abs().max())


def names_of(p: Any) -> list[str]:
    """The parameters that a distribution of counts has."""
    return [name for name in ("mu", "theta", "zi_logits") if hasattr(p, name)]


@contextmanager
def numbered(seed: int) -> Iterator[None]:
    """PyTorch's and NumPy's global generators from ``seed``, as scvi-tools draws from both; afterwards as before."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with seeded(seed, torch.device("cpu")):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
