"""A notebook as its rules see it: cells and outputs by kind, folded answers, and the words a reader reads."""

import ast
import base64
import html.parser
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

from nbformat import NotebookNode

from course_lib.tooling.files import APPENDIX, NOTEBOOKS, name_of, read


@dataclass(frozen=True)
class Document:
    """A notebook under examination."""

    name: str
    nb: NotebookNode
    folder: Path = NOTEBOOKS  # where it lies and runs

    @classmethod
    def read(cls, path: Path) -> Self:
        """The notebook in a file, as it stands there (see `course_lib.tooling.files.read`)."""
        return cls(name_of(path), read(path), path.resolve().parent)

    @property
    def is_appendix(self) -> bool:
        """An appendix is looked things up in; the lessons before it are read in order."""
        return self.folder.resolve() == APPENDIX.resolve()

    @property
    def code(self) -> list[tuple[int, NotebookNode]]:
        """Code cells with their index."""
        return [(i, cell) for i, cell in enumerate(self.nb.cells) if cell.cell_type == "code"]

    @property
    def markdown(self) -> list[tuple[int, str]]:
        """Markdown with the index of its cell."""
        return [(i, cell.source) for i, cell in enumerate(self.nb.cells) if cell.cell_type == "markdown"]

    @property
    def outputs(self) -> list[tuple[int, NotebookNode]]:
        """Outputs with the index of their cell."""
        return [(i, output) for i, cell in self.code for output in cell.outputs]

    @property
    def answers(self) -> list[tuple[int, str]]:
        """Fenced Python inside folded answers, with the index of its cell."""
        return [
            (i, block)
            for i, text in self.markdown
            for folded in re.findall(r"<details>(.*?)</details>", text, re.DOTALL)
            for block in re.findall(r"^```python\n(.*?)^```", folded, re.DOTALL | re.MULTILINE)
        ]

    def trees(self, *, answers: bool = True) -> Iterator[tuple[int, ast.Module]]:
        """Syntax trees of the code cells, and of the answers; what is no Python is another rule's finding."""
        for index, source in [*((i, cell.source) for i, cell in self.code), *(self.answers if answers else [])]:
            try:
                yield index, ast.parse(source)
            except SyntaxError:
                continue

    @property
    def words(self) -> str:
        """All Markdown without its fenced blocks."""
        return "\n\n".join(without_fences(text) for _, text in self.markdown)

    @property
    def headings(self) -> list[str]:
        """Every heading, of any level, in order."""
        return [line.strip() for line in re.findall(r"^#{1,6} (.*)", self.words, re.MULTILINE)]

    def section(self, heading: str) -> str:
        """The words under ``## heading``, up to the next heading of that level; "" if there is none."""
        return _section(heading, self.words)

    def markdown_of(self, heading: str) -> str:
        """As `section`, with the fenced blocks."""
        return _section(heading, "\n\n".join(text for _, text in self.markdown))


def _section(heading: str, text: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\s*$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found.group(1) if found else ""


def anchor(heading: str) -> str:
    """What follows the # of a link to a heading: JupyterLab and nbconvert agree on it. Code keeps its words."""
    return quote(heading.replace("`", "").replace(" ", "-"), safe="?/:@!$&'*+,;=")


def without_fences(markdown: str) -> str:
    """Markdown without its fenced blocks."""
    return re.sub(r"^([> ]*)```.*?^[> ]*```[ ]*$", "", markdown, flags=re.DOTALL | re.MULTILINE)


BARE_NUMBER = re.compile(r"[\s\d.,+\-−~≈<>≤≥=\\%×eE^{}]*\d[\s\d.,+\-−~≈<>≤≥=\\%×eE^{}]*")


def prose(markdown: str) -> str:
    """What a reader reads as words: no fences, code spans, formulas, addresses or tags.

    A code span or a formula that holds nothing but a number stays: dressing a number up does not make it code.
    """

    def unless_bare(match: re.Match[str]) -> str:
        return match.group(1) if BARE_NUMBER.fullmatch(match.group(1)) else " "

    text = without_fences(markdown)
    text = re.sub(r"`+([^`]+)`+", unless_bare, text)
    text = re.sub(r"\$\$(.+?)\$\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"(?<![\\$])\$([^$]+?)\$", unless_bare, text)
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)|\[([^\]]*)\]\([^)]*\)", r"\1\2", text)  # a link leaves its words
    text = re.sub(r"<?https?://\S+|\b10\.\d{4,9}/\S+", " ", text)
    return re.sub(r"<!--.*?-->|</?[a-zA-Z][^>]*>", " ", text, flags=re.DOTALL)


def paragraphs(markdown: str) -> list[str]:
    """Blocks between blank lines; every list item and table row is one of its own."""
    return [p for p in re.split(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.|\|)\s)", without_fences(markdown)) if p.strip()]


class FigureOutput(NamedTuple):
    """One figure in a notebook."""

    cell: int  # index of its cell
    png: bytes
    alt: str  # "" where there is none


def figures(cells: Sequence[NotebookNode]) -> list[FigureOutput]:
    """Every PNG among the outputs of a notebook's cells, in order."""
    return [
        FigureOutput(index, base64.b64decode(output.data["image/png"]), _alt(output))
        for index, cell in enumerate(cells)
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]


def _alt(output: NotebookNode) -> str:
    return str(output.get("metadata", {}).get("image/png", {}).get("alt", ""))


class _Images(html.parser.HTMLParser):
    """Collects the alternative text of every ``<img>``, None where it is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.alts: list[str | None] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.alts.append(dict(attributes).get("alt"))


def alts_in(page: str) -> list[str | None]:
    """The alternative texts of a page's pictures, in order."""
    images = _Images()
    images.feed(page)
    return images.alts
