"""A run on disk: enough to go on as if it had never stopped.

A checkpoint is two files in a folder. ``course_lib-epoch-000012.pt`` holds tensors (weights, optimizer, best weights,
random generators) and is read with ``weights_only=True``; ``checkpoint.json`` holds everything else and names the
tensor file that it belongs to, with a digest of its bytes. Nothing is unpickled, so a checkpoint from a stranger runs
no code. Whatever else lies in the folder stays as it is: only files whose names begin with ``course_lib-`` are removed.

Order of writing: the new tensor file, under a name of its own; then the JSON, by one atomic ``os.replace``, which is
the moment the new epoch becomes the checkpoint; then the old tensor file goes. Whenever the process dies, the JSON on
disk names a tensor file that is complete and its own.
"""

import hashlib
import json
import os
import platform
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch

from course_lib.data.cells import CellTable
from course_lib.training.folder import PREFIX, RunFolder
from course_lib.training.history import History
from course_lib.training.protocol import Trainable
from course_lib.training.settings import Settings
from course_lib.training.stopping import EarlyStopping

FORMAT = 2
TENSOR_FILE = re.escape(PREFIX) + r"epoch-\d{6,}\.pt"
LEFTOVER = rf"{TENSOR_FILE}(\.part)?|{re.escape(PREFIX)}checkpoint\.json\.part"


class Checkpoint:
    """Writes the state of a run into a folder and puts it back. ``folder=None``: does nothing.

    As a context it keeps other runs out of the folder. A checkpoint that is there is read and compared on entering,
    so that one of another run is refused before anything is touched. The model's own state is its ``state_dict``: a
    plain Python attribute that training changes would be lost.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        settings: Settings,
        model: Trainable,
        cells: CellTable,
        validation: CellTable | None,
    ) -> None:
        self.folder = None if folder is None else RunFolder(folder)
        self.settings = settings
        self.device = settings.torch_device()
        self.model = model
        self.epochs_before = getattr(model, "epochs_trained", 0)  # in earlier calls of fit
        self._identity = {} if folder is None else _identity(settings, model, cells, validation)
        self._found: tuple[dict[str, Any], dict[str, Any]] | None = None

    def __enter__(self) -> "Checkpoint":
        """ValueError if there is a checkpoint that cannot be read, or one of another run, model or cells."""
        if self.folder is not None:
            self.folder.lock()
            try:
                if (self.folder.path / "checkpoint.json").exists():
                    self._found = _read(self.folder.path)
                    _compare(self.folder.path, self._found[0], self._identity, self.settings)
            except BaseException:
                self.folder.unlock()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.folder is not None:
            self.folder.unlock()

    def resume(
        self,
        optimizer: torch.optim.Optimizer,
        shuffle: torch.Generator,
        history: History,
        stopping: EarlyStopping,
    ) -> int:
        """Put what was saved into the model, into these four, and into the random generators.

        Returns the number of epochs already trained: 0 if nothing was saved.
        """
        self.optimizer, self.shuffle, self.history, self.stopping = optimizer, shuffle, history, stopping
        if self._found is None:
            return 0
        (facts, tensors), self._found = self._found, None
        self.model.load_state_dict(tensors["model"])
        optimizer.load_state_dict(tensors["optimizer"])
        shuffle.set_state(tensors["shuffle"])
        torch.set_rng_state(tensors["rng"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng_cuda"], self.device)
        history.rows = facts["history"]
        self.epochs_before = facts["epochs_before"]
        stopping.best_loss = float(facts["stopping"]["best_loss"])
        stopping.best_epoch = facts["stopping"]["best_epoch"]
        stopping.waited = facts["stopping"]["waited"]
        stopping.best_weights = {name: tensor.to(self.device) for name, tensor in tensors["best_weights"].items()}
        return len(history)

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
        path = self.folder.path / f"{PREFIX}epoch-{len(self.history):06d}.pt"
        _write_atomically(path, lambda file: torch.save(tensors, file))
        facts: dict[str, Any] = {
            "format": FORMAT,
            "tensors": path.name,
            "digest of tensors": _digest_of_file(path),
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
        text = json.dumps(facts | {"digest": _digest_of_facts(facts)}, indent=1, allow_nan=False).encode()
        _write_atomically(self.folder.path / "checkpoint.json", lambda file: file.write(text))
        self.folder.remove(LEFTOVER, keep=path.name)  # older tensors, and what a crash left behind


def _write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write beside ``path``, make sure that it is on the disk, and only then give it its name."""
    part = path.with_name(f"{PREFIX}{path.name.removeprefix(PREFIX)}.part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts and the tensors of the checkpoint in ``folder``, if they are whole and belong together."""
    path = folder / "checkpoint.json"
    afresh = f"Delete {path} to start afresh, or choose another folder"
    try:
        facts = json.loads(path.read_bytes())
    except Exception as error:  # not text, not JSON, not readable
        raise ValueError(f"the checkpoint cannot be read ({type(error).__name__}: {error}). {afresh}") from error
    if not isinstance(facts, dict) or "format" not in facts or "tensors" not in facts:
        raise ValueError(f"{path} is not a checkpoint of fit; it stays as it is. Choose another folder")
    if facts["format"] != FORMAT:
        raise ValueError(
            f"the checkpoint has format {facts['format']!r}, of another version of the course; this version reads "
            f"format {FORMAT}. {afresh}"
        )
    if facts.pop("digest", None) != _digest_of_facts(facts):
        raise ValueError(f"the checkpoint cannot be read: {path.name} is not as fit wrote it. {afresh}")
    if not re.fullmatch(TENSOR_FILE, str(facts["tensors"])):  # no folder, no '..', nothing that fit does not write
        raise ValueError(f"the checkpoint names a file {facts['tensors']!r}, which fit never writes. {afresh}")
    try:
        damaged = _digest_of_file(folder / facts["tensors"]) != facts["digest of tensors"]
        tensors = None if damaged else torch.load(folder / facts["tensors"], map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises half a dozen kinds
        raise ValueError(f"the checkpoint cannot be read ({type(error).__name__}: {error}). {afresh}") from error
    if tensors is None:
        raise ValueError(f"the checkpoint cannot be read: {facts['tensors']} is not as fit wrote it. {afresh}")
    return facts, tensors


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _digest_of_facts(facts: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _identity(settings: Settings, model: Trainable, cells: CellTable, validation: CellTable | None) -> dict[str, Any]:
    """What must be the same for a run to be the same run.

    The number of epochs may grow, so it is left out, except where the learning rate follows it.
    """
    identity = {name: value for name, value in asdict(settings).items() if name != "epochs" or settings.one_cycle}
    identity |= {"number of cells": len(cells), "number of validation cells": len(validation or ())}
    # A split with another seed has the same size and other cells; only the content tells them apart.
    identity |= {"content of cells": cells.digest(), "content of validation": validation and validation.digest()}
    identity |= {"names of genes": _digest_of_facts({"genes": cells.genes})}  # a digest: they may be sixty thousand
    identity |= {"batches": cells.batches, "labels": cells.labels, "model": repr(model)}
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
