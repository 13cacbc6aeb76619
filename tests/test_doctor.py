"""The doctor: what it says of Python, packages, data and kernel, and what it tells you to type."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course_lib.tooling import doctor, environment
from course_lib.tooling.files import ROOT


def levels(findings: list[doctor.Finding]) -> list[str]:
    return [finding.level for finding in findings]


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 4), (3, 13, 0)])
def test_doctor_accepts_the_pythons_that_are_declared(version):
    assert levels(doctor.check_python(version)) == ["ok"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(".".join(map(str, version)))


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 10, 13), (3, 14, 0), (4, 0, 0)])
def test_doctor_names_a_python_out_of_range_and_what_to_type(version):
    (finding,) = doctor.check_python(version)
    assert finding.level == "wrong"
    assert ".".join(map(str, version)) in finding.text
    assert "3.11 to 3.13" in finding.text
    assert finding.mend.startswith("make env PYTHON=python3.13")


def test_doctor_judges_an_old_python_in_a_syntax_that_it_reads():
    for name in ("__init__.py", "threads.py", "console.py", "tooling/__init__.py", "tooling/doctor.py"):
        ast.parse((ROOT / "course_lib" / name).read_text(encoding="utf-8"), feature_version=(3, 8))


EXTRA_PACKAGES = (
    "scvi-tools", "scikit-image", "pyro-ppl", "lightning", "nbgrader", "harmonypy", "scib-metrics", "myst-nb",
    "sphinx-book-theme", "axe-playwright-python",
)  # fmt: skip


@pytest.fixture
def peer_installed(monkeypatch):
    """As if the extras `peer`, `pyro`, `classroom`, `site` and `benchmark` were here, whether or not they are."""
    version, pins = importlib.metadata.version, environment.pinned_versions(ROOT)
    extras = {name: pins[name] for name in EXTRA_PACKAGES}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: extras.get(name) or version(name))


def missing(package: str, monkeypatch: pytest.MonkeyPatch) -> doctor.Finding:
    """What the doctor says where this package is not installed."""
    version = importlib.metadata.version

    def without_it(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_it)
    (finding,) = doctor.check_dependencies()
    return finding


def test_doctor_names_a_missing_package_and_what_to_type(peer_installed, monkeypatch):
    finding = missing("scanpy", monkeypatch)
    assert (finding.level, finding.text) == ("wrong", "scanpy is not installed")
    assert finding.mend.startswith("make env ")


def test_doctor_only_notes_a_missing_package_that_nothing_but_the_tests_need(peer_installed, monkeypatch):
    finding = missing("nbval", monkeypatch)
    assert (finding.level, finding.text) == ("note", "nbval is not installed; `make test` needs it")


@pytest.mark.parametrize(
    "package, who",
    [
        ("scvi-tools", "notebook 09 and comparisons need it"),
        ("scikit-image", "notebook 09 and comparisons need it"),
        ("pyro-ppl", "notebook 12 needs it"),
        ("nbgrader", "`make homework` needs it"),
        ("sphinx-book-theme", "`make site` needs it"),
        ("scib-metrics", "only comparisons need it"),
    ],
)
def test_doctor_only_notes_that_another_program_is_missing_and_what_it_is_for(
    package, who, peer_installed, monkeypatch
):
    finding = missing(package, monkeypatch)
    assert (finding.level, finding.text) == ("note", f"{package} is not installed; {who}")


def test_doctor_names_a_version_out_of_range_with_the_range(peer_installed, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.4.2" if name == "numpy" else version(name))
    (finding,) = doctor.check_dependencies()
    assert finding.level == "wrong"
    assert finding.text.startswith("numpy is 1.4.2; the course needs ")
    assert ">=2" in finding.text


def test_doctor_takes_a_build_with_a_local_tag_for_its_version(peer_installed, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.9.0+cpu" if name == "torch" else version(name))
    assert levels(doctor.check_dependencies()) == ["ok"]


def install(site: Path, origin: dict | None) -> None:
    """What pip leaves in site-packages of an installation of the course."""
    metadata = site / "course_lib-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.4\nName: course-lib\nVersion: 0.1.0\n", encoding="utf-8")
    if origin is not None:
        (metadata / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")


@pytest.mark.parametrize(
    ("origin", "level", "words"),
    [
        ({"url": ROOT.as_uri(), "dir_info": {"editable": True}}, "ok", "from this folder, editable"),
        ({"url": ROOT.as_uri(), "dir_info": {}}, "wrong", "as a copy"),
        (None, "wrong", "as a copy"),
        ({"url": (ROOT.parent / "elsewhere").as_uri(), "dir_info": {"editable": True}}, "wrong", "another folder"),
    ],
)
def test_doctor_tells_where_the_library_is_installed_from(origin, level, words, tmp_path, monkeypatch):
    install(tmp_path, origin)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (finding,) = doctor.check_editable()
    assert finding.level == level
    assert words in finding.text
    assert ("pip install --no-deps -e ." in finding.mend) is (level == "wrong")


def test_doctor_is_not_misled_by_metadata_that_lie_in_the_folder_itself(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    install(tmp_path, None)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(site)])
    (finding,) = doctor.check_editable(tmp_path)
    assert (finding.level, "not installed" in finding.text) == ("wrong", True)
    install(site, {"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    importlib.invalidate_caches()
    assert levels(doctor.check_editable(tmp_path)) == ["ok"]


def test_doctor_names_the_data_files_that_are_gone(tmp_path):
    data = tmp_path / "data"
    assert levels(doctor.check_data(tmp_path)) == ["wrong"]
    data.mkdir()
    record = {"bytes": 1, "sha256": hashlib.sha256(b"1").hexdigest()}
    (data / "hashes.json").write_text(json.dumps({"first": record, "second": record}), encoding="utf-8")
    (data / "first.h5ad").write_bytes(b"1")
    assert doctor.check_data(tmp_path)[0].text.endswith("not as committed: data/second.h5ad: no such file")
    (data / "second.h5ad").write_bytes(b"1")
    assert levels(doctor.check_data(tmp_path)) == ["ok"]


def test_doctor_names_a_data_file_deleted_from_a_clone(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("first.h5ad", "second.csv"):
        (tmp_path / "data" / name).write_bytes(b"1")
    record = {"bytes": 1, "sha256": hashlib.sha256(b"1").hexdigest()}
    (tmp_path / "data" / "hashes.json").write_text(json.dumps({"first": record}), encoding="utf-8")
    for arguments in (["init", "-q"], ["add", "data"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert levels(doctor.check_data(tmp_path)) == ["ok"]
    (tmp_path / "data" / "second.csv").write_bytes(b"")
    (finding,) = doctor.check_data(tmp_path)
    text = "1 data files are not as committed: data/second.csv: an empty file"
    assert (finding.text, finding.mend) == (text, "git checkout -- data")


def test_doctor_says_so_when_torch_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it now fails
    (finding,) = doctor.check_torch()
    assert finding.level == "wrong"
    assert finding.text.startswith("PyTorch does not work: ModuleNotFoundError")


def test_doctor_sees_a_kernel_of_another_environment(tmp_path, monkeypatch):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/elsewhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    assert levels(doctor.check_kernel()) == ["ok"]
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (finding,) = doctor.check_kernel()
    assert finding.level == "wrong"
    assert "/elsewhere/bin/python" in finding.text
    assert "ipykernel install --sys-prefix" in finding.mend


@pytest.mark.parametrize(("value", "level"), [("", "note"), ("no/such/folder", "wrong"), (str(ROOT), "ok")])
def test_doctor_looks_where_course_originals_points(value, level, monkeypatch):
    monkeypatch.setenv("COURSE_ORIGINALS", value)
    assert levels(doctor.check_originals()) == [level]


@pytest.mark.parametrize(("present", "status"), [(True, 0), (False, 1)])
def test_doctor_ends_with_a_verdict_and_a_status(present, status, monkeypatch, capsys):
    found = [doctor.Finding("ok", "well"), *([] if present else [doctor.Finding("wrong", "x is not there", "make x")])]
    monkeypatch.setattr(doctor, "examine", lambda: found)
    assert doctor.main([]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ well"
    if present:
        assert lines[-1] == "This installation is all right."
    else:
        assert lines[1:] == ["✗ x is not there", "    type: make x", "1 to mend, from the top."]
