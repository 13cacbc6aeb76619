"""The tied linear autoencoder is PCA, and where it is not."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from course_lib.analysis.reconstruction import largest_angle
from course_lib.data.cells import cells_from_expression
from course_lib.models.linear import TiedLinearAutoencoder
from course_lib.training.fit import fit

N_CELLS, N_GENES, N_LATENT = 600, 20, 3


def data(mean: float) -> np.ndarray:
    """Covariance eigenvalues 9, 6, 4 and then 1: the eigengap at three components is 4 − 1 = 3."""
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=(N_GENES, N_GENES)))[0]
    scale = np.sqrt([9, 6, 4] + [1] * (N_GENES - 3))
    z = generator.normal(size=(N_CELLS, N_GENES))
    offset = mean * basis[:, -1] * N_GENES**0.5  # the mean points where the variance is smallest
    return ((z * scale) @ basis.T + offset).astype(np.float32)


def angle_to_pca(x: np.ndarray, bias: bool, epochs: int = 600) -> float:
    """Full-batch training in two fits.

    A mean of length 13 weighs 180 in the loss, the eigengap 3: the weights turn to the mean first and hand it to the
    bias along a valley, flat along and steep across. A large learning rate gets through it (at 0.01 the angle is
    still 7° to 49° after 3,000 epochs); a second fit at a tenth of it ends Adam's swinging across the valley.
    """
    torch.manual_seed(0)
    model = TiedLinearAutoencoder(N_GENES, N_LATENT, bias=bias)
    for lr in (0.05, 0.005):
        fit(model, cells_from_expression(x), epochs=epochs, batch_size=N_CELLS, lr=lr, progress=False)
    components = PCA(N_LATENT).fit(x).components_.T
    return largest_angle(model.weight.detach().numpy(), components)


@pytest.mark.parametrize("mean, epochs", [(0.0, 600), pytest.param(3.0, 3000, marks=pytest.mark.slow)])
def test_the_subspace_is_pcas_within_one_degree(mean, epochs):
    assert angle_to_pca(data(mean), bias=True, epochs=epochs) < 1.0


def test_on_centred_data_no_bias_is_needed():
    x = data(3.0)
    assert angle_to_pca(x - x.mean(0), bias=False) < 1.0


def test_on_uncentred_data_without_a_bias_it_finds_another_subspace():
    assert angle_to_pca(data(3.0), bias=False) > 45.0


def test_decoding_uses_the_encoders_weights_transposed():
    model = TiedLinearAutoencoder(5, 2)
    torch.nn.init.normal_(model.bias)
    x = torch.randn(4, 5)
    torch.testing.assert_close(model(x), x @ model.weight @ model.weight.T + model.bias)


def test_a_code_wider_than_the_data_is_refused():
    with pytest.raises(ValueError, match="n_latent: expected 1 ≤ n_latent ≤ n_genes = 4, found 5"):
        TiedLinearAutoencoder(4, 5)
