r"""Criticism: would this model have made these counts? Replicated data beside the observed.

Axes: N cells, G genes, K replicates. A replicate is a new count for every entry, from
``posterior.posterior_predictive_sample`` or from ``thinned_predictive_sample``. What is compared is a statistic of the
data: if the model is right, the observed one lies among the K replicated ones. Gelman, Meng & Stern 1996, "Posterior
predictive assessment of model fitness via realized discrepancies", Statistica Sinica 6, 733–807.

One caution. q(z∣x) has seen the very counts that its replicates are then held against, also where the cell was not in
the training set: the check uses the data twice and is too kind. Counts that were thinned away before the model was
asked are seen by nobody, and ``thinned_predictive_sample`` forecasts those.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from course_lib.analysis.gate import COUNT_MODEL, check_question
from course_lib.analysis.imputation import dropout_given_count, rate_given_count
from course_lib.analysis.parts import device_of, one_after_another, parts_of
from course_lib.analysis.posterior import decode_draws
from course_lib.analysis.protocol import CountModel
from course_lib.analysis.tables import number_table
from course_lib.arguments import fraction, seed_number, whole_number
from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells, CellTable
from course_lib.data.expression import log_normalise

STATISTICS = ("mean", "variance", "zeros")
CENTRAL = 0.9


def gene_checks(observed: ArrayLike, replicated: ArrayLike, genes: Sequence[str]) -> pd.DataFrame:
    """Mean, variance and share of zeros of every gene, observed and replicated.

    Parameters
    ----------
    observed : (N, G) counts.   replicated : (K, N, G).   genes : G names.

    Returns
    -------
    A row for each statistic and gene: ``statistic``, ``gene``, ``observed``, ``replicated`` (mean over the replicates),
    ``low`` and ``high``, between which the central 90 % of the replicates lie.

    Raises
    ------
    TypeError, ValueError : tables that are not finite numbers, or shapes that do not belong together.
    """
    x, draws = _pair(observed, replicated)
    if len(genes) != x.shape[1]:
        raise ValueError(f"genes: expected {x.shape[1]} names, one for each column, found {len(genes)}.")
    tables = []
    for name in STATISTICS:
        per_draw = np.stack([_statistic(name, draw) for draw in draws])  # (K, G)
        low, high = np.quantile(per_draw, [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2], axis=0)
        columns = {"observed": _statistic(name, x), "replicated": per_draw.mean(0), "low": low, "high": high}
        tables.append(pd.DataFrame({"statistic": name, "gene": list(genes), **columns}))
    return pd.concat(tables, ignore_index=True)


def gene_correlations(counts: ArrayLike, target_sum: float = 1e4) -> NDArray[np.float64]:
    """Pearson correlations between genes of log-normalised counts: (N, G) to (G, G).

    Counts may be replicated or imputed ones. A gene that is the same in all cells has no correlation: NaN.
    """
    return correlations(log_normalise(counts, target_sum))


def correlations(values: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlations between the columns of (N, G) numbers as they are: (G, G), NaN for a constant column."""
    table = number_table("values", values, 2).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(table, rowvar=False).reshape(table.shape[1], table.shape[1])


def pairs(square: NDArray[np.floating]) -> NDArray[np.floating]:
    """(G, G) to its G(G−1)/2 entries above the diagonal: every pair of genes once."""
    return square[np.triu_indices(len(square), 1)]


def coverage(observed: ArrayLike, replicated: ArrayLike, level: float = 0.9) -> NDArray[np.float64]:
    """Share of cells whose count lies in the central interval of its replicates, gene by gene: (G,).

    The interval runs from the j-th smallest to the j-th largest of K replicates, both included, with
    j = ⌊(1 − level)(K + 1)/2⌋. If observed and replicated counts come from one law, an entry lies outside with
    probability (1 − level) at most. Counts are discrete, so that the interval of a rare gene, [0, 0] or [0, 1], covers
    more: too low a coverage speaks against the model, too high a one does not speak for it.

    Raises
    ------
    TypeError, ValueError : as in ``gene_checks``; a level that is no probability; too few replicates for it.
    """
    x, draws = _pair(observed, replicated)
    level = fraction("level", level, zero_too=False)
    j = int((1 - level) / 2 * (len(draws) + 1) + 1e-9)
    if j < 1:
        raise ValueError(
            f"replicated: expected {int(np.ceil(2 / (1 - level) - 1e-9)) - 1} replicates or more for a level of "
            f"{level}, found {len(draws)}; draw more, or lower the level."
        )
    ordered = np.partition(draws, (j - 1, len(draws) - j), axis=0)
    return ((ordered[j - 1] <= x) & (x <= ordered[len(draws) - j])).mean(0)


def randomised_pit(observed: ArrayLike, replicated: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
    """Where among its replicates a count lies, ties and the step between two of them split at random: (N, G) in (0, 1).

    (#{smaller} + V (#{equal} + 1)) / (K + 1), V uniform. If observed and replicated counts come from one law it is
    uniform exactly, for any K and however discrete the counts. A hump in the middle: the model forecasts too wide a
    spread; a bowl: too narrow; a slope: too high or too low.

    Source: Czado, Gneiting & Held 2009, https://doi.org/10.1111/j.1541-0420.2009.01191.x, for a forecast that is known;
    with replicates in its place it is a rank.

    Raises
    ------
    TypeError, ValueError : as in ``gene_checks``.
    """
    x, draws = _pair(observed, replicated)
    v = np.random.default_rng(seed_number(seed)).random(x.shape)
    return ((draws < x).sum(0) + v * ((draws == x).sum(0) + 1)) / (len(draws) + 1)


def thinned_predictive_sample(
    model: CountModel, kept: CellTable, keep: float, n_samples: int = 1, seed: int = 0
) -> NDArray[np.float32]:
    r"""Forecasts of the counts that ``data.corrupt.thin`` held out, by a model that has seen those it kept.

    .. math::

        z, ℓ ∼ q(\cdot ∣ x^{\text{kept}}), \qquad
        w ∣ x^{\text{kept}} ∼ \text{Gamma}(\text{shape } θ + x^{\text{kept}}), \qquad
        x^{\text{held}} ∼ \text{Poisson}\left(\tfrac{1-ε}{ε} w\right)

    with the mean of w from ``imputation.rate_given_count``, and nothing where a zero is one of dropout.

    Parameters
    ----------
    model : with a negative binomial, with dropout or without.   kept : what ``thin`` returned first.   keep : its ε.

    Returns
    -------
    (K, N, G), whole in memory: 4 bytes × K × N × G.

    Raises
    ------
    TypeError, ValueError : a model without θ; cells of other genes or batches; ``keep`` or K out of range.
    """
    check_question("thinned_predictive_sample", model, kept, COUNT_MODEL)
    share, n_samples = fraction("keep", keep, zero_too=False), whole_number("n_samples", n_samples)

    def forecast(part: Cells) -> Tensor:
        p = decode_draws(model, part, n_samples).base_dist  # type: ignore[attr-defined]
        if not hasattr(p, "theta"):
            raise TypeError(f"model: expected a negative binomial to ask for thinned counts, found {type(p).__name__}.")
        w, dropped = rate_given_count(p, part.x), dropout_given_count(p, part.x)
        shape = (p.theta + part.x).expand(w.shape)
        drawn = torch._standard_gamma(shape) * w / shape  # mean = shape · scale = w
        return torch.poisson(drawn * (1 - share) / share).masked_fill(torch.rand_like(w) < dropped, 0)

    with evaluating(model), seeded(seed_number(seed), device_of(model, kept)):
        draws = (forecast(part) for part in parts_of(model, kept, n_samples))
        return one_after_another(len(kept), draws, axis=1)


def _statistic(name: str, counts: NDArray) -> NDArray[np.float64]:
    """Of each gene of (N, G) counts."""
    if name == "zeros":
        return (counts == 0).mean(0)
    counts = counts.astype(np.float64)
    return counts.mean(0) if name == "mean" else counts.var(0, ddof=1)


def _pair(observed: ArrayLike, replicated: ArrayLike) -> tuple[NDArray, NDArray]:
    """(N, G) and (K, N, G), of the same cells and genes."""
    x, draws = number_table("observed", observed, 2), np.asarray(replicated)
    if draws.ndim != 3 or draws.shape[1:] != x.shape or not len(draws):
        raise ValueError(
            f"replicated: expected (K, N, G) with (N, G) = {x.shape} as observed, found {draws.shape}; "
            "posterior_predictive_sample(model, cells, n_samples=K) draws it."
        )
    return x, draws
