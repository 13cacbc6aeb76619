"""What git tracks: the files at the top, their sizes, no trace of one machine, and links that lead somewhere."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from course_lib.tooling.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MEGABYTE = 1_000_000


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


TOP_LEVEL = {
    "notebooks", "homework", "docs", "course_lib", "data", "tests", "environment.yml", "README.md",
    # what tools need
    "pyproject.toml", "constraints.txt", "Makefile", ".ci", ".github", ".gitignore", ".gitattributes",
    ".devcontainer", ".pre-commit-config.yaml",
    "LICENSE", "LICENSE-text", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md",
}  # fmt: skip


def test_the_top_level_holds_what_it_should_and_nothing_else(tracked):
    assert {path.parts[0] for path in tracked} == TOP_LEVEL


def test_a_notebook_stays_below_one_and_a_half_megabytes(tracked):
    notebooks = [path for path in tracked if path.suffix == ".ipynb"]
    assert notebooks
    assert {str(path) for path in notebooks if (ROOT / path).stat().st_size >= 1.5 * MEGABYTE} == set()


def test_a_clone_stays_below_eighty_megabytes(tracked, tmp_path):
    """The history is measured packed, as it travels: objects that git has not packed yet take more room here."""
    git("clone", "--quiet", "--bare", "--no-local", "--single-branch", str(ROOT), str(tmp_path / "clone"))
    packed = sum(path.stat().st_size for path in tmp_path.rglob("*.pack"))
    # Where git may not serve this folder, as it lies here.
    history = packed or int(git("rev-list", "--objects", "--disk-usage", "HEAD") or 0)
    assert history > 0
    assert sum((ROOT / path).stat().st_size for path in tracked) + history < 80 * MEGABYTE


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
    assert linked == {path.as_posix() for path in tracked if path.parts[0] == "notebooks"}


def test_files_that_the_readme_links_to_are_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {link for link in links if not (ROOT / link).exists()} == set()
