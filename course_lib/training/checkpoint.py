"""A run on disk: enough to go on as if it had never stopped.

A checkpoint is a folder of two files. ``epoch-000012.pt`` holds tensors (weights, optimizer, best weights, random
generators) and is read with ``weights_only=True``; ``checkpoint.json`` holds everything else and names the tensor file
that it belongs to. Nothing is unpickled, so a checkpoint from a stranger runs no code.

Order of writing: the new tensor file, under a name of its own; then the JSON, by one atomic ``os.replace``, which is
the moment the new epoch becomes the checkpoint; then the old tensor file goes. Whenever the process dies, the JSON on
disk names a tensor file that is complete and its own.
"""

import json
import os
import platform
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch

from course_lib.data.cells import CellTable
from course_lib.training.history import History
from course_lib.training.protocol import Trainable
from course_lib.training.settings import Settings
from course_lib.training.stopping import EarlyStopping

FORMAT = 2


class Checkpoint:
    """Writes the state of a run into a folder and puts it back. ``folder=None``: does nothing.

    The model's own state is its ``state_dict``: a plain Python attribute that training changes would be lost.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        settings: Settings,
        model: Trainable,
        optimizer: torch.optim.Optimizer,
        shuffle: torch.Generator,
        history: History,
        stopping: EarlyStopping,
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"checkpoint must be a folder, which fit makes if it is missing; {self.folder} is a file")
        self.settings = settings
        self.device = settings.torch_device()
        self.model = model
        self.optimizer = optimizer
        self.shuffle = shuffle
        self.history = history
        self.stopping = stopping
        self.epochs_before = getattr(model, "epochs_trained", 0)  # in earlier calls of fit
        self._identity: dict[str, Any] = {}

    def resume(self, cells: CellTable, validation: CellTable | None) -> int:
        """Put the saved state into model, optimizer, history, stopping and generators.

        Returns the number of epochs already trained: 0 if there is no checkpoint yet. ValueError if the checkpoint is
        of a run with other settings, another model or other cells, or if it cannot be read.
        """
        if self.folder is None:
            return 0
        self._identity = _identity(self.settings, self.model, cells, validation)
        if not (self.folder / "checkpoint.json").exists():
            return 0
        facts, tensors = self._read()
        _compare(self.folder, facts, self._identity, self.settings)
        self.model.load_state_dict(tensors["model"])
        self.optimizer.load_state_dict(tensors["optimizer"])
        self.shuffle.set_state(tensors["shuffle"])
        torch.set_rng_state(tensors["rng"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng_cuda"], self.device)
        self.history.rows = facts["history"]
        self.epochs_before = facts["epochs_before"]
        self.stopping.best_loss = float(facts["stopping"]["best_loss"])
        self.stopping.best_epoch = facts["stopping"]["best_epoch"]
        self.stopping.waited = facts["stopping"]["waited"]
        self.stopping.best_weights = {name: tensor.to(self.device) for name, tensor in tensors["best_weights"].items()}
        return len(self.history)

    def write(self) -> None:
        """Save the state at the end of an epoch. The previous one stays valid until this one is complete."""
        if self.folder is None:
            return
        tensors = {
            "epoch": len(self.history),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_weights": self.stopping.best_weights,
            "shuffle": self.shuffle.get_state(),
            "rng": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            tensors["rng_cuda"] = torch.cuda.get_rng_state(self.device)
        facts: dict[str, Any] = {
            "format": FORMAT,
            "tensors": f"epoch-{len(self.history):06d}.pt",
            "run": self._identity,
            "written_with": _environment(),
            "epochs_before": self.epochs_before,
            "stopping": {
                "best_loss": repr(self.stopping.best_loss),  # JSON has no infinity
                "best_epoch": self.stopping.best_epoch,
                "waited": self.stopping.waited,
            },
            "history": self.history.rows,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_atomically(self.folder / facts["tensors"], lambda file: torch.save(tensors, file))
        text = json.dumps(facts, indent=1, allow_nan=False).encode()
        _write_atomically(self.folder / "checkpoint.json", lambda file: file.write(text))
        for path in self.folder.iterdir():  # older tensors, and what a crash left behind
            if path.name != facts["tensors"] and re.fullmatch(r"epoch-\d{6}\.pt|.*\.part", path.name):
                path.unlink()

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        assert self.folder is not None
        start_afresh = f"Delete the folder {self.folder} to start afresh"
        try:
            facts = json.loads((self.folder / "checkpoint.json").read_text())
            found = facts["format"]
            if found == FORMAT:
                tensors = torch.load(self.folder / facts["tensors"], map_location="cpu", weights_only=True)
                if tensors["epoch"] == len(facts["history"]):
                    return facts, tensors
        except Exception as error:  # torch.load raises half a dozen kinds on a damaged file
            raise ValueError(
                f"the checkpoint cannot be read ({type(error).__name__}: {error}). {start_afresh}"
            ) from error
        if found != FORMAT:
            raise ValueError(f"the checkpoint has format {found!r}; this version reads format {FORMAT}. {start_afresh}")
        raise ValueError(
            f"{facts['tensors']} was saved after epoch {tensors['epoch']}, but checkpoint.json is at epoch "
            f"{len(facts['history'])}: these files are not of one checkpoint. {start_afresh}"
        )


def _write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write beside ``path``, make sure that it is on the disk, and only then give it its name."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _identity(settings: Settings, model: Trainable, cells: CellTable, validation: CellTable | None) -> dict[str, Any]:
    """What must be the same for a run to be the same run.

    The number of epochs may grow, so it is left out, except where the learning rate follows it.
    """
    identity = {name: value for name, value in asdict(settings).items() if name != "epochs" or settings.one_cycle}
    identity |= {"number of cells": len(cells), "number of validation cells": len(validation or ())}
    # A split with another seed has the same size and other cells; only the content tells them apart.
    identity |= {"content of cells": cells.digest(), "content of validation": validation and validation.digest()}
    identity |= {"model": repr(model)}
    identity |= {f"shape of {name}": list(tensor.shape) for name, tensor in model.state_dict().items()}
    return json.loads(json.dumps(identity))  # as it will look when it is read again


def _environment() -> dict[str, Any]:
    """What the last bits of a result depend on, besides the run itself."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def _compare(folder: Path, facts: dict[str, Any], now: dict[str, Any], settings: Settings) -> None:
    """ValueError if the checkpoint is of another run; a warning if only the last bits may differ."""
    then = facts["run"]
    differences = [
        _difference(name, then.get(name), now.get(name))
        for name in [*then, *(name for name in now if name not in then)]
        if then.get(name) != now.get(name)
    ]
    if differences:
        listed = "\n  - ".join(differences[:8] + ["…"] * (len(differences) > 8))
        raise ValueError(
            f"the checkpoint in {folder} is of another run:\n  - {listed}\n"
            f"Call fit as before to resume it, or choose another folder for a new run"
        )
    trained = len(facts["history"])
    if trained > settings.epochs:
        raise ValueError(f"the checkpoint in {folder} has {trained} epochs already; epochs = {settings.epochs} is less")
    moved = [
        f"{name} was {facts['written_with'].get(name)!r} and is {value!r}"
        for name, value in _environment().items()
        if facts["written_with"].get(name) != value
    ]
    if moved:
        warnings.warn(
            f"resuming a checkpoint from another environment ({'; '.join(moved)}): training goes on, but its result "
            f"may differ in the last digits from an uninterrupted run",
            stacklevel=4,
        )


def _difference(name: str, then: Any, now: Any) -> str:
    if name == "model":  # two long texts: show where they part
        lines = zip(str(then).splitlines(), str(now).splitlines(), strict=False)
        then, now = next(((a.strip(), b.strip()) for a, b in lines if a != b), ("fewer or more layers", "others"))
    return f"{name}: {then} in the checkpoint, {now} now"
