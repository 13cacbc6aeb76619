"""Rules over where a notebook points: links that a reader clicks, and relative paths that its code opens."""

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from course_lib.tooling.document import Document, anchor, without_fences
from course_lib.tooling.rules.finding import Finding

ELSEWHERE = re.compile(r"[a-zA-Z][\w+.-]*:|//")  # https://…, mailto:…: nothing here can follow them


def links_lead_somewhere(document: Document) -> list[Finding]:
    """A link leads to a notebook that is there and to one of its headings; a path that begins with ``../`` is there.

    Markdown counts, and Markdown that a cell wrote. A quiz may be linked as well. Links to other files are refused: the
    pages under ``build/`` lie elsewhere and could not follow them. Seen from the notebook's own folder, where it runs.
    """
    found = []
    for index, link in _links(document):
        target, _, fragment = unquote(link).partition("#")
        path = Path(os.path.normpath(document.folder / target))
        if target and not fragment and path.suffix == ".md" and path.parts[-3:-1] == ("docs", "quizzes"):
            if not path.is_file():
                found.append(Finding("links", index, f"leads to {link}, and there is no such quiz"))
        elif target and path.suffix != ".ipynb":
            message = f"leads to {link}; only notebooks and quizzes can be linked: name it in `code`"
            found.append(Finding("links", index, message))
        elif target and not path.is_file():
            found.append(Finding("links", index, f"leads to {link}, and there is no such notebook"))
        elif fragment and fragment not in (_anchors(path) if target else map(unquote, map(anchor, document.headings))):
            found.append(Finding("links", index, f"leads to {link}, and no heading there reads so"))
    for index, tree in document.trees():
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if text.startswith("../") and not os.path.exists(os.path.normpath(document.folder / text)):
                found.append(
                    Finding("links", index, f"opens {text!r}, which is not there from {document.folder.name}/")
                )
    return found


def _links(document: Document) -> Iterator[tuple[int, str]]:
    texts = list(document.markdown)
    texts += [
        (i, output.data["text/markdown"]) for i, output in document.outputs if "text/markdown" in output.get("data", {})
    ]
    for index, text in texts:
        words = re.sub(r"\$\$.+?\$\$|\$[^$]+?\$|`[^`]*`", " ", without_fences(text), flags=re.DOTALL)
        for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", words):
            if not ELSEWHERE.match(link):
                yield index, link


@cache
def _anchors(path: Path) -> frozenset[str]:
    """What may follow the # of a link to this notebook."""
    return frozenset(unquote(anchor(heading)) for heading in Document.read(path).headings)
