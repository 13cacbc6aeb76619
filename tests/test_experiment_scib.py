"""scIB's scores on cells whose neighbours are known by construction, and LISI beside another program's."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

from course_lib.experiments import scib

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("scib_metrics") is None or importlib.util.find_spec("harmonypy") is None,
        reason="scib-metrics and harmonypy are not installed: pip install -e '.[test,benchmark]'",
    ),
    pytest.mark.slow,  # JAX compiles what it computes
]


def clusters(names):
    """Six cells to a cluster, each as far from the other five, all other clusters out of sight."""
    places = np.concatenate([np.eye(6) + 1_000 * i for i in range(len(names))])
    return places, np.array(list("".join(names)))


def ring(n_cells, centre):
    """Evenly on a circle: each cell's nearest are those beside it."""
    angle = np.linspace(0, 2 * np.pi, n_cells, endpoint=False)
    return np.stack([np.cos(angle) + 1_000 * centre, np.sin(angle)], axis=1)


def test_lisi_by_hand():
    """With k = 15 the perplexity is 5: the five cells of the own cluster weigh 1/5 each, all others nothing."""
    codes, batch = clusters(["aaabbb", "aaaaab", "aaaaaa", "aabbcc"])
    expected = {
        "aaabbb": [1 / (0.4**2 + 0.6**2)] * 6,
        "aaaaab": [1 / (0.8**2 + 0.2**2)] * 5 + [1.0],
        "aaaaaa": [1.0] * 6,
        "aabbcc": [1 / (0.2**2 + 0.4**2 + 0.4**2)] * 6,
    }
    np.testing.assert_allclose(scib.lisi(codes, batch, 15), np.concatenate([*expected.values()]), rtol=1e-5)


def test_lisi_agrees_with_harmonys_authors():
    from harmonypy import compute_lisi

    rng = np.random.default_rng(0)
    batch = rng.choice(["a", "b", "c"], 300, p=[0.5, 0.3, 0.2])
    codes = rng.standard_normal((300, 4)) + 0.7 * (batch == "a")[:, None]
    theirs = compute_lisi(codes, pd.DataFrame({"batch": batch}), ["batch"], perplexity=30)[:, 0]
    np.testing.assert_allclose(scib.lisi(codes, batch, 91), theirs, rtol=1e-3)  # theirs: 90 others


def test_ilisi_runs_from_apart_to_mixed():
    rng = np.random.default_rng(0)
    codes, batch = rng.standard_normal((400, 3)), np.repeat(["a", "b"], 200)
    assert scib.ilisi(codes, rng.permutation(batch)) > 0.85
    assert scib.ilisi(codes + 1_000 * (batch == "a")[:, None], batch) == pytest.approx(0, abs=1e-5)


def test_a_type_in_two_places_is_connected_by_its_larger_share():
    """Of type A, 60 cells lie in one ring and 40 in another; type B is one ring of 50."""
    codes = np.concatenate([ring(60, 0), ring(40, 1), ring(50, 2)])
    labels = np.repeat(["A", "B"], [100, 50])
    assert scib.graph_connectivity(codes, labels) == pytest.approx((0.6 + 1) / 2)


def test_clisi_is_one_where_types_are_apart_and_nothing_where_they_are_mixed():
    rng = np.random.default_rng(0)
    codes, labels = rng.standard_normal((400, 3)), np.repeat(["A", "B"], 200)
    assert scib.clisi(codes + 1_000 * (labels == "B")[:, None], labels) == pytest.approx(1, abs=1e-5)
    assert scib.clisi(codes, rng.permutation(labels)) < 0.15


def test_kbet_counts_the_cells_whose_neighbours_are_a_fair_sample():
    rng = np.random.default_rng(0)
    codes, batch = rng.standard_normal((400, 3)), np.repeat(["a", "b"], 200)
    far = codes + 1_000 * (batch == "b")[:, None]
    assert scib.kbet(codes, rng.permutation(batch)) > 0.8
    assert scib.kbet(far, batch) == 0
    half = np.arange(400) % 200 < 100  # of each batch apart; the other halves lie together
    assert scib.kbet(np.where(half[:, None], far, codes - 5_000), batch) == pytest.approx(0.5, abs=0.1)
