"""Methods that bring two runs together, score by score. Takes an experiment's table, returns a figure and its words.

Axes: M methods, S seeds.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.style import COLOUR, finding

CEILING = "_ceiling"
SCORES = {  # of the experiment ``pair``, in words: its rows of panels, its methods and its choices of genes
    "Do runs mix?": {"entropy": "batch entropy, nats", "ilisi": "iLISI", "kbet": "kBET"},
    "Are types kept?": {
        "clisi": "cLISI",
        "graph_connectivity": "graph connectivity",
        "label_knn": "types by neighbours",
    },
}
METHODS = {"pca": "PCA", "harmony": "Harmony", "scvi_no_batch": "scVI without s", "scvi_batch": "scVI with s"}
GENES = {"over_runs": "over both runs", "within_runs": "within runs"}
SHIFT = 0.17  # of a choice of genes from the middle of its method's row


def integration(
    table: pd.DataFrame,
    rows: Mapping[str, Mapping[str, str]],
    methods: Mapping[str, str],
    genes: Mapping[str, str],
) -> tuple[Figure, str]:
    """A panel for each score: a row for each method, a dot for each seed, a bar where a ceiling was measured.

    Parameters
    ----------
    table : columns genes, method, measure, value; the ceiling of ``entropy`` is the measure ``entropy_ceiling``.
    rows : what a row of panels asks → {measure → words}, in order.   methods : method → words.
    genes : the two choices of genes → words; the first is drawn as rings, the second as dots.
    """
    width = max(len(measures) for measures in rows.values())
    fig, axes = plt.subplots(
        len(rows), width, figsize=(3.7 * width, len(rows) * (1.7 + 0.5 * len(methods))), sharey=True, squeeze=False
    )
    told = []
    for line, (question, measures) in zip(axes, rows.items(), strict=True):
        for ax in line[len(measures) :]:
            ax.set_axis_off()
        for ax, (measure, words) in zip(line, measures.items(), strict=False):
            for place, (choice, name) in enumerate(genes.items()):
                part = table[table["genes"] == choice]
                medians = _draw(ax, part, measure, list(methods), place)
                told.append(f"{question} {words}, genes {name}: {_listed(medians, methods)}")
            shown = table.loc[table["measure"].isin([measure, measure + CEILING]), "value"]
            ax.set_xlim(min(0, 1.08 * shown.min()), 1.08 * shown.max())  # from 0, or small differences look large
            ax.grid(axis="x")
            ax.locator_params(axis="x", nbins=4)
            ax.set_xlabel(words)
        finding(line[0], question)
    axes[0, 0].set_yticks(range(len(methods)), [*methods.values()])
    axes[0, 0].set_ylim(len(methods) - 0.5, -0.5)
    _legend(fig, genes, bool(table["measure"].str.endswith(CEILING).any()))
    return fig, "Scores of integration, medians over seeds. " + "; ".join(told) + "."


def _draw(ax: Axes, part: pd.DataFrame, measure: str, methods: list[str], place: int) -> list[tuple[float, float]]:
    """One choice of genes in one panel; the medians of score and ceiling, NaN where there is none."""
    medians = []
    for row, method in enumerate(methods):
        mine = part[part["method"] == method]
        values, ceiling = (mine.loc[mine["measure"] == name, "value"] for name in (measure, measure + CEILING))
        colour = COLOUR["pca"] if method == "pca" else COLOUR["model"] if method.startswith("scvi") else COLOUR["other"]
        y = row + (2 * place - 1) * SHIFT
        face = colour if place else "none"
        ax.plot(ceiling, [y] * len(ceiling), "|", color=COLOUR["truth"], ms=11, mew=1.5, ls="none")
        ax.plot(values, [y] * len(values), "o", color=colour, mfc=face, mew=1.5, ms=8, alpha=0.7, ls="none")
        medians.append((float(values.median()), float(ceiling.median())))
    return medians


def _listed(medians: list[tuple[float, float]], methods: Mapping[str, str]) -> str:
    return ", ".join(
        f"{words} {value:.2f}" + (f" (ceiling {ceiling:.2f})" if np.isfinite(ceiling) else "")
        for words, (value, ceiling) in zip(methods.values(), medians, strict=True)
    )


def _legend(fig: Figure, genes: Mapping[str, str], with_ceiling: bool) -> None:
    """Once, below all panels: what rings, dots and bars are."""
    ring, dot = genes.values()
    ax = fig.axes[0]
    keys = [
        ax.plot([], [], "o", color=COLOUR["truth"], mfc="none", mew=1.5, ms=8, label=f"genes {ring}")[0],
        ax.plot([], [], "o", color=COLOUR["truth"], ms=8, label=f"genes {dot}")[0],
    ]
    if with_ceiling:
        keys += ax.plot([], [], "|", color=COLOUR["truth"], ms=11, mew=1.5, label="ceiling: runs shuffled within types")
    fig.legend(handles=keys, loc="outside lower center", ncols=len(keys), handletextpad=0.2)
