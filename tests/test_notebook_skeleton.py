"""The skeleton from which a new notebook is begun: copied and executed, it keeps every rule as it stands."""

import pytest

from course_lib.tooling import execute, files, normalise, rules
from course_lib.tooling.document import Document

SKELETON = files.ROOT / "course_lib" / "tooling" / "templates" / "notebook.ipynb"


def test_the_skeleton_is_committed_without_outputs_and_normalised():
    assert normalise.differences(SKELETON) == []
    assert all(not cell.outputs and cell.execution_count is None for _, cell in Document.read(SKELETON).code)


@pytest.mark.slow
def test_a_notebook_begun_from_the_skeleton_keeps_every_rule(tmp_path):
    run = execute.execute(files.read(SKELETON))
    assert run.failure is None
    for cell in run.notebook.cells:  # as whoever begins a notebook does, and writes its quiz
        cell.source = cell.source.replace("NN_name", "09_name")
    quiz, notebook = tmp_path / "docs" / "quizzes" / "09_name.md", tmp_path / "notebooks" / "09_name.ipynb"
    for path in (quiz, notebook):
        path.parent.mkdir(parents=True)
    quiz.touch()
    normalise.write(run.notebook, notebook)
    assert [str(finding) for finding in rules.examine(Document.read(notebook), answers=True)] == []
