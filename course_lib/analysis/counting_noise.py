"""What counting alone predicts: means, variances and zeros of a gene whose cells differ only in their library size.

Axes: N cells, G genes. A gene's share ρ_g of the transcripts is taken to be the same in every cell, so these
predictions are for cells of one kind; what they miss is biology, or noise beyond counting.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from course_lib.analysis.tables import number_table
from course_lib.arguments import not_negative, whole_number

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CountMoments:
    """Counts of one group of cells, summed up gene by gene."""

    library: Floats  # (N,) total count of each cell
    rho: Floats  # (G,) share of each gene in all counts, sums to one
    mean: Floats  # (G,)
    variance: Floats  # (G,) with N − 1
    zero_fraction: Floats  # (G,) the share of cells without a count of the gene

    @property
    def mu(self) -> Floats:
        """μ_ng = ℓ_n ρ_g, what each cell should hold of each gene: (N, G)."""
        return np.outer(self.library, self.rho)


def count_moments(x: Any) -> CountMoments:
    """Means, variances and zeros of raw counts, (N, G), dense or sparse; at least two cells, none of them empty.

    Raises
    ------
    TypeError, ValueError : values that are not finite numbers ≥ 0, fewer than two cells, a cell without a count.
    """
    dense = _counts(x)
    library = dense.sum(1)
    if not (library > 0).all():
        raise ValueError(
            f"x: expected a count in each cell, found {int((library == 0).sum())} of {len(dense)} empty; drop them."
        )
    return CountMoments(
        library=library,
        rho=dense.sum(0) / dense.sum(),
        mean=dense.mean(0),
        variance=dense.var(0, ddof=1),
        zero_fraction=(dense == 0).mean(0),
    )


def _counts(x: Any) -> Floats:
    dense = number_table("x", x.toarray() if scipy.sparse.issparse(x) else x, 2).astype(np.float64)
    if dense.min() < 0:
        raise ValueError(f"x: expected counts, found {dense.min():.3g} among them; pass raw counts, not scaled ones.")
    return dense


def common_overdispersion(x: Any, moments: CountMoments) -> float:
    r"""One φ = 1/θ for all genes, from the squares that Poisson noise leaves over.

    .. math:: φ = \frac{\sum_{ng} (x_{ng} - μ_{ng})^2 - μ_{ng}}{\sum_{ng} μ_{ng}^2}

    Zero if counting explains the spread; never below zero. Genes count with the square of their mean.
    ``x`` : the counts (N, G) that the moments are of.
    """
    excess, squares = _beyond_poisson(x, moments)
    return float(max(0.0, excess.sum() / squares.sum()))


def overdispersion_of_each_gene(x: Any, moments: CountMoments, leave_out: int = 0) -> Floats:
    r"""φ_g of each gene by itself, (G,): below zero if it varies less than a Poisson, NaN where it was not seen.

    .. math:: φ_g = \frac{\sum_n (x_{ng} - μ_{ng})^2 - μ_{ng}}{\sum_n μ_{ng}^2}

    The one φ of `common_overdispersion` is their mean, each weighted with its Σ_n μ_ng².

    Parameters
    ----------
    x : the counts (N, G) that the moments are of.
    leave_out : how many cells to leave out of each gene, those with its largest counts; its share ρ_g is then that of
        the others. One odd cell can make a φ_g; an NB gene loses little by leaving out a few cells of many.
    """
    excess, squares = _beyond_poisson(x, moments, leave_out)
    return np.divide(excess, squares, out=np.full_like(excess, np.nan), where=squares > 0)


def _beyond_poisson(x: Any, moments: CountMoments, leave_out: int = 0) -> tuple[Floats, Floats]:
    """For each gene, (G,) both: the squares that Poisson noise leaves over, and the squares of the means."""
    dense, mu = _counts(x), moments.mu
    if dense.shape != mu.shape:
        raise ValueError(f"x: expected the counts that the moments are of, {mu.shape}, found shape {dense.shape}.")
    if whole_number("leave_out", leave_out, 0, len(dense) - 2, "which leaves two cells"):
        kept = np.argsort(dense, axis=0, kind="stable")[: len(dense) - leave_out]  # (N − k, G), another set for each g
        dense, library = np.take_along_axis(dense, kept, axis=0), moments.library[kept]
        mu = library * (dense.sum(0) / library.sum(0))
    return (np.square(dense - mu) - mu).sum(0), np.square(mu).sum(0)


def predicted_variance(moments: CountMoments, mean: Floats, phi: float) -> Floats:
    r"""Variance over cells of a gene with the given mean: Poisson noise, unequal libraries, and overdispersion φ.

    .. math:: m + \mathrm{CV}^2 m^2 + φ (1 + \mathrm{CV}^2)\, m^2

    with CV the standard deviation of ℓ over its mean.

    Parameters
    ----------
    mean : (G,) or any shape.   phi : 1/θ ≥ 0; zero is Poisson.
    """
    phi = not_negative("phi", phi)
    cv_squared = moments.library.var(ddof=1) / moments.library.mean() ** 2
    return mean + (cv_squared + phi * (1 + cv_squared)) * mean**2


def predicted_zero_fraction(moments: CountMoments, rho: Floats, phi: float) -> Floats:
    r"""The share of cells that hold no count of a gene: the mean over cells of P(x = 0).

    .. math:: \frac1N \sum_n (1 + φ ℓ_n ρ_g)^{-1/φ}

    which is the mean of exp(−ℓ_n ρ_g) at φ = 0.

    Parameters
    ----------
    rho : (G,), shares of the library.   phi : 1/θ ≥ 0; zero is Poisson.
    """
    phi = not_negative("phi", phi)
    mu = np.outer(moments.library, rho)  # (N, G)
    log_zero = -mu if phi == 0 else -np.log1p(phi * mu) / phi
    return np.exp(log_zero).mean(0)


def relative_spread(distances: Floats) -> float:
    """Standard deviation of pairwise distances over their mean: near zero, every point is as far as every other."""
    distances = np.asarray(distances)
    if distances.size == 0 or not distances.mean() > 0:
        raise ValueError(
            f"distances: expected some above zero and none NaN, found {distances.size} with mean "
            f"{distances.mean() if distances.size else 'none'}; are all points the same?"
        )
    return float(distances.std() / distances.mean())
