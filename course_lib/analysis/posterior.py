"""What a trained scVI says about cells: library size, normalised expression, new counts, and their likelihood.

Axes: N cells, G genes, L latent dimensions, K samples. The functions have scvi-tools' names. Cells come from
``analysis.gate.cells_for``; models are asked in evaluation mode; randomness comes from ``seed`` alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from course_lib.analysis.latent import encode
from course_lib.analysis.protocol import CountModel
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells
from course_lib.data.matching import check_cells
from course_lib.probability.bounds import iwae

CHUNK = 2_000_000  # numbers in the largest temporary: K cells' worth of genes at a time


@torch.no_grad()
def get_latent_library_size(model: CountModel, cells: Cells) -> NDArray[np.float32]:
    """Posterior mean of ℓ_n, molecules: (N,). The total count where the model takes ℓ as observed."""
    check_cells(model, cells)
    with evaluating(model):
        if not model.learns_library:
            return cells.x.sum(-1).numpy()
        q = encode_library(model, cells)  # log ℓ, (N, 1)
        return (q.mean + q.variance / 2).exp().squeeze(-1).numpy()  # the mean of a log-normal


def get_normalized_expression(
    model: CountModel,
    cells: Cells,
    *,
    transform_batch: str | Sequence[str] | None = None,
    library_size: float | str = 1.0,
    n_samples: int | None = None,
    seed: int = 0,
) -> NDArray[np.float32]:
    """ρ, or the expected counts ℓρ before dropout, with the noise of counting taken away.

    Parameters
    ----------
    transform_batch : decode every cell as if it came from this batch; several names: average over them; None: each
        cell's own.
    library_size : the total that each row sums to, 1 for ρ itself; "latent" for the cell's own ℓ (denoised counts).
    n_samples : average over K draws of z from q(z∣x); None decodes the posterior mean of z instead.

    Returns
    -------
    (N, G) float32.  Store it as ``adata.layers["scvi_normalized"]``.

    Raises
    ------
    ValueError : cells of other genes or batches; an unknown transform_batch; a library_size that is neither
        positive nor "latent"; n_samples below 1.
    """
    check_cells(model, cells)
    scale = _scale(model, cells, library_size)
    codes = _batch_codes(model, transform_batch)
    if n_samples is not None and n_samples < 1:
        raise ValueError(f"n_samples: expected None or at least 1, found {n_samples}.")
    expression = []
    with evaluating(model), seeded(seed, cells.x.device):
        for part in _parts(cells, n_samples or 1):
            q = encode(model, part)
            z = q.mean.unsqueeze(0) if n_samples is None else q.sample((n_samples,))  # (K, N, L)
            batches = [part.batch if code is None else torch.full_like(part.batch, code) for code in codes]
            expression.append(torch.stack([get_rho(model, z, s).mean(0) for s in batches]).mean(0))  # (N, G)
    return (torch.cat(expression) * scale).numpy()


def get_rho(model: CountModel, z: Tensor, batch: Tensor) -> Tensor:
    """ρ of latent states: (..., N, L) and (N,) to (..., N, G). At ℓ = 1 the mean μ of the NB is ρ itself."""
    return model.decode(z, z.new_zeros(z.shape[-2], 1), batch).base_dist.mu


def posterior_predictive_sample(
    model: CountModel, cells: Cells, n_samples: int = 1, seed: int = 0
) -> NDArray[np.float32]:
    """New counts for the same cells: z, ℓ ~ q(·∣x), then x ~ p(x∣z, ℓ, s), dropout included.  (K, N, G)."""
    check_cells(model, cells)
    if n_samples < 1:
        raise ValueError(f"n_samples: expected at least 1, found {n_samples}.")
    with evaluating(model), seeded(seed, cells.x.device):
        parts = [_decode_draws(model, part, n_samples).sample() for part in _parts(cells, n_samples)]
    return torch.cat(parts, dim=1).numpy()


def get_marginal_ll(model: CountModel, cells: Cells, n_samples: int = 100, seed: int = 0) -> NDArray[np.float64]:
    """Importance-weighted lower bound on log p(x∣s) of each cell, with K draws from q: (N,) in nats.

    With an observed library it is a bound on log p(x∣s, Σx) instead: never compare the two.
    """
    check_cells(model, cells)
    if n_samples < 1:
        raise ValueError(f"n_samples: expected at least 1, found {n_samples}.")
    with evaluating(model), seeded(seed, cells.x.device):
        parts = [iwae(model.log_weights(part, n_samples)) for part in _parts(cells, n_samples)]
    return torch.cat(parts).double().numpy()


def encode_library(model: CountModel, cells: Cells) -> Normal:
    """q(log ℓ∣x), or q(log ℓ∣x, s) where the model's encoders see the batch: batch shape (N, 1)."""
    return model.encode_library(cells.x, *([cells.batch] if getattr(model, "encodes_batch", False) else []))


def _decode_draws(model: CountModel, cells: Cells, n_samples: int) -> torch.distributions.Distribution:
    """p(x∣z, ℓ, s) at K draws of z and ℓ: batch shape (K, N)."""
    z = encode(model, cells).sample((n_samples,))  # (K, N, L)
    if model.learns_library:
        log_library = encode_library(model, cells).sample((n_samples,))  # (K, N, 1)
    else:
        log_library = cells.x.sum(-1, keepdim=True).log()  # (N, 1)
    return model.decode(z, log_library, cells.batch)


def _parts(cells: Cells, n_samples: int) -> Iterator[Cells]:
    """The cells, so many at a time that K samples of their genes fit into ``CHUNK`` numbers."""
    size = max(1, CHUNK // (n_samples * cells.n_genes))
    return (cells[start : start + size] for start in range(0, len(cells), size))  # slices: cheap


def _scale(model: CountModel, cells: Cells, library_size: float | str) -> Tensor:
    if library_size == "latent":
        return torch.from_numpy(get_latent_library_size(model, cells)).unsqueeze(-1)  # (N, 1)
    if isinstance(library_size, str) or not library_size > 0:
        raise ValueError(f"library_size: expected a positive total or 'latent', found {library_size!r}.")
    return torch.tensor(float(library_size))


def _batch_codes(model: CountModel, names: str | Sequence[str] | None) -> list[int | None]:
    if names is None:
        return [None]
    names = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in names if name not in model.batches]
    if unknown or not names:
        raise ValueError(f"transform_batch: expected names among {model.batches}, found {unknown or 'none'}.")
    return [model.batches.index(name) for name in names]
