"""A folder graded: the table is whole, nothing that a person wrote is lost, pages go back, and a second run goes on."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import small_homework
from nbformat.v4 import new_code_cell, new_notebook
from small_homework import WORDS, notebook, send, sheet

from course_lib.homework import __main__ as command
from course_lib.homework import class_figure, grading, report
from course_lib.homework.folder import grade_folder, page_names
from course_lib.homework.grading import Grade, Limits, grade_file
from course_lib.homework.sheet import TEXT_STUB, read_sheet
from course_lib.tooling.files import ROOT

LIMITS = Limits(cell_seconds=4, seconds=60)
WRONG, LEFT = "def square(x): return 2 * x", "raise NotImplementedError()"


@pytest.fixture
def runs(monkeypatch):
    """Steps are not run, and counted."""
    counted = []

    def run_steps(steps, limits, *, walled):
        counted.append(steps)
        return small_homework.run_steps(steps, limits, walled=walled)

    monkeypatch.setattr(grading, "run_steps", run_steps)
    return counted


def class_of(tmp_path) -> Path:
    folder = tmp_path / "handed in"
    send(folder, "Müller, Änne/hw0.ipynb", notebook())
    send(folder, "Ødegård/hw0.ipynb", notebook(words="YOUR ANSWER HERE"))
    send(folder, "=cmd.ipynb", notebook(square=WRONG))
    send(folder, "empty.ipynb", b"")
    send(folder, "Ødegård/essay.docx", b"PK\x03\x04")
    send(folder, ".DS_Store", b"junk")
    send(folder, "Ødegård/.ipynb_checkpoints/old.ipynb", notebook())
    return folder


def graded(tmp_path, folder=None, **more) -> list[Grade]:
    return grade_folder(folder or class_of(tmp_path), tmp_path / "grades.csv", sheet(), LIMITS, walled=False, **more)


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["submission"]: row for row in csv.DictReader(file)}


def write_by_hand(path: Path, cells: dict[tuple[str, str], str], *, separator=",", encoding="utf-8-sig") -> None:
    """As a person with a spreadsheet does."""
    rows = rows_of(path)
    for (submission, column), value in cells.items():
        rows[submission][column] = value
    header = list(dict.fromkeys(column for row in rows.values() for column in row))
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, header, delimiter=separator, restval="")
        writer.writeheader()
        writer.writerows(rows.values())


def test_the_table_has_a_row_for_each_submission_and_points_for_each_question(tmp_path, runs):
    graded(tmp_path)
    rows = rows_of(tmp_path / "grades.csv")
    assert list(rows) == ["'=cmd.ipynb", "Müller, Änne/hw0.ipynb", "empty.ipynb", "Ødegård/hw0.ipynb"]
    full = rows["Müller, Änne/hw0.ipynb"]
    assert [full[key] for key in ("q1", "q2", "q3", "points", "of", "to_read")] == ["2", "3", "", "5", "8", "3"]
    assert rows["Ødegård/hw0.ipynb"]["to_read"] == "0"
    assert rows["'=cmd.ipynb"]["q1"] == "0"  # and the name is no formula
    assert "is empty" in rows["empty.ipynb"]["remarks"]
    assert rows["empty.ipynb"]["points"] == "0"


def test_each_submission_has_a_page_in_the_folder_it_came_in(tmp_path, runs):
    graded(tmp_path)
    pages = tmp_path / "grades" / "pages"
    rows = rows_of(tmp_path / "grades.csv")
    assert rows["Müller, Änne/hw0.ipynb"]["page"] == "grades/pages/Müller, Änne/hw0.ipynb.html"
    assert {row["page"] for row in rows.values()} == {str(p.relative_to(tmp_path)) for p in pages.rglob("*.html")}
    page = (pages / "Müller, Änne" / "hw0.ipynb.html").read_text(encoding="utf-8")
    assert "<strong>5 of 8 points</strong>, and up to 3 more when a person has read your words." in page
    assert "From autoencoders to scVI" in page
    assert "You disagree?" in page
    wrong = (pages / "=cmd.ipynb.html").read_text(encoding="utf-8")
    assert "<code>q1_square</code>, 0 of 2" in wrong
    assert "Look at the power." in wrong
    none = (pages / "empty.ipynb.html").read_text(encoding="utf-8")
    assert "Nothing could be graded: the file is empty." in none
    assert "Question" not in none


def test_pages_of_files_that_are_gone_are_removed(tmp_path, runs):
    folder = class_of(tmp_path)
    graded(tmp_path, folder)
    (folder / "=cmd.ipynb").rename(folder / "tom.ipynb")
    graded(tmp_path, folder)
    names = {path.name for path in (tmp_path / "grades" / "pages").glob("*.html")}
    assert names == {"tom.ipynb.html", "empty.ipynb.html"}


def test_no_two_submissions_share_a_page_and_no_name_is_too_long():
    long = "x" * 240
    pages = page_names([f"{long}1.ipynb", f"{long}2.ipynb", "a/b.ipynb"])
    assert len(set(pages.values())) == 3
    assert max(map(len, pages.values())) < 255
    assert pages["a/b.ipynb"] == "a/b.ipynb.html"


def test_a_page_shows_what_a_student_wrote_and_runs_none_of_it(tmp_path, runs):
    sent = notebook(words="<script>alert(1)</script>")
    grade = grade_file(send(tmp_path, "a.ipynb", sent), sheet(), LIMITS, walled=False, name="<b>a</b>")
    for page in (report.feedback(grade, sheet()), report.to_read([grade], sheet(), "grades.csv")):
        assert "<script>" not in page
        assert "<b>a</b>" not in page


@pytest.mark.parametrize("words", ["YOUR ANSWER HERE", TEXT_STUB, " "])
def test_an_unanswered_question_in_words_gets_nothing_and_says_so(tmp_path, runs, words):
    grade = grade_file(send(tmp_path, "a.ipynb", notebook(words=words)), sheet(), LIMITS, walled=False)
    assert (grade.points["q3"], grade.messages["q3"]) == (0, grading.UNANSWERED)
    assert "<p>Not answered.</p>" in report.feedback(grade, sheet())


def test_all_answers_in_words_stand_under_the_authors_on_one_page(tmp_path, runs):
    graded(tmp_path)
    page = (tmp_path / "grades" / "to_read.html").read_text(encoding="utf-8")
    assert page.count(WORDS) == 3  # the author's, and two students'
    assert "column q3, at most 3" in page
    assert "2 answered, 2 still to be read; not answered by empty.ipynb, Ødegård/hw0.ipynb" in page


def test_a_second_run_grades_only_what_is_new_or_changed(tmp_path, runs):
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    graded(tmp_path, folder)
    first, done = to.read_text(encoding="utf-8-sig"), len(runs)
    graded(tmp_path, folder)
    assert (len(runs), to.read_text(encoding="utf-8-sig")) == (done, first)
    send(folder, "=cmd.ipynb", notebook())
    graded(tmp_path, folder)
    assert len(runs) == done + 1
    assert rows_of(to)["'=cmd.ipynb"]["points"] == "5"


def test_again_grades_what_is_named_anew_or_all(tmp_path, runs):
    folder = class_of(tmp_path)
    graded(tmp_path, folder)
    done = len(runs)
    graded(tmp_path, folder, again=["Änne"])
    assert len(runs) == done + 1
    graded(tmp_path, folder, again=[])
    assert len(runs) == done + 1 + 3
    with pytest.raises(ValueError, match="--again Tom: no submission has that in its name"):
        graded(tmp_path, folder, again=["Tom"])


def test_an_answer_in_words_that_was_handed_in_again_is_remarked(tmp_path, runs):
    folder = class_of(tmp_path)
    graded(tmp_path, folder)
    send(folder, "=cmd.ipynb", notebook(words="Because I say so."))
    graded(tmp_path, folder)
    assert (
        "q3: handed in again, with another answer than on 20"
        in rows_of(tmp_path / "grades.csv")["'=cmd.ipynb"]["remarks"]
    )


def test_a_notebook_of_another_homework_gets_no_points_but_is_named(tmp_path, runs):
    folder = class_of(tmp_path)
    send(folder, "late/hw3.ipynb", read_sheet("hw3_elbo").notebook)
    send(folder, "plain.ipynb", new_notebook(cells=[new_code_cell("x = 1")]))
    graded(tmp_path, folder)
    rows = rows_of(tmp_path / "grades.csv")
    assert "late/hw3.ipynb" not in rows
    words = (tmp_path / "grades" / "class.txt").read_text(encoding="utf-8")
    assert "Not graded: late/hw3.ipynb: of hw3_elbo, and this is hw0_powers; grade with --homework hw3_elbo." in words
    assert "does not show which homework it is of, and was graded as hw0_powers" in rows["plain.ipynb"]["remarks"]


ODD = {  # what one student sends → all others are graded all the same, and again
    "half a character in words": json.dumps(notebook(words="HALF")).replace("HALF", "\\ud800").encode(),
    "one cell three thousand times": notebook(),
}


@pytest.mark.parametrize("what", ODD)
def test_no_file_keeps_a_class_from_its_table_nor_from_the_next(tmp_path, runs, what):
    folder, sent = class_of(tmp_path), ODD[what]
    if not isinstance(sent, bytes):
        sent.cells += [sent.cells[3]] * 3_000
    send(folder, "odd.ipynb", sent)
    for _ in range(2):
        assert len(graded(tmp_path, folder)) == 5
    assert rows_of(tmp_path / "grades.csv")["odd.ipynb"]["points"] == "5"


def test_a_line_that_ends_within_a_remark_does_not_end_the_row(tmp_path, runs, monkeypatch):
    monkeypatch.setattr(grading, "run_steps", lambda *_, **__: ({}, ["q1: the cell raised ValueError: a\rb\nc"]))
    graded(tmp_path)
    assert "ValueError: a b c" in rows_of(tmp_path / "grades.csv")["'=cmd.ipynb"]["remarks"]
    assert len((tmp_path / "grades.csv").read_bytes().splitlines()) == 5


def test_what_a_student_returns_is_no_formula_in_the_figure_of_the_class(tmp_path):
    said = r"Expected letters from a to d in quotes, and nothing between them; found '$\frac$'."
    grade = Grade("a.ipynb", {"q1_square": 0, "q2_cube": 3, "q3": None}, {"q1_square": said}, {"q1_square": "fails"})
    figure, words = class_figure.class_figure([grade], sheet(), 1)
    figure.savefig(tmp_path / "class.png")
    plt.close(figure)
    assert "$" in words


def test_pages_do_not_go_among_what_was_handed_in(tmp_path, runs):
    folder = class_of(tmp_path)
    with pytest.raises(ValueError, match=r"pages go into .*, and there is what was handed in; name another table"):
        grade_folder(folder, folder.with_suffix(".csv"), sheet(), LIMITS, walled=False)


# What a person writes


def test_what_a_person_wrote_is_kept_added_and_shown(tmp_path, runs):
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    graded(tmp_path, folder)
    anna = "Müller, Änne/hw0.ipynb"
    write_by_hand(to, {(anna, "q3"): "2.5", (anna, "extra"): "-1", (anna, "note"): "Late.", (anna, "number"): "0042"})
    send(folder, "late.ipynb", notebook())
    for _ in range(2):  # and a run that has nothing new
        graded(tmp_path, folder)
        row = rows_of(to)[anna]
        kept = [row[column] for column in ("q3", "extra", "note", "number", "points", "to_read")]
        assert kept == ["2.5", "-1", "Late.", "0042", "6.5", "0"]
    page = (tmp_path / "grades" / "pages" / f"{anna}.html").read_text(encoding="utf-8")
    assert "6.5 of 8 points</strong> (by hand: −1)." in page
    assert "2.5 of 3" in page
    assert "Late." in page
    assert "late.ipynb" in rows_of(to)


def test_points_for_words_are_kept_when_the_file_changes(tmp_path, runs):
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    graded(tmp_path, folder)
    write_by_hand(to, {("'=cmd.ipynb", "q3"): "3"})
    send(folder, "=cmd.ipynb", b"")
    graded(tmp_path, folder)
    assert rows_of(to)["'=cmd.ipynb"]["q3"] == "3"


@pytest.mark.parametrize("separator, encoding", [(";", "utf-8-sig"), ("\t", "utf-8"), (";", "cp1252")])
def test_a_table_is_read_as_a_spreadsheet_saved_it(tmp_path, runs, separator, encoding):
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    graded(tmp_path, folder)
    write_by_hand(to, {("Ødegård/hw0.ipynb", "q3"): "1,5"}, separator=separator, encoding=encoding)
    graded(tmp_path, folder)
    header, *rows = to.read_text(encoding="utf-8-sig").splitlines()
    assert header.split(separator)[:4] == ["submission", "q1", "q2", "q3"]  # and written as it was read
    anna = next(row for row in rows if row.startswith("Ødegård")).split(separator)
    assert anna[header.split(separator).index("points")] == "6.5"


REFUSED = {  # what a person wrote → what the refusal names
    "no number": ({("'=cmd.ipynb", "q3"): "three"}, "column q3: expected a number from 0 to 3, found 'three'"),
    "above the maximum": ({("'=cmd.ipynb", "q3"): "4"}, "expected a number from 0 to 3, found '4'"),
    "below nothing": ({("'=cmd.ipynb", "q3"): "-1"}, "expected a number from 0 to 3"),
    "no finite number": ({("'=cmd.ipynb", "extra"): "nan"}, "column extra: expected a number from -8 to 8"),
    "points of a test": ({("'=cmd.ipynb", "q1"): "2"}, "column q1: was 0, found '2'; that cell is the command's"),
    "the total": ({("'=cmd.ipynb", "points"): "8"}, "column points: was 3, found '8'"),
    "another homework": ({("'=cmd.ipynb", "homework"): "hw5_counts"}, "is of hw5_counts, this is hw0_powers"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_table_that_cannot_be_kept_is_refused_by_name_and_left_as_it_is(tmp_path, runs, what):
    cells, says = REFUSED[what]
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    graded(tmp_path, folder)
    write_by_hand(to, cells)
    before, done = to.read_bytes(), len(runs)
    send(folder, "late.ipynb", notebook())
    with pytest.raises(ValueError, match=re.escape(says)):
        graded(tmp_path, folder)
    assert (to.read_bytes(), len(runs)) == (before, done)
    assert not (tmp_path / "grades" / "pages" / "late.ipynb.html").exists()


def test_points_for_a_file_that_is_gone_are_not_lost(tmp_path, runs):
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    graded(tmp_path, folder)
    write_by_hand(to, {("'=cmd.ipynb", "q3"): "2"})
    (folder / "=cmd.ipynb").unlink()
    with pytest.raises(ValueError, match=r"row '=cmd\.ipynb: there is no such submission, and it holds q3 2"):
        graded(tmp_path, folder)
    assert rows_of(to)["'=cmd.ipynb"]["q3"] == "2"


@pytest.mark.parametrize(
    "content, says",
    [
        ("my notes\n", "is no table of this command"),
        ("submission,points,extra,extra\na.ipynb,1,1,2\n", "two columns are called extra"),
        ("submission,points\na.ipynb,1,2\n", "row a.ipynb: a cell has no name above it"),
    ],
)
def test_a_table_of_something_else_is_not_written_over(tmp_path, runs, content, says):
    (tmp_path / "grades.csv").write_text(content)
    with pytest.raises(ValueError, match=says):
        graded(tmp_path)
    assert (tmp_path / "grades.csv").read_text() == content


def test_what_a_person_writes_while_grading_runs_is_kept(tmp_path, runs, monkeypatch):
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    graded(tmp_path, folder)

    def meanwhile(*arguments, **more):
        write_by_hand(to, {("'=cmd.ipynb", "q3"): "1"})
        return small_homework.run_steps(*arguments, **more)

    monkeypatch.setattr(grading, "run_steps", meanwhile)
    send(folder, "late.ipynb", notebook())
    graded(tmp_path, folder)
    assert rows_of(to)["'=cmd.ipynb"]["q3"] == "1"


# The class


def test_the_class_in_words_counts_readable_notebooks_and_names_what_was_not_graded(tmp_path, runs):
    graded(tmp_path)
    words = (tmp_path / "grades" / "class.txt").read_text(encoding="utf-8")
    assert words.startswith("Homework 0: Powers: 3 notebooks of 5 files. ")
    assert "q1 0.67, q2 1.00" in words
    assert "Not graded: Ødegård/essay.docx: a zip that is broken; unpack it first." in words
    assert (tmp_path / "grades" / "class.png").stat().st_size > 5_000


def test_one_mistake_of_ten_students_with_ten_numbers_is_one_bar(tmp_path, runs):
    sent = [notebook(square=f"def square(x): return {'1' * i} * x") for i in range(1, 11)]
    sent += [notebook(square=LEFT)] * 2  # of a question not answered, all tests are one bar
    grades = [grade_file(send(tmp_path, f"{i}.ipynb", s), sheet(), LIMITS, walled=False) for i, s in enumerate(sent)]
    found = class_figure.commonest(grades)
    assert [(f.where, f.kind, f.count, f.hint) for f in found] == [
        ("q1_square", "fails", 10, "Look at the power."), ("q1", "not answered", 2, "")
    ]  # fmt: skip


@pytest.mark.parametrize("content", [notebook(), b""], ids=["all is right", "nothing is readable"])
def test_the_figure_of_a_class_without_failures_is_drawn(tmp_path, runs, content):
    grade = grade_file(send(tmp_path, "a.ipynb", content), sheet(), LIMITS, walled=False)
    figure, words = class_figure.class_figure([grade], sheet(), 1)
    assert "Commonest failures: none." in words
    assert ("q1 1.00, q2 1.00" in words) == bool(content)
    plt.close(figure)


# The command


def test_after_a_break_the_same_command_goes_on(tmp_path, runs, monkeypatch, capsys):
    folder, to = class_of(tmp_path), tmp_path / "grades.csv"
    run = grading.run_steps

    def interrupted(*arguments, **more):
        if runs:
            raise KeyboardInterrupt
        return run(*arguments, **more)

    monkeypatch.setattr(grading, "run_steps", interrupted)
    monkeypatch.setattr(command, "read_sheet", lambda name: sheet())
    line = ["grade", str(folder), "--to", str(to), "--homework", "hw0_powers", "--without-walls"]
    assert command.main(line) == command.INTERRUPTED
    assert "goes on from here" in capsys.readouterr().out
    assert not to.exists()
    done = len(runs)
    monkeypatch.setattr(grading, "run_steps", run)
    assert command.main(line) == 0
    assert len(runs) == done + 2  # of three notebooks one was done
    assert len(rows_of(to)) == 4


def test_the_command_says_what_it_grades_and_what_it_left_out(tmp_path, runs, monkeypatch, capsys):
    monkeypatch.setattr(command, "read_sheet", lambda name: sheet())
    line = ["grade", str(class_of(tmp_path)), "--to", str(tmp_path / "grades.csv"), "--homework", "hw0_powers"]
    assert command.main([*line, "--without-walls"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Homework 0: Powers: 4 submissions of 5 files"
    assert said[1] == "  1 of 4  =cmd.ipynb … 3 of 8"
    assert said[5:7] == ["not graded:", "  Ødegård/essay.docx: a zip that is broken; unpack it first"]
    assert "2 answers in words to read in" in said[-1]


def test_places_and_folders_that_will_not_do_are_named_before_anything_is_graded(tmp_path, runs, capsys):
    folder = class_of(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "results").mkdir()
    to = str(tmp_path / "grades.csv")
    for given, table, says in (
        (folder, str(tmp_path / "results"), f"found a folder; name {tmp_path / 'results' / 'grades.csv'}"),
        (folder, str(tmp_path / "grades"), "expected a name that ends in .csv"),
        (tmp_path / "none", to, "none: there is no such folder"),
        (tmp_path / "empty", to, "found an empty folder"),
        (folder / "=cmd.ipynb", to, "expected a folder, found a file"),
    ):
        assert command.main(["grade", str(given), "--to", table, "--without-walls"]) == 1
        assert says in capsys.readouterr().out
    assert runs == []
    assert not os.path.exists(to)


def test_an_unknown_homework_and_one_that_nothing_tells_are_named(tmp_path, capsys):
    send(tmp_path / "in", "a.ipynb", notebook())
    line = ["grade", str(tmp_path / "in"), "--to", str(tmp_path / "g.csv"), "--without-walls"]
    assert command.main([*line, "--homework", "hw99"]) == 1
    assert "expected one of hw" in capsys.readouterr().out
    assert command.main(line) == 1
    assert "--homework NAME" in capsys.readouterr().out


def test_a_python_without_the_courses_packages_is_told_which_to_take():
    line = [sys.executable, "-S", "-m", "course_lib.homework", "grade", "in", "--to", "g.csv"]
    done = subprocess.run(line, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "type .venv/bin/python instead, or make grade FOLDER=" in done.stderr


def test_help_tells_the_limits(capsys):
    with pytest.raises(SystemExit):
        command.main(["grade", "--help"])
    said = capsys.readouterr().out
    assert "60 s for a cell and 600 s for a submission" in said
    assert "--again" in said
