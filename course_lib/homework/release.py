"""From one source to what is handed out: students' notebooks, an instructor's set, a zip of each.

What students get is made by nbgrader's own steps (extra `classroom`), so that a department's nbgrader makes the same.
"""

import shutil
import textwrap
import zipfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.homework.sheet import CODE_STUB, SOURCE, TEXT_STUB, Sheet, identity, read_sheet, sheet_names

ZIP_DAY = (2026, 1, 1, 0, 0, 0)  # the same bytes from the same source
FOLDERS = {"students": "my_homework", "instructors": "homework_SOLUTIONS"}  # unpacked in one place, they stay apart
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "student.md"


def student_version(sheet: Sheet) -> NotebookNode:
    """No solutions, no hidden tests, no outputs; cells that count are locked, as nbgrader does it.

    Raises
    ------
    ModuleNotFoundError : nbgrader is not installed; the message says how.
    """
    try:
        from nbgrader import preprocessors
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}; pip install -e '.[classroom]' brings nbgrader, which makes homework."
        ) from None
    notebook = nbformat.from_dict(sheet.notebook.copy())
    notebook = nbformat.reads(nbformat.writes(notebook), as_version=4)  # a copy, cells too
    steps = (
        preprocessors.LockCells(),
        preprocessors.ClearSolutions(code_stub={"python": CODE_STUB}, text_stub=TEXT_STUB),
        preprocessors.ClearOutput(), preprocessors.CheckCellMetadata(), preprocessors.ComputeChecksums(),
        preprocessors.ClearHiddenTests(), preprocessors.ComputeChecksums(),
    )  # fmt: skip
    for step in steps:
        notebook, _ = step.preprocess(notebook, {})
    return notebook


def instructor_version(sheet: Sheet) -> NotebookNode:
    """The source, outputs cleared."""
    notebook = nbformat.reads(nbformat.writes(sheet.notebook), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def release(to: Path, names: list[str] | None = None, source: Path = SOURCE) -> list[Path]:
    """Write ``students/``, ``instructors/`` and a zip of each under ``to``; returns what was written.

    What an earlier call wrote there goes. Beside the notebooks lies a text that says how to work with them.

    Raises
    ------
    FileNotFoundError : there is no homework, or none of that name.
    ValueError : the folder holds anything else; nothing is written.
    """
    if not (names or sheet_names(source)):
        raise FileNotFoundError(
            f"expected homework below {source}, found none: this copy of the course has no solutions."
        )
    own = {*FOLDERS, *(f"{who}.zip" for who in FOLDERS)}
    foreign = sorted(path.name for path in to.iterdir() if path.name not in own) if to.exists() else []
    if foreign:
        raise ValueError(f"--to {to}: expected a folder for homework alone, found {foreign[0]} in it; name another.")
    sheets = [read_sheet(name, source) for name in names or sheet_names(source)]
    versions = [(s.name, {"students": student_version(s), "instructors": instructor_version(s)}) for s in sheets]
    shutil.rmtree(to, ignore_errors=True)
    written = []
    for name, notebooks in versions:
        for who, notebook in notebooks.items():
            path = to / who / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
            written.append(path)
    for who, says in (("students", student_text()), ("instructors", INSTRUCTOR_TEXT)):
        (to / who / "README.txt").write_text(says, encoding="utf-8", newline="\n")
        target = to / f"{who}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((to / who).iterdir()):
                entry = zipfile.ZipInfo(f"{FOLDERS[who]}/{path.name}", ZIP_DAY)
                entry.external_attr = 0o644 << 16  # else unpacked files are nobody's to read but the owner's
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        written.append(target)
    return written


def student_text() -> str:
    """What ``docs/student.md`` says of homework, without Markdown's stars."""
    _, _, after = GUIDE.read_text(encoding="utf-8").partition("\n## Homework\n")
    section = after.partition("\n## ")[0].strip().replace("*", "")
    lines = [textwrap.fill(line, 100, subsequent_indent="   ") for line in section.splitlines()]
    return "How to work on this homework\n\n" + "\n".join(lines) + "\n"


INSTRUCTOR_TEXT = """\
SOLUTIONS: the homework with answers and hidden tests, for who grades it. Not for students.

What students get is students.zip, or a notebook of it. The guide is docs/instructor.md of the course.
"""


def points_shown(sheet: Sheet) -> dict[str, int]:
    """What the headings promise: ``## Question 3: … (4 points)``, by the question below each."""
    shown: dict[str, int] = {}
    promise = 0
    answers = {question.answer for question in sheet.questions}
    for cell in sheet.notebook.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("## ") and line.rstrip().endswith((" points)", " point)")):
                promise = int(line.rsplit("(", 1)[1].split()[0])
        if identity(cell) in answers:
            shown[identity(cell)] = promise
    return shown
