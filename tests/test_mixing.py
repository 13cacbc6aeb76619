"""Batch entropy on cases worked by hand, and its ceiling."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import entropy, hypergeom

from course_lib.analysis.mixing import (
    batch_entropy,
    batch_entropy_ceiling,
    same_batch_neighbours,
    shuffled_within,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def ring(batch):
    """Cells evenly on a circle, in this order: the two nearest neighbours of each are the cells beside it."""
    angle = np.linspace(0, 2 * np.pi, len(batch), endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1), np.array(batch)


def by_hand(codes, batch, n_neighbors):
    """The definition, cell by cell, without scikit-learn or SciPy's entropy."""
    distances = cdist(codes, codes)
    np.fill_diagonal(distances, np.inf)
    total = 0.0
    for row in distances:
        near = batch[np.argsort(row)[:n_neighbors]]
        for name in set(near.tolist()):
            f = np.mean(near == name)
            total -= f * np.log(f) / len(codes)
    return total


def test_batches_far_apart_have_no_entropy(rng):
    codes = rng.standard_normal((60, 3))
    batch = np.repeat([0, 1], 30)
    codes[batch == 1] += 1000
    assert batch_entropy(codes, batch, n_neighbors=20) == 0.0


def test_one_neighbour_of_each_of_two_batches_is_log_two():
    codes, batch = ring([0, 0, 1, 1] * 5)
    assert batch_entropy(codes, batch, n_neighbors=2) == pytest.approx(np.log(2), rel=1e-12)


def test_a_cell_is_not_its_own_neighbour():
    codes, batch = ring([0, 1] * 8)  # both neighbours are of the other batch; with oneself among them, log 2
    assert batch_entropy(codes, batch, n_neighbors=2) == 0.0


def test_three_batches_of_unequal_size_by_hand():
    # On a line, k = 2. Cell 0 at 0.0 sees 1, 2; 1 sees 0, 2; 2 (at 2.1) sees 1, 3; 3 (at 3.3) sees 2, 4;
    # 4 (at 4.6) sees 3, 5; 5 (at 6.0) sees 4, 3. Batches a a a b b c.
    codes = np.array([[0.0], [1.0], [2.1], [3.3], [4.6], [6.0]])
    batch = np.array(["a", "a", "a", "b", "b", "c"])
    mixed = [False, False, True, True, True, False]  # aa, aa, ab, ab, bc, bb
    assert batch_entropy(codes, batch, n_neighbors=2) == pytest.approx(np.mean(mixed) * np.log(2), rel=1e-12)


@pytest.mark.parametrize("n_neighbors", [1, 7, 50])
def test_it_agrees_with_the_definition_written_out(rng, n_neighbors):
    codes = rng.standard_normal((150, 4))
    batch = rng.choice(3, 150, p=[0.6, 0.3, 0.1])
    codes[:, 0] += batch
    expected = by_hand(codes, batch, n_neighbors)
    assert batch_entropy(codes, batch, n_neighbors) == pytest.approx(expected, rel=1e-12)


def test_names_and_numbers_mean_the_same(rng):
    codes, batch = rng.standard_normal((80, 2)), rng.integers(0, 3, 80)
    names = np.array(["p4", "p1", "p3"])[batch]
    assert batch_entropy(codes, names, 10) == batch_entropy(codes, 7 * batch + 100, 10)


def test_the_ceiling_of_batches_far_apart_is_what_chance_would_give(rng):
    codes = rng.standard_normal((400, 2))
    batch = np.repeat([0, 1], 200)
    codes[batch == 1] += 1000
    assert batch_entropy(codes, batch) == 0.0
    k = np.arange(51)  # of 50 neighbours, how many are of the cell's own batch, when 199 of the 399 others are
    expected = hypergeom(399, 199, 50).pmf(k) @ entropy(np.stack([k, 50 - k]))
    ceilings = [batch_entropy_ceiling(codes, batch, None, seed=seed) for seed in range(20)]
    assert np.mean(ceilings) == pytest.approx(expected, abs=0.002)


def test_among_all_other_cells_the_ceiling_is_known_exactly(rng):
    codes, batch = rng.standard_normal((20, 2)), np.repeat([0, 1], 10)
    expected = entropy([9, 10])  # every cell sees the other 9 of its batch and the 10 of the other
    assert batch_entropy_ceiling(codes, batch, None, n_neighbors=19) == pytest.approx(expected, rel=1e-12)


def test_the_ceiling_does_not_mix_a_type_that_one_batch_has_alone(rng):
    label = np.repeat(["B", "T"], 100)
    codes = rng.standard_normal((200, 2)) + 1000 * (label == "T")[:, None]
    batch = np.where(label == "T", 2, np.arange(200) % 2)  # batch 2 has all T cells and nothing else
    ceiling = batch_entropy_ceiling(codes, batch, label, n_neighbors=30)
    mixed = np.log(2) - 1 / (2 * 30)  # about: (B − 1)/2k below log B for the B cells; 0 for the T cells
    assert ceiling == pytest.approx(mixed / 2, abs=0.01)
    assert batch_entropy_ceiling(codes, batch, None, n_neighbors=30) > 2 * ceiling


def test_permuting_where_every_type_has_one_batch_changes_nothing(rng):
    codes, batch = rng.standard_normal((90, 3)), rng.integers(0, 3, 90)
    assert batch_entropy_ceiling(codes, batch, batch, n_neighbors=8) == batch_entropy(codes, batch, n_neighbors=8)


def test_the_seed_decides_the_permutation_and_the_input_stays_as_it_was(rng):
    codes, batch = rng.standard_normal((90, 3)), np.repeat([0, 1, 2], 30)
    first = batch_entropy_ceiling(codes, batch, None, 8, seed=3)
    assert batch_entropy_ceiling(codes, batch, None, 8, seed=3) == first
    assert batch_entropy_ceiling(codes, batch, None, 8, seed=4) != first
    np.testing.assert_array_equal(batch, np.repeat([0, 1, 2], 30))


def test_each_type_is_permuted_by_itself(rng):
    """Three types, three cells to a place, one of each type: under one permutation for all, a cell's two neighbours
    would come from one batch wherever they did before, and the entropy would stay zero."""
    places = np.repeat(1000.0 * np.arange(40), 3)[:, None]
    codes, label = places + rng.normal(size=(120, 1)), np.tile(["B", "NK", "T"], 40)
    batch = np.repeat(np.arange(40) % 2, 3)
    assert batch_entropy(codes, batch, n_neighbors=2) == 0
    assert batch_entropy_ceiling(codes, batch, label, n_neighbors=2) > 0.2  # log 2 in about half of the cells


def test_shuffling_keeps_how_often_a_batch_occurs_in_each_type_and_leaves_its_input_alone(rng):
    batch, label = rng.choice(["5k", "10k"], 200), rng.choice(["B", "NK", "T"], 200)
    before = batch.copy()
    shuffled = shuffled_within(batch, label, seed=1)
    assert sorted(zip(label, shuffled, strict=True)) == sorted(zip(label, batch, strict=True))
    assert (shuffled != batch).any()
    np.testing.assert_array_equal(batch, before)
    codes = rng.standard_normal((200, 2))
    assert batch_entropy_ceiling(codes, batch, label, 9, seed=1) == batch_entropy(codes, shuffled, 9)


TEN = np.arange(10.0)[:, None]


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"codes": np.zeros(10)}, ValueError, r"codes: expected \(N, L\).*found shape \(10,\)"),
        (
            {"codes": np.array([[0.0], [np.nan]] * 5)},
            ValueError,
            "codes: .*found NaN or infinity in 5 rows, first row 1",
        ),
        ({"codes": np.array([["a"]] * 10)}, TypeError, "codes: expected numbers, found <U1"),
        ({"batch": np.zeros(9)}, ValueError, r"batch: expected one for each of the 10 cells, found shape \(9,\)"),
        ({"batch": np.zeros((10, 1))}, ValueError, r"batch: .*found shape \(10, 1\)"),
        (
            {"batch": [np.nan, *range(9)]},
            ValueError,
            "batch: expected one for each cell, found none for 1 .*first cell 0",
        ),
        ({"n_neighbors": 0}, ValueError, "n_neighbors: .*from 1 to 9, the other cells there are, found 0"),
        ({"n_neighbors": 10}, ValueError, "n_neighbors: .*from 1 to 9, .*found 10"),
        ({"n_neighbors": 3.0}, TypeError, "n_neighbors: .*found 3.0"),
        ({"n_neighbors": True}, TypeError, "n_neighbors: .*found True"),
    ],
)
def test_bad_input_is_named(change, error, message):
    good = {"codes": TEN, "batch": np.zeros(10), "n_neighbors": 3}
    with pytest.raises(error, match=message):
        batch_entropy(**(good | change))
    with pytest.raises(error, match=message):
        batch_entropy_ceiling(**(good | change), labels=None)
    good["coordinates"] = (good | change)["codes"]
    with pytest.raises(error, match=message.replace("codes", "coordinates")):
        same_batch_neighbours(**{key: value for key, value in (good | change).items() if key != "codes"})


@pytest.mark.parametrize(
    "labels, seed, error, message",
    [
        (np.zeros(3), 0, ValueError, r"labels: expected one for each of the 10 cells, found shape \(3,\)"),
        (
            ["B"] * 9 + [None],
            0,
            ValueError,
            "labels: expected one for each cell, found none for 1 of them, first cell 9",
        ),
        (None, 1.5, TypeError, "seed: .*found 1.5"),
        (None, None, TypeError, "seed: .*found None"),
        (None, -1, ValueError, "seed: .*found -1"),
    ],
)
def test_labels_and_seeds_of_the_ceiling_are_checked(labels, seed, error, message):
    with pytest.raises(error, match=message):
        batch_entropy_ceiling(TEN, np.zeros(10), labels, n_neighbors=3, seed=seed)
