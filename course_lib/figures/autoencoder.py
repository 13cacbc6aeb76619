"""The pictures of notebook 01: the hourglass, learning, PCA's subspace, the curve, widths, and noise removed.

Every function takes what was computed and returns a finished figure; nothing is computed here but positions.
Axes: N cells, G genes, L latent dimensions, K points on a line.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import ArrayLike

from course_lib.figures.style import BLUE, COLOUR, GREEN, GREY, PURPLE, VERMILLION, YELLOW, finding, label_lines

PALE = "#d9d9d9"
AROUND = LinearSegmentedColormap.from_list("around", [BLUE, GREEN, YELLOW, VERMILLION, PURPLE, BLUE])  # a circle
DRAWN = 800  # points of a crowd that are drawn: more hide each other and swell the file


def hourglass(widths: Sequence[int], title: str) -> Figure:
    """Layers as bars whose heights follow the square root of their widths, joined by the weights between them.

    Parameters
    ----------
    widths : from input to output; the smallest is the bottleneck.   title : the finding.
    """
    fig, ax = plt.subplots(figsize=(9.0, 3.9))
    heights = 4 * np.sqrt(np.asarray(widths) / max(widths))
    middle = int(np.argmin(widths))
    for place in range(len(widths) - 1):
        left, right = heights[place] / 2, heights[place + 1] / 2
        corners = [(place + 0.1, -left), (place + 0.1, left), (place + 0.9, right), (place + 0.9, -right)]
        ax.add_patch(Polygon(corners, color=PALE, lw=0, alpha=0.6))
    for place, (width, height) in enumerate(zip(widths, heights, strict=True)):
        colour = COLOUR["highlight"] if place == middle else COLOUR["model"]
        ax.bar(place, height, 0.2, -height / 2, color=colour)
        ax.text(place, height / 2 + 0.12, f"{width:,}", ha="center", va="bottom", color=colour, weight="bold")
    last, top = len(widths) - 1, heights.max() / 2
    low = -top - 0.12
    for place, name in ((0, "x"), (middle, "z, the code"), (last, "x′")):
        ax.text(place, -heights[place] / 2 - 0.12, name, ha="center", va="top")
    ax.text(middle / 2, low - 0.35, "encoder", ha="center", va="top", color=GREY)
    ax.text((middle + last) / 2, low - 0.35, "decoder", ha="center", va="top", color=GREY)
    ax.text(middle, low - 0.35, "bar height: √width", ha="center", va="top", color=GREY, fontsize=11)
    ax.set(xlim=(-0.5, last + 0.5), ylim=(low - 0.8, top + 0.6))
    ax.set_axis_off()
    finding(ax, title)
    return fig


def learning_curve(history: pd.DataFrame, pca_errors: Mapping[int, float], mean_error: float) -> Figure:
    """Training and validation loss by epoch, beside PCA's held-out errors and that of forecasting the mean.

    Parameters
    ----------
    history : what ``fit`` returned.   pca_errors : number of components → mean squared error per gene on the
    validation cells.   mean_error : the same for the mean cell.
    """
    fig, ax = plt.subplots(figsize=(9.0, 4.8))
    ax.axhline(mean_error, color=COLOUR["reference"], lw=1.4, ls=":")
    ax.text(len(history), mean_error, "the mean cell ", color=COLOUR["reference"], ha="right", va="bottom")
    for place, (n_components, error) in enumerate(sorted(pca_errors.items())):  # fewest first: the highest line
        ax.axhline(error, color=COLOUR["pca"], lw=1.6, ls="--")
        y, va = (error + 0.01, "bottom") if place == 0 else (error - 0.03, "top")
        ax.text(len(history), y, f"PCA, {n_components} numbers ", color=COLOUR["pca"], ha="right", va=va)
    ax.plot(history.index, history["validation_loss"], color=COLOUR["model"], label="validation")
    ax.plot(history.index, history["train_loss"], color=COLOUR["model"], lw=1.6, ls=(0, (1, 1)), label="training")
    ax.set(xlabel="epoch", ylabel="squared error per gene", xlim=(1, len(history)), ylim=(0, 1.12 * mean_error))
    finding(ax, "Low-rank data: on unseen cells the network comes down to PCA's error, not below, and rests on the way")
    label_lines(ax)
    return fig


def _some(n_points: int) -> slice:
    """Every so many of a crowd's points, ``DRAWN`` at most."""
    return slice(None, None, -(-n_points // DRAWN))


def axes_in_the_plane(x: ArrayLike, pca: tuple, panels: Mapping[str, tuple]) -> Figure:
    """One cloud off the origin, PCA's axis, and the line on which each autoencoder reconstructs.

    Parameters
    ----------
    x : (N, 2).   pca : a point of the axis and its direction, each (2,).   panels : title → the same for a model.
    """
    points, reach = np.asarray(x), np.array([[-9.0], [9.0]])
    fig, row = plt.subplots(1, len(panels), figsize=(10.0, 4.5), sharex=True, sharey=True, squeeze=False)
    for ax, (title, (through, direction)) in zip(row[0], panels.items(), strict=True):
        ax.scatter(*points.T, s=7, color="#b8b8b8", rasterized=True)
        ax.plot(*(np.asarray(pca[0]) + reach * np.asarray(pca[1])).T, color=COLOUR["pca"], lw=6, alpha=0.45)
        ax.plot(*(np.asarray(through) + reach * np.asarray(direction)).T, color=COLOUR["model"], lw=2)
        ax.plot(0, 0, "+", color=COLOUR["truth"], ms=14, mew=2)
        ax.text(0.1, -0.15, "origin", va="top")
        ax.set(xlim=(-1.5, 5.5), ylim=(-2.2, 4.4), aspect="equal", xlabel="first gene")
        finding(ax, title)
    row[0][0].set_ylabel("second gene")
    row[0][0].text(-1.3, -1.85, "PCA's axis", color=COLOUR["pca"], weight="bold")
    row[0][0].text(1.1, -1.85, "autoencoder", color=COLOUR["model"], weight="bold")
    return fig


def codes_of_a_curve(angle: ArrayLike, codes: Mapping[str, ArrayLike]) -> Figure:
    """Two-number codes of points on a closed curve, coloured by where on the curve each point lies, quarters named.

    Parameters
    ----------
    angle : (N,) in radians.   codes : title → (N, 2).
    """
    where = np.asarray(angle, dtype=float)
    some = _some(len(where))
    quarters = {"0": 0.0, "π/2": np.pi / 2, "π": np.pi, "3π/2": 1.5 * np.pi}
    fig, row = plt.subplots(1, len(codes), figsize=(12.0, 4.5), squeeze=False)
    for ax, (title, z) in zip(row[0], codes.items(), strict=True):
        points = ax.scatter(*np.asarray(z)[some].T, c=where[some], cmap=AROUND, s=10, vmin=0, vmax=2 * np.pi)
        points.set_rasterized(True)
        for name, quarter in quarters.items():  # readable in grey, and to eyes that see fewer colours
            nearest = np.argmin(np.abs(_turn(where - quarter)))
            text = ax.text(*np.asarray(z)[nearest], name, ha="center", va="center", weight="bold")
            text.set_path_effects([patheffects.withStroke(linewidth=4, foreground="white")])
        ax.set(xlabel="first number of the code")
        ax.margins(0.08)
        finding(ax, title)
    row[0][0].set_ylabel("second number of the code")
    bar = fig.colorbar(points, ax=row[0][-1], label="true angle t, radians", ticks=[0, np.pi, 2 * np.pi])
    bar.ax.set_yticklabels(["0", "π", "2π"])
    return fig


def _turn(difference: np.ndarray) -> np.ndarray:
    """Differences of angles, the short way round: between −π and π."""
    return (difference + np.pi) % (2 * np.pi) - np.pi


def width_against_error(panels: Mapping[str, pd.DataFrame], floors: Mapping[str, float]) -> Figure:
    """Held-out error against the number of latent dimensions, one panel for each data set.

    Parameters
    ----------
    panels : title → a table, index the width L, columns ``autoencoder``, ``pca`` (held-out error as a fraction of the
        variance) and ``tail`` (the eigenvalues that PCA drops, as a fraction of all).   floors : title → noise share.
    """
    fig, row = plt.subplots(1, len(panels), figsize=(10.5, 4.5), sharey=True, squeeze=False)
    highest = max(float(table.to_numpy().max()) for table in panels.values())
    for ax, (title, table) in zip(row[0], panels.items(), strict=True):
        ax.plot(table.index, table["pca"], "s", ms=9, color=COLOUR["pca"], label="PCA, held out")
        ax.plot(table.index, table["tail"], color=COLOUR["truth"], lw=1.2, ls="--", label="its eigenvalue tail")
        ax.plot(table.index, table["autoencoder"], "o-", color=COLOUR["model"], label="autoencoder")
        ax.axhline(floors[title], color=COLOUR["reference"], ls=":", lw=1.4, label="noise")
        ax.set(xlabel="width of the code L", xticks=list(table.index), ylim=(0, 1.08 * highest))
        finding(ax, title)
    left, right = row[0][0], row[0][-1]
    left.set_ylabel("held-out error, share of variance")
    right.legend(loc="upper right", labelcolor="linecolor")  # where these curves are low
    return fig


def one_gene_cleaned(angle: ArrayLike, noisy: ArrayLike, clean: ArrayLike, outputs: Mapping[str, ArrayLike]) -> Figure:
    """One gene along the curve: its measurements, its true value, and what each model returns.

    Parameters
    ----------
    angle, noisy, clean : (N,).   outputs : title → (N,).
    """
    order, some = np.argsort(np.asarray(angle)), _some(len(np.asarray(angle)))
    fig, row = plt.subplots(1, len(outputs), figsize=(12.0, 4.3), sharex=True, sharey=True, squeeze=False)
    for ax, (title, values) in zip(row[0], outputs.items(), strict=True):
        ax.scatter(np.asarray(angle)[some], np.asarray(noisy)[some], s=9, color="#c4c4c4", rasterized=True)
        ax.scatter(np.asarray(angle)[some], np.asarray(values)[some], s=9, color=COLOUR["model"], rasterized=True)
        ax.plot(np.asarray(angle)[order], np.asarray(clean)[order], color=COLOUR["truth"], lw=2)
        ax.set(xlabel="true angle t, radians", xticks=[0, np.pi, 2 * np.pi], xticklabels=["0", "π", "2π"])
        finding(ax, title)
    row[0][0].set_ylabel("expression of one gene")
    fig.supxlabel(
        "grey: measured · black: true · blue: returned by the network · number: squared error to the truth", fontsize=12
    )
    return fig
