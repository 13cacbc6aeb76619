"""The data sets that experiments and notebooks ask about, prepared in one place.

Each is an AnnData with the raw counts (int32) of the genes chosen in ``X``, kinds of cell in ``obs["cell_type"]`` and
batches in ``obs["batch"]`` where there are any, and in ``layers["log"]`` log1p of counts per 10,000, of the total over
all genes of the file, also those that were not chosen. Genes are chosen on all cells, held-out ones included, by their
counts alone, before any model: every model sees the same ones.

Axes: N cells, G genes.
"""

import numpy as np
import scanpy
import scipy.sparse
from anndata import AnnData
from numpy.typing import NDArray

from course_lib.data.cells import Cells, cells_from_counts, cells_from_expression
from course_lib.data.committed import load_cortex, load_kang, load_mosaic, load_pbmc3k, load_pbmc_pair
from course_lib.data.genes import largest_spread, most_variable


def cortex(n_genes: int = 558) -> AnnData:
    """3,005 cells of mouse cortex, 7 types, the genes of largest standard deviation: the paper's benchmark."""
    return largest_spread(with_log(load_cortex()), n_genes)


def pbmc3k(n_genes: int = 2_000) -> AnnData:
    """The 2,638 blood cells of PBMC3k that have a name, 8 types, their most variable genes."""
    data = load_pbmc3k()
    return most_variable(with_log(data[data.obs["cell_type"] != "unassigned"]), n_genes)


def pbmc_pair(n_genes: int = 1_000, *, within_runs: bool = False) -> AnnData:
    """200 + 200 blood cells of two 10x runs, no types; ``obsm["protein"]`` has their antibodies.

    The most variable genes over both runs together, so that those which tell the runs apart are among them, or those
    that vary most within runs.
    """
    return most_variable(with_log(load_pbmc_pair()), n_genes, batch_key="batch" if within_runs else None)


def mosaic() -> AnnData:
    """1,200 blood cells × 500 genes, 8 types, three batches that look like donors."""
    return with_log(load_mosaic())


def kang() -> AnnData:
    """3,743 blood cells at rest and under interferon-β × 2,006 genes; ``obs["condition"]`` is CTRL or STIM."""
    return with_log(load_kang())


def kang_monocytes() -> AnnData:
    """1,079 CD14+ monocytes at rest and under interferon-β × 2,006 genes; ``obs["condition"]`` is CTRL or STIM."""
    data = load_kang()
    return with_log(data[data.obs["cell_type"] == "CD14+ Monocytes"])


def with_log(data: AnnData) -> AnnData:
    """A copy of ``data`` with ``layers["log"]``: log1p of counts per 10,000, of the total over the genes it has now."""
    log = AnnData(scipy.sparse.csr_matrix(data.X, dtype=np.float32))
    scanpy.pp.normalize_total(log, target_sum=1e4)
    scanpy.pp.log1p(log)
    data = data.copy()
    data.layers["log"] = log.X
    return data


def cell_types(data: AnnData) -> NDArray[np.str_]:
    """(N,) the kind of each cell."""
    return data.obs["cell_type"].to_numpy(dtype=str)


def counts_and_types(data: AnnData) -> tuple[Cells, NDArray[np.str_]]:
    """Raw counts as a model sees them, (N, G), and the kind of each cell, (N,)."""
    return cells_from_counts(data), cell_types(data)


def expression_and_types(data: AnnData) -> tuple[Cells, NDArray[np.str_]]:
    """Log-normalised expression as a model sees it, (N, G), and the kind of each cell, (N,)."""
    return cells_from_expression(data, layer="log"), cell_types(data)
