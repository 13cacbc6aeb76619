"""Warnings of the gate: given where the evidence is strong, silent on every real data set of the course."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from course_lib.data import committed
from course_lib.data.cells import cells_from_counts, cells_from_expression
from course_lib.data.scvi_process import simulate
from course_lib.data.toys import three_programs

GATES = [cells_from_counts, cells_from_expression]


def some_counts(n_cells=40, n_genes=8, **obs):
    data = anndata.AnnData(np.random.default_rng(0).poisson(3.0, (n_cells, n_genes)) + 1)
    data.obs_names = [f"AAACCTGAGAAGG{''.join('ACGT'[i // 4**k % 4] for k in range(4))}-1" for i in range(n_cells)]
    data.var_names = ["CD3D", "MS4A1", "LYZ", "NKG7", "RPS12", "MT-CO1", "RPL13A", "GAPDH"][:n_genes]
    for key, column in obs.items():
        data.obs[key] = column
    return data


def warnings_of(gate, data, **keys):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gate(data, **keys)
    assert all(warning.filename == __file__ for warning in caught)  # the line shown is the caller's
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("load", [*(getattr(committed, f"load_{name}") for name in
                                    ("pbmc3k", "cortex", "kang", "mosaic", "pbmc_pair")),
                                  lambda: simulate(400, 300, n_changed=5), three_programs])  # fmt: skip
def test_cells_by_genes_are_not_doubted(load):
    data = load()
    assert warnings_of(cells_from_counts, data) == []
    assert warnings_of(cells_from_counts, data.X) == []


@pytest.mark.parametrize("gate", GATES)
def test_barcodes_in_columns_are_doubted_and_the_transposed_table_is_not(gate):
    data = some_counts().T
    (doubt,) = warnings_of(gate, data)
    assert doubt.startswith("data.X looks as if genes stood in rows and cells in columns: its columns are named like")
    assert "('AAACCTGAGAAGGAAAA-1', …). If so, pass data.T." in doubt
    assert warnings_of(gate, data.T) == []
    assert len(warnings_of(gate, pd.DataFrame(data.X, data.obs_names, data.var_names))) == 1


@pytest.mark.parametrize(
    "symbols", [["RPS12", "MT-CO1", "RPL13A", "GAPDH", "ACTB"], [f"ENSMUSG{i:011d}.3" for i in range(5)]]
)
def test_symbols_of_genes_in_rows_are_doubted(symbols):
    table = pd.DataFrame(np.ones((7, 6), int), [*symbols, "CD3D", "LYZ"], [f"donor{i}" for i in range(6)])
    (doubt,) = warnings_of(cells_from_counts, table)
    assert f"rows are named like genes ({symbols[0]!r}, {symbols[1]!r}, …). If so, pass data.T." in doubt
    assert warnings_of(cells_from_counts, table.T) == []
    assert warnings_of(cells_from_counts, table.iloc[1:]) == []  # four might be chance


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
def test_rows_that_spread_like_genes_are_doubted_where_there_are_no_names(form):
    counts = committed.load_pbmc3k().X
    counts = counts.toarray() if form is np.asarray else counts
    (doubt,) = warnings_of(cells_from_counts, counts.T)
    assert "log totals of its rows have a standard deviation of 1.7, those of its columns 0.4" in doubt
    assert warnings_of(cells_from_expression, counts.T) == []  # of logarithms it would say nothing


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("key", ["batch_key", "label_key"])
def test_a_name_for_almost_every_cell_is_doubted(gate, key):
    data = some_counts(each=[f"x{i}" for i in range(40)], half=[f"x{i // 2}" for i in range(40)])
    (doubt,) = warnings_of(gate, data, **{key: "each"})
    assert doubt.startswith(f"{key}='each' has 40 values for 40 cells ('x0', 'x1', …)")
    assert "Choose a column that many cells share" in doubt
    assert warnings_of(gate, data, **{key: "half"}) == []
    assert warnings_of(gate, data[:19].copy(), **{key: "each"}) == []  # so few cells prove nothing


def test_labels_are_compared_with_the_cells_that_have_one():
    few = [f"x{i}" if i < 25 else None for i in range(60)]
    (doubt,) = warnings_of(cells_from_counts, some_counts(60, few=few), label_key="few")
    assert "has 25 values for 25 cells" in doubt
