"""From a trained scVI into the AnnData: results where the rest of scverse looks for them."""

import warnings
from collections.abc import Sequence
from typing import Any

import scipy.sparse
from anndata import AnnData
from mudata import MuData

from course_lib.analysis.gate import COUNT_MODEL, cells_for, check_model, warn_untrained
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import get_latent_library_size, get_normalized_expression
from course_lib.analysis.protocol import CountModel
from course_lib.arguments import text


def annotate(
    data: AnnData,
    model: CountModel,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    normalized: bool = True,
    key_added: str | None = None,
) -> None:
    """Write what ``model`` infers about the cells of ``data`` into it.

    Parameters
    ----------
    data : the model's genes in the model's order, raw counts.   layer, batch_key : where counts and batches stand.
    normalized : write the normalised expression too, 4 bytes × N × G however sparse the counts are; False leaves it
        out, for tables too large for that.
    key_added : the name that results get in place of "scVI" and "scvi": ``obsm["X_<key_added>"]`` and so on.

    Writes
    ------
    - ``obsm["X_scVI"]``: posterior mean of z, (N, L), for ``scanpy.pp.neighbors(data, use_rep="X_scVI")``;
    - ``obs["scvi_library_size"]``: posterior mean of ℓ, (N,), molecules;
    - ``layers["scvi_normalized"]``: ρ of each cell in its own batch, (N, G), rows sum to one.

    All is computed before anything is written. What stood under these names is replaced, with a warning. A table that
    does not fit into memory is asked without AnnData: ``get_latent_representation(model, cells_for(model,
    cells_from_file(path, …)))``, and so on, ``get_normalized_expression`` for as many cells at a time as you can store.

    Raises
    ------
    TypeError : data that is no AnnData; a model that has no library size or no batches, such as a VAE.
    ValueError : as ``analysis.gate.cells_for``.

    Warns
    -----
    UserWarning : the model was never trained; something is replaced.
    """
    check_can_be_written(data)
    check_model("annotate", model, COUNT_MODEL)
    name, prefix = ("scVI", "scvi") if key_added is None else (text("key_added", key_added),) * 2
    table = data.X if layer is None else data.layers.get(layer)
    sparse = scipy.sparse.issparse(table)  # and stays so, but for a part at a time
    cells = cells_for(model, data, layer=layer, batch_key=batch_key, sparse=sparse)
    warn_untrained(model)
    results: list[tuple[str, str, Any]] = [
        ("obsm", f"X_{name}", get_latent_representation(model, cells)),
        ("obs", f"{prefix}_library_size", get_latent_library_size(model, cells)),
    ]
    if normalized:
        results.append(("layers", f"{prefix}_normalized", get_normalized_expression(model, cells)))
    write(data, results)


def check_can_be_written(data: Any) -> None:
    """TypeError for what is no AnnData, ValueError for one that is not in memory."""
    if not isinstance(data, AnnData):
        raise TypeError(f"data: expected an AnnData to write into, found {type(data).__name__}.")
    if data.isbacked:
        raise ValueError(
            f"data: expected an AnnData in memory, found one that reads {data.filename} as needed (backed); call "
            "data.to_memory(), or ask about cells_for(model, cells_from_file(path, …)) and store what you need."
        )


def write(data: AnnData | MuData, results: Sequence[tuple[str, str, Any]]) -> None:
    """Store results, each with "obs", "obsm" or "layers" and its name there; a warning names what they replace."""
    replaced = [f"{where}[{key!r}]" for where, key, _ in results if key in getattr(data, where)]
    if replaced:
        warnings.warn(
            f"key_added: found {', '.join(replaced)}, now replaced; choose another name to keep both.", stacklevel=3
        )
    for where, key, values in results:
        getattr(data, where)[key] = values
