"""What a user may pass for data: read as it is meant, or named, with a way on that works if taken to the letter."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from course_lib.data.cells import cells_from_counts, cells_from_expression
from course_lib.data.checks import COUNT_CHECKS, has_no_empty_cell, is_finite, is_not_negative, is_whole
from course_lib.data.tables import Table

GATES = [cells_from_counts, cells_from_expression]


def a_table():
    """(3, 4) counts in which every cell has some."""
    return np.array([[1, 0, 3, 0], [0, 2, 0, 5], [4, 0, 0, 1]])


def an_anndata(values, **parts):
    data = anndata.AnnData(values, **parts)
    data.obs_names, data.var_names = ["AAAC", "CCGT", "GGTA"], ["CD3D", "MS4A1", "LYZ", "NKG7"]
    return data


# kinds of table that are read


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.int64])
@pytest.mark.parametrize("layout", [torch.strided, torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_tensors_of_every_width_and_layout_are_read(gate, dtype, layout):
    values = torch.tensor(a_table()).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch: sparse CSR is in beta
        values = values if layout == torch.strided else values.to_sparse(layout=layout)
        cells = gate(values)
    np.testing.assert_array_equal(cells.x, a_table())


def test_a_tensor_that_carries_a_gradient_is_read_without_it():
    values = torch.tensor(a_table(), dtype=torch.float32, requires_grad=True)
    assert not cells_from_expression(values * 2).x.requires_grad


@pytest.mark.parametrize(
    "form",
    [
        scipy.sparse.csr_array, scipy.sparse.csc_array, scipy.sparse.coo_array, scipy.sparse.bsr_array,
        scipy.sparse.dok_array, scipy.sparse.lil_array, scipy.sparse.dia_array, scipy.sparse.coo_matrix,
        np.matrix, np.ndarray.tolist, lambda x: list(x), lambda x: tuple(map(tuple, x)),
        lambda x: pd.DataFrame(x).astype("Int64"), lambda x: pd.DataFrame(x).astype("Sparse[int]"),
        lambda x: np.ma.masked_less(x, 0),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_tables_of_every_form_are_read(form):
    np.testing.assert_array_equal(cells_from_counts(form(a_table())).x, a_table())


def test_entries_for_one_place_are_added_without_overflow():
    """200 + 100 is 44 in eight bits."""
    entries = scipy.sparse.csr_matrix((np.array([200, 100, 7], np.uint8), [1, 1, 0], [0, 2, 3]), shape=(2, 2))
    assert cells_from_counts(entries).x.tolist() == [[0, 300], [7, 0]]
    assert entries.nnz == 3


def test_numbers_stored_as_objects_become_numbers_as_the_message_says():
    table = a_table().astype(object)
    with pytest.raises(TypeError, match=r"found object values.*become numbers with \.astype\('float32'\)"):
        cells_from_counts(table)
    np.testing.assert_array_equal(cells_from_counts(table.astype("float32")).x, a_table())
    with pytest.raises(
        TypeError, match=r"found 4 columns of something else, '0', '1', '2', '3'\. .*astype\('float32'\)"
    ):
        cells_from_counts(pd.DataFrame(table))
    np.testing.assert_array_equal(cells_from_counts(pd.DataFrame(table).astype("float32")).x, a_table())


def test_a_missing_integer_of_pandas_is_no_count():
    table = pd.DataFrame({"CD3D": pd.array([1, None], dtype="Int64"), "LYZ": [2, 3]}, index=["AAAC", "CCGT"])
    with pytest.raises(ValueError, match=r"found 1 that are NaN.*cell 'CCGT' \(row 1\), gene 'CD3D'"):
        cells_from_counts(table)


# kinds that are none


class Endless:
    """Like a MuData: it has a length and takes an index, but NumPy never finds the bottom of it."""

    def __init__(self, **modalities):
        self.mod = modalities

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    ("data", "found", "remedy"),
    [
        (None, "found None", "change data in place and return None"),
        ("cells.h5ad", "found the path 'cells.h5ad'", "anndata.read_h5ad"),
        (anndata.AnnData, "found the class AnnData", "Pass an AnnData, a data frame, an array"),
        ({"a": a_table()}, "found a dict", "Pass an AnnData, a data frame"),
        ({1, 2}, "found a set", "Pass an AnnData, a data frame"),
        ((row for row in a_table()), "found a generator", "Pass an AnnData, a data frame"),
        (Endless(rna=1, prot=2), "found a Endless", r"of data\.mod\['rna'\], data\.mod\['prot'\]"),
        ([[Endless()]], "found a list that holds a Endless", "Pass an AnnData"),
        ([scipy.sparse.eye(3)], "found a list that holds a dia_matrix", "Pass an AnnData"),
    ],
)
def test_what_is_no_table_is_named(gate, data, found, remedy):
    with pytest.raises(TypeError, match=f"data: expected one table of numbers, {found}.*{remedy}"):
        gate(data)


def test_a_path_is_told_to_be_read(tmp_path):
    with pytest.raises(TypeError, match=r"found the path '.*cells.h5ad'"):
        cells_from_counts(tmp_path / "cells.h5ad")


def test_a_real_mudata_is_refused_at_once():
    mudata = pytest.importorskip("mudata")
    proteins = an_anndata(a_table())
    proteins.var_names = ["CD3", "CD19", "CD14", "CD56"]
    data = mudata.MuData({"rna": an_anndata(a_table()), "prot": proteins})
    with pytest.raises(TypeError, match=r"found a MuData.*data\.mod\['rna'\]"):
        cells_from_counts(data)
    np.testing.assert_array_equal(cells_from_counts(data.mod["rna"]).x, a_table())


def test_several_anndata_are_joined_as_the_message_says():
    data = [an_anndata(a_table()), an_anndata(2 * a_table())]
    with pytest.raises(TypeError) as refused:
        cells_from_counts(data)
    assert 'anndata.concat(data, label="batch", index_unique="-"), and pass batch_key="batch"' in str(refused.value)
    cells = cells_from_counts(anndata.concat(data, label="batch", index_unique="-"), batch_key="batch")
    assert cells.batch.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("gate", GATES)
def test_cells_are_told_that_they_have_passed(gate):
    with pytest.raises(TypeError, match="found Cells, which have passed the gate: pass them on as they are"):
        gate(gate(a_table()))


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("form", [lambda x: x, an_anndata])
@pytest.mark.parametrize("dtype", [complex, "U3", "datetime64[s]", "timedelta64[s]", bool, object])
def test_what_is_no_real_number_is_named_by_its_type(gate, form, dtype):
    values = a_table().astype(dtype)
    if form is an_anndata:  # which may turn text into objects
        values = an_anndata(a_table(), layers={"odd": values})
    keys = {"layer": "odd"} if form is an_anndata else {}
    name = r"data\.layers\['odd'\]" if keys else "data"
    with pytest.raises(TypeError, match=f"{name}: expected numbers, integers or floats, found .* values"):
        gate(values, **keys)
    with pytest.raises(TypeError, match="found complex64 values"):
        gate(torch.tensor(a_table()).to(torch.complex64).conj())


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("layer", [None, "counts"])
def test_what_a_mask_hides_is_not_shown_to_a_model(gate, layer):
    masked = np.ma.masked_equal(a_table(), 5)
    data = an_anndata(masked, layers={"counts": masked})
    name = "data.X" if layer is None else "data.layers['counts']"
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the message is looked at below
        gate(data, layer=layer)
    assert f"{name}: expected a value in every place, found a masked array that hides 1." in str(refused.value)
    assert f"{name}.filled(0) if they are zeros" in str(refused.value)
    assert gate(data.X.filled(0)).x[1].tolist() == [0, 2, 0, 0]


def damaged(part, position, value, form=scipy.sparse.csr_matrix):
    values = form(a_table())
    getattr(values, part)[position] = value
    return values


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    "values",
    [
        damaged("indices", 1, 4),
        damaged("indices", 1, 10**6),
        damaged("indices", 1, -1),
        damaged("indptr", 1, 5),  # beyond the next
        damaged("indptr", 1, -1),
        damaged("indptr", 3, 99),  # beyond the end
        damaged("indptr", 0, 1),
        damaged("indices", 0, 3, scipy.sparse.csc_matrix),
        damaged("row", 0, 3, scipy.sparse.coo_matrix),
        damaged("col", 0, -5, scipy.sparse.coo_matrix),
    ],
)
def test_a_damaged_sparse_matrix_is_refused_before_its_indices_are_followed(gate, values):
    message = r"expected a sparse matrix whose indices fit its shape \(3, 4\), found a damaged one: .*coo_matrix\("
    with pytest.raises(ValueError, match=message):
        gate(values)


def test_a_layer_that_is_a_matrix_and_not_a_name_is_refused():
    data = an_anndata(a_table(), layers={"counts": a_table()})
    with pytest.raises(TypeError, match=r"layer: expected a name in data.layers, found a ndarray.*'counts'"):
        cells_from_counts(data, layer=data.layers["counts"])


# what is nearly a count, and the counts that are elsewhere


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_nearly_whole_number_is_no_count_and_rint_is_the_way_back(form, dtype):
    """A whole number is stored exactly; what is not was computed, and whoever computed it should round it."""
    table = a_table().astype(dtype)
    table[0, 2] = np.nextafter(dtype(3), dtype(0))
    with pytest.raises(ValueError, match=r"first 2\.99999\d* at .*whole but for rounding: pass np\.rint\(values\)"):
        cells_from_counts(form(table))
    np.testing.assert_array_equal(cells_from_counts(np.rint(table)).x, a_table())


def test_a_number_too_near_to_three_to_be_told_from_it_is_three():
    assert cells_from_counts(np.array([[2.99999999]], dtype=np.float32)).x.item() == 3
    with pytest.raises(ValueError, match=r"first 2\.99999999 at"):
        cells_from_counts(np.array([[2.99999999]], dtype=np.float64))


@pytest.mark.parametrize(
    "tiny", [np.array([[1e-4, 2e-4], [3e-4, 1e-5]]), np.log1p(np.array([[1e-4, 2e-4], [3e-4, 0]]))]
)
def test_shares_of_a_cell_are_not_taken_for_rounded_counts_or_their_logarithm(tiny):
    with pytest.raises(ValueError, match="look like log-normalised values"):
        cells_from_counts(tiny)


def test_integers_at_their_limit_are_judged_as_what_they_are():
    for value in (2**63 - 1, 2**24 + 1):
        with pytest.raises(ValueError, match=f"expected counts up to 16,777,216.*found 1 above, first {value} at"):
            cells_from_counts(np.array([[1, value]]))
    with pytest.raises(ValueError, match=f"found 1 negative values, first {-(2**63)} at"):
        cells_from_counts(np.array([[1, -(2**63)]]))
    with pytest.raises(ValueError, match=f"found 1 above, first {2**64 - 1} at"):
        cells_from_counts(np.array([[1, 2**64 - 1]], dtype=np.uint64))
    assert cells_from_expression(np.array([[1, -(2**63)]])).x.tolist() == [[1.0, -(2.0**63)]]


def normalised(counts):
    return np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)


@pytest.mark.parametrize("transform", [normalised, lambda counts: counts - counts.mean(0)])
def test_the_message_names_the_layer_that_does_hold_counts_and_it_passes(transform):
    scaled = transform(a_table())
    data = an_anndata(scaled, layers={"scaled": scaled, "umi": a_table()})
    with pytest.raises(ValueError, match=r"There are counts in data: pass layer='umi'\.$"):
        cells_from_counts(data)
    np.testing.assert_array_equal(cells_from_counts(data, layer="umi").x, a_table())
    data.X = a_table()
    with pytest.raises(
        ValueError, match=r"There are counts in data: pass layer='umi', or leave layer out, for data\.X"
    ):
        cells_from_counts(data, layer="scaled")


def test_counts_in_raw_are_reached_as_the_message_says_and_raw_itself_passes():
    data = an_anndata(a_table())
    data.obs["batch"] = ["a", "b", "a"]
    data.raw = data.copy()
    data = data[:, :2].copy()
    data.X = normalised(data.X + 1)
    with pytest.raises(ValueError, match=r"counts in data: pass data\.raw\.to_adata\(\), which has 4 genes\.$"):
        cells_from_counts(data)
    for raw in (data.raw.to_adata(), data.raw):
        cells = cells_from_counts(raw, batch_key="batch")
        np.testing.assert_array_equal(cells.x, a_table())
        assert cells.genes == ("CD3D", "MS4A1", "LYZ", "NKG7")
        assert cells.batches == ("a", "b")


def test_where_no_counts_are_left_the_message_says_so():
    data = an_anndata(normalised(a_table()), layers={"scaled": a_table() - 0.5})
    data.raw = data.copy()
    with pytest.raises(ValueError, match=r"No layer of data holds counts, nor does data\.raw: go back to the file"):
        cells_from_counts(data)


# blocks of a table too large for memory


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize(
    ("check", "value", "row"),
    [
        (is_finite, np.nan, 123_457),
        (is_not_negative, -1, 123_457),
        (is_whole, 0.5, 123_457),
        (has_no_empty_cell, 0, 123_456),
    ],
)
def test_a_block_of_rows_is_judged_with_the_rows_of_the_whole_table(form, check, value, row):
    values = np.array([[1.0, 0.0], [0.0, 1.0]])
    values[row - 123_456] = np.array([0, value])
    block = Table(form(values), ["c1", "c2"], ["g1", "g2"], "X of cells.h5ad", first_row=123_456)
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the message is looked at below
        check(block)
    assert str(refused.value).startswith("X of cells.h5ad, rows 123,456 to 123,457: expected ")
    assert f"at cell 'c{row - 123_455}' (row {row:,})" in str(refused.value).replace("first cell", "at cell")


def test_a_good_block_passes():
    for check in COUNT_CHECKS:
        check(Table(a_table(), ["c1", "c2", "c3"], list("abcd"), "X", first_row=10))
