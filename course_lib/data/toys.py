"""Toy data with nothing hidden: each simulator returns the truth beside the data.

Axes: N samples or cells, G features or genes, L latent dimensions. Every simulator takes a seed and uses one
``numpy.random.Generator``, so that the same call gives the same numbers.

Four questions, four simulators:

- :func:`white_noise`: is there structure at all? No.
- :func:`low_rank`: structure that is linear, with a covariance known in closed form.
- :func:`trigonometric_curve`: structure that is one curve, of which linear maps provably see little.
- :func:`three_programs`: counts of three groups of cells, each with its own program of genes.
"""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from course_lib.arguments import positive, real_number, whole_number


def white_noise(n_samples: int, n_features: int, seed: int = 0) -> NDArray[np.float32]:
    """Independent N(0, 1) numbers, (N, G) float32.

    The covariance is the identity, so a linear map to d numbers explains d/G of the variance of new samples.
    """
    _sizes(1, n_samples=n_samples, n_features=n_features)
    _sizes(0, seed=seed)
    return np.random.default_rng(seed).standard_normal((n_samples, n_features), dtype=np.float32)


@dataclass(frozen=True)
class LowRank:
    """A sample of x = W z + b + σ ε with z ~ N(0, I_L), ε ~ N(0, I_G), and everything that made it.

    ``eigenvalues`` are those of W Wᵀ, largest first; the columns of ``weights`` are orthogonal and
    ``weights[:, i]`` has squared length ``eigenvalues[i]``. The covariance of x has eigenvalues
    ``eigenvalues[i] + sigma**2`` for i < L and ``sigma**2`` for the other G − L.
    """

    x: NDArray[np.float32]  # (N, G)
    z: NDArray[np.float64]  # (N, L)
    weights: NDArray[np.float64]  # (G, L), W
    mean: NDArray[np.float64]  # (G,), b
    sigma: float  # σ, in the units of x
    eigenvalues: NDArray[np.float64]  # (L,), of W Wᵀ

    @property
    def covariance(self) -> NDArray[np.float64]:
        """W Wᵀ + σ² I, the exact covariance of x: (G, G)."""
        return self.weights @ self.weights.T + self.sigma**2 * np.eye(len(self.weights))

    @property
    def eigengap(self) -> float:
        """Smallest signal eigenvalue less the noise's, (λ_L + σ²) − σ² = λ_L.

        It decides how well a sample determines the subspace: PCA's angle to it shrinks as σ/eigengap·√(G/N).
        """
        return float(self.eigenvalues[-1])


def low_rank(
    n_samples: int,
    n_features: int,
    eigenvalues: tuple[float, ...] = (8.0, 4.0, 2.0),
    sigma: float = 0.5,
    mean_scale: float = 0.0,
    seed: int = 0,
) -> LowRank:
    """Draw from the linear-Gaussian model (probabilistic PCA; Tipping & Bishop 1999,
    https://doi.org/10.1111/1467-9868.00196).

    Parameters
    ----------
    eigenvalues : variances of the signal along its L axes, positive, largest first; their number is L ≤ G.
    sigma : standard deviation of the noise on every feature, ≥ 0.
    mean_scale : every entry of b is drawn from N(0, mean_scale²); 0 gives centred data.

    Raises
    ------
    ValueError : more eigenvalues than features, or eigenvalues that are not positive and sorted, or σ < 0.
    """
    _sizes(1, n_samples=n_samples, n_features=n_features)
    _sizes(0, seed=seed)
    lam = np.asarray(eigenvalues, dtype=np.float64)
    if not 1 <= lam.size <= n_features:
        raise ValueError(f"eigenvalues: expected 1 to {n_features}, the features there are, found {lam.size}.")
    if not (np.all(lam > 0) and np.all(np.isfinite(lam)) and np.all(np.diff(lam) <= 0)):
        raise ValueError(f"eigenvalues: expected positive numbers, largest first, found {tuple(eigenvalues)}.")
    _at_least(0, sigma=sigma, mean_scale=mean_scale)

    rng = np.random.default_rng(seed)
    axes = _orthonormal(rng, n_features, lam.size)  # (G, L)
    weights = axes * np.sqrt(lam)  # (G, L)
    mean = mean_scale * rng.standard_normal(n_features)  # (G,)
    z = rng.standard_normal((n_samples, lam.size))  # (N, L)
    x = z @ weights.T + mean + sigma * rng.standard_normal((n_samples, n_features))
    return LowRank(x.astype(np.float32), z, weights, mean, float(sigma), lam)


@dataclass(frozen=True)
class Curve:
    """Points on a closed curve in G dimensions, with noise, and where on the curve each one lies."""

    x: NDArray[np.float32]  # (N, G), with noise
    signal: NDArray[np.float64]  # (N, G), the point on the curve itself
    angle: NDArray[np.float64]  # (N,), t in [0, 2π): the one number that makes a sample
    axes: NDArray[np.float64]  # (G, 2K), orthonormal
    n_frequencies: int  # K
    sigma: float  # σ, in the units of x

    def pca_share(self, n_components: int) -> float:
        """Fraction of the variance of x that the best linear map to ``n_components`` ≤ 2K numbers explains.

        The signal's covariance is G/(2K) times a projection on 2K dimensions, the noise adds σ² I, so each
        component holds G/(2K) + σ² of a total of G + G σ². It is exact for the distribution, not for a sample.
        """
        if not 0 <= n_components <= 2 * self.n_frequencies:
            raise ValueError(f"n_components: expected 0 to {2 * self.n_frequencies}, found {n_components}.")
        n_features = self.x.shape[1]
        each = n_features / (2 * self.n_frequencies) + self.sigma**2
        return n_components * each / (n_features * (1 + self.sigma**2))

    @property
    def signal_share(self) -> float:
        """Fraction of the variance of x that is signal, 1/(1 + σ²): what the true curve explains."""
        return 1 / (1 + self.sigma**2)


def trigonometric_curve(
    n_samples: int,
    n_features: int = 50,
    n_frequencies: int = 3,
    sigma: float = 0.1,
    seed: int = 0,
) -> Curve:
    r"""One angle, many waves: a curve that fills 2K dimensions evenly, so that PCA has no axis to prefer.

    .. math:: x = \sqrt{G/K}\, Q\,(\cos t, \sin t, \cos 2t, \sin 2t, …, \cos Kt, \sin Kt) + σ ε, \quad t ∼ U[0, 2π)

    with Q (G, 2K) orthonormal. The waves are uncorrelated and of equal variance: two principal components explain
    1/K of the signal, although a circle's worth of position explains all of it. The signal has variance 1 per
    feature on average, so σ² is the ratio of noise to signal.

    Raises
    ------
    ValueError : fewer features than 2K, or σ < 0.
    """
    _sizes(1, n_samples=n_samples, n_features=n_features, n_frequencies=n_frequencies)
    _sizes(0, seed=seed)
    if n_features < 2 * n_frequencies:
        raise ValueError(
            f"n_features: expected at least {2 * n_frequencies}, the dimensions that {n_frequencies} frequencies span, "
            f"found {n_features}."
        )
    _at_least(0, sigma=sigma)

    rng = np.random.default_rng(seed)
    axes = _orthonormal(rng, n_features, 2 * n_frequencies)  # (G, 2K)
    angle = rng.uniform(0, 2 * np.pi, n_samples)  # (N,)
    phases = angle[:, None] * np.arange(1, n_frequencies + 1)  # (N, K)
    waves = np.concatenate([np.cos(phases), np.sin(phases)], axis=1)  # (N, 2K), each row of length √K
    signal = np.sqrt(n_features / n_frequencies) * waves @ axes.T  # (N, G)
    x = signal + sigma * rng.standard_normal((n_samples, n_features))
    return Curve(x.astype(np.float32), signal, angle, axes, n_frequencies, float(sigma))


def three_programs(
    n_cells: int = 6000,
    n_genes: int = 1000,
    fold: float = 1.5,
    mean_library: float = 3500.0,
    seed: int = 0,
) -> ad.AnnData:
    r"""Counts of three groups of cells, a third each, where each group raises its own third of the genes by ``fold``.

    Gene g has a baseline b_g ~ LogNormal(0, 1) and cell n a library size ℓ_n ~ LogNormal with mean ``mean_library``
    and log-standard deviation 0.4. Then

    .. math:: ρ_{ng} ∝ b_g · \text{fold}^{[g ∈ \text{program of } n]}, \quad x_{ng} ∼ \text{Poisson}(ℓ_n ρ_{ng})

    with the rows of ρ summing to one: the groups differ in which genes they express, not in how much. The noise is
    Poisson, the least that counting allows; ``fold`` and ``mean_library`` set how hard the groups are to see. After
    normalisation to a fixed total the unequal library sizes remain as a direction of their own, which a network that
    has learned nothing cannot tell from the programs.

    Returns
    -------
    AnnData (N, G) with counts in ``X`` (uint16) and the truth beside it: ``obs["program"]`` (A, B, C) and
    ``obs["library"]`` (ℓ); ``var["program"]`` (the group that raises the gene: thirds, in order) and
    ``var["baseline"]`` (b, summing to one); ``uns["truth"]["rho"]`` (3, G), one row per program.

    Raises
    ------
    ValueError : fewer than 3 cells or genes, fold < 1, a library mean that is not positive, or a cell that drew no
        count at all (too small a library for so few genes).
    """
    _sizes(3, n_cells=n_cells, n_genes=n_genes)
    _sizes(0, seed=seed)
    _at_least(1, fold=fold)
    positive("mean_library", mean_library)

    rng = np.random.default_rng(seed)
    names = np.array(["A", "B", "C"])
    cell_program = rng.permutation(np.arange(n_cells) % 3)  # (N,)
    gene_program = np.arange(n_genes) * 3 // n_genes  # (G,): thirds, in order
    baseline = rng.lognormal(0.0, 1.0, n_genes)  # (G,)
    baseline /= baseline.sum()
    rho = baseline * np.where(np.arange(3)[:, None] == gene_program, fold, 1.0)  # (3, G)
    rho /= rho.sum(axis=1, keepdims=True)
    spread = 0.4  # of log ℓ, as in droplet data
    library = rng.lognormal(np.log(mean_library) - spread**2 / 2, spread, n_cells)  # (N,)
    x = rng.poisson(library[:, None] * rho[cell_program])  # (N, G)

    empty = np.flatnonzero(x.sum(axis=1) == 0)
    if empty.size:
        raise ValueError(
            f"mean_library: expected a count in every cell, found cell {empty[0]} without (and {empty.size - 1} "
            f"others) at {mean_library:g}; raise it."
        )
    return ad.AnnData(
        X=x.astype(np.uint16),
        obs=pd.DataFrame(
            {"program": pd.Categorical(names[cell_program], categories=names), "library": library},
            index=[f"cell_{i}" for i in range(n_cells)],
        ),
        var=pd.DataFrame(
            {"program": pd.Categorical(names[gene_program], categories=names), "baseline": baseline},
            index=[f"gene_{i}" for i in range(n_genes)],
        ),
        uns={"truth": {"rho": rho, "fold": float(fold)}},
    )


def _orthonormal(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Random (rows, columns) matrix with orthonormal columns."""
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]


def _sizes(least: int, **sizes: int) -> None:
    for name, size in sizes.items():
        whole_number(name, size, least)


def _at_least(least: float, **values: float) -> None:
    for name, value in values.items():
        if real_number(name, value) < least:
            raise ValueError(f"{name}: expected a number ≥ {least}, found {value}.")
