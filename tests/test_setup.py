"""The house around the course: environment, commands, thread policy, layers, sizes, and what the doctor says."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib import threads
from course_lib.tooling import doctor, environment

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MEGABYTE = 1_000_000
PEER_OF_MODULE = {"scvi": "scvi-tools"}  # the extra may be absent, and then nothing installed tells


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that git tracks, relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("this folder is not a git clone: nothing says which of its files are the course's")
    names = [Path(name) for name in git("ls-files", "-z").split("\0") if name]
    assert Path("pyproject.toml") in names, "git tracks no pyproject.toml here: add the files first"
    return [name for name in names if (ROOT / name).is_file()]


# Environment ----------------------------------------------------------------------------------------------------------


def test_environment_yml_is_what_pyproject_and_constraints_generate():
    written = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert written == environment.environment_yml(ROOT), "run: python -m course_lib.tooling.environment"


def test_environment_yml_names_every_declared_package_and_says_that_it_is_untested():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    listed = {line.split("- ")[1].split("==")[0] for line in text.splitlines() if "==" in line}
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    assert listed == {canonicalize_name(Requirement(line).name) for lines in lists for line in lines}
    assert f"python {PROJECT['requires-python']}" in text
    assert "UNTESTED" in text


def test_constraints_pin_every_declared_package_inside_its_range():
    pins = environment.pinned_versions(ROOT)
    requirements = environment.declared_requirements(ROOT, *environment.all_extras(ROOT))
    assert len(requirements) > 20
    for requirement in requirements:
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is declared, but constraints.txt does not pin it"
        assert requirement.specifier.contains(pin), f"{requirement.name}=={pin} is outside {requirement.specifier}"


def test_constraints_start_with_torch_and_carry_no_local_version_tag():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[0].startswith("torch==")
    assert lines[1:] == sorted(lines[1:], key=lambda line: line.split("==")[0])
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.]+", line) for line in lines), "name==version and nothing else"


def test_pins_drop_local_tags_and_the_course_itself():
    text = environment.constraints_text(
        [("numpy", "2.1.0"), ("Torch", "2.9.0+cpu"), ("course_lib", "0.1.0"), ("pip", "24")]
    )
    assert [line for line in text.splitlines() if not line.startswith("#")] == ["torch==2.9.0", "numpy==2.1.0"]


def test_every_declared_range_has_a_lower_and_an_upper_bound():
    without_upper = {"packaging"}  # versioned by year
    for requirement in environment.declared_requirements(ROOT, *environment.all_extras(ROOT)):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in operators, f"{requirement} has no lower bound"
        assert "<" in operators or requirement.name in without_upper, f"{requirement} has no upper bound"
    assert re.fullmatch(r">=3\.11,<3\.\d+", PROJECT["requires-python"])


def test_what_the_library_and_its_tests_import_is_declared():
    owners = importlib.metadata.packages_distributions()
    in_every_environment = {"pip"}
    extras = {"course_lib": ["peer"], "tests": environment.all_extras(ROOT)}  # who imports a peer: the next test
    for folder, allowed_extras in extras.items():
        declared = {canonicalize_name(r.name) for r in environment.declared_requirements(ROOT, *allowed_extras)}
        local = {path.stem for path in (ROOT / folder).iterdir()} | {"course_lib", folder}
        for path in (ROOT / folder).rglob("*.py"):
            for name in imported_names(ast.parse(path.read_text(encoding="utf-8")), ""):
                module = name.split(".")[0]
                if module in sys.stdlib_module_names or module in local | in_every_environment:
                    continue
                peer = [PEER_OF_MODULE.get(module, "nothing")]
                distributions = {canonicalize_name(owner) for owner in owners.get(module, peer)}
                assert distributions & declared, f"{path.relative_to(ROOT)} imports {module}, which is not declared"


def test_only_experiments_and_tests_import_scvi_tools_and_only_inside_functions():
    """Nobody needs the extra to read, run or import the course."""
    importing, at_the_top = set(), set()
    for path in [*(ROOT / "course_lib").rglob("*.py"), *(ROOT / "tests").glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(name.split(".")[0] in PEER_OF_MODULE for name in imported_names(tree, "")):
            importing.add(path.relative_to(ROOT).parent.as_posix())
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        if any(name.split(".")[0] in PEER_OF_MODULE for name in imported_names(top, "")):
            at_the_top.add(path.name)
    assert importing == {"course_lib/experiments", "tests"}
    assert at_the_top == set()


# Commands -------------------------------------------------------------------------------------------------------------


def phony_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert declared is not None
    return set(declared.group(1).split())


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("there is no make on this machine")
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "COURSE_THREADS")}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=inherited | variables, capture_output=True, text=True, check=False)


def test_make_alone_prints_help_which_names_every_target():
    shown = make()
    assert shown.returncode == 0
    named = set(re.findall(r"^  make ([a-z]+) ", shown.stdout, re.MULTILINE))
    assert named == phony_targets()
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in shown.stdout


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_commands_of_the_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    code = " ".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    targets = set(re.findall(r"\bmake ([a-z]+)", code))
    assert targets
    assert targets <= phony_targets()
    for module in re.findall(r"python -m (course_lib[\w.]*\w)", code):
        assert importlib.util.find_spec(module) is not None, f"{document} calls {module}, which is not there"


def test_readme_explains_every_target():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {target for target in phony_targets() if f"`make {target}" not in text} == set()


def test_modules_that_the_makefile_runs_exist():
    modules = set(re.findall(r"\$\(RUN\) (course_lib[\w.]*)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert {"course_lib.tooling.execute", "course_lib.tooling.render", "course_lib.tooling.doctor"} <= modules
    assert {name for name in modules if importlib.util.find_spec(name) is None} == set()


@pytest.mark.parametrize("target", ["lab", "course", "test", "notebooks", "lint", "format", "slides", "doctor"])
def test_each_target_makes_the_environment_first_and_torch_first_within_it(target, tmp_path):
    plan = make("-n", target, f"VENV={tmp_path}/env", "TORCH_INDEX=https://index.example/cpu").stdout
    steps = [
        plan.find(f"-m venv --clear {tmp_path}/env"),
        plan.find("--extra-index-url https://index.example/cpu -c constraints.txt torch"),
        plan.find("-e '.[test,peer]'"),
        plan.find(f"touch {tmp_path}/env/.complete"),
    ]
    assert -1 not in steps
    assert steps == sorted(steps)
    assert re.search(rf"{tmp_path}/env/bin/python -m (?!pip)", plan[steps[-1] :]), "the target's own work comes after"


def test_an_environment_is_out_of_date_when_its_definition_is_newer(tmp_path):
    complete = tmp_path / "env" / ".complete"
    complete.parent.mkdir()
    complete.touch()
    definition_time = max((ROOT / name).stat().st_mtime for name in ("pyproject.toml", "constraints.txt"))
    for age, remade in [(+10, False), (-10, True)]:
        os.utime(complete, (definition_time + age, definition_time + age))
        assert ("venv --clear" in make("-n", "env", f"VENV={tmp_path}/env").stdout) is remade


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OMP_NUM_THREADS": ""}, "1"),
        ({"OMP_NUM_THREADS": "3"}, "3"),
        ({"COURSE_THREADS": "2", "OMP_NUM_THREADS": "3"}, "2"),
    ],
)
def test_make_hands_the_thread_policy_to_what_it_runs(variables, expected, tmp_path):
    printing = tmp_path / "print.mk"
    printing.write_text("print-threads:\n\t@echo threads=$$OMP_NUM_THREADS\n", encoding="utf-8")
    assert f"threads={expected}\n" in make("-f", "Makefile", "-f", str(printing), "print-threads", **variables).stdout


def test_a_missing_python_is_answered_in_plain_words(tmp_path):
    answer = make("env", f"VENV={tmp_path}/env", "PYTHON=no-such-python")
    assert answer.returncode != 0
    assert "no-such-python is missing or much too old" in answer.stdout
    assert "make env PYTHON=python3.12" in answer.stdout
    assert not (tmp_path / "env").exists()


# Threads --------------------------------------------------------------------------------------------------------------


def run_python(code: str, **variables: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "COURSE_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=clean | variables, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("order", ["import course_lib, torch", "import torch, course_lib"])
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "1 1"),
        ({"OMP_NUM_THREADS": "2"}, "2 2"),
        ({"COURSE_THREADS": "2"}, "2 2"),
        ({"COURSE_THREADS": "2", "OMP_NUM_THREADS": "1"}, "2 2"),
    ],
)
def test_one_thread_unless_asked_whatever_is_imported_first(order, variables, expected):
    code = f"{order}; import os; print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])"
    assert run_python(code, **variables) == expected


def test_importing_the_course_alone_loads_no_library():
    heavy = run_python("import course_lib, sys; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])")
    assert heavy == "[]"


@pytest.mark.parametrize("variable", ["COURSE_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5", "²"])
def test_a_number_of_threads_that_is_none_is_refused_by_name(variable, text, monkeypatch):
    monkeypatch.delenv("COURSE_THREADS", raising=False)
    monkeypatch.setenv(variable, text)
    with pytest.raises(
        ValueError, match=rf"{variable}: expected a whole number .*found '{re.escape(text)}'.*set {variable}=1"
    ):
        threads.requested_threads()


def test_a_list_of_nested_levels_counts_by_its_first_number(monkeypatch):
    monkeypatch.delenv("COURSE_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert threads.requested_threads() == 4
    threads.apply_thread_policy()
    assert os.environ["OMP_NUM_THREADS"] == "4,2"


# Layers ---------------------------------------------------------------------------------------------------------------

# What stands in a row may import the rows above it, and its own; "training" and "analysis" import no model.
LAYERS = [
    {"course_lib", "threads", "console", "contexts", "arguments"},
    {"probability"},
    {"data"},
    {"networks"},
    {"models"},
    {"training"},
    {"analysis"},
    {"figures"},
    {"notebook"},
    {"tooling"},
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


# What is committed ----------------------------------------------------------------------------------------------------

TOP_LEVEL = {
    "notebooks", "course_lib", "data", "tests", "environment.yml", "README.md",
    # what tools need
    "pyproject.toml", "constraints.txt", "Makefile", ".ci", ".github", ".gitignore", ".gitattributes",
    "LICENSE", "LICENSE-text", "CITATION.cff", "CONTRIBUTING.md",
}  # fmt: skip


def test_the_top_level_holds_what_it_should_and_nothing_else(tracked):
    assert {path.parts[0] for path in tracked} == TOP_LEVEL


def test_a_notebook_stays_below_one_and_a_half_megabytes(tracked):
    notebooks = [path for path in tracked if path.suffix == ".ipynb"]
    assert notebooks
    assert {str(path) for path in notebooks if (ROOT / path).stat().st_size >= 1.5 * MEGABYTE} == set()


def test_a_clone_stays_below_sixty_megabytes(tracked):
    files = sum((ROOT / path).stat().st_size for path in tracked)
    history = int(git("rev-list", "--objects", "--disk-usage", "HEAD") or 0)  # needs git 2.31; before it, files only
    assert files + history < 60 * MEGABYTE


def test_nothing_committed_names_a_folder_of_one_machine(tracked):
    of_one_machine = re.compile(r"(?<![\w.])/(?:root|work)/\w|/tmp/[d]ev\b")
    of_someone = re.compile(r"(?<![\w.])/(?:home|Users)/\w|[A-Z]:\\Users\\")  # tests may invent one
    beside_the_clone = re.compile(r"\.\./shared\b")  # .ci/run looks there
    found = []
    for path in tracked:
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        patterns = [of_one_machine]
        patterns += [] if path.parts[0] == "tests" else [of_someone]
        patterns += [] if path == Path(".ci/run") else [beside_the_clone]
        found += [f"{path}: {match.group()}" for pattern in patterns if (match := pattern.search(text))]
    assert found == []


def test_the_version_is_said_once():
    import course_lib

    assert PROJECT["dynamic"] == ["version"]
    assert f"version: {course_lib.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_readme_lists_every_notebook(tracked):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((notebooks/[^)]+\.ipynb)\)", readme))
    assert linked == {path.as_posix() for path in tracked if path.suffix == ".ipynb"}


def test_files_that_the_readme_links_to_are_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {link for link in links if not (ROOT / link).exists()} == set()


# The doctor -----------------------------------------------------------------------------------------------------------


def levels(findings: list[doctor.Finding]) -> list[str]:
    return [finding.level for finding in findings]


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 4), (3, 13, 0)])
def test_doctor_accepts_the_pythons_that_are_declared(version):
    assert levels(doctor.check_python(version)) == ["ok"]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(".".join(map(str, version)))


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 10, 13), (3, 14, 0), (4, 0, 0)])
def test_doctor_names_a_python_out_of_range_and_what_to_type(version):
    (finding,) = doctor.check_python(version)
    assert finding.level == "wrong"
    assert ".".join(map(str, version)) in finding.text
    assert "3.11 to 3.13" in finding.text
    assert finding.mend.startswith("make env PYTHON=python3.13")


def test_doctor_judges_an_old_python_in_a_syntax_that_it_reads():
    for name in ("__init__.py", "threads.py", "console.py", "tooling/__init__.py", "tooling/doctor.py"):
        ast.parse((ROOT / "course_lib" / name).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.fixture
def peer_installed(monkeypatch):
    """As if the extra `peer` were here, whether or not it is."""
    version, pin = importlib.metadata.version, environment.pinned_versions(ROOT)["scvi-tools"]
    monkeypatch.setattr(importlib.metadata, "version", lambda name: pin if name == "scvi-tools" else version(name))


def test_doctor_names_a_missing_package_and_what_to_type(peer_installed, monkeypatch):
    version = importlib.metadata.version

    def without_scanpy(name: str) -> str:
        if name == "scanpy":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_scanpy)
    (finding,) = doctor.check_dependencies()
    assert (finding.level, finding.text) == ("wrong", "scanpy is not installed")
    assert finding.mend.startswith("make env ")


def test_doctor_only_notes_a_missing_package_that_nothing_but_the_tests_need(peer_installed, monkeypatch):
    version = importlib.metadata.version

    def without_nbval(name: str) -> str:
        if name == "nbval":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_nbval)
    (finding,) = doctor.check_dependencies()
    assert (finding.level, finding.text) == ("note", "nbval is not installed; `make test` needs it")


def test_doctor_only_notes_that_scvi_tools_is_missing_and_what_it_is_for(peer_installed, monkeypatch):
    version = importlib.metadata.version

    def without_peer(name: str) -> str:
        if name == "scvi-tools":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_peer)
    (finding,) = doctor.check_dependencies()
    assert (finding.level, finding.text) == ("note", "scvi-tools is not installed; only comparisons with it need it")


def test_doctor_names_a_version_out_of_range_with_the_range(peer_installed, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.4.2" if name == "numpy" else version(name))
    (finding,) = doctor.check_dependencies()
    assert finding.level == "wrong"
    assert finding.text.startswith("numpy is 1.4.2; the course needs ")
    assert ">=2" in finding.text


def test_doctor_takes_a_build_with_a_local_tag_for_its_version(peer_installed, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.9.0+cpu" if name == "torch" else version(name))
    assert levels(doctor.check_dependencies()) == ["ok"]


def install(site: Path, origin: dict | None) -> None:
    """What pip leaves in site-packages of an installation of the course."""
    metadata = site / "course_lib-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.4\nName: course-lib\nVersion: 0.1.0\n", encoding="utf-8")
    if origin is not None:
        (metadata / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")


@pytest.mark.parametrize(
    ("origin", "level", "words"),
    [
        ({"url": ROOT.as_uri(), "dir_info": {"editable": True}}, "ok", "from this folder, editable"),
        ({"url": ROOT.as_uri(), "dir_info": {}}, "wrong", "as a copy"),
        (None, "wrong", "as a copy"),
        ({"url": (ROOT.parent / "elsewhere").as_uri(), "dir_info": {"editable": True}}, "wrong", "another folder"),
    ],
)
def test_doctor_tells_where_the_library_is_installed_from(origin, level, words, tmp_path, monkeypatch):
    install(tmp_path, origin)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (finding,) = doctor.check_editable()
    assert finding.level == level
    assert words in finding.text
    assert ("pip install --no-deps -e ." in finding.mend) is (level == "wrong")


def test_doctor_is_not_misled_by_metadata_that_lie_in_the_folder_itself(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    install(tmp_path, None)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(site)])
    (finding,) = doctor.check_editable(tmp_path)
    assert (finding.level, "not installed" in finding.text) == ("wrong", True)
    install(site, {"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    importlib.invalidate_caches()
    assert levels(doctor.check_editable(tmp_path)) == ["ok"]


def test_doctor_names_the_data_files_that_are_gone(tmp_path):
    data = tmp_path / "data"
    assert levels(doctor.check_data(tmp_path)) == ["wrong"]
    data.mkdir()
    record = {"bytes": 1, "sha256": hashlib.sha256(b"1").hexdigest()}
    (data / "hashes.json").write_text(json.dumps({"first": record, "second": record}), encoding="utf-8")
    (data / "first.h5ad").write_bytes(b"1")
    assert doctor.check_data(tmp_path)[0].text.endswith("not as committed: data/second.h5ad: no such file")
    (data / "second.h5ad").write_bytes(b"1")
    assert levels(doctor.check_data(tmp_path)) == ["ok"]


def test_doctor_names_a_data_file_deleted_from_a_clone(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("first.h5ad", "second.csv"):
        (tmp_path / "data" / name).write_bytes(b"1")
    record = {"bytes": 1, "sha256": hashlib.sha256(b"1").hexdigest()}
    (tmp_path / "data" / "hashes.json").write_text(json.dumps({"first": record}), encoding="utf-8")
    for arguments in (["init", "-q"], ["add", "data"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert levels(doctor.check_data(tmp_path)) == ["ok"]
    (tmp_path / "data" / "second.csv").write_bytes(b"")
    (finding,) = doctor.check_data(tmp_path)
    text = "1 data files are not as committed: data/second.csv: an empty file"
    assert (finding.text, finding.mend) == (text, "git checkout -- data")


def test_doctor_says_so_when_torch_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it now fails
    (finding,) = doctor.check_torch()
    assert finding.level == "wrong"
    assert finding.text.startswith("PyTorch does not work: ModuleNotFoundError")


def test_doctor_sees_a_kernel_of_another_environment(tmp_path, monkeypatch):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/elsewhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    assert levels(doctor.check_kernel()) == ["ok"]
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (finding,) = doctor.check_kernel()
    assert finding.level == "wrong"
    assert "/elsewhere/bin/python" in finding.text
    assert "ipykernel install --sys-prefix" in finding.mend


@pytest.mark.parametrize(("value", "level"), [("", "note"), ("no/such/folder", "wrong"), (str(ROOT), "ok")])
def test_doctor_looks_where_course_originals_points(value, level, monkeypatch):
    monkeypatch.setenv("COURSE_ORIGINALS", value)
    assert levels(doctor.check_originals()) == [level]


@pytest.mark.parametrize(("present", "status"), [(True, 0), (False, 1)])
def test_doctor_ends_with_a_verdict_and_a_status(present, status, monkeypatch, capsys):
    found = [doctor.Finding("ok", "well"), *([] if present else [doctor.Finding("wrong", "x is not there", "make x")])]
    monkeypatch.setattr(doctor, "examine", lambda: found)
    assert doctor.main([]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ well"
    if present:
        assert lines[-1] == "This installation is all right."
    else:
        assert lines[1:] == ["✗ x is not there", "    type: make x", "1 to mend, from the top."]


def test_pins_satisfy_what_is_installed_here():
    """The environment that runs these tests is the tested set: no pin and installed version differ."""
    pins = environment.pinned_versions(ROOT)
    declared = environment.declared_requirements(ROOT, *environment.all_extras(ROOT))
    if importlib.util.find_spec("scvi") is None:  # the one extra that tests do without
        declared = [r for r in declared if r.name not in PEER_OF_MODULE.values()]
    differing = {
        r.name: (importlib.metadata.version(r.name), pins[canonicalize_name(r.name)])
        for r in declared
        if Version(importlib.metadata.version(r.name)).public != pins[canonicalize_name(r.name)]
    }
    assert differing == {}
