"""A run that stopped and went on ends as one that never stopped, to the last bit, wherever it stopped."""

import io
import json
import os
import pickletools
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from course_lib.data.cells import Cells
from course_lib.training import checkpoint as checkpoint_module
from course_lib.training import fit


class Killed(BaseException):
    """The process dies here."""


def random_cells(n, seed):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32))
    return Cells(x, torch.zeros(n, dtype=torch.int64), tuple("abcde"), ("all",))


CELLS, VALIDATION = random_cells(33, seed=0), random_cells(13, seed=1)
MINIBATCHES = 4  # 8 + 8 + 8 + 9 cells


class Noisy(nn.Module):
    """BatchNorm, dropout and a sampled code; can be killed in the n-th training minibatch."""

    def __init__(self, n_hidden=8, dropout=0.3, killed_in=None):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(5, n_hidden), nn.BatchNorm1d(n_hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, 2)
        )
        self.decoder = nn.Linear(2, 5)
        self.killed_in = killed_in

    def loss(self, cells, kl_weight=1.0):
        if self.training and self.killed_in is not None:
            self.killed_in -= 1
            if self.killed_in == 0:
                raise Killed
        mu = self.encoder(cells.x)
        reconstruction = (self.decoder(mu + torch.randn_like(mu)) - cells.x).square().sum(-1).mean()
        kl_z = 0.5 * mu.square().sum(-1).mean()
        return {"loss": reconstruction + kl_weight * kl_z, "reconstruction": reconstruction, "kl_z": kl_z}


def new_model(seed=0, **arguments):
    torch.manual_seed(seed)
    return Noisy(**arguments)


def train(model, folder=None, cells=CELLS, validation=VALIDATION, **changes):
    arguments = {"epochs": 30, "batch_size": 8, "lr": 0.03, "kl_warmup": 3, "patience": 4, "progress": False, **changes}
    history = fit(model, cells, validation=validation, checkpoint=folder, **arguments)
    return history, {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_run(one, other):
    (history_a, weights_a), (history_b, weights_b) = one, other
    pd.testing.assert_frame_equal(history_a, history_b, check_exact=True)
    assert weights_a.keys() == weights_b.keys()
    for name, tensor in weights_a.items():
        assert torch.equal(tensor, weights_b[name]), name


@pytest.fixture(scope="module")
def uninterrupted():
    """The run to compare with: no checkpoint, no interruption, stopped early between the kill points below."""
    torch.manual_seed(0)
    history, weights = train(new_model())
    assert 8 < len(history) < 30
    assert 3 < history.validation_loss.loc[3:].idxmin() < len(history)
    return history, weights


# Resume


def test_saving_does_not_change_the_run(uninterrupted, tmp_path):
    assert_same_run(train(new_model(), tmp_path / "run"), uninterrupted)


@pytest.mark.parametrize("epochs_done", [0, 1, 2, 3, 5, 7, 8])
def test_a_killed_run_resumes_bit_identical(uninterrupted, tmp_path, epochs_done):
    with pytest.raises(Killed):
        train(new_model(killed_in=MINIBATCHES * epochs_done + 3), tmp_path / "run")
    model = new_model(seed=9 if epochs_done else 0)  # what was saved replaces initial weights
    torch.manual_seed(epochs_done + 100)  # the new process has other random numbers
    assert_same_run(train(model, tmp_path / "run"), uninterrupted)


def test_a_run_killed_again_and_again_resumes_bit_identical(uninterrupted, tmp_path):
    for killed_in in (6, 5, 9, 2):
        with pytest.raises(Killed):
            train(new_model(killed_in=killed_in), tmp_path / "run")
    assert_same_run(train(new_model(), tmp_path / "run"), uninterrupted)


def test_a_run_killed_after_its_best_epoch_still_restores_it(uninterrupted, tmp_path, capsys):
    history, _ = uninterrupted
    with pytest.raises(Killed):  # in the last epoch: patience is almost over
        train(new_model(killed_in=MINIBATCHES * (len(history) - 1) + 1), tmp_path / "run")
    assert_same_run(train(new_model(), tmp_path / "run", progress=True), uninterrupted)
    best = history.validation_loss.loc[3:].idxmin()
    assert capsys.readouterr().err == f"stopped early after {len(history)} of 30 epochs; kept epoch {best}\n"


def test_a_keyboard_interrupt_can_be_resumed(uninterrupted, tmp_path, monkeypatch):
    model, loss = new_model(), Noisy.loss
    calls = []

    def interrupted(self, cells, kl_weight=1.0):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return loss(self, cells, kl_weight)

    with monkeypatch.context() as patch:
        patch.setattr(Noisy, "loss", interrupted)
        history, _ = train(model, tmp_path / "run")
    assert 1 <= len(history) < len(uninterrupted[0])
    assert_same_run(train(model, tmp_path / "run"), uninterrupted)


def test_a_finished_run_is_returned_without_training(uninterrupted, tmp_path):
    train(new_model(), tmp_path / "run")
    assert_same_run(train(new_model(seed=9, killed_in=1), tmp_path / "run"), uninterrupted)


def test_a_run_can_be_made_longer(tmp_path):
    arguments = {"patience": None, "validation": None, "weight_decay": 1e-3}
    whole = train(new_model(), epochs=7, **arguments)
    train(new_model(), tmp_path / "run", epochs=4, **arguments)
    assert_same_run(train(new_model(), tmp_path / "run", epochs=7, **arguments), whole)


def test_other_dtypes_and_paths_given_as_text_work_too(tmp_path):
    def cells(n, seed):
        return Cells(random_cells(n, seed).x.double(), torch.zeros(n, dtype=torch.int64), tuple("abcde"), ("all",))

    arguments = {"cells": cells(33, 0), "validation": cells(13, 1), "epochs": 4}
    whole = train(new_model().double(), **arguments)
    with pytest.raises(Killed):
        train(new_model(killed_in=10).double(), str(tmp_path / "a" / "b"), **arguments)
    assert_same_run(train(new_model().double(), str(tmp_path / "a" / "b"), **arguments), whole)


# What lies on the disk


def test_a_checkpoint_is_two_files_and_nothing_that_runs_code(tmp_path):
    train(new_model(), tmp_path, epochs=3, patience=2)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.json", "epoch-000003.pt"]
    json.loads((tmp_path / "checkpoint.json").read_text())
    torch.load(tmp_path / "epoch-000003.pt", weights_only=True)
    with zipfile.ZipFile(tmp_path / "epoch-000003.pt") as archive:  # every name that its pickle would import
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        imported = {arg for code, arg, _ in pickletools.genops(archive.read(name)) if code.name == "GLOBAL"}
    assert {path.split()[0] for path in imported} <= {"torch", "torch._utils", "collections"}


class DyingDisk:
    """Stands in for the module's ``os`` and ``torch.save`` and kills the process at a chosen moment of a save."""

    def __init__(self, monkeypatch, moment, save):
        self.countdown = save
        self.moment = moment
        replace, save_tensors = os.replace, torch.save

        def dying_save(tensors, file):
            if self.is_now("while the tensors are written", starts=True):
                whole = io.BytesIO()
                save_tensors(tensors, whole)
                file.write(whole.getvalue()[:1000])
                raise Killed
            save_tensors(tensors, file)

        def dying_replace(source, target):
            tensors = str(target).endswith(".pt")
            if self.is_now("before the tensors have their name" if tensors else "before the JSON has its name"):
                raise Killed
            replace(source, target)
            if self.is_now("after the tensors have their name" if tensors else "after the JSON has its name"):
                raise Killed

        monkeypatch.setattr(torch, "save", dying_save)
        monkeypatch.setattr(checkpoint_module.os, "replace", dying_replace)

    def is_now(self, moment, starts=False):
        if moment == MOMENTS[0] and starts:
            self.countdown -= 1
        return self.countdown == 0 and moment == self.moment


MOMENTS = [
    "while the tensors are written",
    "before the tensors have their name",
    "after the tensors have their name",
    "before the JSON has its name",
    "after the JSON has its name",
]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("save", [1, 6])
def test_a_crash_while_saving_leaves_a_whole_checkpoint(uninterrupted, tmp_path, monkeypatch, moment, save):
    with monkeypatch.context() as patch:
        DyingDisk(patch, moment, save)
        with pytest.raises(Killed):
            train(new_model(), tmp_path)
    facts = tmp_path / "checkpoint.json"
    saved = len(json.loads(facts.read_text())["history"]) if facts.exists() else 0
    assert saved == (save if moment == "after the JSON has its name" else save - 1)
    assert_same_run(train(new_model(seed=9 if saved else 0), tmp_path), uninterrupted)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.json", f"epoch-{len(uninterrupted[0]):06d}.pt"]


def test_files_of_others_in_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "epoch-best.pt").write_text("mine too")
    train(new_model(), tmp_path, epochs=3)
    assert {"notes.txt", "epoch-best.pt"} < set(os.listdir(tmp_path))


# Another run's checkpoint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.01}, r"lr: 0\.03 in the checkpoint, 0\.01 now"),
        ({"batch_size": 16}, "batch_size: 8 in the checkpoint, 16 now"),
        ({"seed": 1}, "seed: 0 in the checkpoint, 1 now"),
        ({"weight_decay": 0.1}, r"weight_decay: 0\.0 in the checkpoint, 0\.1 now"),
        ({"eps": 0.01}, r"eps: 1e-08 in the checkpoint, 0\.01 now"),
        ({"kl_weight": 0.5}, r"kl_weight: 1\.0 in the checkpoint, 0\.5 now"),
        ({"kl_warmup": 2}, "kl_warmup: 3 in the checkpoint, 2 now"),
        ({"patience": None}, "patience: 4 in the checkpoint, None now"),
        ({"cells": random_cells(34, seed=0)}, "number of cells: 33 in the checkpoint, 34 now"),
        ({"cells": random_cells(33, seed=5)}, "content of cells: "),
        ({"validation": random_cells(14, seed=1)}, "number of validation cells: 13 in the checkpoint, 14 now"),
        ({"validation": random_cells(13, seed=5)}, "content of validation: "),
    ],
)
def test_resuming_with_other_settings_or_data_says_which(tmp_path, changes, message):
    train(new_model(), tmp_path, epochs=3)
    model = new_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=message) as caught:
        train(model, tmp_path, epochs=4, **changes)
    assert str(caught.value).count(" in the checkpoint, ") == (2 if "number" in message else 1)  # and nothing else
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"n_hidden": 9}, r"shape of encoder\.0\.weight: \[8, 5\] in the checkpoint, \[9, 5\] now"),
        ({"dropout": 0.1}, r"model: .*Dropout\(p=0\.3.* in the checkpoint, .*Dropout\(p=0\.1.* now"),
    ],
)
def test_resuming_with_another_model_says_where_it_differs(tmp_path, other, message):
    train(new_model(), tmp_path, epochs=3)
    with pytest.raises(ValueError, match=message):
        train(new_model(**other), tmp_path, epochs=4)


def test_fewer_epochs_than_saved_are_refused(tmp_path):
    train(new_model(), tmp_path, epochs=4)
    with pytest.raises(ValueError, match="has 4 epochs already; epochs = 3 is less"):
        train(new_model(), tmp_path, epochs=3)


def test_another_version_or_number_of_threads_is_announced(tmp_path):
    train(new_model(), tmp_path, epochs=3)
    facts = json.loads((tmp_path / "checkpoint.json").read_text())
    facts["written_with"] |= {"torch": "1.0.0", "threads": 77}
    (tmp_path / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.warns(UserWarning, match=r"torch was '1\.0\.0' and is .*threads was 77 and is .*last digits"):
        train(new_model(), tmp_path, epochs=4)


# A checkpoint that is no checkpoint


def test_damaged_checkpoints_are_refused_with_the_way_out(tmp_path):
    train(new_model(), tmp_path, epochs=3)
    tensors, facts = tmp_path / "epoch-000003.pt", tmp_path / "checkpoint.json"
    whole_tensors, whole_facts = tensors.read_bytes(), facts.read_text()

    def refused(message):
        with pytest.raises(ValueError, match=message) as caught:
            train(new_model(), tmp_path, epochs=4)
        assert "to start afresh" in str(caught.value)

    tensors.write_bytes(whole_tensors[: len(whole_tensors) // 2])
    refused("cannot be read")
    tensors.unlink()
    refused(r"cannot be read.*epoch-000003\.pt")
    tensors.write_bytes(whole_tensors)

    facts.write_text(whole_facts[:100])
    refused("cannot be read")
    facts.write_text(json.dumps(json.loads(whole_facts) | {"format": 99}))
    refused("has format 99; this version reads format 2")
    mixed = json.loads(whole_facts)
    mixed["history"].pop()
    facts.write_text(json.dumps(mixed))
    refused(r"saved after epoch 3, but checkpoint\.json is at epoch 2")

    facts.write_text(whole_facts)
    assert len(train(new_model(), tmp_path, epochs=4)[0]) == 4


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "was here"),))

    train(new_model(), tmp_path, epochs=3)
    torch.save({"epoch": 3, "model": Attack()}, tmp_path / "epoch-000003.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        train(new_model(), tmp_path, epochs=4)
    assert not (tmp_path / "was here").exists()


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "run.pt").write_text("")
    with pytest.raises(ValueError, match=r"checkpoint must be a folder.*run\.pt is a file"):
        train(new_model(), tmp_path / "run.pt", epochs=3)
