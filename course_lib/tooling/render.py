"""Turn a notebook into an HTML page, reveal.js slides and PNG files.

    python -m course_lib.tooling.render [--slides | --figures] [--to FOLDER] [notebook …]

Nothing is fetched here. A page loads MathJax, and slides load MathJax and reveal.js, from a CDN when a browser opens
them: a lecture room needs a connection, or a copy of reveal.js and ``--reveal FOLDER``.
"""

import argparse
import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbconvert import HTMLExporter, SlidesExporter
from nbformat import NotebookNode

from course_lib.console import say
from course_lib.tooling.files import ROOT, each, name_of, read, run_command

TEMPLATES = Path(__file__).parent / "templates"
NOTEBOOK_LINK = re.compile(r'(<a [^>]*?\bhref="(?![a-zA-Z][\w+.-]*:|//)[^"#?]+)\.ipynb(?=["#])')


class FigureOutput(NamedTuple):
    """One figure in a notebook."""

    cell: int  # index of its cell
    png: bytes
    alt: str  # "" where there is none


def figures(notebook: NotebookNode) -> list[FigureOutput]:
    """Every PNG among the outputs, in order."""
    return [
        FigureOutput(index, base64.b64decode(output.data["image/png"]), _alt(output))
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]


def _alt(output: NotebookNode) -> str:
    return str(output.get("metadata", {}).get("image/png", {}).get("alt", ""))


def title(notebook: NotebookNode, otherwise: str) -> str:
    """The first heading, for the browser's tab."""
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.split("\n"))
    return next((line[2:].strip() for line in lines if line.startswith("# ")), otherwise)


def page(notebook: NotebookNode, name: str) -> str:
    """The notebook as one HTML page, figures with their alternative text inside.

    A link to another notebook leads to its page: under ``build/pages/`` the pages lie as the notebooks do.
    """
    exporter = HTMLExporter(template_name="course_page", extra_template_basedirs=[str(TEMPLATES)])
    return NOTEBOOK_LINK.sub(r"\1.html", _convert(exporter, notebook, name))


def slides(notebook: NotebookNode, name: str, reveal: str | None = None) -> str:
    """The notebook as reveal.js slides, following ``slideshow.slide_type``.

    Parameters
    ----------
    reveal : address of a copy of reveal.js 4, relative to the slides; without it they load it from a CDN.
    """
    exporter = SlidesExporter(template_name="course_slides", extra_template_basedirs=[str(TEMPLATES)])
    exporter.reveal_scroll, exporter.reveal_number = True, "c/t"
    if reveal is not None:
        exporter.reveal_url_prefix = reveal
    return _convert(exporter, notebook, name)


def _convert(exporter: HTMLExporter, notebook: NotebookNode, name: str) -> str:
    resources = {"metadata": {"name": title(notebook, name)}}
    body, _ = exporter.from_notebook_node(nbformat.from_dict(notebook), resources=resources)
    return str(body)


def write_page(notebook: NotebookNode, name: str, folder: Path) -> Path:
    """Write ``folder/name.html``."""
    return _write(folder / f"{name}.html", page(notebook, name))


def write_slides(notebook: NotebookNode, name: str, folder: Path, reveal: str | None = None) -> Path:
    """Write ``folder/name.slides.html``."""
    return _write(folder / f"{name}.slides.html", slides(notebook, name, reveal))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def export_figures(notebook: NotebookNode, folder: Path) -> list[Path]:
    """Write every figure as ``folder/NN_cellMM.png`` with its alternative text beside it; earlier exports go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*_cell*.png"), *folder.glob("*_cell*.txt")]:
        old.unlink()
    written = []
    for number, figure in enumerate(figures(notebook), start=1):
        path = folder / f"{number:02d}_cell{figure.cell + 1:02d}.png"
        path.write_bytes(figure.png)
        path.with_suffix(".txt").write_text(figure.alt + "\n", encoding="utf-8")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if a file is no notebook."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.render", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="names such as 03, or paths; the whole course without")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--slides", action="store_true", help="reveal.js slides instead of pages")
    kind.add_argument("--figures", action="store_true", help="PNG files instead of pages")
    parser.add_argument("--to", type=Path, default=ROOT / "build", metavar="FOLDER")
    parser.add_argument("--reveal", metavar="FOLDER", help="a copy of reveal.js 4 to use instead of the CDN's")
    options = parser.parse_args(arguments)

    def work(path: Path) -> bool:
        nb, name = read(path), name_of(path)
        if options.figures:
            written = export_figures(nb, options.to / "figures" / name)
        elif options.slides:
            written = [write_slides(nb, name, options.to / "slides", options.reveal)]
        else:
            written = [write_page(nb, name, options.to / "pages")]
        for file in written:
            say(str(file))
        return True

    return run_command(parser, options.notebooks, lambda paths: each(paths, work))


if __name__ == "__main__":
    raise SystemExit(main())
