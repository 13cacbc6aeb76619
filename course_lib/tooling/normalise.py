"""Bring a notebook into the one form in which it is committed, so that a difference shows content and nothing else.

    python -m course_lib.tooling.normalise [--check] [notebook …]

What stays: cells, their ids, tags and talk, execution counts, outputs. What goes: kernel versions, execution
times, widget state, editor state, this machine's paths.
"""

import argparse
import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course_lib.console import say
from course_lib.tooling.files import ROOT, each, read, run_command

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_METADATA = ("tags", "talk")
OUTPUT_METADATA = ("image/png", "source_of", "doc")


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A normalised copy. Normalising it again changes nothing."""
    nb = copy.deepcopy(notebook)
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    seen: set[str] = set()
    for index, cell in enumerate(nb.cells):
        if cell.get("id", "") in seen | {""}:
            cell.id = f"cell-{index:02d}"
        seen.add(cell.id)
        cell.source = "\n".join(line.rstrip() for line in cell.source.strip("\n").split("\n"))
        cell.metadata = nbformat.from_dict({k: cell.metadata[k] for k in CELL_METADATA if cell.metadata.get(k)})
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            kept = [output for output in _join_streams(cell.outputs) if not _is_widget_alone(output)]
            cell.outputs = [_normalise_output(output, cell) for output in kept]
    return nb


def _join_streams(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream become one; a line overwritten with a carriage return keeps its last text."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text.replace("\r\n", "\n"))
    return [output for output in joined if output.output_type != "stream" or output.text]


def _is_widget_alone(output: NotebookNode) -> bool:
    """Sliders say nothing without a kernel: the figure that they move is an output of its own."""
    data = output.get("data", {})
    alive = {mime for mime in data if mime.startswith("application/vnd.jupyter.widget")}
    return bool(alive) and not any(content for mime, content in data.items() if mime not in alive)


def _normalise_output(output: NotebookNode, cell: NotebookNode) -> NotebookNode:
    output.pop("transient", None)
    if "text" in output:
        output.text = _without_root(output.text)
    if "data" in output:
        output.data = nbformat.from_dict(
            {
                mime: _without_root(content.rstrip("\n") if mime.startswith("image/") else content)
                for mime, content in sorted(output.data.items())
                if not mime.startswith("application/vnd.jupyter.widget")
            }
        )
    if "metadata" in output:
        output.metadata = nbformat.from_dict({k: output.metadata[k] for k in OUTPUT_METADATA if k in output.metadata})
    if output.output_type == "execute_result":
        output.execution_count = cell.execution_count
    return output


def _without_root(content: Any) -> Any:
    return content.replace(f"{ROOT}/", "").replace(str(ROOT), ".") if isinstance(content, str) else content


def to_text(notebook: NotebookNode) -> str:
    """The bytes that are committed."""
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def differences(path: Path) -> list[str]:
    """What normalising the file would change, one line each; empty if it is normalised."""
    nb = read(path)
    written, target = path.read_text(encoding="utf-8"), normalise(nb)
    found = []
    if nb.metadata != target.metadata:
        found.append(f"notebook metadata: found {json.dumps(nb.metadata)}")
    for index, (old, new) in enumerate(zip(nb.cells, target.cells, strict=True)):
        found += [f"cell {index}: {key} is not normalised" for key in old if old[key] != new.get(key)]
    if not found and written != to_text(target):
        found.append("file is not laid out as nbformat writes it")
    return found


def write(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook normalised, all or nothing."""
    target = normalise(notebook)
    nbformat.validate(target)
    partial = path.with_name(path.name + ".part")
    partial.write_text(to_text(target), encoding="utf-8", newline="\n")
    partial.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if ``--check`` finds a notebook that is not normalised."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.normalise", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="names or paths; all of the course without")
    parser.add_argument("--check", action="store_true", help="change nothing, name what would change")
    options = parser.parse_args(arguments)

    def work(path: Path) -> bool:
        changes = differences(path)
        if changes and not options.check:
            write(read(path), path)
            say(f"{path.name}: normalised")
        for change in changes if options.check else []:
            say(f"{path.name}: {change}; run make notebooks")
        return not (changes and options.check)

    return run_command(parser, options.notebooks, lambda paths: each(paths, work))


if __name__ == "__main__":
    raise SystemExit(main())
