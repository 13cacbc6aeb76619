"""What a student sent, laid over the homework's source: a list of steps to run.

Given cells and tests are the source's, whatever the student made of them; answers are the student's, found by their
``grade_id``, or, where a program lost that, by the functions and variables that they define. Cells which the student
added run where they stand. So a test that was edited or deleted counts as the author wrote it.
"""

import itertools
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from course_lib.homework.file_kinds import what_it_is
from course_lib.homework.sheet import Sheet, defined_names, identity, role

MOST_BYTES = 20_000_000
Kind = Literal["given", "answer", "added", "test"]


class NoNotebook(ValueError):
    """A file that cannot be graded. The message is a sentence for the student."""


@dataclass(frozen=True)
class Step:
    """One cell to run. ``name`` is its ``grade_id``; an added cell has the number of its place."""

    kind: Kind
    name: str
    source: str


@dataclass(frozen=True)
class Submission:
    """What is run, what is read by a person, and what was odd."""

    steps: tuple[Step, ...]
    texts: dict[str, str]  # answers in words, by their grade_id
    remarks: tuple[str, ...]


def read_submission(path: Path) -> NotebookNode:
    """The notebook in a file, in whatever encoding it came.

    Raises
    ------
    NoNotebook : empty, too large, no JSON, or no notebook.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise NoNotebook(
                f"the file has {size / 1e6:.0f} MB; expected at most {MOST_BYTES / 1e6:.0f}: clear outputs."
            )
        content = path.read_bytes()
    except OSError as error:
        raise NoNotebook(f"the file could not be read ({error.strerror}).") from None
    if not content.strip():
        raise NoNotebook("the file is empty.")
    for encoding in ("utf-8-sig", "utf-16", "cp1252", "latin-1"):
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        if "{" in text:
            break
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbformat tells, of no file in particular, that two cells have one id
            notebook = nbformat.reads(text, as_version=4)
        if not isinstance(notebook.get("cells"), list):
            raise TypeError("no cells")
        for cell in notebook.cells:
            if isinstance(cell.get("source"), list):
                cell.source = "".join(cell.source)
            if not (isinstance(cell.get("source"), str) and isinstance(cell.get("metadata", {}), dict)):
                raise TypeError("a cell without text")
            cell.source = cell.source.encode(errors="replace").decode()  # JSON may hold half a character: no file can
    except (json.JSONDecodeError, nbformat.reader.NotJSONError):
        what = what_it_is(path)
        is_broken = not what and content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")
        if is_broken:
            raise NoNotebook("the file starts as a notebook and breaks off: save it again, and hand that in.") from None
        but = f", but {what}" if what else ""
        raise NoNotebook(f"the file is no notebook{but}: hand in the notebook itself, the .ipynb.") from None
    except (RecursionError, MemoryError):
        raise NoNotebook("the file is no notebook: it is nested too deeply.") from None
    except Exception as error:  # nbformat fails in many ways on JSON that is no notebook
        raise NoNotebook(f"the file is no notebook ({type(error).__name__}).") from None
    return notebook


def lay_over(sheet: Sheet, notebook: NotebookNode) -> Submission:
    """The source's cells in the source's order, with the student's answers, and added cells behind their neighbours."""
    answers, remarks = find_answers(sheet, notebook)
    added = _added(sheet, notebook, set(map(id, answers.values())))
    steps: list[Step] = [Step("added", f"added {i + 1}", source) for i, source in enumerate(added.get("", ()))]
    texts = {}
    for cell in sheet.notebook.cells:
        name = identity(cell)
        if role(cell, "solution"):
            answer = answers.get(name)
            if cell.cell_type == "markdown":
                texts[name] = answer.source if answer is not None else ""
            elif answer is not None:
                steps.append(Step("answer", name, answer.source))
        elif cell.cell_type == "code":
            steps.append(Step("test" if role(cell, "grade") else "given", name, cell.source))
        if name:
            steps += [Step("added", f"added after {name}, {i + 1}", s) for i, s in enumerate(added.get(name, ()))]
    return Submission(tuple(steps), texts, tuple(remarks))


def find_answers(sheet: Sheet, notebook: NotebookNode) -> tuple[dict[str, NotebookNode], list[str]]:
    """Answers by name; and a remark on each that was not where it should be."""
    remarks = []
    wanted = {question.answer: sheet.cells[question.answer].cell_type for question in sheet.questions}
    found: dict[str, NotebookNode] = {}
    for cell in notebook.cells:
        name = identity(cell)
        if name in wanted and cell.get("cell_type") == wanted[name]:
            if name in found:
                remarks.append(f"{name}: two cells carry this name; the last one that is written counts.")
            if name in found and _is_blank(cell):
                continue
            found[name] = cell
    taken = set(map(id, found.values()))
    for name, kind in wanted.items():
        if name in found:
            continue
        asked = set(sheet.asked_names(name))
        for cell in notebook.cells if kind == "code" and asked else ():
            free = id(cell) not in taken and identity(cell) not in sheet.cells and cell.get("cell_type") == "code"
            if free and asked <= set(defined_names(cell.source)):
                found[name] = cell
        if kind == "markdown":
            below = _below_its_heading(sheet, name, notebook)
            found |= {name: below} if below is not None else {}
        if name in found:
            taken.add(id(found[name]))
            by = ", ".join(sorted(asked)) or "the heading above it"
            remarks.append(f"{name}: its cell had lost its name, and was known by {by}.")
        else:
            remarks.append(f"{name}: there is no answer's cell.")
    return found, remarks


def _is_blank(cell: NotebookNode) -> bool:
    return not cell.source.strip() or "raise NotImplementedError" in cell.source or "YOUR ANSWER HERE" in cell.source


def _below_its_heading(sheet: Sheet, answer: str, notebook: NotebookNode) -> NotebookNode | None:
    """The nameless cell of text that follows a question's heading."""
    heading = next(f"## {question.title}" for question in sheet.questions if question.answer == answer)
    for above, cell in itertools.pairwise(notebook.cells):
        kinds = (above.get("cell_type"), cell.get("cell_type"))
        if kinds == ("markdown", "markdown") and heading in above.source.splitlines() and not identity(cell):
            return None if cell.source.startswith("#") else cell
    return None


def _added(sheet: Sheet, notebook: NotebookNode, answers: set[int]) -> dict[str, list[str]]:
    """The student's own code cells, by the last named cell before each."""
    added: dict[str, list[str]] = {}
    current = ""
    names = {identity(cell): cell for cell in sheet.notebook.cells if identity(cell)}
    by_object = {id(cell): identity(cell) for cell in notebook.cells}
    for cell in notebook.cells:
        name = by_object[id(cell)]
        if name in names:
            current = name
        elif id(cell) not in answers and cell.get("cell_type") == "code" and cell.source.strip():
            added.setdefault(current, []).append(cell.source)
    return added
