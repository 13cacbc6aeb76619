"""What every experiment leaves behind: with what its table was made, and one command line to make it again."""

import argparse
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

RESULTS = Path(__file__).resolve().parents[2] / "data" / "results"


def made_with(script: str, *packages: str) -> dict[str, object]:
    """The script's name, the day, threads, system, and the versions of Python and of the packages named."""
    return {
        "script": f"course_lib.experiments.{script}",
        "made": time.strftime("%Y-%m-%d"),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "system": f"{platform.system()} {platform.machine()}",
    }


def command_line(description: str, run: Callable[[int, Path], Path], seeds: int) -> None:
    """``--seeds K --to FOLDER``: run seeds 0 to K − 1 and print where the table went."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds, help=f"how many seeds, from 0 (default {seeds})")
    parser.add_argument("--to", type=Path, default=RESULTS, help="the folder of the table and its provenance")
    arguments = parser.parse_args()
    print(run(arguments.seeds, arguments.to))
