"""The pictures of notebook 00: counts, and the six things that make them hard."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from course_lib.figures.cell_types import key_of_kinds, scatter_kinds
from course_lib.figures.style import BLACK, CATEGORIES, COLOUR, GREY, finding, label_lines


def count_table(table: pd.DataFrame, groups: Sequence[str], title: str) -> Figure:
    """A corner of the count matrix, every number written out; ``groups`` names the kind of each row's cell."""
    fig, ax = plt.subplots(figsize=(9, 4.8))
    values = table.to_numpy()
    image = ax.imshow(np.log1p(values), cmap="Blues", aspect="auto")
    bright = np.log1p(values) > 0.6 * np.log1p(values).max()
    for row, column in np.ndindex(*values.shape):
        ax.text(
            column,
            row,
            str(values[row, column]),
            ha="center",
            va="center",
            color="white" if bright[row, column] else BLACK,
        )
    ax.set_xticks(range(table.shape[1]), list(table.columns), rotation=45, ha="right")
    ax.set_yticks(range(table.shape[0]), list(groups))
    ax.set_xlabel("gene g")
    ax.set_ylabel("cell n, named by kind")
    ax.tick_params(length=0)
    image.set_clim(0, np.log1p(values).max())
    finding(ax, title)
    return fig


def values_and_libraries(values: np.ndarray, library: np.ndarray, titles: tuple[str, str]) -> Figure:
    """Left: the share of entries that are 0, 1, 2, … Right: total counts of the cells."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5))
    shares = np.array([np.mean(values == k) for k in range(5)] + [np.mean(values >= 5)])
    bars = left.bar(["0", "1", "2", "3", "4", "≥ 5"], shares, color=[COLOUR["highlight"], *[COLOUR["data"]] * 5])
    left.bar_label(bars, labels=[f"{100 * share:.1f} %" for share in shares], padding=3, fontsize=12)
    left.set_ylim(0, 1.08)
    left.set_xlabel("count $x_{ng}$")
    left.set_ylabel("share of all entries")
    finding(left, titles[0])
    right.hist(library, bins=np.geomspace(library.min(), library.max(), 40), color=COLOUR["data"])
    right.set_xscale("log")
    right.set_xticks([500, 1000, 2000, 5000, 10000], ["500", "1,000", "2,000", "5,000", "10,000"])
    right.minorticks_off()
    right.set_ylim(0, 1.15 * right.get_ylim()[1])  # room for the median's name above the bars
    right.axvline(np.median(library), color=BLACK, lw=1.5)
    right.text(np.median(library) * 1.06, right.get_ylim()[1] * 0.98, f"median {np.median(library):,.0f}", va="top")
    right.set_xlabel("library size: counts in a cell (log scale)")
    right.set_ylabel("cells")
    finding(right, titles[1])
    return fig


def mean_variance(mean: np.ndarray, variance: np.ndarray, curves: dict[str, np.ndarray], title: str) -> Figure:
    """Variance against mean, a dot for each gene, with the curves that models predict at ``curves["mean"]``."""
    fig, ax = plt.subplots()
    ax.scatter(mean, variance, s=5, color=COLOUR["data"], alpha=0.5, rasterized=True)
    styles = zip([name for name in curves if name != "mean"], (BLACK, COLOUR["other"], COLOUR["model"]), strict=True)
    for name, colour in styles:
        ax.plot(curves["mean"], curves[name], color=colour, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("mean count of a gene (log scale)")
    ax.set_ylabel("variance (log scale)")
    finding(ax, title)
    label_lines(ax)
    return fig


def overdispersions(
    mean: np.ndarray, phi: np.ndarray, common: float, medians: pd.Series, title: str, rest: pd.Series | None = None
) -> Figure:
    """φ_g against mean count, a dot for each gene; ``medians``: (low, high) of a band of means → the median there.

    ``rest`` : the same bands → the medians without each gene's two largest cells, drawn as dashed bars.
    """
    fig, ax = plt.subplots()
    ax.scatter(mean, phi, s=7, color=COLOUR["data"], alpha=0.5, rasterized=True)
    white = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    for (low, high), median in medians.items():
        ax.plot([low, high], [median, median], color=COLOUR["model"], lw=4, solid_capstyle="butt")
        side, va = (1.15, "bottom") if median > common else (1 / 1.15, "top")  # away from the line of the one φ
        name = f"{median:.2f}"
        ax.text(np.sqrt(low * high), median * side, name, color=COLOUR["model"], ha="center", va=va, bbox=white)
    ax.text(0.98, 0.97, "bars: medians", color=COLOUR["model"], ha="right", va="top", transform=ax.transAxes)
    if rest is not None:
        for (low, high), median in rest.items():
            ax.plot([low, high], [median, median], color=COLOUR["wrong"], lw=2.5, ls=(0, (2, 1)))
        name = "dashed: without each gene's two largest cells"
        ax.text(0.98, 0.89, name, color=COLOUR["wrong"], ha="right", va="top", transform=ax.transAxes)
    ax.axhline(common, color=BLACK, lw=1.2)
    ax.text(mean.max(), common * 1.12, f"the one φ, {common:.2f}", ha="right")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("mean count of a gene (log scale)")
    ax.set_ylabel("overdispersion $φ_g$ (log scale)")
    finding(ax, title)
    return fig


def zeros_against_mean(mean: np.ndarray, zeros: np.ndarray, curves: dict[str, np.ndarray], title: str) -> Figure:
    """Zero fraction against mean count, a dot for each gene, with the curves that counting predicts."""
    fig, ax = plt.subplots()
    ax.scatter(mean, zeros, s=7, color=COLOUR["data"], alpha=0.5, rasterized=True, label="_genes")
    ax.plot(curves["mean"], curves["Poisson"], color=BLACK, label="Poisson")
    ax.plot(curves["mean"], curves["negative binomial"], color=COLOUR["model"], ls="--", label="NB, one φ")
    ax.set_xscale("log")
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("mean count of a gene (log scale)")
    ax.set_ylabel("share of cells with a zero")
    finding(ax, title)
    ax.legend(loc="lower left")
    return fig


def distances(spreads: pd.DataFrame, title: str) -> Figure:
    """Relative spread of the distances between cells, against how many genes are used; index: number of genes."""
    fig, ax = plt.subplots()
    for name, colour in zip(spreads.columns, (COLOUR["model"], COLOUR["reference"]), strict=True):
        ax.plot(spreads.index, spreads[name], "o-", color=colour, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_yticks([0.05, 0.1, 0.2, 0.5], ["0.05", "0.1", "0.2", "0.5"])
    ax.set_xticks(spreads.index, [f"{n:,}" for n in spreads.index])
    ax.minorticks_off()
    ax.set_xlabel("number of genes (log scale)")
    ax.set_ylabel("spread / mean of distances (log scale)")
    finding(ax, title)
    label_lines(ax)
    return fig


def batches(panels: Sequence[tuple[np.ndarray, np.ndarray, str]]) -> Figure:
    """Principal components of several data sets side by side, coloured by batch: (coordinates, batch, title) each."""
    fig, axes = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 5))
    for ax, (coordinates, batch, title) in zip(axes, panels, strict=True):
        names = [str(name) for name in np.unique(batch)]
        order = np.random.default_rng(0).permutation(len(batch))  # or the last batch hides the others
        colour = dict(zip(names, CATEGORIES, strict=False))
        ax.scatter(*coordinates[order, :2].T, s=16, c=[colour[str(b)] for b in np.asarray(batch)[order]], alpha=0.8)
        for name in names:
            ax.scatter([], [], s=40, color=colour[name], label=name)
        ax.legend(title="batch", handletextpad=0.2)
        ax.set_xlabel("PC 1")
        ax.set_ylabel("PC 2")
        ax.set_xticks([])
        ax.set_yticks([])
        finding(ax, title)
    return fig


def with_and_without_labels(coordinates: np.ndarray, labels: np.ndarray, titles: tuple[str, str]) -> Figure:
    """The same embedding twice: as it comes, and with names that somebody gave to its clusters."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8))
    left.scatter(*coordinates.T, s=5, color=GREY, rasterized=True)
    scatter_kinds(right, coordinates, labels)
    key_of_kinds(right, labels)
    for ax, title in zip((left, right), titles, strict=True):
        ax.set_xlabel("UMAP 1")
        ax.set_ylabel("UMAP 2")
        ax.set_xticks([])
        ax.set_yticks([])
        finding(ax, title)
    return fig


def memory(cells: np.ndarray, lines: dict[str, np.ndarray], laptop: float, title: str) -> Figure:
    """Bytes against the number of cells, a line for each way of storing the table, and what a laptop has."""
    fig, ax = plt.subplots()
    for (name, size), colour in zip(lines.items(), (COLOUR["wrong"], COLOUR["model"], COLOUR["pca"]), strict=True):
        ax.plot(cells, size, color=colour, label=name)
    ax.axhline(laptop, color=GREY, ls=":", lw=1.8)
    ax.text(cells[0], laptop * 1.25, f"a laptop with {laptop / 1e9:.0f} GB", color=GREY)
    ax.set_xscale("log")
    ax.set_yscale("log")
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda size, _: next((f"{size / by:g} {unit}" for by, unit in units if size >= 0.999 * by), ""))
    )
    ax.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    ax.set_xlabel("cells (log scale)")
    ax.set_ylabel("memory (log scale)")
    finding(ax, title)
    label_lines(ax)
    return fig


def target_sums(shares: np.ndarray, curves: dict[str, np.ndarray], titles: Sequence[str]) -> Figure:
    """log1p after scaling to different totals: one panel for each total, against the share of the library."""
    fig, axes = plt.subplots(1, len(curves), figsize=(11, 4.5))
    for ax, (name, values), title in zip(axes, curves.items(), titles, strict=True):
        ax.plot([0, shares.max()], [0, values[np.argmax(shares)]], color=GREY, ls=":", lw=1.8, label="a straight line")
        ax.plot(shares, values, ".", ms=3, color=COLOUR["model"], rasterized=True)
        ax.set_xlabel("share of the library, $x_{ng}/ℓ_n$")
        ax.set_ylabel(name)
        ax.legend(loc="lower right")
        finding(ax, title)
    return fig


def variable_genes(
    mean: np.ndarray, score: np.ndarray, groups: dict[str, np.ndarray], names: dict[str, int], title: str
) -> Figure:
    """Standardised variance against mean, up to three groups of genes (name → mask), some named (gene → position)."""
    fig, ax = plt.subplots()
    for (text, mask), colour in zip(groups.items(), (COLOUR["data"], COLOUR["model"], COLOUR["other"]), strict=False):
        ax.scatter(mean[mask], score[mask], s=6, color=colour, alpha=0.6, rasterized=True, label=text)
    for name, position in names.items():
        ax.annotate(name, (mean[position], score[position]), xytext=(6, 4), textcoords="offset points", fontsize=12)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("mean count (log scale)")
    ax.set_ylabel("variance / expected variance (log scale)")
    ax.set_ylim(top=2 * score.max())  # the legend and the names stand above the genes
    ax.legend(loc="upper left", markerscale=3, handletextpad=0.2)
    finding(ax, title)
    return fig


def descent(
    log_rates: np.ndarray, losses: np.ndarray, grid: np.ndarray, curve: np.ndarray, best: float, title: str
) -> Figure:
    """A loss as a curve, and the steps of gradient descent on it."""
    fig, ax = plt.subplots()
    ax.plot(grid, curve, color=GREY)
    ax.plot(log_rates, losses, "o-", color=COLOUR["model"], lw=1.2, ms=5)
    ax.annotate("start", (log_rates[0], losses[0]), xytext=(8, -14), textcoords="offset points", color=COLOUR["model"])
    ax.axvline(best, color=BLACK, ls="--", lw=1.5)
    ax.text(best + 0.02 * np.ptp(grid), curve.max(), "log of the sample mean", va="top")
    ax.set_xlabel("parameter $w$, the log of the Poisson rate")
    ax.set_ylabel("loss: −log-likelihood per cell")
    finding(ax, title)
    return fig
