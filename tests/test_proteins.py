"""What analysis says of antibodies, against a model whose answers are known, and in and out of a MuData."""

import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.special import expit
from scipy.stats import nbinom
from torch import nn
from torch.distributions import Independent, Normal

from course_lib.analysis.proteins import annotate_proteins, denoised_protein, foreground_probability, impute_protein
from course_lib.data.cells import cells_from_counts
from course_lib.data.citeseq_process import simulate_citeseq
from course_lib.data.protein_cells import ProteinCells, cells_from_mudata
from course_lib.models.totalvi import TOTALVI, start_of_background
from course_lib.probability.mixture import NegativeBinomialMixture

ALPHA, PHI, LOGITS, LOG_BETA = [6.0, 3.0], [4.0, 2.0], [1.0, -0.5], [[2.0, 1.0], [3.0, 2.0], [0.0, 0.0]]


class Known(nn.Module):
    """z is 1 where the antibodies were seen and 0 where not; everything else is as written above, almost without noise.

    With z = 1 the logit of π falls by 2. Batch s2 has no antibodies.
    """

    genes, batches, proteins = ("g0", "g1"), ("s0", "s1", "s2"), ("p0", "p1")
    encodes_protein = True

    def __init__(self):
        super().__init__()
        self.measures_protein = torch.tensor([True, True, False])
        self.dropout = nn.Dropout(0.5)  # evaluation mode switches it off
        self.one = nn.Parameter(torch.ones(1))

    def encode(self, x, batch, protein):
        z = (~protein.isnan().any(-1, keepdim=True)).float() * self.dropout(self.one)
        return Normal(z, 1e-6)

    def encode_background(self, z, batch):
        return Normal(torch.tensor(LOG_BETA)[batch].expand(*z.shape[:-1], 2), 1e-6)

    def decode_protein(self, z, log_beta, batch):
        beta = log_beta.exp()
        logits = torch.tensor(LOGITS) - 2 * z
        return Independent(NegativeBinomialMixture(beta, torch.tensor(ALPHA) * beta, torch.tensor(PHI), logits), 1)


@pytest.fixture
def cells() -> ProteinCells:
    protein = torch.tensor([[3.0, 30.0], [100.0, 4.0], [torch.nan, torch.nan], [torch.nan, torch.nan]])
    return ProteinCells(
        torch.ones(4, 2), torch.tensor([0, 1, 0, 2]), Known.genes, Known.batches, counts=True, protein=protein,
        proteins=Known.proteins,
    )  # fmt: skip


def beta(s):
    return np.exp(np.array(LOG_BETA[s]))


def pi(z):
    return expit(np.array(LOGITS) - 2 * z)


def bayes(y, s):
    low, high = pi(1) * nb(y, beta(s)), (1 - pi(1)) * nb(y, np.array(ALPHA) * beta(s))
    return high / (low + high)


def nb(y, mu):
    theta = np.array(PHI)
    return nbinom.pmf(y, theta, theta / (theta + mu))


def test_foreground_is_bayes_rule_where_there_is_a_count_and_the_prior_where_there_is_none(cells):
    found = foreground_probability(Known(), cells)
    assert list(found.columns) == ["p0", "p1"]
    np.testing.assert_allclose(found.iloc[0], bayes([3, 30], 0), rtol=1e-4)
    np.testing.assert_allclose(found.iloc[1], bayes([100, 4], 1), rtol=1e-4)
    np.testing.assert_allclose(found.iloc[2:], np.stack([1 - pi(0)] * 2), rtol=1e-4)


def test_before_the_count_is_seen_foreground_is_one_minus_pi(cells):
    found = foreground_probability(Known(), cells, given_counts=False)
    np.testing.assert_allclose(found, np.stack([1 - pi(1), 1 - pi(1), 1 - pi(0), 1 - pi(0)]), rtol=1e-4)


def test_a_foreground_that_stands_too_low_does_not_count(cells):
    """α is 6 for one antibody and 3 for the other."""
    model = Known()
    every, some = foreground_probability(model, cells), foreground_probability(model, cells, fold=4.0)
    pd.testing.assert_series_equal(some["p0"], every["p0"])
    assert (some["p1"] == 0).all()
    pd.testing.assert_frame_equal(foreground_probability(model, cells, fold=2.9), every)
    with pytest.raises(ValueError, match=r"fold: expected a number ≥ 1, found 0\.5"):
        foreground_probability(model, cells, fold=0.5)


def test_denoised_is_the_foreground_alone_and_on_request_all(cells):
    foreground = [(1 - pi(z)) * np.array(ALPHA) * beta(s) for z, s in ((1, 0), (1, 1), (0, 0))]
    background = [pi(z) * beta(s) for z, s in ((1, 0), (1, 1), (0, 0))]
    np.testing.assert_allclose(denoised_protein(Known(), cells)[:3], foreground, rtol=1e-4)
    everything = denoised_protein(Known(), cells, include_background=True)
    np.testing.assert_allclose(everything[:3], np.add(foreground, background), rtol=1e-4)


def test_cells_of_a_batch_without_antibodies_are_decoded_in_those_that_have_them(cells):
    each = [(1 - pi(0)) * np.array(ALPHA) * beta(s) for s in (0, 1)]
    np.testing.assert_allclose(denoised_protein(Known(), cells).iloc[3], np.mean(each, axis=0), rtol=1e-4)
    one = denoised_protein(Known(), cells, transform_batch="s1")
    np.testing.assert_allclose(one.iloc[3], each[1], rtol=1e-4)
    np.testing.assert_allclose(one.iloc[0], (1 - pi(1)) * np.array(ALPHA) * beta(1), rtol=1e-4)
    both = denoised_protein(Known(), cells, transform_batch=["s0", "s1"])
    np.testing.assert_allclose(both.iloc[3], np.mean(each, axis=0), rtol=1e-4)


def test_imputation_does_not_look_at_what_was_measured(cells):
    found = impute_protein(Known(), cells)
    expected = [pi(0) * beta(s) + (1 - pi(0)) * np.array(ALPHA) * beta(s) for s in (0, 1, 0)]
    np.testing.assert_allclose(found[:3], expected, rtol=1e-4)
    assert cells.has_protein.sum() == 2


def test_questions_that_make_no_sense_are_refused(cells):
    model = Known()
    with pytest.raises(ValueError, match=r"transform_batch: expected batches in which .*'s0', 's1', found 's2'"):
        denoised_protein(model, cells, transform_batch="s2")
    with pytest.raises(ValueError, match="transform_batch: expected names among"):
        impute_protein(model, cells, transform_batch="s9")
    with pytest.raises(ValueError, match="n_samples: expected a whole number ≥ 1, found 0"):
        foreground_probability(model, cells, n_samples=0)
    with pytest.raises(ValueError, match="given_counts: expected False or True"):
        foreground_probability(model, cells, given_counts="no")
    plain = cells_from_counts(AnnData(np.ones((3, 2)), var=pd.DataFrame(index=["g0", "g1"])))
    with pytest.raises(TypeError, match="found Linear, which lacks genes"):
        foreground_probability(nn.Linear(1, 1), cells)
    with pytest.raises(ValueError, match="cells: the model numbers the batches"):
        foreground_probability(model, plain)


# A real model, into a MuData ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    mdata = simulate_citeseq(60, 30, 4, n_changed=2, seed=0)
    protein = mdata["protein"][20:].copy()  # the first twenty cells have RNA only
    with mudata.set_options(pull_on_update=False):
        mdata = mudata.MuData({"rna": mdata["rna"].copy(), "protein": protein[::-1].copy()})
    cells = cells_from_mudata(mdata, batch_key="batch")
    model = TOTALVI(
        cells.genes, cells.batches, cells.proteins, background=start_of_background(cells), n_latent=3, hidden=(8,)
    ).eval()
    model.epochs_trained = 1
    return mdata, cells, model


def test_one_seed_one_answer_and_the_generator_of_the_caller_stays(trained):
    _, cells, model = trained
    state = torch.get_rng_state()
    a, b, c = (foreground_probability(model, cells, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(a, b)
    assert not a.equals(c)
    assert torch.get_rng_state().equal(state)
    assert ((a >= 0) & (a <= 1)).all(axis=None)


def test_results_stand_beside_their_cells_and_survive_a_file(trained, tmp_path):
    mdata, cells, model = trained
    mdata = mdata.copy()
    annotate_proteins(mdata, model, batch_key="batch")
    assert mdata.obsm["X_totalVI"].shape == (60, 3)
    expected = foreground_probability(model, cells).set_index(mdata["rna"].obs_names)
    pd.testing.assert_frame_equal(mdata.obsm["protein_foreground"], expected.loc[mdata.obs_names])
    assert (mdata.obsm["protein_denoised"] > 0).all(axis=None)
    mdata.write(tmp_path / "all.h5mu")
    again = mudata.read_h5mu(tmp_path / "all.h5mu")
    for key in ("protein_foreground", "protein_denoised"):
        pd.testing.assert_frame_equal(again.obsm[key], mdata.obsm[key])
    np.testing.assert_array_equal(again.obsm["X_totalVI"], mdata.obsm["X_totalVI"])
    np.testing.assert_array_equal(again["protein"].X, mdata["protein"].X)
    assert again.obsm["protein"].sum() == 40  # mudata's own mask: who has antibodies


def test_rows_follow_the_mudata_where_its_order_is_another(trained):
    mdata, cells, model = trained
    order = mdata.obs_names[::-1]
    turned = mdata[order].copy()
    turned.mod["rna"] = mdata["rna"].copy()  # the RNA in its own order, the whole in another
    turned = mudata.MuData({"protein": mdata["protein"].copy(), "rna": mdata["rna"].copy()})
    annotate_proteins(turned, model, batch_key="batch")
    assert list(turned.obs_names) != list(mdata["rna"].obs_names)
    expected = denoised_protein(model, cells).set_index(mdata["rna"].obs_names)
    pd.testing.assert_frame_equal(turned.obsm["protein_denoised"], expected.loc[turned.obs_names])


def test_nothing_is_written_where_something_is_refused_and_replacing_warns(trained):
    mdata, _, model = trained
    mdata = mdata.copy()
    with pytest.raises(ValueError, match="batch_key: expected the column of obs"):
        annotate_proteins(mdata, model)
    with pytest.raises(ValueError, match="protein: expected one of the modalities"):
        annotate_proteins(mdata, model, protein="adt", batch_key="batch")
    with pytest.raises(TypeError, match="mdata: expected a MuData"):
        annotate_proteins(mdata["rna"], model, batch_key="batch")
    with pytest.raises(TypeError, match="lacks"):
        annotate_proteins(mdata, nn.Linear(2, 2), batch_key="batch")
    assert set(mdata.obsm) == {"rna", "protein"}
    annotate_proteins(mdata, model, batch_key="batch")
    with pytest.warns(UserWarning, match=r"obsm\['X_totalVI'\], obsm\['protein_foreground'\]"):
        annotate_proteins(mdata, model, batch_key="batch")
