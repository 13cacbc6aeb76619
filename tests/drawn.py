"""What stands in a figure, for tests of figures."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text


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
