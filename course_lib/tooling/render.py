"""Turn a notebook into an HTML page, reveal.js slides and PNG files; what a browser needs for them is put beside them.

python -m course_lib.tooling.render [--slides | --figures] [--to FOLDER] [notebook …]
"""

import argparse
import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from PIL import Image
from pygments.formatters import HtmlFormatter

from course_lib.console import say
from course_lib.quiz import QUIZZES
from course_lib.tooling import talk
from course_lib.tooling.assets import MATHJAX, REVEAL, copy_assets
from course_lib.tooling.document import figures
from course_lib.tooling.files import ROOT, each, name_of, read, run_command

LINK_IN_COURSE = re.compile(r'<a [^>]*?\bhref="(?![a-zA-Z][\w+.-]*:|//|#)[^"]+"[^>]*>(.*?)</a>')
NARROW = 1.55  # width ÷ height, below which a figure is larger beside its title than under it
TEMPLATES = Path(__file__).parent / "templates"
NOTEBOOK_LINK = re.compile(r'(<a [^>]*?\bhref="(?![a-zA-Z][\w+.-]*:|//)[^"#?]+)\.(?:ipynb|md)(?=["#])')
QUIZ_LINK = re.compile(r"\]\((\.\./docs/quizzes/(\w+))\.md\)")


def title(notebook: NotebookNode, otherwise: str) -> str:
    """The first heading, for the browser's tab."""
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.split("\n"))
    return next((line[2:].strip() for line in lines if line.startswith("# ")), otherwise)


def page(notebook: NotebookNode, name: str) -> str:
    """The notebook as one HTML page, figures with their alternative text inside.

    A link to another notebook, or to a quiz, leads to its page: under ``build/pages/`` pages lie as the notebooks do.
    """
    exporter = HTMLExporter(template_name="course_page", extra_template_basedirs=[str(TEMPLATES)])
    resources = {"metadata": {"name": title(notebook, name)}}
    body, _ = exporter.from_notebook_node(nbformat.from_dict(notebook), resources=resources)
    return NOTEBOOK_LINK.sub(r"\1.html", str(body))


def slides(notebook: NotebookNode, name: str) -> str:
    """The talk in the notebook as one file of reveal.js slides (see `course_lib.tooling.talk`).

    Raises
    ------
    NotATalk : the notebook has none, or one that breaks a limit.
    """
    made = talk.slides(notebook, name)
    shown = [
        {**vars(slide), **_headed(slide), **_look(slide, number), "answers": number > 0 and made[number - 1].asks}
        for number, slide in enumerate(made)
    ]
    folders = [TEMPLATES / "course_slides", TEMPLATES / "course_page"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "markdown": _html,
        "base64": lambda png: base64.b64encode(png).decode(),
        "columns": lambda text: max(len(line) for line in text.splitlines()),
        "python": lambda code: _html(f"```python\n{code}\n```"),
    }
    colours = HtmlFormatter().get_style_defs(".highlight")
    template = environment.get_template("index.html.j2")
    return template.render(title=title(notebook, name), slides=shown, code_colours=colours)


def _headed(slide: talk.Slide) -> dict[str, str]:
    """A heading in the first line, or the section of a question, stands at the top, the rest in the room below."""
    first, _, rest = slide.words.strip().partition("\n")
    if first.startswith("#"):
        return {"top": first, "body": rest.strip()}
    return {"top": slide.section, "body": slide.words}


def _look(slide: talk.Slide, number: int) -> dict[str, Any]:
    """Which of the style's kinds a slide is of. A figure that is hardly wider than high has its title at its left."""
    if slide.figure is None:
        return {"look": "predict" if slide.asks else "" if number else "opening"}
    width, height = Image.open(io.BytesIO(slide.figure.png)).size
    narrow = width < NARROW * height and not _headed(slide)["body"]
    return {"look": "figure narrow" if narrow else "figure", "aspect": round(width / height, 3)}


def _html(markdown: str) -> str:
    """Markdown as a page has it, formulas left to MathJax, headings without a link to themselves.

    Of a link to a notebook or a quiz the words stay: neither lies beside a deck, and nobody clicks on a projector.
    """
    html = MarkdownWithMath(IPythonRenderer(escape=False, exclude_anchor_links=True)).render(markdown)
    return LINK_IN_COURSE.sub(r"\1", str(html))


def write_page(notebook: NotebookNode, name: str, folder: Path) -> Path:
    """Write ``folder/name.html``, what a browser needs for it into ``assets`` beside it, and a page of its quiz.

    The quiz lies where the link leads: ``build/docs/quizzes/`` for a page in ``build/pages/``.
    """
    path = _write(folder / f"{name}.html", page(notebook, name))
    copy_assets(MATHJAX, path.parent)
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for place, quiz in QUIZ_LINK.findall(words):
        text = (QUIZZES / f"{quiz}.md").read_text(encoding="utf-8")
        asked = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
        copy_assets(MATHJAX, _write(path.parent / f"{place}.html", page(asked, quiz)).parent)
    return path


def write_slides(notebook: NotebookNode, name: str, folder: Path) -> Path | None:
    """Write ``folder/name.slides.html``, and what a browser needs for it into ``assets`` beside it.

    Returns
    -------
    The file, or None where the notebook has no talk: then nothing is written.

    Raises
    ------
    NotATalk : its talk breaks a limit.
    """
    if not any(talk.entries(cell) for cell in notebook.cells):
        return None
    path = _write(folder / f"{name}.slides.html", slides(notebook, name))
    copy_assets(MATHJAX | REVEAL, path.parent)
    return path


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
    for number, figure in enumerate(figures(notebook.cells), start=1):
        path = folder / f"{number:02d}_cell{figure.cell + 1:02d}.png"
        path.write_bytes(figure.png)
        path.with_suffix(".txt").write_text(figure.alt + "\n", encoding="utf-8")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if a file is no notebook, or its talk breaks a limit."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.render", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="names such as 03, or paths; the whole course without")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--slides", action="store_true", help="reveal.js slides instead of pages")
    kind.add_argument("--figures", action="store_true", help="PNG files instead of pages")
    parser.add_argument("--to", type=Path, default=ROOT / "build", metavar="FOLDER")
    options = parser.parse_args(arguments)

    decks: list[Path] = []

    def work(path: Path) -> bool:
        nb, name = read(path), name_of(path)
        if options.figures:
            written = export_figures(nb, options.to / "figures" / name)
        elif options.slides:
            slides_file = write_slides(nb, name, options.to / "slides")
            if slides_file is None:
                say(f"{name}: no talk, no slides")
            written = [slides_file] if slides_file else []
        else:
            written = [write_page(nb, name, options.to / "pages")]
        for file in written:
            say(str(file))
        decks.extend(written if options.slides else [])
        return True

    status = run_command(parser, options.notebooks, lambda paths: each(paths, work))
    if decks:
        say("Open one in a browser. Keys: arrows, S what you say, F full screen, Esc overview; ?print-pdf to print.")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
