"""A real nbgrader makes and grades every homework, with the same points as ours."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from small_homework import send
from test_homework_gate import run

from course_lib.homework.release import student_version
from course_lib.homework.sheet import SOURCE, identity, read_sheet, sheet_names

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("nbgrader") is None, reason="nbgrader is not installed: pip install -e '.[classroom]'"
    ),
    pytest.mark.slow,
]
GRADES = """
import json, sys
from nbgrader.api import Gradebook
with Gradebook(f"sqlite:///{sys.argv[1]}/gradebook.db") as book:
    print(json.dumps({
        submission.student.id: {g.cell.name: g.auto_score for n in submission.notebooks for g in n.grades}
        for submission in book.assignment_submissions(sys.argv[2])
    }))
"""


def nbgrader(*arguments: str, folder: Path) -> str:
    """nbgrader in a process of its own, as a department calls it; it calls alembic, which lies beside this Python."""
    beside = os.pathsep.join([*(str(Path(p) / "bin") for p in sys.path if (Path(p) / "bin" / "alembic").exists()),
                              str(Path(sys.executable).parent), os.environ["PATH"]])  # fmt: skip
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=os.environ | {"PATH": beside}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


@pytest.mark.parametrize("name", sheet_names())
def test_nbgrader_gives_the_same_points(name, tmp_path):
    """To the solution, to the students' version, and to one with the answer to the second question wrong."""
    sheet = read_sheet(name)
    shutil.copytree(SOURCE / name, tmp_path / "source" / name)
    shutil.copy(SOURCE.parent / "nbgrader_config.py", tmp_path)
    course = ("-m", "nbgrader")
    nbgrader(*course, "generate_assignment", name, f"--course-dir={tmp_path}", folder=tmp_path)
    released = nbformat.read(tmp_path / "release" / name / f"{name}.ipynb", as_version=4)
    ours = student_version(sheet)
    assert [cell.source for cell in released.cells] == [cell.source for cell in ours.cells]
    assert [cell.metadata for cell in released.cells] == [cell.metadata for cell in ours.cells]

    wrong = nbformat.reads(nbformat.writes(sheet.notebook), as_version=4)
    asked = sheet.questions[1]
    for cell in wrong.cells:
        if identity(cell) == asked.answer:
            cell.source = next(c.source for c in ours.cells if identity(c) == asked.answer)
    for student, sent in (("right", sheet.notebook), ("blank", ours), ("wrong", wrong)):
        send(tmp_path / "submitted" / student / name, f"{name}.ipynb", sent)
    nbgrader(*course, "autograde", name, f"--course-dir={tmp_path}", folder=tmp_path)
    points = json.loads(nbgrader("-c", GRADES, str(tmp_path), name, folder=tmp_path))
    worth = {test: question.points[test] for question in sheet.questions for test in question.tests}
    graded = {student: {test: points[student][test] for test in worth} for student in points}
    assert graded["right"] == worth
    assert graded["blank"] == dict.fromkeys(worth, 0)
    went = run(sheet, wrong.cells)
    assert graded["wrong"] == {test: worth[test] if went[test]["ok"] else 0 for test in worth}
    assert graded["wrong"] == {test: 0 if test in asked.tests else worth[test] for test in worth}
