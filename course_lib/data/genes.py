"""Which genes a model sees: chosen from the raw counts, before any normalisation.

Axes: N cells, G genes.
"""

import warnings
from typing import Any

import numpy as np
import scanpy
from anndata import AnnData
from sklearn.utils.sparsefuncs import mean_variance_axis

from course_lib.arguments import whole_number
from course_lib.data.checks import COUNT_CHECKS, NAME_CHECKS, NotCounts
from course_lib.data.tables import read_table

LEAST_FOR_CURVE = 10  # genes


def most_variable(data: AnnData, n_genes: int = 2_000, *, batch_key: str | None = None) -> AnnData:
    """A copy of ``data`` with the genes whose variance stands farthest above what their mean predicts.

    The choice of scvi-tools' own tutorials: scanpy's ``seurat_v3``, which expects raw counts in ``X``. Notebook 00
    shows its weakness: a gene may owe its rank to one odd cell.

    Parameters
    ----------
    batch_key : a column of ``data.obs``. Then genes are ranked within each batch, and those of the best median rank
        kept, over the batches that have them among their first ``n_genes``. Ranked over all cells together, a gene
        may vary for no other reason than that batches differ in it, and a model is given what tells batches apart.

    Raises
    ------
    TypeError : ``data`` is no AnnData, ``n_genes`` no whole number.
    ValueError : ``X`` holds no counts (as the gate would say), a name occurs twice, ``n_genes`` is more than there are,
        no column of that name or a cell without batch, or too few cells and genes to fit the curve of variance against
        mean, in one of the batches.
    """
    values = _check(data, n_genes)
    varying = min(int((_variance(values[cells]) > 0).sum()) for cells in _batches(data, batch_key))
    try:
        if varying < LEAST_FOR_CURVE:  # on two or three, loess ends the whole process
            raise ValueError(f"only {varying} genes vary")
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # a division by zero, where the curve cannot be fitted
            chosen = scanpy.pp.highly_variable_genes(
                data, n_top_genes=n_genes, flavor="seurat_v3", batch_key=batch_key, inplace=False
            )
    except (ValueError, RuntimeWarning) as error:
        raise ValueError(
            f"data: expected enough cells and genes that differ to fit a curve of variance against mean, found "
            f"{data.n_obs:,} cells × {data.n_vars:,} genes, with which it fails ({error}); take more cells, or "
            "largest_spread."
        ) from error
    return data[:, chosen["highly_variable"].to_numpy()].copy()


def largest_spread(data: AnnData, n_genes: int = 558) -> AnnData:
    """A copy of ``data`` with the genes of largest standard deviation of raw counts, in the order they had.

    How Lopez et al. 2018 (https://doi.org/10.1038/s41592-018-0229-2) chose 558 genes of the cortex.

    Raises
    ------
    TypeError, ValueError : as ``most_variable``.
    """
    spread = np.sqrt(_variance(_check(data, n_genes)))
    return data[:, np.sort(np.argsort(-spread, kind="stable")[:n_genes])].copy()


def _batches(data: AnnData, batch_key: str | None) -> list[Any]:
    """Which cells each batch has, or all cells once."""
    if batch_key is None:
        return [slice(None)]
    if batch_key not in data.obs:
        raise ValueError(f"batch_key: expected a column of data.obs, {sorted(data.obs)}, found {batch_key!r}.")
    column = data.obs[batch_key]
    if column.isna().any():
        raise ValueError(
            f"batch_key: expected a batch for each cell, found none for {int(column.isna().sum())} of them, first "
            f"{data.obs_names[column.isna()][0]!r}; leave these cells out."
        )
    return [np.flatnonzero(column == name) for name in column.unique()]


def _variance(values: Any) -> np.ndarray:
    """Of each gene, (G,), from (N, G) dense or CSR."""
    return values.var(axis=0) if isinstance(values, np.ndarray) else mean_variance_axis(values, axis=0)[1]


def _check(data: Any, n_genes: Any) -> Any:
    """The counts in ``X``, once they are known to be counts: (N, G), dense or CSR."""
    if not isinstance(data, AnnData):
        raise TypeError(
            f"data: expected an AnnData, found a {type(data).__name__}; make one, anndata.AnnData(counts), so that "
            "names stay with the genes that are chosen."
        )
    table = read_table(data)
    try:
        for check in (*NAME_CHECKS, *COUNT_CHECKS):
            check(table)
    except NotCounts as error:
        raise NotCounts(
            f"{error} Genes are chosen by the counts in data.X: put them there, for example from a layer, "
            "data.X = data.layers['counts'].copy()."
        ) from None
    if not 1 <= whole_number("n_genes", n_genes, least=0) <= data.n_vars:
        raise ValueError(f"n_genes: expected 1 to {data.n_vars:,}, the genes there are, found {n_genes:,}.")
    return table.values
