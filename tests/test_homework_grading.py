"""One submission graded: a hostile one costs itself alone, an honest one is not suspected, tests say where to look."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from small_homework import CUBE, SQUARE, notebook, send, sheet

from course_lib.homework import __main__ as command
from course_lib.homework import grading, sandbox
from course_lib.homework.grading import Limits, grade_file
from course_lib.homework.release import student_version
from course_lib.homework.sheet import read_sheet, sheet_names
from course_lib.tooling.files import ROOT


def walls_work() -> bool:
    if shutil.which("bwrap") is None:
        return False
    line = sandbox.command([sys.executable, "-c", ""], walled=True, limits=Limits().kernel())
    return subprocess.run(line, env=sandbox.environment(True, ""), capture_output=True).returncode == 0


REQUIRED = os.environ.get("COURSE_WALLS") == "required"
walled = pytest.mark.skipif(
    not REQUIRED and not walls_work(), reason="bubblewrap (bwrap) is not here, or may not be used"
)
LIMITS = Limits(cell_seconds=4, seconds=60)
SECRET = "the instructor's file"


def graded(tmp_path, square=SQUARE, cube=CUBE, **more):
    path = send(tmp_path / "in", "anna.ipynb", notebook(square, cube))
    return grade_file(path, sheet(), LIMITS, **more)


HOSTILE = {  # answer to question 1 → a word of the remark; question 2 is right and must earn its points
    "loops for ever": ("while True: pass", "ran longer than 4 s"),
    "exits": ("import sys; sys.exit()", "SystemExit"),
    "ends the process": ("import os; os._exit(0)", "ended Python"),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", "ended Python"),
    "prints a gigabyte": ("while True: print('x' * 10_000)", "printed more than 10 MB"),
    "forks": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", "ran longer"),
    "eats memory": ("x = bytearray(10**11)", "MemoryError"),
    "fills the disk": ("f = open('big', 'wb')\nwhile True: f.write(b'x' * 10**6)", "OSError"),
    "deletes the course": (f"import shutil; shutil.rmtree({str(ROOT / 'course_lib')!r})", "OSError"),
    "reaches for the network": ("import socket; socket.create_connection(('1.1.1.1', 80), timeout=3)", "OSError"),
    "asks for input": ("input('name?')", "EOFError"),
    "is no Python": ("def square(x:\n return", "SyntaxError"),
    "crashes the interpreter": ("import ctypes; ctypes.string_at(0)", "ended Python"),
}


@walled
@pytest.mark.slow
@pytest.mark.parametrize("way", HOSTILE)
def test_a_hostile_answer_costs_its_own_question_alone(tmp_path, way):
    source, says = HOSTILE[way]
    grade = graded(tmp_path, source)
    assert (grade.points["q1_square"], grade.points["q2_cube"]) == (0, 3)
    assert says in " ".join(grade.remarks)


@walled
@pytest.mark.slow
def test_a_right_submission_earns_all_and_words_wait_for_a_reader(tmp_path):
    grade = graded(tmp_path)
    assert grade.points == {"q1_square": 2, "q2_cube": 3, "q3": None}
    assert (grade.total, grade.messages, grade.remarks) == (5, {}, [])


@walled
@pytest.mark.slow
def test_what_tests_compare_by_is_put_back(tmp_path):
    patch = (
        "import sys, numpy, torch\nfrom course_lib.homework import expect\n"
        "expect.close = numpy.isclose = numpy.allclose = lambda *a, **k: numpy.bool_(True)\n"
        "sys.modules['course_lib.homework.expect'] = numpy\nimport builtins\nbuiltins.AssertionError = ValueError\n"
        "def square(x): return 0"
    )
    grade = graded(tmp_path, patch)
    assert grade.points["q1_square"] == 0
    assert grade.messages["q1_square"] == "Expected 4, found 0. Look at the power."
    assert "had been replaced before, and was put back" in grade.remarks[0]


LIES = {  # answer to question 1, which earns nothing, and costs nobody else anything
    "the grader's own test": "import course_lib.homework.runner as r\nr.test = lambda *a: {'ok': True}",
    "what puts back": "import course_lib.homework.runner as r, numpy\nr.Kept.put_back = lambda self: False\n"
                      "numpy.isclose = lambda *a, **k: numpy.bool_(True)\ndef square(x): return 0",
    "what is told": "import json\ntell = json.dumps\njson.dumps = lambda d: tell({**d, 'ok': True})",
    "no answer": "import json, os, sys\ndef square(x):\n    frame = sys._getframe()\n"
                 "    while frame.f_code.co_name != 'main': frame = frame.f_back\n"
                 "    said = json.dumps({'nonce': frame.f_locals['step']['nonce']}).encode()\n"
                 "    for file in range(3, 30):\n        try: os.write(file, b'[' * 90_000 + b'\\n' + said + b'\\n')\n"
                 "        except OSError: pass",
    "half a character": "raise ValueError('\\ud800')",
}  # fmt: skip


@walled
@pytest.mark.slow
@pytest.mark.parametrize("what", LIES)
def test_the_process_of_an_answer_is_not_believed(tmp_path, what):
    grade = graded(tmp_path, LIES[what])
    assert (grade.points["q1_square"], grade.points["q2_cube"]) == (0, 3)
    json.dumps(asdict(grade), ensure_ascii=False).encode()


@walled
@pytest.mark.slow
def test_who_trains_a_network_is_not_taken_for_one_who_replaces_what_tests_compare_by(tmp_path):
    """The first optimizer in a process makes torch replace a function of its own."""
    train = "import torch\nw = torch.ones(1, requires_grad=True)\n_ = torch.optim.Adam([w])\n"
    assert graded(tmp_path, train + SQUARE).remarks == []


@walled
@pytest.mark.slow
@pytest.mark.parametrize("name", sheet_names())
def test_the_solution_and_the_students_version_of_a_homework_are_graded_without_a_remark(tmp_path, name):
    """Nobody who does as asked is told of anything odd."""
    pytest.importorskip("nbgrader")
    homework = read_sheet(name)
    read = sum(question.total for question in homework.questions if question.is_read)
    for sent, points in ((homework.notebook, homework.total - read), (student_version(homework), 0)):
        grade = grade_file(send(tmp_path, f"{name}.ipynb", sent), homework, Limits())
        assert (grade.remarks, grade.total) == ([], points)
    assert set(grade.kinds.values()) == {grading.LEFT}


RAISING = {  # answer to question 1 → what its test says
    "a typo in the function": ("import torch\ndef square(x):\n    return torch.sqare(x)",
                               "your answer raised AttributeError in line 3 of q1: return torch.sqare(x)"),
    "a name that is not there": ("def square(x):\n    return y",
                                 "your answer raised NameError in line 2 of q1: return y"),
    "no Python": ("def square(x:\n    return x", "the cell q1 itself raised SyntaxError: '(' was never closed (line"),
    "a loop in the cell": ("while True: pass", "the cell q1 was left out: it ran longer than 4 s."),
    "in the cell itself": ("1 / 0\ndef square(x): return x", "the cell q1 itself raised ZeroDivisionError: division"),
    "another name": ("def sqare(x): return x * x", "square is not defined: was it renamed, or its cell deleted?"),
}  # fmt: skip


@walled
@pytest.mark.slow
@pytest.mark.parametrize("way", RAISING)
def test_a_test_says_where_an_answer_raised_by_the_students_own_line(tmp_path, way):
    source, says = RAISING[way]
    grade = graded(tmp_path, source)
    assert grade.messages["q1_square"].startswith(says)
    assert "ipython" not in str(grade.remarks)
    assert grade.kinds["q1_square"] == ("ran too long" if "loop" in way else "raises")


@walled
@pytest.mark.slow
def test_an_answer_sees_neither_other_submissions_nor_hidden_tests_nor_the_graders_files(tmp_path):
    send(tmp_path / "in", "bob.ipynb", notebook())
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    places = [str(tmp_path), str(tmp_path / "in"), str(ROOT / "homework"), str(ROOT / "tests"), "/root/.ssh", "/home"]
    look = (
        f"import os\nfound = [p for p in {places!r} if os.path.exists(p) and os.listdir(p)]\n"
        "seen = [p for p in os.listdir('/proc') if p.isdigit()]\n"
        "found += [p for p in seen if b'pytest' in open(f'/proc/{p}/cmdline', 'rb').read()]\n"
        "def square(x): return x * x if not found else 0"
    )
    assert graded(tmp_path, look).points["q1_square"] == 2
    loud = "raise AssertionError(str(linecache.cache))"
    read = f"import linecache\ndef square(x):\n    {loud}"
    said = graded(tmp_path, read).messages["q1_square"]
    assert (
        said == f"your answer raised AssertionError in line 3 of q1: {loud}"
    )  # its own words are not shown: they might be a hidden test's


@walled
@pytest.mark.slow
def test_nothing_outside_its_folder_is_touched_and_nothing_is_left_running(tmp_path):
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "course_lib").rglob("*.py")}
    source = (
        "import subprocess, os, pathlib\n"
        "subprocess.Popen(['sleep', '300.125'], start_new_session=True)\n"
        f"for folder in [{str(tmp_path)!r}, {str(ROOT)!r}, '/tmp', '/usr', '/', '/var/tmp', os.getcwd()]:\n"
        "    try: pathlib.Path(folder, 'left-behind').write_text('x')\n    except OSError: pass\n" + SQUARE
    )
    assert graded(tmp_path, source).points["q1_square"] == 2
    assert not any(Path(folder, "left-behind").exists() for folder in (tmp_path, ROOT, "/tmp", "/usr", "/", "/var/tmp"))
    assert {path: path.stat().st_mtime_ns for path in (ROOT / "course_lib").rglob("*.py")} == before
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"300.125" in line for line in running)


@walled
@pytest.mark.slow
def test_a_server_of_this_machine_is_out_of_reach(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        grade = graded(tmp_path, f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=3)")
    assert "ConnectionRefusedError" in grade.remarks[0]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits are the kernel's")
def test_without_walls_limits_hold_all_the_same(tmp_path):
    if os.getuid() == 0:
        pytest.skip("without walls root stays root")
    grade = graded(tmp_path, "while True: pass", walled=False)
    assert (grade.points["q1_square"], grade.points["q2_cube"]) == (0, 3)


def test_without_bubblewrap_the_command_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    send(tmp_path / "in", "a.ipynb", notebook())
    assert command.main(["grade", str(tmp_path / "in"), "--to", str(tmp_path / "grades.csv")]) == 1
    assert "apt install bubblewrap" in capsys.readouterr().out
    assert not (tmp_path / "grades.csv").exists()


def test_walls_that_do_not_stand_are_said_and_nothing_is_graded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    monkeypatch.setattr(command, "read_sheet", lambda name: sheet())
    send(tmp_path / "in", "a.ipynb", notebook())
    line = ["grade", str(tmp_path / "in"), "--to", str(tmp_path / "grades.csv"), "--homework", "hw0_powers"]
    assert command.main(line) == 1
    assert "the process did not start: it ended Python." in capsys.readouterr().out
    assert not (tmp_path / "grades.csv").exists()


# The room


@walled
@pytest.mark.slow
def test_a_room_that_hangs_on_its_way_out_is_ended(tmp_path):
    began = time.monotonic()
    with grading.Room(Limits(cell_seconds=2), walled=True) as room:
        deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"
        step = grading.Step("answer", "q1", deaf)
        with pytest.raises(grading.Broken, match="longer than 2 s"):
            room.run(step, 2)
    assert time.monotonic() - began < 30
    assert room.process.returncode is not None
    assert threading.active_count() < 50
