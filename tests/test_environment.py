"""The environment: what is declared, what is pinned, and what is installed here."""

import importlib.metadata
import importlib.util
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib.tooling import environment
from course_lib.tooling.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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
    assert re.search(r"- harmonypy==[0-9.]+; sys_platform != .win32.\n", text)  # not for every system


def test_no_package_is_declared_twice():
    names = [canonicalize_name(r.name) for r in environment.declared_requirements(ROOT, *environment.all_extras(ROOT))]
    assert sorted(set(names)) == sorted(names)


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


def test_pins_satisfy_what_is_installed_here():
    """The environment that runs these tests is the tested set: no pin and installed version differ."""
    pins = environment.pinned_versions(ROOT)
    declared = environment.declared_requirements(ROOT, *environment.all_extras(ROOT))
    brought = {  # the extras that tests do without
        "scvi-tools": "scvi",
        "harmonypy": "harmonypy",
        "scib-metrics": "scib_metrics",
        "playwright": "playwright",
    }
    declared = [r for r in declared if r.name not in brought or importlib.util.find_spec(brought[r.name])]
    differing = {
        r.name: (importlib.metadata.version(r.name), pins[canonicalize_name(r.name)])
        for r in declared
        if Version(importlib.metadata.version(r.name)).public != pins[canonicalize_name(r.name)]
    }
    assert differing == {}
