"""Which genes are expressed differently in two groups of cells? From q(z∣x) to ρ to a decision.

Axes: N cells, G genes, L latent dimensions, K draws.

Two questions hide behind "differently", and ``over`` chooses one:

- ``"means"``: do the groups' mean profiles differ? In every posterior draw z_n ~ q(z∣x_n) for all cells, ρ is averaged
  within each group, and the two averages are compared. K draws, each of the whole groups.
- ``"pairs"``: do a random cell of one group and a random cell of the other differ? This is what scvi-tools computes.
  K pairs of cells, a draw of z for each. Cells differ within a group too, so probabilities stay away from 0 and 1.

Means are the default, because "this type expresses more of the gene than that one" is a sentence about means, and its
truth does not hang on how much cells vary within a group. Over pairs the spread of two single cells alone moves many
unchanged genes by more than δ: p is then middling for all genes, and while changes are small little is called. What
means lack: averaged over hundreds of cells q(z∣x) has next to no spread, and of the decoder's weights no uncertainty is
known at all, so p is nearly always 0 or 1, and what guards against errors is δ and c, not p. Two things follow. The FDR
rule spends its whole allowance: at a target of .05, nineteen genes of p = 1 let in one of p = 0, so read ``proba_de``
beside the call. And in vanilla mode, which has neither δ nor c, any difference between means is certain, however small:
ask it over pairs, as its paper does.
``experiments.de_simulation`` measures all this.

Sources: Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2 (vanilla mode); Boyeau et al. 2023,
https://doi.org/10.1073/pnas.2209124120 (change mode). No array of cells × draws × genes is ever made: draws are
decoded a chunk of rows at a time, and what stays is K × G log fold changes, however many cells there are.
"""

from collections.abc import Iterator
from math import log
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from course_lib.analysis.bayes_decision import STRONG, called_at, check_fdr_target, log_bayes_factor
from course_lib.analysis.groups import group_positions
from course_lib.analysis.latent import encode
from course_lib.analysis.posterior import CHUNK, get_rho
from course_lib.analysis.protocol import CountModel
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells
from course_lib.data.matching import check_cells

Draws = Iterator[tuple[Tensor, Tensor]]  # (k, G) of group 1 and (k, G) of group 2, some draws at a time
COUNTING_NOISE = 0.125  # of a log₂ fold change: standard deviation that the default pseudocount tolerates


def differential_expression(
    model: CountModel,
    cells: Cells,
    group1: ArrayLike,
    group2: ArrayLike,
    *,
    mode: Literal["change", "vanilla"] = "change",
    over: Literal["means", "pairs"] = "means",
    delta: float = 0.25,
    fdr_target: float = 0.05,
    pseudocount: float | None = None,
    batch_correction: bool = True,
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
    n_samples : K for "means".   n_pairs : K for "pairs".

    Returns
    -------
    One row per gene, index ``gene``, columns named as in scvi-tools.

    - both modes: ``bayes_factor`` (log, natural, within ±18.42); ``scale1``, ``scale2``: mean ρ; ``raw_mean1``,
      ``raw_mean2``, ``non_zeros_proportion1``, ``non_zeros_proportion2``: of the counts;
    - change: ``proba_de``, ``proba_not_de``, ``lfc_mean``, ``lfc_median``, ``lfc_std``, ``pseudocounts``, ``delta``,
      ``is_de_fdr_<target>``; most probable first, among equals the larger change;
    - vanilla: ``proba_m1`` = p(ρ₁ > ρ₂), ``proba_m2``, ``is_de``; highest in group 1 first.

    scvi-tools differs in three places: its ``proba_de`` is the larger of p(LFC ≥ δ) and p(LFC < −δ), here it is their
    sum; its ``lfc_*`` are taken at a thousandth of the pseudocount; its groups are compared over pairs only.

    Raises
    ------
    ValueError : cells of other genes or batches; groups that are empty, overlap, have one cell or do not fit; an
        unknown mode or ``over``; δ < 0, a target outside (0, 1), c ≤ 0, fewer than two draws.
    """
    check_cells(model, cells)
    first, second = group_positions(group1, group2, len(cells))
    _check_settings(mode, over, delta, pseudocount, n_samples, n_pairs)
    check_fdr_target(fdr_target)
    c = default_pseudocount(cells, first, second) if pseudocount is None else pseudocount

    draw, n_draws = (_mean_draws, n_samples) if over == "means" else (_pair_draws, n_pairs)
    with evaluating(model), seeded(seed, cells.x.device):
        draws = draw(model, cells, first, second, n_draws, batch_correction)
        if mode == "change":
            columns = _change(draws, n_draws, cells.n_genes, delta, c)
        else:
            columns = _vanilla(draws, n_draws, cells.n_genes)
    table = pd.DataFrame(columns | _count_columns(cells, first, second), index=pd.Index(cells.genes, name="gene"))

    if mode == "vanilla":
        table["is_de"] = table["bayes_factor"].abs() >= STRONG
        return table.sort_values("bayes_factor", ascending=False, kind="stable")
    by_size = table.iloc[np.argsort(-table["lfc_mean"].abs().to_numpy(), kind="stable")]
    table = by_size.sort_values("proba_de", ascending=False, kind="stable")
    table[f"is_de_fdr_{fdr_target}"] = called_at(table["proba_de"], fdr_target)
    return table


def default_pseudocount(cells: Cells, group1: ArrayLike, group2: ArrayLike) -> float:
    """The c at which counting noise alone moves no gene's log₂ fold change by a standard deviation above 1/8.

    A group with T molecules in all has S = ρT of a gene, give or take √S. The LFC with pseudocount c then has variance
    Σ S/(S + cT)² / ln²2 over the two groups, largest at ρ = c, where it is (1/T₁ + 1/T₂) / (4c ln²2). Setting that
    to (1/8)², half of the usual δ, and solving gives c. Below c changes are played down: no model can know them.
    More cells or deeper ones make c smaller; zero is never reached.
    """
    first, second = group_positions(group1, group2, len(cells))
    inverse_totals = sum(1 / float(cells.x[group].sum(dtype=torch.float64)) for group in (first, second))
    return inverse_totals / (2 * COUNTING_NOISE * log(2)) ** 2


def _mean_draws(
    model: CountModel, cells: Cells, first: NDArray, second: NDArray, n_samples: int, batch_correction: bool
) -> Draws:
    """Mean ρ of each group in each of K posterior draws of all their cells; (1, G) at a time."""
    positions = np.union1d(first, second)  # one order for both, so that exchanging the groups exchanges the results
    z_mean, z_sd, batch = _posterior(model, cells, positions)
    share = np.stack([np.isin(positions, group) / len(group) for group in (first, second)])  # (2, N), rows sum to one
    weights = torch.from_numpy(share).to(z_mean)
    rows = max(1, CHUNK // cells.n_genes)
    for _ in range(n_samples):
        z = z_mean + z_sd * torch.randn_like(z_mean)  # (N, L)
        means = torch.zeros(2, cells.n_genes, device=z.device)
        for start in range(0, len(z), rows):
            part = slice(start, start + rows)
            means += weights[:, part] @ _rho(model, z[part], batch[part], batch_correction)  # (2, G)
        yield means[:1], means[1:]


def _pair_draws(
    model: CountModel, cells: Cells, first: NDArray, second: NDArray, n_pairs: int, batch_correction: bool
) -> Draws:
    """ρ of K random cells of each group, one posterior draw each; a chunk of pairs at a time."""
    members = []
    for group in (first, second):
        chosen = torch.randint(len(group), (n_pairs,)).to(cells.x.device)
        z_mean, z_sd, batch = _posterior(model, cells, group)
        z = z_mean[chosen] + z_sd[chosen] * torch.randn_like(z_mean[chosen])  # (K, L)
        members.append((z, batch[chosen]))
    rows = max(1, CHUNK // cells.n_genes)
    for start in range(0, n_pairs, rows):
        part = slice(start, start + rows)
        rho1, rho2 = (_rho(model, z[part], batch[part], batch_correction) for z, batch in members)
        yield rho1, rho2


def _posterior(model: CountModel, cells: Cells, positions: NDArray) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of q(z∣x), (N, L) each, and the batch (N,) of the cells at ``positions``."""
    rows = max(1, CHUNK // cells.n_genes)
    parts = [encode(model, cells[positions[i : i + rows]]) for i in range(0, len(positions), rows)]
    means, deviations = torch.cat([q.mean for q in parts]), torch.cat([q.stddev for q in parts])
    return means, deviations, cells.batch[torch.from_numpy(positions).to(cells.batch.device)]


def _rho(model: CountModel, z: Tensor, batch: Tensor, batch_correction: bool) -> Tensor:
    """ρ of latent states (k, L), under their own batch (k,) or averaged over the model's: (k, G)."""
    if not batch_correction:
        return get_rho(model, z, batch)
    n_batches = len(model.batches)
    rho = get_rho(model, z, torch.zeros_like(batch))
    for code in range(1, n_batches):
        rho = rho + get_rho(model, z, torch.full_like(batch, code))
    return rho / n_batches


def _change(draws: Draws, n_draws: int, n_genes: int, delta: float, pseudocount: float) -> dict[str, NDArray]:
    """Columns of change mode."""
    lfc = np.empty((n_draws, n_genes), dtype=np.float32)  # filled in place: many small arrays would litter the heap
    scales, done = np.zeros((2, n_genes)), 0
    for rho1, rho2 in draws:
        change = torch.log2(rho1 + pseudocount) - torch.log2(rho2 + pseudocount)  # (k, G)
        lfc[done : done + len(change)] = change.cpu().numpy()
        scales += _sums(rho1, rho2) / n_draws
        done += len(change)
    proba = np.mean(np.abs(lfc) > delta, axis=0)
    return {
        "proba_de": proba,
        "proba_not_de": 1 - proba,
        "bayes_factor": log_bayes_factor(proba),
        "lfc_mean": lfc.mean(0, dtype=np.float64),
        "lfc_median": np.median(lfc, axis=0),
        "lfc_std": lfc.std(0, dtype=np.float64),
        "pseudocounts": np.full(n_genes, pseudocount),
        "delta": np.full(n_genes, delta),
        "scale1": scales[0],
        "scale2": scales[1],
    }


def _vanilla(draws: Draws, n_draws: int, n_genes: int) -> dict[str, NDArray]:
    """Columns of vanilla mode."""
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
    return torch.stack([rho1.sum(0, dtype=torch.float64), rho2.sum(0, dtype=torch.float64)]).cpu().numpy()


def _count_columns(cells: Cells, first: NDArray, second: NDArray) -> dict[str, NDArray]:
    """What the counts themselves say of the two groups."""
    x1, x2 = cells[first].x, cells[second].x
    return {
        "raw_mean1": x1.mean(0, dtype=torch.float64).cpu().numpy(),
        "raw_mean2": x2.mean(0, dtype=torch.float64).cpu().numpy(),
        "non_zeros_proportion1": (x1 > 0).sum(0).cpu().numpy() / len(x1),
        "non_zeros_proportion2": (x2 > 0).sum(0).cpu().numpy() / len(x2),
    }


def _check_settings(
    mode: str, over: str, delta: float, pseudocount: float | None, n_samples: int, n_pairs: int
) -> None:
    if mode not in ("change", "vanilla"):
        raise ValueError(f"mode: expected 'change' or 'vanilla', found {mode!r}.")
    if over not in ("means", "pairs"):
        raise ValueError(f"over: expected 'means' or 'pairs', found {over!r}.")
    if not delta >= 0:
        raise ValueError(f"delta: a log₂ fold change of at least 0 is needed, found {delta}; the usual choice is 0.25.")
    if pseudocount is not None and not pseudocount > 0:
        raise ValueError(f"pseudocount: expected a positive number on the scale of ρ, or None, found {pseudocount}.")
    if n_samples < 2 or n_pairs < 2:
        raise ValueError(f"n_samples, n_pairs: at least 2 draws are needed, found {n_samples} and {n_pairs}.")
