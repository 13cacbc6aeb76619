"""What a class gets back: a table of points, a page for each student, and one picture for the instructor."""

import csv
import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.figures.style import COLOUR, finding
from course_lib.homework.grading import UNANSWERED, Grade
from course_lib.homework.sheet import Sheet

TEMPLATES = Path(__file__).parent / "templates"


def table(grades: Sequence[Grade], sheet: Sheet) -> str:
    """Points as CSV: a row for each submission, a column for each question, the total, what is left to read, remarks.

    A name that a spreadsheet would take for a formula is led by an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["submission", *(q.name for q in sheet.questions), "points", "of", "to_read", "seconds", "remarks"])
    for grade in grades:
        row: list[object] = [plain(grade.name)]
        for question in sheet.questions:
            earned = [grade.points.get(test) for test in question.points]
            row.append("" if None in earned else sum(value or 0 for value in earned))
        row += [
            grade.total,
            sheet.total,
            sum(_unread(grade, sheet).values()),
            f"{grade.seconds:.0f}",
            plain(" ".join(grade.remarks)),
        ]
        writer.writerow(row)
    return out.getvalue()


def plain(text: str) -> str:
    """Text that a spreadsheet shows and does not compute, and that any encoding can hold."""
    text = text.encode("utf-8", errors="replace").decode()
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _unread(grade: Grade, sheet: Sheet) -> dict[str, int]:
    return {q.answer: q.total for q in sheet.questions if q.is_read and grade.points.get(q.answer) is None}


def feedback(grade: Grade, sheet: Sheet) -> str:
    """One page for one student: points by question, and for each test that failed where to look."""
    questions = []
    for question in sheet.questions:
        tests = [
            {"name": test, "points": grade.points.get(test), "of": of, "message": grade.messages.get(test, "")}
            for test, of in question.points.items()
        ]
        questions.append({
            "title": question.title, "tests": tests, "of": question.total, "is_read": question.is_read,
            "points": sum(value or 0 for value in (grade.points.get(t) for t in question.points)),
            "unread": question.answer in _unread(grade, sheet), "text": grade.texts.get(question.answer, ""),
        })  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("feedback.html.j2").render(
        name=plain(grade.name), title=sheet.title, questions=questions, total=grade.total, of=sheet.total,
        unread=sum(_unread(grade, sheet).values()), remarks=grade.remarks,
    )  # fmt: skip


def short(title: str) -> str:
    """``Question 3: A title (4 points)`` as ``q3  A title``."""
    number, _, words = title.partition(": ")
    return f"{number.replace('Question ', 'q')}  {words.rpartition(' (')[0] or words}"


def class_figure(grades: Sequence[Grade], sheet: Sheet) -> tuple[Figure, str]:
    """Left the share of its points that each question earned, right the commonest failures; and the same in words."""
    graded = [question for question in sheet.questions if not question.is_read]
    share = {
        q.name: float(np.mean([sum(g.points.get(t) or 0 for t in q.tests) / q.total for g in grades])) for q in graded
    }
    failures = Counter(
        (test, "not answered" if grade.messages[test] == UNANSWERED else grade.messages[test])
        for grade in grades
        for test in grade.messages
        if test in {t for q in graded for t in q.tests}
    ).most_common(8)
    fig, (left, right) = plt.subplots(1, 2, figsize=(15, 1.8 + 0.55 * max(len(share), len(failures), 3)))
    titles = {q.name: short(q.title) for q in graded}
    places = np.arange(len(share))
    left.barh(places, list(share.values()), color=COLOUR["model"])
    left.set_yticks(places, [textwrap.shorten(titles[name], 40, placeholder=" …") for name in share])
    left.set(xlim=(0, 1), ylim=(len(share) - 0.5, -0.5), xlabel="share of its points, mean of the class")
    hardest = min(share, key=lambda name: share[name]) if share else ""
    finding(left, f"Hardest: {titles.get(hardest, 'none').split('  ')[0]}")
    right.barh(np.arange(len(failures)), [count for _, count in failures], color=COLOUR["wrong"])
    words = [
        "\n".join(textwrap.wrap(textwrap.shorten(f"{test}: {said}", 108, placeholder=" …"), 56))
        for (test, said), _ in failures
    ]
    right.set_yticks(np.arange(len(failures)), words, fontsize=10)
    right.set(ylim=(max(len(failures), 1) - 0.5, -0.5), xlabel="submissions")
    finding(right, "The commonest failures")
    alt = (
        f"{len(grades)} submissions. Share of points by question: "
        + ", ".join(f"{name} {value:.2f}" for name, value in share.items())
        + ". Commonest failures: "
        + "; ".join(f"{test} in {count} ({said})" for (test, said), count in failures)
        + "."
    )
    return fig, alt
