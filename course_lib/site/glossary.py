"""The glossary: one plain file of terms, a page of them, and a link from where a lesson first uses each.

    python -m course_lib.site.glossary        writes docs/glossary.md anew

``docs/glossary.toml`` says of each term its ``name``, other forms (``also``), what it ``means`` and the ``lesson`` that
explains it; and of a word that English uses otherwise too, in which notebooks it is this term (``only_in``). Notebooks
stay as they are: links are set while the site is made.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_lib.tooling.document import anchor
from course_lib.tooling.files import NOTEBOOKS, ROOT

SOURCE = ROOT / "docs" / "glossary.toml"
PAGE = SOURCE.with_suffix(".md")

# What is no prose: fenced and inline code, mathematics, links and pictures, addresses, HTML tags, headings.
NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|!?\[[^\]]*\]\([^)]*\)|https?://\S+|<[^>]*>|^#.*?$|^\|.*?$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Term:
    """One word of the field."""

    name: str
    means: str
    lesson: str
    also: tuple[str, ...] = ()
    only_in: tuple[str, ...] = ()  # beginnings of notebooks' names; none: in all of them

    @property
    def forms(self) -> tuple[str, ...]:
        """The name and its other forms."""
        return (self.name, *self.also)

    @property
    def pattern(self) -> re.Pattern[str]:
        """The name or another form, as a whole word, in any case; in capitals if it is written so."""
        forms = sorted(self.forms, key=len, reverse=True)
        words = [re.escape(form) if form.isupper() else f"(?i:{re.escape(form)})" for form in forms]
        return re.compile(rf"(?<![\w-])(?:{'|'.join(words)})(?![\w-])")


def load_terms(path: Path = SOURCE) -> tuple[Term, ...]:
    """All terms, by name."""
    written = tomllib.loads(path.read_text(encoding="utf-8"))["term"]
    terms = (
        Term(t["name"], t["means"], t["lesson"], tuple(t.get("also", ())), tuple(t.get("only_in", ()))) for t in written
    )
    return tuple(sorted(terms, key=lambda term: term.name.lower()))


def page(terms: Sequence[Term]) -> str:
    """The glossary as Markdown, a heading for each term, so that every reader of Markdown can link to it."""
    lines = ["# Glossary", "", "What the course means by a word, and the lesson that explains it."]
    for term in terms:
        also = f" Also: {', '.join(term.also)}." if term.also else ""
        (lesson,) = (path.name for path in NOTEBOOKS.glob(f"{term.lesson}_*.ipynb"))
        lines += ["", f"## {term.name}", "", f"{term.means}{also} [Lesson {term.lesson}](../notebooks/{lesson})"]
    return "\n".join(lines) + "\n"


def link_first_uses(texts: Sequence[str], terms: Sequence[Term], to: str, name: str) -> list[str]:
    """The Markdown of one notebook's cells, in order, with a link where each term first stands in prose.

    References are left alone: the titles of papers are theirs.

    Parameters
    ----------
    to : the glossary's page as seen from the notebook.   name : the notebook's, such as ``03_vae_elbo``.
    """
    linked = list(texts)
    end = next((place for place, text in enumerate(texts) if "## References" in text), len(texts))
    for term in terms:
        if term.only_in and not name.startswith(term.only_in):
            continue
        longer = [o.pattern for o in terms if o != term and any(map(term.pattern.search, o.forms))]
        for place in range(end):
            found = _first_in_prose(linked[place], term.pattern, longer)
            if found:
                text, word = linked[place], found.group()
                linked[place] = f"{text[: found.start()]}[{word}]({to}#{anchor(term.name)}){text[found.end() :]}"
                break
    return linked


def _first_in_prose(text: str, pattern: re.Pattern[str], longer: Sequence[re.Pattern[str]]) -> re.Match[str] | None:
    """The first match that is prose, and no part of a longer term."""
    hidden = [match.span() for hiding in (NOT_PROSE, *longer) for match in hiding.finditer(text)]
    for found in pattern.finditer(text):
        if not any(start < found.end() and found.start() < end for start, end in hidden):
            return found
    return None


if __name__ == "__main__":
    PAGE.write_text(page(load_terms()), encoding="utf-8", newline="\n")
