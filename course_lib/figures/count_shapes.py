"""The shape of a count's distribution for any μ, θ and π, in notebooks 05 and 06. Sliders move it.

π = 0 is the negative binomial, above it is the zero-inflated one. K counts, 0 … K − 1.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.style import COLOUR, finding
from course_lib.probability.counts import log_nb

# Sliders: what they say, their positions, where they start.
MU = "mean μ, molecules", (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0), 5.0
THETA = "inverse dispersion θ", (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0), 2.0
PI = "π, share of zeros put in", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 0.3
HIGHEST = 30  # the last count that is drawn, the same for all values, so that shapes can be compared


def count_shape(mu: float, theta: float, pi: float = 0.0) -> tuple[Figure, str]:
    """Left: the rate w of a cell. Right: the counts that follow, beside a Poisson's of the same mean.

    With π > 0 the rate is zero with that probability: the bar at zero has two parts, and the hollow ones are the NB's.

    Parameters
    ----------
    mu, theta : of the NB, > 0.   pi : in [0, 1).
    """
    x = np.arange(HIGHEST + 1)
    nb = log_nb(*(torch.tensor(value, dtype=torch.float64) for value in (x, mu, theta))).exp().numpy()
    mean, variance = (1 - pi) * mu, (1 - pi) * (mu + mu**2 / theta + pi * mu**2)
    poisson = scipy.stats.poisson.pmf(x, mean)
    zeros = pi + (1 - pi) * nb[0]
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.6, 4.6), width_ratios=(1, 1.45))
    _rates(left, mu, theta, pi)
    right.bar(x, (1 - pi) * nb, color=COLOUR["model"], alpha=0.75, label="ZINB" if pi else "NB")
    if pi:
        put_in = {"color": COLOUR["highlight"], "hatch": "///", "ec": "white", "label": "its zeros that π puts in"}
        right.bar([0], [pi], bottom=[(1 - pi) * nb[0]], **put_in)
        right.stairs(nb, np.arange(HIGHEST + 2) - 0.5, color=COLOUR["truth"], lw=1.4, label=f"NB, mean {mu:g}")
    shown = poisson > 5e-4
    right.plot(x[shown], poisson[shown], "_", color=COLOUR["other"], ms=11, mew=2.5, label=f"Poisson, mean {mean:g}")
    right.axvline(mean, color=COLOUR["truth"], lw=1.5, ls="--", label=f"mean {mean:g}")
    right.set(xlabel="count x of one gene in one cell", ylabel="probability", xlim=(-0.8, HIGHEST + 0.8))
    right.set_ylim(0, 1.08 * max(zeros, nb.max(), poisson.max()))
    right.legend(loc="upper right", title=f"variance {variance:,.1f}\nP(0) = {zeros:.3f}; Poisson {poisson[0]:.3f}")
    if pi:
        finding(right, f"π = {pi:g}: more zeros, and a lower mean")
    else:
        finding(right, f"so counts spread wider than a Poisson's: variance {variance / mean:,.1f} times the mean")
    name = f"ZINB with μ = {mu:g}, θ = {theta:g}, π = {pi:g}" if pi else f"NB with μ = {mu:g}, θ = {theta:g}"
    beside = f"; the NB without π has mean {mu:g} and P(0) = {nb[0]:.3f}" if pi else ""
    return fig, (
        f"Rates of cells and probabilities of counts. {name}: mean {mean:g}, variance {variance:,.2f}, P(0) = "
        f"{zeros:.3f}; a Poisson of that mean has variance {mean:g}, P(0) = {poisson[0]:.3f}{beside}."
    )


def _rates(ax: Axes, mu: float, theta: float, pi: float) -> None:
    """The Gamma density of the rate, and the share π of cells without one."""
    w = np.linspace(0.02, 25, 1_000)
    density = (1 - pi) * scipy.stats.gamma(a=theta, scale=mu / theta).pdf(w)
    ax.fill_between(w, density, color=COLOUR["model"], alpha=0.25)
    ax.plot(w, density, color=COLOUR["model"])
    top = 1.15 * min(density.max(), 1.0)  # for θ < 1 it has no highest point
    ax.set(xlabel="rate w of one cell", ylabel="density", xlim=(-0.8, 25), ylim=(0, top))
    if pi:
        ax.axvline(0, color=COLOUR["highlight"], lw=5)
        ax.text(0.8, 0.97 * top, f"w = 0 in a share π = {pi:g}", color=COLOUR["highlight"], weight="bold", va="top")
    finding(ax, "The rate varies: w ~ Gamma" + (", or zero" if pi else ""))
