"""The pictures of notebook 06 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
import pytest
from drawn import lines, title, untidy, words

from course_lib.figures import scvi as draw

RNG = np.random.default_rng(0)


def dots(ax, marker="o"):
    return [list(line.get_xdata()) for line in ax.get_lines() if line.get_marker() == marker]


def test_the_zinbs_zeros_are_drawn_in_two_parts_that_add_up():
    nb, zinb = np.array([0.2, 0.8]), np.array([0.44, 0.56])
    fig, alt = draw.zero_inflation(nb, zinb, pi=0.3, mu=5.0)
    *bars, put_in = fig.axes[1].patches
    assert [bar.get_height() for bar in bars] == [0.44, 0.56]
    assert put_in.get_y() + put_in.get_height() == pytest.approx(0.44)  # (1−π)·0.2 + π
    assert "mean (1−π)μ = 3.5" in words(fig.axes[1].texts)
    assert "0.30 put in and 0.14" in alt


def test_the_posterior_of_a_dropout_names_each_line():
    mu = np.logspace(-2, 2, 5)
    fig, alt = draw.dropout_posterior(mu, {"π = 0.5": np.linspace(0.5, 1, 5), "π = 0.1": np.linspace(0.1, 0.9, 5)})
    np.testing.assert_allclose(lines(fig.axes[0])["π = 0.1"].get_ydata(), np.linspace(0.1, 0.9, 5))
    assert "π = 0.1: 0.10 to 0.90" in alt


def test_the_graph_names_all_six_heads_as_the_code_does():
    fig, alt = draw.six_heads()
    written = words(fig.axes[0].texts)
    for name in ("NN1  .to_mu", "NN2  .to_log_variance", "NN3  .to_mu", "NN4  .to_log_variance", "NN5  .to_rho"):
        assert name in written
    assert "NN6  .to_zi_logits" in written
    heavy = {text.get_text() for text in fig.axes[0].texts if text.get_weight() == "bold"}
    assert "NN6  .to_zi_logits" in heavy
    assert "NN5  .to_rho" not in heavy
    assert "NN6 to_zi_logits" in alt
    assert untidy(fig) == []


def test_library_densities_tell_each_width():
    grid = np.linspace(5, 9, 401)

    def normal(sd):
        return np.exp(-(((grid - 7) / sd) ** 2) / 2) / sd / np.sqrt(2 * np.pi)

    exact = {"exact, 3 genes": normal(0.25), "exact, 300 genes": normal(0.05)}
    fig, alt = draw.library_densities(grid, normal(0.3), exact, normal(0.1), truth=7.1, log_total=6.8)
    assert "prior p(log ℓ∣s) 0.30" in alt
    assert "exact, 300 genes 0.05" in alt
    assert "encoder's q(log ℓ∣x) 0.10" in alt
    marks = [line.get_xdata()[0] for line in fig.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert marks == [7.1, 6.8]


def test_library_estimates_measure_the_error_of_each():
    truth = np.array([1000.0, 2000.0, 4000.0])
    batch = np.array(["a", "b", "a"])
    fig, alt = draw.library_estimates(truth, {"half": truth / 2, "right": truth}, batch)
    assert "half: mean log error -0.69, spread 0.000" in alt
    assert "right: mean log error +0.00" in alt
    assert fig.axes[0].get_xlim() == fig.axes[0].get_ylim() == fig.axes[1].get_xlim()
    assert [len(points.get_offsets()) for points in fig.axes[0].collections] == [2, 1]


def test_two_starts_show_the_bound_and_the_librarys_kl():
    run = pd.DataFrame({"train_loss": [900.0, 500.0], "train_kl_library": [70.0, 3.0]}, index=[1, 2])
    fig, alt = draw.two_starts({"late": run * 2, "early": run})
    np.testing.assert_array_equal(lines(fig.axes[1])["early"].get_ydata(), [70, 3])
    assert [ax.get_yscale() for ax in fig.axes] == ["log", "log"]
    assert "late: −ELBO 1,800 to 1,000, KL of ℓ 140.0 to 6.0" in alt


def test_recovery_measures_theta_pi_and_calibration():
    theta = (np.array([1.0, 2.0, 4.0]), np.array([1.1, 2.4, 4.0]))
    pi = (np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.3, 0.4]))
    fig, alt = draw.recovery(theta, pi, {"model": (np.array([0.2, 0.8]), np.array([0.25, 0.7]))})
    assert "median relative error 0.10" in alt
    assert "correlation 1.00" in alt
    assert "at most 0.10 off" in alt
    np.testing.assert_array_equal(fig.axes[0].collections[0].get_offsets()[:, 1], theta[1])


def test_every_seed_and_the_live_run_are_drawn():
    table = pd.DataFrame({"quantity": ["auc"] * 3 + ["rmse"] * 3, "value": [0.8, 0.85, 0.9, 0.1, 0.2, 0.15]})
    fig, alt = draw.over_seeds(table, {"auc": 0.84}, {"higher": {"auc": "AUC"}, "lower": {"rmse": "error"}})
    assert [dots(ax) for ax in fig.axes] == [[[0.8, 0.85, 0.9]], [[0.1, 0.2, 0.15]]]
    assert dots(fig.axes[0], "D") == [[0.84]]
    assert "AUC 0.800 to 0.900; error 0.100 to 0.200" in alt


def test_latent_spaces_show_every_cell_once_and_name_the_types():
    batch, types = np.array(["b0", "b1"] * 10), np.array(["B", "T"] * 10)
    flat = {"with": RNG.normal(size=(20, 2)), "without": RNG.normal(size=(20, 2))}
    fig, alt = draw.latent_and_batches(flat, batch, types, {"with": "entropy 0.6", "without": "entropy 0.1"})
    assert [len(ax.collections[0].get_offsets()) for ax in fig.axes] == [20, 20]
    assert {"B", "T"} <= set(words(fig.axes[0].texts))
    assert "without: entropy 0.1" in alt


def test_batch_and_biology_give_the_slopes():
    truth = np.linspace(-1, 1, 9)
    fig, alt = draw.batch_and_biology(
        (truth, {"without s": truth, "with s": 0 * truth}), (truth, {"without s": truth, "with s": 0.9 * truth})
    )
    assert "between batches, without s: slope 1.00" in alt
    assert "between batches, with s: slope" in alt
    assert "between types, with s: slope 0.90" in alt
    assert len(fig.axes) == 2


def test_mixing_stands_beside_its_ceiling():
    rows = [("pair", m, "entropy", v) for m, v in (("scvi_batch", 0.6), ("scvi_batch", 0.62), ("pca", 0.27))]
    rows += [("pair", m, "ceiling", 0.68) for m in ("scvi_batch", "scvi_batch", "pca")]
    table = pd.DataFrame(rows, columns=["data", "method", "measure", "value"])
    fig, alt = draw.mixing(table, {"pair": "Pair"}, {"scvi_batch": "with s", "pca": "PCA"})
    assert dots(fig.axes[0]) == [[0.6, 0.62], [0.27]]
    assert dots(fig.axes[0], "|") == [[0.68, 0.68], [0.68]]
    assert "Pair, with s: 0.61, ceiling 0.68" in alt
    assert "nats" in fig.axes[0].get_xlabel()


def test_the_published_table_names_who_is_highest():
    stored = pd.DataFrame(
        [("scVI", 0.74, 0.78, 0.3), ("SIMLR", 0.8, 0.82, 0.65), ("FA", 0.5, 0.59, 0.2)],
        columns=["method", "ari", "nmi", "asw"],
    )
    ours = pd.DataFrame([("ours", 0.7, 0.75, 0.3), ("ours", 0.72, 0.77, 0.3)], columns=["method", "ari", "nmi", "asw"])
    fig, alt = draw.published(stored, ours)
    assert words(fig.axes[0].get_yticklabels()) == ["ours", "SIMLR", "scVI", "FA"]
    assert "SIMLR highest with ARI 0.80" in alt
    assert "ours: ARI 0.71, NMI 0.76" in alt


def test_bounds_show_each_term_apart_and_leave_out_what_is_not_there():
    table = pd.DataFrame(
        {
            "method": ["a", "b"], "elbo": [1300.0, 1470.0], "reconstruction": [1275.0, 1440.0],
            "kl_z": [22.0, 25.0], "kl_library": [3.0, 5.0],
        }
    )  # fmt: skip
    fig, alt = draw.bounds(table, {"a": "ours", "b": "theirs"}, {"elbo": 1320.0})
    assert len(fig.axes) == 4
    assert dots(fig.axes[0]) == [[1300.0], [1470.0]]
    assert dots(fig.axes[0], "D") == [[1320.0]]
    assert "theirs, reconstruction 1,440.0" in alt
    fig, alt = draw.bounds(table.drop(columns="kl_library"), {"a": "ours"})
    assert [title(ax) for ax in fig.axes] == ["−ELBO", "reconstruction", "KL of z"]


def test_paired_differences_keep_their_intervals():
    table = pd.DataFrame(
        [(0, "learned", "zinb", -1.0, -2.0, 0.0), (1, "learned", "zinb", 2.0, 1.5, 2.5),
         (0, "observed", "zinb", 9, 8, 10)],
        columns=["seed", "library", "gene_likelihood", "difference", "low", "high"],
    )  # fmt: skip
    fig, alt = draw.paired_differences(table, {("learned", "zinb"): "ZINB − NB"})
    (bars,) = fig.axes[0].containers
    ends = [tuple(segment[:, 0]) for segment in bars.lines[2][0].get_segments()]
    assert ends == [(-2.0, 0.0), (1.5, 2.5)]
    assert "-1.00 to +2.00 nats over 2 seeds" in alt
