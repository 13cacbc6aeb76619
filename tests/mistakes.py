"""Make each deliberate mistake of ``mistakes.toml`` in a copy of the library, and see whether its named test fails.

    python tests/mistakes.py            every mistake, one line each
    python tests/mistakes.py KL         those whose name contains "KL"

A suite that lets one live is not finished. Each mistake runs in a fork of a process that has already imported the
heavy libraries, so that thirty of them take a minute or two.
"""

import argparse
import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "torch",
    "scipy.stats",
    "sklearn.decomposition",
    "anndata",
    "pandas",
    "scanpy",
    "mpmath",
    "hypothesis",
    "pytest",
)
FAILED = 1  # pytest's exit code when tests ran and some failed; an error of collection is another number


@dataclass(frozen=True)
class Mistake:
    """One wrong line: what stands in the file, what a tired person might write, and the test that must notice."""

    name: str
    file: str
    before: str
    after: str
    killed_by: str


def read_mistakes() -> list[Mistake]:
    """All mistakes of the list, in its order."""
    with open(ROOT / "tests" / "mistakes.toml", "rb") as file:
        return [Mistake(**entry) for entry in tomllib.load(file)["mistake"]]


def copy_with(mistake: Mistake, folder: Path) -> None:
    """The library in ``folder`` with the mistake made, and the data beside it.

    Raises
    ------
    ValueError : the text to replace is not there exactly once, so the list is out of step with the library.
    """
    text = (ROOT / mistake.file).read_text()
    if text.count(mistake.before) != 1:
        raise ValueError(
            f"{mistake.name}: {mistake.file} holds {mistake.before!r} {text.count(mistake.before)} times, "
            "expected once; bring tests/mistakes.toml up to date."
        )
    shutil.copytree(ROOT / "course_lib", folder / "course_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / mistake.file).write_text(text.replace(mistake.before, mistake.after))
    for name in ("data", "pyproject.toml", "notebooks"):
        (folder / name).symlink_to(ROOT / name)


def exit_code(test: str, folder: Path) -> int:
    """pytest's exit code for one test, in a forked child that imports ``course_lib`` from ``folder``."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            with open(folder / "log.txt", "w") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            for name in [m for m in sys.modules if m.split(".")[0] == "course_lib"]:
                del sys.modules[name]
            sys.path.insert(0, str(folder))
            os.environ["PYTHONPATH"] = str(folder)  # tests that start a process of their own see the mistake too
            os.chdir(folder)
            import pytest

            arguments = [str(ROOT / test), f"--rootdir={ROOT}", "-q", "-x", "--assert=plain", "--hypothesis-seed=0"]
            code = int(pytest.main([*arguments, *["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:nbval"]]))
            import course_lib

            if not str(course_lib.__file__).startswith(str(folder)):
                code = 98  # the test saw the real library: whatever it said means nothing
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(mistake: Mistake) -> str:
    """ "killed", or why not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_with(mistake, folder)
        code = exit_code(mistake.killed_by, folder)
        if code == FAILED:
            return "killed"
        verdict = "lives" if code == 0 else f"not tested (exit code {code})"
        return f"{verdict}\n{(folder / 'log.txt').read_text()[-2000:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="", help="part of a mistake's name")
    parser.add_argument("--json", type=Path, help="also write {name: outcome} there")
    arguments = parser.parse_args()
    for name in HEAVY:
        importlib.import_module(name)
    outcomes = {}
    for mistake in read_mistakes():
        if arguments.name.lower() in mistake.name.lower():
            outcomes[mistake.name] = outcome(mistake)
            print(f"{outcomes[mistake.name]:8}  {mistake.name}  ←  {mistake.killed_by}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(outcomes))
    killed = sum(o == "killed" for o in outcomes.values())
    print(f"{killed} of {len(outcomes)} mistakes killed")
    return 0 if outcomes and killed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
