"""Counts that were measured, taken out again: what a method that fills in counts can be judged by.

Axes: N cells, G genes, H hidden entries.

Two ways, and they ask different questions. ``hide_counts`` sets some of the nonzero counts to zero: whoever is asked
for them knows that they were above zero, which no real zero tells. ``thin`` sorts every molecule into one of two parts,
as if the library had been sequenced twice: the held-out part has a count, often zero, for every entry.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_lib.arguments import fraction as a_fraction
from course_lib.arguments import seed_number
from course_lib.data.cells import Cells


@dataclass(frozen=True, eq=False)
class Hidden:
    """The entries that were set to zero, and what stood there."""

    cell: NDArray[np.int64]  # (H,) rows
    gene: NDArray[np.int64]  # (H,) columns
    count: NDArray[np.float32]  # (H,) true counts, all ≥ 1

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, index: NDArray | slice) -> "Hidden":
        """Some of the entries: those to choose settings by, those to judge by."""
        return Hidden(self.cell[index], self.gene[index], self.count[index])


def hide_counts(cells: Cells, fraction: float = 0.1, seed: int = 0) -> tuple[Cells, Hidden]:
    """Set a share of the nonzero counts to zero, each as likely as any other.

    Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2, judge imputation so.

    Parameters
    ----------
    cells : raw counts.   fraction : of the nonzero entries, 0 < fraction < 1.   seed : the same seed, the same entries.

    Returns
    -------
    The cells with round(fraction · nonzero entries) counts less, and these entries, cell by cell. ``cells`` is not
    changed.

    Raises
    ------
    TypeError : something else than Cells with raw counts, or no number where one belongs.
    ValueError : a fraction outside its range, one so small that nothing is hidden, or one that empties a cell.
    """
    share, seed = a_fraction("fraction", fraction, zero_too=False), seed_number(seed)
    x = _counts("hide_counts", cells)
    cell, gene = np.nonzero(x)  # sorted by cell
    n_hidden = round(share * len(cell))
    if n_hidden == 0:
        raise ValueError(
            f"fraction: expected one that hides a count or more, found {fraction}, of {len(cell)} nonzero; raise it."
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(len(cell))[:n_hidden])
    hidden = Hidden(cell[chosen], gene[chosen], x[cell[chosen], gene[chosen]])
    x[hidden.cell, hidden.gene] = 0
    _no_empty_cell("fraction", fraction, "lower it", x)
    return replace(cells, x=_as_tensor(x, cells.x)), hidden


def thin(cells: Cells, keep: float = 0.9, seed: int = 0) -> tuple[Cells, NDArray[np.float32]]:
    r"""Sort every molecule into the part that is kept, with probability ``keep``, or the part that is held out.

    .. math:: x^{\text{kept}} \mid x ∼ \text{Binomial}(x, ε), \qquad x^{\text{held}} = x - x^{\text{kept}}

    If x is Poisson(w), the parts are independent: Poisson(εw) and Poisson((1−ε)w). If x is NB(μ, θ), they are NB(εμ, θ)
    and NB((1−ε)μ, θ), and share the cell's own w: their covariance is ε(1−ε)μ²/θ. A zero of dropout is zero in both.

    Sources: Batson, Royer & Webber 2019, https://doi.org/10.1101/786269 (molecular cross-validation); Neufeld et al.
    2024, https://doi.org/10.1093/biostatistics/kxac047 (count splitting).

    Parameters
    ----------
    cells : raw counts.   keep : ε, 0 < ε < 1.   seed : the same seed, the same parts.

    Returns
    -------
    The cells with the counts that were kept, and the counts that were held out, (N, G): an array and no cells, as a
    row of it may be empty. ``cells`` is not changed.

    Raises
    ------
    TypeError : something else than Cells with raw counts, or no number where one belongs.
    ValueError : ``keep`` outside its range, or so small that a cell keeps nothing.
    """
    share, seed = a_fraction("keep", keep, zero_too=False), seed_number(seed)
    x = _counts("thin", cells)
    kept = np.random.default_rng(seed).binomial(x.astype(np.int64), share).astype(np.float32)
    _no_empty_cell("keep", keep, "raise it", kept)
    return replace(cells, x=_as_tensor(kept, cells.x)), x - kept


def _counts(asker: str, cells: object) -> NDArray[np.float32]:
    """A copy of the counts, (N, G)."""
    if not isinstance(cells, Cells) or cells.counts is False:
        found = "expression" if isinstance(cells, Cells) else type(cells).__name__
        raise TypeError(
            f"cells: expected Cells of raw counts for {asker}, found {found}; take cells_from_counts(data)."
        )
    return cells.x.cpu().numpy().copy()


def _as_tensor(x: NDArray[np.float32], like: Tensor) -> Tensor:
    return torch.from_numpy(x).to(like)


def _no_empty_cell(name: str, value: float, advice: str, x: NDArray[np.float32]) -> None:
    empty = np.flatnonzero(x.sum(1) == 0)
    if empty.size:
        raise ValueError(
            f"{name}: expected every cell to keep a count, found cell {empty[0]} without at {value} "
            f"({empty.size} in all); {advice}, or leave out cells with few counts."
        )
