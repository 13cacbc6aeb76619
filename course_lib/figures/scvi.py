"""The pictures of notebook 06. Every function takes what was measured and returns a figure and its alternative text.

Axes: N cells, G genes, K grid points or counts, S seeds.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from course_lib.figures.graphs import Edge, Sides, boxes_and_arrows, empty_panel
from course_lib.figures.style import CATEGORIES, COLOUR, finding, label_groups, label_lines

Array = NDArray[np.floating]
LARGE_THETA = 3  # above, an NB is hard to tell from a Poisson


def dropout_posterior(mu: Array, curves: Mapping[str, Array]) -> tuple[Figure, str]:
    """P(put in by π, given a zero) against the mean of the NB, one line for each π.  (K,) each."""
    fig, ax = plt.subplots(figsize=(9.5, 4.6))
    for (name, values), colour in zip(curves.items(), CATEGORIES, strict=False):
        ax.plot(mu, values, color=colour, label=name)
    ax.set_xscale("log")
    ax.set(xlabel="μ = ℓρ, what the NB expects of this gene in this cell", ylim=(0, 1.03))
    ax.set_ylabel("P(dropout ∣ x = 0)")
    ax.grid(axis="y")
    finding(ax, "The more was expected, the more a zero says")
    label_lines(ax)
    told = [f"{name}: {values[0]:.2f} to {values[-1]:.2f}" for name, values in curves.items()]
    return fig, (
        f"Probability that a zero was put in by π, for μ from {mu[0]:g} to {mu[-1]:g}, rising from π: "
        f"{'; '.join(told)}."
    )


# ---------------------------------------------------------------------------------------------- the model as a graph

_BOXES = {  # name: (x, y, text, what it is)
    "x_in": (0.07, 0.50, "log1p(x)", "data"),
    "library_trunk": (0.245, 0.76, "library_encoder\n.trunk", "trunk"),
    "z_trunk": (0.245, 0.30, "z_encoder\n.trunk", "trunk"),
    "nn1": (0.435, 0.88, "NN1  .to_mu", "head"),
    "nn2": (0.435, 0.68, "NN2  .to_log_variance", "head"),
    "nn3": (0.435, 0.42, "NN3  .to_mu", "head"),
    "nn4": (0.435, 0.22, "NN4  .to_log_variance", "head"),
    "library": (0.61, 0.78, "log ℓ ∼ q(log ℓ∣x)", "draw"),
    "z": (0.61, 0.32, "z ∼ q(z∣x)", "draw"),
    "s": (0.585, 0.06, "s: one_hot(batch)", "data"),
    "decoder_trunk": (0.745, 0.32, "decoder\n.trunk", "trunk"),
    "nn5": (0.845, 0.52, "NN5  .to_rho", "head"),
    "nn6": (0.905, 0.17, "NN6  .to_zi_logits", "head"),
    "theta": (0.735, 0.62, "θ: .log_theta", "parameter"),
    "x_out": (0.915, 0.78, "x ∼ ZINB(ℓρ, θ, π)", "data"),
}
_EDGES: list[Edge] = [
    ("x_in", "library_trunk"), ("x_in", "z_trunk"), ("library_trunk", "nn1"), ("library_trunk", "nn2"),
    ("z_trunk", "nn3"), ("z_trunk", "nn4"), ("nn1", "library"), ("nn2", "library"), ("nn3", "z"), ("nn4", "z"),
    ("z", "decoder_trunk"), ("s", "decoder_trunk"), ("decoder_trunk", "nn5"), ("decoder_trunk", "nn6"),
    ("nn5", "x_out"), ("nn6", "x_out"), ("library", "x_out"), ("theta", "x_out"),
]  # fmt: skip

_SIDES: dict[Edge, Sides] = {  # where an edge leaves and arrives, when it does not run from a right side to a left side
    ("s", "decoder_trunk"): ((1, 0.5), (0.5, 0)), ("decoder_trunk", "nn5"): ((0.5, 1), (0, 0.5)),
    ("theta", "x_out"): ((1, 0.5), (0.15, 0)), ("nn5", "x_out"): ((0.5, 1), (0.45, 0)),
    ("nn6", "x_out"): ((0.75, 1), (0.8, 0)),
}  # fmt: skip


def six_heads(new: Sequence[str] = ("library_trunk", "nn1", "nn2", "library", "nn6", "s")) -> tuple[Figure, str]:
    """The model with the code's names. ``new``: boxes drawn heavy, those that simplified scVI does not have."""
    fig, ax = empty_panel(15, 6.6)
    ax.set(xlim=(0, 0.985), ylim=(-0.02, 1.02))
    boxes_and_arrows(ax, _BOXES, _EDGES, _SIDES, heavy=new)
    ax.text(0.025, 0.09, "heavy: not in simplified scVI", fontsize=12.5, weight="bold")
    ax.text(0.025, 0.03, "blue: heads   grey: trunks   orange: draws   purple: parameter", fontsize=12.5)
    return fig, (
        "The model as a graph. log1p(x) feeds two trunks: the library encoder's, with heads NN1 to_mu and NN2 "
        "to_log_variance for log ℓ, and the z encoder's, with heads NN3 and NN4 for z. The draw of z and the batch s "
        "feed the decoder's trunk with heads NN5 to_rho and NN6 to_zi_logits. ℓ, ρ, π and the parameter θ give x. "
        "New against simplified scVI: the library encoder, NN6 and s."
    )


# ------------------------------------------------------------------------------------------------------ library size


def library_densities(
    log_library: Array, prior: Array, exact: Mapping[str, Array], encoder: Array, truth: float, log_total: float
) -> tuple[Figure, str]:
    """Densities over log ℓ for one cell: prior, exact posteriors by how many genes were seen, the encoder's q. (K,)"""
    fig, ax = plt.subplots(figsize=(10.5, 5))
    ax.plot(log_library, prior, color=COLOUR["reference"], lw=3)
    ax.fill_between(log_library, prior, color=COLOUR["reference"], alpha=0.15)
    peak = {"prior p(log ℓ∣s)": (prior, COLOUR["reference"])}
    for (name, density), colour in zip(
        exact.items(), (CATEGORIES[4], COLOUR["highlight"], COLOUR["truth"]), strict=False
    ):
        ax.plot(log_library, density, color=colour)
        peak[name] = (density, colour)
    ax.plot(log_library, encoder, color=COLOUR["model"], ls="--", lw=2.5)
    peak["encoder's q(log ℓ∣x)"] = (encoder, COLOUR["model"])
    top = max(density.max() for density, _ in peak.values())
    for row, (name, (_, colour)) in enumerate(peak.items()):
        ax.text(0.015, 0.95 - 0.085 * row, name, color=colour, transform=ax.transAxes, va="top", weight="bold")
    for place, text, align in ((truth, "true log ℓ", "left"), (log_total, "log total ", "right")):
        ax.plot([place, place], [0, 1.06 * top], color=COLOUR["truth"], lw=1.2, ls=":")
        ax.text(place, 1.07 * top, text, ha=align, va="bottom", fontsize=12)
    seen = log_library[prior > 2e-3 * prior.max()]
    ax.set(xlabel="log ℓ, log molecules", ylabel="density", ylim=(0, 1.17 * top), xlim=(seen[0], seen[-1]))
    finding(ax, "The prior is wide, the posterior narrow, and the total is not its middle")
    sd = {name: _sd(log_library, density) for name, (density, _) in peak.items()}
    return fig, (
        f"Densities over log ℓ of one cell, true log ℓ {truth:.2f}, log total {log_total:.2f}; standard deviations: "
        + ", ".join(f"{name} {value:.2f}" for name, value in sd.items()) + "."
    )  # fmt: skip


def _sd(grid: Array, density: Array) -> float:
    weight = density / density.sum()
    mean = (weight * grid).sum()
    return float(np.sqrt((weight * (grid - mean) ** 2).sum()))


def two_starts(
    histories: Mapping[str, pd.DataFrame], table: pd.DataFrame, ways: Mapping[str, str]
) -> tuple[Figure, str]:
    """Training from two starts of the library's head: the first epochs, and test cells after full training.

    Parameters
    ----------
    histories : words → history of ``fit``, the start at 0 first.
    table : columns way, start ("zero", "prior"), elbo, a row for each seed.   ways : way → words, in order.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(13, 4.8))
    colours = dict(zip(histories, (COLOUR["wrong"], COLOUR["model"]), strict=True))
    for name, history in histories.items():
        left.plot(history.index, history["train_loss"], color=colours[name], label=name)
    left.set_yscale("log")
    _plain_ticks(left.yaxis, np.concatenate([history["train_loss"] for history in histories.values()]))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(xlabel="epoch", ylabel="−ELBO of training cells,\nnats per cell")
    left.grid(axis="y")
    left.legend(loc="upper right")
    told, gaps = [], []
    for row, (way, words) in enumerate(ways.items()):
        part = table[table["way"] == way].pivot(index="seed", columns="start", values="elbo")
        gaps.append(part["zero"] - part["prior"])
        for start, colour in zip(("zero", "prior"), colours.values(), strict=True):
            right.plot(part[start], [row] * len(part), "o", color=colour, alpha=0.6, mew=0, ms=10, ls="none")
        told.append(f"{words}: {part['zero'].median():,.0f} from 0, {part['prior'].median():,.0f} from the prior")
    for name, start in zip(histories, ("zero", "prior"), strict=True):  # above the first row's dots
        left_most = table.loc[(table["way"] == next(iter(ways))) & (table["start"] == start), "elbo"].min()
        right.text(left_most, -0.12, name, color=colours[name], va="bottom", weight="bold")
    right.set_yticks(range(len(ways)), [*ways.values()])
    right.set_ylim(len(ways) - 0.5, -0.5)
    right.set_xlabel("−ELBO of test cells, nats per cell; a dot for each seed")
    right.margins(x=0.1)
    right.grid(axis="x")
    late, early = (history["train_loss"].to_numpy() for history in histories.values())
    there = np.flatnonzero(late <= early[0])
    takes = f"it takes {there[0] + 1} epochs" if len(there) else f"{len(late)} epochs are too few"
    finding(left, f"From 0 {takes} to reach the other start's first")
    finding(right, f"After full training at least {min(gap.min() for gap in gaps):.0f} nats are still missing")
    ends = [
        f"{name} {h['train_loss'].iloc[0]:,.0f} to {h['train_loss'].iloc[-1]:,.0f}" for name, h in histories.items()
    ]
    return fig, (
        f"−ELBO of the cortex from two starts of the library's head. Training cells, {len(late)} epochs: "
        f"{'; '.join(ends)}. "
        f"Test cells after full training, medians over seeds: {'; '.join(told)}."
    )


def _plain_ticks(axis: Axis, values: Array) -> None:
    """Ticks at 1, 2, 5, 10, … of a logarithmic axis, in plain numbers."""
    powers = np.arange(np.floor(np.log10(values.min())), np.ceil(np.log10(values.max())) + 1)
    ticks = [d * 10.0**k for k in powers for d in (1, 2, 5)]
    axis.set_ticks([tick for tick in ticks if 0.8 * values.min() <= tick <= 1.25 * values.max()])
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,g}"))
    axis.set_minor_locator(NullLocator())


# -------------------------------------------------------------------------------------------------------- simulation


def recovery(
    theta: tuple[Array, Array], pi: tuple[Array, Array], calibration: tuple[Array, Array]
) -> tuple[Figure, str]:
    """θ and π against the truth, gene by gene, and whether dropout probabilities mean what they say.

    theta, pi : (truth, estimate), (G,) each.   calibration : mean forecast and share dropped, by bin.
    """
    fig, axes = plt.subplots(1, 3, figsize=(14, 4.8))
    for ax, (truth, estimate) in zip(axes, (theta, pi), strict=False):
        ax.scatter(truth, estimate, s=14, color=COLOUR["model"], alpha=0.6)
        both = np.concatenate([truth, estimate])
        ax.axline((both.min(), both.min()), (both.max(), both.max()), color=COLOUR["truth"], lw=1.2)
    axes[0].set(xscale="log", yscale="log", xlabel="true θ of a gene", ylabel="learned θ")
    for axis in (axes[0].xaxis, axes[0].yaxis):
        _plain_ticks(axis, np.concatenate(theta))
    axes[1].set(xlabel="true π of a gene, mean over cells", ylabel="learned π, mean over cells")
    axes[2].axline((0, 0), (1, 1), color=COLOUR["truth"], lw=1.2)
    axes[2].plot(*calibration, "o-", color=COLOUR["model"], lw=1, alpha=0.8)
    axes[2].set(xlabel="P(dropout ∣ x = 0)", ylabel="share truly dropped", xlim=(0, 1), ylim=(0, 1))
    ratio, large = theta[1] / theta[0], theta[0] > LARGE_THETA
    error, low = float(np.median(np.abs(ratio - 1))), float(np.median(ratio[large]))
    gap = float(np.abs(calibration[0] - calibration[1]).max())
    finding(axes[0], f"θ: off by {error:.0%} in the median; above {LARGE_THETA} at {low:.0%} of the truth")
    finding(axes[1], f"π of each gene: correlation {np.corrcoef(*pi)[0, 1]:.2f}")
    finding(axes[2], f"Forecasts of a dropout come true to within {gap:.2f}")
    return fig, (
        f"Three panels. Learned θ against true θ, median relative error {error:.2f}, above {LARGE_THETA} {low:.2f} of "
        f"the truth; learned π against true π, correlation {np.corrcoef(*pi)[0, 1]:.2f}; calibration of dropout "
        f"probabilities, at most {gap:.2f} off the diagonal."
    )


# ----------------------------------------------------------------------------------------------------------- batches


def latent_and_batches(
    flat: Mapping[str, Array], batch: NDArray[np.str_], cell_type: NDArray[np.str_], notes: Mapping[str, str]
) -> tuple[Figure, str]:
    """Two principal components of several latent spaces, batches in colour, types named.

    flat : title → (N, 2).   batch, cell_type : (N,).   notes : title → what was measured there.
    """
    fig, axes = plt.subplots(1, len(flat), figsize=(5.8 * len(flat), 5.2))
    for ax, (title, points) in zip(axes, flat.items(), strict=True):
        order = np.random.default_rng(0).permutation(len(points))  # no batch lies on top of the other
        codes = {name: CATEGORIES[i] for i, name in enumerate(np.unique(batch))}
        ax.scatter(*points[order].T, s=7, color=[codes[name] for name in batch[order]], alpha=0.6, rasterized=True)
        _name_types(ax, points, batch, cell_type)
        ax.set(xlabel="first component of z", ylabel="second component of z", xticks=[], yticks=[])
        ax.text(0.5, -0.12, notes[title], transform=ax.transAxes, ha="center", va="top")
        finding(ax, title)
    for name, colour in codes.items():
        axes[0].scatter([], [], s=40, color=colour, label=name)
    axes[0].legend(loc="best")
    told = [f"{title}: {notes[title]}" for title in flat]
    return fig, f"{len(batch):,} simulated cells in two components of z, coloured by batch. " + "; ".join(told) + "."


def _name_types(ax: Axes, points: Array, batch: NDArray[np.str_], cell_type: NDArray[np.str_]) -> None:
    """Each type's name on its cells: once where its batches lie together, once for each batch where they do not."""
    size = np.linalg.norm(np.ptp(points, axis=0))
    for name in np.unique(cell_type):
        mine = cell_type == name
        centres = [np.median(points[mine & (batch == code)], axis=0) for code in np.unique(batch[mine])]
        apart = max(np.linalg.norm(centre - centres[0]) for centre in centres) > 0.12 * size
        for centre in centres if apart else [np.median(points[mine], axis=0)]:
            label_groups(ax, centre[None], [str(name)])


def batch_and_biology(
    batch: tuple[Array, Mapping[str, Array]], types: tuple[Array, Mapping[str, Array]]
) -> tuple[Figure, str]:
    """Log-ratios of ρ, gene by gene, against the truth: between batches of one type, and between types.

    Each: (truth (G,), name of the model → estimate (G,)).
    """
    fig, axes = plt.subplots(1, 2, figsize=(12, 5.2))
    told = []
    for ax, (truth, estimates), what in zip(axes, (batch, types), ("batches", "types"), strict=True):
        for (name, values), colour, marker in zip(
            estimates.items(), (COLOUR["wrong"], COLOUR["model"]), "os", strict=True
        ):
            slope = np.polyfit(truth, values, 1)[0]
            side = (-1, 1)[colour == COLOUR["model"]] * (len(np.unique(truth.round(6))) < 20)  # columns: side by side
            ax.scatter(
                truth + 0.02 * side * np.ptp(truth),
                values,
                s=14,
                color=colour,
                marker=marker,
                alpha=0.55,
                label=f"{name}: slope {slope:.2f}",
            )
            told.append(f"between {what}, {name}: slope {slope:.2f}")
        ax.axline((0, 0), slope=1, color=COLOUR["truth"], lw=1.2)
        ax.axhline(0, color=COLOUR["reference"], lw=1, ls=":")
        ax.legend(loc="upper left", handletextpad=0.1, markerscale=1.6)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.25 * (high - low))
        columns = ", columns side by side" if len(np.unique(truth.round(6))) < 20 else ""
        ax.set_xlabel(f"true log-ratio of a gene between {what}{columns}")
    axes[0].set_ylabel("log-ratio of normalised expression ρ")
    finding(axes[0], "Between batches: gone with s")
    finding(axes[1], "Between types: kept, a little shrunk with s")
    return fig, f"Log-ratios of ρ for {len(batch[0])} genes against the truth. " + "; ".join(told) + "."


# ---------------------------------------------------------------------------------------------- cortex and likelihood


def published(table: pd.DataFrame, ours: pd.DataFrame) -> tuple[Figure, str]:
    """ARI, NMI and silhouette on the cortex: the published runs (rings) and this course's seeds (dots).

    table : columns method, ari, nmi, asw, a row for each stored run.   ours : the same columns, a row for each seed.
    """
    measures = {"ari": "ARI", "nmi": "NMI", "asw": "silhouette"}
    order = [*dict.fromkeys([*ours["method"], *table.sort_values("ari", ascending=False)["method"]])]
    fig, axes = plt.subplots(1, 3, figsize=(14, 1.5 + 0.42 * len(order)), sharey=True)
    for ax, (column, words) in zip(axes, measures.items(), strict=True):
        bar = table.loc[table["method"] == "scVI", column].max()
        ax.axvline(bar, color=COLOUR["reference"], lw=1.2, ls="--")
        for row, method in enumerate(order):
            own = ours.loc[ours["method"] == method, column]
            stored = table.loc[table["method"] == method, column]
            ax.plot(own, [row] * len(own), "o", color=COLOUR["model"], alpha=0.6, ms=9, mew=0, ls="none")
            ax.plot(stored, [row] * len(stored), "o", color=COLOUR["other"], mfc="none", mew=2, ms=9, ls="none")
        ax.set_xlabel(words)
        ax.grid(axis="x")
        finding(ax, f"{words}: {table.loc[table[column].idxmax(), 'method']} leads the published")
    axes[0].set_yticks(range(len(order)), order)
    axes[0].set_ylim(len(order) - 0.4, -0.6)
    axes[1].set_xlabel(f"{measures['nmi']}\nrings: published; dots: run here; dashed: the best published scVI")
    median = ours.groupby("method", sort=False)[["ari", "nmi"]].median()
    told = [f"{method}: ARI {row['ari']:.2f}, NMI {row['nmi']:.2f}" for method, row in median.iterrows()]
    best = table.loc[table["ari"].idxmax()]
    return fig, (
        "Clustering scores on the cortex. Ours, medians over seeds: " + "; ".join(told)
        + f". Published: {best['method']} highest with ARI {best['ari']:.2f}, scVI "
        + " and ".join(f"{value:.2f}" for value in table.loc[table["method"] == "scVI", "ari"]) + "."
    )  # fmt: skip


def bounds(table: pd.DataFrame, names: Mapping[str, str]) -> tuple[Figure, str]:
    """−ELBO of test cells and its terms for methods that treat the library alike, a dot for each seed.

    table : columns method, elbo, reconstruction, kl_z, kl_library, in nats per cell.   names : method → words.
    """
    terms = {"elbo": "−ELBO", "reconstruction": "reconstruction", "kl_z": "KL of z", "kl_library": "KL of ℓ"}
    terms = {column: words for column, words in terms.items() if column in table}
    fig, axes = plt.subplots(1, len(terms), figsize=(14, 1.9 + 0.5 * len(names)), sharey=True)
    told = []
    for ax, (column, words) in zip(axes, terms.items(), strict=True):
        medians = {}
        for row, (method, label) in enumerate(names.items()):
            values = table.loc[table["method"] == method, column].dropna()
            colour = COLOUR["other"] if label.startswith("scvi-tools") else COLOUR["model"]
            ax.plot(values, [row] * len(values), "o", color=colour, alpha=0.6, ms=9, mew=0, ls="none")
            if not values.empty:
                medians[label] = values.median()
        told += [f"{label}, {words} {value:,.1f}" for label, value in medians.items()]
        ax.set_xlabel("nats per test cell")
        ax.margins(x=0.15)
        ax.grid(axis="x")
        ax.locator_params(axis="x", nbins=4)
        finding(ax, f"{words}: lowest for {min(medians, key=lambda label: medians[label])}")
    axes[0].set_yticks(range(len(names)), [*names.values()])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    return fig, "−ELBO and its terms on test cells, medians over seeds. " + "; ".join(told) + "."


def paired_differences(table: pd.DataFrame, words: str) -> tuple[Figure, str]:
    """Held-out log-likelihood of one model minus another's, paired by cell, with its 95 % interval, a row for each.

    table : columns row (words), live (true for what the notebook trained), difference, low, high, in nats per cell.
    words : of the difference.
    """
    fig, ax = plt.subplots(figsize=(10, 1.6 + 0.42 * len(table)))
    for place, (_, row) in enumerate(table.iterrows()):
        error = [[row["difference"] - row["low"]], [row["high"] - row["difference"]]]
        colour = COLOUR["model"] if row["live"] else COLOUR["reference"]
        ax.errorbar(row["difference"], place, xerr=error, fmt="o", color=colour, capsize=4)
    ax.axvline(0, color=COLOUR["truth"], lw=1.2)
    ax.set_xlabel(f"log-likelihood, {words}, nats per held-out cell; 95 % intervals")
    ax.grid(axis="x")
    ax.set_yticks(range(len(table)), table["row"])
    ax.set_ylim(len(table) - 0.4, -0.6)
    above = int((table["low"] > 0).sum())
    finding(ax, f"{words}: at most {table['difference'].max():.1f} nats, above 0 in {above} of {len(table)} rows")
    told = ", ".join(f"{row['row']} {row['difference']:+.1f}" for _, row in table.iterrows())
    return fig, f"Paired differences in held-out log-likelihood, {words}, nats per cell: {told}."


# ---------------------------------------------------------------------------------------------------- choices and time


def choices(cortex: pd.DataFrame, pair: pd.DataFrame, mixing: pd.DataFrame) -> tuple[Figure, str]:
    """What each choice in building the model changes: a dot for each seed, a bar for their mean.

    Each: (choices, seeds), a measure less its value under the default, same seed and cells: −ELBO of test cells on the
    cortex and on the pair, and the pair's batch entropy, all in nats. Rows follow ``pair``, which has every choice.
    """
    names = [name for name in pair.index if name != "default"]
    panels = (
        ("−ELBO of test cells, nats per cell", "Cortex: {} costs most", cortex, "max"),
        ("−ELBO of test cells, nats per cell", "Pair: {} helps most", pair, "min"),
        ("batch entropy, nats", "Pair: {} mixes least", mixing, "min"),
    )
    fig, axes = plt.subplots(1, 3, figsize=(15, 1.8 + 0.48 * len(names)), sharey=True)
    told = []
    for ax, (measure, title, table, worst) in zip(axes, panels, strict=True):
        ax.axvline(0, color=COLOUR["truth"], lw=1.2)
        means = table.reindex(names).mean(axis=1)
        for row, name in enumerate(names):
            if name in table.index:
                values = table.loc[name]
                ax.plot(values, [row] * len(values), "o", color=COLOUR["model"], alpha=0.5, mew=0, ms=8, ls="none")
                ax.plot(means[name], row, "|", color=COLOUR["truth"], ms=18, mew=2.5, ls="none")
        ax.set_xlabel(f"{measure},\nless the default's")
        ax.margins(x=0.08)
        ax.grid(axis="x")
        extreme = means.idxmax() if worst == "max" else means.idxmin()
        finding(ax, title.format(extreme))
        listed = ", ".join(f"{name} {value:+.2f}" for name, value in means.dropna().items())
        told.append(f"{title.split(':')[0]}, {measure}: {listed}")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    return fig, "Each choice less the default, means over seeds. " + "; ".join(told) + "."


WAYS = {"default": ("none", "o"), "preferred": ("full", "o"), "one cycle": ("full", "D")}  # filled or not, marker
WORDS_OF_WAY = {"default": "default rate", "preferred": "chosen rate", "one cycle": "one cycle"}
TIMED = {
    (data, library): f"{name}, ℓ {library}"
    for data, name in {"cortex": "Cortex", "pbmc3k": "PBMC3k", "kang": "Kang"}.items()
    for library in ("learned", "observed")
}


def time_to_bound(table: pd.DataFrame) -> tuple[Figure, str]:
    """Seconds of one core until the bound is where scvi-tools' default training ends, a mark for each seed.

    table : columns data, library, program, way, seed, cpu_s; empty where the mark was not passed within 400 epochs.
    """
    rows = {key: words for key, words in TIMED.items() if key in set(zip(table["data"], table["library"], strict=True))}
    fig, ax = plt.subplots(figsize=(12.5, 1.9 + 0.62 * len(rows)))
    colours = {"course_lib": COLOUR["model"], "scvi-tools": COLOUR["other"]}
    never = 2.6 * table["cpu_s"].max()
    told = []
    for row, ((data, library), words) in enumerate(rows.items()):
        for program, shift in (("course_lib", 0.16), ("scvi-tools", -0.16)):
            for way, (fill, marker) in WAYS.items():
                mine = table[
                    (table["data"] == data) & (table["library"] == library)
                    & (table["program"] == program) & (table["way"] == way)
                ]  # fmt: skip
                if mine.empty:
                    continue
                face = colours[program] if fill == "full" else "white"
                y = [row + shift] * len(mine)
                x = mine["cpu_s"].fillna(never)
                ax.plot(x, y, marker, color=colours[program], mfc=face, mew=1.6, ms=8, alpha=0.8, ls="none")
                lost = int(mine["cpu_s"].isna().sum())
                if lost:
                    ax.text(1.12 * never, row + shift, f"{lost} of {len(mine)}", va="center", fontsize=11)
                reached = "never" if lost == len(mine) else f"{mine['cpu_s'].median():.1f} s"
                told.append(
                    f"{words}, {program}, {way} {reached}" + (f" ({lost} never)" if 0 < lost < len(mine) else "")
                )
    ax.axvline(never / 1.6, color=COLOUR["truth"], lw=1, ls=":")
    ax.set_xscale("log")
    _plain_ticks(ax.xaxis, table["cpu_s"].dropna().to_numpy())
    ax.text(never, -0.62, "not reached", ha="center", va="bottom")
    ax.set_xlim(0.7 * table["cpu_s"].min(), 2.2 * never)
    ax.set_yticks(range(len(rows)), [*rows.values()])
    ax.set_ylim(len(rows) - 0.5, -0.75)
    ax.set_xlabel("seconds of one core until the test −ELBO is where scvi-tools' default training ends")
    ax.grid(axis="x")
    for program, name in (("course_lib", "this course"), ("scvi-tools", "scvi-tools")):
        for way, (fill, marker) in WAYS.items():
            if ((table["program"] == program) & (table["way"] == way)).any():
                face = colours[program] if fill == "full" else "white"
                ax.plot(
                    [],
                    [],
                    marker,
                    color=colours[program],
                    mfc=face,
                    mew=1.6,
                    ms=8,
                    label=f"{name}, {WORDS_OF_WAY[way]}",
                )
    fig.legend(loc="outside lower center", ncols=5, handletextpad=0.1, columnspacing=1.2)
    missed = int(table.loc[table["program"] == "course_lib", "cpu_s"].isna().sum())
    finding(ax, f"This course passes the mark sooner; {missed} of its runs never does")
    return fig, "Seconds of one core to scvi-tools' final bound, medians over seeds. " + "; ".join(told) + "."
