"""The course's notebooks as files: which there are, how one is read, and what a command says when one is in the way."""

import argparse
import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import nbformat
from nbformat import NotebookNode

from course_lib.console import say

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
APPENDIX = NOTEBOOKS / "appendix"
INTERRUPTED = 130  # exit status of a command stopped by Ctrl-C, as shells have it


class NotANotebook(ValueError):
    """A file in a notebook's place that is none; the message names it and says what to do."""


class NotATalk(ValueError):
    """A notebook whose slides cannot be made as it asks; the message names the cell and says what to do."""


class Busy(RuntimeError):
    """Another command writes in this folder just now."""


def find_notebooks(names: Sequence[str] = ()) -> list[Path]:
    """The course's notebooks in order, the appendices after them, or those whose name or path is given.

    Parameters
    ----------
    names : the beginning of a name, ``03`` or ``sources``, with or without its folder, or the path of any file.

    Raises
    ------
    FileNotFoundError
        A name fits no notebook; the message lists those there are.
    """
    course = [*sorted(NOTEBOOKS.glob("*.ipynb")), *sorted(APPENDIX.glob("*.ipynb"))]
    if not names:
        return course
    chosen = []
    for name in names:
        found = (
            [Path(name)]
            if Path(name).is_file()
            else [path for path in course if path.stem.startswith(name) or name_of(path).startswith(name)]
        )
        if not found:
            known = ", ".join(map(name_of, course)) or "none"
            raise FileNotFoundError(f"no notebook named {name!r}; there are: {known}")
        chosen += found
    return list(dict.fromkeys(chosen))


def name_of(path: Path) -> str:
    """What commands and ``build/`` call it: ``03_vae_elbo``, ``appendix/sources``; the stem of a file elsewhere."""
    place, course = path.resolve().with_suffix(""), NOTEBOOKS.resolve()  # it may be a link, or lead through one
    return place.relative_to(course).as_posix() if place.is_relative_to(course) else path.stem


def read(path: Path) -> NotebookNode:
    """The notebook in a file, in Jupyter's format 4.

    Raises
    ------
    NotANotebook : the file is empty, cut off, not JSON, not a notebook, or cannot be read.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # on other people's JSON, nbformat raises whatever its parts raise
        empty = path.is_file() and not path.stat().st_size
        found = "an empty file" if empty else f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
        raise NotANotebook(
            f"{path.name}: expected a notebook, found {found}; "
            f"bring the course's back with: git checkout -- notebooks/{name_of(path)}.ipynb; "
            "move any other file elsewhere."
        ) from error
    return notebook


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """The one command that writes in a folder, which is made if need be. The lock ends with the process that has it.

    Raises
    ------
    Busy : another has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise Busy(
            f"{folder}: another make course or make notebooks is writing here; wait until it has ended."
        ) from None


def each(paths: Sequence[Path], work: Callable[[Path], bool]) -> list[Path]:
    """Do the work on every notebook; one that is none, or whose talk is none, is named and failed, and the rest go on.

    Parameters
    ----------
    work : says whether it succeeded.

    Returns
    -------
    The notebooks that failed.
    """
    failed = []
    for path in paths:
        try:
            succeeded = work(path)
        except (NotANotebook, NotATalk) as error:
            say(str(error), flush=True)
            succeeded = False
        if not succeeded:
            failed.append(path)
    return failed


def run_command(parser: argparse.ArgumentParser, names: Sequence[str], work: Callable[[list[Path]], list[Path]]) -> int:
    """Exit status of a command on notebooks: 0 if none failed, 1 if some did, 2 where nothing can be done at all.

    Parameters
    ----------
    names : as for `find_notebooks`.   work : takes the files, returns those that failed.
    """
    try:
        paths = find_notebooks(names)
    except FileNotFoundError as error:
        parser.error(str(error))
    if not paths:
        parser.error(f"there are no notebooks in {NOTEBOOKS}")
    try:
        return int(bool(work(paths)))
    except KeyboardInterrupt:
        say("\nstopped by Ctrl-C; the notebook that was running is as it was before", flush=True)
        return INTERRUPTED
    except Busy as error:
        parser.error(str(error))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC) or error.filename is None:
            raise
        parser.error(
            f"cannot write {error.filename}: {error.strerror}; "
            f"clone the course into a folder of your own that has room: git clone '{ROOT}' ~/course"
        )
