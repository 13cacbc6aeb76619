"""Every deliberate mistake is noticed by the test that is named for it."""

import json
import subprocess
import sys

import pytest
from mistakes import ROOT, Mistake, copy_with, read_mistakes

MISTAKES = read_mistakes()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("mistakes") / "outcomes.json"
    command = [sys.executable, ROOT / "tests" / "mistakes.py", "--json", path]
    run = subprocess.run(command, capture_output=True, text=True)
    assert path.exists(), run.stderr
    return json.loads(path.read_text())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_the_mistake_is_killed(mistake, outcomes):
    assert outcomes[mistake.name] == "killed", outcomes[mistake.name]


def test_names_are_unique():
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)


def test_a_mistake_out_of_step_with_the_library_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 times, expected once"):
        copy_with(Mistake("gone", "course_lib/networks.py", "no such line", "", "tests/test_networks.py"), tmp_path)
