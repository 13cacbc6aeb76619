"""One submission's points: its steps run in the sandbox, each with a limit of time, and what breaks it is left out.

A cell that never ends, ends the process or prints without end costs its own question. The rest is run again without it:
its questions earn what they are worth.
"""

import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from course_lib.homework.room import Broken, Limits, Room
from course_lib.homework.sheet import TEXT_STUB, Sheet, defined_names, of_question
from course_lib.homework.submission import NoNotebook, Step, lay_over, read_submission

UNANSWERED = "not answered yet"
MOST_REMARKS = 20  # what is odd about one submission; a table's cell holds no more than 131 072 characters
FAILS, RAISES, LEFT, NOT_REACHED = "fails", "raises", "not answered", "not reached"  # how a test can go wrong
EMPTY = ("", "YOUR ANSWER HERE", TEXT_STUB)  # what is left where an answer in words belongs: nbgrader's text, and ours
TAMPERED = (
    "something that tests compare by (in NumPy, SciPy, torch or Python) had been replaced before, and was put back. "
    "The points are right; read the cells above it."
)


@dataclass
class Grade:
    """What one submission earned."""

    name: str
    points: dict[str, float | None] = field(default_factory=dict)  # by test, or answer to be read: None until then
    messages: dict[str, str] = field(default_factory=dict)  # by test, where it failed
    kinds: dict[str, str] = field(default_factory=dict)  # by test, where it failed: fails, raises, not answered, …
    texts: dict[str, str] = field(default_factory=dict)  # answers in words
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0
    date: str = ""
    is_notebook: bool = True
    extra: float = 0  # a person's, as is the note
    note: str = ""

    @property
    def total(self) -> float:
        return sum(value or 0 for value in self.points.values()) + self.extra


def grade_file(path: Path, sheet: Sheet, limits: Limits, *, walled: bool = True, name: str | None = None) -> Grade:
    """The grade of one file; whatever it holds, a grade."""
    started = time.monotonic()
    grade = Grade(name or path.name, date=date.today().isoformat())
    try:
        submission = lay_over(sheet, read_submission(path))
    except NoNotebook as error:
        grade.remarks.append(str(error))
        grade.is_notebook = False
        grade.points = {test: 0 for question in sheet.questions for test in question.points}
        return grade
    grade.remarks += submission.remarks
    for question in sheet.questions:
        if question.is_read:
            text = submission.texts.get(question.answer, "")
            grade.points[question.answer] = 0 if text.strip() in EMPTY else None
            grade.texts[question.answer] = text
            if grade.points[question.answer] == 0:
                grade.messages[question.answer] = UNANSWERED
    found, remarks = run_steps(submission.steps, limits, walled=walled)
    grade.remarks = list(dict.fromkeys([*grade.remarks, *remarks]))[:MOST_REMARKS]
    defined = {name for step in submission.steps for name in defined_names(step.source)}
    for question in sheet.questions:
        missing = [asked for asked in sheet.asked_names(question.answer) if asked not in defined]
        for test in question.tests:
            went = found.get(test, {"ok": False, "message": "was not reached.", "kind": NOT_REACHED})
            grade.points[test] = question.points[test] if went["ok"] else 0
            if not went["ok"]:
                grade.messages[test], grade.kinds[test] = message_of(went, missing), went["kind"]
    grade.seconds = round(time.monotonic() - started, 1)
    return grade


def message_of(went: dict[str, Any], missing: Sequence[str] = ()) -> str:
    """What the student reads where a test failed. ``missing`` names were asked for and are nowhere defined."""
    if went.get("type") == "NotImplementedError":
        return UNANSWERED
    if went.get("message"):
        return str(went["message"])
    if went.get("type") == "NameError" and missing:
        return f"{', '.join(missing)} is not defined: was it renamed, or its cell deleted?"
    if went.get("type") == "NameError":
        return "the name that this question asks for is not defined: run the notebook from top to bottom."
    return f"your answer raised {went.get('type') or 'an error'}." if went.get("type") else "did not hold."


def run_steps(steps: tuple[Step, ...], limits: Limits, *, walled: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """How each test went, by name; and remarks. Steps that break the process are left out, and the rest run again."""
    left_out: dict[str, Broken] = {}  # steps, each with what it did
    failed: dict[str, dict[str, Any]] = {}
    remarks: list[str] = []
    deadline = time.monotonic() + limits.seconds
    sources = {step.name: step.source for step in steps if step.kind != "test"}
    for _ in range(limits.restarts + 1):
        raised: dict[str, str] = {}
        found: dict[str, dict[str, Any]] = {}
        running = ""
        try:
            with Room(limits, walled) as room:
                for step in steps:
                    if step.name in left_out:
                        continue
                    running = step.name
                    seconds = min(limits.cell_seconds, deadline - time.monotonic())
                    went = room.run(step, seconds)
                    if step.kind == "test":
                        found[step.name] = _explained(went, step, sources, raised, left_out)
                    elif not went["ok"] and went["type"] != "NotImplementedError" and step.kind != "added":
                        raised[step.name] = f"{went['type']}: {went['message']}".replace(f"<{step.name}>, ", "")
                        remarks.append(f"{step.name}: the cell raised {raised[step.name]}")
                    if went.get("tampered"):
                        remarks.append(f"{step.name}: {TAMPERED}")
            return failed | found, list(dict.fromkeys(remarks))
        except Broken as broken:
            remarks.append(f"{running}: {broken}")
            failed |= found
            failed[running] = {"ok": False, "type": "", "message": f"{broken}", "kind": broken.kind}
            left_out[running] = broken
            if time.monotonic() >= deadline:
                remarks.append(f"all time for one submission, {limits.seconds} s, is used up.")
                break
    return failed, list(dict.fromkeys(remarks))


def _explained(
    went: dict[str, Any], step: Step, sources: dict[str, str], raised: dict[str, str], left_out: dict[str, Broken]
) -> dict[str, Any]:
    """How a test went, of which kind a failure is, and the student's line that raised, its text as it was sent."""
    if went["ok"]:
        return went
    if went.get("message") or went.get("type") == "NotImplementedError":
        return went | {"kind": LEFT if went.get("type") == "NotImplementedError" else FAILS}
    cell, line = str(went.get("cell", "")), went.get("line")
    lines = sources.get(cell, "").splitlines()
    if isinstance(line, int) and 0 < line <= len(lines):
        text = textwrap.shorten(lines[line - 1], 100, placeholder=" …")
        said = f"your answer raised {went['type']} in line {line} of {cell}: {text}"
        return went | {"message": said, "kind": RAISES}
    of = of_question(step.name)
    if went.get("type") == "NameError" and of in left_out:
        return went | {"message": f"the cell {of} was left out: {left_out[of]}", "kind": left_out[of].kind}
    if went.get("type") == "NameError" and of in raised:
        return went | {"message": f"the cell {of} itself raised {raised[of]}: mend that first.", "kind": RAISES}
    return went | {"kind": FAILS if went.get("type") == "AssertionError" else RAISES}
