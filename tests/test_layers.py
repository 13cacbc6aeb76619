"""Who may import what: the layers of the library, declared packages, and scvi-tools."""

import ast
import importlib.metadata
import importlib.util
import sys

from packaging.utils import canonicalize_name

from course_lib.tooling import environment
from course_lib.tooling.files import ROOT

PEER_OF_MODULE = {  # who brings it: the extra may be absent
    "scvi": "scvi-tools", "harmonypy": "harmonypy", "scib_metrics": "scib-metrics",
    "pyro": "pyro-ppl", "lightning": "lightning", "nbgrader": "nbgrader",
    "sphinx": "sphinx", "docutils": "docutils", "myst_nb": "myst-nb", "sphinx_book_theme": "sphinx-book-theme",
    "axe_playwright_python": "axe-playwright-python",
}  # fmt: skip


# What stands in a row may import the rows above it, and its own; "training" and "analysis" import no model.
LAYERS = [
    {"course_lib", "threads", "console", "contexts", "arguments"},
    {"probability"},
    {"data"},
    {"networks"},
    {"models"},
    {"peers"},
    {"training"},
    {"analysis"},
    {"programs"},
    {"figures"},
    {"notebook", "quiz", "sliders"},
    {"tooling"},
    {"sources"},
    {"homework"},
    {"site"},
    {"experiments"},
]
FORBIDDEN = {("training", "models"), ("analysis", "models")}


def imported_names(tree: ast.AST, package: str) -> set[str]:
    """Dotted names that a module imports; for ``from a import b`` both a and a.b, of which one at least is a module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parts, *([node.module] if node.module else [])])
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return names


def import_graph() -> dict[str, set[str]]:
    """Which modules of ``course_lib`` each of them imports, inside functions and for type checkers included."""
    modules = {}
    for path in (ROOT / "course_lib").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        modules[".".join(parts[:-1] if is_package else parts)] = (path, is_package)
    graph = {}
    for name, (path, is_package) in modules.items():
        package = name if is_package else name.rpartition(".")[0]
        imported = imported_names(ast.parse(path.read_text(encoding="utf-8")), package) & set(modules)
        # `from a import b`, where a.b is a module, needs a.b; the package a comes along only as the way to it
        graph[name] = {
            target for target in imported if not any(other.startswith(f"{target}.") for other in imported)
        } - {name}
    return graph


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def test_the_graph_sees_relative_late_and_type_checking_imports():
    source = """
from . import sibling
from ..data.cells import Cells
if TYPE_CHECKING:
    import course_lib.models.vae
def late():
    from course_lib.training import fit
"""
    names = imported_names(ast.parse(source), "course_lib.figures")
    assert {
        "course_lib.figures.sibling", "course_lib.data.cells", "course_lib.models.vae", "course_lib.training.fit"
    } <= names  # fmt: skip


def test_imports_go_one_way():
    floor = {name: height for height, layer in enumerate(LAYERS) for name in layer}
    graph = import_graph()
    assert len(graph) > 20
    wrong = []
    for module, imports in graph.items():
        here = layer_of(module)
        assert here in floor, f"course_lib.{here} stands in no layer; give it its place in LAYERS"
        for target in imports:
            there = layer_of(target)
            if floor[there] > floor[here] or (here, there) in FORBIDDEN:
                wrong.append(f"{module} imports {target}")
    assert wrong == []


def test_no_module_imports_itself_by_a_detour():
    graph = import_graph()
    finished: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in finished:
            for target in sorted(graph[module]):
                walk(target, [*path, module])
            finished.add(module)

    for module in sorted(graph):
        walk(module, [])


def test_what_the_library_and_its_tests_import_is_declared():
    owners = importlib.metadata.packages_distributions()
    in_every_environment = {"pip"}
    needed = ["peer", "benchmark", "pyro", "classroom", "site"]  # by whom: next test
    extras = {"course_lib": needed, "tests": environment.all_extras(ROOT)}
    for folder, allowed_extras in extras.items():
        declared = {canonicalize_name(r.name) for r in environment.declared_requirements(ROOT, *allowed_extras)}
        local = {path.stem for path in (ROOT / folder).iterdir()} | {"course_lib", folder}
        for path in (ROOT / folder).rglob("*.py"):
            for name in imported_names(ast.parse(path.read_text(encoding="utf-8")), ""):
                module = name.split(".")[0]
                if module in sys.stdlib_module_names or module in local | in_every_environment:
                    continue
                brought_by = [*owners.get(module, []), PEER_OF_MODULE.get(module, "nothing")]
                distributions = {canonicalize_name(owner) for owner in brought_by}
                assert distributions & declared, f"{path.relative_to(ROOT)} imports {module}, which is not declared"


def test_only_experiments_and_tests_import_other_programs_and_only_inside_functions():
    """Nobody needs the extras to read, run or import the course; what is written in Pyro and Lightning needs both."""
    importing, at_the_top = set(), set()
    for path in [*(ROOT / "course_lib").rglob("*.py"), *(ROOT / "tests").glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(name.split(".")[0] in PEER_OF_MODULE for name in imported_names(tree, "")):
            importing.add(path.relative_to(ROOT).parent.as_posix())
        if path.parent.name == "programs":
            continue
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        if any(name.split(".")[0] in PEER_OF_MODULE for name in imported_names(top, "")):
            at_the_top.add(path.name)
    assert importing == {
        "course_lib/experiments",
        "course_lib/homework",
        "course_lib/programs",
        "course_lib/site",
        "tests",
    }
    assert at_the_top == set()


def test_only_experiments_lean_on_programs_that_need_an_extra():
    """Inside functions, so that an experiment can be read and imported without it."""
    leaning = {layer_of(module) for module, imports in import_graph().items() if "programs" in map(layer_of, imports)}
    assert leaning == {"programs", "experiments"}
    for path in (ROOT / "course_lib" / "experiments").glob("*.py"):
        top = ast.Module(ast.parse(path.read_text(encoding="utf-8")).body, [])
        top.body = [node for node in top.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any(name.startswith("course_lib.programs") for name in imported_names(top, "")), path.name


def test_only_experiments_lean_on_what_knows_other_programs():
    """``course_lib.peers`` knows scvi-tools' names, and imports it nowhere: what a model brings is enough."""
    leaning = {layer_of(module) for module, imports in import_graph().items() if "peers" in map(layer_of, imports)}
    assert leaning <= {"peers", "experiments"}
    assert (ROOT / "course_lib" / "peers" / "scvi_tools.py").is_file()
