"""The doctor on Windows, in a clone that was reached by another name, and in one that may not be written."""

import importlib
import json
import nturl2path
import os
import sys
from pathlib import Path

import pytest

from course_lib.tooling import doctor


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///C:/Users/me/my%20course", r"C:\Users\me\my course"),
        ("file:///c:/K%C3%B6ln", "C:\\Köln"),
        ("file://localhost/C:/course", r"C:\course"),
        ("file://server/share/course", r"\\server\share\course"),
    ],
)
def test_a_file_url_is_a_path_of_windows_on_windows(url, expected, monkeypatch):
    monkeypatch.setattr(doctor, "url2pathname", nturl2path.url2pathname)
    assert doctor.path_of_url(url) == expected


@pytest.mark.skipif(os.name == "nt", reason="paths of the other systems")
@pytest.mark.parametrize(
    ("url", "expected"),
    [("file:///srv/my%20course", "/srv/my course"), ("file://localhost/srv/K%C3%B6ln", "/srv/Köln"), ("", "")],
)
def test_a_file_url_is_a_path_of_this_system_elsewhere(url, expected):
    assert doctor.path_of_url(url) == expected


@pytest.fixture
def installed_from(tmp_path, monkeypatch):
    """Install the course, as pip would leave it, from a folder."""
    site = tmp_path / "site-packages"
    metadata = site / "course_lib-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.4\nName: course-lib\nVersion: 0.1.0\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(site)])

    def install(folder: Path) -> None:
        origin = {"url": folder.as_uri(), "dir_info": {"editable": True}}
        (metadata / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
        importlib.invalidate_caches()

    return install


@pytest.mark.parametrize("name", ["course", "my course", "Köln %41"])
def test_this_folder_is_known_whatever_its_name_and_by_whichever_link_it_was_installed(name, tmp_path, installed_from):
    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    for origin in (folder, tmp_path / "link"):
        installed_from(origin)
        assert [finding.level for finding in doctor.check_editable(folder)] == ["ok"]


@pytest.mark.parametrize("there", [True, False])
def test_another_folder_is_named_as_this_system_writes_it_whether_or_not_it_is_still_there(
    there, tmp_path, installed_from
):
    other = tmp_path / "the other one"
    if there:
        other.mkdir()
    installed_from(other)
    (finding,) = doctor.check_editable(tmp_path)
    assert (finding.level, finding.text) == ("wrong", f"course_lib is installed from another folder, {other}")


@pytest.mark.parametrize("closed", ["", "notebooks", "build"])
def test_a_folder_that_may_not_be_written_is_wrong_and_says_what_to_do(closed, tmp_path, monkeypatch):
    for name in ("notebooks", "build"):
        (tmp_path / name).mkdir()
    assert [finding.level for finding in doctor.check_writable(tmp_path)] == ["ok"]
    monkeypatch.setattr(os, "access", lambda path, mode: (Path(path), mode) != (tmp_path / closed, os.W_OK))
    (finding,) = doctor.check_writable(tmp_path)
    assert finding.level == "wrong"
    assert f"you may not write in {tmp_path / closed}" in finding.text
    assert finding.mend.startswith(f'git clone "{tmp_path}" course')


def test_the_whole_examination_looks_whether_the_folder_may_be_written(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for other in ("check_dependencies", "check_editable", "check_data"):
        monkeypatch.setattr(doctor, other, lambda root: [])
    for other in ("check_torch", "check_kernel", "check_memory", "check_originals"):
        monkeypatch.setattr(doctor, other, list)
    assert [finding.level for finding in doctor.examine()] == ["ok", "wrong"]
