"""What a notebook says aloud: `check` tests a claim, `show_source` prints the library's code, `line_of` finds it."""

import ast
import inspect
import textwrap
from typing import Any

import numpy as np
from IPython.display import display

from course_lib.console import say


def check(statement: str, condition: Any) -> None:
    """Print ``✓ statement`` if the condition holds, stop with the statement if it does not.

    Parameters
    ----------
    statement : the claim as the reader reads it, measured numbers included.
    condition : one truth value: a ``bool``, a NumPy bool, or a boolean tensor or array with no axes. A comparison with
        NaN is False, so a claim about NaN fails.

    Raises
    ------
    AssertionError
        The condition is False; the message is the statement.
    TypeError
        The condition is not one truth value. A non-empty list or the number 0.3 counts as true in Python and would
        let a claim pass that nobody tested.
    """
    if not (isinstance(condition, bool | np.bool_) or _is_boolean_scalar(condition)):
        shape = getattr(condition, "shape", None)
        found = type(condition).__name__ + (f" of shape {tuple(shape)}, {condition.dtype}" if shape is not None else "")
        raise TypeError(
            f"condition: expected one truth value, found {found}; compare it with something, or reduce it with .all()."
        )
    if not bool(condition):
        raise AssertionError(f"this does not hold: {statement}")
    say(f"✓ {statement}")


def _is_boolean_scalar(value: Any) -> bool:
    """A boolean tensor or array with no axes, told by its attributes so that this module need not load torch."""
    return getattr(value, "shape", None) == () and str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def show_source(*objects: Any, doc: bool = True) -> None:
    """Display the current source of functions, methods or classes of the library as fenced Python.

    Parameters
    ----------
    objects : what to print: functions, methods, properties, classes or modules of ``course_lib``.
    doc : print docstrings whole. With False each docstring is cut to its first line, where a screen is short.

    Raises
    ------
    ValueError
        An object is not part of ``course_lib``: the reader would see code that no test keeps current.

    Notes
    -----
    The output's metadata say what was printed (``source_of``), so that a test compares it with today's library.
    """
    for item in objects:
        name, source = qualified_name(item), source_text(item, doc=doc)
        display(
            {"text/markdown": f"```python\n{source}\n```", "text/plain": source},
            metadata={"source_of": name, "doc": doc},
            raw=True,
        )


def qualified_name(item: Any) -> str:
    """The dotted name under which `source_text` of today can find the object again."""
    code = _code_of(item)
    name = code.__name__ if inspect.ismodule(code) else f"{code.__module__}.{code.__qualname__}"
    if name.split(".")[0] != "course_lib" or "<locals>" in name:
        raise ValueError(
            f"objects: expected parts of course_lib, found {name}; move it into the library, or write it out."
        )
    return name


def source_text(item: Any, *, doc: bool = True) -> str:
    """The source of a library object, dedented, without a trailing newline (see `show_source`)."""
    source = textwrap.dedent(inspect.getsource(_code_of(item))).rstrip()
    return source if doc else _first_lines_of_docstrings(source)


def line_of(item: Any, code: str) -> str:
    """Where in the library a piece of code stands, found anew on every run: ``models/scvi.py:86``.

    Parameters
    ----------
    item : function, method or class of ``course_lib``.   code : text that stands on exactly one line of its source.

    Raises
    ------
    ValueError : the text is on no line of the source, or on several; or the object is not part of ``course_lib``.
    """
    name, found = qualified_name(item), _code_of(item)
    lines, first = inspect.getsourcelines(found)
    places = [first + i for i, line in enumerate(lines) if code in line]
    if len(places) != 1:
        raise ValueError(f"code: {code!r} stands on {len(places)} lines of {name}, expected one; quote more, or less.")
    module = inspect.getmodule(found)
    path = str(module.__name__ if module else name).removeprefix("course_lib.").replace(".", "/")
    return f"{path}.py:{places[0]}"


def _code_of(item: Any) -> Any:
    """The function behind a property, a bound method or a decorator."""
    if isinstance(item, property):
        item = item.fget
    return inspect.unwrap(getattr(item, "__func__", item))


def _first_lines_of_docstrings(source: str) -> str:
    lines = source.split("\n")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    docs = [node.body[0] for node in nodes if node.body and ast.get_docstring(node) is not None]
    for node in sorted(docs, key=lambda node: -node.lineno):  # from below, so that line numbers stay true
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        if last > first:
            lines[first : last + 1] = [lines[first].rstrip() + lines[last].strip()[-3:]]
    return "\n".join(lines)
