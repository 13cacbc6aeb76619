"""Which genes are kept: against NumPy, and against the method's own equations."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from anndata import AnnData
from skmisc.loess import loess

from course_lib.data.committed import load_cortex
from course_lib.data.genes import largest_spread, most_variable
from course_lib.data.scvi_process import simulate


def some_counts() -> AnnData:
    return simulate(300, 200, n_changed=8, fold=6.0, batch_sd=0, seed=2)


def standardised_variance(counts: np.ndarray) -> np.ndarray:
    """Seurat v3 by its equations (Stuart et al. 2019): variance of counts standardised by a curve, clipped at √N."""
    n, mean, variance = len(counts), counts.mean(0), counts.var(0, ddof=1)
    curve = loess(np.log10(mean), np.log10(variance), span=0.3, degree=2)
    curve.fit()
    sd = np.sqrt(10**curve.outputs.fitted_values)
    clipped = np.minimum(counts, sd * np.sqrt(n) + mean)
    return ((clipped - mean) ** 2).sum(0) / ((n - 1) * sd**2)


def by_standardised_variance(counts: np.ndarray, n_genes: int) -> np.ndarray:
    return np.sort(np.argsort(-standardised_variance(counts))[:n_genes])


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
def test_most_variable_keeps_the_genes_whose_variance_stands_above_the_curve(form):
    data = some_counts()
    counts = data.X.astype(np.float64)
    data.X = form(data.X.astype(np.float32))
    chosen = most_variable(data, 40)
    expected = by_standardised_variance(counts, 40)
    assert list(chosen.var_names) == list(data.var_names[expected])
    kept = chosen.X.toarray() if scipy.sparse.issparse(chosen.X) else chosen.X
    np.testing.assert_array_equal(kept, counts[:, expected])  # raw counts, in the order they had
    assert (data.var["changed_in"].to_numpy()[expected] != "none").mean() > 2 * 48 / 200  # markers are enriched


def test_within_batches_the_median_of_a_genes_ranks_decides():
    data = simulate(300, 200, n_changed=8, fold=6.0, batch_sd=0.3, seed=2)
    counts, batch = data.X.astype(np.float64), data.obs["batch"].to_numpy(dtype=str)
    ranks = np.stack([np.argsort(np.argsort(-standardised_variance(counts[batch == b]))) for b in np.unique(batch)])
    among = np.where(ranks < 40, ranks, np.nan)
    seen = np.flatnonzero(np.isfinite(among).any(axis=0))
    median, often = np.nanmedian(among[:, seen], axis=0), np.isfinite(among[:, seen]).sum(axis=0)
    expected = np.sort(seen[np.lexsort((-often, median))][:40])
    chosen = most_variable(data, 40, batch_key="batch")
    assert list(chosen.var_names) == list(data.var_names[expected])
    assert list(chosen.var_names) != list(most_variable(data, 40).var_names)


def test_a_gene_that_only_tells_batches_apart_is_chosen_over_both_and_not_within():
    """Of 200 Poisson genes every third is overdispersed in both batches; three others have another mean in each."""
    rng = np.random.default_rng(0)
    second = (np.arange(300) % 2).astype(bool)
    mean = np.tile(np.geomspace(1, 20, 200), (300, 1))
    mean[:, ::3] *= rng.gamma(1.0, size=(300, 67))
    told = [85, 100, 115]
    mean[:, told] = np.where(second, 8.0, 0.5)[:, None]
    data = AnnData(rng.poisson(mean))
    data.obs["batch"] = np.where(second, "b", "a")
    names = {str(gene) for gene in told}
    assert names <= set(most_variable(data, 60).var_names)
    assert not names & set(most_variable(data, 60, batch_key="batch").var_names)


@pytest.mark.parametrize(
    "batch, message",
    [
        ("run", r"batch_key: expected a column of data\.obs, \[.*'batch'.*\], found 'run'"),
        ([None, *"ab" * 149, "a"], "batch_key: expected a batch for each cell, found none for 1 of .*'cell_0'"),
        (["a"] * 299 + ["b"], r"data: expected enough cells .*only 0 genes vary.*take more cells"),
    ],
)
def test_batches_that_cannot_be_are_named(batch, message):
    data = some_counts()
    key = batch if isinstance(batch, str) else "batch"
    if key == "batch":
        data.obs["batch"] = batch
    with pytest.raises(ValueError, match=message):
        most_variable(data, 40, batch_key=key)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
def test_largest_spread_keeps_the_genes_of_largest_deviation_in_their_order(form):
    data = some_counts()
    spread = pd.DataFrame(data.X).std()  # pandas divides by N − 1: the order is the same
    expected = sorted(spread.nlargest(30).index)
    counts, data.X = data.X, form(data.X)
    chosen = largest_spread(data, 30)
    assert list(chosen.var_names) == [f"gene_{g}" for g in expected]
    kept = chosen.X.toarray() if scipy.sparse.issparse(chosen.X) else chosen.X
    np.testing.assert_array_equal(kept, counts[:, expected])


def test_the_cortex_has_558_genes_by_default():
    data = load_cortex()
    chosen = largest_spread(data)
    assert chosen.shape == (3_005, 558)
    left_out = data[:, ~data.var_names.isin(chosen.var_names)]
    assert chosen.X.std(axis=0).min() >= left_out.X.std(axis=0).max()


@pytest.mark.parametrize("choose", [most_variable, largest_spread])
def test_the_choice_is_a_copy_and_leaves_the_data_alone(choose):
    data = some_counts()
    before, columns = data.X.copy(), list(data.var.columns)
    chosen = choose(data, 40)
    assert not chosen.is_view
    chosen.X[:] = 0
    np.testing.assert_array_equal(data.X, before)
    assert list(data.var.columns) == columns
    assert list(chosen.obs["cell_type"]) == list(data.obs["cell_type"])


@pytest.mark.parametrize("choose", [most_variable, largest_spread])
@pytest.mark.parametrize("n_genes, found", [(0, "0"), (201, "201"), (2_000, "2,000")])
def test_an_impossible_number_of_genes_is_refused(choose, n_genes, found):
    with pytest.raises(ValueError, match=f"n_genes: expected 1 to 200, the genes there are, found {found}"):
        choose(some_counts(), n_genes)


@pytest.mark.parametrize("choose", [most_variable, largest_spread])
def test_values_that_are_no_counts_are_refused_with_the_way_back(choose):
    data = some_counts()
    data.layers["counts"], data.X = data.X, np.log1p(data.X.astype(np.float64) * 1.5)
    for values in (data.X, data.X - 1):
        data.X = values
        with pytest.raises(ValueError, match=r"data\.X: expected counts.*data\.X = data\.layers\['counts'\]\.copy\(\)"):
            choose(data, 40)
    data.X = data.layers["counts"].copy()
    assert choose(data, 40).n_vars == 40


@pytest.mark.parametrize("choose", [most_variable, largest_spread])
@pytest.mark.parametrize("n_genes", [40.0, "40", True, None])
def test_a_number_of_genes_that_is_none_is_refused(choose, n_genes):
    with pytest.raises(TypeError, match="n_genes: expected a whole number such as 10, found"):
        choose(some_counts(), n_genes)


@pytest.mark.parametrize("choose", [most_variable, largest_spread])
def test_names_that_occur_twice_an_empty_cell_and_a_plain_table_are_refused(choose):
    data = some_counts()
    with pytest.raises(TypeError, match=r"data: expected an AnnData, found a ndarray; make one, anndata\.AnnData"):
        choose(data.X, 40)
    data.X[3] = 0
    with pytest.raises(ValueError, match=r"data\.X: expected a count in every cell, .*'cell_3' \(row 3\)"):
        choose(data, 40)
    data = some_counts()
    data.var_names = ["same", "same", *data.var_names[2:]]
    with pytest.raises(ValueError, match="gene names: expected each once"):
        choose(data, 40)


def test_too_few_cells_for_the_curve_are_named():
    for shape in ((2, 3), (20, 4), (20, 13), (3, 50)):  # two or three genes would end the process inside loess
        data = AnnData(np.random.default_rng(0).poisson(2.0, shape) + 1)
        found = f"found {shape[0]} cells × {shape[1]} genes"
        with pytest.raises(
            ValueError, match=f"data: expected enough cells .*{found}.* take more cells, or largest_spread"
        ):
            most_variable(data, 2)
