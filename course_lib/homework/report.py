"""What a class gets back: a table of points, a page for each student; and for who reads, all words on one page."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from course_lib.homework.by_hand import ByHand, own_columns
from course_lib.homework.grading import EMPTY, Grade
from course_lib.homework.sheet import Question, Sheet, identity

TEMPLATES = Path(__file__).parent / "templates"
COURSE = "From autoencoders to scVI"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # a line's end among them, at which a table's row would end as well


def table(
    grades: Sequence[Grade], sheet: Sheet, hands: Mapping[str, ByHand], pages: Mapping[str, str]
) -> list[dict[str, str]]:
    """A row for each submission: points by question, what a person added, the total, what is left to read, remarks.

    A question in words, ``extra``, ``note`` and columns of a person's stand as the person wrote them. A name that a
    spreadsheet would take for a formula is led by an apostrophe.
    """
    rows = []
    for grade in grades:
        hand = hands.get(grade.name, ByHand())
        row = {"submission": plain(grade.name)}
        for question in sheet.questions:
            earned = sum(grade.points.get(test) or 0 for test in question.points)
            row[question.name] = hand.columns.get(question.name, "") if question.is_read else number(earned)
        row |= {
            "extra": hand.columns.get("extra", ""), "points": number(grade.total), "of": number(sheet.total),
            "to_read": number(sum(q.total for q in unread(grade, sheet))), "note": hand.columns.get("note", ""),
            "page": pages.get(grade.name, ""), "remarks": plain(" ".join(grade.remarks)),
            "seconds": f"{grade.seconds:.0f}", "homework": sheet.name,
        }  # fmt: skip
        rows.append(row | {column: hand.columns.get(column, "") for column in own_columns(hands, list(row))})
    return rows


def as_csv(rows: Sequence[Mapping[str, str]], separator: str = ",") -> str:
    """The table as a spreadsheet reads it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def number(value: float) -> str:
    return f"{value:g}"


def plain(text: str) -> str:
    """Text that a spreadsheet shows in one line and does not compute, and that any encoding can hold."""
    text = CONTROL.sub(" ", text.encode("utf-8", errors="replace").decode())
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def unread(grade: Grade, sheet: Sheet) -> list[Question]:
    """Questions whose answers wait for a person."""
    return [q for q in sheet.questions if q.is_read and grade.points.get(q.answer, 0) is None]


def feedback(grade: Grade, sheet: Sheet) -> str:
    """One page for one student: points by question, and for each test that failed where to look."""
    waiting = unread(grade, sheet)
    questions = [
        {
            "title": title(question), "of": question.total, "is_read": question.is_read, "unread": question in waiting,
            "points": number(sum(grade.points.get(test) or 0 for test in question.points)),
            "text": grade.texts[question.answer] if _wrote(grade, question) else "", "tests": _tests(grade, question),
        }
        for question in sheet.questions
    ]  # fmt: skip
    return _page(
        "feedback", grade=grade, sheet=sheet, name=plain(grade.name), questions=questions, total=number(grade.total),
        extra=f"{grade.extra:+g}".replace("-", "−") if grade.extra else "", unread=sum(q.total for q in waiting),
    )  # fmt: skip


def _tests(grade: Grade, question: Question) -> list[dict[str, Any]]:
    """How each test went. What the test above said too is not said twice."""
    found: list[dict[str, Any]] = []
    said = ""
    for test, of in question.points.items():
        message = grade.messages.get(test, "")
        shown = "as above." if message and message == said else message
        found.append({"name": test, "right": bool(grade.points.get(test)), "of": of, "message": shown})
        said = message
    return found


def to_read(grades: Sequence[Grade], sheet: Sheet, table_name: str) -> str:
    """All answers to each question in words under each other, below the author's answer with its points."""
    questions = []
    cells = sheet.notebook.cells
    for question in sheet.questions:
        if not question.is_read:
            continue
        place = next(i for i, cell in enumerate(cells) if identity(cell) == question.answer)
        name, written = question.answer, [grade for grade in grades if _wrote(grade, question)]
        questions.append({
            "name": name, "title": title(question), "of": question.total, "asked": cells[place - 1].source,
            "model": cells[place].source, "unread": sum(question in unread(grade, sheet) for grade in written),
            "empty": [plain(grade.name) for grade in grades if not _wrote(grade, question)],
            "answers": [
                {"name": plain(grade.name), "text": grade.texts[name], "points": grade.points[name]}
                for grade in written
            ],
        })  # fmt: skip
    return _page("to_read", sheet=sheet, questions=questions, table=table_name)


def _wrote(grade: Grade, question: Question) -> bool:
    return grade.texts.get(question.answer, "").strip() not in EMPTY


def title(question: Question) -> str:
    """A question's title without its points."""
    return question.title.rpartition(" (")[0] or question.title


def _page(template: str, **content: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template(f"{template}.html.j2").render(course=COURSE, **content)
