"""What a model with a classifier says about types: the label of each cell, and how probable each label is.

Axes: N cells, L latent dimensions, C labels. ``predict`` has scvi-tools' name. The model is asked in evaluation mode,
at the posterior mean of z, so answers repeat.
"""

from collections.abc import Iterator
from typing import Literal, overload

import numpy as np
import pandas as pd
import scipy.sparse
from anndata import AnnData
from numpy.typing import NDArray
from torch import Tensor

from course_lib.analysis.annotate import check_can_be_written, write
from course_lib.analysis.gate import cells_for, check_model, check_question, warn_untrained
from course_lib.analysis.latent import encode
from course_lib.analysis.parts import one_after_another, parts_of
from course_lib.analysis.protocol import LabelModel
from course_lib.arguments import choice, text
from course_lib.contexts import evaluating
from course_lib.data.cells import CellTable

LABEL_MODEL = ("genes", "batches", "labels", "encode", "classify")  # what protocol.LabelModel must have


@overload
def predict(model: LabelModel, cells: CellTable, soft: Literal[False] = False) -> NDArray[np.str_]: ...
@overload
def predict(model: LabelModel, cells: CellTable, soft: Literal[True]) -> NDArray[np.float32]: ...
def predict(model: LabelModel, cells: CellTable, soft: bool = False) -> NDArray[np.str_] | NDArray[np.float32]:
    """The most probable label of each cell, or with ``soft`` the probability of every label, q(c∣z) at the mean of z.

    A cell's own label, where it has one, is not looked at: x alone is.

    Returns
    -------
    (N,) names; with ``soft`` (N, C) probabilities, rows sum to one, columns in the order of ``model.labels``.

    Raises
    ------
    TypeError : a model that lacks labels or a classifier, no cells.
    ValueError : no cell; other genes, batches or labels than the model's; ``soft`` neither False nor True.
    """
    check_question("predict", model, cells, LABEL_MODEL)
    choice("soft", soft, (False, True))

    def probabilities() -> Iterator[Tensor]:
        for part in parts_of(model, cells):
            yield model.classify(encode(model, part).mean).probs  # (n, C)

    with evaluating(model):
        found = one_after_another(len(cells), probabilities())
    return found if soft else np.array(model.labels)[found.argmax(axis=1)]


def annotate_labels(
    data: AnnData,
    model: LabelModel,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    key_added: str | None = None,
) -> None:
    """Write the label of each cell of ``data``, and how probable each is, into it.

    Parameters
    ----------
    data : the model's genes in the model's order, raw counts.   layer, batch_key : where counts and batches stand.
    key_added : the name that results get in place of "scvi".

    Writes
    ------
    - ``obs["scvi_label"]``: the most probable label, a category with all labels of the model in its order;
    - ``obsm["scvi_label_probabilities"]``: (N, C), a data frame with a column for each label, rows sum to one.

    A cell that had a label when the model was trained gets what the model thinks of it all the same. All is computed
    before anything is written. What stood under these names is replaced, with a warning.

    Raises
    ------
    TypeError : data that is no AnnData; a model without labels or classifier.
    ValueError : data that is backed; as ``analysis.gate.cells_for``.

    Warns
    -----
    UserWarning : the model was never trained; something is replaced.
    """
    check_can_be_written(data)
    check_model("annotate_labels", model, LABEL_MODEL)
    prefix = "scvi" if key_added is None else text("key_added", key_added)
    sparse = scipy.sparse.issparse(data.X if layer is None else data.layers.get(layer))
    cells = cells_for(model, data, layer=layer, batch_key=batch_key, sparse=sparse)
    warn_untrained(model)
    probabilities = predict(model, cells, soft=True)
    label = pd.Categorical.from_codes(probabilities.argmax(axis=1), list(model.labels))
    table = pd.DataFrame(probabilities, index=data.obs_names, columns=list(model.labels))
    write(data, [("obs", f"{prefix}_label", label), ("obsm", f"{prefix}_label_probabilities", table)])
