"""Both gradient estimators on an integrand whose gradient is known: E‖z − a‖² = Σ (μ_d − a_d)² + σ_d²."""

import pytest
import scipy.stats
import torch

from course_lib.probability.gradients import (
    reparameterised_samples,
    score_function_samples,
    total_variance,
    variance_ratio_of_a_quadratic,
    variance_ratios,
)

ESTIMATORS = [score_function_samples, reparameterised_samples]


def setting(n_dims, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mu = torch.randn(n_dims, generator=generator, dtype=torch.float64)
    sigma = 0.5 + torch.rand(n_dims, generator=generator, dtype=torch.float64)
    a = torch.randn(n_dims, generator=generator, dtype=torch.float64)
    exact = torch.cat([2 * (mu - a), 2 * sigma])
    return mu, sigma, lambda z: (z - a).square().sum(-1), exact


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n_dims", [1, 4])
def test_both_estimators_are_unbiased(estimator, n_dims):
    mu, sigma, f, exact = setting(n_dims)
    samples = estimator(f, mu, sigma, 400_000, torch.Generator().manual_seed(1))
    standard_error = samples.std(0) / len(samples) ** 0.5
    assert ((samples.mean(0) - exact) / standard_error).abs().max() < 4


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_z_scores_over_repeats_are_standard_normal(estimator):
    mu, sigma, f, exact = setting(2)
    generator = torch.Generator().manual_seed(2)
    z_scores = []
    for _ in range(300):
        samples = estimator(f, mu, sigma, 4_000, generator)
        z_scores.append(((samples.mean(0) - exact) / (samples.std(0) / len(samples) ** 0.5))[0])
    assert scipy.stats.kstest(torch.stack(z_scores).numpy(), "norm").pvalue > 0.001


def test_pathwise_variance_agrees_with_its_closed_form():
    mu, sigma, f, _ = setting(3)
    samples = reparameterised_samples(f, mu, sigma, 400_000, torch.Generator().manual_seed(3))
    # ∂/∂μ_d = 2(μ_d − a_d + σ_d ε): variance 4σ_d².
    torch.testing.assert_close(samples[:, :3].var(0), 4 * sigma**2, rtol=0.02, atol=0)


def test_the_variance_of_two_samples_is_that_of_their_population():
    samples = torch.tensor([[1.0, 10.0], [3.0, 10.0]])  # (1 − 2)² + (3 − 2)², divided by S − 1 = 1
    assert total_variance(samples).item() == 2.0


def test_the_score_function_is_the_noisier_one_and_worsens_with_dimension():
    ratios = []
    for n_dims in (1, 16):
        mu, sigma, f, _ = setting(n_dims)
        variances = [total_variance(e(f, mu, sigma, 50_000, torch.Generator().manual_seed(4))) for e in ESTIMATORS]
        ratios.append(float(variances[0] / variances[1]))
    assert 1 < ratios[0] < ratios[1]


def test_reparameterised_samples_leave_no_gradient_behind():
    mu, sigma, f, _ = setting(2)
    mu.requires_grad_()
    samples = reparameterised_samples(f, mu, sigma, 10, torch.Generator().manual_seed(0))
    assert samples.shape == (10, 4)
    assert not samples.requires_grad  # samples are numbers: nobody differentiates them again
    assert mu.grad is None


@pytest.mark.parametrize(("n_dims", "delta", "sigma"), [(1, 0.0, 1.0), (1, 2.0, 0.5), (3, 0.5, 1.0), (20, -0.7, 1.5)])
def test_the_variance_ratio_of_a_quadratic_agrees_with_samples(n_dims, delta, sigma):
    mu, sd = (torch.full((n_dims,), v, dtype=torch.float64) for v in (delta, sigma))
    variances = [
        total_variance(e(lambda z: z.square().sum(-1), mu, sd, 400_000, torch.Generator().manual_seed(5)))
        for e in ESTIMATORS
    ]
    measured = float(variances[0] / variances[1])
    assert measured == pytest.approx(variance_ratio_of_a_quadratic(n_dims, delta, sigma), rel=0.05)


def test_a_baseline_removes_the_variance_of_a_nearly_constant_cost():
    """Far from its minimum, with a narrow q, f ≈ δ² + 2δσε: by hand, with moments 1, 3, 15 of ε."""
    delta, sigma = 50.0, 0.1
    plain, baseline = variance_ratios(1, delta, sigma, 400_000, torch.Generator().manual_seed(0))
    slope, level = 2 * delta * sigma, delta**2
    path = 4 * sigma**2 + (2 * delta) ** 2 + 8 * sigma**2  # Var of 2(δ + σε), and of that times ε
    without = (level**2 + 2 * level**2) / sigma**2  # (f ε)² and (f (ε² − 1))², f nearly constant
    with_it = slope**2 * (2 + 10) / sigma**2  # Var ε² = 2; E[ε² (ε² − 1)²] = 15 − 6 + 1 = 10
    assert plain == pytest.approx(without / path, rel=0.02)
    assert baseline == pytest.approx(with_it / path, rel=0.02)


def test_the_plain_ratio_is_the_closed_form():
    plain, baseline = variance_ratios(6, 0.5, 1.5, 400_000, torch.Generator().manual_seed(1))
    assert plain == pytest.approx(variance_ratio_of_a_quadratic(6, 0.5, 1.5), rel=0.05)
    assert 1 < baseline < plain
