"""Where in the course something is treated: a section of a lesson or appendix, the page of sources, or not yet."""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course_lib.tooling.document import Document, anchor
from course_lib.tooling.files import APPENDIX, find_notebooks

PLANNED = {
    "12": "Pyro and Lightning",
}


@dataclass(frozen=True)
class Place:
    """A section of a lesson, "03", or of an appendix, "channel", and the words of its heading."""

    lesson: str
    heading: str


@dataclass(frozen=True)
class NotYet:
    """A notebook that is planned."""

    lesson: str


@dataclass(frozen=True)
class Here:
    """The page of sources itself."""


HERE = Here()
Where = Place | NotYet | Here


def parse(text: str) -> Where:
    """``03: The direction matters``, ``channel: One number for two``, ``here`` or ``not yet: 12``, as tables write it.

    Raises
    ------
    ValueError : it is none of these, or what is not yet there is not planned either.
    """
    if text == "here":
        return HERE
    if planned := re.fullmatch(r"not yet: (\d\d)", text):
        if planned[1] in PLANNED:
            return NotYet(planned[1])
        raise ValueError(f"expected a planned notebook, {', '.join(PLANNED)}, found {text!r}; plan it, or teach it.")
    if section := re.fullmatch(r"(\d\d|[a-z_]+): (\S.*)", text):
        return Place(section[1], section[2])
    raise ValueError(
        f"expected '03: a heading', 'channel: a heading', 'here' or 'not yet: 12', found {text!r}; "
        "write a place in one of these ways."
    )


def is_there(place: Place) -> bool:
    """Does the lesson have that heading today?"""
    return _file_of(place.lesson) is not None and place.heading in _headings(place.lesson)


def link(place: Place) -> str:
    """Markdown that leads there from a notebook in ``notebooks/appendix/``.

    Raises
    ------
    ValueError : there is no such lesson, or no such heading in it.
    """
    if not is_there(place):
        raise ValueError(
            f"place: expected a heading of notebook {place.lesson}, found {place.heading!r}; "
            "bring the table up to date, or the notebook."
        )
    file = os.path.relpath(str(_file_of(place.lesson)), APPENDIX)
    name = place.lesson.replace("_", " ")
    return f"[{name} · {place.heading}]({Path(file).as_posix()}#{anchor(place.heading)})"


@cache
def _file_of(lesson: str) -> Path | None:
    return next((p for p in find_notebooks() if (p.stem if p.parent == APPENDIX else p.name[:2]) == lesson), None)


@cache
def _headings(lesson: str) -> frozenset[str]:
    path = _file_of(lesson)
    return frozenset(Document.read(path).headings if path else ())
