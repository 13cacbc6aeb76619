"""What every notebook of the course keeps to, one rule a function, each finding with its cell and what to do.

    python -m course_lib.tooling.rules [--answers] [notebook …]

A rule takes a `Document` and returns findings; an empty list means the rule is kept. `RULES` read the file (and render
it); `answers_run` executes the folded answers, which takes longer.
"""

import argparse
import ast
import importlib
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from course_lib.console import say
from course_lib.figures.style import SHORTEST_ALT
from course_lib.notebook import source_text
from course_lib.tooling import normalise, render
from course_lib.tooling.answers import run_answers
from course_lib.tooling.document import Document, alts_in, paragraphs, prose
from course_lib.tooling.files import ROOT, each, run_command

MOST_CODE_LINES, MOST_LINES = 15, 20  # of a code cell: of code; with blanks and comments
MOST_BYTES = 1_500_000
FEWEST_PREDICTIONS, FEWEST_MISTAKES, FEWEST_CHECKS, FEWEST_EXERCISES, SUMMARY_LINES = 3, 2, 5, 2, 5
OPENING = ("After this notebook you can", "What changed", "You need", "Minutes")
SLIDE_TYPES = ("slide", "subslide", "fragment", "skip", "notes")
NETWORK_MODULES = {"urllib", "requests", "http", "httpx", "socket", "ftplib", "pooch", "aiohttp", "urllib3"}
FILLER = ("simply", "just", "obviously", "basically", "trivially", "of course", "note that", "needless to say")


class Finding(NamedTuple):
    """One breach of a rule."""

    rule: str
    cell: int | None  # index; None for the notebook as a whole
    message: str

    def __str__(self) -> str:
        place = "notebook" if self.cell is None else f"cell {self.cell + 1}"
        return f"{self.rule}: {place}: {self.message}"


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


def show_calls(document: Document) -> list[Finding]:
    """``show`` is the only way to draw, its ``alt`` is given by name, and its numbers are computed."""
    rule, found = "show", []
    for index, tree in document.trees():
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "show":
                found.append(Finding(rule, index, f"{ast.unparse(node.func)}() gives no text; use show(fig, alt=…)"))
            elif isinstance(node.func, ast.Name) and node.func.id == "show":
                alt = next((k.value for k in node.keywords if k.arg == "alt"), None)
                if alt is None:
                    found.append(Finding(rule, index, "called without alt=…"))
                elif isinstance(alt, ast.Constant) and re.search(r"\d\.\d|\d\s*%", str(alt.value)):
                    found.append(Finding(rule, index, "alt holds a typed number; compute it: alt=f'…'"))
    return found


def alt_in_pages(document: Document) -> list[Finding]:
    """The rendered page shows every figure with its text, and so do the slides, less the cells they skip."""
    all_figures = render.figures(document.nb)
    kinds = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in document.nb.cells]
    projected = [figure for figure in all_figures if kinds[figure.cell] != "skip"]
    pages = {"page": (render.page, all_figures), "slides": (render.slides, projected)}
    rule, found = "rendered alternative text", []
    for name, (rendered, figures) in pages.items():
        alts = [" ".join((alt or "").split()) for alt in alts_in(rendered(document.nb, document.name))]
        for figure in figures:
            if not figure.alt or figure.alt not in alts:
                found.append(Finding(rule, figure.cell, f"the {name} shows the figure without it"))
    return found


def plain_python(document: Document) -> list[Finding]:
    """Code cells and answers are Python that a script could hold: no magics, no shell."""
    found = []
    for index, source in [*((i, cell.source) for i, cell in document.code), *document.answers]:
        try:
            ast.parse(source)
        except SyntaxError as error:
            line = (error.text or "").strip()
            found.append(Finding("plain Python", index, f"{line!r} is not Python; no % magics, no ! commands"))
    return found


@cache
def declared_modules() -> frozenset[str]:
    """Top-level modules of the distributions that ``pyproject.toml`` declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {_distribution(re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0]) for line in project["dependencies"]}
    installed = importlib.metadata.packages_distributions()
    return frozenset(module for module, owners in installed.items() if declared & {_distribution(o) for o in owners})


def _distribution(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imports_declared(document: Document) -> list[Finding]:
    """A notebook imports the standard library, what ``pyproject.toml`` declares, and ``course_lib``."""
    allowed = sys.stdlib_module_names | declared_modules() | {"course_lib"}
    return [
        Finding("declared imports", index, f"imports {module}, which pyproject.toml does not declare")
        for index, tree in document.trees()
        for module in _imports(tree)
        if module not in allowed
    ]


def _imports(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." if node.level else node.module or "")
    return [name.split(".")[0] for name in names]


def no_network(document: Document) -> list[Finding]:
    """Nothing is fetched: the course runs from the clone alone. (Executing blocks the network as well.)"""
    rule, found = "no network", []
    for index, tree in document.trees():
        found += [Finding(rule, index, f"imports {name}") for name in _imports(tree) if name in NETWORK_MODULES]
        found += [
            Finding(rule, index, f"holds the address {str(node.value)[:60]!r}")
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and re.search(r"(https?|ftp)://", str(node.value))
        ]
    return found


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
                item = _locate(name)
            except Exception as error:  # whatever a module may raise while it is imported
                found.append(Finding(rule, index, f"{name} cannot be imported: {error}"))
                continue
            if item is None:
                found.append(Finding(rule, index, f"{name} is gone from the library"))
            elif source_text(item, doc=output.metadata.get("doc", True)) != output.data["text/plain"]:
                found.append(Finding(rule, index, f"{name} has changed since; run make notebooks"))
    return found


def _locate(name: str) -> Any:
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


MEASURED = re.compile(
    r"(?<![\w.,])\d[\d.,]*\s*(?:\\?%|per ?cent\b)"  # 90 %   90 percent
    r"|(?<![\w.,])\d+(?:\.\d+|,\d{1,2}(?!\d))(?:[eE][-+−]?\d+)?"  # 3.14   3,1   2.5e-3
    r"|(?<![\w.])\.\d+"  # .93
    r"|(?<![\w.])\d+[eE][-+−]?\d+"  # 1e-5
)
INSTEAD = (
    "print it from the cell that measures it, name a setting in code (`effect=1.5`), or cite the DOI it stands under"
)
NOT_MEASURED = re.compile(r"\bPython 3\.\d+|\bCC BY 4\.0|\b(?:Eq\.|Equation|Fig\.|Figure|Section|§)\s*\d+\.\d+")


def no_measured_number(document: Document) -> list[Finding]:
    """Prose holds no decimal and no percentage, unless the paragraph cites the DOI it was published under.

    Whole numbers are free: they count and they set. A setting is named in code or in a formula (``effect=1.5``).
    """
    found = []
    for index, text in document.markdown:
        for paragraph in paragraphs(text):
            if "https://doi.org/" in paragraph:
                continue
            for match in MEASURED.finditer(NOT_MEASURED.sub(" ", prose(paragraph))):
                found.append(Finding("no measured number in Markdown", index, f"{match.group().strip()!r}: {INSTEAD}"))
    return found


def plain_prose(document: Document) -> list[Finding]:
    """No exclamation marks, no filler. The title of a cited work is its authors' own."""
    rule, found = "plain prose", []
    for index, paragraph in ((i, p) for i, text in document.markdown for p in paragraphs(text)):
        if re.match(r"\s*(?:\d+\.|[-*]) .*https://doi\.org/", paragraph, re.DOTALL):
            continue
        words = prose(paragraph)
        if "!" in words:
            around = words[max(0, words.index("!") - 30) : words.index("!") + 1].split("\n")[-1].strip()
            found.append(Finding(rule, index, f"exclamation mark after {around!r}"))
        spoken = [filler for filler in FILLER if re.search(rf"\b{filler}\b", words, re.IGNORECASE)]
        found += [Finding(rule, index, f"{filler!r} says nothing; strike it") for filler in spoken]
    return found


def cell_length(document: Document) -> list[Finding]:
    """A code cell is one screen."""
    found = []
    for index, cell in document.code:
        lines = cell.source.split("\n")
        code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
        if len(code) > MOST_CODE_LINES or len(lines) > MOST_LINES:
            message = f"{len(code)} lines of code, {len(lines)} in all; at most {MOST_CODE_LINES} and {MOST_LINES}"
            found.append(Finding("cell length", index, f"{message}: write a function in course_lib, or cut"))
    return found


def slide_marks(document: Document) -> list[Finding]:
    """Every cell says how it is projected; the first starts a slide."""
    rule, found = "slide marks", []
    for index, cell in enumerate(document.nb.cells):
        kind = cell.metadata.get("slideshow", {}).get("slide_type")
        if kind not in SLIDE_TYPES:
            found.append(Finding(rule, index, f"slideshow.slide_type is {kind!r}, not one of {', '.join(SLIDE_TYPES)}"))
        elif index == 0 and kind != "slide":
            found.append(Finding(rule, index, "the first cell starts a slide"))
    return found


def opening(document: Document) -> list[Finding]:
    """A title, and within the first two cells what the reader will be able to do, what changed, needs and minutes."""
    rule, found = "opening", []
    texts = [cell.source for cell in document.nb.cells[:2] if cell.cell_type == "markdown"]
    if not texts or not texts[0].startswith("# "):
        found.append(Finding(rule, 0, "the notebook starts with its title: # 01 · …"))
    start = "\n".join(texts)
    missing = [part for part in OPENING if f"**{part}**" not in start]
    found += [Finding(rule, 0, f"**{part}** is missing from the first two cells") for part in missing]
    minutes = re.search(r"\*\*Minutes\*\*[\s|:]*([^|\n]*)", start)
    if minutes and len(re.findall(r"\d+", minutes.group(1))) < 2:
        found.append(Finding(rule, 0, "**Minutes** names two numbers: to read and to run"))
    titles = re.findall(r"^# .*", document.words, re.MULTILINE)
    if len(titles) > 1:
        found.append(Finding(rule, None, f"one title only, found {titles[1]!r} as well; sections start with ##"))
    return found


def predictions(document: Document) -> list[Finding]:
    """The reader is asked before told: ``> **Predict.**``, and code follows."""
    places = [i for i, text in document.markdown for _ in re.findall(r"^> \*\*Predict\.\*\*", text, re.MULTILINE)]
    last_code = max((i for i, _ in document.code), default=-1)
    found = [Finding("predictions", i, "no code follows that gives the result") for i in places if i > last_code]
    if len(places) < FEWEST_PREDICTIONS:
        message = f"{len(places)} lines '> **Predict.** …', expected {FEWEST_PREDICTIONS}"
        found.append(Finding("predictions", None, message))
    return found


def usual_mistakes(document: Document) -> list[Finding]:
    """The mistakes everyone makes are boxed: ``> **Usual mistake.**``."""
    count = len(re.findall(r"^> \*\*Usual mistake\.\*\*", document.words, re.MULTILINE))
    if count >= FEWEST_MISTAKES:
        return []
    return [Finding("usual mistakes", None, f"{count} boxes '> **Usual mistake.** …', expected {FEWEST_MISTAKES}")]


def claims_checked(document: Document) -> list[Finding]:
    """Claims are followed by their check."""
    calls = [
        node
        for _, tree in document.trees(answers=False)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check"
    ]
    enough = len(calls) >= FEWEST_CHECKS
    return [] if enough else [Finding("checks", None, f"{len(calls)} calls of check(…), expected {FEWEST_CHECKS}")]


def ending(document: Document) -> list[Finding]:
    """Exercises with folded answers, a summary of five lines, references with DOIs, in this order."""
    rule, found = "ending", []
    headings = [line.strip() for line in re.findall(r"^## (.*)", document.words, re.MULTILINE)]
    if headings[-3:] != ["Exercises", "Summary", "References"]:
        found.append(Finding(rule, None, "the last three sections are ## Exercises, ## Summary, ## References"))
    exercises = document.section("Exercises")
    questions = len(re.findall(r"\*\*Exercise \d+\.\*\*", exercises))
    folded = len(re.findall(r"<details>\s*\n?\s*<summary>Answer</summary>.*?</details>", exercises, re.DOTALL))
    if questions < FEWEST_EXERCISES or folded != questions:
        message = f"{questions} '**Exercise n.**' and {folded} '<details><summary>Answer</summary>…</details>'"
        found.append(Finding(rule, None, f"{message}; expected at least {FEWEST_EXERCISES}, one answer each"))
    items = re.findall(r"^(?:\d+\.|[-*]) ", document.section("Summary"), re.MULTILINE)
    if len(items) != SUMMARY_LINES:
        found.append(Finding(rule, None, f"## Summary has {len(items)} lines, expected {SUMMARY_LINES} list items"))
    references = re.findall(r"^(?:\d+\.|[-*]) .*", document.section("References"), re.MULTILINE)
    if not references:
        found.append(Finding(rule, None, "## References lists nothing"))
    found += [
        Finding(rule, None, f"reference without https://doi.org/…: {reference[:60]!r}")
        for reference in references
        if "https://doi.org/10." not in reference
    ]
    return found


def normalised(document: Document) -> list[Finding]:
    """The file is in the form in which notebooks are committed."""
    target = normalise.normalise(document.nb)
    found = []
    if document.nb.metadata != target.metadata:
        found.append(Finding("normalised", None, "metadata of the notebook are not; run make notebooks"))
    found += [
        Finding("normalised", index, f"{', '.join(k for k in old if old[k] != new.get(k))} differ; run make notebooks")
        for index, (old, new) in enumerate(zip(document.nb.cells, target.cells, strict=True))
        if old != new
    ]
    return found


TRACE = re.compile(rf"/home/|/root/|/Users/|/tmp/|[A-Z]:\\Users|\bat 0x[0-9a-f]{{6,}}|{re.escape(str(ROOT))}")


def no_trace_of_machine(document: Document) -> list[Finding]:
    """No path of this machine and no memory address in cells or outputs: they differ on every other."""
    found = []
    texts = [(i, cell.source) for i, cell in enumerate(document.nb.cells)]
    for index, output in document.outputs:
        texts.append((index, output.get("text", "")))
        texts += [(index, str(content)) for mime, content in output.get("data", {}).items() if mime.startswith("text/")]
    for index, text in texts:
        match = TRACE.search(text)
        if match:
            found.append(Finding("no trace of the machine", index, f"holds {text[match.start() : match.end() + 20]!r}"))
    return found


def file_size(document: Document) -> list[Finding]:
    """A notebook opens on GitHub and in a small browser."""
    size = len(normalise.to_text(document.nb).encode())
    if size <= MOST_BYTES:
        return []
    return [Finding("file size", None, f"{size:,} bytes, at most {MOST_BYTES:,}; fewer or smaller figures")]


RULES: tuple[Callable[[Document], list[Finding]], ...] = (
    executed_in_order,
    no_error_output,
    no_stderr,
    figures_have_alt,
    show_calls,
    alt_in_pages,
    plain_python,
    imports_declared,
    no_network,
    sources_current,
    no_measured_number,
    plain_prose,
    cell_length,
    slide_marks,
    opening,
    predictions,
    usual_mistakes,
    claims_checked,
    ending,
    normalised,
    no_trace_of_machine,
    file_size,
)


def answers_run(document: Document) -> list[Finding]:
    """Every fenced Python block in a folded answer runs alone."""
    return [Finding("answers run", cell, message) for cell, message in run_answers(document)]


def examine(document: Document, *, answers: bool = False) -> list[Finding]:
    """Every finding of every rule; with ``answers`` the folded answers are executed too."""
    found = [finding for rule in RULES for finding in rule(document)]
    return found + (answers_run(document) if answers else [])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if a notebook breaks a rule."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.rules", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="names such as 03, or paths; the whole course without")
    parser.add_argument("--answers", action="store_true", help="execute the folded answers as well")
    options = parser.parse_args(arguments)

    def work(path: Path) -> bool:
        findings = examine(Document.read(path), answers=options.answers)
        say(f"{path.name}: {len(findings)} findings")
        for finding in findings:
            say(f"  {finding}")
        return not findings

    return run_command(parser, options.notebooks, lambda paths: each(paths, work))


if __name__ == "__main__":
    raise SystemExit(main())
