"""The toy simulators do what their docstrings promise: moments in closed form, z-scores with a stated bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.data.cells import cells_from_counts, cells_from_expression
from course_lib.data.toys import low_rank, three_programs, trigonometric_curve, white_noise

# |z| < 5 fails by chance in one of two million standard normals; the seeds are fixed, so a failure is no accident.
Z_BOUND = 5.0


def _covariance_z_scores(x, covariance):
    """Entries of the sample covariance about a known mean of 0, in standard errors (Isserlis): (G, G)."""
    sample = x.T @ x / len(x)
    variances = np.diag(covariance)
    return (sample - covariance) / np.sqrt((np.outer(variances, variances) + covariance**2) / len(x))


def test_white_noise_is_standard_normal_in_every_entry_and_uncorrelated():
    x = white_noise(20_000, 12, seed=3)
    assert x.shape == (20_000, 12)
    assert x.dtype == np.float32
    x = x.astype(np.float64)
    assert np.abs(x.mean(0) * np.sqrt(len(x))).max() < Z_BOUND
    assert np.abs(_covariance_z_scores(x, np.eye(12))).max() < Z_BOUND
    assert np.abs((x**4).mean() - 3) < Z_BOUND * np.sqrt(96 / x.size)  # Var ε⁴ = 105 − 9


def test_low_rank_sample_has_the_covariance_and_mean_it_states():
    toy = low_rank(40_000, 10, eigenvalues=(6.0, 3.0), sigma=0.7, mean_scale=2.0, seed=1)
    x = toy.x.astype(np.float64) - toy.mean
    z_mean = x.mean(0) / np.sqrt(np.diag(toy.covariance) / len(x))
    assert np.abs(z_mean).max() < Z_BOUND
    assert np.abs(_covariance_z_scores(x, toy.covariance)).max() < Z_BOUND
    assert np.abs(toy.mean).max() > 0.5


def test_low_rank_covariance_has_the_stated_spectrum_and_eigengap():
    toy = low_rank(5, 30, eigenvalues=(9.0, 4.0, 1.5), sigma=0.5)
    spectrum = np.linalg.eigvalsh(toy.covariance)[::-1]
    np.testing.assert_allclose(spectrum, np.r_[9.25, 4.25, 1.75, np.full(27, 0.25)], atol=1e-12)
    assert toy.eigengap == pytest.approx(spectrum[2] - spectrum[3])


def test_low_rank_without_noise_is_exactly_its_linear_map():
    toy = low_rank(50, 8, eigenvalues=(2.0, 1.0), sigma=0.0, mean_scale=1.0)
    np.testing.assert_allclose(toy.x, toy.z @ toy.weights.T + toy.mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_frequencies", [1, 3, 5])
def test_curve_is_the_stated_function_of_its_angle(n_frequencies):
    toy = trigonometric_curve(300, 40, n_frequencies, sigma=0.0, seed=2)
    in_axes = toy.signal @ toy.axes * np.sqrt(n_frequencies / 40)  # (N, 2K)
    for k in range(1, n_frequencies + 1):
        np.testing.assert_allclose(in_axes[:, k - 1], np.cos(k * toy.angle), atol=1e-9)
        np.testing.assert_allclose(in_axes[:, n_frequencies + k - 1], np.sin(k * toy.angle), atol=1e-9)
    np.testing.assert_allclose((toy.signal**2).sum(1), 40.0)  # on a sphere
    np.testing.assert_allclose(toy.x, toy.signal, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n_frequencies", "sigma"), [(2, 0.0), (3, 0.1), (4, 1.0)])
def test_pca_explains_of_the_curve_what_the_closed_form_says(n_frequencies, sigma):
    toy = trigonometric_curve(40_000, 20, n_frequencies, sigma, seed=4)
    x = toy.x.astype(np.float64)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    measured = eigenvalues.cumsum() / eigenvalues.sum()
    for d in range(2 * n_frequencies + 1):
        # sampling moves an eigenvalue by about √(2/N) = 0.7 %, and PCA picks the luckiest of equal ones
        assert (measured[d - 1] if d else 0.0) == pytest.approx(toy.pca_share(d), rel=0.03)
    assert ((toy.signal**2).sum() / (x**2).sum()) == pytest.approx(toy.signal_share, rel=0.01)


@pytest.mark.parametrize("n_cells", [3000, 3001])
def test_three_programs_are_thirds_of_cells_and_of_genes(n_cells):
    toy = three_programs(n_cells, 999, seed=5)
    assert toy.obs["program"].value_counts().max() - toy.obs["program"].value_counts().min() <= 1
    assert set(toy.var["program"].value_counts()) == {333}
    assert (np.diff(toy.var["program"].cat.codes) >= 0).all()
    assert toy.var["baseline"].sum() == pytest.approx(1)
    changes = (np.diff(toy.obs["program"].cat.codes) != 0).mean()  # 0 in blocks, 1 in turn, 2/3 shuffled
    assert abs(changes - 2 / 3) < Z_BOUND * np.sqrt(2 / 9 / n_cells)


def test_three_programs_raise_their_own_genes_by_fold_relative_to_all_others():
    toy = three_programs(300, 60, fold=1.5)
    rho = toy.uns["truth"]["rho"]
    np.testing.assert_allclose(rho.sum(1), 1.0)
    gene_program = toy.var["program"].cat.codes.to_numpy()
    for program in range(3):
        own = gene_program == program
        relative = rho[program] / toy.var["baseline"].to_numpy()
        np.testing.assert_allclose(relative[own] / relative[~own][0], 1.5)
        np.testing.assert_allclose(relative[~own] / relative[~own][0], 1.0)


def test_three_programs_counts_are_poisson_with_mean_library_times_rho():
    toy = three_programs(4000, 50, fold=2.0, mean_library=500.0, seed=6)
    mu = toy.obs["library"].to_numpy()[:, None] * toy.uns["truth"]["rho"][toy.obs["program"].cat.codes]
    residual = (toy.X - mu) / np.sqrt(mu)  # mean 0, variance 1
    per_gene = residual.mean(0) * np.sqrt(len(mu))
    assert np.abs(per_gene).max() < Z_BOUND
    # the square of a standardised Poisson has mean 1 and variance 2 + 1/μ
    standard_error = np.sqrt((2 + 1 / mu).sum(0)) / len(mu)
    assert np.abs(((residual**2).mean(0) - 1) / standard_error).max() < Z_BOUND


def test_three_programs_library_sizes_have_the_stated_mean_and_spread():
    library = three_programs(6000, 3, mean_library=900.0, seed=7).obs["library"].to_numpy()
    log = np.log(library)
    assert abs(log.std(ddof=1) - 0.4) < Z_BOUND * 0.4 / np.sqrt(2 * len(log))
    assert abs(log.mean() - (np.log(900) - 0.08)) < Z_BOUND * 0.4 / np.sqrt(len(log))


def test_programs_at_fold_one_are_the_same_program():
    rho = three_programs(30, 30, fold=1.0).uns["truth"]["rho"]
    np.testing.assert_array_equal(rho[0], rho[1])
    np.testing.assert_array_equal(rho[0], rho[2])


@pytest.mark.parametrize(
    "simulate",
    [
        lambda seed: white_noise(20, 5, seed=seed),
        lambda seed: low_rank(20, 5, (1.0,), seed=seed).x,
        lambda seed: trigonometric_curve(20, 8, 2, seed=seed).x,
        lambda seed: three_programs(20, 9, seed=seed).X,
    ],
    ids=["white_noise", "low_rank", "trigonometric_curve", "three_programs"],
)
def test_same_seed_same_data_other_seed_other_data(simulate):
    np.testing.assert_array_equal(simulate(1), simulate(1))
    assert (simulate(1) != simulate(2)).any()


@settings(max_examples=25, deadline=None)
@given(
    n_cells=st.integers(3, 60),
    n_genes=st.integers(3, 40),
    fold=st.floats(1.0, 10.0),
    mean_library=st.floats(100.0, 5000.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_gate_accepts_the_three_programs(n_cells, n_genes, fold, mean_library, seed):
    toy = three_programs(n_cells, n_genes, fold, mean_library, seed)
    cells = cells_from_counts(toy, batch_key="program")
    assert cells.x.shape == (n_cells, n_genes)
    np.testing.assert_array_equal(cells.x.numpy(), toy.X)


def test_gate_accepts_the_continuous_toys():
    for x in (white_noise(6, 4), low_rank(6, 4, (1.0,)).x, trigonometric_curve(6, 8).x):
        np.testing.assert_array_equal(cells_from_expression(x).x.numpy(), x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: white_noise(0, 3), "n_samples: expected a whole number ≥ 1, found 0"),
        (lambda: white_noise(3, 0), "n_features: expected a whole number ≥ 1, found 0"),
        (lambda: low_rank(5, 2, (3.0, 2.0, 1.0)), "eigenvalues: expected 1 to 2, .* found 3"),
        (lambda: low_rank(5, 5, ()), "eigenvalues: expected 1 to 5, .* found 0"),
        (lambda: low_rank(5, 5, (1.0, 2.0)), "largest first"),
        (lambda: low_rank(5, 5, (1.0, 0.0)), "expected positive numbers, largest first, found"),
        (lambda: low_rank(5, 5, (float("inf"),)), "expected positive numbers, largest first, found"),
        (lambda: low_rank(5, 5, (1.0,), mean_scale=-1.0), "mean_scale: expected a number ≥ 0, found -1.0"),
        (lambda: low_rank(5, 5, (1.0,), sigma=-1.0), "sigma: expected a number ≥ 0, found -1.0"),
        (lambda: trigonometric_curve(5, 5, 3), "n_features: expected at least 6.*found 5"),
        (lambda: trigonometric_curve(5, 8, 0), "n_frequencies: expected a whole number ≥ 1, found 0"),
        (lambda: trigonometric_curve(5, sigma=-0.1), "sigma: expected a number ≥ 0, found -0.1"),
        (lambda: trigonometric_curve(5, 8, 2).pca_share(5), "n_components: expected 0 to 4, found 5"),
        (lambda: three_programs(2, 9), "n_cells: expected a whole number ≥ 3, found 2"),
        (lambda: three_programs(9, 2), "n_genes: expected a whole number ≥ 3, found 2"),
        (lambda: three_programs(9, 9, fold=0.5), "fold: expected a number ≥ 1, found 0.5"),
        (lambda: three_programs(9, 9, mean_library=0.0), "mean_library: expected a number > 0, found 0.0"),
        (
            lambda: three_programs(200, 9, mean_library=0.5),
            "mean_library: expected a count in every cell, found cell .* at 0.5; raise it",
        ),
        (lambda: white_noise(3, 3, seed=-1), "seed: expected a whole number ≥ 0, found -1"),
        (lambda: white_noise(2.0, 3), "n_samples: expected a whole number such as 10, found 2.0"),
        (lambda: three_programs(9, 9, mean_library=float("nan")), "mean_library: expected a finite number, found nan"),
    ],
)
def test_bad_arguments_are_named_with_what_was_found(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
