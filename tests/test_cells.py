"""The gate: what is wrong is named, placed and given a remedy; what is right passes unchanged."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course_lib.data.cells import Cells, cells_from_counts, cells_from_expression

GENES = ["CD3D", "MS4A1", "LYZ", "NKG7"]
CELLS = ["AAAC", "CCGT", "GGTA"]
GATES = [cells_from_counts, cells_from_expression]
LAYOUTS = [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.csc_matrix]


def a_table():
    """(3, 4) counts in which every cell has some."""
    return np.array([[1, 0, 3, 0], [0, 2, 0, 5], [4, 0, 0, 1]])


def an_anndata(values, **obs):
    return anndata.AnnData(
        values, obs=pd.DataFrame(obs, index=CELLS[: values.shape[0]]), var=pd.DataFrame(index=GENES[: values.shape[1]])
    )


def refusal(gate, data, **keys):
    """The message with which a gate refuses ``data``."""
    with pytest.raises((ValueError, TypeError)) as refused:  # every caller looks at the message
        gate(data, **keys)
    return str(refused.value)


def assert_says(message, *parts):
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"


# what is wrong with the numbers


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("value", "found", "remedy"),
    [
        (-2.0, "counts, 0, 1, 2, …, found 1 negative values, first -2 at", "pass the raw counts"),
        (2.5, "counts, 0, 1, 2, …, found 1 values that are not whole numbers, first 2.5 at", "pass the raw counts"),
        (np.nan, "found 1 that are NaN, infinite or beyond float32, first nan at", "Remove these cells or genes"),
        (np.inf, "found 1 that are NaN, infinite or beyond float32, first inf at", "Remove these cells or genes"),
        (1e300, "found 1 that are NaN, infinite or beyond float32, first 1e+300 at", "Remove these cells or genes"),
        (
            2.0**24 + 2,
            "expected counts up to 16,777,216, which float32 holds exactly, found 1 above, first 16777218 at",
            "drop summary rows",
        ),
    ],
)
def test_a_wrong_count_is_named_and_placed_by_cell_and_gene(layout, value, found, remedy):
    table = a_table().astype(float)
    table[1, 2] = value
    message = refusal(cells_from_counts, an_anndata(layout(table)))
    assert_says(message, "data.X: expected ", found, "cell 'CCGT' (row 1), gene 'LYZ' (column 2)", remedy)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_expression_must_be_finite_in_float32(layout, value):
    table = a_table().astype(float)
    table[2, 0] = value
    message = refusal(cells_from_expression, an_anndata(layout(table)))
    assert_says(message, "NaN, infinite or beyond float32", "cell 'GGTA' (row 2), gene 'CD3D' (column 0)")


def test_the_first_of_several_wrong_values_is_the_one_reported():
    table = a_table().astype(float)
    table[2, 1], table[1, 3], table[2, 3] = -1, -7, -9
    for layout in LAYOUTS:
        message = refusal(cells_from_counts, an_anndata(layout(table)))
        assert_says(message, "3 negative values", "first -7 at cell 'CCGT' (row 1), gene 'NKG7' (column 3)")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_log_normalised_values_are_recognised(layout):
    counts = a_table()
    table = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    message = refusal(cells_from_counts, an_anndata(layout(table)))
    assert_says(message, "They look like log-normalised values: pass the raw counts")


def test_log1p_of_counts_is_recognised_and_its_inverse_named():
    message = refusal(cells_from_counts, np.log1p(a_table()))
    assert_says(message, "They look like log1p of counts", "np.rint(np.expm1(values))")
    cells = cells_from_counts(np.rint(np.expm1(np.log1p(a_table()))))  # the remedy works
    np.testing.assert_array_equal(cells.x, a_table())


def test_normalised_values_without_logarithm_are_recognised_by_their_equal_sums():
    counts = a_table()
    message = refusal(cells_from_counts, counts / counts.sum(1, keepdims=True) * 1e4)
    assert_says(message, "They look like normalised values, since every cell sums to 10,000", "raw counts")


def test_one_cell_alone_is_not_known_by_its_sum():
    assert_says(refusal(cells_from_counts, [[100.3, 7.0]]), "Pass the raw counts. Estimated counts")


def test_estimated_counts_are_told_to_be_rounded():
    message = refusal(cells_from_counts, a_table() * 100.3)
    assert_says(message, "not whole numbers", "rounded: np.rint(values)", "cells_from_expression")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_cell_without_counts_is_named(layout):
    table = a_table()
    table[1] = 0
    message = refusal(cells_from_counts, an_anndata(layout(table)))
    assert_says(
        message, "expected a count in every cell, found 1 cells without one, first cell 'CCGT' (row 1)", "data.X.sum"
    )


def test_a_stored_zero_of_a_sparse_table_is_no_count():
    table = scipy.sparse.csr_matrix(a_table())
    table.data[table.indptr[1] : table.indptr[2]] = 0
    assert_says(refusal(cells_from_counts, table), "first cell 'cell_1' (row 1)")


def test_a_row_of_zeros_is_fine_where_zero_is_an_expression_like_any_other():
    assert cells_from_expression(np.zeros((2, 3))).x.eq(0).all()


# what is wrong with the table


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(("shape", "missing"), [((0, 4), "cells"), ((3, 0), "genes"), ((0, 0), "cells")])
def test_an_empty_table_is_refused(gate, shape, missing):
    for layout in LAYOUTS:
        assert_says(
            refusal(gate, layout(np.ones(shape))),
            f"data: expected cells and genes, found no {missing}",
            str(shape),
            "filter",
        )


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
def test_a_table_that_is_not_two_dimensional_is_refused(gate, shape):
    for array in (np.ones(shape), torch.ones(shape)):
        assert_says(
            refusal(gate, array),
            f"data: expected cells in rows and genes in columns, (N, G), found shape {shape}",
            f"{len(shape)}-D",
        )


@pytest.mark.parametrize("gate", GATES)
def test_cells_of_different_length_are_refused(gate):
    assert_says(refusal(gate, [[1, 2], [3]]), "data: expected the same number of genes in every cell")


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    ("table", "kind"),
    [([["a", "b"]], "<U1"), ([[True, False]], "bool"), ([[1j, 2]], "complex128"), ([[None, 1]], "object")],
)
def test_what_is_not_a_number_is_refused(gate, table, kind):
    assert_says(refusal(gate, table), f"data: expected numbers, integers or floats, found {kind} values", ".astype")


@pytest.mark.parametrize("gate", GATES)
def test_a_data_frame_with_a_column_of_labels_is_refused(gate):
    message = refusal(gate, pd.DataFrame({"CD3D": [1, 2], "cell_type": ["B", "T"]}))
    assert_says(
        message, "data: expected numbers in every column, found 1 columns of something else, 'cell_type'", "drop"
    )


@pytest.mark.parametrize("gate", GATES)
def test_duplicate_gene_names_are_named(gate):
    data = an_anndata(a_table())
    data.var_names = ["CD3D", "LYZ", "NKG7", "LYZ"]
    message = refusal(gate, data)
    assert_says(
        message,
        "gene names: expected each once, found 1 that repeat",
        "'LYZ' at positions 1 and 3",
        "var_names_make_unique",
    )


@pytest.mark.parametrize("gate", GATES)
def test_duplicate_cell_names_are_named(gate):
    data = an_anndata(a_table())
    data.obs_names = ["AAAC", "AAAC", "AAAC"]
    message = refusal(gate, data)
    assert_says(
        message,
        "cell names: expected each once, found 2 that repeat",
        "'AAAC' at positions 0 and 1",
        "obs_names_make_unique",
    )


# what is wrong with the keys


@pytest.mark.parametrize("gate", GATES)
def test_a_missing_layer_is_answered_with_those_there(gate):
    data = an_anndata(a_table())
    assert_says(
        refusal(gate, data, layer="counts"),
        "layer: expected a name in data.layers, found 'counts'. The layers are: none",
    )
    data.layers["raw"], data.layers["spliced"] = a_table(), a_table()
    assert_says(refusal(gate, data, layer="counts"), "The layers are: 'raw', 'spliced'")


@pytest.mark.parametrize("gate", GATES)
def test_an_anndata_without_x_is_answered_with_its_layers(gate):
    data = anndata.AnnData(obs=pd.DataFrame(index=CELLS), var=pd.DataFrame(index=GENES), layers={"counts": a_table()})
    assert_says(refusal(gate, data), "data.X: expected a table, found none. The layers are: 'counts'; pass one of them")


@pytest.mark.parametrize("gate", GATES)
def test_a_missing_batch_key_is_answered_with_those_there(gate):
    data = an_anndata(a_table(), donor=["a", "b", "a"], sex=["f", "m", "f"])
    message = refusal(gate, data, batch_key="batch")
    assert_says(message, "batch_key: expected a column of data.obs, found 'batch'. The columns are: 'donor', 'sex'")


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    "labels", [["a", None, "b"], ["a", " ", "b"], [1.0, np.nan, 2.0], pd.Categorical([0, None, 1])]
)
def test_a_cell_without_a_batch_is_named(gate, labels):
    message = refusal(gate, an_anndata(a_table(), batch=labels), batch_key="batch")
    assert_says(message, "found 1 without in data.obs['batch'], first cell 'CCGT' (row 1)", "remove these cells")


@pytest.mark.parametrize("gate", GATES)
def test_keys_of_an_anndata_are_refused_for_a_plain_table(gate):
    assert_says(
        refusal(gate, a_table(), layer="counts"),
        "layer: expected an AnnData to find 'counts' in, found a ndarray",
        "leave layer",
    )
    assert_says(
        refusal(gate, a_table(), batch_key="b"), "batch_key: expected an AnnData to find 'b' in", "leave batch_key out"
    )


@pytest.mark.parametrize("gate", GATES)
def test_a_file_that_is_not_in_memory_is_refused_with_the_remedy(gate, tmp_path):
    an_anndata(a_table()).write_h5ad(tmp_path / "cells.h5ad")
    data = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    assert_says(refusal(gate, data), "backed", "data.to_memory()")
    np.testing.assert_array_equal(gate(data.to_memory()).x, a_table())


def test_the_layer_is_what_the_message_calls_the_values():
    data = an_anndata(a_table())
    data.layers["scaled"] = a_table() - 1.5
    assert_says(refusal(cells_from_counts, data, layer="scaled"), "data.layers['scaled']: expected counts")


# what is right


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.int64, np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.integers(0, 200),
    ),
    st.sampled_from([*LAYOUTS, torch.from_numpy, pd.DataFrame, anndata.AnnData]),
)
def test_counts_come_through_the_gate_unchanged(table, layout):
    table[:, 0] += 1  # no empty cell
    before = table.copy()
    if layout is anndata.AnnData:
        table = anndata.AnnData(
            table,
            obs=pd.DataFrame(index=[f"c{i}" for i in range(len(table))]),
            var=pd.DataFrame(index=[f"g{j}" for j in range(table.shape[1])]),
        )
        cells = cells_from_counts(table)
    else:
        cells = cells_from_counts(layout(table))
    assert cells.x.dtype == torch.float32
    assert cells.x.is_contiguous()
    np.testing.assert_array_equal(cells.x, before)
    assert len(cells) == before.shape[0]
    assert cells.n_genes == len(cells.genes) == before.shape[1]
    assert cells.batch.tolist() == [0] * len(cells)


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_expression_comes_through_the_gate_unchanged(table):
    np.testing.assert_array_equal(cells_from_expression(table).x, table)
    np.testing.assert_array_equal(cells_from_expression(scipy.sparse.csr_matrix(table)).x, table)


def test_the_largest_exact_count_passes():
    assert cells_from_counts(np.array([[2**24]])).x.item() == 2**24


def test_two_entries_for_one_place_of_a_sparse_table_are_added_before_they_are_judged():
    table = scipy.sparse.csr_matrix(([1.5, 1.5], [0, 0], [0, 2]), shape=(1, 2))
    assert cells_from_counts(table).x.tolist() == [[3.0, 0.0]]
    assert table.nnz == 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_callers_table_is_neither_changed_nor_shared(layout):
    data = an_anndata(layout(a_table().astype(np.float32)))
    cells = cells_from_counts(data)
    cells.x.fill_(7.0)
    values = data.X if isinstance(data.X, np.ndarray) else data.X.toarray()
    np.testing.assert_array_equal(values, a_table())


def test_names_stay_in_order():
    assert cells_from_counts(an_anndata(a_table())).genes == tuple(GENES)
    assert cells_from_counts(pd.DataFrame(a_table(), CELLS, GENES)).genes == tuple(GENES)
    assert cells_from_counts(an_anndata(a_table())[:, ["LYZ", "CD3D"]][[0, 2]]).genes == ("LYZ", "CD3D")


@pytest.mark.parametrize(
    ("labels", "batches", "codes"),
    [
        (["late", "early", "late"], ("early", "late"), [1, 0, 1]),
        ([10, 9, 10], ("9", "10"), [1, 0, 1]),
        ([1, "1", "2"], ("1", "2"), [0, 0, 1]),
        (pd.Categorical(["5k", "10k", "5k"], categories=["5k", "20k", "10k"]), ("5k", "10k"), [0, 1, 0]),
    ],
)
def test_batches_are_coded_in_the_order_of_their_names(labels, batches, codes):
    cells = cells_from_counts(an_anndata(a_table(), batch=labels), batch_key="batch")
    assert cells.batches == batches
    assert cells.batch.dtype == torch.int64
    assert cells.batch.tolist() == codes


def test_a_name_that_occurs_as_number_and_as_text_is_one_batch():
    mixed = pd.Categorical([1, "1", 2], categories=[2, 1, "1"])
    cells = cells_from_counts(an_anndata(a_table(), batch=mixed), batch_key="batch")
    assert cells.batches == ("2", "1")
    assert cells.batch.tolist() == [1, 1, 0]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("key", ["batch_key", "label_key"])
def test_a_key_that_two_columns_share_is_refused(gate, key):
    data = an_anndata(a_table(), donor=["a", "b", "a"], run=["x", "x", "y"])
    data.obs.columns = ["donor", "donor"]
    message = refusal(gate, data, **{key: "donor"})
    assert_says(message, f"{key}: expected one column of data.obs named 'donor', found 2", "columns.duplicated()")
    data.obs = data.obs.loc[:, ~data.obs.columns.duplicated()]  # the remedy works
    assert gate(data, batch_key="donor").batches == ("a", "b")


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("key", ["batch_key", "label_key"])
@pytest.mark.parametrize("name", [["donor", "run"], 3, ("donor", "run")])
def test_a_key_that_is_not_one_name_is_refused(gate, key, name):
    data = an_anndata(a_table(), donor=["a", "b", "a"], run=["x", "x", "y"])
    with pytest.raises(TypeError, match=f"{key}: expected the name of one column of data.obs, found .*join them first"):
        gate(data, **{key: name})


# labels


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    ("column", "labels", "codes"),
    [
        (["T", "B", "T"], ("B", "T"), [1, 0, 1]),
        (["T", None, "B"], ("B", "T"), [1, -1, 0]),
        (["T", np.nan, ""], ("T",), [0, -1, -1]),
        (["T", "nan", " "], ("T",), [0, -1, -1]),  # what astype(str) makes of NaN
        ([10, 9, 10], ("9", "10"), [1, 0, 1]),
        ([2.0, np.nan, 1.0], ("1.0", "2.0"), [1, -1, 0]),
        (pd.Categorical(["T", "", "B"], categories=["T", "NK", "", "B"]), ("T", "B"), [0, -1, 1]),
        (pd.Categorical(["T", None, "B"], categories=["T", "NK", "B"]), ("T", "B"), [0, -1, 1]),
        (pd.array(["T", pd.NA, "B"], dtype="string"), ("B", "T"), [1, -1, 0]),
        (
            pd.to_datetime(["2020-02-02", "2020-01-01", None]),
            ("2020-01-01 00:00:00", "2020-02-02 00:00:00"),
            [1, 0, -1],
        ),
        ([None, None, None], (), [-1, -1, -1]),
    ],
)
def test_labels_are_coded_in_the_order_of_their_names_and_missing_ones_are_minus_one(gate, column, labels, codes):
    data = an_anndata(a_table())
    data.obs["cell_type"] = column
    cells = gate(data, label_key="cell_type")
    assert cells.labels == labels
    assert cells.label.dtype == torch.int64
    assert cells.label.tolist() == codes
    assert cells.batches == ("all cells",)
    assert cells[torch.tensor([2, 0])].label.tolist() == [codes[2], codes[0]]
    assert cells[1:].to("cpu").label.tolist() == codes[1:]
    assert cells[1:].labels == labels


@pytest.mark.parametrize("gate", GATES)
def test_batches_and_labels_are_read_from_their_own_columns(gate):
    data = an_anndata(a_table(), donor=["a", "b", "b"], kind=["T", "T", "B"])
    cells = gate(data, batch_key="donor", label_key="kind")
    assert (cells.batch.tolist(), cells.batches) == ([0, 1, 1], ("a", "b"))
    assert (cells.label.tolist(), cells.labels) == ([1, 1, 0], ("B", "T"))


@pytest.mark.parametrize("gate", GATES)
def test_without_a_label_key_cells_carry_no_labels(gate):
    cells = gate(an_anndata(a_table(), cell_type=["T", "B", "T"]))
    assert cells.label is None
    assert cells.labels == ()


@pytest.mark.parametrize("gate", GATES)
def test_a_missing_label_key_is_answered_with_those_there(gate):
    data = an_anndata(a_table(), donor=["a", "b", "a"], sex=["f", "m", "f"])
    assert_says(
        refusal(gate, data, label_key="kind"),
        "label_key: expected a column of data.obs, found 'kind'",
        "'donor', 'sex'",
    )
    assert_says(
        refusal(gate, a_table(), label_key="kind"),
        "label_key: expected an AnnData to find 'kind' in",
        "leave label_key out",
    )


# Cells


def some_cells():
    return cells_from_counts(an_anndata(a_table(), batch=["x", "y", "x"]), batch_key="batch")


@pytest.mark.parametrize(
    "index",
    [torch.tensor([2, 0]), np.array([2, 0]), slice(1, 3), torch.tensor([True, False, True]), np.array([0, 1, 1]) == 1],
)
def test_indexing_selects_the_same_cells_of_everything(index):
    cells = some_cells()
    chosen = cells[index]
    rows = np.arange(3)[np.asarray(index) if not isinstance(index, slice) else index]
    np.testing.assert_array_equal(chosen.x, a_table()[rows])
    np.testing.assert_array_equal(chosen.batch, np.array([0, 1, 0])[rows])
    assert (chosen.genes, chosen.batches) == (cells.genes, cells.batches)
    assert len(chosen) == len(rows)


def test_a_single_number_is_no_index():
    with pytest.raises(TypeError, match=r"not int: for one cell write cells\[i:i \+ 1\]"):
        some_cells()[0]
    with pytest.raises(TypeError):  # a loop over cells would be per-cell Python
        list(some_cells())


def test_moving_keeps_everything():
    moved = some_cells().to("cpu")
    assert isinstance(moved, Cells)
    np.testing.assert_array_equal(moved.x, a_table())
    assert (moved.genes, moved.batches) == (tuple(GENES), ("x", "y"))


def test_every_tensor_moves():
    labelled = replace(some_cells(), label=torch.tensor([0, 1, -1]), labels=("a", "b"))
    moved = labelled.to("meta")  # a device that every machine has
    assert (moved.x.device.type, moved.batch.device.type, moved.label.device.type) == ("meta",) * 3
