"""What a person writes into the table of points, read back: points for words, more or fewer points, a note.

The table is the one place to write. Its columns of answers in words, ``extra``, ``note`` and any that a person adds are
the person's: every run carries them over, and fills none of them itself. All others are the command's: where a person
changed a test's points, nothing is written, because the next run would take the change back.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from course_lib.homework.grading import Grade
from course_lib.homework.sheet import Sheet

COMMANDS = ("submission", "points", "of", "to_read", "page", "remarks", "seconds", "homework")
SHOWN = 5  # problems in one message


@dataclass
class ByHand:
    """One row's share of a person."""

    points: dict[str, float] = field(default_factory=dict)  # by answer in words
    extra: float = 0
    note: str = ""
    columns: dict[str, str] = field(default_factory=dict)  # a person's cells as they stand, by column

    def added_to(self, grade: Grade) -> Grade:
        return replace(grade, points={**grade.points, **self.points}, extra=self.extra, note=self.note)


def read_by_hand(
    table: Path, sheet: Sheet, names: Mapping[str, str], written: Mapping[str, Mapping[str, str]]
) -> dict[str, ByHand]:
    """A person's cells, by submission.

    Parameters
    ----------
    table : the file, as this command wrote it or a spreadsheet saved it; it need not be there.
    names : what the table calls a submission → its name.
    written : the cells that the command wrote last, by row and column.

    Raises
    ------
    ValueError : the table is of something else, a value is no number or above its maximum, or a person's value would be
        lost. The message names the cell and says what to do.
    """
    if not table.exists():
        return {}
    header, rows = read_table(table)
    tests = [question.name for question in sheet.questions if not question.is_read]
    own = [column for column in header if column not in (*COMMANDS, *tests)]
    found: dict[str, ByHand] = {}
    wrong: list[str] = []
    for row in rows:
        called = row["submission"]
        mine = {column: row[column] for column in own}
        if row.get("homework", sheet.name) not in (sheet.name, ""):
            raise ValueError(f"{table} is of {row['homework']}, this is {sheet.name}: name another table with --to.")
        if called not in names or names[called] in found:
            why = "a second row of it" if called in names else "there is no such submission"
            held = ", ".join(f"{column} {value}" for column, value in mine.items() if value.strip())
            wrong += [f"row {called}: {why}, and it holds {held}; move that elsewhere"] if held else []
            continue
        wrong += [f"row {called}, {said}" for said in _changed(row, written.get(called, {}), [*tests, "points"])]
        try:
            found[names[called]] = _of_row(mine, sheet)
        except ValueError as error:
            wrong.append(f"row {called}, {error}")
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ValueError(f"{table}, {'; '.join(wrong[:SHOWN])}{more}. Nothing was written.")
    return found


def _changed(row: Mapping[str, str], before: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """A sentence on each of the command's cells that a person changed."""
    return [
        f"column {column}: was {before[column]}, found {row[column]!r}; that cell is the command's: put the "
        "old value back, and the difference into the column extra"
        for column in columns
        if column in row and column in before and row[column].strip().replace(",", ".") != before[column]
    ]


def _of_row(mine: dict[str, str], sheet: Sheet) -> ByHand:
    points = {
        q.answer: _number(q.answer, mine[q.answer], 0, q.total)
        for q in sheet.questions
        if q.is_read and mine.get(q.answer, "").strip()
    }
    extra = mine.get("extra", "").strip()
    given = _number("extra", extra, -sheet.total, sheet.total) if extra else 0
    return ByHand(points, given, mine.get("note", "").strip(), mine)


def _number(column: str, text: str, least: float, most: float) -> float:
    try:
        value = float(text.strip().replace(",", ".").replace("−", "-"))
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ValueError(f"column {column}: expected a number from {least} to {most}, found {text.strip()!r}")
    return int(value) if value == int(value) else value


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The names of the columns, and the rows, whatever a spreadsheet separates cells by.

    Raises
    ------
    ValueError : it is no table of submissions, or has cells that belong to no column or to two.
    """
    text = _text(path)
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text)) if any(line)]
    except csv.Error as error:
        raise ValueError(f"{path} is there and cannot be read as a table ({error}): name another with --to.") from None
    header = [name.strip() for name in lines[0]] if lines else []
    if "submission" not in header or "points" not in header:
        raise ValueError(f"{path} is there and is no table of this command: name another with --to.")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: two columns are called {twice[0]}: rename one. Nothing was written.")
    rows = []
    for line in lines[1:]:
        cells = line + [""] * (len(header) - len(line))
        if any(cell.strip() for name, cell in zip([*header, *[""] * len(cells)], cells, strict=False) if not name):
            raise ValueError(
                f"{path}, row {cells[0]}: a cell has no name above it: name its column. Nothing was written."
            )
        rows.append({name: cell for name, cell in zip(header, cells, strict=False) if name})
    return [name for name in header if name], rows


def separator_of(path: Path) -> str:
    """What a table's cells are separated by: a spreadsheet that saved it so reads it so."""
    return _separator(_text(path)) if path.exists() else ","


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeError:
        return content.decode("cp1252", errors="replace")


def _separator(text: str) -> str:
    return max(",;\t", key=text.partition("\n")[0].count)


def own_columns(hands: Mapping[str, ByHand], known: Sequence[str]) -> list[str]:
    """Columns that a person added, in order."""
    return [c for c in dict.fromkeys(c for hand in hands.values() for c in hand.columns) if c not in known]


def last_written(path: Path) -> dict[str, dict[str, str]]:
    """The cells of the last table, by row and column; none where there was no table yet."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {row["submission"]: row for row in rows}
