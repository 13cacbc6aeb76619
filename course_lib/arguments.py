"""What a constructor or a question is given, checked before anything is done: kinds first, then ranges.

Each function returns the value as a plain Python one, or raises TypeError (another kind) or ValueError (a value that
cannot be) with the argument's name, what was expected and what was found.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def whole_number(name: str, value: Any, least: int = 1, most: int | None = None, why: str = "") -> int:
    """A whole number ≥ ``least``, or from it to ``most``, which is what ``why`` says: neither 10.0 nor True."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected a whole number such as 10, found {value!r:.60}.")
    number = int(value)
    if number < least or (most is not None and number > most):
        allowed = f"≥ {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name}: expected a whole number {allowed}{', ' if why else ''}{why}, found {number}.")
    return number


def seed_number(value: Any) -> int:
    """A seed that PyTorch, NumPy and scikit-learn all take: a whole number from 0 to 2³² − 1."""
    return whole_number("seed", value, 0, 2**32 - 1)


def text(name: str, value: Any) -> str:
    """A string that says something."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name}: expected a name, found {value!r:.60}.")
    return value


def widths(name: str, values: Any, least_layers: int = 1) -> tuple[int, ...]:
    """Widths of hidden layers, each ≥ 1, at least ``least_layers`` of them."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"{name}: expected a sequence of widths, found {values!r:.60}; one layer is {name}=(128,).")
    if len(values) < least_layers:
        raise ValueError(f"{name}: expected at least one hidden layer, found none; one layer is {name}=(128,).")
    return tuple(whole_number(f"{name}[{i}]", value) for i, value in enumerate(values))


def network_sizes(n_genes: Any, n_latent: Any, hidden: Any, least_layers: int = 1) -> tuple[int, int, tuple[int, ...]]:
    """G, L and the widths between them, as every model with an encoder and a decoder takes them."""
    return whole_number("n_genes", n_genes), whole_number("n_latent", n_latent), widths("hidden", hidden, least_layers)


def real_number(name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, found {value!r:.60}.")
    try:
        number = float(value)
    except OverflowError:  # 10**400
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, found {value!r:.60}.")
    return number


def real_numbers(name: str, values: Any) -> tuple[float, ...]:
    """Finite numbers in an order: a list, a tuple, an array."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(
            f"{name}: expected a sequence of numbers, found {values!r:.60}; of one it is ({values!r:.60},)."
        )
    return tuple(real_number(f"{name}[{i}]", value) for i, value in enumerate(values))


def positive(name: str, value: Any) -> float:
    """A finite number > 0."""
    if real_number(name, value) <= 0:
        raise ValueError(f"{name}: expected a number > 0, found {value}.")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """A finite number ≥ 0."""
    if real_number(name, value) < 0:
        raise ValueError(f"{name}: expected a number ≥ 0, found {value}.")
    return float(value)


def fraction(name: str, value: Any, *, zero_too: bool) -> float:
    """A probability below one: 0 ≤ value < 1, or 0 < value < 1."""
    if not (0 <= real_number(name, value) < 1 and (zero_too or value > 0)):
        raise ValueError(f"{name}: expected 0 {'≤' if zero_too else '<'} {name} < 1, found {value}.")
    return float(value)


def choice(name: str, value: T, choices: Sequence[T]) -> T:
    """One of a few: ``typing.get_args`` of a Literal, or (False, True)."""
    if value not in choices:
        *others, last = [repr(one) for one in choices]
        raise ValueError(f"{name}: expected {', '.join(others)} or {last}, found {value!r:.60}.")
    return value


def unique_names(name: str, values: Any) -> tuple[str, ...]:
    """Names in an order, at least one, no two alike: a list, an array, a pandas Index."""
    if isinstance(values, str):
        raise TypeError(
            f"{name}: expected a sequence of names, found the string {values!r:.60}; write ({values!r:.60},)."
        )
    if isinstance(values, set | frozenset | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected a sequence of names, found {values!r:.60}; give cells.{name}.")
    found = tuple(values)
    if not found:
        raise ValueError(f"{name}: expected at least one name, found none.")
    for position, value in enumerate(found):
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected names that are strings, found {value!r:.60} at position {position}.")
    if len(set(found)) < len(found):
        first = next(value for position, value in enumerate(found) if value in found[:position])
        raise ValueError(
            f"{name}: expected names that differ, found {first!r} {found.count(first)} times and "
            f"{len(found) - len(set(found))} repeated in all."
        )
    return tuple(str(value) for value in found)
