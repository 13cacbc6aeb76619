"""Out of one process: scVI by DDP on two, each with cells of its own from one file; bound, seconds and faults.

    python -m course_lib.experiments.distributed [--seeds 3] [--to data/results]     bounds and faults
    python -m course_lib.experiments.distributed --time                              seconds, on a machine that rests
    python -m course_lib.experiments.distributed --devices 2 --batch-size 64         one run; prints what it found
                                                                                     all need the extra `pyro`

18,000 of 20,000 simulated cells × 2,000 genes (``million.write_cells``: sorted by batch and type, the hardest order to
share out) stay in their file. One process takes minibatches of 128; two take 64 each, from shards of their own, and
average their gradients: the same number of steps, and of cells a step, so the same learning rate. Lightning's DDP does
it, over gloo. Recipe: that of ``cortex``, nothing chosen here.

``distributed.csv``: for each seed, number of processes and ``batch_norm``, −ELBO of the 2,000 cells held out, nats a
cell, mean of ``DRAWS`` draws. ``own``: each process standardises by its own minibatch; ``none``: nobody standardises.
Synchronised BatchNorm is PyTorch's for GPUs alone; on CPUs it is refused. ``shards``: ``dealt`` out in random
blocks, as the course does, or the two ``halves`` of the sorted file, each with batches and types that the other lacks.
``distributed_faults.csv``: two processes, one or both killed (SIGKILL) in the middle of an epoch, and the same command
once more, which goes on from Lightning's last checkpoint; ``difference``: the largest between its weights and those of
a run that was never disturbed.
``distributed_time.csv``: of one process with one thread or two, and of two processes, seconds of the wall clock for
training (after the first epoch, which also warms up), cells per second, and ``cpu_s``, the processors' seconds of all
processes for everything, imports included.

On several machines each starts one command, and Lightning finds out from its surroundings who is who:

    torchrun --nnodes 2 --nproc-per-node 8 --node-rank RANK --master-addr HOST --master-port 29500
        -m course_lib.experiments.distributed --devices 8 --nodes 2 --cells FILE --checkpoints FOLDER
    srun --nodes 2 --ntasks-per-node 8 python
        -m course_lib.experiments.distributed --devices 8 --nodes 2 --cells FILE --checkpoints FOLDER
    … --accelerator gpu

Tested: torchrun, as two "machines" of one process each that were the same one; one GPU. Untested: several machines,
SLURM, several GPUs (one process for each, gradients over NCCL, BatchNorm synchronised).

Axes: N cells, G genes.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import CellTable
from course_lib.data.files import cells_from_file
from course_lib.data.split import split_indices
from course_lib.experiments.cortex import EPS, LR, WEIGHT_DECAY
from course_lib.experiments.million import N_BATCHES, N_GENES, N_TYPES, write_cells
from course_lib.experiments.record import RESULTS, made_with, save
from course_lib.models.scvi import SCVI, Side, log_library_moments

N_CELLS, HELD_OUT, DRAWS = 20_000, 0.1, 5
BATCH_SIZE, EPOCHS = 128, 6  # of all processes together
BATCH_NORM: dict[str, Side] = {"own": "encoder", "none": "none"}
RUNS = [(1, "own", "dealt"), (2, "own", "dealt"), (1, "none", "dealt"), (2, "none", "dealt"), (2, "own", "halves")]
COLUMNS = ["seed", "processes", "batch_size", "batch_norm", "shards", "steps", "elbo", "cpu_s"]
FAULT_CELLS, FAULT_EPOCHS = 2_000, 4
FAULTS = {"one of two": (1,), "both": (0, 1)}
TIMED = [(1, 1, 128), (1, 2, 128), (2, 1, 128), (2, 1, 256), (1, 1, 512), (2, 1, 512)]  # processes, threads, cells
TIMED_EPOCHS, REPEATS = 3, 2


def train(options: argparse.Namespace) -> dict[str, Any] | None:
    """One run, in this process and those that Lightning starts; the first returns what it found, the others None."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    from course_lib.programs.lightning_scvi import LightningSCVI
    from course_lib.programs.recipe import trainer

    cells = cells_from_file(options.cells, batch_key="batch")
    learn, held_out = (cells.subset(part) for part in split_indices(len(cells), (1 - HELD_OUT, HELD_OUT), options.seed))
    torch.manual_seed(options.seed)  # the same weights in every process; for ℓ's prior each reads all cells, once
    scvi = SCVI(
        cells.genes, cells.batches, library_prior=log_library_moments(learn), batch_norm=BATCH_NORM[options.batch_norm]
    )
    module = LightningSCVI(scvi, lr=LR, one_cycle=True, eps=EPS, weight_decay=WEIGHT_DECAY, seed=options.seed)
    clock = stopwatch()
    callbacks = [clock]
    if options.checkpoints is not None:
        callbacks.append(ModelCheckpoint(options.checkpoints, save_last=True, save_on_train_epoch_end=True))
    if options.kill:
        callbacks.append(death(options.kill, options.kill_at))
    processes = {"devices": options.devices, "num_nodes": options.nodes, "strategy": strategy(options)}
    if options.accelerator == "gpu":
        processes |= {"accelerator": "gpu", "sync_batchnorm": True}
    runner = trainer(options.epochs, callbacks=callbacks, **processes)
    data = cells_data(options.shards)(learn, batch_size=options.batch_size, seed=options.seed)
    runner.fit(module, data, ckpt_path=resume(options))
    if not runner.is_global_zero:
        return None
    if options.weights is not None:
        torch.save(scvi.state_dict(), options.weights)
    return {
        "processes": runner.world_size,
        "batch_size": options.batch_size,
        "steps": runner.global_step,
        "steps_here": clock.steps,
        "elbo": bound(scvi, held_out),
        "seconds": clock.seconds,
        "cpu_s": clock.cpu_s,
        "cells_per_second": clock.steps_timed * options.batch_size * runner.world_size / clock.seconds,
    }


def strategy(options: argparse.Namespace) -> Any:
    """Lightning's: DDP, over gloo, which needs no GPU; between GPUs over what Lightning takes there, NCCL."""
    from lightning.pytorch.strategies import DDPStrategy

    if options.devices * options.nodes == 1:
        return "auto"
    return DDPStrategy(process_group_backend="gloo" if options.accelerator == "cpu" else None)


def resume(options: argparse.Namespace) -> str | None:
    """The last checkpoint, if there is one."""
    last = None if options.checkpoints is None else options.checkpoints / "last.ckpt"
    return str(last) if last is not None and last.exists() else None


def bound(scvi: SCVI, cells: CellTable) -> float:
    """−ELBO, nats per cell, mean over cells and ``DRAWS`` draws of each."""
    total = 0.0
    with evaluating(scvi), seeded(0, cells.device):
        for part in cells.parts(1_000):
            total += sum(float(scvi.loss(part)["loss"]) for _ in range(DRAWS)) / DRAWS * len(part)
    return total / len(cells)


def cells_data(shards: str) -> Any:
    """The course's ``CellsData``, or one that cuts the file where it stands."""
    from course_lib.programs.cells_data import CellsData

    class Halves(CellsData):
        def positions(self, n_cells: int, rank: int, n_ranks: int) -> torch.Tensor:
            return torch.arange(n_cells).tensor_split(n_ranks)[rank]

    return {"dealt": CellsData, "halves": Halves}[shards]


def stopwatch() -> Any:
    """A callback: ``seconds`` of the clock for the epochs after the first, ``steps`` that this process took, and
    ``cpu_s`` of all processes since they began."""
    from lightning.pytorch.callbacks import Callback

    class Stopwatch(Callback):
        steps = steps_timed = 0
        seconds = cpu_s = float("nan")
        started = 0.0

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            if trainer.current_epoch == min(1, trainer.max_epochs - 1):
                self.started, self.steps_timed = time.perf_counter(), 0

        def on_train_batch_end(self, *_: Any) -> None:
            self.steps += 1
            self.steps_timed += 1

        def on_train_end(self, trainer: Any, module: Any) -> None:
            self.seconds = time.perf_counter() - self.started
            self.cpu_s = float(trainer.strategy.reduce(torch.tensor(time.process_time()), reduce_op="sum"))

    return Stopwatch()


def death(ranks: tuple[int, ...], step: int) -> Any:
    """A callback: these processes end at that step as if the power failed, SIGKILL, which nothing can catch."""
    from lightning.pytorch.callbacks import Callback

    class Death(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == step and trainer.global_rank in ranks:
                os.kill(os.getpid(), signal.SIGKILL)

    return Death()


def write_once(path: Path, n_cells: int) -> Path:
    """Simulated cells in a file, made if it is not there."""
    if not path.exists():
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        write_cells(part, n_cells)
        part.replace(path)
    return path


def in_new_process(threads: int = 1, **options: Any) -> dict[str, Any]:
    """One run by the command line: what it found, and ``exit``, alone where the run was killed."""
    words = [sys.executable, "-m", "course_lib.experiments.distributed"]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else (value,))]
    done = subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, capture_output=True, text=True)
    if done.returncode != 0 and "kill" not in options:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2_000:]}")
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {"exit": done.returncode, **(found[-1] if found else {})}


def run_seed(path: Path, seed: int, *, epochs: int = EPOCHS, batch_size: int = BATCH_SIZE) -> pd.DataFrame:
    """One row for each of ``RUNS``: one process and two, with BatchNorm and without."""
    rows = []
    for devices, batch_norm, shards in RUNS:
        settings: dict[str, Any] = {"seed": seed, "batch_norm": batch_norm, "shards": shards}
        rows.append(
            settings
            | in_new_process(cells=path, devices=devices, batch_size=batch_size // devices, epochs=epochs, **settings)
        )
    return pd.DataFrame(rows)[COLUMNS]


def faults(path: Path, work: Path, *, epochs: int = FAULT_EPOCHS, batch_size: int = BATCH_SIZE) -> pd.DataFrame:
    """Two processes, undisturbed; and killed in the middle of the third epoch, and taken up again."""
    settings: dict[str, Any] = {"cells": path, "devices": 2, "batch_size": batch_size // 2, "epochs": epochs, "seed": 0}
    undisturbed = in_new_process(**settings, weights=work / "undisturbed.pt")
    expected = torch.load(work / "undisturbed.pt")
    an_epoch = undisturbed["steps"] // epochs
    rows = []
    for number, (killed, ranks) in enumerate(FAULTS.items()):
        kept = settings | {"checkpoints": work / f"checkpoints_{number}"}
        at = 2 * an_epoch + an_epoch // 2
        broken = in_new_process(**kept, kill=ranks, kill_at=at)
        resumed = in_new_process(**kept, weights=work / f"resumed_{number}.pt")
        weights = torch.load(work / f"resumed_{number}.pt")
        rows.append(
            {
                "killed": killed,
                "killed_at_step": at,
                "exit": broken["exit"],
                "resumed_from_step": resumed["steps"] - resumed["steps_here"],
                "steps": resumed["steps"],
                "elbo": resumed["elbo"],
                "elbo_undisturbed": undisturbed["elbo"],
                "difference": max(float((weights[name] - expected[name]).abs().max()) for name in expected),
            }
        )
    return pd.DataFrame(rows)


def timing(path: Path, *, epochs: int = TIMED_EPOCHS, repeats: int = REPEATS) -> pd.DataFrame:
    """Processes and threads on the cores of one machine, each minibatch size (of all processes) for itself."""
    rows = []
    for repeat in range(repeats):
        for devices, threads, batch_size in TIMED:
            found = in_new_process(
                threads, cells=path, devices=devices, batch_size=batch_size // devices, epochs=epochs, seed=0
            )
            rows.append({"repeat": repeat, "threads": threads, **found, "total_batch": batch_size})
            print(json.dumps(rows[-1]), flush=True)
    columns = ["repeat", "processes", "threads", "total_batch", "seconds", "cells_per_second", "cpu_s"]
    return pd.DataFrame(rows)[columns]


def run(n_seeds: int, folder: Path, work: Path) -> Path:
    """Write bounds and faults with their provenance; returns the path of the bounds."""
    small = write_once(work / f"cells_{FAULT_CELLS}.h5ad", FAULT_CELLS)
    save(faults(small, work), folder, "distributed_faults", float_format="%.7g")
    path, tables = write_once(work / f"cells_{N_CELLS}.h5ad", N_CELLS), []
    for seed in range(n_seeds):
        tables.append(run_seed(path, seed))
        print(tables[-1].to_string(index=False), flush=True)
        table = save(pd.concat(tables), folder, "distributed", provenance(seed + 1), float_format="%.7g")
    return table


def run_timing(folder: Path, work: Path) -> Path:
    """Write the seconds and with what they were measured; returns the path."""
    path = write_once(work / f"cells_{N_CELLS}.h5ad", N_CELLS)
    measured = made_with("distributed", "torch", "lightning") | {
        "cores": os.cpu_count(), "n_cells": N_CELLS, "n_genes": N_GENES, "epochs": TIMED_EPOCHS, "repeats": REPEATS,
    }  # fmt: skip
    return save(timing(path), folder, "distributed_time", measured)


def provenance(n_seeds: int) -> dict[str, object]:
    """With what bounds and faults were made."""
    return made_with("distributed", "torch", "lightning", "numpy", "anndata") | {
        "n_cells": N_CELLS,
        "held_out": HELD_OUT,
        "n_genes": N_GENES,
        "n_types": N_TYPES,
        "n_batches": N_BATCHES,
        "batch_size_of_all": BATCH_SIZE,
        "epochs": EPOCHS,
        "recipe": {"lr": LR, "one_cycle": True, "eps": EPS, "weight_decay": WEIGHT_DECAY},
        "draws": DRAWS,
        "threads_per_process": 1,
        "seeds": list(range(n_seeds)),
        "faults": {"n_cells": FAULT_CELLS, "epochs": FAULT_EPOCHS, "seed": 0},
        "chosen_on": "nothing here: the recipe is that of cortex.json",
    }


def parser() -> argparse.ArgumentParser:
    """The options of all three commands."""
    options = argparse.ArgumentParser(description="scVI by DDP on two processes; writes distributed*.csv and .json.")
    options.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 (default 3)")
    options.add_argument("--time", action="store_true", help="measure seconds alone: distributed_time.csv")
    options.add_argument("--to", type=Path, default=RESULTS, help="the folder of the tables and their provenance")
    options.add_argument("--work", type=Path, help="keep the files of counts here; else they are made and removed")
    one = options.add_argument_group("one run, whose result is printed")
    one.add_argument("--devices", type=int, help="processes on this machine")
    one.add_argument("--nodes", type=int, default=1, help="machines; each starts this command (torchrun, srun)")
    one.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu", help="what each process computes on")
    one.add_argument("--cells", type=Path, help="counts, .h5ad with obs['batch']; else simulated")
    one.add_argument("--batch-size", type=int, default=BATCH_SIZE // 2, help="cells a step, in each process")
    one.add_argument("--epochs", type=int, default=EPOCHS)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--batch-norm", choices=BATCH_NORM, default="own")
    one.add_argument("--shards", choices=("dealt", "halves"), default="dealt")
    one.add_argument("--checkpoints", type=Path, help="save here after every epoch, and go on from here")
    one.add_argument("--weights", type=Path, help="save the trained weights to this file")
    one.add_argument("--kill", type=int, nargs="+", metavar="RANK", help="these processes kill themselves …")
    one.add_argument("--kill-at", type=int, default=1, metavar="STEP", help="… at this step")
    return options


def main() -> None:
    """The command line."""
    options = parser().parse_args()
    if options.devices is not None:
        if options.cells is None:
            options.cells = write_once(Path(tempfile.gettempdir()) / f"distributed_cells_{N_CELLS}.h5ad", N_CELLS)
        found = train(options)
        if found is not None:
            print(json.dumps(found), flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="distributed-cells-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        print(run_timing(options.to, work) if options.time else run(options.seeds, options.to, work))


if __name__ == "__main__":
    main()
