"""GENEEX's architecture, and the memory predicted for it against what PyTorch allocates."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_lib.models.geneex import GENEEX, training_memory

STEP = """
import sys, torch
from pathlib import Path
from course_lib.data.cells import cells_from_expression
from course_lib.models.geneex import GENEEX
def peak():  # of this program alone: the maximum that getrusage gives starts from the parent's, a large pytest
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
n_genes = int(sys.argv[1])
cells = cells_from_expression(torch.randn(80, n_genes))
warm = torch.nn.Linear(2, 2); torch.optim.Adam(warm.parameters(), fused=True).step()
before = peak()
model = GENEEX(n_genes)
optimizer = torch.optim.Adam(model.parameters(), fused=True)
for _ in range(2):
    optimizer.zero_grad(); model.loss(cells)["loss"].backward(); optimizer.step()
print(peak() - before)
"""


def test_the_count_of_parameters_is_pytorchs():
    model = GENEEX(1000)
    assert training_memory(1000, 128, (2048, 1024), 64).parameters == sum(p.numel() for p in model.parameters())


def test_weights_gradients_and_moments_are_the_bytes_that_a_step_leaves_behind():
    torch.manual_seed(0)
    model = GENEEX(50, 8, hidden=(30, 20))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)  # as `fit` does
    model(torch.randn(10, 50)).square().mean().backward()
    optimizer.step()
    counted = training_memory(50, 8, (30, 20), batch_size=10)
    assert sum(p.nbytes for p in model.parameters()) == counted.weights
    assert sum(p.grad.nbytes for p in model.parameters()) == counted.gradients
    held = [state[name].nbytes for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    assert sum(held) == counted.moments


def test_the_latent_layer_and_the_output_are_linear():
    torch.manual_seed(0)
    model = GENEEX(50).eval()
    x = torch.randn(20, 50)
    with torch.no_grad():
        assert float(model.encode(x).min()) < 0
        assert float(model(x).min()) < 0
    kinds = [type(layer).__name__ for layer in model.encoder]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory of one process is read from Linux's /proc"
)
def test_predicted_memory_is_within_a_tenth_of_what_a_training_step_takes():
    n_genes = 20_000
    run = subprocess.run([sys.executable, "-c", STEP, str(n_genes)], capture_output=True, text=True, check=True)
    predicted = training_memory(n_genes, 128, (2048, 1024), batch_size=80).total
    measured = int(run.stdout)
    assert abs(predicted / measured - 1) < 0.1, f"predicted {predicted / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB"
