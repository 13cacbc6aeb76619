"""Points that a person wrote into the table of grades: kept when the command runs again, and counted.

The table is what the grader wrote, and then what a person changed in it, with a spreadsheet or an editor. Beside it the
grader keeps what it wrote last: a question's cell that says something else was filled in by hand, and stays so until
it is emptied.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from course_lib.homework.grading import Grade
from course_lib.homework.sheet import Sheet

Points = dict[str, dict[str, float]]  # submission → question → points that a person gave


def read_given(table: Path, memory: Path, sheet: Sheet) -> Points:
    """What a person has given, by the table's row and question; nothing where there is no table yet.

    Where the memory is lost, only points for answers in words are known to be a person's.

    Raises
    ------
    ValueError : a cell holds no number, or more than the question is worth.
    """
    if not table.is_file():
        return {}
    known = memory.is_file()
    written: dict[str, dict[str, str]] = json.loads(memory.read_text(encoding="utf-8")) if known else {}
    worth = {question.name: question.total for question in sheet.questions if known or question.is_read}
    given: Points = {}
    for row in _rows(table):
        name = row.get("submission", "")
        before = written.get(name, dict.fromkeys(worth, "0"))
        for question, most in worth.items():
            found, ours = (row.get(question) or "").strip(), before[question]
            by_hand = question in before.get("by_hand", "").split()
            if not found or (found == ours and not by_hand):
                continue
            try:
                points = float(found.replace(",", "."))
            except ValueError:
                points = -1.0
            if not 0 <= points <= most:
                raise ValueError(
                    f"{table.name}, {name}, {question}: expected 0 to {most} points, found {found!r}; mend the table, "
                    "or empty the cell for what the grader says."
                )
            if by_hand or ours == "" or points != float(ours):  # a spreadsheet may have made 2,0 of 2
                given.setdefault(name, {})[question] = points
    return given


def _rows(table: Path) -> list[dict[str, str]]:
    """As a spreadsheet may have saved it: with commas, semicolons or tabs, in its own encoding."""
    content = table.read_bytes()
    for encoding in ("utf-8-sig", "cp1252", "latin-1"):
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        break
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def remember(memory: Path, rows: Sequence[dict[str, str]], grades: Sequence[Grade]) -> None:
    """Keep what the table says now, and which of its cells are a person's."""
    kept = {
        row["submission"]: row | {"by_hand": " ".join(grade.given)} for row, grade in zip(rows, grades, strict=True)
    }
    memory.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
