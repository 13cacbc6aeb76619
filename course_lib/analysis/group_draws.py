"""Draws of ρ for two groups of cells: of the groups' means, or of pairs of cells.

Axes: N cells, G genes, L latent dimensions, K draws. No array of cells × draws × genes is ever made: q(z∣x) is asked
once for each cell, N × L numbers, and draws are decoded some rows at a time.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_lib.analysis.latent import encode
from course_lib.analysis.parts import at_a_time, parts_of
from course_lib.analysis.posterior import get_rho
from course_lib.analysis.protocol import CountModel
from course_lib.data.cells import CellTable

Draws = Iterator[tuple[Tensor, Tensor]]  # (k, G) of group 1 and (k, G) of group 2, some draws at a time


def mean_draws(
    model: CountModel, cells: CellTable, first: NDArray, second: NDArray, n_samples: int, batch_correction: bool
) -> Draws:
    """Mean ρ of each group in each of K posterior draws of all their cells; (1, G) at a time.

    ``first``, ``second`` : sorted positions, from ``groups.group_positions``.
    """
    positions = np.union1d(first, second)  # one order for both, so that exchanging the groups exchanges the results
    z_mean, z_sd, batch = _posterior(model, cells, positions)
    share = np.stack([np.isin(positions, group) / len(group) for group in (first, second)])  # (2, N), rows sum to one
    weights = torch.from_numpy(share).to(z_mean)
    rows = at_a_time(cells.n_genes)
    for _ in range(n_samples):
        z = z_mean + z_sd * torch.randn_like(z_mean)  # (N, L)
        means = z.new_zeros(2, cells.n_genes)
        for start in range(0, len(z), rows):
            part = slice(start, start + rows)
            means += weights[:, part] @ _rho(model, z[part], batch[part], batch_correction)  # (2, G)
        yield means[:1], means[1:]


def pair_draws(
    model: CountModel, cells: CellTable, first: NDArray, second: NDArray, n_pairs: int, batch_correction: bool
) -> Draws:
    """ρ of K random cells of each group, one posterior draw each; some pairs at a time."""
    members = []
    for group in (first, second):
        drawn = torch.randint(len(group), (n_pairs,)).numpy()
        chosen, place = np.unique(group[drawn], return_inverse=True)  # each cell is read and encoded once
        z_mean, z_sd, batch = (values[torch.from_numpy(place)] for values in _posterior(model, cells, chosen))
        members.append((z_mean + z_sd * torch.randn_like(z_mean), batch))  # (K, L), (K,)
    rows = at_a_time(cells.n_genes)
    for start in range(0, n_pairs, rows):
        part = slice(start, start + rows)
        rho1, rho2 = (_rho(model, z[part], batch[part], batch_correction) for z, batch in members)
        yield rho1, rho2


def _posterior(model: CountModel, cells: CellTable, positions: NDArray) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of q(z∣x), (N, L) each, and the batch (N,) of the cells at ``positions``."""
    means, deviations, done = torch.empty(0), torch.empty(0), 0
    for part in parts_of(model, cells, positions=positions):
        q = encode(model, part)
        if done == 0:  # whole at once: small results kept one by one would pin the memory that large parts leave behind
            means = q.mean.new_empty(len(positions), q.mean.shape[-1])
            deviations = torch.empty_like(means)
        here = slice(done, done + len(part))
        means[here], deviations[here], done = q.mean, q.stddev, here.stop
    return means, deviations, cells.batch[torch.from_numpy(positions).to(cells.batch.device)].to(means.device)


def _rho(model: CountModel, z: Tensor, batch: Tensor, batch_correction: bool) -> Tensor:
    """ρ of latent states (k, L), under their own batch (k,) or averaged over the model's: (k, G)."""
    n_batches = len(model.batches)
    if not batch_correction or n_batches == 1:
        return get_rho(model, z, batch)
    rho = get_rho(model, z, torch.zeros_like(batch))
    for code in range(1, n_batches):
        rho += get_rho(model, z, torch.full_like(batch, code))
    return rho.div_(n_batches)
