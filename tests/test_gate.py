"""The second gate: a model is asked only about cells that it knows how to read."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from anndata import AnnData

from course_lib.analysis.gate import cells_for
from course_lib.data.cells import StoredCells, cells_from_counts
from course_lib.data.columns import ONLY_BATCH
from course_lib.data.files import cells_from_file
from course_lib.models.scvi import SCVI
from course_lib.models.vae import VAE

GENES, BATCHES = ("g1", "g2", "g3"), ("mouse 1", "mouse 2", "mouse 3")


def a_model(genes=GENES, batches=BATCHES) -> SimpleNamespace:
    return SimpleNamespace(genes=tuple(genes), batches=tuple(batches))


def a_table(batches=("mouse 3", "mouse 1", "mouse 3", "mouse 2"), genes=GENES) -> AnnData:
    counts = np.arange(1, 1 + len(batches) * len(genes)).reshape(len(batches), len(genes))
    obs = pd.DataFrame({"mouse": list(batches)}, index=[f"cell_{i}" for i in range(len(batches))])
    return AnnData(counts.astype(np.float32), obs, pd.DataFrame(index=list(genes)))


def test_known_cells_pass_with_their_counts_and_the_models_codes():
    cells = cells_for(a_model(), a_table(), batch_key="mouse")
    np.testing.assert_array_equal(cells.x, np.arange(1, 13).reshape(4, 3))
    assert cells.batch.tolist() == [2, 0, 2, 1]
    assert cells.batch.dtype == torch.int64
    assert cells.genes == GENES
    assert cells.batches == BATCHES


def test_fewer_batches_keep_the_numbers_that_the_model_gave_them():
    """Alone, these two batches would be numbered 0 and 1."""
    data = a_table(("mouse 3", "mouse 2", "mouse 3"))
    assert cells_from_counts(data, batch_key="mouse").batch.tolist() == [1, 0, 1]
    cells = cells_for(a_model(), data, batch_key="mouse")
    assert cells.batch.tolist() == [2, 1, 2]
    assert cells.batches == BATCHES
    assert cells_for(a_model(), a_table()[:1], batch_key="mouse").batch.tolist() == [2]


def test_the_order_of_the_categories_does_not_matter():
    data = a_table()
    data.obs["mouse"] = pd.Categorical(data.obs["mouse"], ["mouse 3", "mouse 2", "mouse 1"])
    assert cells_for(a_model(), data, batch_key="mouse").batch.tolist() == [2, 0, 2, 1]


def test_a_layer_is_read_where_one_is_named():
    data = a_table()
    data.layers["counts"], data.X = data.X.copy(), data.X / 7
    cells = cells_for(a_model(), data, layer="counts", batch_key="mouse")
    np.testing.assert_array_equal(cells.x, np.arange(1, 13).reshape(4, 3))
    with pytest.raises(ValueError, match="not whole"):
        cells_for(a_model(), data, batch_key="mouse")


def test_a_model_without_batches_takes_cells_without_batches():
    cells = cells_for(a_model(batches=(ONLY_BATCH,)), a_table())
    assert cells.batch.tolist() == [0, 0, 0, 0]
    model = SCVI(GENES, library_prior=None, hidden=(4,))  # its default says the same
    assert cells_for(model, a_table()).batches == (ONLY_BATCH,)


@pytest.mark.parametrize(
    "model, data, keys, message",
    [
        (a_model(), a_table(), {}, r"batch_key: expected the column of obs that names \('mouse 1', .*found None"),
        (a_model(batches=("mouse 1",)), a_table(), {}, r"batch_key: expected the column .*\('mouse 1',\), found None"),
        (
            a_model(batches=(ONLY_BATCH,)),
            a_table(),
            {"batch_key": "mouse"},
            "batch_key: expected none, as the model was built without, found 'mouse'; leave it out",
        ),
        (
            a_model(),
            a_table(("mouse 1", "mouse 9", "rat")),
            {"batch_key": "mouse"},
            r"data.obs\['mouse'\]: expected batches that the model has seen.*'mouse 9' \(2 unknown\); leave",
        ),
        (
            a_model(),
            a_table()[:, ["g1", "g3", "g2"]],
            {"batch_key": "mouse"},
            r"cells: the 3 genes of the model in another order, first 'g2' at column 2 instead of 1; use data",
        ),
        (
            a_model(),
            a_table()[:, ["g1", "g3"]],
            {"batch_key": "mouse"},
            "cells: expected the 3 genes of the model, found 2: 1 missing, first 'g2', 0 unknown. Train a model on",
        ),
        (
            a_model(),
            a_table(genes=("g1", "g2", "g3", "g4")),
            {"batch_key": "mouse"},
            r"expected the 3 genes of the model, found 4: 0 missing, 1 unknown. Choose them with data",
        ),
        (
            a_model(),
            a_table(genes=("g1", "g2", "G3")),
            {"batch_key": "mouse"},
            "expected the 3 genes of the model, found 3: 1 missing, first 'g3', 1 unknown. Train",
        ),
    ],
)
def test_what_the_model_cannot_read_is_refused_with_a_remedy(model, data, keys, message):
    with pytest.raises(ValueError, match=message):
        cells_for(model, data, **keys)


def test_the_remedy_for_genes_in_another_order_works():
    model, shuffled = a_model(), a_table()[:, ["g3", "g1", "g2"]]
    cells = cells_for(model, shuffled[:, list(model.genes)], batch_key="mouse")
    np.testing.assert_array_equal(cells.x, np.arange(1, 13).reshape(4, 3))


# Cells of other kinds


def stored(*batches) -> StoredCells:
    return cells_from_counts(a_table(batches), batch_key="mouse", sparse=True)


def test_counts_stay_sparse_where_they_are_asked_to():
    data = a_table()
    data.X = scipy.sparse.csr_matrix(data.X)
    cells = cells_for(a_model(), data, batch_key="mouse", sparse=True)
    assert isinstance(cells, StoredCells)
    assert cells.batches == BATCHES
    assert cells[:].batch.tolist() == cells.batch.tolist() == [2, 0, 2, 1]
    np.testing.assert_array_equal(cells[:].x, np.arange(1, 13).reshape(4, 3))


def test_cells_of_either_kind_made_elsewhere_get_the_models_codes(tmp_path):
    a_table(("mouse 3", "mouse 2", "mouse 3")).write_h5ad(tmp_path / "mice.h5ad")
    from_file = cells_from_file(tmp_path / "mice.h5ad", batch_key="mouse")
    for cells in (stored("mouse 3", "mouse 2", "mouse 3"), stored("mouse 3", "mouse 2", "mouse 3")[:], from_file):
        assert cells.batch.tolist() == [1, 0, 1]
        found = cells_for(a_model(), cells)
        assert type(found) is type(cells)
        assert found.batch.tolist() == [2, 1, 2]
        assert found.batches == BATCHES
        assert cells.batch.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "model, keys, message",
    [
        (a_model(), {"batch_key": "mouse"}, "layer, batch_key: expected None beside cells, whose batches are known"),
        (a_model(), {"layer": "counts"}, "layer, batch_key: expected None beside cells"),
        (a_model(batches=(ONLY_BATCH,)), {}, r"batch_key: expected none, .*found cells with \('mouse 2', 'mouse 9'\)"),
        (a_model(), {}, "cells: expected batches that the model has seen, .*found 'mouse 9' "),
        (
            a_model(genes=("g1", "g3", "g2"), batches=("mouse 2", "mouse 9")),
            {},
            "cells: the 3 genes of the model",
        ),
    ],
)
def test_cells_made_elsewhere_that_do_not_fit_are_refused(model, keys, message):
    with pytest.raises(ValueError, match=message):
        cells_for(model, stored("mouse 9", "mouse 2"), **keys)


def test_cells_without_batches_are_refused_by_a_model_with_them():
    with pytest.raises(ValueError, match=r"expected the column of obs that names .*found cells with \('all"):
        cells_for(a_model(), cells_from_counts(a_table()))


def test_a_model_without_names_has_no_cells_of_its_own():
    with pytest.raises(TypeError, match="genes, batches to ask for cells_for, found VAE, which lacks genes, batches"):
        cells_for(VAE(3), a_table(), batch_key="mouse")
