"""What a model of RNA and antibodies says about antibodies: foreground or not, without noise, or never counted at all.

Axes: N cells, T antibodies, L latent dimensions, K samples of z and β for each cell. Tables are data frames with a row
for each cell, in the cells' order, and a named column for each antibody. Models are asked in evaluation mode, a part of
the cells at a time; randomness comes from ``seed`` alone.

Every function here raises TypeError for a model without antibodies, for something else than cells and for a number of
another kind, ValueError for cells of other genes, antibodies or batches and for numbers out of their range.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from mudata import MuData
from torch import Tensor

from course_lib.analysis.annotate import write
from course_lib.analysis.gate import cells_for, check_model, check_question, warn_untrained
from course_lib.analysis.latent import encode, get_latent_representation
from course_lib.analysis.parts import device_of, one_after_another, parts_of
from course_lib.analysis.posterior import batch_codes
from course_lib.analysis.protocol import ProteinModel
from course_lib.arguments import choice, real_number, seed_number, whole_number
from course_lib.contexts import evaluating, seeded
from course_lib.data.protein_cells import ProteinCells, cells_from_mudata
from course_lib.probability.mixture import NegativeBinomialMixture

PROTEIN_MODEL = ("genes", "batches", "proteins", "measures_protein", "encode", "encode_background", "decode_protein")


def foreground_probability(
    model: ProteinModel,
    cells: ProteinCells,
    *,
    given_counts: bool = True,
    fold: float = 1.0,
    transform_batch: str | list[str] | None = None,
    n_samples: int = 25,
    seed: int = 0,
) -> pd.DataFrame:
    """How probable it is that a cell's count of an antibody is foreground, v = 0: (N, T), 0 to 1.

    The expectation over z ~ q(z∣x, y), β ~ q(β∣z, s) of P(v = 0∣y, z, β), by Bayes from the count itself.

    Parameters
    ----------
    given_counts : False gives the expectation of 1 − π(z, s), before the count is looked at a second time: the
        definition of scvi-tools' ``get_protein_foreground_probability``. Cells without antibodies get it in any case.
    fold : ≥ 1; foreground counts only where α, how many times it stands above the background, is at least that. A kind
        of cell to which everything sticks a little more is foreground of a small α, and 1 lets it pass.
    transform_batch : decode every cell as if it came from this batch; several names: average over them; None: each
        cell's own, or if that has no antibodies the average over those that have.
    n_samples : K draws of z and β.
    """
    choice("given_counts", given_counts, (False, True))
    if real_number("fold", fold) < 1:
        raise ValueError(f"fold: expected a number ≥ 1, found {fold}; a foreground is never below its background.")

    def probability(p: NegativeBinomialMixture, part: ProteinCells) -> Tensor:
        probability = 1 - p.mixture_probs  # (K, n, T)
        if given_counts:
            seen = part.has_protein.unsqueeze(-1)
            by_count = p.foreground_probability(torch.where(seen, part.protein, 0.0))
            probability = torch.where(seen, by_count, probability)
        return torch.where(p.mu_foreground >= fold * p.mu_background, probability, 0.0)

    return expectation("foreground_probability", model, cells, probability, transform_batch, n_samples, seed)


def denoised_protein(
    model: ProteinModel,
    cells: ProteinCells,
    *,
    include_background: bool = False,
    transform_batch: str | list[str] | None = None,
    n_samples: int = 25,
    seed: int = 0,
) -> pd.DataFrame:
    """Expected counts without noise and without background: the expectation of (1 − π) αβ, (N, T).

    As scvi-tools' ``get_normalized_expression`` gives it. A cell without antibodies gets what its RNA says.

    Parameters
    ----------
    include_background : the expectation of πβ + (1 − π)αβ, all that is counted.
    transform_batch, n_samples : as in ``foreground_probability``.
    """
    choice("include_background", include_background, (False, True))

    def expected(p: NegativeBinomialMixture, part: ProteinCells) -> Tensor:
        return p.mean if include_background else (1 - p.mixture_probs) * p.mu_foreground

    return expectation("denoised_protein", model, cells, expected, transform_batch, n_samples, seed)


def impute_protein(
    model: ProteinModel,
    cells: ProteinCells,
    *,
    transform_batch: str | list[str] | None = None,
    n_samples: int = 25,
    seed: int = 0,
) -> pd.DataFrame:
    """Expected counts, background included, from a cell's RNA alone: (N, T).

    Antibodies that were measured are not looked at, so that what is said of them can be compared with them.
    """
    return denoised_protein(
        model, cells.without_protein(), include_background=True, transform_batch=transform_batch, n_samples=n_samples,
        seed=seed,
    )  # fmt: skip


def annotate_proteins(
    mdata: MuData,
    model: ProteinModel,
    *,
    rna: str = "rna",
    protein: str = "protein",
    batch_key: str | None = None,
) -> None:
    """Write what ``model`` infers about the cells of ``mdata`` into it.

    Parameters
    ----------
    mdata, rna, protein, batch_key : as in ``cells_from_mudata``; the model's genes and antibodies in its order.

    Writes
    ------
    For every cell, whether it has antibodies or not; which have them says mudata's own ``mdata.obsm[protein]``.

    - ``obsm["X_totalVI"]``: posterior mean of z, (N, L);
    - ``obsm["protein_foreground"]``: ``foreground_probability``, a data frame (N, T);
    - ``obsm["protein_denoised"]``: ``denoised_protein``, a data frame (N, T), counts.

    All is computed before anything is written. What stood under these names is replaced, with a warning.

    Raises
    ------
    TypeError, ValueError : as ``cells_from_mudata`` and ``analysis.gate.cells_for``.

    Warns
    -----
    UserWarning : the model was never trained; something is replaced.
    """
    check_model("annotate_proteins", model, PROTEIN_MODEL)
    cells: Any = cells_for(model, cells_from_mudata(mdata, rna=rna, protein=protein, batch_key=batch_key))
    warn_untrained(model)
    names = mdata[rna].obs_names
    order = names.get_indexer(mdata.obs_names)  # the table's rows are those of the RNA: all cells, in another order
    tables = {
        "protein_foreground": foreground_probability(model, cells),
        "protein_denoised": denoised_protein(model, cells),
    }
    results: list[tuple[str, str, Any]] = [("obsm", "X_totalVI", get_latent_representation(model, cells)[order])]
    results += [("obsm", key, table.iloc[order].set_index(mdata.obs_names)) for key, table in tables.items()]
    write(mdata, results)


def expectation(
    question: str,
    model: ProteinModel,
    cells: ProteinCells,
    quantity: Callable[[NegativeBinomialMixture, ProteinCells], Tensor],
    transform_batch: str | list[str] | None,
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """The mean over K draws of z and β, and over the batches asked for, of a quantity of p(y∣z, β, s): (N, T)."""
    check_question(question, model, cells, PROTEIN_MODEL)
    n_samples = whole_number("n_samples", n_samples)
    codes = batch_codes(model, transform_batch)
    have = model.measures_protein.nonzero().flatten().tolist()  # codes of batches with antibodies
    empty = [model.batches[code] for code in codes if code is not None and code not in have]
    if empty:
        known = ", ".join(repr(model.batches[code]) for code in have)
        raise ValueError(
            f"transform_batch: expected batches in which the model saw antibodies, {known}, found {empty[0]!r}."
        )

    def of_part(part: Any) -> Tensor:
        z = encode(model, part).sample((n_samples,))  # (K, n, L)
        if codes != [None]:
            batches = [torch.full_like(part.batch, code) for code in codes if code is not None]
        else:  # each its own; of a batch without antibodies the decoder has learned nothing
            own = model.measures_protein[part.batch]  # (n,)
            batches = [part.batch] if own.all() else [torch.where(own, part.batch, code) for code in have]
        means = []
        for batch in batches:
            log_beta = model.encode_background(z, batch).sample()  # (K, n, T)
            means.append(quantity(model.decode_protein(z, log_beta, batch).base_dist, part).mean(0))
        return torch.stack(means).mean(0)

    with evaluating(model), seeded(seed_number(seed), device_of(model, cells)):
        table = one_after_another(len(cells), (of_part(part) for part in parts_of(model, cells, n_samples)))
    return pd.DataFrame(table, columns=list(model.proteins))
