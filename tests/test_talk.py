"""The talk in a notebook: what becomes a slide, what becomes a note, what is refused, and the slides as HTML."""

import base64
import hashlib
import html
import io
import re

import nbformat
import pytest
from good_notebook import ALT, figure_output
from PIL import Image

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


def test_prose_is_read_beside_the_slide_before_it_and_within_a_section_no_word_is_lost():
    made = slides(
        markdown("Before any slide."),
        markdown("The opening.", {"slide": "# Title"}),
        markdown("Explains the opening."),
        code("x = 1"),
        markdown("An idea.", [{"slide": "## Idea"}, {"slide": "## Two"}]),
        code("show(fig)", figure_output(), asked={"show": "figure"}),
        markdown("What was seen."),
        markdown("And more."),
    )
    assert [slide.notes for slide in made] == [
        "Before any slide.\n\nThe opening.\n\nExplains the opening.",
        "An idea.",
        "",
        "What was seen.\n\nAnd more.",
    ]


def test_a_section_without_a_slide_is_not_read_and_the_prose_of_one_stays_in_it():
    made = slides(
        markdown("# Title\n\nOpening.", {"slide": "# Title"}),
        markdown("## Not shown\n\nAside.\n\n```python\n# no heading\n```"),
        markdown("More of it.\n\n## Shown\n\nLeads to the figure."),
        code("show(fig)", figure_output(), asked={"show": "figure"}),
        markdown("Seen.\n\n### A remark\n\nNot read.\n\n### Below\n\nRead, as is what it stands under."),
        code("x = 1", asked={"show": "code"}),
        markdown("Last words.\n\n## Exercises\n\nNot read."),
        markdown("### One\n\nNor this."),
    )
    assert [slide.notes for slide in made] == [
        "# Title\n\nOpening.",
        "## Shown\n\nLeads to the figure.\n\nSeen.",
        "### Below\n\nRead, as is what it stands under.\n\nLast words.",
    ]


def test_words_above_a_heading_are_read_where_they_go_on_and_not_with_the_slide_below():
    made = slides(
        markdown("## One\n\nIdea.", {"slide": "## One"}),
        markdown("More of one.\n\n## Two\n\nNew.", {"slide": "## Two"}),
    )
    assert [slide.notes for slide in made] == ["## One\n\nIdea.\n\nMore of one.", "## Two\n\nNew."]


def test_the_answer_stands_beside_the_slide_after_a_question():
    question = markdown(f"## Idea\n\nProse.\n\n{PREDICT}", {"slide": "predict"})
    between = code("", printed("✓ it falls: 0.12\n"))
    seen = code("show(fig)", figure_output(), printed("half of 0.24\n"), asked={"show": "figure"})
    late = code("", printed("✓ of something else\n"), asked={"show": "figure"})
    late.outputs.append(figure_output())

    asked, answered, other = slides(question, between, seen, markdown("It falls.\n\nBecause."), late)
    assert (asked.answer, answered.answer, other.answer) == ("", "✓ it falls: 0.12\nhalf of 0.24", "")
    assert PREDICT in asked.notes
    assert answered.notes == "It falls.\n\nBecause."

    next_slide = markdown("It falls.\n\nBecause.", {"slide": "## More"})  # which answers on a slide of its own
    assert [slide.notes for slide in slides(question, between, seen, next_slide)[1:]] == [
        "It falls.",
        "It falls.\n\nBecause.",
    ]
    elsewhere = markdown("## Another thing\n\nProse.", {"slide": "## More"})
    assert slides(question, between, seen, elsewhere)[1].notes == ""
    assert slides(question, markdown("The answer."), seen)[1].notes == "The answer."


def test_a_question_has_the_heading_that_it_stands_under_and_other_slides_their_own():
    made = slides(
        markdown("# Title", {"slide": "# *The* title\n\nWords."}),
        markdown("## Where $z$ sits\n\nProse."),
        markdown(PREDICT, {"slide": "predict"}),
        code("x", asked={"show": "code"}),
    )
    assert [slide.section for slide in made] == ["", "Where $z$ sits", ""]
    assert [slide.heading for slide in made] == ["*The* title", "Where $z$ sits", ""]
    assert [slide.kind for slide in made] == ["words", "predict", "code"]


@pytest.mark.parametrize(
    ("cited", "left"),
    [
        ("Smith 2020 (https://doi.org/10.1/x-y) finds", "Smith 2020 finds"),
        ("Smith (2020, https://doi.org/10.1/x) finds", "Smith (2020) finds"),
        ("Smith (2020, <https://doi.org/10.1/x>) finds", "Smith (2020) finds"),
        ("[Smith](https://doi.org/10.1/x) finds", "[Smith](https://doi.org/10.1/x) finds"),
    ],
)
def test_the_address_of_a_work_stays_off_the_slide_of_a_question(cited, left):
    [slide] = slides(markdown(f"> **Predict.** {cited} what?", {"slide": "predict"}))
    assert slide.words == f"> **Predict.** {left} what?"
    assert cited in slide.notes


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
        (markdown("", {"slide": "Smith (2020, https://doi.org/10.1/x)"}), "no bare address"),
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
                markdown(f"## Up or *down*\n\n{PREDICT}", {"slide": "predict"}),
                code("fig", FIGURE, printed("✓ a < b\n"), asked={"show": "figure"}),
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
    rendered = re.sub(r'<aside class="notes">.*?</aside>', "", rendered, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", "", rendered))
    assert "x = a < b" in text
    assert "x < y" in text
    assert "✓ tick" not in text


def test_the_prediction_has_a_slide_of_its_own_kind_and_says_where_it_stands(rendered):
    looks = [look.partition(" ")[0] for look in re.findall(r'<section class="([\w ]*)"', rendered)]
    assert looks == ["opening", "predict", "figure", "", ""]
    assert "<header><p>Up or <em>down</em></p>" in rendered


def test_the_speaker_reads_the_answer_and_what_a_figure_shows(rendered):
    _, asked, answered, *_ = re.findall(r'<aside class="notes">(.*?)</aside>', rendered, re.DOTALL)
    assert ">✓ a &lt; b</pre>" in answered
    assert html.escape(ALT) in answered
    assert "The answer" in answered
    assert "The answer" not in asked
    assert "<pre" not in asked


@pytest.mark.parametrize(
    ("size", "words", "look"),
    [((900, 450), "## Seen", "figure"), ((500, 400), "## Seen", "figure narrow"), ((500, 400), "## A\n\nb", "figure")],
)
def test_a_figure_hardly_wider_than_high_stands_beside_its_title(size, words, look):
    picture = io.BytesIO()
    Image.new("RGB", size).save(picture, format="png")
    drawn = figure_output()
    drawn.data["image/png"] = base64.b64encode(picture.getvalue()).decode()
    cells = [code("fig", drawn, asked={"show": "figure", "slide": words})]
    deck = render.slides(nbformat.v4.new_notebook(cells=cells), "09_name")
    assert f'<section class="{look}" data-cell="1" style="--aspect: {size[0] / size[1]}">' in deck


def test_a_link_within_the_course_leaves_its_words_and_a_link_elsewhere_stays():
    words = "See [the channel](appendix/channel.ipynb), [03](../docs/quizzes/03.md#The-bound) and [a](https://a.org/b.ipynb)."
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


# --- the commands ---------------------------------------------------------------------------------------------------


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "07_up.ipynb"
    cells = [
        markdown("# Up\n\nFour words of prose.", {"slide": "# 07 · Up"}),
        markdown(f"## Idea\n\n{PREDICT}", {"slide": "predict"}),
        code("fig", FIGURE, printed("✓ up\n"), asked={"show": "figure", "slide": "## It rises"}),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_the_slides_of_a_talk_are_listed_by_number_with_kind_words_of_notes_and_title(notebook, capsys):
    assert talk.main([str(notebook)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=3) for line in said[1:]] == [
        ["1", "words", "5", "07 · Up"],
        ["2", "predict", "9", "Idea"],
        ["3", "figure", str(talk.number_of_words(f"up {ALT}")), "It rises"],
    ]
    assert said[0] == "07_up"


def test_a_notebook_without_a_talk_has_no_slides_to_list_and_a_broken_talk_fails(tmp_path, capsys):
    silent = nbformat.v4.new_notebook(cells=[markdown("# Silent")])
    nbformat.write(silent, tmp_path / "08_silent.ipynb")
    assert talk.main([str(tmp_path / "08_silent.ipynb")]) == 0
    assert capsys.readouterr().out == ""
    silent.cells[0].metadata["talk"] = {"show": "figure"}
    nbformat.write(silent, tmp_path / "08_silent.ipynb")
    assert talk.main([str(tmp_path / "08_silent.ipynb")]) == 1
    assert "cell 1: talk.show" in capsys.readouterr().out


def test_the_command_that_makes_slides_says_how_to_open_and_print_them(notebook, tmp_path, capsys):
    assert render.main(["--slides", "--to", str(tmp_path), str(notebook)]) == 0
    deck, keys = capsys.readouterr().out.splitlines()
    assert deck.endswith("07_up.slides.html")
    assert [key for key in ("browser", "S ", "F ", "Esc ", "?print-pdf") if key not in keys] == []
