"""Executing, normalising and rendering notebooks, and running their answers."""

import copy
import html
import json
import re
import sys
from urllib.parse import unquote

import nbformat
import pytest

from course_lib.quiz import QUIZZES
from course_lib.tooling import execute, files, normalise, render
from course_lib.tooling.answers import run_answers
from course_lib.tooling.document import Document, alts_in, anchor, figures

ALT = 'Bars: "ours" < theirs & both above 0.5, the dashed line of chance'
DRAW = f"from course_lib.figures.style import plt, show\nfig, ax = plt.subplots()\nshow(fig, alt={ALT!r})"


def notebook(*sources):
    cells = [nbformat.v4.new_markdown_cell("# 09 · A title")]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"
    return nbformat.v4.new_notebook(cells=cells)


# --- normalise ------------------------------------------------------------------------------------------------------


def untidy():
    nb = notebook("print(1)   \n", "1 + 1")
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "my-env", "display_name": "My env", "language": "python"},
            "language_info": {"name": "python", "version": "3.11.4"},
            "widgets": {"application/vnd.jupyter.widget-state+json": {}},
        }
    )
    first, second = nb.cells[1:]
    first.metadata |= {
        "slideshow": {"slide_type": "slide"},
        "talk": {"show": "code"},
        "execution": {"iopub.status.busy": "2024-01-01"},
        "collapsed": False,
        "tags": ["slow"],
    }
    first.execution_count, second.execution_count = 1, 2
    first.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="epoch 1\repoch 2\r"),
        nbformat.v4.new_output("stream", name="stdout", text="epoch 3\n"),
        nbformat.v4.new_output("stream", name="stderr", text="warning\n"),
        nbformat.v4.new_output("stream", name="stdout", text=f"read {files.ROOT}/data/pbmc3k.h5ad\n"),
    ]
    data = {"text/plain": "2", "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    second.outputs = [
        nbformat.v4.new_output("execute_result", data=data, execution_count=9, metadata={"isolated": True})
    ]
    return nb


def test_normalising_keeps_content_and_drops_the_machine():
    nb = normalise.normalise(untidy())
    assert nb.metadata == {"kernelspec": normalise.KERNEL, "language_info": {"name": "python"}}
    first, second = nb.cells[1:]
    assert first.source == "print(1)"
    assert first.metadata == {"tags": ["slow"], "talk": {"show": "code"}}
    assert [(o.name, o.text) for o in first.outputs] == [
        ("stdout", "epoch 3\n"),
        ("stderr", "warning\n"),
        ("stdout", "read data/pbmc3k.h5ad\n"),
    ]
    assert second.outputs[0] == {
        "output_type": "execute_result",
        "data": {"text/plain": "2"},
        "metadata": {},
        "execution_count": 2,
    }


def test_normalising_twice_changes_nothing():
    once = normalise.normalise(untidy())
    assert normalise.to_text(normalise.normalise(once)) == normalise.to_text(once)


def test_normalising_leaves_its_argument_alone():
    nb = untidy()
    before = copy.deepcopy(nb)
    normalise.normalise(nb)
    assert nb == before


def test_normalising_keeps_ids_and_gives_one_where_it_is_missing_or_taken():
    nb = notebook("1", "2", "3")
    del nb.cells[1]["id"]
    nb.cells[3].id = nb.cells[2].id
    assert [cell.id for cell in normalise.normalise(nb).cells] == ["cell-0", "cell-01", "cell-2", "cell-03"]


def test_normalising_keeps_alternative_text_and_the_printed_objects_name():
    nb = notebook("show()")
    metadata = {"image/png": {"alt": "text"}, "source_of": "course_lib.notebook.check", "doc": True, "other": 1}
    nb.cells[1].outputs = [nbformat.v4.new_output("display_data", data={"image/png": "aGk=\n"}, metadata=metadata)]
    output = normalise.normalise(nb).cells[1].outputs[0]
    assert output.data == {"image/png": "aGk="}
    assert output.metadata == {key: metadata[key] for key in ("image/png", "source_of", "doc")}


def test_check_mode_names_what_would_change_and_changes_nothing(tmp_path, capsys):
    path = tmp_path / "09.ipynb"
    nbformat.write(untidy(), path)
    before = path.read_bytes()
    assert normalise.main(["--check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "09.ipynb: notebook metadata: found" in out
    assert "09.ipynb: cell 1: outputs is not normalised" in out
    assert path.read_bytes() == before

    assert normalise.main([str(path)]) == 0
    assert normalise.main(["--check", str(path)]) == 0
    assert capsys.readouterr().out == "09.ipynb: normalised\n"


def test_check_mode_sees_a_file_laid_out_by_another_tool(tmp_path):
    path = tmp_path / "09.ipynb"
    normalise.write(notebook("1"), path)
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert normalise.differences(path) == ["file is not laid out as nbformat writes it"]


def test_a_name_that_fits_no_notebook_is_answered_with_those_there_are():
    with pytest.raises(FileNotFoundError, match="no notebook named 'nonsense'; there are: "):
        files.find_notebooks(["nonsense"])


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """Two lessons and two appendices, in a course of their own."""
    root = tmp_path.resolve() / "notebooks"
    monkeypatch.setattr(files, "NOTEBOOKS", root)
    monkeypatch.setattr(files, "APPENDIX", root / "appendix")
    (root / "appendix").mkdir(parents=True)
    for name in ("01_b", "00_a", "appendix/sources", "appendix/loop"):
        normalise.write(notebook("import os\nprint(os.getcwd())"), root / f"{name}.ipynb")
    return root


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ["00_a", "01_b", "appendix/loop", "appendix/sources"]),
        (["sources"], ["appendix/sources"]),
        (["appendix/sources", "01"], ["appendix/sources", "01_b"]),
        (["appendix"], ["appendix/loop", "appendix/sources"]),
    ],
)
def test_appendices_follow_the_lessons_and_go_by_their_names(names, expected, small_course):
    found = files.find_notebooks(names)
    assert found == [small_course / f"{name}.ipynb" for name in expected]
    assert [files.name_of(path) for path in found] == expected


def test_a_file_elsewhere_goes_by_its_stem(small_course, tmp_path):
    assert files.name_of(tmp_path / "appendix" / "mine.ipynb") == "mine"


def test_a_broken_appendix_is_brought_back_from_its_folder(small_course):
    path = small_course / "appendix" / "sources.ipynb"
    path.write_bytes(b"")
    with pytest.raises(files.NotANotebook, match=r"git checkout -- notebooks/appendix/sources\.ipynb"):
        files.read(path)


# --- execute --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good_run():
    """One kernel, many questions."""
    return execute.execute(
        notebook(
            "import os, sys\nprint(sys.executable)\nprint(os.getcwd())",
            "import course_lib\nprint(course_lib.__file__)",
            DRAW,
            "import socket\n"
            "try:\n    socket.socket().connect(('192.0.2.1', 80))\nexcept OSError as error:\n    print(error)",
            "from urllib.request import urlopen\n"
            "try:\n    urlopen('http://example.org')\nexcept OSError as error:\n    print(error)",
            "server = socket.create_server(('127.0.0.1', 0))\n"
            "client = socket.create_connection(server.getsockname())\n"
            "client.close(), server.close()\nprint('loopback')",
        )
    )


def printed(run, index):
    return "".join(output.get("text", "") for output in run.notebook.cells[index].outputs)


def test_a_notebook_runs_in_this_python_from_its_folder(good_run):
    assert good_run.failure is None
    assert printed(good_run, 1) == f"{sys.executable}\n{files.NOTEBOOKS}\n"


def test_a_notebook_runs_this_checkouts_library(good_run):
    assert printed(good_run, 2) == f"{files.ROOT / 'course_lib' / '__init__.py'}\n"


def test_cells_are_numbered_from_one_in_a_clean_kernel(good_run):
    assert [cell.execution_count for cell in good_run.notebook.cells[1:]] == [1, 2, 3, 4, 5, 6]


def test_a_figure_is_drawn_once_with_its_alternative_text(good_run):
    [figure] = figures(good_run.notebook.cells)
    assert (figure.cell, figure.alt) == (3, ALT)
    assert len(good_run.notebook.cells[3].outputs) == 1


def test_a_notebook_that_reaches_for_the_network_is_told_so(good_run):
    assert "run without a network; this one reached for 192.0.2.1" in printed(good_run, 4)
    assert "run without a network; this one looked up example.org" in printed(good_run, 5)


def test_loopback_stays_open(good_run):
    assert printed(good_run, 6) == "loopback\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read where Linux keeps it")
def test_a_kernels_peak_of_memory_is_told_and_forgets_no_kernel_before_it(capsys, tmp_path):
    """A large one first, then a small one: each has its own, and the course says the larger."""
    large, small = tmp_path / "90_large.ipynb", tmp_path / "91_small.ipynb"
    normalise.write(notebook("held = b'x' * 2**30\ndel held"), large)  # given back before the end
    normalise.write(notebook("1"), small)
    assert execute.course([large, small], tmp_path / "build") == []
    first, second, total = [float(found) for found in re.findall(r"([\d.]+) GiB", capsys.readouterr().out)]
    assert 1 <= first <= 1.5
    assert 0 < second <= 0.3
    assert total == first


def test_seconds_are_kept_for_each_code_cell(good_run):
    assert list(good_run.seconds) == [1, 2, 3, 4, 5, 6]
    assert 0 < sum(good_run.seconds.values()) < good_run.total


def test_a_failing_cell_is_named_with_its_line_and_its_error():
    run = execute.execute(notebook("a = 1", "b = a\nb / 0", "c = 3"))
    assert run.failure == "cell 3 of 4 (code cell 2), at: b / 0\n    ZeroDivisionError: division by zero"
    assert list(run.seconds) == [1]


@pytest.mark.slow
def test_a_cell_that_hangs_is_stopped():
    run = execute.execute(notebook("import time; time.sleep(60)"), timeout=1)
    assert run.failure == "cell 2 of 2 (code cell 1), at: import time; time.sleep(60)\n    no end after 1 s"


@pytest.mark.slow
def test_a_kernel_that_dies_is_reported():
    run = execute.execute(notebook("import os", "os._exit(1)"))
    assert run.failure is not None
    assert run.failure.startswith("cell 3 of 3 (code cell 2), at: os._exit(1)\n    the kernel died")
    assert run.memory is None


@pytest.mark.slow
def test_the_course_goes_on_after_a_failure_and_reports_it(tmp_path, capsys):
    paths = [tmp_path / "08_bad.ipynb", tmp_path / "09_good.ipynb"]
    nbformat.write(notebook("1 / 0"), paths[0])
    good = notebook(DRAW)
    good.cells[1].metadata["talk"] = {"show": "figure"}  # an answer that its run alone can give
    nbformat.write(good, paths[1])
    before = [path.read_bytes() for path in paths]

    assert execute.course(paths, tmp_path / "build", times=1) == [paths[0]]

    out = capsys.readouterr().out
    assert "08_bad … FAILED after" in out
    assert "08_bad.ipynb, cell 2 of 2 (code cell 1), at: 1 / 0\n    ZeroDivisionError" in out
    assert "09_good … " in out
    assert "s, 1 code cells, 1 figures" in out
    assert "s  cell 2: from course_lib.figures.style import plt, show" in out
    assert "1 of 2 notebooks passed" in out
    assert "failed: 08_bad" in out
    assert [path.read_bytes() for path in paths] == before
    built = sorted(str(path.relative_to(tmp_path / "build")) for path in (tmp_path / "build").rglob("*.*"))
    assert built == [
        ".lock",
        "figures/09_good/01_cell02.png",
        "figures/09_good/01_cell02.txt",
        "notebooks/08_bad.ipynb",
        "notebooks/09_good.ipynb",
        "pages/08_bad.html",
        "pages/09_good.html",
        "pages/assets/mathjax/tex-svg-full.js",
        "slides/09_good.slides.html",
        "slides/assets/mathjax/tex-svg-full.js",
        "slides/assets/reveal/notes.js",
        "slides/assets/reveal/reveal.css",
        "slides/assets/reveal/reveal.js",
    ]


@pytest.mark.slow
def test_an_appendix_runs_in_its_own_folder_and_is_built_into_one(small_course, tmp_path, capsys):
    build = tmp_path / "build"
    assert execute.course(files.find_notebooks(["01", "sources"]), build) == []
    assert "appendix/sources … " in capsys.readouterr().out
    built = {str(path.relative_to(build)) for path in build.rglob("*.*ml")}
    assert built == {"pages/01_b.html", "pages/appendix/sources.html"}  # none of the two holds a talk
    copy = files.read(build / "notebooks" / "appendix" / "sources.ipynb")
    assert copy.cells[1].outputs[0].text == f"{small_course / 'appendix'}\n"


def test_in_place_writes_a_normalised_file_and_leaves_a_failing_one_alone(tmp_path, capsys):
    good, bad = tmp_path / "good.ipynb", tmp_path / "bad.ipynb"
    nbformat.write(notebook("print('out')"), good)
    nbformat.write(notebook("raise SystemError('no')"), bad)
    before = bad.read_bytes()
    assert execute.main(["--in-place", str(good), str(bad)]) == 1
    assert normalise.differences(good) == []
    assert nbformat.read(good, as_version=4).cells[1].outputs[0].text == "out\n"
    assert bad.read_bytes() == before
    assert "SystemError: no" in capsys.readouterr().out


def test_the_command_refuses_an_unknown_name(capsys):
    with pytest.raises(SystemExit):
        execute.main(["--course", "nonsense"])
    assert "no notebook named 'nonsense'" in capsys.readouterr().err


# --- render ---------------------------------------------------------------------------------------------------------


def test_a_page_carries_the_alternative_text_exactly(good_run):
    assert alts_in(render.page(good_run.notebook, "09")) == [ALT]


def test_a_page_loads_nothing_from_elsewhere():
    page = render.page(notebook("1"), "09")
    loaded = re.findall(r"""<(?:script|link|img)\b[^>]*?(?:src|href)=["']([^"']+)""", page)
    assert loaded == ["assets/mathjax/tex-svg-full.js"]
    assert "import(" not in page


def test_links_between_notebooks_become_links_between_pages_and_others_stay():
    nb = notebook("1")
    nb.cells[0].source = (
        "# A\n\n[a](../03_vae_elbo.ipynb#The-bound,-in-four-lines) [b](sources.ipynb) [c](#A) "
        "[d](https://example.org/x.ipynb) `e.ipynb`"
    )
    nb.cells[1].outputs = [nbformat.v4.new_output("display_data", data={"text/markdown": "[f](../05_x.ipynb#%CF%81)"})]
    links = re.findall(r'href="([^"]*)"', render.page(nb, "09"))
    expected = ["../03_vae_elbo.html#The-bound,-in-four-lines", "sources.html", "#A", "https://example.org/x.ipynb"]
    assert [link for link in links if link in expected] == ["#A", *expected]  # the heading's own anchor comes first
    assert "../05_x.html#%CF%81" in links
    assert "e.ipynb</code>" in render.page(nb, "09")


def test_a_page_brings_its_quiz_along_to_where_its_link_leads(tmp_path):
    nb = notebook("1")
    nb.cells[0].source = "# A\n\n[the quiz](../docs/quizzes/03_vae_elbo.md)"
    page = render.write_page(nb, "03_vae_elbo", tmp_path / "pages")
    (link,) = re.findall(r'href="([^"]*quizzes[^"]*)"', page.read_text(encoding="utf-8"))
    quiz = (page.parent / link).resolve()
    assert quiz == tmp_path / "docs" / "quizzes" / "03_vae_elbo.html"
    written = (QUIZZES / "03_vae_elbo.md").read_text(encoding="utf-8")
    assert quiz.read_text(encoding="utf-8").count("<summary>") == written.count("<summary>") > 20
    assert (quiz.parent / "assets" / "mathjax" / "tex-svg-full.js").is_file()


@pytest.mark.slow
def test_a_heading_has_the_anchor_that_pages_give_it():
    for path in files.find_notebooks():
        document = Document.read(path)
        ids = re.findall(r'<h\d id="([^"]*)"', render.page(document.nb, document.name))
        assert len(ids) == len(document.headings)
        for heading, given in zip(document.headings, ids, strict=True):  # a browser looks as written, then decoded
            assert html.unescape(given) in (anchor(heading), unquote(anchor(heading)))


def test_a_figure_without_text_gets_none_invented(good_run):
    nb = copy.deepcopy(good_run.notebook)
    nb.cells[3].outputs[0].metadata = nbformat.from_dict({})
    assert alts_in(render.page(nb, "09")) == [""]


def test_the_pages_title_is_the_first_heading():
    assert "<title>09 · A title</title>" in render.page(notebook("1"), "09")
    assert render.title(nbformat.v4.new_notebook(), "otherwise") == "otherwise"


def test_figures_are_exported_with_their_text_and_old_ones_go(good_run, tmp_path):
    (tmp_path / "07_cell99.png").write_bytes(b"old")
    [path] = render.export_figures(good_run.notebook, tmp_path)
    assert path.name == "01_cell04.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".txt").read_text() == ALT + "\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01_cell04.png", "01_cell04.txt"]


def test_the_command_writes_pages_slides_and_figures(good_run, tmp_path, capsys):
    path = tmp_path / "09_a.ipynb"
    nb = copy.deepcopy(good_run.notebook)
    nb.cells[3].metadata["talk"] = nbformat.from_dict({"show": "figure"})
    normalise.write(nb, path)
    for kind in ([], ["--slides"], ["--figures"]):
        assert render.main([*kind, "--to", str(tmp_path / "out"), str(path)]) == 0
    written = [
        tmp_path / "out" / name for name in ("pages/09_a.html", "slides/09_a.slides.html", "figures/09_a/01_cell04.png")
    ]
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if not line.startswith("Open one in a browser")] == [str(file) for file in written]
    assert all(file.is_file() for file in written)


def test_a_notebook_without_a_talk_is_said_to_have_none_and_one_with_a_broken_talk_fails(tmp_path, capsys):
    silent, broken = tmp_path / "08_silent.ipynb", tmp_path / "09_broken.ipynb"
    nbformat.write(notebook("1"), silent)
    nb = notebook("1")
    nb.cells[1].metadata["talk"] = {"show": "figure"}
    nbformat.write(nb, broken)
    assert render.main(["--slides", "--to", str(tmp_path / "out"), str(silent)]) == 0
    assert capsys.readouterr().out == "08_silent: no talk, no slides\n"
    assert render.main(["--slides", "--to", str(tmp_path / "out"), str(broken), str(silent)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("09_broken: cell 2: talk.show: expected a cell with a figure, found none; run it")
    assert said.endswith("08_silent: no talk, no slides\n")


# --- answers --------------------------------------------------------------------------------------------------------


def with_answers(*blocks):
    folded = "\n\n".join(
        f"**Exercise.**\n\n<details>\n<summary>Answer</summary>\n\n```python\n{block}\n```\n\n</details>"
        for block in blocks
    )
    return Document("09", nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(folded)]))


def test_answers_run_apart_from_each_other_in_the_notebooks_folder():
    folder = str(files.NOTEBOOKS)
    failures = run_answers(
        with_answers(
            "total = 1", "print(total)", f"import os\nassert os.getcwd() == {folder!r}", "x = 1\nassert x == 2, x"
        )
    )
    assert failures == [
        (0, "NameError: name 'total' is not defined, at: print(total)"),
        (0, "AssertionError: 1, at: assert x == 2, x"),
    ]


def test_answers_of_an_appendix_run_in_its_folder(tmp_path):
    document = with_answers(f"import os\nassert os.getcwd() == {str(tmp_path)!r}, os.getcwd()")
    assert run_answers(Document("loop", document.nb, tmp_path)) == []


def test_an_answer_that_kills_the_interpreter_is_a_failure():
    [(cell, message)] = run_answers(with_answers("import os\nos._exit(3)"))
    assert cell is None
    assert "ended with 3" in message


def test_python_outside_a_folded_answer_is_no_answer():
    cell = nbformat.v4.new_markdown_cell("```python\n1 / 0\n```\n\n<details>\n\n```text\n1 / 0\n```\n\n</details>")
    assert Document("09", nbformat.v4.new_notebook(cells=[cell])).answers == []
