"""The pictures of notebook 06 draw what they were given, and their words carry its numbers."""

import numpy as np
import pandas as pd
from drawn import lines, title, untidy, words

from course_lib.figures import scvi as draw

RNG = np.random.default_rng(0)


def dots(ax, marker="o"):
    return [list(line.get_xdata()) for line in ax.get_lines() if line.get_marker() == marker]


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


def test_two_starts_show_training_and_the_bound_after_it():
    run = pd.DataFrame({"train_loss": [900.0, 500.0]}, index=[1, 2])
    rows = [("slow", "zero", 0, 1400.0), ("slow", "prior", 0, 1300.0), ("slow", "zero", 1, 1390.0)]
    rows += [("slow", "prior", 1, 1310.0)]
    table = pd.DataFrame(rows, columns=["way", "start", "seed", "elbo"])
    fig, alt = draw.two_starts({"late": run * 2, "early": run}, table, {"slow": "slowly"})
    left, right = fig.axes
    np.testing.assert_array_equal(lines(left)["early"].get_ydata(), [900, 500])
    assert dots(right) == [[1400.0, 1390.0], [1300.0, 1310.0]]
    assert [line.get_color() for line in right.get_lines()] == [lines(left)[n].get_color() for n in ("late", "early")]
    assert "at least 80 nats" in title(right)  # the smaller of 100 and 80, paired by seed
    assert "2 epochs are too few" in title(left)  # 1,000 after two, the other 900 after one
    assert {t.get_text(): t.get_position()[0] for t in right.texts} == {"late": 1390.0, "early": 1300.0}
    late = pd.DataFrame({"train_loss": [950.0, 900.0]}, index=[1, 2])
    fig, _ = draw.two_starts({"late": late, "early": run}, table, {"slow": "slowly"})
    assert "takes 2 epochs" in title(fig.axes[0])
    assert "late 1,800 to 1,000" in alt
    assert "slowly: 1,395 from 0, 1,305 from the prior" in alt


def test_recovery_measures_theta_pi_and_calibration():
    theta = (np.array([1.0, 2.0, 4.0]), np.array([1.1, 2.4, 3.0]))
    pi = (np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.3, 0.4]))
    fig, alt = draw.recovery(theta, pi, (np.array([0.2, 0.8]), np.array([0.25, 0.7])))
    assert "median relative error 0.20, above 3 0.75 of the truth" in alt
    assert "correlation 1.00" in alt
    assert "at most 0.10 off" in alt
    assert "above 3 at 75% of the truth" in title(fig.axes[0])
    np.testing.assert_array_equal(fig.axes[0].collections[0].get_offsets()[:, 1], theta[1])


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


def test_the_published_table_names_who_is_highest():
    stored = pd.DataFrame(
        [("scVI", 0.74, 0.78, 0.3), ("SIMLR", 0.8, 0.82, 0.65), ("FA", 0.5, 0.59, 0.2)],
        columns=["method", "ari", "nmi", "asw"],
    )
    ours = pd.DataFrame([("ours", 0.7, 0.75, 0.3), ("ours", 0.72, 0.77, 0.3)], columns=["method", "ari", "nmi", "asw"])
    fig, alt = draw.published(stored, ours)
    assert words(fig.axes[0].get_yticklabels()) == ["ours", "SIMLR", "scVI", "FA"]
    assert "SIMLR highest with ARI 0.80" in alt
    assert [title(ax) for ax in fig.axes] == [f"{s}: SIMLR leads the published" for s in ("ARI", "NMI", "silhouette")]
    assert "ours: ARI 0.71, NMI 0.76" in alt


def test_bounds_show_each_term_apart_and_leave_out_what_is_not_there():
    table = pd.DataFrame(
        {
            "method": ["a", "b"], "elbo": [1300.0, 1470.0], "reconstruction": [1275.0, 1440.0],
            "kl_z": [22.0, 25.0], "kl_library": [3.0, 5.0],
        }
    )  # fmt: skip
    fig, alt = draw.bounds(table, {"a": "ours", "b": "theirs"})
    assert len(fig.axes) == 4
    assert dots(fig.axes[0]) == [[1300.0], [1470.0]]
    assert title(fig.axes[3]) == "KL of ℓ: lowest for ours"
    assert "theirs, reconstruction 1,440.0" in alt
    fig, alt = draw.bounds(table.drop(columns="kl_library"), {"a": "ours"})
    assert [title(ax) for ax in fig.axes] == [
        f"{words}: lowest for ours" for words in ("−ELBO", "reconstruction", "KL of z")
    ]


def test_paired_differences_keep_their_intervals():
    rows = [("live run", True, 0.5, 0.25, 1.0), ("seed 0", False, 2.0, 1.0, 3.5), ("seed 1", False, 3.0, 2.5, 3.25)]
    table = pd.DataFrame(rows, columns=["row", "live", "difference", "low", "high"])
    fig, alt = draw.paired_differences(table, "ZINB − NB")
    (ax,) = fig.axes
    assert words(ax.get_yticklabels()) == ["live run", "seed 0", "seed 1"]
    assert [tuple(bar.get_segments()[0][:, 0]) for bar in ax.collections] == [(0.25, 1.0), (1.0, 3.5), (2.5, 3.25)]
    assert title(ax) == "ZINB − NB: at most 3.0 nats, above 0 in 3 of 3 rows"
    assert "live run +0.5, seed 0 +2.0" in alt


def test_choices_draw_every_seed_and_the_mean():
    table = pd.DataFrame({0: [0.0, 10.0, 2.0], 1: [0.0, 20.0, -4.0]}, index=["default", "no norm", "wide"])
    fig, alt = draw.choices(table.drop("wide"), table, -table)
    assert words(fig.axes[0].get_yticklabels()) == ["no norm", "wide"]
    assert dots(fig.axes[0]) == [[10.0, 20.0]]  # the cortex was not asked for all
    assert dots(fig.axes[1]) == [[10.0, 20.0], [2.0, -4.0]]
    assert dots(fig.axes[1], "|") == [[15.0], [-1.0]]
    assert title(fig.axes[0]) == "Cortex: no norm costs most"
    assert title(fig.axes[1]) == "Pair: wide helps most"
    assert title(fig.axes[2]) == "Pair: no norm mixes least"
    assert "no norm +15.00, wide -1.00" in alt


def test_time_to_bound_shows_who_never_gets_there():
    rows = [("cortex", "observed", "course_lib", "one cycle", 0, 2.0)]
    rows += [("cortex", "observed", "course_lib", "one cycle", 1, float("nan"))]
    rows += [("cortex", "observed", "scvi-tools", "default", s, 60.0) for s in (0, 1)]
    table = pd.DataFrame(rows, columns=["data", "library", "program", "way", "seed", "cpu_s"])
    fig, alt = draw.time_to_bound(table)
    (ax,) = fig.axes
    assert words(ax.get_yticklabels()) == ["Cortex, ℓ observed"]
    reached, missed = dots(ax, "D")[0]
    assert reached == 2.0
    assert missed > 2 * 60
    assert "not reached" in words(ax.texts)
    assert "course_lib, one cycle 2.0 s (1 never)" in alt
    assert "scvi-tools, default 60.0 s" in alt
    assert "1 of its runs never does" in title(ax)
    assert "1 of 2" in words(ax.texts)
