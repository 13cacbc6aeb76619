"""The glossary's words are explained, stand in their lessons, and are linked once in a notebook, in prose alone."""

import pytest

from course_lib.site.glossary import PAGE, Term, link_first_uses, load_terms, page
from course_lib.tooling.files import find_notebooks, read

NB = Term("negative binomial", "A Poisson whose rate varies.", "05", ("NB",))
ELBO = Term("ELBO", "A bound.", "03")
LESSONS = {path.stem[:2]: path for path in find_notebooks() if path.stem[:2].isdigit()}


def markdown(path):
    return [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("term", load_terms(), ids=lambda term: term.name)
def test_a_term_stands_in_the_prose_of_its_lesson(term):
    texts = markdown(LESSONS[term.lesson])
    assert link_first_uses(texts, [term], "g.md") != texts
    assert term.means.endswith((".", "*)"))


def test_terms_have_names_of_their_own():
    terms = load_terms()
    assert len({term.name.lower() for term in terms}) == len(terms) >= 50
    forms = [form.lower() for term in terms for form in (term.name, *term.also)]
    assert len(forms) == len(set(forms))


def test_the_first_use_is_linked_and_no_other():
    texts = ["# The negative binomial\n\nNothing here.", "A **negative binomial**, and again negative binomial.", "NB"]
    assert link_first_uses(texts, [NB], "g.md") == [
        texts[0], "A **[negative binomial](g.md#negative-binomial)**, and again negative binomial.", "NB"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "`NB(mu)` and $NB(x)$ and $$NB$$",
        "```python\nNB\n```",
        "[the NB](x.ipynb)",
        "![NB](figure.png)",
        "https://example.org/NB",
        '<a title="NB">x</a>',
        "| NB | in a table |",
        "ZINB and NB-like",
        "nb is an abbreviation in capitals alone",
    ],
)
def test_what_is_no_prose_is_left_alone(text):
    assert link_first_uses([text], [NB], "g.md") == [text]


def test_two_terms_in_one_sentence_are_both_linked_and_links_do_not_nest():
    (text,) = link_first_uses(["The ELBO of a negative binomial."], [ELBO, NB], "g.md")
    assert text == "The [ELBO](g.md#ELBO) of a [negative binomial](g.md#negative-binomial)."
    long = Term("negative binomial likelihood", "x.", "05")
    (text,) = link_first_uses(["A negative binomial likelihood."], [long, NB], "g.md")
    assert text == "A [negative binomial likelihood](g.md#negative-binomial-likelihood)."


def test_the_page_explains_each_term_and_says_which_lesson():
    text = page([NB])
    assert "## negative binomial\n\nA Poisson whose rate varies. Also: NB. [Lesson 05](../notebooks/05_" in text


def test_the_committed_page_is_made_from_today_s_terms():
    assert PAGE.read_text(encoding="utf-8") == page(load_terms())
