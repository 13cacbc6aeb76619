r"""The best that any classifier can do on simulated cells: Bayes' rule with the truth in place of every guess.

Who knows each type's profile, θ, the batch's distortion, and of each cell ℓ and π, needs no training:

.. math:: p(c∣x, s, ℓ, π) ∝ p(c) \prod_g \text{ZINB}(x_g∣ℓ ρ_{csg}, θ_g, π_g)

No rule that sees the counts alone is right more often, on average over such cells: knowing less than all cannot help.

Axes: N cells, G genes, T types, B batches. The simulation is that of ``course_lib.data.scvi_process``.
"""

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scipy.special import logit, softmax

from course_lib.probability.counts import log_nb, log_zinb


def type_probabilities(simulated: AnnData) -> NDArray[np.float64]:
    """p(c∣x, s, ℓ, π) of each cell under the parameters that made it; types equally frequent, as they were drawn.

    Returns
    -------
    (N, T), rows sum to one, columns in the order of ``simulated.obs["cell_type"].cat.categories``.

    Raises
    ------
    ValueError : data without the truth that ``scvi_process.simulate`` keeps.
    """
    lacking = [
        name
        for name, where in (("library", simulated.obs), ("theta", simulated.var), ("zi_probs", simulated.layers),
                            ("truth", simulated.uns))
        if name not in where
    ]  # fmt: skip
    if lacking:
        raise ValueError(
            f"simulated: expected the truth beside the counts, found no {', '.join(lacking)}; give what "
            "data.scvi_process.simulate returned."
        )
    truth = simulated.uns["truth"]
    x = torch.as_tensor(np.asarray(simulated.X, dtype=np.float64))  # (N, G)
    theta = torch.as_tensor(simulated.var["theta"].to_numpy())  # (G,)
    library = simulated.obs["library"].to_numpy()[:, None]  # (N, 1)
    batch = simulated.obs["batch"].cat.codes.to_numpy()  # (N,)
    zi_probs = simulated.layers["zi_probs"]  # (N, G)

    rho = truth["rho_types"][:, None] * np.exp(truth["batch_log_factors"])  # (T, B, G)
    rho = rho / rho.sum(axis=-1, keepdims=True)
    scores = []
    for rho_of_type in rho:  # (B, G)
        mu = torch.as_tensor(library * rho_of_type[batch])  # (N, G)
        if zi_probs.any():
            scores.append(log_zinb(x, mu, theta, torch.as_tensor(logit(zi_probs))).sum(-1))
        else:
            scores.append(log_nb(x, mu, theta).sum(-1))
    return softmax(torch.stack(scores, dim=-1).numpy(), axis=-1)  # (N, T)
