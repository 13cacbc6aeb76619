r"""The talk inside a notebook: which of its cells become slides, and what each slide shows.

A cell takes part if its metadata hold ``talk``: one entry for a slide, or a list of them.

    {"slide": "## A title\n\nWords, $$an = equation$$"}    Markdown of its own
    {"slide": "predict"}                                 the cell's ``> **Predict.** …``, alone
    {"show": "figure"}                                   the cell's first figure
    {"show": "text"}                                     what the cell printed, without the ticks of ``check``
    {"show": "code"}                                     its code; the sources it printed, if it called ``show_source``
    {"show": "code", "of": "VAE.elbo"}                   of these, the one of that name

``show`` may stand beside ``slide``, which then gives the title above. All Markdown of the notebook is what the speaker
reads: that of a cell with a slide beside its first slide, that of the others beside the slide before them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbformat import NotebookNode

from course_lib.tooling.document import FigureOutput, figures
from course_lib.tooling.files import NotATalk

MOST_WORDS, MOST_LINES = 60, 12  # on one slide; lines of code, or of text that a cell printed
KEYS, SHOWS = ("slide", "show", "of"), ("figure", "code", "text")
PREDICTION = re.compile(r"^> \*\*Predict\.\*\*.*(?:\n>.*)*", re.MULTILINE)
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
DISPLAY = re.compile(r"\$\$.+?\$\$", re.DOTALL)
DOCSTRING = re.compile(r'^[ \t]*[rR]?""".*?"""[ \t]*\n', re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<![\\$])\$[^$]+\$")


@dataclass(frozen=True)
class Slide:
    """What one slide shows, from top to bottom, and what the speaker reads beside it."""

    cell: int  # index of the cell that it comes from
    words: str = ""  # Markdown
    figure: FigureOutput | None = None
    code: str = ""  # Python
    text: str = ""  # as printed
    notes: str = ""  # Markdown

    @property
    def asks(self) -> bool:
        """Is it a prediction, which the room answers before the next slide?"""
        return PREDICTION.fullmatch(self.words.strip()) is not None


def slides(notebook: NotebookNode, name: str) -> list[Slide]:
    """The slides of a notebook, in order, with their notes.

    Raises
    ------
    NotATalk : the notebook has no talk, or a cell asks for what it has not or for more than a slide holds. The message
        names the notebook, the cell and what to do.
    """
    made: list[Slide] = []
    before: list[str] = []  # prose of cells before the first slide
    for index, cell in enumerate(notebook.cells):
        try:
            new = slides_of(cell, index)
        except ValueError as error:
            raise NotATalk(f"{name}: cell {index + 1}: {error}") from None
        prose = [cell.source] if cell.cell_type == "markdown" else []
        if new:
            new[0] = replace(new[0], notes="\n\n".join([*before, *prose]))
            before = []
        elif made:
            made[-1] = replace(made[-1], notes="\n\n".join(filter(None, [made[-1].notes, *prose])))
        else:
            before += prose
        made += new
    if not made:
        raise NotATalk(
            f"{name}: expected a talk, found no cell with talk in its metadata; "
            'give some {"slide": …} or {"show": …} (CONTRIBUTING.md, "Add a notebook").'
        )
    return made


def entries(cell: NotebookNode) -> list[Any]:
    """What the cell's metadata ask for, one entry a slide, as it stands there."""
    asked = cell.metadata.get("talk", [])
    return list(asked) if isinstance(asked, list) else [asked]


def words_of(notebook: NotebookNode) -> list[tuple[int, str]]:
    """The Markdown that the metadata hold, with the index of its cell: it is prose, and keeps the rules of prose."""
    asked = [(index, entry) for index, cell in enumerate(notebook.cells) for entry in entries(cell)]
    return [(i, e["slide"]) for i, e in asked if isinstance(e, dict) and isinstance(e.get("slide"), str)]


def slides_of(cell: NotebookNode, index: int = 0) -> list[Slide]:
    """The slides of one cell, without their notes.

    Raises
    ------
    ValueError : an entry that is none, that asks for what the cell has not, or for more than a slide holds.
    """
    return [_slide(entry, cell, index) for entry in entries(cell)]


def _slide(entry: Any, cell: NotebookNode, index: int) -> Slide:
    if not isinstance(entry, dict) or not entry or not set(entry) <= set(KEYS):
        raise ValueError(f"talk: expected {{'slide': …}} or {{'show': …}}, found {entry!r}; mend the cell's metadata.")
    words, show, of = entry.get("slide", ""), entry.get("show"), entry.get("of")
    if not isinstance(words, str) or not (words.strip() or show):
        raise ValueError(f"talk.slide: expected Markdown, found {words!r}; write it, or delete the entry.")
    if show is not None and (show not in SHOWS or cell.cell_type != "code"):
        raise ValueError(
            f"talk.show: expected {', '.join(SHOWS)} on a code cell, found {show!r} on a {cell.cell_type} cell; "
            "put it on the cell that draws or prints."
        )
    if of is not None and show != "code":
        raise ValueError(f"talk.of: expected beside 'show': 'code', found beside {show!r}; delete it.")
    made = Slide(
        index,
        words=_prediction(cell) if words == "predict" else words,
        figure=_figure(cell, index) if show == "figure" else None,
        code=_code(cell, of) if show == "code" else "",
        text=_text(cell) if show == "text" else "",
    )
    _keep_limits(made)
    return made


def _prediction(cell: NotebookNode) -> str:
    found = PREDICTION.findall(cell.source)
    if len(found) != 1:
        raise ValueError(
            f"talk.slide: expected one block > **Predict.** … in the cell, found {len(found)}; write one there."
        )
    return str(found[0])


def _figure(cell: NotebookNode, index: int) -> FigureOutput:
    drawn = figures([cell])
    if not drawn:
        raise ValueError("talk.show: expected a cell with a figure, found none; run it, or show 'code' or 'text'.")
    return drawn[0]._replace(cell=index)


def _code(cell: NotebookNode, of: str | None) -> str:
    """The cell's own lines; where it printed sources of the library, these, less their docstrings."""
    shown = [output for output in cell.outputs if "source_of" in output.get("metadata", {})]
    printed = {o.metadata["source_of"]: DOCSTRING.sub("", o.data["text/plain"]) for o in shown}
    if of is None:
        return "\n\n".join(printed.values()) if printed else str(cell.source)
    chosen = [source for name, source in printed.items() if f".{name}".endswith(f".{of}")]
    if len(chosen) != 1:
        raise ValueError(
            f"talk.of: expected the name of one source that the cell printed, found {of!r}; "
            f"there are: {', '.join(printed) or 'none'}."
        )
    return str(chosen[0])


def _text(cell: NotebookNode) -> str:
    streams = [output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout"]
    said = [line for line in "".join(streams).splitlines() if line.strip() and not line.startswith("✓")]
    if not said:
        raise ValueError("talk.show: expected printed lines beside the ticks of check, found none; print what to show.")
    return "\n".join(said)


def _keep_limits(slide: Slide) -> None:
    """A slide is read in a glance."""
    count = number_of_words(slide.words)
    if count > MOST_WORDS:
        raise ValueError(
            f"talk.slide: expected at most {MOST_WORDS} words, found {count}; the rest is for the speaker: "
            "leave it in the cell."
        )
    if "**Predict.**" in slide.words and not (slide.asks and not (slide.figure or slide.code or slide.text)):
        raise ValueError("talk.slide: expected a prediction alone, found more beside it; give it an entry of its own.")
    pictures = len(DISPLAY.findall(slide.words)) + bool(slide.figure)
    if pictures > 1:
        raise ValueError(f"talk: expected one figure or one equation, found {pictures}; make a slide of each.")
    if re.search(r"!\[|<img", slide.words):
        raise ValueError("talk.slide: expected no picture in Markdown, found one; draw it in a cell and show 'figure'.")
    lines = [*_lines([slide.code, *FENCE.findall(slide.words)]), *_lines([slide.text])]
    if len(lines) > MOST_LINES:
        raise ValueError(
            f"talk.show: expected at most {MOST_LINES} lines, found {len(lines)}; show fewer, or a figure."
        )


def _lines(blocks: Sequence[str]) -> list[str]:
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def number_of_words(markdown: str) -> int:
    """Words that an audience reads: a formula within a line is one, code and displayed equations are none."""
    text = INLINE.sub(" formula ", DISPLAY.sub(" ", FENCE.sub(" ", markdown)))
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)  # a link leaves its words
    return sum(re.search(r"\w", word) is not None for word in re.sub(r"^\s*\d+\. ", "", text, flags=re.M).split())
