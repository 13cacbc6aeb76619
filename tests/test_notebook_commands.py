"""What the commands about notebooks do when something is in the way: a file that is no notebook, a second command,
a folder that may not be written, Ctrl-C, and numbers that make no sense."""

import json
import os
import signal
import subprocess
import sys
from functools import partial

import filelock
import nbformat
import pytest

from course_lib.tooling import execute, files, normalise, render, rules

NOT_NOTEBOOKS = {
    "empty": b"",
    "cut off": b'{"cells": [{"cell_type": "markdown",',
    "words": b"hello\n",
    "bytes": b"\xff\xfe\x00",
    "a list": b"[]",
    "null": b"null",
    "a number": b"3",
    "an object": b"{}",
    "a cell without its parts": b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[{"cell_type":"code"}]}',
    "a cell of no kind": b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[{"cell_type":"poem"}]}',
    "cells that are a number": b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":3}',
    "another format": b'{"nbformat":9,"nbformat_minor":0,"metadata":{},"cells":[]}',
}


def write_notebook(path, *sources):
    cells = [nbformat.v4.new_markdown_cell("# A title"), *(nbformat.v4.new_code_cell(source) for source in sources)]
    normalise.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


# --- a file that is no notebook -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", NOT_NOTEBOOKS.values(), ids=NOT_NOTEBOOKS)
def test_a_file_that_is_no_notebook_is_named_with_what_it_is_and_what_to_do(content, tmp_path):
    path = tmp_path / "09_bad.ipynb"
    path.write_bytes(content)
    with pytest.raises(files.NotANotebook) as caught:
        files.read(path)
    message = str(caught.value)
    assert message.startswith("09_bad.ipynb: expected a notebook, found ")
    assert "git checkout -- notebooks/09_bad.ipynb" in message
    assert "\n" not in message
    assert len(message) < 400
    assert ("found an empty file" in message) is (content == b"")


def test_a_folder_in_a_notebooks_place_is_named_too(tmp_path):
    (tmp_path / "09_bad.ipynb").mkdir()
    with pytest.raises(files.NotANotebook, match=r"09_bad\.ipynb: expected a notebook, found IsADirectoryError"):
        files.read(tmp_path / "09_bad.ipynb")


@pytest.mark.parametrize("minor", [4, 5])
def test_a_notebook_of_jupyters_format_4_is_read(minor, tmp_path):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    if minor == 4:
        del nb.cells[0]["id"]
    path = tmp_path / "09.ipynb"
    path.write_text(json.dumps(nb | {"nbformat_minor": minor}), encoding="utf-8")
    assert files.read(path).cells[0].source == "1"


@pytest.fixture
def bad_and_good(tmp_path):
    bad = tmp_path / "08_bad.ipynb"
    bad.write_bytes(b"")
    return [bad, write_notebook(tmp_path / "09_good.ipynb", "6 * 7")]


@pytest.mark.parametrize(
    ("command", "of_the_good_one"),
    [
        (lambda paths, out: execute.main(["--course", *paths]), "09_good … 0 s, 1 code cells, 0 figures"),
        (lambda paths, out: execute.main(["--in-place", *paths]), "09_good … 0 s, 1 code cells, 0 figures"),
        (lambda paths, out: render.main(["--to", out, *paths]), "09_good.html"),
        (lambda paths, out: normalise.main(["--check", *paths]), None),
        (lambda paths, out: normalise.main(paths), None),
        (lambda paths, out: rules.main(paths), "09_good.ipynb: "),
    ],
    ids=["course", "in place", "render", "check", "normalise", "rules"],
)
def test_the_others_go_on_after_a_file_that_is_no_notebook(
    command, of_the_good_one, bad_and_good, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        execute, "execute", lambda notebook, folder, timeout: execute.Run(notebook, {1: 0.0}, 0.0, None)
    )
    monkeypatch.setattr(execute, "course", partial(execute.course, build=tmp_path / "build"))
    assert command([str(path) for path in bad_and_good], str(tmp_path / "out")) == 1
    said = capsys.readouterr().out
    assert "08_bad.ipynb: expected a notebook, found an empty file" in said
    assert of_the_good_one is None or of_the_good_one in said
    assert bad_and_good[0].read_bytes() == b""


@pytest.mark.slow
def test_make_test_goes_on_after_a_file_that_is_no_notebook(bad_and_good):
    """nbval collects it with an error; pytest would stop there, and run nothing at all."""
    [line] = [line for line in (files.ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "--nbval" in line]
    options = [word for word in line.split() if word.startswith("--") and word not in ("--dist", "--hypothesis-seed=0")]
    command = [sys.executable, "-m", "pytest", "-q", *options, "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(bad_and_good[0].parent)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "1 passed, 1 error" in done.stdout
    assert "08_bad.ipynb" in done.stdout


# --- numbers that make no sense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "text", "lowest"),
    [
        ("--timeout", "0", 1),
        ("--timeout", "-5", 1),
        ("--timeout", "soon", 1),
        ("--timeout", "1.5", 1),
        ("--times", "-1", 0),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_name(option, text, lowest, capsys):
    with pytest.raises(SystemExit) as stopped:
        execute.main(["--course", f"{option}={text}"])
    assert stopped.value.code == 2
    expected = f"argument {option}: expected a whole number of at least {lowest}, found '{text}'"
    assert expected in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("timeout", [0, -1])
def test_execute_refuses_a_timeout_that_no_cell_can_keep(timeout):
    with pytest.raises(ValueError, match=f"timeout: expected at least 1 second, found {timeout}; leave it out"):
        execute.execute(nbformat.v4.new_notebook(), timeout=timeout)


# --- a second command, a folder that may not be written, Ctrl-C -------------------------------------------------------


@pytest.mark.parametrize("mode", ["--course", "--in-place"])
def test_a_second_command_in_the_same_folder_is_told_to_wait_and_touches_nothing(mode, tmp_path, monkeypatch, capsys):
    build = tmp_path / "build"
    build.mkdir()
    monkeypatch.setattr(execute, "course", partial(execute.course, build=build))
    monkeypatch.setattr(execute, "execute", lambda *_, **__: pytest.fail("the second command ran a notebook"))
    path = write_notebook(tmp_path / "09.ipynb", "1")
    before = path.read_bytes()
    folder = build if mode == "--course" else tmp_path
    with filelock.FileLock(folder / ".lock"), pytest.raises(SystemExit) as stopped:
        execute.main([mode, str(path)])
    assert stopped.value.code == 2
    assert "another make course or make notebooks is writing here; wait" in " ".join(capsys.readouterr().err.split())
    assert path.read_bytes() == before


def test_the_lock_ends_with_its_command_and_with_a_process_that_is_killed(tmp_path):
    with files.alone_in(tmp_path), pytest.raises(files.Busy), files.alone_in(tmp_path):
        pass
    code = "import os, sys; from pathlib import Path; from course_lib.tooling.files import alone_in\n"
    killed = "with alone_in(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code + killed, str(tmp_path)], check=False)
    with files.alone_in(tmp_path):
        pass


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
def test_a_folder_that_may_not_be_written_is_named_with_what_to_do(error, tmp_path, monkeypatch, capsys):
    error.filename = str(tmp_path / "build")

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(execute, "course", partial(execute.course, build=tmp_path / "build"))
    monkeypatch.setattr(files.Path, "mkdir", refuse)
    with pytest.raises(SystemExit) as stopped:
        execute.main(["--course", str(write_notebook(tmp_path / "09.ipynb", "1"))])
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"cannot write {tmp_path / 'build'}: {error.strerror}; clone the course into a folder of your own" in said


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_closed_folder_is_found_before_anything_runs(tmp_path, monkeypatch, capsys):
    path = write_notebook(tmp_path / "09.ipynb", "1")
    monkeypatch.setattr(execute, "execute", lambda *_, **__: pytest.fail("ran, and could not have been saved"))
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SystemExit):
            execute.main(["--in-place", str(path)])
    finally:
        tmp_path.chmod(0o700)
    assert "cannot write" in capsys.readouterr().err


def test_an_error_of_another_kind_is_not_mistaken_for_a_closed_folder(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "reveal.js")

    monkeypatch.setattr(render, "page", broken)
    with pytest.raises(FileNotFoundError):
        render.main(["--to", str(tmp_path), str(write_notebook(tmp_path / "09.ipynb", "1"))])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT that one process can send to another")
def test_ctrl_c_ends_in_one_sentence_the_usual_status_and_the_file_as_it_was(tmp_path):
    begun = tmp_path / "begun"
    path = write_notebook(
        tmp_path / "09_long.ipynb", f"open({str(begun)!r}, 'w').close()\nimport time; time.sleep(600)"
    )
    never = write_notebook(tmp_path / "10_never.ipynb", "1")
    before = path.read_bytes()
    command = [sys.executable, "-m", "course_lib.tooling.execute", "--in-place", str(path), str(never)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not begun.exists():
        assert running.poll() is None, running.communicate()
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")
    assert said == "09_long … \nstopped by Ctrl-C; the notebook that was running is as it was before\n"
    assert path.read_bytes() == before
