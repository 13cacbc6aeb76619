"""Comparisons in homework: any kind of number is understood, a wrong one is caught, and a borrowed answer is seen."""

import functools

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from course_lib.homework import expect
from course_lib.networks import fully_connected


@pytest.mark.parametrize(
    "found",
    [[1.0, 2.0], (1, 2), np.array([1.0, 2.0], dtype=np.float32), torch.tensor([1.0, 2.0]), torch.tensor([1, 2])],
)
def test_numbers_of_any_make_are_equal(found):
    expect.close(found, [1.0, 2.0], "Look.")


def test_a_tensor_with_a_gradient_is_a_number():
    expect.close(torch.tensor(2.0, requires_grad=True) * 2, 4.0, "Look.")


@pytest.mark.parametrize(
    "found, says",
    [
        ([1.0, 2.5], r"Expected 2 at \[1\], found 2.5. Look here."),
        ([1.0], r"Expected shape \(2,\), found shape \(1,\). Look here."),
        (1.0, r"Expected shape \(2,\), found one number. Look here."),
        (None, "a function without return gives None"),
        ("12", "found a str"),
        ([1.0, np.nan], r"found nan. Look here."),
    ],
)
def test_a_wrong_number_is_told_with_where_to_look(found, says):
    with pytest.raises(AssertionError, match=says):
        expect.close(found, [1.0, 2.0], "Look here.")


def test_an_object_that_says_it_equals_everything_is_no_number():
    class Anything:
        def __eq__(self, other):
            return True

        def __float__(self):
            return 2.0

    with pytest.raises(AssertionError, match="found a Anything"):
        expect.close(Anything(), 2.0, "Look.")
    with pytest.raises(AssertionError):
        expect.true(Anything(), "Look.")


def test_truth_is_one_truth_value():
    expect.true(np.bool_(True), "Look.")
    for wrong in (False, [True, True], np.array([False])):
        with pytest.raises(AssertionError, match="Look"):
            expect.true(wrong, "Look.")


def test_a_place_in_a_table_is_a_row_and_a_column():
    with pytest.raises(AssertionError, match=r"Expected 4 in row 1, column 1, found 5. Look."):
        expect.close([[1, 2], [3, 5]], [[1, 2], [3, 4]], "Look.")


def test_several_results_are_counted():
    assert expect.parts((1, 2), 2, "Look.") == (1, 2)
    assert expect.parts(torch.tensor([1, 2]), 2, "Look.") == (1, 2)
    for found, says in ((None, "without return"), ((1, 2, 3), "found 3"), (1.0, "found one float")):
        with pytest.raises(AssertionError, match=f"Expected 2 results, .*{says}.* Look."):
            expect.parts(found, 2, "Look.")


def test_choices_are_letters_in_any_order_and_a_wrong_one_is_not_given_away():
    expect.one_of("cb", "bc", "Look.", "abcd")
    expect.one_of(["B", "c"], "bc", "Look.", "abcd")
    assert expect.letters("a, D", "abcd") == {"a", "d"}
    with pytest.raises(AssertionError, match=r"^Look\.$"):
        expect.one_of("ab", "bc", "Look.", "abcd")
    for odd in ("xy", "", 3, [1], "a and d", "(a)"):
        with pytest.raises(AssertionError, match="Expected letters from a to d in quotes"):
            expect.one_of(odd, "bc", "Look.", "abcd")
    with pytest.raises(AssertionError, match="without return"):
        expect.letters(None, "abcd")


def test_an_error_is_expected_and_its_words_come_back():
    assert expect.raises(lambda: int("x"), ValueError, "Look.").startswith("invalid literal")
    with pytest.raises(AssertionError, match="found no error"):
        expect.raises(lambda: 1, ValueError, "Look.")
    with pytest.raises(AssertionError, match="Expected ValueError, found ZeroDivisionError"):
        expect.raises(lambda: 1 / 0, ValueError, "Look.")


def test_what_is_not_finite_is_seen():
    with pytest.raises(AssertionError, match=r"Found nan\. Look"):
        expect.finite([1.0, np.nan], "Look.")


def student(source: str):
    names: dict = {"__name__": "__main__"}
    exec(source, names)
    return names["answer"]


F = "from course_lib.networks import fully_connected as f\n"
BORROWED = {
    "directly": "from course_lib.networks import fully_connected as answer",
    "called": f"{F}def answer(s): return f(s)",
    "through the module": "import course_lib.networks as n\ndef answer(s): return n.fully_connected(s)",
    "imported inside": "def answer(s):\n    from course_lib.networks import fully_connected as f\n    return f(s)",
    "by a helper": f"{F}def g(s): return f(s)\ndef answer(s): return g(s)",
    "in a lambda": f"{F}answer = lambda s: (lambda t: f(t))(s)",
    "in a closure": f"{F}def make(h):\n    def answer(s): return h(s)\n    return answer\nanswer = make(f)",
    "by a method": "from course_lib.models.vae import VAE\nclass answer:\n    def go(self): return VAE",
}


@pytest.mark.parametrize("way", BORROWED)
def test_a_borrowed_answer_is_seen(way):
    with pytest.raises(AssertionError, match="asks you to write it yourself"):
        expect.written_here(student(BORROWED[way]))


def test_what_the_question_gives_may_be_used_and_ones_own_work_passes():
    expect.written_here(student(BORROWED["called"]), ["course_lib.networks.fully_connected"])
    with pytest.raises(AssertionError):
        expect.written_here(student(BORROWED["called"]), ["course_lib.networks.fully"])
    own = "import torch\ndef helper(x): return torch.exp(x)\ndef answer(x): return answer(x - 1) if x else helper(x)"
    expect.written_here(student(own))
    expect.written_here(functools.partial(student(own), 1))
    with pytest.raises(AssertionError):
        expect.written_here(functools.partial(fully_connected, [1, 2]))
    with pytest.raises(AssertionError, match="Expected a function"):
        expect.written_here(3)


@pytest.fixture
def no_tests_yet(monkeypatch):
    monkeypatch.setattr(expect, "_ran", {})
    monkeypatch.setattr(expect, "_now", {"name": ""})


def test_what_passed_says_so_and_the_last_cell_adds_up(no_tests_yet, capsys):
    expect.begin("q1_values", points=1)
    expect.passed()
    expect.begin("q1_far", points=2)
    expect.passed(hidden=True)
    expect.begin("q2_sign", points=3)
    assert capsys.readouterr().out == "✓ q1_values, 1 point\n✓ q1_far, 2 points, if hidden tests agree\n"
    expect.so_far(tests=5, points=10, read="question 8 (4 points)")
    said = capsys.readouterr().out
    assert "2 of 5 tests passed: 3 of 10 points." in said
    assert "Not yet: q2_sign (3 points)." in said
    assert "Not run since the kernel started: 2 of the tests." in said
    assert "Hidden tests, run after you hand in, have a say in 2 of these points." in said
    assert "A person reads question 8 (4 points)." in said


def test_a_test_that_fails_when_it_is_run_again_has_not_passed(no_tests_yet, capsys):
    for _ in range(2):
        expect.begin("q1_values", points=1)
        expect.passed()
    expect.begin("q1_values", points=1)
    expect.so_far(tests=1, points=1, read="question 8 (4 points)")
    said = capsys.readouterr().out
    assert "0 of 1 tests passed: 0 of 1 points." in said
    assert "Not run" not in said


def test_a_notebook_shows_the_sentence_alone_and_a_students_own_error_in_full(no_tests_yet, capsys):
    shell = InteractiveShell.instance(colors="nocolor")
    expect.begin("q1_values", points=1)
    shell.run_cell("from course_lib.homework import expect\nexpect.close(1.0, 2.0, 'Look here.')", silent=True)
    assert capsys.readouterr().out == "✗ q1_values: Expected 2, found 1. Look here.\n"
    shell.run_cell("def answer(x):\n    return x / 0\nexpect.close(answer(1.0), 2.0, 'Look.')", silent=True)
    said = capsys.readouterr().out
    assert "return x / 0" in said
    assert "ZeroDivisionError" in said
    InteractiveShell.clear_instance()
