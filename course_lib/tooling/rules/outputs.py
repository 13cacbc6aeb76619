"""Rules over what a run left behind: numbers, outputs, pictures and their texts."""

import importlib
import re
from typing import Any

from course_lib.figures.style import SHORTEST_ALT
from course_lib.notebook import source_text
from course_lib.tooling import render
from course_lib.tooling.document import Document, alts_in, figures
from course_lib.tooling.rules.finding import Finding


def executed_in_order(document: Document) -> list[Finding]:
    """Code cells are numbered 1, 2, 3 …: they come from one clean run."""
    rule, found = "executed in order", []
    if document.code and not any(cell.execution_count for _, cell in document.code):
        return [Finding(rule, None, "was not executed; run make notebooks")]
    for expected, (index, cell) in enumerate(document.code, start=1):
        if not cell.source.strip():
            found.append(Finding(rule, index, "is empty; delete it"))
        elif cell.execution_count != expected:
            number = cell.execution_count
            found.append(Finding(rule, index, f"has number {number}, expected {expected}; run make notebooks"))
    return found


def no_error_output(document: Document) -> list[Finding]:
    """No cell ends in an exception."""
    return [
        Finding("no error output", index, f"ended in {output.ename}: {output.evalue}")
        for index, output in document.outputs
        if output.output_type == "error"
    ]


def no_stderr(document: Document) -> list[Finding]:
    """No warning and no progress bar is committed."""
    return [
        Finding("no stderr", index, f"wrote to stderr: {output.text.strip()[:120]!r}; remove the cause")
        for index, output in document.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


def figures_have_alt(document: Document) -> list[Finding]:
    """Every picture is a PNG drawn through ``show`` with alternative text that holds a takeaway."""
    rule, found = "alternative text", []
    for index, output in document.outputs:
        data = output.get("data", {})
        for mime in data:
            if mime.startswith("image/") and mime != "image/png":
                found.append(Finding(rule, index, f"holds {mime}; draw it with show(fig, alt=…)"))
        if "image/png" in data:
            alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
            if len(alt) < SHORTEST_ALT:
                found.append(Finding(rule, index, f"{len(alt)} characters of it; draw with show(fig, alt=…)"))
            elif data.get("text/plain") != f"Figure: {alt}":
                found.append(Finding(rule, index, "figure not drawn through course_lib.figures.style.show"))
            elif re.search(r"\bnan\b", alt):
                found.append(Finding(rule, index, f"holds nan: {alt!r}"))
    for index, text in document.markdown:
        found += [Finding(rule, index, "Markdown image without it: ![…](…)") for _ in re.findall(r"!\[\s*\]\(", text)]
    return found


def alt_in_pages(document: Document) -> list[Finding]:
    """The rendered page shows every figure with its text; that the slides do is a test of theirs."""
    alts = [" ".join((alt or "").split()) for alt in alts_in(render.page(document.nb, document.name))]
    return [
        Finding("rendered alternative text", figure.cell, "the page shows the figure without it")
        for figure in figures(document.nb.cells)
        if not figure.alt or figure.alt not in alts
    ]


def sources_current(document: Document) -> list[Finding]:
    """Source that a notebook prints is the library's source of today."""
    rule, found = "printed source", []
    for index, cell in document.code:
        printed = [output for output in cell.outputs if "source_of" in output.get("metadata", {})]
        if re.search(r"\bshow_source\(", cell.source) and not printed:
            found.append(Finding(rule, index, "calls show_source, but no output holds a source; run make notebooks"))
        for output in printed:
            name = output.metadata.source_of
            try:
                item = locate(name)
            except Exception as error:  # whatever a module may raise while it is imported
                found.append(Finding(rule, index, f"{name} cannot be imported: {error}"))
                continue
            if item is None:
                found.append(Finding(rule, index, f"{name} is gone from the library"))
            elif source_text(item, doc=output.metadata.get("doc", True)) != output.data["text/plain"]:
                found.append(Finding(rule, index, f"{name} has changed since; run make notebooks"))
    return found


def locate(name: str) -> Any:
    """The object of a dotted name, or None: the longest part that is a module, then attributes.

    ``pydoc.locate`` walks packages by attribute, and misses ``course_lib.training.fit.fit``: there the package holds a
    function under its module's name.
    """
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            item: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            item = getattr(item, attribute, None)
        return item
    return None
