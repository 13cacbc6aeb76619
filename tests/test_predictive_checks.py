"""Criticism: a model that is the truth passes every check exactly, and one that is not is noticed."""

import numpy as np
import pytest
import scipy.stats
import torch
from small import cells_by_hand
from test_imputation import Known

from course_lib.analysis.posterior import posterior_predictive_sample
from course_lib.analysis.predictive_checks import (
    correlations,
    coverage,
    gene_checks,
    gene_correlations,
    pairs,
    randomised_pit,
    thinned_predictive_sample,
)
from course_lib.data.corrupt import thin

Z_BOUND = 5.0  # see test_toys
P_BOUND = 2 * scipy.stats.norm.sf(Z_BOUND)
N, K = 3_000, 39
MU, THETA, LOGITS = (
    torch.tensor([0.3, 2.0, 9.0, 40.0]),
    torch.tensor([0.8, 3.0, 1.5, 6.0]),
    torch.tensor([-1.0, 0, 1, -2]),
)


def draws_of(seed, theta=THETA, logits=LOGITS, n=N, k=None):
    """From NumPy: (N, G), or (K, N, G). ``theta`` None: Poisson counts."""
    rng = np.random.default_rng(seed)
    size = (n, 4) if k is None else (k, n, 4)
    mu = MU.numpy()
    w = np.broadcast_to(mu, size) if theta is None else rng.gamma(theta.numpy(), mu / theta.numpy(), size)
    dropped = rng.random(size) < torch.sigmoid(logits).numpy()
    return np.where(dropped, 0, rng.poisson(w)).astype(np.float32)


@pytest.fixture(scope="module")
def cells():
    x = draws_of(0)
    return cells_by_hand(x[x.sum(1) > 0], genes=tuple("abcd"))


def test_means_variances_and_zeros_are_numpys_and_lie_among_their_replicates():
    x, replicated = draws_of(0), draws_of(1, k=K)
    table = gene_checks(x, replicated, list("abcd"))
    assert list(table.columns) == ["statistic", "gene", "observed", "replicated", "low", "high"]
    assert list(table["statistic"].unique()) == ["mean", "variance", "zeros"]
    for name, function in [("mean", np.mean), ("variance", lambda v, axis: v.var(axis, ddof=1))]:
        rows = table[table["statistic"] == name]
        assert rows["gene"].tolist() == list("abcd")
        np.testing.assert_allclose(rows["observed"], function(x.astype(float), axis=0))
        np.testing.assert_allclose(rows["replicated"], function(replicated.astype(float), axis=1).mean(0))
    zeros = table[table["statistic"] == "zeros"]
    np.testing.assert_allclose(zeros["observed"], (x == 0).mean(0))
    assert ((zeros["low"] <= zeros["replicated"]) & (zeros["replicated"] <= zeros["high"])).all()
    expected = (
        torch.sigmoid(LOGITS).numpy() + torch.sigmoid(-LOGITS).numpy() * (1 + MU / THETA).numpy() ** -THETA.numpy()
    )
    np.testing.assert_allclose(zeros["replicated"], expected, atol=0.02)


def test_the_observed_statistic_of_the_truth_lies_outside_as_often_as_it_should():
    outside = []
    for seed in range(40):
        table = gene_checks(draws_of(seed, n=100), draws_of(1_000 + seed, n=100, k=99), list("abcd"))
        outside += [*((table["observed"] < table["low"]) | (table["observed"] > table["high"]))]
    assert np.mean(outside) == pytest.approx(0.1, abs=Z_BOUND * np.sqrt(0.09 / 160))  # 160 independent ones at least


def test_a_poisson_replicates_too_small_a_variance_and_too_few_zeros():
    table = gene_checks(draws_of(0), draws_of(1, theta=None, k=K), list("abcd")).set_index(["statistic", "gene"])
    for statistic, gene in [("variance", "b"), ("variance", "c"), ("variance", "d"), ("zeros", "b"), ("zeros", "c")]:
        row = table.loc[statistic, gene]
        assert row["observed"] > row["high"]


def test_correlations_are_scipys_of_log_normalised_counts():
    rng = np.random.default_rng(0)
    x = rng.poisson(rng.gamma(1.0, 5.0, (300, 1)) * np.ones((1, 5))) + np.eye(5)[rng.integers(5, size=300)]
    log = np.log1p(1e4 * x / x.sum(1, keepdims=True))
    found = gene_correlations(x)
    for a in range(5):
        for b in range(5):
            assert found[a, b] == pytest.approx(scipy.stats.pearsonr(log[:, a], log[:, b])[0], abs=1e-6)
    assert pairs(found).tolist() == [found[a, b] for a in range(5) for b in range(a + 1, 5)]


def test_a_constant_gene_has_no_correlation():
    found = correlations(np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0]]))
    assert np.isnan(found[0, 1])
    assert found[1, 1] == pytest.approx(1)


def test_the_truth_covers_at_least_its_level_and_a_poisson_does_not():
    x = draws_of(0)
    for level in (0.5, 0.9):
        right = coverage(x, draws_of(1, k=K), level)
        assert (right > level - Z_BOUND * np.sqrt(level * (1 - level) / N)).all()
        assert right[3] == pytest.approx(level, abs=0.06)  # counts of 40: hardly discrete
        wrong = coverage(x, draws_of(1, theta=None, k=K), level)
        assert wrong[3] < level - 0.1


def test_coverage_counts_both_ends_of_the_interval():
    replicated = np.arange(1, 20.0).reshape(19, 1, 1) * np.ones((1, 4, 1))  # 90 %: from the smallest to the largest
    assert coverage(np.array([[0], [1], [19], [20.0]]), replicated, 0.9).item() == 0.5


def test_the_pit_of_the_truth_is_uniform_and_that_of_a_poisson_is_a_bowl():
    x = draws_of(0)
    u = randomised_pit(x, draws_of(1, k=K))
    assert u.shape == x.shape
    assert ((u > 0) & (u < 1)).all()
    for gene in range(4):
        assert scipy.stats.kstest(u[:, gene], "uniform").pvalue > P_BOUND
    wrong = randomised_pit(x, draws_of(1, theta=None, k=K))[:, 3]
    assert scipy.stats.kstest(wrong, "uniform").pvalue < P_BOUND
    assert ((wrong < 0.1) | (wrong > 0.9)).mean() > 0.4  # a fifth, if it were right


def test_the_pit_is_uniform_for_few_replicates_too():
    """Three replicates: ranks of four exchangeable counts, ties split at random."""
    u = randomised_pit(draws_of(0), draws_of(1, k=3))
    assert scipy.stats.kstest(u.ravel(), "uniform").pvalue > P_BOUND


def test_posterior_predictive_counts_of_the_truth_pass(cells):
    """x of a cell, and replicates from a posterior that is the truth: exchangeable, but for cells without a count."""
    model = Known(MU, THETA, LOGITS)
    u = randomised_pit(cells.x.numpy(), posterior_predictive_sample(model, cells, K))
    assert scipy.stats.kstest(u[:, 3], "uniform").pvalue > P_BOUND


@pytest.mark.parametrize("logits", [None, LOGITS])
def test_forecasts_of_thinned_counts_are_right_given_every_count_that_was_kept(logits):
    """Held-out counts against the forecasts, among cells that kept like counts: w is Gamma(θ + x), no more Gamma(θ)."""
    keep, n = 0.8, 6_000
    none = torch.full((4,), -torch.inf)
    whole = draws_of(3, logits=none if logits is None else logits, n=n)
    whole[:, 0] += 1_000  # no cell without a count; this gene is not judged
    kept, held = thin(cells_by_hand(whole, genes=tuple("abcd")), keep, 0)
    model = Known(keep * MU, THETA, logits)
    forecast = thinned_predictive_sample(model, kept, keep, K)
    assert forecast.shape == (K, n, 4)
    u = randomised_pit(held, forecast)
    for gene in (1, 2, 3):
        x = kept.x[:, gene].numpy()
        low, high = np.quantile(x[x > 0], [0.3, 0.7])
        for where in (x == 0, (x > 0) & (x <= low), x >= high, x >= 0):
            if where.sum() > 100:
                assert scipy.stats.kstest(u[where, gene], "uniform").pvalue > P_BOUND
    blind = np.random.default_rng(0).poisson(
        np.random.default_rng(1).gamma(THETA.numpy(), (1 - keep) * (MU / THETA).numpy(), (K, n, 4))
    )
    u = randomised_pit(held, blind)  # right on the whole where nothing is dropped, not given what was kept
    assert scipy.stats.kstest(u[kept.x[:, 3].numpy() >= 50, 3], "uniform").pvalue < P_BOUND


def test_bad_input_is_named(cells):
    x = draws_of(0, n=5)
    for function in (lambda a, b: gene_checks(a, b, list("abcd")), coverage, randomised_pit):
        with pytest.raises(ValueError, match=r"replicated: expected \(K, N, G\) with \(N, G\) = \(5, 4\) as observed"):
            function(x, x)
    with pytest.raises(ValueError, match="genes: expected 4 names, one for each column, found 1"):
        gene_checks(x, x[None], ["a"])
    with pytest.raises(ValueError, match=r"replicated: expected 19 replicates or more for a level of 0.9, found 18"):
        coverage(x, np.repeat(x[None], 18, 0), 0.9)
    assert coverage(x, np.repeat(x[None], 19, 0), 0.9).tolist() == [1] * 4
    with pytest.raises(ValueError, match="level: expected 0 < level < 1, found 1"):
        coverage(x, x[None], 1.0)
    with pytest.raises(ValueError, match="keep: expected 0 < keep < 1, found 1"):
        thinned_predictive_sample(Known(MU, THETA), cells, 1.0)
    with pytest.raises(TypeError, match=r"model: expected a negative binomial .* found Poisson"):
        thinned_predictive_sample(Known(MU, None), cells, 0.9)
