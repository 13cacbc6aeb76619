"""The guides say what is there: slides that ask, minutes that add up, commands and links that exist."""

import re

import pytest

from course_lib.homework.sheet import read_sheet, sheet_names
from course_lib.tooling import files, talk
from course_lib.tooling.files import APPENDIX, ROOT, find_notebooks

GUIDES = sorted((ROOT / "docs").glob("*.md"))
INSTRUCTOR = (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8")
LESSONS = [path for path in find_notebooks() if APPENDIX not in path.parents]
PLANS = dict(re.findall(r"^### (\d\d) · .*\n((?:.+\n)+)", INSTRUCTOR, re.MULTILINE))


def test_every_lesson_has_a_plan_with_all_its_parts():
    assert list(PLANS) == [path.stem[:2] for path in LESSONS]
    for number, plan in PLANS.items():
        parts = re.findall(r"^- \*\*(.+?)\*\*", plan, re.MULTILINE)
        assert parts == ["Show", "Ask", "Skip", "They get wrong", "Demonstrate"], number


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem[:2])
def test_a_plan_asks_on_the_slides_that_ask_and_shows_none_that_is_not_there(path):
    deck = talk.slides(files.read(path), path.stem)
    plan = PLANS[path.stem[:2]]
    [asked] = re.findall(r"\*\*Ask\*\* \(slides? ([\d, ]+)\)", plan)
    assert [int(number) for number in asked.split(", ")] == [i for i, slide in enumerate(deck, 1) if slide.asks]
    named = re.findall(r"\((\d+(?:(?:, | to )\d+)*)\)", plan)
    assert all(int(number) <= len(deck) for group in named for number in re.findall(r"\d+", group))
    answers = re.findall(r"\? \*", re.findall(r"\*\*Ask\*\*.*", plan)[0])
    assert len(answers) >= len(asked.split(", ")), "a question without its answer"


def sessions_table() -> list[list[str]]:
    """Rows: the number of the session, or two, and what each course does in it."""
    rows = re.findall(r"^\| \d+(?:, \d+)? \|.*\|.*\|.*\|$", INSTRUCTOR, re.MULTILINE)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [row for row in cells if len(row) == 4]


def test_minutes_of_the_syllabuses_add_up():
    rows = re.findall(r"^\| (\d+) hours \| (\d+) \| ([\d,]+) of ([\d,]+) \| (\d+)", INSTRUCTOR, re.MULTILINE)
    assert [row[0] for row in rows] == ["8", "12", "24"]
    table = sessions_table()
    for column, (hours, sessions, *minutes) in enumerate(rows, start=1):
        taken, whole, left = (int(number.replace(",", "")) for number in minutes)
        assert (taken, whole, left) == (75 * int(sessions), 60 * int(hours), whole - taken)
        planned = sum(len(row[0].split(", ")) for row in table if row[column])
        assert planned == int(sessions)


def test_homework_is_handed_out_before_it_is_due_and_listed_with_its_points():
    table = sessions_table()
    for column in (1, 2, 3):
        out: list[str] = []
        for row in table:
            assert set(re.findall(r"← (\d)", row[column])) <= set(out)
            out += re.findall(r"→ (\d)", row[column])
        assert out == sorted(set(out)), "each once, in order"
    listed = dict(re.findall(r"^\| \d [^|]+\| `(\w+)` \|.*\| (\d+, \d+) \|$", INSTRUCTOR, re.MULTILINE))
    sheets = [read_sheet(name) for name in sheet_names()]
    assert listed == {s.name: f"{s.total}, {sum(q.total for q in s.questions if q.is_read)}" for s in sheets}


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_links_and_commands_of_a_guide_exist(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert link.startswith("http") or (path.parent / link).exists(), link
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    code = " ".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    assert set(re.findall(r"(?:^|\s)make ([a-z]+)", code)) <= targets
    for file in re.findall(r"notebooks/(?:appendix/)?\w+\.ipynb", code):
        assert (ROOT / file).exists(), file
