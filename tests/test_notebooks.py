"""Every notebook of the course keeps every rule. What a rule is and what to do: course_lib/tooling/rules/."""

from functools import cache
from pathlib import Path

import pytest

from course_lib.tooling.files import APPENDIX, find_notebooks, name_of
from course_lib.tooling.rules import RULES, Document, answers_run
from course_lib.tooling.talk import entries

pytestmark = pytest.mark.slow
NOTEBOOKS = find_notebooks()
LESSONS = [path for path in NOTEBOOKS if path.parent != APPENDIX]

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[name_of(path) for path in NOTEBOOKS])


@cache
def document(path: Path) -> Document:
    return Document.read(path)


def test_the_course_is_numbered_from_00_without_a_gap():
    assert len(LESSONS) > 0
    assert [path.name[:3] for path in LESSONS] == [f"{number:02}_" for number in range(len(LESSONS))]


def test_the_appendices_come_after_the_lessons_and_carry_no_number():
    assert NOTEBOOKS[: len(LESSONS)] == LESSONS
    assert [path.name for path in NOTEBOOKS[len(LESSONS) :] if path.name[0].isdigit()] == []


@each_notebook
@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_notebook_keeps_the_rule(path, rule):
    findings = rule(document(path))
    assert not findings, "\n" + "\n".join(map(str, findings))


def test_every_notebook_has_a_talk():
    lessons = [path for path in NOTEBOOKS if path.parent != APPENDIX]
    without = [path.stem for path in lessons if not any(entries(cell) for cell in document(path).nb.cells)]
    assert without == []


@each_notebook
def test_every_folded_answer_runs_alone(path):
    assert document(path).answers or path.parent == APPENDIX, "no folded answer holds a ```python block"
    findings = answers_run(document(path))
    assert not findings, "\n" + "\n".join(map(str, findings))
