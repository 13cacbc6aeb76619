"""What a trained scVI says about cells: library size, normalised expression, new counts, and their likelihood.

Axes: N cells, G genes, L latent dimensions, K samples. The functions have scvi-tools' names. Cells come from
``analysis.gate.cells_for``; models are asked in evaluation mode, for a part of the cells at a time; randomness comes
from ``seed`` alone, drawn for one part after another.

Every function here raises TypeError for a model that lacks what it asks for, for something else than cells and for a
number of another kind, ValueError for cells of other genes or batches and for numbers out of their range.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, Normal

from course_lib.analysis.gate import COUNT_MODEL, check_question
from course_lib.analysis.latent import encode
from course_lib.analysis.parts import at_a_time, device_of, one_after_another, parts_of
from course_lib.analysis.protocol import CountModel, Weighted
from course_lib.arguments import positive, seed_number, whole_number
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells, CellTable
from course_lib.data.matching import Named
from course_lib.probability.bounds import iwae


def get_latent_library_size(model: CountModel, cells: CellTable) -> NDArray[np.float32]:
    """Posterior mean of ℓ_n, molecules: (N,). The total count where the model takes ℓ as observed."""
    check_question("get_latent_library_size", model, cells, COUNT_MODEL)
    with evaluating(model):
        return one_after_another(len(cells), (library_size_of(model, part) for part in parts_of(model, cells)))


def get_normalized_expression(
    model: CountModel,
    cells: CellTable,
    *,
    transform_batch: str | Sequence[str] | None = None,
    library_size: float | Literal["latent"] = 1.0,
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
    (N, G) float32, whole in memory: 4 bytes × N × G.  Store it as ``adata.layers["scvi_normalized"]``.

    Raises
    ------
    TypeError, ValueError : as above; an unknown transform_batch; a library_size that is neither positive nor "latent".
    """
    check_question("get_normalized_expression", model, cells, COUNT_MODEL)
    codes = batch_codes(model, transform_batch)
    if not isinstance(library_size, str):
        library_size = positive("library_size", library_size)
    elif library_size != "latent":
        raise ValueError(f"library_size: expected a total > 0 or 'latent', found {library_size!r}.")
    n_draws = 1 if n_samples is None else whole_number("n_samples", n_samples)

    def expression_of(part: Cells) -> Tensor:
        q = encode(model, part)
        z = q.mean.unsqueeze(0) if n_samples is None else q.sample((n_draws,))  # (K, N, L)
        batches = [part.batch if code is None else torch.full_like(part.batch, code) for code in codes]
        rho = torch.stack([get_rho(model, z, s).mean(0) for s in batches]).mean(0)  # (N, G)
        return rho * (library_size_of(model, part).unsqueeze(-1) if library_size == "latent" else library_size)

    with evaluating(model), seeded(seed_number(seed), device_of(model, cells)):
        return one_after_another(len(cells), (expression_of(part) for part in parts_of(model, cells, n_draws)))


def posterior_predictive_sample(
    model: CountModel, cells: CellTable, n_samples: int = 1, seed: int = 0
) -> NDArray[np.float32]:
    """New counts for the same cells: z, ℓ ~ q(·∣x), then x ~ p(x∣z, ℓ, s), dropout included.

    Returns
    -------
    (K, N, G), whole in memory: 4 bytes × K × N × G.
    """
    check_question("posterior_predictive_sample", model, cells, COUNT_MODEL)
    n_samples = whole_number("n_samples", n_samples)
    with evaluating(model), seeded(seed_number(seed), device_of(model, cells)):
        new_counts = (decode_draws(model, part, n_samples).sample() for part in parts_of(model, cells, n_samples))
        return one_after_another(len(cells), new_counts, axis=1)


def get_marginal_ll(model: Weighted, cells: CellTable, n_samples: int = 100, seed: int = 0) -> NDArray[np.float64]:
    """Importance-weighted lower bound on log p(x∣s) of each cell, with K draws from q: (N,) in nats.

    For every model with ``log_weights``: SCVI, SimplifiedSCVI, VAE. With an observed library it is a bound on
    log p(x∣s, Σx) instead: never compare the two.
    """
    check_question("get_marginal_ll", model, cells, ["log_weights"])
    n_samples = whole_number("n_samples", n_samples)
    most = at_a_time(cells.n_genes)  # draws of a single cell

    def bound_of(part: Cells) -> Tensor:
        draws = [min(most, n_samples - done) for done in range(0, n_samples, most)]
        return iwae(torch.cat([model.log_weights(part, k) for k in draws])).double()  # (K, N) to (N,)

    with evaluating(model), seeded(seed_number(seed), device_of(model, cells)):
        return one_after_another(len(cells), (bound_of(part) for part in parts_of(model, cells, n_samples)))


def get_rho(model: CountModel, z: Tensor, batch: Tensor) -> Tensor:
    """ρ of latent states: (..., N, L) and (N,) to (..., N, G). At ℓ = 1 the mean μ of the NB is ρ itself."""
    return model.decode(z, z.new_zeros(z.shape[-2], 1), batch).base_dist.mu


def library_size_of(model: CountModel, cells: Cells) -> Tensor:
    """Posterior mean of ℓ, or the total count: (N,)."""
    if not model.learns_library:
        return cells.x.sum(-1)
    q = encode_library(model, cells)  # log ℓ, (N, 1)
    return (q.mean + q.variance / 2).exp().squeeze(-1)  # the mean of a log-normal


def encode_library(model: CountModel, cells: Cells) -> Normal:
    """q(log ℓ∣x), or q(log ℓ∣x, s) where the model's encoders see the batch: batch shape (N, 1)."""
    return model.encode_library(cells.x, *([cells.batch] if getattr(model, "encodes_batch", False) else []))


def decode_draws(model: CountModel, cells: Cells, n_samples: int) -> Distribution:
    """p(x∣z, ℓ, s) at K draws of z and ℓ: batch shape (K, N)."""
    z = encode(model, cells).sample((n_samples,))  # (K, N, L)
    if model.learns_library:
        log_library = encode_library(model, cells).sample((n_samples,))  # (K, N, 1)
    else:
        log_library = cells.x.sum(-1, keepdim=True).log()  # (N, 1)
    return model.decode(z, log_library, cells.batch)


def batch_codes(model: Named, names: str | Sequence[str] | None) -> list[int | None]:
    """Codes of the batches to decode in, or [None] for each cell's own."""
    if names is None:
        return [None]
    if not isinstance(names, Iterable):
        raise TypeError(f"transform_batch: expected a batch's name, several, or None, found {names!r:.60}.")
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in model.batches]
    if unknown or not wanted:
        raise ValueError(f"transform_batch: expected names among {model.batches}, found {unknown or 'none'}.")
    return [model.batches.index(name) for name in wanted]
