"""What stands in a figure, for tests of figures."""

import itertools
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox


def legend(ax: Axes) -> list[str]:
    """The entries of the legend."""
    return words(ax.get_legend().get_texts())


def lines(ax: Axes) -> dict[str, Line2D]:
    """Each line by its label."""
    return {line.get_label(): line for line in ax.get_lines()}


def points(ax: Axes) -> list[np.ndarray]:
    """(N, 2) positions of each scatter, in the order drawn."""
    return [np.asarray(scatter.get_offsets()) for scatter in ax.collections]


def title(ax: Axes) -> str:
    """The finding above a panel, whatever its line breaks."""
    return " ".join(ax.get_title(loc="left").split())


def words(texts: Iterable[Text]) -> list[str]:
    """What texts say: ``ax.texts``, the labels of ticks."""
    return [text.get_text() for text in texts]


def untidy(fig: Figure) -> list[str]:
    """What is wrong with a graph of boxes and arrows: boxes or words that overlap or leave the figure, loose ends."""
    fig.draw_without_rendering()
    (ax,) = fig.axes
    frames = {}
    for text in ax.texts:
        if not isinstance(text, Annotation):
            frames[text.get_text()] = (text.get_bbox_patch() or text).get_window_extent()
    edges = [*frames.values(), *(patch.get_window_extent() for patch in ax.patches)]
    wrong = [f"{a} overlaps {b}" for a, b in itertools.combinations(frames, 2) if frames[a].overlaps(frames[b])]
    wrong += [f"{name} leaves the figure" for name, frame in frames.items() if not _inside(fig.bbox, frame)]
    for arrow in (text for text in ax.texts if isinstance(text, Annotation)):
        for place in (arrow.xy, arrow.xyann):
            point = ax.transData.transform(place)
            if not any(_on_edge(frame, point) for frame in edges):
                wrong.append(f"an arrow ends beside every box, at {place[0]:.2f}, {place[1]:.2f}")
    return wrong


def _inside(outer: Bbox, inner: Bbox) -> bool:
    return outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


def _on_edge(frame: Bbox, point: np.ndarray, pixels: float = 1.5) -> bool:
    grown, shrunk = frame.padded(pixels), frame.padded(-pixels)
    return bool(grown.contains(*point)) and not bool(shrunk.contains(*point))
