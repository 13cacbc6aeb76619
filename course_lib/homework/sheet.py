"""A homework's source: one notebook with solutions and hidden tests, in nbgrader's format.

A cell that counts has a name, its ``grade_id``. The answer to a question has the question's name, ``q3``; the cells
that test it go on from there, ``q3_sign``, and carry the points. An answer in words carries its points itself, and is
read by a person. What stands in neither is given: the student may read and run it.
"""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

SOURCE = Path(__file__).resolve().parents[2] / "homework" / "source"
NAME = re.compile(r"(q\d+)(?:_\w+)?")
CODE_STUB = '# YOUR CODE HERE\nraise NotImplementedError("not answered yet")'  # where students are to write
TEXT_STUB = "YOUR ANSWER HERE (double-click to write, Shift+Enter to show it)"


@dataclass(frozen=True)
class Question:
    """One question: the cell of its answer, and the cells that test it."""

    name: str  # q3
    title: str
    answer: str  # grade_id of the answer
    tests: tuple[str, ...]  # grade_ids, in order; none where a person reads the answer
    points: dict[str, int]  # grade_id → points: of each test, or of the answer that a person reads

    @property
    def total(self) -> int:
        return sum(self.points.values())

    @property
    def is_read(self) -> bool:
        """Whether a person gives the points."""
        return not self.tests


@dataclass(frozen=True)
class Sheet:
    """A homework as its author wrote it."""

    name: str  # hw3_elbo
    notebook: NotebookNode

    @cached_property
    def title(self) -> str:
        return next(line[2:] for c in self.notebook.cells for line in c.source.splitlines() if line.startswith("# "))

    @cached_property
    def cells(self) -> dict[str, NotebookNode]:
        """Every named cell by its ``grade_id``, in order."""
        return {identity(cell): cell for cell in self.notebook.cells if identity(cell)}

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """In the order of their answers."""
        found = []
        heading = ""
        for cell in self.notebook.cells:
            for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
                heading = line.lstrip("# ") if line.startswith("## ") else heading
            if role(cell, "solution"):
                name = identity(cell)
                tests = tuple(other for other, c in self.cells.items() if of_question(other) == name and other != name)
                graded = tests or (name,)
                points = {other: int(self.cells[other].metadata.nbgrader.points) for other in graded}
                found.append(Question(name, heading, name, tests, points))
        return tuple(found)

    @property
    def total(self) -> int:
        return sum(question.total for question in self.questions)

    def asked_names(self, answer: str) -> tuple[str, ...]:
        """The functions, classes and variables that an answer cell is to define: by these an unnamed cell is known."""
        return defined_names(self.cells[answer].source) if self.cells[answer].cell_type == "code" else ()


def read_sheet(name: str, folder: Path = SOURCE) -> Sheet:
    """The homework of that name.

    Raises
    ------
    FileNotFoundError : there is none; the message names those that there are.
    """
    path = folder / name / f"{name}.ipynb"
    if not path.is_file():
        there = ", ".join(sheet_names(folder)) or "none"
        raise FileNotFoundError(f"homework {name!r}: expected one of {there}, found no {path}.")
    return Sheet(name, nbformat.read(path, as_version=4))


def sheet_names(folder: Path = SOURCE) -> list[str]:
    """The homeworks that there are, in order."""
    return sorted(path.stem for path in folder.glob("*/*.ipynb") if path.stem == path.parent.name)


def identity(cell: NotebookNode) -> str:
    """A cell's ``grade_id``, or an empty text."""
    marks = cell.get("metadata", {}).get("nbgrader", {})
    return str(marks.get("grade_id", "")) if isinstance(marks, dict) else ""


def role(cell: NotebookNode, what: str) -> bool:
    """Whether nbgrader's metadata says that a cell is a ``solution``, has a ``grade``, or is ``locked``."""
    marks = cell.get("metadata", {}).get("nbgrader", {})
    return isinstance(marks, dict) and bool(marks.get(what, False))


def of_question(grade_id: str) -> str:
    """The question to which a cell belongs: ``q3`` of ``q3_sign``; an empty text for what is given."""
    found = NAME.fullmatch(grade_id)
    return found[1] if found else ""


def defined_names(source: str) -> tuple[str, ...]:
    """What a cell defines at its top level; nothing where it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return tuple(dict.fromkeys(names))
