"""Scores against scikit-learn, SciPy and cases that can be worked by hand."""

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.decomposition import PCA
from torch import nn

from course_lib.analysis.amortisation import fit_local_posteriors
from course_lib.analysis.generation import energy_distance, nearest_neighbour_distance
from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.mixing import label_knn_accuracy
from course_lib.analysis.reconstruction import largest_angle, pca_variance_explained, variance_explained
from course_lib.contexts import evaluating
from course_lib.data.cells import cells_from_expression
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.vae import VAE
from course_lib.probability.linear_gaussian import LinearGaussian

RNG = np.random.default_rng(0)


def test_pca_explains_the_share_of_its_eigenvalues_on_its_own_training_data():
    x = RNG.normal(size=(300, 6)) * [5, 3, 2, 1, 1, 1]
    expected = PCA(2).fit(x).explained_variance_ratio_.sum()
    assert pca_variance_explained(x, x, 2) == pytest.approx(expected, rel=1e-10)


def test_the_mean_explains_nothing_and_the_data_explain_everything():
    x = RNG.normal(size=(50, 4))
    assert variance_explained(x, np.broadcast_to(x.mean(0), x.shape), x.mean(0)) == pytest.approx(0, abs=1e-12)
    assert variance_explained(x, x, x.mean(0)) == 1.0
    assert variance_explained(x, -x, x.mean(0)) < 0


def test_the_angle_between_turned_planes_is_the_turn():
    a, turn = np.eye(4)[:, :2], np.radians(25)
    b = np.array([[1, 0, 0, 0], [0, np.cos(turn), np.sin(turn), 0]]).T
    rotated = b @ np.linalg.qr(RNG.normal(size=(2, 2)))[0]  # another basis of the same plane
    assert largest_angle(a, rotated) == pytest.approx(25, abs=1e-6)


def test_energy_distance_agrees_with_scipy_in_one_dimension():
    a, b = RNG.normal(size=400), RNG.normal(1, 2, size=300)
    # SciPy returns the square root of the V-statistic: pairs of a row with itself counted, then halved.
    within = [np.abs(s[:, None] - s).mean() for s in (a, b)]
    unbiased = within[0] * 400 / 399 + within[1] * 300 / 299
    expected = 2 * scipy.stats.energy_distance(a, b) ** 2 / 2 + sum(within) - unbiased
    assert energy_distance(a[:, None], b[:, None]) == pytest.approx(expected, rel=1e-9)


def test_energy_distance_is_unbiased_around_zero_for_one_distribution():
    draws = [energy_distance(RNG.normal(size=(60, 5)), RNG.normal(size=(60, 5))) for _ in range(200)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / 200**0.5
    assert min(draws) < 0 < max(draws)


def test_nearest_neighbour_distance_rewards_the_mean_cell():
    real = RNG.normal(size=(300, 30))
    fresh, mean_cell = RNG.normal(size=(300, 30)), np.zeros((300, 30))
    assert nearest_neighbour_distance(mean_cell, real) < nearest_neighbour_distance(fresh, real)
    assert energy_distance(mean_cell, real) > energy_distance(fresh, real)


def test_nearest_neighbour_distance_by_hand():
    assert nearest_neighbour_distance(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [3.0, 4.0]])) == 0.5


def test_knn_accuracy_is_perfect_on_separated_groups_and_chance_on_noise():
    labels = np.repeat(["a", "b"], 100)
    separated = RNG.normal(size=(200, 2)) + np.where(labels == "a", 0, 20)[:, None]
    assert label_knn_accuracy(separated[::2], labels[::2], separated[1::2], labels[1::2]) == 1.0
    noise = RNG.normal(size=(200, 2))
    assert 0.3 < label_knn_accuracy(noise[::2], labels[::2], noise[1::2], labels[1::2]) < 0.7


def test_latents_are_asked_in_evaluation_mode_and_the_mode_comes_back():
    torch.manual_seed(0)
    model, cells = Autoencoder(8, 2, (6,), dropout=0.5).train(), cells_from_expression(torch.randn(10, 8))
    first = get_latent_representation(model, cells)
    assert first.shape == (10, 2)
    np.testing.assert_array_equal(first, get_latent_representation(model, cells))
    assert model.training
    with evaluating(model):
        assert not model.training
        assert not torch.is_grad_enabled()


def test_a_vaes_latent_is_its_posterior_mean_and_its_reconstruction_the_decoders_mean():
    vae, cells = VAE(8, 2, (6,)), cells_from_expression(torch.randn(10, 8))
    mean = vae.encode(cells.x).mean
    np.testing.assert_allclose(get_latent_representation(vae, cells), mean.detach())
    np.testing.assert_allclose(get_reconstruction(vae, cells), vae.decoder.to_mean(mean).detach(), rtol=1e-6)


@pytest.mark.slow
def test_local_posteriors_reach_the_exact_optimum_where_it_is_known():
    torch.manual_seed(0)
    vae = VAE(6, n_latent=2, hidden=(8,), sigma=0.7)
    vae.decoder.to_mean = nn.Linear(2, 6)
    exact = LinearGaussian(
        vae.decoder.to_mean.weight.detach() * 2, vae.decoder.to_mean.bias.detach(), torch.tensor(0.7)
    )
    with torch.no_grad():
        vae.decoder.to_mean.weight.mul_(2)
    x = exact.evidence().sample((20,))
    before = [p.detach().clone() for p in vae.parameters()]
    q = fit_local_posteriors(vae, cells_from_expression(x), steps=1500, lr=0.01)
    best = exact.best_diagonal(x)
    np.testing.assert_allclose(q.mean, best.mean, atol=0.15)
    np.testing.assert_allclose(q.variance, best.covariance_matrix.diagonal(dim1=-2, dim2=-1), rtol=0.25)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, vae.parameters(), strict=True))


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: variance_explained(np.ones((2, 3)), np.ones((2, 2)), np.ones(3)),
            "reconstruction: expected the shape",
        ),
        (lambda: variance_explained(np.ones((2, 3)), np.ones((2, 3)), np.ones(3)), "x: every value equals the mean"),
        (lambda: largest_angle(np.eye(3), np.eye(4)), "b: expected 3 rows"),
        (lambda: energy_distance(np.ones((1, 2)), np.ones((5, 2))), "a: expected two or more cells"),
        (lambda: energy_distance(np.ones((5, 2)), np.ones((5, 3))), "b: expected 2 genes"),
        (
            lambda: label_knn_accuracy(np.ones((3, 2)), np.ones(3), np.ones((3, 2)), np.ones(3)),
            "n_neighbors: expected at most 3",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
