"""What the documents say about the house is so: files, rooms and their order, versions, hooks, the container."""

import importlib.util
import json
import re

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from test_layers import LAYERS
from test_makefile import phony_targets

import course_lib
from course_lib.tooling.document import Document
from course_lib.tooling.files import ROOT, find_notebooks


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


CONTRIBUTING = text_of("CONTRIBUTING.md")
PLACES = ("course_lib/", "tests/", "data/", "notebooks/")


def paths_in(text: str) -> list[str]:
    """Paths in code spans, and those that ``sh`` blocks copy from or run."""
    spans = re.findall(r"`([^`\n]+)`", text) + re.findall(r"\S+", " ".join(re.findall(r"```sh\n(.*?)```", text, re.S)))
    return sorted({span for span in spans if span.startswith(PLACES) and not re.search(r"[ <]", span)})


def test_the_paths_are_found():
    found = paths_in("`tests/a.py` and `make test`, `tests/b.py::c`\n```sh\ncp data/c.h5ad x  # to x\n```\n")
    assert found == ["data/c.h5ad", "tests/a.py", "tests/b.py::c"]


@pytest.mark.parametrize("path", paths_in(CONTRIBUTING))
def test_a_file_that_contributing_names_is_there_and_one_with_a_name_of_your_own_has_examples(path):
    pattern = re.sub(r"NN_name|NN_NAME", "[0-9][0-9]_*", path).replace("NAME", "*")
    assert list(ROOT.glob(pattern.rstrip("/"))), f"no file is like {path}"


def test_every_way_to_add_something_names_its_tests_and_its_mistakes():
    sections = dict(re.findall(r"^## Add an? ([a-z ]+)\n(.*?)(?=^## )", CONTRIBUTING, re.DOTALL | re.MULTILINE))
    assert {"model", "likelihood", "batch covariate", "data set", "experiment", "notebook"} <= set(sections)
    for name in ("model", "likelihood", "batch covariate", "experiment", "notebook"):
        assert "`tests/test_" in sections[name], name
        assert "`tests/mistakes/" in sections[name], name


def test_the_table_of_rooms_is_the_order_that_is_watched():
    rows = re.findall(r"^\| (`[^|]+`) \| [^|]+ \| [^|]+ \|$", CONTRIBUTING, re.MULTILINE)
    named = [[name.strip("`").removesuffix(".py").rstrip("/") for name in row.split(", ")] for row in rows]
    floor = {name: height for height, layer in enumerate(LAYERS) for name in layer if name != "course_lib"}
    assert {name for row in named for name in row} == set(floor)
    heights = [floor[name] for row in named for name in row]
    assert heights == sorted(heights)


def test_the_first_release_in_the_changelog_is_the_version_of_the_library():
    headings = re.findall(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased:") == course_lib.__version__


def test_the_readmes_lines_run_on_cells_of_your_own():
    [lines] = re.findall(r"```python\n(.*?)```", text_of("README.md"), re.DOTALL)
    counts = np.random.default_rng(0).poisson(3.0, (40, 12))
    obs = pd.DataFrame({"batch": ["one", "two"] * 20}, index=[f"cell {n}" for n in range(40)])
    adata = AnnData(counts, obs, pd.DataFrame(index=[f"gene {g}" for g in range(12)]))
    exec(lines.replace("epochs=100", "epochs=2, progress=False"), {"adata": adata})
    assert adata.obsm["X_scVI"].shape == (40, 10)
    assert adata.layers["scvi_normalized"].shape == (40, 12)


def test_the_hooks_call_what_the_environment_holds():
    entries = re.findall(r"entry: (\S+) -m (\S+)", text_of(".pre-commit-config.yaml"))
    assert len(entries) == len(re.findall(r"- id:", text_of(".pre-commit-config.yaml"))) == 4
    assert {python for python, _ in entries} == {".venv/bin/python"}
    assert [module for _, module in entries if importlib.util.find_spec(module) is None] == []


def test_the_container_makes_the_environment_and_says_that_it_is_untested():
    first, *rest = text_of(".devcontainer/devcontainer.json").split("\n")
    assert first.startswith("// UNTESTED")
    command = json.loads("\n".join(rest))["postCreateCommand"].split()
    assert command[0] == "make"
    assert command[1] in phony_targets()


ROW = re.compile(r"\| \[[^\]]+\]\((notebooks/[^)]+\.ipynb)\) \|.*\| (\d+) \| (\d+) \|$", re.MULTILINE)
MAP = {path: (int(read), int(run)) for path, read, run in ROW.findall(text_of("README.md"))}


def test_the_map_holds_every_notebook_and_appendix():
    assert sorted(MAP) == sorted(path.relative_to(ROOT).as_posix() for path in find_notebooks())


@pytest.mark.parametrize("path", MAP)
def test_the_map_has_the_minutes_that_the_notebook_says(path):
    words = "\n".join(text for _, text in Document.read(ROOT / path).markdown)
    stated = re.search(r"\*\*Minutes\*\* \| (\d+) to read.*?(\d+) to run", words)
    assert stated is not None
    assert MAP[path] == (int(stated.group(1)), int(stated.group(2)))
