"""The pictures of notebook 04. Every function takes what was measured and returns a figure.

Axes: N cells, G genes, L latent dimensions.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course_lib.figures.style import CATEGORIES, COLOUR, finding, label_lines


def _node(ax: Axes, x: float, y: float, text: str, colour: str) -> None:
    ax.add_patch(
        FancyBboxPatch(
            (x - 0.085, y - 0.07), 0.17, 0.14, boxstyle="round,pad=0.01", facecolor="white", edgecolor=colour, lw=2
        )
    )
    ax.text(x, y, text, ha="center", va="center", color=colour, fontsize=15)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, dashed: bool = False) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 18}
    ax.annotate("", end, start, arrowprops=style | ({"linestyle": (0, (3, 3))} if dashed else {}))


def two_graphs() -> Figure:
    """Where the gradient runs when z is drawn, and when ε is drawn."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.6))
    for ax, right in zip(axes, (False, True), strict=True):
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.axis("off")
        colour = COLOUR["model"] if right else COLOUR["wrong"]
        _node(ax, 0.12, 0.75, "μ", COLOUR["truth"])
        _node(ax, 0.12, 0.45, "σ", COLOUR["truth"])
        _node(ax, 0.5, 0.6, "z = μ + σε" if right else "z ∼ N(μ, σ²)", colour)
        _node(ax, 0.88, 0.6, "f(z)", COLOUR["truth"])
        for y in (0.75, 0.45):
            _arrow(ax, (0.22, y), (0.4, 0.6 + (0.04 if y > 0.6 else -0.04)), COLOUR["reference"])
        _arrow(ax, (0.6, 0.62), (0.78, 0.62), COLOUR["reference"])
        _arrow(ax, (0.78, 0.56), (0.6, 0.56), colour, dashed=True)
        if right:
            _node(ax, 0.5, 0.2, "ε ∼ N(0, 1)", COLOUR["reference"])
            _arrow(ax, (0.5, 0.29), (0.5, 0.51), COLOUR["reference"])
            _arrow(ax, (0.4, 0.52), (0.22, 0.39), colour, dashed=True)
            _arrow(ax, (0.4, 0.68), (0.22, 0.81), colour, dashed=True)
            finding(ax, "Draw ε: the gradient reaches μ and σ")
        else:
            ax.text(0.31, 0.6, "×", color=colour, fontsize=40, ha="center", va="center", weight="bold")
            ax.text(0.5, 0.2, "the draw hides how z\ndepends on μ and σ", ha="center", va="center", color=colour)
            finding(ax, "Draw z: the gradient stops at the draw")
        ax.text(0.69, 0.48, "gradient", ha="center", va="top", color=colour, fontsize=12)
    return fig


def descents(paths: Mapping[str, np.ndarray], target: float) -> Figure:
    """μ over the steps of gradient descent, one line for each way to get a gradient.  (S,) each."""
    fig, ax = plt.subplots()
    colours = dict(zip(paths, (COLOUR["wrong"], COLOUR["other"], COLOUR["model"]), strict=False))
    for name, path in paths.items():
        ax.plot(path, color=colours[name], label=name, lw=1.6 if "score" in name else 2.4)
    ax.axhline(target, color=COLOUR["truth"], lw=1, ls="--")
    ax.text(0, target, f" optimum μ = {target:g}", va="bottom")
    ax.set(xlabel="step of gradient descent", ylabel="μ", ylim=(min(-0.4, min(p.min() for p in paths.values())), None))
    ax.margins(y=0.1)
    finding(ax, "Two gradients find the optimum; torch.normal's never moves")
    label_lines(ax)
    return fig


def z_scores(scores: Mapping[str, np.ndarray]) -> Figure:
    """Quantiles of the z-scores of each estimator against those of N(0, 1).  (R,) each."""
    fig, ax = plt.subplots(figsize=(7.5, 5))
    for (name, values), colour, marker in zip(scores.items(), (COLOUR["other"], COLOUR["model"]), "o^", strict=True):
        expected = scipy.stats.norm.ppf((np.arange(len(values)) + 0.5) / len(values))
        ax.plot(expected, np.sort(values), marker, color=colour, ms=4, label=name, alpha=0.8, ls="none")
    ax.axline((0, 0), slope=1, color=COLOUR["truth"], lw=1)
    ax.set(xlabel="quantile of N(0, 1)", ylabel="quantile of the z-scores", aspect="equal")
    ax.legend(loc="upper left", markerscale=2)
    finding(ax, "Both estimators miss the exact gradient by pure chance")
    return fig


def variance_ratio(n_dims: np.ndarray, plain: np.ndarray, baseline: np.ndarray, exact: np.ndarray) -> Figure:
    """Variance of the score-function gradient over that of the reparameterised one, against the dimension of z."""
    fig, ax = plt.subplots(figsize=(9.5, 4.8))
    ax.loglog(n_dims, exact, color=COLOUR["truth"], lw=1.2)
    ax.loglog(n_dims, plain, "o", color=COLOUR["other"], ls="none")
    ax.loglog(n_dims, baseline, "s-", color=COLOUR["highlight"], lw=1.2)
    ax.axhline(1, color=COLOUR["model"], lw=2)
    for y, text, colour in (
        (plain[-1], "score function\n(line: closed form)", COLOUR["other"]),
        (baseline[-1], "score function\nwith a baseline", COLOUR["highlight"]),
        (1.0, "reparameterised", COLOUR["model"]),
    ):
        ax.annotate(text, (n_dims[-1], y), xytext=(10, 0), textcoords="offset points", va="center", color=colour)
    ax.set(xlabel="dimension of z", ylabel="variance ÷ that of the\nreparameterised gradient", xticks=n_dims)
    ax.set_xticks(n_dims, [str(d) for d in n_dims], minor=False)
    ax.minorticks_off()
    ax.grid(axis="y")
    finding(ax, "The score function needs ever more samples as z grows")
    return fig


def collapse(kl: Mapping[str, Sequence[float]], explained: Mapping[str, float]) -> Figure:
    """KL over the epochs, and the held-out variance explained at the end, for the broken loss and its cure."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(1.35, 1))
    colours = dict(zip(kl, (COLOUR["model"], COLOUR["wrong"], COLOUR["highlight"]), strict=True))
    styles = dict(zip(kl, ("-", "-", "--"), strict=True))
    for name, values in kl.items():
        left.semilogy(range(1, len(values) + 1), values, color=colours[name], ls=styles[name], marker=".", label=name)
    left.set(xlabel="epoch", ylabel="KL(q(z∣x) ‖ p(z)), nats per cell")
    left.legend(loc="center right", bbox_to_anchor=(1.0, 0.62))
    finding(left, "A mean over genes switches z off")
    bars = right.barh(range(len(explained)), [*explained.values()], color=[colours[n] for n in explained], height=0.6)
    right.axvline(0, color=COLOUR["truth"], lw=1)
    right.text(0.005, len(explained) - 0.45, "0: the mean cell", va="center", fontsize=12)
    right.bar_label(bars, [f"{value:.3f}" for value in explained.values()], padding=4, fontsize=12)
    right.set_yticks(range(len(explained)), [*explained])
    right.set(
        xlabel="held-out variance explained",
        ylim=(len(explained) - 0.2, -0.6),
        xlim=(min(0, *explained.values()) * 1.3 - 0.06, max(explained.values()) * 1.35),
    )
    finding(right, "and cells come back as the mean cell")
    return fig


def beta_sweep(table: pd.DataFrame, mismatch: float) -> Figure:
    """Index β; columns ``kl`` and ``explained``, both held out. ``mismatch`` is the β of the reduction mistake."""
    fig, axes = plt.subplots(1, 2, figsize=(11, 4.6))
    for ax, column, label in (
        (axes[0], "kl", "KL, nats per held-out cell"),
        (axes[1], "explained", "held-out variance explained"),
    ):
        ax.semilogx(table.index, table[column], "o-", color=COLOUR["model"])
        ax.axhline(0, color=COLOUR["reference"], lw=1, ls="--")
        ax.plot(table.index[table.index == mismatch], table[column][table.index == mismatch], "o", ms=11,
                color=COLOUR["wrong"])  # fmt: skip
        ax.annotate(f"β = G/2 = {mismatch:g}:\nmean over genes", (mismatch, float(table[column].loc[mismatch])),
                    xytext=(-5, 45), textcoords="offset points", ha="right", color=COLOUR["wrong"],
                    arrowprops={"arrowstyle": "-", "color": COLOUR["wrong"]})  # fmt: skip
        ax.set(xlabel="β, the weight of the KL", ylabel=label)
    finding(axes[0], "A heavier KL buys fewer nats")
    finding(axes[1], "until the decoder stops listening to z")
    return fig


def warmup(kl: Mapping[str, Sequence[float]], per_dimension: Mapping[str, np.ndarray], threshold: float) -> Figure:
    """KL over the epochs with and without warm-up, and the KL of each latent dimension, largest first."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
    for (name, values), colour in zip(kl.items(), (COLOUR["model"], COLOUR["other"]), strict=True):
        left.plot(range(1, len(values) + 1), values, color=colour, marker=".", label=name)
    left.set(xlabel="epoch", ylabel="training KL, nats per cell", ylim=(0, None))
    left.legend()
    finding(left, "Warm-up: z fills first, pays later")
    for (name, values), colour, marker in zip(
        per_dimension.items(), (COLOUR["model"], COLOUR["other"]), "o^", strict=True
    ):
        right.plot(range(1, len(values) + 1), np.sort(values)[::-1], marker, color=colour, label=name, ls="-", lw=1)
    right.axhline(threshold, color=COLOUR["reference"], lw=1, ls="--")
    right.text(len(values), threshold * 1.15, "active above", ha="right", va="bottom", color=COLOUR["reference"])
    right.set(xlabel="latent dimension, sorted", ylabel="KL, nats per held-out cell", ylim=(0, None))
    finding(right, "Few of the dimensions carry anything")
    return fig


def generated_in_pca(real: np.ndarray, generated: Mapping[str, np.ndarray]) -> Figure:
    """Generated cells over held-out ones, on two principal components of real cells.  (N, 2) each."""
    fig, axes = plt.subplots(1, len(generated), figsize=(4 * len(generated), 4.4), sharex=True, sharey=True)
    colours = (COLOUR["model"], COLOUR["other"], COLOUR["other"], COLOUR["highlight"])
    for ax, (name, points), colour in zip(axes, generated.items(), colours, strict=False):
        ax.scatter(*real.T, s=9, color="#bdbdbd", rasterized=True)
        ax.scatter(*points.T, s=7, color=colour, alpha=0.6, rasterized=True)
        ax.set_xlabel("PC 1 of real cells")
        finding(ax, name)
    axes[0].set_ylabel("PC 2 of real cells")
    axes[0].text(0.98, 0.02, "grey: held-out cells", transform=axes[0].transAxes, ha="right", va="bottom", fontsize=12)
    return fig


def gene_spread(real: np.ndarray, generated: Mapping[str, np.ndarray]) -> Figure:
    """Standard deviation of every gene among generated cells against that among held-out ones.  (G,) each."""
    fig, axes = plt.subplots(1, len(generated), figsize=(11, 4.6), sharex=True, sharey=True)
    for ax, (name, values), colour in zip(
        axes, generated.items(), (COLOUR["model"], COLOUR["wrong"], COLOUR["other"]), strict=False
    ):
        ax.scatter(real, values, s=6, color=colour, alpha=0.6, rasterized=True)
        ax.axline((0, 0), slope=1, color=COLOUR["truth"], lw=1)
        ax.set(xlabel="sd among held-out cells", aspect="equal")
        finding(ax, name)
    axes[0].set_ylabel("sd among generated cells")
    return fig


def walk(
    steps: np.ndarray, expression: pd.DataFrame, ends: Sequence[str], typical: float, nearest: np.ndarray
) -> Figure:
    """Left, marker genes along a straight line in latent space; right, how far the line strays from any cell's code.

    Parameters
    ----------
    steps : (S,) from 0 to 1.   expression : (S, markers), columns are genes.   ends : names of the two types.
    typical : median distance from a held-out code to the nearest training code.   nearest : (S,) that of the line.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.6), width_ratios=(1.4, 1))
    for gene, colour in zip(expression.columns, CATEGORIES, strict=False):
        left.plot(steps, expression[gene], color=colour, label=gene)
    left.set(ylabel="mean of p(x∣z), log1p of counts per 10,000")
    finding(left, "Markers hand over along the line")
    right.plot(steps, nearest, color=COLOUR["model"])
    right.axhline(typical, color=COLOUR["reference"], ls="--", lw=1.5)
    right.text(0.5, typical, "typical for a held-out cell", ha="center", va="bottom", color=COLOUR["reference"])
    right.set(ylabel="distance to the nearest training code", ylim=(0, max(nearest.max(), typical) * 1.25))
    finding(right, "No cell lives midway" if nearest.max() > 1.2 * typical else "Cells live along the whole line")
    for ax in (left, right):
        ax.set_xticks([0, 0.5, 1], [ends[0], "midway", ends[1]])
    label_lines(left)
    return fig


def scores(table: pd.DataFrame, live: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Energy and nearest-neighbour distance of every generator: dots are the table's seeds, the diamond is live."""
    fig, axes = plt.subplots(1, 2, figsize=(13, 5.2), sharey=True)
    order = [*names]
    for ax, column in zip(axes, ("energy", "nearest"), strict=True):
        for row, key in enumerate(order):
            anchor = key in ("real", "mean_cell")
            colour = COLOUR["reference"] if anchor else COLOUR["model"] if key.startswith("vae") else COLOUR["other"]
            values = table.loc[table["generator"] == key, column]
            ax.plot(values, [row] * len(values), "o", color=colour, ms=8, alpha=0.55, ls="none", mew=0)
            ax.plot(live.loc[key, column], row, "D", color=colour, mec="black", ms=7)
        ax.grid(axis="x")
    axes[0].set_yticks(range(len(order)), [names[key] for key in order])
    axes[0].invert_yaxis()
    axes[0].set_xscale("symlog", linthresh=0.1, linscale=0.6)
    axes[0].set_xticks([0, 0.1, 0.3, 1, 3, 10], ["0", "0.1", "0.3", "1", "3", "10"])
    axes[0].minorticks_off()
    axes[0].set_xlabel("energy distance to held-out cells\n(linear below 0.1, then logarithmic)")
    axes[1].set_xlabel("mean distance to the nearest held-out cell")
    finding(axes[0], "Draws from p(x∣z) come closest to real")
    finding(axes[1], "Nearest neighbours crown the mean cell")
    return fig


def tightening(n_samples: Sequence[int], bound: np.ndarray, gain_error: np.ndarray) -> Figure:
    """Mean importance-weighted bound against K, with the standard error of its gain over K = 1."""
    fig, ax = plt.subplots()
    ax.errorbar(n_samples, bound, gain_error, fmt="o-", color=COLOUR["model"], capsize=4)
    ax.axhline(bound[0], color=COLOUR["reference"], lw=1, ls="--")
    ax.text(n_samples[-1], bound[0], "ELBO (K = 1)", ha="right", va="bottom", color=COLOUR["reference"])
    ax.set_xscale("log", base=2)
    ax.set_xticks(n_samples, [str(k) for k in n_samples])
    ax.set(xlabel="K, samples of z for each cell", ylabel="bound on log p(x),\nnats per held-out cell")
    finding(ax, "More samples of z, a tighter bound, with no more training")
    return fig
