"""The course as a book in HTML: notebooks, guides, homework, slides and the library's reference, without a network.

    python -m course_lib.tooling.site [--to build/site]        needs the extra `site`

Sphinx reads one folder, made anew each time: the executed notebooks as they are committed, the guides of ``docs/``,
students' homework if nbgrader is there, slides if they have been made, and a page for each module of ``course_lib``. A
warning is an error.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

from course_lib.console import say
from course_lib.tooling import glossary
from course_lib.tooling.assets import MATHJAX, copy_assets
from course_lib.tooling.files import NOTEBOOKS, ROOT, find_notebooks, name_of, read
from course_lib.tooling.render import write_slides

DOCS = ROOT / "docs"


def gather(folder: Path) -> Path:
    """Write what Sphinx reads into ``folder``, which is replaced; returns it."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(DOCS, folder)
    terms = glossary.load_terms()
    lessons = {path.stem[:2]: path.stem for path in find_notebooks() if path.parent == NOTEBOOKS}
    (folder / "glossary.md").write_text(glossary.page(terms, lessons), encoding="utf-8")
    for path in find_notebooks():
        target = folder / "notebooks" / f"{name_of(path)}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(nbformat.writes(_page(read(path), terms)) + "\n", encoding="utf-8")
    _homework(folder / "homework")
    slides = [
        name
        for path in find_notebooks()
        if write_slides(read(path), name := name_of(path), folder / "static" / "slides")
    ]
    copy_assets(MATHJAX, folder / "static")
    _listing(folder, slides)
    _reference(folder / "reference")
    return folder


def _page(notebook: nbformat.NotebookNode, terms: Sequence[glossary.Term]) -> nbformat.NotebookNode:
    """A notebook as a page of the book, in which the first use of a term leads to the glossary."""
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell, text in zip(prose, glossary.link_first_uses([cell.source for cell in prose], terms), strict=True):
        cell.source = text
    for cell in notebook.cells:
        cell.metadata.pop("talk", None)
    return notebook


def anchor(heading: str) -> str:
    """A heading's anchor, as Jupyter makes it: links between notebooks name headings so."""
    return heading.replace(" ", "-")


def _homework(folder: Path) -> None:
    from course_lib.homework.release import student_version
    from course_lib.homework.sheet import read_sheet, sheet_names

    folder.mkdir(parents=True, exist_ok=True)
    for name in sheet_names():
        (folder / f"{name}.ipynb").write_text(
            nbformat.writes(student_version(read_sheet(name))) + "\n", encoding="utf-8"
        )


def _listing(folder: Path, slides: Sequence[str]) -> None:
    lines = [
        "# Slides",
        "",
        "Each opens in a browser, and needs no network. Press S for the window with what you say.",
        "",
    ]
    titles = {name_of(path): _title(path) for path in find_notebooks()}
    lines += [f'- <a href="static/slides/{name}.slides.html">{titles[name]}</a>' for name in slides]
    (folder / "slides.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _title(path: Path) -> str:
    return next(line[2:] for cell in read(path).cells for line in cell.source.splitlines() if line.startswith("# "))


def _reference(folder: Path) -> None:
    """A page for each module, in the order of the floors of the house."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted((ROOT / "course_lib").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if "programs" in parts or "__main__" in parts or "templates" in parts:
            continue
        names.append(name)
        text = f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n   :show-inheritance:\n```\n"
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    toc = "\n".join(names)
    (folder / "index.md").write_text(f"# The library\n\n```{{toctree}}\n:maxdepth: 1\n\n{toc}\n```\n", encoding="utf-8")


def build(to: Path, work: Path) -> int:
    """Sphinx, warnings as errors; its exit status."""
    from sphinx.cmd.build import main as sphinx

    return int(
        sphinx(["-q", "-W", "--keep-going", "-b", "html", "-d", str(work / "doctrees"), str(work / "source"), str(to)])
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.tooling.site", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args(arguments)
    work = ROOT / "build" / "site-work"
    gather(work / "source")
    status = build(options.to, work)
    say(f"{options.to / 'index.html'}" if status == 0 else "the site has warnings, printed above")
    return status


if __name__ == "__main__":
    sys.exit(main())
