"""What goes over a table in parts holds no more memory for many parts than for few."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GO_OVER = """
import json, sys
from pathlib import Path
import numpy as np
import scipy.sparse
import torch
from anndata import AnnData
from course_lib.analysis.group_draws import _posterior
from course_lib.contexts import evaluating
from course_lib.data.cells import cells_from_counts
from course_lib.models.scvi import SCVI, log_library_moments, start_at_profile

def peak():  # of this program alone: the maximum that getrusage gives starts from the parent's
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

n, genes = 30_000, 2_000
rng = np.random.default_rng(0)
column = rng.integers(genes, size=n)
counts = scipy.sparse.csr_matrix((1 + rng.integers(9, size=n), (np.arange(n), column)), shape=(n, genes))
cells = cells_from_counts(AnnData(counts.astype(np.float32)), sparse=True)
torch.manual_seed(0)
few = cells.subset(slice(0, 2_000))
model = SCVI(cells.genes, library_prior=log_library_moments(few))
tasks = {
    "posterior": lambda some: _posterior(model, some, np.arange(len(some))),
    "profile": lambda some: start_at_profile(model.decoder, some),
    "moments": lambda some: log_library_moments(some),
}
grown = {}
with evaluating(model):
    for name, task in tasks.items():
        task(few)
        before = peak()
        task(cells)
        grown[name] = peak() - before
print(json.dumps(grown))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory of one process is read from Linux's /proc"
)
def test_thirty_thousand_cells_take_as_much_as_two_thousand():
    """Dense they are 240 MB. Results of 30 or 120 parts, kept one by one, hold on to that much, and to eight GB of a
    million cells."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", GO_OVER], capture_output=True, text=True, check=True)
    grown = json.loads(done.stdout)
    assert set(grown) == {"moments", "profile", "posterior"}
    assert max(grown.values()) < 60e6, grown
