"""The pictures of the appendix on the channel, and of notebook 01's bridge to it: white noise, one number for two.

Every function takes what was computed and returns a finished figure; nothing is computed here but positions.
Axes: N points, K points on a line or levels of noise.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from course_lib.figures.style import COLOUR, finding, label_lines

DRAWN = 800  # points of a crowd that are drawn: more hide each other and swell the file
REACH = 3.9  # of the plane that is shown, in standard deviations: no point lies on the frame
ALONG = LinearSegmentedColormap.from_list("along", plt.get_cmap("viridis")(np.linspace(0, 0.9, 256)))  # no pale end


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


def one_number_for_two(
    x: ArrayLike, curve: ArrayLike, explained: float, sigma: ArrayLike, measured: ArrayLike, linear: ArrayLike
) -> Figure:
    """The line that a decoder of one number draws through the plane; and what noise on that number does to it.

    Parameters
    ----------
    x : (N, 2).   curve : (K, 2), the decoder at the codes in ascending order.   explained : share of the variance of
    the points that comes back without noise.   sigma : (K,) > 0, noise in standard deviations of the code.
    measured, linear : (K,), what the folded line and the straight one explain at that noise.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.9), width_ratios=(1, 1.2))
    _crowd(left, np.asarray(x))
    _line(left, np.asarray(curve))
    for name, place in (("smallest z", 0), ("largest z", -1)):
        left.annotate(name, np.asarray(curve)[place], (5, 3), textcoords="offset points")
    left.set_ylabel("second number of x")
    finding(left, f"A line that folds keeps {explained:.0%} of a plane's variance")
    _noise(right, sigma, measured, linear)
    worse = np.asarray(measured) < np.asarray(linear)
    by = f"By a noise of {np.asarray(sigma)[worse][0]:g} on the code" if worse.any() else "At none of these noises"
    finding(right, f"{by} the straight line is ahead")
    label_lines(right, gap=0.025)
    return fig


def curve_over_cloud(x: ArrayLike, codes: ArrayLike, curve: ArrayLike, explained: float) -> Figure:
    """The line that a decoder of one number draws through the plane, and which points share a stretch of it.

    Parameters
    ----------
    x : (N, 2).   codes : (N,).   curve : (K, 2), the decoder at the codes in ascending order.
    explained : share of the points' variance that comes back.  Colours are ranks of the codes, not their values.
    """
    points = np.asarray(x)
    rank = np.argsort(np.argsort(np.asarray(codes)))
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 5.0), sharex=True, sharey=True)
    _crowd(left, points)
    drawn = _line(left, np.asarray(curve))
    some = _some(len(points))
    right.scatter(*points[some].T, c=rank[some], s=10, cmap=ALONG, rasterized=True)
    right.set(aspect="equal", xlabel="first number of x")
    left.set_ylabel("second number of x")
    bar = fig.colorbar(drawn, ax=right, label="rank of the code z", shrink=0.8, ticks=[0, len(np.asarray(curve)) - 2])
    bar.ax.set_yticklabels(["first", "last"])
    finding(left, f"The decoder folds its line: {explained:.0%} of the variance of new points")
    finding(right, "The encoder says how far along it each point lies")
    return fig


def noise_on_the_code(sigma: ArrayLike, measured: ArrayLike, linear: ArrayLike, limit: ArrayLike) -> Figure:
    """Variance explained after noise was added to the code: the trained curve, one coordinate sent as it is, the limit.

    Parameters
    ----------
    sigma : (K,) > 0, standard deviation of the noise in units of the code's.   measured, linear, limit : (K,).
    """
    fig, ax = plt.subplots(figsize=(9.5, 4.9))
    ax.plot(sigma, limit, color=COLOUR["truth"], ls="--", label="no scheme\ndoes better")
    _noise(ax, sigma, measured, linear)
    worse = np.asarray(measured) < np.asarray(linear)
    below = f": at {np.asarray(sigma)[worse][0]:g} the straight line is ahead" if worse.any() else ""
    finding(ax, f"Folding pays while the channel is quiet, and breaks down with noise{below}")
    label_lines(ax, gap=0.02)
    return fig


def _some(n_points: int) -> slice:
    """Every so many of a crowd's points, ``DRAWN`` at most."""
    return slice(None, None, -(-n_points // DRAWN))


def _crowd(ax: Axes, points: np.ndarray) -> None:
    x, y = points[_some(len(points))].T
    ax.scatter(x, y, s=6, color="#c4c4c4", rasterized=True)
    ax.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal", xlabel="first number of x")


def _line(ax: Axes, line: np.ndarray) -> LineCollection:
    segments = np.stack([line[:-1], line[1:]], axis=1)
    drawn = LineCollection(list(segments), cmap=ALONG, linewidths=3.2, capstyle="round")
    drawn.set_array(np.arange(len(segments)))
    ax.add_collection(drawn)
    return drawn


def _noise(ax: Axes, sigma: ArrayLike, measured: ArrayLike, linear: ArrayLike) -> None:
    """What the folded and the straight line explain by the noise on their code; above zero is better than the mean."""
    ax.plot(sigma, linear, color=COLOUR["pca"], label="straight")
    ax.plot(sigma, measured, "o-", color=COLOUR["model"], label="folded")
    ax.axhline(0, color=COLOUR["reference"], lw=1)
    ax.set(xscale="log", ylim=(None, 1.06), xlabel="noise on the code, in its standard deviations")
    ax.set_ylabel("fraction of variance explained")
