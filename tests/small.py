"""Small cells made by hand, past the gate, and the weights of a model, for tests."""

from collections.abc import Sequence

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from course_lib.data.cells import Cells, cells_from_counts


def cells_by_hand(
    x: ArrayLike | Tensor,
    batch: Sequence[int] | Tensor | None = None,
    genes: Sequence[str] | None = None,
    batches: Sequence[str] = ("all cells",),
) -> Cells:
    """Cells of any numbers, (N, G), in single precision; all in the first batch unless ``batch`` has their codes."""
    x = torch.as_tensor(np.asarray(x)).float()
    codes = torch.zeros(len(x), dtype=torch.int64) if batch is None else torch.as_tensor(batch)
    return Cells(x, codes, tuple(genes or (f"g{j}" for j in range(x.shape[1]))), tuple(batches))


def random_cells(n: int, n_genes: int = 5, seed: int = 0) -> Cells:
    """Standard normal expression, (N, G)."""
    return cells_by_hand(np.random.default_rng(seed).normal(size=(n, n_genes)))


def three_types() -> tuple[Cells, NDArray[np.str_]]:
    """Counts of 240 cells of three types and 30 genes, through the gate, and the name of each cell's type."""
    random = np.random.default_rng(0)
    profiles = random.dirichlet(np.full(30, 0.3), size=3)
    types = random.integers(3, size=240)
    x = random.poisson(random.lognormal(5, 0.3, size=(240, 1)) * profiles[types] + 0.1).astype(np.float32)
    return cells_from_counts(AnnData(x)), types.astype(str)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights as they are now, whatever it learns afterwards."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_weights(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def weights_in_numpy(model: nn.Module) -> dict[str, NDArray[np.float64]]:
    """The model's weights in double precision, for words written out by hand."""
    return {name: tensor.detach().double().numpy() for name, tensor in model.state_dict().items()}
