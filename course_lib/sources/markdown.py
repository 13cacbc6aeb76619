"""The tables as Markdown, for the page of sources: short rows, formulas in $…$, places as links."""

from collections.abc import Sequence

from course_lib.sources.places import HERE, Place, Where, link
from course_lib.sources.tables import DOCUMENTS, Kind, concepts, errata, symbols


def documents_list() -> str:
    """The five documents by the short names that the tables use."""
    return "\n".join(f"- **{name}**: {words}" for name, words in DOCUMENTS.items())


def errata_table(kind: Kind) -> str:
    """Statement, what holds, where it is treated. Numbers run through both kinds."""
    rows = [
        [str(number), row.document, row.says, row.holds, _places(row.where)]
        for number, row in enumerate(errata(), 1)
        if row.kind == kind
    ]
    return table(["", "document", "says", "what holds", "treated in"], rows)


def concepts_table(document: str) -> str:
    """What this document speaks of, and where it is taught."""
    rows = [
        [row.name, " ".join(filter(None, [row.here, _places([place for place in row.where if place != HERE])]))]
        for row in concepts()
        if document in row.documents
    ]
    return table([f"the {document} speaks of", "taught in"], rows)


def symbols_table() -> str:
    """One letter a row, under its four names, with its equation."""
    rows = [
        [row.math, _course_name(row.course), _peer_name(row.scvi_tools, row.found), row.paper or "–", row.equation]
        for row in symbols()
    ]
    return table(["symbol", "the course", "scvi-tools", "Lopez et al.", "equation"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table. What stands in it holds no ``|``: the reader of the tables saw to that."""
    lines = [head, [":--"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _places(where: Sequence[Where]) -> str:
    return "; ".join(map(_place, where))


def _place(place: Where) -> str:
    return link(place) if isinstance(place, Place) else "here"


def _course_name(course: str) -> str:
    """``models.scvi.Decoder.forward(rho)`` reads `rho` in `Decoder.forward`; without brackets, the last two names."""
    path, _, inside = course.rstrip(")").partition("(")
    owner = ".".join(path.split(".")[-2:])
    return f"`{inside}` in `{owner}`" if inside else f"`{owner}`" if owner else "–"


def _peer_name(name: str, found: str) -> str:
    return "–" if not name else f"`{name}`" if found.endswith(f".{name}") else f"`{name}`, kept as `{found}`"
