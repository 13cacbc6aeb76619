"""The training loop keeps what it promises: it learns, it repeats, and it stops as it should."""

import ast
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small import cells_by_hand, random_cells, same_weights, weights_of
from torch import nn

from course_lib import training as package
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.training import TrainingDiverged, fit
from course_lib.training.fit import learning_rate_at
from course_lib.training.stopping import EarlyStopping


class Regression(nn.Module):
    """The last gene as a linear function of the others: least squares, whose answer is known in closed form."""

    def __init__(self, n_genes):
        super().__init__()
        self.linear = nn.Linear(n_genes - 1, 1)

    def loss(self, cells, kl_weight=1.0):
        loss = (self.linear(cells.x[:, :-1])[:, 0] - cells.x[:, -1]).square().mean()
        return {"loss": loss, "reconstruction": loss}


class Noisy(nn.Module):
    """Everything that draws random numbers or keeps running averages: BatchNorm, dropout and a sampled code."""

    def __init__(self, n_genes=5, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(
                nn.Linear(n_genes, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
            )
            self.decoder = nn.Linear(2, n_genes)
        self.kl_weights = []  # (training?, weight) of each call

    def loss(self, cells, kl_weight=1.0):
        self.kl_weights.append((self.training, kl_weight))
        mu = self.encoder(cells.x)
        reconstruction = (self.decoder(mu + torch.randn_like(mu)) - cells.x).square().sum(-1).mean()
        kl_z = 0.5 * mu.square().sum(-1).mean()
        return {"loss": reconstruction + kl_weight * kl_z, "reconstruction": reconstruction, "kl_z": kl_z}


# It learns


def test_fit_finds_the_least_squares_solution():
    cells = random_cells(60)
    history = fit(model := Regression(5), cells, epochs=400, batch_size=60, lr=0.05, progress=False)
    design = np.column_stack([cells.x[:, :-1], np.ones(60)])
    expected, residual, *_ = np.linalg.lstsq(design, cells.x[:, -1].numpy(), rcond=None)
    found = np.append(model.linear.weight.detach()[0], model.linear.bias.detach())
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(history.train_loss.iloc[-1], residual[0] / 60, rtol=1e-5)


def test_weight_decay_is_that_of_ridge_regression():
    cells = random_cells(60)
    fit(model := Regression(5), cells, epochs=400, batch_size=60, lr=0.05, weight_decay=0.7, progress=False)
    design = np.column_stack([cells.x[:, :-1], np.ones(60)]).astype(float)
    # The gradient 2 Xᵀ(Xw − y)/n + λw is zero at:
    expected = np.linalg.solve(2 * design.T @ design / 60 + 0.7 * np.eye(5), 2 * design.T @ cells.x[:, -1].numpy() / 60)
    found = np.append(model.linear.weight.detach()[0], model.linear.bias.detach())
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_first_step_is_adams_with_the_given_learning_rate_and_eps():
    cells, model = random_cells(60), Regression(5)
    model.loss(cells)["loss"].backward()
    g, before = model.linear.weight.grad.clone(), model.linear.weight.detach().clone()
    fit(model, cells, epochs=1, batch_size=60, lr=0.01, eps=0.5, progress=False)
    step = model.linear.weight.detach() - before
    torch.testing.assert_close(step, -0.01 * g / (g.abs() + 0.5), rtol=1e-3, atol=1e-7)  # Kingma & Ba 2015, at t = 1


# It records


def test_history_has_a_row_per_epoch_and_a_column_per_term():
    history = fit(Noisy(), random_cells(30), epochs=3, validation=random_cells(11), batch_size=8, progress=False)
    assert history.index.name == "epoch"
    assert list(history.index) == [1, 2, 3]
    assert list(history.columns) == [
        *("train_loss", "train_reconstruction", "train_kl_z"),
        *("validation_loss", "validation_reconstruction", "validation_kl_z"),
        "kl_weight",
    ]
    assert history.notna().all(axis=None)


class MeanOfData(nn.Module):
    """A loss that no weight changes: what the history says of it must be the mean over all cells."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def loss(self, cells, kl_weight=1.0):
        return {"loss": cells.x.mean() + 0 * self.weight.sum()}


def test_history_is_the_mean_over_all_cells_whatever_the_minibatches():
    cells, validation = random_cells(22), random_cells(11, seed=1)  # 8 + 8 + 6 and 8 + 3 cells
    history = fit(MeanOfData(), cells, epochs=2, validation=validation, batch_size=8, progress=False)
    np.testing.assert_allclose(history.train_loss, cells.x.double().mean(), rtol=1e-6)
    np.testing.assert_allclose(history.validation_loss, validation.x.double().mean(), rtol=1e-6)


def test_kl_warm_up_in_training_and_the_final_weight_in_validation():
    model, cells = Noisy(), random_cells(16)
    history = fit(model, cells, epochs=6, validation=cells, batch_size=8, kl_weight=2.0, kl_warmup=4, progress=False)
    assert list(history.kl_weight) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert [weight for training, weight in model.kl_weights if training] == list(np.repeat(history.kl_weight, 2))
    assert {weight for training, weight in model.kl_weights if not training} == {2.0}
    weighted = history.train_reconstruction + history.kl_weight * history.train_kl_z
    np.testing.assert_allclose(history.train_loss, weighted, rtol=1e-6)
    weighted = history.validation_reconstruction + 2.0 * history.validation_kl_z
    np.testing.assert_allclose(history.validation_loss, weighted, rtol=1e-6)


def test_validation_sees_the_same_noise_in_every_epoch():
    class Noise(MeanOfData):
        def loss(self, cells, kl_weight=1.0):
            return {"loss": torch.randn(len(cells)).mean() + 0 * self.weight.sum()}

    cells = random_cells(20)
    history = fit(Noise(), cells, epochs=3, validation=cells, batch_size=8, progress=False)
    assert history.validation_loss.nunique() == 1
    assert history.train_loss.nunique() == 3


# It repeats


def test_same_seed_same_weights_to_the_last_bit_and_another_seed_others():
    def train(seed, callers_seed):
        torch.manual_seed(callers_seed)  # must not matter
        history = fit(model := Noisy(), random_cells(30), epochs=3, batch_size=8, seed=seed, progress=False)
        return weights_of(model), history

    (a, history_a), (b, history_b), (c, _) = train(0, 1), train(0, 2), train(1, 1)
    assert same_weights(a, b)
    pd.testing.assert_frame_equal(history_a, history_b, check_exact=True)
    assert not same_weights(a, c)


@pytest.mark.parametrize("draws", ["order", "noise"])
def test_the_seed_decides_the_order_of_cells_and_the_noise(draws):
    class Recording(MeanOfData):
        def loss(self, cells, kl_weight=1.0):
            self.seen.append(cells.x[:, 0] if draws == "order" else torch.rand(8))
            return super().loss(cells)

    def train(seed):
        model = Recording()
        model.seen = []
        fit(model, random_cells(32), epochs=2, batch_size=8, seed=seed, progress=False)
        return torch.stack(model.seen)

    assert torch.equal(train(1), train(1))
    assert not torch.equal(train(1), train(2))
    assert len(train(1).unique(dim=0)) == 8  # 4 minibatches in each of two epochs, no two alike


def test_fit_leaves_the_callers_random_numbers_alone():
    before = torch.get_rng_state()
    fit(Noisy(), random_cells(30), epochs=2, validation=random_cells(9), progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_does_not_change_what_is_trained():
    fit(without := Noisy(), random_cells(30), epochs=3, batch_size=8, progress=False)
    fit(with_it := Noisy(), random_cells(30), validation=random_cells(9), epochs=3, batch_size=8, progress=False)
    assert same_weights(weights_of(without), weights_of(with_it))


def test_one_leftover_cell_does_not_crash_batchnorm():
    history = fit(Noisy(), random_cells(17), epochs=2, batch_size=8, progress=False)  # scvi-tools #2314
    assert len(history) == 2


def test_the_model_trains_in_train_mode_and_is_left_in_eval_mode():
    model, cells = Noisy(), random_cells(16)
    model.eval()
    fit(model, cells, epochs=2, validation=cells, batch_size=16, progress=False)
    assert [training for training, _ in model.kl_weights] == [True, False, True, False]
    assert not any(module.training for module in model.modules())


# It stops early, but not too early


class Scripted(nn.Module):
    """Counts the epochs in a buffer, which is saved with the weights; validation follows a script."""

    def __init__(self, script):
        super().__init__()
        self.script = script
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def loss(self, cells, kl_weight=1.0):
        if self.training:
            self.epoch += 1
            return {"loss": self.weight.square().sum()}
        return {"loss": torch.tensor(self.script[int(self.epoch) - 1])}


@pytest.mark.parametrize(
    ("kl_warmup", "patience", "stops_after", "keeps"),
    [
        (0, 2, 3, 1),  # 1 is never beaten
        (0, 9, 10, 1),
        (0, 20, 10, 1),  # the run ends before patience does
        (4, 2, 8, 6),  # starts with epoch 4 and its loss of 6
        (4, 4, 10, 6),
        (7, 1, 8, 7),
        (9, 3, 10, 10),  # patience outlasts the run
        (10, 1, 10, 10),
    ],
)
def test_early_stopping_waits_for_the_warm_up_and_restores_the_best_epoch(
    kl_warmup, patience, stops_after, keeps, monkeypatch, capsys
):
    model, cells = Scripted([1.0, 5.0, 5.5, 6.0, 4.0, 3.0, 3.5, 3.6, 3.7, 3.3]), random_cells(4)
    history = fit(model, cells, epochs=10, validation=cells, kl_warmup=kl_warmup, patience=patience)
    assert len(history) == stops_after
    assert int(model.epoch) == keeps
    ran = "trained 10" if stops_after == 10 else f"stopped early after {stops_after}"
    assert capsys.readouterr().err == f"{ran} of 10 epochs; kept epoch {keeps}\n"


def test_an_improvement_gives_back_all_patience():
    model, cells = Scripted([5.0, 5.5, 4.0, 4.5, 3.0, 3.5, 3.6, 1.0]), random_cells(4)
    history = fit(model, cells, epochs=8, validation=cells, patience=2, progress=False)
    assert (len(history), int(model.epoch)) == (7, 5)


def test_without_patience_the_last_weights_stay():
    model, cells = Scripted([1.0, 2.0, 3.0]), random_cells(4)
    fit(model, cells, epochs=3, validation=cells, progress=False)
    assert int(model.epoch) == 3


def test_an_equal_loss_is_no_improvement_and_kept_weights_are_a_copy():
    model, stopping = Scripted([]), EarlyStopping(patience=2, kl_warmup=0)
    stopping.update(1, {"validation_loss": 1.0}, model)
    with torch.no_grad():
        model.weight.fill_(7.0)
    stopping.update(2, {"validation_loss": 1.0}, model)
    assert (stopping.best_epoch, stopping.waited, stopping.over) == (1, 1, False)
    stopping.update(3, {"validation_loss": 1.5}, model)
    assert stopping.over
    stopping.restore_best(model)
    assert model.weight.item() == 1.0


# It can be interrupted


def fail_in_call(model, n, error):
    """Let the model's n-th loss call raise ``error``; returns a list that gets the weights as they are then."""
    calls, seen, loss = [], [], model.loss

    def failing(cells, kl_weight=1.0):
        calls.append(1)
        if len(calls) == n:
            seen.append(weights_of(model))
            raise error
        return loss(cells, kl_weight)

    model.loss = failing
    return seen


def fail_with(error):
    def fail(*_):
        raise error

    return fail


def test_an_interrupt_returns_the_finished_epochs_and_the_model_as_trained_so_far(capsys):
    cells = random_cells(32)
    whole = fit(Noisy(), cells, epochs=5, batch_size=8, progress=False)
    model = Noisy()
    seen = fail_in_call(model, 11, KeyboardInterrupt())  # 4 minibatches an epoch: the third of epoch 3
    history = fit(model, cells, epochs=5, batch_size=8)
    pd.testing.assert_frame_equal(history, whole.loc[:2], check_exact=True)
    assert same_weights(weights_of(model), seen[0])
    assert not model.training
    assert capsys.readouterr().err == "interrupted after 2 of 5 epochs; the model is as trained so far\n"


def test_an_interrupt_in_the_first_epoch_returns_an_empty_history():
    model = Noisy()
    fail_in_call(model, 1, KeyboardInterrupt())
    history = fit(model, random_cells(32), epochs=5, progress=False)
    assert len(history) == 0
    assert history.index.name == "epoch"


@pytest.mark.slow
def test_ctrl_c_in_the_first_second_of_a_session_is_an_interrupt_as_any_other():
    """The first optimizer imports half of PyTorch; torn in the middle, nothing that needs it would work any more."""
    source = """
        import signal, sys
        import numpy as np
        import torch
        from course_lib.data.cells import cells_from_expression
        from course_lib.models.vae import VAE
        from course_lib.training import fit

        def press(event, arguments):  # Ctrl-C, each time that something of these begins to be imported
            if event == "import" and arguments[0] in ("torch._dynamo", "torch._dynamo.config", "sympy"):
                pressed.append(arguments[0])
                signal.raise_signal(signal.SIGINT)

        pressed = []
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
        sys.addaudithook(press)
        model, cells = VAE(5, 2, (4,)), cells_from_expression(np.ones((8, 5)))
        print(len(fit(model, cells, epochs=3)))
        assert pressed and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        print(len(fit(model, cells, epochs=3)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=False)
    assert done.stdout == "0\n3\n", done.stderr
    assert done.stderr.startswith("interrupted after 0 of 3 epochs")


# It stops before a NaN reaches the weights


def test_a_nan_stops_before_the_step_and_says_where_and_why():
    cells, model = random_cells(32), Noisy()  # with BatchNorm, whose averages every loss moves
    snapshots, loss, calls = [], model.loss, []

    def spoiled(minibatch, kl_weight=1.0):
        calls.append(1)
        snapshots.append(weights_of(model))
        terms = loss(minibatch, kl_weight)
        return terms if len(calls) < 7 else {"loss": terms["loss"] * torch.nan, "reconstruction": terms["loss"]}

    model.loss = spoiled
    with pytest.raises(TrainingDiverged) as caught:
        fit(model, cells, epochs=5, batch_size=8, progress=False)
    message = str(caught.value)
    assert "diverged in epoch 2, minibatch 3: the loss is not finite: loss = nan, reconstruction = " in message
    for cause in ("learning rate", "raw counts where the model expects log values", "library size is 0", "NaN"):
        assert cause in message
    assert same_weights(weights_of(model), snapshots[-1])
    assert not same_weights(snapshots[-1], snapshots[0])
    assert not model.training


@pytest.mark.parametrize("term", ["reconstruction", "kl_z"])
@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_term_that_is_not_finite_stops_the_run_though_the_loss_is(term, part):
    class Spoiled(Noisy):
        def loss(self, cells, kl_weight=1.0):
            terms = super().loss(cells, kl_weight)
            return terms | {term: terms[term] * torch.inf} if self.training == (part == "train") else terms

    with pytest.raises(TrainingDiverged, match=rf"the loss is not finite: loss = \d.*{term} = inf"):
        fit(Spoiled(), random_cells(16), validation=random_cells(4), epochs=1, progress=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_data_stop_the_run(bad):
    x = np.random.default_rng(0).normal(size=(32, 5))
    x[13, 2] = bad
    model = Regression(5)
    with pytest.raises(TrainingDiverged, match="in epoch 1, minibatch"):
        fit(model, cells_by_hand(x), epochs=2, batch_size=8, progress=False)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert issubclass(TrainingDiverged, FloatingPointError)


def test_bad_validation_data_are_named():
    with pytest.raises(TrainingDiverged, match="on the validation cells after epoch 1"):
        fit(
            Regression(5), random_cells(32), epochs=2, validation=cells_by_hand(np.full((4, 5), np.nan)), progress=False
        )


def test_a_learning_rate_too_high_ends_in_the_same_message():
    class Exponential(Regression):
        def loss(self, cells, kl_weight=1.0):
            return {"loss": self.linear(cells.x[:, :-1]).exp().mean()}

    with pytest.raises(TrainingDiverged, match="learning rate is too high"):
        fit(Exponential(5), random_cells(32), epochs=5, lr=1e3, progress=False)


def test_a_finite_loss_with_an_infinite_gradient_stops_before_the_step():
    class Root(Regression):
        def loss(self, cells, kl_weight=1.0):
            return {"loss": (self.linear.weight - self.linear.weight.detach()).square().sum().sqrt()}  # √0

    model = Root(5)
    before = weights_of(model)
    with pytest.raises(TrainingDiverged, match=r"in epoch 1.*finite \(0\) but its gradient is not, in linear\.weight"):
        fit(model, random_cells(32), epochs=2, progress=False)
    assert same_weights(weights_of(model), before)


COUNTS = replace(cells_by_hand(np.random.default_rng(0).poisson(3.0, (200, 20)) + 1), counts=True)


@pytest.mark.parametrize("model, lr", [(SimplifiedSCVI, 0.3), (SimplifiedSCVI, 30.0), (VAE, 3.0), (VAE, 30.0)])
def test_a_distribution_that_refuses_its_parameter_is_a_divergence(model, lr):
    """PyTorch's own error is a page of numbers that names no cause."""
    torch.manual_seed(0)
    model = model(20, 5, (32,))
    with pytest.raises(
        TrainingDiverged, match=r"(?s)diverged in epoch \d+, minibatch \d+: .*learning rate is too high"
    ) as caught:
        fit(model, COUNTS, epochs=20, lr=lr, batch_size=32, progress=False)
    assert "invalid values" not in str(caught.value)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


class Scale(nn.Module):
    """A normal distribution whose scale is a parameter, kept above zero by nothing."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def loss(self, cells, kl_weight=1.0):
        scale = self.scale if self.training else self.scale * self.factor
        return {"loss": -torch.distributions.Normal(0.0, scale).log_prob(cells.x).mean()}


@pytest.mark.parametrize("scale", [-1.0, 0.0, float("nan")])
def test_the_refused_parameter_is_named_and_pytorchs_own_error_stands_above(scale):
    expected = (
        r"Expected parameter scale .* of distribution Normal.* to satisfy the constraint GreaterThan\(lower_bound=0"
    )
    with pytest.raises(
        TrainingDiverged, match=rf"(?s)in epoch 1, minibatch 1: {expected}.*as exp does above 0"
    ) as caught:
        fit(Scale(scale), random_cells(8), epochs=1, progress=False)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_distribution_that_refuses_on_the_validation_cells_is_a_divergence_too():
    model = Scale()
    model.factor = torch.nan
    with pytest.raises(TrainingDiverged, match="on the validation cells after epoch 1: Expected parameter scale"):
        fit(model, random_cells(8), validation=random_cells(4), epochs=1, progress=False)


def test_a_value_error_that_is_the_models_own_stays_one():
    class Strict(Scale):
        def loss(self, cells, kl_weight=1.0):
            raise ValueError("Expected cells of a better kind")

    with pytest.raises(ValueError, match="of a better kind"):
        fit(Strict(), random_cells(8), epochs=1, progress=False)


@pytest.mark.parametrize("spoiled", ["cells", "weights"])
def test_running_averages_see_nothing_of_the_minibatch_that_diverged(spoiled):
    """NaN in them would stay for ever: every later epoch and every answer in eval mode would be NaN."""
    x = np.random.default_rng(0).normal(size=(32, 5))
    if spoiled == "cells":
        x[:, 2] = np.nan
    model = Noisy()
    if spoiled == "weights":
        model.encoder[0].weight.data[:] = 3e38
    before = weights_of(model)
    with pytest.raises(TrainingDiverged, match="in epoch 1, minibatch 1"):
        fit(model, cells_by_hand(x), epochs=2, batch_size=8, progress=False)
    assert same_weights(weights_of(model), before)


def test_an_interrupt_in_the_middle_of_a_loss_leaves_the_running_averages_as_before_it():
    model = Noisy()
    before = weights_of(model)
    model.decoder.forward = fail_with(KeyboardInterrupt())  # after the encoder's BatchNorm has seen the cells
    fit(model, random_cells(32), epochs=1, progress=False)
    assert same_weights(weights_of(model), before)


# Wherever it runs


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_model_is_brought_back_to_where_it_was(ends):
    class Travelling(Regression):
        def to(self, device):
            self.moves.append(device)
            return super().to(device)

    model = Travelling(5)
    model.moves = []
    if ends == "badly":
        fail_in_call(model, 2, RuntimeError("no memory"))
        with pytest.raises(RuntimeError, match="no memory"):
            fit(model, random_cells(32), epochs=1, batch_size=8, progress=False)
    else:
        fit(model, random_cells(32), epochs=1, progress=False)
    assert model.moves == [torch.device("cpu"), torch.device("cpu")]  # there and back


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_model_trained_on_a_gpu_comes_back():
    callers_stream = torch.cuda.get_rng_state()
    runs = []
    for _ in range(2):
        model, cells = Noisy(), random_cells(64)
        fit(model, cells, epochs=3, validation=cells, patience=5, batch_size=8, device="cuda", progress=False)
        assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
        runs.append(weights_of(model))
    for name in runs[0]:
        torch.testing.assert_close(runs[0][name], runs[1][name])
    assert torch.equal(torch.cuda.get_rng_state(), callers_stream)


def test_numpy_numbers_are_as_good_as_pythons(tmp_path):
    arguments = {"epochs": np.int64(2), "batch_size": np.int32(8), "seed": np.int64(3), "patience": np.int64(2)}
    numbers = {"lr": np.float64(1e-3), "kl_weight": np.float32(0.5), "eps": np.float64(1e-8)}
    cells = random_cells(16)
    for _ in range(2):  # the second time from the checkpoint
        fit(a := Noisy(), cells, validation=cells, checkpoint=tmp_path, **arguments, **numbers, progress=False)
    same = {"epochs": 2, "batch_size": 8, "seed": 3, "patience": 2, "kl_weight": 0.5}
    fit(b := Noisy(), cells, validation=cells, **same, progress=False)
    assert same_weights(weights_of(a), weights_of(b))


def test_training_imports_no_model_and_no_analysis():
    for path in Path(package.__file__).parent.glob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        floors = {node.module.split(".")[1] for node in imports if (node.module or "").startswith("course_lib.")}
        assert floors <= {"training", "data", "contexts", "arguments"}, path.name


# One cycle ------------------------------------------------------------------------------------------------------------


def test_one_cycle_is_the_schedule_of_pytorch():
    n_steps, lr = 10_000, 0.02
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=n_steps, cycle_momentum=False)
    theirs = []
    for _ in range(n_steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = [learning_rate_at(step / n_steps, lr, one_cycle=True) for step in range(n_steps)]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)  # they count steps from 0 to n − 1: a shift of one
    assert learning_rate_at(0.7, lr, one_cycle=False) == lr


class Rates(nn.Module):
    """Notes where it stands. Its gradient is one in every step, so that Adam moves it by the learning rate."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))
        self.seen, self.stop_at = [], stop_at

    def loss(self, cells, kl_weight=1.0):
        self.seen.append(float(self.w.detach()))
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        return {"loss": -self.w}


def test_a_run_of_one_cycle_rises_and_falls_over_all_its_steps():
    model = Rates()
    fit(model, random_cells(40), epochs=5, batch_size=10, lr=0.1, one_cycle=True, progress=False)
    steps = np.diff([*model.seen, float(model.w.detach())])  # Adam on a constant gradient moves by its learning rate
    expected = [learning_rate_at(k / 20, 0.1, one_cycle=True) for k in range(20)]
    np.testing.assert_allclose(steps, expected, rtol=1e-4)


def test_one_cycle_refuses_patience():
    cells = random_cells(40)
    with pytest.raises(ValueError, match="patience: expected None with one_cycle=True, found 3"):
        fit(Rates(), cells, validation=cells, epochs=5, patience=3, one_cycle=True, progress=False)


def test_a_run_of_one_cycle_resumes_as_it_was_and_not_with_another_length(tmp_path):
    def run(folder, epochs=5, stop_at=None):
        model = Rates(stop_at)
        fit(
            model, random_cells(40), epochs=epochs, batch_size=10, lr=0.1, one_cycle=True, checkpoint=folder,
            progress=False,
        )  # fmt: skip
        return float(model.w.detach())

    whole = run(tmp_path / "whole")
    broken_off = run(tmp_path / "broken", stop_at=13)  # in epoch 4
    assert broken_off != whole
    assert run(tmp_path / "broken") == whole
    with pytest.raises(ValueError, match="epochs: 5 in the checkpoint, 8 now"):
        run(tmp_path / "whole", epochs=8)
