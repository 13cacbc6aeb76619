"""From probabilities to decisions: the Bayes factor, and how many genes may be called.

Axes: G genes. Nothing here knows where the probabilities come from.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from course_lib.arguments import fraction

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
    if p.ndim != 1:
        raise ValueError(f"proba: expected (G,), a probability for each gene, found shape {p.shape}.")
    order = np.argsort(-p, kind="stable")
    expected = np.empty(len(p))
    expected[order] = np.cumsum(1 - p[order]) / np.arange(1, len(p) + 1)
    return expected


def called_at(proba: ArrayLike, fdr_target: float = 0.05) -> NDArray[np.bool_]:
    """The largest set of most probable genes whose posterior expected FDR is at most ``fdr_target``: (G,) bool.

    The allowance is spent to the end: at .05, nineteen genes of p = 1 let in a twentieth whatever its p.

    Raises
    ------
    TypeError, ValueError : a target that is no number or outside (0, 1); numbers that are no probabilities.
    """
    fdr_target = fraction("fdr_target", fdr_target, zero_too=False)
    # p falls, so the running mean of 1 − p rises, and "the largest k" is "every k until then".
    # The 1e-12: in floating point 1 − .95 is above .05.
    return posterior_expected_fdr(proba) <= fdr_target + 1e-12


def _probabilities(proba: ArrayLike) -> NDArray[np.float64]:
    p = np.asarray(proba)
    if p.dtype.kind not in "biuf":
        raise TypeError(f"proba: expected probabilities, found {p.dtype}; take one column of a table.")
    p = p.astype(np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        wrong = p[~((p >= 0) & (p <= 1))][0]
        raise ValueError(f"proba: expected probabilities in [0, 1], found {wrong}; is it a log Bayes factor?")
    return p
