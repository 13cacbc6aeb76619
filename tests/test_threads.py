"""The thread policy: one thread unless asked, whatever is imported first."""

import os
import re
import subprocess
import sys

import pytest

from course_lib import threads
from course_lib.tooling.files import ROOT


def run_python(code: str, **variables: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "COURSE_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=clean | variables, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("order", ["import course_lib, torch", "import torch, course_lib"])
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "1 1"),
        ({"OMP_NUM_THREADS": "2"}, "2 2"),
        ({"COURSE_THREADS": "2"}, "2 2"),
        ({"COURSE_THREADS": "2", "OMP_NUM_THREADS": "1"}, "2 2"),
    ],
)
def test_one_thread_unless_asked_whatever_is_imported_first(order, variables, expected):
    code = f"{order}; import os; print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])"
    assert run_python(code, **variables) == expected


def test_importing_the_course_alone_loads_no_library():
    heavy = run_python("import course_lib, sys; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])")
    assert heavy == "[]"


@pytest.mark.parametrize("variable", ["COURSE_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5", "²"])
def test_a_number_of_threads_that_is_none_is_refused_by_name(variable, text, monkeypatch):
    monkeypatch.delenv("COURSE_THREADS", raising=False)
    monkeypatch.setenv(variable, text)
    with pytest.raises(
        ValueError, match=rf"{variable}: expected a whole number .*found '{re.escape(text)}'.*set {variable}=1"
    ):
        threads.requested_threads()


def test_a_list_of_nested_levels_counts_by_its_first_number(monkeypatch):
    monkeypatch.delenv("COURSE_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert threads.requested_threads() == 4
    threads.apply_thread_policy()
    assert os.environ["OMP_NUM_THREADS"] == "4,2"
