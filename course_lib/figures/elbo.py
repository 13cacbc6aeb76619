"""The pictures of notebook 03: the joint, the bound under any q, the two directions of the KL, training watched.

Every function takes what was computed and returns a finished figure with its alternative text. Densities and nats are
plain arrays or tensors; nothing is computed here but positions and what the text says about them.
Axes: K grid points of z, N cells.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyBboxPatch
from numpy.typing import ArrayLike

from course_lib.figures.graphs import Box, Edge, Sides, arrow, boxes_and_arrows, empty_panel
from course_lib.figures.style import BLUE, CATEGORIES, COLOUR, GREEN, ORANGE, finding, label_lines

Described = tuple[Figure, str]  # the figure, and its alternative text


def joint_and_slices(
    z: ArrayLike,
    x: ArrayLike,
    joint: ArrayLike,
    marginal: ArrayLike,
    samples: ArrayLike,
    observed: float,
    posterior: ArrayLike,
) -> Described:
    """p(x, z) as a map, its marginal p(x) at the side with draws from it, and one slice, p(z∣x), below.

    Parameters
    ----------
    z : (K,).   x : (M,).   joint : (M, K) densities.   marginal : (M,).   samples : draws of x.
    observed : the x of the slice.   posterior : (K,).
    """
    z, x, joint, posterior = (np.asarray(a) for a in (z, x, joint, posterior))
    peaks = np.flatnonzero((posterior[1:-1] > posterior[:-2]) & (posterior[1:-1] > posterior[2:])) + 1
    hills, ratio = z[peaks[[0, -1]]], posterior[peaks[-1]] / posterior[peaks[0]]
    fig, axes = plt.subplots(
        2, 2, figsize=(9.5, 6.6), sharex="col", sharey="row", height_ratios=(2.2, 1), width_ratios=(2.2, 1)
    )
    whole, side, below, empty = axes.ravel()
    empty.set_axis_off()
    side.tick_params(labelbottom=True)
    whole.contourf(z, x, np.sqrt(joint), 16, cmap="Blues")  # √: the arms are faint
    whole.text(-3.35, x.min() + 0.15, "darker: more √p(x, z)", size=11)
    whole.axhline(observed, color=COLOUR["highlight"])
    whole.text(3.4, observed + 0.12, f"observed x = {observed:g}", color=COLOUR["highlight"], ha="right", weight="bold")
    whole.set(xlim=(-3.5, 3.5), ylim=(x.min(), x.max()), ylabel="x, the measurement")
    finding(whole, "The joint p(x, z) holds everything: marginal and posterior are read off it")
    counts, edges = np.histogram(np.asarray(samples), bins=60, range=(x.min(), x.max()))
    heights = counts / (np.asarray(samples).size * np.diff(edges))  # a share of all draws, those outside the frame too
    side.stairs(heights, edges, orientation="horizontal", fill=True, color="#c9c9c9")
    side.plot(np.asarray(marginal), x, color=COLOUR["truth"])
    side.set(xlabel="density of x", ylim=(x.min(), x.max()))
    side.set_title("marginal p(x)\nand draws from it", fontsize=13)
    below.plot(z, posterior, color=COLOUR["highlight"])
    below.fill_between(z, posterior, color=COLOUR["highlight"], alpha=0.25)
    below.set(xlabel="z, the hidden state", ylabel="density of z")
    below.set_ylim(0, 1.15 * posterior.max())
    below.text(-3.3, 0.92 * posterior.max(), f"posterior p(z∣x = {observed:g})", color=COLOUR["highlight"], va="top")
    alt = (
        f"Map of the joint p(x, z), a parabola of density, with the marginal p(x) at its side, which a histogram of "
        f"{len(np.asarray(samples)):,} draws follows. The slice at x = {observed:g} below is the posterior: two hills, "
        f"at z = {hills[0]:.2f} and {hills[1]:.2f}, the right one {ratio:.1f} times as high."
    )
    return fig, alt


def bound_of_each_q(
    z: ArrayLike, posterior: ArrayLike, q: Mapping[str, ArrayLike], elbo: Sequence[float], log_px: float
) -> Described:
    """Left: densities of several q beside the posterior. Right: each ELBO, and the KL that fills up to log p(x).

    Parameters
    ----------
    z, posterior : (K,).   q : name → (K,) density.   elbo : one value for each q, in nats.   log_px : nats.
        The panel holds four to six nats: a longer bar leaves it on the left, and the others stay as they are.
    """
    z, lowest = np.asarray(z), min(max(min(elbo), log_px - 6), log_px - 4)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(1.1, 1))
    left.fill_between(z, np.asarray(posterior), color=COLOUR["highlight"], alpha=0.3)
    left.text(-0.25, 1.0, "posterior\np(z∣x)", color=COLOUR["highlight"], weight="bold", ha="center")
    palette = dict(zip(q, (BLUE, ORANGE, GREEN, COLOUR["highlight"]), strict=False))
    for name, density in q.items():
        left.plot(z, np.asarray(density), color=palette[name])
    left.set(xlim=(-3, 3), ylim=(0, None), xlabel="z", ylabel="density")
    finding(left, "Guesses q(z), and the posterior itself")
    for row, (name, value) in enumerate(zip(q, elbo, strict=True)):
        right.plot([value, log_px], [row, row], color=palette[name], lw=9, alpha=0.35, solid_capstyle="butt")
        right.plot(value, row, "o", color=palette[name], ms=10)
        text = f"{name}: KL = {abs(log_px - value):.2f}"
        right.text(lowest - 0.1, row - 0.3, text, color=palette[name], weight="bold")
    right.axvline(log_px, color=COLOUR["truth"])
    right.set(yticks=[], ylim=(len(q) - 0.6, -0.85), xlabel="nats; the dot is the ELBO, the line is log p(x)")
    right.set_xlim(lowest - 0.2, log_px + 0.25)
    right.spines["left"].set_visible(False)
    finding(right, "ELBO + KL ends at log p(x) for each of them")
    alt = (
        f"Densities of {len(q) - 1} guesses q beside a posterior with two hills, and for each q a bar from its ELBO to "
        f"log p(x) = {log_px:.2f} nats. Length of the bar, the KL: "
        + ", ".join(f"{name} {abs(log_px - value):.2f}" for name, value in zip(q, elbo, strict=True))
        + "."
    )
    return fig, alt


def landscape(
    mu: ArrayLike, sigma: ArrayLike, elbo: ArrayLike, summits: Sequence[tuple[float, float]], log_px: float
) -> Described:
    """The gap log p(x) − ELBO of every Gaussian q as a map over its μ and σ, with its best places marked.

    Parameters
    ----------
    mu : (A,).   sigma : (B,), drawn on a logarithmic axis.   elbo : (A, B).   summits : (μ, σ) pairs.
    """
    gap = log_px - np.asarray(elbo)
    fig, ax = plt.subplots(figsize=(9, 4.6))
    levels = [0.4, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20]
    filled = ax.contourf(np.asarray(mu), np.asarray(sigma), gap.T, levels, cmap="viridis_r", norm="log", extend="both")
    bar = fig.colorbar(filled, ax=ax, label="gap log p(x) − ELBO, nats")
    bar.set_ticks(levels, labels=[f"{level:g}" for level in levels])
    bar.minorticks_off()
    for k, (m, s) in enumerate(summits):
        ax.plot(m, s, "*", color="white", ms=20, mec="black", zorder=3)
        ax.annotate(
            "best of all" if k == 0 else "best on its side",
            (m, s),
            (0, -30),
            textcoords="offset points",
            ha="center",
            color="black",
            weight="bold",
            bbox={"fc": "white", "ec": "none", "alpha": 0.85, "pad": 2},
        )
    ax.set(yscale="log", xlabel="mean μ of q", ylabel="standard deviation σ of q")
    ax.set_yticks([0.1, 0.2, 0.5, 1], labels=["0.1", "0.2", "0.5", "1"])
    ax.minorticks_off()
    finding(ax, "Two summits: which one a climb reaches depends on where it starts")
    alt = (
        "Contour map of the gap over mean and standard deviation of q, with two summits: "
        + " and ".join(f"mean {m:.2f}, standard deviation {s:.2f}" for m, s in summits)
        + f". The smallest gap is {gap.min():.2f} nats."
    )
    return fig, alt


def two_directions(z: ArrayLike, p: ArrayLike, seeking: ArrayLike, covering: ArrayLike) -> Described:
    """A density p with two hills, and the Gaussians q nearest to it by KL(q ‖ p) and by KL(p ‖ q).  All (K,)."""
    fig, ax = plt.subplots()
    ax.fill_between(np.asarray(z), np.asarray(p), color=COLOUR["highlight"], alpha=0.3)
    ax.plot(np.asarray(z), np.asarray(seeking), color=COLOUR["model"])
    ax.plot(np.asarray(z), np.asarray(covering), color=COLOUR["other"])
    top = float(np.asarray(seeking).max())
    ax.text(1.75, 0.8 * top, "smallest KL(q ‖ p):\nfills one hill,\nmode-seeking", color=COLOUR["model"])
    ax.text(-3.9, 0.18 * top, "smallest KL(p ‖ q):\nspans both hills,\nmass-covering", color=COLOUR["other"])
    ax.text(-1.7, 0.36 * top, "p", color=COLOUR["highlight"], weight="bold", size=16)
    ax.set(xlim=(-4, 4), ylim=(0, 1.1 * top), xlabel="z", ylabel="density")
    finding(ax, "The direction of the KL decides what a good approximation is")
    alt = (
        "A density p with two hills. The Gaussian nearest by KL(q‖p) fills the hill at z = "
        f"{_peak(z, seeking):.2f}; the one nearest by KL(p‖q) spans both, has its mean at {_peak(z, covering):.2f} and "
        f"is {top / float(np.asarray(covering).max()):.1f} times lower."
    )
    return fig, alt


def _peak(z: ArrayLike, density: ArrayLike) -> float:
    return float(np.asarray(z)[np.argmax(np.asarray(density))])


def diagonal_gap(
    cosine: ArrayLike, formula: ArrayLike, measured: ArrayLike, full: ArrayLike, diagonal: ArrayLike
) -> Described:
    """Left: a correlated posterior and the best diagonal q. Right: the gap that stays, formula and computed.

    Parameters
    ----------
    cosine : (M,), of the angle between the two columns of W.   formula, measured : (M,) nats.
    full, diagonal : (2, 2) covariances of the posterior and of the best diagonal q.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.6), width_ratios=(1, 1.4))
    for covariance, colour in ((full, COLOUR["highlight"]), (diagonal, COLOUR["model"])):
        _ellipses(left, np.asarray(covariance), colour)
    reach = 2.6 * float(np.sqrt(np.asarray(full)[0, 0]))
    left.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="z₁ − mean", ylabel="z₂ − mean")
    left.text(-0.95 * reach, 0.82 * reach, "posterior", color=COLOUR["highlight"], weight="bold")
    left.text(0.95 * reach, 0.82 * reach, "best diagonal q", color=COLOUR["model"], weight="bold", ha="right")
    finding(left, "A diagonal q cannot tilt")
    right.plot(np.asarray(cosine), np.asarray(formula), color=COLOUR["truth"])
    right.plot(np.asarray(cosine), np.asarray(measured), "o", color=COLOUR["model"], ms=8)
    key = "line: the formula\ndots: log p(x) − ELBO\nof the best diagonal q"
    right.text(0.03, 0.76, key, transform=right.transAxes)
    right.set(xlabel="cosine between the columns of W", ylabel="gap, nats")
    right.set_ylim(bottom=-0.02)
    finding(right, "No gap when the columns are orthogonal, more the more they align")
    alt = (
        "A tilted posterior ellipse and the best diagonal q, a circle that is too narrow along the tilt. The gap rises "
        f"from {abs(np.asarray(measured)[0]):.3f} nats for orthogonal columns to {np.asarray(measured)[-1]:.2f} at "
        f"cosine {np.asarray(cosine)[-1]:.2f}; formula and computed dots agree."
    )
    return fig, alt


def _ellipses(ax: Axes, covariance: np.ndarray, colour: str) -> None:
    """The one and two standard deviation contours of a centred Gaussian."""
    variances, axes = np.linalg.eigh(covariance)
    angle = float(np.degrees(np.arctan2(axes[1, 0], axes[0, 0])))
    for radius in (1, 2):
        width, height = 2 * radius * np.sqrt(variances)
        ax.add_patch(Ellipse((0, 0), width, height, angle=angle, fill=False, ec=colour, lw=2.4))


def training_watched(history: pd.DataFrame, reference: float, sentence: str, name: str) -> Described:
    """log p(x) and the ELBO by epoch, and below them the distance between the two.

    Parameters
    ----------
    history : of a ``WithExactBound`` model, with validation_log_evidence, validation_elbo and validation_gap.
    reference, name : a level of log p(x) to compare with, and what it is.   sentence : the finding.
    """
    epoch, gap = history.index, history.validation_gap
    valley = gap.iloc[:8].idxmin()  # of the first epochs, before the decoder uses z
    turning = sorted({epoch[0], valley, gap.loc[valley:].idxmax(), epoch[-1]})
    fig, (upper, lower) = plt.subplots(2, 1, figsize=(9, 6.4), sharex=True, height_ratios=(1.5, 1))
    upper.plot(epoch, [reference] * len(epoch), color=COLOUR["reference"], ls=":", lw=1.8)
    upper.text(float(epoch.max()) / 2, reference + 0.15, name, color=COLOUR["reference"], ha="center", va="bottom")
    upper.plot(epoch, history.validation_log_evidence, color=COLOUR["truth"], label="log p(x)")
    upper.plot(epoch, history.validation_elbo, color=COLOUR["model"], label="ELBO")
    upper.fill_between(epoch, history.validation_elbo, history.validation_log_evidence, color=ORANGE, alpha=0.3, lw=0)
    upper.set(ylabel="nats per held-out cell", ylim=(max(-17, float(history.validation_elbo.min())), reference + 1.6))
    finding(upper, sentence)
    lower.plot(epoch, history.validation_gap, color=ORANGE)
    lower.fill_between(epoch, history.validation_gap, color=ORANGE, alpha=0.3, lw=0)
    ceiling = 1.35 * float(gap.iloc[2:].max())  # room for words above the curve
    lower.set(xlabel="epoch", ylabel="gap, nats", ylim=(0, ceiling))
    if gap.iloc[0] > ceiling:
        words = f"  ↑ epoch {epoch[0]}: {gap.iloc[0]:.1f}"
        lower.text(epoch[0] + 1, 0.98 * ceiling, words, color="#a36f00", va="top", weight="bold")
    for k in turning[1:-1] if len(turning) == 4 else []:  # a valley, and the hill behind it
        lower.plot(k, gap.loc[k], "o", color="#a36f00", ms=7)
        high = k != valley
        lower.annotate(f"epoch {k}: {gap.loc[k]:.2f}", (k, gap.loc[k]), (8, 4 if high else -4), color="#a36f00",
                       va="bottom" if high else "top", weight="bold", textcoords="offset points")  # fmt: skip
    label_lines(upper)
    fig.align_ylabels()
    log_px, elbo = history.validation_log_evidence, history.validation_elbo
    alt = (
        f"log p(x) and ELBO of held-out cells over {len(epoch)} epochs: log p(x) from {log_px.iloc[0]:.2f} to "
        f"{log_px.iloc[-1]:.2f}, with {name} at {reference:.2f}; ELBO from {elbo.iloc[0]:.2f} to {elbo.iloc[-1]:.2f}. "
        "Below, the gap at epochs " + ", ".join(f"{k}: {gap.loc[k]:.2f}" for k in turning) + " nats."
    )
    return fig, alt


def where_the_gap_sits(x: ArrayLike, gap: ArrayLike, true_curve: ArrayLike, learned_curve: ArrayLike) -> Described:
    """Cells in the plane coloured by their gap, with the curve they came from and the decoder's.

    Parameters
    ----------
    x : (N, 2).   gap : (N,) nats.   true_curve, learned_curve : (K, 2), means of x along z.
    """
    x, true_curve, learned_curve = np.asarray(x), np.asarray(true_curve), np.asarray(learned_curve)
    gap = np.asarray(gap)
    order = np.argsort(gap)  # the largest on top, where they are seen
    fig, ax = plt.subplots(figsize=(9, 5.6))
    ax.plot(*true_curve.T, color="#b5b5b5", lw=7, solid_capstyle="round", zorder=1)
    ax.plot(*learned_curve.T, color=COLOUR["truth"], lw=1.8, zorder=3)
    sizes = np.interp(gap[order], [0.1, 1, 10], [22, 40, 130])  # a large gap is seen without its colour, too
    points = ax.scatter(
        x[order, 0], x[order, 1], c=gap[order], s=sizes, cmap="viridis", norm="log", vmin=1e-3, zorder=2,
        edgecolors=["black" if value > 1 else "none" for value in gap[order]], linewidths=0.8,
    )  # fmt: skip
    fig.colorbar(points, ax=ax, label="gap, nats (colour and size of a cell)", extend="min")
    ax.text(0, 0.05, "grey: where the\ncells came from", color=COLOUR["reference"], ha="center", size=12)
    ax.text(0, -0.75, "black: the\ndecoder’s mean", color=COLOUR["truth"], ha="center", size=12)
    ax.set(xlabel="x₁", ylabel="x₂", aspect="equal")
    finding(ax, "The largest gaps sit where the two ends of the arc meet")
    alt = (
        f"{len(gap)} cells on a ring, coloured by their gap: small almost everywhere, median {np.median(gap):.3f} "
        f"nats, large at the bottom where the two ends of the arc meet, up to {gap.max():.1f} nats."
    )
    return fig, alt


def encoder_cannot_jump(x: ArrayLike, stages: Mapping[str, tuple[ArrayLike, ArrayLike, float, float]]) -> Described:
    """Where each cell's own q and the encoder's have their mean, along one measurement; a panel for each stage.

    Parameters
    ----------
    x : (N,) the measurement.   stages : name → (means of the own q (N,), means of the encoder's q (N,), mean gap with
        the own q, mean gap with the encoder's, both in nats).
    """
    x = np.asarray(x)
    order = np.argsort(x)
    fig, axes = plt.subplots(1, len(stages), figsize=(11, 4.9), sharey=True)
    jumps = []
    for ax, (name, (own, encoder, own_gap, encoder_gap)) in zip(axes, stages.items(), strict=True):
        own, encoder = np.asarray(own)[order], np.asarray(encoder)[order]
        jumps.append((name, np.abs(np.diff(own)).max(), np.abs(np.diff(encoder)).max(), own_gap, encoder_gap))
        ax.axhline(0, color="#d9d9d9", lw=1, zorder=0)
        ax.plot(x[order], encoder, "o-", color=COLOUR["other"], ms=6)
        ax.plot(x[order], own, "s", color=COLOUR["model"], ms=7)
        ax.set_xlabel("x₁ of a cell at the bottom of the ring")
        ax.text(0.03, 0.95, f"each cell’s own q:\nmean gap {own_gap:.2f} nats", color=COLOUR["model"], va="top",
                transform=ax.transAxes)  # fmt: skip
        ax.text(0.97, 0.05, f"the encoder’s q:\nmean gap {encoder_gap:.1f} nats", color="#a36f00", ha="right",
                transform=ax.transAxes)  # fmt: skip
        ax.set_title(name)
    low, high = axes[0].get_ylim()
    axes[0].set(ylabel="mean of q(z)", ylim=(low - 0.04 * (high - low), high + 0.16 * (high - low)))
    fig.suptitle("The best q jumps from one end of z to the other; the encoder must glide between", x=0.02, ha="left")
    alt = "Mean of q against x₁ for the cells at the bottom of the ring. " + " ".join(
        f"{name}: neighbours' own q lie up to {jump:.1f} apart (mean gap {own_gap:.2f} nats), the encoder's up to "
        f"{glide:.1f} ({encoder_gap:.1f} nats)."
        for name, jump, glide, own_gap, encoder_gap in jumps
    )
    return fig, alt


def _place_for_a_name(z: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Where the band between two curves holds a word, about 0.9 of z wide, with the most room above and below."""
    at = np.linspace(-2, 2, 81)
    near = [np.abs(z - centre) < 0.45 for centre in at]
    floor = np.array([low[k].max() for k in near])
    ceiling = np.array([high[k].min() for k in near])
    best = int(np.argmax(ceiling - floor))
    return float(at[best]), float(floor[best] + ceiling[best]) / 2


def categorical_decoder(
    z: ArrayLike, probabilities: ArrayLike, history: pd.DataFrame, entropy: float, names: Sequence[str]
) -> Described:
    """Left: the softmax along z. Right: −ELBO and −log p(x) by epoch above the entropy of the data.

    Parameters
    ----------
    z : (K,).   probabilities : (K, G).   history : of a ``WithExactBound`` model.   names : G categories.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.7))
    z, probabilities = np.asarray(z), np.asarray(probabilities)
    low = np.zeros(len(z))
    for k, name in enumerate(names):
        high = low + probabilities[:, k]
        left.fill_between(z, low, high, color=CATEGORIES[k], alpha=0.85, lw=0)
        left.text(*_place_for_a_name(z, low, high), name, ha="center", va="center", weight="bold")
        low = high
    left.set(xlim=(-3, 3), ylim=(0, 1), xlabel="z", ylabel="p(x = category∣z), stacked")
    finding(left, "At every z the softmax splits one among the categories")
    loss, nll = -history.validation_elbo, -history.validation_log_evidence
    epoch, top = history.index, float(loss.iloc[0]) - entropy
    right.fill_between(epoch, nll, loss, color=ORANGE, alpha=0.35, lw=0)
    right.fill_between(epoch, entropy, nll, color=COLOUR["highlight"], alpha=0.35, lw=0)
    right.plot(epoch, loss, color=COLOUR["model"])
    right.plot(epoch, nll, color=COLOUR["truth"])
    right.plot(epoch, [entropy] * len(epoch), color=COLOUR["reference"], ls=":", lw=1.8)
    early = np.log(1.25) / np.log(2)  # where the arrows point: on the way from the first epoch to the second
    curves = (loss, nll, pd.Series(entropy, index=epoch))
    upper, middle, lower = (float((1 - early) * c.iloc[0] + early * c.iloc[1]) for c in curves)
    for height, place, words, colour in (
        (0.86, upper, "−ELBO, which training lowers", COLOUR["model"]),
        (0.70, (upper + middle) / 2, "the inference’s fault", "#a36f00"),
        (0.54, middle, "−log p(x)", COLOUR["truth"]),
        (0.38, (middle + lower) / 2, "the model’s fault", "#a0457a"),
    ):
        right.annotate(
            words, (1.25, place), (2.4, entropy + height * top), color=colour, va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 1.2},
        )  # fmt: skip
    right.text(1, entropy - 0.03 * top, "H(data)", color=COLOUR["reference"], va="top")
    right.set(xscale="log", xlabel="epoch", ylabel="nats per molecule")
    right.set_ylim(entropy - 0.14 * top, entropy + 1.05 * top)
    right.set_xticks([1, 3, 10, 30, 60], labels=["1", "3", "10", "30", "60"])
    right.minorticks_off()
    finding(right, "The loss falls towards the entropy of the data, never below it")
    alt = (
        f"Left: softmax probabilities of {len(names)} categories stacked along z. Right: −ELBO and −log p(x) fall from "
        f"{loss.iloc[0]:.3f} and {nll.iloc[0]:.3f} to {loss.iloc[-1]:.3f} and {nll.iloc[-1]:.3f} nats; the entropy of "
        f"the data is {entropy:.3f}."
    )
    return fig, alt


# ---------------------------------------------------------------------------------------------- the model as a graph

_BOXES: dict[str, Box] = {
    "x": (0.05, 0.66, "$x$", "data"),
    "encoder": (0.165, 0.66, "encoder\nweights φ", "trunk"),
    "mu": (0.315, 0.79, "$μ_φ(x)$", "head"),
    "sigma": (0.315, 0.53, "$σ_φ(x)$", "head"),
    "z": (0.505, 0.66, "$z = μ_φ + σ_φ\\,ε$", "draw"),
    "epsilon": (0.505, 0.87, "$ε \\sim N(0, I)$", "draw"),
    "decoder": (0.69, 0.66, "decoder\nweights ϑ", "trunk"),
    "p": (0.88, 0.66, "$p(x|z) =$\n$N(μ_ϑ(z),\\,σ^2 I)$", "head"),
    "prior": (0.10, 0.25, "prior\n$p(z) = N(0, I)$", "data"),
    "kl": (0.315, 0.25, "$KL(q(z|x)\\,‖\\,p(z))$", "term"),
    "again": (0.69, 0.25, "the same $x$", "data"),
    "reconstruction": (0.88, 0.25, "$E_q[\\log p(x|z)]$", "term"),
}
_EDGES: list[Edge] = [
    ("x", "encoder"), ("encoder", "mu"), ("encoder", "sigma"), ("mu", "z"), ("sigma", "z"), ("epsilon", "z"),
    ("z", "decoder"), ("decoder", "p"), ("prior", "kl"), ("p", "reconstruction"), ("again", "reconstruction"),
]  # fmt: skip
_DOWN: Sides = ((0.5, 0), (0.5, 1))
_READ: set[Edge] = {("prior", "kl"), ("p", "reconstruction"), ("again", "reconstruction")}
_Q = (0.238, 0.445, 0.154, 0.43)  # left, bottom, width and height of the frame around both heads


def vae_as_a_graph() -> Described:
    """Encoder, draw and decoder from left to right, and below them the two terms of the ELBO, where they are read."""
    fig, ax = empty_panel(11.6, 6.0)
    left, bottom, width, height = _Q
    ax.add_patch(
        FancyBboxPatch(
            (left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.012", fc="#eef4fa",
            ec=COLOUR["model"], lw=1.3, zorder=0,
        )
    )  # fmt: skip
    ax.text(0.315, 0.925, "$q(z|x) = N(μ_φ, σ_φ^2)$", ha="center", va="center", color=COLOUR["model"], fontsize=15)
    sides = {("epsilon", "z"): _DOWN, ("p", "reconstruction"): _DOWN}
    frames = boxes_and_arrows(ax, _BOXES, _EDGES, sides, heavy=("kl", "reconstruction"), dashed=_READ, fontsize=15)
    arrow(ax, (0.315, bottom), (0.315, frames["kl"].y1), dashed=True)
    for name, words in (("kl", "what the code costs"), ("reconstruction", "how likely it makes the cell")):
        ax.text(_BOXES[name][0], 0.155, words, ha="center", va="center", fontsize=13)
    ax.text(0.5, 0.06, "$\\mathrm{ELBO} = E_q[\\log p(x|z)] - KL(q(z|x)\\,‖\\,p(z))$", ha="center", va="center",
            color=COLOUR["highlight"], fontsize=18)  # fmt: skip
    return fig, (
        "The VAE as a graph. x enters the encoder, whose heads give μ and σ of q(z∣x). z = μ + σε, with ε drawn from "
        "N(0, I), enters the decoder, which gives p(x∣z). Below stand the two terms of the ELBO: the KL reads q(z∣x) "
        "and the prior p(z); the reconstruction reads p(x∣z) and the same x."
    )
