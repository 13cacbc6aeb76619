"""The pictures of notebook 05 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import torch
from drawn import legend, lines, points, title, untidy, words

from course_lib.analysis.counting_noise import CountMoments
from course_lib.data.promoter import Trace
from course_lib.figures import scvi_simplified as draw
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.probability.counts import slope_in_log_mu

RNG = np.random.default_rng(0)


def test_logged_shares_draw_each_library_size_and_tell_the_value_at_one_in_ten_thousand():
    shares = np.array([1e-5, 1e-4, 1e-3])
    fig, alt = draw.logged_shares(shares, {500: shares * 1e4, 2_000: shares, 10_000: shares}, np.array([0.1, 0.7, 2.4]))
    np.testing.assert_array_equal(lines(fig.axes[0])["ℓ = 500"].get_ydata(), shares * 1e4)
    assert "1.00 at ℓ = 500" in alt
    assert "log(1 + 10⁴ρ) is 0.70" in alt


def test_loss_terms_have_a_panel_each_and_mark_the_epoch_kept():
    history = pd.DataFrame(
        {"train_reconstruction": [900.0, 600], "validation_reconstruction": [800.0, 700],
         "train_kl_z": [30.0, 12], "validation_kl_z": [20.0, 11]}, index=pd.Index([1, 2], name="epoch"),
    )  # fmt: skip
    fig, alt = draw.loss_terms(history, kept=2)
    left, right = fig.axes
    np.testing.assert_array_equal(lines(left)["validation"].get_ydata(), [800, 700])
    np.testing.assert_array_equal(lines(right)["training"].get_ydata(), [30, 12])
    assert all(any(list(line.get_xdata()) == [2, 2] for line in ax.get_lines()) for ax in fig.axes)
    assert "from 800 to 700 nats" in alt


def test_the_latent_space_is_drawn_once_for_each_space_with_every_type_named():
    labels = np.array(["B cells", "NK cells", "NK cells"])
    pictures = {"z": RNG.normal(size=(3, 2)), "log values": RNG.normal(size=(3, 2))}
    fig, alt = draw.latent_space(pictures, labels, {"z": 0.9, "log values": 0.8})
    assert [title(ax) for ax in fig.axes] == [
        "z: neighbours name 0.900 of held-out cells rightly",
        "log values: neighbours name 0.800 of held-out cells rightly",
    ]
    np.testing.assert_allclose(sorted(fig.axes[0].collections[0].get_offsets()[:, 0]), sorted(pictures["z"][:, 0]))
    assert legend(fig.axes[1]) == ["NK cells", "B cells"]
    assert "z 0.900, log values 0.800" in alt


def moments(mean, variance=(1.0,), zero_fraction=(0.0,)):
    """Counts of genes with these means, variances and zeros."""
    return CountMoments(np.ones(2), np.ones(1), np.array(mean), np.array(variance), np.array(zero_fraction))


def test_mean_variance_tells_the_ratio_over_common_genes_alone():
    mean, variance = [0.1, 1.0, 2.0], np.array([9.0, 2.0, 4.0])
    replicas = {"poisson": moments(mean, variance / 2), "nb": moments(mean, variance * 1.5)}
    fig, alt = draw.mean_variance(moments(mean, variance), replicas)
    data, replica = points(fig.axes[1])
    np.testing.assert_allclose(data[:, 1], [90, 2, 2])
    np.testing.assert_allclose(replica[:, 1], [135, 3, 3])
    assert "2 genes with mean above one half: Poisson 0.50, NB 1.50" in alt
    assert title(fig.axes[0]) == "Poisson: common genes get 0.50 of their variance"


def test_zeros_are_replica_minus_data():
    mean, odd = [0.1, 1.0], np.array([True, False])
    data = moments(mean, zero_fraction=[0.9, 0.4])
    made = {"poisson": [0.9, 0.35], "nb": [0.8, 0.42]}
    fig, alt = draw.zeros(data, {name: moments(mean, zero_fraction=zeros) for name, zeros in made.items()}, odd)
    of_odd, of_others = points(fig.axes[0])[:2]
    np.testing.assert_allclose([*of_odd[:, 1], *of_others[:, 1]], [0, -0.05])
    assert title(fig.axes[1]) == "NB: too many zeros in common genes, +0.020; overall −0.0400"
    assert "Poisson -0.050 and -0.0250, NB +0.020 and -0.0400" in alt


def test_dispersions_name_the_genes_asked_for():
    fig, alt = draw.dispersions(np.array([0.01, 1.0, 3.0]), np.array([1.0, 0.5, 2.5]), {"GNLY": 1})
    assert "GNLY" in words(fig.axes[0].texts)
    assert "Common genes: median 1.50" in alt
    assert "The others: median 1.00" in alt


def test_likelihood_differences_draw_every_seed_the_live_one_and_the_parts():
    table = pd.DataFrame({"seed": [0, 1], "difference": [-80.0, -90], "low": [-85.0, -95], "high": [-75.0, -85]})
    live = {"difference": -86.0, "low": -96.0, "high": -76.0}
    fig, alt = draw.likelihood_differences(table, live, (-110.0, -60.0), {"0": -14.0, "10 or more": -83.0})
    left, right = fig.axes
    assert words(left.get_yticklabels()) == ["seed 0", "seed 1", "live"]
    assert [bar.get_width() for bar in right.patches] == [-14.0, -83.0]
    assert "live -86.0 [-96.0, -76.0]" in alt
    assert "x 10 or more: -83.0" in alt


def test_sources_of_difference_have_a_panel_for_each_data_set_and_bars_that_are_its_parts():
    scores = {
        "one": {"difference": -20.0, "low": -25.0, "high": -15.0}, "two": {"difference": 3.0, "low": 1.0, "high": 5.0},
    }  # fmt: skip
    parts = {"one": {"0": -5.0, "1 or more": -15.0}, "two": {"0": 4.0, "1 or more": -1.0}}
    fig, alt = draw.sources_of_difference(scores, parts)
    assert [title(ax) for ax in fig.axes] == ["one: −20 [−25, −15] nats per cell", "two: 3 [1, 5] nats per cell"]
    assert [bar.get_width() for bar in fig.axes[1].patches] == [4.0, -1.0]
    assert words(fig.axes[0].texts) == ["−5", "−15"]
    assert "two 3.0 [1.0, 5.0], by size x 0: +4.0, x 1 or more: -1.0" in alt


def test_bursts_draw_promoter_mrna_and_three_distributions_and_tell_how_far_apart_two_of_them_are():
    trace = Trace(np.array([0.0, 1.0, 1.5, 2.0]), np.array([False, True, True, False]), np.array([0, 0, 1, 1]))
    exact, limit = np.array([0.5, 0.3, 0.2]), np.array([0.45, 0.32, 0.23])
    fig, alt = draw.bursts(trace, (1.5, 20.0, 80.0), np.array([0.6, 0.2, 0.2]), exact, limit)
    upper, right, lower = fig.axes
    np.testing.assert_array_equal(lower.get_lines()[0].get_ydata(), trace.mrna)
    assert [bar.get_height() for bar in right.patches] == [0.6, 0.2, 0.2]
    drawn = lines(right)
    np.testing.assert_array_equal(drawn["Beta–Poisson, exact"].get_ydata(), exact)
    np.testing.assert_array_equal(drawn["NB, θ = k_on = 1.5"].get_ydata(), limit)
    assert title(right) == "Bursts of 4 make nearly an NB"
    assert title(upper) == "1.5 bursts per lifetime of the mRNA"
    assert "on 1 times, up to 1 molecules" in alt
    assert "differ by at most 0.0500" in alt
    assert "a zero has 0.500 and 0.450" in alt


def test_the_shrunk_residual_draws_what_autograd_gave_on_the_line_of_the_closed_form():
    x, mu = torch.arange(0.0, 31.0), 10.0
    thetas = {1.0: 1.0, 10.0: 10.0, np.inf: 1e7}
    slopes = {name: slope_in_log_mu(x, torch.tensor(mu), torch.tensor(value)).numpy() for name, value in thetas.items()}
    fig, alt = draw.shrunk_residual(x.numpy(), mu, slopes, np.array([0.1, 10.0, 1000.0]))
    left, right = fig.axes
    for name, kept in (("θ = 1", 1 / 11), ("θ = 10", 1 / 2), ("Poisson", 1.0)):
        np.testing.assert_allclose(lines(left)[name].get_ydata(), kept * (x - mu))
    dots = [line for line in left.get_lines() if line.get_marker() == "o"]
    for dot, (theta, values) in zip(dots, slopes.items(), strict=True):
        np.testing.assert_array_equal(dot.get_ydata(), values)
        np.testing.assert_allclose(values, (x - mu) / (1 + mu / theta), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(lines(right)["θ = 1"].get_ydata(), [1 / 1.1, 1 / 11, 1 / 1001])
    assert "θ = 10: 10.0, 0.50 of it" in alt


def test_the_model_is_drawn_with_the_codes_names_and_tidily():
    fig, alt = draw.model_as_a_graph()
    shown = " ".join(words(fig.axes[0].texts))
    model = SimplifiedSCVI(5, 2, (4,))
    for part in ("trunk", "to_rho", "log_theta"):
        assert part in shown
        assert hasattr(model.decoder, part)
    assert untidy(fig) == []
    assert "New against the VAE: log1p, ℓ, ρ, μ, θ and the NB" in alt
