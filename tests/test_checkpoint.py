"""A run that stopped and went on ends as one that never stopped, to the last bit, wherever it stopped."""

import errno
import io
import json
import os
import pickletools
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from small import random_cells, same_weights, weights_of
from torch import nn

from course_lib.training import checkpoint as checkpoint_module
from course_lib.training import fit
from course_lib.training.folder import RunFolder


class Killed(BaseException):
    """The process dies here."""


CELLS, VALIDATION = random_cells(33, seed=0), random_cells(13, seed=1)
MINIBATCHES = 4  # 8 + 8 + 8 + 9 cells
TENSORS = "course_lib-epoch-000003.pt"


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
    return history, weights_of(model)


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
        single = random_cells(n, seed=seed)
        return replace(single, x=single.x.double())

    arguments = {"cells": cells(33, 0), "validation": cells(13, 1), "epochs": 4}
    whole = train(new_model().double(), **arguments)
    with pytest.raises(Killed):
        train(new_model(killed_in=10).double(), str(tmp_path / "a" / "b"), **arguments)
    assert_same_run(train(new_model().double(), str(tmp_path / "a" / "b"), **arguments), whole)


# What lies on the disk


def test_a_checkpoint_is_two_files_and_nothing_that_runs_code(tmp_path):
    train(new_model(), tmp_path, epochs=3, patience=2)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.json", "course_lib-epoch-000003.pt", "course_lib-lock"]
    json.loads((tmp_path / "checkpoint.json").read_text())
    torch.load(tmp_path / TENSORS, weights_only=True)
    with zipfile.ZipFile(tmp_path / TENSORS) as archive:  # every name that its pickle would import
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
    assert sorted(os.listdir(tmp_path)) == [
        "checkpoint.json",
        f"course_lib-epoch-{len(uninterrupted[0]):06d}.pt",
        "course_lib-lock",
    ]


FOREIGN = (
    "notes.txt",
    "epoch-best.pt",
    "epoch-000001.pt",
    "film.mkv.part",
    "checkpoint.json.part",
    "course_lib-my.part",
)


def test_files_of_others_in_the_folder_stay(tmp_path):
    for name in FOREIGN:
        (tmp_path / name).write_text("mine")
    train(new_model(), tmp_path, epochs=3)
    assert {name for name in FOREIGN if (tmp_path / name).read_text() == "mine"} == set(FOREIGN)
    assert set(os.listdir(tmp_path)) == {*FOREIGN, "checkpoint.json", TENSORS, "course_lib-lock"}


@pytest.mark.parametrize("content", ['{"best": 3}', "[1, 2]", "null"])
def test_a_checkpoint_of_another_program_is_neither_read_nor_written_over(tmp_path, content):
    (tmp_path / "checkpoint.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"checkpoint\.json is not a checkpoint of fit; it stays as it is\. Choose ano"
    ):
        train(new_model(), tmp_path, epochs=3)
    assert (tmp_path / "checkpoint.json").read_text() == content


def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_can_go_on(uninterrupted, tmp_path, monkeypatch):
    save, saves = torch.save, []

    def full(tensors, file):
        saves.append(1)
        if len(saves) == 4:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(tensors, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            train(new_model(), tmp_path)
    assert_same_run(train(new_model(seed=9), tmp_path), uninterrupted)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


# Where it may not be written


@pytest.mark.parametrize(
    ("folder", "error", "message"),
    [
        ("", ValueError, "checkpoint: expected the path of a folder, or None, found an empty path"),
        (True, TypeError, "checkpoint: expected the path of a folder, or None, found True"),
        (7, TypeError, "checkpoint: expected the path of a folder, or None, found 7"),
        (b"run", TypeError, "checkpoint: expected the path of a folder, or None, found b'run'"),
    ],
)
def test_what_is_no_path_is_refused(folder, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        train(new_model(killed_in=1), folder, epochs=3)
    assert os.listdir(tmp_path) == []


def test_a_file_where_the_folder_should_be_is_found_before_the_first_epoch(tmp_path):
    (tmp_path / "run.pt").write_text("mine")
    with pytest.raises(ValueError, match=r"checkpoint: expected a folder.*run\.pt is a file"):
        train(new_model(killed_in=1), tmp_path / "run.pt", epochs=3)
    with pytest.raises(ValueError, match=r"checkpoint: cannot write in .*run\.pt/below \(.*choose another folder"):
        train(new_model(killed_in=1), tmp_path / "run.pt" / "below", epochs=3)
    assert (tmp_path / "run.pt").read_text() == "mine"


@pytest.mark.parametrize("folder", ["", "new"])
def test_a_folder_that_may_not_be_written_is_found_before_the_first_epoch(folder, tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("root may write everywhere")
    with pytest.raises(ValueError, match=r"checkpoint: cannot write in .*Permission denied.*choose another folder"):
        train(new_model(killed_in=1), tmp_path / folder, epochs=3)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="Linux has a folder that not even root may write")
def test_a_folder_where_nothing_can_be_made_is_found_before_the_first_epoch():
    with pytest.raises(ValueError, match=r"checkpoint: cannot write in /proc/self \("):
        train(new_model(killed_in=1), "/proc/self", epochs=3)


# One run at a time


@pytest.mark.slow
def test_two_runs_on_one_folder_are_refused_with_the_name_of_the_first(uninterrupted, tmp_path):
    """The first is another process; killed, it leaves nothing that keeps others out."""
    source = """
        import sys, time
        sys.path.insert(0, sys.argv[1])
        from test_checkpoint import Noisy, new_model, train
        loss = Noisy.loss
        def slow(self, cells, kl_weight=1.0):
            if self.training and len(calls) > 10:  # in the third epoch
                print("training", flush=True)
                time.sleep(600)
            calls.append(1)
            return loss(self, cells, kl_weight)
        Noisy.loss, calls = slow, []
        train(new_model(), sys.argv[2])
    """
    command = [sys.executable, "-c", textwrap.dedent(source), str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout.readline() == "training\n"
            before = sorted(os.listdir(tmp_path))
            with pytest.raises(ValueError, match=rf"{tmp_path} is in use by process {first.pid} on .*choose another"):
                train(new_model(killed_in=1), tmp_path)
            assert sorted(os.listdir(tmp_path)) == before
        finally:
            first.kill()
    assert_same_run(train(new_model(seed=9), tmp_path), uninterrupted)


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    folder = RunFolder(tmp_path)
    folder.lock()
    with pytest.raises(ValueError, match=rf"in use by process {os.getpid()} on .*; wait until that run has ended, or"):
        train(new_model(killed_in=1), tmp_path)
    assert set(os.listdir(tmp_path)) == {"course_lib-lock", "course_lib-running.txt"}
    folder.unlock()
    train(new_model(), tmp_path, epochs=3)


def test_a_run_that_ended_badly_gives_its_folder_back(tmp_path):
    with pytest.raises(Killed):
        train(new_model(killed_in=6), tmp_path)
    with pytest.raises(ValueError, match=r"lr: 0\.03 in the checkpoint") as kept:  # as Jupyter keeps the last error
        train(new_model(), tmp_path, lr=0.1)
    train(new_model(), tmp_path, epochs=3)
    assert kept.value.__traceback__ is not None
    assert set(os.listdir(tmp_path)) == {"checkpoint.json", TENSORS, "course_lib-lock"}


# Another run's checkpoint


def both(**changes):
    """The same numbers, for training and validation, under other names."""
    return {"cells": replace(CELLS, **changes), "validation": replace(VALIDATION, **changes)}


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
        (both(genes=tuple("abcdf")), "names of genes: .* in the checkpoint, "),
        (both(batches=("ALL",)), r"batches: \['all cells'\] in the checkpoint, \['ALL'\] now"),
        (both(labels=("T cell",)), r"labels: \[\] in the checkpoint, \['T cell'\] now"),
        ({"cells": replace(CELLS, batch=1 - CELLS.batch)}, "content of cells: "),
        ({"cells": replace(CELLS, label=torch.zeros(33, dtype=torch.int64))}, "content of cells: "),
    ],
)
def test_resuming_with_other_settings_or_data_says_which(tmp_path, changes, message):
    train(new_model(), tmp_path, epochs=3)
    model = new_model()
    before = weights_of(model)
    with pytest.raises(ValueError, match=message) as caught:
        train(model, tmp_path, epochs=4, **changes)
    assert str(caught.value).count(" in the checkpoint, ") == (2 if "number" in message else 1)  # and nothing else
    assert same_weights(weights_of(model), before)


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


def rewrite(folder, **changes):
    """Change facts of a checkpoint as its author could: with a digest that fits."""
    path = folder / "checkpoint.json"
    facts = json.loads(path.read_text()) | changes
    facts.pop("digest")
    path.write_text(json.dumps(facts | {"digest": checkpoint_module._digest_of_facts(facts)}))


def test_another_version_or_number_of_threads_is_announced(tmp_path):
    train(new_model(), tmp_path, epochs=3)
    facts = json.loads((tmp_path / "checkpoint.json").read_text())
    rewrite(tmp_path, written_with=facts["written_with"] | {"torch": "1.0.0", "threads": 77})
    with pytest.warns(UserWarning, match=r"torch was '1\.0\.0' and is .*threads was 77 and is .*last digits"):
        train(new_model(), tmp_path, epochs=4)


# A checkpoint that is no checkpoint


def refused(folder, message):
    """Nothing is loaded, nothing is deleted, and the way out is named."""
    before, model = sorted(os.listdir(folder)), new_model(killed_in=1)
    weights = weights_of(model)
    with pytest.raises(ValueError, match=message) as caught:
        train(model, folder, epochs=4)
    assert f"Delete {folder / 'checkpoint.json'} to start afresh, or choose another folder" in str(caught.value)
    assert same_weights(weights_of(model), weights)
    assert sorted(os.listdir(folder)) == before


@pytest.fixture
def saved(tmp_path):
    train(new_model(), tmp_path, epochs=3)
    return tmp_path


def test_a_damaged_tensor_file_is_refused(saved):
    tensors = saved / TENSORS
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[: len(whole) // 2])
    refused(saved, rf"cannot be read: {TENSORS} is not as fit wrote it")
    tensors.unlink()
    refused(saved, rf"cannot be read \(FileNotFoundError.*{TENSORS}")
    tensors.write_bytes(whole)
    assert len(train(new_model(), saved, epochs=4)[0]) == 4


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_one_flipped_bit_of_a_weight_is_noticed(saved, share):
    tensors = bytearray((saved / TENSORS).read_bytes())
    tensors[int(share * len(tensors))] ^= 1
    (saved / TENSORS).write_bytes(tensors)
    refused(saved, "is not as fit wrote it")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_one_flipped_bit_of_the_facts_is_noticed(saved, share):
    facts = bytearray((saved / "checkpoint.json").read_bytes())
    position = next(i for i in range(int(share * len(facts)), len(facts)) if chr(facts[i]).isdigit())
    facts[position] ^= 1  # one digit into another
    (saved / "checkpoint.json").write_bytes(facts)
    refused(saved, "checkpoint")


def test_facts_that_are_cut_off_or_lack_a_key_are_refused(saved):
    path = saved / "checkpoint.json"
    whole = path.read_text()
    path.write_text(whole[:100])
    refused(saved, "cannot be read.*JSONDecodeError")
    path.write_bytes(b"\x80 no text")
    refused(saved, "cannot be read.*UnicodeDecodeError")
    for key in json.loads(whole):
        if key not in ("format", "tensors"):  # without these it is another program's
            path.write_text(json.dumps({name: value for name, value in json.loads(whole).items() if name != key}))
            refused(saved, "is not as fit wrote it")


def test_a_tensor_file_of_another_epoch_is_refused(saved):
    other = saved / "course_lib-epoch-000002.pt"
    other.write_bytes((saved / TENSORS).read_bytes() + b" ")
    rewrite(saved, tensors=other.name)
    refused(saved, "course_lib-epoch-000002.pt is not as fit wrote it")


def test_an_older_format_is_refused_in_a_sentence(saved):
    rewrite(saved, format=1)
    refused(saved, r"has format 1, of another version of the course; this version reads format 2\.")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../course_lib-epoch-000003.pt", "a/course_lib-epoch-000003.pt", "", 3]
)
def test_a_tensor_file_outside_of_the_folder_is_refused(saved, name):
    rewrite(saved, tensors=name)
    refused(saved, "names a file .*, which fit never writes")


def test_a_pickle_that_would_run_code_is_refused(saved):
    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(saved / "was here"),))

    torch.save({"epoch": 3, "model": Attack()}, saved / TENSORS)
    rewrite(saved, **{"digest of tensors": checkpoint_module._digest_of_file(saved / TENSORS)})
    refused(saved, "cannot be read.*UnpicklingError")
    assert not (saved / "was here").exists()
