"""Where in the course something is treated: a section of a lesson or appendix, or the page of sources."""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course_lib.tooling.document import Document, anchor
from course_lib.tooling.files import APPENDIX, find_notebooks


@dataclass(frozen=True)
class Place:
    """A section of a lesson, "03", or of an appendix, "channel", and the words of its heading."""

    lesson: str
    heading: str


@dataclass(frozen=True)
class Here:
    """The page of sources itself."""


HERE = Here()
Where = Place | Here


def parse(text: str) -> Where:
    """``03: The direction matters``, ``channel: One number for two`` or ``here``, as tables write it.

    Raises
    ------
    ValueError : it is none of these.
    """
    if text == "here":
        return HERE
    if section := re.fullmatch(r"(\d\d|[a-z_]+): (\S.*)", text):
        return Place(section[1], section[2])
    raise ValueError(
        f"expected '03: a heading', 'channel: a heading' or 'here', found {text!r}; write a place in one of these ways."
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
