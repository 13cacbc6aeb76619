r"""The talk inside a notebook: which of its cells become slides, and what each slide shows.

A cell takes part if its metadata hold ``talk``: one entry for a slide, or a list of them.

    {"slide": "## A title\n\nWords, $$an = equation$$"}    Markdown of its own
    {"slide": "predict"}                                 the cell's ``> **Predict.** …``, alone
    {"show": "figure"}                                   the cell's first figure
    {"show": "text"}                                     what the cell printed, without the ticks of ``check``
    {"show": "code"}                                     its code; the sources it printed, if it called ``show_source``
    {"show": "code", "of": "VAE.elbo"}                   of these, the one of that name

``show`` may stand beside ``slide``, which then gives the title above.

What the speaker reads is the Markdown of the sections that have a slide: that of a cell with a slide beside its first
slide, that of the others beside the slide before them, or beside their section's first. What stands under a heading
without a slide is not read in a talk. Beside the slide after a *Predict* stands its answer: what the cells between
printed, ticks included, and the words that follow.

    python -m course_lib.tooling.talk [notebook …]       the slides of each talk by number, with their words of notes
"""

import argparse
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_lib.console import say
from course_lib.tooling.document import FigureOutput, figures
from course_lib.tooling.files import NotATalk, each, name_of, read, run_command

MOST_WORDS, MOST_LINES = 60, 12  # on one slide; lines of code, or of text that a cell printed
KEYS, SHOWS = ("slide", "show", "of"), ("figure", "code", "text")
PREDICTION = re.compile(r"^> \*\*Predict\.\*\*.*(?:\n>.*)*", re.MULTILINE)
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
DISPLAY = re.compile(r"\$\$.+?\$\$", re.DOTALL)
DOCSTRING = re.compile(r'^[ \t]*[rR]?""".*?"""[ \t]*\n', re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<![\\$])\$[^$]+\$")
HEADING = re.compile(r"^```.*?^```|^(#{1,6}) +([^\n]*)", re.DOTALL | re.MULTILINE)  # a # in a fence is none
CITED = re.compile(r",? <?https?://[^\s()]+(?=\))| \(<?https?://[^\s()]+\)")  # an address behind the name of its work
ADDRESS = re.compile(r"""(?<!\]\()(?<!["'])https?://""")  # one that is no link's


@dataclass(frozen=True)
class Slide:
    """What one slide shows, from top to bottom, and what the speaker reads beside it."""

    cell: int  # index of the cell that it comes from
    words: str = ""  # Markdown
    figure: FigureOutput | None = None
    code: str = ""  # Python
    text: str = ""  # as printed
    section: str = ""  # the heading that a prediction stands under, Markdown
    notes: str = ""  # Markdown
    answer: str = ""  # to the question on the slide before, as cells printed it; for the speaker

    @property
    def heading(self) -> str:
        """The title in the first line, or the section of a prediction; Markdown, "" if there is none."""
        first = self.words.strip().partition("\n")[0]
        return first.lstrip("#").strip() if first.startswith("#") else self.section

    @property
    def kind(self) -> str:
        """What stands on it, in a word."""
        shown = {"predict": self.asks, "figure": self.figure, "code": self.code, "text": self.text}
        return next((kind for kind, stands in shown.items() if stands), "words")

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
    for index, cell in enumerate(notebook.cells):
        try:
            made += slides_of(cell, index)
        except ValueError as error:
            raise NotATalk(f"{name}: cell {index + 1}: {error}") from None
    if not made:
        raise NotATalk(
            f"{name}: expected a talk, found no cell with talk in its metadata; "
            'give some {"slide": …} or {"show": …} (CONTRIBUTING.md, "Add a notebook").'
        )
    passages = list(_passages(notebook))
    told = [
        replace(slide, section=_section(slide, passages), notes="\n\n".join(notes))
        for slide, notes in zip(made, _notes(made, passages), strict=True)
    ]
    for number, (question, slide) in enumerate(pairwise(told), start=1):
        if question.asks:
            answer = _printed(notebook.cells[question.cell + 1 : slide.cell + 1])
            told[number] = replace(slide, notes=slide.notes or _next_words(slide, passages), answer=answer)
    return told


@dataclass(frozen=True)
class _Passage:
    """What a cell says under one heading; of a code cell, nothing."""

    cell: int
    under: tuple[int, ...]  # numbers of the headings it stands under, ``## One`` before ``### Two``
    heading: str  # the last of them
    prose: str
    goes_on: bool = False  # above the first heading of its cell: it goes on with what was said before


def _passages(notebook: NotebookNode) -> Iterator[_Passage]:
    """The notebook, cut at its headings and between its cells."""
    open_headings: list[tuple[int, int, str]] = []  # level, number, text
    count = 0
    for index, cell in enumerate(notebook.cells):
        is_prose = cell.cell_type == "markdown"
        found = [match for match in HEADING.finditer(cell.source) if match[1]] if is_prose else []
        ends = [match.start() for match in found] + [len(cell.source)]
        above = cell.source[: ends[0]].strip() if is_prose else ""
        if above or not found:
            under, heading = tuple(number for _, number, _ in open_headings), open_headings[-1][2] if count else ""
            yield _Passage(index, under, heading, above, goes_on=bool(found))
        for match, end in zip(found, ends[1:], strict=True):
            count += 1
            open_headings = [h for h in open_headings if h[0] < len(match[1])] + [(len(match[1]), count, match[2])]
            under = tuple(number for _, number, _ in open_headings)
            yield _Passage(index, under, match[2], cell.source[match.start() : end].strip())


def _notes(slides: Sequence[Slide], passages: Sequence[_Passage]) -> list[list[str]]:
    """The prose of each slide: of its cell, of its section before the first slide of it, and up to the next slide."""
    first = {slide.cell: number for number, slide in reversed(list(enumerate(slides)))}
    last = {slide.cell: number for number, slide in enumerate(slides)}
    shown = {number for passage in passages if _is_on(passage, first) for number in passage.under}
    notes: list[list[str]] = [[] for _ in slides]
    ahead: list[str] = []  # said before the slide that it belongs to
    current = -1  # the slide before
    section: tuple[int, ...] = ()  # where it stands
    for passage in passages:
        if _is_on(passage, first):
            notes[first[passage.cell]] += [*ahead, passage.prose]
            ahead, current, section = [], last[passage.cell], passage.under
        elif set(passage.under[-1:]) <= shown:
            goes_on = current >= 0 and passage.under == section and not slides[current].asks
            (notes[current] if goes_on else ahead).append(passage.prose)
    notes[-1] += ahead
    return [list(filter(None, said)) for said in notes]


def _is_on(passage: _Passage, cells: Container[int]) -> bool:
    return passage.cell in cells and not passage.goes_on


def _next_words(slide: Slide, passages: Sequence[_Passage]) -> str:
    """The first paragraph after a slide, if it goes on under the same heading: there the notebook answers."""
    before = [passage for passage in passages if passage.cell <= slide.cell]
    following = [passage for passage in passages[len(before) :] if passage.prose][:1]
    return "".join(p.prose.partition("\n\n")[0] for p in following if p.under == before[-1].under)


def _section(slide: Slide, passages: Sequence[_Passage]) -> str:
    """The heading that a prediction stands under; "" of another slide, which has a title of its own."""
    asked = (p.heading for p in passages if p.cell == slide.cell and PREDICTION.search(p.prose))
    return next(asked, "") if slide.asks else ""


def _printed(cells: Sequence[NotebookNode]) -> str:
    """What code cells printed, ticks included."""
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout").strip()


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
    return CITED.sub("", str(found[0]))


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
    if ADDRESS.search(slide.words):
        raise ValueError("talk.slide: expected no bare address, found one; name the work, the cell has its address.")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if a file is no notebook, or its talk breaks a limit."""
    what = "Print the slides of a talk: number, kind, words for the speaker, title."
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.talk", description=what)
    parser.add_argument("notebooks", nargs="*", help="names such as 03, or paths; the whole course without")
    options = parser.parse_args(arguments)

    def work(path: Path) -> bool:
        notebook = read(path)
        if any(entries(cell) for cell in notebook.cells):
            say(f"{name_of(path)}")
            for number, slide in enumerate(slides(notebook, name_of(path)), start=1):
                said = number_of_words(f"{slide.notes} {slide.answer} {slide.figure.alt if slide.figure else ''}")
                say(f"{number:4d}  {slide.kind:8}{said:5d}  {slide.heading}")
        return True

    return run_command(parser, options.notebooks, lambda paths: each(paths, work))


if __name__ == "__main__":
    raise SystemExit(main())
