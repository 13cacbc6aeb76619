"""The pictures of notebook 08: from two clouds of ρ to a list of genes. Each function returns (figure, alt text).

Axes: K posterior draws, G genes, R runs.
"""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from course_lib.figures.cell_types import colour_of
from course_lib.figures.style import COLOUR, finding, label_lines

CALLED, NOT_CALLED = COLOUR["model"], "#b5b5b5"


def two_cells(rho_a: Mapping[str, NDArray], rho_b: Mapping[str, NDArray], kinds: tuple[str, str]) -> tuple[Figure, str]:
    """Posterior draws of ρ of a few genes in two cells of these kinds: name of the gene → (K,) each."""
    fig, axes = plt.subplots(1, len(rho_a), figsize=(11, 4.4), sharey=True)
    told = []
    for ax, gene in zip(np.atleast_1d(axes), rho_a, strict=True):
        a, b = np.log10(rho_a[gene]), np.log10(rho_b[gene])
        bins = np.linspace(min(a.min(), b.min()), max(a.max(), b.max()), 50).tolist()
        for letter, values, kind in zip("ab", (a, b), kinds, strict=True):
            ax.hist(values, bins, color=colour_of(kind), alpha=0.65, label=f"{letter}, of the {kind}")
        ax.set(xlabel="log₁₀ ρ")
        above = float((rho_a[gene] > rho_b[gene]).mean())
        ax.set_title(f"{gene}\np(ρ of a > ρ of b) = {above:.3f}")
        told.append(f"{gene} {above:.3f}")
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("posterior draws")
    first.set_ylim(top=1.3 * first.get_ylim()[1])
    first.legend(loc="upper left")
    fig.suptitle("Two cells, three genes: clouds of ρ, apart or overlapping")
    return fig, (
        f"Histograms of posterior draws of ρ in cell a, of the {kinds[0]}, and cell b, of the {kinds[1]}. "
        f"Share of draws with ρ of a above ρ of b: {'; '.join(told)}."
    )


def growing_groups(shares: pd.DataFrame) -> tuple[Figure, str]:
    """Share of genes that pass a threshold (columns: ways to ask) against the cells per group (index)."""
    fig, ax = plt.subplots(figsize=(9.5, 4.8))
    colours = (COLOUR["wrong"], COLOUR["other"], COLOUR["model"], COLOUR["pca"])
    for (name, values), colour, style in zip(shares.items(), colours, ("-", "--", "-", "--"), strict=False):
        ax.plot(shares.index, values, style, marker="o", color=colour, label=str(name))
    ax.set_xscale("log", base=2)
    ax.set_xticks(shares.index, [f"{n}" for n in shares.index])
    ax.minorticks_off()
    ax.set(xlabel="cells in each group", ylabel="share of genes that pass", ylim=(-0.09, 1.03))
    ax.grid(axis="y")
    finding(ax, "More cells, more genes: over means ∣log BF∣ ≥ 3 does not settle")
    label_lines(ax, gap=0.02)
    told = [f"{name}: {values.iloc[0]:.2f} to {values.iloc[-1]:.2f}" for name, values in shares.items()]
    return fig, (
        f"Share of genes that pass a threshold, from {shares.index[0]} to {shares.index[-1]} cells in each group. "
        + "; ".join(told)
        + "."
    )


def running_fdr(table: pd.DataFrame, delta: float, target: float) -> tuple[Figure, str]:
    """Left: which genes are called, LFC against p. Right: 1 − p in rising order, its running mean, and the target.

    Parameters
    ----------
    table : one row per gene, ``lfc_mean``, ``proba_de`` = p(∣LFC∣ > δ) and the call, ``is_de_fdr_<target>``.
    delta : δ, log₂.   target : the posterior expected FDR that is asked for.
    """
    lfc, called = table["lfc_mean"].to_numpy(), table[f"is_de_fdr_{target}"].to_numpy(dtype=bool)
    risk = np.sort(1 - table["proba_de"].to_numpy())
    mean, n_called = np.cumsum(risk) / np.arange(1, len(risk) + 1), int(called.sum())
    fillers = int((called & (table["proba_de"] <= 0.5)).sum())
    fig, (left, right) = plt.subplots(1, 2, figsize=(12.6, 4.8), width_ratios=(1, 1.2))
    left.axvspan(-delta, delta, color="#e4e4e4", lw=0, zorder=0)
    for mask, colour in ((~called, NOT_CALLED), (called, CALLED)):
        left.scatter(lfc[mask], table["proba_de"][mask], s=12, color=colour, alpha=0.6, rasterized=True)
    reach = 1.05 * float(np.abs(lfc).max())
    left.set(xlim=(-reach, reach), xlabel="posterior mean of the LFC, log₂", ylabel="p(∣LFC∣ > δ)", ylim=(-0.04, 1.12))
    left.text(0, 1.05, f"∣LFC∣ ≤ δ = {delta:g}", ha="center", va="bottom", fontsize=12)
    finding(left, f"{n_called:,} called (blue), {fillers:,} at p ≤ ½")
    rank = np.arange(1, len(risk) + 1)
    right.plot(rank, risk, color=COLOUR["reference"], lw=1.6, label="1 − p of this gene")
    right.plot(rank, mean, color=COLOUR["model"], label="mean of 1 − p so far")
    right.axhline(target, color=COLOUR["truth"], lw=1, ls="--")
    right.text(len(risk), target, f"target {target:g}", va="bottom", ha="right")
    right.axvline(n_called, color=COLOUR["highlight"], lw=1.5)
    late = n_called > 0.7 * len(risk)
    right.text(n_called + (-0.01 if late else 0.01) * len(risk), 0.93, f"{n_called:,} genes called",
               color=COLOUR["highlight"], va="top", ha="right" if late else "left")  # fmt: skip
    right.set(xlabel="genes, most probable first", ylabel="probability", ylim=(-0.02, 1.02))
    finding(right, "Call genes while the mean risk is affordable")
    label_lines(right)
    told = "none is called" if not n_called else (
        f"{n_called:,} genes are called, {fillers:,} of them with p ≤ ½; expected share of false calls "
        f"{mean[n_called - 1]:.3f}, 1 − p of the last {risk[n_called - 1]:.2f}"
    )  # fmt: skip
    return fig, f"{len(risk):,} genes, a change beyond δ = {delta:g}, target {target:g}: {told}."


def softmax_moves(lfc: Mapping[str, NDArray], changed: Mapping[str, NDArray], delta: float) -> tuple[Figure, str]:
    """True LFC of every gene, changed by hand or not, in each design: name → (G,)."""
    fig, axes = plt.subplots(1, len(lfc), figsize=(11, 4.4), sharey=True)
    told = []
    for ax, (name, values) in zip(np.atleast_1d(axes), lfc.items(), strict=True):
        order = np.argsort(values, kind="stable")
        flag = changed[name][order]
        rank = np.arange(len(values))
        for mask, colour, text in (
            (flag, COLOUR["model"], "changed by hand"),
            (~flag, COLOUR["wrong"], "left alone"),
        ):
            ax.scatter(rank[mask], values[order][mask], s=12, color=colour, label=text, rasterized=True)
        ax.axhspan(-delta, delta, color="#e4e4e4", zorder=0)
        ax.set(xlabel="genes, by true LFC")
        rest = float(np.median(values[~changed[name]]))
        ax.set_title(
            f"{name}:\nthe others at LFC {rest:+.2f}".replace("-", "−").replace("+0.00", "0").replace("−0.00", "0")
        )
        told.append(f"{name}: {changed[name].sum()} genes changed by hand, the others at {rest:.2f}")
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("true LFC, log₂")
    first.legend(loc="upper left", markerscale=2)
    first.text(len(rank), delta, "∣LFC∣ ≤ δ", va="bottom", ha="right", fontsize=12)
    return fig, f"True log fold changes with the band up to {delta:g} in grey. " + "; ".join(told) + "."


def _dots(ax: Axes, groups: Mapping[str, Sequence[float]], live: Mapping[str, float]) -> None:
    """One row of dots for each name, a dot per run; the live run as a ring."""
    for row, (name, values) in enumerate(groups.items()):
        jitter = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [0]
        ax.plot(values, row + np.asarray(jitter), "o", color=COLOUR["model"], ms=5, alpha=0.75)
        ax.plot([np.median(values)] * 2, [row - 0.3, row + 0.3], color=COLOUR["truth"], lw=2)
        if name in live:
            ax.plot(live[name], row, "o", mfc="none", mec=COLOUR["highlight"], mew=2, ms=13)
    ax.set_yticks(range(len(groups)), [*groups])
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.grid(axis="x")


def simulation(
    auc: Mapping[str, Sequence[float]],
    fdp: Mapping[str, Sequence[float]],
    live_auc: Mapping[str, float],
    live_fdp: Mapping[str, float],
    target: float,
) -> tuple[Figure, str]:
    """AUC and realised false discovery proportion of each way to ask, a dot for each of R simulations."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.6))
    _dots(left, auc, live_auc)
    left.set(xlabel="AUC against the true LFC")
    weak = [f"“{name}”" for name, values in auc.items() if np.median(values) < 0.9]
    finding(left, f"{'All but ' + ' and '.join(weak) if weak else 'All'} rank the changed genes first")
    _dots(right, fdp, live_fdp)
    right.axvline(target, color=COLOUR["wrong"], lw=1.5)
    right.set(xlabel="false discoveries ÷ genes called", yticklabels=[])
    right.set_xlim(-0.02, max(0.2, 1.1 * max(max(v) for v in fdp.values())))
    right.annotate(f"nominal {target:g}", (target, len(fdp) / 2), (5, 0), va="center", textcoords="offset points",
                   color=COLOUR["wrong"])  # fmt: skip
    above = sum(np.mean(values) > target for values in fdp.values())
    finding(right, f"False discoveries above {target:g} on average in {above} of {len(fdp)} ways to ask")
    told = [f"{name}: AUC {np.median(auc[name]):.3f}" for name in auc]
    told += [f"{name}: false discoveries {np.median(fdp[name]):.3f}, at most {max(fdp[name]):.3f}" for name in fdp]
    runs = max(len(values) for values in auc.values())
    return fig, f"Dots for {runs} simulations, ring for the live one; medians: " + "; ".join(told) + "."


def calibration(table: pd.DataFrame) -> tuple[Figure, str]:
    """Stated probability against the realised share: columns over, predicted, realised, n_genes, a row per bin."""
    fig, ax = plt.subplots(figsize=(6.6, 6.2))
    ax.plot([0, 1], [0, 1], color=COLOUR["truth"], lw=1)
    told, extreme = [], []
    for (name, bins), colour, marker in zip(
        table.groupby("over", sort=True), (COLOUR["model"], COLOUR["other"]), "os", strict=False
    ):
        ax.plot(bins["predicted"], bins["realised"], color=colour, lw=1)
        size = 25 + 2 * np.sqrt(bins["n_genes"])
        low = bins["n_genes"][bins["predicted"] < 0.2].sum()
        label = f"over {name}: {low:,} of {bins['n_genes'].sum():,} genes below 0.2"
        ax.scatter(bins["predicted"], bins["realised"], size, color=colour, marker=marker, label=label)
        for x, y, n in bins[["predicted", "realised", "n_genes"]][bins["predicted"] >= 0.2].itertuples(index=False):
            shift, ha, va = ((9, -4), "left", "top") if marker == "o" else ((-9, 5), "right", "bottom")
            ax.annotate(f"{n:,.0f}", (x, y), shift, textcoords="offset points", color=colour, fontsize=11, ha=ha, va=va)
        near = bins["n_genes"][(bins["predicted"] < 0.05) | (bins["predicted"] >= 0.95)].sum()
        extreme.append(f"{near:,} genes over {name}")
        pairs = zip(bins["predicted"], bins["realised"], strict=True)
        told.append(f"over {name}: " + ", ".join(f"{stated:.2f} stated {true:.2f} true" for stated, true in pairs))
    ax.set(xlabel="stated p(∣LFC∣ > δ)", ylabel="share truly changed", aspect="equal")
    ax.set(xlim=(-0.1, 1.14), ylim=(-0.1, 1.1))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), markerscale=0.6, title="at a point: genes in its bin")
    finding(ax, f"p within 0.05 of 0 or 1: {', '.join(extreme)}")
    return fig, "Stated probability against realised share, size by number of genes. " + "; ".join(told) + "."


def null_probabilities(
    proba: Mapping[str, NDArray], wilcoxon: NDArray, n_called: Mapping[str, int]
) -> tuple[Figure, str]:
    """Where no gene differs: p of each way to ask (name → (G,)), and Wilcoxon's p-values (G,), as histograms."""
    fig, axes = plt.subplots(1, len(proba) + 1, figsize=(11.5, 4.4))
    bins = np.linspace(0, 1, 21).tolist()
    told = []
    for ax, (name, p) in zip(axes, proba.items(), strict=False):
        ax.hist(p, bins, color=COLOUR["model"], weights=np.full(len(p), 1 / len(p)))
        ax.set(xlabel="p(∣LFC∣ > δ)", xlim=(0, 1))
        ax.set_title(f"{name}: {n_called[name]:,}\nof {len(p):,} genes called")
        told.append(f"{name}: largest probability {p.max():.3f}, {n_called[name]} of {len(p)} genes called")
    axes[-1].hist(wilcoxon, bins, color=COLOUR["wrong"], weights=np.full(len(wilcoxon), 1 / len(wilcoxon)))
    axes[-1].axhline(1 / 20, color=COLOUR["truth"], lw=1.2, ls="--")
    axes[-1].text(0.62, 1 / 20, "if nothing differed", ha="center", va="bottom", fontsize=12)
    axes[-1].set(xlabel="p-value", xlim=(0, 1))
    axes[-1].set_title(f"Wilcoxon: {n_called['Wilcoxon']:,}\nof {len(wilcoxon):,} genes called")
    axes[0].set_ylabel("share of genes")
    told.append(f"Wilcoxon: {n_called['Wilcoxon']} of {len(wilcoxon)} genes called")
    return fig, "One cell type in two halves, one thinned: histograms over genes. " + "; ".join(told) + "."


def volcanoes(tables: Mapping[str, pd.DataFrame], called: str, named: Collection[str]) -> tuple[Figure, str]:
    """LFC against p(∣LFC∣ > δ), a panel for each way to ask; ``called``: the column of the genes called."""
    fig, axes = plt.subplots(1, len(tables), figsize=(11.5, 5.2), sharey=True, sharex=True)
    told = []
    for ax, (name, table) in zip(np.atleast_1d(axes), tables.items(), strict=True):
        hit = table[called].to_numpy(bool)
        for mask, colour in ((~hit, NOT_CALLED), (hit, CALLED)):
            part = table[mask]
            ax.scatter(part["lfc_mean"], part["proba_de"], s=7, color=colour, rasterized=True)
        marked = table.loc[[gene for gene in named if gene in table.index]]
        ax.scatter(marked["lfc_mean"], marked["proba_de"], s=26, color=COLOUR["highlight"])
        for side in (marked[marked["lfc_mean"] < 0], marked[marked["lfc_mean"] >= 0]):
            names = side.sort_values("lfc_mean")
            for row, (gene, x) in enumerate(names["lfc_mean"].items()):
                ax.annotate(
                    str(gene),
                    (x, names["proba_de"][gene]),
                    (x, 1.07 + 0.075 * row),
                    fontsize=10.5,
                    ha="center",
                    arrowprops={"arrowstyle": "-", "color": "#8a8a8a", "lw": 0.6},
                )
        ax.set(xlabel="LFC, log₂ (posterior mean)", ylim=(-0.03, 1.5), yticks=np.linspace(0, 1, 6))
        ax.spines["left"].set_bounds(0, 1)  # above it there are names, no probabilities
        ax.set_title(f"{name}: {hit.sum():,} genes called")
        told.append(f"{name}: {hit.sum():,} of {len(table):,} genes called")
    np.atleast_1d(axes)[0].set_ylabel("p(∣LFC∣ > δ)")
    low, high = np.atleast_1d(axes)[0].get_xlim()
    np.atleast_1d(axes)[0].set_xlim(low - 0.7, high + 0.7)  # room for the outermost names
    marks = ", ".join(f"{gene} {x:+.1f}" for gene, x in marked["lfc_mean"].items())
    return fig, f"Volcano plots, LFC against its probability. {'; '.join(told)}. Known markers' LFC: {marks}."


def likelihoods(tables: Mapping[str, pd.DataFrame], rare: float) -> tuple[Figure, str]:
    """LFC of ρ against the LFC of the plain mean counts per molecule, one panel for each likelihood."""
    fig, axes = plt.subplots(1, len(tables), figsize=(11.5, 4.8), sharex=True, sharey=True)
    told = []
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        c = table["pseudocounts"]
        plain = np.log2(table["rate1"] + c) - np.log2(table["rate2"] + c)
        seldom = (table[["non_zeros_proportion1", "non_zeros_proportion2"]].max(axis=1) < rare).to_numpy()
        for mask, colour, text in (
            (~seldom, COLOUR["model"], "other genes"),
            (seldom, COLOUR["wrong"], f"seen in < 1 of {round(1 / rare)} cells"),
        ):
            ax.scatter(plain[mask], table["lfc_mean"][mask], s=7, color=colour, label=text, rasterized=True)
        ax.axline((0, 0), slope=1, color=COLOUR["truth"], lw=1)
        error = float(np.sqrt(np.mean((table["lfc_mean"] - plain)[seldom] ** 2)))
        ax.set(xlabel="LFC of the plain rate: gene's molecules ÷ all")
        ax.set_title(f"{name}: rarely seen genes off by {error:.2f}, rms")
        told.append(f"{name}: root mean square distance from the diagonal, rarely seen genes, {error:.2f}")
    axes[0].set_ylabel("LFC of ρ, log₂")
    axes[0].legend(loc="upper left", markerscale=2.5)
    return fig, "LFC of the models' ρ against the LFC of plain rates. " + "; ".join(told) + "."


def composition(tables: Mapping[str, pd.DataFrame], counted: Collection[str], expected: Collection[str],
                called: str) -> tuple[Figure, str]:  # fmt: skip
    """LFC against molecules per cell, before and after centring: ``counted`` genes carry the median, ``expected`` rise.

    ``tables`` : name → columns lfc_mean, raw_mean1, raw_mean2 and ``called``, index gene.
    """
    fig, axes = plt.subplots(1, len(tables), figsize=(11.5, 5), sharex=True, sharey=True)
    told = []
    for ax, (name, table) in zip(np.atleast_1d(axes), tables.items(), strict=True):
        x = table[["raw_mean1", "raw_mean2"]].mean(axis=1)
        carries, hit = table.index.isin([*counted]), table.index.isin([*expected])
        for mask, colour, size, text in (
            (~carries & ~hit, NOT_CALLED, 7, "other genes"),
            (carries & ~hit, COLOUR["model"], 14, "well counted"),
            (hit, COLOUR["highlight"], 30, "interferon genes"),
        ):
            ax.scatter(x[mask], table["lfc_mean"][mask], s=size, color=colour, label=text, rasterized=True)
        median = float(table["lfc_mean"][carries].median())
        up, down = ((table[called] & (sign * table["lfc_mean"] > 0)).sum() for sign in (1, -1))
        ax.axhline(0, color=COLOUR["truth"], lw=0.8)
        ax.axhline(median, color=COLOUR["model"], lw=1.8, ls="--")
        ax.set(xscale="log", xlabel="molecules per cell, mean of both groups")
        shown = f"{median + 0:.2f}".replace("-0.00", "0.00").replace("-", "−")
        ax.set_title(f"{name}: dashed median {shown}\n{up} called up, {down} down")
        told.append(f"{name}: median of the well-counted genes {shown}, {up} called up, {down} down")
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("LFC, log₂")
    first.legend(loc="upper left", markerscale=1.6)
    return fig, f"LFC of {len(table):,} genes against their molecules per cell. {'; '.join(told)}."


def beside_wilcoxon(table: pd.DataFrame) -> tuple[Figure, str]:
    """LFC of ρ against Wilcoxon's score, by who calls the gene: columns lfc_mean, score, ours, theirs."""
    ours, theirs = table["ours"].to_numpy(bool), table["theirs"].to_numpy(bool)
    fig, ax = plt.subplots(figsize=(10, 5))
    told = []
    for mask, colour, marker, text in (
        (~ours & ~theirs, NOT_CALLED, ".", "neither"),
        (ours & theirs, COLOUR["model"], "o", "both"),
        (ours & ~theirs, COLOUR["other"], "^", "scVI alone"),
        (~ours & theirs, COLOUR["highlight"], "s", "Wilcoxon alone"),
    ):
        score, lfc = table.loc[mask, "score"], table.loc[mask, "lfc_mean"]
        label, size = f"{text}: {mask.sum():,}", 12 if marker in ".o" else 24
        ax.scatter(score, lfc, s=size, marker=marker, color=colour, label=label, rasterized=True)
        told.append(f"{text} {mask.sum():,}")
    ax.axhline(0, color=COLOUR["truth"], lw=0.8)
    ax.axvline(0, color=COLOUR["truth"], lw=0.8)
    ax.set(xlabel="Wilcoxon score: how sure (standard errors)", ylabel="LFC of ρ, log₂: how much")
    ax.legend(loc="upper left", title="called by", markerscale=2)
    rank = float(table["lfc_mean"].corr(table["score"], method="spearman"))
    finding(ax, "One axis measures size, the other evidence: they agree in sign more than in order")
    return fig, f"LFC of ρ against Wilcoxon's score, rank correlation {rank:.2f}. Called by: {', '.join(told)}."


def donors(shares: pd.DataFrame, level: float) -> tuple[Figure, str]:
    """Share of unchanged genes with a p-value below ``level`` (columns: tests) against cells per donor (index)."""
    fig, ax = plt.subplots(figsize=(9.5, 4.6))
    for (name, values), colour in zip(shares.items(), (COLOUR["wrong"], COLOUR["model"]), strict=False):
        ax.plot(shares.index, values, marker="o", color=colour, label=str(name))
    ax.axhline(level, color=COLOUR["truth"], lw=1, ls="--")
    ax.text(0.5, level, f"nominal {level:g}", va="top", ha="center", fontsize=11, transform=ax.get_yaxis_transform())
    ax.set_xscale("log")
    ax.set_xticks(shares.index, [f"{n}" for n in shares.index])
    ax.minorticks_off()
    ax.set(
        xlabel="cells per donor (three donors against three)",
        ylabel=f"share of genes with p < {level:g}",
        ylim=(-0.05, 1.02),
    )
    ax.grid(axis="y")
    finding(ax, "More cells of the same donors: more false certainty")
    label_lines(ax)
    told = [f"{name}: {values.iloc[0]:.2f} to {values.iloc[-1]:.2f}" for name, values in shares.items()]
    return fig, (
        f"Share of unchanged genes with p below {level:g}, {shares.index[0]} to {shares.index[-1]} cells per donor. "
        + "; ".join(told)
        + "."
    )
