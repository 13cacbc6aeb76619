"""One picture of a class, and the same in words: points by question, and the commonest ways to go wrong."""

import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from course_lib.figures.style import COLOUR, finding
from course_lib.homework.grading import FAILS, LEFT, RAISES, Grade
from course_lib.homework.report import title
from course_lib.homework.sheet import Sheet, of_question

MOST = 8
COLOURS = {FAILS: COLOUR["wrong"], RAISES: COLOUR["other"], LEFT: COLOUR["reference"]}
NUMBERS = re.compile(r"^(Expected .*?found|Found) .*?\.\s+")  # each student has others; the question behind them is one


@dataclass(frozen=True)
class Failure:
    """One way to go wrong, and how many notebooks went it."""

    where: str  # a test that compared; where it came to no comparison, the question
    kind: str
    count: int
    hint: str  # what most of them were told


def shares_of(notebooks: Sequence[Grade], sheet: Sheet) -> dict[str, float]:
    """By question that tests grade, the share of its points that the class earned, of readable notebooks."""
    graded = [question for question in sheet.questions if not question.is_read]
    return {
        q.name: float(np.mean([sum(g.points.get(t) or 0 for t in q.tests) / q.total for g in notebooks]))
        for q in graded
    }


def commonest(notebooks: Sequence[Grade]) -> list[Failure]:
    """Failures by test and kind: ten students with one mistake and ten numbers count as ten."""
    counts: Counter[tuple[str, str]] = Counter()
    hints: dict[tuple[str, str], Counter[str]] = {}
    for grade in notebooks:
        went = {(test if kind == FAILS else of_question(test), kind): test for test, kind in grade.kinds.items()}
        counts.update(list(went))
        for key, test in went.items():
            said = NUMBERS.sub("", grade.messages.get(test, "")) if key[1] == FAILS else ""
            hints.setdefault(key, Counter())[said] += 1
    return [Failure(*key, count, hints[key].most_common(1)[0][0]) for key, count in counts.most_common(MOST)]


def class_figure(grades: Sequence[Grade], sheet: Sheet, n_files: int) -> tuple[Figure, str]:
    """Left the share of its points that each question earned, right the commonest failures; and the same in words."""
    notebooks = [grade for grade in grades if grade.is_notebook]
    counted = f"{len(notebooks)} notebook{'' if len(notebooks) == 1 else 's'} of {n_files} files"
    share = shares_of(notebooks, sheet) if notebooks else {}
    failures = commonest(notebooks)
    fig, (left, right) = plt.subplots(1, 2, figsize=(15, 2.3 + 0.55 * max(len(share), len(failures), 3)))
    fig.suptitle(f"{sheet.title}: {counted}", x=0.01, ha="left")
    titles = {q.name: f"{q.name}  {title(q).partition(': ')[2] or title(q)}" for q in sheet.questions}
    left.barh(np.arange(len(share)), list(share.values()), color=COLOUR["model"])
    left.set_yticks(np.arange(len(share)), [textwrap.shorten(titles[q], 40, placeholder=" …") for q in share])
    left.set(xlim=(0, 1), ylim=(max(len(share), 1) - 0.5, -0.5), xlabel="share of its points, mean of the notebooks")
    hardest = [name for name in share if share[name] == min(share.values())]
    all_equal = len(hardest) == len(share)
    finding(left, "All questions went alike" if all_equal else f"Hardest: {', '.join(hardest)}")
    _draw(right, failures)
    alt = (
        f"{sheet.title}: {counted}. Share of points by question: "
        + (", ".join(f"{name} {value:.2f}" for name, value in share.items()) or "none")
        + ". Commonest failures: "
        + ("; ".join(f"{f.where} {f.kind} in {f.count}{f.hint and f' ({f.hint})'}" for f in failures) or "none")
        + "."
    )
    return fig, alt


def _draw(axes: plt.Axes, failures: Sequence[Failure]) -> None:
    places = np.arange(len(failures))
    axes.barh(places, [f.count for f in failures], color=[COLOURS.get(f.kind, COLOUR["highlight"]) for f in failures])
    words = [f"{f.where} {f.kind}{f.hint and f': {f.hint}'}" for f in failures]
    wrapped = ["\n".join(textwrap.wrap(textwrap.shorten(said, 104, placeholder=" …"), 54)) for said in words]
    axes.set_yticks(places, wrapped, fontsize=10, parse_math=False)  # a student's $ begins no formula
    axes.set(ylim=(max(len(failures), 5) - 0.5, -0.5), xlim=(0, None), xlabel="notebooks")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    finding(axes, "The commonest failures" if failures else "No test failed")
