"""Autoencoders: each loss against NumPy and scikit-learn, each head in its support, what is refused."""

import numpy as np
import pytest
import sklearn.metrics
import torch

from course_lib.data.cells import cells_from_expression
from course_lib.models.autoencoder import Autoencoder, DenoisingAutoencoder, reconstruction_loss


def test_mse_is_scikit_learns_mean_squared_error():
    output, x = torch.randn(6, 9), torch.randn(6, 9)
    expected = sklearn.metrics.mean_squared_error(x, output)
    assert float(reconstruction_loss("mse", output, x)) == pytest.approx(expected, rel=1e-6)


def test_bce_is_scikit_learns_log_loss_for_zeros_and_ones():
    output = torch.randn(6, 9, dtype=torch.float64)
    x = torch.bernoulli(torch.full((6, 9), 0.4, dtype=torch.float64))
    expected = sklearn.metrics.log_loss(x.flatten(), 1 / (1 + np.exp(-output.flatten().numpy())))
    assert float(reconstruction_loss("bce", output, x)) == pytest.approx(expected, rel=1e-10)


def test_cross_entropy_is_minus_x_log_softmax_over_genes():
    generator = np.random.default_rng(0)
    x, output = generator.dirichlet(np.ones(9), size=6), generator.normal(size=(6, 9))
    softmax = np.exp(output) / np.exp(output).sum(1, keepdims=True)
    expected = -(x * np.log(softmax)).sum() / x.size
    ours = reconstruction_loss("cross_entropy", torch.from_numpy(output), torch.from_numpy(x))
    assert float(ours) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("head", ["bce", "cross_entropy"])
def test_losses_and_gradients_stay_finite_where_the_activation_saturates(head):
    output = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = reconstruction_loss(head, output, torch.tensor([[0.0, 1.0]]))
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(output.grad).all())
    assert float(loss.detach()) > 100


@pytest.mark.parametrize("head", ["mse", "bce", "cross_entropy"])
def test_every_loss_is_smallest_at_the_data(head):
    x = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64)
    best = {"mse": x, "bce": x.logit(), "cross_entropy": x.log()}[head].clone().requires_grad_()
    reconstruction_loss(head, best, x).backward()
    torch.testing.assert_close(best.grad, torch.zeros_like(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("head, low, high", [("bce", 0, 1), ("cross_entropy", 0, 1)])
def test_reconstructions_lie_in_the_support_of_their_head(head, low, high):
    x = torch.rand(5, 8)
    output = Autoencoder(8, 2, (4,), head=head)(x)
    assert bool(((output >= low) & (output <= high)).all())
    if head == "cross_entropy":
        torch.testing.assert_close(output.sum(-1), torch.ones(5))


def test_the_lectures_architecture_goes_2000_512_256_32_and_back():
    model = Autoencoder(2000)
    widths = [tuple(layer.weight.shape) for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    assert widths == [(512, 2000), (256, 512), (32, 256), (256, 32), (512, 256), (2000, 512)]
    assert float(model.encode(torch.randn(3, 2000)).detach().min()) < 0  # no ReLU on the bottleneck


def test_the_denoising_corruption_draws_once_for_each_entry_and_keeps_the_others():
    torch.manual_seed(0)
    model, x = DenoisingAutoencoder(50, 60, (40,), noise=0.3), torch.rand(400, 50) + 1
    corrupted = model.corrupt(x)
    zeroed = corrupted == 0
    assert bool((corrupted[~zeroed] == x[~zeroed]).all())
    assert abs(float(zeroed.float().mean()) - 0.3) < 4 * (0.3 * 0.7 / x.numel()) ** 0.5
    per_cell = zeroed.float().mean(1)
    assert 0 < float(per_cell.var()) < 3 * 0.3 * 0.7 / 50  # one draw for the whole mask would give variance 0 or 0.21
    assert not torch.equal(zeroed, model.corrupt(x) == 0)


def test_a_denoising_autoencoder_is_judged_on_corrupted_cells_too():
    """Validation asks in evaluation mode, and what it asks is the same: the clean cell from the corrupted one."""
    torch.manual_seed(0)
    model, cells = DenoisingAutoencoder(10, 12, (11,), noise=0.5).eval(), cells_from_expression(torch.randn(20, 10))
    with torch.no_grad():
        losses = {float(model.loss(cells)["loss"]) for _ in range(3)}
        clean = float((model(cells.x) - cells.x).square().mean())
    assert len(losses | {clean}) == 4


def test_the_denoising_target_is_the_clean_cell():
    torch.manual_seed(0)
    model, cells = DenoisingAutoencoder(10, 12, (11,), noise=0.5), cells_from_expression(torch.randn(20, 10))
    torch.manual_seed(1)
    loss = model.loss(cells)["loss"]
    torch.manual_seed(1)
    expected = (model.decode(model.encode(model.corrupt(cells.x))) - cells.x).square().mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Autoencoder(4, head="mae"), "head: expected 'mse', 'bce' or 'cross_entropy', found 'mae'"),
        (
            lambda: reconstruction_loss("bce", torch.zeros(1, 2), torch.tensor([[0.0, 3.0]])),
            r"x: expected values in \[0, 1\]",
        ),
        (
            lambda: reconstruction_loss("cross_entropy", torch.zeros(1, 2), torch.tensor([[0.5, 0.1]])),
            "x: expected proportions",
        ),
        (lambda: DenoisingAutoencoder(4, 2, (3,), noise=0.0), "noise: expected 0 < noise < 1, found 0.0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_choices_that_layers_do_not_show_stand_in_the_representation():
    assert "head='bce'" in repr(Autoencoder(4, 2, (3,), head="bce"))
    assert "noise=0.3" in repr(DenoisingAutoencoder(4, 5, (3,), noise=0.3))
