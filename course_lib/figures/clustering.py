"""The pictures of notebook 07. Every function takes what was measured and returns a figure and its alternative text.

Axes: N cells, K clusters or types, M methods.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from scipy.stats import spearmanr, t

from course_lib.figures.cell_types import key_of_kinds, scatter_kinds
from course_lib.figures.style import CATEGORIES, COLOUR, finding, label_lines

METHOD_COLOUR = {"pca": COLOUR["pca"], "ae": COLOUR["reference"], "vae": COLOUR["other"], "scvi": COLOUR["model"]}


def from_points_to_graph(points: np.ndarray, neighbours: np.ndarray, clusters: np.ndarray) -> tuple[Figure, str]:
    """Left an arrow from each point to its k nearest, (N, k); right the graph that forgets directions, cut in two.

    Parameters
    ----------
    points : (N, 2).   neighbours : (N, k) positions.   clusters : (N,) numbers from 0.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
    for start, others in enumerate(neighbours):
        for end in others:
            arrow = FancyArrowPatch(
                tuple(points[start]), tuple(points[end]), arrowstyle="-|>", mutation_scale=13, shrinkA=9, shrinkB=9,
                lw=1.3, color=COLOUR["data"],
            )  # fmt: skip
            left.add_patch(arrow)
    edges = {tuple(sorted((start, int(end)))) for start, others in enumerate(neighbours) for end in others}
    crossing = [(i, j) for i, j in edges if clusters[i] != clusters[j]]
    for i, j in edges:
        cut = (i, j) in crossing
        right.plot(
            *points[[i, j]].T, color=COLOUR["wrong"] if cut else COLOUR["data"], ls="--" if cut else "-", zorder=1
        )
    right.scatter(*points.T, s=260, c=[CATEGORIES[k] for k in clusters], zorder=2)
    left.scatter(*points.T, s=260, color=COLOUR["truth"], zorder=2)
    for ax in (left, right):
        for number, point in enumerate(points):
            ax.text(*point, str(number), ha="center", va="center", color="white", weight="bold", fontsize=11)
        ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
        ax.margins(0.12)
    finding(left, f"An arrow to each of the {neighbours.shape[1]} nearest")
    finding(right, f"{len(edges)} edges, {len(crossing)} of them cut (dashed)")
    return fig, (
        f"Left, {len(points)} points with arrows to their {neighbours.shape[1]} nearest neighbours; right, the graph "
        f"of {len(edges)} edges in {clusters.max() + 1} clusters, {len(crossing)} of them between clusters."
    )


def silhouettes(positions: np.ndarray, labels: np.ndarray, widths: np.ndarray) -> tuple[Figure, str]:
    """Points on a line, (N,), and above each its silhouette width."""
    fig, ax = plt.subplots(figsize=(9, 3.8))
    names = list(dict.fromkeys(labels.tolist()))
    colour = dict(zip(names, CATEGORIES, strict=False))
    ax.axhline(0, color=COLOUR["truth"], lw=1)
    for x, name, width in zip(positions, labels, widths, strict=True):
        ax.plot([x, x], [0, width], color=colour[name], lw=5, solid_capstyle="butt")
        ax.plot(x, 0, "o", color=colour[name], ms=12)
        ax.annotate(
            f"{name}: {width:.2f}".replace("-", "−"),
            (x, width),
            xytext=(0, 6 if width >= 0 else -6),
            textcoords="offset points",
            ha="center",
            va="bottom" if width >= 0 else "top",
            color=colour[name],
        )
    ax.set(
        xlabel="position",
        ylabel="silhouette width",
        ylim=(-1.15, 1.15),
        xlim=(positions.min() - 1, positions.max() + 1),
    )
    worst = int(np.argmin(widths))
    finding(ax, f"The {labels[worst]} at {positions[worst]:g} lies nearer to the other label")
    told = ", ".join(f"{name} at {x:g}: {width:.2f}" for x, name, width in zip(positions, labels, widths, strict=True))
    return fig, f"Silhouette width of {len(positions)} points on a line: {told}; mean {widths.mean():.2f}."


def methods_compared(
    table: pd.DataFrame, measures: Mapping[str, str], methods: Mapping[str, str], titles: Mapping[str, str]
) -> tuple[Figure, str]:
    """A row of panels for each data set, one for each measure: a dot for each seed, mean and 95 % interval beside it.

    Parameters
    ----------
    table : columns ``data``, ``seed``, ``method`` and the measures.   measures, methods : column or entry → name.
    titles : data set → what its row shows.
    """
    fig, axes = plt.subplots(
        len(titles), len(measures), figsize=(12, 3.4 * len(titles)), squeeze=False, sharey=True, sharex="col"
    )
    told = []
    for row, (data, title) in zip(axes, titles.items(), strict=True):
        for ax, (measure, name) in zip(row, measures.items(), strict=True):
            for place, method in enumerate(methods):
                values = table.query("data == @data and method == @method")[measure].to_numpy()
                mean, half = mean_and_half_width(values)
                colour = METHOD_COLOUR[method]
                ax.plot(values, np.full(len(values), place - 0.14), "o", color=colour, ms=5, alpha=0.7)
                ax.errorbar(mean, place + 0.16, xerr=half, fmt="D", color=colour, ms=6, capsize=4, lw=2)
                told.append(f"{data} {methods[method]} {name} {mean:.2f} ± {half:.2f}")
            ax.set(xlabel=name, ylim=(len(methods) - 0.5, -0.5))
            ax.set_yticks(range(len(methods)), list(methods.values()))
            ax.margins(x=0.12)
            ax.grid(axis="x")
        row[0].set_title(title)
    fig.supxlabel("dots: one for each seed;  diamond and bar: their mean and its 95 % interval", fontsize=12)
    return fig, "Scores by method, mean and 95 % interval over seeds: " + "; ".join(told) + "."


def mean_and_half_width(values: np.ndarray) -> tuple[float, float]:
    """Mean of the seeds and half its 95 % t-interval; a single value has none."""
    n = len(values)
    half = t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(values)), float(half)


def resolution_sweep(table: pd.DataFrame, n_types: int) -> tuple[Figure, str]:
    """Number of clusters, ARI and NMI against the resolution: index γ, columns ``n_clusters``, ``ari``, ``nmi``."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4))
    left.loglog(table.index, table["n_clusters"], "o-", color=COLOUR["model"])
    left.axhline(n_types, color=COLOUR["truth"], ls=":", lw=1.6)
    left.text(table.index[-1], n_types * 0.94, f"{n_types} published types", ha="right", va="top")
    ticks = [
        n for n in (2, 5, 10, 20, 50, 100) if table["n_clusters"].min() / 1.5 <= n <= table["n_clusters"].max() * 1.5
    ]
    left.set_yticks(ticks, [str(n) for n in ticks])
    left.set(ylabel="clusters found")
    right.semilogx(table.index, table["nmi"], "s-", color=COLOUR["other"], label="NMI")
    right.semilogx(table.index, table["ari"], "o-", color=COLOUR["model"], label="ARI")
    right.set(ylabel="agreement with the types", ylim=(0, 1))
    for ax in (left, right):
        ax.set_xticks(table.index, [f"{gamma:g}" for gamma in table.index])
        ax.minorticks_off()
        ax.set_xlabel("resolution γ")
    finding(left, "How many clusters? You choose")
    finding(right, "ARI minds splitting more than NMI")
    label_lines(right, gap=0.025)
    low, high, best = table.iloc[0], table.iloc[-1], table["ari"].idxmax()
    return fig, (
        f"From γ = {table.index[0]:g} to {table.index[-1]:g} Leiden finds {low['n_clusters']:.0f} to "
        f"{high['n_clusters']:.0f} clusters; ARI goes from {low['ari']:.2f} to {high['ari']:.2f}, NMI from "
        f"{low['nmi']:.2f} to {high['nmi']:.2f}; the best ARI, {table['ari'].max():.2f}, is at γ = {best:g}."
    )


def maps(pictures: Mapping[str, np.ndarray], labels: np.ndarray, told: str) -> tuple[Figure, str]:
    """The same cells on several maps, title → (N, 2), coloured by kind, with one key at the side."""
    fig, axes = plt.subplots(1, len(pictures), figsize=(4.1 * len(pictures) + 1.5, 4.4), squeeze=False)
    for ax, (title, xy) in zip(axes[0], pictures.items(), strict=True):
        scatter_kinds(ax, xy, labels, size=3)
        ax.set(xticks=[], yticks=[], xlabel="map axis 1", ylabel="map axis 2")
        ax.set_title(title)
    key_of_kinds(axes[0, -1], labels)
    return fig, f"{len(labels):,} cells on {len(pictures)} maps. {told}."


def map_distances(real: np.ndarray, drawn: Mapping[str, np.ndarray]) -> tuple[Figure, str]:
    """Distances between the centres of types on maps against those in the latent space, one panel for each map."""
    fig, axes = plt.subplots(1, len(drawn), figsize=(12, 4.5), sharey=True, squeeze=False)
    top = 1.05 * max(values.max() / values.mean() for values in drawn.values())
    told = []
    for ax, (name, values) in zip(axes[0], drawn.items(), strict=True):
        ax.plot(real, values / values.mean(), "o", color=COLOUR["model"], ms=6, alpha=0.8)
        ax.axline((0, 0), slope=1 / real.mean(), color=COLOUR["truth"], lw=1, ls="--")
        ax.set(xlabel="distance in the latent space", xlim=(0, real.max() * 1.05), ylim=(0, top))
        rank = spearmanr(real, values)[0]
        ax.set_title(f"{name}:\nrank correlation {rank:.2f}")
        told.append(f"{name} {rank:.2f}")
    axes[0, 0].set_ylabel("distance on the map ÷ its mean")
    axes[0, 0].text(0.03, 0.97, "dashed: in proportion", transform=axes[0, 0].transAxes, va="top")
    return fig, (
        f"Distances between {len(real)} pairs of type centres, map against latent space; rank correlation "
        + ", ".join(told)
        + "."
    )


def clusters_of_noise(
    plane: np.ndarray, of_codes: np.ndarray, on_map: np.ndarray, of_map: np.ndarray
) -> tuple[Figure, str]:
    """One Gaussian cloud cut by Leiden: left on its principal components, right on its UMAP, cut on the UMAP."""
    fig, axes = plt.subplots(1, 2, figsize=(11, 4.6))
    for ax, xy, found in ((axes[0], plane, of_codes), (axes[1], on_map, of_map)):
        codes = np.unique(found, return_inverse=True)[1]
        ax.scatter(*xy.T, s=6, c=[CATEGORIES[k % len(CATEGORIES)] for k in codes], rasterized=True)
        ax.set(xticks=[], yticks=[])
    axes[0].set(xlabel="PC 1", ylabel="PC 2")
    axes[1].set(xlabel="UMAP 1", ylabel="UMAP 2")
    n_codes, n_map = len(np.unique(of_codes)), len(np.unique(of_map))
    finding(axes[0], f"One Gaussian: {n_codes} clusters")
    finding(axes[1], f"Cut on its UMAP: {n_map} neat patches (colours repeat)")
    return fig, (
        f"{len(plane):,} draws from one Gaussian. Left, principal components coloured by {n_codes} Leiden clusters, "
        f"all mixed; right, its UMAP coloured by {n_map} clusters of the map, patches side by side."
    )


def marker_dots(shares: pd.DataFrame, means: pd.DataFrame) -> tuple[Figure, str]:
    """Clusters in rows, genes in columns: size is the share of cells where it is seen, colour its mean expression.

    Parameters
    ----------
    shares : (K, genes) in [0, 1].   means : the same, each column divided by its largest.
    """
    fig, ax = plt.subplots(figsize=(12, 0.45 * len(shares) + 1.9))
    columns, rows = np.meshgrid(range(shares.shape[1]), range(len(shares)))
    dots = ax.scatter(columns, rows, s=330 * shares.to_numpy() + 2, c=means.to_numpy(), cmap="Blues", vmin=0, vmax=1,
                      edgecolors="#4d4d4d", linewidths=0.5)  # fmt: skip
    ax.set_xticks(range(shares.shape[1]), shares.columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(shares)), shares.index)
    ax.set(xlim=(-0.6, shares.shape[1] - 0.4), ylim=(len(shares) - 0.4, -0.6))
    ax.set_xlabel("gene (the largest dots: seen in every cell of the cluster)")
    fig.colorbar(dots, ax=ax, label="mean expression ÷\nlargest of the column", boundaries=np.linspace(0, 1, 101),
                 ticks=[0, 0.5, 1], pad=0.02)  # fmt: skip
    finding(ax, "A few genes name each cluster (dot area: share of cells)")
    best = ", ".join(f"{gene} in {shares[gene].idxmax()} ({shares[gene].max():.2f})" for gene in shares)
    return fig, f"Dot plot of {shares.shape[1]} genes in {len(shares)} clusters. Seen most often: {best}."


def agreement(table: pd.DataFrame, title: str) -> tuple[Figure, str]:
    """ARI of each representation (columns) with each set of labels (rows), written into the squares."""
    fig, ax = plt.subplots(figsize=(9, 0.75 * len(table) + 1.9))
    ax.imshow(table.to_numpy(), cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for row, name in enumerate(table.index):
        best = table.loc[name].max()
        for column, value in enumerate(table.loc[name]):
            weight = "bold" if best - value < 0.005 else "normal"
            ink = "white" if value > 0.85 else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", weight=weight, color=ink, fontsize=15)
    ax.set_xticks(range(table.shape[1]), table.columns)
    ax.set_yticks(range(len(table)), table.index)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set(xlabel="representation that is scored (k-means, ARI)", ylabel="labels made by")
    finding(ax, title)
    told = "; ".join(
        f"labels {row}: " + ", ".join(f"{column} {value:.2f}" for column, value in table.loc[row].items())
        for row in table.index
    )
    return fig, f"ARI of each representation with each set of labels. {told}."
