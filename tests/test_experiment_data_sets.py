"""The data sets of the experiments: as many cells, genes, types and batches as they say, and logarithms of shares."""

import numpy as np
import pytest
import scipy.sparse
from anndata import AnnData

from course_lib.data import committed
from course_lib.experiments import data_sets

WHOLE = {
    data_sets.cortex: committed.load_cortex,
    data_sets.pbmc3k: committed.load_pbmc3k,
    data_sets.pbmc_pair: committed.load_pbmc_pair,
    data_sets.mosaic: committed.load_mosaic,
    data_sets.kang_monocytes: committed.load_kang,
}


def table(x):
    return x.toarray() if scipy.sparse.issparse(x) else np.asarray(x)


@pytest.mark.parametrize(
    "load, shape, n_types",
    [
        (data_sets.cortex, (3_005, 558), 7),
        (data_sets.pbmc3k, (2_638, 2_000), 8),
        (data_sets.pbmc_pair, (400, 1_000), None),
        (data_sets.mosaic, (1_200, 500), 8),
        (data_sets.kang_monocytes, (1_079, 2_006), 1),
    ],
)
def test_counts_are_those_of_the_file_and_their_logarithms_take_the_total_over_all_its_genes(load, shape, n_types):
    data, whole = load(), WHOLE[load]()
    assert data.shape == shape
    if n_types is not None:
        types = data_sets.cell_types(data)
        assert len(set(types)) == n_types
        assert "unassigned" not in types
    some = data.obs_names[::97]
    x, all_genes = table(data[some].X), table(whole[some].X)
    np.testing.assert_array_equal(x, table(whole[some, data.var_names].X))
    expected = np.log1p(1e4 * x / all_genes.sum(1, keepdims=True))
    np.testing.assert_allclose(table(data[some].layers["log"]), expected, rtol=1e-5)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
def test_with_log_takes_the_genes_there_are_and_leaves_the_callers_data_alone(form):
    x = np.array([[1, 3], [0, 5]], dtype=np.int32)
    data = AnnData(form(x))
    logged = data_sets.with_log(data)
    np.testing.assert_allclose(table(logged.layers["log"]), np.log1p([[2_500, 7_500], [0, 10_000]]), rtol=1e-6)
    np.testing.assert_array_equal(table(logged.X), x)
    assert not data.layers
    fewer = data_sets.with_log(logged[:, 1])  # afresh, of the one gene that is left
    np.testing.assert_allclose(table(fewer.layers["log"]), np.log1p([[10_000], [10_000]]), rtol=1e-6)


def test_a_model_gets_counts_or_their_logarithms_and_the_types_in_the_order_of_the_cells():
    data = data_sets.mosaic()
    (counts, types), (expression, same) = data_sets.counts_and_types(data), data_sets.expression_and_types(data)
    np.testing.assert_array_equal(counts.x, table(data.X))
    np.testing.assert_array_equal(expression.x, table(data.layers["log"]))
    assert types.tolist() == same.tolist() == data.obs["cell_type"].astype(str).tolist()


def test_genes_within_runs_leave_out_some_that_tell_the_runs_apart():
    over_both, within = data_sets.pbmc_pair(), data_sets.pbmc_pair(within_runs=True)
    assert within.shape == over_both.shape == (400, 1_000)
    assert set(within.obsm["protein"]) >= {"CD3", "CD19"}

    def apart(data):
        first = (data.obs["batch"] == "5k").to_numpy()
        log = table(data.layers["log"])
        return np.abs(log[first].mean(0) - log[~first].mean(0)).mean()

    assert apart(within) < 0.9 * apart(over_both)
