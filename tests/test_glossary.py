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
    assert link_first_uses(texts, [term], "g.md", LESSONS[term.lesson].stem) != texts
    assert term.means.endswith((".", "*)"))


def test_terms_have_names_of_their_own():
    terms = load_terms()
    assert len({term.name.lower() for term in terms}) == len(terms) >= 50
    forms = [form.lower() for term in terms for form in (term.name, *term.also)]
    assert len(forms) == len(set(forms))


def test_the_first_use_is_linked_and_no_other():
    texts = ["# The negative binomial\n\nNothing here.", "A **negative binomial**, and again negative binomial.", "NB"]
    assert link_first_uses(texts, [NB], "g.md", "05_some") == [
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
    assert link_first_uses([text], [NB], "g.md", "05_some") == [text]


def test_two_terms_in_one_sentence_are_both_linked_and_links_do_not_nest():
    (text,) = link_first_uses(["The ELBO of a negative binomial."], [ELBO, NB], "g.md", "05_some")
    assert text == "The [ELBO](g.md#ELBO) of a [negative binomial](g.md#negative-binomial)."
    long = Term("negative binomial likelihood", "x.", "05")
    (text,) = link_first_uses(["A negative binomial likelihood."], [long, NB], "g.md", "05_some")
    assert text == "A [negative binomial likelihood](g.md#negative-binomial-likelihood)."


def test_a_longer_term_keeps_its_words_and_references_keep_their_titles():
    texts = ["A ZINB likelihood.", "A likelihood.", "## References\n- The ELBO, by somebody."]
    short, long = Term("likelihood", "x.", "05"), Term("ZINB likelihood", "x.", "06")
    for terms in ([short, long, ELBO], [ELBO, long, short]):
        assert link_first_uses(texts, terms, "g.md", "05_some") == [
            "A [ZINB likelihood](g.md#ZINB-likelihood).", "A [likelihood](g.md#likelihood).", texts[2]
        ]  # fmt: skip


def test_a_word_of_everyday_english_is_linked_where_it_is_the_term():
    gap = Term("gap", "What the bound lacks.", "03", only_in=("03", "channel"))
    for name, linked in {"03_vae": True, "channel": True, "07_clustering": False}.items():
        assert ("(g.md#gap)" in link_first_uses(["A gap."], [gap], "g.md", name)[0]) is linked


def test_the_page_explains_each_term_and_says_which_lesson():
    text = page([NB])
    assert "## negative binomial\n\nA Poisson whose rate varies. Also: NB. [Lesson 05](../notebooks/05_" in text


def test_the_committed_page_is_made_from_today_s_terms():
    assert PAGE.read_text(encoding="utf-8") == page(load_terms())
