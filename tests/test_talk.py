"""The talk in a notebook: what becomes a slide, what becomes a note, what is refused, and the slides as HTML."""

import hashlib
import html
import re

import nbformat
import pytest
from good_notebook import ALT, figure_output

from course_lib.tooling import render, talk
from course_lib.tooling.assets import MATHJAX, REVEAL, copy_assets
from course_lib.tooling.document import alts_in
from course_lib.tooling.files import NotATalk

REVEAL_SHA256 = "46538b52db48724192f59bf46f5e851a18e302777c46f4a34c32709d010d6a29"
PREDICT = "> **Predict.** Does it rise,\n> or does it fall?"


def markdown(source, asked=None):
    return with_talk(nbformat.v4.new_markdown_cell(source), asked)


def code(source, *outputs, asked=None):
    return with_talk(nbformat.v4.new_code_cell(source, outputs=list(outputs)), asked)


def with_talk(cell, asked):
    if asked is not None:
        cell.metadata["talk"] = nbformat.from_dict(asked)
    return cell


def printed(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def source(name, text):
    data = {"text/markdown": f"```python\n{text}\n```", "text/plain": text}
    return nbformat.v4.new_output("display_data", data=data, metadata={"source_of": name, "doc": True})


def slides(*cells):
    return talk.slides(nbformat.v4.new_notebook(cells=list(cells)), "09_name")


def words(n):
    return " ".join(["word"] * n)


# --- what a slide shows ---------------------------------------------------------------------------------------------


def test_only_cells_that_ask_for_it_become_slides_in_the_order_of_the_notebook():
    made = slides(
        markdown("# Title", {"slide": "# The title"}),
        code("x = 1"),
        markdown("Prose."),
        markdown("More.", [{"slide": "## One"}, {"slide": "## Two"}]),
    )
    assert [(slide.cell, slide.words) for slide in made] == [(0, "# The title"), (3, "## One"), (3, "## Two")]


def test_a_prediction_stands_alone_whatever_else_its_cell_says():
    [slide] = slides(markdown(f"## Idea\n\nLong prose.\n\n{PREDICT}\n\nMore.", {"slide": "predict"}))
    assert slide.words == PREDICT
    assert slide.asks
    assert not slides(markdown("", {"slide": "## No question"}))[0].asks


def test_a_figure_comes_with_its_alternative_text_and_the_title_above_it():
    second = figure_output("Another figure, drawn by the same cell and not on the slide")
    [slide] = slides(code("show(fig)", figure_output(), second, asked={"show": "figure", "slide": "## Seen"}))
    assert slide.figure is not None
    assert (slide.figure.cell, slide.figure.alt, slide.words) == (0, ALT, "## Seen")
    assert slide.figure.png.startswith(b"\x89PNG")


def test_what_a_cell_printed_is_shown_without_the_ticks():
    told = "✓ it holds: 0.12\nmedian 25.7 nats\n\n✓ and this\nlargest 553 nats\n"
    [slide] = slides(code("print()", printed(told), figure_output(), asked={"show": "text"}))
    assert slide.text == "median 25.7 nats\nlargest 553 nats"
    assert (slide.figure, slide.code) == (None, "")


def test_code_is_the_cells_own_or_the_sources_that_it_printed_without_docstrings():
    [own] = slides(code("x = 1\ny = 2", printed("3\n"), asked={"show": "code"}))
    assert (own.code, own.text) == ("x = 1\ny = 2", "")

    elbo = source(
        "course_lib.models.vae.VAE.elbo", 'def elbo(self):\n    r"""A bound.\n\n    Long.\n    """\n    return 1'
    )
    forward = source("course_lib.networks.Encoder.forward", 'def forward(self):\n    """One line."""\n    return 2')
    both = code("show_source(…)", elbo, forward, asked={"show": "code"})
    assert slides(both)[0].code == "def elbo(self):\n    return 1\n\ndef forward(self):\n    return 2"
    one = code("show_source(…)", elbo, forward, asked={"show": "code", "of": "Encoder.forward"})
    assert slides(one)[0].code == "def forward(self):\n    return 2"


def test_a_text_that_is_no_docstring_stays_in_the_code():
    [slide] = slides(
        code("show_source(f)", source("course_lib.f", 'def f():\n    a = """text"""\n'), asked={"show": "code"})
    )
    assert '"""text"""' in slide.code


# --- what the speaker reads -----------------------------------------------------------------------------------------


def test_prose_is_read_beside_the_slide_before_it_and_no_word_is_lost():
    made = slides(
        markdown("Before any slide."),
        markdown("The opening.", {"slide": "# Title"}),
        markdown("Explains the opening."),
        code("x = 1"),
        markdown(f"An idea.\n\n{PREDICT}", [{"slide": "## Idea"}, {"slide": "predict"}]),
        code("show(fig)", figure_output(), asked={"show": "figure"}),
        markdown("What was seen."),
        markdown("References."),
    )
    assert [slide.notes for slide in made] == [
        "Before any slide.\n\nThe opening.\n\nExplains the opening.",
        f"An idea.\n\n{PREDICT}",
        "",
        "What was seen.\n\nReferences.",
    ]


# --- what is refused ------------------------------------------------------------------------------------------------

FIGURE = figure_output()
LONG = "\n".join(f"a{n} = {n}" for n in range(13))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (markdown("", {"slide": words(61)}), "at most 60 words, found 61"),
        (markdown("", {"slide": "$$a$$ and $$b$$"}), "one figure or one equation, found 2"),
        (code("", FIGURE, asked={"show": "figure", "slide": "$$a$$"}), "one figure or one equation, found 2"),
        (code(LONG, asked={"show": "code"}), "at most 12 lines, found 13"),
        (code("", printed(LONG), asked={"show": "text"}), "at most 12 lines, found 13"),
        (markdown("", {"slide": f"```python\n{LONG}\n```"}), "at most 12 lines, found 13"),
        (markdown("", {"slide": "![a](b.png)"}), "no picture in Markdown"),
        (markdown("", {"slide": "## x", "shows": "figure"}), "'shows'"),
        (markdown("", "slide"), "found 'slide'"),
        (markdown("", [{}]), "found {}"),
        (markdown("", {"slide": " "}), "expected Markdown, found ' '"),
        (markdown("", {"slide": True}), "expected Markdown, found True"),
        (markdown("", {"show": "figure"}), "'figure' on a markdown cell"),
        (code("", FIGURE, asked={"show": "film"}), "figure, code, text on a code cell, found 'film'"),
        (code("", printed("1"), asked={"show": "figure"}), "a cell with a figure, found none"),
        (code("", printed("✓ it holds\n"), asked={"show": "text"}), "beside the ticks of check, found none"),
        (
            code("", FIGURE, asked={"show": "figure", "of": "f"}),
            "of: expected beside 'show': 'code', found beside 'figure'",
        ),
        (
            code("", source("course_lib.f", "1"), asked={"show": "code", "of": "g"}),
            "found 'g'; there are: course_lib.f",
        ),
        (markdown("No question.", {"slide": "predict"}), "one block > **Predict.** … in the cell, found 0"),
        (markdown(f"{PREDICT}\n\n{PREDICT}", {"slide": "predict"}), "found 2"),
        (markdown("", {"slide": f"## Title\n\n{PREDICT}"}), "a prediction alone"),
        (code("", FIGURE, asked={"show": "figure", "slide": PREDICT}), "a prediction alone"),
    ],
)
def test_what_a_slide_cannot_hold_is_refused_by_notebook_and_cell(cell, message):
    with pytest.raises(NotATalk, match=rf"^09_name: cell 2: talk.*{re.escape(message)}"):
        slides(markdown("# Title"), cell)


def test_a_notebook_without_a_talk_is_refused_where_slides_are_asked():
    with pytest.raises(NotATalk, match=r"09_name: expected a talk, found no cell with talk in its metadata; give"):
        slides(markdown("# Title"), code("x = 1"))


def test_a_slide_may_be_as_full_as_the_limits_say():
    twelve = LONG.rsplit("\n", 1)[0]
    assert len(slides(markdown("", {"slide": f"{words(60)}\n\n$$a$$"}))) == 1
    assert len(slides(code(twelve, asked={"show": "code", "slide": "$$a$$"}))) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("## Two words", 2),
        ("- one\n- two **three** — four", 4),
        ("1. first\n2. second", 2),
        ("a $x + y$ is $z$", 4),
        ("above\n\n$$a + b$$\n\nbelow", 2),
        ("`code` counts, [a link](https://doi.org/10.1/x) by its words", 7),
        ("```python\nnot = these\n```\nthis", 1),
        ("| a | b |\n|---|---|\n| c | d |", 4),
    ],
)
def test_words_are_counted_as_an_audience_reads_them(text, count):
    assert talk.number_of_words(text) == count


# --- the slides as HTML ---------------------------------------------------------------------------------------------


@pytest.fixture
def rendered():
    return render.slides(
        nbformat.v4.new_notebook(
            cells=[
                markdown("# 09 · A title\n\nSaid, not shown.", {"slide": "# On the slide\n\nWith $a_1 < b_2$."}),
                markdown(PREDICT, {"slide": "predict"}),
                code("fig", FIGURE, asked={"show": "figure"}),
                code("x = a < b", printed("✓ tick\nx < y\n"), asked=[{"show": "code"}, {"show": "text"}]),
            ]
        ),
        "09_name",
    )


def test_each_slide_is_a_section_and_only_the_speaker_sees_the_prose(rendered):
    sections = re.findall(r"<section.*?</section>", rendered, re.DOTALL)
    assert len(sections) == 5
    seen = [re.sub(r'<aside class="notes">.*?</aside>', "", section, flags=re.DOTALL) for section in sections]
    assert "<h1>On the slide</h1>" in seen[0]
    assert "$a_1 &lt; b_2$" in seen[0]
    assert "Said, not shown." in sections[0]
    assert "Said, not shown." not in seen[0]
    assert "<title>09 · A title: slides</title>" in rendered


def test_a_figure_on_a_slide_keeps_its_text_and_ticks_stay_away(rendered):
    assert alts_in(rendered) == [ALT]
    text = html.unescape(re.sub(r"<[^>]+>", "", rendered))
    assert "x = a < b" in text
    assert "x < y" in text
    assert "✓ tick" not in text


def test_the_prediction_has_a_slide_of_its_own_kind(rendered):
    assert re.findall(r'<section class="(\w*)"', rendered) == ["opening", "predict", "figure", "", ""]


def test_a_link_to_a_notebook_leaves_its_words_and_a_link_elsewhere_stays():
    words = (
        "See [the channel](appendix/channel.ipynb), [03](03_vae_elbo.ipynb#The-bound) and [a](https://a.org/b.ipynb)."
    )
    deck = render.slides(nbformat.v4.new_notebook(cells=[markdown("Said.", {"slide": words})]), "09_name")
    assert "See the channel, 03 and <a" in deck
    assert "https://a.org/b.ipynb" in deck


def test_nothing_is_loaded_from_elsewhere(rendered):
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", rendered)
    assert addresses
    assert all(address.startswith(("assets/", "data:image/png")) for address in addresses)


# --- what stands beside them ----------------------------------------------------------------------------------------


def test_reveal_is_what_its_authors_published_and_licences_come_along(tmp_path):
    copy_assets(MATHJAX | REVEAL, tmp_path)
    copied = {str(p.relative_to(tmp_path / "assets")) for p in tmp_path.rglob("*") if p.is_file()}
    assert copied == set(MATHJAX) | set(REVEAL)
    # Of dist/reveal.js in the npm package reveal.js 5.2.1.
    assert hashlib.sha256((tmp_path / "assets/reveal/reveal.js").read_bytes()).hexdigest() == REVEAL_SHA256
    assert "Hakim El Hattab" in (tmp_path / "assets/reveal/LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in (tmp_path / "assets/mathjax/LICENSE").read_text(encoding="utf-8")
    assert '"3.2.2"' in (tmp_path / "assets/mathjax/tex-svg-full.js").read_text(encoding="utf-8")


def test_a_package_that_is_missing_is_named_with_what_to_type(tmp_path):
    with pytest.raises(ModuleNotFoundError, match="no_such_package is not installed; type: make env"):
        copy_assets({"a.js": ("no_such_package", "a.js")}, tmp_path)
