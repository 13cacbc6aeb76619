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
from course_lib.homework.sheet import Question, Sheet

TEMPLATES = Path(__file__).parent / "templates"


def table_rows(grades: Sequence[Grade], sheet: Sheet, pages: Sequence[str]) -> list[dict[str, str]]:
    """A row for each submission: points by question, the total, what is left to read, its page, remarks.

    A name that a spreadsheet would take for a formula is led by an apostrophe.
    """
    found = []
    for grade, page in zip(grades, pages, strict=True):
        earned = {question.name: grade.of(question) for question in sheet.questions}
        found.append(
            {"submission": plain(grade.name)}
            | {name: "" if points is None else f"{points:g}" for name, points in earned.items()}
            | {
                "points": f"{grade.total:g}",
                "of": str(sheet.total),
                "to_read": str(sum(_unread(grade, sheet).values())),
            }
            | {"seconds": f"{grade.seconds:.0f}", "page": plain(page), "remarks": plain(" ".join(grade.remarks))}
        )
    return found


def table(rows: Sequence[dict[str, str]]) -> str:
    """The rows as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def plain(text: str) -> str:
    """Text that a spreadsheet shows and does not compute, and that any encoding can hold."""
    text = text.encode("utf-8", errors="replace").decode()
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _unread(grade: Grade, sheet: Sheet) -> dict[str, int]:
    return {q.answer: q.total for q in sheet.questions if grade.of(q) is None}


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
            "points": f"{grade.of(question) or 0:g}", "given": question.name in grade.given,
            "unread": question.answer in _unread(grade, sheet), "text": grade.texts.get(question.answer, ""),
        })  # fmt: skip
    return _page("feedback.html.j2").render(
        name=plain(grade.name), title=sheet.title, questions=questions, total=f"{grade.total:g}", of=sheet.total,
        unread=sum(_unread(grade, sheet).values()), remarks=grade.remarks, is_notebook=grade.is_notebook,
    )  # fmt: skip


def words(grades: Sequence[Grade], sheet: Sheet) -> str:
    """All answers in words on one page, question by question, below what the author would have liked to read."""
    questions = [
        {"name": q.name, "title": q.title, "of": q.total, "model": sheet.cells[q.answer].source,
         "answers": [
             {"name": plain(grade.name), "text": grade.texts.get(q.answer, ""), "points": grade.of(q)}
             for grade in grades if grade.is_notebook
         ]}
        for q in sheet.questions if q.is_read
    ]  # fmt: skip
    return _page("words.html.j2").render(title=sheet.title, questions=questions)


def _page(template: str) -> jinja2.Template:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    ).get_template(template)


def short(title: str) -> str:
    """``Question 3: A title (4 points)`` as ``q3  A title``."""
    number, _, words = title.partition(": ")
    return f"{number.replace('Question ', 'q')}  {words.rpartition(' (')[0] or words}"


def class_figure(grades: Sequence[Grade], sheet: Sheet) -> tuple[Figure, str]:
    """Left the share of its points that each question earned, right the commonest failures; and the same in words.

    Files that are no notebooks are counted, and say nothing of a question.
    """
    graded = [question for question in sheet.questions if not question.is_read]
    readable = [grade for grade in grades if grade.is_notebook]
    share = {q.name: float(np.mean([(g.of(q) or 0) / q.total for g in readable])) if readable else 0.0 for q in graded}
    failures = _failures(readable, graded)
    fig, (left, right) = plt.subplots(1, 2, figsize=(15, 2.1 + 0.55 * max(len(share), len(failures), 3)))
    several = "file" if len(grades) == 1 else "files"
    whose = f"{sheet.name}: {len(readable)} notebooks of {len(grades)} {several}"
    fig.suptitle(whose, x=0.01, ha="left")
    titles = {q.name: short(q.title) for q in graded}
    places = np.arange(len(share))
    left.barh(places, list(share.values()), color=COLOUR["model"])
    left.set_yticks(places, [textwrap.shorten(titles[name], 40, placeholder=" …") for name in share])
    left.set(xlim=(0, 1), ylim=(len(share) - 0.5, -0.5), xlabel="share of its points, mean of the notebooks")
    least = min(share.values(), default=0.0)
    finding(left, f"Hardest: {', '.join(name for name, value in share.items() if value <= least + 0.02)}")
    right.barh(np.arange(len(failures)), [count for count, _ in failures], color=COLOUR["wrong"])
    told = ["\n".join(textwrap.wrap(textwrap.shorten(said, 108, placeholder=" …"), 56)) for _, said in failures]
    right.set_yticks(np.arange(len(failures)), told, fontsize=10)
    right.set(ylim=(max(len(failures), 1) - 0.5, -0.5), xlabel="notebooks")
    finding(right, "The commonest failures")
    alt = (
        f"{whose}. Share of points by question: "
        + ", ".join(f"{name} {value:.2f}" for name, value in share.items())
        + ". Commonest failures: "
        + "; ".join(f"{said} in {count}" for count, said in failures)
        + "."
    )
    return fig, alt


def _failures(grades: Sequence[Grade], questions: Sequence[Question], most: int = 8) -> list[tuple[int, str]]:
    """How many notebooks failed a test, or did not answer a question; with what the test said most often."""
    counts: Counter[str] = Counter()
    said: dict[str, Counter[str]] = {}
    for grade in grades:
        for question in questions:
            failed = {test: grade.messages[test] for test in question.tests if test in grade.messages}
            if failed and set(failed.values()) == {UNANSWERED}:
                failed = {question.name: UNANSWERED}
        counts.update(list(failed))
            for test, message in failed.items():
                said.setdefault(test, Counter())[message] += 1
    return [(count, f"{test}: {said[test].most_common(1)[0][0]}") for test, count in counts.most_common(most)]
