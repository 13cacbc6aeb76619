"""The pictures of notebook 05. Every function takes what was measured and returns a figure and its alternative text.

Axes: N cells, G genes, L latent dimensions.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from course_lib.analysis.counting_noise import CountMoments
from course_lib.data.promoter import Trace
from course_lib.figures.cell_types import key_of_kinds, scatter_kinds
from course_lib.figures.graphs import Box, Edge, Sides, boxes_and_arrows, empty_panel
from course_lib.figures.style import BLACK, COLOUR, GREY, finding, label_lines

COMMON = 0.5  # a gene is called common from this mean count on
LIKELIHOODS = {"poisson": ("Poisson", COLOUR["other"]), "nb": ("NB", COLOUR["model"])}  # name, colour


def logged_shares(shares: np.ndarray, expected: Mapping[int, np.ndarray], target: np.ndarray) -> tuple[Figure, str]:
    """Expected log1p of counts per 10,000 against the true share, one line for each library size."""
    fig, ax = plt.subplots()
    ax.plot(shares, target, color=BLACK, ls="--", label="log(1 + 10⁴ρ)")
    for (size, mean), colour in zip(expected.items(), (COLOUR["wrong"], COLOUR["other"], COLOUR["model"]), strict=True):
        ax.plot(shares, mean, color=colour, label=f"ℓ = {size:,}")
    ax.set_xscale("log")
    ax.set(xlabel="true share ρ of the gene (log scale)", ylabel="expected log1p of counts per 10⁴")
    finding(ax, "The same share gets another value in a shallow cell")
    label_lines(ax)
    at = int(np.argmin(np.abs(np.log(shares / 1e-4))))
    told = ", ".join(f"{mean[at]:.2f} at ℓ = {size:,}" for size, mean in expected.items())
    return fig, (
        f"Expected log1p value against the true share, three library sizes. At a share of one in ten thousand it is "
        f"{told}, where log(1 + 10⁴ρ) is {target[at]:.2f}."
    )


def bursts(
    trace: Trace, promoter: tuple[float, float, float], simulated: np.ndarray, exact: np.ndarray, limit: np.ndarray
) -> tuple[Figure, str]:
    """Left: one cell over time, its promoter and its mRNA. Right: counts of many cells, and the NB that they tend to.

    Parameters
    ----------
    trace : one cell.   promoter : k_on, k_off, r.
    simulated, exact, limit : (K,) probabilities of the counts 0 … K − 1: cells, formula, NB.
    """
    k_on, k_off, rate = promoter
    fig, ((upper, right), (lower, _)) = plt.subplots(
        2, 2, figsize=(11.6, 5.4), sharex="col", height_ratios=(1.3, 5), width_ratios=(1.35, 1)
    )
    _.remove()
    right.set_subplotspec(right.get_gridspec()[:, 1])
    right.tick_params(labelbottom=True)
    upper.fill_between(trace.time, trace.on, step="post", color=COLOUR["highlight"], lw=0.6, ec=COLOUR["highlight"])
    upper.set_yticks([0, 1], ["off", "on"])
    upper.set(ylim=(-0.05, 1.1))
    lower.step(trace.time, trace.mrna, where="post", color=COLOUR["model"], lw=1.4)
    lower.set(xlabel="time, lifetimes of the mRNA", ylabel="molecules of mRNA", ylim=(0, None))
    lower.yaxis.set_major_locator(MaxNLocator(integer=True))
    upper.set_ylabel("promoter")
    lower.set_xlim(trace.time[0], trace.time[-1])
    finding(upper, f"{k_on:g} bursts per lifetime of the mRNA")
    x = np.arange(len(exact))
    right.bar(x, simulated, color=GREY, alpha=0.45, width=0.8, label="simulated cells")
    right.plot(x, exact, "o", color=COLOUR["model"], ms=5, label="Beta–Poisson, exact")
    right.plot(x, limit, color=COLOUR["other"], lw=1.8, label=f"NB, θ = k_on = {k_on:g}")
    right.set(xlabel="molecules of mRNA in a cell", ylabel="probability", ylim=(0, None))
    right.legend(loc="upper right")
    apart, switched_on = np.abs(exact - limit).max(), int((np.diff(trace.on.astype(int)) == 1).sum())
    finding(right, f"Bursts of {rate / k_off:g} make nearly an NB")
    return fig, (
        f"Left: promoter and mRNA of one cell over {trace.time[-1]:.0f} lifetimes; on {switched_on} times, up to "
        f"{trace.mrna.max()} molecules. Right: counts with k_on = {k_on:g}, k_off = {k_off:g}, r = {rate:g}: formula "
        f"and NB with θ = {k_on:g} differ by at most {apart:.4f}; a zero has {exact[0]:.3f} and {limit[0]:.3f}."
    )


def shrunk_residual(
    x: np.ndarray, mu: float, slopes: Mapping[float, np.ndarray], means: np.ndarray
) -> tuple[Figure, str]:
    """Left: ∂ log NB/∂ log μ against x − μ, dots as computed on lines of slope θ/(θ+μ). Right: that slope against μ.

    Parameters
    ----------
    x : (K,) counts.   mu : μ of the left panel.   slopes : θ → (K,), ∞ for the Poisson.   means : (M,) for the right.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.6, 4.8))
    colours = (COLOUR["model"], COLOUR["other"], COLOUR["highlight"], COLOUR["pca"])
    told = []
    for (theta, values), colour in zip(slopes.items(), colours, strict=False):
        name = "Poisson" if np.isinf(theta) else f"θ = {theta:g}"
        colour = BLACK if np.isinf(theta) else colour
        left.plot(x - mu, _kept(theta, mu) * (x - mu), color=colour, lw=1.4, label=name)
        left.plot(x - mu, values, "o", color=colour, ms=4, label="_")
        right.plot(means, [_kept(theta, mean) for mean in means], color=colour, label=name)
        if np.isinf(theta):
            right.text(means[-1], 0.96, name, color=colour, ha="right", va="top")
        else:  # half of the residual is left where μ = θ
            right.text(1.2 * theta, 0.5, name, color=colour, va="center")
        told.append(f"{name}: {values[-1]:.1f}, {_kept(theta, mu):.2f} of it")
    left.axhline(0, color=GREY, lw=1)
    left.axvline(0, color=GREY, lw=1)
    left.set(xlabel=f"residual x − μ, at μ = {mu:g}", ylabel="∂ log NB / ∂ log μ")
    right.axvline(mu, color=GREY, lw=1.2, ls=":")
    right.set(xscale="log", xlabel="mean μ (log scale)", ylabel="share of the residual, θ/(θ+μ)", ylim=(0, 1.05))
    finding(left, "Overdispersion shrinks the residual")
    finding(right, "and the more, the more μ exceeds θ")
    label_lines(left, gap=0.03)
    return fig, (
        f"Left: slope of log NB in log μ against the residual at μ = {mu:g}, lines through zero. At a "
        f"residual of {x[-1] - mu:g}, {'; '.join(told)}. Right: the share θ/(θ+μ) falls from one as μ passes θ."
    )


def _kept(theta: float, mu: float) -> float:
    """θ/(θ+μ): what is left of the residual."""
    return 1 / (1 + mu / theta)


# ---------------------------------------------------------------------------------------------- the model as a graph

_BOXES: dict[str, Box] = {
    "x": (0.085, 0.57, "$x$", "data"),
    "log": (0.185, 0.57, "log1p(x)", "data"),
    "encoder": (0.315, 0.57, "encoder\nweights φ", "trunk"),
    "z": (0.455, 0.57, "$z \\sim q(z|x)$", "draw"),
    "decoder": (0.59, 0.57, "decoder\n.trunk", "trunk"),
    "rho": (0.73, 0.57, "ρ = softmax\n.to_rho", "head"),
    "library": (0.085, 0.17, "$ℓ = Σ_g\\,x_g$\nobserved", "data"),
    "mu": (0.73, 0.17, "μ = ℓ ρ", "head"),
    "theta": (0.90, 0.57, "$θ_g$\n.log_theta", "parameter"),
    "out": (0.90, 0.17, "x ∼ NB(μ, θ)", "data"),
}
_EDGES: list[Edge] = [
    ("x", "log"), ("log", "encoder"), ("encoder", "z"), ("z", "decoder"), ("decoder", "rho"), ("x", "library"),
    ("library", "mu"), ("rho", "mu"), ("mu", "out"), ("theta", "out"),
]  # fmt: skip
_SIDES: dict[Edge, Sides] = {
    ("x", "library"): ((0.5, 0), (0.5, 1)),
    ("rho", "mu"): ((0.5, 0), (0.5, 1)),
    ("theta", "out"): ((0.5, 0), (0.5, 1)),
}
_NOT_IN_THE_VAE = ("log", "rho", "library", "mu", "theta", "out")


def model_as_a_graph() -> tuple[Figure, str]:
    """Simplified scVI with the code's names; heavy boxes are what the VAE of notebook 04 does not have."""
    fig, ax = empty_panel(11.6, 4.4)
    boxes_and_arrows(ax, _BOXES, _EDGES, _SIDES, heavy=_NOT_IN_THE_VAE, fontsize=14)
    ax.text(0.03, 0.93, "heavy: not in the VAE", fontsize=13.5, weight="bold", va="center")
    key = "black: data   grey: hidden layers   blue: computed   orange: draw   purple: parameter"
    ax.text(0.03, 0.855, key, fontsize=13.5, va="center")
    return fig, (
        "Simplified scVI as a graph. x becomes log1p(x) and enters the encoder, which gives q(z∣x); a draw of z enters "
        "the decoder, whose softmax gives ρ. The library size ℓ is the observed total of x; μ = ℓρ and the parameter θ "
        "of each gene give the NB of x. New against the VAE: log1p, ℓ, ρ, μ, θ and the NB."
    )


# -------------------------------------------------------------------------------------------------------- it is trained


def loss_terms(history: pd.DataFrame, kept: int) -> tuple[Figure, str]:
    """Reconstruction and KL over the epochs, training and validation, in panels of their own; the epoch kept."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.5))
    epochs = history.index.to_numpy()
    for ax, term, label in ((left, "reconstruction", "−E[log p(x∣z, ℓ)]"), (right, "kl_z", "KL(q(z∣x) ‖ p(z))")):
        ax.plot(epochs, history[f"train_{term}"], color=COLOUR["model"], label="training")
        ax.plot(epochs, history[f"validation_{term}"], color=COLOUR["other"], label="validation")
        ax.axvline(kept, color=GREY, ls=":", lw=1.5)
        ax.set(xlabel="epoch", ylabel=f"{label}, nats per cell")
        ax.margins(x=0.01)
    first, last = (history["validation_reconstruction"].iloc[i] for i in (0, -1))
    left.set_ylim(history["train_reconstruction"].min() - 0.05 * (first - last), first + 0.05 * (first - last))
    left.text(kept, left.get_ylim()[1], "kept ", color=GREY, ha="right", va="top")
    finding(left, "Validation levels off")
    finding(right, "The KL falls first, then rises")
    label_lines(left)
    label_lines(right)
    end, start, least = history.loc[kept], history.iloc[0], history["train_kl_z"].min()
    return fig, (
        f"Two panels over {len(epochs)} epochs. Reconstruction: validation from {first:,.0f} to {last:,.0f} nats, "
        f"training ends lower. Training KL: {start['train_kl_z']:.1f} in the first epoch, at least {least:.1f}, and "
        f"{end['train_kl_z']:.1f} at epoch {kept}, which validation keeps."
    )


def latent_space(
    pictures: Mapping[str, np.ndarray], labels: np.ndarray, accuracy: Mapping[str, float]
) -> tuple[Figure, str]:
    """The first two principal components of each space, coloured by cell type, side by side.

    Parameters
    ----------
    pictures : name of the space → (N, 2).   labels : (N,).   accuracy : of labels named by neighbours in that space.
    """
    fig, axes = plt.subplots(1, len(pictures), figsize=(12.5, 4.8))
    for ax, (name, points) in zip(axes, pictures.items(), strict=True):
        scatter_kinds(ax, points, labels)
        ax.set(xticks=[], yticks=[], xlabel="principal component 1", ylabel="principal component 2")
        finding(ax, f"{name}: neighbours name {accuracy[name]:.3f} of held-out cells rightly")
    key_of_kinds(axes[-1], labels)
    told = ", ".join(f"{name} {score:.3f}" for name, score in accuracy.items())
    return fig, (
        f"First two principal components of {' and of '.join(pictures)}, {len(labels):,} cells coloured by "
        f"{len(np.unique(labels))} types, most of them in clouds of their own. Held-out cells named rightly: {told}."
    )


def mean_variance(data: CountMoments, replicas: Mapping[str, CountMoments]) -> tuple[Figure, str]:
    """Variance over mean against the mean, a dot for each gene: the data, and each model's replica on top of it.

    The titles tell the median ratio of variances over the common genes.
    """
    fig, axes = plt.subplots(1, len(replicas), figsize=(11.5, 4.6), sharex=True, sharey=True)
    told = []
    high = data.mean >= COMMON
    for ax, (key, made) in zip(axes, replicas.items(), strict=True):
        name, colour = LIKELIHOODS[key]
        for part, shade, label in ((data, GREY, "data"), (made, colour, f"{name} replica")):
            seen = part.mean > 0
            y = part.variance[seen] / part.mean[seen]
            ax.scatter(part.mean[seen], y, s=8, color=shade, alpha=0.6, rasterized=True, label=label)
        ax.axhline(1, color=BLACK, lw=1.2, ls="--")
        ax.set(xscale="log", yscale="log", xlabel="mean count (log scale)")
        ax.legend(loc="upper left", markerscale=2.5, handletextpad=0.2)
        ratio = np.median(made.variance[high] / data.variance[high])
        told.append(f"{name} {ratio:.2f}")
        finding(ax, f"{name}: common genes get {ratio:.2f} of their variance")
    axes[0].set_ylabel("variance ÷ mean (log scale)")
    return fig, (
        f"Variance over mean against mean, genes of held-out cells beside model replicas. Median ratio of replicated "
        f"to real variance for the {high.sum()} genes with mean above one half: {', '.join(told)}."
    )


def zeros(data: CountMoments, replicas: Mapping[str, CountMoments], odd: np.ndarray) -> tuple[Figure, str]:
    """Zero fraction of the replica minus that of the data, against the mean count, a dot for each gene.

    The titles tell the gap over the common genes, and over all entries: each gene counts as much as any other there.

    Parameters
    ----------
    odd : (G,) genes of which one or two cells hold far more than any other.
    """
    fig, axes = plt.subplots(1, len(replicas), figsize=(11.5, 4.8), sharex=True, sharey=True)
    mean, told = data.mean, []
    for ax, (key, made) in zip(axes, replicas.items(), strict=True):
        name, colour = LIKELIHOODS[key]
        gap = made.zero_fraction - data.zero_fraction
        for mask, shade, label in ((odd, GREY, "odd genes"), (~odd, colour, "all others")):
            ax.scatter(mean[mask], gap[mask], s=8, color=shade, alpha=0.6, rasterized=True, label=label)
        ax.axhline(0, color=BLACK, lw=1.2, ls="--")
        ax.set(xscale="log", xlabel="mean count (log scale)")
        ax.axvspan(COMMON, 1.5 * mean.max(), color=GREY, alpha=0.12, lw=0)
        ax.text(0.98, 0.02, "common genes", transform=ax.transAxes, ha="right", va="bottom", fontsize=11)
        ax.legend(loc="upper left", markerscale=2.5, handletextpad=0.2)
        common, overall = gap[mean >= COMMON].mean(), gap.mean()
        told.append(f"{name} {common:+.3f} and {overall:+.4f}")
        few = "few" if common < 0 else "many"
        finding(ax, f"{name}: too {few} zeros in common genes, {common:+.3f}; overall {overall:+.4f}".replace("-", "−"))
    axes[0].set_ylabel("zero fraction:\nreplica minus data")
    return fig, (
        "Zero fraction of replicas minus that of held-out data against mean count, genes scattered around zero. Mean "
        f"gap over the genes with mean above one half, and over all genes: {', '.join(told)}."
    )


def dispersions(mean: np.ndarray, theta: np.ndarray, names: Mapping[str, int]) -> tuple[Figure, str]:
    """Learned θ_g against the mean count, a dot for each gene, some named; the dashed line is where training began."""
    fig, ax = plt.subplots()
    common = mean >= COMMON
    for mask, colour, label in ((~common, COLOUR["data"], "rarer genes"), (common, COLOUR["model"], "common genes")):
        ax.scatter(mean[mask], theta[mask], s=10, color=colour, alpha=0.6, rasterized=True, label=label)
    ax.axhline(1, color=BLACK, lw=1.2, ls="--")
    ax.set(xscale="log", yscale="log", xlabel="mean count (log scale)", ylabel="learned θ (log scale)")
    ax.set_yticks([0.5, 1, 2, 3], ["0.5", "1", "2", "3"])
    ax.minorticks_off()
    ax.text(mean[mean > 0].min(), 1.03, "start", va="bottom")
    for name, position in names.items():
        ax.annotate(name, (mean[position], theta[position]), xytext=(8, -4), textcoords="offset points", fontsize=11)
    ax.legend(loc="upper left", markerscale=2, handletextpad=0.2)
    finding(ax, "θ stays near its start in the rarest genes")
    return fig, (
        f"Learned θ against mean count. Common genes: median {np.median(theta[common]):.2f}, middle half "
        f"{np.quantile(theta[common], 0.25):.2f} to {np.quantile(theta[common], 0.75):.2f}. The others: median "
        f"{np.median(theta[~common]):.2f}; training began at one."
    )


def likelihood_differences(
    table: pd.DataFrame, live: Mapping[str, float], within: tuple[float, float], by_count: Mapping[str, float]
) -> tuple[Figure, str]:
    """Left: Poisson minus NB, nats per test cell, with 95 % intervals over cells. Right: which counts it comes from.

    Parameters
    ----------
    table : columns ``seed``, ``difference``, ``low``, ``high``.   live : the same three.
    within : where a new seed should fall.
    by_count : size of the count → its part of the difference, nats per cell.
    """
    fig, (ax, right) = plt.subplots(1, 2, figsize=(12, 4.6), width_ratios=(1.4, 1))
    rows = [(f"seed {int(r.seed)}", r.difference, r.low, r.high) for r in table.itertuples()]
    rows.append(("live", live["difference"], live["low"], live["high"]))
    for i, (name, difference, low, high) in enumerate(rows):
        colour = COLOUR["highlight"] if name == "live" else COLOUR["model"]
        ax.plot([low, high], [i, i], color=colour, lw=3)
        ax.plot(difference, i, "o", color=colour, ms=9)
    ax.axvspan(*within, color=GREY, alpha=0.15, lw=0)
    ax.axvline(0, color=BLACK, lw=1.2, ls="--")
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel="Poisson minus NB, nats per held-out cell")
    finding(ax, "Held-out cells prefer the NB, in every seed")
    bars = right.barh(range(len(by_count)), [*by_count.values()], color=COLOUR["highlight"], height=0.6)
    _signed(right, bars, by_count)
    right.axvline(0, color=BLACK, lw=1.2)
    right.set_yticks(range(len(by_count)), [*by_count])
    right.set(ylim=(len(by_count) - 0.4, -0.6), xlabel="part of it, nats per cell", ylabel="size of the count x")
    right.margins(x=0.25)
    finding(right, "and few, large counts decide")
    parts = ", ".join(f"x {size}: {part:+.1f}" for size, part in by_count.items())
    return fig, (
        f"Poisson minus NB on held-out cells, per cell, observed library: {table['difference'].min():.1f} to "
        f"{table['difference'].max():.1f} nats in {len(table)} seeds, live {live['difference']:.1f} "
        f"[{live['low']:.1f}, {live['high']:.1f}]. By size of the count, live: {parts}."
    )


def sources_of_difference(
    scores: Mapping[str, Mapping[str, float]], parts: Mapping[str, Mapping[str, float]]
) -> tuple[Figure, str]:
    """Which counts Poisson minus NB comes from, a panel for each data set, titled with the whole difference.

    Parameters
    ----------
    scores : data set → ``difference``, ``low``, ``high``, nats per held-out cell.
    parts : data set → size of the count → its part of the difference, nats per cell.
    """
    fig, axes = plt.subplots(1, len(scores), figsize=(11.8, 4.4), sharex=True, sharey=True)
    told = []
    for ax, (name, score), by_count in zip(axes, scores.items(), parts.values(), strict=True):
        bars = ax.barh(range(len(by_count)), [*by_count.values()], color=COLOUR["highlight"], height=0.6)
        _signed(ax, bars, by_count)
        ax.axvline(0, color=BLACK, lw=1.2)
        ax.set_yticks(range(len(by_count)), [*by_count])
        ax.set(ylim=(len(by_count) - 0.4, -0.6), xlabel="part of Poisson minus NB, nats per cell")
        ax.margins(x=0.25)
        whole = f"{score['difference']:.0f} [{score['low']:.0f}, {score['high']:.0f}]".replace("-", "−")
        finding(ax, f"{name}: {whole} nats per cell")
        share = ", ".join(f"x {size}: {part:+.1f}" for size, part in by_count.items())
        told.append(f"{name} {score['difference']:.1f} [{score['low']:.1f}, {score['high']:.1f}], by size {share}")
    axes[0].set_ylabel("size of the count x")
    return fig, f"Poisson minus NB on held-out cells, nats per cell, and which counts it comes from. {'; '.join(told)}."


def _signed(ax: Axes, bars: BarContainer, values: Mapping[str, float]) -> None:
    """Write the value at the end of each bar, with its sign."""
    ax.bar_label(bars, [f"{value:+.0f}".replace("-", "−") for value in values.values()], padding=4, fontsize=12)
