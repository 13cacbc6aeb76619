"""Cells whose antibodies were counted beside their RNA, or some of whose were: ``Cells`` with one more table.

Axes: N cells, G genes, T antibodies, B batches. RNA and antibodies stay two tables, since a model scores them
by two likelihoods. A cell has all antibodies of the panel, or none.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from mudata import MuData
from torch import Tensor

from course_lib.arguments import text
from course_lib.data.cells import Cells, Index, cells_from_counts


@dataclass(frozen=True, eq=False, kw_only=True)
class ProteinCells(Cells):
    """What a model of RNA and antibodies sees of N cells. Make one with ``cells_from_mudata``."""

    protein: Tensor  # (N, T) float32 counts; NaN throughout the row of a cell whose antibodies were not measured
    proteins: tuple[str, ...]  # T names, in the order of the columns

    @property
    def has_protein(self) -> Tensor:
        """(N,) whether a cell's antibodies were measured."""
        return has_protein(self.protein)

    def __getitem__(self, index: Index) -> Self:
        """Several cells at once, with their antibodies."""
        chosen = super().__getitem__(index)  # every field but one is that of the chosen cells
        rows = torch.from_numpy(index) if isinstance(index, np.ndarray) else index
        return replace(chosen, protein=self.protein[rows])

    def to(self, device: torch.device | str) -> Self:
        return replace(super().to(device), protein=self.protein.to(device))

    def digest(self) -> str:
        """As that of ``Cells``, and other names of antibodies make another one too."""
        return hashlib.blake2b(f"{super().digest()} {self.proteins}".encode(), digest_size=16).hexdigest()

    def without_protein(self, index: Index | None = None) -> Self:
        """The same cells, as if the antibodies of these, or of all, had not been measured."""
        protein = self.protein.clone()
        rows = torch.from_numpy(index) if isinstance(index, np.ndarray) else index
        protein[slice(None) if rows is None else rows] = torch.nan
        return replace(self, protein=protein)


def has_protein(protein: Tensor) -> Tensor:
    """(N, T) counts, or NaN, to (N,): whether a cell's antibodies were measured."""
    return ~protein.isnan().any(-1)


def cells_from_mudata(
    mdata: MuData,
    *,
    rna: str = "rna",
    protein: str = "protein",
    batch_key: str | None = None,
    label_key: str | None = None,
) -> ProteinCells:
    """Check that both modalities hold raw counts, and hand them to a model. The cells of the RNA lead.

    Parameters
    ----------
    mdata : RNA of N cells, antibodies of some or all of them; each in the ``X`` of its modality.
    rna, protein : the names of the two in ``mdata``.
    batch_key, label_key : columns of the RNA's ``obs``, as in ``cells_from_counts``.

    Returns
    -------
    ProteinCells in the order of the RNA's cells. Where a cell has RNA only its row of ``protein`` is NaN. ``mdata`` is
    not changed.

    Raises
    ------
    TypeError : what is no MuData.
    ValueError : a modality that is not there, antibodies of a cell whose RNA is not there, or of none; and what
        ``cells_from_counts`` refuses, with the modality's name before it.
    """
    if not isinstance(mdata, MuData):
        raise TypeError(
            f"mdata: expected a MuData, found {type(mdata).__name__}; put two AnnData of counts into one: "
            "MuData({'rna': …, 'protein': …}), or make cells of RNA alone with cells_from_counts(data)."
        )
    for argument, name in (("rna", rna), ("protein", protein)):
        if text(argument, name) not in mdata.mod:
            raise ValueError(f"{argument}: expected one of the modalities {list(mdata.mod)}, found {name!r}.")
    cells = _counts_of(mdata, rna, batch_key=batch_key, label_key=label_key)
    antibodies = _counts_of(mdata, protein)
    place = mdata[rna].obs_names.get_indexer(mdata[protein].obs_names)  # of each antibody's cell among those of the RNA
    if (place < 0).any():
        strangers: pd.Index = mdata[protein].obs_names[place < 0]
        raise ValueError(
            f"mdata[{protein!r}]: expected cells that mdata[{rna!r}] has too, found {len(strangers):,} without RNA, "
            f"first {strangers[0]!r}; leave them out: mdata[mdata[{rna!r}].obs_names]."
        )
    counts = torch.full((len(cells), antibodies.n_genes), torch.nan)  # (N, T)
    counts[torch.from_numpy(place)] = antibodies.x
    fields = {name: getattr(cells, name) for name in ("batch", "genes", "batches", "label", "labels", "counts")}
    return ProteinCells(cells.x, **fields, protein=counts, proteins=antibodies.genes)


def _counts_of(mdata: MuData, modality: str, **keys: Any) -> Cells:
    """The counts of one modality, past the gate; what the gate refuses is refused in its name."""
    try:
        return cells_from_counts(mdata[modality], **keys)
    except (TypeError, ValueError) as error:
        raise type(error)(f"mdata[{modality!r}]: {error}") from error
