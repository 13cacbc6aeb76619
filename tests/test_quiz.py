"""Quizzes are whole: enough questions, options that answer back, one right at least, and a quiz for every lesson."""

import pytest

from course_lib.quiz import HOW, QUIZZES, Option, Question, Quiz, as_markdown, load_quiz, pages, quiz_names
from course_lib.tooling.files import APPENDIX, find_notebooks


def test_every_lesson_has_its_quiz_and_there_is_a_test_of_what_it_takes():
    lessons = [path.stem for path in find_notebooks() if APPENDIX not in path.parents]
    assert quiz_names() == [*lessons, "self_test"]


@pytest.mark.parametrize("name", quiz_names())
def test_a_quiz_is_whole(name):
    quiz = load_quiz(name)
    assert 6 <= len(quiz.questions) <= (15 if name == "self_test" else 10)
    asked = [question.ask for question in quiz.questions]
    assert len(set(asked)) == len(asked)
    for question in quiz.questions:
        assert 3 <= len(question.options) <= 5
        assert 1 <= sum(option.right for option in question.options) < len(question.options)
        assert all(len(option.says) >= 20 for option in question.options), question.ask
        assert len({option.text for option in question.options}) == len(question.options)
        assert question.see
    places = [next(i for i, option in enumerate(q.options) if option.right) for q in quiz.questions]
    assert len(set(places)) > 1, "the right option must not stand in the same place throughout"


def test_the_right_option_does_not_give_itself_away_by_its_length():
    longest = [
        max(question.options, key=lambda option: len(option.text)).right
        for name in quiz_names()
        for question in load_quiz(name).questions
    ]
    assert sum(longest) / len(longest) < 0.45


def test_what_an_option_says_is_folded_and_every_question_says_where_to_look():
    options = (Option("one", "it is one", True), Option("two", "it is not two"))
    text = as_markdown(Quiz("A title", (Question("How many?", "00", options),)))
    assert text.count("<details>") == text.count("</details>") == 2
    assert "b) two\n\n<details><summary>I choose 1b</summary>\n\n✗ No. it is not two" in text
    assert HOW in text, "in a notebook nothing else says what to do"
    assert "*Look again:* 00" in text


def test_the_pages_are_those_of_todays_questions():
    written = {path: path.read_text(encoding="utf-8") for path in QUIZZES.glob("*.md")}
    assert written == pages(), "run python -m course_lib.quiz"
    assert written[QUIZZES / "README.md"].index("self_test.md") < written[QUIZZES / "README.md"].index("00_counts.md")


def test_a_quiz_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(FileNotFoundError, match=r"quiz 'zz': expected the beginning of one of"):
        load_quiz("zz")


@pytest.mark.parametrize(("name", "title"), [(3, "03 · "), ("03", "03 · "), ("self-test", "What you need")])
def test_a_quiz_goes_by_what_people_call_it(name, title):
    assert load_quiz(name).title.startswith(title)


def test_the_self_test_says_what_to_do_with_its_result():
    assert as_markdown(load_quiz("self_test")).endswith(load_quiz("self_test").end)
    assert "More than" in load_quiz("self_test").end
