"""The pictures of notebook 07. Every function takes what was measured and returns a figure and its alternative text.

Axes: N cells, K clusters or types, M methods.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from scipy.stats import spearmanr, t

from course_lib.figures.cell_types import key_of_kinds, scatter_kinds
from course_lib.figures.style import CATEGORIES, COLOUR, finding, label_lines

DATA_COLOURS = (COLOUR["model"], COLOUR["other"], COLOUR["reference"])
METHOD_COLOUR = {
    "pca": COLOUR["pca"], "ae": COLOUR["reference"], "vae": COLOUR["other"], "scvi": COLOUR["model"],
    "harmony": COLOUR["highlight"],
}  # fmt: skip


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


def cuts_on_counts(table: pd.DataFrame, names: Mapping[str, str]) -> tuple[Figure, str]:
    """Against the resolution: clusters found, agreement of the cuts of two halves, and, apart, agreement with labels.

    A dot for each seed, a line through the means. A cut into one cluster agrees with any other: it is not drawn.

    Parameters
    ----------
    table : columns ``data``, ``seed``, ``resolution``, ``n_clusters``, ``halves``, ``ari``.   names : data set → words.
    """
    fig, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharex=True)
    panels = {"n_clusters": "clusters found", "halves": "ARI between the two halves", "ari": "ARI with the labels"}
    told = []
    for (data, words), colour, style in zip(names.items(), DATA_COLOURS, ("-", "--", ":"), strict=False):
        rows = table[table["data"] == data]
        seen = rows[(rows["n_clusters"] > 1).groupby(rows["resolution"]).transform("all")]
        for ax, measure in zip(axes, panels, strict=True):
            _dots_and_means(ax, rows if measure == "n_clusters" else seen, "resolution", measure, words, colour, style)
        means = seen.groupby("resolution")[["n_clusters", "halves", "ari"]].mean()
        best = means["halves"].idxmax()
        told.append(
            f"{words}: halves agree most at γ = {best:g}, ARI {means['halves'][best]:.2f} with "
            f"{means['n_clusters'][best]:.0f} clusters; at γ = {means.index[-1]:g} it is "
            f"{means['halves'].iloc[-1]:.2f} with {means['n_clusters'].iloc[-1]:.0f}"
        )
        if means["ari"].notna().any():
            told[-1] += f"; with the labels most at γ = {means['ari'].idxmax():g}, {means['ari'].max():.2f}"
    gammas = sorted(table["resolution"].unique())
    for ax, words in zip(axes, panels.values(), strict=True):
        ax.set(xlabel="resolution γ", ylabel=words, xscale="log")
        ax.set_xticks(gammas, [f"{gamma:g}" for gamma in gammas], fontsize=10)
        ax.minorticks_off()
    axes[0].set_yscale("log")
    axes[0].set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axes[0].minorticks_off()
    for ax in axes[1:]:
        ax.set_ylim(-0.05, 1.02)
    label_lines(axes[1], gap=0.03)
    finding(axes[0], "Leiden always answers")
    finding(axes[1], "Cuts of cells come back, cuts of one cloud do not")
    finding(axes[2], "Looked at afterwards: by\u00a0labels γ\u00a0=\u00a01 is too fine")
    return fig, "Leiden against resolution, mean over seeds. " + ". ".join(told) + "."


def sizes_on_counts(table: pd.DataFrame, names: Mapping[str, str]) -> tuple[Figure, str]:
    """A row for each data set; against L: held-out bound, active dimensions, agreement of seeds, and, apart, of labels.

    The bound is drawn against that of the same seed at L = 10, whose held-out cells are the same.

    Parameters
    ----------
    table : columns ``data``, ``seed``, ``n_latent``, ``elbo``, ``iwae``, ``active``, ``agreement``, ``ari`` and
        ``kmeans_ari``.   names : data set → words.
    """
    fig, axes = plt.subplots(len(names), 4, figsize=(13.5, 3.3 * len(names)), sharex=True, squeeze=False)
    told = []
    for row, (data, words) in zip(axes, names.items(), strict=True):
        rows = table[table["data"] == data].sort_values(["n_latent", "seed"])
        ten = rows[rows["n_latent"] == 10].set_index("seed")[["elbo", "iwae"]]
        against = rows.assign(**{key: rows[key] - rows["seed"].map(ten[key]) for key in ten})
        row[0].axhline(0, color=COLOUR["truth"], lw=1, ls=":")
        for measure, name, colour in (("elbo", "−ELBO", COLOUR["model"]), ("iwae", "−IWAE", COLOUR["other"])):
            _dots_and_means(row[0], against, "n_latent", measure, name, colour)
        _dots_and_means(row[1], rows, "n_latent", "active", "active", COLOUR["model"])
        _dots_and_means(row[2], rows, "n_latent", "agreement", "seeds", COLOUR["model"])
        for measure, name, colour in (("kmeans_ari", "k-means", COLOUR["pca"]), ("ari", "Leiden", COLOUR["reference"])):
            _dots_and_means(row[3], rows, "n_latent", measure, name, colour)
        sizes = sorted(rows["n_latent"].unique())
        row[1].plot(sizes, sizes, ":", color=COLOUR["truth"], lw=1.4)
        for ax in row:
            ax.set_xscale("log")
            ax.set_xticks(sizes, [str(size) for size in sizes])
            ax.minorticks_off()
        for ax in row[2:]:
            ax.set_ylim(0, 1)
        row[0].set_ylabel(f"{words}\nnats per cell − at L = 10")
        row[1].set(ylabel="active dimensions", yscale="log")
        row[1].set_yticks(sizes, [str(size) for size in sizes])
        row[1].minorticks_off()
        row[2].set_ylabel("ARI between seeds")
        row[3].set_ylabel("ARI with the labels")
        label_lines(row[0], gap=0.03)
        label_lines(row[3], gap=0.03)
        means = rows.groupby("n_latent")[["elbo", "iwae", "active", "agreement", "ari", "kmeans_ari"]].mean()
        told.append(
            f"{words}: "
            + "; ".join(
                f"L = {size}: −ELBO {m.elbo:.1f}, −IWAE {m.iwae:.1f}, {m.active:.1f} active, seeds {m.agreement:.2f}, "
                f"labels {m.kmeans_ari:.2f} by k-means and {m.ari:.2f} by Leiden"
                for size, m in means.iterrows()
            )
        )
    for ax in axes[-1]:
        ax.set_xlabel("latent dimensions L")
    for ax, sentence in zip(
        axes[0],
        ("Lower is better", "Dotted: all in use", "Do cuts come back?", "Looked at afterwards"),
        strict=True,
    ):
        finding(ax, sentence)
    return fig, "Five sizes of the latent space, means over seeds. " + ". ".join(told) + "."


def _dots_and_means(ax: Axes, rows: pd.DataFrame, x: str, y: str, words: str, colour: str, style: str = "-") -> None:
    """A dot for each seed, and a named line through the means; nothing where there is nothing to draw."""
    known = rows.dropna(subset=[y])
    if known.empty:
        return
    ax.plot(known[x], known[y], "o", color=colour, ms=4, alpha=0.45)
    ax.plot(known.groupby(x)[y].mean(), style, color=colour, label=words)


def maps(pictures: Mapping[str, np.ndarray], labels: np.ndarray, told: str) -> tuple[Figure, str]:
    """The same cells on several maps, title → (N, 2), coloured by kind, with one key at the side."""
    fig, axes = plt.subplots(1, len(pictures), figsize=(4.1 * len(pictures) + 1.5, 4.4), squeeze=False)
    for ax, (title, xy) in zip(axes[0], pictures.items(), strict=True):
        scatter_kinds(ax, xy, labels, size=3)
        ax.set(xticks=[], yticks=[], xlabel="map axis 1", ylabel="map axis 2")
        ax.set_title(title)
    key_of_kinds(axes[0, -1], labels)
    return fig, f"{len(labels):,} cells on {len(pictures)} maps. {told}."


def map_distances(real: np.ndarray, drawn: Mapping[str, np.ndarray], of_one: np.ndarray) -> tuple[Figure, str]:
    """Left one map's distances between types against the latent space's; right rank correlations over seeds.

    Parameters
    ----------
    real : (P,), of P pairs of types.   drawn : kind of map → (S, P), a row for each seed; the first is drawn on the
        left.   of_one : (P,) True for the pairs of the one type whose part in the correlation is shown.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(12.5, 4.8))
    first, values = next(iter(drawn.items()))
    pairs = {"other pairs": (~of_one, "o", COLOUR["model"]), "megakaryocytes": (of_one, "^", COLOUR["highlight"])}
    for name, (chosen, mark, colour) in pairs.items():
        left.plot(real[chosen], values[0][chosen], mark, color=colour, ms=8, alpha=0.8, label=name)
    left.set(xlabel="distance in the latent space", ylabel="distance on the map", xlim=(0, None), ylim=(0, None))
    left.legend(loc="lower right", handletextpad=0.1)
    finding(left, f"{first}: the farthest type does not stay the farthest")
    told = []
    for place, (name, rows) in enumerate(drawn.items()):
        ranks = {
            "all pairs": (np.array([spearmanr(real, row)[0] for row in rows]), "D", COLOUR["truth"]),
            "without one type": (
                np.array([spearmanr(real[~of_one], row[~of_one])[0] for row in rows]),
                "o",
                COLOUR["model"],
            ),
        }
        for (key, (found, mark, colour)), shift in zip(ranks.items(), (-0.13, 0.13), strict=True):
            label = key if place == 0 else None
            right.plot(found, np.full(len(found), place + shift), mark, color=colour, ms=8, alpha=0.7, label=label)
            told.append(f"{name}, {key}, {found.min():.2f} to {found.max():.2f}")
    right.set(xlim=(-0.15, 1.02), ylim=(len(drawn) - 0.4, -0.75), xlabel="rank correlation with the latent space")
    right.set_yticks(range(len(drawn)), list(drawn))
    right.grid(axis="x")
    right.legend(loc="upper center", ncols=2, handletextpad=0.1)
    finding(right, "Without one type, more of the order is kept")
    return fig, (
        f"Distances between {len(real)} pairs of type centres on maps and in the latent space. Rank correlations over "
        f"seeds: {'; '.join(told)}."
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
