"""What is handed out: two zips that stay apart wherever they are unpacked, with a word on how to work with them."""

import importlib.util
import zipfile

import pytest

from course_lib.homework import release
from course_lib.tooling.files import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("nbgrader") is None, reason="nbgrader is not installed: pip install -e '.[classroom]'"
)
NAMES = ["hw1_autoencoders", "hw2_profiles"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    to = tmp_path_factory.mktemp("homework")
    release.release(to, NAMES)
    return to


def test_two_zips_unpacked_in_one_place_do_not_overwrite_each_other(folder, tmp_path):
    seen = []
    for who in ("students", "instructors"):
        with zipfile.ZipFile(folder / f"{who}.zip") as archive:
            seen.append(set(archive.namelist()))
            assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}, "anybody may read them"
            archive.extractall(tmp_path)
    files = [*(f"{name}.ipynb" for name in NAMES), "README.txt"]
    assert seen == [{f"{where}/{name}" for name in files} for where in ("my_homework", "homework_SOLUTIONS")]
    for name in NAMES:
        assert "BEGIN SOLUTION" not in (tmp_path / "my_homework" / f"{name}.ipynb").read_text(encoding="utf-8")
        assert "BEGIN SOLUTION" in (tmp_path / "homework_SOLUTIONS" / f"{name}.ipynb").read_text(encoding="utf-8")


def test_what_lies_beside_the_students_notebooks_is_the_guides_section(folder):
    text = (folder / "students" / "README.txt").read_text(encoding="utf-8")
    guide = (ROOT / "docs" / "student.md").read_text(encoding="utf-8")
    assert "Restart Kernel and Run All Cells" in text
    assert "my_homework" in text
    assert "](" not in text, "a link leads nowhere out of a zip"
    assert max(map(len, text.splitlines())) <= 100
    assert " ".join(text.split("\n", 2)[2].split()) in " ".join(guide.replace("*", "").split())
    assert "Not for students" in (folder / "instructors" / "README.txt").read_text(encoding="utf-8")


def test_the_same_source_gives_the_same_bytes(folder, tmp_path):
    release.release(tmp_path / "again", NAMES)
    for who in ("students", "instructors"):
        assert (tmp_path / "again" / f"{who}.zip").read_bytes() == (folder / f"{who}.zip").read_bytes()


def test_a_folder_that_holds_anything_else_is_left_alone(folder, tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ValueError, match=r"found thesis\.txt in it; name another"):
        release.release(tmp_path, NAMES)
    with pytest.raises(FileNotFoundError, match="expected one of"):
        release.release(folder, ["hw99"])
    assert (folder / "students.zip").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_copy_of_the_course_without_solutions_says_so_and_leaves_the_folder(tmp_path):
    (tmp_path / "kept.txt").touch()
    with pytest.raises(FileNotFoundError, match="found none: this copy of the course has no solutions"):
        release.release(tmp_path, source=tmp_path / "homework" / "source")
    assert (tmp_path / "kept.txt").exists()


def test_git_leaves_the_unpacked_homework_alone():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {f"/{name}/" for name in release.FOLDERS.values()} <= set(ignored)
