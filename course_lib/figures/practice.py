"""The pictures of notebook 09. Every function takes what was measured and returns a figure and its alternative text.

Axes: N cells, G genes, L latent dimensions.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.cell_types import UNKNOWN, colour_of, key_of_kinds, scatter_kinds
from course_lib.figures.style import BLUE, COLOUR, ORANGE, SKY, finding, label_lines

DOUBLED = "predicted doublets"
PROGRAM_COLOUR = {"scvi_tools": COLOUR["other"], "same_settings": SKY, "course": COLOUR["model"]}
MARK = {"5k": ("o", BLUE), "10k": ("^", ORANGE)}  # runs: told by shape and by colour


def thresholds(panels: Mapping[str, pd.DataFrame], most_genes: float, most_mt: float) -> tuple[Figure, str]:
    """Genes seen against the mitochondrial share, a dot for each cell, with the two thresholds.

    Parameters
    ----------
    panels : words → what ``scanpy.pp.calculate_qc_metrics`` writes: ``n_genes_by_counts`` and ``pct_counts_mt``.
    most_genes, most_mt : a cell at or above either is dropped.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(4.7 * len(panels), 4.4), sharex=True, sharey=True, squeeze=False)
    told = []
    for ax, (words, cells) in zip(axes[0], panels.items(), strict=True):
        genes, mt = cells["n_genes_by_counts"].to_numpy(), cells["pct_counts_mt"].to_numpy()
        kept = (genes < most_genes) & (mt < most_mt)
        ax.plot(genes[kept], mt[kept], "o", ms=2.5, color=COLOUR["data"], rasterized=True)
        ax.plot(genes[~kept], mt[~kept], "x", ms=5, mew=1.3, color=COLOUR["wrong"], rasterized=True)
        ax.axhline(most_mt, color=COLOUR["truth"], lw=1.2, ls="--")
        ax.axvline(most_genes, color=COLOUR["truth"], lw=1.2, ls="--")
        ax.set(xlabel="genes seen in the cell", ylim=(0, None))
        ax.set_xscale("log")
        ax.set_xticks([300, 1_000, 3_000], ["300", "1,000", "3,000"])
        ax.minorticks_off()
        finding(ax, f"{words}: {(~kept).sum():,} of {len(kept):,} go")
        told.append(f"{words}: {(~kept).sum():,} of {len(kept):,} cells dropped, median share {np.median(mt):.1f} %")
    axes[0, 0].set_ylabel("mitochondrial counts, % of the cell's")
    return fig, (
        f"Genes seen against mitochondrial share; dropped (crosses) from {most_genes:,.0f} genes or {most_mt:g} %. "
        + "; ".join(told) + "."
    )  # fmt: skip


def doublets(observed: np.ndarray, simulated: np.ndarray, threshold: float, both: pd.DataFrame) -> tuple[Figure, str]:
    """Left the doublet scores of simulated and of observed droplets; right who carries markers of two lineages.

    Parameters
    ----------
    observed : (N,) scores.   simulated : scores of sums of two cells.   threshold : a doublet is called above it.
    both : rows pairs of lineages, columns groups of cells: the share of the group with markers of both, 0 to 1.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), width_ratios=(1.15, 1))
    for scores, words, colour, style in (
        (simulated, "sums of two cells", COLOUR["other"], "--"),
        (observed, "droplets", COLOUR["model"], "-"),
    ):
        ordered = np.sort(scores)
        above = 100 * (1 - np.arange(1, len(ordered) + 1) / len(ordered))  # % with a higher score
        left.step(ordered[:-1], above[:-1], where="post", color=colour, ls=style)
        share = 100 * float((scores > threshold).mean())
        left.plot(threshold, share, "o", color=colour, ms=8)
        left.text(
            threshold + 0.012, 1.15 * share, f"{share:.0f} % of {words}", color=colour, va="bottom", weight="bold"
        )
    left.axvline(threshold, color=COLOUR["truth"], lw=1.4, ls=":")
    left.text(threshold, 0.02, "threshold ", transform=left.get_xaxis_transform(), ha="right")
    left.set(xlabel="doublet score", ylabel="% with a higher score (log)", yscale="log", ylim=(0.02, 130))
    left.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    left.minorticks_off()
    n_called = int((observed > threshold).sum())
    finding(left, f"{n_called} of {len(observed):,} droplets above the threshold")

    height = 0.38
    places = np.arange(len(both))
    for shift, (words, shares), colour in zip(
        (height / 2, -height / 2), both.items(), (COLOUR["wrong"], COLOUR["data"]), strict=True
    ):
        values = 100 * shares.to_numpy()
        right.barh(places + shift, values, height, color=colour)
        for place, value in zip(places + shift, values, strict=True):
            right.text(value, place, f" {value:.0f} % of {words}", va="center", fontsize=11)
    right.set(xlim=(0, 185 * both.to_numpy().max()), xlabel="% of cells with markers of both", ylim=(-0.6, None))
    right.set_yticks(places, both.index)
    least = float((both.iloc[:, 0] / both.iloc[:, 1]).min())
    finding(right, f"Two lineages: {least:.0f} times as often, or more")
    shares = "; ".join(
        f"{pair}: " + ", ".join(f"{100 * value:.0f} % of {words}" for words, value in row.items())
        for pair, row in both.iterrows()
    )
    return fig, (
        f"Doublet scores: {n_called} of {len(observed):,} droplets above the threshold, "
        f"{100 * (simulated > threshold).mean():.0f} % of the simulated sums. Markers of two lineages: {shares}."
    )


def training(history: Mapping[str, pd.DataFrame]) -> tuple[Figure, str]:
    """What scvi-tools keeps of a training: the loss that it minimises, and −ELBO of training and validation cells.

    Parameters
    ----------
    history : ``model.history``, with ``train_loss``, ``elbo_train`` and ``elbo_validation``, a value for each epoch.
    """
    fig, ax = plt.subplots(figsize=(9.5, 4.6))
    told, ends = [], {}
    for key, words, colour, style in (
        ("elbo_validation", "−ELBO, validation", COLOUR["other"], "-"),
        ("elbo_train", "−ELBO, training", COLOUR["model"], "-"),
        ("train_loss", "loss, training", COLOUR["model"], "--"),
    ):
        values = history[key].iloc[:, 0].astype(float)
        ax.plot(np.arange(1, len(values) + 1), values, style, color=colour, label=words)
        ends[key] = values.iloc[-1]
        told.append(f"{words} {values.iloc[0]:.0f} to {values.iloc[-1]:.0f}")
    ax.set(xlabel="epoch", ylabel="nats per cell")
    label_lines(ax)
    finding(
        ax, "The loss runs below −ELBO" if ends["train_loss"] < ends["elbo_train"] else "The loss is not below −ELBO"
    )
    return fig, f"Training by scvi-tools, first to last epoch, nats per cell: {'; '.join(told)}."


def maps(
    umap: np.ndarray, tsne: np.ndarray, runs: np.ndarray, types: np.ndarray, mixed: float, ceiling: float
) -> tuple[Figure, str]:
    """The same cells three times: UMAP by run, UMAP by kind, t-SNE by kind.

    Parameters
    ----------
    umap, tsne : (N, 2).   runs, types : (N,) names.   mixed, ceiling : batch entropy, and what it could reach.
    """
    fig, axes = plt.subplots(1, 3, figsize=(14.5, 4.4))
    for run in np.unique(runs):
        mark, colour = MARK[str(run)]
        x, y = umap[runs == run].T
        axes[0].scatter(x, y, s=16, marker=mark, color=colour, label=f"run {run}", alpha=0.8)
    axes[0].legend(loc="best", handletextpad=0.1)
    for ax, xy in zip(axes[1:], (umap, tsne), strict=True):
        scatter_kinds(ax, xy, types, size=16)
    _key_of_grey(axes[2], types)
    key_of_kinds(axes[2], types)
    findings = (f"Runs: entropy {mixed:.2f} of {ceiling:.2f}", "Kinds, by antibodies", "The same by t-SNE")
    for ax, words, name in zip(axes, findings, ("UMAP", "UMAP", "t-SNE"), strict=True):
        ax.set(xticks=[], yticks=[], xlabel=f"{name} 1", ylabel=f"{name} 2")
        finding(ax, words)
    return fig, (
        f"{len(umap)} cells on a UMAP by run and by kind, and on a t-SNE by kind. Batch entropy {mixed:.2f} of "
        f"{ceiling:.2f} nats."
    )


def query(reference: np.ndarray, mapped: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[Figure, str]:
    """The reference's cells in grey, on two axes of z, and a query on top of them, coloured by kind, once a panel.

    Parameters
    ----------
    reference : (N, 2).   mapped : what the panel finds → places (M, 2) and kinds (M,).
    """
    fig, axes = plt.subplots(1, len(mapped), figsize=(5.0 * len(mapped) + 2.2, 4.6), sharex=True, sharey=True)
    for ax, (words, (places, kinds)) in zip(np.atleast_1d(axes), mapped.items(), strict=True):
        ax.scatter(*reference.T, s=34, facecolors="none", edgecolors="#8a8a8a", linewidths=0.8, label="reference")
        scatter_kinds(ax, places, kinds, size=20)
        ax.set(xlabel="component 1 of the reference's z", ylabel="component 2", xticks=[], yticks=[])
        finding(ax, words)
    kinds = np.concatenate([kinds for _, kinds in mapped.values()])
    _key_of_grey(np.atleast_1d(axes)[-1], kinds)
    key_of_kinds(np.atleast_1d(axes)[-1], kinds)
    return fig, (
        f"{len(reference)} cells of the reference as rings, and a query on two of its axes: {'; '.join(mapped)}."
    )


def loadings(
    table: pd.DataFrame, changes: pd.DataFrame, named: Sequence[str], title: str, words: str
) -> tuple[Figure, str]:
    """Left loadings of known genes; right what they make of one step in z, in two programs.

    Parameters
    ----------
    table : genes in rows, dimensions in columns: change of log ρ for one standard deviation of z_j.
    changes : index gene, columns ``ours`` and ``theirs``: W Δz, in log₂.   named : genes to write beside their dots.
    title : what the left panel
        finds.   words : what Δz leads from and to.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(13, 5.6), width_ratios=(1.2, 1))
    most = np.abs(table.to_numpy()).max()
    drawn = left.imshow(table, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
    left.set_xticks(range(table.shape[1]), table.columns)
    left.set_yticks(range(len(table)), table.index, fontsize=11)
    left.spines[:].set_visible(False)
    left.tick_params(length=0)
    left.set_xlabel("latent dimension")
    fig.colorbar(drawn, ax=left, label="change of log ρ for one sd of $z_j$", pad=0.02)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        if abs(value) > most / 3:  # the sign, for a page printed in grey
            ink = "white" if abs(value) > 2 * most / 3 else "black"
            left.text(column, row, "+" if value > 0 else "−", ha="center", va="center", color=ink, fontsize=11)
    finding(left, title)

    right.plot(changes["theirs"], changes["ours"], "o", ms=3, color=COLOUR["data"], alpha=0.5, rasterized=True)
    ends = np.array([changes.to_numpy().min(), changes.to_numpy().max()])
    right.plot(ends, ends, color=COLOUR["truth"], lw=1.2, ls=":")
    for gene in named:
        x, y = changes.loc[gene, ["theirs", "ours"]]
        right.plot(x, y, "o", ms=8, mfc="none", mec=COLOUR["truth"], mew=1.6)
        right.annotate(
            gene, (x, y), xytext=(8, -4) if x < 0 else (-8, -2), textcoords="offset points", fontsize=11,
            ha="left" if x < 0 else "right",
        )  # fmt: skip
    r = float(np.corrcoef(changes["theirs"], changes["ours"])[0, 1])
    right.set(xlabel="scvi-tools' LinearSCVI", ylabel="ours")
    right.margins(0.08)
    finding(right, f"WΔz, {words}: two programs agree, r = {r:.2f}")
    strongest = "; ".join(f"{gene} {table.loc[gene].abs().idxmax()}" for gene in table.index)
    return fig, (
        f"Loadings of {len(table)} known genes on {table.shape[1]} dimensions, strongest on: {strongest}. "
        f"Changes {words} of {len(changes):,} genes in two programs, correlation {r:.2f}."
    )


def side_by_side(table: pd.DataFrame, programs: Mapping[str, str], names: Mapping[str, str]) -> tuple[Figure, str]:
    """A row for each data set: bound, types found, seconds, and batch entropy where there are runs; a dot a seed.

    Parameters
    ----------
    table : columns ``seed``, ``data``, ``program``, ``elbo``, ``ari``, ``nmi``, ``entropy``, ``entropy_ceiling``,
        ``cpu_s``.   programs, names : entry of ``program``, of ``data`` → words, in order.
    """
    fig, axes = plt.subplots(len(names), 4, figsize=(14.5, 2.75 * len(names)), squeeze=False)
    told = []
    for row, (data, words) in zip(axes, names.items(), strict=True):
        rows = table[table["data"] == data]
        median = rows.groupby("program")[["elbo", "ari", "nmi", "entropy", "cpu_s"]].median()
        _dots(row[0], rows, "elbo", programs)
        _dots(row[1], rows, "ari", programs)
        _dots(row[1], rows, "nmi", programs, hollow=True)
        _dots(row[2], rows, "cpu_s", programs)
        row[0].set_yticks(range(len(programs)), list(programs.values()))
        for ax in row[1:]:
            ax.set_yticks(range(len(programs)), [])
        row[0].set_xlabel("−ELBO, nats per test cell")
        row[1].set_xlabel("ARI (dots), NMI (rings)")
        row[2].set(xlabel="seconds of training (log)", xscale="log")
        row[0].set_title(words)
        row[2].set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
        row[2].minorticks_off()
        row[2].set_xlim(rows["cpu_s"].min() / 1.6, 1.6 * rows["cpu_s"].max())
        if rows["entropy"].notna().any():
            _dots(row[3], rows, "entropy", programs)
            ceiling = rows["entropy_ceiling"].median()
            row[3].axvline(ceiling, color=COLOUR["truth"], lw=1.3, ls=":")
            row[3].set(xlabel="batch entropy, nats (dotted: ceiling)")
        else:
            row[3].set_axis_off()
        told.append(
            f"{words}: "
            + "; ".join(
                f"{name} −ELBO {m['elbo']:.0f}, ARI {m['ari']:.2f}, NMI {m['nmi']:.2f}, {m['cpu_s']:.0f} s"
                + (f", entropy {m['entropy']:.2f}" if np.isfinite(m["entropy"]) else "")
                for name, m in ((programs[program], median.loc[program]) for program in programs)
            )
        )
    best = table.loc[table.groupby(["data", "seed"])["elbo"].idxmin(), "program"].value_counts()
    fig.suptitle(
        f"Lowest −ELBO in {best.iloc[0]} of {best.sum()} comparisons: {programs[best.index[0]]}", x=0.01, ha="left"
    )
    return fig, f"Three programs on {len(names)} data sets, medians over seeds. {'. '.join(told)}."


def _key_of_grey(ax: Axes, kinds: np.ndarray) -> None:
    """An entry of the key for cells whose kind has no colour, where there are any."""
    if any(colour_of(str(kind)) == UNKNOWN for kind in kinds):
        ax.scatter([], [], s=45, color=UNKNOWN, label="of no one kind")


def _dots(ax: Axes, rows: pd.DataFrame, measure: str, programs: Mapping[str, str], *, hollow: bool = False) -> None:
    """A line for each program, a dot for each seed and a tick at their median."""
    for place, program in enumerate(programs):
        values, colour = rows.loc[rows["program"] == program, measure].to_numpy(), PROGRAM_COLOUR[program]
        at = place + (0.22 if hollow else 0.0)
        ax.plot(values, np.full(len(values), at), "o", ms=7, color=colour, mfc="none" if hollow else colour, alpha=0.8)
        ax.plot([np.median(values)], [at], "|", ms=17, mew=2, color=COLOUR["truth"])
    ax.set_ylim(len(programs) - 0.4, -0.6)
    ax.grid(axis="x")
    ax.margins(x=0.1)
    ax.locator_params(axis="x", nbins=4)
