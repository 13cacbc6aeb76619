"""What an environment of the course holds: declared in pyproject.toml, pinned in constraints.txt.

``python -m course_lib.tooling.environment`` writes environment.yml, for people who use conda, from these two.
``python -m course_lib.tooling.environment --pin`` writes constraints.txt from what is installed here; run it in a
fresh environment made without constraints (see CONTRIBUTING.md), then without the option.
"""

import argparse
import importlib.metadata
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

PINS_HEADER = """\
# The versions the course is tested with, torch first. Declared ranges: pyproject.toml.
# Written by `python -m course_lib.tooling.environment --pin`; do not edit by hand.
"""
CONDA_HEADER = """\
# For people who use conda:  conda env create -f environment.yml && conda activate course
# Generated from pyproject.toml and constraints.txt by `python -m course_lib.tooling.environment`; do not edit by hand.
# UNTESTED: nobody has run this file under conda. The tested way is `make lab`, or the README's lines for pip.
# conda provides Python; everything else comes from pip, in the tested versions. On Linux the extra index has
# PyTorch for the CPU; without it pip takes a CUDA build of several GB.
"""


def declared_requirements(root: Path = ROOT, *extras: str) -> list[Requirement]:
    """The requirements of pyproject.toml, in its order: the course's own, then those of the extras named."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(line) for lines in lists for line in lines]


def all_extras(root: Path = ROOT) -> list[str]:
    """Names of the extras that pyproject.toml declares."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["optional-dependencies"])


def pinned_versions(root: Path = ROOT) -> dict[str, str]:
    """Version by canonical name of the package, in the order of constraints.txt."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def constraints_text(installed: Iterable[tuple[str, str]]) -> str:
    """constraints.txt for these (name, version) pairs: torch first, local version tags such as ``+cpu`` left out.

    A local tag names one build of a version; pinned, it could be installed from one index only.
    """
    own_and_installers = {"course-lib", "pip", "setuptools", "wheel"}
    pins = {canonicalize_name(name): Version(version).public for name, version in installed}
    kept = sorted((name for name in pins if name not in own_and_installers), key=lambda name: (name != "torch", name))
    return PINS_HEADER + "".join(f"{name}=={pins[name]}\n" for name in kept)


def environment_yml(root: Path = ROOT) -> str:
    """environment.yml: Python from conda, the declared packages from pip in their pinned versions, torch first."""
    requires_python = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    pins = pinned_versions(root)
    declared = declared_requirements(root, *all_extras(root))
    ordered = sorted(declared, key=lambda requirement: requirement.name != "torch")
    lines = [
        "name: course",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python {requires_python}",
        "  - pip",
        "  - pip:",
        f"      - --extra-index-url {CPU_INDEX}",
        "      - --constraint constraints.txt",
        *(f"      - {canonicalize_name(r.name)}=={pins[canonicalize_name(r.name)]}{_where(r)}" for r in ordered),
        "      - --editable .",
    ]
    return CONDA_HEADER + "\n".join(lines) + "\n"


def _where(requirement: Requirement) -> str:
    """On which systems it is wanted, if not on all."""
    return f"; {requirement.marker}" if requirement.marker else ""


def main() -> None:
    """Write environment.yml, or with ``--pin`` constraints.txt."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.environment", description=__doc__)
    parser.add_argument("--pin", action="store_true", help="write constraints.txt from what is installed here")
    if parser.parse_args().pin:
        installed = [(d.metadata["Name"], d.version) for d in importlib.metadata.distributions()]
        target, text = ROOT / "constraints.txt", constraints_text(installed)
    else:
        target, text = ROOT / "environment.yml", environment_yml()
    target.write_text(text, encoding="utf-8", newline="\n")
    print(f"wrote {target.name}")


if __name__ == "__main__":
    main()
