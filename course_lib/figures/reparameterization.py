"""The pictures of notebook 04. Every function takes what was measured and returns a figure and its alternative text.

Axes: N cells, G genes, L latent dimensions.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.spatial
import scipy.stats
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course_lib.figures.cell_types import key_of_kinds, scatter_kinds
from course_lib.figures.style import CATEGORIES, COLOUR, finding, label_lines


def _node(ax: Axes, x: float, y: float, text: str, colour: str, half_width: float = 0.06) -> None:
    ax.add_patch(
        FancyBboxPatch(
            (x - half_width, y - 0.06),
            2 * half_width,
            0.12,
            boxstyle="round,pad=0.01",
            facecolor="white",
            edgecolor=colour,
            lw=2,
        )
    )
    ax.text(x, y, text, ha="center", va="center", color=colour, fontsize=15)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, dashed: bool = False) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 18}
    ax.annotate("", end, start, arrowprops=style | ({"linestyle": (0, (3, 3))} if dashed else {}))


def two_graphs() -> tuple[Figure, str]:
    """Where the gradient runs when z is drawn, and when ε is drawn."""
    fig, axes = plt.subplots(1, 2, figsize=(11, 4.4))
    for ax, right in zip(axes, (False, True), strict=True):
        ax.set(xlim=(0, 1), ylim=(0.08, 0.95))
        ax.axis("off")
        colour = COLOUR["model"] if right else COLOUR["wrong"]
        _node(ax, 0.08, 0.8, "μ", COLOUR["truth"])
        _node(ax, 0.08, 0.4, "σ", COLOUR["truth"])
        _node(ax, 0.5, 0.6, "z = μ + σε" if right else "z ∼ N(μ, σ²)", colour, half_width=0.13)
        _node(ax, 0.92, 0.6, "f(z)", COLOUR["truth"])
        for y, shift in ((0.8, 0.03), (0.4, -0.03)):
            _arrow(ax, (0.16, y), (0.35, 0.6 + shift), COLOUR["reference"])
        _arrow(ax, (0.65, 0.63), (0.84, 0.63), COLOUR["reference"])
        _arrow(ax, (0.84, 0.57), (0.65, 0.57), colour, dashed=True)
        ax.text(0.745, 0.53, "gradient", ha="center", va="top", color=colour, fontsize=13)
        if right:
            _node(ax, 0.5, 0.2, "ε ∼ N(0, 1)", COLOUR["reference"], half_width=0.13)
            _arrow(ax, (0.5, 0.28), (0.5, 0.52), COLOUR["reference"])
            _arrow(ax, (0.36, 0.69), (0.158, 0.85), colour, dashed=True)
            _arrow(ax, (0.36, 0.51), (0.158, 0.35), colour, dashed=True)
            finding(ax, "Draw ε: the gradient gets through")
        else:
            ax.text(0.2, 0.6, "×", color=colour, fontsize=44, ha="center", va="center", weight="bold")
            ax.text(0.5, 0.25, "the draw hides how z\ndepends on μ and σ", ha="center", va="center", color=colour)
            finding(ax, "Draw z: the gradient stops there")
    return fig, (
        "Two graphs. Left: μ and σ feed a node z drawn from N(μ, σ²); the gradient coming back from f(z) stops there. "
        "Right: z = μ + σε with ε drawn apart; the gradient passes through z to μ and σ."
    )


def variance_ratio(
    n_dims: np.ndarray, plain: np.ndarray, baseline: np.ndarray, exact: np.ndarray
) -> tuple[Figure, str]:
    """Variance of the score-function gradient over that of the reparameterised one, against the dimension of z."""
    fig, ax = plt.subplots(figsize=(9.5, 4.8))
    ax.loglog(n_dims, exact, color=COLOUR["truth"], lw=1.2)
    ax.loglog(n_dims, plain, "o", color=COLOUR["other"], ls="none")
    ax.loglog(n_dims, baseline, "s-", color=COLOUR["highlight"], lw=1.2)
    ax.loglog(n_dims[[0, -1]], [1, 1], color=COLOUR["model"], lw=2)
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
    finding(ax, "The score function needs ever more draws as z gains dimensions")
    return fig, (
        f"Variance of the score-function gradient over the pathwise one's, {n_dims[0]} to {n_dims[-1]} dimensions: "
        f"plain from {plain[0]:.0f} to {plain[-1]:,.0f}, with a baseline from {baseline[0]:.0f} to {baseline[-1]:.0f}."
    )


def collapse(kl: Mapping[str, np.ndarray], explained: Mapping[str, float]) -> tuple[Figure, str]:
    """KL over the epochs, and the held-out variance explained at the end, for the broken loss and its cure."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(1.35, 1))
    colours = dict(zip(kl, (COLOUR["model"], COLOUR["wrong"]), strict=True))
    for name, values in kl.items():
        left.semilogy(range(1, len(values) + 1), values, color=colours[name], marker=".")
        left.text(len(values), 1.6 * values[len(values) // 2], name, color=colours[name], ha="right", va="bottom")
    left.set(xlabel="epoch", ylabel="training KL, nats per cell", ylim=(None, 30 * max(map(max, kl.values()))))
    finding(left, "A mean over genes switches z off")
    bars = right.barh(range(len(explained)), [*explained.values()], color=[colours[n] for n in explained], height=0.6)
    right.axvline(0, color=COLOUR["truth"], lw=1)
    right.text(0.005, len(explained) - 0.45, "0: the mean cell", va="center", fontsize=12)
    for bar, value in zip(bars, explained.values(), strict=True):
        right.text(max(value, 0) + 0.006, bar.get_y() + bar.get_height() / 2, f"{value:.3f}", va="center", fontsize=12)
    right.set_yticks(range(len(explained)), [*explained])
    right.set(
        xlabel="held-out variance explained",
        ylim=(len(explained) - 0.2, -0.6),
        xlim=(min(0, *explained.values()) * 1.3 - 0.06, max(explained.values()) * 1.35),
    )
    finding(right, "and cells come back alike")
    told = [f"{n}: final KL {[*kl[n]][-1]:.4f} nats, variance explained {value:.3f}" for n, value in explained.items()]
    return fig, "Training KL per epoch, and held-out variance explained. " + "; ".join(told) + "."


def beta_sweep(table: pd.DataFrame, linear: pd.DataFrame, mismatch: float) -> tuple[Figure, str]:
    """Index β; columns ``kl`` and ``explained``: measured, and by the linear theory on a finer grid of β.

    ``mismatch`` is the β of the reduction mistake, one of the measured ones.
    """
    fig, axes = plt.subplots(1, 2, figsize=(11, 4.6))
    edge = float(linear.index[linear["kl"] <= 0].min())  # from here on no direction is worth its nats
    for ax, column, label in (
        (axes[0], "kl", "KL, nats per held-out cell"),
        (axes[1], "explained", "held-out variance explained"),
    ):
        ax.semilogx(linear.index, linear[column], color=COLOUR["pca"], lw=1.6, label="linear theory")
        ax.semilogx(table.index, table[column], "o", color=COLOUR["model"], ls="none", label="trained VAE")
        ax.axhline(0, color=COLOUR["reference"], lw=1, ls="--")
        ax.plot(table.index[table.index == mismatch], table[column][table.index == mismatch], "o", ms=11,
                color=COLOUR["wrong"])  # fmt: skip
        ax.annotate(f"β = G/2 = {mismatch:g}:\nmean over genes", (mismatch, float(table[column].loc[mismatch])),
                    xytext=(8, 45), textcoords="offset points", ha="right", color=COLOUR["wrong"], fontsize=12,
                    arrowprops={"arrowstyle": "-", "color": COLOUR["wrong"]})  # fmt: skip
        ax.axvline(edge, color=COLOUR["pca"], lw=1, ls=":")
        ax.text(edge * 1.1, 0.98, "largest\neigenvalue", transform=ax.get_xaxis_transform(), va="top",
                color=COLOUR["pca"], fontsize=12)  # fmt: skip
        ax.set_xticks(table.index, [f"{beta:g}" for beta in table.index])
        ax.minorticks_off()
        ax.set(xlabel="β, the weight of the KL", ylabel=label)
    axes[0].legend(loc="upper left", bbox_to_anchor=(0.22, 1.0))
    finding(axes[0], "A heavier KL buys fewer nats")
    finding(axes[1], "until z says nothing")
    told = [f"β = {beta:g}: {row['kl']:.3f} nats, {row['explained']:.3f}" for beta, row in table.iterrows()]
    line = ", ".join(f"{linear['kl'].loc[beta]:.2f}" for beta in table.index)
    return fig, (
        f"KL and variance explained on held-out cells against β. {'; '.join(told)}. "
        f"The linear theory's KL at the same β: {line} nats."
    )


def warmup(
    kl: Mapping[str, Sequence[float]], per_dimension: Mapping[str, np.ndarray], threshold: float
) -> tuple[Figure, str]:
    """KL over the epochs with and without warm-up, and the KL of each latent dimension, largest first."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
    for (name, values), colour, marker in zip(kl.items(), (COLOUR["model"], COLOUR["other"]), "o^", strict=True):
        left.plot(range(1, len(values) + 1), values, color=colour, marker=marker, label=name)
        left.set_xticks([1, *range(5, len(values) + 1, 5)])
    left.set(xlabel="epoch", ylabel="training KL, nats per cell", ylim=(0, None))
    left.legend()
    finding(left, "Warm-up: z fills first, pays later")
    n_latent = max(len(dimensions) for dimensions in per_dimension.values())
    for dimensions, colour, marker in zip(
        per_dimension.values(), (COLOUR["model"], COLOUR["other"]), "o^", strict=True
    ):
        right.plot(range(1, n_latent + 1), np.sort(dimensions)[::-1], marker, color=colour, ls="-", lw=1)
    right.axhline(threshold, color=COLOUR["reference"], lw=1, ls="--")
    right.text(n_latent, threshold * 1.15, "active above", ha="right", va="bottom", color=COLOUR["reference"])
    right.set(xlabel="latent dimension, sorted", ylabel="KL, nats per held-out cell", ylim=(0, None))
    finding(right, "Few dimensions carry anything")
    told = [
        f"{name}: largest training KL {max(kl[name]):.1f} nats, {(dimensions > threshold).sum()} of {n_latent} active"
        for name, dimensions in per_dimension.items()
    ]
    return fig, "Training KL per epoch, and the KL of each latent dimension. " + "; ".join(told) + "."


def latent_spaces(
    panels: Mapping[str, np.ndarray], kinds: np.ndarray, accuracy: Mapping[str, float], n_latent: int
) -> tuple[Figure, str]:
    """Two dimensions of each latent space side by side, cells in the colour of their kind.

    Parameters
    ----------
    panels : name of the method → (N, 2), two principal components of its L codes.   kinds : (N,) names.
    accuracy : name → share of held-out cells whose nearest neighbours, in all L dimensions, name them rightly.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(3.3 * len(panels) + 2.2, 4.8))
    for ax, (name, points) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        scatter_kinds(ax, points, kinds, size=6)
        ax.set(xticks=[], yticks=[], xlabel="first component of z")
        ax.set_title(f"{name}:\nneighbours name {accuracy[name]:.1%}")
    np.atleast_1d(axes)[0].set_ylabel("second component of z")
    key_of_kinds(np.atleast_1d(axes)[-1], kinds)
    told = ", ".join(f"{name} {accuracy[name]:.3f}" for name in panels)
    return fig, (
        f"{len(kinds):,} cells in two components of {n_latent} latent dimensions, coloured by kind, a panel for each "
        f"of {len(panels)} methods. Accuracy of the nearest neighbours in all dimensions, held-out cells: {told}."
    )


def traversal(
    draws: np.ndarray, bits: np.ndarray, kinds: np.ndarray, z: np.ndarray, decoded: Mapping[str, float]
) -> tuple[Figure, str]:
    """Codes of all cells over the prior, in the two dimensions that carry most, and what is decoded at one place.

    The margins show each of the two dimensions alone, the map both together.

    Parameters
    ----------
    draws : (N, L), one z ~ q(z∣x) for each cell.   bits : (L,), mean over cells of what each dimension carries.
    kinds : (N,) names.   z : (L,), the place, drawn as a star.   decoded : gene → mean of p(x∣z) there.
    """
    pair = np.argsort(-bits)[:2]
    fig, panels = plt.subplot_mosaic(
        [["top", ".", "bars"], ["map", "side", "bars"]],
        figsize=(13, 5.8), width_ratios=(5, 0.8, 4.6), height_ratios=(0.8, 5),
    )  # fmt: skip
    plane, bars = panels["map"], panels["bars"]
    scatter_kinds(plane, draws[:, pair], kinds, size=5)
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2, 3):  # the prior's standard deviations
        plane.plot(radius * np.cos(angle), radius * np.sin(angle), color=COLOUR["truth"], lw=1.2, ls=":")
    plane.plot(*z[pair], "*", ms=22, mfc="white", mec=COLOUR["truth"], mew=1.8)
    first, second = (f"$z_{{{dim + 1}}}$" for dim in pair)
    plane.set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), xlabel=f"{first}; rings: prior, 1 to 3 sd", ylabel=second)
    _margin(panels["top"], draws[:, pair[0]], "vertical")
    _margin(panels["side"], draws[:, pair[1]], "horizontal")
    hole = _nearly_empty(draws[:, pair])
    chance = _nearly_empty(np.random.default_rng(0).standard_normal((len(draws), 2)))  # as many draws from the prior
    finding(panels["top"], f"Together: {hole:.0%} of the prior nearly empty (by chance: {chance:.0%})")
    nearest = float(np.sqrt(np.square(draws - z).sum(1)).min())
    usual = _between_neighbours(draws)
    bars.barh([*decoded], [*decoded.values()], color=COLOUR["model"])
    bars.invert_yaxis()
    bars.axvline(0, color=COLOUR["truth"], lw=1)
    bars.set(xlim=(-2, 8), xlabel="decoded at the star: mean of p(x∣z),\nlog1p of counts per 10,000")
    where = "Cells live at the star" if nearest <= usual else "No cell lives at the star"
    finding(bars, f"{where}: the nearest code is {nearest:.1f} away")
    bars.text(1.04, 0.02, f"nine codes in ten\nhave another\nwithin {usual:.1f}", transform=bars.transAxes, fontsize=12)
    key_of_kinds(bars, kinds)
    spreads, at = draws.std(axis=0), ", ".join(f"z{dim + 1} = {z[dim]:g}" for dim in pair)
    return fig, (
        f"At {at} the decoder gives {', '.join(f'{gene} {value:.1f}' for gene, value in decoded.items())}; the nearest "
        f"code is {nearest:.1f} away, nine codes in ten have one within {usual:.1f}. Map of {len(draws):,} codes, one "
        f"draw each, over the prior: in the two dimensions that carry most, {hole:.0%} of the prior's mass has less "
        f"than a quarter of the codes that it should; with as many draws from it, {chance:.0%}. Alone the {len(bits)} "
        f"dimensions have standard deviations {spreads.min():.2f} to {spreads.max():.2f} and carry {bits.min():.1f} to "
        f"{bits.max():.1f} bits, {bits.sum():.1f} in all."
    )


def _margin(ax: Axes, values: np.ndarray, orientation: Literal["vertical", "horizontal"]) -> None:
    """One dimension alone, its histogram as a density over the prior's."""
    edges, grid = np.linspace(-3.6, 3.6, 37), np.linspace(-3.6, 3.6, 200)
    density = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
    ax.stairs(density, edges, orientation=orientation, fill=True, color=COLOUR["model"], alpha=0.55)
    line = grid, scipy.stats.norm.pdf(grid)
    ax.plot(*(line if orientation == "vertical" else line[::-1]), color=COLOUR["truth"], lw=1.3)
    (ax.set_xlim if orientation == "vertical" else ax.set_ylim)(-3.6, 3.6)
    ax.set_axis_off()


def _between_neighbours(codes: np.ndarray, n_asked: int = 400) -> float:
    """The distance within which nine in ten of the first codes have another one."""
    near = scipy.spatial.cKDTree(codes).query(codes[:n_asked], k=2)[0]  # the nearest is the code itself
    return float(np.quantile(near[:, 1], 0.9))


def _nearly_empty(points: np.ndarray) -> float:
    """Share of N(0, I)'s mass in squares, half a standard deviation wide, with under a quarter of the points due."""
    edges = np.linspace(-3, 3, 13)
    line = np.diff(scipy.stats.norm.cdf(edges))
    prior = np.outer(line, line)
    found = np.histogram2d(points[:, 0], points[:, 1], bins=[edges, edges])[0] / len(points)
    return float(prior[found < prior / 4].sum())


def generated_in_pca(
    real: np.ndarray,
    generated: Mapping[str, np.ndarray],
    group: np.ndarray,
    name_of_group: str,
    share: Mapping[str, float],
) -> tuple[Figure, str]:
    """Generated cells over held-out ones, on two principal components of real cells.  (N, 2) each.

    Parameters
    ----------
    group : (N,) bool, the real cells that are to be named.
    share : title → share of the generated cells that lie nearest to that group; under "real", of the real ones.
    """
    fig, axes = plt.subplots(1, len(generated), figsize=(3.7 * len(generated), 4.7), sharex=True, sharey=True)
    below = real[group][:, 0].mean(), np.quantile(real[group][:, 1], 0.02) - 1
    colours = (COLOUR["model"], COLOUR["wrong"], COLOUR["other"])
    for ax, (title, points), colour in zip(np.atleast_1d(axes), generated.items(), colours, strict=False):
        ax.scatter(*real.T, s=9, color="#bdbdbd", rasterized=True)
        ax.scatter(*points.T, s=7, color=colour, alpha=0.6, rasterized=True)
        name = ax.text(*below, name_of_group, ha="center", va="top", fontsize=12)
        name.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])
        ax.set_xlabel("PC 1 of real cells")
        ax.set_title(f"{title}:\n{share[title]:.0%} {name_of_group}", fontsize=13)
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("PC 2 of real cells")
    first.text(0.98, 0.02, "grey: held-out cells", transform=first.transAxes, ha="right", va="bottom", fontsize=12)
    nearest = min(generated, key=lambda name: abs(share[name] - share["real"]))
    fig.suptitle(
        f"Of held-out cells {share['real']:.0%} are {name_of_group}; nearest to that: {nearest}", x=0.01, ha="left"
    )
    told = [
        f"{name} {np.linalg.norm(xy.mean(0) - real.mean(0)):.2f} and {share[name]:.2f}"
        for name, xy in generated.items()
    ]
    return fig, (
        f"Generated over held-out cells on two principal components; distance of centres, and share that is "
        f"{name_of_group} ({share['real']:.2f} of held-out cells): {'; '.join(told)}."
    )


def gene_spread(real: np.ndarray, generated: Mapping[str, np.ndarray], n_widest: int = 20) -> tuple[Figure, str]:
    """Standard deviation of every gene among generated cells against that among held-out ones.  (G,) each.

    The ``n_widest`` genes that vary most among real cells have a black rim: there the markers of types lie.
    """
    fig, axes = plt.subplots(1, len(generated), figsize=(11, 4.6), sharex=True, sharey=True)
    widest = np.argsort(-real)[:n_widest]
    told = []
    for ax, (name, values), colour in zip(
        np.atleast_1d(axes), generated.items(), (COLOUR["model"], COLOUR["wrong"], COLOUR["other"]), strict=False
    ):
        share = np.square(values).sum() / np.square(real).sum()
        ratio, below = np.median(values[widest] / real[widest]), int((values[widest] < real[widest]).sum())
        ax.scatter(real, values, s=6, color=colour, alpha=0.6, rasterized=True)
        ax.scatter(real[widest], values[widest], s=26, color=colour, edgecolors="black", linewidths=0.9)
        ax.axline((0, 0), slope=1, color=COLOUR["truth"], lw=1)
        ax.text(0.03, 0.97, f"rims: the {len(widest)} widest,\n{below} below the line", transform=ax.transAxes,
                va="top", fontsize=12)  # fmt: skip
        ax.set(xlabel="sd among held-out cells", aspect="equal")
        finding(ax, f"{name}: {share:.0%} of the variance")
        told.append(f"{name}: {share:.2f}; {below} of them lie below the diagonal, median ratio {ratio:.2f}")
    np.atleast_1d(axes)[0].set_ylabel("sd among generated cells")
    return fig, (
        f"Standard deviation of each gene, generated against held-out; share of the variance, and the {len(widest)} "
        f"genes that vary most: {'. '.join(told)}."
    )


def walk(
    steps: np.ndarray,
    expression: pd.DataFrame,
    ends: Sequence[str],
    held_out: tuple[float, float],
    nearest: np.ndarray,
) -> tuple[Figure, str]:
    """Left, marker genes along a straight line in latent space; right, how far the line strays from any cell's code.

    Parameters
    ----------
    steps : (S,) from 0 to 1.   expression : (S, markers), columns are genes.   ends : names of the two types.
    held_out : median and 90th percentile of the distance from a held-out code to the nearest training code.
    nearest : (S,) that distance along the line.
    """
    typical, rare = held_out
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.6), width_ratios=(1.4, 1))
    for gene, colour in zip(expression.columns, CATEGORIES, strict=False):
        left.plot(steps, expression[gene], color=colour, label=gene)
    left.set(ylabel="mean of p(x∣z), log1p of counts per 10,000")
    finding(left, "Markers hand over along the line")
    right.plot(steps, nearest, color=COLOUR["model"])
    right.axhline(typical, color=COLOUR["reference"], ls="--", lw=1.5)
    right.axhline(rare, color=COLOUR["reference"], ls=":", lw=1.5)
    right.text(0.5, typical * 0.97, "median of\nheld-out cells", ha="center", va="top", color=COLOUR["reference"])
    right.text(0, rare * 1.02, "nine in ten\nlie below", va="bottom", color=COLOUR["reference"])
    right.set(ylabel="distance to the nearest training code", ylim=(0, max(nearest.max(), rare) * 1.15))
    finding(right, "Midway the cells are far" if nearest.max() > rare else "Cells live along the whole line")
    for ax in (left, right):
        ax.set_xlabel("place on the line in latent space")
        ax.set_xticks([0, 0.5, 1], [ends[0], "midway", ends[1]])
    label_lines(left)
    told = [f"{gene} {values.iloc[0]:.2f} to {values.iloc[-1]:.2f}" for gene, values in expression.items()]
    return fig, (
        f"Markers along the line from {ends[0]} to {ends[1]}: {', '.join(told)}. The nearest training code is at most "
        f"{nearest.max():.2f} away; for held-out cells the median is {typical:.2f}, the 90th percentile {rare:.2f}."
    )


def scores(table: pd.DataFrame, live: pd.DataFrame, names: Mapping[str, str]) -> tuple[Figure, str]:
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
    axes[0].set_xlim(min(-0.03, table["energy"].min() * 1.5, live["energy"].min() * 1.5), table["energy"].max() * 1.4)
    axes[0].text(0.02, 0.02, "dots: one for each seed\ndiamond: live", transform=axes[0].transAxes, fontsize=12)
    axes[0].set_xlabel("energy distance to held-out cells, log1p units\n(linear below 0.1, then logarithmic)")
    axes[1].set_xlabel("mean distance to the nearest\nheld-out cell, log1p units")
    finding(axes[0], "Noise of the right size wins")
    finding(axes[1], "Nearest neighbours crown the mean cell")
    middle = table.groupby("generator")[["energy", "nearest"]].mean()
    told = [f"{names[key]} {middle.loc[key, 'energy']:.2f} and {middle.loc[key, 'nearest']:.1f}" for key in order]
    return fig, "Energy and nearest-neighbour distance to held-out cells, means over the seeds: " + "; ".join(told)
