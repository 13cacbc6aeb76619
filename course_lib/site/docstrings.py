"""The course's docstrings as reStructuredText.

A docstring here names its sections as NumPy's do, but what follows a name and a colon is a sentence and no type, and
several short entries may share a line, three spaces apart:

    x : (N, G), counts.   theta : (G,), > 0.

Each section becomes a heading with a list of such entries; what has no name and colon stays a paragraph. What stands
four spaces in, below a blank line, is something to type: a literal block.
"""

import re
from collections.abc import Sequence

SECTIONS = ("Parameters", "Returns", "Raises", "Warns", "Notes")
ENTRY = re.compile(r"(?P<names>\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*) : (?P<words>.*)", re.DOTALL)
WITHIN = re.compile(r" {3,}(?=\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)* : )")


def as_rst(lines: Sequence[str]) -> list[str]:
    """A docstring's lines, dedented, as reStructuredText."""
    written: list[str] = []
    at = 0
    while at < len(lines):
        if lines[at] in SECTIONS and at + 1 < len(lines) and re.fullmatch("-+", lines[at + 1]):
            end = _end_of_section(lines, at + 2)
            written += ["", f".. rubric:: {lines[at]}", "", *_entries(lines[at + 2 : end]), ""]
            at = end
            continue
        if lines[at].startswith("    ") and at > 1 and lines[at - 1] == "" and not _of_a_directive(lines[:at]):
            end = next((i for i in range(at, len(lines)) if lines[i] and not lines[i].startswith("    ")), len(lines))
            written += ["::", "", *lines[at:end]]
            at = end
            continue
        written.append(lines[at])
        at += 1
    return written


def _of_a_directive(before: Sequence[str]) -> bool:
    """Whether what is indented below these lines belongs to ``.. math::`` or the like."""
    margin = next((line for line in reversed(before) if line and not line.startswith(" ")), "")
    return margin.startswith(".. ") or margin.endswith("::")


def _end_of_section(lines: Sequence[str], start: int) -> int:
    """Where the next section starts, or what cites a source, which stands at the end; else the docstring's end."""
    for at in range(start, len(lines)):
        section = lines[at] in SECTIONS and at + 1 < len(lines) and re.fullmatch("-+", lines[at + 1])
        if section or (lines[at].startswith(("Source: ", "Sources: ")) and lines[at - 1] == ""):
            return at
    return len(lines)


def _entries(lines: Sequence[str]) -> list[str]:
    written: list[str] = []
    for block in _blocks(lines):
        for part in WITHIN.split(block):
            found = ENTRY.fullmatch(part)
            if not found:
                written += ["", *part.split("\n")]
                continue
            names = ", ".join(f"``{name}``" for name in found["names"].split(", "))
            words = [line.strip() for line in found["words"].split("\n")]
            written += ["", names, *(f"   {line}".rstrip() for line in words)]
    return written


def _blocks(lines: Sequence[str]) -> list[str]:
    """Entries with their indented lines, and what stands between them as it is."""
    blocks: list[str] = []
    for line in lines:
        starts = ENTRY.match(line) is not None
        continues = blocks and (line.startswith(" ") or (line and not starts and not ENTRY.match(blocks[-1])))
        if continues and blocks[-1]:
            blocks[-1] += "\n" + line
        else:
            blocks.append(line)
    return [block for block in blocks if block]
