"""What lies in a folder of homework: notebooks, each of its own homework, and files that are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from course_lib.homework.file_kinds import what_it_is, what_to_do
from course_lib.homework.sheet import Sheet, defined_names, identity, read_sheet, sheet_names
from course_lib.homework.submission import NoNotebook, read_submission

ONE_STUDENT = 3  # so many notebooks in a folder are versions of one; more are a group's
ENOUGH = 0.5  # of a homework's names, for a file to be of it


@dataclass(frozen=True)
class HandedIn:
    """The files of a folder, by their path below it, in order."""

    paths: dict[str, Path]  # submissions: what holds a notebook, and what is called one
    homework: dict[str, str]  # of each submission; an empty text where nothing tells
    others: dict[str, str]  # the rest, each with what it is and what to do

    @property
    def n_files(self) -> int:
        return len(self.paths) + len(self.others)


def look_through(folder: Path, besides: Sequence[Path] = (), sheet: Sheet | None = None) -> HandedIn:
    """Every file below the folder, hidden ones and the grader's own left out.

    A file is a submission if it holds a notebook, whatever its name, or if its name says that it is one.

    Raises
    ------
    NotADirectoryError, FileNotFoundError : there is no such folder; the message says what there is.
    ValueError : no file in it is a submission.
    """
    if not folder.is_dir():
        if folder.exists():
            raise NotADirectoryError(f"{folder}: expected a folder, found a file. Put it into one.")
        raise FileNotFoundError(f"{folder}: there is no such folder.")
    sheets = {name: read_sheet(name) for name in sheet_names()} | ({sheet.name: sheet} if sheet else {})
    paths, homework, others = {}, {}, {}
    for path in files_below(folder, besides):
        name = path.relative_to(folder).as_posix().encode(errors="surrogateescape").decode(errors="replace")
        while name in paths or name in others:  # two names of bytes that no encoding knows
            name += "'"
        try:
            notebook = read_submission(path)
        except NoNotebook:
            if ".ipynb" in path.name.lower():
                paths[name], homework[name] = path, ""
            else:
                what = what_it_is(path)
                others[name] = "; ".join(filter(None, (what or "no notebook", what_to_do(what))))
            continue
        paths[name], homework[name] = path, homework_of(notebook, sheets)
    found = HandedIn(paths, homework, others)
    if not found.n_files:
        raise ValueError(f"{folder}: expected one notebook for each submission, found an empty folder.")
    if not paths:
        named = "; ".join(f"{name}: {what}" for name, what in list(others.items())[:5])
        raise ValueError(f"{folder}: expected one notebook for each submission, found none. {named}.")
    return found


def files_below(folder: Path, besides: Sequence[Path]) -> list[Path]:
    """Files, in the order of their names; nothing hidden, no links, nothing of ``besides``."""
    own = [path.resolve() for path in besides]
    found = []
    for path in sorted(folder.rglob("*"), key=lambda p: str(p).encode(errors="surrogateescape")):
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
        if path.is_symlink() or not path.is_file() or hidden:
            continue
        if not any(path.resolve() == o or path.resolve().is_relative_to(o) for o in own):
            found.append(path)
    return found


def homework_of(notebook: NotebookNode, sheets: Mapping[str, Sheet]) -> str:
    """The homework that a notebook says it is of; else the one whose names of cells and functions it has."""
    told = notebook.get("metadata", {}).get("course_homework")
    if isinstance(told, str) and told in sheets:
        return told
    has = {identity(cell) for cell in notebook.cells} - {""}
    defines = {n for cell in notebook.cells if cell.get("cell_type") == "code" for n in defined_names(cell.source)}
    shares = {}
    for name, sheet in sheets.items():
        asked = {other for question in sheet.questions for other in sheet.asked_names(question.answer)}
        shares[name] = max(len(has & set(sheet.cells)) / len(sheet.cells), len(defines & asked) / len(asked))
    first, second = [*sorted(shares.values(), reverse=True), 0.0][:2]
    return max(shares, key=lambda name: shares[name]) if first > max(ENOUGH, second) else ""


def the_one_homework(found: HandedIn) -> Sheet:
    """The homework of all files.

    Raises
    ------
    ValueError : they are of several, or none of them tells. The message says what to type.
    """
    files: dict[str, list[str]] = {}
    for name, homework in found.homework.items():
        files.setdefault(homework, []).append(name)
    files.pop("", None)
    if not files:
        raise ValueError("the files do not show which homework they answer; name it: --homework NAME.")
    if len(files) > 1:
        of_each = "; ".join(
            f"{homework} ({len(names)}: {', '.join(names[:3])}{', …' if names[3:] else ''})"
            for homework, names in sorted(files.items())
        )
        most = max(files, key=lambda homework: len(files[homework]))
        raise ValueError(
            f"expected one homework, found {len(files)}: {of_each}. Grade one at a time, each into a table of its own: "
            f"--homework {most} leaves the others out."
        )
    return read_sheet(next(iter(files)))


def neighbours(names: Sequence[str]) -> dict[str, str]:
    """A remark for each of two or three notebooks in one folder: a student's versions, of which all are graded."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        folders.setdefault(folder, []).append(file)
    return {
        f"{folder}/{file}": f"beside it in one folder, graded too: {', '.join(f for f in files if f != file)}."
        for folder, files in folders.items()
        if folder and 1 < len(files) <= ONE_STUDENT
        for file in files
    }
