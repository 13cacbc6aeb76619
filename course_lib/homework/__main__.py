"""The command: make homework from its sources, and grade what comes back.

    python -m course_lib.homework make [--to build/homework] [NAME …]
    python -m course_lib.homework grade FOLDER --to grades.csv [--homework NAME]

``grade`` takes every file below FOLDER for a submission. Beside ``grades.csv`` it writes ``grades/``: a page for each
submission, ``class.png`` with the same in words, and what it needs to go on after a break: a second run grades only
what is new or has changed.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from course_lib.console import say
from course_lib.homework.grading import Grade, Limits, grade_file
from course_lib.homework.sandbox import NoWalls, walls
from course_lib.homework.sheet import Sheet, identity, read_sheet, sheet_names

INTERRUPTED = 130


def submissions(folder: Path, besides: Sequence[Path] = ()) -> list[Path]:
    """Every file below the folder, hidden ones and the grader's own left out."""
    own = [path.resolve() for path in besides]
    found = []
    for path in sorted(folder.rglob("*"), key=lambda p: str(p).encode(errors="surrogateescape")):
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
        if path.is_symlink() or not path.is_file() or hidden:
            continue
        if not any(path.resolve() == o or path.resolve().is_relative_to(o) for o in own):
            found.append(path)
    return found


def guess_sheet(files: Sequence[Path]) -> Sheet:
    """The homework whose names of cells most of the files have.

    Raises
    ------
    ValueError : none of the files has any.
    """
    from course_lib.homework.submission import NoNotebook, read_submission

    votes = dict.fromkeys(sheet_names(), 0.0)
    sheets = {name: read_sheet(name) for name in votes}
    for path in files[:20]:
        try:
            notebook = read_submission(path)
        except NoNotebook:
            continue
        told = notebook.get("metadata", {}).get("course_homework")
        cells = {identity(cell) for cell in notebook.cells} - {""}
        for name, sheet in sheets.items():
            share = len(cells & set(sheet.cells)) / len(sheet.cells)
            votes[name] += 1.0 * (told == name) + (share if share > 0.5 else 0)
    best = max(votes, key=lambda name: votes[name], default="")
    if not best or not votes[best]:
        raise ValueError("the files do not show which homework they answer; name it: --homework NAME.")
    return sheets[best]


def grade_folder(folder: Path, to: Path, sheet: Sheet | None, limits: Limits, *, walled: bool) -> list[Grade]:
    """Grade every file, and write after each what a second run needs; returns the grades."""
    import matplotlib.pyplot as plt

    from course_lib.homework import report

    beside = to.with_suffix("")
    files = submissions(folder, [to, beside])
    if not files:
        raise ValueError(f"{folder}: expected one file for each submission, found none.")
    sheet = sheet or guess_sheet(files)
    source = hashlib.sha256(json.dumps(sheet.notebook, sort_keys=True).encode()).hexdigest()
    (beside / "done").mkdir(parents=True, exist_ok=True)
    grades = []
    for place, path in enumerate(files, start=1):
        name = str(path.relative_to(folder)).encode(errors="surrogateescape").decode(errors="replace")
        key = hashlib.sha256(name.encode()).hexdigest()[:12]
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size < 10**8 else "large"
        kept = beside / "done" / f"{key}.json"
        digest = f"{source} {content} {asdict(limits)} {walled}"
        grade = _kept(kept, digest)
        if grade is None:
            grade = grade_file(path, sheet, limits, walled=walled, name=name)
            part = kept.with_suffix(".part")
            part.write_text(
                json.dumps({"digest": digest, "grade": asdict(grade)}, ensure_ascii=False), encoding="utf-8"
            )
            part.replace(kept)
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(name).stem)[:60]
        page = beside / f"{stem}-{key[:6]}.html"
        page.write_text(report.feedback(grade, sheet), encoding="utf-8", newline="\n")
        grades.append(grade)
        odd = f"  ({grade.remarks[0]})" if grade.remarks else ""
        say(f"{place:3d} of {len(files)}  {grade.total:3d} of {sheet.total}  {name}{odd}"[:200], flush=True)
    to.write_text(report.table(grades, sheet), encoding="utf-8-sig", newline="\n")  # spreadsheets look for the mark
    figure, words = report.class_figure(grades, sheet)
    figure.savefig(beside / "class.png")
    plt.close(figure)
    (beside / "class.txt").write_text(words + "\n", encoding="utf-8", newline="\n")
    return grades


def _kept(path: Path, digest: str) -> Grade | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Grade(**kept["grade"]) if kept.get("digest") == digest else None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.homework", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="students' notebooks, an instructor's set, a zip of each")
    make.add_argument("names", nargs="*", help="homeworks; none: all")
    make.add_argument("--to", type=Path, default=Path("build/homework"))
    grade = commands.add_parser("grade", help="grade a folder of submissions")
    grade.add_argument("folder", type=Path)
    grade.add_argument("--to", type=Path, required=True, help="the table to write, such as grades.csv")
    grade.add_argument("--homework", help="its name; else the submissions tell")
    grade.add_argument("--cell-seconds", type=int, default=Limits.cell_seconds)
    grade.add_argument("--seconds", type=int, default=Limits.seconds, help="for one submission in all")
    grade.add_argument(
        "--without-walls", action="store_true", help="limits alone: if you trust everybody who handed in"
    )
    given = parser.parse_args(arguments)
    try:
        if given.command == "make":
            from course_lib.homework.release import release

            for path in release(given.to, given.names or None):
                say(f"{path}  {path.stat().st_size / 1000:.0f} kB")
            return 0
        if not given.without_walls:
            walls()
        limits = Limits(cell_seconds=given.cell_seconds, seconds=given.seconds)
        sheet = read_sheet(given.homework) if given.homework else None
        grades = grade_folder(given.folder, given.to, sheet, limits, walled=not given.without_walls)
    except (ValueError, FileNotFoundError, ModuleNotFoundError, NoWalls) as error:
        say(f"homework: {error}")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; the same command goes on from here")
        return INTERRUPTED
    say(f"{len(grades)} graded: {given.to}, and a page for each in {given.to.with_suffix('')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
