"""Models drawn as boxes and arrows: one look for every model of the course.

Positions are shares of the panel, from 0 to 1. What a box is decides its colour; an arrow leaves and arrives on edges.
"""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from course_lib.figures.style import COLOUR

Box = tuple[float, float, str, str]  # x, y, text, what it is
Edge = tuple[str, str]  # names of two boxes
Sides = tuple[tuple[float, float], tuple[float, float]]  # where an arrow leaves and arrives, as shares of the boxes

KIND_COLOUR = {
    "data": COLOUR["truth"],
    "trunk": COLOUR["reference"],  # hidden layers
    "head": COLOUR["model"],  # the last layer of a network, and what it gives
    "draw": COLOUR["other"],  # a random draw
    "parameter": COLOUR["highlight"],  # a free number that no network gives
    "term": COLOUR["highlight"],  # of the loss
}
RIGHT_TO_LEFT: Sides = ((1, 0.5), (0, 0.5))


def empty_panel(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches whose one panel, without axes, fills it: shares of the one are shares of the other."""
    fig = plt.figure(figsize=(width, height), layout="none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")
    return fig, ax


def boxes_and_arrows(
    ax: Axes,
    boxes: Mapping[str, Box],
    edges: Sequence[Edge],
    sides: Mapping[Edge, Sides] | None = None,
    heavy: Collection[str] = (),
    dashed: Collection[Edge] = (),
    fontsize: float = 12.5,
) -> dict[str, Bbox]:
    """Draw the boxes, and an arrow for each edge; where each box stands in the panel, by name.

    Parameters
    ----------
    sides : of edges that do not run from a right side to a left one.   heavy : boxes with a thick line and bold text.
    dashed : edges that are read, not computed in the forward pass.
    """
    texts: dict[str, Text] = {}
    for name, (x, y, words, kind) in boxes.items():
        colour, thick = KIND_COLOUR[kind], name in heavy
        texts[name] = ax.text(
            x, y, words, ha="center", va="center", color=colour, fontsize=fontsize,
            weight="bold" if thick else "normal", linespacing=1.35,
            bbox={"boxstyle": "round,pad=0.45", "fc": "white", "ec": colour, "lw": 3.2 if thick else 1.3},
        )  # fmt: skip
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # or the boxes have no size yet
    to_panel = ax.transData.inverted()  # arrows keep to the panel: its edges move when the margins are cut off
    frames = {}
    for name, text in texts.items():
        patch = text.get_bbox_patch()
        assert patch is not None
        frames[name] = patch.get_window_extent().transformed(to_panel)
    for edge in edges:
        leave, arrive = (sides or {}).get(edge, RIGHT_TO_LEFT)
        start, end = (_at(frames[name], share) for name, share in zip(edge, (leave, arrive), strict=True))
        arrow(ax, start, end, dashed=edge in dashed)
    return frames


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], dashed: bool = False) -> None:
    """A grey arrow between two places of the panel, which its ends reach."""
    style = {"linestyle": (0, (4, 3))} if dashed else {}
    ax.annotate(
        "", end, start, zorder=1,
        arrowprops={
            "arrowstyle": "-|>", "color": COLOUR["reference"], "lw": 1.5, "mutation_scale": 15, "shrinkA": 0,
            "shrinkB": 0, **style,
        },
    )  # fmt: skip


def _at(frame: Bbox, share: tuple[float, float]) -> tuple[float, float]:
    """The place that stands so far from the left and from the bottom of a box."""
    return frame.x0 + share[0] * frame.width, frame.y0 + share[1] * frame.height
