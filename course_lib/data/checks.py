"""What a table must satisfy before a model may see it: one small function per rule, listed in short tables.

Axes: N cells, G genes. Every check takes a ``Table`` and returns nothing, or raises a ``ValueError`` that says
what was expected, what was found, where first, and what to do. None of them makes a sparse table dense. Those of
values may be asked about a table block by block, those of names and shape want the whole.
"""

from collections.abc import Callable, Sequence

import numpy as np

from course_lib.data.tables import Table

LARGEST_EXACT_COUNT = 2**24  # float32 has 24 bits of mantissa: above this, 1 + x may equal x
LARGEST_LOG_VALUE = 20.0  # log1p of half a billion: larger values are not logarithms of counts


class NotCounts(ValueError):
    """These values are no counts; some other layer may hold them."""


def has_cells_and_genes(table: Table) -> None:
    n_cells, n_genes = table.values.shape
    if n_cells == 0 or n_genes == 0:
        missing = "cells" if n_cells == 0 else "genes"
        raise ValueError(
            f"{table.name}: expected cells and genes, found no {missing}: its shape is ({n_cells}, {n_genes}). "
            "Look at the filter that came before: it kept nothing."
        )


def gene_names_are_unique(table: Table) -> None:
    _names_are_unique(
        table.genes,
        "gene",
        "data.var_names_make_unique() names them apart; data[:, ~data.var_names.duplicated()] drops them "
        "(of a data frame, data.loc[:, ~data.columns.duplicated()])",
    )


def cell_names_are_unique(table: Table) -> None:
    _names_are_unique(
        table.cells,
        "cell",
        "data.obs_names_make_unique() names them apart; data[~data.obs_names.duplicated()] drops them "
        "(of a data frame, data[~data.index.duplicated()])",
    )


def _names_are_unique(names: Sequence[str], kind: str, remedy: str) -> None:
    first_seen: dict[str, int] = {}
    for position, name in enumerate(names):
        if name in first_seen:
            raise ValueError(
                f"{kind} names: expected each once, found {len(names) - len(set(names)):,} that repeat an earlier one, "
                f"first {name!r} at positions {first_seen[name]:,} and {position:,}. {remedy}."
            )
        first_seen[name] = position


def is_finite(table: Table) -> None:
    """No NaN, no infinity, and nothing that becomes one in float32."""
    if table.stored.dtype.kind in "iu":
        return  # the largest integer, 2⁶⁴, is far below float32's 3.4e38
    wrong = ~(np.abs(table.stored) <= np.finfo(np.float32).max)  # NaN compares false, so it is wrong too
    if wrong.any():
        raise ValueError(
            f"{table.name}: expected finite numbers, found {wrong.sum():,} that are NaN, infinite or beyond float32, "
            f"{table.first(wrong)}. Remove these cells or genes, or repair the step that made them "
            "(a division by a total of zero, a logarithm of a negative number)."
        )


def is_not_negative(table: Table) -> None:
    wrong = table.stored < 0
    if wrong.any():
        raise NotCounts(
            f"{table.name}: expected counts, 0, 1, 2, …, found {wrong.sum():,} negative values, {table.first(wrong)}. "
            "They were scaled, centred or corrected: pass the raw counts."
        )


def is_whole(table: Table) -> None:
    """Every value an integer, exactly; the type may still be float, as it is in most files."""
    stored = table.stored
    if stored.dtype.kind in "iu":
        return
    wrong = stored != np.floor(stored)
    if wrong.any():
        raise NotCounts(
            f"{table.name}: expected counts, 0, 1, 2, …, found {wrong.sum():,} values that are not whole numbers, "
            f"{table.first(wrong)}. {_what_it_looks_like(table)}"
        )


def _what_it_looks_like(table: Table) -> str:
    """Guess, from values ≥ 0 that are not all whole, which transformation came before, and name the way back."""
    stored = table.stored.astype(np.float64)
    if np.allclose(stored, np.round(stored), rtol=1e-5, atol=0):
        return "They are whole but for rounding: pass np.rint(values)."
    if stored.max() <= LARGEST_LOG_VALUE:
        unlogged = np.expm1(stored)
        if np.allclose(unlogged, np.round(unlogged), rtol=1e-5, atol=0):
            return "They look like log1p of counts: pass the raw counts, or np.rint(np.expm1(values))."
        return "They look like log-normalised values: pass the raw counts."
    totals = np.asarray(table.values.sum(axis=1), dtype=np.float64).ravel()
    if len(totals) > 1 and np.allclose(totals, totals[0], rtol=1e-3):
        return f"They look like normalised values, since every cell sums to {totals[0]:,.6g}: pass the raw counts."
    return (
        "Pass the raw counts. Estimated counts (RSEM, kallisto) are rounded: np.rint(values). Other measurements pass "
        "cells_from_expression, to a model of continuous expression, not of counts."
    )


def is_not_logged(table: Table) -> None:
    """Estimated counts may be fractions, but reach more than 20; logarithms of counts never do."""
    stored = table.stored
    if stored.dtype.kind == "f" and stored.max(initial=0) <= LARGEST_LOG_VALUE and (stored != np.floor(stored)).any():
        raise NotCounts(
            f"{table.name}: expected counts, found fractions no larger than {stored.max():.3g}, "
            f"{table.first(stored != np.floor(stored))}. {_what_it_looks_like(table)}"
        )


def is_exact_in_float32(table: Table) -> None:
    wrong = table.stored > LARGEST_EXACT_COUNT
    if wrong.any():
        raise ValueError(
            f"{table.name}: expected counts up to {LARGEST_EXACT_COUNT:,}, which float32 holds exactly, found "
            f"{wrong.sum():,} above, {table.first(wrong)}. No cell has so many molecules of one gene: drop summary "
            "rows (totals, 'N_unmapped') that were read as genes or cells."
        )


def has_no_empty_cell(table: Table) -> None:
    totals = np.asarray(table.values.sum(axis=1)).ravel()
    empty = np.flatnonzero(totals == 0)
    if len(empty):
        raise ValueError(
            f"{table.name}: expected a count in every cell, found {len(empty):,} cells without one, first "
            f"{table.cell(int(empty[0]))}. Their library size is zero, and its logarithm −∞: remove them, for example "
            "with data = data[np.asarray(data.X.sum(axis=1)).ravel() > 0]."
        )


Check = Callable[[Table], None]

# Order matters: a check may rely on those above it (only finite, non-negative values are asked to be whole).
NAME_CHECKS: tuple[Check, ...] = (has_cells_and_genes, gene_names_are_unique, cell_names_are_unique)
EXPRESSION_CHECKS: tuple[Check, ...] = (is_finite,)
COUNT_CHECKS: tuple[Check, ...] = (is_finite, is_not_negative, is_whole, is_exact_in_float32, has_no_empty_cell)
ABUNDANCE_CHECKS: tuple[Check, ...] = (
    is_finite,
    is_not_negative,
    is_not_logged,
    has_no_empty_cell,
)  # before a logarithm
