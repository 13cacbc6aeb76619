"""Fully connected stacks and the Gaussian encoder: their shape, their numbers, and what they refuse."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.networks import GaussianEncoder, fully_connected, hidden_layers


def test_a_stack_computes_relu_of_affine_maps_and_ends_linear():
    torch.manual_seed(0)
    network = fully_connected([5, 7, 3])
    x = np.random.default_rng(0).normal(size=(4, 5))
    first, last = [layer for layer in network if isinstance(layer, nn.Linear)]
    hidden = np.maximum(x @ first.weight.detach().double().numpy().T + first.bias.detach().double().numpy(), 0)
    expected = hidden @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()
    np.testing.assert_allclose(network.double()(torch.from_numpy(x)).detach(), expected, rtol=1e-12)
    assert (expected < 0).any()  # a last ReLU would have hidden these


def test_dropout_follows_every_hidden_layer_and_not_the_last():
    kinds = [type(layer).__name__ for layer in fully_connected([5, 7, 6, 3], dropout=0.2)]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]


def test_the_encoder_gives_one_normal_for_each_cell_and_latent_dimension():
    encoder = GaussianEncoder(5, (7, 6), 3)
    q = encoder(torch.randn(4, 5))
    assert q.batch_shape == (4, 3)
    assert bool((q.stddev > 0).all())


def test_the_variance_head_is_a_log_variance_and_not_a_log_deviation():
    encoder = GaussianEncoder(5, (7,), 2)
    nn.init.zeros_(encoder.to_log_variance.weight)
    nn.init.constant_(encoder.to_log_variance.bias, float(np.log(9.0)))
    np.testing.assert_allclose(encoder(torch.randn(4, 5)).stddev.detach(), 3.0, rtol=1e-4)


def test_sigma_stays_positive_for_an_encoder_that_is_far_too_sure():
    encoder = GaussianEncoder(5, (7,), 2)
    nn.init.constant_(encoder.to_log_variance.bias, -1_000.0)
    q = encoder(torch.randn(4, 5))
    assert bool(torch.isfinite(q.stddev.log()).all())


def test_a_trunk_standardises_before_relu_and_drops_out_last():
    def kinds(*arguments):
        return [type(layer).__name__ for layer in hidden_layers([5, 7, 6], *arguments)]

    assert kinds(0.2, True) == ["Linear", "BatchNorm", "ReLU", "Dropout"] * 2
    assert kinds(0.0, True) == ["Linear", "BatchNorm", "ReLU"] * 2
    assert kinds() == ["Linear", "ReLU"] * 2
    assert len(hidden_layers([5])) == 0


def test_batch_norm_standardises_over_the_minibatch_and_remembers_running_averages():
    torch.manual_seed(0)
    trunk, x = hidden_layers([3, 4], batch_norm=True).double(), torch.randn(20, 3).double() * 2 + 1
    linear, norm = trunk[0], trunk[1]
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
        trained = trunk(x).numpy()
        h, scale, shift = linear(x).numpy(), norm.weight.numpy(), norm.bias.numpy()
        by_hand = np.maximum((h - h.mean(0)) / np.sqrt(h.var(0) + 1e-3) * scale + shift, 0)
        np.testing.assert_allclose(trained, by_hand, rtol=1e-12)
        mean, variance = 0.1 * h.mean(0), 0.9 + 0.1 * h.var(0, ddof=1)  # one step from 0 and 1
        np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-12)
        np.testing.assert_allclose(norm.running_var, variance, rtol=1e-12)
        evaluated = np.maximum((h - mean) / np.sqrt(variance + 1e-3) * scale + shift, 0)
        np.testing.assert_allclose(trunk.eval()(x), evaluated, rtol=1e-12)


def test_the_encoders_trunk_is_the_trunk_asked_for_and_its_heads_are_bare():
    encoder = GaussianEncoder(5, (7, 6), 3, dropout=0.2, batch_norm=True)
    assert [type(layer).__name__ for layer in encoder.trunk] == ["Linear", "BatchNorm", "ReLU", "Dropout"] * 2
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in GaussianEncoder(5, (7, 6), 3).modules())
    assert isinstance(encoder.to_mu, nn.Linear)
    assert isinstance(encoder.to_log_variance, nn.Linear)


def test_sigma_is_the_root_of_a_variance_with_a_floor_of_its_own():
    encoder = GaussianEncoder(5, (7,), 2).double()
    nn.init.zeros_(encoder.to_log_variance.weight)
    for log_variance in (-30.0, -9.2, -2.0, 3.0):
        nn.init.constant_(encoder.to_log_variance.bias, log_variance)
        expected = (np.exp(log_variance) + 1e-4) ** 0.5  # σ ≥ 0.01
        np.testing.assert_allclose(encoder(torch.randn(4, 5).double()).stddev.detach(), expected, rtol=1e-12)


def test_a_trunk_for_batches_tells_every_layer_the_batch_of_each_cell():
    torch.manual_seed(0)
    trunk, batch = hidden_layers([3, 4, 5], n_batches=2).double(), torch.tensor([0, 1, 1])
    x, s = np.random.default_rng(0).normal(size=(2, 3, 3)), np.eye(2)[batch.numpy()]
    h = x
    for layer in (trunk[0], trunk[2]):
        beside = np.concatenate([h, np.broadcast_to(s, (2, 3, 2))], axis=-1)  # (K, N, n_in + B)
        h = np.maximum(beside @ layer.weight.detach().numpy().T + layer.bias.detach().numpy(), 0)
    np.testing.assert_allclose(trunk(torch.from_numpy(x), batch).detach(), h, rtol=1e-12)
    with pytest.raises(ValueError, match=r"batch: expected codes \(N,\).*found None"):
        trunk(torch.from_numpy(x))
    assert "n_batches=2" in repr(trunk)


def test_batch_norm_takes_the_last_axis_for_the_units_whatever_stands_before():
    torch.manual_seed(0)
    trunk, x = hidden_layers([3, 4], batch_norm=True).double(), torch.randn(2, 5, 6, 3).double()
    flat = copy.deepcopy(trunk)
    torch.testing.assert_close(trunk(x), flat(x.view(60, 3)).view(2, 5, 6, 4))
    torch.testing.assert_close(trunk[1].running_var, flat[1].running_var)
    torch.testing.assert_close(trunk.eval()(x), flat.eval()(x.view(60, 3)).view(2, 5, 6, 4))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: fully_connected([5]), "sizes: expected two or more widths"),
        (lambda: fully_connected([5, 0, 3]), "sizes: expected two or more widths ≥ 1"),
        (lambda: fully_connected([5, 3], dropout=1.0), "dropout: expected 0 ≤ dropout < 1, found 1.0"),
        (lambda: hidden_layers([5, 0]), r"sizes: expected widths ≥ 1, found \[5, 0\]"),
        (lambda: hidden_layers([5, 3], -0.1), "dropout: expected 0 ≤ dropout < 1, found -0.1"),
        (lambda: GaussianEncoder(5, (), 2), "hidden: expected at least one hidden layer"),
    ],
)
def test_impossible_sizes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
