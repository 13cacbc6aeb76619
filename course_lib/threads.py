"""How many threads the numbers may use: one, unless you say otherwise.

The course trains small models, often on a laptop with a browser open. OpenMP's threads wait by spinning: as soon as
something else needs a core, they wait for each other most of the time, and training can slow down many times over.
One thread gives up speed on a quiet machine, where the default may use two cores, and keeps what it has on a busy one:
`course_lib.experiments.threads` measures both, ``data/results/threads.csv`` holds what it found. Ask for more with
``COURSE_THREADS=4`` or ``OMP_NUM_THREADS=4``.
"""

import os
import sys
from typing import Any


def requested_threads() -> int:
    """The number of threads asked for: ``COURSE_THREADS``, else ``OMP_NUM_THREADS``, else 1.

    ``OMP_NUM_THREADS`` may be a list such as ``4,2`` (one number per nested level); the first number counts.

    Raises
    ------
    ValueError
        The variable is set to something that is not a whole number ≥ 1.
    """
    for variable in ("COURSE_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "").strip()
        if text:
            first = text.split(",")[0].strip()
            if not (first.isascii() and first.isdigit() and int(first) >= 1):
                raise ValueError(
                    f"{variable}: expected a whole number of threads from 1, found {text!r}; "
                    f"set {variable}=1, or unset it."
                )
            return int(first)
    return 1


def apply_thread_policy() -> None:
    """Set the number of threads where it takes effect.

    OpenMP, and with it PyTorch, MKL and NumPy's OpenBLAS, read ``OMP_NUM_THREADS`` once, when they load; numba reads
    ``NUMBA_NUM_THREADS``. What is loaded already is told directly. Processes started from this one inherit the
    variables either way.
    """
    threads = requested_threads()
    listed = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if listed != str(threads):
        os.environ["OMP_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    _apply_to_numba(threads)


def _apply_to_numba(threads: int) -> None:
    """Tell numba, which scanpy loads: its first parallel loop sets the threads of all OpenMP, PyTorch's included."""
    before = os.environ.get("NUMBA_NUM_THREADS")
    os.environ["NUMBA_NUM_THREADS"] = str(threads)
    numba = sys.modules.get("numba")
    if numba is None:
        return
    try:
        numba.config.reload_config()
        parallel: Any = sys.modules.get("numba.np.ufunc.parallel")
        if parallel is not None:
            parallel.NUM_THREADS = threads  # copied from the configuration when it loaded, used when threads start
    except RuntimeError:  # numba's threads run already: too late, and it would complain at every compilation
        os.environ.pop("NUMBA_NUM_THREADS")
        if before is not None:
            os.environ["NUMBA_NUM_THREADS"] = before
