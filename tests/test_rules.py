"""Each rule over notebooks is broken here once or more, and must notice: a check that cannot fail is none."""

import copy
import importlib
import inspect

import nbformat
import pytest
from good_notebook import (
    ALT,
    CHECKS,
    FIGURE,
    GOOD,
    NAME,
    QUESTION,
    SOURCE,
    code,
    drawn_elsewhere,
    drop_alt,
    figure_output,
    heavy,
    kernel,
    longer,
    never_run,
    output,
    say,
    set_count,
    stale,
    stream,
    svg,
    swap,
    talk,
    timings,
    unknown_source,
    written,
)

from course_lib.notebook import check, source_text
from course_lib.tooling import rules
from course_lib.tooling.document import Document, paragraphs, prose
from course_lib.tooling.files import APPENDIX
from course_lib.tooling.rules.outputs import locate
from course_lib.tooling.rules.sitting import reading


def test_the_good_notebook_keeps_every_rule_and_its_answers_run():
    assert rules.examine(Document(NAME, GOOD), answers=True) == []


ERROR = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
LONG = "\n".join(f"a{n} = {n}" for n in range(16))
BREACHES = [
    (rules.executed_in_order, set_count, "number 7, expected 3"),
    (rules.executed_in_order, code(""), "empty"),
    (rules.executed_in_order, never_run, "was not executed"),
    (rules.no_error_output, output(ERROR), "ValueError"),
    (rules.no_stderr, stream("stderr", "UserWarning: no"), "UserWarning"),
    (rules.figures_have_alt, drop_alt, "0 characters"),
    (rules.figures_have_alt, output(figure_output("A figure"), cell=FIGURE), "8 characters"),
    (rules.figures_have_alt, output(figure_output(ALT + ", slope nan"), cell=FIGURE), "nan"),
    (rules.figures_have_alt, drawn_elsewhere, "not drawn through"),
    (rules.figures_have_alt, svg, "image/svg+xml"),
    (rules.figures_have_alt, say("![](picture.png)"), "Markdown image"),
    (rules.show_calls, code("show(fig)", FIGURE), "without alt"),
    (rules.show_calls, code("plt.show()", FIGURE), "plt.show()"),
    (rules.show_calls, code("show(fig, alt='the error falls to 1.5 at width 64')", FIGURE), "typed number"),
    (rules.alt_in_pages, drop_alt, "the page shows the figure without it"),
    (rules.plain_python, code("%matplotlib inline"), "%matplotlib"),
    (rules.plain_python, code("!pip install numpy"), "!pip"),
    (rules.plain_python, swap("total = 0.5 + 0.5", "%timeit 0.5"), "%timeit"),
    (rules.imports_declared, code("import tensorflow as tf"), "tensorflow"),
    (rules.imports_declared, code("from pytest import approx"), "pytest"),
    (rules.imports_declared, code("def later():\n    import nbval"), "nbval"),
    (rules.imports_declared, swap("total = 0.5", "import seaborn\ntotal = 0.5"), "seaborn"),
    (rules.no_network, code("from urllib.request import urlopen"), "urllib"),
    (rules.no_network, code("import pooch"), "pooch"),
    (rules.no_network, code("adata = read('https://example.org/pbmc3k.h5ad')"), "https://example.org"),
    (rules.no_network, code("adata = read(f'http://example.org/{name}')"), "http://example.org"),
    (rules.sources_current, stale, "has changed"),
    (rules.sources_current, unknown_source, "gone"),
    (rules.sources_current, output(cell=SOURCE), "no output holds a source"),
    (rules.no_measured_number, say("The ARI is 0.91."), "'0.91'"),
    (rules.no_measured_number, say("The ARI is `0.91` now."), "'0.91'"),
    (rules.no_measured_number, say("The ARI is $0.91$."), "'0.91'"),
    (rules.no_measured_number, say(r"It keeps $97\%$ of the variance."), "97"),
    (rules.no_measured_number, say("It keeps 97 % of the variance."), "'97 %'"),
    (rules.no_measured_number, say("It keeps 97 percent of the variance."), "percent"),
    (rules.no_measured_number, say("The gap is below 1e-5."), "1e-5"),
    (rules.no_measured_number, say("The ARI is .91 here."), "'.91'"),
    (rules.no_measured_number, say("It loses 1,5 nats."), "'1,5'"),
    (rules.no_measured_number, say("| method | ARI |\n|---|---|\n| PCA | 0.57 |"), "0.57"),
    (rules.no_measured_number, swap("Because addition", "Because 0.25 of additions"), "0.25"),
    (rules.no_measured_number, say("Paper: https://doi.org/10.1038/x\n\nOurs: 0.91."), "0.91"),
    (rules.plain_prose, say("It works!"), "exclamation"),
    (rules.plain_prose, say("You simply train it."), "simply"),
    (rules.plain_prose, say("Just train it."), "just"),
    (rules.links_lead_somewhere, say("See [there](02_gone.ipynb)."), "no such notebook"),
    (rules.links_lead_somewhere, say("See [there](02_geneex.ipynb#The-end)."), "no heading there"),
    (rules.links_lead_somewhere, say("See [below](#The-end)."), "no heading there"),
    (rules.links_lead_somewhere, say("See [the terms](../data/README.md)."), "only notebooks and quizzes"),
    (rules.links_lead_somewhere, say("See [the quiz](../docs/quizzes/99_gone.md)."), "no such quiz"),
    (rules.links_lead_somewhere, say("See [the quiz](../docs/quizzes/03_vae_elbo.md#top)."), "only notebooks"),
    (rules.links_lead_somewhere, say("See [a][(b)] and [the same](../02_geneex.ipynb)."), "no such notebook"),
    (rules.links_lead_somewhere, output(written("| [there](02_gone.ipynb) |")), "no such notebook"),
    (rules.links_lead_somewhere, code("table = read('../data/results/gone.csv')"), "opens '../data/results/gone.csv'"),
    (rules.cell_length, code(LONG), "16 lines of code"),
    (rules.cell_length, code("a = 1" + "\n# b" * 20), "21 in all"),
    (rules.one_sitting, longer("cells"), "69 cells, at most 60"),
    (rules.one_sitting, longer("words"), "87 minutes to read (12097 words"),
    (rules.one_sitting, swap("5 to read", "15 to read"), "says 15 minutes to read, counted"),
    (rules.builds, swap("*Build it.* Say", "Say"), "the last exercise begins"),
    (rules.builds, swap("Hint 2", "Help"), "hints ['1'], expected at least 2"),
    (rules.builds, swap("Hint 2", "Hint 1"), "hints ['1', '1']"),
    (rules.builds, swap('check("two halves', 'print("two halves'), "has no check(…)"),
    (rules.no_measured_number, talk(0, {"slide": "# The ARI is 0.91"}), "'0.91'"),
    (rules.plain_prose, talk(0, {"slide": "# It works!"}), "exclamation"),
    (rules.talk_holds, talk(0, {"slide": " ".join(["word"] * 61)}), "cell 1: talk.slide: expected at most 60 words"),
    (rules.talk_holds, talk(FIGURE, {"show": "film"}), "found 'film'"),
    (rules.talk_holds, talk(1, []), "3 slides, expected 10 to 20"),
    (rules.talk_holds, talk(1, [{"slide": "## One"}] * 18), "21 slides, expected 10 to 20"),
    (rules.talk_holds, talk(7, {"slide": QUESTION}), "cell 8: a prediction without its result"),
    (rules.talk_holds, talk(FIGURE, {"slide": QUESTION}), "cell 2: a prediction without its result"),
    (rules.opening, swap("# 09 · A notebook", "A notebook"), "title"),
    (rules.opening, swap("**What changed**", "**News**"), "What changed"),
    (rules.opening, swap("5 to read, 1 to run", "6"), "two numbers"),
    (rules.opening, say("# Another title"), "one title only"),
    (rules.predictions, swap("> **Predict.** Is", "> Is"), "2 lines"),
    (rules.predictions, swap("## Summary", "> **Predict.** What now?\n\n## Summary"), "no code follows"),
    (rules.usual_mistakes, swap("> **Usual mistake.** Forgetting", "> Forgetting"), "1 boxes"),
    (rules.claims_checked, code("check('0 is 0', 0 == 0)", CHECKS), "1 calls"),
    (rules.ending, swap("## Exercises", "## Homework"), "last three sections"),
    (rules.ending, swap("</details>", ""), "0 '<details>"),
    (rules.ending, swap("**Exercise 2.**", "Another:"), "1 '**Exercise n.**' and 2"),
    (rules.ending, swap("5. Five.", ""), "4 lines"),
    (
        rules.ending,
        swap("1053–1058. https://doi.org/10.1038/s41592-018-0229-2", "1053–1058."),
        "without https://doi.org",
    ),
    (rules.ending, swap("- Lopez", "Lopez"), "lists nothing"),
    (rules.quiz_linked, swap("[The quiz](../docs/quizzes/09_scvi_tools.md)", "The quiz"), "no link to its quiz"),
    (
        rules.quiz_linked,
        swap("quizzes/09_scvi_tools.md", "quizzes/03_vae_elbo.md"),
        "](../docs/quizzes/09_scvi_tools.md)",
    ),
    (rules.quiz_linked, swap("asks.", "asks, [it](../docs/quizzes/09_scvi_tools.md)."), "or several"),
    (rules.normalised, kernel, "metadata"),
    (rules.normalised, timings, "metadata differ"),
    (rules.no_trace_of_machine, stream("stdout", "/home/me/course/data.h5ad"), "/home/me"),
    (rules.no_trace_of_machine, stream("stdout", "<object object at 0x7f3a5c0d1e40>"), "0x7f3a5c"),
    (rules.no_trace_of_machine, code("path = '/Users/me/pbmc3k.h5ad'"), "/Users/me"),
    (rules.file_size, heavy, "1,500,000"),
    (rules.answers_run, swap("total == 1", "total == 2"), "a half and a half make one"),
    (rules.answers_run, swap("from course_lib.notebook import check\n", ""), "name 'check' is not defined"),
]


@pytest.mark.parametrize(
    ("rule", "breach", "word"), BREACHES, ids=[f"{rule.__name__}-{n}" for n, (rule, _, _) in enumerate(BREACHES)]
)
def test_a_breach_is_found(rule, breach, word):
    nb = copy.deepcopy(GOOD)
    breach(nb)
    messages = [str(finding) for finding in rule(Document(NAME, nb))]
    assert any(word in message for message in messages), messages


def test_a_source_is_found_where_its_package_holds_a_function_under_the_modules_name():
    module = importlib.import_module("course_lib.training.fit")
    assert inspect.isfunction(importlib.import_module("course_lib.training").fit)  # the function hides the module …
    assert locate("course_lib.training.fit.fit") is module.fit  # … and its dotted name leads there all the same
    assert locate("course_lib.training.fit") is module
    assert locate("course_lib.notebook.check") is check
    assert locate("course_lib.training.fit.gone") is None
    assert locate("no_such_package.fit") is None


@pytest.mark.parametrize(
    "sentence",
    [
        "[02](02_geneex.ipynb), [a section](02_geneex.ipynb#Exercises), [here](#Rules), [a DOI](https://doi.org/10.1/x).",
        "[letters and signs](05_scvi_simplified.ipynb#%CF%81-shares-out,-%E2%84%93-scales)",
        "In `[code](gone.ipynb)` and $E[x](gone.ipynb)$ nothing is a link.",
        "```\n[code](gone.ipynb)\n```",
    ],
)
def test_a_link_that_leads_somewhere_is_no_breach(sentence):
    nb = copy.deepcopy(GOOD)
    say(sentence)(nb)
    assert rules.links_lead_somewhere(Document("good", nb)) == []


def test_links_and_paths_are_followed_from_the_notebooks_own_folder():
    nb = copy.deepcopy(GOOD)
    swap("../docs/quizzes", "../../docs/quizzes")(nb)
    say("See [there](../02_geneex.ipynb#Exercises).")(nb)
    code("table = read('../../data/results/batches.csv')")(nb)
    assert rules.links_lead_somewhere(Document("deep", nb, APPENDIX)) == []
    assert len(rules.links_lead_somewhere(Document("flat", nb))) == 3


def test_a_notebook_may_import_what_an_extra_brings_if_it_says_how_to_install_that():
    nb = copy.deepcopy(GOOD)
    code("import scvi")(nb)
    assert len(rules.imports_declared(Document("silent", nb))) == 1
    say("First: `pip install -e '.[test,peer]'`.")(nb)
    assert rules.imports_declared(Document("open", nb)) == []
    code("import harmonypy")(nb)
    assert len(rules.imports_declared(Document("another extra", nb))) == 1


def test_every_rule_is_broken_by_some_row():
    assert {rule for rule, _, _ in BREACHES} == {*rules.RULES, rules.answers_run}


APPENDIX_TITLE = """# Appendix · A page to look things up

| | |
|---|---|
| **What it is for** | to be looked things up in |
| **For whom** | whoever asks |
| **Minutes** | 5 to read, 1 to run |"""


def appendix():
    """What an appendix needs and no more: no predictions, mistakes, exercises, summary or talk."""
    nb = copy.deepcopy(GOOD)
    for cell in nb.cells:
        cell.metadata.pop("talk", None)
    nb.cells[0].source = APPENDIX_TITLE
    nb.cells[1].source = "## Words"
    nb.cells = [cell for cell in nb.cells if not cell.source.startswith(("## Exercises", "## Summary"))]
    return nb


def test_an_appendix_need_not_ask_nor_exercise_and_a_lesson_must():
    assert rules.examine(Document("appendix/page", appendix(), APPENDIX)) == []
    broken = {finding.rule for finding in rules.examine(Document("09_page", appendix()))}
    assert broken == {"opening", "predictions", "usual mistakes", "build it", "ending", "quiz"}


@pytest.mark.parametrize(
    ("rule", "breach", "word"),
    [
        (rules.opening, swap("**For whom**", "**Whose**"), "For whom"),
        (rules.opening, swap("5 to read, 1 to run", "6"), "two numbers"),
        (rules.predictions, swap("## References", "> **Predict.** What now?\n\n## References"), "no code follows"),
        (rules.ending, swap("## References", "## Literature"), "last section"),
        (
            rules.ending,
            swap("## Words", "## Exercises\n\n**Exercise 1.** Why?\n\n## Words"),
            "1 '**Exercise n.**' and 0",
        ),
        (rules.ending, swap("## Words", "## Summary\n\n1. One.\n\n## Words"), "1 lines"),
        (rules.claims_checked, code("check('0 is 0', 0 == 0)", CHECKS), "1 calls"),
    ],
)
def test_a_breach_is_found_in_an_appendix_too(rule, breach, word):
    nb = appendix()
    breach(nb)
    messages = [str(finding) for finding in rule(Document("appendix/bad", nb, APPENDIX))]
    assert any(word in message for message in messages), messages


def test_a_notebook_without_a_talk_breaks_no_rule_of_talks():
    nb = copy.deepcopy(GOOD)
    for cell in nb.cells:
        cell.metadata.clear()
    assert rules.talk_holds(Document("silent", nb)) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Each cell holds 2,000 genes and 32 latents.",
        "Noise of $\\sigma = 0.1$, up-regulated with `effect=1.5`.",
        "Python 3.11 runs it; the text is CC BY 4.0; see Eq. 2.4.",
        "$$\\int_0^{0.5} x\\,dx = 0.125$$",
        "SIMLR reached 0.824 (https://doi.org/10.1038/nmeth.4207).",
        "```python\nsigma = 0.1\n```",
        "1. First.\n2. Second, in 2014.",
    ],
)
def test_counts_settings_formulas_and_published_numbers_are_free(sentence):
    nb = copy.deepcopy(GOOD)
    say(sentence)(nb)
    assert rules.no_measured_number(Document("free", nb)) == []


def test_the_title_of_a_cited_work_may_say_what_it_likes():
    nb = copy.deepcopy(GOOD)
    swap("- Lopez", "- Lucas et al. Just Don't Blame the ELBO! https://doi.org/10.48550/arXiv.1911.02469\n- Lopez")(nb)
    assert rules.plain_prose(Document("cited", nb)) == []


def test_prose_keeps_words_and_drops_code_formulas_and_addresses():
    text = "Read [the paper](https://doi.org/10.1/x) on `mu` and $x!$ now.\n\n```python\na = 1\n```\n> Yes."
    assert prose(text).split() == ["Read", "the", "paper", "on", "and", "now.", ">", "Yes."]


def test_a_doi_covers_its_own_list_item_only():
    assert paragraphs("- A 0.5 https://doi.org/10.1/x\n- B 0.6\n\nC\nD") == [
        "- A 0.5 https://doi.org/10.1/x",
        "- B 0.6",
        "C\nD",
    ]


def test_the_command_names_each_breach_and_fails(tmp_path, capsys):
    nb = copy.deepcopy(GOOD)
    say("It works!")(nb)
    path = tmp_path / "bad.ipynb"
    nbformat.write(nb, path)
    assert rules.main([str(path)]) == 1
    assert "plain prose: cell 2: exclamation mark after 'It works!'" in " ".join(capsys.readouterr().out.split())


def test_the_command_passes_a_good_notebook(tmp_path, capsys):
    path, quiz = tmp_path / "notebooks" / f"{NAME}.ipynb", tmp_path / "docs" / "quizzes" / f"{NAME}.md"
    for place in (path, quiz):
        place.parent.mkdir(parents=True)
    quiz.touch()
    nbformat.write(GOOD, path)
    assert rules.main([str(path)]) == 0
    assert capsys.readouterr().out == f"{NAME}.ipynb: 0 findings\n"


def test_reading_counts_what_there_is_to_read():
    nb = copy.deepcopy(GOOD)
    nb.cells[1].source = "## Four words in all, $x$ is one\n\n$$a = b$$\n\n> **Predict.** Why?"
    seen = reading(Document("counted", nb))
    title, table = 7, 13 + 4 + 5 + 7  # "09 A notebook …"; its four rows, where 3.11 is two words
    said, printed = 7 + 2, 5 * 3  # with the formula; "✓ 0 is 0" five times
    assert seen.words == title + table + said + printed
    assert (seen.code, seen.equations, seen.figures, seen.predictions) == (3 + 1 + 2 + 5, 1, 1, 1)
    assert seen.source == sum(bool(line.strip()) for line in source_text(check).split("\n"))
    assert seen.minutes == round(seen.words / 150 + seen.code / 10 + seen.source / 15 + 3)
