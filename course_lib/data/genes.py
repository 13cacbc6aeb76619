"""Which genes a model sees: chosen from the raw counts, before any normalisation.

Axes: N cells, G genes.
"""

import numpy as np
import scanpy
from anndata import AnnData


def most_variable(data: AnnData, n_genes: int = 2_000) -> AnnData:
    """A copy of ``data`` with the genes whose variance stands farthest above what their mean predicts.

    The choice of scvi-tools' own tutorials: scanpy's ``seurat_v3``, which expects raw counts in ``X``. Notebook 00
    shows its weakness: a gene may owe its rank to one odd cell.
    """
    _enough_genes(data, n_genes)
    return data[:, scanpy.pp.highly_variable_genes(data, n_top_genes=n_genes, flavor="seurat_v3", inplace=False)
                ["highly_variable"].to_numpy()].copy()  # fmt: skip


def largest_spread(data: AnnData, n_genes: int = 558) -> AnnData:
    """A copy of ``data`` with the genes of largest standard deviation of raw counts, in the order they had.

    How Lopez et al. 2018 (https://doi.org/10.1038/s41592-018-0229-2) chose 558 genes of the cortex. ``X`` is dense.
    """
    _enough_genes(data, n_genes)
    spread = np.asarray(data.X).std(axis=0)
    return data[:, np.sort(np.argsort(-spread, kind="stable")[:n_genes])].copy()


def _enough_genes(data: AnnData, n_genes: int) -> None:
    if not 1 <= n_genes <= data.n_vars:
        raise ValueError(f"n_genes: expected 1 to {data.n_vars:,}, the genes there are, found {n_genes:,}.")
