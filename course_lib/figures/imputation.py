"""The pictures of notebook 11: what was hidden, what came back, and what was never there.

Each function takes what was measured and returns (figure, alternative text). Axes: N cells, G genes, M hidden counts.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from course_lib.figures.style import BLACK, COLOUR, GREY, finding, label_lines

METHODS = {
    "zero": "nothing filled in",
    "constant": "one number for all",
    "gene_mean": "gene mean",
    "pca": "PCA",
    "knn": "neighbours",
    "scvi_tools": "scvi-tools",
    "nb": "scVI, NB",
    "zinb": "scVI, ZINB",
    "nb_rate": "scVI, NB, own count",
    "zinb_rate": "scVI, ZINB, own count",
}
CORRELATED = {
    "raw": "counts",
    "predictive": "drawn counts",
    "knn": "neighbours",
    "pca": "PCA",
    "rho_draw": "log ρ, one draw",
    "rho": "log ρ",
}
STEPS = (COLOUR["other"], COLOUR["highlight"], COLOUR["model"], COLOUR["pca"])


def hidden_and_imputed(true: NDArray, imputed: NDArray, constant: float) -> tuple[Figure, str]:
    """Left: M hidden counts against what was put in their place. Right: how large the errors are.

    Parameters
    ----------
    true, imputed : (M,) molecules.   constant : the one number that errs least if it stands for all of them.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.7), width_ratios=(1.15, 1))
    floor = 0.1
    spread = true + np.random.default_rng(0).uniform(-0.5, 0.5, len(true))  # whole numbers would leave gaps
    left.hexbin(spread, np.maximum(imputed, floor), xscale="log", yscale="log", gridsize=40, mincnt=1, bins="log",
                cmap="Blues", linewidths=0.1)  # fmt: skip
    ends = [1, float(true.max())]
    left.plot(ends, ends, color=BLACK, lw=1.3, ls="--")
    left.text(ends[1], ends[1], "equal ", ha="right", va="bottom")
    left.axhline(constant, color=COLOUR["wrong"], lw=1.5)
    left.text(ends[1], 0.93 * constant, f"constant {constant:g}", color=COLOUR["wrong"], ha="right", va="top")
    left.set(xlabel="hidden count, molecules (log scale)", ylabel="imputed (log scale)")
    finding(left, f"What came back for {len(true):,} counts")
    edges = np.geomspace(0.05, 2 * max(np.abs(true - imputed).max(), 1), 300)
    told = []
    for name, values, colour in (("constant", constant, COLOUR["wrong"]), ("E[ℓρ]", imputed, COLOUR["model"])):
        error = np.abs(true - values)
        right.plot(edges, np.searchsorted(np.sort(error), edges, side="right") / len(error), color=colour)
        median, mean = float(np.median(error)), float(error.mean())
        right.plot([median] * 2, [0, 0.5], color=colour, lw=1.3, ls=":")
        told.append(f"{name} {median:.2f} (mean {mean:.2f})")
    right.text(1.6 * constant, 0.42, f"constant {constant:g}", color=COLOUR["wrong"], va="top")
    right.text(0.8, 0.42, "E[ℓρ]", color=COLOUR["model"], ha="right", va="top")
    right.axhline(0.5, color=GREY, lw=1, zorder=0)
    right.text(edges[0], 0.51, "half of them", color=GREY, va="bottom")
    right.set(xscale="log", xlabel="error ∣hidden − imputed∣, molecules (log scale)", ylabel="share with at most this",
              ylim=(0, 1.02))  # fmt: skip
    finding(right, f"Half err by at most {np.median(np.abs(true - imputed)):.2f}")
    return fig, (
        f"Left: {len(true):,} hidden counts against imputed ones, along the diagonal. Right: cumulative share of the "
        f"absolute errors. Median error: {'; '.join(told)}."
    )


def errors(
    table: pd.DataFrame,
    measures: Mapping[str, str],
    methods: Sequence[str],
    live: Mapping[str, Mapping[str, float]],
    published: Mapping[str, float],
) -> tuple[Figure, str]:
    """Errors of each method in one data set, a panel for each measure: dots for seeds, a ring for the live run.

    Parameters
    ----------
    table : columns ``seed``, ``method`` and one for each measure.   measures : column → words for its axis.
    methods : from top to bottom; who has no row is left out.   live : method → measure → value.
    published : name → value of the first measure, drawn in its panel as lines.
    """
    names = {method: METHODS[method] for method in methods if (table["method"] == method).any()}
    fig, axes = plt.subplots(1, len(measures), figsize=(12, 0.44 * len(names) + 1.9), sharey=True, squeeze=False)
    told = []
    for ax, (measure, words) in zip(axes[0], measures.items(), strict=True):
        medians = {}
        for row, (method, name) in enumerate(names.items()):
            values = table.loc[table["method"] == method, measure].to_numpy()
            jitter = np.linspace(-0.16, 0.16, len(values))
            ax.plot(values, row + jitter, "o", color=_colour(method), ms=6, alpha=0.8)
            medians[name] = float(np.median(values))
            if measure in live.get(method, {}):
                ax.plot(live[method][measure], row, "o", mfc="none", mec=COLOUR["highlight"], mew=2, ms=14)
        ax.set(xlabel=words)
        ax.grid(axis="x")
        best = min(medians, key=lambda name: medians[name])
        digits = 2 if medians[best] >= 1 else 3
        finding(ax, f"Least: {best}, {medians[best]:.{digits}f}")
        told.append(f"{words}: " + ", ".join(f"{name} {value:.{digits}f}" for name, value in medians.items()))
    first, rows = axes[0, 0], [*names.values()]
    first.set_yticks(range(len(rows)), rows)
    first.set_ylim(len(rows) - 0.4, -0.6)
    if published:
        _published(first, published, rows)
        told.append("published " + ", ".join(f"{name} {value:g}" for name, value in published.items()))
    return fig, f"Errors over {table['seed'].nunique()} seeds, medians. {'; '.join(told)}."


def _published(ax: Axes, values: Mapping[str, float], rows: list[str]) -> None:
    """One more row on top: a diamond for each published value, and an arrow for those beyond the panel."""
    low, high = ax.get_xlim()
    width = high - low
    ax.set_xlim(low, high + 0.3 * width)
    beyond = [f"{name} {value:g} →" for name, value in values.items() if value > high]
    ax.text(high + 0.3 * width, -1, "  ".join(beyond), ha="right", va="center", fontsize=11)
    groups: list[list[str]] = []  # names whose diamonds touch are written together
    for name in sorted((name for name in values if values[name] <= high), key=lambda name: values[name]):
        ax.plot(values[name], -1, "D", color=BLACK, ms=7)
        if groups and values[name] - values[groups[-1][-1]] < 0.1 * width:
            groups[-1].append(name)
        else:
            groups.append([name])
    for rank, group in enumerate(groups):  # beside the first, above the second, and so on: room for long names
        words = ", ".join(f"{name} {values[name]:g}" for name in group)
        if rank % 2:
            ax.text(values[group[0]], -1.3, words, ha="center", va="bottom", fontsize=11)
        else:
            ax.text(values[group[-1]] + 0.03 * width, -1, words, va="center", fontsize=11)
    ax.set_yticks(range(-1, len(rows)), ["published", *rows])
    ax.set_ylim(len(rows) - 0.4, -2)


def _colour(method: str) -> str:
    """Ours, a rival without a likelihood, the other program's, or an anchor."""
    if method == "scvi_tools":
        return COLOUR["other"]
    if method.startswith(("zinb", "nb")):
        return COLOUR["model"]
    return COLOUR["pca"] if method in ("pca", "knn") else COLOUR["reference"]


def costs_of_answers(counts: NDArray, law: NDArray, grid: NDArray) -> dict[str, NDArray]:
    """What each answer costs if counts, (X,), have these probabilities: cost → (A,), for answers (A,)."""
    gap = np.abs(counts[:, None] - grid)  # (X, A)
    order = np.argsort(gap, axis=0)
    half = (np.cumsum(law[order], axis=0) >= 0.5).argmax(0)  # by then half of the probability is collected
    return {
        "squared": law @ gap**2,
        "absolute": law @ gap,
        "median of absolute": np.take_along_axis(gap, order, 0)[half, np.arange(len(grid))],
    }


def best_answers(counts: NDArray, law: NDArray, grid: NDArray, losses: Mapping[str, NDArray]) -> tuple[Figure, str]:
    """Left: the law of a hidden count, and the best answer under each loss. Right: the losses themselves.

    Parameters
    ----------
    counts, law : (X,) values and their probabilities.   grid : (A,) answers.
    losses : name → (A,) what each answer costs; each is drawn divided by its least value.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6))
    shown = counts <= np.searchsorted(np.cumsum(law), 0.98) + counts[0]
    left.bar(counts[shown], law[shown], color=COLOUR["data"], alpha=0.45, width=0.8)
    told, top = [], float(law.max())
    best = {name: float(grid[np.argmin(loss)]) for name, loss in losses.items()}
    ranked = sorted(best, key=lambda name: best[name])  # the leftmost is tallest, so that no line crosses a name
    for name, colour in zip(losses, STEPS, strict=False):
        height = top * (1.32 - 0.11 * ranked.index(name))
        left.plot([best[name]] * 2, [0, height], color=colour)
        left.text(best[name] + 0.3, height, f"{name}: {best[name]:.1f}", color=colour, va="top")
        right.plot(grid, losses[name] / losses[name].min(), color=colour, label=name)
        right.plot(best[name], 1, "o", color=colour, ms=8)
        told.append(f"{name} {best[name]:.1f}")
    left.set(xlabel="hidden count, known not to be zero", ylabel="probability", ylim=(0, 1.4 * top))
    right.set(xlabel="answer", ylabel="cost ÷ least cost", ylim=(0.95, 2.5))
    right.legend(loc="lower right")
    finding(left, "One law, three best answers")
    finding(right, "What an answer costs")
    return fig, f"Law of a hidden count, mode {counts[np.argmax(law)]:.0f}. Best answers: {', '.join(told)}."


def lost_in_zeros(
    mu: NDArray, curves: Mapping[str, NDArray], forecasts: Mapping[str, NDArray], removed: NDArray
) -> tuple[Figure, str]:
    """Left: E[y∣x=0] = P(dropout∣0) μ against μ. Right: forecast and truth over the zeros of a simulation.

    Parameters
    ----------
    mu : (U,).   curves : name → (U,).   forecasts : whose parameters → (M,) for each zero.
    removed : (M,) what dropout removed there; both are averaged in twelve bins of equal size, by the forecast.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.7))
    parts = {name: np.array_split(np.argsort(values, kind="stable"), 12) for name, values in forecasts.items()}
    bins = {
        name: tuple(np.array([values[part].mean() for part in parts[name]]) for values in (forecasts[name], removed))
        for name in forecasts
    }
    left.plot(mu, mu, color=GREY, lw=1.3, ls="--", label="μ itself")
    told = []
    for (name, values), colour in zip(curves.items(), STEPS, strict=False):
        left.plot(mu, values, color=colour, label=name)
        middle = int(np.argmin(np.abs(np.log(mu))))
        told.append(f"{name}: {values[middle]:.2f} at μ = {mu[middle]:.1f}, {values[-1]:.0f} at {mu[-1]:.0f}")
    left.set(xscale="log", yscale="log", xlabel="mean μ of the NB (log scale)", ylabel="E[y∣x = 0], molecules (log)")
    left.set_ylim(bottom=min(float(values.min()) for values in curves.values()))
    finding(left, "At large μ a zero lost some μ")
    label_lines(left)
    for (name, (forecast, truth)), marker, colour in zip(
        bins.items(), ("o", "s"), (COLOUR["truth"], COLOUR["model"]), strict=False
    ):
        right.plot(forecast, truth, marker, color=colour, mfc="none" if marker == "o" else colour, ms=8, label=name)
        off = np.abs(forecast - truth) / truth
        told.append(f"forecasts by {name} within {off.max():.2f} of the mean removed, median {np.median(off):.2f}")
    ends = [min(float(truth[truth > 0].min()) for _, truth in bins.values()),
            max(float(truth.max()) for _, truth in bins.values())]  # fmt: skip
    right.plot(ends, ends, color=GREY, lw=1.3, ls="--", zorder=0)
    right.set(xscale="log", yscale="log", xlabel="forecast E[y∣x = 0], molecules (log)",
              ylabel="mean count removed, molecules (log)")  # fmt: skip
    right.legend(loc="upper left")
    finding(right, "On average, the forecasts come true")
    return fig, f"E[y∣x=0] against μ, and forecasts against what dropout removed. {'; '.join(told)}."


def replicas(
    data: Mapping[str, NDArray], models: Mapping[str, Mapping[str, NDArray]], floor: float
) -> tuple[Figure, str]:
    """A summary of each gene in replicas against the same in the data, a panel for each summary, a dot for each gene.

    Parameters
    ----------
    data : words of the summary → (G,).   models : name → the same.   floor : what is smaller is drawn there.
    """
    fig, axes = plt.subplots(1, len(data), figsize=(12.5, 4.6))
    told = []
    for ax, (summary, seen) in zip(axes, data.items(), strict=True):
        logs = seen.max() > 1
        off = {}
        for (name, made), colour in zip(models.items(), (COLOUR["other"], COLOUR["model"]), strict=False):
            x, y = (np.maximum(v, floor) if logs else v for v in (seen, made[summary]))
            ax.scatter(x, y, s=14, color=colour, alpha=0.55, label=name, rasterized=True)
            gap = np.log2(y / x) if logs else y - x
            off[name] = float(np.median(gap) if logs else gap.mean())
        ends = [max(seen.min(), floor), seen.max()] if logs else [0, max(seen.max(), 0.1)]
        ax.plot(ends, ends, color=BLACK, lw=1.2, ls="--")
        if logs:
            ax.set(xscale="log", yscale="log")
        unit = " (log scale)" if logs else ""
        ax.set(xlabel=f"{summary}, held-out cells{unit}", ylabel=f"{summary}, replica{unit}")
        words = [f"{name} ×{2**gap:.2f}" if logs else f"{name} {gap:+.3f}" for name, gap in off.items()]
        sort = "median ratio" if logs else "mean gap"
        finding(ax, f"{summary.capitalize()}: {', '.join(words)}".replace("-", "−"))
        told.append(f"{summary}, {sort} replica to data: {', '.join(words)}")
    axes[0].legend(loc="upper left", markerscale=2, handletextpad=0.2)
    return fig, f"Replicated against held-out cells, a dot for each of {len(seen)} genes. {'; '.join(told)}."


def pairs_of_genes(observed: NDArray, others: Mapping[str, NDArray]) -> tuple[Figure, str]:
    """Correlations of all pairs of genes, (P,), in the data against those in each other set of cells."""
    fig, axes = plt.subplots(1, len(others), figsize=(5.6 * len(others), 4.8), sharex=True, sharey=True)
    told = []
    low, high = float(min(observed.min(), *(v.min() for v in others.values()))), 1.0
    for ax, (name, values) in zip(np.atleast_1d(axes), others.items(), strict=True):
        ax.hexbin(observed, values, gridsize=55, mincnt=1, bins="log", cmap="Blues", linewidths=0.1,
                  extent=(low, high, low, high))  # fmt: skip
        ax.plot([low, high], [low, high], color=BLACK, lw=1.2, ls="--")
        apart = float(np.sqrt(np.mean((observed - values) ** 2)))
        slope = float(np.polyfit(observed, values, 1)[0])
        ax.set(xlabel="correlation, held-out cells", ylabel=f"correlation, {name}")
        finding(ax, f"{name.capitalize()}: {apart:.3f} apart (RMS)")
        told.append(f"{name} {apart:.3f} apart, slope {slope:.2f}")
    return fig, (
        f"Correlations of {len(observed):,} pairs of genes in log-normalised counts of held-out cells, from "
        f"{observed.min():.2f} to {observed.max():.2f}, against {'; '.join(told)}."
    )


def ranks_of_truth(values: Mapping[str, NDArray], coverage: Mapping[str, float], level: float) -> tuple[Figure, str]:
    """Histograms of the randomised PIT: name → any shape in [0, 1]; uniform where the prediction is right.

    Parameters
    ----------
    coverage : name → share of truths inside the central interval that claims ``level``.
    """
    fig, axes = plt.subplots(1, len(values), figsize=(12.5, 4.3), sharey=True)
    told = []
    for ax, (name, u) in zip(axes, values.items(), strict=True):
        density, edges = np.histogram(u, 20, (0, 1), density=True)
        wrong = bool(np.abs(density - 1).max() > 0.25)
        colour = COLOUR["wrong"] if wrong else COLOUR["model"]
        ax.bar(edges[:-1], density, width=0.05, align="edge", color=colour, alpha=0.7, ec="white", lw=0.6)
        ax.axhline(1, color=BLACK, lw=1.2, ls="--")
        ax.set(xlabel="rank of the true count among replicas")
        finding(ax, f"{name}: {coverage[name]:.3f} covered")
        ends = density[[0, -1]].mean()
        told.append(f"{name}: covered {coverage[name]:.3f}, density {ends:.2f} at the ends, {density[8:12].mean():.2f} "
                    "in the middle")  # fmt: skip
    axes[0].set_ylabel("density (1: uniform)")
    fig.suptitle(f"Central intervals that promise {level:g}", x=0.01, ha="left")
    return fig, f"Randomised PIT, intervals that promise {level:g}. {'; '.join(told)}."


def invented(correlations: Mapping[str, NDArray], wobble: Mapping[str, NDArray]) -> tuple[Figure, str]:
    """Left: correlations between genes that are independent. Right: how much log ρ of a gene moves over cells.

    Parameters
    ----------
    correlations : what they were computed from → (P,) one for each pair.   wobble : which genes → (G',) sd of log ρ.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.7), width_ratios=(1.5, 1))
    colours = (COLOUR["data"], COLOUR["wrong"], COLOUR["pca"])
    told = []
    edges = np.linspace(-1, 1, 81)
    for (name, r), colour, style in zip(correlations.items(), colours, ("-", "-", "--"), strict=False):
        density, _ = np.histogram(r, edges, density=True)
        left.stairs(density, edges, color=colour, lw=2.2, ls=style, label=name)
        told.append(
            f"{name}: median ∣r∣ {np.median(np.abs(r)):.2f}, one in ten above {np.quantile(np.abs(r), 0.9):.2f}"
        )
    left.set(xlabel="correlation r of two genes over cells", ylabel="density (root scale)", xlim=(-1, 1))
    left.set_yscale("function", functions=(np.sqrt, np.square))
    left.set_ylim(0, None)
    left.legend(loc="upper left")
    finding(left, "Independent genes, strongly correlated in ρ")
    for row, (name, sd) in enumerate(wobble.items()):
        y = row + np.random.default_rng(0).uniform(-0.25, 0.25, len(sd))
        right.plot(sd, y, "o", ms=4, color=STEPS[2 * row], alpha=0.6)
        told.append(f"sd of log ρ, {name}: median {np.median(sd):.3f}")
    right.set_yticks(range(len(wobble)), [*wobble])
    right.set(xscale="log", xlabel="sd of log ρ over cells (log scale)", ylim=(len(wobble) - 0.5, -0.5))
    ticks = [t for t in (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if right.get_xlim()[0] <= t <= right.get_xlim()[1]]
    right.set_xticks(ticks, [f"{t:g}" for t in ticks])
    right.minorticks_off()
    finding(right, "A correlation hides how little moves")
    return fig, f"Correlations between genes simulated as independent. {'; '.join(told)}."


def invented_by_size(table: pd.DataFrame, settings: Mapping[int, str]) -> tuple[Figure, str]:
    """Median ∣r∣ between independent genes against the number of cells, a panel for each setting; dots for seeds.

    Parameters
    ----------
    table : columns ``setting``, ``n_cells``, ``seed``, ``method``, ``median_r``.
    settings : setting → words.
    """
    names = {method: name for method, name in CORRELATED.items() if (table["method"] == method).any()}
    quiet, *_, loud = names  # what the titles compare
    fig, axes = plt.subplots(1, len(settings), figsize=(12, 4.6), sharey=True, squeeze=False)
    colours = [COLOUR["data"], COLOUR["model"], COLOUR["other"], COLOUR["pca"], COLOUR["highlight"], COLOUR["wrong"]]
    told = []
    for ax, (setting, words) in zip(axes[0], settings.items(), strict=True):
        part = table[table["setting"] == setting]
        for (method, name), colour in zip(names.items(), colours, strict=False):
            mine = part[part["method"] == method].dropna(subset="median_r")
            middle = mine.groupby("n_cells")["median_r"].median()
            ax.plot(mine["n_cells"], mine["median_r"], "o", color=colour, ms=5, alpha=0.5)
            ax.plot(middle.index, middle, color=colour, label=name)
            told.append(f"{words}, {name}: {middle.iloc[0]:.3f} to {middle.iloc[-1]:.3f}")
        sizes = sorted(part["n_cells"].unique())
        ax.set(xscale="log", yscale="log", xlabel="cells (log scale)")
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
        ax.minorticks_off()
        last = part[part["n_cells"] == sizes[-1]].groupby("method")["median_r"].median()
        finding(
            ax, f"{words}, {sizes[-1]:,} cells: {last[loud]:.2f} in {names[loud]}, {last[quiet]:.3f} in {names[quiet]}"
        )
        label_lines(ax, gap=0.03)
    axes[0, 0].set_yticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5], ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"])
    axes[0, 0].set_ylabel("median ∣r∣ between\nindependent genes (log scale)")
    return fig, f"Median absolute correlation, from fewest to most cells. {'; '.join(told)}."


def one_pair(panels: Mapping[str, tuple[NDArray, NDArray]], genes: Sequence[Sequence[str]]) -> tuple[Figure, str]:
    """Two genes over cells, a panel for each version of their values; its title says their correlation."""
    fig, axes = plt.subplots(1, len(panels), figsize=(12.5, 4.4))
    told = []
    for ax, (name, (a, b)), pair in zip(np.atleast_1d(axes), panels.items(), genes, strict=True):
        r = float(np.corrcoef(a, b)[0, 1])
        ax.scatter(a, b, s=9, color=COLOUR["model"], alpha=0.4, rasterized=True)
        ax.set(xlabel=pair[0], ylabel=pair[1])
        finding(ax, f"{name}: r = {r:.2f}".replace("-", "−"))
        told.append(f"{name}, {pair[0]} and {pair[1]}: {r:.2f}")
    return fig, f"Two genes over {len(a):,} cells, correlations. {'; '.join(told)}."
