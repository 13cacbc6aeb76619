"""The pictures of notebook 10. Every function takes what was measured and returns a figure and its alternative text.

Axes: N cells, C labels, S seeds.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax

from course_lib.figures.cell_types import key_of_kinds, scatter_kinds
from course_lib.figures.graphs import Edge, Sides, boxes_and_arrows, empty_panel
from course_lib.figures.style import COLOUR, finding, label_lines

METHOD_NAME = {
    "bayes": "Bayes, true parameters",
    "lr_pcs": "regression on PCs",
    "lr_pcs_scaled": "regression, PCs scaled",
    "lr_scvi": "regression on z",
    "knn_scvi": "neighbours on z",
    "scanvi": "scANVI, ours",
    "scanvi_uniform": "ours, uniform p(c)",
    "scanvi_no_batch": "ours, no batch",
    "scvi_tools": "SCANVI, scvi-tools",
}
METHOD_COLOUR = {
    "bayes": COLOUR["truth"], "lr_pcs": COLOUR["pca"], "lr_pcs_scaled": COLOUR["pca"],
    "lr_scvi": COLOUR["reference"], "knn_scvi": COLOUR["reference"], "scanvi": COLOUR["model"],
    "scanvi_no_batch": COLOUR["highlight"], "scanvi_uniform": COLOUR["highlight"], "scvi_tools": COLOUR["other"],
}  # fmt: skip
METHOD_MARK = {
    "bayes": "*", "lr_pcs": "s", "lr_pcs_scaled": "d", "lr_scvi": "v", "knn_scvi": "P", "scanvi": "o",
    "scanvi_no_batch": "X", "scanvi_uniform": "^", "scvi_tools": "D",
}  # fmt: skip
METHOD_LINE = {"lr_pcs": "--", "lr_pcs_scaled": "-.", "scanvi": "-", "scanvi_uniform": "-.", "scvi_tools": ":"}


# ---------------------------------------------------------------------------------------------- the model as a graph

_BOXES = {  # name: (x, y, text, what it is)
    "x_in": (0.055, 0.50, "log1p(x)", "data"),
    "z_encoder": (0.175, 0.50, "z_encoder", "head"),
    "z": (0.315, 0.50, "z ∼ q(z∣x)", "draw"),
    "classifier": (0.315, 0.86, "classifier", "head"),
    "c": (0.565, 0.86, "c: the label, or each one\nwith weight q(c∣z)", "draw"),
    "u_encoder": (0.47, 0.50, "u_encoder", "head"),
    "u": (0.625, 0.50, "u ∼ q(u∣z, c)", "draw"),
    "u_decoder": (0.775, 0.50, "u_decoder", "head"),
    "p_z": (0.925, 0.50, "p(z∣u, c)", "term"),
    "decoder": (0.565, 0.12, "decoder", "head"),
    "s": (0.315, 0.12, "s: one_hot(batch)", "data"),
    "theta": (0.745, 0.27, "θ", "parameter"),
    "library": (0.935, 0.29, "ℓ: total of x", "data"),
    "x_out": (0.855, 0.12, "x ∼ NB(ℓρ, θ)", "data"),
}
_EDGES: list[Edge] = [
    ("x_in", "z_encoder"), ("z_encoder", "z"), ("z", "classifier"), ("classifier", "c"), ("z", "u_encoder"),
    ("c", "u_encoder"), ("u_encoder", "u"), ("u", "u_decoder"), ("c", "u_decoder"), ("u_decoder", "p_z"),
    ("z", "decoder"), ("s", "decoder"), ("decoder", "x_out"), ("theta", "x_out"),
    ("library", "x_out"),
]  # fmt: skip
_SIDES: dict[Edge, Sides] = {
    ("z", "classifier"): ((0.5, 1), (0.5, 0)), ("c", "u_encoder"): ((0.25, 0), (0.5, 1)),
    ("c", "u_decoder"): ((1, 0.5), (0.5, 1)), ("z", "decoder"): ((0.7, 0), (0, 0.8)),
    ("theta", "x_out"): ((1, 0.5), (0.3, 1)),
    ("library", "x_out"): ((0.5, 0), (0.8, 1)),
}  # fmt: skip


def model_graph() -> tuple[Figure, str]:
    """scANVI with the code's names; heavy: what scVI does not have."""
    new = ("classifier", "c", "u_encoder", "u", "u_decoder", "p_z")
    fig, ax = empty_panel(14, 5.4)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    boxes_and_arrows(ax, _BOXES, _EDGES, _SIDES, heavy=new)
    ax.text(0.012, 0.93, "heavy: not in scVI", fontsize=12.5, weight="bold")
    ax.text(0.012, 0.035, "blue: networks\norange: latent", fontsize=12.5, va="bottom", linespacing=1.4)
    return fig, (
        "scANVI as a graph. As in scVI: log1p(x), the z encoder, a draw of z from q(z∣x), and the decoder of z and the "
        "batch s, which with θ and ℓ, the total of x, gives x ∼ NB(ℓρ, θ). New: the classifier of z weighs every label "
        "c, unless the label is known; the u encoder of z and c gives u; the u decoder of u and c gives p(z∣u, c), "
        "which scores z."
    )


# -------------------------------------------------------------------------------------------------- two latent spaces


def two_spaces(pictures: Mapping[str, ArrayLike], kinds: ArrayLike, told: str) -> tuple[Figure, str]:
    """The same cells in latent spaces, title → (N, 2), coloured by kind."""
    fig, axes = plt.subplots(1, len(pictures), figsize=(12.5, 4.4), squeeze=False)
    for ax, (title, xy) in zip(axes[0], pictures.items(), strict=True):
        scatter_kinds(ax, xy, kinds, size=22)
        ax.set(xlabel="direction 1 of z that tells types apart", ylabel="direction 2")
        finding(ax, title)
    key_of_kinds(axes[0, -1], kinds)
    return fig, f"{len(np.asarray(kinds)):,} labelled cells in two latent spaces. {told}."


# --------------------------------------------------------------------------------------------------- the entropy term


def entropy_term(log_bounds: Sequence[float], labels: Sequence[str]) -> tuple[Figure, str]:
    """The bound of a cell of which two labels are in question, against q(first), with and without the entropy of q.

    Parameters
    ----------
    log_bounds : (2,) the bound on log p(x, c) for each label, nats.
    """
    first, second = log_bounds
    q = np.linspace(0, 1, 501)
    expected = q * first + (1 - q) * second
    inside = np.clip(q, 1e-300, 1), np.clip(1 - q, 1e-300, 1)
    with_entropy = expected - (q * np.log(inside[0]) + (1 - q) * np.log(inside[1]))
    fig, ax = plt.subplots(figsize=(9.5, 4.6))
    best = {}
    for name, values, colour, style in (
        ("with entropy", with_entropy, COLOUR["model"], "-"), ("without", expected, COLOUR["wrong"], "--")
    ):  # fmt: skip
        best[name] = q[values.argmax()]
        ax.plot(q, values, style, color=colour, label=name)
        ax.plot(best[name], values.max(), "o", color=colour, ms=10)
    ax.axvline(softmax(list(log_bounds))[0], color=COLOUR["truth"], ls=":", lw=1.6)
    ax.text(softmax(list(log_bounds))[0] - 0.015, 0.04, "Bayes' rule", transform=ax.get_xaxis_transform(), ha="right")
    ax.set(xlabel=f"q(c∣z) of {labels[0]}; the rest is {labels[1]}", ylabel="bound, nats", xlim=(0, 1.01))
    finding(ax, "With the entropy the best q is Bayes' rule; without it q is sure")
    label_lines(ax)
    return fig, (
        f"Bound of one cell against q(c∣z) of {labels[0]}, whose bound is {first - second:+.2f} nats from that of "
        f"{labels[1]}. With the entropy the top is at {best['with entropy']:.2f}, Bayes' rule; without it at "
        f"{best['without']:.2f}."
    )


# ---------------------------------------------------------------------------------------------------- double softmax


def double_softmax(n_labels: int) -> tuple[Figure, str]:
    """Loss and slope of one labelled cell against its true label's logit, others 0: softmax once, and twice."""
    logit = np.linspace(-10, 10, 401)
    logits = np.zeros((len(logit), n_labels))  # (K, C), the true label first
    logits[:, 0] = logit
    once = -log_softmax(logits, axis=1)[:, 0]
    twice = -log_softmax(softmax(logits, axis=1), axis=1)[:, 0]
    fig, (left, right) = plt.subplots(1, 2, figsize=(12.5, 4.6))
    curves = (("once", once, COLOUR["model"], "-"), ("twice", twice, COLOUR["wrong"], "--"))
    for name, loss, colour, style in curves:
        left.plot(logit, loss, style, color=colour, label=name)
        right.plot(logit, -np.gradient(loss, logit), style, color=colour, label=name)
    left.set(xlabel="logit of the true label (others 0)", ylabel="−log q(c∣z), nats", ylim=(0, None))
    right.set(xlabel="logit of the true label (others 0)", ylabel="pull on that logit", ylim=(-0.02, 1.05))
    finding(left, "Twice: no loss below a floor, hardly any above it")
    finding(right, "Twice: no pull on the cell that is wrong")
    label_lines(left)
    label_lines(right)
    slope = np.gradient(twice, logit)
    return fig, (
        f"Classification loss of one cell among {n_labels} labels, against the logit of its true label. Softmax once: "
        f"{once[0]:.1f} to {once[-1]:.1f} nats; twice: {twice[0]:.2f} to {twice[-1]:.2f}. The pull at a logit of "
        f"{logit[0]:.0f} is {-np.gradient(once, logit)[0]:.2f} once and {-slope[0]:.4f} twice, where the largest is "
        f"{-slope.min():.2f}."
    )


# ------------------------------------------------------------------------------------------------------------ rivals


def compared(
    table: pd.DataFrame, titles: Mapping[str, str], methods: Sequence[str], live: Mapping[str, Mapping[str, float]]
) -> tuple[Figure, str]:
    """A panel for each data set: accuracy (filled) and balanced accuracy (open), a mark for each seed, a bar: mean.

    Parameters
    ----------
    table : columns ``seed``, ``data``, ``method``, ``measure``, ``value``.   titles : data set → what its panel shows.
    live : data set → measure → what this notebook's own run of ``scanvi`` reached.
    """
    rows = -(-len(titles) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(12.5, (0.55 * len(methods) + 1.6) * rows), sharey=True, squeeze=False)
    told = []
    for ax, (data, title) in zip(axes.flat, titles.items(), strict=False):
        for place, method in enumerate(methods):
            means = []
            for measure, shift, filled in (("accuracy", -0.17, True), ("balanced_accuracy", 0.17, False)):
                chosen = (table["data"] == data) & (table["method"] == method) & (table["measure"] == measure)
                values, colour = table.loc[chosen, "value"].to_numpy(), METHOD_COLOUR[method]
                ax.plot(
                    values, np.full(len(values), place + shift), METHOD_MARK[method], color=colour, ms=7, alpha=0.75,
                    mfc=colour if filled else "none",
                )  # fmt: skip
                ax.plot([values.mean()] * 2, [place + shift - 0.16, place + shift + 0.16], color=colour, lw=3)
                means.append(values.mean())
                if method == "scanvi" and data in live:
                    ax.plot(live[data][measure], place + shift, "x", color=COLOUR["truth"], ms=11, mew=2.4, zorder=4)
            told.append(f"{data}, {METHOD_NAME[method]} {means[0]:.2f} ({means[1]:.2f})")
        ax.set(ylim=(len(methods) - 0.5, -0.5))
        ax.set_yticks(range(len(methods)), [METHOD_NAME[method] for method in methods])
        ax.grid(axis="x")
        ax.margins(x=0.08)
        finding(ax, title)
    for ax in axes.flat[len(titles) :]:
        ax.set_visible(False)
    cross = ";  cross: this notebook's run" if live else ""
    fig.supxlabel(f"share of hidden cells named rightly: filled, of all;  open, mean over types{cross}", fontsize=12.5)
    return fig, "Accuracy (balanced accuracy), mean over seeds: " + "; ".join(told) + "."


def worth(table: pd.DataFrame, shares: Mapping[str, float], methods: Sequence[str]) -> tuple[Figure, str]:
    """Accuracy and balanced accuracy against the share of labels that were kept.

    Parameters
    ----------
    table : as in ``compared``.   shares : data set → share of labels kept, in per cent.
    """
    fig, axes = plt.subplots(1, 2, figsize=(12.5, 4.7), sharey=True)
    told = []
    for ax, measure, words in zip(
        axes, ("accuracy", "balanced_accuracy"), ("accuracy", "balanced accuracy"), strict=True
    ):
        for method in methods:
            chosen = table[(table["method"] == method) & (table["measure"] == measure)]
            chosen = chosen[chosen["data"].isin(list(shares))]
            x, colour = chosen["data"].map(dict(shares)), METHOD_COLOUR[method]
            means = chosen.groupby(x)["value"].mean()
            ax.plot(x, chosen["value"], METHOD_MARK[method], color=colour, ms=6, alpha=0.5)
            ax.plot(means.index, means, METHOD_LINE[method], color=colour, label=METHOD_NAME[method])
            told.append(
                f"{words}, {METHOD_NAME[method]}: "
                + ", ".join(f"{value:.2f} at {share:g} %" for share, value in means.items())
            )
        ax.set(xscale="log", xlabel="labels kept, % of each type", ylabel=f"{words} on hidden cells")
        ax.set_xticks(sorted(shares.values()), [f"{share:g}" for share in sorted(shares.values())])
        ax.minorticks_off()
        ax.grid(axis="y")
    label_lines(axes[1], gap=0.03)
    finding(axes[0], "All cells alike")
    finding(axes[1], "All types alike")
    return fig, "What labels are worth, means over seeds. " + "; ".join(told) + "."


def types_found(of_types: pd.DataFrame, titles: Mapping[str, str], methods: Sequence[str]) -> tuple[Figure, str]:
    """Share of each type's hidden cells that get its name, mean over seeds and every seed; rarest type on top.

    Parameters
    ----------
    of_types : columns ``seed``, ``data``, ``method``, ``type``, ``kept``, ``recall``.
    titles : data set → what its panel shows.
    """
    fig, axes = plt.subplots(1, len(titles), figsize=(13, 5.4), sharey=True, squeeze=False)
    told = []
    first = of_types[of_types["data"] == next(iter(titles))]
    order = first.groupby("type")["kept"].mean().sort_values(kind="stable").index  # panels share the axis: one order
    for ax, (data, title) in zip(axes[0], titles.items(), strict=True):
        rows = of_types[of_types["data"] == data]
        kept = rows.groupby("type")["kept"].mean()[order]
        for method, shift in zip(methods, np.linspace(-0.25, 0.25, len(methods)), strict=True):
            chosen, colour = rows[rows["method"] == method], METHOD_COLOUR[method]
            place = {name: i + shift for i, name in enumerate(kept.index)}
            means = chosen.groupby("type")["recall"].mean()
            ax.plot(chosen["recall"], chosen["type"].map(place), METHOD_MARK[method], color=colour, ms=4, alpha=0.35)
            ax.plot(
                means, [place[name] for name in means.index], METHOD_MARK[method], color=colour, ms=9,
                label=METHOD_NAME[method],
            )  # fmt: skip
            rarest = ", ".join(f"{name} {means[name]:.2f}" for name in kept.index[:2])
            told.append(f"{data}, {METHOD_NAME[method]}: {rarest}")
        ax.set_yticks(range(len(kept)), kept.index)
        ax.set(ylim=(len(kept) - 0.5, -0.5), xlim=(-0.04, 1.04), xlabel="share of its hidden cells found")
        for row, count in enumerate(kept):
            ax.text(1.06, row, f"{count:.0f}", va="center", color=COLOUR["reference"], clip_on=False)
        ax.text(1.06, -0.75, "labels", va="center", color=COLOUR["reference"], clip_on=False, fontsize=11)
        ax.grid(axis="both")
        finding(ax, title)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods))
    return fig, "Cells found of the two types with fewest labels, means over seeds. " + "; ".join(told) + "."


# ------------------------------------------------------------------------------------------------------- calibration


def reliability_curves(bins: pd.DataFrame, methods: Sequence[str]) -> tuple[Figure, str]:
    """Left how often a forecast of so much confidence came true; right how many cells got one. Pooled over seeds.

    Parameters
    ----------
    bins : columns ``method``, ``lower``, ``upper``, ``confidence``, ``accuracy``, ``n``, rows of several seeds.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(12.5, 4.9))
    left.plot([0, 1], [0, 1], color=COLOUR["truth"], lw=1.2, ls=":")
    told = []
    for method in methods:
        pooled = pool(bins[bins["method"] == method])
        colour, middle = METHOD_COLOUR[method], (pooled["lower"] + pooled["upper"]) / 2
        seen = pooled[pooled["n"] >= 20]  # fewer say nothing
        style, mark = METHOD_LINE[method], METHOD_MARK[method]
        left.plot(seen["confidence"], seen["accuracy"], style, color=colour, marker=mark, ms=7)
        right.plot(
            middle, pooled["n"] / pooled["n"].sum(), style, color=colour, marker=mark, ms=7, label=METHOD_NAME[method]
        )
        gap = float((pooled["n"] * (pooled["accuracy"] - pooled["confidence"])).sum() / pooled["n"].sum())
        told.append(f"{METHOD_NAME[method]}: accuracy − confidence {gap:+.3f}")
        n_cells = int(pooled["n"].sum())  # the same of every method
    left.set(xlabel="probability of the name given", ylabel="share of such names that are right")
    left.set(xlim=(0.08, 1.02), ylim=(0.0, 1.04))
    left.text(0.62, 0.12, "below the dotted line:\ntoo sure", color=COLOUR["reference"])
    right.set(
        xlabel="probability of the name given", ylabel="share of the hidden cells", yscale="log", xlim=(0.08, 1.02)
    )
    right.legend(loc="lower right")
    finding(left, "Do forecasts come true?")
    finding(right, "How sure is each?")
    return fig, f"Reliability over {n_cells:,} forecasts. " + "; ".join(told) + "."


def pool(bins: pd.DataFrame) -> pd.DataFrame:
    """One reliability table of several: means weighted by cells."""
    weighed = bins.assign(confidence=bins["confidence"] * bins["n"], accuracy=bins["accuracy"] * bins["n"])
    total = weighed.groupby(["lower", "upper"])[["confidence", "accuracy", "n"]].sum().reset_index()
    return total.assign(confidence=total["confidence"] / total["n"], accuracy=total["accuracy"] / total["n"])


# ------------------------------------------------------------------------------------------------------- the ceiling


def ceiling(ours: ArrayLike, exact: ArrayLike, truth: ArrayLike, below: str) -> tuple[Figure, str]:
    """Each cell's probability of its true type: the model's against Bayes' rule under the true parameters.

    Parameters
    ----------
    ours, exact : (N, C) probabilities.   truth : (N,) codes of the true types.   below : what the title says of them.
    """
    codes = np.asarray(truth, dtype=np.intp)  # (N,)
    cells = np.arange(len(codes))
    x, y = np.asarray(exact)[cells, codes], np.asarray(ours)[cells, codes]
    fig, ax = plt.subplots(figsize=(9.5, 5.2))
    ax.plot([0, 1], [0, 1], color=COLOUR["truth"], lw=1.2, ls=":")
    kinds = (("both right", lambda a, b: a & b, COLOUR["reference"], "o"),
             ("only Bayes' rule right", lambda a, b: a & ~b, COLOUR["wrong"], "v"),
             ("only the model right", lambda a, b: ~a & b, COLOUR["highlight"], "^"),
             ("both wrong", lambda a, b: ~a & ~b, COLOUR["truth"], "x"))  # fmt: skip
    right = [np.asarray(table).argmax(1) == codes for table in (exact, ours)]
    told = []
    for name, of, colour, mark in kinds:
        chosen = of(*right)
        ax.plot(x[chosen], y[chosen], mark, color=colour, ms=5, alpha=0.55, label=f"{name}: {chosen.sum()}")
        told.append(f"{name} {chosen.sum()}")
    ax.set(xlabel="probability of the true type by Bayes' rule, true parameters", ylabel="… by the model")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.1, markerscale=1.6)
    finding(ax, below)
    return fig, f"{len(cells):,} hidden cells: {', '.join(told)}. {below}."
