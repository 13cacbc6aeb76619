"""The three tables, read from their files and checked row by row."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from course_lib.sources.places import HERE, Where, parse

FOLDER = Path(__file__).parent
Kind = Literal["formula", "words"]
DOCUMENTS = {
    "lecture": "the lecture on autoencoders, variational autoencoders and scVI",
    "note": "the project note on annotating cells with a deep generative model",
    "draft": "the unfinished user guide of scVI",
    "report": "the report on scVI written anew in Pyro and Lightning",
    "talk": "the class presentation on running scvi-tools",
}


@dataclass(frozen=True)
class Erratum:
    """A statement of a document, in our words, and what holds instead."""

    name: str
    document: str
    kind: Kind  # formula: it changes what you would compute
    says: str
    holds: str
    where: tuple[Where, ...]


@dataclass(frozen=True)
class Concept:
    """What the documents speak of, and where the course teaches it; ``here`` holds a lesson of one sentence."""

    name: str
    documents: tuple[str, ...]
    where: tuple[Where, ...]
    here: str = ""

    def __post_init__(self) -> None:
        if (HERE in self.where) != bool(self.here):
            raise ValueError("here: expected a sentence exactly where a place is 'here'; write it, or name a section.")


@dataclass(frozen=True)
class Symbol:
    """One letter under its four names. An empty string: there it has none."""

    math: str
    course: str  # dotted, below course_lib; in brackets a variable inside: models.scvi.Decoder.forward(rho)
    scvi_tools: str
    found: str  # where scvi-tools 1.4 keeps it, from inference, generative, loss, module or minibatch: generative.px.mu
    paper: str
    equation: str


Row = TypeVar("Row", Erratum, Concept, Symbol)


def errata() -> list[Erratum]:
    """What is put right, formulas first, each kind in the order of the course's documents."""
    rows = read("errata", Erratum)
    return sorted(rows, key=lambda row: (get_args(Kind).index(row.kind), list(DOCUMENTS).index(row.document)))


def concepts() -> list[Concept]:
    """What is taught where."""
    return read("concepts", Concept)


def symbols() -> list[Symbol]:
    """Whose letter is whose."""
    return read("symbols", Symbol)


def read(table: str, kind: type[Row], folder: Path = FOLDER) -> list[Row]:
    """The rows of a table: ``[[row]]`` in ``table.toml``.

    Raises
    ------
    ValueError : a row lacks a field or has one too many, names no document or no place, would break a Markdown table,
        or stands there twice; the message names the file and the row.
    """
    rows: list[Row] = []
    for number, entries in enumerate(tomllib.loads((folder / f"{table}.toml").read_text(encoding="utf-8"))["row"], 1):
        try:
            row = _row(entries, kind)
            if any(key(row) == key(other) for other in rows):
                raise ValueError(f"expected a row of its own, found {key(row)!r} for the second time; merge the two.")
        except ValueError as error:
            raise ValueError(f"{table}.toml, row {number}: {error}") from None
        rows.append(row)
    return rows


def key(row: Erratum | Concept | Symbol) -> str:
    """What no two rows of a table share."""
    return row.math if isinstance(row, Symbol) else row.name


def _row(entries: dict[str, Any], kind: type[Row]) -> Row:
    names = {field.name for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if not needed <= entries.keys() <= names:
        raise ValueError(f"expected {', '.join(sorted(needed))}, found {', '.join(sorted(entries))}; write these.")
    for name, value in entries.items():
        _check_text(name, value)
    checks: dict[str, Callable[[Any], Any]] = {
        "where": lambda texts: tuple(parse(text) for text in texts),
        "documents": lambda keys: tuple(_choice("documents", key, tuple(DOCUMENTS)) for key in keys),
        "document": lambda key: _choice("document", key, tuple(DOCUMENTS)),
        "kind": lambda key: _choice("kind", key, get_args(Kind)),
    }
    return kind(**{name: checks.get(name, str)(value) for name, value in entries.items()})


def _check_text(name: str, value: Any) -> None:
    texts: Sequence[Any] = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name}: expected text, or a list of it that is not empty, found {value!r}; write it.")
    for text in texts:
        if "|" in text or "\n" in text:
            raise ValueError(
                f"{name}: expected one line without |, found {text!r:.60}; in formulas write \\mid or \\lVert."
            )
        if text.count("$") % 2:
            raise ValueError(f"{name}: expected formulas between two $, found an odd number in {text!r:.60}; close it.")


def _choice(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(allowed)}, found {value!r}; take one of these.")
    return value
