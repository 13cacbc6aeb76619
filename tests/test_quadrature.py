"""Quadrature against SciPy's adaptive rule and closed forms, and the identities that notebook 03 rests on."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

from course_lib.probability import quadrature
from course_lib.probability.quadrature import Grid

GRID = Grid()


def bent_joint(x: torch.Tensor) -> torch.Tensor:
    """log p(x, z) of z ~ N(0, 1), x∣z ~ N(sin 2z + z/2, 0.3²), on the grid: (N, K)."""
    mean = torch.sin(2 * GRID.z) + GRID.z / 2
    return Normal(mean, 0.3).log_prob(x.unsqueeze(-1)) + Normal(0.0, 1.0).log_prob(GRID.z)


def test_evidence_agrees_with_adaptive_quadrature():
    x = torch.tensor([-1.7, 0.0, 0.4, 2.2], dtype=torch.float64)
    ours = quadrature.log_evidence(GRID, bent_joint(x)).exp().numpy()

    def evidence(value):
        return scipy.integrate.quad(
            lambda z: scipy.stats.norm.pdf(value, np.sin(2 * z) + z / 2, 0.3) * scipy.stats.norm.pdf(z),
            -10,
            10,
            limit=500,
            epsabs=1e-13,
        )[0]

    np.testing.assert_allclose(ours, [evidence(v) for v in x.numpy()], rtol=1e-8)


def test_posterior_integrates_to_one_where_the_joint_does_not():
    log_posterior = quadrature.log_posterior(GRID, bent_joint(torch.tensor([0.1, 1.5]).double()))
    masses = [scipy.integrate.trapezoid(row.exp().numpy(), GRID.z.numpy()) for row in log_posterior]
    np.testing.assert_allclose(masses, 1.0, rtol=1e-10)


@settings(max_examples=150, deadline=None)
@given(x=st.floats(-3, 3), mu=st.floats(-3, 3), sigma=st.floats(0.05, 1.2))
def test_log_evidence_is_elbo_plus_kl_for_every_q(x, mu, sigma):
    log_joint = bent_joint(torch.tensor([x]).double())
    log_q = quadrature.on_grid(GRID, Normal(torch.tensor([mu]).double(), torch.tensor([sigma]).double()))
    elbo = quadrature.elbo(GRID, log_q, log_joint)
    gap = quadrature.kl(GRID, log_q, quadrature.log_posterior(GRID, log_joint))
    evidence = quadrature.log_evidence(GRID, log_joint)
    assert float(elbo + gap) == pytest.approx(float(evidence), abs=1e-5)
    assert float(elbo) <= float(evidence) + 1e-9
    assert float(gap) >= -1e-9


def test_the_bound_touches_at_the_exact_posterior():
    log_joint = bent_joint(torch.linspace(-2, 2, 9).double())
    log_posterior = quadrature.log_posterior(GRID, log_joint)
    elbo = quadrature.elbo(GRID, log_posterior, log_joint)
    torch.testing.assert_close(elbo, quadrature.log_evidence(GRID, log_joint), rtol=0, atol=1e-9)


def test_kl_between_normals_agrees_with_its_closed_form():
    a, b = Normal(torch.tensor([0.7]).double(), 0.4), Normal(torch.tensor([-0.5]).double(), 1.3)
    ours = quadrature.kl(GRID, quadrature.on_grid(GRID, a), quadrature.on_grid(GRID, b))
    torch.testing.assert_close(ours, torch.distributions.kl_divergence(a, b), rtol=1e-8, atol=1e-10)


def test_an_integrand_that_is_not_zero_at_the_ends_counts_half_there():
    """The trapezoid rule is exact for straight lines, and wrong by dz where the ends count in full."""
    grid = Grid(1.0, 4.0, 7)
    assert grid.log_integral(torch.zeros(7).double()).exp().item() == pytest.approx(3.0, rel=1e-12)
    assert grid.log_integral(grid.z.log()).exp().item() == pytest.approx((16 - 1) / 2, rel=1e-12)
    uniform = torch.full((7,), 1 / 3, dtype=torch.float64).log()
    assert grid.expectation(uniform, grid.z).item() == pytest.approx(2.5, rel=1e-12)


def test_the_grid_and_what_is_laid_on_it_are_in_double_precision():
    q = Normal(torch.tensor([0.1]), torch.tensor([0.3]))  # single precision
    on_grid = quadrature.on_grid(GRID, Normal(q.mean.double(), q.stddev.double()))
    assert GRID.z.dtype == GRID.weights.dtype == on_grid.dtype == torch.float64
    assert torch.logsumexp(on_grid + GRID.weights.log(), -1).item() == pytest.approx(0, abs=1e-13)


def test_kl_is_infinite_where_q_has_mass_and_p_has_none():
    log_q = quadrature.on_grid(GRID, Normal(torch.tensor([0.0]).double(), 1.0))
    log_p = torch.where(GRID.z.abs() < 1, torch.log(torch.tensor(0.5).double()), -torch.inf).unsqueeze(0)
    assert quadrature.kl(GRID, log_q, log_p).item() == float("inf")
    assert np.isfinite(quadrature.kl(GRID, log_p, log_q).item())


@pytest.mark.parametrize("arguments, name", [((1.0, 1.0, 100), "low"), ((0.0, 1.0, 2), "points")])
def test_an_impossible_grid_is_refused(arguments, name):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        Grid(*arguments)
