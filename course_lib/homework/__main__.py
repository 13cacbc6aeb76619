"""The command: make homework from its sources, and grade what comes back.

    python -m course_lib.homework make [--to build/homework] [NAME …]
    python -m course_lib.homework grade FOLDER --to grades.csv [--homework NAME] [--again [WORD …]]

Beside ``grades.csv``, ``grade`` writes ``grades/``: a page for each submission, all answers in words on one page,
``class.png`` with the same in words, and what it needs to go on after a break: a second run grades only what is new or
has changed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from course_lib.console import say
    from course_lib.homework.folder import check_place, grade_folder
    from course_lib.homework.grading import Grade, Limits
    from course_lib.homework.sandbox import NoWalls, walls
    from course_lib.homework.sheet import read_sheet
    from course_lib.tooling.files import INTERRUPTED
except ModuleNotFoundError as missing:
    sys.exit(
        f"homework: {missing}. This Python lacks the course's packages: type .venv/bin/python instead, or "
        "make grade FOLDER=… TO=grades.csv."
    )

LIMITS = Limits()
GRADING = f"""Grades every notebook below FOLDER, whatever its name, in half a minute or so each; lists other files.

Points for words: write them into the table, in the question's column; into "extra" what you give or take by hand, into
"note" what the student is to read. The next run adds them and never writes over them.

Limits: {LIMITS.cell_seconds} s for a cell and {LIMITS.seconds} s for a submission, unless you say other ones;
{LIMITS.memory // 2**30} GB of memory, {LIMITS.disk // 2**20} MB on disk, {LIMITS.output // 10**6} MB printed,
{LIMITS.processes} processes. Ctrl-C stops, and the same command goes on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "make":
            from course_lib.homework.release import release

            for path in release(given.to, given.names or None):
                say(f"{path}  {path.stat().st_size / 1000:.0f} kB")
            return 0
        check_place(given.to, given.folder)
        if not given.without_walls:
            walls()
        limits = Limits(cell_seconds=given.cell_seconds, seconds=given.seconds)
        sheet = read_sheet(given.homework) if given.homework else None
        grades = grade_folder(given.folder, given.to, sheet, limits, walled=not given.without_walls, again=given.again)
    except (ValueError, OSError, ModuleNotFoundError, NoWalls) as error:
        say(f"homework: {error}")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; the same command goes on from here")
        return INTERRUPTED
    _say_where(grades, given.to)
    return 0


def _say_where(grades: Sequence[Grade], to: Path) -> None:
    beside = to.with_suffix("")
    say(f"{len(grades)} graded: {to}; a page for each: {beside / 'pages'}; the class: {beside / 'class.png'}")
    n_unread = sum(value is None for grade in grades for value in grade.points.values())
    if n_unread:
        say(
            f"{n_unread} answer{'' if n_unread == 1 else 's'} in words to read in {beside / 'to_read.html'}; write "
            f"points into {to.name}, and grade again"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course_lib.homework", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="students' notebooks, an instructor's set, a zip of each")
    make.add_argument("names", nargs="*", help="homeworks; none: all")
    make.add_argument("--to", type=Path, default=Path("build/homework"))
    grade = commands.add_parser(
        "grade", help="grade a folder of submissions", description=GRADING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    grade.add_argument("folder", type=Path, help="what was handed in, unpacked: files, or a folder for each student")
    grade.add_argument("--to", type=Path, required=True, help="the table to write, such as grades.csv")
    grade.add_argument("--homework", metavar="NAME", help="such as hw3_elbo, where the folder holds several")
    grade.add_argument(
        "--again", nargs="*", metavar="WORD",
        help="grade anew what has WORD in its name although it did not change; without a word: all",
    )  # fmt: skip
    grade.add_argument(
        "--cell-seconds", type=int, default=Limits.cell_seconds, help="for one cell (default: %(default)s)"
    )
    grade.add_argument(
        "--seconds", type=int, default=Limits.seconds, help="for one submission in all (default: %(default)s)"
    )
    grade.add_argument(
        "--without-walls", action="store_true", help="limits alone: if you trust everybody who handed in"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
