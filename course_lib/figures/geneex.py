"""The pictures of notebook 02: three programs, their codes, real cells beside PCA, and what width costs."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.cell_types import colour_of, in_order
from course_lib.figures.style import BLACK, CATEGORIES, COLOUR, GREY, finding, label_groups, label_lines
from course_lib.models.geneex import TrainingMemory

GIGABYTE = 1e9
NAMES = {"geneex": "GENEEX", "untrained": "untrained", "pca": "PCA"}
METHOD_COLOUR = {"geneex": COLOUR["model"], "untrained": COLOUR["reference"], "pca": COLOUR["pca"]}


def programs(cells: np.ndarray, program: np.ndarray, titles: tuple[str, str]) -> Figure:
    """Expression as heat maps, cells sorted by program: single cells left, the mean of each program right.

    Parameters
    ----------
    cells : (N, G), centred, genes in the order of their programs.   program : (N,).
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8))
    order = np.argsort(program, kind="stable")
    names, counts = np.unique(program, return_counts=True)
    means = np.stack([cells[program == name].mean(0) for name in names])  # (P, G)
    middles = np.cumsum(counts) - counts / 2
    for ax, values, ticks in ((left, cells[order], middles), (right, means, np.arange(len(names)))):
        limit = np.quantile(np.abs(values), 0.99)
        image = ax.imshow(
            values, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest", rasterized=True
        )
        ax.set_yticks(ticks, [f"program {name}" for name in names])
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("gene g")
        for spine in ax.spines.values():
            spine.set_visible(False)
        fig.colorbar(image, ax=ax, label="log expression − mean", shrink=0.9)
    left.set_ylabel(f"{len(cells)} cells")
    finding(left, titles[0])
    finding(right, titles[1])
    return fig


def codes(panels: Sequence[tuple[np.ndarray, str, tuple[str, str]]], labels: np.ndarray) -> Figure:
    """Latent spaces side by side, one point a cell, coloured and named by labels no model saw.

    Parameters
    ----------
    panels : coordinates (N, 2), title, names of the axes.   labels : (N,).
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 4.8))
    names = sorted(set(labels.tolist()))
    colours = dict(zip(names, CATEGORIES[: len(names)], strict=True))
    for ax, (points, title, (horizontal, vertical)) in zip(np.atleast_1d(axes), panels, strict=True):
        ax.scatter(points[:, 0], points[:, 1], s=7, c=[colours[name] for name in labels], alpha=0.6, rasterized=True)
        label_groups(ax, points, labels.tolist())
        ax.set_xlabel(horizontal)
        ax.set_ylabel(vertical)
        finding(ax, title)
    return fig


def named_codes(panels: Sequence[tuple[np.ndarray, str, tuple[str, str]]], labels: np.ndarray) -> Figure:
    """As `codes`, for kinds of cell, in their own colours: their long names stand in one legend below the panels."""
    fig, axes = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 5.6))
    for ax, (points, title, (horizontal, vertical)) in zip(np.atleast_1d(axes), panels, strict=True):
        for name in in_order(labels):
            x, y = points[labels == name].T
            ax.scatter(x, y, s=10, color=colour_of(name), alpha=0.75, rasterized=True, label=name)
        ax.set_xlabel(horizontal)
        ax.set_ylabel(vertical)
        finding(ax, title)
    handles, texts = np.atleast_1d(axes)[0].get_legend_handles_labels()
    fig.legend(handles, texts, loc="outside lower center", ncols=4, markerscale=2.5, handletextpad=0.2)
    return fig


def scores_in_words(table: pd.DataFrame) -> str:
    """Mean over seeds of ``held_out / knn``, method by method and size by size, for alternative text."""
    mean = table.groupby(["method", "n_latent"])[["held_out", "knn"]].mean()
    words = [
        f"{NAMES[method]} "
        + ", ".join(f"{row.held_out:.2f}/{row.knn:.2f} at {size}" for (_, size), row in rows.iterrows())
        for method, rows in mean.groupby(level=0)
    ]
    return "; ".join(words)


def ranges(groups: Mapping[str, np.ndarray | pd.Series], digits: int = 2) -> str:
    """Smallest and largest value of each group in words, for alternative text."""
    return "; ".join(
        f"{name.replace(chr(10), ' ')} {min(values):.{digits}f} to {max(values):.{digits}f}"
        for name, values in groups.items()
    )


def training_error(curves: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Held-out squared error over that of the mean cell, by epoch, on a logarithmic scale; one line a seed.

    Parameters
    ----------
    curves : name → rows of the toy's table, with ``seed, epoch, held_out``; first what is right, then the mistake.
    """
    fig, ax = plt.subplots(figsize=(10, 4.8))
    for (name, table), colour in zip(curves.items(), (COLOUR["model"], COLOUR["wrong"]), strict=True):
        for number, (_, rows) in enumerate(table.groupby("seed")):
            ax.plot(
                rows["epoch"],
                1 - rows["held_out"],
                "o-",
                color=colour,
                alpha=0.7,
                lw=1.6,
                ms=4,
                label=name if number == 0 else "_",
            )
    last = int(max(table["epoch"].max() for table in curves.values()))
    ax.plot([0, last], [1, 1], color=BLACK, lw=1.2, ls="--")
    ax.text(last, 0.8, "the mean cell", va="top", ha="right", fontsize=12)
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.3)
    ax.set_xlim(-0.1, last + 0.05)
    ax.set_xticks(range(last + 1))
    ax.set_xlabel("epoch (0: untrained)")
    ax.set_ylabel("held-out squared error,\nmean cell = 1 (log scale)")
    label_lines(ax, gap=0.02)
    finding(ax, title)
    return fig


def over_seeds(ari: Mapping[str, pd.Series], shares: Mapping[str, pd.Series], titles: tuple[str, str]) -> Figure:
    """Left: ARI of each seed, group by group. Right: held-out variance explained, one dot a seed."""
    fig, axes = plt.subplots(1, 2, figsize=(12, 4.8))
    for ax, groups in zip(axes, (ari, shares), strict=True):
        for place, (name, values) in enumerate(groups.items()):
            spread = np.linspace(-0.18, 0.18, len(values))
            ax.plot(place + spread, values, "o", color=_colour_of(name), ms=8, alpha=0.85)
        ax.set_xticks(range(len(groups)), list(groups))
        ax.set_xlim(-0.6, len(groups) - 0.4)
        ax.grid(axis="y")
    axes[0].axhline(0.5, color=GREY, lw=1.2, ls="--")
    axes[0].text(len(ari) - 0.45, 0.51, "one half", color=GREY, fontsize=12, ha="right", va="bottom")
    axes[0].set_xlabel("latent dimensions L")
    axes[0].set_ylim(-0.05, 1.05)
    axes[0].set_ylabel("adjusted Rand index")
    axes[1].set_ylim(0, 1.25 * max(float(max(values)) for values in shares.values()))
    axes[1].set_ylabel("held-out variance explained")
    for ax, title in zip(axes, titles, strict=True):
        finding(ax, title)
    return fig


def _colour_of(name: str) -> str:
    if name.startswith("PCA"):
        return COLOUR["pca"]
    return COLOUR["reference"] if "untrained" in name else COLOUR["model"]


def beside_pca(table: pd.DataFrame, titles: tuple[str, str]) -> Figure:
    """Held-out variance and label kNN accuracy against the number of latent dimensions; one dot a seed.

    Parameters
    ----------
    table : columns ``seed, n_latent, method, held_out, knn``.
    """
    fig, axes = plt.subplots(1, 2, figsize=(12, 4.8))
    sizes = sorted(table["n_latent"].unique())
    for ax, column in zip(axes, ("held_out", "knn"), strict=True):
        for method in ("pca", "geneex", "untrained"):
            rows = table[table["method"] == method]
            mean = rows.groupby("n_latent")[column].mean()
            ax.plot(rows["n_latent"], rows[column], "o", color=METHOD_COLOUR[method], alpha=0.5, ms=6)
            ax.plot(mean.index, mean, color=METHOD_COLOUR[method], label=NAMES[method])
        ax.set_xscale("log")
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
        ax.set_xlabel("latent dimensions L (log scale)")
        label_lines(ax, gap=0.03)
    axes[0].set_ylabel("held-out variance explained")
    axes[1].set_ylabel("label kNN accuracy")
    for ax, title in zip(axes, titles, strict=True):
        finding(ax, title)
    return fig


def memory_parts(predictions: Mapping[str, TrainingMemory], title: str) -> Figure:
    """Stacked bars: what a training step holds, in gigabytes, for several widths."""
    fig, ax = plt.subplots(figsize=(11, 4.6))
    parts = {"weights": COLOUR["model"], "gradients": COLOUR["other"], "moments": COLOUR["pca"]}
    rows = list(predictions)[::-1]
    start = np.zeros(len(rows))
    for part, colour in parts.items():
        sizes = np.array([getattr(predictions[row], part) for row in rows]) / GIGABYTE
        ax.barh(rows, sizes, left=start, color=colour, label=part, height=0.65)
        largest = int(np.argmax(sizes))
        ink = "white" if part in ("weights", "moments") else BLACK
        ax.text(start[largest] + sizes[largest] / 2, largest, part, ha="center", va="center", color=ink, fontsize=12)
        start += sizes
    for place, total in enumerate(start):
        ax.text(total + 0.06, place, f"{total:.2f} GB", va="center")
    ax.set_xlim(0, 1.15 * start.max())
    ax.set_xlabel("memory, 10⁹ bytes (activations, too small to see, left out)")
    finding(ax, title)
    return fig


def tumours(curves: pd.DataFrame, summary: pd.DataFrame, title: str) -> Figure:
    """Held-out variance by epoch, one line a split, beside PCA's at 2, 10 and all components."""
    fig, ax = plt.subplots(figsize=(11, 5))
    for number, (_, rows) in enumerate(curves.groupby("split")):
        first = number == 0
        ax.plot(rows["epoch"], rows["train"], ":", color=COLOUR["model"], lw=1.4, label="training" if first else "_")
        ax.plot(rows["epoch"], rows["held_out"], color=COLOUR["model"], label="GENEEX, held out" if first else "_")
    last = curves["epoch"].max()
    for column, name in (("pca_2", "PCA 2"), ("pca_10", "PCA 10"), ("pca_all", "PCA all")):
        _band(ax, summary[column], last, name)
    ax.axhline(0, color=GREY, lw=1.2, ls="--")
    ax.text(
        0.98 * last, -0.012, "the mean profile; the untrained network", color=GREY, fontsize=12, ha="right", va="top"
    )
    ax.set_ylim(bottom=-0.06)
    ax.set_xlim(0, last)
    ax.set_xlabel("epoch (0: untrained)")
    ax.set_ylabel("variance explained")
    label_lines(ax)
    finding(ax, title)
    return fig


def _band(ax: Axes, values: pd.Series, last: float, name: str) -> None:
    """The range over splits as a band, its mean as a line."""
    ax.fill_between([0, last], values.min(), values.max(), color=COLOUR["pca"], alpha=0.18, lw=0)
    ax.plot([0, last], [values.mean()] * 2, color=COLOUR["pca"], lw=1.4, label=name)


def predicted_and_measured(predicted: float, measured: Sequence[float], title: str) -> Figure:
    """Bars, in gigabytes: what was predicted before allocating, and each run's measured peak."""
    fig, ax = plt.subplots(figsize=(10, 3.2))
    runs = [f"measured, split {split}" for split in range(len(measured))][::-1]
    ax.barh(runs, [size / GIGABYTE for size in measured[::-1]], color=COLOUR["model"], height=0.6)
    ax.barh(["predicted"], [predicted / GIGABYTE], color=COLOUR["truth"], height=0.6)
    ax.axvspan(
        0.9 * predicted / GIGABYTE, 1.1 * predicted / GIGABYTE, color=COLOUR["reference"], alpha=0.2, lw=0, zorder=0
    )
    ax.text(1.12 * predicted / GIGABYTE, len(runs) / 2, "prediction\n± a tenth", va="center", fontsize=12)
    ax.set_xlim(0, 1.35 * predicted / GIGABYTE)
    ax.set_xlabel("peak memory of training, 10⁹ bytes")
    finding(ax, title)
    return fig
