"""What students send, in whatever state: a notebook is found in it, or a sentence says why not."""

import copy
import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell
from small_homework import CUBE, SQUARE, WORDS, notebook, send, sheet

from course_lib.homework.sheet import identity
from course_lib.homework.submission import NoNotebook, lay_over, read_submission


def test_questions_have_their_tests_points_and_titles():
    first, second, words = sheet().questions
    assert (first.name, first.tests, first.points, first.total) == ("q1", ("q1_square",), {"q1_square": 2}, 2)
    assert (second.title, second.is_read) == ("Question 2: Cubes (3 points)", False)
    assert (words.points, words.is_read, sheet().total) == ({"q3": 3}, True, 8)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_notebook_is_read_in_the_encoding_it_came_in(tmp_path, encoding):
    text = json.dumps(notebook(words="Größe, naïve"), ensure_ascii=False)
    found = read_submission(send(tmp_path, "a.ipynb", text.encode(encoding)))
    assert found.cells[-1].source == "Größe, naïve"


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is no notebook, but a picture: hand in the notebook itself"),
        (b"print('hello')", "is no notebook: hand in the notebook itself"),
        (b'{"cells": [', "breaks off: save it again"),
        (b"[1, 2]", "is no notebook"),
        (b'{"cells": 3}', "is no notebook"),
        (b'{"cells": [{"source": 3}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "is no notebook"),
        (b"[" * 200_000, "is no notebook"),
        (b'{"nbformat": 4, "cells": ' + b"[" * 100_000, "is no notebook"),
    ],
)
def test_what_is_no_notebook_gets_a_sentence(tmp_path, content, says):
    with pytest.raises(NoNotebook, match=says):
        read_submission(send(tmp_path, "a.ipynb", content))


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("course_lib.homework.submission.MOST_BYTES", 1_000)
    with pytest.raises(NoNotebook, match="MB"):
        read_submission(send(tmp_path, "a.ipynb", b"{" * 2_000))


def steps(sent):
    return [(step.kind, step.name, step.source) for step in lay_over(sheet(), sent).steps]


def test_answers_are_the_students_and_tests_the_authors():
    sent = notebook(square="def square(x):\n    return 2 * x")
    for cell in sent.cells:
        if identity(cell) == "q1_square":
            cell.source = "pass  # mine"
    found = {name: source for _, name, source in steps(sent)}
    assert "2 * x" in found["q1"]
    assert "Look at negative numbers." in found["q1_square"]


def test_a_test_that_was_deleted_is_run_all_the_same():
    sent = notebook()
    sent.cells = [cell for cell in sent.cells if identity(cell) not in ("q1_square", "setup")]
    assert [name for _, name, _ in steps(sent)] == ["setup", "q1", "q1_square", "q2", "q2_cube"]


def test_an_answer_that_lost_its_name_is_known_by_what_it_defines():
    sent = notebook()
    for cell in sent.cells:
        if identity(cell) == "q2":
            cell.metadata = {}
    submission = lay_over(sheet(), sent)
    assert ("answer", "q2", CUBE) in [(s.kind, s.name, s.source) for s in submission.steps]
    assert submission.remarks == ("q2: its cell had lost its name, and was known by cube.",)


def test_renamed_cells_are_found_and_an_answer_that_is_nowhere_is_said_to_be():
    sent = notebook()
    for cell in sent.cells:
        if identity(cell) == "q1":
            cell.metadata.nbgrader.grade_id = "mine"
        if identity(cell) == "q2":
            cell.source, cell.metadata = "def other(x): ...", {}
    submission = lay_over(sheet(), sent)
    assert ("answer", "q1", SQUARE) in [(s.kind, s.name, s.source) for s in submission.steps]
    assert "q2: there is no answer's cell." in submission.remarks


def test_of_two_cells_with_one_name_the_last_counts():
    sent = notebook()
    twin = copy.deepcopy(sent.cells[3])
    twin.source = "def square(x):\n    return x**2"
    sent.cells.insert(5, twin)
    submission = lay_over(sheet(), sent)
    assert "x**2" in next(s.source for s in submission.steps if s.name == "q1")
    assert "two cells carry this name" in submission.remarks[0]


@pytest.mark.parametrize("blank", ["", "# YOUR CODE HERE\nraise NotImplementedError()"])
def test_a_copy_that_is_not_written_takes_no_points_away(blank):
    sent = notebook()
    twin = copy.deepcopy(sent.cells[3])
    twin.source = blank
    sent.cells.insert(5, twin)
    submission = lay_over(sheet(), sent)
    assert next(s.source for s in submission.steps if s.name == "q1") == SQUARE


def test_cells_of_the_students_own_run_where_they_stand():
    sent = notebook(square="def square(x):\n    return power(x, 2)")
    sent.cells.insert(3, new_code_cell("def power(x, n):\n    return x**n"))
    kinds = [(kind, name) for kind, name, _ in steps(sent)]
    assert kinds.index(("added", "added after setup, 1")) < kinds.index(("answer", "q1"))


def test_words_are_kept_for_a_reader():
    assert lay_over(sheet(), notebook()).texts == {"q3": WORDS}


def test_a_cell_whose_source_is_a_list_of_lines_is_read(tmp_path):
    sent = json.loads(nbformat.writes(notebook()))
    assert isinstance(sent["cells"][3]["source"], list)
    assert read_submission(send(tmp_path, "a.ipynb", json.dumps(sent).encode())).cells[3].source == SQUARE


def test_a_notebook_whose_cells_all_lost_their_names_runs_each_of_them_once():
    sent = notebook()
    for cell in sent.cells:
        cell.metadata = {}
    submission = lay_over(sheet(), sent)
    sources = [step.source for step in submission.steps if step.kind in ("added", "answer")]
    assert len(sources) == len(set(sources))
    assert {"q1", "q2"} <= {step.name for step in submission.steps}
    assert submission.texts == {"q3": WORDS}
    assert "q3: its cell had lost its name, and was known by the heading above it." in submission.remarks
    sent.cells[-1].source = "## Question 4: Mine"
    assert lay_over(sheet(), sent).texts == {"q3": ""}


def test_a_notebook_with_two_ids_alike_is_read_without_a_word(tmp_path, recwarn):
    sent = json.loads(nbformat.writes(notebook()))
    sent["cells"][1]["id"] = sent["cells"][0]["id"]
    read_submission(send(tmp_path, "a.ipynb", json.dumps(sent).encode()))
    assert not recwarn.list
