"""Name each blood cell by the marker genes detected in it: CellAssign's idea (Zhang et al. 2019) in its smallest form.

A mixture model with one component per kind of cell. Gene g is detected (count > 0) in a cell of kind k with probability

    p_kg  where g is a marker of k,        p_g  otherwise, the same for all kinds that do not list g,

and p_kg ≥ p_g, so that a marker can only speak for its kind. Genes are independent given the kind. Expectation
maximisation finds the probabilities, and Bayes' rule the kind. Zhang et al.: https://doi.org/10.1038/s41592-019-0529-1.

Axes: N cells, K kinds, G marker genes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from course_lib.arguments import real_number, whole_number
from course_lib.data.checks import is_finite, is_not_negative
from course_lib.data.tables import read_table

UNASSIGNED = "unassigned"

# Programs shared by several kinds, then what tells those apart. Symbols of 2017: SDPR is now CAVIN2, IGJ JCHAIN.
_MYELOID = ("TYROBP", "FCER1G", "CST3", "CD63", "C15orf48", "LYZ", "LST1", "AIF1")
_PRESENTING = ("HLA-DQA1", "HLA-DQB1", "HLA-DPA1", "HLA-DPB1", "CD74")
_T_CELL = ("CD3D", "CD3E", "CD2", "LTB", "IL7R", "LDHB", "GIMAP7", "CCR7")
_CYTOTOXIC = ("NKG7", "CCL5", "GZMB", "PRF1", "CST7", "GZMH", "CTSW")

BLOOD_MARKERS: dict[str, tuple[str, ...]] = {
    "CD14+ Monocytes": (*_MYELOID, *_PRESENTING, "CD14", "S100A8", "S100A9", "FCN1"),
    "FCGR3A+ Monocytes": (*_MYELOID, *_PRESENTING, "FCGR3A", "MS4A7", "VMO1", "MS4A4A", "CXCL16"),
    "Dendritic cells": (*_MYELOID, *_PRESENTING, "FCER1A", "CLEC10A", "CD1C", "PKIB"),
    "Plasmacytoid dendritic cells": (*_PRESENTING, "LILRA4", "CLEC4C", "TSPAN13", "SERPINF1", "IGJ", "TCF4", "GZMB"),
    "B cells": (*_PRESENTING, "MS4A1", "CD79A", "CD79B", "BANK1", "CCR7"),
    "CD4 T cells": _T_CELL,
    "CD8 T cells": (*_T_CELL, *_CYTOTOXIC, "CD8A", "CD8B", "GZMK"),
    "NK cells": (*_CYTOTOXIC, "GNLY", "KLRD1", "FGFBP2", "CLIC3"),
    "Megakaryocytes": ("PPBP", "PF4", "GNG11", "TUBB1", "SDPR", "CCL5"),
    "Erythroid cells": ("HBA1", "HBA2", "HBB", "ALAS2", "SNCA"),
}


def marker_genes(markers: Mapping[str, Sequence[str]]) -> list[str]:
    """Every gene named in ``markers``, once, sorted."""
    return sorted({gene for genes in markers.values() for gene in genes})


def label_by_markers(
    counts: Any, markers: Mapping[str, Sequence[str]], *, least_probability: float = 0.9, iterations: int = 50
) -> np.ndarray:
    """Most probable kind of each cell, or ``"unassigned"`` where its posterior probability is below the least one.

    Parameters
    ----------
    counts : (N, G), columns in the order of ``marker_genes(markers)``; cells of one condition, since a stimulus
        changes how often a marker is seen.
    least_probability : 0 to 1.

    Returns
    -------
    (N,) array of names.

    Raises
    ------
    TypeError : ``counts`` is no table of numbers.
    ValueError : another number of genes than markers name, no markers, NaN, or negative values, of which "above zero"
        says nothing.
    """
    kinds, genes = list(markers), marker_genes(markers)
    table = read_table(counts, argument="counts")
    if not genes or table.values.shape[1] != len(genes):
        raise ValueError(
            f"counts: expected {len(genes)} columns, the genes of marker_genes(markers) in its order, "
            f"found {table.values.shape[1]}; pass data[:, marker_genes(markers)].X."
        )
    for check in (is_finite, is_not_negative):
        check(table)
    counts = table.values if isinstance(table.values, np.ndarray) else table.values.toarray()
    if not 0 <= real_number("least_probability", least_probability) <= 1:
        raise ValueError(f"least_probability: expected 0 to 1, found {least_probability}.")
    whole_number("iterations", iterations)
    is_marker = np.array([[gene in markers[kind] for gene in genes] for kind in kinds])  # (K, G)
    seen = (counts > 0).astype(np.float64)  # (N, G)
    everywhere = seen.mean(axis=0)  # (G,)
    # (K, G), a first guess: a marker is frequent in its kind, and rarer elsewhere than overall
    p = np.where(is_marker, np.clip(2 * everywhere, 0.3, 0.9), everywhere / 4).clip(1e-4, 0.999)
    weight = np.full(len(kinds), 1 / len(kinds))  # (K,), how common each kind is
    for _ in range(iterations):
        joint = seen @ np.log(p).T + (1 - seen) @ np.log1p(-p).T + np.log(weight)  # (N, K)
        posterior = np.exp(joint - joint.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)

        cells = posterior.sum(axis=0)[:, None]  # (K, 1), expected cells of each kind
        detected = posterior.T @ seen  # (K, G), expected detections
        weight = cells[:, 0] / len(seen)
        own = (detected + 1) / (cells + 2)  # (K, G); one detection and one miss added, so no probability is 0 or 1
        shared = ((detected * ~is_marker).sum(axis=0) + 1) / ((cells * ~is_marker).sum(axis=0) + 2)  # (G,)
        p = np.where(is_marker, np.maximum(own, shared), shared)
    return np.where(posterior.max(axis=1) >= least_probability, np.array(kinds)[posterior.argmax(axis=1)], UNASSIGNED)
