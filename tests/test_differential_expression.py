"""Differential expression: against closed forms, brute force over posterior draws, and bad input."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from small import cells_by_hand
from torch.distributions import Independent, Normal

from course_lib.analysis import differential_expression as de
from course_lib.analysis import parts
from course_lib.analysis.differential_expression import default_pseudocount, differential_expression
from course_lib.analysis.gate import cells_for
from course_lib.analysis.groups import group_masks, group_positions
from course_lib.data.scvi_process import simulate
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi import SCVI
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.probability.counts import Poisson

N, G = 30, 4
C = 0.5


class KnownPosterior(torch.nn.Module):
    """q(z∣x) = N(x, 0.3²) gene by gene, and ρ = z (1 + s/2): ρ of a cell, and any mean of ρ, is exactly Gaussian."""

    SD = 0.3
    learns_library = False
    epochs_trained = 1

    def __init__(self, n_genes=G, n_batches=1):
        super().__init__()
        self.genes = tuple(f"g{i}" for i in range(n_genes))
        self.batches = tuple(f"b{i}" for i in range(n_batches))
        self.n_latent = n_genes

    def encode(self, x):
        return Normal(x, self.SD * torch.ones_like(x))

    def decode(self, z, log_library, batch):
        return Independent(Poisson(z * (1 + batch / 2).unsqueeze(-1), validate_args=False), 1, validate_args=False)


@pytest.fixture
def model():
    return KnownPosterior()


PROFILE1, PROFILE2 = torch.tensor([5.0, 4.0, 8.0, 6.0]), torch.tensor([4.0, 4.0, 10.0, 6.0])


@pytest.fixture
def cells(model):
    """Ten cells of one profile, twenty of another; within a group all alike."""
    x = torch.cat([PROFILE1.expand(10, -1), PROFILE2.expand(20, -1)])
    return cells_by_hand(x, genes=model.genes, batches=model.batches)


GROUP1, GROUP2 = np.arange(10), np.arange(10, 30)


def probability_of_change(n1, n2, delta, c=C):
    """P(∣log₂(A + c) − log₂(B + c)∣ > δ) for A ~ N(a, .3²/n1), B ~ N(b, .3²/n2): A − 2^δ B is Gaussian."""
    a, b = PROFILE1.numpy() + c, PROFILE2.numpy() + c
    var_a, var_b, fold = 0.09 / n1, 0.09 / n2, 2**delta
    up = norm.sf((fold * b - a) / np.sqrt(var_a + fold**2 * var_b))
    down = norm.sf((fold * a - b) / np.sqrt(var_b + fold**2 * var_a))
    return up + down


def by_gene(table):
    return table.sort_index()


@pytest.mark.parametrize("over, n1, n2", [("means", 10, 20), ("pairs", 1, 1)])
@pytest.mark.parametrize("delta", [0.0, 0.1, 0.25, 0.3])
def test_the_probability_of_change_agrees_with_its_closed_form(model, cells, over, n1, n2, delta):
    draws = 4000
    table = by_gene(
        differential_expression(
            model, cells, GROUP1, GROUP2, over=over, delta=delta, pseudocount=C, n_samples=draws, n_pairs=draws
        )
    )
    p = probability_of_change(n1, n2, delta)
    error = 4.5 * np.sqrt(p * (1 - p) / draws) + 1e-9
    assert (np.abs(table["proba_de"] - p) <= error).all()
    np.testing.assert_allclose(table["proba_de"] + table["proba_not_de"], 1)


@pytest.mark.parametrize("over, n1, n2", [("means", 10, 20), ("pairs", 1, 1)])
def test_the_vanilla_probability_agrees_with_its_closed_form(model, cells, over, n1, n2):
    draws = 4000
    table = by_gene(
        differential_expression(model, cells, GROUP1, GROUP2, mode="vanilla", over=over, n_samples=draws, n_pairs=draws)
    )
    p = norm.cdf((PROFILE1 - PROFILE2).numpy() / np.sqrt(0.09 / n1 + 0.09 / n2))
    assert (np.abs(table["proba_m1"] - p) <= 4.5 * np.sqrt(p * (1 - p) / draws) + 1e-9).all()
    np.testing.assert_allclose(table["proba_m2"], 1 - table["proba_m1"])
    assert (table["is_de"] == (table["bayes_factor"].abs() >= 3)).all()


def test_summaries_of_the_change_are_those_of_its_distribution(model, cells):
    table = by_gene(differential_expression(model, cells, GROUP1, GROUP2, over="pairs", pseudocount=C))
    a, b = 0.3 * np.random.default_rng(0).standard_normal((2, 200_000, G)) + [[PROFILE1.numpy()], [PROFILE2.numpy()]]
    lfc = np.log2(a + C) - np.log2(b + C)
    np.testing.assert_allclose(table["lfc_mean"], lfc.mean(0), atol=0.01)  # five standard errors at 5,000 pairs
    np.testing.assert_allclose(table["lfc_median"], np.median(lfc, 0), atol=0.012)
    np.testing.assert_allclose(table["lfc_std"], lfc.std(0), rtol=0.06)
    np.testing.assert_allclose(table["scale1"], PROFILE1, atol=0.025)
    np.testing.assert_allclose(table["scale2"], PROFILE2, atol=0.025)
    assert (table["pseudocounts"] == C).all()
    assert (table["delta"] == 0.25).all()


@pytest.fixture
def spread_cells(model):
    """Cells that differ within their group, and a posterior so narrow that ρ is x: only pairs are left to chance."""
    x = torch.from_numpy(np.random.default_rng(3).integers(1, 9, (N, G)).astype(np.float32))
    return cells_by_hand(x, genes=model.genes, batches=model.batches)


def test_over_pairs_is_the_fraction_of_all_pairs(model, spread_cells):
    model.SD = 1e-6
    x = spread_cells.x.numpy()
    lfc = np.log2(x[GROUP1][:, None] + C) - np.log2(x[GROUP2][None] + C)  # (10, 20, G) every pair
    p = (np.abs(lfc) > 0.25).mean((0, 1))
    table = by_gene(
        differential_expression(model, spread_cells, GROUP1, GROUP2, over="pairs", pseudocount=C, n_pairs=20_000)
    )
    assert (np.abs(table["proba_de"] - p) < 4.5 * np.sqrt(p * (1 - p) / 20_000)).all()
    assert table["proba_de"].between(0.1, 0.99).all()  # the cells do differ within groups


def test_over_means_compares_the_two_average_profiles(model, spread_cells):
    model.SD = 1e-6
    a, b = spread_cells.x[GROUP1].mean(0).numpy(), spread_cells.x[GROUP2].mean(0).numpy()
    table = by_gene(differential_expression(model, spread_cells, GROUP1, GROUP2, over="means", pseudocount=C))
    np.testing.assert_allclose(table["lfc_mean"], np.log2(a + C) - np.log2(b + C), atol=1e-5)
    np.testing.assert_allclose(table["scale1"], a, rtol=1e-5)
    np.testing.assert_array_equal(table["proba_de"], np.abs(np.log2(a + C) - np.log2(b + C)) > 0.25)


@pytest.mark.parametrize("spread", [0.25, 1.05, 3.0])
def test_two_halves_of_one_population_differ_over_pairs_and_not_over_means(model, spread):
    """Where cells differ by s in log₂, two cells of one population have p(∣LFC∣ > δ) = 2Φ(−δ/√2s); s in units of δ."""
    model.SD, delta = 1e-6, 0.25
    logs = np.random.default_rng(5).normal(0, spread * delta, (6000, G))
    cells = cells_by_hand(2.0**logs, genes=model.genes, batches=model.batches)
    halves = np.arange(3000), np.arange(3000, 6000)
    settings = {"delta": delta, "pseudocount": 1e-9, "n_samples": 2, "n_pairs": 20_000}
    pairs = differential_expression(model, cells, *halves, over="pairs", **settings)
    expected = 2 * norm.sf(1 / (np.sqrt(2) * spread))
    np.testing.assert_allclose(pairs["proba_de"], expected, atol=0.02)
    assert (expected > 0.5) == (spread > 1)
    assert (differential_expression(model, cells, *halves, **settings)["proba_de"] == 0).all()


def test_means_average_within_each_draw_and_not_over_draws(model, cells):
    table = by_gene(differential_expression(model, cells, GROUP1, GROUP2, pseudocount=1e-6, n_samples=2000))
    relative = np.sqrt(0.09 / 10 / PROFILE1.numpy() ** 2 + 0.09 / 20 / PROFILE2.numpy() ** 2)
    np.testing.assert_allclose(table["lfc_std"], relative / np.log(2), rtol=0.08)  # the delta method


def test_exchanging_the_groups_exchanges_the_signs(model, spread_cells):
    there = by_gene(differential_expression(model, spread_cells, GROUP1, GROUP2))
    back = by_gene(differential_expression(model, spread_cells, GROUP2, GROUP1))
    for column in ("lfc_mean", "lfc_median"):
        np.testing.assert_allclose(there[column], -back[column], atol=1e-6)
    for column in ("proba_de", "lfc_std", "pseudocounts"):
        np.testing.assert_allclose(there[column], back[column], rtol=1e-6)
    for one, other in (("scale1", "scale2"), ("raw_mean1", "raw_mean2"), ("non_zeros_proportion1",) * 2):
        np.testing.assert_allclose(there[one], back[other.replace("1", "2")], rtol=1e-6)
    there = by_gene(differential_expression(model, spread_cells, GROUP1, GROUP2, mode="vanilla"))
    back = by_gene(differential_expression(model, spread_cells, GROUP2, GROUP1, mode="vanilla"))
    np.testing.assert_allclose(there["bayes_factor"], -back["bayes_factor"], atol=1e-6)


@pytest.mark.parametrize("over", ["means", "pairs"])
@pytest.mark.parametrize("mode", ["change", "vanilla"])
def test_the_size_of_the_chunks_does_not_show(model, spread_cells, monkeypatch, over, mode):
    settings = {"over": over, "mode": mode, "n_pairs": 101}
    whole = differential_expression(model, spread_cells, GROUP1, GROUP2, **settings)
    monkeypatch.setattr(parts, "CHUNK", 7 * G)
    in_parts = differential_expression(model, spread_cells, GROUP1, GROUP2, **settings)
    pd.testing.assert_frame_equal(whole, in_parts, rtol=1e-5)


@pytest.mark.parametrize("over", ["means", "pairs"])
def test_a_seed_gives_the_same_table_and_leaves_the_callers_stream_alone(model, cells, over):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = differential_expression(model, cells, GROUP1, GROUP2, over=over, seed=1)
    assert torch.rand(1) == expected
    pd.testing.assert_frame_equal(first, differential_expression(model, cells, GROUP1, GROUP2, over=over, seed=1))
    other = differential_expression(model, cells, GROUP1, GROUP2, over=over, seed=2)
    assert (by_gene(first)["lfc_mean"] != by_gene(other)["lfc_mean"]).all()


def test_masks_positions_lists_tensors_and_series_say_the_same(model, cells):
    mask1, mask2 = np.isin(np.arange(N), GROUP1), np.isin(np.arange(N), GROUP2)
    expected = differential_expression(model, cells, GROUP1, GROUP2)
    for one, two in [
        (mask1, mask2),
        (GROUP1[::-1], GROUP2.tolist()),
        (torch.from_numpy(mask1), torch.from_numpy(GROUP2)),
        (pd.Series(mask1), pd.Series(GROUP2, index=[f"cell_{i}" for i in GROUP2])),
    ]:
        pd.testing.assert_frame_equal(expected, differential_expression(model, cells, one, two))


# Batches


@pytest.fixture
def two_batches():
    """The same cells, but group 1 lies in batch 0 and group 2 in batch 1, where the decoder gives 1.5 times as much."""
    model = KnownPosterior(n_batches=2)
    x = torch.full((N, G), 6.0)
    return model, cells_by_hand(x, [0] * 10 + [1] * 20, model.genes, model.batches)


@pytest.mark.parametrize("over", ["means", "pairs"])
def test_batch_correction_takes_the_batch_away_and_its_absence_leaves_it(two_batches, over):
    model, cells = two_batches
    settings = {"over": over, "pseudocount": 1e-6, "n_samples": 300}
    corrected = differential_expression(model, cells, GROUP1, GROUP2, **settings)
    np.testing.assert_allclose(corrected["lfc_mean"], 0, atol=0.01)
    np.testing.assert_allclose(corrected["scale1"], 6 * 1.25, rtol=0.01)  # averaged over factors 1 and 1.5
    own = differential_expression(model, cells, GROUP1, GROUP2, batch_correction=False, **settings)
    np.testing.assert_allclose(own["lfc_mean"], -np.log2(1.5), atol=0.01)


@pytest.mark.parametrize("over", ["means", "pairs"])
def test_a_cell_is_decoded_under_its_own_batch(over):
    """ρ is 6 in every cell under its own batch, x (1 + s/2); under the other it would be 9 or 4."""
    model = KnownPosterior(n_batches=2)
    model.SD = 1e-6
    batch = torch.from_numpy(np.random.default_rng(0).integers(0, 2, N))
    x = torch.where(batch == 0, 6.0, 4.0).unsqueeze(-1).expand(-1, G)
    cells = cells_by_hand(x, batch, model.genes, model.batches)
    table = differential_expression(model, cells, GROUP1, GROUP2, over=over, batch_correction=False)
    np.testing.assert_allclose(table[["scale1", "scale2"]], 6, rtol=1e-4)
    assert table["lfc_std"].max() < 1e-4


# From draws to columns: draws given, and columns worked by hand


@pytest.fixture
def given(monkeypatch, model, cells):
    """A function: asked over pairs, with these (K, G) draws of ρ of either group."""

    def table(rho1, rho2, **settings):
        draws = [
            (torch.tensor(rho1).float()[part], torch.tensor(rho2).float()[part]) for part in (slice(2), slice(2, 99))
        ]
        monkeypatch.setattr(de, "pair_draws", lambda *_: iter(draws))
        settings = {"pseudocount": 0.5, "n_pairs": len(rho1)} | settings
        return differential_expression(model, cells, GROUP1, GROUP2, over="pairs", **settings)

    return table


def test_the_columns_of_change_mode_are_those_worked_by_hand(given):
    changes = np.array([3.0, 0.0, 1.0, -1.0, 1.0])  # log₂ fold changes of one gene in five draws, exact in binary
    rho2 = np.full((5, G), 1.5)
    rho1 = np.repeat(2 ** (changes + 1) - 0.5, G).reshape(5, G)  # ρ + c is 2 in group 2 and 2 · 2^change in group 1
    row = given(rho1, rho2, delta=1.0).iloc[0]
    assert row["proba_de"] == 1 / 5  # a change of δ is none
    assert row["proba_not_de"] == 4 / 5
    assert row["lfc_mean"] == pytest.approx(4 / 5)
    assert row["lfc_median"] == 1
    assert row["lfc_std"] == pytest.approx(np.sqrt((9 + 0 + 1 + 1 + 1) / 5 - (4 / 5) ** 2))  # of these five draws
    assert row["scale1"] == pytest.approx(rho1[:, 0].mean())
    assert row["scale2"] == 1.5


def test_the_columns_of_vanilla_mode_are_those_worked_by_hand(given):
    rho1 = np.array([[3.0, 1, 1, 2]] * 4)
    rho2 = np.array([[1.0, 3, 1, 2], [2, 3, 1, 2], [3, 3, 1, 1], [4, 3, 1, 1]])
    table = given(rho1, rho2, mode="vanilla").loc[["g0", "g1", "g2", "g3"]]
    assert table["proba_m1"].tolist() == [2 / 4, 0, 0, 2 / 4]  # equals are not higher
    assert table["scale1"].tolist() == [3, 1, 1, 2]
    assert table["scale2"].tolist() == [2.5, 3, 1, 1.5]
    assert list(given(rho1, rho2, mode="vanilla").index) == ["g0", "g3", "g1", "g2"]


def test_calls_stand_beside_their_own_genes(given):
    """The most probable genes are the last, in the order of the model."""
    change = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1]])  # in four draws of four genes
    table = given(2.0 ** (change + 1) - 0.5, np.full((4, G), 1.5), fdr_target=0.2)
    assert list(table.index) == ["g3", "g2", "g1", "g0"]
    assert table["proba_de"].tolist() == [1, 3 / 4, 1 / 4, 0]
    assert table["is_de_fdr_0.2"].tolist() == [True, True, False, False]  # expected FDR 0, 1/8, 1/3, 1/2


# The default pseudocount


def test_the_default_pseudocount_is_a_tenth_of_a_molecule_in_the_median_cell():
    totals = np.array([100.0, 100, 250, 4000, 9000])
    assert default_pseudocount(cells_by_hand(totals[:, None] * [[0.2, 0.8]])) == pytest.approx(0.1 / 250)
    assert default_pseudocount(cells_by_hand(totals[:4, None])) == pytest.approx(0.1 / 175)  # the middle of two


@pytest.mark.parametrize("n_cells", [100, 666])
def test_at_the_default_pseudocount_counting_leaves_the_change_a_deviation_of_some_three_over_the_root_of_n(n_cells):
    rng = np.random.default_rng(0)
    per_cell = 1000
    c = default_pseudocount(cells_by_hand(torch.full((7, 1), float(per_cell))))
    total = n_cells * per_cell
    counts = rng.poisson(c * total, (2, 40_000))
    spread = np.std(np.log2(counts[0] / total + c) - np.log2(counts[1] / total + c))
    assert spread == pytest.approx(3.2 / np.sqrt(n_cells), rel=0.05)


def test_the_pseudocount_is_one_for_all_groups_and_stays_when_cells_are_added(model, cells):
    c = default_pseudocount(cells)
    for first, second in [(GROUP1, GROUP2), (GROUP1[:5], GROUP2[:3])]:
        table = differential_expression(model, cells, first, second)
        assert (table["pseudocounts"] == c).all()
    twice = cells_by_hand(cells.x.repeat(2, 1), genes=model.genes, batches=model.batches)
    assert default_pseudocount(twice) == c
    assert default_pseudocount(replace(cells, x=2 * cells.x)) == pytest.approx(c / 2)  # but it follows depth


def test_cells_that_are_empty_for_the_most_have_no_median_depth(cells):
    with pytest.raises(ValueError, match="cells: expected counts in most cells, found a median total of 0"):
        default_pseudocount(replace(cells, x=cells.x * (torch.arange(N) < 10).unsqueeze(-1)))


def test_a_large_pseudocount_plays_every_change_down(model, cells):
    table = differential_expression(model, cells, GROUP1, GROUP2, pseudocount=1e4)
    assert table["lfc_mean"].abs().max() < 1e-3
    assert not table["is_de_fdr_0.05"].any()


# The table


def test_the_table_has_the_columns_of_scvi_tools_and_its_order(model, spread_cells):
    table = differential_expression(model, spread_cells, GROUP1, GROUP2, fdr_target=0.1)
    assert list(table.columns) == [
        "proba_de", "proba_not_de", "bayes_factor", "lfc_mean", "lfc_median", "lfc_std", "pseudocounts", "delta",
        "scale1", "scale2", "raw_mean1", "raw_mean2", "non_zeros_proportion1", "non_zeros_proportion2", "is_de_fdr_0.1",
    ]  # fmt: skip
    assert table.index.name == "gene"
    assert sorted(table.index) == list(spread_cells.genes)
    order = list(zip(-table["proba_de"], -table["lfc_mean"].abs(), strict=True))
    assert order == sorted(order)
    vanilla = differential_expression(model, spread_cells, GROUP1, GROUP2, mode="vanilla")
    assert vanilla["bayes_factor"].is_monotonic_decreasing
    assert not any(column.startswith("lfc") for column in vanilla)


def test_statistics_of_the_counts_are_those_of_pandas(model, spread_cells):
    x = spread_cells.x.clone()
    x[::3, 1] = 0
    cells = replace(spread_cells, x=x)
    table = by_gene(differential_expression(model, cells, GROUP1, GROUP2))
    for name, group in (("1", GROUP1), ("2", GROUP2)):
        counts = pd.DataFrame(x[group].numpy(), columns=list(cells.genes))
        np.testing.assert_allclose(table[f"raw_mean{name}"], counts.mean())
        np.testing.assert_allclose(table[f"non_zeros_proportion{name}"], (counts > 0).mean())


def test_calls_follow_from_the_probabilities_in_the_table(model, spread_cells):
    table = differential_expression(model, spread_cells, GROUP1, GROUP2, over="pairs", fdr_target=0.3)
    k = int(table["is_de_fdr_0.3"].sum())
    assert table["is_de_fdr_0.3"].tolist() == [True] * k + [False] * (G - k)
    means = [table["proba_not_de"].iloc[:n].mean() for n in range(1, G + 1)]
    assert k == sum(mean <= 0.3 for mean in means)


# A real model and AnnData


@pytest.fixture(scope="module")
def simulation():
    return simulate(60, 24, n_types=2, n_changed=3, fold=8.0, dropout=0.0, seed=0)


@pytest.mark.parametrize("gene_likelihood", ["zinb", "nb"])
def test_an_untrained_scvi_is_asked_in_evaluation_mode_and_left_in_training(simulation, gene_likelihood):
    torch.manual_seed(0)
    model = SCVI(
        simulation.var_names, simulation.obs["batch"].cat.categories, library_prior=None, hidden=(8,), n_latent=2,
        gene_likelihood=gene_likelihood,
    ).train()  # fmt: skip
    model.epochs_trained = 1  # so it claims
    cells = cells_for(model, simulation, batch_key="batch")
    masks = group_masks(simulation.obs, "cell_type", "type_0")
    table = differential_expression(model, cells, *masks)
    assert model.training
    np.testing.assert_allclose(table[["scale1", "scale2"]].sum(), 1, rtol=1e-5)
    pd.testing.assert_frame_equal(table, differential_expression(model.eval(), cells, *masks))


def test_keys_in_obs_become_masks(simulation):
    one, rest = group_masks(simulation.obs, "cell_type", "type_0")
    np.testing.assert_array_equal(one, simulation.obs["cell_type"] == "type_0")
    np.testing.assert_array_equal(rest, ~one)
    obs = pd.DataFrame({"type": ["b", "t", None, "nk", "t"], "run": [1, 1, 2, 2, 2]})
    one, two = group_masks(obs, "type", ["t", "nk"], "b")
    assert one.tolist() == [False, True, False, True, True]
    assert two.tolist() == [True, False, False, False, False]
    one, rest = group_masks(obs, "type", "t")
    assert rest.tolist() == [True, False, False, True, False]  # the cell without a label is in neither
    for key in ("1", 1, [1], np.int64(1), pd.Index([1])):
        assert group_masks(obs, "run", key)[0].tolist() == [True, True, False, False, False]


def test_a_missing_label_is_not_the_label_called_nan():
    obs = pd.DataFrame({"type": pd.Series(["nan", None, "t"], dtype=object)})
    assert group_masks(obs, "type", "nan")[0].tolist() == [True, False, False]


@pytest.mark.parametrize(
    "keys, message",
    [
        (("tissue", "t"), "groupby: expected a column of obs, one of 'type', found 'tissue'"),
        (("type", "T"), r"group1: expected a label in obs\['type'\] or several, of 'b', 't', found 'T', which no cell"),
        (("type", 0), r"group1: .* of 'b', 't', found '0', which no cell has"),
        (("type", None), "group1: .* found 'None'"),
        (("type", "t", ["b", "nk"]), "group2: .* found 'nk'"),
        (("type", []), "group1: .* found none"),
    ],
)
def test_unknown_keys_are_named(keys, message):
    with pytest.raises(ValueError, match=message):
        group_masks(pd.DataFrame({"type": pd.Categorical(["t", "b"], ["t", "b", "nk"])}), *keys)


def test_what_has_no_columns_or_two_of_one_name_is_refused(simulation):
    with pytest.raises(TypeError, match=r"obs: expected a data frame, such as adata.obs, found AnnData"):
        group_masks(simulation, "cell_type", "type_0")
    with pytest.raises(TypeError, match="groupby: expected a name, found 0"):
        group_masks(simulation.obs, 0, "type_0")
    twice = pd.DataFrame([["t", "b"]], columns=["type", "type"])
    with pytest.raises(ValueError, match="groupby: expected one column 'type', found 2; rename"):
        group_masks(twice, "type", "t")


# Bad input

MASK = np.arange(N) < 5


NAMES = [f"cell_{i}" for i in range(N)]


@pytest.mark.parametrize(
    "group1, group2, error, message",
    [
        ([], GROUP2, ValueError, "group1: expected at least two cells, and some dozens to say much, found no cell"),
        (np.zeros(N, dtype=bool), GROUP2, ValueError, "group1: expected at least two cells, .* found no cell"),
        (GROUP1, [29], ValueError, "group2: expected at least two cells, .* found one cell"),
        (GROUP1, np.arange(9, 30), ValueError, r"group1, group2: expected no cell in both, found 1, first cell 9"),
        (MASK[:-1], GROUP2, ValueError, "group1: expected a mask of the 30 cells, found one of 29"),
        (GROUP1, [29, 30], ValueError, "group2: expected positions from 0 to 29, .* found 29 to 30"),
        (GROUP1, [-1, 20], ValueError, "group2: expected positions from 0 to 29, .* found -1 to 20"),
        ([3, 4, 3], GROUP2, ValueError, "group1: expected each cell once, found cell 3 more than once"),
        (MASK.astype(float), GROUP2, TypeError, "group1: expected a boolean mask or integer positions, found float64"),
        (np.array(["t"] * N), GROUP2, TypeError, "group1: expected a boolean mask.*use group_masks"),
        ("t", GROUP2, TypeError, "group1: expected a boolean mask.*use group_masks"),
        (None, GROUP2, TypeError, "group1: expected a boolean mask.*use group_masks"),
        ([True, None] * 15, GROUP2, TypeError, "group1: .*found object; .*fill what is missing in a mask"),
        (MASK[:, None], GROUP2, ValueError, r"group1: expected a mask or positions .*shape \(30, 1\)"),
        (
            pd.Series(MASK, NAMES),
            GROUP2,
            ValueError,
            r"group1: expected a mask by position, found a Series .*\('cell_0'",
        ),
        (
            pd.Series(MASK, NAMES[::-1]),
            GROUP2,
            ValueError,
            r"If its rows are in the order of the cells.*\.to_numpy\(\)",
        ),
        (GROUP1, pd.Series(~MASK).sort_index(ascending=False), ValueError, "group2: expected a mask by position"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(model, cells, group1, group2, error, message):
    with pytest.raises(error, match=message):
        differential_expression(model, cells, group1, group2)
    with pytest.raises(error, match=message):
        group_positions(group1, group2, N)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"delta": -0.1}, ValueError, "delta: expected a number ≥ 0, found -0.1"),
        ({"delta": float("nan")}, ValueError, "delta: expected a finite number, found nan"),
        ({"delta": float("inf")}, ValueError, "delta: expected a finite number, found inf"),
        ({"delta": "0.25"}, TypeError, "delta: expected a number, found '0.25'"),
        ({"fdr_target": 0.0}, ValueError, "fdr_target: expected 0 < fdr_target < 1, found 0.0"),
        ({"fdr_target": 5}, ValueError, "fdr_target: expected 0 < fdr_target < 1, found 5"),
        ({"fdr_target": "5%"}, TypeError, "fdr_target: expected a number, found '5%'"),
        ({"mode": "changed"}, ValueError, "mode: expected 'change' or 'vanilla', found 'changed'"),
        ({"over": "cells"}, ValueError, "over: expected 'means' or 'pairs', found 'cells'"),
        ({"over": None}, ValueError, "over: expected 'means' or 'pairs', found None"),
        ({"batch_correction": "yes"}, ValueError, "batch_correction: expected False or True, found 'yes'"),
        ({"pseudocount": 0.0}, ValueError, "pseudocount: expected a number > 0, found 0.0"),
        ({"pseudocount": float("inf")}, ValueError, "pseudocount: expected a finite number, found inf"),
        ({"pseudocount": "auto"}, TypeError, "pseudocount: expected a number, found 'auto'"),
        ({"n_samples": 1}, ValueError, "n_samples: expected a whole number ≥ 2, found 1"),
        ({"n_samples": 100.0}, TypeError, "n_samples: expected a whole number such as 10, found 100.0"),
        ({"n_pairs": True}, TypeError, "n_pairs: expected a whole number such as 10, found True"),
        ({"seed": 1.5}, TypeError, "seed: expected a whole number such as 10, found 1.5"),
        ({"seed": None}, TypeError, "seed: expected a whole number such as 10, found None"),
        ({"seed": "0"}, TypeError, "seed: expected a whole number such as 10, found '0'"),
        (
            {"seed": 2**70},
            ValueError,
            "seed: expected a whole number from 0 to 4294967295, found 1180591620717411303424",
        ),
        ({"seed": -1}, ValueError, "seed: expected a whole number from 0 to 4294967295, found -1"),
    ],
)
def test_settings_out_of_range_are_refused(model, cells, settings, error, message):
    with pytest.raises(error, match=message):
        differential_expression(model, cells, GROUP1, GROUP2, **settings)


@pytest.mark.parametrize("ask", [differential_expression, lambda m, c, *groups: default_pseudocount(c)])
def test_what_is_not_cells_is_named_and_the_way_to_make_them(model, simulation, cells, ask):
    with pytest.raises(TypeError, match=r"cells: expected Cells, found AnnData; make them with cells_for\(model, data"):
        ask(model, simulation, GROUP1, GROUP2)
    with pytest.raises(ValueError, match="cells: expected at least one, found none"):
        ask(model, cells[:0], GROUP1, GROUP2)


@pytest.mark.parametrize(
    "other, lacks",
    [
        (VAE(G), "lacks genes, batches, learns_library"),
        (Autoencoder(G), "lacks genes, batches, learns_library"),
        (SimplifiedSCVI(G), "lacks genes, batches, learns_library"),
    ],
)
def test_a_model_without_library_or_batches_is_named_with_what_it_lacks(cells, other, lacks):
    found = f"differential_expression, found {type(other).__name__}, which {lacks}; .*SCVI has them all"
    with pytest.raises(TypeError, match=found):
        differential_expression(other, cells, GROUP1, GROUP2)


def test_a_class_is_no_model(cells):
    with pytest.raises(TypeError, match="model: expected a trained model, found the class SCVI; build one"):
        differential_expression(SCVI, cells, GROUP1, GROUP2)


@pytest.mark.parametrize("epochs", [None, 0])
def test_a_model_that_was_never_trained_answers_with_a_warning(model, cells, epochs):
    trained = differential_expression(model, cells, GROUP1, GROUP2)
    model.epochs_trained = epochs
    with pytest.warns(
        UserWarning, match="model: expected a trained one, found this KnownPosterior with no epoch of fit"
    ):
        asked = differential_expression(model, cells, GROUP1, GROUP2)
    pd.testing.assert_frame_equal(asked, trained)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"genes": ("g1", "g0", "g2", "g3")}, "of the model in another order, first 'g0' at column 1 instead of 0"),
        ({"genes": ("g0", "g1", "g2", "other")}, "1 missing, first 'g3'"),
        ({"batches": ("run 7",)}, "the model numbers the batches"),
    ],
)
def test_cells_the_model_does_not_know_are_refused(model, cells, change, message):
    with pytest.raises(ValueError, match=message):
        differential_expression(model, replace(cells, **change), GROUP1, GROUP2)


# Memory

MEASURE = """
import resource, sys, torch
from course_lib.analysis.differential_expression import differential_expression
from course_lib.data.cells import Cells
from course_lib.models.scvi import SCVI

over, n_cells, n_genes = sys.argv[1], 4_000, 500
genes = tuple(map(str, range(n_genes)))
model = SCVI(genes, library_prior=None, n_latent=2, hidden=(4,), gene_likelihood="poisson")
model.epochs_trained = 1
cells = Cells(torch.ones(n_cells, n_genes), torch.zeros(n_cells, dtype=torch.int64), genes, model.batches)
group = torch.arange(n_cells)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
differential_expression(model, cells, group[:20], group[20:40], over=over, n_samples=2, n_pairs=20)
before = peak()
differential_expression(model, cells, group[:2_000], group[2_000:], over=over, n_samples=200)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is not there on Windows")
@pytest.mark.parametrize("over, megabytes", [("means", 80), ("pairs", 150)])
def test_memory_does_not_grow_with_cells_times_draws(over, megabytes):
    """4,000 cells × 500 genes × 200 draws would be 1,600 MB; the changes of 5,000 pairs are 10 MB, the counts 8 MB."""
    result = subprocess.run([sys.executable, "-c", MEASURE, over], capture_output=True, text=True, check=True)
    assert int(result.stdout) < megabytes * 1e6
