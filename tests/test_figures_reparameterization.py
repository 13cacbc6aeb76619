"""The pictures of notebook 04 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from drawn import legend, points, title, words
from matplotlib.colors import same_color

from course_lib.experiments.generators import GENERATORS
from course_lib.figures import reparameterization as draw
from course_lib.figures.cell_types import colour_of

RNG = np.random.default_rng(0)


def test_the_variance_ratio_is_on_logarithmic_axes():
    fig, alt = draw.variance_ratio(
        np.array([1, 2, 4]), np.array([8, 20, 90]), np.array([6, 7, 9]), np.array([8, 21, 88])
    )
    ax = fig.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "plain from 8 to 90" in alt
    assert "baseline from 6 to 9" in alt


def test_collapse_shows_the_kl_and_one_bar_for_each_loss():
    kl = {"sum": np.array([1.0, 6.0]), "mean": np.array([0.1, 0.0001])}
    fig, alt = draw.collapse(kl, {"sum": 0.24, "mean": -0.03})
    left, right = fig.axes
    assert left.get_yscale() == "log"
    assert "nats" in left.get_ylabel()
    assert words(left.texts) == ["sum", "mean"]
    assert [bar.get_width() for bar in right.patches] == [0.24, -0.03]
    assert "mean: final KL 0.0001 nats, variance explained -0.030" in alt


def test_the_sweep_marks_the_mistakes_weight():
    table = pd.DataFrame({"kl": [6.0, 0.7, 0.0], "explained": [0.24, 0.1, -0.03]}, index=[1.0, 10.0, 500.0])
    linear = pd.DataFrame({"kl": [7, 1, 0, 0], "explained": [0.3, 0.1, 0, 0]}, index=[1.0, 10.0, 44.0, 500.0])
    fig, alt = draw.beta_sweep(table, linear, mismatch=500.0)
    (edge,) = [line for line in fig.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert list(edge.get_xdata()) == [44.0, 44.0]
    marked = [line for line in fig.axes[0].get_lines() if line.get_markersize() == 11]
    assert [list(line.get_xdata()) for line in marked] == [[500.0]]
    assert "β = 10: 0.700 nats, 0.100" in alt


def test_warmup_counts_the_active_dimensions():
    per_dimension = {"a": np.array([0.0, 2.0, 0.05]), "b": np.array([0.3, 0.2, 0.0])}
    fig, alt = draw.warmup({"a": [1.0, 2.0], "b": [9.0, 3.0]}, per_dimension, threshold=0.1)
    np.testing.assert_array_equal(fig.axes[1].get_lines()[0].get_ydata(), [2.0, 0.05, 0.0])
    markers = [[line.get_marker() for line in ax.get_lines()[:2]] for ax in fig.axes]
    assert markers == [["o", "^"], ["o", "^"]]  # the key on the left holds on the right, without colour too
    assert "b: largest training KL 9.0 nats, 2 of 3 active" in alt
    assert "a: largest training KL 2.0 nats, 1 of 3" in alt


def test_generated_cells_share_the_axes_of_real_ones():
    real, made = RNG.normal(size=(20, 2)), {"one": np.zeros((5, 2)), "two": np.ones((5, 2))}
    share = {"real": 0.25, "one": 0.04, "two": 0.31}
    fig, alt = draw.generated_in_pca(real, made, real[:, 0] > 0, "right", share)
    assert [title(ax) for ax in fig.axes] == ["one: 4% right", "two: 31% right"]
    assert fig.axes[0].get_xlim() == fig.axes[1].get_xlim()
    assert set(words(fig.axes[1].texts)) == {"right"}
    assert "25% are right; nearest to that: two" in fig.get_suptitle()
    assert f"two {np.linalg.norm(1 - real.mean(0)):.2f} and 0.31" in alt


def test_gene_spread_tells_the_share_of_the_variance_and_how_the_widest_genes_fare():
    real = np.array([1.0, 2.0, 4.0])
    fig, alt = draw.gene_spread(real, {"same": real, "half": np.array([1.5, 1.0, 2.0])}, n_widest=2)
    assert [title(ax) for ax in fig.axes] == ["same: 100% of the variance", "half: 35% of the variance"]
    assert words(fig.axes[1].texts) == ["rims: the 2 widest,\n2 below the line"]
    rims = fig.axes[1].collections[1]
    np.testing.assert_array_equal(rims.get_offsets(), [[4.0, 2.0], [2.0, 1.0]])
    assert "half: 0.35; 2 of them lie below the diagonal, median ratio 0.50" in alt
    assert "same: 1.00; 0 of them" in alt


@pytest.mark.parametrize("far, finding", [(3.0, "Midway the cells are far"), (1.3, "Cells live along the whole line")])
def test_the_walks_title_follows_the_distance(far, finding):
    markers = pd.DataFrame({"LYZ": [4.0, 2.0, 1.0], "CD79A": [0.0, 1.0, 3.0]})
    fig, alt = draw.walk(
        np.array([0, 0.5, 1]), markers, ("monocytes", "B cells"), (1.0, 1.4), np.array([0.5, far, 0.5])
    )
    assert title(fig.axes[1]) == finding
    assert "LYZ 4.00 to 1.00" in alt
    assert f"{far:.2f} away" in alt


def test_scores_draw_every_seed_and_the_live_one():
    table = pd.DataFrame(
        [(seed, key, i + seed / 10, 20 - i) for seed in range(3) for i, key in enumerate(GENERATORS)],
        columns=["seed", "generator", "energy", "nearest"],
    )
    live = table[table["seed"] == 1].set_index("generator")[["energy", "nearest"]]
    fig, alt = draw.scores(table, live, GENERATORS)
    dots = [line for line in fig.axes[0].get_lines() if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in dots) == 3 * len(GENERATORS)
    assert words(fig.axes[0].get_yticklabels()) == [*GENERATORS.values()]
    low, high = fig.axes[0].get_xlim()
    assert low < table["energy"].min()
    assert high > table["energy"].max()
    assert f"{GENERATORS['mean_cell']} 7.10 and 13.0" in alt


def test_the_two_graphs_differ_in_where_the_gradient_goes():
    fig, alt = draw.two_graphs()
    left, right = (words(ax.texts) for ax in fig.axes)
    assert "×" in left
    assert "×" not in right
    assert "ε ∼ N(0, 1)" in right
    assert "stops" in alt


KINDS = np.array(["B cells", "NK cells", "unassigned"])


def test_latent_spaces_stand_side_by_side_with_the_accuracy_of_each():
    panels = {"PCA": RNG.normal(size=(3, 2)), "VAE": RNG.normal(size=(3, 2))}
    fig, alt = draw.latent_spaces(panels, KINDS, {"PCA": 0.911, "VAE": 0.875}, n_latent=10)
    assert [title(ax) for ax in fig.axes] == ["PCA: neighbours name 91.1%", "VAE: neighbours name 87.5%"]
    for ax, xy in zip(fig.axes, panels.values(), strict=True):
        np.testing.assert_array_equal(points(ax)[0], xy[[2, 0, 1]])  # the one without a name lies below
        assert same_color(ax.collections[0].get_facecolors()[1], colour_of("B cells"))
    assert legend(fig.axes[1]) == ["NK cells", "B cells"]
    assert "3 cells in two components of 10 latent dimensions" in alt
    assert "PCA 0.911, VAE 0.875" in alt


def panels(fig) -> dict:
    return {ax.get_label(): ax for ax in fig.axes}


def traversed(draws, bits, kinds, z=None, decoded=None):
    z = np.zeros(draws.shape[1]) if z is None else z
    return draw.traversal(draws, bits, kinds, z, decoded or {"LYZ": 1.0})


def test_the_codes_are_drawn_in_the_two_dimensions_of_most_bits_and_the_star_where_it_stands():
    draws, bits = RNG.normal(size=(3, 3)), np.array([0.5, 2.0, 1.25])
    fig, alt = traversed(draws, bits, KINDS, np.array([9.0, -0.5, 1.5]), {"CD79A": 2.7, "LYZ": 0.75})
    plane, bars = panels(fig)["map"], panels(fig)["bars"]
    np.testing.assert_array_equal(points(plane)[0], draws[[2, 0, 1]][:, [1, 2]])
    (star,) = [line for line in plane.get_lines() if line.get_marker() == "*"]
    assert (*star.get_xdata(), *star.get_ydata()) == (-0.5, 1.5)
    assert [bar.get_width() for bar in bars.patches] == [2.7, 0.75]
    assert "At z2 = -0.5, z3 = 1.5 the decoder gives CD79A 2.7, LYZ 0.8" in alt
    assert "carry 0.5 to 2.0 bits, 3.8 in all" in alt


def test_the_nearest_code_is_found_in_all_dimensions():
    draws = np.vstack([np.eye(4), 2 * np.eye(4), 3 * np.eye(4)])  # neighbours one apart, along each axis
    kinds, z = np.repeat(["B cells"], 12), np.array([0.0, 0, 0, 7])
    fig, alt = traversed(draws, np.array([2.0, 1, 0.5, 0.5]), kinds, z)  # on the map the star is among the codes
    assert title(panels(fig)["bars"]) == "No cell lives at the star: the nearest code is 4.0 away"
    assert "4.0 away, nine codes in ten have one within 1.0" in alt
    near, _ = traversed(draws, np.array([2.0, 1, 0.5, 0.5]), kinds, np.array([0.0, 0, 0, 2.5]))
    assert title(panels(near)["bars"]) == "Cells live at the star: the nearest code is 0.5 away"


def test_histograms_of_codes_have_the_priors_scale():
    fig, _ = traversed(RNG.normal(size=(40_000, 2)), np.ones(2), np.repeat(["B cells"], 40_000))
    for side in ("top", "side"):
        values, edges, _ = panels(fig)[side].patches[0].get_data()
        middles = (edges[1:] + edges[:-1]) / 2
        np.testing.assert_allclose(values, scipy.stats.norm.pdf(middles), atol=0.035)  # 5 s.e.


def test_a_prior_that_is_filled_has_no_hole_and_half_a_prior_has_one_of_half():
    draws, kinds = RNG.normal(size=(40_000, 2)), np.repeat(["B cells"], 40_000)
    full, _ = traversed(draws, np.array([2.0, 1.0]), kinds)
    assert title(panels(full)["top"]) == "Together: 0% of the prior nearly empty (by chance: 0%)"
    folded = np.stack([np.abs(draws[:, 0]), draws[:, 1]], axis=1)
    half, alt = traversed(folded, np.array([2.0, 1.0]), kinds)
    assert title(panels(half)["top"]) == "Together: 50% of the prior nearly empty (by chance: 0%)"
    assert "50% of the prior's mass" in alt
    few, _ = traversed(draws[:200], np.array([2.0, 1.0]), kinds[:200])
    assert "(by chance: 0%)" not in title(panels(few)["top"])  # few codes leave gaps wherever they are drawn
