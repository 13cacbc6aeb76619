"""The prior's density, against SciPy."""

import numpy as np
import scipy.stats
import torch

from course_lib.probability.gaussian import standard_normal


def test_the_prior_follows_the_precision_it_is_asked_for():
    prior = standard_normal(3, like=torch.zeros(1, dtype=torch.float64))
    assert prior.batch_shape == (3,)
    assert prior.mean.dtype == torch.float64
    expected = scipy.stats.norm(0, 1).logpdf([0.0, 1.0, -2.0])
    np.testing.assert_allclose(prior.log_prob(torch.tensor([0.0, 1.0, -2.0]).double()), expected, rtol=1e-12)
