"""Which cells make up each minibatch of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor


def minibatches(n_cells: int, batch_size: int, shuffle: torch.Generator) -> list[Tensor]:
    """The indices 0 … n_cells − 1 in random order, cut into minibatches.

    Every cell is in exactly one minibatch. If one cell is left over at the end it joins the minibatch before:
    BatchNorm has no variance to divide by when it trains on one cell (scvi-tools #2314).

    Parameters
    ----------
    n_cells : at least 2.   batch_size : at least 2.   shuffle : the source of the order; its state moves on.

    Returns
    -------
    int64 tensors of 2 to ``batch_size`` indices, the last one up to ``batch_size + 1``.
    """
    parts = list(torch.randperm(n_cells, generator=shuffle).split(batch_size))
    if len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
