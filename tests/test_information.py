"""Bits of the code against closed forms: the channel's capacity, quadrature, and the aggregate posterior's moments."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from small import cells_by_hand, random_cells
from torch import nn
from torch.distributions import Normal

from course_lib.analysis.information import bits_per_cell, bits_per_dimension, draw_codes
from course_lib.data.cells import Cells
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.probability.gaussian import standard_normal
from course_lib.probability.linear_gaussian import LinearGaussian


class ExactPosterior(nn.Module):
    """The linear-Gaussian model as a VAE whose q(z∣x) is the posterior; the columns of W are orthogonal."""

    def __init__(self, model: LinearGaussian):
        super().__init__()
        self.model = model
        self.prior = standard_normal(model.weight.shape[1], like=model.weight)

    def encode(self, x):
        exact = self.model.posterior(x)
        return Normal(exact.mean, exact.covariance_matrix.diagonal(dim1=-2, dim2=-1).sqrt())


def channel(snr: np.ndarray, n_genes: int = 8) -> LinearGaussian:
    """One channel for each column: |w_l|² / σ² = SNR_l."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(n_genes, len(snr))))[0]
    sigma = 0.7
    weight = torch.tensor(axes * sigma * np.sqrt(snr))
    return LinearGaussian(weight, torch.linspace(-1, 1, n_genes).double(), torch.tensor(sigma, dtype=torch.float64))


def data_with_exactly_its_moments(model: LinearGaussian, n: int) -> Cells:
    """Cells whose sample mean and covariance are the model's, to rounding: no sampling error is left in a mean."""
    noise = np.random.default_rng(1).normal(size=(n, len(model.bias)))
    noise -= noise.mean(0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(noise.T @ noise / n)).T
    x = white @ np.linalg.cholesky(model.evidence().covariance_matrix.numpy()).T + model.bias.numpy()
    cells = cells_by_hand(x)
    return Cells(torch.tensor(x), cells.batch, cells.genes, cells.batches)  # in double precision


def test_the_code_of_a_linear_channel_carries_half_the_log_of_one_plus_its_snr():
    snr = np.array([15.0, 3.0, 0.5])
    model = channel(snr)
    bits = bits_per_dimension(ExactPosterior(model), data_with_exactly_its_moments(model, 200))
    np.testing.assert_allclose(bits.mean(0), 0.5 * np.log2(1 + snr), rtol=1e-10)
    assert bits.shape == (200, 3)
    assert float(model.information()) / math.log(2) == pytest.approx(0.5 * np.log2(1 + snr).sum(), rel=1e-12)


def test_information_of_correlated_columns_is_the_gain_in_entropy():
    """I(x; z) = H(x) − H(x∣z), with the entropies of two Gaussians from torch."""
    torch.manual_seed(0)
    model = LinearGaussian(torch.randn(6, 3).double(), torch.zeros(6).double(), torch.tensor(0.8).double())
    noise = 6 * Normal(0.0, 0.8).entropy()
    assert float(model.information()) == pytest.approx(float(model.evidence().entropy() - noise), rel=1e-6)


def test_bits_agree_with_adaptive_quadrature():
    torch.manual_seed(0)
    model, cells = VAE(5, n_latent=3, hidden=(8,)), random_cells(4)
    bits = bits_per_dimension(model, cells)
    with torch.no_grad():
        q = model.encode(cells.x)
    for n, dim in [(0, 0), (1, 2), (3, 1)]:
        mine = scipy.stats.norm(float(q.mean[n, dim]), float(q.stddev[n, dim]))
        price, _ = scipy.integrate.quad(
            lambda z, mine=mine: mine.pdf(z) * (mine.logpdf(z) - scipy.stats.norm.logpdf(z)) / np.log(2), -12, 12
        )
        assert bits[n, dim] == pytest.approx(price, rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(bits_per_cell(model, cells), bits.sum(1))


def test_bits_are_the_elbos_kl_in_other_units_also_for_counts():
    torch.manual_seed(0)
    model, cells = SimplifiedSCVI(6, n_latent=2, hidden=(8,)), cells_by_hand(np.arange(1, 31).reshape(5, 6))
    with torch.no_grad():
        nats = model.eval().elbo(cells).kl_z
    np.testing.assert_allclose(bits_per_cell(model, cells) * np.log(2), nats, rtol=1e-5)


def test_codes_of_all_cells_together_are_the_prior_where_q_is_exact():
    model = channel(np.array([4.0, 1.0]))
    torch.manual_seed(0)
    x = model.evidence().sample((4_000,))
    table = cells_by_hand(x)
    z = draw_codes(ExactPosterior(model), Cells(x, table.batch, table.genes, table.batches), seed=2)
    assert z.shape == (4_000, 2)
    for dim in z.T:
        assert scipy.stats.kstest(dim, "norm").pvalue > 0.001
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / 4_000**0.5


def test_codes_are_draws_of_each_cells_own_q_and_repeat_with_the_seed():
    torch.manual_seed(0)
    model = VAE(5, n_latent=2, hidden=(8,))
    cells = cells_by_hand(np.repeat(np.random.default_rng(0).normal(size=(2, 5)), 3_000, axis=0))
    z = draw_codes(model, cells, seed=1)
    with torch.no_grad():
        q = model.encode(cells.x[[0, -1]])
    for half, mean, sd in zip((z[:3_000], z[3_000:]), q.mean.numpy(), q.stddev.numpy(), strict=True):
        np.testing.assert_allclose(half.mean(0), mean, atol=4 * sd.max() / 3_000**0.5)
        np.testing.assert_allclose(half.std(0), sd, rtol=0.06)
    np.testing.assert_array_equal(z, draw_codes(model, cells, seed=1))
    assert (z != draw_codes(model, cells, seed=2)).any()


@pytest.mark.parametrize("question", [bits_per_dimension, bits_per_cell, draw_codes])
def test_an_autoencoder_has_no_prior_to_pay_to(question):
    with pytest.raises(TypeError, match="prior"):
        question(Autoencoder(5, 2, (8,)), random_cells(3))


@pytest.mark.parametrize("question", [bits_per_dimension, draw_codes])
def test_a_code_without_noise_is_refused(question):
    model = VAE(5, n_latent=2, hidden=(8,))
    model.encode = lambda x: x[:, :2]
    with pytest.raises(TypeError, match="model: expected an encoder that gives a Normal"):
        question(model, random_cells(3))


def test_no_cells_and_no_seed_are_refused():
    model = VAE(5, n_latent=2, hidden=(8,))
    with pytest.raises(TypeError, match="cells"):
        bits_per_cell(model, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="seed"):
        draw_codes(model, random_cells(3), seed=-1)
