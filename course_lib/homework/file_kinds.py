"""What a file is that is no notebook, told by what it holds, so that a person knows what to ask for."""

import zipfile
from pathlib import Path

STARTS = {  # the first bytes → what such a file is
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"7z\xbc\xaf": "an archive",
    b"Rar!": "an archive",
    b"\x1f\x8b": "an archive",
    b"\xd0\xcf\x11\xe0": "an Office document",
}
INSIDE = {"word/": "a Word document", "xl/": "a spreadsheet", "ppt/": "slides", "content.xml": "an Office document"}
ENDINGS = {".py": "a Python script", ".md": "a text", ".txt": "a text", ".csv": "a table", ".h5ad": "a file of data"}
TO_ASK_FOR = ("a PDF", "a Word document", "an Office document", "a web page", "a Python script", "a text")


def what_it_is(path: Path) -> str:
    """``a Word document``, ``a zip with 2 notebooks in it``, …; an empty text where nothing tells."""
    try:
        with path.open("rb") as file:
            head = file.read(1_000)
    except OSError:
        return "a file that cannot be read"
    if not head.strip():
        return "empty"
    if head.startswith(b"PK\x03\x04"):
        return _zip(path)
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith((b"<!doctype html", b"<html")):
        return "a web page"
    by_content = next((what for start, what in STARTS.items() if head.startswith(start)), "")
    return by_content or ENDINGS.get(path.suffix.lower(), "")


def what_to_do(what: str) -> str:
    """What a person who grades does about such a file, where there is something to do."""
    if what.startswith(("a zip", "an archive")):
        return "unpack it first"
    return "ask for the notebook itself, the .ipynb" if what in TO_ASK_FOR else ""


def _zip(path: Path) -> str:
    """A list of names is read, and nothing unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "a zip that is broken"
    document = next((what for start, what in INSIDE.items() if any(name.startswith(start) for name in names)), "")
    notebooks = sum(name.endswith(".ipynb") and not name.startswith("__MACOSX") for name in names)
    return document or f"a zip with {notebooks or 'no'} notebook{'' if notebooks == 1 else 's'} in it"
