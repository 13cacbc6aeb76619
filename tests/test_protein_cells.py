"""Cells with antibodies: the gate of both modalities, cells that lack one, indexing, matching and digests."""

from dataclasses import replace

import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from course_lib.data.cells import cells_from_counts
from course_lib.data.checks import NotCounts
from course_lib.data.committed import (
    load_citeseq,
    load_mosaic,
    load_mosaic_protein,
    load_pbmc_pair,
    load_pbmc_pair_mudata,
)
from course_lib.data.matching import check_alike, check_cells
from course_lib.data.protein_cells import ProteinCells, cells_from_mudata

GENES, PROTEINS = ("g0", "g1", "g2", "g3"), ("p0", "p1", "p2")


def small(rna=("a", "b", "c", "d", "e"), protein=("d", "b", "e"), x=None, y=None) -> mudata.MuData:
    """Five cells with RNA, three of them with antibodies, in another order."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, size=(len(rna), len(GENES))) if x is None else x
    y = rng.integers(1, 99, size=(len(protein), len(PROTEINS))) if y is None else y
    obs = pd.DataFrame({"run": list("uvuvu")[: len(rna)], "kind": list("xxyyy")[: len(rna)]}, index=list(rna))
    modalities = {
        "rna": AnnData(x, obs, pd.DataFrame(index=list(GENES))),
        "protein": AnnData(y, pd.DataFrame(index=list(protein)), pd.DataFrame(index=list(PROTEINS))),
    }
    with mudata.set_options(pull_on_update=False):
        return mudata.MuData(modalities)


def test_the_rna_leads_and_each_cell_gets_its_own_antibodies():
    mdata = small()
    cells = cells_from_mudata(mdata, batch_key="run", label_key="kind")
    assert (cells.genes, cells.proteins, cells.batches, cells.labels) == (GENES, PROTEINS, ("u", "v"), ("x", "y"))
    assert cells.batch.tolist() == [0, 1, 0, 1, 0]
    assert cells.label.tolist() == [0, 0, 1, 1, 1]
    assert cells.x.tolist() == mdata["rna"].X.tolist()
    assert cells.has_protein.tolist() == [False, True, False, True, True]
    for row, name in enumerate("abcde"):
        if name in mdata["protein"].obs_names:
            assert cells.protein[row].tolist() == mdata["protein"][name].X[0].tolist()
        else:
            assert cells.protein[row].isnan().all()
    assert cells.counts is True
    assert cells.protein.dtype == torch.float32


def test_indexing_moving_and_parts_keep_cell_and_antibodies_together():
    cells = cells_from_mudata(small(), batch_key="run", label_key="kind")
    order = torch.tensor([4, 1, 0])
    for index in (order, order.numpy()):
        some = cells[index]
        assert isinstance(some, ProteinCells)
        torch.testing.assert_close(some.protein, cells.protein[order], rtol=0, atol=0, equal_nan=True)
        assert some.x.equal(cells.x[order])
        assert some.label.equal(cells.label[order])
        assert some.has_protein.tolist() == [True, True, False]
    assert cells.subset(slice(1, 3)).protein.shape == (2, 3)
    assert [part.protein.shape[0] for part in cells.parts(2)] == [2, 2, 1]
    assert cells.to("meta").protein.device.type == "meta"
    assert cells.to("meta").x.device.type == "meta"


def test_antibodies_can_be_hidden_and_the_original_stays():
    cells = cells_from_mudata(small())
    assert not cells.without_protein().has_protein.any()
    assert cells.without_protein(torch.tensor([1])).has_protein.tolist() == [False, False, False, True, True]
    assert cells.without_protein(np.array([False, True, False, True, False])).has_protein.sum() == 1
    assert cells.has_protein.sum() == 3


def test_the_digest_sees_a_count_a_name_and_a_hidden_row():
    cells = cells_from_mudata(small())
    other = cells.protein.clone()
    other[1, 0] += 1
    variants = [
        cells, replace(cells, protein=other), replace(cells, proteins=("p1", "p0", "p2")), cells.without_protein(),
        cells.without_protein(torch.tensor([1])),
    ]  # fmt: skip
    assert len({each.digest() for each in variants}) == len(variants)
    assert cells_from_mudata(small()).digest() == cells.digest()


def test_what_is_not_counts_is_refused_in_the_name_of_its_modality():
    y = np.ones((3, 3))
    y[2, 1] = 0.5
    with pytest.raises(NotCounts, match=r"mdata\['protein'\]: data\.X: expected"):
        cells_from_mudata(small(y=y))
    x = np.ones((5, 4))
    x[0, 0] = -1
    with pytest.raises(NotCounts, match=r"mdata\['rna'\]: data\.X: expected"):
        cells_from_mudata(small(x=x))
    y = np.ones((3, 3))
    y[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"mdata\['protein'\]: data\.X: expected"):
        cells_from_mudata(small(y=y))
    with pytest.raises(ValueError, match=r"mdata\['rna'\]: batch_key"):
        cells_from_mudata(small(), batch_key="no such column")


def test_antibodies_of_a_cell_without_rna_are_refused():
    with pytest.raises(
        ValueError, match=r"mdata\['protein'\]: expected cells that mdata\['rna'\] has too, found 1 .*'z'"
    ):
        cells_from_mudata(small(protein=("d", "z", "e")))


def test_a_modality_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"protein: expected one of the modalities \['rna', 'protein'\], found 'adt'"):
        cells_from_mudata(small(), protein="adt")
    with pytest.raises(ValueError, match="rna: expected one of the modalities"):
        cells_from_mudata(small(), rna="RNA")


def test_an_anndata_is_sent_to_the_function_for_it():
    with pytest.raises(TypeError, match=r"mdata: expected a MuData, found AnnData.*cells_from_counts\(data\)"):
        cells_from_mudata(small()["rna"])


class Model:
    genes, batches, proteins = GENES, ("all cells",), PROTEINS


def test_other_antibodies_than_the_models_are_refused():
    cells = cells_from_mudata(small())
    check_cells(Model(), cells)
    moved = replace(cells, proteins=("p1", "p0", "p2"))
    with pytest.raises(
        ValueError, match="cells: the 3 antibodies of the model in another order, first 'p0' at column 1"
    ):
        check_cells(Model(), moved)
    with pytest.raises(ValueError, match="expected the 3 antibodies of the model, found 3: 1 missing, first 'p2'"):
        check_cells(Model(), replace(cells, proteins=("p0", "p1", "q")))
    with pytest.raises(ValueError, match="found cells without; make them with cells_from_mudata"):
        check_cells(Model(), cells_from_counts(small()["rna"]))
    with pytest.raises(ValueError, match="validation: expected the antibodies of cells in their order"):
        check_alike(cells, moved, "validation")
    check_alike(cells, cells[:2], "validation")


# the committed files


def test_the_mosaic_as_mudata_has_the_files_counts_and_the_same_labels():
    mdata = load_citeseq()
    np.testing.assert_array_equal(mdata["protein"].X, load_mosaic_protein().X)
    assert (mdata["rna"].X != load_mosaic().X).nnz == 0
    both = mdata["protein"].obs_names
    assert set(both) == set(mdata["rna"].obs_names[mdata["rna"].obs["batch"] != "p1_0"])
    for key in ("batch", "cell_type"):
        assert (mdata["protein"].obs[key].astype(str) == mdata["rna"].obs.loc[both, key].astype(str)).all()
    cells = cells_from_mudata(mdata, batch_key="batch")
    assert cells.has_protein.sum() == 800
    assert not cells.has_protein[cells.batch == cells.batches.index("p1_0")].any()


def test_cells_carry_the_antibodies_that_their_kind_should():
    protein = load_mosaic_protein()
    log = pd.DataFrame(np.log1p(protein.X), columns=protein.var_names).groupby(protein.obs["cell_type"].to_numpy())
    highest = log.mean().idxmax()
    expected = {
        "cd19": "B",
        "cd20": "B",
        "cd14": "Mono",
        "cd8": "CD8 T",
        "cd8a": "CD8 T",
        "cd4.1": "CD4 T",
        "cd16": "NK",
    }
    assert {name: highest[name] for name in expected} == expected


def test_the_pair_as_mudata_has_the_antibodies_of_its_obsm():
    mdata, data = load_pbmc_pair_mudata(), load_pbmc_pair()
    np.testing.assert_array_equal(mdata["protein"].X, data.obsm["protein"].to_numpy())
    assert list(mdata["protein"].var_names) == [f"{name}_TotalSeqB" for name in data.obsm["protein"]]
    assert mdata.var_names.is_unique
    cells = cells_from_mudata(mdata, batch_key="batch")
    assert cells.has_protein.all()
    assert cells.batches == ("5k", "10k")
