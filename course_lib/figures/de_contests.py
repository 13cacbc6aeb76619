"""The pictures of contests in differential expression: easy beside hard, one thing harder at a time, and the null.

Each function takes the table of ``experiments.de_contests`` (columns setting, seed, mode, over, measure, value), draws
a dot for each seed and a bar at the median, and returns (figure, alt text).
"""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from course_lib.figures.style import COLOUR, finding

Way = tuple[str, str]  # mode, over
WAYS: dict[Way, str] = {
    ("change", "means"): "scVI, change of means",
    ("change_own_batch", "means"): "scVI, means, own batches",
    ("change", "pairs"): "scVI, change of pairs",
    ("vanilla", "pairs"): "scVI, vanilla, pairs",
    ("vanilla", "means"): "scVI, vanilla, means",
    ("wilcoxon", "cells"): "Wilcoxon",
    ("wilcoxon_ties", "cells"): "Wilcoxon, ties",
    ("wilcoxon_size", "cells"): "Wilcoxon, ∣LFC∣ > δ",
    ("wilcoxon_depth", "cells"): "Wilcoxon, equal depth",
    ("wilcoxon_batches", "cells"): "Wilcoxon, in batches",
    ("wilcoxon_all", "cells"): "Wilcoxon, all four",
}
SETTINGS = {
    "easy": "easy",
    "fold": "fold 1.3",
    "cells": "40 cells",
    "batches": "batches unbalanced",
    "zeros": "zeros .9",
    "hard": "all of it",
}
FEW: tuple[Way, ...] = (("change", "means"), ("vanilla", "pairs"), ("wilcoxon", "cells"), ("wilcoxon_all", "cells"))
MEASURES = {
    "auc_any": "AUC, ranked by p or z",
    "power": "found ÷ changed",
    "fdp": "false ÷ called",
}
MARKERS = "os^D"
Runs = Callable[[str, str], NDArray]  # row, series → a value of each seed


def easy_beside_hard(table: pd.DataFrame, target: float = 0.05) -> tuple[Figure, str]:
    """AUC, power and false discoveries of every way to ask, a row each, in the easy and in the hard simulation."""
    names = {name: way for way, name in WAYS.items()}
    series = {"easy": COLOUR["reference"], "hard": COLOUR["model"]}

    def runs(measure: str) -> Runs:
        return lambda name, setting: _values(table, setting, names[name], measure)

    def best(measure: str) -> str:
        return ", ".join(f"{s} {max(_median(runs(measure)(name, s)) for name in names):.2f}" for s in series)

    def most_power(setting: str) -> float:
        right = [name for name in names if runs("fdp")(name, setting).mean() < 0.5]
        return max((_median(runs("power")(name, setting)) for name in right), default=float("nan"))

    above = {s: sum(runs("fdp")(name, s).mean() > target for name in names) for s in series}
    titles = (
        f"Best AUC: {best('auc_any')}",
        f"Most power with calls mostly true: {', '.join(f'{s} {most_power(s):.2f}' for s in series)}",
        f"Above {target:g}: {above['easy']} of {len(names)} ways when easy, {above['hard']} when hard",
    )
    return _three_panels(runs, [*names], series, titles, target, "Ways to ask")


def one_thing_harder(table: pd.DataFrame, ways: Sequence[Way] = FEW, target: float = 0.05) -> tuple[Figure, str]:
    """AUC, power and false discoveries of a few ways to ask, in every setting, a row each."""
    names = {WAYS[way]: way for way in ways}
    settings = {name: setting for setting, name in SETTINGS.items()}
    colours = (COLOUR["model"], COLOUR["pca"], COLOUR["wrong"], COLOUR["other"])
    series = dict(zip(names, colours, strict=False))

    def runs(measure: str) -> Runs:
        return lambda row, name: _values(table, settings[row], names[name], measure)

    def over_ways(measure: str, row: str) -> float:
        return float(np.mean([_median(runs(measure)(row, name)) for name in names]))

    alone = [name for name, setting in settings.items() if setting not in ("easy", "hard")]
    titles = (
        f"Hardest to rank: {min(alone, key=lambda row: over_ways('auc_any', row))}",
        f"Hardest to find: {min(alone, key=lambda row: over_ways('power', row))}",
        f"Most misleading: {max(alone, key=lambda row: over_ways('fdp', row))}",
    )
    return _three_panels(runs, [*settings], series, titles, target, "Settings")


def null_contest(table: pd.DataFrame) -> tuple[Figure, str]:
    """Share of genes that every way to ask calls where nothing differs but depth, most at the top."""
    values = {name: _values(table, "thinned", way, "fraction_called") for way, name in WAYS.items()}
    values = dict(sorted(values.items(), key=lambda item: -float(np.median(item[1]))))
    fig, ax = plt.subplots(figsize=(9.5, 5.2))
    _dots(ax, [*values], {"thinned": COLOUR["model"]}, lambda name, _: values[name])
    ax.set(xlabel="share of genes called; none of them differs")
    ax.set_xlim(-0.01, max(0.05, 1.08 * max(float(v.max()) for v in values.values())))
    quiet = sum(float(v.max()) == 0 for v in values.values())
    finding(ax, f"Only depth differs: {quiet} of {len(values)} ways call nothing in any run")
    told = [f"{name} {np.median(v):.3f}, at most {v.max():.3f}" for name, v in values.items()]
    seeds = table.loc[table["setting"] == "thinned", "seed"].nunique()
    return fig, f"Share of genes called in {seeds} runs where nothing differs but depth, medians: {'; '.join(told)}."


def _values(table: pd.DataFrame, setting: str, way: Way, measure: str) -> NDArray:
    """A value for each seed; what is missing because nothing was to be found is left out."""
    mode, over = way
    rows = table[(table["setting"] == setting) & (table["mode"] == mode) & (table["over"] == over)]
    found = rows.loc[rows["measure"] == measure, "value"].to_numpy(float)
    if len(found) == 0:
        raise ValueError(
            f"table: expected rows of setting {setting!r}, mode {mode!r}, over {over!r}, measure {measure!r}, found "
            "none; run experiments.de_contests with all of its settings."
        )
    return found[np.isfinite(found)]


def _three_panels(
    runs: Callable[[str], Runs],
    rows: list[str],
    series: Mapping[str, str],
    titles: tuple[str, str, str],
    target: float,
    what: str,
) -> tuple[Figure, str]:
    """AUC, power and false discoveries side by side; ``runs(measure)`` gives what a row and a series hold."""
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 1.9 + 0.14 * len(rows) * len(series)))
    told = []
    for ax, (measure, label), title in zip(axes, MEASURES.items(), titles, strict=True):
        _dots(ax, rows, series, runs(measure))
        ax.set(xlabel=label, xlim=(0.38, 1.03) if measure == "auc_any" else (-0.04, 1.04))
        if ax is not axes[0]:
            ax.set_yticklabels([])
            ax.set_xticks([0, 0.5, 1])
        finding(ax, title)
        for row in rows:
            medians = (f"{name} {_median(runs(measure)(row, name)):.2f}" for name in series)
            told.append(f"{row}, {measure.removesuffix('_any')}: {', '.join(medians)}")
    axes[0].axvline(0.5, color=COLOUR["truth"], lw=1, ls="--")
    axes[2].axvline(target, color=COLOUR["wrong"], lw=1.5)
    axes[2].set_xlabel(f"false ÷ called (line: {target:g})")
    handles = [
        plt.Line2D([], [], color=colour, marker=marker, ls="", label=name)
        for (name, colour), marker in zip(series.items(), MARKERS, strict=False)
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(series))
    return fig, f"{what}, dots for runs, medians. {'; '.join(told)}."


def _median(values: NDArray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _dots(ax: Axes, rows: Sequence[str], series: Mapping[str, str], runs: Runs) -> None:
    """A line of dots for every series in every row, the first series at the top; a bar at the median."""
    step = 0.8 / len(series)
    for place, row in enumerate(rows):
        for number, (name, colour) in enumerate(series.items()):
            y, values = place + step * (number - (len(series) - 1) / 2), runs(row, name)
            jitter = np.linspace(-0.3, 0.3, len(values)) * step if len(values) > 1 else np.zeros(len(values))
            ax.plot(values, y + jitter, MARKERS[number], color=colour, ms=5, alpha=0.7, label=f"{row}, {name}")
            if len(values):
                ax.plot([np.median(values)] * 2, [y - 0.45 * step, y + 0.45 * step], color=COLOUR["truth"], lw=2)
    ax.set_yticks(range(len(rows)), [*rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(axis="x")
    for edge in np.arange(len(rows) - 1) + 0.5:
        ax.axhline(edge, color="#e4e4e4", lw=0.8, zorder=0)
