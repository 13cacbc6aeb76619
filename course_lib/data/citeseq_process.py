r"""The process that totalVI assumes, run forwards: RNA as in ``scvi_process``, and antibodies whose origin is known.

Axes: N cells, T antibodies, B batches, C cell types. A cell of a type that carries the target of antibody t shows
foreground, unless the antibody missed it; a cell of another type shows background, unless something else held it.

.. math::

    v_{nt} ∼ \text{Bernoulli}(π_{c_n t}), \qquad \log β_{nt} ∼ \text{N}(c_{s_n t}, d^2), \qquad
    y_{nt} ∼ \begin{cases} \text{NB}(β_{nt}, φ_t) & \text{if } v_{nt} = 1 \\
                           \text{NB}(α_t β_{nt}, φ_t) & \text{if } v_{nt} = 0 \end{cases}

Source: Gayoso et al. 2021, https://doi.org/10.1038/s41592-020-01050-x. There α and π are networks of (z, s); here the
latent state is the cell type, so that the truth is a table.
"""

from typing import Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd

from course_lib.arguments import fraction, not_negative, positive, real_number, seed_number, whole_number
from course_lib.data.scvi_process import simulate


def simulate_citeseq(
    n_cells: int = 1000,
    n_genes: int = 200,
    n_proteins: int = 12,
    *,
    alpha: float = 6.0,
    background_median: float = 20.0,
    background_sd: float = 0.2,
    phi: float = 8.0,
    mistaken: float = 0.02,
    seed: int = 0,
    **rna: Any,
) -> mudata.MuData:
    """Draw cells with RNA and antibodies, and keep the truth.

    Antibody t has its target on the cells of one type, t modulo the number of types.

    Parameters
    ----------
    alpha : median of α_t, how many times the foreground stands above the background: α_t − 1 is log-normal with a
        standard deviation of 0.3 in the logarithm. > 1.
    background_median : of β over antibodies and batches, counts: c_st = log of it + N(0, 0.7²) for each antibody
        + N(0, 0.3²) for each antibody in each batch. > 0.
    background_sd : d, of log β between cells, ≥ 0.   phi : φ, the inverse dispersion of every antibody, > 0.
    mistaken : how probable background is where the target is, and foreground where it is not, in [0, 1).
    rna : further arguments of ``scvi_process.simulate``: n_types, n_changed, fold, dropout, log_library_means, ….

    Returns
    -------
    MuData. ``["rna"]`` as from ``simulate``; ``["protein"]``, the same cells × T, with raw counts in ``X`` (uint32) and

    - ``obs``: ``batch``, ``cell_type``;
    - ``var``: ``alpha``, ``phi``, ``target`` (the type that carries it);
    - ``layers``: ``foreground`` (bool: v = 0) and ``background`` (β), float64;
    - ``uns["truth"]``: ``background_mean`` (B, T), c; ``background_sd``, d.

    Raises
    ------
    TypeError, ValueError : what is no number where one belongs, or one outside the ranges above; as ``simulate``.
    """
    n_proteins = whole_number("n_proteins", n_proteins)
    if real_number("alpha", alpha) <= 1:
        raise ValueError(f"alpha: expected a number > 1, found {alpha}; the foreground stands above the background.")
    positive("background_median", background_median)
    not_negative("background_sd", background_sd)
    positive("phi", phi)
    fraction("mistaken", mistaken, zero_too=True)
    cells = simulate(n_cells, n_genes, seed=seed_number(seed), **rna)
    rng = np.random.default_rng([seed, 1])  # a stream of its own: the RNA is the same with any antibodies
    cell_type, batch = cells.obs["cell_type"].cat.codes.to_numpy(), cells.obs["batch"].cat.codes.to_numpy()  # (N,)
    types, n_batches = cells.obs["cell_type"].cat.categories, len(cells.obs["batch"].cat.categories)

    target = np.arange(n_proteins) % len(types)  # (T,)
    alphas = 1 + (alpha - 1) * np.exp(rng.normal(0.0, 0.3, n_proteins))  # (T,) α
    mean = np.log(background_median) + rng.normal(0.0, 0.7, n_proteins) + rng.normal(0.0, 0.3, (n_batches, n_proteins))
    beta = np.exp(rng.normal(mean[batch], background_sd))  # (N, T) β
    foreground = (cell_type[:, None] == target) ^ (rng.random(beta.shape) < mistaken)  # (N, T) v = 0
    mu = np.where(foreground, alphas * beta, beta)
    y = rng.poisson(rng.gamma(phi, mu / phi))  # NB: a Poisson of a gamma of mean μ

    protein = ad.AnnData(
        X=y.astype(np.uint32),
        obs=cells.obs[["cell_type", "batch"]].copy(),
        var=pd.DataFrame(
            {"alpha": alphas, "phi": phi, "target": types[target]}, index=[f"protein_{t}" for t in range(n_proteins)]
        ),
        layers={"foreground": foreground, "background": beta},
        uns={"truth": {"background_mean": mean, "background_sd": float(background_sd)}},
    )
    with mudata.set_options(pull_on_update=False):
        return mudata.MuData({"rna": cells, "protein": protein})
