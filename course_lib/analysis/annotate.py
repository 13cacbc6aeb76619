"""From a trained scVI into the AnnData: results where the rest of scverse looks for them."""

from anndata import AnnData

from course_lib.analysis.gate import cells_for
from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.posterior import get_latent_library_size, get_normalized_expression
from course_lib.analysis.protocol import CountModel


def annotate(data: AnnData, model: CountModel, *, layer: str | None = None, batch_key: str | None = None) -> None:
    """Write what ``model`` infers about the cells of ``data`` into it.

    Parameters
    ----------
    data : the model's genes in the model's order, raw counts.   layer, batch_key : where counts and batches stand.

    Writes
    ------
    - ``obsm["X_scVI"]``: posterior mean of z, (N, L), for ``scanpy.pp.neighbors(data, use_rep="X_scVI")``;
    - ``obs["scvi_library_size"]``: posterior mean of ℓ, (N,), molecules;
    - ``layers["scvi_normalized"]``: ρ of each cell in its own batch, (N, G), rows sum to one.

    All is computed before anything is written.

    Raises
    ------
    ValueError : as ``analysis.gate.cells_for``.
    """
    cells = cells_for(model, data, layer=layer, batch_key=batch_key)
    z = get_latent_representation(model, cells)
    library, rho = get_latent_library_size(model, cells), get_normalized_expression(model, cells)
    data.obsm["X_scVI"], data.obs["scvi_library_size"], data.layers["scvi_normalized"] = z, library, rho
