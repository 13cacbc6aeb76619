"""What the site asks of Sphinx beyond its settings: words linked to the glossary, the course's docstrings read."""

import json
import re
from typing import Any

from course_lib.site.docstrings import as_rst
from course_lib.site.glossary import link_first_uses, load_terms


def anchor(heading: str) -> str:
    """A heading's anchor, as JupyterLab makes it: links in notebooks name headings so."""
    return heading.replace(" ", "-")


FORMULA_IN_ANCHOR = re.compile(r"(\]\([^()#\s]+#[^()$\s]*)\$[^$\s]*\$")


def prepare_notebook(app: Any, page: str, source: list[str]) -> None:
    """In a lesson or an appendix: links to the glossary from first uses, and figures keep their alternative text."""
    if not page.startswith("notebooks/"):
        return
    notebook = json.loads(FORMULA_IN_ANCHOR.sub(r"\1", source[0]))  # MyST leaves formulas out of anchors
    prose = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    to = "../" * page.count("/") + "docs/glossary.md"
    linked = link_first_uses(["".join(cell["source"]) for cell in prose], load_terms(), to, page.rpartition("/")[2])
    for cell, text in zip(prose, linked, strict=True):
        cell["source"] = text
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if alt:  # MyST-NB reads it from the cell alone
                cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
    source[0] = json.dumps(notebook)


def read_docstring(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Autodoc's event: the lines are replaced in place. A class of another library keeps its own."""
    if name.startswith("course_lib"):
        lines[:] = as_rst(lines)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's way in."""
    app.connect("source-read", prepare_notebook)
    app.connect("autodoc-process-docstring", read_docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
