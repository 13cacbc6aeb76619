"""The pictures of notebook 13: two heaps of antibody counts, what the model makes of them, and what it is worth.

Each function takes what was measured and returns (figure, alternative text). Axes: N cells, T antibodies.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from course_lib.figures.cell_types import colour_of, in_order, key_of_kinds, scatter_kinds
from course_lib.figures.graphs import Edge, Sides, boxes_and_arrows, empty_panel
from course_lib.figures.style import BLACK, CATEGORIES, COLOUR, GREY, finding

BACKGROUND, FOREGROUND = COLOUR["other"], COLOUR["model"]
TICKS = (0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)  # counts named on an axis of log(1 + count)


def _count_axis(ax: Axes, top: float, words: str = "antibody counts (log scale)") -> None:
    """An axis of log(1 + count) that names counts."""
    named = [tick for tick in TICKS if tick <= top * 1.3]
    kept = [tick for tick in named if str(tick)[0] == "1" or tick == 0] if len(named) > 4 else named
    ax.set_xticks(np.log1p(kept), [f"{tick:,}" for tick in kept])
    ax.set_xlabel(words)


# ---------------------------------------------------------------------------------------------------------- two heaps


def heaps(
    counts: Mapping[str, NDArray], run: ArrayLike, gates: Mapping[str, Mapping[str, float]], title: str
) -> tuple[Figure, str]:
    """A panel for each antibody: how many cells of each run hold how many of it, and where a gate divides them.

    Parameters
    ----------
    counts : antibody → (N,).   run : (N,) names.   gates : antibody → run → the count at which positive begins.
    title : the finding, above the first panel.
    """
    runs = list(dict.fromkeys(np.asarray(run).tolist()))
    fig, axes = plt.subplots(1, len(counts), figsize=(2.55 * len(counts), 4.5))
    told = []
    for ax, (name, values) in zip(np.atleast_1d(axes), counts.items(), strict=True):
        edges = np.linspace(0, np.log1p(values.max()) * 1.02, 34)
        for one, colour, style in zip(runs, CATEGORIES, ("-", "--"), strict=False):
            mine = np.log1p(values[np.asarray(run) == one])
            ax.hist(mine, edges, histtype="step", color=colour, lw=1.8, ls=style, label=one)
            if one in gates.get(name, {}):
                ax.axvline(np.log1p(gates[name][one]), color=colour, lw=1.2, ls=":")
        _count_axis(ax, float(values.max()), f"{name} counts (log)")
        said = ", ".join(f"{one} {gate:.0f}" for one, gate in gates.get(name, {}).items())
        none = np.mean(values == 0)
        told.append(f"{name}: median {np.median(values):.0f}, zeros {none:.1%}" + (f", gate {said}" if said else ""))
        ax.set_title(name)
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("cells")
    first.legend(loc="upper left", handlelength=1.2, borderaxespad=0)
    first.set_ylim(top=first.get_ylim()[1] * 1.35)
    fig.suptitle(title, x=0.01, ha="left")
    return fig, f"Histograms of antibody counts in {' and '.join(runs)}; {'; '.join(told)}."


# ------------------------------------------------------------------------------------------------------- the mixture


def one_and_two(counts: NDArray, laws: Mapping[str, NDArray], title: str) -> tuple[Figure, str]:
    """How many cells hold how many, beside laws of the count: one negative binomial, and two of them.

    Parameters
    ----------
    counts : (N,).   laws : name → (K,) probabilities of the counts 0 … K − 1.
    """
    top = int(counts.max())
    edges = np.unique(np.round(np.expm1(np.linspace(0, np.log1p(top + 1), 30))).astype(int))  # whole counts
    places = np.log1p(edges)
    fig, ax = plt.subplots(figsize=(9.5, 4.6))
    widths = np.diff(places)
    share = np.histogram(counts, edges)[0] / len(counts)
    ax.bar(places[:-1], share / widths, widths, align="edge", color=COLOUR["data"], alpha=0.45)
    low = int(np.quantile(counts, 0.02))
    told = [f"cells {np.mean(counts < low):.2f}"]
    for (name, law), colour, style in zip(laws.items(), (COLOUR["wrong"], COLOUR["model"]), ("--", "-"), strict=False):
        sums = np.add.reduceat(law, edges[:-1])
        ax.step(places, np.append(sums / widths, sums[-1] / widths[-1]), where="post", color=colour, ls=style, lw=2.2)
        told.append(f"{name} {law[:low].sum():.2f}")
    peak = int(np.argmax(share / widths))
    ax.text(places[peak + 3], 0.8 * (share / widths)[peak], "two", color=COLOUR["model"], weight="bold", fontsize=14)
    ax.text(places[3], 1.3 * _height(laws, edges, widths, 3), "one", color=COLOUR["wrong"], weight="bold", fontsize=14)
    _count_axis(ax, top)
    ax.set(ylabel="share of cells per unit of log", ylim=(0, None))
    finding(ax, title)
    return fig, f"Histogram of {len(counts)} counts beside two laws. Share below {low}: {', '.join(told)}."


def _height(laws: Mapping[str, NDArray], edges: NDArray, widths: NDArray, place: int) -> float:
    first = next(iter(laws.values()))
    return float((np.add.reduceat(first, edges[:-1]) / widths)[place])


def mixture(parts: tuple[NDArray, NDArray], probability: NDArray, means: tuple[float, float]) -> tuple[Figure, str]:
    """Left: the mixture as the sum of its two parts. Right: how probable foreground is, given the count.

    Parameters
    ----------
    parts : (K,) π NB(y; β, φ) and (K,) (1 − π) NB(y; αβ, φ) at the counts 0 … K − 1.
    probability : (K,) of foreground.   means : β and αβ.
    """
    background, foreground = parts
    y, top = np.arange(len(background)), float((background + foreground).max())
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4))
    left.bar(y, background, width=1.0, color=BACKGROUND)
    left.bar(y, foreground, width=1.0, bottom=background, color=FOREGROUND)
    left.text(means[0] + 6, 0.9 * top, f"background, mean β = {means[0]:g}", color=BACKGROUND, weight="bold")
    left.text(means[1] - 8, 0.32 * top, f"foreground, mean αβ = {means[1]:g}", color=FOREGROUND, weight="bold")
    left.set(xlabel="count y of an antibody in a cell", ylabel="probability", xlim=(-0.5, len(y) - 0.5))
    half = float(np.interp(0.5, probability, y))  # the probability rises with the count
    right.plot(y, probability, color=FOREGROUND)
    right.plot([0, half, half], [0.5, 0.5, 0], color=GREY, lw=1.3, ls=":")
    right.text(half + 2, 0.45, f"even odds at {half:.0f}", color=GREY, va="top")
    right.set(xlabel="count y", ylabel="P(foreground ∣ y)", xlim=(-0.5, len(y) - 0.5), ylim=(0, 1.03))
    finding(left, "Two heaps that share one dispersion")
    finding(right, "From surely background to surely foreground, without a step")
    return fig, (
        f"A mixture of two negative binomials of means {means[0]:g} and {means[1]:g}, background on "
        f"{background.sum():.2f}. The probability of foreground passes one half at a count of {half:.0f}."
    )


def background_beliefs(
    log_beta: NDArray, prior: NDArray, posteriors: Mapping[str, NDArray], title: str
) -> tuple[Figure, str]:
    """Densities over log β: before a count was seen, and after.

    Parameters
    ----------
    log_beta : (K,).   prior : (K,) density.   posteriors : what was seen → (K,) density.
    """
    fig, ax = plt.subplots(figsize=(9.5, 4.4))
    ax.fill_between(log_beta, prior, color=GREY, alpha=0.25)
    ax.plot(log_beta, prior, color=GREY, label="prior")
    told = [f"prior mean {_mean(log_beta, prior):.2f}"]
    for (name, density), colour, style in zip(posteriors.items(), CATEGORIES, ("-", "--", "-."), strict=False):
        ax.plot(log_beta, density, color=colour, ls=style, label=name)
        told.append(f"{name} {_mean(log_beta, density):.2f}")
    ax.legend(loc="upper left")
    ax.set(xlabel="log β, log of the background's mean count", ylabel="density", ylim=(0, None))
    finding(ax, title)
    return fig, f"Densities over log β. Means: {', '.join(told)}."


def _mean(x: NDArray, density: NDArray) -> float:
    return float((x * density).sum() / density.sum())


# ---------------------------------------------------------------------------------------------- the model as a graph

_BOXES = {  # name: (x, y, text, what it is)
    "x_in": (0.058, 0.66, "log1p(x)", "data"),
    "y_in": (0.058, 0.40, "log1p(y)", "data"),
    "encoder": (0.18, 0.53, "encoder", "head"),
    "z": (0.315, 0.53, "z ∼ q(z∣x, y)", "draw"),
    "decoder": (0.485, 0.86, "ρ(z, s)", "head"),
    "background": (0.485, 0.53, "background(z, s)", "head"),
    "parts": (0.485, 0.18, "α(z, s) ≥ 1, π(z, s)", "head"),
    "beta": (0.69, 0.53, "log β ∼ q(log β∣z, s)", "draw"),
    "prior": (0.69, 0.33, "c, d of p(log β∣s)", "parameter"),
    "theta": (0.69, 0.73, "θ", "parameter"),
    "phi": (0.69, 0.07, "φ", "parameter"),
    "x_out": (0.90, 0.86, "x ∼ NB(ℓρ, θ)", "data"),
    "y_out": (0.90, 0.30, "y ∼ π NB(β, φ)\n+ (1−π) NB(αβ, φ)", "data"),
}
_EDGES: list[Edge] = [
    ("x_in", "encoder"), ("y_in", "encoder"), ("encoder", "z"), ("z", "decoder"), ("z", "background"), ("z", "parts"),
    ("decoder", "x_out"), ("theta", "x_out"), ("background", "beta"), ("beta", "y_out"), ("parts", "y_out"),
    ("prior", "beta"), ("phi", "y_out"),
]  # fmt: skip
_SIDES: dict[Edge, Sides] = {
    ("x_in", "encoder"): ((1, 0.5), (0, 0.75)), ("y_in", "encoder"): ((1, 0.5), (0, 0.25)),
    ("z", "decoder"): ((0.6, 1), (0, 0.4)), ("z", "parts"): ((0.65, 0), (0, 0.8)),
    ("theta", "x_out"): ((1, 0.5), (0.3, 0)), ("beta", "y_out"): ((0.8, 0), (0.2, 1)),
    ("parts", "y_out"): ((1, 0.5), (0, 0.3)), ("prior", "beta"): ((0.5, 1), (0.5, 0)),
    ("phi", "y_out"): ((1, 0.5), (0.3, 0)),
}  # fmt: skip


def model_graph() -> tuple[Figure, str]:
    """totalVI with the course's letters; heavy: what scVI does not have."""
    new = ("y_in", "background", "parts", "beta", "prior", "phi", "y_out")
    fig, ax = empty_panel(14, 5.2)
    boxes_and_arrows(ax, _BOXES, _EDGES, _SIDES, heavy=new, dashed=(("prior", "beta"),))
    ax.text(0.012, 0.93, "heavy: not in scVI", fontsize=12.5, weight="bold")
    key = "blue: networks\norange: draws\npurple: learned numbers"
    ax.text(0.012, 0.035, key, fontsize=12.5, va="bottom", linespacing=1.4)
    return fig, (
        "totalVI as a graph. One encoder of log1p(x) and log1p(y) gives z. As in scVI a decoder of z and the batch s "
        "gives x ∼ NB(ℓρ, θ). New: a network gives q(log β∣z, s), held against a prior for each antibody and batch "
        "with learned c and d; another gives α ≥ 1 and π; y follows a mixture of background NB(β, φ) and foreground "
        "NB(αβ, φ)."
    )


# ------------------------------------------------------------------------------------------- what the model has found


def learned_parts(panels: Mapping[str, tuple[NDArray, NDArray, NDArray]], title: str) -> tuple[Figure, str]:
    """A panel for each antibody: the cells' counts beside counts that the model drew for them, each part by itself.

    Parameters
    ----------
    panels : antibody → (counts (N,), drawn counts (M,), which of them are background (M,)).
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(2.55 * len(panels), 4.5))
    told = []
    for ax, (name, (counts, drawn, of_background)) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        top = max(counts.max(), np.quantile(drawn, 0.999))
        edges = np.unique(np.round(np.expm1(np.linspace(0, np.log1p(top + 1), 26))))  # whole counts
        places = np.log1p(edges)
        widths = np.diff(places)
        share = np.histogram(counts, edges)[0] / len(counts) / widths
        ax.bar(places[:-1], share, widths, align="edge", color=COLOUR["data"], alpha=0.35)
        for chosen, colour, style in ((of_background, BACKGROUND, "--"), (~of_background, FOREGROUND, "-")):
            heights = np.histogram(drawn[chosen], edges)[0] / len(drawn) / widths
            ax.step(places, np.append(heights, heights[-1]), where="post", color=colour, lw=2, ls=style)
        _count_axis(ax, float(counts.max()), f"{name} counts (log)")
        above = float(np.mean(~of_background))
        ax.set_title(f"{name}: {above:.0%}")
        means = [drawn[chosen].mean() for chosen in (of_background, ~of_background)]
        told.append(f"{name}: background mean {means[0]:.0f}, foreground {means[1]:.0f} on {above:.0%} of cells")
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("share of cells per unit of log")
    first.text(0.03, 0.98, "background", color=BACKGROUND, weight="bold", transform=first.transAxes, va="top")
    first.text(0.03, 0.90, "foreground", color=FOREGROUND, weight="bold", transform=first.transAxes, va="top")
    first.set_ylim(top=first.get_ylim()[1] * 1.3)
    fig.suptitle(title, x=0.01, ha="left")
    return fig, f"Counts beside counts drawn from the model's two parts. {'; '.join(told)}."


def beside_gates(
    panels: Mapping[str, tuple[NDArray, NDArray, float]], kinds: ArrayLike, title: str
) -> tuple[Figure, str]:
    """A panel for each antibody: foreground probability of each cell against its count, in the colour of its kind.

    Parameters
    ----------
    panels : antibody → (counts (N,), probability (N,), share of cells where it agrees with the gate).
    kinds : (N,) names.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(2.3 * len(panels) + 1.8, 4.5), sharey=True)
    told = []
    for ax, (name, (counts, probability, agreement)) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        scatter_kinds(ax, np.column_stack([np.log1p(counts), probability]), kinds, size=14, alpha=0.8)
        ax.axhline(0.5, color=GREY, lw=1, ls=":")
        _count_axis(ax, float(counts.max()), f"{name} counts (log)")
        ax.set_title(f"{name}: {agreement:.0%}")
        told.append(f"{name} {agreement:.0%}")
    last, first = np.atleast_1d(axes)[-1], np.atleast_1d(axes)[0]
    first.set(ylabel="P(foreground)", ylim=(-0.04, 1.04))
    key_of_kinds(last, kinds)
    fig.suptitle(title, x=0.01, ha="left")
    return fig, f"P(foreground) of each cell against its count. Share that agrees with the gate: {', '.join(told)}."


def pairs_of_markers(
    panels: Mapping[str, tuple[NDArray, NDArray]], markers: tuple[str, str], kinds: ArrayLike
) -> tuple[Figure, str]:
    """Two antibodies against each other, cell by cell: a panel for each version of their values.

    Parameters
    ----------
    panels : title → (first (N,), second (N,)), ≥ 0; drawn as log(1 + value).   kinds : (N,) names.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(5.2 * len(panels) + 2, 4.6))
    told = []
    for ax, (title, values) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        scatter_kinds(ax, np.log1p(np.column_stack(values)), kinds, size=14, alpha=0.8)
        limits = ax.axis()  # a tick outside would stretch the axis
        for axis, name in ((ax.xaxis, markers[0]), (ax.yaxis, markers[1])):
            axis.set_ticks(np.log1p(TICKS), [f"{tick:,}" for tick in TICKS])
            axis.set_label_text(f"{name} (log scale)")
        ax.axis(limits)
        finding(ax, title)
        told.append(f"{title}: medians {np.median(values[0]):.1f} and {np.median(values[1]):.1f}")
    key_of_kinds(np.atleast_1d(axes)[-1], kinds)
    return fig, f"{markers[0]} against {markers[1]} in {len(np.asarray(kinds))} cells. {'; '.join(told)}."


# ----------------------------------------------------------------------------------------------------- what it is worth

METHODS = {
    "totalvi": "RNA and antibodies, totalVI",
    "scvi_tools": "the same, scvi-tools",
    "rna": "RNA alone, scVI",
    "antibodies": "antibodies alone",
    "pca_both": "PCA of both",
    "pca_rna": "PCA of RNA",
    "pca_clr": "PCA of antibodies",
    "ridge": "ridge regression",
    "knn": "neighbours in RNA",
    "totalvi_zeros": "totalVI, never hidden",
}
METHOD_COLOUR = {
    "totalvi": COLOUR["model"], "totalvi_zeros": COLOUR["wrong"], "scvi_tools": COLOUR["other"],
    "rna": COLOUR["highlight"], "antibodies": GREY,
}  # fmt: skip  # whoever is not named here is linear: green


def of_methods(rows: pd.DataFrame, methods: Sequence[str]) -> dict[str, NDArray]:
    """Method → (S,) values in the order of the seeds; who has no row is left out."""
    by_seed = rows.sort_values("seed")
    there = [method for method in methods if (rows["method"] == method).any()]
    return {method: by_seed.loc[by_seed["method"] == method, "value"].to_numpy() for method in there}


def recalls(named: pd.DataFrame, methods: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Method → (seeds, kinds): of the held-out cells of each kind, the share that was named so; NaN where none was.

    Parameters
    ----------
    named : columns ``seed``, ``method``, ``name``, "true → named", and ``value``, how many cells.
    """
    pairs = named["name"].str.split(" → ", expand=True)
    keys = [named["method"], named["seed"], pairs[0]]
    right = named["value"].where(pairs[0] == pairs[1], 0)
    share = (right.groupby(keys).sum() / named["value"].groupby(keys).sum()).unstack()
    return {method: share.loc[method] for method in methods}


def _dots(ax: Axes, values: Mapping[str, ArrayLike], live: Mapping[str, float]) -> list[str]:
    """A row for each method: a dot for each seed, a bar at their mean, a ring for the live run; the means in words."""
    told = []
    for row, (method, runs) in enumerate(values.items()):
        runs, colour = np.asarray(runs, float), METHOD_COLOUR.get(method, COLOUR["pca"])
        ax.plot(runs, row + np.linspace(-0.16, 0.16, len(runs)), "o", color=colour, ms=6, alpha=0.8)
        ax.plot([runs.mean()] * 2, [row - 0.28, row + 0.28], color=colour, lw=3)
        if method in live:
            ax.plot(live[method], row, "o", mfc="none", mec=BLACK, mew=1.8, ms=14)
        told.append(f"{METHODS[method]} {runs.mean():.3f}")
    ax.set_yticks(range(len(values)), [METHODS[method] for method in values])
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.grid(axis="x")
    return told


def compared(
    panels: Mapping[str, Mapping[str, ArrayLike]], words: Mapping[str, str], live: Mapping[str, float]
) -> tuple[Figure, str]:
    """A panel for each measure: dots for seeds, a bar for their mean, in the first a ring for this notebook's run.

    Parameters
    ----------
    panels : title → method → (S,) values.   words : title → words for its axis.   live : method → value.
    """
    most = max(len(values) for values in panels.values())
    same = len({tuple(values) for values in panels.values()}) == 1
    fig, axes = plt.subplots(1, len(panels), figsize=(6.2 * len(panels), 0.46 * most + 1.7), sharey=same)
    told = []
    for place, (ax, (title, values)) in enumerate(zip(np.atleast_1d(axes), panels.items(), strict=True)):
        said = _dots(ax, values, live if place == 0 else {})
        ax.set_xlabel(words[title])
        finding(ax, title)
        told.append(f"{words[title]}: {', '.join(said)}")
    seeds = len(np.asarray(next(iter(next(iter(panels.values())).values()))))
    return fig, f"Means over {seeds} seeds. {'; '.join(told)}."


def kinds_found(recall: Mapping[str, pd.DataFrame], sizes: Mapping[str, int], title: str) -> tuple[Figure, str]:
    """Of each kind of cell, the share that keeps its name: a mark for each method, mean over seeds and every seed.

    Parameters
    ----------
    recall : method → table (seeds, kinds).   sizes : kind → number of cells; the commonest stands on top.
    """
    kinds = sorted(sizes, key=lambda kind: -sizes[kind])
    fig, ax = plt.subplots(figsize=(10.5, 0.52 * len(kinds) + 1.9))
    told = []
    for method, mark, shift in zip(recall, "osD^", np.linspace(-0.24, 0.24, len(recall)), strict=False):
        colour = METHOD_COLOUR.get(method, COLOUR["pca"])
        means = recall[method].mean()[kinds]
        for row, kind in enumerate(kinds):
            seeds = recall[method][kind]
            ax.plot(seeds, np.full(len(seeds), row + shift), mark, color=colour, ms=4, alpha=0.4)
        ax.plot(means, np.arange(len(kinds)) + shift, mark, color=colour, ms=9, label=METHODS[method])
        told.append(f"{METHODS[method]}: " + ", ".join(f"{kind} {means[kind]:.2f}" for kind in kinds))
    ax.set_yticks(range(len(kinds)), [f"{kind} ({sizes[kind]})" for kind in kinds])
    ax.set(ylim=(len(kinds) - 0.5, -0.5), xlim=(-0.03, 1.03), xlabel="share of the kind's held-out cells named rightly")
    ax.grid(axis="x")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    finding(ax, title)
    return fig, f"Recall of each kind, mean over seeds. {'; '.join(told)}."


def by_kind(tables: Mapping[str, pd.DataFrame], title: str) -> tuple[Figure, str]:
    """Mean log(1 + count) of each antibody in each kind: measured in one run, imputed in another.

    Kinds that are 1.6 times above the diagonal, or below it, are named at their dot, on the side away from it.

    Parameters
    ----------
    tables : who → (kinds, antibodies) mean log(1 + count); the first is on the horizontal axis.
    """
    (across, x), (up, y) = tables.items()
    fig, axes = plt.subplots(1, len(x.columns), figsize=(2.3 * len(x.columns) + 1.8, 3.9))
    told = []
    for ax, marker in zip(np.atleast_1d(axes), x.columns, strict=True):
        ends = [min(x[marker].min(), y[marker].min()) - 0.2, max(x[marker].max(), y[marker].max()) + 0.2]
        ax.plot(ends, ends, color=GREY, lw=1, ls="--")
        for kind in in_order(x.index):
            place = x.loc[kind, marker], y.loc[kind, marker]
            ax.plot(*place, "o", color=colour_of(kind), ms=10, label=kind)
            if abs(place[1] - place[0]) > np.log(1.6):
                at, ha, va = ((-6, 6), "left", "bottom") if place[1] > place[0] else ((6, -6), "right", "top")
                ax.annotate(kind, place, at, textcoords="offset points", ha=ha, va=va, fontsize=10)
        named = [tick for tick in TICKS if ends[0] <= np.log1p(tick) <= ends[1]]
        ax.set_xticks(np.log1p(named), [f"{tick:,}" for tick in named])
        ax.set_yticks(np.log1p(named), [f"{tick:,}" for tick in named])
        ax.set(xlabel=across, title=marker)
        told.append(f"{marker} {np.corrcoef(x[marker], y[marker])[0, 1]:.2f}")
    np.atleast_1d(axes)[0].set_ylabel(up)
    np.atleast_1d(axes)[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)
    fig.suptitle(title, x=0.01, ha="left")
    return fig, f"Mean of {len(x)} kinds, {up} against {across}. Correlations over kinds: {', '.join(told)}."
