"""What many cells cost: the picture of ``experiments.million``. It returns a figure and its alternative text."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from course_lib.figures.style import COLOUR, finding, label_lines

WAYS = {"file": "in a file", "sparse": "in memory, sparse", "dense": "in memory, dense"}
WAY_COLOUR = {"file": COLOUR["model"], "sparse": COLOUR["other"], "dense": COLOUR["reference"]}
WAY_MARKER = {"file": ("o", 13), "sparse": ("s", 9), "dense": ("^", 5)}  # one inside the other where lines meet
ALLOWED_GB = 1.5  # what a million cells may take on a small laptop


def cost_of_an_epoch(table: pd.DataFrame) -> tuple[Figure, str]:
    """Seconds of one core for an epoch, and the largest memory of the process, against the number of cells.

    Parameters
    ----------
    table : one row for each ``way`` and ``n_cells``, with ``epoch_seconds``, ``cells_per_second`` and ``peak_bytes``.
    """
    table = table.assign(gigabytes=table["peak_bytes"] / 1e9).sort_values("n_cells")
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8))
    _draw(left, table, "epoch_seconds")
    _draw(right, table, "gigabytes")
    left.set(ylabel="seconds of one core for an epoch")
    right.set(ylabel="largest memory of the process, GB")
    right.axhline(ALLOWED_GB, color=COLOUR["highlight"], ls="--", lw=1.5)
    right.annotate(
        f"{ALLOWED_GB} GB", (table["n_cells"].min(), ALLOWED_GB), xytext=(0, 5), textcoords="offset points",
        color=COLOUR["highlight"],
    )  # fmt: skip
    most = table[table["n_cells"] == table["n_cells"].max()].set_index("way")
    n_cells, memory, seconds = most["n_cells"].iloc[0], most["gigabytes"], most["epoch_seconds"]
    in_memory = [way for way in ("sparse", "dense") if way in most.index]
    share = most.loc["file", "cells_per_second"] / most.loc[in_memory, "cells_per_second"].max()
    finding(left, f"From a file training keeps {share:.0%} of the speed in memory")
    finding(
        right, f"{n_cells:,} cells take {memory['file']:.1f} GB from a file, {memory[in_memory].min():.1f} in memory"
    )
    for ax in (left, right):
        label_lines(ax, gap=0.03)
    told = "; ".join(f"{WAYS[way]} {seconds[way]:,.0f} s and {memory[way]:.2f} GB" for way in most.index)
    return fig, (
        f"Seconds and memory of one epoch of scVI against the number of cells, both axes logarithmic. At {n_cells:,} "
        f"cells: {told}. From a file training keeps {share:.0%} of the speed in memory."
    )


def _draw(ax: Axes, table: pd.DataFrame, column: str) -> None:
    for way, name in WAYS.items():
        rows = table[table["way"] == way]
        if len(rows):
            marker, size = WAY_MARKER[way]
            ax.plot(
                rows["n_cells"], rows[column], color=WAY_COLOUR[way], label=name, lw=1.6,
                marker=marker, ms=size, mfc="white", mew=1.6,
            )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="cells")
    ax.xaxis.set_major_locator(FixedLocator(sorted(set(table["n_cells"]))))
    ax.xaxis.set_minor_locator(NullLocator())
    if column == "gigabytes":
        ax.yaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20]))
        ax.yaxis.set_minor_locator(NullLocator())
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1000 else f"{value:,.0f}"))
