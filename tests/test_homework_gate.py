"""The two-sided gate: solutions earn all, students' versions nothing, wrong answers are caught, right ones pass."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

from course_lib.homework import runner
from course_lib.homework.release import points_shown, student_version
from course_lib.homework.sheet import Sheet, identity, of_question, read_sheet, role, sheet_names

ANSWERS = Path(__file__).parent / "homework"
NAMES = sheet_names()
needs_nbgrader = pytest.mark.skipif(
    importlib.util.find_spec("nbgrader") is None, reason="nbgrader is not installed: pip install -e '.[classroom]'"
)


def answers(kind: str):
    for path in sorted(ANSWERS.glob("*.toml")):
        for answer in tomllib.loads(path.read_text(encoding="utf-8")).get(kind, []):
            yield pytest.param(path.stem, answer, id=f"{path.stem}-{answer['question']}-{answer['name']}")


class Kernel:
    """The cells of a homework, run one by one in a namespace of their own; tests as the grader runs them."""

    def __init__(self) -> None:
        self.names = {"__name__": "__main__"}
        self.kept = runner.Kept()

    def run(self, source: str) -> str:
        """The name of the error that a cell raised, or an empty text."""
        try:
            exec(compile(source, "<cell>", "exec"), self.names)
        except Exception as error:
            return type(error).__name__
        return ""

    def test(self, source: str) -> dict:
        tampered = self.kept.put_back()
        return runner.test(source, self.names) | {"tampered": tampered}


def run(sheet: Sheet, cells, replaced: dict[str, str] | None = None) -> dict[str, dict]:
    """How each test went, by name.

    ``replaced`` answers stand instead of the notebook's, and then no other question is run: a question needs what is
    given before it, and no answer to another.
    """
    kernel, found = Kernel(), {}
    for cell in cells:
        name = identity(cell)
        if cell.cell_type != "code":
            continue
        if replaced and (role(cell, "grade") or role(cell, "solution")) and of_question(name) not in replaced:
            continue
        if role(cell, "grade"):
            found[name] = kernel.test(sheet.cells[name].source)
        else:
            error = kernel.run((replaced or {}).get(name, cell.source))
            assert role(cell, "solution") or not error, f"{name} is given, and raised {error}"
        if replaced and name == [test for question in replaced for test in own_tests(sheet, question)][-1]:
            break  # what comes after is of other questions
    return found


def own_tests(sheet: Sheet, question: str) -> tuple[str, ...]:
    return next(q.tests for q in sheet.questions if q.name == question)


def test_there_are_eight_homeworks():
    assert [name[:3] for name in NAMES] == [f"hw{i}" for i in range(1, 9)]


@pytest.mark.parametrize("name", NAMES)
def test_a_sheet_is_whole(name):
    sheet = read_sheet(name)
    ids = [identity(cell) for cell in sheet.notebook.cells if identity(cell)]
    assert len(ids) == len(set(ids))
    assert all(identity(cell) for cell in sheet.notebook.cells if cell.cell_type == "code")
    assert points_shown(sheet) == {question.answer: question.total for question in sheet.questions}
    assert f"**Points:** {sheet.total}" in sheet.notebook.cells[0].source
    assert sheet.notebook.metadata.course_homework == name
    assert not any(cell.get("outputs") for cell in sheet.notebook.cells)
    read = sum(question.total for question in sheet.questions if question.is_read)
    assert f"{read} are given by a person" in sheet.notebook.cells[0].source or not read


@pytest.mark.parametrize("name", NAMES)
def test_every_test_has_its_own_name_and_says_that_it_passed(name):
    sheet = read_sheet(name)
    for question in sheet.questions:
        for test in question.tests:
            cell = sheet.cells[test]
            visible, _, hidden = cell.source.partition("### BEGIN HIDDEN TESTS")
            begin = f'expect.begin("{test}", points={question.points[test]})'
            assert [line for line in visible.splitlines() if line.startswith("expect.begin(")] == [begin]
            assert visible.splitlines()[-1] == ("expect.passed(hidden=True)" if hidden else "expect.passed()")
            assert cell.source.count("expect.passed(") == 1
            assert "raises-exception" in cell.metadata.tags, "after a test that fails, the cells below it are run"


@pytest.mark.parametrize("name", NAMES)
def test_the_last_cell_knows_how_many_tests_and_points_there_are(name):
    sheet = read_sheet(name)
    tested = [question for question in sheet.questions if not question.is_read]
    read = [question for question in sheet.questions if question.is_read]
    last = sheet.notebook.cells[-1].source
    tests, points = sum(len(question.tests) for question in tested), sum(question.total for question in tested)
    assert f"expect.so_far(tests={tests}, points={points}, " in " ".join(last.split())
    assert f"({sum(question.total for question in read)} points)" in last
    assert all(question.name[1:] in last for question in read)
    assert role(sheet.cells["so_far"], "locked")


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_code_runs_out_of_the_window(name):
    lines = [
        line for cell in read_sheet(name).notebook.cells if cell.cell_type == "code" for line in cell.source.split("\n")
    ]
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_the_solution_earns_every_point_of_the_tests(name):
    sheet = read_sheet(name)
    found = run(sheet, sheet.notebook.cells)
    assert {test: went for test, went in found.items() if not went["ok"]} == {}
    assert [test for test, went in found.items() if went["tampered"]] == [], "nobody honest is to be suspected"


@needs_nbgrader
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_the_students_version_earns_none_and_fails_only_by_not_being_written(name):
    sheet = read_sheet(name)
    version = student_version(sheet)
    text = "\n".join(cell.source for cell in version.cells)
    assert "BEGIN SOLUTION" not in text
    assert "HIDDEN" not in text
    assert 'raise NotImplementedError("not answered yet")' in text
    assert "YOUR ANSWER HERE (double-click to write" in text
    found = run(sheet, version.cells)
    assert set(found) == {test for question in sheet.questions for test in question.tests}
    assert {went["type"] for went in found.values()} == {"NotImplementedError"}


@pytest.mark.parametrize("homework, answer", answers("wrong"))
@pytest.mark.slow
def test_a_wrong_answer_is_caught_by_the_test_whose_message_says_where_to_look(homework, answer):
    sheet = read_sheet(homework)
    found = run(sheet, sheet.notebook.cells, {answer["question"]: answer["source"]})
    went = found[answer["caught_by"]]
    assert not went["ok"]
    assert answer["says"] in went["message"]


@pytest.mark.parametrize("homework, answer", answers("right"))
@pytest.mark.slow
def test_a_right_answer_written_differently_passes(homework, answer):
    sheet = read_sheet(homework)
    found = run(sheet, sheet.notebook.cells, {answer["question"]: answer["source"]})
    assert set(found) == set(own_tests(sheet, answer["question"]))
    assert {test: went for test, went in found.items() if not went["ok"] or went["tampered"]} == {}


def test_every_coding_question_has_four_wrong_and_two_right_answers_and_all_have_a_hundred():
    wrong, right = [list(answers(kind)) for kind in ("wrong", "right")]
    assert len(wrong) >= 100
    for name in NAMES:
        for question in read_sheet(name).questions:
            of = [
                sum(p.values[0] == name and p.values[1]["question"] == question.name for p in ps)
                for ps in (wrong, right)
            ]
            is_choice = question.name in CHOICES.get(name, ())
            assert question.is_read or (of[0] >= (2 if is_choice else 4) and of[1] >= (1 if is_choice else 2)), question


CHOICES = {
    "hw1_autoencoders": ("q7",),
    "hw2_profiles": ("q7",),
    "hw3_elbo": ("q7",),
    "hw4_reparameterization": ("q7",),
    "hw5_counts": ("q6",),
    "hw6_scvi": ("q7",),
    "hw7_clustering_de": ("q7",),
}
