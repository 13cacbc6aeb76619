"""The six data sets committed under ``data/``: real cells, raw counts, small enough to clone.

Every loader of a file returns an AnnData with raw integer counts (int32) in ``X``, kinds of cell in
``obs["cell_type"]`` where the origin or the markers name them, batches in ``obs["batch"]`` where there are batches, and
in ``uns["source"]`` a dictionary of ``citation``, ``doi``, ``terms`` and ``origin``. ``data/README.md`` tells more; the
files were made by ``course_lib.data.build``. A file that is not there raises FileNotFoundError, and one whose bytes are
not the recorded ones ValueError; both say how to get it back. Two more loaders put RNA and antibodies
of the same cells into a MuData.
"""

import mudata
import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from mudata import MuData

from course_lib.data.recorded import DATA_FOLDER, what_is_wrong


def load_pbmc3k() -> AnnData:
    """2,700 blood cells × 13,714 genes, CSR (Zheng et al. 2017).

    ``obs["cell_type"]``: 8 kinds for 2,638 cells, ``"unassigned"`` for 62. The names come from clustering the same
    counts, so agreement with them is partly circular.
    """
    return _load("pbmc3k")


def load_cortex() -> AnnData:
    """3,005 cells of mouse cortex and hippocampus × 4,000 genes, dense (Zeisel et al. 2015).

    ``obs["cell_type"]``: the paper's 7 classes; ``obs["level2class"]``: its 47 subclasses, ``"(none)"`` where it gives
    none. Both come from biclustering the same data. The origin does not name its genes: they are called ``row_0`` to
    ``row_3999``.
    """
    return _load("cortex")


def load_kang() -> AnnData:
    """Blood cells at rest and under interferon-β, 3,743 × 2,006 genes, CSR (Kang et al. 2018).

    ``obs["condition"]``: CTRL or STIM. It is what the experiment asks about, not a batch to be removed.
    ``obs["cell_type"]``: named by marker genes (``course_lib.data.marker_labels``), ``"unassigned"`` where the markers
    leave doubt. Rare kinds are kept more often than common ones: do not read frequencies off this selection.
    """
    return _load("kang")


def load_mosaic() -> AnnData:
    """1,200 blood cells × 500 genes, CSR: the RNA of a CITE-seq mosaic as distributed with scmidas (probably Hao 2021).

    ``obs["batch"]``: p1_0, p3_0, p4_0, 400 cells each, which mix almost fully without any model.
    ``obs["cell_type"]``: 8 kinds.
    """
    return _load("mosaic")


def load_mosaic_protein() -> AnnData:
    """800 blood cells × 224 antibodies, dense: the CITE-seq half of ``load_mosaic``, its batches p3_0 and p4_0.

    Cells have the names that they have there. Antibodies are named as distributed, lower case; two clones of one
    target are numbered: cd3.1 and cd3.2.
    """
    return _load("mosaic_protein")


def load_pbmc_pair() -> AnnData:
    """200 + 200 blood cells from two 10x v3 runs × 12,351 shared genes, CSR: a batch effect one can see.

    ``obs["batch"]``: 5k or 10k. ``obsm["protein"]``: a data frame, counts of the 14 antibodies both runs used. No kinds
    of cell, but these antibodies can name them (``course_lib.analysis.antibodies``).
    """
    return _load("pbmc_pair")


def load_citeseq() -> MuData:
    """The mosaic as a MuData: ``["rna"]``, 1,200 cells × 500 genes, and ``["protein"]``, 800 of them × 224 antibodies.

    Both have ``obs["batch"]`` and ``obs["cell_type"]``. The 400 cells of p1_0 have RNA only. The kinds were probably
    named with RNA and antibodies together (Hao 2021): agreement with them is partly circular, in favour of whoever
    uses both.
    """
    return _together(load_mosaic(), load_mosaic_protein())


def load_pbmc_pair_mudata() -> MuData:
    """The pair as a MuData: ``["rna"]``, 400 cells × 12,351 genes, and ``["protein"]``, the same × 14 antibodies.

    CD4 is a gene and an antibody: the latter has 10x's suffix here, CD4_TotalSeqB.
    """
    rna = load_pbmc_pair()
    counts: pd.DataFrame = rna.obsm.pop("protein").astype(np.int32).add_suffix("_TotalSeqB")
    return _together(rna, AnnData(counts, rna.obs.copy(), uns={"source": rna.uns["source"]}))


def _together(rna: AnnData, protein: AnnData) -> MuData:
    with mudata.set_options(pull_on_update=False):  # obs stays with each modality: mudata's own default from 0.4 on
        return MuData({"rna": rna, "protein": protein})


def _load(name: str) -> AnnData:
    path = DATA_FOLDER / f"{name}.h5ad"
    found, remedy = what_is_wrong(name, DATA_FOLDER)
    if found:
        kind = ValueError if path.is_file() else FileNotFoundError
        raise kind(
            f"{path}: expected the file that is part of the repository, found {found}. {remedy}\n"
            "Without git, rebuild it from its public origin: python -m course_lib.data.build --write\n"
            "If course_lib was installed without -e, its data stayed behind: run pip install -e . in the clone."
        )
    data = read_h5ad(path)
    data.X = data.X.astype(np.int32)  # on disk unsigned, where 1 − 2 would be 65,535
    return data
