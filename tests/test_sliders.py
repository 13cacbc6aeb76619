"""Sliders: one output that is alive and a picture, the picture of the starting values, redrawn when a slider moves."""

import base64

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from ipywidgets.widgets import widget

from course_lib import sliders as room
from course_lib.figures import style
from course_lib.sliders import VIEW, sliders
from course_lib.tooling.document import Document
from course_lib.tooling.execute import execute
from course_lib.tooling.normalise import normalise
from course_lib.tooling.rules.outputs import alt_in_pages, figures_have_alt
from course_lib.tooling.talk import slides

HEIGHTS = ("height, nats", [0.5, 1.0, 2.0, 4.0], 1.0)


def bar(height: float, width: float = 1.0):
    """A figure whose text says what it was drawn with."""
    fig, ax = plt.subplots(figsize=(2, 2))
    ax.bar([0], [height], width=width)
    ax.set_ylim(0, 5)
    if height == 4.0:
        raise ValueError("height: 4 is too high")
    return fig, f"A bar that is {height:g} nats high and {width:g} wide, alone in its figure"


class Handle:
    """Of a displayed figure: notes what it is updated with."""

    def __init__(self, updates: list) -> None:
        self.updates = updates

    def update(self, data, metadata, raw) -> None:
        self.updates.append((data, metadata))


@pytest.fixture
def shown(monkeypatch):
    """What `sliders` displays, and what the figure becomes when a slider moves: [(data, metadata), …]."""
    outputs = {"cell": [], "moved": []}

    def display(data, metadata=None, raw=False, display_id=None):
        outputs["cell"].append((data, metadata))
        return Handle(outputs["moved"]) if display_id else None

    monkeypatch.setattr(room, "display", display)
    return outputs


def panel_of(shown) -> ipywidgets.VBox:
    return widget._instances[shown["cell"][0][0][VIEW]["model_id"]]


def picture_of(height: float, width: float = 1.0) -> bytes:
    return style.as_output(*bar(height, width))[0]["image/png"]


def test_below_the_sliders_stands_the_picture_of_the_starting_values_as_show_displays_it(shown):
    sliders(bar, height=HEIGHTS)
    [(view, _), (data, metadata)] = shown["cell"]
    assert set(view) == {VIEW, "text/plain"}
    assert set(data) == {"image/png", "text/plain"}
    assert data["image/png"] == picture_of(1.0)
    alt = "A bar that is 1 nats high and 1 wide, alone in its figure"
    assert metadata == {"image/png": {"alt": alt}}
    assert data["text/plain"] == f"Figure: {alt}"


def test_a_slider_that_moves_draws_its_value_and_says_the_text(shown, capsys):
    sliders(bar, height=HEIGHTS, width=("width", [0.5, 1.0], 0.5))
    height, width, words = panel_of(shown).children
    assert (height.description, [label for label, _ in height.options]) == ("height, nats", ["0.5", "1", "2", "4"])
    assert words.outputs[0]["text"] == "A bar that is 1 nats high and 0.5 wide, alone in its figure\n"
    height.value = 2.0
    assert shown["moved"][-1][0]["image/png"] == picture_of(2.0, 0.5)
    width.value = 1.0
    assert shown["moved"][-1][0]["image/png"] == picture_of(2.0, 1.0)
    assert capsys.readouterr().out.endswith("A bar that is 2 nats high and 1 wide, alone in its figure\n")


def test_no_figure_stays_open_however_often_a_slider_moves_or_fails(shown):
    before = plt.get_fignums()
    sliders(bar, height=HEIGHTS)
    height, _ = panel_of(shown).children
    for _ in range(3):
        for value in (0.5, 2.0):
            height.value = value
        with pytest.raises(ValueError, match="4 is too high"):
            height.value = 4.0
    assert plt.get_fignums() == before


def test_a_slider_acts_when_it_is_let_go(shown):
    sliders(bar, height=HEIGHTS)
    assert not panel_of(shown).children[0].continuous_update


def test_a_start_that_is_no_position_and_no_slider_at_all_are_refused(shown):
    with pytest.raises(
        ValueError, match=r"height: expected to start at one of its positions, 0\.5, 1, found 3; add it"
    ):
        sliders(bar, height=("height, nats", [0.5, 1.0], 3.0))
    with pytest.raises(ValueError, match=r"ranges: expected a slider for each argument"):
        sliders(lambda: bar(1.0))
    assert shown["cell"] == []


def test_positions_may_be_an_array(shown):
    sliders(bar, height=("height, nats", np.linspace(0.5, 1.5, 5), 1.0))
    assert len(panel_of(shown).children[0].options) == 5


def executed():
    """A notebook with one cell that shows sliders, executed as the course executes its own."""
    source = (
        "import matplotlib.pyplot as plt\nfrom course_lib.sliders import sliders\n\n\n"
        "def bar(height):\n    fig, ax = plt.subplots(figsize=(2, 2))\n    ax.bar([0], [height])\n"
        '    return fig, f"A bar that is {height:g} nats high, alone in its figure"\n\n\n'
        'sliders(bar, height=("height, nats", [0.5, 1.0], 0.5))'
    )
    cell = nbformat.v4.new_code_cell(source, metadata={"talk": {"show": "figure", "slide": "## A bar"}})
    return execute(nbformat.v4.new_notebook(cells=[cell]))


@pytest.mark.slow
def test_what_is_committed_is_one_picture_that_rules_pages_and_slides_see():
    run = executed()
    assert run.failure is None
    nb = normalise(run.notebook)
    (output,) = nb.cells[0].outputs  # no second figure, no text, nothing on stderr
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.metadata["image/png"]["alt"] == "A bar that is 0.5 nats high, alone in its figure"
    document = Document("one", nb)
    assert figures_have_alt(document) == alt_in_pages(document) == []
    (slide,) = slides(nb, "one")
    assert slide.figure.png == base64.b64decode(output.data["image/png"])
