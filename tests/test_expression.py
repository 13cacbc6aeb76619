"""Log-normalisation against scanpy, and what it refuses."""

import anndata as ad
import numpy as np
import pytest
import scanpy
import scipy.sparse
import torch

from course_lib.data.expression import log_normalise


@pytest.mark.parametrize("target_sum", [1.0, 1e3, 1e6])
def test_log_normalisation_is_scanpys(target_sum):
    counts = np.random.default_rng(0).poisson(0.7, (40, 60))
    theirs = ad.AnnData(counts.astype(np.float64))
    scanpy.pp.normalize_total(theirs, target_sum=target_sum)
    scanpy.pp.log1p(theirs)
    ours = log_normalise(counts, target_sum)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs.X, rtol=1e-6, atol=1e-9)


def test_log_normalised_cells_have_a_common_total_before_the_logarithm():
    counts = np.random.default_rng(1).poisson(3.0, (20, 50)).astype(np.uint16)
    np.testing.assert_allclose(np.expm1(log_normalise(counts, 500.0).astype(np.float64)).sum(1), 500.0, rtol=1e-5)


@pytest.mark.parametrize(
    "form", [scipy.sparse.csr_matrix, scipy.sparse.csc_array, torch.tensor, ad.AnnData, np.ndarray.tolist]
)
def test_every_form_of_the_same_counts_gives_the_same_values(form):
    counts = np.random.default_rng(2).poisson(2.0, (20, 30)) + 1
    np.testing.assert_array_equal(log_normalise(form(counts), 1e4), log_normalise(counts, 1e4))


def test_the_counts_are_left_alone():
    counts = np.random.default_rng(2).poisson(2.0, (20, 30)) + 1.0
    before = counts.copy()
    log_normalise(counts, 1e4)[:] = 7
    np.testing.assert_array_equal(counts, before)


def test_estimated_counts_may_be_fractions():
    estimates = np.random.default_rng(3).gamma(2.0, 30.0, (20, 30))
    np.testing.assert_allclose(np.expm1(log_normalise(estimates, 500.0).astype(np.float64)).sum(1), 500.0, rtol=1e-5)


def test_an_empty_cell_is_named():
    counts = np.ones((4, 3))
    counts[2] = 0
    with pytest.raises(ValueError, match=r"counts: expected a count in every cell, found 1 cells .* \(row 2\)"):
        log_normalise(counts, 1e4)


def test_a_second_logarithm_is_refused():
    counts = np.random.default_rng(4).poisson(2.0, (20, 30)) + 1
    for logged in (log_normalise(counts, 1e4), np.log1p(counts), log_normalise(counts, 1e4)[:, :5]):
        for form in (np.asarray, scipy.sparse.csr_matrix, ad.AnnData):
            with pytest.raises(
                ValueError, match=r"counts.*: expected counts, found fractions no larger than .*raw counts"
            ):
                log_normalise(form(logged), 1e4)


@pytest.mark.parametrize(
    ("counts", "target_sum", "message"),
    [
        ([[1, 2]], 0, "target_sum: expected a number > 0, found 0"),
        ([[1, 2]], -1.0, "target_sum: expected a number > 0, found -1.0"),
        ([[1, 2]], float("nan"), "target_sum: expected a finite number, found nan"),
        ([[1, 2]], "1e4", "target_sum: expected a number, found '1e4'"),
        ([[30, -0.5]], 1e4, "counts: expected counts.*found 1 negative values, first -0.5 at .*scaled"),
        ([[30, float("nan")]], 1e4, "counts: expected finite numbers, found 1 that are NaN"),
        ([1, 2], 1e4, "counts: expected cells in rows and genes in columns"),
        (None, 1e4, "counts: expected one table of numbers, found None"),
        ("counts.h5ad", 1e4, "counts: expected one table of numbers, found the path"),
    ],
)
def test_what_cannot_be_normalised_is_named(counts, target_sum, message):
    with pytest.raises((ValueError, TypeError), match=message):
        log_normalise(counts, target_sum)
