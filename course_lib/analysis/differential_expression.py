"""Which genes are expressed differently in two groups of cells? From q(z∣x) to ρ to a decision.

Axes: N cells, G genes, L latent dimensions, K draws.

Two questions hide behind "differently", and ``over`` chooses one:

- ``"means"``: do the groups' mean profiles differ? In every posterior draw z_n ~ q(z∣x_n) for all cells, ρ is averaged
  within each group, and the two averages are compared. K draws, each of the whole groups.
- ``"pairs"``: do a random cell of one group and a random cell of the other differ? This is what scvi-tools computes.
  K pairs of cells, a draw of z for each. Cells differ within a group too, so probabilities stay away from 0 and 1.

Means are the default. "This type expresses more of the gene than that one" is a sentence about means, and of two halves
of one population it is false of every gene. Over pairs a gene that only varies may pass for one that changed: where
cells differ by a standard deviation s, in log₂, two cells of *one* population have p(∣LFC∣ > δ) = 2Φ(−δ/√2s), more than
a half from s = 1.05 δ on. (scvi-tools guards against it: the larger of the two one-sided probabilities, which it
reports, is at most a half there.) Pairs are right for sentences about cells: how often does a treated cell hold more
than an untreated one?

Means have their price. Averaged over many cells q(z∣x) has next to no spread, and of the decoder's weights no
uncertainty is known at all, so p is nearly always 0 or 1, however large the error is. Read it as a point estimate held
against δ: δ guards against errors, p does not. Rank by ``lfc_mean``, and train a second time. Two things follow. The
FDR rule spends its whole allowance: at a target of .05, nineteen genes of p = 1 let in one of p = 0, so read
``proba_de`` beside the call. And in vanilla mode, which has neither δ nor c, any difference between means is certain,
however small: ask it over pairs, as its paper does.

``experiments.de_simulation`` measures all this, ``experiments.de_contests`` where it is hard and beside rank tests.

Sources: Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2 (vanilla mode); Boyeau et al. 2023,
https://doi.org/10.1073/pnas.2209124120 (change mode). ``analysis.group_draws`` makes the draws, this room decides; what
stays in memory is K × G log fold changes, however many cells there are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from course_lib.analysis.bayes_decision import STRONG, called_at, log_bayes_factor
from course_lib.analysis.composition import centred, well_counted
from course_lib.analysis.gate import COUNT_MODEL, check_is_cells, check_question, warn_untrained
from course_lib.analysis.group_draws import mean_draws, pair_draws
from course_lib.analysis.groups import group_positions
from course_lib.analysis.parts import at_a_time, device_of, one_after_another, parts_at
from course_lib.analysis.protocol import CountModel
from course_lib.arguments import choice, fraction, not_negative, positive, seed_number, whole_number
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import CellTable

Mode = Literal["change", "vanilla"]
Over = Literal["means", "pairs"]
Columns = dict[str, NDArray]
MOLECULES = 0.1  # of a gene, in a cell of median library size: what the default pseudocount adds


def differential_expression(
    model: CountModel,
    cells: CellTable,
    group1: ArrayLike,
    group2: ArrayLike,
    *,
    mode: Mode = "change",
    over: Over = "means",
    delta: float = 0.25,
    fdr_target: float = 0.05,
    pseudocount: float | None = None,
    batch_correction: bool = True,
    centre: bool = False,
    n_samples: int = 100,
    n_pairs: int = 5_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare ρ of two groups of cells, gene by gene.

    Parameters
    ----------
    group1, group2 : boolean masks (N,) or positions; from labels by ``group_masks(adata.obs, …)``.
    mode : "change" asks for p(∣LFC∣ > δ) with LFC = log₂(ρ₁ + c) − log₂(ρ₂ + c), and calls genes by posterior expected
        FDR; "vanilla" asks for p(ρ₁ > ρ₂) and calls genes with ∣log Bayes factor∣ ≥ 3, however small the change:
        ask it over pairs, since over means nearly every gene differs by something.
    over : "means" or "pairs", see the module.
    delta : δ ≥ 0, in log₂: changes up to it count as none.   fdr_target : in (0, 1).
    pseudocount : c > 0, on the scale of ρ. None takes ``default_pseudocount``.
    batch_correction : True averages each cell's ρ over all the model's batches, so that no difference between batches
        can pass for one between groups, whatever cells they hold; False decodes each cell under its own batch.
        (With a condition as the model's batch, True averages away the very thing that is asked.)
    centre : True rescales ρ in every draw so that the well-counted genes' median change is none, for those who hold
        that most genes did not change: see ``analysis.composition``.
    n_samples : K for "means".   n_pairs : K for "pairs".

    Returns
    -------
    One row per gene, index ``gene``, columns named as in scvi-tools.

    - both modes: ``bayes_factor`` (log, natural, within ±18.42); ``scale1``, ``scale2``: mean ρ; ``raw_mean1``,
      ``raw_mean2``, ``non_zeros_proportion1``, ``non_zeros_proportion2``: of the counts;
    - change: ``proba_de``, ``proba_not_de``, ``lfc_mean``, ``lfc_median``, ``lfc_std``, ``pseudocounts``, ``delta``,
      ``is_de_fdr_<target>``; most probable first, among equals the larger change;
    - vanilla: ``proba_m1`` = p(ρ₁ > ρ₂), ``proba_m2``, ``is_de``; highest in group 1 first.

    With ``centre``, ``scale1`` and ``scale2`` are means of the rescaled ρ.

    Where ``SCVI.differential_expression`` of scvi-tools (1.4.2) differs, by its defaults:

    - it asks in vanilla mode, and leaves it to you to call genes there; δ, the target and the FDR rule are the same;
    - over pairs only: 5,000 draws from either group, with no seed of their own. Two options are off unless asked for:
      ``weights="importance"`` prefers draws of z that explain many cells of the group, ``filter_outlier_cells`` first
      leaves out cells that lie apart in z;
    - ``batch_correction=False``, each cell under its own batch. With True the draws are divided among the batches, and
      a pair is compared under one and the same; here each cell's ρ is first averaged over all of them;
    - c from the fit: of the genes with a mean count below .01 in a group, the largest ρ of any draw; of these the
      .9 quantile; of the two groups the larger; divided by G, and at least 1e-10;
    - ``proba_de`` is the larger of p(LFC ≥ δ) and p(LFC < −δ), here their sum (there with ``test_mode="two"``);
    - ``lfc_*`` are taken at a thousandth of c, ``proba_de`` at c: a gene with a large ``lfc_mean`` may have a small p.

    Raises
    ------
    TypeError : a model without ρ, such as a VAE; something else than cells; an argument of another kind.
    ValueError : cells of other genes or batches; groups that are empty, overlap, have one cell or do not fit; an
        unknown mode or ``over``; δ < 0, a target outside (0, 1), c ≤ 0, any of them infinite; fewer than two draws.

    Warns
    -----
    UserWarning : the model was never trained.
    """
    check_question("differential_expression", model, cells, COUNT_MODEL)
    first, second = group_positions(group1, group2, len(cells))
    choice("mode", mode, get_args(Mode))
    choice("over", over, get_args(Over))
    delta, n_draws = not_negative("delta", delta), whole_number("n_samples", n_samples, 2)
    n_pairs, seed = whole_number("n_pairs", n_pairs, 2), seed_number(seed)
    batch_correction = choice("batch_correction", batch_correction, (False, True))
    centre = choice("centre", centre, (False, True))
    fdr_target = fraction("fdr_target", fdr_target, zero_too=False)
    given = None if pseudocount is None else positive("pseudocount", pseudocount)
    warn_untrained(model)

    counts = _counts_of(cells, first), _counts_of(cells, second)
    c = default_pseudocount(cells) if given is None else given
    draw, n_draws = (mean_draws, n_draws) if over == "means" else (pair_draws, n_pairs)
    with evaluating(model), seeded(seed, device_of(model, cells)):
        draws = draw(model, cells, first, second, n_draws, batch_correction)
        if centre:
            genes = well_counted(counts[0].total, counts[1].total)
            draws = (centred(rho1, rho2, genes) for rho1, rho2 in draws)
        if mode == "change":
            columns = _change(draws, n_draws, cells.n_genes, delta, c)
        else:
            columns = _vanilla(draws, n_draws, cells.n_genes)
    table = pd.DataFrame(columns | _count_columns(*counts), index=pd.Index(cells.genes, name="gene"))

    if mode == "vanilla":
        table["is_de"] = table["bayes_factor"].abs() >= STRONG
        return table.sort_values("bayes_factor", ascending=False, kind="stable")
    by_size = table.iloc[np.argsort(-table["lfc_mean"].abs().to_numpy(), kind="stable")]
    table = by_size.sort_values("proba_de", ascending=False, kind="stable")
    table[f"is_de_fdr_{fdr_target}"] = called_at(table["proba_de"], fdr_target)
    return table


def default_pseudocount(cells: CellTable) -> float:
    """c: a tenth of a molecule in a cell of the median library size, of all cells given, on the scale of ρ.

    c belongs to the question. Far above it LFC is the change of ρ; a gene far below it has none, whatever ρ does. So c
    may not hang on how many cells the groups hold, as one set by the groups' counting noise does: the same two
    populations would have other truths in samples of other sizes, and a gene could become "changed" because more cells
    were sequenced. This c is one for all comparisons in a data set, says what it means (a gene that about one cell in
    ten shows), and is of the size that counting asks for in groups of hundreds of cells: at ρ = c, N cells a side
    leave the LFC of the plain rates a standard deviation of 3.2/√N, half of the usual δ at N = 666. In smaller groups
    counting noise passes c, as it should pass a definition; to hold it back is the task of p, of more cells, or of a
    larger c that you choose and report. It still follows depth: of cells sequenced twice as deep it is half. Where data
    sets are to be compared, pass one number for all.

    Every cell is read once, from a file too; ``pseudocount=`` saves that.

    Raises
    ------
    TypeError : what is no cells.   ValueError : more than half of the cells without a count.
    """
    check_is_cells(cells)
    totals = one_after_another(
        len(cells), (part.x.sum(1, dtype=torch.float64) for part in cells.parts(at_a_time(cells.n_genes)))
    )
    median = float(np.median(totals))
    if not median > 0:
        raise ValueError("cells: expected counts in most cells, found a median total of 0; leave empty cells out.")
    return MOLECULES / median


@dataclass(frozen=True)
class GroupCounts:
    """What the counts themselves say of a group of cells, summed up gene by gene."""

    n_cells: int
    total: NDArray[np.float64]  # (G,)
    not_zero: NDArray[np.int64]  # (G,) cells with a count of the gene


def _counts_of(cells: CellTable, positions: NDArray) -> GroupCounts:
    total, not_zero = np.zeros(cells.n_genes), np.zeros(cells.n_genes, dtype=np.int64)
    for part in parts_at(positions, cells, at_a_time(cells.n_genes)):
        total += part.x.sum(0, dtype=torch.float64).cpu().numpy()
        not_zero += (part.x > 0).sum(0).cpu().numpy()
    return GroupCounts(len(positions), total, not_zero)


def _count_columns(first: GroupCounts, second: GroupCounts) -> Columns:
    return {
        "raw_mean1": first.total / first.n_cells,
        "raw_mean2": second.total / second.n_cells,
        "non_zeros_proportion1": first.not_zero / first.n_cells,
        "non_zeros_proportion2": second.not_zero / second.n_cells,
    }


def _change(
    draws: Iterable[tuple[Tensor, Tensor]], n_draws: int, n_genes: int, delta: float, pseudocount: float
) -> Columns:
    """Columns of change mode, from (k, G) and (k, G) at a time."""
    lfc = np.empty(
        (n_genes, n_draws), dtype=np.float32
    )  # each gene's draws side by side: what is asked of each is quick
    scales, done = np.zeros((2, n_genes)), 0
    for rho1, rho2 in draws:
        change = torch.log2((rho1 + pseudocount) / (rho2 + pseudocount))  # (k, G)
        lfc[:, done : done + len(change)] = change.T.cpu().numpy()
        scales += _sums(rho1, rho2) / n_draws
        done += len(change)

    def of_each_gene(statistic: Callable[[NDArray], NDArray]) -> NDArray[np.float64]:
        genes = at_a_time(n_draws)  # with temporaries that stay small
        return np.concatenate([statistic(lfc[start : start + genes]) for start in range(0, n_genes, genes)])

    proba = of_each_gene(lambda part: np.mean(np.abs(part) > delta, axis=1))
    return {
        "proba_de": proba,
        "proba_not_de": 1 - proba,
        "bayes_factor": log_bayes_factor(proba),
        "lfc_mean": of_each_gene(lambda part: part.mean(1, dtype=np.float64)),
        "lfc_median": of_each_gene(lambda part: np.median(part, axis=1)),
        "lfc_std": of_each_gene(lambda part: part.std(1, dtype=np.float64)),
        "pseudocounts": np.full(n_genes, pseudocount),
        "delta": np.full(n_genes, delta),
        "scale1": scales[0],
        "scale2": scales[1],
    }


def _vanilla(draws: Iterable[tuple[Tensor, Tensor]], n_draws: int, n_genes: int) -> Columns:
    """Columns of vanilla mode, from (k, G) and (k, G) at a time."""
    higher, scales = np.zeros(n_genes, dtype=np.int64), np.zeros((2, n_genes))
    for rho1, rho2 in draws:
        higher += (rho1 > rho2).sum(0).cpu().numpy()
        scales += _sums(rho1, rho2) / n_draws
    proba = higher / n_draws
    return {
        "proba_m1": proba,
        "proba_m2": 1 - proba,
        "bayes_factor": log_bayes_factor(proba),
        "scale1": scales[0],
        "scale2": scales[1],
    }


def _sums(rho1: Tensor, rho2: Tensor) -> NDArray[np.float64]:
    """Over the draws, (2, G)."""
    return torch.stack([rho1.sum(0), rho2.sum(0)]).double().cpu().numpy()
