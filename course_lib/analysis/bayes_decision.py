"""From probabilities to decisions: the Bayes factor, and how many genes may be called.

Axes: G genes. Nothing here knows where the probabilities come from.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLIP = 1e-8  # keeps log(0) out: |log Bayes factor| ≤ log(1/CLIP) = 18.42
STRONG = 3.0  # |log Bayes factor| from here on: a probability of at least .953


def log_bayes_factor(proba: ArrayLike) -> NDArray[np.float64]:
    """log p(M₁) − log p(M₂) with p(M₂) = 1 − p(M₁), in nats: the log posterior odds, the Bayes factor at equal priors.

    Parameters
    ----------
    proba : p(M₁) in [0, 1], any shape.

    Returns
    -------
    The same shape, within ±18.42: ``CLIP`` is added to both probabilities, since K draws cannot tell 1 from 1 − 1/2K.
    """
    p = _probabilities(proba)
    return np.log(p + CLIP) - np.log(1 - p + CLIP)


def posterior_expected_fdr(proba: ArrayLike) -> NDArray[np.float64]:
    """The share of false discoveries to expect when a gene is called together with all that are more probable.

    Parameters
    ----------
    proba : (G,) posterior probability that each gene is changed. Among equals the earlier comes first.

    Returns
    -------
    (G,) mean of 1 − p over the genes called, in the order of ``proba``. It is right if the probabilities are.
    Source: Boyeau et al. 2023, https://doi.org/10.1073/pnas.2209124120.
    """
    p = _probabilities(proba)
    order = np.argsort(-p, kind="stable")
    expected = np.empty(len(p))
    expected[order] = np.cumsum(1 - p[order]) / np.arange(1, len(p) + 1)
    return expected


def called_at(proba: ArrayLike, fdr_target: float = 0.05) -> NDArray[np.bool_]:
    """The largest set of most probable genes whose posterior expected FDR is at most ``fdr_target``: (G,) bool.

    The allowance is spent to the end: at .05, nineteen genes of p = 1 let in a twentieth whatever its p.

    Raises
    ------
    ValueError : a target outside (0, 1), or numbers that are no probabilities.
    """
    check_fdr_target(fdr_target)
    # p falls, so the running mean of 1 − p rises, and "the largest k" is "every k until then".
    # The 1e-12: in floating point 1 − .95 is above .05.
    return posterior_expected_fdr(proba) <= fdr_target + 1e-12


def check_fdr_target(fdr_target: float) -> None:
    """ValueError unless the target is a share strictly between 0 and 1."""
    if not 0 < fdr_target < 1:
        raise ValueError(f"fdr_target: expected a share between 0 and 1, such as 0.05, found {fdr_target}.")


def _probabilities(proba: ArrayLike) -> NDArray[np.float64]:
    p = np.asarray(proba, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"proba: expected probabilities in [0, 1], found {p[~((p >= 0) & (p <= 1))][0]}.")
    return p
