"""Log-normalisation against scanpy, and what it refuses."""

import anndata as ad
import numpy as np
import pytest
import scanpy

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


def test_an_empty_cell_is_named():
    counts = np.ones((4, 3))
    counts[2] = 0
    with pytest.raises(ValueError, match="row 2 adds up to 0"):
        log_normalise(counts, 1e4)


@pytest.mark.parametrize("target_sum", [0, -1e4])
def test_a_target_that_is_not_positive_is_refused(target_sum):
    with pytest.raises(ValueError, match="target_sum: expected a positive total"):
        log_normalise(np.ones((2, 2)), target_sum)
