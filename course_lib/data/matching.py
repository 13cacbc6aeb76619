"""Do these cells fit that model? Genes and batches are compared by name, wherever a model knows its own.

Axes: N cells, G genes, B batches. A column in the wrong place would be read as another gene, and a batch numbered anew
as another batch, without an error and with plausible numbers: so both are refused, in training and afterwards.
"""

from itertools import compress
from typing import Any, Protocol

from course_lib.data.cells import CellTable
from course_lib.data.columns import ONLY_BATCH


class Named(Protocol):
    """A model that knows by name what it was built for, and so can refuse other cells."""

    genes: tuple[str, ...]  # G names, in the order of x's columns
    batches: tuple[str, ...]  # B names, in the order of their codes


def check_cells(model: Any, cells: CellTable, name: str = "cells") -> None:
    """ValueError unless ``cells`` have the model's genes in its order, and its batches and labels by its numbers.

    A model is compared in what it has: ``genes``, ``batches``, ``proteins``, ``labels``, or none. Every model has
    ``genes`` once ``training.fit`` has trained it. Where it says ``needs_counts = True``, expression is refused.
    ``name`` is what the message calls the cells.
    """
    if getattr(model, "needs_counts", False) and cells.counts is False:
        raise ValueError(
            f"{name}: expected raw counts, which {type(model).__name__} scores as counts, found expression, made "
            "with cells_from_expression; use cells_from_counts(data, layer=…) and the layer that holds the counts."
        )
    genes, batches = _names(model, "genes"), _names(model, "batches")
    if genes is not None and cells.genes != genes:
        raise ValueError(f"{name}: {_other_genes(genes, cells.genes, 'the model', 'model')}")
    if batches is not None and cells.batches != batches:
        raise ValueError(
            f"{name}: the model numbers the batches {batches}, found {cells.batches}; "
            + (
                "make the cells without a batch_key."
                if batches == (ONLY_BATCH,)
                else "make the cells with analysis.gate.cells_for(model, data, batch_key=…)."
            )
        )
    proteins, found = _names(model, "proteins"), getattr(cells, "proteins", None)
    if proteins is not None and found != proteins:
        raise ValueError(f"{name}: {_other_proteins(proteins, found)}")
    labels = _names(model, "labels")
    if labels is not None and cells.label is not None and cells.labels != labels:
        strangers = [label for label in cells.labels if label not in labels]
        raise ValueError(
            f"{name}: the model numbers the labels {labels}, found {cells.labels}; "
            + (f"it knows no {strangers[0]!r}: train one that does, or " if strangers else "")
            + "make these cells without a label_key, as cells to be labelled."
        )


def check_alike(cells: CellTable, others: CellTable, name: str) -> None:
    """ValueError unless ``others`` have the genes, batches, antibodies and, if both have any, labels of ``cells``."""
    if others.genes != cells.genes:
        raise ValueError(f"{name}: {_other_genes(cells.genes, others.genes, 'cells', 'cells')}")
    split = "Make one Cells of all and divide it: cells[train], cells[test]."
    if getattr(others, "proteins", None) != getattr(cells, "proteins", None):
        raise ValueError(f"{name}: expected the antibodies of cells in their order, found others. {split}")
    if others.batches != cells.batches:
        raise ValueError(f"{name}: cells numbers the batches {cells.batches}, found {others.batches}. {split}")
    if cells.label is not None and others.label is not None and others.labels != cells.labels:
        raise ValueError(f"{name}: cells numbers the labels {cells.labels}, found {others.labels}. {split}")


def _names(model: Any, kind: str) -> tuple[str, ...] | None:
    """The model's names of a kind, None where it has none."""
    names = getattr(model, kind, None)
    if names is None:
        return None
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"model.{kind}: expected a tuple of names, which cells are compared with, found {names!r}; "
            "give what you keep there another name."
        )
    return tuple(names)


def _other_proteins(expected: tuple[str, ...], found: tuple[str, ...] | None) -> str:
    """Say how the antibodies found differ from those expected, and what to do."""
    if found is None:
        return (
            f"expected the {len(expected):,} antibodies of the model beside the RNA, found cells without; make them "
            "with cells_from_mudata(mdata, …), in which a cell may lack them."
        )
    missing = [protein for protein in expected if protein not in set(found)]
    if missing or len(found) != len(expected):
        first = f", first {missing[0]!r}" if missing else ""
        return (
            f"expected the {len(expected):,} antibodies of the model, found {len(found):,}: {len(missing):,} "
            f"missing{first}; train a model on the panel you have."
        )
    moved = next(compress(expected, (a != b for a, b in zip(expected, found, strict=True))))
    return (
        f"the {len(expected):,} antibodies of the model in another order, first {moved!r} at column "
        f"{found.index(moved)} instead of {expected.index(moved)}; choose them in its order, "
        "mdata['protein'][:, list(model.proteins)]."
    )


def _other_genes(expected: tuple[str, ...], found: tuple[str, ...], whose: str, variable: str) -> str:
    """Say how the genes found differ from those expected, and what to do."""
    choose = f"data[:, list({variable}.genes)]"
    missing = [gene for gene in expected if gene not in set(found)]
    extra = [gene for gene in found if gene not in set(expected)]
    if not missing and not extra and len(found) == len(expected):
        moved = next(compress(expected, (a != b for a, b in zip(expected, found, strict=True))))
        return (
            f"the {len(expected):,} genes of {whose} in another order, first {moved!r} at column {found.index(moved)} "
            f"instead of {expected.index(moved)}; use {choose}."
        )
    first = f", first {missing[0]!r}" if missing else ""
    return (
        f"expected the {len(expected):,} genes of {whose}, found {len(found):,}: {len(missing):,} missing{first}, "
        f"{len(extra):,} unknown. "
        + (f"Choose them with {choose}." if not missing else "Train a model on the genes you have.")
    )
