"""Rules over what the cells say to Python, folded answers included."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from functools import cache

from course_lib.tooling.answers import run_answers
from course_lib.tooling.document import Document
from course_lib.tooling.files import ROOT
from course_lib.tooling.rules.finding import Finding

MOST_CODE_LINES, MOST_LINES = 15, 20  # of a code cell: of code; with blanks and comments
FEWEST_CHECKS = 5
NETWORK_MODULES = {"urllib", "requests", "http", "httpx", "socket", "ftplib", "pooch", "aiohttp", "urllib3"}


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


def imports_declared(document: Document) -> list[Finding]:
    """A notebook imports the standard library, ``course_lib``, and what ``pyproject.toml`` declares.

    What an extra brings it may import if its text tells the reader to install that: ``pip install -e '.[peer]'``.
    """
    words = "\n".join(text for _, text in document.markdown)
    extras = frozenset(
        name for names in re.findall(r"pip install -e ['\"]\.\[([a-z,]+)\]", words) for name in names.split(",")
    )
    allowed = sys.stdlib_module_names | declared_modules(extras) | {"course_lib"}
    return [
        Finding("declared imports", index, f"imports {module}, which pyproject.toml does not declare")
        for index, tree in document.trees()
        for module in _imports(tree)
        if module not in allowed
    ]


@cache
def declared_modules(extras: frozenset[str] = frozenset()) -> frozenset[str]:
    """Top-level modules of the distributions that ``pyproject.toml`` declares, those of some extras among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"].get(extra, [])
    declared = {_distribution(re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0]) for line in lines}
    installed = importlib.metadata.packages_distributions()
    return frozenset(module for module, owners in installed.items() if declared & {_distribution(o) for o in owners})


def _distribution(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


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


def _imports(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." if node.level else node.module or "")
    return [name.split(".")[0] for name in names]


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


def answers_run(document: Document) -> list[Finding]:
    """Every fenced Python block in a folded answer runs alone."""
    return [Finding("answers run", cell, message) for cell, message in run_answers(document)]
