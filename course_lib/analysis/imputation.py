r"""What does a model put where a count is missing? Four answers to four questions, and the error on counts we hid.

Axes: N cells, G genes, K draws, H hidden entries. z, ℓ ~ q(·∣x) throughout; μ = ℓρ(z, s), w the rate behind a count,
y the count before dropout.

=====================  ====================================================  ===========================================
``estimate``           value                                                 answers
=====================  ====================================================  ===========================================
``mean``               :math:`E_q[ℓρ]`                                       what would a new, undropped count be?
``given_zero``         :math:`E_q[P(\text{dropout} ∣ 0)\,ℓρ]`                what did dropout remove here? A negative
                                                                             binomial says: nothing
``above_zero_mean``    :math:`E_q[y ∣ y > 0]`                                what was hidden, known to be above zero?
``above_zero_median``  the median of the same law                            the same, if an error costs its size
``rate``               :math:`E_q[w ∣ x, z]`, 0 if dropped                   what would sequencing this cell more bring?
=====================  ====================================================  ===========================================

The three that ask for a missing count leave x itself wherever it is above zero.

``mean`` is scvi-tools' ``get_normalized_expression(library_size="latent")``. ``rate`` is μ (θ + x)/(θ + μ), a cell's
own count and the model's forecast weighed by θ: the posterior mean that SAVER reports, Huang et al. 2018,
https://doi.org/10.1038/s41592-018-0033-z.
"""

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from course_lib.analysis.gate import COUNT_MODEL, check_question
from course_lib.analysis.parts import device_of, one_after_another, parts_of
from course_lib.analysis.posterior import decode_draws
from course_lib.analysis.protocol import CountModel
from course_lib.analysis.tables import number_table
from course_lib.arguments import choice, seed_number, whole_number
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells, CellTable
from course_lib.data.corrupt import Hidden
from course_lib.probability.counts import ZeroInflatedNegativeBinomial
from course_lib.probability.hidden_counts import mean_above_zero, mean_given_zero, median_above_zero

Estimate = Literal["mean", "given_zero", "above_zero_mean", "above_zero_median", "rate"]


def impute(
    model: CountModel, cells: CellTable, estimate: Estimate = "mean", *, n_samples: int = 25, seed: int = 0
) -> NDArray[np.float32]:
    """One value for every entry, averaged over K draws of z and ℓ.

    Parameters
    ----------
    model : trained on these cells or their like.   estimate : one of the table above.   n_samples : K.

    Returns
    -------
    (N, G) float32, ≥ 0, in molecules of the cell's own library; whole in memory.

    Raises
    ------
    TypeError : a model that lacks what is asked for, such as θ; something else than cells.
    ValueError : an unknown estimate; ``given_zero`` of a model without dropout, to which a zero is a zero; cells of
        other genes or batches.
    """
    check_question("impute", model, cells, COUNT_MODEL)
    choice("estimate", estimate, get_args(Estimate))
    n_samples = whole_number("n_samples", n_samples)

    def imputed(part: Cells) -> Tensor:
        p = decode_draws(model, part, n_samples).base_dist  # type: ignore[attr-defined]
        return _value(p, part.x, estimate)

    with evaluating(model), seeded(seed_number(seed), device_of(model, cells)):
        return one_after_another(len(cells), (imputed(part) for part in parts_of(model, cells, n_samples)))


def rate_given_count(p: Distribution, x: Tensor) -> Tensor:
    """E[w∣x, z, not dropped], (K, N, G): the mean of Gamma(shape θ + x), as NB(μ, θ) is Poisson(w), w ~ Gamma(θ)."""
    mu, theta = p.mu, p.theta  # type: ignore[attr-defined]
    return mu * (theta + x) / (theta + mu)


def dropout_given_count(p: Distribution, x: Tensor) -> Tensor:
    """P(dropout∣x, z), (K, N, G): nothing above zero was dropped, and a negative binomial drops nothing at all."""
    if not hasattr(p, "dropout_probability"):
        return torch.zeros_like(p.mu)  # type: ignore[attr-defined]
    return p.dropout_probability() * (x == 0)


def absolute_errors(imputed: NDArray[np.floating], hidden: Hidden) -> NDArray[np.float64]:
    """∣imputed − true count∣ of the hidden entries, (H,), of one value for every entry, (N, G)."""
    table = number_table("imputed", imputed)
    if len(hidden) == 0:
        raise ValueError("hidden: expected an entry or more, found none.")
    needed = (int(hidden.cell.max()) + 1, int(hidden.gene.max()) + 1)
    if table.shape[0] < needed[0] or table.shape[1] < needed[1]:
        raise ValueError(
            f"imputed: expected a value for every cell and gene, at least {needed} of them, found shape {table.shape}."
        )
    return np.abs(table[hidden.cell, hidden.gene].astype(np.float64) - hidden.count)


def median_l1(imputed: NDArray[np.floating], hidden: Hidden) -> float:
    """Median over the hidden entries of ∣imputed − true count∣, molecules: the measure of scVI's paper.

    It does not see how large the larger half of the errors is, and it judges nothing but counts above zero.

    Source: Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2.
    """
    return float(np.median(absolute_errors(imputed, hidden)))


def _value(p: Distribution, x: Tensor, estimate: Estimate) -> Tensor:
    """(K, N, G) draws of the law of a count to (N, G)."""
    if estimate == "mean":
        return p.mu.mean(0)  # type: ignore[attr-defined]
    if not hasattr(p, "theta"):
        raise TypeError(
            f"model: expected a negative binomial, with dropout or without, to ask for {estimate!r}, found "
            f"{type(p).__name__}; train with gene_likelihood='zinb' or 'nb'."
        )
    if estimate == "rate":
        return (rate_given_count(p, x) * (1 - dropout_given_count(p, x))).mean(0)
    zero = x == 0
    mu, theta = p.mu[:, zero], p.theta.expand_as(x)[zero]  # type: ignore[attr-defined]
    if estimate == "above_zero_mean":
        missing = mean_above_zero(mu, theta)
    elif estimate == "above_zero_median":
        missing = median_above_zero(mu, theta)
    elif hasattr(p, "zi_logits"):
        missing = mean_given_zero(ZeroInflatedNegativeBinomial(mu, theta, p.zi_logits[:, zero])).mean(0)
    else:
        raise ValueError(
            "estimate: expected a model with dropout for 'given_zero', found a negative binomial, to which every "
            "zero is a true one; train with gene_likelihood='zinb', or ask for 'mean'."
        )
    return x.masked_scatter(zero, missing.to(x))
