"""The pictures of notebook 01: the hourglass, learning, noise through a bottleneck, PCA's subspace, the curve.

Every function takes what was computed and returns a finished figure; nothing is computed here but positions.
Axes: N cells, G genes, L latent dimensions, K points on a line.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
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


def learning_curve(history: pd.DataFrame, pca_error: float, mean_error: float) -> Figure:
    """Training and validation loss by epoch, beside PCA's held-out error and that of forecasting the mean.

    Parameters
    ----------
    history : what ``fit`` returned.   pca_error, mean_error : mean squared error per gene on the validation cells.
    """
    fig, ax = plt.subplots(figsize=(9.0, 4.6))
    ax.axhline(mean_error, color=COLOUR["reference"], lw=1.4, ls=":")
    ax.text(len(history), mean_error, "the mean cell ", color=COLOUR["reference"], ha="right", va="bottom")
    ax.axhline(pca_error, color=COLOUR["pca"], lw=1.6, ls="--")
    ax.text(len(history), 0.9 * pca_error, "PCA, as many numbers ", color=COLOUR["pca"], ha="right", va="top")
    ax.plot(history.index, history["validation_loss"], color=COLOUR["model"], label="validation")
    ax.plot(history.index, history["train_loss"], color=COLOUR["model"], lw=1.4, ls=(0, (1, 1)), label="training")
    ax.set(xlabel="epoch", ylabel="squared error per gene", xlim=(1, len(history)), ylim=(0, 1.12 * mean_error))
    finding(ax, "Low-rank data: on unseen cells the network comes down to PCA's error, not below")
    label_lines(ax)
    return fig


def noise_by_epoch(table: pd.DataFrame, live: pd.DataFrame, share: float) -> Figure:
    """What networks explain of white noise after each epoch: training rows on the left, unseen rows on the right.

    Parameters
    ----------
    table : columns ``setting, seed, epoch, train, held_out``; the settings deep and linear are drawn, one line a seed.
    live : the same columns, one setting and seed, run here and now.   share : L/G.
    """
    fig, panels = plt.subplots(1, 2, figsize=(11.0, 4.6))
    for ax, column in zip(panels, ("train", "held_out"), strict=True):
        for setting, colour in (("linear", COLOUR["pca"]), ("deep", COLOUR["model"])):
            runs = table[table["setting"] == setting]
            for _, run in runs.groupby("seed"):
                ax.plot(run["epoch"], run[column], color=colour, lw=1.3)
            last = runs[runs["epoch"] == runs["epoch"].max()][column].mean()
            above = column == "held_out" and setting == "linear"  # there the line of L/G runs through the name
            va = "bottom" if above else "center"
            ax.text(runs["epoch"].max() + 0.2, last, setting, color=colour, weight="bold", va=va)
        ax.plot(live["epoch"], live[column], "o", ms=8, mfc="none", mew=2, color=COLOUR["highlight"])
        ax.axhline(share, color=COLOUR["truth"], lw=1.4, ls="--")
        ax.set(xlim=(0.5, table.loc[table["setting"] == "deep", "epoch"].max() + 2.2), xlabel="epoch")
        corner = (table.loc[table["setting"] == "deep", "epoch"].max() + 2.1, share)
        ax.annotate("L/G", corner, (0, -4), textcoords="offset points", va="top", ha="right")
    left, right = panels
    top = live.iloc[-1]
    left.annotate(
        "run here", (top["epoch"], top["train"]), (0.9, 0.62), textcoords=("data", "axes fraction"),
        color=COLOUR["highlight"], arrowprops={"arrowstyle": "-", "color": COLOUR["highlight"]},
    )  # fmt: skip
    left.set(ylabel="fraction of variance explained", ylim=(None, None))
    right.set_ylim(min(-0.004, 1.1 * float(table["held_out"].min())), 1.35 * share)
    finding(left, "Rows they train on: the deep network goes far past L/G")
    finding(right, "Rows they have not seen: the deep network stays below L/G")
    return fig


def _some(n_points: int) -> slice:
    """Every so many of a crowd's points, ``DRAWN`` at most."""
    return slice(None, None, -(-n_points // DRAWN))


def curve_over_cloud(x: ArrayLike, codes: ArrayLike, curve: ArrayLike, explained: float) -> Figure:
    """The line that a decoder of one number draws through the plane, and which points share a stretch of it.

    Parameters
    ----------
    x : (N, 2).   codes : (N,).   curve : (N, 2), the decoder at the codes in ascending order.
    explained : share of the points' variance that comes back.  Colours are ranks of the codes, not their values.
    """
    points, line = np.asarray(x), np.asarray(curve)
    rank = np.argsort(np.argsort(np.asarray(codes)))
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 5.0), sharex=True, sharey=True)
    some = _some(len(points))
    left.scatter(*points[some].T, s=6, color="#cccccc", rasterized=True)
    segments = np.stack([line[:-1], line[1:]], axis=1)
    drawn = LineCollection(list(segments), cmap="viridis", linewidths=3.2, capstyle="round")
    drawn.set_array(np.arange(len(segments)))
    left.add_collection(drawn)
    right.scatter(*points[some].T, c=rank[some], s=9, rasterized=True)
    left.set_ylabel("second number")
    for ax in (left, right):
        ax.set(xlim=(-3.4, 3.4), ylim=(-3.4, 3.4), aspect="equal", xlabel="first number")
    bar = fig.colorbar(drawn, ax=right, label="rank of the code z", shrink=0.8, ticks=[0, len(segments) - 1])
    bar.ax.set_yticklabels(["first", "last"])
    finding(left, f"The decoder's folded line: {explained:.0%} of the variance of new points")
    finding(right, "The encoder: how far along it each point lies")
    return fig


def noise_on_the_code(sigma: ArrayLike, measured: ArrayLike, linear: ArrayLike, limit: ArrayLike) -> Figure:
    """Variance explained after noise was added to the code: the trained curve, one coordinate sent as it is, the limit.

    Parameters
    ----------
    sigma : (K,) > 0, standard deviation of the noise in units of the code's.   measured, linear, limit : (K,).
    """
    fig, ax = plt.subplots(figsize=(9.5, 4.9))
    ax.plot(sigma, limit, color=COLOUR["truth"], ls="--", label="no scheme\ndoes better")
    ax.plot(sigma, linear, color=COLOUR["pca"], label="linear")
    ax.plot(sigma, measured, "o-", color=COLOUR["model"])
    worse = np.asarray(measured) < np.asarray(linear)
    ax.text(np.asarray(sigma)[0], np.asarray(measured)[0] - 0.05, "the curve", color=COLOUR["model"], va="top")
    ax.axhline(0, color=COLOUR["reference"], lw=1)
    ax.set(xscale="log", ylim=(None, 1.06), xlabel="noise on the code, in standard deviations of the code")
    ax.set_ylabel("fraction of variance explained")
    below = f": at {np.asarray(sigma)[worse][0]:g} the plain line is ahead" if worse.any() else ""
    finding(ax, f"Folding pays while the channel is quiet, and breaks down with noise{below}")
    label_lines(ax)
    return fig


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
    """Two-number codes of points on a closed curve, coloured by where on the curve each point lies.

    Parameters
    ----------
    angle : (N,) in radians.   codes : title → (N, 2).
    """
    some = _some(len(np.asarray(angle)))
    fig, row = plt.subplots(1, len(codes), figsize=(12.0, 4.3), squeeze=False)
    for ax, (title, z) in zip(row[0], codes.items(), strict=True):
        points = ax.scatter(
            *np.asarray(z)[some].T, c=np.asarray(angle)[some], cmap=AROUND, s=10, vmin=0, vmax=2 * np.pi
        )
        points.set_rasterized(True)
        ax.set(xlabel="first number")
        finding(ax, title)
    row[0][0].set_ylabel("second number")
    bar = fig.colorbar(points, ax=row[0][-1], label="true angle t, radians", ticks=[0, np.pi, 2 * np.pi])
    bar.ax.set_yticklabels(["0", "π", "2π"])
    return fig


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
        ax.axhline(floors[title], color=COLOUR["reference"], ls=":", lw=1.4)
        ax.plot(table.index, table["tail"], color=COLOUR["truth"], lw=1.2, ls="--")
        ax.plot(table.index, table["pca"], "s", ms=9, color=COLOUR["pca"])
        ax.plot(table.index, table["autoencoder"], "o-", color=COLOUR["model"])
        ax.set(xlabel="width of the code L", xticks=list(table.index), ylim=(0, 1.08 * highest))
        finding(ax, title)
    left, right = row[0][0], row[0][-1]
    left.set_ylabel("held-out error, share of variance")
    _key(right, {"PCA, held out": "pca", "its eigenvalue tail": "truth", "autoencoder": "model", "noise": "reference"})
    return fig


def _key(ax: Axes, names: Mapping[str, str]) -> None:
    """Names in their colours, one below the other, in the upper right corner, where these curves are low."""
    for place, (name, colour) in enumerate(names.items()):
        ax.text(0.98, 0.97 - 0.085 * place, name, color=COLOUR[colour], transform=ax.transAxes, ha="right", va="top")


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
    fig.supxlabel("grey: measured · black: true · blue: returned by the network", fontsize=12)
    return fig
