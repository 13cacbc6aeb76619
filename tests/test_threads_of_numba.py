"""scanpy's parallel loops must not give PyTorch back the threads that the policy took away."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
{first}
import numpy, torch
@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(len(x)):
        s += x[i]
    return s
total(numpy.ones(8))
print(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["import numba, course_lib", "import course_lib, numba"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_parallel_numba_loop_leaves_pytorchs_threads_alone(first, threads):
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(first=first)]
    done = subprocess.run(
        command, env=environment | {"COURSE_THREADS": str(threads)}, capture_output=True, text=True, check=False
    )
    if "must be at most" in done.stderr:
        pytest.skip("numba allows no more threads than there are cores")
    assert done.stdout.split() == [str(threads)] * 2, done.stderr
