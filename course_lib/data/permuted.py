"""Genes that have nothing to do with each other, made from the data at hand: a negative control.

Axes: N cells, G genes.
"""

from dataclasses import replace

import numpy as np
import torch

from course_lib.arguments import seed_number, whole_number
from course_lib.data.cells import Cells

ENDING = " (permuted)"


def with_permuted_copies(cells: Cells, n_bins: int = 20, seed: int = 0) -> Cells:
    """Beside every gene a copy whose counts were dealt anew among cells of about the same total.

    A copy keeps its gene's mean, variance, zeros and growth with the library; what it had in common with any other gene
    beyond that is gone. A method that finds two copies correlated has made that up.

    Parameters
    ----------
    cells : N cells.   n_bins : cells are sorted by their total and cut into so many bins; counts stay within a bin.
    seed : each gene is permuted by itself.

    Returns
    -------
    The same cells with 2G genes, those of ``cells`` and then their copies, named "GENE (permuted)".

    Raises
    ------
    TypeError : something else than Cells, or no whole number.
    ValueError : fewer than two cells for each bin; permuted copies of copies.
    """
    if not isinstance(cells, Cells):
        raise TypeError(f"cells: expected Cells, found {type(cells).__name__}; take cells_from_counts(data).")
    n_bins = whole_number("n_bins", n_bins, 1, len(cells) // 2, "two cells in each bin")
    if any(gene.endswith(ENDING) for gene in cells.genes):
        raise ValueError(
            f"cells: expected genes without copies, found names that end in {ENDING!r}; permute them once."
        )
    x = cells.x.cpu().numpy()
    copies = np.empty_like(x)
    rng = np.random.default_rng(seed_number(seed))
    for members in np.array_split(np.argsort(x.sum(1), kind="stable"), n_bins):
        copies[members] = rng.permuted(x[members], axis=0)  # every column by itself
    genes = (*cells.genes, *(gene + ENDING for gene in cells.genes))
    return replace(cells, x=torch.cat([cells.x, torch.from_numpy(copies).to(cells.x)], 1), genes=genes)
