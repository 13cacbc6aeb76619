"""Making the environment: in a folder whose path has spaces, twice at once, interrupted, failing, or not allowed.

The Makefile runs with a shell script in Python's place, which writes down what it was asked for and installs nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# `-m venv --clear DIR` leaves a copy of the script as DIR/bin/python; `-m pip install` waits while "hold" exists.
FAKE_PYTHON = """\
#!/bin/sh
printf '<%s>' "$@" >> "$LOG"; echo >> "$LOG"
if [ "$2" = venv ]; then mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && touch "$4/pyvenv.cfg"; fi
if [ "$2 $3" = "pip install" ]; then
    touch installing
    while [ -e hold ]; do sleep 0.05; done
    [ ! -e broken ]
fi
"""

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or os.name == "nt", reason="the Makefile needs make and a POSIX shell"
)


@pytest.fixture
def clone(tmp_path):
    """What of a clone `make env` reads, in a folder whose path has spaces and a quote."""
    folder = tmp_path / "my course's clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / "fake-python").write_text(FAKE_PYTHON, encoding="utf-8")
    (folder / "fake-python").chmod(0o755)
    return folder


def start(clone, *arguments, **variables):
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.Popen(
        ["make", *arguments, "PYTHON=./fake-python"],
        cwd=clone,
        env=inherited | {"LOG": str(clone / "log")} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def make(clone, *arguments, **variables):
    """Status and words of one make."""
    process = start(clone, *arguments, **variables)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def complete(clone):
    return (clone / ".venv" / ".complete").exists()


def locked(clone):
    return (clone / ".venv.lock").exists()


def test_the_environment_is_made_in_a_folder_whose_path_has_spaces(clone):
    status, said = make(clone, "env")
    assert status == 0, said
    assert complete(clone)
    assert not locked(clone)
    asked = (clone / "log").read_text(encoding="utf-8").splitlines()
    assert [line for line in asked if "pip" in line or "venv" in line] == [
        "<-m><venv><--clear><.venv>",
        "<-m><pip><install><--disable-pip-version-check><-c><constraints.txt><torch>",
        "<-m><pip><install><--disable-pip-version-check><-c><constraints.txt><-e><.[test,peer,pyro,classroom,benchmark,browser,site]>",
        "<-m><pip><check>",
    ]


def test_jupyterlab_starts_without_nbgraders_menus_and_shows_markdown_as_a_page(clone):
    status, said = make(clone, "env")
    assert status == 0, said
    asked = (clone / "log").read_text(encoding="utf-8").splitlines()
    extensions = ("formgrader", "validate_assignment", "assignment_list", "course_list")
    assert [line for line in asked if "jupyter" in line] == [
        "<-m><jupyter><labextension><disable><@jupyter/nbgrader><--level=sys_prefix>",
        "<-m><jupyter><server><extension><disable><--sys-prefix>"
        + "".join(f"<nbgrader.server_extensions.{name}>" for name in extensions),
    ]
    settings = clone / ".venv" / "etc" / "jupyter" / "labconfig" / "default_setting_overrides.json"
    viewers = json.loads(settings.read_text(encoding="utf-8"))["@jupyterlab/docmanager-extension:plugin"]
    assert viewers == {"defaultViewers": {"markdown": "Markdown Preview"}}


def test_grading_asks_for_a_folder_and_takes_one_whose_name_has_spaces(clone):
    status, said = make(clone, "grade")
    assert status != 0
    assert "Which folder?  make grade FOLDER=handed_in TO=grades.csv" in said
    assert make(clone, "grade", "FOLDER=handed in", "TO=my grades.csv")[0] == 0
    last = (clone / "log").read_text(encoding="utf-8").splitlines()[-1]
    assert last == "<-m><course_lib.homework><grade><handed in><--to><my grades.csv>"


def test_jupyterlab_gets_the_whole_path_of_the_folder(clone):
    status, said = make(clone, "lab", "LAB_OPTIONS=--no-browser")
    assert status == 0, said
    last = (clone / "log").read_text(encoding="utf-8").splitlines()[-1]
    assert f"<--ServerApp.root_dir={clone}>" in last
    assert last.endswith("<--no-browser>")


def test_of_two_makes_at_once_one_makes_the_environment_and_the_other_is_told_to_wait(clone):
    (clone / "hold").touch()
    first = start(clone, "env")
    wait_for(clone / "installing", first)
    status, said = make(clone, "lint")
    assert status != 0
    assert "Another make is making the environment: wait until it has ended" in said
    assert "rmdir .venv.lock" in said
    assert (clone / ".venv" / "bin" / "python").exists(), "the second one cleared what the first was making"
    (clone / "hold").unlink()
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert complete(clone)
    assert make(clone, "lint")[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_make_leaves_no_lock_and_no_environment_that_counts_as_complete(clone, number):
    (clone / "hold").touch()
    running = start(clone, "env")
    wait_for(clone / "installing", running)
    os.killpg(running.pid, number)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert not complete(clone)
    assert not locked(clone)


def test_a_failed_installation_leaves_no_lock_and_is_begun_anew(clone):
    (clone / "broken").touch()
    assert make(clone, "env")[0] != 0
    assert not complete(clone)
    assert not locked(clone)
    (clone / "broken").unlink()
    assert make(clone, "env")[0] == 0
    assert complete(clone)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
@pytest.mark.parametrize("target", ["env", "lint", "format"])
@pytest.mark.parametrize("made_before", [True, False])
def test_a_folder_that_may_not_be_written_is_answered_in_plain_words(target, made_before, clone):
    if made_before:
        assert make(clone, "env")[0] == 0
    clone.chmod(0o500)
    try:
        status, said = make(clone, target, LOG="/dev/null")
    finally:
        clone.chmod(0o700)
    assert (status == 0) is (made_before and target == "env")
    assert ("You may not write in this folder. Clone the course into one of your own:" in said) is (status != 0)
    assert "Another make" not in said


def test_only_an_environment_is_ever_cleared(clone):
    (clone / ".venv").mkdir()
    (clone / ".venv" / "thesis.txt").touch()
    status, said = make(clone, "env")
    assert status != 0
    assert ".venv holds something that is no environment" in said
    assert (clone / ".venv" / "thesis.txt").exists()
    assert not locked(clone)
    (clone / ".venv" / "thesis.txt").unlink()
    assert make(clone, "env")[0] == 0


def test_the_environment_of_another_clone_is_not_cleared_unless_that_clone_is_gone(clone, tmp_path):
    assert make(clone, "env")[0] == 0
    other = tmp_path / "the other"
    shutil.copytree(clone, other, ignore=shutil.ignore_patterns(".venv"))
    os.utime(clone / ".venv" / ".complete", (0, 0))  # out of date for both
    (tmp_path / "shared").symlink_to(clone / ".venv")
    status, said = make(other, "env", f"VENV={tmp_path}/shared")
    assert status != 0
    assert f"is the environment of the clone in {clone}, and would be cleared" in said
    assert make(clone, "env")[0] == 0
    os.utime(clone / ".venv" / ".complete", (0, 0))
    clone.rename(tmp_path / "moved")
    assert make(tmp_path / "moved", "env")[0] == 0
