"""Parts in which no patient is twice, every kind spread evenly, and orders whose beginnings are small samples."""

import numpy as np
import pytest

from course_lib.data.split import group_folds, nested_order

# 20 patients: the first five gave a tumour and a normal sample, the others one tumour of kind A or B.
PATIENT = [f"p{i}" for i in range(20)] + [f"p{i}" for i in range(5)]
KIND = ["A"] * 12 + ["B"] * 8 + ["A normal"] * 5


def test_every_sample_is_held_out_once_and_no_patient_is_on_both_sides():
    folds = group_folds(PATIENT, KIND, 5, seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(25))
    patients = [{PATIENT[i] for i in fold} for fold in folds]
    assert sum(map(len, patients)) == 20  # of 20 patients, none counted twice


def test_every_kind_is_spread_evenly():
    for seed in range(5):
        folds = group_folds(PATIENT, KIND, 5, seed=seed)
        for kind in set(KIND):
            numbers = [sum(KIND[i] == kind for i in fold) for fold in folds]
            assert max(numbers) - min(numbers) <= (2 if kind == "A" else 1), (kind, numbers)  # A: pairs, and alone


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    first, again, other = (group_folds(PATIENT, KIND, 4, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert not np.array_equal(nested_order(KIND, 1), nested_order(KIND, 2))


def test_parts_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="groups, strata: expected one entry for each sample"):
        group_folds(PATIENT, KIND[:-1])
    with pytest.raises(ValueError, match="n_folds: expected a whole number from 2 to 20"):
        group_folds(PATIENT, KIND, 21)
    with pytest.raises(TypeError, match="seed"):
        group_folds(PATIENT, KIND, 5, seed=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_every_beginning_holds_each_kind_in_its_share(seed):
    order = nested_order(KIND, seed)
    np.testing.assert_array_equal(np.sort(order), np.arange(25))
    for n in range(1, 26):
        for kind in set(KIND):
            found, share = sum(KIND[i] == kind for i in order[:n]), KIND.count(kind) * n / 25
            assert abs(found - share) <= 1, (n, kind)
