"""Every deck and every page, opened in Chromium without a network: nothing overflows, every equation is typeset."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import HEIGHT, WIDTH, Opened, chromium, skip_if_missing

from course_lib.quiz import QUIZZES
from course_lib.tooling import render, talk
from course_lib.tooling.document import Document, without_fences
from course_lib.tooling.files import find_notebooks, read

pytestmark = pytest.mark.slow
NOTEBOOKS = find_notebooks()
DECKS = [path for path in NOTEBOOKS if '"talk":' in path.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def window() -> Iterator:
    skip_if_missing()
    with chromium() as context:
        yield context


def formulas(markdown: str) -> int:
    """How many there are, by their dollar signs alone; code has none, and no address of a link."""
    text = re.sub(r"(`+)[^`]+\1|\]\([^)]*\)", "", without_fences(markdown))
    displayed = re.findall(r"\$\$.+?\$\$", text, re.DOTALL)
    within = re.findall(r"(?<!\\)\$[^$]+\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL))
    return len(displayed) + len(within)


def written(document: Document) -> list[str]:
    """The Markdown that cells wrote."""
    return [output.data["text/markdown"] for _, output in document.outputs if "text/markdown" in output.get("data", {})]


# What a reader would see of the slide on show: its elements without notes, without what only screen readers read, and
# without the parts of a formula.
OVERFLOW = """() => {
  const slide = Reveal.getCurrentSlide(), frame = slide.getBoundingClientRect(), found = [];
  const leaves = (inner, outer) => inner.left < outer.left - 1 || inner.right > outer.right + 1 ||
    inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
  for (const element of [slide, ...slide.querySelectorAll("*")]) {
    if (element.closest("aside.notes, mjx-assistive-mml") || element.parentElement.closest("svg")) continue;
    const box = element.getBoundingClientRect(), inBody = element.parentElement.matches(".body");
    const wide = element.scrollWidth > element.clientWidth + 1, high = element.scrollHeight > element.clientHeight + 1;
    const name = `${element.tagName} ${element.textContent.trim().slice(0, 40)}`;
    if (leaves(box, frame)) found.push(`${name} leaves the slide`);
    if (inBody && leaves(box, element.parentElement.getBoundingClientRect())) found.push(`${name} leaves its part`);
    if (element.matches("section, .body, .lines, pre, td") && (wide || high)) found.push(`${name} overflows`);
    if (element.tagName === "IMG" && box.height < 300) found.push(`a figure only ${box.height} pixels high`);
  }
  return found;
}"""
TYPESET = "() => Reveal.getCurrentSlide().querySelectorAll(':scope > :not(aside) mjx-container').length"
NOT_TYPESET = "() => [...document.querySelectorAll('[data-mml-node=merror]')].map((e) => e.textContent)"


def faults_of_deck(opened: Opened, slides: list[talk.Slide]) -> list[str]:
    """What is wrong with a deck that should show these slides; empty if nothing is."""
    faults = []
    for index in opened.slides():
        faults += [f"slide {index + 1}: {fault}" for fault in opened.page.evaluate(OVERFLOW)]
        typeset = opened.page.evaluate(TYPESET)
        written = sum(map(formulas, (slides[index].section, slides[index].words))) if index < len(slides) else typeset
        if typeset != written:
            faults.append(f"slide {index + 1}: {typeset} equations typeset of {written}")
    if index + 1 != len(slides):
        faults.append(f"{index + 1} slides, expected {len(slides)}")
    return faults + faults_of_any(opened)


def faults_of_any(opened: Opened) -> list[str]:
    broken = [f"not typeset: {text}" for text in opened.page.evaluate(NOT_TYPESET)]
    return broken + [f"console: {text}" for text in opened.errors] + [f"asks {url}" for url in opened.foreign]


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.mark.parametrize("path", DECKS, ids=[path.stem for path in DECKS])
def test_every_slide_of_a_deck_fits_and_is_typeset(path, build, window):
    deck = render.write_slides(read(path), path.stem, build / "slides")
    assert deck is not None
    opened = Opened(window.new_page(), deck)
    assert faults_of_deck(opened, talk.slides(read(path), path.stem)) == []
    opened.page.close()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_page_fits_the_window_and_is_typeset(path, build, window):
    document = Document.read(path)
    opened = Opened(window.new_page(), render.write_page(document.nb, path.stem, build / "pages"))
    assert faults_of_any(opened) == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    typeset = opened.page.evaluate("document.querySelectorAll('.jp-RenderedMarkdown mjx-container').length")
    assert typeset == sum(map(formulas, [*(text for _, text in document.markdown), *written(document)]))
    if not document.is_appendix:  # to its quiz, as a reader goes there
        opened.page.click(f"a[href$='quizzes/{path.stem}.html']")
        opened.page.wait_for_function("document.documentElement.dataset.ready === 'yes'")
        quiz = (QUIZZES / f"{path.stem}.md").read_text(encoding="utf-8")
        assert opened.page.evaluate("document.querySelectorAll('details').length") == quiz.count("<details>") > 0
        assert faults_of_any(opened) == []
    opened.page.close()


def deck_of(*asked: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_markdown_cell("Notes with $a$.", metadata={"talk": {"slide": words}}) for words in asked]
    return nbformat.v4.new_notebook(cells=cells)


def test_what_may_go_wrong_on_a_slide_is_seen(build, window):
    """A check that cannot fail is none: each of these slides has a fault of its own."""
    wide = r"$$" + " + ".join([r"\text{a rather long name}"] * 9) + "$$"
    nb = deck_of(
        "## Good\n\n$a$ and $b$\n\n$$c$$",
        "## High\n\n" + "\n".join(f"- line {n}" for n in range(14)),
        f"## Wide\n\n{wide}",
        "## Broken\n\n$\\frac{a}$ and $\\nosuch$",
        "## Elsewhere\n\n<script src='https://example.org/x.js'></script>",
        "## Lost\n\n$a<b$ <!-- $c$ -->",
        "## Code\n\n```python\n" + "x" * 120 + "\n```",
    )
    deck = render.write_slides(nb, "faulty", build / "slides")
    assert deck is not None
    faults = faults_of_deck(Opened(window.new_page(), deck), talk.slides(nb, "faulty"))
    said = "\n".join(faults)
    assert "slide 1:" not in said
    assert re.search(r"slide 2: .*(leaves the slide|leaves its part)", said)
    assert re.search(r"slide 3: .*(leaves the slide|overflows)", said)
    assert said.count("not typeset: ") == 2
    assert "asks https://example.org/x.js" in said
    assert "console: " in said
    assert "slide 6: 1 equations typeset of 2" in said
    assert re.search(r"slide 7: .*overflows", said)


def test_a_deck_is_scaled_to_the_screen_and_its_notes_are_hidden(build, window):
    deck = render.write_slides(deck_of("## One $x$"), "small", build / "slides")
    assert deck is not None
    opened = Opened(window.new_page(), deck)
    assert opened.page.evaluate("Reveal.getScale()") == 1.0  # the window is the canvas
    assert not opened.page.is_visible("aside.notes")
    assert opened.page.evaluate("document.querySelectorAll('aside.notes mjx-container').length") == 1
    opened.page.set_viewport_size({"width": WIDTH // 2, "height": HEIGHT // 2})
    opened.page.wait_for_function("Reveal.getScale() === 0.5")
    opened.page.close()


PAGE_OF_PDF = re.compile(rb"/Type\s*/Page\b")
LOST = """() => [...document.querySelectorAll(".pdf-page")].flatMap((page, index) => {
  const paper = page.getBoundingClientRect(), found = [];
  for (const element of page.querySelectorAll("section > header > *, .body > *")) {
    const box = element.getBoundingClientRect(), margin = element.matches("img") ? 10 : 20;
    if (box.left < paper.left + margin || box.right > paper.right - margin ||
        box.top < paper.top + margin || box.bottom > paper.bottom - margin)
      found.push(`page ${index + 1}: ${element.tagName} without its margin`);
    if (element.matches("img") && box.height < 300) found.push(`page ${index + 1}: a figure ${box.height} high`);
  }
  return found;
})"""


@pytest.mark.parametrize("name", ["03_vae_elbo", "08_differential_expression"])
@pytest.mark.parametrize("of_page", [True, False], ids=["size of the slides", "letter"])
def test_a_deck_is_printed_one_slide_a_page_with_whole_figures_and_margins(name, of_page, build, window):
    [path] = find_notebooks([name])
    deck = render.write_slides(read(path), path.stem, build / "slides")
    assert deck is not None
    opened = Opened(window.new_page(), deck, "?print-pdf")
    count = len(talk.slides(read(path), path.stem))
    printed = opened.page.pdf(prefer_css_page_size=of_page, print_background=True)
    assert len(PAGE_OF_PDF.findall(printed)) == count
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate("document.querySelectorAll('.pdf-page section').length") == count
    assert opened.page.evaluate(LOST) == []
    assert faults_of_any(opened) == []
    opened.page.close()
