"""What passes the checks and still looks wrong: evidence strong enough to warn, too weak to refuse.

Axes: N cells, G genes. Each function returns one sentence with its reason and what to do, or nothing.
"""

import re
from collections.abc import Sequence

import numpy as np

from course_lib.data.tables import Table

_NAMES_LOOKED_AT = 1_000  # of rows and of columns, from the first: enough to tell barcodes from symbols
_CELL_NAME = re.compile(r"[ACGT]{10,}([-._:].*)?|cell[-_ ]?\d+", re.IGNORECASE)
_GENE_NAME = re.compile(
    r"ENS[A-Z]*G\d{11}(\.\d+)?|(RP[LS]|MT-)[A-Z]*\d*[A-Z]?|ACTB|GAPDH|B2M|gene[-_ ]?\d+", re.IGNORECASE
)


def named_as_if_transposed(table: Table) -> str:
    """Are columns named like cells, or rows like genes, and not the other way round?"""
    rows, columns = table.cells[:_NAMES_LOOKED_AT], table.genes[:_NAMES_LOOKED_AT]
    cells = [name for name in columns if _CELL_NAME.fullmatch(name)]
    genes = [name for name in rows if _GENE_NAME.fullmatch(name)]
    if len(cells) > 0.9 * len(columns) and not any(_CELL_NAME.fullmatch(name) for name in rows):
        return _transposed(table.source, f"its columns are named like cells ({cells[0]!r}, …)")
    if len(genes) >= 5 and not any(_GENE_NAME.fullmatch(name) for name in columns):
        return _transposed(table.source, f"rows are named like genes ({genes[0]!r}, {genes[1]!r}, …)")
    return ""


def spread_as_if_transposed(source: str, of_rows: np.ndarray, of_columns: np.ndarray) -> str:
    """Do the totals of rows of counts spread over far more orders of magnitude than those of columns?

    In cells × genes it is the other way: in the course's data sets the standard deviation of the log totals is .3 to
    .9 for cells and .8 to 1.9 for genes.
    """
    if min(len(of_rows), len(of_columns)) < 100:
        return ""
    rows, columns = (float(np.log(total[total > 0]).std()) for total in (of_rows, of_columns))
    if rows < 1 or rows < 2.5 * columns:
        return ""
    reason = f"the log totals of its rows have a standard deviation of {rows:.1f}, those of its columns {columns:.1f}"
    return _transposed(source, f"{reason}, as genes and cells have")


def _transposed(source: str, reason: str) -> str:
    return f"{source} looks as if genes stood in rows and cells in columns: {reason}. If so, pass data.T."


def almost_a_name_per_cell(argument: str, key: str, names: Sequence[str], n_cells: int) -> str:
    """Are there more than half as many batches, or kinds of cell, as cells?"""
    if n_cells < 20 or len(names) <= n_cells / 2:
        return ""
    return (
        f"{argument}={key!r} has {len(names):,} values for {n_cells:,} cells ({names[0]!r}, {names[1]!r}, …): it looks "
        "like a name or a measurement of each cell. Choose a column that many cells share."
    )
