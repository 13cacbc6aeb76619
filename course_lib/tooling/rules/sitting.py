"""Rules over how long a notebook takes: what one sitting holds, and whether its opening tells the truth about it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from nbformat import NotebookNode

from course_lib.tooling.document import Document, figures, prose, without_fences
from course_lib.tooling.rules.finding import Finding

MOST_CELLS, MOST_MINUTES = 60, 75
WORDS_A_MINUTE, CODE_A_MINUTE, SOURCE_A_MINUTE = 150, 10, 15  # of prose; lines to follow; lines of the library to read
MINUTES_EACH = 1  # for a displayed equation, a figure, a prediction
SLACK = 5  # minutes by which the opening may differ from the count


class Reading(NamedTuple):
    """What the reader that a notebook names has before them, and how long it takes them."""

    words: int  # of prose, formulas in it, and what cells print
    code: int  # lines, neither blank nor comment
    source: int  # lines of the library that the notebook prints
    equations: int  # displayed
    figures: int
    predictions: int

    @property
    def minutes(self) -> int:
        """A slow pace: prose and formulas that are new, code that is followed line by line. Exercises not counted."""
        slow = self.words / WORDS_A_MINUTE + self.code / CODE_A_MINUTE + self.source / SOURCE_A_MINUTE
        return round(slow + MINUTES_EACH * (self.equations + self.figures + self.predictions))


def reading(document: Document) -> Reading:
    """Count what there is to read, up to the exercises: they are work of another evening, and the rest is looked up."""
    cells = document.nb.cells
    ends = [i for i, cell in enumerate(cells) if re.match(r"## (Exercises|References)\s*$", cell.source, re.MULTILINE)]
    cells = cells[: min(ends, default=len(cells))]
    words = "\n\n".join(without_fences(cell.source) for cell in cells if cell.cell_type == "markdown")
    printed = "\n\n".join(text for cell in cells if cell.cell_type == "code" for text in _printed(cell))
    code = [cell for cell in cells if cell.cell_type == "code"]
    sources = [o.data["text/plain"] for cell in code for o in cell.outputs if "source_of" in o.get("metadata", {})]
    return Reading(
        words=len(re.findall(r"\w[\w'’-]*", prose(f"{words}\n\n{printed}")))
        + len(re.findall(r"(?<![\\$])\$[^$]+\$", words)),
        code=sum(_is_code(line) for cell in code for line in cell.source.split("\n")),
        source=sum(_is_code(line) for text in sources for line in text.split("\n")),
        equations=len(re.findall(r"\$\$.+?\$\$", words, re.DOTALL)),
        figures=len(figures(cells)),
        predictions=len(re.findall(r"^> \*\*Predict\.\*\*", words, re.MULTILINE)),
    )


def _printed(cell: NotebookNode) -> Iterator[str]:
    """What a cell printed or wrote as Markdown, to be read as words; sources and figures are counted elsewhere."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        elif "source_of" not in output.get("metadata", {}) and "image/png" not in output.get("data", {}):
            yield output.data.get("text/markdown", output.data.get("text/plain", "")) if "data" in output else ""


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


def one_sitting(document: Document) -> list[Finding]:
    """At most 60 cells and 75 minutes, and the opening names the minutes that counting gives."""
    rule, found = "one sitting", []
    seen = reading(document)
    if len(document.nb.cells) > MOST_CELLS:
        message = f"{len(document.nb.cells)} cells, at most {MOST_CELLS}; move what does not fit into an appendix"
        found.append(Finding(rule, None, message))
    counted = ", ".join(f"{value} {name}" for name, value in seen._asdict().items())
    if seen.minutes > MOST_MINUTES:
        message = f"{seen.minutes} minutes to read ({counted}), at most {MOST_MINUTES}; cut, or make an appendix"
        found.append(Finding(rule, None, message))
    opening = "\n".join(cell.source for cell in document.nb.cells[:2] if cell.cell_type == "markdown")
    stated = re.search(r"\*\*Minutes\*\*[\s|:]*(\d+)", opening)
    if stated and abs(int(stated.group(1)) - seen.minutes) > SLACK:
        message = f"says {stated.group(1)} minutes to read, counted {seen.minutes} ({counted}); say the true minutes"
        found.append(Finding(rule, 0, message))
    return found
