"""What the site is made from: docstrings as written here, notebooks with links and alternative texts, rooms."""

import inspect
import json
import shutil
import sys

import pytest

from course_lib.probability import bounds
from course_lib.site import __main__ as command
from course_lib.site import gather
from course_lib.site.docstrings import as_rst
from course_lib.site.extension import link_quiz, no_signature_of_a_protocol, prepare_notebook, slug
from course_lib.tooling.assets import MATHJAX, copy_assets
from course_lib.tooling.files import ROOT
from course_lib.training.protocol import Trainable


def html(lines: list[str]) -> str:
    """Docutils' own reading, which must have nothing to complain of."""
    core = pytest.importorskip("docutils.core", reason="docutils, of the extra site, is not installed")
    parts = core.publish_parts("\n".join(as_rst(lines)), writer="html5", settings_overrides={"halt_level": 2})
    return str(parts["body"])


def test_entries_are_named_even_where_several_share_a_line():
    parameters = ["Parameters", "----------", "x : (N, G), counts.   theta, pi : (G,),", "    > 0.", ""]
    body = html(["What it does.", "", *parameters, "Returns", "-------", "(N,) in nats."])
    assert body.count("<dt>") == 2
    assert '<dt><span class="docutils literal">x</span></dt>' in body
    assert "<dd><p>(N, G), counts.</p>" in body
    assert "&gt; 0." in body
    assert body.index("Parameters") < body.index("counts") < body.index("Returns") < body.index("in nats")


def test_a_sentence_with_a_colon_is_no_entry():
    body = html(["Raises", "------", "ValueError : too wide. A name: that is one too.", "", "Source: A paper, 2014."])
    assert body.count("<dt>") == 1
    assert body.index("too wide") < body.index("Source: A paper")
    assert "<dd>" in body
    assert "A name: that is one too." in body


def test_what_is_to_be_typed_is_a_literal_block():
    body = html(["A command:", "", "    python -m course_lib.site [--to FOLDER]", "", "And on."])
    assert "<pre" in body
    assert "[--to FOLDER]" in body
    assert "<p>And on.</p>" in body


def test_a_formula_stays_one():
    lines = ["It is", "", ".. math:: a", "", "    b", "", "Parameters", "----------", "x : one."]
    assert "::" not in as_rst(lines)[3:5]
    assert as_rst(inspect.getdoc(bounds.iwae).split("\n")).count("") > 0


def test_a_notebook_is_linked_to_the_glossary_and_its_figures_keep_their_words():
    picture = {
        "data": {"image/png": "…"},
        "metadata": {"image/png": {"alt": "Two hills."}},
        "output_type": "display_data",
    }
    cells = [
        {"cell_type": "markdown", "source": ["The ELBO ", "is a bound.\n"], "metadata": {}},
        {"cell_type": "code", "source": "draw()  # the ELBO", "metadata": {}, "outputs": [picture]},
        {"cell_type": "markdown", "source": "[there](00_counts.ipynb#One,-$x_{ng}$) and here", "metadata": {}},
    ]  # fmt: skip
    source = [json.dumps({"cells": cells})]
    prepare_notebook(None, "notebooks/appendix/some", source)
    words, code, link = json.loads(source[0])["cells"]
    assert words["source"] == "The [ELBO](../../docs/glossary.md#ELBO) is a bound.\n"
    assert code["source"] == "draw()  # the ELBO"
    assert code["metadata"] == {"mystnb": {"image": {"alt": "Two hills."}}}
    assert "](00_counts.ipynb#One,-)" in link["source"]


def test_in_homework_what_tests_an_answer_is_folded_and_nothing_is_linked():
    test = {"cell_type": "code", "source": "", "metadata": {"nbgrader": {"grade": True, "locked": True}}}
    given = {"cell_type": "code", "source": "", "metadata": {"nbgrader": {"grade": False, "locked": True}}}
    answer = {"cell_type": "code", "source": "", "metadata": {"nbgrader": {"grade": False, "locked": False}}}
    words = {"cell_type": "markdown", "source": "The ELBO.", "metadata": {"nbgrader": {"grade": True}}}
    source = [json.dumps({"cells": [test, given, answer, words]})]
    prepare_notebook(None, "homework/hw3", source)
    cells = json.loads(source[0])["cells"]
    assert [cell["metadata"].get("tags") for cell in cells] == [["hide-input"], None, None, None]
    assert cells[3]["source"] == "The ELBO."


def test_a_quiz_leads_to_the_section_that_it_names():
    source = ["*Look again:* 03, *The bound, in four lines*\n\n*Look again:* NumPy: axes"]
    link_quiz(None, "docs/quizzes/03_vae_elbo", source)
    section = "[03, *The bound, in four lines*](../../notebooks/03_vae_elbo.ipynb#The-bound,-in-four-lines)"
    assert source == [f"*Look again:* {section}\n\n*Look again:* NumPy: axes"]


def test_a_protocol_has_no_signature():
    asked = ("class", "course_lib.x", Trainable, None, "(*args, **kwargs)", "")
    assert no_signature_of_a_protocol(None, *asked) == ("", "")
    assert no_signature_of_a_protocol(None, "class", "x", dict, None, "(a)", "") is None


def test_anchors_are_those_of_jupyter():
    assert slug("The bound, in four lines") == "The-bound,-in-four-lines"


def test_every_module_has_its_room():
    found = gather.rooms()
    assert found["course_lib.models"] == sorted(found["course_lib.models"])
    assert "course_lib.tooling.rules" in found["course_lib.tooling"]
    assert found["course_lib.networks"] == ["course_lib.networks"]
    assert not any(name.endswith("__main__") for modules in found.values() for name in modules)


def test_homework_is_published_without_solutions_and_hidden_tests(tmp_path, monkeypatch):
    pytest.importorskip("nbgrader", reason="nbgrader, of the extra classroom, is not installed")
    monkeypatch.setattr(gather, "sheet_names", lambda: ["hw1_autoencoders"])
    gather._homework(tmp_path / "homework")
    text = (tmp_path / "homework" / "hw1_autoencoders.ipynb").read_text(encoding="utf-8")
    assert "NotImplementedError" in text
    assert "BEGIN SOLUTION" not in text
    assert "BEGIN HIDDEN" not in text


@pytest.mark.slow
def test_a_page_with_a_dead_link_fails(tmp_path):
    pytest.importorskip("sphinx_book_theme", reason="the extra site is not installed")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs" / "site", source)
    copy_assets(MATHJAX, source / "static")
    (source / "beside").mkdir()
    (source / "index.md").write_text("# A book\n\nSee [there](nowhere.md).\n", encoding="utf-8")
    assert command.build(source, tmp_path / "site") == 1
    (source / "index.md").write_text("# A book\n\nSee [here](#A-book), $x$.\n", encoding="utf-8")
    assert command.build(source, tmp_path / "site") == 0


def test_without_its_packages_the_command_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "gather", lambda folder: folder)
    monkeypatch.setitem(sys.modules, "sphinx_book_theme", None)
    assert command.main(["--to", str(tmp_path / "site")]) == 1
    assert "pip install -e '.[site]'" in capsys.readouterr().out
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("status", [0, 1])
def test_a_warning_is_an_error(status, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "gather", lambda folder: folder)
    monkeypatch.setattr(command, "build", lambda source, to: status)
    assert command.main(["--to", str(tmp_path / "site")]) == status
    assert ("mend them" in capsys.readouterr().out) is bool(status)


def test_a_folder_that_holds_something_else_is_not_cleared(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sphinx_book_theme", reason="the extra site is not installed")
    monkeypatch.setattr(command, "gather", lambda folder: folder)
    to = tmp_path / "thesis"
    to.mkdir()
    (to / "thesis.txt").write_text("years", encoding="utf-8")
    assert command.main(["--to", str(to)]) == 1
    assert "expected a site, or no folder, found other files in it; name another" in capsys.readouterr().out
    assert (to / "thesis.txt").is_file()


def test_no_folder_beside_the_site_is_touched(tmp_path, monkeypatch):
    beside = tmp_path / "site-work" / "thesis.txt"
    beside.parent.mkdir()
    beside.write_text("years", encoding="utf-8")
    monkeypatch.setattr(command, "gather", lambda folder: folder)
    monkeypatch.setattr(command, "build", lambda source, to: 0)
    assert command.main(["--to", str(tmp_path / "site")]) == 0
    assert beside.is_file()
