"""The pictures of notebook 02: three programs, their codes, noise and depth, cells and tumours beside PCA, the cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.cell_types import colour_of, in_order
from course_lib.figures.style import BLACK, CATEGORIES, COLOUR, finding, label_groups, label_lines
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


def sizes_in_words(table: pd.DataFrame, column: str, digits: int = 2) -> str:
    """Mean over seeds of ``column`` at the fewest and at the most samples, method by method, for alternative text."""
    words = []
    for name, rows in _by_method(table).items():
        mean = rows.groupby(_samples(table))[column].mean().dropna()
        if len(mean) > 1:
            words.append(f"{name} {mean.iloc[0]:.{digits}f} at {mean.index[0]:,} to {mean.iloc[-1]:.{digits}f}")
        elif len(mean):
            words.append(f"{name} {mean.iloc[0]:.{digits}f}")
    return "; ".join(words) + f" at {table[_samples(table)].max():,}"


def cohorts(table: pd.DataFrame, titles: tuple[str, str]) -> Figure:
    """Six cohorts: held-out variance and neighbour accuracy of the cohort by number of training samples; a dot a seed.

    Parameters
    ----------
    table : of the experiment ``cohorts``. A line for 128 components has n − 1 where there are no more.
    """
    fig, axes = plt.subplots(1, 2, figsize=(11.5, 5))
    lines = _by_method(table)
    for ax, column, apart in zip(axes, ("held_out", "cohort"), (1.0, 1.04), strict=True):
        _over_samples(ax, lines, "n_train", column, apart)  # equally good: dots side by side, or one hides the rest
        _numbers_of_samples(ax, table, "samples")
    axes[0].set_ylabel("held-out variance explained")
    axes[1].set_ylabel("nearest training sample\nis of the same cohort")
    for ax, title, gap in zip(axes, titles, (0.03, 0.09), strict=True):
        label_lines(ax, gap=gap)
        finding(ax, title)
    return fig


def toy_by_cells(table: pd.DataFrame, titles: tuple[str, str]) -> Figure:
    """Held-out variance of the toy by number of training cells, equal sizes together: two or three numbers, then 128.

    Parameters
    ----------
    table : of the experiment ``geneex_toy_samples``.
    """
    fig, axes = plt.subplots(1, 2, figsize=(11.5, 5))
    named = {name: rows for name, rows in _by_method(table).items() if "untrained" not in name}  # below zero
    for ax, wide in zip(axes, (False, True), strict=True):
        _over_samples(ax, {n: rows for n, rows in named.items() if ("128" in n) is wide}, "n_cells", "held_out")
        _numbers_of_samples(ax, table, "cells")
        for method, name in (("oracle", "oracle: program"), ("oracle_depth", "oracle: depth too")):
            level = table[table["method"] == method].groupby("n_cells")["held_out"].mean()
            ax.plot(level.index, level, color=BLACK, lw=1.2, ls="--", label=name)
        ax.set_ylabel("held-out variance explained")
        label_lines(ax, gap=0.03)
    for ax, title in zip(axes, titles, strict=True):
        finding(ax, title)
    return fig


def noise_and_depth(table: pd.DataFrame, titles: tuple[str, str]) -> Figure:
    """What the numbers of a code hold beside the program, at the most training cells: noise, and the library size.

    Parameters
    ----------
    table : of the experiment ``geneex_toy_samples``; one dot a seed.
    """
    fig, axes = plt.subplots(1, 2, figsize=(11.5, 4.8), sharey=True)
    last = table[table["n_cells"] == table["n_cells"].max()]
    rows = {name: part for name, part in _by_method(last).items() if "untrained" not in name}
    rows = dict(sorted(rows.items(), key=lambda item: item[1]["n_latent"].iloc[0]))
    for ax, column in zip(axes, ("noise", "depth"), strict=True):
        for place, (name, part) in enumerate(reversed(rows.items())):
            heights = place + np.linspace(-0.15, 0.15, len(part))
            ax.plot(part[column], heights, "o", color=_look(name)["color"], ms=8, alpha=0.85)
            middle = part[column].mean()
            ax.annotate(
                f"{middle:.3f}" if column == "noise" else f"{round(middle, 2) + 0.0:.2f}",  # no −0.00
                (part[column].max(), place),
                xytext=(10, 0),
                textcoords="offset points",
                va="center",
            )
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.grid(axis="y")
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, 0), high + 0.14 * (high - low))
    axes[0].set_yticks(range(len(rows)), list(reversed(rows)))
    axes[0].set_xlabel("share of a cell's noise that comes back")
    axes[1].set_xlabel("R² of log library size, read from the code")
    for ax, title in zip(axes, titles, strict=True):
        finding(ax, title)
    return fig


def _samples(table: pd.DataFrame) -> str:
    return "n_cells" if "n_cells" in table else "n_train"


def _by_method(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of each line by its name. Of the largest number asked for, 128, fewer samples allow n − 1."""
    n_latent, samples = table["n_latent"], table[_samples(table)]
    most = int(table.loc[table["method"] == "geneex", "n_latent"].max())
    found = {}
    for size in sorted({2, 3, 10, most}):
        rows = table[(table["method"] == "pca") & (n_latent == np.minimum(size, samples - 1))]
        found[f"PCA {size}{'*' if (rows['n_latent'] < size).any() else ''}"] = rows
    sizes = sorted(table.loc[table["method"] == "geneex", "n_latent"].astype(int).unique())
    for method, name in (
        ("geneex", "GENEEX {}"),
        ("geneex_no_dropout", "{}, no dropout"),
        ("untrained", "untrained {}"),
    ):
        for size in sizes:
            found[name.format(size)] = table[(table["method"] == method) & (n_latent == size)]
    return {name: rows for name, rows in found.items() if len(rows)}


def _look(name: str) -> dict[str, Any]:
    """The colour says the method, the kind of line its size."""
    size = int("".join(letter for letter in name if letter.isdigit()))
    colour = COLOUR["other"] if "no dropout" in name else _colour_of(name)
    return {"color": colour, "ls": {2: ":", 3: "-.", 10: "-."}.get(size, "-")}


def _over_samples(ax: Axes, lines: Mapping[str, pd.DataFrame], x: str, column: str, apart: float = 1.0) -> None:
    """One line a method through the means, one dot a seed; its dots ``apart`` times farther right than the last's."""
    for place, (name, rows) in enumerate(lines.items()):
        shift = apart ** (place - (len(lines) - 1) / 2)
        mean = rows.groupby(x)[column].mean()
        look = _look(name)
        ax.plot(rows[x] * shift, rows[column], "o", color=look["color"], alpha=0.35, ms=5)
        if len(mean) > 1:
            ax.plot(mean.index, mean, **look, label=name)
        else:  # a single number of samples: no line to draw
            ax.plot(mean.index, mean, "D", color=look["color"], ms=9, label=name)


def _numbers_of_samples(ax: Axes, table: pd.DataFrame, what: str) -> None:
    sizes = sorted(table[_samples(table)].unique())
    starred = any(str(line.get_label()).endswith("*") for line in ax.get_lines())
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    ax.set_xlabel(f"training {what} (log scale)" + ("; * n − 1 where that is less" if starred else ""))
