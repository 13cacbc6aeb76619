"""The figure of a count's distribution: its bars are SciPy's, its words hold variance and P(0)."""

import re

import numpy as np
import pytest
import scipy.stats
from drawn import title
from matplotlib.container import BarContainer

from course_lib.figures.count_shapes import HIGHEST, count_shape

X = np.arange(HIGHEST + 1)
MANY = np.arange(20_000)


def scipys_nb(mu: float, theta: float):
    return scipy.stats.nbinom(theta, theta / (theta + mu))  # SciPy: n = θ, p = θ/(θ+μ)


def told(alt: str) -> dict[str, float]:
    return {
        name: float(number.replace(",", "")) for name, number in re.findall(r"(mean|variance) ([\d.,]*\d)", alt)[:2]
    }


def bars_of(ax) -> list[list[float]]:
    return [[bar.get_height() for bar in bars] for bars in ax.containers if isinstance(bars, BarContainer)]


@pytest.mark.parametrize("mu, theta", [(5.0, 2.0), (0.5, 0.1), (10.0, 100.0), (10.0, 0.1)])
def test_the_bars_and_the_words_of_the_nb_are_scipys(mu, theta):
    fig, alt = count_shape(mu, theta)
    nb = scipys_nb(mu, theta)
    (bars,) = bars_of(fig.axes[1])
    np.testing.assert_allclose(bars, nb.pmf(X), rtol=1e-9, atol=1e-12)
    assert told(alt) == pytest.approx({"mean": mu, "variance": nb.var()}, abs=0.006)
    assert f"P(0) = {nb.pmf(0):.3f}; a Poisson" in alt
    assert f"P(0) = {np.exp(-mu):.3f}." in alt
    assert f"{nb.var() / mu:,.1f} times the mean" in title(fig.axes[1])


@pytest.mark.parametrize("mu, theta, pi", [(5.0, 2.0, 0.3), (0.5, 0.1, 0.6), (10.0, 100.0, 0.5)])
def test_the_zinbs_zeros_are_drawn_in_two_parts_and_its_moments_are_those_of_its_probabilities(mu, theta, pi):
    fig, alt = count_shape(mu, theta, pi)
    p = (1 - pi) * scipys_nb(mu, theta).pmf(MANY)
    p[0] += pi
    own, (put_in,) = bars_of(fig.axes[1])
    np.testing.assert_allclose(own[1:], p[1 : HIGHEST + 1], rtol=1e-9, atol=1e-12)
    assert own[0] + put_in == pytest.approx(p[0])
    bar = fig.axes[1].containers[1][0]
    assert bar.get_y() == pytest.approx(own[0])  # on the NB's own zeros
    assert put_in == pytest.approx(pi)
    mean = (p * MANY).sum()
    assert told(alt) == pytest.approx({"mean": mean, "variance": (p * (MANY - mean) ** 2).sum()}, abs=0.006)
    assert f"P(0) = {p[0]:.3f}; a Poisson of that mean has variance {mean:g}, P(0) = {np.exp(-mean):.3f}" in alt
    assert f"the NB without π has mean {mu:g}" in alt
    assert title(fig.axes[1]) == f"π = {pi:g}: more zeros, and a lower mean"


def test_rates_are_the_gamma_density_that_makes_the_counts():
    rates = count_shape(5.0, 2.0)[0].axes[0].get_lines()[0]
    w, density = rates.get_data()
    probability = np.trapezoid(density * scipy.stats.poisson.pmf(3, w), w)  # a Poisson's rate integrated out
    assert probability == pytest.approx(scipys_nb(5.0, 2.0).pmf(3), rel=1e-2)


def test_all_values_share_one_axis_of_counts():
    limits = {
        count_shape(mu, theta, pi)[0].axes[1].get_xlim() for mu, theta, pi in [(1, 2, 0), (10, 0.1, 0), (5, 2, 0.3)]
    }
    assert len(limits) == 1
