"""From probabilities to calls: against hand-worked odds and brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.analysis.bayes_decision import STRONG, called_at, log_bayes_factor, posterior_expected_fdr

probabilities = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=9)


@pytest.mark.parametrize(
    "wins, draws, odds",
    [(50, 100, 0.0), (75, 100, np.log(3.0)), (20, 100, -np.log(4.0)), (999, 1000, np.log(999.0))],
)
def test_log_bayes_factor_is_the_log_of_hand_counted_odds(wins, draws, odds):
    np.testing.assert_allclose(log_bayes_factor(wins / draws), odds, atol=2e-5)  # eps shifts 1/1000 by 1e-5


def test_log_bayes_factor_is_clipped_where_every_draw_agrees():
    np.testing.assert_allclose(log_bayes_factor([0.0, 1.0]), [-18.42, 18.42], atol=5e-3)


def test_a_strong_bayes_factor_is_a_probability_of_953():
    assert log_bayes_factor(0.9526) >= STRONG > log_bayes_factor(0.9525)


@given(probabilities)
def test_exchanging_the_hypotheses_changes_only_the_sign(p):
    np.testing.assert_allclose(log_bayes_factor(p), -log_bayes_factor(1 - np.array(p)), atol=1e-6)


@settings(max_examples=200)
@given(probabilities, st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_no_set_of_genes_within_the_target_is_larger_or_more_probable_than_the_one_called(p, target):
    p = np.array(p)
    called = called_at(p, target)
    allowed = [
        subset
        for k in range(1, len(p) + 1)
        for subset in combinations(range(len(p)), k)
        if np.mean(1 - p[list(subset)]) <= target + 1e-9
    ]
    assert called.sum() == max(map(len, allowed), default=0)
    of_that_size = [p[list(subset)].sum() for subset in allowed if len(subset) == called.sum()]
    assert p[called].sum() == pytest.approx(max(of_that_size, default=0))


@given(probabilities)
def test_expected_fdr_of_each_prefix_is_its_mean(p):
    p = np.array(p)
    expected = posterior_expected_fdr(p)
    for rank, gene in enumerate(sorted(range(len(p)), key=lambda g: -p[g])):  # Python's sort is stable too
        prefix = sorted(p, reverse=True)[: rank + 1]
        assert expected[gene] == pytest.approx(1 - np.mean(prefix))


def test_the_order_of_the_genes_does_not_matter():
    rng = np.random.default_rng(0)
    p = rng.random(200) ** 0.1
    shuffled = rng.permutation(200)
    np.testing.assert_array_equal(called_at(p[shuffled], 0.05), called_at(p, 0.05)[shuffled])


def test_a_gene_exactly_at_the_target_is_called():
    assert called_at([0.95], 0.05).all()  # though 1 − .95 > .05 in floating point
    assert not called_at([0.9499], 0.05).any()


def test_certain_genes_let_in_one_in_twenty_of_any_kind():
    assert called_at([1.0] * 19 + [0.0], 0.05).all()
    assert called_at([1.0] * 18 + [0.0], 0.05).sum() == 18


def test_calls_hold_their_target_when_the_probabilities_are_true():
    rng = np.random.default_rng(1)
    p = rng.beta(0.4, 0.8, 200_000)
    changed = rng.random(len(p)) < p
    called = called_at(p, 0.05)
    assert np.mean(~changed[called]) == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / called.sum()))


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, float("nan"), float("inf")])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(ValueError, match="fdr_target: expected"):
        called_at([0.5], target)


@pytest.mark.parametrize("target", ["0.05", None, True])
def test_a_target_that_is_no_number_is_refused(target):
    with pytest.raises(TypeError, match="fdr_target: expected a number, found"):
        called_at([0.5], target)


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan")])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"proba: expected probabilities in .*is it a log Bayes factor"):
        log_bayes_factor([0.5, wrong])


def test_text_and_whole_tables_are_no_probabilities():
    with pytest.raises(TypeError, match="proba: expected probabilities, found <U3; take one column"):
        log_bayes_factor(["0.5"])
    with pytest.raises(ValueError, match=r"proba: expected \(G,\), a probability for each gene, found shape \(2, 2\)"):
        called_at(np.ones((2, 2)))
