"""How long until the bound is as good as scvi-tools' is at the end of its training?

    python -m course_lib.experiments.time_to_bound [--seeds 3] [--data …] [--to data/results]   needs the extra `peer`

Cortex (558 genes), PBMC3k and Kang (2,000 genes each); 65 % of the cells to learn from; ZINB, ℓ learned or observed;
one thread. For each seed scvi-tools trains as it does by default, 400 epochs, and the test −ELBO where it ends is the
mark. Then both programs train until their own test −ELBO passes it, in these ways:

``default``
    each as it is: Adam at 1e-3 throughout.
``preferred``
    at the learning rate of ``RATES`` whose validation −ELBO is lowest after ``CHOOSING`` epochs of seed 0.
``one cycle``
    ours alone: ρ starts at the mean profile, and ``fit(…, one_cycle=True)`` goes up to ``CYCLE_RATE`` and down, over
    the shortest of ``PLANS`` whose validation −ELBO, on seed 0, ends below that of scvi-tools' default training.

The test −ELBO is looked at after every epoch with the clock stopped: ``DRAWS`` draws for each of at most ``TEST_CELLS``
cells, taken evenly, the same noise every time. Setting up counts for neither: the clock starts with the first
minibatch. Programs run in one process in turn, order alternating with the seed.

``time_to_bound.csv``, one row for each data set, library, program, way and seed: ``lr``; ``mark``, nats per cell;
``epochs``, ``cpu_s`` and ``wall_s`` until it was passed, empty where it was not; ``best``, the lowest test −ELBO seen.
Where other programs want the cores, ``cpu_s``, seconds of the processor, is what to compare.
``time_to_bound_curves.csv``: the test −ELBO of seed 0 against ``cpu_s``. ``time_to_bound.json``: with what all was
made, and how validation judged.

Axes: N cells, G genes.
"""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn

from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.split import split_indices
from course_lib.experiments import data_sets, scvi_tools
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, log_library_moments, start_at_profile
from course_lib.training.fit import fit
from course_lib.training.stopping import TrainingDiverged

Program = Literal["course_lib", "scvi-tools"]
Row = dict[str, object]
PROGRAMS: tuple[Program, ...] = ("course_lib", "scvi-tools")
LIBRARIES = ("learned", "observed")
DATA: dict[str, Callable[[], Any]] = {
    "cortex": data_sets.cortex,
    "pbmc3k": data_sets.pbmc3k,
    "kang": data_sets.kang,
}
SPLIT, TEST_CELLS, DRAWS = (0.65, 0.10, 0.25), 500, 2
BATCH_SIZE = 128  # of both
EPOCHS, CHOOSING = 400, 40  # scvi-tools: min(400, 400 · 20,000 / N), which is 400 for each of these
DEFAULT_RATE, RATES = 1e-3, (1e-3, 3e-3, 1e-2)
CYCLE_RATE, PLANS = 2e-2, (10, 15, 20, 30, 45, 60)


@dataclass(frozen=True)
class Parts:
    """Cells to learn from, to choose by, and to be judged by."""

    training: Cells
    validation: Cells
    test: Cells

    @classmethod
    def of(cls, cells: Cells, seed: int) -> "Parts":
        training, validation, test = (cells[index] for index in split_indices(len(cells), SPLIT, seed))
        if len(training) % BATCH_SIZE == 1:  # scvi-tools stops at a last minibatch of one cell (its issue 2314)
            training = training[:-1]
        step = -(-len(test) // TEST_CELLS)  # the files are sorted by kind of cell: the first ones would be of one kind
        return cls(training, validation, test[::step])


class Passed(Exception):
    """The mark is passed: there is nothing more to learn from this run."""


@dataclass
class Watch:
    """A clock that stands still while the bound is looked at, and what was seen after each epoch."""

    mark: float = -math.inf
    rows: list[dict[str, float]] = field(default_factory=list)
    spent: tuple[float, float] = (0.0, 0.0)  # seconds: processor, wall
    since: tuple[float, float] | None = None  # when it was last set going

    def start(self) -> None:
        """Set it going, if it stands."""
        self.since = self.since or _now()

    def look(self, bound: Callable[[], float]) -> None:
        """Stop it, look, and note what was seen.

        Raises
        ------
        Passed : the bound is below the mark.
        """
        assert self.since is not None
        self.spent = (self.spent[0] + _now()[0] - self.since[0], self.spent[1] + _now()[1] - self.since[1])
        self.since = None
        seen = bound()
        seen = seen if math.isfinite(seen) else math.inf
        self.rows.append({"epoch": len(self.rows) + 1, "cpu_s": self.spent[0], "wall_s": self.spent[1], "bound": seen})
        if seen < self.mark:
            raise Passed

    @property
    def best(self) -> float:
        """The lowest bound seen."""
        return min(row["bound"] for row in self.rows)


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


@dataclass(frozen=True)
class Way:
    """How a program trains."""

    name: str
    lr: float = DEFAULT_RATE
    epochs: int = EPOCHS
    one_cycle: bool = False


class WatchedSCVI(nn.Module):
    """Ours under a watch: it runs while the model learns, and is looked at where the model is validated."""

    def __init__(self, model: SCVI, look: Callable[[], float], watch: Watch):
        super().__init__()
        self.model, self.bound, self.watch = model, look, watch

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """The model's loss."""
        if self.training:
            self.watch.start()
            return self.model.loss(cells, kl_weight)
        self.watch.look(self.bound)
        return {"loss": torch.tensor(self.watch.rows[-1]["bound"])}


def train_ours(parts: Parts, learn_library: bool, way: Way, seed: int, watch: Watch) -> Callable[[Cells], float]:
    """Train the course's model under a watch; returns how to ask it for the −ELBO of cells."""
    torch.manual_seed(seed)
    prior = log_library_moments(parts.training) if learn_library else None
    model = SCVI(parts.training.genes, library_prior=prior)
    if way.one_cycle:
        start_at_profile(model.decoder, parts.training)

    def bound(cells: Cells) -> float:
        with evaluating(model), seeded(0, cells.device):
            return float(torch.stack([model.elbo(cells).loss()["loss"] for _ in range(DRAWS)]).mean())

    with contextlib.suppress(Passed, TrainingDiverged):  # too large a rate is a verdict too: it never passes
        fit(
            WatchedSCVI(model, lambda: bound(parts.test), watch),
            parts.training,
            validation=parts.test[:1],  # its loss is asked once for each part: the watch wants to look once an epoch
            epochs=way.epochs, batch_size=BATCH_SIZE, lr=way.lr, one_cycle=way.one_cycle, eps=0.01, weight_decay=1e-6,
            seed=seed, progress=False,
        )  # fmt: skip
    return bound


def train_theirs(parts: Parts, learn_library: bool, way: Way, seed: int, watch: Watch) -> Callable[[Cells], float]:
    """Train scvi-tools' model under a watch; returns how to ask it for the −ELBO of cells."""
    from lightning.pytorch.callbacks import Callback

    model = scvi_tools.build(parts.training, seed, learn_library=learn_library)

    def bound(cells: Cells) -> float:
        return float(scvi_tools.bound(model, cells, DRAWS).loss()["loss"])

    class Look(Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            watch.start()

        def on_train_epoch_end(self, *_: Any) -> None:
            watch.look(lambda: bound(parts.test))

    with contextlib.suppress(Passed):
        scvi_tools.train(model, way.epochs, plan_kwargs={"lr": way.lr}, callbacks=[Look()])
    return bound


TRAIN = {"course_lib": train_ours, "scvi-tools": train_theirs}


def choose(parts: Parts, library: str, their_validation: float) -> tuple[dict[Program, float], int, list[Row]]:
    """Each program's learning rate and the length of one cycle, as validation prefers them; and its verdicts."""
    verdicts: list[Row] = []

    def judge(program: Program, way: Way) -> float:
        found = TRAIN[program](parts, library == "learned", way, 0, Watch())(parts.validation)
        found = found if math.isfinite(found) else math.inf
        verdicts.append({"library": library, "program": program, "way": way.name, "lr": way.lr, "epochs": way.epochs,
                         "validation": round(found, 2)})  # fmt: skip
        print(verdicts[-1], flush=True)
        return found

    rates: dict[Program, float] = {}
    for program in PROGRAMS:
        judged = {lr: judge(program, Way("preferred", lr, CHOOSING)) for lr in RATES}
        rates[program] = min(judged, key=judged.__getitem__)
    plan = PLANS[-1]
    for epochs in PLANS:
        if judge("course_lib", Way("one cycle", CYCLE_RATE, epochs, one_cycle=True)) < their_validation:
            plan = epochs
            break
    return rates, plan, verdicts


def run_data(cells: Cells, library: str, n_seeds: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of the table, of the curves, and what validation said, for one data set and one treatment of ℓ."""
    rows: list[Row] = []
    curves: list[Row] = []
    for seed in range(n_seeds):
        parts, default = Parts.of(cells, seed), Watch()
        ask = train_theirs(parts, library == "learned", Way("default"), seed, default)
        mark = default.rows[-1]["bound"]
        if seed == 0:
            rates, plan, verdicts = choose(parts, library, ask(parts.validation))
        runs: list[tuple[Program, Way]] = [(program, Way("preferred", rates[program])) for program in PROGRAMS]
        runs += [("course_lib", Way("default")), ("course_lib", Way("one cycle", CYCLE_RATE, plan, one_cycle=True))]
        watches: dict[tuple[Program, Way], Watch] = {("scvi-tools", Way("default")): default}
        for program, way in runs if seed % 2 == 0 else runs[::-1]:
            watches[program, way] = Watch(mark)
            TRAIN[program](parts, library == "learned", way, seed, watches[program, way])
        for (program, way), watch in watches.items():
            row: Row = {"library": library, "program": program, "way": way.name, "seed": seed, "lr": way.lr}
            rows.append(row | {"mark": round(mark, 2)} | first_below(watch.rows, mark) | {"best": round(watch.best, 2)})
            print(rows[-1], flush=True)
            if seed == 0:
                curves += [row | seen for seen in watch.rows]
    return rows, curves, verdicts


def first_below(seen: list[dict[str, float]], mark: float) -> Row:
    """Epochs and seconds until the bound was at or below the mark for the first time; nothing where it never was."""
    passed = next((row for row in seen if row["bound"] <= mark), None)
    if passed is None:
        return {"epochs": None, "cpu_s": None, "wall_s": None}
    return {"epochs": int(passed["epoch"]), "cpu_s": round(passed["cpu_s"], 2), "wall_s": round(passed["wall_s"], 2)}


def run(n_seeds: int, folder: Path, data: Sequence[str] = tuple(DATA)) -> Path:
    """Write the tables and their provenance after every data set; returns the path of the first."""
    rows: list[pd.DataFrame] = []
    curves: list[pd.DataFrame] = []
    verdicts: list[Row] = []
    for name in data:
        cells = cells_from_counts(DATA[name]())
        for library in LIBRARIES:
            found, seen, said = run_data(cells, library, n_seeds)
            rows.append(pd.DataFrame(found).assign(data=name))
            curves.append(pd.DataFrame(seen).assign(data=name))
            verdicts += [{"data": name} | verdict for verdict in said]
            table = pd.concat(rows)
            table.insert(0, "data", table.pop("data"))
            path = save(table, folder, "time_to_bound", provenance(n_seeds, verdicts), float_format=None)
            save(pd.concat(curves), folder, "time_to_bound_curves")
    return path


def provenance(n_seeds: int, verdicts: list[Row]) -> dict[str, object]:
    """With what the tables were made, and how validation judged."""
    return made_with("time_to_bound", "torch", "numpy", "scvi-tools") | {
        "seeds": list(range(n_seeds)),
        "settings": {
            "split": list(SPLIT), "test_cells": TEST_CELLS, "draws": DRAWS, "epochs_at_most": EPOCHS,
            "choosing_epochs": CHOOSING, "rates": list(RATES), "cycle_rate": CYCLE_RATE, "plans": list(PLANS),
            "adam": {"eps": 0.01, "weight_decay": 1e-6}, "batch_size": BATCH_SIZE,
        },
        "validation": verdicts,
    }  # fmt: skip


def main() -> None:
    """The command line."""
    command_line("Time to the bound, beside scvi-tools; writes time_to_bound.csv.", run, seeds=3, data=list(DATA))


if __name__ == "__main__":
    main()
