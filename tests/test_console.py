"""What the course says can be read on any console: it never dies of a letter that the console lacks."""

import ast
import io
import os
import subprocess
import sys

import pytest

from course_lib.console import say, spelled_out
from course_lib.notebook import check
from course_lib.tooling.files import ROOT

CLAIM = "σ ≤ 1 in all 2,000 cells … naïve"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "✓ σ ≤ 1 in all 2,000 cells … naïve"),
        ("cp1252", r"[ok] \u03c3 <= 1 in all 2,000 cells … naïve"),  # Windows in the West: no Greek, no ≤
        ("cp437", "[ok] σ ≤ 1 in all 2,000 cells ... naïve"),  # the old console: Greek and ≤, no …
        ("ascii", r"[ok] \u03c3 <= 1 in all 2,000 cells ... na\xefve"),
    ],
)
def test_check_prints_its_claim_on_a_console_of_any_encoding(encoding, expected, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", console)
    check(CLAIM, True)
    console.seek(0)
    assert console.read() == f"{expected}\n"


def test_check_still_fails_on_a_console_that_lacks_its_letters(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with pytest.raises(AssertionError, match="σ"):
        check(CLAIM, False)


def test_words_that_the_encoding_has_are_left_alone():
    every_letter = bytes(range(32, 256)).decode("cp437")
    assert spelled_out(every_letter, "cp437") == every_letter


def test_a_line_is_printed_once_and_whole_and_its_end_is_kept(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    say("03_vae …", end=" ", flush=True)
    say("12 s")
    console.seek(0)
    assert console.read() == "03_vae ... 12 s\n"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_a_command_ends_with_its_own_status_on_a_console_that_lacks_its_letters(encoding):
    code = "from course_lib.tooling import doctor\ndoctor.examine = lambda: [doctor.Finding('ok', 'well ≥ σ')]\n"
    command = [sys.executable, "-c", f"{code}raise SystemExit(doctor.main([]))"]
    environment = {"PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding).startswith("[ok] well ")


def test_no_module_prints_by_itself_what_a_console_may_lack():
    calls = [
        (path.relative_to(ROOT), ast.unparse(node))
        for path in (ROOT / "course_lib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert len(calls) > 10
    assert [f"{path}: {call}: use console.say" for path, call in calls if not call.isascii()] == []
