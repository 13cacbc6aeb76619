"""The site as `make site` makes it: every link leads somewhere, and every page holds in a browser, wide and narrow."""

import html.parser
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import Watched, chromium, served, skip_if_missing

from course_lib.tooling.files import NOTEBOOKS, ROOT, find_notebooks

pytestmark = pytest.mark.slow
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 375, "height": 800}
KINDS = [  # one page of each kind, for what takes long
    "index.html", "notebooks/03_vae_elbo.html", "notebooks/appendix/sources.html",
    "docs/quizzes/05_scvi_simplified.html", "docs/glossary.html", "docs/instructor.html", "homework/hw3_elbo.html",
    "slides.html", "README.html", "reference/course_lib.probability.html", "_modules/course_lib/models/scvi.html",
    "search.html",
]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    skip_if_missing("sphinx_book_theme", "myst_nb", "nbgrader", "axe_playwright_python")
    to = tmp_path_factory.mktemp("made") / "site"
    made = subprocess.run([sys.executable, "-m", "course_lib.site", "--to", str(to)], cwd=ROOT, capture_output=True)
    said = (made.stdout + made.stderr).decode()
    assert made.returncode == 0, said
    assert said.strip() == str(to / "index.html")  # no warning, nothing else either
    return to


@pytest.fixture(scope="module")
def tab(site) -> Iterator[Watched]:
    with served(site) as address, chromium(offline=False) as window:
        window.set_default_timeout(120_000)
        yield Watched(window.new_page(), address)


class Marks(html.parser.HTMLParser):
    """Of one page: where it leads and what it loads, the places that may be led to, and pictures without words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.leads: set[str] = set()
        self.places: set[str] = set()
        self.wordless: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.places |= {str(given[key]) for key in ("id", "name") if given.get(key)}
        self.leads |= {str(given[key]) for key in ("href", "src") if given.get(key)}
        alt = given.get("alt") or ""
        if tag == "img" and (not alt.strip() or alt.endswith((".png", ".svg", ".jpg"))):
            self.wordless.append(str(given.get("src")))


def marks_of(folder: Path) -> dict[str, Marks]:
    pages = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    return {path.relative_to(folder).as_posix(): Marks(path.read_text(encoding="utf-8")) for path in pages}


def dead_links(folder: Path, marks: dict[str, Marks]) -> list[str]:
    """Links within the folder to no file, or to no place in it."""
    dead = []
    for page, found in marks.items():
        for link in sorted(found.leads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (folder / page).parent / unquote(parts.path) if parts.path else folder / page
            name = target.resolve().relative_to(folder.resolve()).as_posix() if target.exists() else ""
            place = unquote(parts.fragment)
            if not name or (place and name in marks and place not in marks[name].places | {""}):
                dead.append(f"{page}: {link}")
    return dead


@pytest.fixture(scope="module")
def marks(site) -> dict[str, Marks]:
    return marks_of(site)


def test_everything_is_there(site, marks):
    written = [*find_notebooks(), *(ROOT / "docs").rglob("*.md")]
    expected = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in written if "site" not in path.parts}
    expected |= {f"homework/{path.name}.html" for path in (ROOT / "homework" / "source").iterdir()}
    expected |= {f"slides/{path.stem}.slides.html" for path in NOTEBOOKS.glob("[0-9]*.ipynb")}
    assert expected - set(marks) == set()
    modules = [path for path in (ROOT / "course_lib").rglob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    documented = "\n".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    for path in modules:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert f'id="module-{name}"' in documented, name


def test_no_solution_and_no_hidden_test_is_on_a_page(site):
    for path in (ROOT / "homework" / "source").iterdir():
        for suffix in (".html", ".ipynb"):
            folder = site / "homework" if suffix == ".html" else site / "_sources" / "homework"
            text = (folder / f"{path.name}{suffix}").read_text(encoding="utf-8")
            assert "BEGIN SOLUTION" not in text
            assert "BEGIN HIDDEN" not in text
            assert "NotImplementedError" in text


def test_every_link_within_the_site_leads_somewhere(site, marks):
    assert dead_links(site, marks) == []


def test_every_picture_says_what_it_shows(marks):
    assert {page: found.wordless for page, found in marks.items() if found.wordless} == {}
    assert len(marks) > 100


def test_dead_links_and_wordless_pictures_are_seen(tmp_path):
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there">b</a> <a href="#here">a</a><img src="x.png">')
    (tmp_path / "b.html").write_text('<a href="a.html#nowhere">a</a><img src="a.html" alt="x.png"><a href="c.html">')
    marks = marks_of(tmp_path)
    assert dead_links(tmp_path, marks) == [
        "a.html: b.html#there",
        "a.html: x.png",
        "b.html: a.html#nowhere",
        "b.html: c.html",
    ]
    assert [found.wordless for found in marks.values()] == [["x.png"], ["a.html"]]


TYPESET = "async () => { if (window.MathJax && MathJax.startup) await MathJax.startup.promise; }"
NOT_TYPESET = """() => [
  ...[...document.querySelectorAll('[data-mml-node=merror]')].map((e) => e.textContent),
  ...[...document.querySelectorAll('.math:not(:has(mjx-container))')].map((e) => e.textContent),
]"""


def faults_of(tab: Watched, url: str) -> list[str]:
    """What is wrong with a page in the browser: its console, its requests, its formulas, its width."""
    tab.errors.clear()
    tab.foreign.clear()
    tab.page.set_viewport_size(WIDE)
    tab.page.goto(url)
    tab.page.evaluate(TYPESET)
    faults = [f"not typeset: {text}" for text in tab.page.evaluate(NOT_TYPESET)]
    for size in (WIDE, NARROW):
        tab.page.set_viewport_size(size)
        width = tab.page.evaluate("document.documentElement.scrollWidth")
        if width > size["width"]:
            faults.append(f"{width} pixels wide in a window of {size['width']}")
    return faults + [f"console: {text}" for text in tab.errors] + [f"asks {asked}" for asked in tab.foreign]


@pytest.mark.parametrize("part", ["notebooks", "docs", "homework", "reference", "_modules", "."])
def test_every_page_is_quiet_typeset_and_as_wide_as_the_window(part, site, tab):
    pages = sorted((site / part).glob("*.html") if part == "." else (site / part).rglob("*.html"))
    found = {page.name: faults_of(tab, tab.own + page.relative_to(site).as_posix()) for page in pages}
    assert {page: faults for page, faults in found.items() if faults} == {}
    assert found


# What a change of colours fades through is nobody's text: axe must not look in the middle of it.
AT_ONCE = "* { transition: none !important; animation: none !important; }"


def serious(tab: Watched) -> list[str]:
    """Faults of access that axe calls serious or critical, each with the first element that has it."""
    from axe_playwright_python.sync_playwright import Axe

    tab.page.add_style_tag(content=AT_ONCE)
    found = Axe().run(tab.page, context={"exclude": ["mjx-container"]}).response["violations"]
    bad = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [f"{fault['id']}: {fault['nodes'][0]['html'][:200]}" for fault in bad]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("name", KINDS)
def test_axe_finds_no_serious_fault(name, colours, tab):
    tab.page.set_viewport_size(WIDE)
    tab.page.emulate_media(color_scheme=colours)
    tab.page.goto(tab.own + name)
    tab.page.evaluate(TYPESET)
    assert tab.page.evaluate("document.documentElement.dataset.theme") == colours
    assert serious(tab) == []
    tab.page.emulate_media(color_scheme="light")


def test_what_may_be_wrong_with_a_page_is_seen(tab, tmp_path):
    """A check that cannot fail is none."""
    (tmp_path / "bad.html").write_text(
        "<!DOCTYPE html><html lang='en'><title>Bad</title><main><h1>Bad</h1><img src='x.png'>"
        "<p style='color:#999;background:#aaa'>faint</p><div style='width:500px'>wide</div><span class='math'>a</span>"
        "<script src='https://example.org/x.js'></script></main>"
    )
    with served(tmp_path) as address:
        bad = Watched(tab.page.context.new_page(), address)
        said = "\n".join(faults_of(bad, address + "bad.html"))
        faults = "\n".join(serious(bad))
        bad.page.close()
    assert "not typeset: a" in said
    assert "pixels wide in a window of 375" in said
    assert "console: " in said
    assert "asks https://example.org/x.js" in said
    assert "image-alt: " in faults
    assert "color-contrast: " in faults


def test_search_finds_what_is_there_and_leads_to_it(tab):
    tab.page.set_viewport_size(WIDE)
    tab.page.goto(tab.own + "index.html")
    tab.page.keyboard.press("Control+K")
    tab.page.keyboard.type("zero inflation")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#search-results li a")
    tab.page.wait_for_function("document.querySelector('.search-summary').textContent.includes('found')")
    found = tab.page.evaluate("[...document.querySelectorAll('#search-results li a')].map((a) => a.href)")
    assert any("notebooks/06_scvi.html" in address for address in found)
    tab.page.click("#search-results li a")
    tab.page.wait_for_selector("article h1")
    tab.page.goto(tab.own + "search.html?q=thereisnosuchword")
    tab.page.wait_for_function("document.querySelector('.search-summary').textContent.includes('did not match')")


def test_one_comes_from_lesson_to_lesson_to_the_glossary_and_back(tab):
    tab.page.set_viewport_size(WIDE)
    tab.page.goto(tab.own + "notebooks/02_geneex.html")
    tab.page.click("a.right-next")
    tab.page.wait_for_url("**/03_vae_elbo.html")
    tab.page.click("article a[href*='glossary.html#elbo']")
    tab.page.wait_for_url("**/glossary.html#elbo")
    assert tab.page.evaluate("document.getElementById('elbo').getBoundingClientRect().top") < WIDE["height"]
    tab.page.click("#elbo a[href*='03_vae_elbo.html']")
    tab.page.wait_for_url("**/03_vae_elbo.html*")
    tab.page.click("nav.bd-links >> text=08 · Differential expression")
    tab.page.wait_for_url("**/08_differential_expression.html")


def test_on_a_telephone_the_contents_unfold(tab):
    tab.page.set_viewport_size(NARROW)
    tab.page.goto(tab.own + "notebooks/03_vae_elbo.html")
    link = tab.page.locator("text=07 · Clustering").first
    assert not link.is_visible() or link.bounding_box()["x"] < 0
    tab.page.locator("button.primary-toggle:visible").first.click()
    link = tab.page.locator("dialog[open] >> text=07 · Clustering").first
    link.click()
    tab.page.wait_for_url("**/07_clustering.html")


def test_a_reader_chooses_light_or_dark_and_it_stays(tab):
    tab.page.set_viewport_size(WIDE)
    tab.page.goto(tab.own + "notebooks/03_vae_elbo.html")
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "light"  # as the reader's system
    tab.page.click("button.theme-switch-button")
    tab.page.locator(".theme-switch-container .dropdown-menu.show >> text=Dark").click()
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.page.goto(tab.own + "index.html")
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.page.evaluate("localStorage.clear()")


def test_a_quiz_answers_back(tab):
    tab.page.goto(tab.own + "docs/quizzes/03_vae_elbo.html")
    answer = tab.page.locator("article details").first
    hidden = answer.locator("p").first
    assert not hidden.is_visible()
    answer.locator("summary").click()
    assert hidden.is_visible()
