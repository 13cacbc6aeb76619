"""How fast does a small model train with OpenMP's defaults, with patient waiting, and with one thread?

    python -m course_lib.experiments.threads [--repeats 5] [--seconds 10] [--to data/results]

Each setting is measured in a process of its own, since OpenMP reads its variables once, on a quiet machine and with one
core kept busy, in turn, so that a change of the machine meets all of them alike. Close everything else first. The
table is ``threads.csv``, cells per second for each repeat; ``threads.json`` says with what it was made.

The process that is measured runs this file by its path: importing ``course_lib`` would set the thread policy.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

SETTINGS: dict[str, dict[str, str]] = {
    "library default": {},
    "patient waiting": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
LOADS = {"quiet": 0, "one core busy": 1}  # how many processes spin beside the measured one
N_CELLS, N_GENES, N_HIDDEN, N_LATENT, BATCH_SIZE, SEED = 2_048, 2_000, 128, 10, 128, 0
WARM_UP = 10  # minibatches before the clock starts
COLUMNS = ("setting", "load", "repeat", "threads", "cells_per_second")


def train_for(seconds: float) -> dict[str, float]:
    """Train 2,000 → 128 → 10 → 128 → 2,000 on noise for this long: cells per second, and the threads it ran on."""
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    x = torch.randn(N_CELLS, N_GENES)
    model = nn.Sequential(
        nn.Linear(N_GENES, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, N_LATENT),
        nn.Linear(N_LATENT, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, N_GENES),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        minibatch = x[torch.randint(N_CELLS, (BATCH_SIZE,))]
        loss = nn.functional.mse_loss(model(minibatch), minibatch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(WARM_UP):
        step()
    steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        step()
        steps += 1
    return {"threads": torch.get_num_threads(), "cells_per_second": round(steps * BATCH_SIZE / elapsed, 1)}


def measure(setting: str, load: str, seconds: float) -> dict[str, float]:
    """Run `train_for` in a new process under a setting, beside as many spinning processes as the load says."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_", "MKL_"))
    }
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(LOADS[load])]
    try:
        # -P: the folder of this file holds modules of other names, which must not stand before the library's
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--measured", "--seconds", str(seconds)]
        done = subprocess.run(command, env=clean | SETTINGS[setting], capture_output=True, text=True, check=True)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    result: dict[str, float] = json.loads(done.stdout)
    return result


def run(repeats: int, seconds: float, folder: Path) -> Path:
    """Measure every setting under every load, ``repeats`` times, and write the table; returns its path."""
    import pandas as pd

    from course_lib.experiments.record import save

    rows = []
    for repeat in range(repeats):
        for load in LOADS:
            for setting in SETTINGS:
                row = {"setting": setting, "load": load, "repeat": repeat, **measure(setting, load, seconds)}
                print(
                    f"{repeat + 1}/{repeats}  {load:14} {setting:16} {row['cells_per_second']:9,.0f} cells/s",
                    flush=True,
                )
                rows.append(row)
        table = pd.DataFrame(rows, columns=COLUMNS)
        path = save(table, folder, "threads", provenance(repeat + 1, seconds), float_format=None)
    return path


def provenance(repeats: int, seconds: float) -> dict[str, object]:
    """With what the table was made."""
    import torch

    return {
        "script": "course_lib.experiments.threads",
        "made": time.strftime("%Y-%m-%d"),
        "settings": SETTINGS,
        "repeats": repeats,
        "seconds": seconds,
        "seed": SEED,
        "model": [N_GENES, N_HIDDEN, N_LATENT, N_HIDDEN, N_GENES],
        "batch_size": BATCH_SIZE,
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "system": f"{platform.system()} {platform.machine()}",
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.experiments.threads", description="see the module")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--to", type=Path, default=Path(__file__).resolve().parents[2] / "data" / "results")
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measured:
        print(json.dumps(train_for(options.seconds)))
    else:
        print(f"wrote {run(options.repeats, options.seconds, options.to)}")


if __name__ == "__main__":
    main()
