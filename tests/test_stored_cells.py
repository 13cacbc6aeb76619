"""Cells whose counts are not dense: to a model they are the same cells."""

import pickle
import tracemalloc
from dataclasses import dataclass, replace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.data.cells import Cells, StoredCells, cells_from_counts, cells_from_expression
from course_lib.data.rows import BLOCK, BUFFER, SparseRows, compact, shuffled_blocks
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training.fit import fit, minibatches, shuffled


@dataclass(frozen=True, eq=False)
class SlowRows(SparseRows):
    """Rows that say they are in a file."""

    in_memory = False


def counts(n_cells=300, n_genes=20, seed=0, kind=np.int32):
    x = np.random.default_rng(seed).negative_binomial(1, 0.7, (n_cells, n_genes)).astype(kind)
    x[:, 0] += 1  # no empty cell
    return x


def an_anndata(x):
    obs = pd.DataFrame({"batch": [f"b{i % 3}" for i in range(len(x))]}, index=[f"c{i}" for i in range(len(x))])
    return anndata.AnnData(x, obs, pd.DataFrame(index=[f"g{j}" for j in range(x.shape[1])]))


def tables(x):
    """The same cells dense, sparse, and in what says it is a file; with labels, some of which are missing."""
    data = an_anndata(x)
    label, labels = torch.arange(len(x)) % 4 - 1, ("T", "B", "NK")
    dense = replace(cells_from_counts(data, batch_key="batch"), label=label, labels=labels)
    sparse = replace(cells_from_counts(data, batch_key="batch", sparse=True), label=label, labels=labels)
    return dense, sparse, replace(sparse, rows=SlowRows(sparse.rows.counts))


def assert_same(cells, others):
    assert type(cells) is type(others) is Cells
    assert cells.x.dtype == others.x.dtype == torch.float32
    assert others.x.is_contiguous()
    assert torch.equal(cells.x, others.x)
    assert torch.equal(cells.batch, others.batch)
    assert torch.equal(cells.label, others.label)
    assert (cells.genes, cells.batches, cells.labels) == (others.genes, others.batches, others.labels)
    assert cells.counts is others.counts is True


@pytest.mark.parametrize(
    "index",
    [
        torch.tensor([7, 0, 7, 299]),
        torch.tensor([], dtype=torch.int64),
        np.array([-1, 5]),
        slice(None),
        slice(250, 400),
        slice(3, 200, 7),
        torch.arange(300) % 5 == 0,
        np.arange(300) > 290,
    ],
)
def test_minibatches_of_stored_cells_are_those_of_dense_cells(index):
    dense, *others = tables(counts())
    for stored in others:
        assert_same(dense[index], stored[index])
        assert_same(dense[index], stored.load(index)[:])
        assert_same(dense[index], stored.subset(index)[:])
        assert len(stored.subset(index)) == len(dense[index])


def test_a_subset_of_a_subset_is_counted_from_the_subset():
    dense, *others = tables(counts())
    train, some = np.arange(0, 300, 2)[::-1].copy(), torch.tensor([3, 3, 149])
    for stored in others:
        assert_same(dense[train][some], stored.subset(train)[some])
        assert_same(dense[train][some], stored.load(train)[some])
        assert stored.subset(train).rows is stored.rows  # nothing was copied


@pytest.mark.parametrize("n_cells", [1, 7, 128, 300, 1000])
def test_parts_are_all_cells_in_their_order(n_cells):
    dense, *others = tables(counts())
    for stored in others:
        parts = list(stored.parts(n_cells))
        assert [len(part) for part in parts] == [len(part) for part in dense.parts(n_cells)]
        for part, same in zip(parts, dense.parts(n_cells), strict=True):
            assert_same(same, part)


def test_parts_go_on_over_the_end_of_what_is_read_at_once():
    n = BUFFER + 300
    stored = tables(counts(n, 2))[2]
    parts = list(stored.parts(1000))
    assert [len(part) for part in parts] == [1000] * (n // 1000) + [n % 1000]
    assert torch.equal(torch.cat([part.x for part in parts]), stored[:].x)


def test_stored_cells_refuse_what_dense_cells_refuse():
    for cells in tables(counts()):
        with pytest.raises(TypeError, match=r"not int: for one cell write cells\[i:i \+ 1\]"):
            cells[0]
        with pytest.raises(IndexError):
            cells[torch.tensor([300])]
        with pytest.raises(IndexError):
            cells[torch.tensor([True, False])]


def test_stored_cells_know_their_sizes():
    dense, *others = tables(counts())
    for stored in others:
        assert (len(stored), stored.n_genes, stored.device) == (len(dense), dense.n_genes, dense.device)
        assert stored.to("cpu").label is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_minibatches_go_to_the_device_of_their_cells():
    for cells in tables(counts()):
        moved = cells.to("cuda")
        assert moved.device.type == "cuda"
        for index in (slice(0, 5), torch.arange(5), torch.arange(5, device="cuda"), np.arange(300) < 5):
            minibatch = moved[index]
            assert {minibatch.x.device.type, minibatch.batch.device.type, minibatch.label.device.type} == {"cuda"}
            assert_same(cells[:5], minibatch.to("cpu"))


# in memory


@pytest.mark.parametrize(
    ("largest", "kind"),
    [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.float32), (2**24, np.float32)],
)
@pytest.mark.parametrize("given_as", [np.int64, np.float32, np.float64, np.uint32])
def test_counts_are_kept_in_as_few_bytes_as_hold_them(largest, kind, given_as):
    x = np.array([[largest, 0, 1], [0, 2, 0]], dtype=given_as)
    cells = cells_from_counts(scipy.sparse.csr_matrix(x), sparse=True)
    assert cells.rows.counts.dtype == kind
    assert cells.rows.counts.indices.dtype == np.int32
    np.testing.assert_array_equal(cells[:].x, x)


@pytest.mark.parametrize("layout", [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, torch.from_numpy])
def test_the_callers_counts_are_neither_changed_nor_shared(layout):
    x = counts(kind=np.uint8)
    data = layout(x.copy())
    cells = cells_from_counts(data, sparse=True)
    assert isinstance(cells, StoredCells)
    cells.rows.counts.data[:] = 9
    np.testing.assert_array_equal(data.toarray() if scipy.sparse.issparse(data) else data, x)


@pytest.mark.parametrize(
    "wrong",
    [
        {(299, 19): -1.0, (40, 3): -2.0},
        {(299, 19): np.nan, (40, 3): -2.0},
        {(17, 4): 0.5},
        {(17, 4): 2.0**24 + 2},
        {100: 0.0, 200: 0.0},
    ],
)
def test_the_gate_says_the_same_of_sparse_counts(wrong):
    x = counts(kind=np.float64)
    for place, value in wrong.items():
        x[place] = value
    messages = set()
    for data, sparse in [(x, False), (x, True), (scipy.sparse.csr_matrix(x), True)]:
        with pytest.raises(ValueError, match="data: expected ") as refused:
            cells_from_counts(data, sparse=sparse)
        messages.add(str(refused.value))
    assert len(messages) == 1


def test_memory_grows_with_the_counts_above_zero_only():
    x = scipy.sparse.random(3000, 2000, 0.02, "csr", random_state=0)
    x.data = np.ceil(x.data * 9)
    x = x[np.diff(x.indptr) > 0]
    tracemalloc.start()
    cells = cells_from_counts(x, sparse=True)
    for part in cells.parts(128):
        assert len(part) <= 128
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * 3000 * 2000 * 4  # the dense table; 128 dense cells and some copies of the entries


# order


@pytest.mark.slow
@example(n_cells=2 * BUFFER, batch_size=128, seed=0)
@example(n_cells=3 * BUFFER + 1, batch_size=128, seed=0)
@example(n_cells=4 * BUFFER - 1, batch_size=100, seed=0)
@given(n_cells=st.integers(2, 4 * BUFFER), batch_size=st.integers(2, 300), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_an_epoch_from_a_file_shows_every_cell_once_and_never_one_alone(n_cells, batch_size, seed):
    x = scipy.sparse.csr_matrix(np.arange(1.0, n_cells + 1)[:, None])  # a cell's only count is its number
    cells = cells_from_counts(x, sparse=True)
    cells = replace(cells, rows=SlowRows(cells.rows.counts), batch=torch.arange(n_cells))
    parts = list(shuffled(cells, batch_size, torch.Generator().manual_seed(seed)))
    seen = torch.cat([part.x for part in parts]).squeeze(1)
    np.testing.assert_array_equal(np.sort(seen), np.arange(1, n_cells + 1))
    assert torch.equal(torch.cat([part.batch for part in parts]), seen.long() - 1)  # codes go with their rows
    sizes = [len(part) for part in parts]
    assert all(size == batch_size for size in sizes[:-1])
    assert 2 <= sizes[-1] <= batch_size + 1


@given(n_rows=st.integers(1, 5000), seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_blocks_are_whole_and_in_random_order(n_rows, seed):
    positions = shuffled_blocks(n_rows, torch.Generator().manual_seed(seed)).numpy()
    np.testing.assert_array_equal(np.sort(positions), np.arange(n_rows))
    jumps = np.flatnonzero(np.diff(positions) != 1)
    assert len(jumps) < np.ceil(n_rows / BLOCK)  # within a block, neighbours follow each other
    assert np.all(positions[jumps + 1] % BLOCK == 0)


def test_the_order_from_a_file_follows_the_generator_and_changes_with_each_epoch():
    cells = tables(counts(BUFFER + 999, 1))[2]
    shuffle, same = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)

    def epoch(generator):
        return torch.cat([part.batch * 4 + part.label for part in shuffled(cells, 128, generator)])

    first, second = epoch(shuffle), epoch(shuffle)
    assert torch.equal(first, epoch(same))
    assert torch.equal(second, epoch(same))
    assert not torch.equal(first, second)


def test_a_minibatch_from_a_file_comes_from_many_places():
    """Cells in a file stand batch by batch: a minibatch of neighbours would see one batch only."""
    n = 4 * BUFFER
    cells = replace(tables(counts(n, 1))[2], batch=torch.arange(n) // BUFFER)
    for part in shuffled(cells, 128, torch.Generator().manual_seed(0)):
        assert part.batch.bincount(minlength=4).min() >= 10  # of 128, 32 are expected


def test_cells_in_memory_are_shuffled_as_one_in_the_order_that_they_always_had():
    dense, sparse, _ = tables(counts())
    for cells in (dense, sparse):
        order = minibatches(300, 128, torch.Generator().manual_seed(5))
        for index, part in zip(order, shuffled(cells, 128, torch.Generator().manual_seed(5)), strict=True):
            assert_same(dense[index], part)


# training


def a_model(cells, seed=0):
    torch.manual_seed(seed)
    return SCVI(cells.genes, cells.batches, library_prior=log_library_moments(cells), n_latent=2, hidden=(8,))


def test_library_moments_do_not_notice_where_the_counts_are():
    expected, *others = (log_library_moments(cells) for cells in tables(counts()))
    for prior in others:
        assert torch.equal(prior.mean, expected.mean)
        assert torch.equal(prior.sd, expected.sd)


def test_library_moments_are_those_of_double_precision():
    x = np.random.default_rng(0).negative_binomial(3, 0.001, (400_000, 1)) + 1.0
    prior = log_library_moments(cells_from_counts(x))
    assert prior.mean.item() == np.float32(np.log(x).mean())
    assert prior.sd.item() == np.float32(np.log(x).std(ddof=1))


def test_training_on_sparse_cells_is_bit_for_bit_training_on_dense_cells():
    results = []
    for cells in tables(counts())[:2]:
        model = a_model(cells)
        train, held_out = cells.subset(slice(0, 250)), cells.subset(slice(250, 300))
        history = fit(model, train, validation=held_out, epochs=3, batch_size=32, progress=False)
        results.append((history, model.state_dict()))
    (history, weights), (same_history, same_weights) = results
    pd.testing.assert_frame_equal(history, same_history, check_exact=True)
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)


def test_a_run_over_a_file_resumes_bit_identical(tmp_path):
    cells = tables(counts(BUFFER * 2 + 77, 5))[2]
    whole, broken = a_model(cells), a_model(cells)
    keys = {"batch_size": 512, "validation": cells.subset(slice(0, 99)), "progress": False}
    history = fit(whole, cells, epochs=3, **keys)
    fit(broken, cells, epochs=1, checkpoint=tmp_path, **keys)
    resumed = fit(a_model(cells, seed=9), cells, epochs=3, checkpoint=tmp_path, **keys)
    pd.testing.assert_frame_equal(history, resumed, check_exact=True)


def test_other_content_is_another_digest():
    dense, sparse, slow = tables(counts())
    other = sparse.rows.counts.copy()
    other.data[-1] += 1
    changed = [
        replace(sparse, rows=SparseRows(other)),
        replace(sparse, batch=sparse.batch.flip(0)),
        replace(sparse, label=sparse.label.flip(0)),
        sparse.subset(torch.arange(300).flip(0)),
        sparse.subset(slice(0, 299)),
        slow,  # it is shuffled in another way
        dense,
    ]
    digests = [cells.digest() for cells in [sparse, *changed]]
    assert len(set(digests)) == len(digests)
    assert tables(counts())[1].digest() == sparse.digest()
    assert pickle.loads(pickle.dumps(sparse)).digest() == sparse.digest()


def test_a_checkpoint_of_sparse_cells_is_not_resumed_with_other_counts(tmp_path):
    cells, other = tables(counts())[1], tables(counts(seed=1))[1]
    fit(a_model(cells), cells, epochs=1, checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match="content of cells"):
        fit(a_model(cells), other, epochs=2, checkpoint=tmp_path, progress=False)


def test_expression_has_no_sparse_form():
    """Scaled values have no zeros to leave out."""
    with pytest.raises(TypeError, match="sparse"):
        cells_from_expression(counts(), sparse=True)


class WhoseCells(nn.Module):
    """Notes what a model is given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []

    def loss(self, cells, kl_weight=1.0):
        self.seen.append(cells)
        return {"loss": (self.weight * cells.x.mean()).sum()}


def test_a_model_is_never_given_anything_but_plain_dense_cells():
    for cells in tables(counts()):
        model = WhoseCells()
        fit(model, cells, validation=cells, epochs=1, progress=False)
        assert {type(seen) for seen in model.seen} == {Cells}
        assert all(isinstance(seen.x, torch.Tensor) and not seen.x.is_sparse for seen in model.seen)


def test_compact_keeps_what_has_no_counts():
    empty = compact(scipy.sparse.csr_matrix((3, 4), dtype=np.float32))
    assert empty.shape == (3, 4)
    assert empty.nnz == 0
