"""What the tests in a homework say: a comparison whose message tells the student where to look.

A test cell holds sentences such as ``close(kl(0.0, 2.0), 2.0, "With σ = 1 a KL is half of μ²: is a ½ missing?")``. They
take an answer as it comes, a number, an array or a tensor of any precision, and trust it no further than its numbers.
Between `begin` and `passed` a test has a name: it says ✓, or ✗ and one sentence, and `so_far` adds up.
"""

import functools
import math
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from course_lib.console import say

PLAIN = (bool, int, float, np.generic, np.ndarray, Tensor, list, tuple)
_ran: dict[str, dict[str, int]] = {}  # tests that were begun, by name: their points, passed or not, hidden ones or not
_now = {"name": ""}


class Failed(AssertionError):
    """What a test found. A notebook shows the sentence alone, without the lines of code that led to it."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints in place of a traceback."""
        return textwrap.wrap(f"✗ {_now['name']}: {self}" if _now["name"] else f"✗ {self}", 100)


def begin(name: str, points: int) -> None:
    """A test begins: from here on what fails carries its name."""
    _now["name"] = name
    _ran[name] = {"points": points, "passed": 0, "hidden": 0}


def passed(hidden: bool = False) -> None:
    """The test that was begun holds: print ``✓``, its name and its points.

    Parameters
    ----------
    hidden : hidden tests have a say in these points, too.
    """
    name = _now["name"]
    _ran[name] |= {"passed": 1, "hidden": int(hidden)}
    say(f"✓ {name}, {_points(_ran[name]['points'])}{', if hidden tests agree' if hidden else ''}")


def so_far(tests: int, points: int, read: str) -> None:
    """Print how many of a homework's tests hold by now, which do not, and what is left to do.

    Parameters
    ----------
    tests, points : how many there are.   read : what a person reads, such as ``question 8 (4 points)``.
    """
    well = [test for test in _ran.values() if test["passed"]]
    ill = [f"{name} ({_points(test['points'])})" for name, test in _ran.items() if not test["passed"]]
    say(f"{len(well)} of {tests} tests passed: {sum(test['points'] for test in well)} of {points} points.")
    if ill:
        say("Not yet: " + ", ".join(ill) + ".")
    if len(_ran) < tests:
        say(f"Not run since the kernel started: {tests - len(_ran)} of the tests.")
    if waiting := sum(test["points"] for test in well if test["hidden"]):
        say(f"Hidden tests, run after you hand in, have a say in {waiting} of these points.")
    say(f"A person reads {read}.")
    say("When you are done: restart the kernel, run all cells, save, and hand in this one file.")


def _points(number: int) -> str:
    return f"{number} point{'' if number == 1 else 's'}"


def numbers(found: Any, hint: str = "") -> NDArray[np.float64]:
    """An answer as an array in double precision, whatever of torch, NumPy or Python it is made of.

    Raises
    ------
    AssertionError : it is no number and no table of numbers, ``None`` included.
    """
    if not any(type(found) is kind or issubclass(type(found), (Tensor, np.generic)) for kind in PLAIN):
        said = "nothing (a function without return gives None)" if found is None else f"a {type(found).__name__}"
        raise Failed(f"Expected a number, an array or a tensor, found {said}. {hint}".rstrip())
    try:
        if isinstance(found, Tensor):
            return found.detach().cpu().double().numpy().copy()
        if isinstance(found, list | tuple):
            return np.array([numbers(part) for part in found])
        return np.array(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Failed(f"Expected numbers, found {type(found).__name__}: {error}. {hint}".rstrip()) from None


def parts(found: Any, number: int, look_at: str) -> tuple[Any, ...]:
    """An answer of several results, one by one.

    Raises
    ------
    AssertionError : it is none, or there are more or fewer of them.
    """
    if found is None:
        raise Failed(f"Expected {number} results, found nothing (a function without return gives None). {look_at}")
    try:
        results = tuple(found)
    except TypeError:
        raise Failed(f"Expected {number} results, found one {type(found).__name__}. {look_at}") from None
    if len(results) != number:
        raise Failed(f"Expected {number} results, found {len(results)}. {look_at}")
    return results


def close(found: Any, expected: Any, look_at: str, *, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    """``found`` has the shape of ``expected`` and its numbers, up to rounding; else say what to look at.

    Raises
    ------
    AssertionError : ``look_at``, with one number that differs.
    """
    ours, theirs = numbers(expected), numbers(found, look_at)
    if ours.shape != theirs.shape:
        raise Failed(f"Expected {_shape(ours)}, found {_shape(theirs)}. {look_at}")
    wrong = ~np.isclose(theirs, ours, rtol=rtol, atol=atol, equal_nan=True)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f" in row {at[0]}, column {at[1]}" if len(at) == 2 else f" at {list(at)}" if at else ""
        raise Failed(f"Expected {ours[at]:.6g}{where}, found {theirs[at]:.6g}. {look_at}")


def _shape(table: NDArray[np.float64]) -> str:
    return f"shape {table.shape}" if table.shape else "one number"


def true(condition: Any, look_at: str) -> None:
    """The condition is one truth value, and holds.

    Raises
    ------
    AssertionError : ``look_at``.
    """
    if not (numbers(condition, look_at).shape == () and bool(numbers(condition)) is True):
        raise Failed(look_at)


def letters(found: Any, among: Sequence[str]) -> set[str]:
    """A choice: one letter ``among`` those offered, or several, in any order, with or without commas.

    Raises
    ------
    AssertionError : it is anything else.
    """
    expected = f"Expected letters from {among[0]} to {among[-1]} in quotes, and nothing between them"
    if found is None:
        raise Failed(f"{expected}; found nothing (a function without return gives None).")
    if not isinstance(found, str | list | tuple | set) or not all(isinstance(letter, str) for letter in found):
        raise Failed(f"{expected}; found {found!r:.60}.")
    chosen = set("".join(found).lower()) - set(" ,;.")
    if not chosen:
        raise Failed(f"{expected}; found none. At least one letter is right.")
    if not chosen <= set(among):
        raise Failed(f"{expected}; found {found!r:.60}.")
    return chosen


def one_of(found: Any, expected: Sequence[str], look_at: str, among: Sequence[str]) -> None:
    """A choice, as `letters` reads it, is ``expected``.

    Raises
    ------
    AssertionError : it is not; the message does not give the right letters away.
    """
    if letters(found, among) != set(expected):
        raise Failed(look_at)


def written_here(function: Any, allowed: Sequence[str] = ()) -> None:
    """The function is the student's own: neither it nor what it calls in the notebook is ``course_lib``'s.

    Parameters
    ----------
    allowed : what of ``course_lib`` the question gives, by full name, such as ``course_lib.networks.GaussianEncoder``.

    Raises
    ------
    AssertionError : it is no function, or it uses the library's.
    """
    if not callable(function):
        raise Failed(f"Expected a function, found {function!r:.60}.")
    seen: set[int] = set()
    borrowed = next(_borrowed(function, tuple(allowed), seen), None)
    if borrowed:
        raise Failed(f"This question asks you to write it yourself: {borrowed} is the library's.")


def _borrowed(thing: Any, allowed: tuple[str, ...], seen: set[int]) -> Any:
    """Names of what is the library's among all that a function, class or method reaches."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        thing = thing.func
    module = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None)
    if isinstance(module, str) and (module == "course_lib" or module.startswith("course_lib.")):
        name = f"{module}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else module
        if not any(name == given or name.startswith(f"{given}.") for given in ("course_lib.homework", *allowed)):
            yield name
        return
    if isinstance(thing, type):
        if module == "__main__":
            for part in vars(thing).values():
                yield from _borrowed(part, allowed, seen)
        return
    function = getattr(thing, "__func__", thing)  # a method's
    code = getattr(function, "__code__", None)
    if code is None:
        return
    for name in _names(code):
        if name.startswith("course_lib") and not name.startswith("course_lib.homework"):
            yield name  # imported inside of the function
    reach = {name: function.__globals__[name] for name in _names(code) if name in function.__globals__}
    reach |= {f"cell {i}": cell.cell_contents for i, cell in enumerate(function.__closure__ or ()) if _filled(cell)}
    for other in reach.values():
        if callable(other) or isinstance(other, types.ModuleType):
            yield from _borrowed(other, allowed, seen)


def _names(code: types.CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*(_names(part) for part in inner))


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def raises(function: Callable[[], Any], kind: type[BaseException], look_at: str) -> str:
    """The message with which the call fails, which it must, by an error of this kind.

    Raises
    ------
    AssertionError : it did not fail, or by another error.
    """
    try:
        function()
    except kind as error:
        return str(error)
    except Exception as error:
        raise Failed(f"Expected {kind.__name__}, found {type(error).__name__}: {error}. {look_at}") from None
    raise Failed(f"Expected {kind.__name__}, found no error. {look_at}")


def finite(found: Any, look_at: str) -> None:
    """All numbers are finite: no NaN, no infinity."""
    if not np.isfinite(numbers(found, look_at)).all():
        raise Failed(f"Found {math.nan if np.isnan(numbers(found)).any() else math.inf}. {look_at}")
