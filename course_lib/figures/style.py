"""How every figure of the course looks, and how a notebook shows one.

Importing this module sets Matplotlib's style: letters that carry to the last row, a white background, no box around
the data, colours that colour-blind readers tell apart (Okabe & Ito 2008, https://jfly.uni-koeln.de/color/).
"""

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.typing import ColorType
from PIL import Image

DPI = 110  # 9 inches give 990 pixels: sharp on a projector, and a notebook stays under 1.5 MB
SHORTEST_ALT = 40  # characters; less cannot hold a takeaway and its values
LEAST_CONTRAST = 4.5  # of letters on white, by WCAG 2.1 (https://www.w3.org/TR/WCAG21/#contrast-minimum)

BLACK, GREY = "#000000", "#6e6e6e"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, GREY, YELLOW)  # batches, clusters: in this order
COLOUR = {
    "data": GREY,  # what was measured
    "truth": BLACK,  # what a simulation or a formula knows
    "model": BLUE,  # what this notebook trains
    "other": ORANGE,  # the second thing it trains, or the second estimator
    "pca": GREEN,  # the linear baseline
    "reference": GREY,  # anchors: chance, the mean cell, an untrained network
    "wrong": VERMILLION,  # the usual mistake
    "highlight": PURPLE,  # what the eye should find
}

STYLE: Any = {
    "figure.figsize": (9.0, 4.5),
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": DPI,
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so that every machine draws the same letters
    "font.size": 13,
    "axes.labelsize": 13,
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "figure.titlesize": 15,
    "figure.titleweight": "bold",
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "axes.facecolor": "white",
    "axes.edgecolor": "#4d4d4d",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=CATEGORIES),
    "lines.linewidth": 2.2,
    "lines.markersize": 6,
    "scatter.edgecolors": "none",
    "image.cmap": "viridis",
    "grid.color": "#e4e4e4",
}
plt.rcParams.update(STYLE)


def show(fig: Figure, alt: str) -> None:
    """Display a figure once, as a PNG that carries its alternative text, and close it; letters are darkened first.

    Parameters
    ----------
    fig : the finished figure.
    alt : what a reader who cannot see it should know: what is drawn, the takeaway and its values, computed where
        they are. At least 40 characters.

    Raises
    ------
    ValueError
        The text is too short to hold a takeaway.

    Notes
    -----
    The text stands in the output's metadata as ``{"image/png": {"alt": …}}``, from where our page and slide templates
    write it into the ``<img>``, and as the output's plain text. The bytes depend on the figure only: no date in them.
    """
    data, metadata = as_output(fig, alt)
    display(data, metadata=metadata, raw=True)


def as_output(fig: Figure, alt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `show` displays, as data and metadata of an output, and close the figure."""
    text = " ".join(alt.split())
    if len(text) < SHORTEST_ALT:
        raise ValueError(
            f"alt: expected at least {SHORTEST_ALT} characters that say what the figure shows and with which values, "
            f"found {len(text)}: {text!r}; write the takeaway, not the plot's name."
        )
    darken_letters(fig)
    drawn, picture = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.1)
    plt.close(fig)  # or the inline backend draws it a second time
    colours = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)  # a third of the bytes
    colours.save(picture, format="png", optimize=True)
    return {"image/png": picture.getvalue(), "text/plain": f"Figure: {text}"}, {"image/png": {"alt": text}}


def contrast(colour: ColorType) -> float:
    """Contrast of a colour with white, 1 to 21, as WCAG 2.1 defines it."""
    share = np.array(to_rgb(colour))
    linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05))


def ink(colour: ColorType) -> str:
    """The colour as letters on white need it: its hue, as dark as `LEAST_CONTRAST` asks."""
    shades = (np.floor(255 * share * np.array(to_rgb(colour)) + 1e-6) / 255 for share in np.linspace(1, 0, 256))
    return to_hex(next(shade for shade in shades if contrast(shade) >= LEAST_CONTRAST))


def darken_letters(fig: Figure) -> None:
    """Give every text of a figure the `ink` of its colour. White letters stay: they stand on something dark."""
    for text in fig.findobj(Text):
        if 1 < contrast(text.get_color()) < LEAST_CONTRAST:
            text.set_color(ink(text.get_color()))


def finding(ax: Axes, sentence: str) -> None:
    """Write what the panel shows as its title, broken into lines that fit the panel's width."""
    inches = ax.get_position().width * ax.figure.get_figwidth()  # type: ignore[union-attr]
    letters = max(16, int(inches * 72 / (0.58 * STYLE["axes.titlesize"])))  # a bold letter is about 0.58 em wide
    ax.set_title(textwrap.fill(sentence, letters))


def label_lines(ax: Axes, *, gap: float = 0.01) -> None:
    """Name every labelled line at its right end, in its colour, and keep the names apart: no legend to look up.

    Parameters
    ----------
    ax : axes whose lines were drawn with ``label=…``; call it after limits and scales are set.
    gap : distance between the end of a line and its name, as a share of the axes' width.
    """
    ax.autoscale_view()  # Matplotlib puts it off, and the ends of lines would be where they were before
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    ends = []
    for line in lines:
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        last = np.flatnonzero(np.isfinite(x) & np.isfinite(y))[-1]
        ends.append(ax.transAxes.inverted().transform(line.get_transform().transform((x[last], y[last]))))
    height = ax.get_position().height * ax.figure.get_figheight() * 72  # type: ignore[union-attr]
    heights = spread([float(end[1]) for end in ends], 1.25 * plt.rcParams["font.size"] / height)
    for line, end, y_text in zip(lines, ends, heights, strict=True):
        ax.text(
            min(float(end[0]), 1.0) + gap,
            y_text,
            str(line.get_label()),
            color=line.get_color(),
            transform=ax.transAxes,
            va="center",
            ha="left",
            clip_on=False,
        )


def label_groups(ax: Axes, points: np.ndarray, labels: Sequence[str], colours: dict[str, str] | None = None) -> None:
    """Write each group's name at the median of its points, readable on top of them.

    Parameters
    ----------
    points : (N, 2) coordinates as drawn.   labels : N names.   colours : name → colour of the letters, else black.
    """
    names = np.asarray(labels)
    for name in dict.fromkeys(names.tolist()):
        x, y = np.median(np.asarray(points)[names == name], axis=0)
        text = ax.text(x, y, name, ha="center", va="center", weight="bold", color=(colours or {}).get(name, BLACK))
        text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])


def spread(positions: Sequence[float], distance: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Positions moved until neighbours stand ``distance`` apart, order kept, within [low, high] where there is room."""
    groups: list[list[int]] = []  # runs of neighbours that touch
    centres: list[float] = []
    for index in np.argsort(positions, kind="stable"):
        groups.append([int(index)])
        centres.append(min(max(float(positions[index]), low), high))
        while len(groups) > 1 and centres[-1] - centres[-2] < distance * (len(groups[-1]) + len(groups[-2])) / 2:
            merged = groups[-2] + groups[-1]
            half = distance * (len(merged) - 1) / 2
            centre = max(min(float(np.mean([positions[i] for i in merged])), high - half), low + half)
            groups[-2:], centres[-2:] = [merged], [centre]
    placed = [0.0] * len(positions)
    for group, centre in zip(groups, centres, strict=True):
        for rank, index in enumerate(group):
            placed[index] = centre + (rank - (len(group) - 1) / 2) * distance
    return placed
