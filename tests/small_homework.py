"""A homework of two coded questions and one in words, and what students send: for tests of the grader."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib.homework.sheet import Sheet

SQUARE, CUBE = "def square(x):\n    return x * x", "def cube(x):\n    return x**3"
WORDS = "Because the slope of a cube is three times a square."


def marks(name: str, **more) -> dict:
    plain = {"grade_id": name, "schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": plain | more}


def notebook(square: str = SQUARE, cube: str = CUBE, words: str = WORDS) -> NotebookNode:
    """As the author wrote it, or with other answers."""
    solution = {"solution": True}
    test = "from course_lib.homework import expect\n\n"
    hidden = "\n### BEGIN HIDDEN TESTS\nexpect.close(square(-3), 9, 'Look at negative numbers.')\n### END HIDDEN TESTS"
    cells = [
        new_markdown_cell("# Homework 0: Powers\n\n**Points:** 8, of which 3 are given by a person."),
        new_code_cell("import numpy as np", metadata=marks("setup", locked=True)),
        new_markdown_cell("## Question 1: Squares (2 points)"),
        new_code_cell(square, metadata=marks("q1", **solution)),
        new_code_cell(
            f"{test}expect.close(square(2), 4, 'Look at the power.'){hidden}",
            metadata=marks("q1_square", grade=True, locked=True, points=2),
        ),
        new_markdown_cell("## Question 2: Cubes (3 points)"),
        new_code_cell(cube, metadata=marks("q2", **solution)),
        new_code_cell(
            f"{test}expect.close(cube(2), 8, 'Look at the power.')",
            metadata=marks("q2_cube", grade=True, locked=True, points=3),
        ),
        new_markdown_cell("## Question 3: In words (3 points)"),
        new_markdown_cell(words, metadata=marks("q3", grade=True, solution=True, points=3)),
    ]
    for place, cell in enumerate(cells):
        cell.id = f"cell-{place}"  # else it is random, and the source another one each time
    return new_notebook(cells=cells)


def sheet() -> Sheet:
    return Sheet("hw0_powers", notebook())


def send(folder: Path, name: str, sent: NotebookNode | bytes) -> Path:
    """A submission as a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sent if isinstance(sent, bytes) else nbformat.writes(sent).encode())
    return path


def run_steps(steps, limits, *, walled):
    """Instead of the grader's, and nothing is run: an answer with ``x * x`` or ``x**3`` in it passes."""
    sources = {step.name: step.source for step in steps}
    found = {}
    for test, answer, right in (("q1_square", "q1", "x * x"), ("q2_cube", "q2", "x**3")):
        source = sources.get(answer, "")
        said = f"Expected 4, found {len(source)}. Look at the power."
        fails = {"ok": False, "type": "AssertionError", "message": said, "kind": "fails"}
        left = {"ok": False, "type": "NotImplementedError", "message": "", "kind": "not answered"}
        found[test] = {"ok": True} if right in source else left if "NotImplementedError" in source else fails
    return found, []
