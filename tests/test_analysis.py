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
from course_lib.data.cells import cells_from_counts, cells_from_expression
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi import SCVI
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.probability.linear_gaussian import LinearGaussian

RNG = np.random.default_rng(0)


def test_pca_explains_the_share_of_its_eigenvalues_on_its_own_training_data():
    x = RNG.normal(size=(300, 6)) * [5, 3, 2, 1, 1, 1]
    expected = PCA(2).fit(x).explained_variance_ratio_.sum()
    assert pca_variance_explained(x, x, 2) == pytest.approx(expected, rel=1e-10)


def test_pca_is_judged_against_the_mean_of_the_training_cells():
    """One component along the first axis; test cells that lie off it by 1, and the training mean by 2 from theirs."""
    train = np.array([[-3.0, 0], [3, 0], [-3, 0], [3, 0]])
    test = np.array([[1.0, 1], [3, 1]])
    # left over: 1 + 1; around the training mean (0, 0): 1 + 1 + 9 + 1; around the test mean it would be 2
    assert pca_variance_explained(train, test, 1) == pytest.approx(1 - 2 / 12)


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


def test_reconstructions_are_asked_in_evaluation_mode_too():
    torch.manual_seed(0)
    model, cells = Autoencoder(8, 2, (6,), dropout=0.5).train(), cells_from_expression(torch.randn(10, 8))
    first = get_reconstruction(model, cells)
    np.testing.assert_array_equal(first, get_reconstruction(model, cells))
    assert model.training
    np.testing.assert_allclose(first, model.eval()(cells.x).detach(), rtol=1e-5, atol=1e-6)


def test_a_vaes_latent_is_its_posterior_mean_and_its_reconstruction_the_decoders_mean():
    vae, cells = VAE(8, 2, (6,)), cells_from_expression(torch.randn(10, 8))
    mean = vae.encode(cells.x).mean
    np.testing.assert_allclose(get_latent_representation(vae, cells), mean.detach())
    np.testing.assert_allclose(get_reconstruction(vae, cells), vae.decoder.to_mean(mean).detach(), rtol=1e-6)


def test_local_posteriors_are_fitted_in_evaluation_mode_from_a_seed_of_their_own():
    class WithDropout(VAE):
        def encode(self, x):
            return super().encode(nn.functional.dropout(x, training=self.training))

    torch.manual_seed(0)
    vae, cells = WithDropout(6, 2, (4,)).train(), cells_from_expression(torch.randn(5, 6))
    state = torch.get_rng_state()
    first = fit_local_posteriors(vae, cells, steps=2, seed=1).mean
    assert torch.equal(torch.get_rng_state(), state)
    assert vae.training
    torch.manual_seed(7)
    torch.testing.assert_close(fit_local_posteriors(vae, cells, steps=2, seed=1).mean, first, rtol=0, atol=0)
    assert not torch.equal(fit_local_posteriors(vae, cells, steps=2, seed=2).mean, first)


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


ONES, NAN = np.ones((3, 2)), np.array([[1.0, 2.0], [np.nan, 0.0], [1.0, 1.0]])
TEXT = np.array([["a", "b"]] * 3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: variance_explained(ONES, np.ones((3, 3)), np.ones(2)),
            ValueError,
            "reconstruction: expected the shape",
        ),
        (
            lambda: variance_explained(ONES, ONES, np.ones(2)),
            ValueError,
            "x: expected some variance, found every value",
        ),
        (lambda: variance_explained(ONES, ONES, np.ones(3)), ValueError, r"mean: .* 2 genes, found shape \(3,\)"),
        (lambda: variance_explained(ONES, ONES, 1.0), ValueError, r"mean: .* 2 genes, found shape \(\)"),
        (lambda: variance_explained(ONES, ONES, [np.nan, 1]), ValueError, "mean: expected finite numbers"),
        (
            lambda: variance_explained(ONES, NAN, np.ones(2)),
            ValueError,
            "reconstruction: expected finite .* first row 1",
        ),
        (lambda: variance_explained(NAN, ONES, np.ones(2)), ValueError, "x: expected finite numbers, .* 1 rows"),
        (
            lambda: pca_variance_explained(ONES, ONES, 3),
            ValueError,
            "n_components: .* 1 to 2, .*side of train, found 3",
        ),
        (lambda: pca_variance_explained(ONES, ONES, 2.0), TypeError, "n_components: .*found 2.0"),
        (lambda: pca_variance_explained(ONES, np.ones((3, 3)), 1), ValueError, "test: expected 2 genes as in train"),
        (lambda: largest_angle(np.eye(3), np.eye(4)), ValueError, "b: expected 3 rows"),
        (lambda: largest_angle(NAN, ONES), ValueError, "a: expected finite numbers"),
        (lambda: largest_angle(np.ones(3), ONES), ValueError, r"a: expected \(N, L\).*found shape \(3,\)"),
        (lambda: energy_distance(np.ones((1, 2)), ONES), ValueError, "a: expected 2 or more cells as rows, found 1"),
        (lambda: energy_distance(ONES, np.ones((5, 3))), ValueError, "b: expected 2 genes as in a, found 3"),
        (lambda: energy_distance(ONES, NAN), ValueError, "b: expected finite numbers, found NaN or infinity in 1 rows"),
        (lambda: energy_distance(ONES, TEXT), TypeError, "b: expected numbers, found <U1"),
        (
            lambda: nearest_neighbour_distance(ONES, np.ones((5, 3))),
            ValueError,
            "real: expected 2 genes as in generated",
        ),
        (lambda: nearest_neighbour_distance(NAN, ONES), ValueError, "generated: expected finite numbers"),
        (
            lambda: label_knn_accuracy(ONES, "aba", ONES, "aba"),
            ValueError,
            r"train_labels: .*3 cells, found shape \(\)",
        ),
        (lambda: label_knn_accuracy(ONES, [*"aba"], ONES, [*"aba"]), ValueError, "n_neighbors: .*1 to 3, .*found 15"),
        (
            lambda: label_knn_accuracy(ONES, [*"aba"], ONES, [*"ab"], 1),
            ValueError,
            r"test_labels: .* 3 cells, .*\(2,\)",
        ),
        (lambda: label_knn_accuracy(ONES, [*"aba"], np.ones((1, 3)), ["a"], 1), ValueError, "test: expected 2 columns"),
        (lambda: label_knn_accuracy(ONES, [*"aba"], NAN, [*"aba"], 1), ValueError, "test: expected finite numbers"),
        (
            lambda: label_knn_accuracy(ONES, ["a", None, "b"], ONES, [*"aba"], 1),
            ValueError,
            "train_labels: .*first cell 1",
        ),
        (
            lambda: label_knn_accuracy(ONES, [*"aba"], ONES, [0, 1, 0], 1),
            ValueError,
            "test_labels: .*such as 'a', found 0",
        ),
        (lambda: label_knn_accuracy(ONES, [*"aba"], ONES, [*"aba"], 1.0), TypeError, "n_neighbors: .*found 1.0"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_code_for_each_cell_is_asked_of_models_that_have_one():
    cells = cells_from_counts(np.ones((4, 3)))
    with pytest.raises(
        TypeError, match="encode to ask for get_latent_representation, found Linear, which lacks encode"
    ):
        get_latent_representation(nn.Linear(3, 2), cells)
    for model in (SCVI(cells.genes, library_prior=None, hidden=(4,)), SimplifiedSCVI(3, hidden=(4,))):
        with pytest.raises(
            TypeError, match=f"a decoder of z alone to ask for get_reconstruction.*{type(model).__name__}"
        ):
            get_reconstruction(model, cells)
        with pytest.raises(TypeError, match="a decoder of z alone to ask for fit_local_posteriors"):
            fit_local_posteriors(model, cells, steps=1)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"steps": 0}, ValueError, "steps: expected a whole number ≥ 1, found 0"),
        ({"steps": 1, "draws": 0}, ValueError, "draws: expected a whole number ≥ 1, found 0"),
        ({"steps": 1.0}, TypeError, "steps: .* found 1.0"),
        ({"steps": 1, "lr": 0.0}, ValueError, "lr: expected a number > 0, found 0.0"),
        ({"steps": 1, "seed": None}, TypeError, "seed: .* found None"),
    ],
)
def test_fitting_nothing_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        fit_local_posteriors(VAE(3, 2, (4,)), cells_from_expression(torch.ones(4, 3)), **settings)
