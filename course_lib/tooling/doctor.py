"""Is this installation all right? ``python -m course_lib.tooling.doctor`` looks, and says what to type where it is not.

Each check returns findings: ``ok``, ``note`` (worth knowing, nothing to mend) or ``wrong`` (with the command that
mends it). The exit status is 1 if anything is wrong. With ``--python`` only the Python version is looked at, which
the Makefile does before it makes an environment: until that check has passed, this file keeps to the standard library
and to syntax that older Pythons read.
"""

from __future__ import annotations  # list[Finding] and tuple[int, ...] on a Python older than 3.9

import argparse
import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse
from urllib.request import url2pathname

from course_lib.console import say
from course_lib.threads import requested_threads

ROOT = Path(__file__).resolve().parents[2]
MEND = 'make env        (without make: pip install -c constraints.txt -e ".[test]", in the environment you work in)'
MEMORY_WANTED = 4.0  # GiB: a kernel with PyTorch and one data set, JupyterLab and a browser beside it


Level = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What one check found. ``mend`` is what to type, and stands only where something is wrong."""

    level: Level
    text: str
    mend: str = ""


def check_python(version: tuple[int, ...] = sys.version_info[:3], root: Path = ROOT) -> list[Finding]:
    """Python's version against ``requires-python`` in pyproject.toml, read without a TOML parser (new in 3.11)."""
    declared = re.search(
        r'^requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"$', (root / "pyproject.toml").read_text("utf-8"), re.M
    )
    if declared is None:
        raise ValueError(
            'pyproject.toml: expected a line like requires-python = ">=3.11,<3.14", found none; write it as one range.'
        )
    numbers = [int(number) for number in declared.groups()]
    lowest, first_too_new = tuple(numbers[:2]), tuple(numbers[2:])
    newest = f"{first_too_new[0]}.{first_too_new[1] - 1}"
    here = ".".join(str(part) for part in version[:3])
    if lowest <= tuple(version[:2]) < first_too_new:
        return [Finding("ok", f"Python {here}")]
    return [
        Finding(
            "wrong",
            f"this is Python {here}; the course needs {lowest[0]}.{lowest[1]} to {newest}",
            f"make env PYTHON=python{newest}        (any of these versions that you have or install)",
        )
    ]


def check_dependencies(root: Path = ROOT) -> list[Finding]:
    """Every package that pyproject.toml declares against its range; those of an extra are missed only by its user."""
    try:
        from course_lib.tooling.environment import all_extras, declared_requirements
    except ModuleNotFoundError as error:
        return [Finding("wrong", f"the package {error.name} is not installed, so the others cannot be checked", MEND)]
    findings = []
    needed = declared_requirements(root)
    who = dict.fromkeys((r.name for r in declared_requirements(root, *all_extras(root))), "`make test` needs it")
    for extra, needs in (
        ("peer", "notebook 09 and comparisons need it"),
        ("pyro", "notebook 12 needs it"),
        ("classroom", "`make homework` needs it"),
        ("site", "`make site` needs it"),
        ("benchmark", "only comparisons need it"),
    ):
        who |= dict.fromkeys((r.name for r in declared_requirements(root, extra)), needs)  # `needed` never comes to it
    for requirement in declared_requirements(root, *all_extras(root)):
        if requirement.marker and not requirement.marker.evaluate():
            continue  # not for this system
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            if requirement in needed:
                findings.append(Finding("wrong", f"{requirement.name} is not installed", MEND))
            else:
                findings.append(Finding("note", f"{requirement.name} is not installed; {who[requirement.name]}"))
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            text = f"{requirement.name} is {installed}; the course needs {requirement.specifier}"
            findings.append(Finding("wrong", text, MEND))
    return findings or [Finding("ok", "every declared package is installed, in its range")]


def check_editable(root: Path = ROOT) -> list[Finding]:
    """Is ``course_lib`` installed from this folder, in a way that your changes to it take effect?"""
    mend = "pip install --no-deps -e .        (in this folder, in the environment you work in)"
    # An editable install leaves metadata in this folder as well, which say nothing about the environment.
    found = importlib.metadata.distributions(name="course-lib")
    installed = [d for d in found if Path(str(d.locate_file(""))).resolve() != root.resolve()]
    if not installed:
        return [Finding("wrong", "course_lib is not installed in this environment: notebooks cannot import it", mend)]
    origin = json.loads(installed[0].read_text("direct_url.json") or "{}")
    folder = Path(path_of_url(origin.get("url", "")))
    if not origin.get("dir_info", {}).get("editable", False):
        return [Finding("wrong", "course_lib is installed as a copy: changes to this folder have no effect", mend)]
    if not (folder.exists() and folder.samefile(root)):  # whatever the case of its letters, by whichever link
        return [Finding("wrong", f"course_lib is installed from another folder, {folder}", mend)]
    return [Finding("ok", "course_lib is installed from this folder, editable")]


def path_of_url(url: str) -> str:
    """The path of a file URL as this system writes it: on Windows ``C:\\course`` and ``\\\\server\\course``."""
    parts = urlparse(url)
    return url2pathname(parts.path if parts.netloc in ("", "localhost") else f"//{parts.netloc}{parts.path}")


def check_writable(root: Path = ROOT) -> list[Finding]:
    """May this folder be written? Commands write to ``build/``, JupyterLab to ``notebooks/`` and its ``appendix/``."""
    names = (".", "notebooks", "notebooks/appendix", "build")
    folders = [root / name for name in names if (root / name).exists()]
    closed = [folder.resolve() for folder in folders if not os.access(folder, os.W_OK)]
    if closed:
        mend = f'git clone "{root}" course        (in a folder of your own)'
        return [Finding("wrong", f"you may not write in {closed[0]}: nothing can be saved or built here", mend)]
    return [Finding("ok", "this folder may be written")]


def check_data(root: Path = ROOT) -> list[Finding]:
    """Are the committed data files there, and the data sets byte for byte the recorded ones?"""
    from course_lib.data.recorded import recorded, what_is_wrong

    folder = root / "data"
    try:
        names = recorded(folder)
    except ValueError as error:
        return [Finding("wrong", str(error), "git checkout -- data")]
    wrong = {f"data/{name}.h5ad": what_is_wrong(name, folder)[0] for name in names}
    wrong = {file: found for file, found in wrong.items() if found}
    files, mend = list(names), "git clone, once more: this folder is not a clone, and not whole"
    if (root / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-z", "data"], cwd=root, capture_output=True, text=True, check=False
        ).stdout
        files, mend = [name for name in listing.split("\0") if name], "git checkout -- data"
        for name in files:
            if name not in wrong and (not (root / name).is_file() or not (root / name).stat().st_size):
                wrong[name] = "no such file" if not (root / name).is_file() else "an empty file"
    if wrong:
        listed = "; ".join(f"{file}: {found}" for file, found in list(wrong.items())[:5])
        more = "; …" if len(wrong) > 5 else ""
        return [Finding("wrong", f"{len(wrong)} data files are not as committed: {listed}{more}", mend)]
    if not names:
        return [Finding("wrong", "data/hashes.json is missing or empty, which says what the data sets are", mend)]
    return [Finding("ok", f"all {len(files)} committed data files are there, {len(names)} data sets as recorded")]


def check_torch() -> list[Finding]:
    """Does PyTorch load and take a gradient, on as many threads as the policy says?"""
    try:
        torch = importlib.import_module("torch")
        x = torch.ones(3, requires_grad=True)
        (x * x).sum().backward()
        right = x.grad.tolist() == [2.0, 2.0, 2.0]
    except Exception as error:  # whatever a broken build raises is the finding
        return [Finding("wrong", f"PyTorch does not work: {type(error).__name__}: {error}", MEND)]
    if not right:
        return [Finding("wrong", f"PyTorch takes a wrong gradient: {x.grad.tolist()} for 2, 2, 2", MEND)]
    wanted, threads = requested_threads(), torch.get_num_threads()
    if threads != wanted:
        mend = f"OMP_NUM_THREADS={wanted}        (in the environment, before Python starts)"
        return [Finding("wrong", f"PyTorch uses {threads} threads where {wanted} were asked for", mend)]
    return [
        Finding("ok", f"PyTorch {torch.__version__} loads and takes a gradient"),
        Finding("ok", f"{threads} thread{'s' if threads > 1 else ''} (COURSE_THREADS=N for more)"),
    ]


def check_kernel() -> list[Finding]:
    """Does Jupyter's kernel ``python3`` run in this environment?"""
    mend = "python -m ipykernel install --sys-prefix        (in the environment you work in)"
    try:
        kernelspec = importlib.import_module("jupyter_client.kernelspec")
        spec = kernelspec.KernelSpecManager().get_kernel_spec("python3")
    except ModuleNotFoundError as error:
        return [Finding("wrong", f"the package {error.name} is not installed: no notebook can run", MEND)]
    except Exception as error:  # NoSuchKernel, or a file that cannot be read: the finding either way
        return [Finding("wrong", f"Jupyter finds no kernel python3: {type(error).__name__}: {error}", mend)]
    program = Path(spec.argv[0])
    # Jupyter replaces a bare "python" with the interpreter it runs in itself.
    if program.is_absolute() and program.absolute() != Path(sys.executable).absolute():
        text = f"the kernel python3 runs {program}, not this environment's {sys.executable}"
        return [Finding("wrong", text, mend)]
    return [Finding("ok", "Jupyter's kernel python3 runs in this environment")]


def check_memory() -> list[Finding]:
    """How much memory the machine has (physical, GiB), where the system tells."""
    try:
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return [Finding("note", "this system does not tell how much memory it has")]
    if gib < MEMORY_WANTED:
        return [Finding("note", f"{gib:.1f} GiB of memory; below {MEMORY_WANTED:.0f}, close what else is open")]
    return [Finding("ok", f"{gib:.1f} GiB of memory")]


def check_originals() -> list[Finding]:
    """``COURSE_ORIGINALS``: a folder with original tumour files for the tests of their parsers; optional."""
    folder = os.environ.get("COURSE_ORIGINALS", "")
    if not folder:
        return [Finding("note", "COURSE_ORIGINALS is not set: tests on original tumour files are skipped; fine")]
    if not Path(folder).is_dir():
        return [Finding("wrong", f"COURSE_ORIGINALS names {folder}, which is no folder", "unset COURSE_ORIGINALS")]
    return [Finding("ok", f"original files for the tests in {folder}")]


def examine(root: Path = ROOT) -> list[Finding]:
    """All checks in order. After a wrong Python nothing else can be judged, so it stops there."""
    findings = check_python(root=root)
    if any(finding.level == "wrong" for finding in findings):
        return findings
    rest: list[Callable[[], list[Finding]]] = [
        lambda: check_dependencies(root),
        lambda: check_editable(root),
        lambda: check_writable(root),
        lambda: check_data(root),
        check_torch,
        check_kernel,
        check_memory,
        check_originals,
    ]
    return findings + [finding for check in rest for finding in check()]


def report(findings: list[Finding]) -> str:
    """The findings as lines to read, the count of what is wrong at the end."""
    marks = {"ok": "✓", "note": "·", "wrong": "✗"}
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.level]} {finding.text}")
        if finding.mend:
            lines.append(f"    type: {finding.mend}")
    wrong = sum(finding.level == "wrong" for finding in findings)
    lines.append("This installation is all right." if not wrong else f"{wrong} to mend, from the top.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.doctor", description=__doc__)
    parser.add_argument("--python", action="store_true", help="look at the Python version only, speak only if wrong")
    only_python = parser.parse_args(arguments).python
    findings = check_python() if only_python else examine()
    wrong = any(finding.level == "wrong" for finding in findings)
    if wrong or not only_python:
        say(report(findings))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
