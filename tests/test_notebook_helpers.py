"""`check`, `show_source` and the figures' style: what a notebook leans on to be honest."""

import ast
import colorsys
import inspect
import io
from itertools import pairwise

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from course_lib import notebook
from course_lib.figures import style
from course_lib.notebook import check, qualified_name, show_source, source_text


@pytest.fixture
def displayed(monkeypatch):
    """What the helpers hand to the notebook: pairs of data and metadata."""
    outputs = []

    def record(data, *, metadata, raw):
        assert raw
        outputs.append((data, metadata))

    monkeypatch.setattr(notebook, "display", record)
    monkeypatch.setattr(style, "display", record)
    yield outputs
    plt.close("all")


# --- check ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "truth", [True, np.bool_(True), np.array(True), torch.tensor(True), torch.tensor(2.0) > 1, np.float32(2) > 1]
)
def test_check_prints_a_claim_that_holds(truth, capsys):
    check("two exceeds one", truth)
    assert capsys.readouterr().out == "✓ two exceeds one\n"


@pytest.mark.parametrize(
    "falsehood", [False, np.bool_(False), torch.tensor(False), float("nan") > 0, torch.tensor(float("nan")) <= 0]
)
def test_check_stops_with_a_claim_that_does_not_hold(falsehood, capsys):
    with pytest.raises(AssertionError, match="one exceeds two"):
        check("one exceeds two", falsehood)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([False], "list"),
        (0.3, "float"),
        (float("nan"), "float"),
        (1, "int"),
        (None, "NoneType"),
        ("no", "str"),
        (np.array([False]), r"ndarray of shape \(1,\), bool"),
        (torch.tensor([False, True]), r"Tensor of shape \(2,\), torch.bool"),
        (torch.tensor(0.3), r"Tensor of shape \(\), torch.float32"),
    ],
)
def test_check_refuses_what_is_not_one_truth_value(value, found):
    with pytest.raises(TypeError, match=f"condition: expected one truth value, found {found}"):
        check("anything", value)


# --- show_source ----------------------------------------------------------------------------------------------------


def test_show_source_displays_the_code_as_fenced_python_and_names_it(displayed):
    show_source(check)
    [(data, metadata)] = displayed
    assert metadata == {"source_of": "course_lib.notebook.check", "doc": True}
    assert data["text/plain"].startswith("def check(statement: str")
    assert data["text/markdown"] == f"```python\n{data['text/plain']}\n```"


def test_show_source_displays_several_objects_in_order(displayed):
    show_source(check, show_source)
    assert [metadata["source_of"] for _, metadata in displayed] == [
        "course_lib.notebook.check",
        "course_lib.notebook.show_source",
    ]


def test_source_is_the_text_between_its_first_and_last_line():
    with open(notebook.__file__, encoding="utf-8") as file:
        text = file.read()
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == "check")
    assert source_text(check) == ast.get_source_segment(text, node)


def test_source_without_docs_is_the_same_program_with_first_lines():
    whole, short = source_text(show_source), source_text(show_source, doc=False)
    trees = [ast.parse(whole), ast.parse(short)]
    docs = [ast.get_docstring(tree.body[0]) for tree in trees]
    assert docs[1] == docs[0].split("\n")[0]
    assert len(docs[0].split("\n")) > 3
    for tree in trees:
        del tree.body[0].body[0]
    assert ast.dump(trees[0]) == ast.dump(trees[1])


def test_source_of_a_method_is_dedented_and_a_property_is_found():
    from course_lib.tooling.document import Document

    assert source_text(Document.section).startswith("def section(")
    assert qualified_name(Document.section) == "course_lib.tooling.document.Document.section"
    assert source_text(Document.words).startswith("@property\ndef words(")
    assert qualified_name(Document.words) == "course_lib.tooling.document.Document.words"
    assert source_text(Document.read).startswith("@classmethod\ndef read(")


def test_source_of_a_module_is_the_file():
    with open(notebook.__file__, encoding="utf-8") as file:
        assert source_text(notebook) == file.read().rstrip()
    assert qualified_name(notebook) == "course_lib.notebook"


@pytest.mark.parametrize("item", [np.linalg.norm, lambda x: x, ast])
def test_show_source_refuses_what_no_test_keeps_current(item, displayed):
    with pytest.raises(ValueError, match="objects: expected parts of course_lib, found"):
        show_source(item)
    assert displayed == []


# --- figures --------------------------------------------------------------------------------------------------------

ALT = "Line plot: the error falls from 4.0 at width 2 to 1.0 at width 64"


def line_figure():
    fig, ax = plt.subplots()
    ax.plot([2, 64], [4.0, 1.0])
    return fig


def test_show_stores_the_alternative_text_where_pages_look_for_it(displayed):
    style.show(line_figure(), alt=ALT)
    [(data, metadata)] = displayed
    assert metadata == {"image/png": {"alt": ALT}}
    assert data["text/plain"] == f"Figure: {ALT}"
    pixels = matplotlib.image.imread(io.BytesIO(data["image/png"]))
    assert pixels.shape[1] > 8 * style.DPI


def test_show_closes_the_figure_so_that_it_is_drawn_once(displayed):
    fig = line_figure()
    style.show(fig, alt=ALT)
    assert fig.number not in plt.get_fignums()


def test_show_writes_the_same_bytes_for_the_same_figure(displayed):
    style.show(line_figure(), alt=ALT)
    style.show(line_figure(), alt=ALT)
    assert displayed[0][0]["image/png"] == displayed[1][0]["image/png"]
    assert b"Software" not in displayed[0][0]["image/png"]


def test_show_joins_the_lines_of_a_long_text(displayed):
    style.show(line_figure(), alt=ALT.replace(" at ", "\n    at "))
    assert displayed[0][1]["image/png"]["alt"] == ALT


@pytest.mark.parametrize("alt", ["", "A plot", " " * 60, "x" * 39])
def test_show_refuses_a_text_too_short_for_a_takeaway(alt, displayed):
    with pytest.raises(ValueError, match=r"alt: expected at least 40 characters .*, found"):
        style.show(line_figure(), alt=alt)
    assert displayed == []


def relative_luminance(colour):
    """WCAG 2.1, relative luminance of an sRGB colour."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_lines_and_anchors_stand_out_from_white():
    for role, colour in style.COLOUR.items():
        contrast = 1.05 / (relative_luminance(colour) + 0.05)
        assert contrast > 2, (role, contrast)


def test_contrast_is_that_of_wcag():
    assert style.contrast("white") == pytest.approx(1)
    assert style.contrast("black") == pytest.approx(21)
    for colour in (style.ORANGE, style.GREY, "#0a0a0a"):
        assert style.contrast(colour) == pytest.approx(1.05 / (relative_luminance(colour) + 0.05), rel=1e-6)


@pytest.mark.parametrize("colour", [*style.CATEGORIES, "#a36f00", "#8a8a8a"])
def test_ink_keeps_the_hue_and_is_no_darker_than_letters_need(colour):
    dark = style.ink(colour)
    assert 1.05 / (relative_luminance(dark) + 0.05) >= 4.5
    assert style.ink(dark) == dark
    if style.contrast(colour) >= 4.5:
        assert dark == colour.lower()
    else:
        assert style.contrast(dark) < 4.7
        hues = [colorsys.rgb_to_hsv(*to_rgb(shade))[0] for shade in (colour, dark)]
        assert hues[0] == pytest.approx(hues[1], abs=0.01)


def test_show_darkens_letters_and_nothing_else(displayed):
    fig, ax = plt.subplots()
    (line,) = ax.plot([1, 2], [3, 4], color=style.ORANGE, label="orange")
    style.label_lines(ax)
    legend = ax.legend(labelcolor="linecolor")
    ax.text(1, 3, "on a dark bar", color="white")
    ax.set_title("Rose", loc="left", color=style.PURPLE)
    style.show(fig, alt=ALT)
    named, white = ax.texts
    assert named.get_color() == legend.get_texts()[0].get_color() == style.ink(style.ORANGE) != style.ORANGE
    assert (line.get_color(), white.get_color()) == (style.ORANGE, "white")
    assert style.contrast(ax.title.get_color()) >= 4.5
    assert ax._left_title.get_color() == style.ink(style.PURPLE)


def test_categories_are_the_okabe_ito_colours_and_grey_each_once():
    okabe_ito = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    assert set(style.CATEGORIES) == okabe_ito | {style.GREY}
    assert len(style.CATEGORIES) == 8


def test_importing_the_style_sets_it():
    assert plt.rcParams["axes.spines.top"] is False
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"] == list(style.CATEGORIES)


def test_finding_is_wrapped_to_the_panel_and_keeps_its_words():
    sentence = "Channels four times as wide lose a quarter as much of the held-out variance as narrow ones do"
    titles = {}
    for panels in (1, 3):
        fig, axes = plt.subplots(1, panels, squeeze=False)
        style.finding(axes[0, 0], sentence)
        title = axes[0, 0].title if axes[0, 0].get_title() else axes[0, 0]._left_title
        titles[panels] = title.get_text()
        fig.canvas.draw()
        extent, panel = title.get_window_extent(), axes[0, 0].get_window_extent()
        assert extent.width <= 1.25 * panel.width
        plt.close(fig)
    assert titles[1].split() == titles[3].split() == sentence.split()
    assert titles[3].count("\n") > titles[1].count("\n") > 0


def test_label_lines_names_each_line_in_its_colour_without_overlap():
    fig, ax = plt.subplots()
    for k in range(5):
        ax.plot([0, 1, 2], [0, 1, 1 + k / 1000], label=f"width {k}")
    ax.plot([0, 2], [0, 0])  # no label: no name
    style.label_lines(ax)
    fig.canvas.draw()
    assert [text.get_text() for text in ax.texts] == [f"width {k}" for k in range(5)]
    assert [text.get_color() for text in ax.texts] == [line.get_color() for line in ax.get_lines()[:5]]
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
    plt.close(fig)


def test_label_groups_writes_each_name_at_the_median_of_its_points():
    fig, ax = plt.subplots()
    points = np.array([[0.0, 0.0], [1.0, 2.0], [10.0, 1.0], [5.0, 5.0]])
    style.label_groups(ax, points, ["B", "B", "B", "NK"], {"NK": style.BLUE})
    assert [(t.get_text(), t.get_position(), t.get_color()) for t in ax.texts] == [
        ("B", (1.0, 1.0), style.BLACK),
        ("NK", (5.0, 5.0), style.BLUE),
    ]
    plt.close(fig)


@pytest.mark.parametrize(
    "positions", [[0.5], [0.5] * 4, [0.0, 0.01, 0.02], [0.9, 1.0, 0.95], [0.1, 0.9, 0.2], [-3.0, 7]]
)
def test_spread_keeps_the_order_the_distance_and_the_bounds(positions):
    placed = np.array(style.spread(positions, 0.2))
    order = np.argsort(positions, kind="stable")
    assert (np.diff(placed[order]) > 0.2 - 1e-12).all()
    assert placed.min() > -1e-12
    assert placed.max() < 1 + 1e-12


def test_spread_leaves_alone_what_is_far_apart():
    assert style.spread([0.8, 0.1, 0.4], 0.2) == [0.8, 0.1, 0.4]


def test_line_of_finds_the_line_and_refuses_what_is_not_on_one():
    place = notebook.line_of(notebook.check, "raise AssertionError")
    path, number = place.split(":")
    source = inspect.getsource(notebook).split("\n")
    assert path == "notebook.py"
    assert "raise AssertionError" in source[int(number) - 1]
    with pytest.raises(ValueError, match=r"stands on 0 lines of course_lib\.notebook\.check, expected one"):
        notebook.line_of(notebook.check, "no such code")
    with pytest.raises(ValueError, match=r"stands on \d+ lines"):
        notebook.line_of(notebook.check, "condition")
    with pytest.raises(ValueError, match="parts of course_lib"):
        notebook.line_of(np.mean, "mean")
