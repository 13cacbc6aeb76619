"""The commands: every target is named, makes the environment it needs first, and is what the documents say."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess

import pytest

from course_lib.tooling.files import ROOT


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


@pytest.mark.parametrize(
    "target",
    ["lab", "course", "test", "quick", "notebooks", "lint", "format", "slides", "homework", "grade", "site", "doctor"],
)
def test_each_target_makes_the_environment_first_and_torch_first_within_it(target, tmp_path):
    plan = make("-n", target, f"VENV={tmp_path}/env", "TORCH_INDEX=https://index.example/cpu").stdout
    steps = [
        plan.find(f"-m venv --clear {tmp_path}/env"),
        plan.find("--extra-index-url https://index.example/cpu -c constraints.txt torch"),
        plan.find("-e '.[test,peer,pyro,classroom,benchmark,browser,site]'"),
        plan.find(f"pwd > {tmp_path}/env/.complete"),
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
