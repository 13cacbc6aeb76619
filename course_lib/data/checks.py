"""What a table must satisfy before a model may see it: one small function per rule, listed in two short tables.

Axes: N cells, G genes. Every check takes a ``Table`` and returns nothing, or raises a ``ValueError`` that says
what was found, where first, and what to do. None of them makes a sparse table dense.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST_EXACT_COUNT = 2**24  # float32 has 24 bits of mantissa: above this, 1 + x may equal x
LARGEST_LOG_VALUE = 20.0  # log1p of half a billion: larger values are not logarithms of counts


@dataclass(frozen=True)
class Table:
    """Numbers with names, as they came in: nothing has been checked but that they are numbers in two dimensions."""

    values: Any  # (N, G) ndarray, or a SciPy CSR matrix without duplicate entries
    cells: Sequence[str]  # N names
    genes: Sequence[str]  # G names
    source: str  # how messages call the values: "data.X", "data.layers['counts']", …

    @property
    def stored(self) -> np.ndarray:
        """The numbers held in memory: all (N, G) of a dense table, the explicitly stored ones of a sparse table."""
        return self.values if isinstance(self.values, np.ndarray) else self.values.data

    def first(self, wrong: np.ndarray) -> str:
        """Say where the first True of ``wrong`` (same shape as ``stored``) stands, and what is there."""
        position = int(np.argmax(wrong))  # argmax of booleans: the first True, rows first
        if isinstance(self.values, np.ndarray):
            row, column = divmod(position, self.values.shape[1])
        else:
            row = int(np.searchsorted(self.values.indptr, position, side="right")) - 1
            column = int(self.values.indices[position])
        value = self.stored.ravel()[position]
        return f"first {value:g} at cell {self.cells[row]!r} (row {row}), gene {self.genes[column]!r} (column {column})"


def has_cells_and_genes(table: Table) -> None:
    n_cells, n_genes = table.values.shape
    if n_cells == 0 or n_genes == 0:
        missing = "cells" if n_cells == 0 else "genes"
        raise ValueError(
            f"{table.source} has no {missing}: its shape is ({n_cells}, {n_genes}). "
            "Look at the filter that came before: it kept nothing."
        )


def gene_names_are_unique(table: Table) -> None:
    _names_are_unique(table.genes, "gene", "data.var_names_make_unique()", table.source)


def cell_names_are_unique(table: Table) -> None:
    _names_are_unique(table.cells, "cell", "data.obs_names_make_unique()", table.source)


def _names_are_unique(names: Sequence[str], kind: str, remedy: str, source: str) -> None:
    first_seen: dict[str, int] = {}
    for position, name in enumerate(names):
        if name in first_seen:
            raise ValueError(
                f"{source} has duplicate {kind} names: {len(names) - len(set(names))} repeat an earlier one, "
                f"first {name!r} at positions {first_seen[name]} and {position}. Call {remedy}, or drop the copies."
            )
        first_seen[name] = position


def is_finite(table: Table) -> None:
    """No NaN, no infinity, and nothing that becomes one in float32."""
    wrong = ~(np.abs(table.stored) <= np.finfo(np.float32).max)  # NaN compares false, so it is wrong too
    if wrong.any():
        raise ValueError(
            f"{table.source} has {wrong.sum():,} values that are NaN, infinite or beyond float32, "
            f"{table.first(wrong)}. Remove these cells or genes, or repair the step that made them "
            "(a division by a total of zero, a logarithm of a negative number)."
        )


def is_not_negative(table: Table) -> None:
    wrong = table.stored < 0
    if wrong.any():
        raise ValueError(
            f"{table.source} has {wrong.sum():,} negative values, {table.first(wrong)}. Counts are 0, 1, 2, …: "
            "these values were scaled, centred or corrected. Pass the raw counts layer (layer='counts', or data.raw)."
        )


def is_whole(table: Table) -> None:
    """Every value an integer; the type may still be float, as it is in most files."""
    stored = table.stored
    if stored.dtype.kind in "iu":
        return
    wrong = stored != np.floor(stored)
    if wrong.any():
        raise ValueError(
            f"{table.source} has {wrong.sum():,} values that are not whole numbers, {table.first(wrong)}. "
            f"{_what_it_looks_like(table)}"
        )


def _what_it_looks_like(table: Table) -> str:
    """Guess, from values ≥ 0 that are not all whole, which transformation came before, and name the way back."""
    stored = table.stored.astype(np.float64)
    if stored.max() <= LARGEST_LOG_VALUE:
        unlogged = np.expm1(stored)
        if np.allclose(unlogged, np.round(unlogged), rtol=1e-5, atol=1e-3):
            return "These look like log1p of counts: pass the raw counts layer, or np.rint(np.expm1(values))."
        return "These look like log-normalised values; pass the raw counts layer (layer='counts', or data.raw)."
    totals = np.asarray(table.values.sum(axis=1), dtype=np.float64).ravel()
    if len(totals) > 1 and np.allclose(totals, totals[0], rtol=1e-3):
        return (
            f"These look like normalised values, since every cell sums to {totals[0]:,.6g}; "
            "pass the raw counts layer (layer='counts', or data.raw)."
        )
    return (
        "Pass the raw counts layer (layer='counts', or data.raw); "
        "if these are estimated counts (RSEM, kallisto), round them; if they are not counts, use cells_from_expression."
    )


def is_exact_in_float32(table: Table) -> None:
    wrong = table.stored > LARGEST_EXACT_COUNT
    if wrong.any():
        raise ValueError(
            f"{table.source} has {wrong.sum():,} counts above {LARGEST_EXACT_COUNT:,}, {table.first(wrong)}. "
            "float32 cannot hold them exactly. No cell has so many molecules of one gene: drop summary rows "
            "(totals, 'N_unmapped') that were read as genes or cells."
        )


def has_no_empty_cell(table: Table) -> None:
    totals = np.asarray(table.values.sum(axis=1)).ravel()
    empty = np.flatnonzero(totals == 0)
    if len(empty):
        raise ValueError(
            f"{table.source} has {len(empty):,} cells without a single count, first cell "
            f"{table.cells[empty[0]]!r} (row {empty[0]}). Their library size is zero, and its logarithm −∞: "
            "remove them, for example with scanpy.pp.filter_cells(data, min_counts=1)."
        )


Check = Callable[[Table], None]

# Order matters: a check may rely on those above it (only finite, non-negative values are asked to be whole).
EXPRESSION_CHECKS: tuple[Check, ...] = (
    has_cells_and_genes,
    gene_names_are_unique,
    cell_names_are_unique,
    is_finite,
)
COUNT_CHECKS: tuple[Check, ...] = (
    *EXPRESSION_CHECKS,
    is_not_negative,
    is_whole,
    is_exact_in_float32,
    has_no_empty_cell,
)
