"""The page of sources: its tables are whole, they point to what is there, and the committed page shows today's."""

import importlib.util
import inspect
import json
import re

import pytest
import torch
from small import cells_by_hand

from course_lib import sources
from course_lib.models.scvi import SCVI, Decoder, LibraryPrior
from course_lib.probability.bounds import ELBO
from course_lib.probability.counts import ZeroInflatedNegativeBinomial
from course_lib.sources import HERE, Place, is_there, markdown, places, tables
from course_lib.tooling.files import APPENDIX, NOTEBOOKS, find_notebooks, read
from course_lib.tooling.rules.outputs import locate

PAGE = APPENDIX / "sources.ipynb"
WHERE = [place for row in [*sources.errata(), *sources.concepts()] for place in row.where]


def lines_of(lesson: str) -> list[tuple[str, str]]:
    """Every Markdown line of a lesson or appendix with the heading it stands under, straight from the file."""
    [path] = [*NOTEBOOKS.glob(f"{lesson}_*.ipynb"), *APPENDIX.glob(f"{lesson}.ipynb")]
    found, heading = [], ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for line in "".join(cell["source"]).split("\n") if cell["cell_type"] == "markdown" else []:
            heading = line.lstrip("#").strip() if re.match("#+ ", line) else heading
            found.append((heading, line))
    return found


# --- what the tables point to ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", sorted({place.lesson for place in WHERE if isinstance(place, Place)}))
def test_every_section_that_a_table_names_is_a_heading_of_its_lesson(lesson):
    headings = {heading for heading, _ in lines_of(lesson)}
    named = {place.heading for place in WHERE if isinstance(place, Place) and place.lesson == lesson}
    assert named - headings == set()


def test_every_box_of_the_lessons_that_puts_something_right_stands_in_a_section_that_an_erratum_names():
    named = {place for row in sources.errata() for place in row.where}
    lessons = [path.name[:2] for path in find_notebooks() if path.parent == NOTEBOOKS]
    boxes = {Place(n, heading) for n in lessons for heading, line in lines_of(n) if line.startswith("> **Erratum.**")}
    assert boxes - named == set()


def test_every_document_is_put_right_somewhere_and_speaks_of_something():
    assert {row.document for row in sources.errata()} == set(sources.DOCUMENTS)
    assert {name for row in sources.concepts() for name in row.documents} == set(sources.DOCUMENTS)
    assert len(sources.DOCUMENTS) == 5


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("03: The bound, in four lines", Place("03", "The bound, in four lines")),
        ("02: What do 60,484 genes cost?", Place("02", "What do 60,484 genes cost?")),
        ("training_loop: Seeds", Place("training_loop", "Seeds")),
        ("here", HERE),
    ],
)
def test_a_place_is_read_as_it_is_written(text, place):
    assert places.parse(text) == place


@pytest.mark.parametrize("text", ["", "there", "3: A heading", "03", "03:", "03: ", "Seeds: ", "not yet: 13"])
def test_a_place_written_otherwise_is_refused(text):
    with pytest.raises(ValueError, match=r"expected .*, found .*; .*\."):
        places.parse(text)


def test_a_place_is_there_if_its_lesson_has_that_very_heading():
    assert is_there(Place("03", "The direction matters"))
    assert not is_there(Place("03", "The direction"))
    assert not is_there(Place("04", "The direction matters"))
    assert not is_there(Place("99", "The direction matters"))
    assert is_there(Place("channel", "What limits a channel is noise"))
    assert not is_there(Place("chan", "What limits a channel is noise"))


def test_a_link_leads_to_the_heading_and_to_no_other():
    expected = "[05 · ρ shares out, ℓ scales](../05_scvi_simplified.ipynb#%CF%81-shares-out,-%E2%84%93-scales)"
    assert places.link(Place("05", "ρ shares out, ℓ scales")) == expected
    appendix = "[training loop · Stopping early](training_loop.ipynb#Stopping-early)"
    assert places.link(Place("training_loop", "Stopping early")) == appendix
    with pytest.raises(ValueError, match="place: expected a heading of notebook 05, found 'ρ shares'; bring the table"):
        places.link(Place("05", "ρ shares"))


# --- the tables as files --------------------------------------------------------------------------------------------

ERRATUM = {
    "name": "a slip",
    "document": "lecture",
    "kind": "words",
    "says": "it says",
    "holds": "this holds, $x$",
    "where": ["03: The direction matters"],
}
CONCEPT = {"name": "an idea", "documents": ["note"], "where": ["03: The direction matters"]}


def write(folder, table, *rows):
    """The rows as TOML: JSON's strings and lists are TOML's too."""
    lines = [line for row in rows for line in ["[[row]]", *(f"{k} = {json.dumps(v)}" for k, v in row.items())]]
    (folder / f"{table}.toml").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"document": "book"}, "document: expected one of lecture, note"),
        ({"kind": "typo"}, "kind: expected one of formula, words, found 'typo'"),
        ({"where": []}, "where: expected text, or a list of it that is not empty"),
        ({"where": ["03"]}, "expected '03: a heading', 'channel: a heading' or 'here', found '03'"),
        ({"says": "p(z|x)"}, "says: expected one line without |, found 'p(z|x)'"),
        ({"holds": "one\ntwo"}, "holds: expected one line"),
        ({"holds": "a $formula"}, "holds: expected formulas between two $"),
        ({"says": 3}, "says: expected text"),
        ({"page": "12"}, "expected document, holds, kind, name, says, where, found"),
    ],
)
def test_a_row_of_errata_that_cannot_be_is_refused_by_file_and_row(change, message, tmp_path):
    write(tmp_path, "errata", ERRATUM, ERRATUM | {"name": "another"} | change)
    with pytest.raises(ValueError, match=re.escape(f"errata.toml, row 2: {message}")) as caught:
        tables.read("errata", tables.Erratum, tmp_path)
    assert re.search(r"expected .*, found .*; .*\.$", str(caught.value), re.DOTALL)


def test_a_row_that_lacks_a_field_or_stands_there_twice_is_refused(tmp_path):
    write(tmp_path, "errata", {k: v for k, v in ERRATUM.items() if k != "holds"})
    with pytest.raises(ValueError, match=r"errata\.toml, row 1: expected document, holds, .*, found document, kind, "):
        tables.read("errata", tables.Erratum, tmp_path)
    write(tmp_path, "errata", ERRATUM, ERRATUM)
    with pytest.raises(ValueError, match=r"row 2: expected a row of its own, found 'a slip' for the second time"):
        tables.read("errata", tables.Erratum, tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"where": ["here"]}, {"here": "A sentence."}, {"where": ["here"], "here": ""}],
)
def test_a_concept_taught_here_has_its_sentence_and_no_other_has(change, tmp_path):
    write(tmp_path, "concepts", CONCEPT | change)
    with pytest.raises(ValueError, match=r"row 1: here: expected a sentence exactly where a place is 'here'"):
        tables.read("concepts", tables.Concept, tmp_path)


def test_rows_that_can_be_are_read_as_they_are(tmp_path):
    taught_here = {"name": "another", "documents": ["note", "talk"], "where": ["here"], "here": "A sentence."}
    write(tmp_path, "concepts", CONCEPT, taught_here)
    assert tables.read("concepts", tables.Concept, tmp_path) == [
        tables.Concept("an idea", ("note",), (Place("03", "The direction matters"),)),
        tables.Concept("another", ("note", "talk"), (HERE,), "A sentence."),
    ]


# --- the page -------------------------------------------------------------------------------------------------------


def test_a_table_is_markdown():
    assert markdown.table(["a", "b"], [["1", "$x$"], ["2", "–"]]) == "| a | b |\n| :-- | :-- |\n| 1 | $x$ |\n| 2 | – |"


def test_formulas_come_first_and_numbers_run_through_both_tables():
    first, second = (
        re.findall(r"^\| (\d+) \| (\w+) \|", sources.errata_table(kind), re.M) for kind in tables.Kind.__args__
    )
    kinds = [row.kind for row in sources.errata()]
    assert kinds == ["formula"] * len(first) + ["words"] * len(second)
    assert [int(number) for number, _ in first + second] == list(range(1, len(kinds) + 1))
    order = list(sources.DOCUMENTS).index
    assert all([order(d) for _, d in part] == sorted(order(d) for _, d in part) for part in (first, second))


def test_names_in_code_are_written_short_and_what_is_missing_is_a_dash():
    rows = dict(re.findall(r"^\| (\S+) \| (.*) \|", sources.symbols_table(), re.M))
    assert rows[r"$\rho_{ng}$"].startswith("`rho` in `Decoder.forward` | `px_scale`, kept as `generative.px.scale` | ")
    assert rows["$x_{ng}$"].startswith("`Cells.x` | `X` | ")
    assert rows["$c_n$"].startswith("`Cells.label` | `labels` | – | ")


def test_the_committed_page_shows_the_tables_of_today():
    outputs = [output for cell in read(PAGE).cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]
    concepts = [sources.concepts_table(document) for document in sources.DOCUMENTS]
    errata = [sources.errata_table(kind) for kind in ("formula", "words")]
    assert shown == [sources.documents_list(), *errata, *concepts, sources.symbols_table()], "run make notebooks"


# --- one letter, four names -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ours():
    """One of each class whose attributes only an instance has."""
    prior = LibraryPrior(torch.zeros(2), torch.ones(2))
    cells = cells_by_hand([[1, 2, 0], [3, 0, 1]], [0, 1], batches=("a", "b"))
    model = SCVI(cells.genes, cells.batches, library_prior=prior, hidden=(4,), n_latent=2)
    q = model.encode_library(cells.x).mean
    counts = model.decode(model.encode(cells.x).mean, q, cells.batch).base_dist
    made = [prior, cells, model, model.decoder, model.elbo(cells), counts]
    return {type(item): item for item in made}


@pytest.mark.parametrize("symbol", sources.symbols(), ids=lambda symbol: symbol.course)
def test_the_courses_names_are_there(symbol, ours):
    path, _, inside = symbol.course.rstrip(")").partition("(")
    owner, _, name = path.rpartition(".")
    holder = locate(f"course_lib.{owner}")
    assert holder is not None
    item = getattr(ours.get(holder, holder), name)
    assert not inside or inside in inspect.unwrap(item).__code__.co_varnames


def test_instances_are_of_the_classes_they_stand_for(ours):
    assert {SCVI, Decoder, LibraryPrior, ELBO, ZeroInflatedNegativeBinomial} < set(ours)


NEEDS_SCVI = pytest.mark.skipif(
    importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
)


@pytest.fixture(scope="module")
def theirs(scvi):
    """What scvi-tools' VAE with a learned library keeps and returns for a few cells."""
    moments = {"library_log_means": torch.ones(1, 2).numpy(), "library_log_vars": torch.full((1, 2), 4.0).numpy()}
    module = scvi.module.VAE(n_input=4, n_batch=2, use_observed_lib_size=False, **moments).eval()
    x = torch.tensor([[1.0, 2, 0, 5], [3, 0, 1, 1]])
    tensors = {"X": x, "batch": torch.tensor([[0], [1]]), "labels": torch.zeros(2, 1)}
    inference, generative, loss = module(tensors)
    minibatch = dict.fromkeys(scvi.REGISTRY_KEYS)
    return {"minibatch": minibatch, "module": module, "inference": inference, "generative": generative, "loss": loss}


def follow(root, path):
    for name in path.split("."):
        root = root[name] if isinstance(root, dict) else getattr(root, name)
    return root


@NEEDS_SCVI
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("symbol", [s for s in sources.symbols() if s.scvi_tools], ids=lambda symbol: symbol.scvi_tools)
def test_scvi_tools_keeps_its_variables_where_the_table_says(symbol, scvi, theirs):
    found = follow(theirs, symbol.found)
    assert found is not None or symbol.found.startswith("minibatch.")
    variables = inspect.unwrap(scvi.module.VAE.generative).__code__.co_varnames
    assert symbol.found.endswith(f".{symbol.scvi_tools}") or symbol.scvi_tools in variables


@NEEDS_SCVI
@pytest.mark.filterwarnings("ignore")
def test_scvi_tools_means_by_its_names_what_the_equations_say(theirs):
    px, library = follow(theirs, "generative.px"), follow(theirs, "inference.library")
    torch.testing.assert_close(px.scale.sum(-1), torch.ones(2))  # ρ
    torch.testing.assert_close(px.mu, library.exp() * px.scale)  # μ = ℓρ, and library is log ℓ
    torch.testing.assert_close(px.theta, follow(theirs, "module.px_r").exp().expand(2, 4))
    torch.testing.assert_close(px.zi_probs, px.zi_logits.sigmoid())
    torch.testing.assert_close(follow(theirs, "generative.pl").scale, torch.full((2, 1), 2.0))  # a variance of four
