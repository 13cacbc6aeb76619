"""Execute notebooks from a clean kernel, in the environment of this command, without a network.

    python -m course_lib.tooling.execute --in-place [03 …]   execute, normalise, ready to commit (make notebooks)
    python -m course_lib.tooling.execute --course            executed copies, figures, pages under build/ (make course)

Budget: a notebook stays within 90 s on two cores, 180 s at the very most, and no cell takes over 60 s.
"""

import argparse
import dataclasses
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from course_lib.console import say
from course_lib.tooling import document, normalise, render
from course_lib.tooling.files import NOTEBOOKS, ROOT, alone_in, each, name_of, read, run_command

BUILD = ROOT / "build"
CELL_BUDGET, NOTEBOOK_TARGET, NOTEBOOK_BUDGET = 60, 90, 180  # seconds
CELL_TIMEOUT = 900  # seconds: a slow machine is no error, a hang is

# Run in the kernel before the first cell, silently: a notebook that reaches for the network fails on every machine
# alike. Loopback stays open, the kernel itself talks over it.
NO_NETWORK = """
def _():
    import socket
    connect, lookup = socket.socket.connect, socket.getaddrinfo
    loopback = {"localhost", "127.0.0.1", "::1", "", None}

    def guarded_connect(self, address):
        if isinstance(address, tuple) and address[0] not in loopback:
            raise OSError(f"the course's notebooks run without a network; this one reached for {address[0]}")
        return connect(self, address)

    def guarded_lookup(host, *arguments, **options):
        if host not in loopback:
            raise OSError(f"the course's notebooks run without a network; this one looked up {host}")
        return lookup(host, *arguments, **options)

    socket.socket.connect, socket.getaddrinfo = guarded_connect, guarded_lookup
_(); del _
"""


class ThisPython(KernelSpecManager):
    """Every kernel name means the Python that runs this command, whatever kernels the machine has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The one kernel there is."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python", name=kernel_name)


@dataclasses.dataclass(frozen=True)
class Run:
    """One execution: the notebook as far as it came, seconds per code cell, and what went wrong, if anything did."""

    notebook: NotebookNode
    seconds: dict[int, float]  # cell index → seconds
    total: float  # seconds, the kernel's start included
    failure: str | None
    memory: float | None = None  # GiB, the kernel's peak; on Linux, of a kernel that lived to the end


def execute(notebook: NotebookNode, *, folder: Path = NOTEBOOKS, timeout: int = CELL_TIMEOUT) -> Run:
    """Execute a copy of the notebook from a clean kernel that starts in ``folder``.

    Parameters
    ----------
    folder : working directory of the kernel.   timeout : seconds after which a cell counts as hanging.

    Returns
    -------
    Run : with ``failure`` None, or a message that names the cell, its first line and the error.

    Raises
    ------
    ValueError : ``timeout`` is below a second.
    """
    if timeout < 1:
        raise ValueError(f"timeout: expected at least 1 second, found {timeout}; leave it out for {CELL_TIMEOUT}.")
    nb = nbformat.from_dict(normalise.normalise(notebook))
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())
    client = NotebookClient(
        nb,
        km=manager,
        timeout=timeout,
        record_timing=False,
        store_widget_state=False,
        allow_errors=False,
        resources={"metadata": {"path": str(folder)}},
    )
    seconds: dict[int, float] = {}
    began, index, failure, memory = time.perf_counter(), 0, None, None
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        # This checkout's course_lib and no other; the kernel ends with its notebook, although we made its manager.
        with client.setup_kernel(env=os.environ | {"PYTHONPATH": search}, cleanup_kc=True):
            assert client.kc is not None
            client.kc.execute(NO_NETWORK, silent=True, store_history=False)
            try:
                for index, cell in enumerate(nb.cells):
                    start = time.perf_counter()
                    client.execute_cell(cell, index)
                    if cell.cell_type == "code":
                        seconds[index] = time.perf_counter() - start
            except KeyboardInterrupt:
                client.shutdown_kernel = "immediate"  # asked politely, a busy kernel ends with a traceback of its own
                raise
            finally:
                memory = _peak(getattr(manager.provisioner, "pid", None))
    except CellTimeoutError:
        failure = _describe(nb, index, f"no end after {timeout} s")
    except CellExecutionError as error:
        failure = _describe(nb, index, f"{error.ename}: {error.evalue}")
    except DeadKernelError:
        failure = _describe(nb, index, "the kernel died; out of memory is the usual reason")
    return Run(nb, seconds, time.perf_counter() - began, failure, memory)


def _describe(nb: NotebookNode, index: int, error: str) -> str:
    cell = nb.cells[index]
    code_number = sum(c.cell_type == "code" for c in nb.cells[: index + 1])
    place = next((line.strip() for line in _traceback_lines(cell) if re.match(r"\s*-+>", line)), None)
    line = re.sub(r"^-+>\s*\d+\s*", "", place) if place else cell.source.split("\n")[0]
    return f"cell {index + 1} of {len(nb.cells)} (code cell {code_number}), at: {line}\n    {error}"


def _traceback_lines(cell: NotebookNode) -> list[str]:
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback)).split("\n")
    return []


def in_place(paths: Sequence[Path], *, times: int = 0, timeout: int = CELL_TIMEOUT) -> list[Path]:
    """Execute and normalise files where they are; a file whose notebook fails is left as it was.

    Returns
    -------
    The notebooks that failed.
    """

    def work(path: Path) -> bool:
        run = _report(path, times, timeout)
        if run.failure is None:
            normalise.write(run.notebook, path)
        return run.failure is None

    with ExitStack() as locks:
        for folder in sorted({path.resolve().parent for path in paths}):
            locks.enter_context(alone_in(folder))
        return each(paths, work)


def course(paths: Sequence[Path], build: Path = BUILD, *, times: int = 0, timeout: int = CELL_TIMEOUT) -> list[Path]:
    """Run the whole course: executed copies, figures, pages and slides under ``build``; the notebooks stay untouched.

    Returns
    -------
    The notebooks that failed; a failure does not stop the rest.
    """

    peaks: list[float] = []

    def work(path: Path) -> bool:
        run, name = _report(path, times, timeout), name_of(path)
        peaks.extend([run.memory] if run.memory else [])
        copy = build / "notebooks" / f"{name}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        nb = normalise.normalise(run.notebook)
        normalise.write(nb, copy)
        render.export_figures(nb, build / "figures" / name)
        render.write_page(nb, name, build / "pages")
        render.write_slides(nb, name, build / "slides")
        return run.failure is None

    start = time.perf_counter()
    with alone_in(build):
        failed = each(paths, work)
    passed, spent = len(paths) - len(failed), time.perf_counter() - start
    largest = f", largest kernel {max(peaks):.1f} GiB" if peaks else ""
    say(f"{passed} of {len(paths)} notebooks passed in {spent:.0f} s{largest}")
    say(f"executed copies, figures, pages and slides: {build}")
    if failed:
        names = [name_of(path) for path in failed]
        say(f"failed: {', '.join(names)}; run one alone: python -m course_lib.tooling.execute --course {names[0]}")
    return failed


def _report(path: Path, times: int, timeout: int) -> Run:
    """Execute one notebook in its own folder, as JupyterLab and nbval do, a line about it as it goes."""
    notebook = read(path)
    say(f"{name_of(path)} … ", end="", flush=True)
    run = execute(notebook, folder=path.resolve().parent, timeout=timeout)
    figures = len(document.figures(run.notebook.cells))
    verdict = "FAILED after" if run.failure else ""
    memory = f", {run.memory:.1f} GiB" if run.memory else ""
    say(f"{verdict} {run.total:.0f} s, {len(run.seconds)} code cells, {figures} figures{memory}".strip(), flush=True)
    if run.failure:
        say(f"  {path.name}, {run.failure}", flush=True)
    if run.total > NOTEBOOK_TARGET:
        most = "over the limit" if run.total > NOTEBOOK_BUDGET else "within the limit"
        say(f"  over the target of {NOTEBOOK_TARGET} s, {most} of {NOTEBOOK_BUDGET} s", flush=True)
    slowest = sorted(run.seconds.items(), key=lambda item: -item[1])
    for index, spent in slowest:
        if spent > CELL_BUDGET or (index, spent) in slowest[:times]:
            note = f"  over {CELL_BUDGET} s" if spent > CELL_BUDGET else ""
            first = run.notebook.cells[index].source.split("\n")[0]
            say(f"  {spent:6.1f} s  cell {index + 1}: {first[:80]}{note}", flush=True)
    return run


def _peak(process: int | None) -> float | None:
    """Peak memory of a running process in GiB, as Linux keeps it; None elsewhere, and where the process has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    kilobytes = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes[1]) / 1024**2 if kilobytes else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if a notebook failed."""
    description = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.execute", description=description)
    parser.add_argument("notebooks", nargs="*", help="names such as 03, or paths; the whole course without")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--in-place", action="store_true", help="execute and normalise the files themselves")
    mode.add_argument("--course", action="store_true", help="write executed copies, figures and pages under build/")
    parser.add_argument("--times", type=_at_least(0), default=0, metavar="K", help="name the K slowest cells of each")
    parser.add_argument(
        "--timeout",
        type=_at_least(1),
        default=CELL_TIMEOUT,
        metavar="S",
        help="seconds until a cell counts as hanging",
    )
    options = parser.parse_args(arguments)
    run = in_place if options.in_place else course
    return run_command(
        parser, options.notebooks, lambda paths: run(paths, times=options.times, timeout=options.timeout)
    )


def _at_least(lowest: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= lowest):
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {lowest}, found {text!r}")
        return int(text)

    return whole


if __name__ == "__main__":
    raise SystemExit(main())
