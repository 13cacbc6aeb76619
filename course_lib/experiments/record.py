"""What every experiment leaves behind: a table, with what it was made, and one command line to make it again."""

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
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


def save(
    table: pd.DataFrame,
    folder: Path,
    name: str,
    provenance: Mapping[str, object] | None = None,
    *,
    float_format: str | None = "%.5g",
) -> Path:
    """Write ``name.csv``, and ``name.json`` beside it where a provenance is given; returns the table's path.

    Call it after every seed, with the table so far: a file is replaced whole, so that a run which breaks off leaves
    what was finished. ``float_format=None`` writes every digit. The folder is made if it is not there.
    """
    path = folder / f"{name}.csv"
    texts = {path: table.to_csv(index=False, float_format=float_format, lineterminator="\n")}
    if provenance is not None:
        texts[path.with_suffix(".json")] = json.dumps(provenance, indent=2, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for whole, text in texts.items():
        part = whole.with_name(whole.name + ".part")
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(whole)
    return path


def command_line(
    description: str,
    run: Callable[..., Path],
    *,
    seeds: int | None = None,
    repeats: int | None = None,
    data: Sequence[str] = (),
) -> None:
    """Run an experiment as the command line says, and print where its table went.

    Only what is given here becomes an option; its value here is the default, and ``run`` gets what was chosen by name:
    ``--seeds K`` as ``n_seeds`` (seeds 0 to K − 1), ``--repeats K`` as ``repeats``, ``--data NAME …`` as ``data`` (a
    list of some of the names), and always ``--to FOLDER`` as ``folder``.
    """
    parser = argparse.ArgumentParser(description=description)
    if seeds is not None:
        help_text = f"how many seeds, from 0 (default {seeds})"
        parser.add_argument("--seeds", dest="n_seeds", metavar="K", type=_at_least_one, default=seeds, help=help_text)
    if repeats is not None:
        help_text = f"how often each is measured (default {repeats})"
        parser.add_argument("--repeats", metavar="K", type=_at_least_one, default=repeats, help=help_text)
    if data:
        parser.add_argument("--data", nargs="+", default=list(data), choices=list(data), help="some of these")
    folder_help = "the folder of the table and its provenance"
    parser.add_argument("--to", dest="folder", metavar="FOLDER", type=Path, default=RESULTS, help=folder_help)
    print(run(**vars(parser.parse_args())))


def _at_least_one(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)
