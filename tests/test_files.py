"""Cells in a file: checked once from start to end, read by the minibatch, the same cells as in memory."""

import copy
import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import zarr
from anndata.io import sparse_dataset

from course_lib.data.cells import Cells, StoredCells, cells_from_counts
from course_lib.data.checks import NotCounts
from course_lib.data.file_rows import FileRows
from course_lib.data.files import cells_from_file
from course_lib.data.rows import BUFFER, shuffled_blocks
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training.fit import fit, shuffled

pytestmark = pytest.mark.filterwarnings("ignore:.*zarr.*:UserWarning")  # which format it will write some day

KINDS = ["h5ad", "zarr"]
LAYOUTS = [scipy.sparse.csr_matrix, np.asarray]
N, G = 700, 30


def counts(n_cells=N, n_genes=G, seed=0, kind=np.float32):
    x = np.random.default_rng(seed).negative_binomial(1, 0.7, (n_cells, n_genes)).astype(kind)
    x[:, 0] += 1  # no empty cell
    return x


def an_anndata(x):
    n = x.shape[0]
    obs = {"batch": [f"b{i % 3}" for i in range(n)], "kind": [("T", "B", None)[i % 7 % 3] for i in range(n)]}
    index = [f"AAACCTGAGT-{i}" for i in range(n)]
    return anndata.AnnData(
        x, pd.DataFrame(obs, index=index).astype("category"), pd.DataFrame(index=[f"g{j}" for j in range(x.shape[1])])
    )


def write(folder, data, kind="h5ad", **keys):
    path = folder / f"cells.{kind}"
    getattr(data, f"write_{kind}")(path, **keys)
    return path


def assert_same(cells, others):
    assert type(cells) is type(others) is Cells
    assert others.x.dtype == torch.float32
    assert torch.equal(cells.x, others.x)
    assert torch.equal(cells.batch, others.batch)
    assert torch.equal(cells.label, others.label)
    assert (cells.genes, cells.batches, cells.labels, cells.counts) == (
        others.genes,
        others.batches,
        others.labels,
        others.counts,
    )


KEYS = {"batch_key": "batch", "label_key": "kind"}

# the same cells


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, np.uint8, np.uint16])
def test_minibatches_from_a_file_are_those_of_dense_cells(tmp_path, kind, layout, number):
    data = an_anndata(layout(counts(kind=number)))
    path = write(tmp_path, data, kind)
    dense, stored = cells_from_counts(data, **KEYS), cells_from_file(path, **KEYS)
    assert isinstance(stored, StoredCells)
    assert (len(stored), stored.n_genes, stored.device) == (N, G, dense.device)
    assert_same(dense, stored[:])
    for index in (
        torch.tensor([7, 0, 7, 699, 698, 7]),
        np.array([-1, 5]),
        torch.tensor([], dtype=torch.int64),
        slice(600, 900),
        slice(3, 200, 7),
        torch.arange(N) % 5 == 0,
    ):
        assert_same(dense[index], stored[index])
        assert_same(dense[index], stored.subset(index)[:])
        assert_same(dense[index], stored.load(index)[:])
    for part, same in zip(stored.parts(128), dense.parts(128), strict=True):
        assert_same(same, part)


@pytest.mark.parametrize("keys", [{"compression": "gzip"}, {"compression": "lzf"}])
def test_compressed_files_hold_the_same_cells(tmp_path, keys):
    data = an_anndata(scipy.sparse.csr_matrix(counts()))
    assert_same(cells_from_counts(data, **KEYS), cells_from_file(write(tmp_path, data, **keys), **KEYS)[:])


@pytest.mark.parametrize("kind", KINDS)
def test_zarr_chunks_that_end_inside_a_block_are_joined(tmp_path, kind):
    data = an_anndata(scipy.sparse.csr_matrix(counts()))
    path = write(tmp_path, data, kind)
    with h5py.File(path, "r+") if kind == "h5ad" else _nothing(zarr.open_group(path, mode="r+")) as file:
        entries = {name: file["X"][name][:] for name in ("data", "indices")}
        for name, values in entries.items():
            del file["X"][name]
            if kind == "h5ad":
                file["X"].create_dataset(name, data=values, chunks=(97,), compression="gzip", shuffle=True)
            else:
                file["X"].create_array(name, data=values, chunks=(97,))
    if kind == "zarr":
        zarr.consolidate_metadata(path)
    dense, stored = cells_from_counts(data, **KEYS), cells_from_file(path, **KEYS)
    index = torch.randperm(N)[:400]
    assert_same(dense[index], stored[index])


class _nothing:
    """A context that does nothing: zarr groups have none."""

    def __init__(self, value):
        self.value = value

    def __enter__(self):
        return self.value

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_read_where_one_is_named(tmp_path, kind):
    data = an_anndata(scipy.sparse.csr_matrix(counts()))
    data.layers["counts"], data.X = data.X.copy(), data.X / 7
    path = write(tmp_path, data, kind)
    np.testing.assert_array_equal(cells_from_file(path, layer="counts")[:].x, counts())
    with pytest.raises(NotCounts, match=r"not whole numbers.*The file has X \(layer=None\), layer='counts'\."):
        cells_from_file(path)
    with pytest.raises(ValueError, match=r"found no 'layers/raw'. The file has X \(layer=None\), layer='counts'\."):
        cells_from_file(path, layer="raw")
    with pytest.raises(TypeError, match="layer: expected a name, found a int"):
        cells_from_file(path, layer=0)


def test_without_x_the_layers_are_named(tmp_path):
    data = an_anndata(counts())
    data.layers["counts"] = data.X
    data.X = None
    with pytest.raises(ValueError, match=r"found no 'X'. The file has layer='counts'\."):
        cells_from_file(write(tmp_path, data))


@pytest.mark.parametrize("largest", [255, 256, 65536, 2**24])
def test_large_counts_come_whole(tmp_path, largest):
    x = counts()
    x[-1, -1] = largest
    cells = cells_from_file(write(tmp_path, an_anndata(scipy.sparse.csr_matrix(x))))
    np.testing.assert_array_equal(cells[-3:].x, x[-3:])


def test_half_precision_and_foreign_byte_order_are_read(tmp_path):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())))
    for number in (np.float16, ">f4", ">i8"):
        with h5py.File(path, "r+") as file:
            values = file["X/data"][:].astype(number)
            del file["X/data"]
            file["X"].create_dataset("data", data=values)
        np.testing.assert_array_equal(cells_from_file(path)[[torch.tensor([3, 1])][0]].x, counts()[[3, 1]])


def test_columns_out_of_order_are_read(tmp_path):
    x = scipy.sparse.csr_matrix(counts())
    for row in range(N):
        part = slice(x.indptr[row], x.indptr[row + 1])
        x.indices[part], x.data[part] = x.indices[part][::-1].copy(), x.data[part][::-1].copy()
    x.has_sorted_indices = False
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())))
    with h5py.File(path, "r+") as file:
        file["X/indices"][:], file["X/data"][:] = x.indices, x.data
    np.testing.assert_array_equal(cells_from_file(path)[:].x, counts())


# the gate


def refusal(call, *arguments, **keys):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the caller looks at the message
        call(*arguments, **keys)
    return str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "wrong",
    [
        {(699, 19): -1.0, (40, 3): -2.0},
        {(699, 19): np.nan, (40, 3): -2.0},
        {(17, 4): np.inf},
        {(17, 4): 0.5, (18, 4): 0.5},
        {(17, 4): 2.0**24 + 2},
        {100: 0.0, 200: 0.0},
    ],
)
def test_the_gate_says_of_a_file_what_it_says_of_a_table(tmp_path, kind, layout, wrong):
    x = counts(kind=np.float64)
    for place, value in wrong.items():
        x[place] = value
    data = an_anndata(layout(x))
    expected = refusal(cells_from_counts, data).removeprefix("data.X").split(" No layer of data")[0]
    found = refusal(cells_from_file, write(tmp_path, data, kind)).removeprefix(f"X of cells.{kind}")
    assert found.split(" The file has")[0] == expected


@pytest.mark.parametrize("change", ["var_names", "obs_names"])
def test_duplicate_names_are_refused_as_in_memory(tmp_path, change):
    data = an_anndata(counts())
    names = list(getattr(data, change))
    names[7] = names[3]
    setattr(data, change, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata warns of them, too
        path = write(tmp_path, data)
        assert refusal(cells_from_file, path) == refusal(cells_from_counts, data)


@pytest.mark.parametrize("keys", [{"batch_key": "donor"}, {"batch_key": "kind"}, {"label_key": "donor"}])
def test_keys_are_refused_as_in_memory(tmp_path, keys):
    data = an_anndata(counts())
    path = write(tmp_path, data)
    assert refusal(cells_from_file, path, **keys) == refusal(cells_from_counts, data, **keys)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_a_file_without_cells_or_genes_is_refused(tmp_path, shape):
    data = an_anndata(scipy.sparse.csr_matrix(shape, dtype=np.float32))
    assert "expected cells and genes, found no" in refusal(cells_from_file, write(tmp_path, data))


def test_an_offender_beyond_the_first_block_is_placed_in_the_whole_file(tmp_path):
    x = scipy.sparse.csr_matrix(np.ones((BUFFER * 2 + 5, 2), np.float32))
    x[BUFFER + 3, 1], x[BUFFER + 9, 0] = -3, -4
    message = refusal(cells_from_file, write(tmp_path, an_anndata(x)))
    name = f"AAACCTGAGT-{BUFFER + 3}"
    assert f"first -3 at cell '{name}' (row {BUFFER + 3:,}), gene 'g1' (column 1)" in message
    assert f"rows {BUFFER:,} to {2 * BUFFER - 1:,}: expected counts" in message


def test_the_last_rows_are_checked_too(tmp_path):
    x = scipy.sparse.csr_matrix(np.ones((BUFFER + 1, 2), np.float32))
    x[BUFFER, 0] = np.nan
    assert f"(row {BUFFER:,})" in refusal(cells_from_file, write(tmp_path, an_anndata(x)))


def test_two_entries_for_one_place_are_refused_with_the_remedy(tmp_path):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())))
    with h5py.File(path, "r+") as file:
        columns = file["X/indices"][:]
        columns[1] = columns[0]
        file["X/indices"][:] = columns
    assert "found several in rows 0 to 699" in refusal(cells_from_file, path)


def test_genes_in_rows_are_warned_of_as_in_memory(tmp_path):
    data = an_anndata(counts(200, 150)).T
    path = write(tmp_path, data)
    with pytest.warns(UserWarning, match="X of cells.h5ad looks as if genes stood in rows.*named like cells") as seen:
        cells_from_file(path)
    assert seen[0].filename == __file__
    spread = np.random.default_rng(0).poisson(np.exp(np.random.default_rng(1).normal(3, 2, (200, 1))), (200, 150)) + 1
    path = write(tmp_path, an_anndata(spread))
    with pytest.warns(UserWarning, match="the log totals of its rows have a standard deviation of"):
        cells_from_file(path)
    with pytest.warns(UserWarning, match="the log totals of its rows have a standard deviation of"):
        cells_from_counts(an_anndata(spread))


# what is no such file


def test_columns_first_are_refused_with_the_remedy(tmp_path):
    for kind in KINDS:
        path = write(tmp_path, an_anndata(scipy.sparse.csc_matrix(counts())), kind)
        assert "found csc_matrix in 'X', where a cell lies scattered over the whole file. Convert it once" in refusal(
            cells_from_file, path
        )


def test_what_is_no_path_is_refused():
    for data in (an_anndata(counts()), None, counts()):
        with pytest.raises(TypeError, match=r"path: expected the path of an .h5ad file or .zarr folder, found a \w+"):
            cells_from_file(data)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found nothing at .*none\.h5ad"):
        cells_from_file(tmp_path / "none.h5ad")


def test_a_folder_that_is_no_zarr_store_is_refused(tmp_path):
    assert "found a folder that is no zarr store" in refusal(cells_from_file, tmp_path)


def test_a_zarr_store_of_something_else_is_refused(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("numbers", data=np.ones(3))
    assert "expected an AnnData with obs and var, found numbers" in refusal(cells_from_file, tmp_path / "a.zarr")


def test_a_file_of_another_format_is_refused(tmp_path):
    text = tmp_path / "cells.csv"
    text.write_text("gene,a\n")
    assert "found one that is not HDF5" in refusal(cells_from_file, text)
    empty = tmp_path / "cells.h5ad"
    empty.touch()
    assert "found one that is not HDF5" in refusal(cells_from_file, empty)
    with h5py.File(tmp_path / "10x.h5", "w") as file:
        file.create_group("matrix")
    assert "expected an AnnData with obs and var, found matrix" in refusal(cells_from_file, tmp_path / "10x.h5")


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "found one that cannot be read" in refusal(cells_from_file, path)


@pytest.mark.parametrize("name", ["data", "indices"])
def test_a_damaged_chunk_is_refused(tmp_path, name):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())), compression="gzip")
    with h5py.File(path, "r") as file:
        chunk = file["X"][name].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 2 : chunk.byte_offset + 40] = bytes(38)
    path.write_bytes(content)
    assert "found one that cannot be read" in refusal(cells_from_file, path)


def test_a_zarr_folder_with_a_missing_chunk_is_refused(tmp_path):
    """zarr would read zeros."""
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())), "zarr")
    chunks = [
        file for file in (path / "X" / "data").rglob("*") if file.is_file() and not file.name.startswith((".", "zarr"))
    ]
    assert chunks
    chunks[0].unlink()
    assert "with missing chunks" in refusal(cells_from_file, path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("indptr", lambda starts: starts[:-1]),
        ("indptr", lambda starts: starts + 1),
        ("indptr", lambda starts: np.concatenate([starts[:5], starts[6:4:-1], starts[7:]])),
        ("data", lambda data: data[:-1]),
    ],
)
def test_entries_that_do_not_fit_together_are_refused(tmp_path, name, change):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())))
    with h5py.File(path, "r+") as file:
        values = change(file["X"][name][:])
        del file["X"][name]
        file["X"].create_dataset(name, data=values)
    message = refusal(cells_from_file, path)
    assert "damaged table in 'X'" in message or "cannot be read" in message


def test_an_index_beyond_the_genes_is_refused(tmp_path):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())))
    with h5py.File(path, "r+") as file:
        file["X/indices"][-1] = G
    assert "damaged" in refusal(cells_from_file, path)


def test_names_that_do_not_fit_the_table_are_refused(tmp_path):
    path = write(tmp_path, an_anndata(counts()))
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = counts()[:-1]
    assert "expected a table of 700 cells and 30 genes, as obs and var say, found 699 × 30" in refusal(
        cells_from_file, path
    )


@pytest.mark.parametrize("values", [np.array([["a"] * G] * 3, dtype="S1"), np.ones((3, G), bool)])
def test_what_is_no_number_is_refused(tmp_path, values):
    path = write(tmp_path, an_anndata(counts(3)))
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = values
    with pytest.raises(TypeError, match=r"X of cells\.h5ad: expected numbers"):
        cells_from_file(path)


# the file stays as it is, and must


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_not_changed_and_not_held_open(tmp_path, kind):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())), kind)
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in [path, *path.rglob("*")] if file.is_file()}
    cells = cells_from_file(path, **KEYS)
    model = SCVI(cells.genes, cells.batches, library_prior=log_library_moments(cells), hidden=(8,), n_latent=2)
    fit(model, cells, validation=cells.subset(slice(0, 50)), epochs=1, progress=False)
    next(shuffled(cells, 128, torch.Generator()))  # given up in the middle
    if os.path.isdir("/proc/self/fd"):
        held = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
        assert not any(name.startswith(str(path)) for name in held)
    assert before == {
        file: (file.read_bytes(), file.stat().st_mtime_ns) for file in [path, *path.rglob("*")] if file.is_file()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_written_again_is_not_read_with_the_old_checks(tmp_path, kind):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())), kind)
    cells = cells_from_file(path)
    shutil.rmtree(path) if kind == "zarr" else path.unlink()
    with pytest.raises(ValueError, match=r"found it moved or written again since\. Call cells_from_file anew"):
        cells[:3]
    write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts(seed=1))), kind)
    with pytest.raises(ValueError, match=r"found it moved or written again since\. Call cells_from_file anew"):
        cells[:3]


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_other_processes_read_the_same(tmp_path, kind):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts())), kind)
    cells = cells_from_file(path, **KEYS)
    cells[:3]
    for other in (copy.deepcopy(cells), pickle.loads(pickle.dumps(cells))):
        assert_same(cells[5:9], other[5:9])
    code = "import pickle, sys; cells = pickle.load(sys.stdin.buffer); print(cells[5:9].x.sum().item())"
    child = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(cells), stdout=subprocess.PIPE, check=True)
    assert float(child.stdout) == cells[5:9].x.sum().item()


# training


def a_model(cells, seed=0):
    torch.manual_seed(seed)
    return SCVI(cells.genes, cells.batches, library_prior=log_library_moments(cells), n_latent=2, hidden=(8,))


@pytest.mark.parametrize("kind", KINDS)
def test_training_over_a_file_is_training_in_memory_in_the_files_order(tmp_path, kind, monkeypatch):
    data = an_anndata(scipy.sparse.csr_matrix(counts()))
    stored = cells_from_file(write(tmp_path, data, kind), **KEYS)
    dense = cells_from_counts(data, **KEYS)
    weights = []
    for cells in (stored, dense):
        model = a_model(cells)
        fit(model, cells, validation=cells.subset(slice(0, 99)), epochs=2, batch_size=64, progress=False)
        weights.append(model.state_dict())
        monkeypatch.setattr(  # the dense cells in the order of the file's blocks, which one buffer holds
            Cells, "buffers", lambda self, _, shuffle: iter([self[shuffled_blocks(len(self), shuffle)]])
        )
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_over_a_file_resumes_bit_identical_after_the_file_was_opened_anew(tmp_path, kind):
    path = write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts(BUFFER * 2 + 77, 5))), kind)
    keys = {"batch_size": 512, "progress": False}
    cells = cells_from_file(path)
    history = fit(a_model(cells), cells, epochs=3, validation=cells.subset(slice(0, 99)), **keys)
    for epochs in (1, 3):
        cells = cells_from_file(path)
        held_out = cells.subset(slice(0, 99))
        resumed = fit(
            a_model(cells, seed=epochs - 1),
            cells,
            epochs=epochs,
            validation=held_out,
            checkpoint=tmp_path / "run",
            **keys,
        )
    pd.testing.assert_frame_equal(history, resumed, check_exact=True)


def test_a_checkpoint_is_not_resumed_with_a_file_of_other_counts(tmp_path):
    x = counts()
    cells = cells_from_file(write(tmp_path, an_anndata(scipy.sparse.csr_matrix(x))))
    fit(a_model(cells), cells, epochs=1, checkpoint=tmp_path / "run", progress=False)
    x[-1, 0] += 1
    other = cells_from_file(write(tmp_path, an_anndata(scipy.sparse.csr_matrix(x))))
    with pytest.raises(ValueError, match="content of cells"):
        fit(a_model(other), other, epochs=2, checkpoint=tmp_path / "run", progress=False)


def test_the_digest_is_of_the_counts_not_of_the_way_they_are_written(tmp_path):
    x = counts()
    digests = {
        cells_from_file(write(tmp_path, an_anndata(layout(x.astype(number))), kind)).digest()
        for layout in LAYOUTS
        for kind in KINDS
        for number in (np.float32, np.int64)
    }
    assert len(digests) == 1


# memory

PEAK = """
import gc, json, sys, tracemalloc
from course_lib.data.files import cells_from_file
from course_lib.training.fit import shuffled
import torch
tracemalloc.start()
cells = cells_from_file(sys.argv[1], batch_key="batch")
checked = tracemalloc.get_traced_memory()[1]
gc.collect()  # what the readers left in circles is held by nobody, and goes when Python thinks of it
tracemalloc.reset_peak()
for part in shuffled(cells, 128, torch.Generator()):
    pass
print(json.dumps([checked, tracemalloc.get_traced_memory()[1]]))
"""


def test_what_is_held_does_not_grow_with_the_counts(tmp_path):
    """NumPy reports its memory to tracemalloc: of a further cell its name is held, while the gate looks at it."""
    peaks = []
    n = 3 * BUFFER
    for n_cells in (n, 2 * n):
        x = scipy.sparse.random(n_cells, 199, 0.1, "csr", np.float32, random_state=0)
        x.data = np.ceil(x.data * 9)
        data = an_anndata(scipy.sparse.hstack([np.ones((n_cells, 1)), x], "csr", np.float32))
        data.obs = data.obs[["batch"]]
        path = write(tmp_path, data)
        del x, data
        gc.collect()
        child = subprocess.run([sys.executable, "-c", PEAK, str(path)], stdout=subprocess.PIPE, check=True)
        peaks.append(json.loads(child.stdout))
    (checked, trained), (twice_checked, twice_trained) = peaks
    names = 250 * n  # a cell's name, in the file's table, as text and in the check that it is unique
    assert twice_checked - checked < names
    assert twice_trained - trained < 100 * n  # its entries, of a float and a column, would be 21 · 8 bytes a cell


def test_nobody_reads_a_million_names_for_a_minibatch(tmp_path):
    """Rows of a file are a few numbers and the places where rows begin."""
    cells = cells_from_file(write(tmp_path, an_anndata(scipy.sparse.csr_matrix(counts()))))
    assert isinstance(cells.rows, FileRows)
    assert len(pickle.dumps(cells.rows)) < 8 * N + 2000


def test_a_file_made_by_appending_is_read_like_any_other(tmp_path):
    """As the file of a million cells is made."""
    data = an_anndata(scipy.sparse.csr_matrix(counts()))
    path = write(tmp_path, data[:300])
    with h5py.File(path, "r+") as file:
        sparse_dataset(file["X"]).append(data[300:].X)
        del file["obs"]
        anndata.io.write_elem(file, "obs", data.obs)
    assert_same(cells_from_counts(data, **KEYS), cells_from_file(path, **KEYS)[:])
