"""Make each deliberate mistake of ``tests/mistakes/`` in a copy of the library, and see whether its named test fails.

    python tests/mistakes.py            every mistake, one line each
    python tests/mistakes.py KL         those whose name or file contains "KL"

A suite that lets one live is not finished. The mistakes stand in one file for each folder of the library: those made in
``course_lib/data/`` in ``data.toml``, those in ``course_lib/threads.py`` and its neighbours in ``course_lib.toml``. A
mistake has a ``name``, the ``file`` it is made in, ``before``, text that stands exactly once in that file, ``after``,
what a tired person might write, and ``killed_by``, the test that must notice.

Each runs in a fork of a process that has already imported the heavy libraries, so that thirty of them take a minute or
two. Where a process cannot fork (Windows), each starts Python anew and takes some ten seconds.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "mistakes"
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
REAL_LIBRARY, BROKE_OFF = 98, 99  # ours: the test saw the library without the mistake; nothing came of it at all


@dataclass(frozen=True)
class Mistake:
    """One wrong line: what stands in the file, what a tired person might write, and the test that must notice."""

    name: str
    file: str
    before: str
    after: str
    killed_by: str
    needs: str = ""  # a module of an extra, without which the test is skipped, and the mistake with it


def read_mistakes(folder: Path = FOLDER) -> list[Mistake]:
    """All mistakes of the folder's files, in the order of the files' names.

    Raises
    ------
    ValueError : a mistake stands in another file than that of its folder of the library, or in ``mistakes.toml``
        beside the folder, where nobody would look for it.
    """
    stray = folder.with_suffix(".toml")
    if stray.exists():
        raise ValueError(
            f"{stray}: expected no such file, since the mistakes stand in {folder.name}/, one file for each folder of "
            "the library. Move what it holds there, then delete it."
        )
    mistakes = []
    for path in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mistake"]:
            mistake = Mistake(**entry)
            expected = Path(mistake.file).parent.parts[:2][-1]  # course_lib/data/toys.py, course_lib/threads.py
            if path.stem != expected:
                raise ValueError(f"{mistake.name}: expected in {expected}.toml, found in {path.name}; move it there.")
            mistakes.append(mistake)
    return mistakes


def choose(mistakes: list[Mistake], part: str = "", names: Sequence[str] | None = None) -> list[Mistake]:
    """Those whose name or file contains ``part``, in any case; of these, those of exactly these names, if given."""
    found = [mistake for mistake in mistakes if part.lower() in f"{mistake.name}\n{mistake.file}".lower()]
    return found if names is None else [mistake for mistake in found if mistake.name in names]


def copy_with(mistake: Mistake, folder: Path) -> None:
    """The library in ``folder`` with the mistake made, and what it reads beside it.

    Raises
    ------
    ValueError : the text to replace is not there exactly once, so the list is out of step with the library.
    """
    text = (ROOT / mistake.file).read_text(encoding="utf-8")
    if text.count(mistake.before) != 1:
        raise ValueError(
            f"{mistake.name}: {mistake.file} holds {mistake.before!r} {text.count(mistake.before)} times, "
            "expected once; bring tests/mistakes/ up to date."
        )
    shutil.copytree(ROOT / "course_lib", folder / "course_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / mistake.file).write_text(text.replace(mistake.before, mistake.after), encoding="utf-8")
    for name in ("homework", "docs", "data", "pyproject.toml", "notebooks"):
        link_or_copy(ROOT / name, folder / name)


def link_or_copy(original: Path, path: Path) -> None:
    """Windows lets not everybody make links."""
    try:
        path.symlink_to(original, target_is_directory=original.is_dir())
    except OSError:
        copy = shutil.copytree if original.is_dir() else shutil.copy
        copy(original, path)


def run_test(test: str, folder: Path) -> int:
    """pytest's exit code for one test in this very process, which imports ``course_lib`` from ``folder`` alone."""
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
        return REAL_LIBRARY  # whatever the test said means nothing
    return code


def exit_code(test: str, folder: Path) -> int:
    """The same in a process of its own; what it prints goes to ``log.txt`` in the folder."""
    with open(folder / "log.txt", "w", encoding="utf-8") as log:
        if hasattr(os, "fork"):
            return exit_code_of_fork(test, folder, log.fileno())
        command = [sys.executable, __file__, "--test", test, "--in", str(folder)]
        return subprocess.run(command, stdout=log, stderr=log).returncode


def exit_code_of_fork(test: str, folder: Path, log: int) -> int:
    """From a fork of this process, so that nothing heavy is imported again."""
    child = os.fork()
    if child == 0:
        code = BROKE_OFF
        try:
            os.dup2(log, 1)
            os.dup2(log, 2)
            code = run_test(test, folder)
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
        folder = Path(name).resolve()
        copy_with(mistake, folder)
        code = exit_code(mistake.killed_by, folder)
        if code == FAILED:
            return "killed"
        verdict = "lives" if code == 0 else f"not tested (exit code {code})"
        return f"{verdict}\n{(folder / 'log.txt').read_text(encoding='utf-8', errors='replace')[-2000:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="", help="part of a mistake's name or file")
    parser.add_argument("--exactly", nargs="+", metavar="NAME", help="the mistakes of these names and no others")
    parser.add_argument("--json", type=Path, help="also write {name: outcome} there")
    parser.add_argument("--test", help=argparse.SUPPRESS)  # what a process that cannot fork runs
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.test:
        return run_test(arguments.test, arguments.folder)
    chosen = choose(read_mistakes(), arguments.name, arguments.exactly)
    extras = {mistake.needs for mistake in chosen if mistake.needs and importlib.util.find_spec(mistake.needs)}
    for name in [*HEAVY, *sorted(extras)]:
        importlib.import_module(name)
    outcomes = {}
    for mistake in chosen:
        if mistake.needs and mistake.needs not in extras:
            print(f"skipped          {mistake.name}: {mistake.needs} is not installed")
        else:
            start = time.perf_counter()
            outcomes[mistake.name] = outcome(mistake)
            seconds = time.perf_counter() - start
            print(f"{outcomes[mistake.name]:8} {seconds:4.1f} s  {mistake.name}  ←  {mistake.killed_by}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(outcomes), encoding="utf-8")
    killed = sum(o == "killed" for o in outcomes.values())
    print(f"{killed} of {len(outcomes)} mistakes killed")
    return 0 if outcomes and killed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
