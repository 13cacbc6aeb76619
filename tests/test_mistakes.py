"""Every deliberate mistake is noticed by the test that is named for it."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from mistakes import ROOT, Mistake, choose, copy_with, outcome, read_mistakes

pytestmark = pytest.mark.slow
MISTAKES = read_mistakes()


@pytest.fixture(scope="class")
def outcomes(request, tmp_path_factory) -> dict[str, str]:
    """Of every mistake of this class that was asked for, all in one process."""
    of_class = [item for item in request.session.items if getattr(item, "cls", None) is request.cls]  # cells have none
    names = [item.callspec.params["mistake"].name for item in of_class]
    path = tmp_path_factory.mktemp("mistakes") / "outcomes.json"
    command = [sys.executable, ROOT / "tests" / "mistakes.py", "--json", path, "--exactly", *names]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert path.exists(), run.stderr
    return json.loads(path.read_text(encoding="utf-8"))


class EachIsKilled:
    def test_the_mistake_is_killed(self, mistake, outcomes):
        if mistake.needs and importlib.util.find_spec(mistake.needs) is None:
            pytest.skip(f"{mistake.needs} is not installed, and the test named for this mistake needs it")
        assert outcomes[mistake.name] == "killed", outcomes[mistake.name]


# Two classes: the Makefile's `--dist loadscope` gives each to a worker of its own, the largest classes and files first.


@pytest.mark.parametrize("mistake", MISTAKES[::2], ids=lambda mistake: mistake.name)
class TestOneHalf(EachIsKilled):
    pass


@pytest.mark.parametrize("mistake", MISTAKES[1::2], ids=lambda mistake: mistake.name)
class TestTheOtherHalf(EachIsKilled):
    pass


def test_names_are_unique():
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)


def test_a_mistake_out_of_step_with_the_library_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 times, expected once"):
        copy_with(Mistake("gone", "course_lib/networks.py", "no such line", "", "tests/test_networks.py"), tmp_path)


ENTRY = """[[mistake]]
name = "x"
file = "course_lib/data/toys.py"
before = "a"
after = "b"
killed_by = "tests/test_toys.py::test_σ"
"""


def test_mistakes_are_chosen_by_part_of_their_name_or_file_or_by_their_whole_names():
    named = [("KL: a sign", "gaussian"), ("a mean", "kl"), ("a sum", "bounds")]
    some = [replace(MISTAKES[0], name=name, file=f"course_lib/probability/{file}.py") for name, file in named]
    assert choose(some, "kl") == some[:2]
    assert choose(some, names=["a mean", "KL"]) == some[1:2]
    assert choose(some) == some


def test_all_files_of_the_folder_are_read_in_the_order_of_their_names(tmp_path):
    (tmp_path / "mistakes").mkdir()
    (tmp_path / "mistakes" / "data.toml").write_text(ENTRY, encoding="utf-8")
    of_the_top = ENTRY.replace("data/toys", "threads").replace('"x"', '"y"')
    (tmp_path / "mistakes" / "course_lib.toml").write_text(of_the_top, encoding="utf-8")
    assert [mistake.name for mistake in read_mistakes(tmp_path / "mistakes")] == ["y", "x"]
    assert len(MISTAKES) > 100


def test_a_mistake_that_stands_elsewhere_is_refused(tmp_path):
    folder = tmp_path / "mistakes"
    folder.mkdir()
    (folder / "models.toml").write_text(ENTRY, encoding="utf-8")
    with pytest.raises(ValueError, match=r"x: expected in data\.toml, found in models\.toml; move it there"):
        read_mistakes(folder)
    (folder / "models.toml").rename(tmp_path / "mistakes.toml")
    with pytest.raises(ValueError, match=r"mistakes\.toml: expected no such file.*Move what it holds"):
        read_mistakes(folder)


@pytest.mark.parametrize("mistake", MISTAKES[:1], ids=lambda mistake: mistake.name)
def test_a_system_that_cannot_fork_starts_a_process_instead(mistake, monkeypatch):
    monkeypatch.delattr("os.fork")
    assert outcome(mistake) == "killed"
    lives = replace(mistake, after=mistake.before)
    assert outcome(lives).startswith("lives")
