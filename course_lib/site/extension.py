"""What the site asks of Sphinx beyond its settings: words linked to the glossary, the course's docstrings read."""

import json
import re
from typing import Any

from course_lib.site.docstrings import as_rst
from course_lib.site.glossary import link_first_uses, load_terms
from course_lib.tooling.document import anchor
from course_lib.tooling.files import NOTEBOOKS


def slug(heading: str) -> str:
    """A heading's anchor as MyST wants it; in a link it is quoted (`course_lib.tooling.document.anchor`)."""
    return heading.replace(" ", "-")


LOOK_AGAIN = re.compile(r"^(\*Look again:\* )(\d\d), \*([^*]+)\*", re.MULTILINE)
FORMULA_IN_ANCHOR = re.compile(r"(\]\([^()#\s]+#[^()$\s]*)\$[^$\s]*\$")


def prepare_notebook(app: Any, page: str, source: list[str]) -> None:
    """In a lesson or an appendix: links to the glossary from first uses, and figures keep their alternative text.

    In a homework the cells that test an answer are folded.
    """
    if not page.startswith(("notebooks/", "homework/")):
        return
    notebook = json.loads(FORMULA_IN_ANCHOR.sub(r"\1", source[0]))  # MyST leaves formulas out of anchors
    if page.startswith("homework/"):
        for cell in notebook["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade") and cell["cell_type"] == "code":
                cell["metadata"].setdefault("tags", []).append("hide-input")
        source[0] = json.dumps(notebook)
        return
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


def link_quiz(app: Any, page: str, source: list[str]) -> None:
    """From where a quiz says *Look again* to that section of the lesson."""
    if page.startswith("docs/quizzes/"):
        lessons = {path.stem[:2]: path.name for path in NOTEBOOKS.glob("[0-9]*.ipynb")}
        source[0] = LOOK_AGAIN.sub(
            lambda said: f"{said[1]}[{said[2]}, *{said[3]}*](../../notebooks/{lessons[said[2]]}#{anchor(said[3])})",
            source[0],
        )
        source[0] = FORMULA_IN_ANCHOR.sub(r"\1", source[0])


def read_docstring(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Autodoc's event: the lines are replaced in place. A class of another library keeps its own."""
    if name.startswith("course_lib"):
        lines[:] = as_rst(lines)


def no_signature_of_a_protocol(
    app: Any, what: str, name: str, item: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Autodoc's event: nobody calls a protocol, and ``(*args, **kwargs)`` says nothing."""
    return ("", returns) if getattr(item, "_is_protocol", False) else None


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's way in."""
    app.connect("source-read", prepare_notebook)
    app.connect("source-read", link_quiz)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("autodoc-process-signature", no_signature_of_a_protocol)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
