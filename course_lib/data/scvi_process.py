r"""The process that full scVI assumes, run forwards, with every quantity that a model will have to guess.

Axes: N cells, G genes, T cell types, B batches. The letters are those of the course: ℓ library size, ρ normalised
expression, θ inverse dispersion, π dropout probability, s batch.

.. math::

    ρ_{ng} ∝ e^{δ_{s_n g}}\, ρ^{\text{type}}_{c_n g}, \qquad
    w_{ng} ∼ \text{Gamma}(\text{shape } θ_g, \text{mean } ℓ_n ρ_{ng}), \qquad
    x_{ng} = \begin{cases} 0 & \text{with probability } π_{ng} \\ \text{Poisson}(w_{ng}) & \text{else} \end{cases}

Source: Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2, Methods, "The scVI probabilistic model". There z
is continuous and ρ, π are networks of (z, s); here the latent state is the cell type c, so that the truth is a table.
"""

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from course_lib.arguments import fraction, positive, real_number, real_numbers, whole_number


def simulate(
    n_cells: int = 2000,
    n_genes: int = 500,
    *,
    n_types: int = 3,
    n_changed: int = 20,
    fold: float = 3.0,
    log_library_means: Sequence[float] = (7.6, 8.2),
    log_library_sd: float = 0.3,
    theta_median: float = 2.0,
    base_sd: float = 1.0,
    batch_sd: float = 0.3,
    dropout: float = 0.1,
    seed: int = 0,
) -> ad.AnnData:
    """Draw cells from the full scVI model and keep the truth.

    Types and batches are equally frequent and independent of each other.

    Balanced changes. Each type owns ``n_changed`` pairs of genes (up, down) that no other type owns. In the base
    profile the down gene of a pair has exactly ``fold`` times the expression of its up gene; in the type that owns
    the pair the up gene is multiplied by ``fold`` and the down gene divided by it, so the two change places. Their
    sum is unchanged, hence so is the total, and normalising moves no other gene at all: between two types
    exactly the pairs of these two differ in ``rho_biology``, each gene by a factor ``fold``, as many up as down,
    and up genes are expressed as highly as down genes.

    Parameters
    ----------
    n_changed : pairs of genes per type; 2 · n_types · n_changed ≤ n_genes.
    fold : factor of a changed gene, ≥ 1.
    log_library_means : mean of log ℓ in each batch; their number is B.
    log_library_sd : standard deviation of log ℓ within a batch, ≥ 0.
    theta_median : log θ_g ~ N(log theta_median, 0.5²).
    base_sd : the genes' log expression in the base profile ~ N(0, base_sd²), before pairs are formed, ≥ 0. In droplets
        it is about 1.5: few genes hold most molecules, and most counts are zero.
    batch_sd : log-factors δ_sg ~ N(0, batch_sd²) by which batch s distorts gene g; 0 for no batch effect on ρ.
    dropout : logit π_ng = logit(dropout) + a_n + b_g, a_n ~ N(0, 0.5²), b_g ~ N(0, 1): the median of π, in [0, 1);
        0 for none, and then the counts are negative binomial.

    Returns
    -------
    AnnData (N, G) with raw counts in ``X`` (uint32) and

    - ``obs``: ``cell_type``, ``batch`` (categories), ``library`` (ℓ);
    - ``var``: ``theta``; ``changed_in`` (the type that owns the gene, "none" for the rest) and ``direction``
      (+1 up, −1 down, 0);
    - ``layers``: ``rho`` and ``rho_biology`` (without the batch effect), float64, rows sum to one; ``zi_probs``
      (π), float64; ``dropped`` (bool: the count was set to zero, whatever it was); ``before_dropout`` (uint32: what
      it was);
    - ``uns["truth"]``: ``rho_types`` (T, G), ``batch_log_factors`` (B, G), ``fold``, ``log_library_means`` (B,),
      ``log_library_sd``.

    Raises
    ------
    TypeError : what is no number where one belongs.
    ValueError : sizes or parameters outside the ranges above, or a cell that drew no count.
    """
    n_batches = len(real_numbers("log_library_means", log_library_means))
    _check_sizes(n_cells, n_genes, n_types, n_batches, n_changed)
    spreads = [("log_library_sd", log_library_sd, 0), ("base_sd", base_sd, 0), ("batch_sd", batch_sd, 0)]
    for name, value, least in [("fold", fold, 1), *spreads]:
        if real_number(name, value) < least:
            raise ValueError(f"{name}: expected a number ≥ {least}, found {value}.")
    positive("theta_median", theta_median)
    fraction("dropout", dropout, zero_too=True)
    whole_number("seed", seed, least=0)
    rng = np.random.default_rng(seed)

    cell_type = rng.permutation(np.arange(n_cells) % n_types)  # (N,) c
    batch = rng.permutation(np.arange(n_cells) % n_batches)  # (N,) s
    library = np.exp(rng.normal(np.take(log_library_means, batch), log_library_sd))  # (N,) ℓ
    theta = np.exp(rng.normal(np.log(theta_median), 0.5, n_genes))  # (G,) θ

    rho_types, changed_in, direction = _balanced_profiles(rng, n_types, n_genes, n_changed, fold, base_sd)
    batch_log_factors = rng.normal(0.0, batch_sd, (n_batches, n_genes))  # (B, G) δ
    rho_biology = rho_types[cell_type]  # (N, G)
    rho = rho_biology * np.exp(batch_log_factors[batch])
    rho /= rho.sum(axis=1, keepdims=True)  # (N, G) ρ

    cell_shift = rng.normal(0.0, 0.5, (n_cells, 1))  # (N, 1) a
    gene_shift = rng.normal(0.0, 1.0, n_genes)  # (G,) b
    zi_probs = expit(logit(dropout) + cell_shift + gene_shift)  # (N, G) π; logit(0) = −∞

    w = rng.gamma(theta, library[:, None] * rho / theta)  # mean = shape · scale = ℓρ
    dropped = rng.random((n_cells, n_genes)) < zi_probs
    y = rng.poisson(w)  # (N, G), before dropout
    x = np.where(dropped, 0, y)

    empty = np.flatnonzero(x.sum(axis=1) == 0)
    if empty.size:
        raise ValueError(
            f"log_library_means: expected a count in every cell, found cell {empty[0]} without (and {empty.size - 1} "
            "others), so that its library size cannot be seen; raise log_library_means or lower dropout."
        )

    type_names, batch_names = _names("type", n_types), _names("batch", n_batches)
    return ad.AnnData(
        X=x.astype(np.uint32),
        obs=pd.DataFrame(
            {
                "cell_type": pd.Categorical.from_codes(cell_type, type_names),
                "batch": pd.Categorical.from_codes(batch, batch_names),
                "library": library,
            },
            index=_names("cell", n_cells),
        ),
        var=pd.DataFrame(
            {
                "theta": theta,
                "changed_in": pd.Categorical.from_codes(changed_in, [*type_names, "none"]),
                "direction": direction,
            },
            index=_names("gene", n_genes),
        ),
        layers={
            "rho": rho,
            "rho_biology": rho_biology,
            "zi_probs": zi_probs,
            "dropped": dropped,
            "before_dropout": y.astype(np.uint32),
        },
        uns={
            "truth": {
                "rho_types": rho_types,
                "batch_log_factors": batch_log_factors,
                "fold": float(fold),
                "log_library_means": np.asarray(log_library_means, dtype=np.float64),
                "log_library_sd": float(log_library_sd),
            }
        },
    )


def _balanced_profiles(
    rng: np.random.Generator, n_types: int, n_genes: int, n_changed: int, fold: float, base_sd: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Profiles of the types (T, G), the owner of each gene (G,; T for none) and its direction (G,)."""
    base = rng.lognormal(0.0, base_sd, n_genes)  # (G,), not yet normalised
    changed_in = np.full(n_genes, n_types)
    direction = np.zeros(n_genes, dtype=np.int64)
    pairs = rng.permutation(n_genes)[: 2 * n_types * n_changed].reshape(n_types, 2, n_changed)
    for owner, (up, down) in enumerate(pairs):
        base[up] = base[up] / np.sqrt(fold)  # the pair's middle stays
        base[down] = base[up] * fold  # where the rest lies
        changed_in[pairs[owner]] = owner
        direction[up], direction[down] = 1, -1
    base /= base.sum()

    owned = changed_in == np.arange(n_types)[:, None]  # (T, G)
    return base * fold ** (owned * direction), changed_in, direction


def _names(kind: str, n: int) -> list[str]:
    return [f"{kind}_{i}" for i in range(n)]


def _check_sizes(n_cells: int, n_genes: int, n_types: int, n_batches: int, n_changed: int) -> None:
    for name, size in {"n_cells": n_cells, "n_genes": n_genes, "n_types": n_types}.items():
        whole_number(name, size)
    whole_number("n_changed", n_changed, least=0)
    if n_batches < 1:
        raise ValueError("log_library_means: expected a mean of log ℓ for each batch, found none.")
    if n_cells < max(n_types, n_batches):
        raise ValueError(
            f"n_cells: expected a cell for each of {n_types} types and each of {n_batches} batches, found {n_cells}."
        )
    if 2 * n_types * n_changed > n_genes:
        raise ValueError(
            f"n_genes: expected at least {2 * n_types * n_changed}, for {n_changed} pairs in each of {n_types} types, "
            f"found {n_genes}; lower n_changed or raise n_genes."
        )
