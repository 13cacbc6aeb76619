"""Composition: what a share does when a few genes rise, and how the others get their zero back."""

import numpy as np
import pytest
import torch
from small import cells_by_hand
from torch.distributions import Independent, Normal

from course_lib.analysis.composition import centred, composition_shift, well_counted
from course_lib.analysis.differential_expression import differential_expression
from course_lib.probability.counts import Poisson

G, RISEN, FOLD = 60, 4, 200.0
N = 12
ONE, TWO = np.arange(N) < 6, np.arange(N) >= 6


class Share(torch.nn.Module):
    """q(z∣x) is a point at x, and ρ = z / Σ z: the share that the counts have."""

    genes, batches = tuple(f"g{i}" for i in range(G)), ("all cells",)
    learns_library, epochs_trained, n_latent = False, 1, G

    def encode(self, x):
        return Normal(x, 1e-6 * torch.ones_like(x))

    def decode(self, z, log_library, batch):
        share = z / z.sum(-1, keepdim=True)
        return Independent(Poisson(share, validate_args=False), 1, validate_args=False)


@pytest.fixture(scope="module")
def absolute():
    """Molecules made per cell, (2, G): the first four genes rise 200-fold in group 1, the others keep theirs."""
    kept = np.round(np.exp(np.random.default_rng(0).normal(5, 1, G)) + 20)
    return np.stack([np.where(np.arange(G) < RISEN, FOLD * kept, kept), kept])


@pytest.fixture(scope="module")
def cells(absolute):
    x = np.where(ONE[:, None], absolute[0], absolute[1])
    return cells_by_hand(x, genes=Share.genes)


@pytest.mark.parametrize("over", ["means", "pairs"])
def test_centred_the_others_stand_still_and_uncentred_they_fall_by_the_composition_shift(absolute, cells, over):
    ask = {"over": over, "pseudocount": 1e-12, "n_samples": 5, "n_pairs": 50}
    shift = -np.log2(absolute[0].sum() / absolute[1].sum())
    assert shift < -3
    plain = differential_expression(Share(), cells, ONE, TWO, **ask).loc[list(Share.genes)]
    np.testing.assert_allclose(plain["lfc_mean"][RISEN:], shift, atol=1e-4)
    assert plain["is_de_fdr_0.05"].all()  # every one of them
    table = differential_expression(Share(), cells, ONE, TWO, centre=True, **ask).loc[list(Share.genes)]
    np.testing.assert_allclose(table["lfc_mean"][RISEN:], 0, atol=1e-4)
    np.testing.assert_allclose(table["lfc_mean"][:RISEN], np.log2(FOLD), atol=1e-4)
    assert (table["proba_de"] == (np.arange(G) < RISEN)).all()


def test_rescaling_comes_before_the_pseudocount(absolute, cells):
    """A gene far below c has no change; the shift taken from its LFC afterwards would give it one."""
    c = 10.0
    table = differential_expression(Share(), cells, ONE, TWO, centre=True, pseudocount=c, n_samples=2)
    assert table["lfc_mean"].abs().max() < 0.5


def test_vanilla_mode_is_asked_of_the_rescaled_shares_too(cells):
    table = differential_expression(Share(), cells, ONE, TWO, mode="vanilla", centre=True, n_samples=2)
    table = table.loc[list(Share.genes)]
    np.testing.assert_allclose(table["scale1"][RISEN:], table["scale2"][RISEN:], rtol=1e-5)
    assert (table["proba_m1"][:RISEN] == 1).all()


def test_exchanging_the_groups_exchanges_the_signs_whatever_c_is(cells):
    ask = {"centre": True, "pseudocount": 1e-3, "n_samples": 3}
    there = differential_expression(Share(), cells, ONE, TWO, **ask).loc[list(Share.genes)]
    back = differential_expression(Share(), cells, TWO, ONE, **ask).loc[list(Share.genes)]
    np.testing.assert_allclose(there["lfc_mean"], -back["lfc_mean"], atol=1e-5)
    np.testing.assert_allclose(there["scale1"], back["scale2"], rtol=1e-5)


def test_the_shift_is_the_median_of_the_chosen_genes_draw_by_draw():
    rng = np.random.default_rng(1)
    rho1, rho2 = torch.from_numpy(rng.random((2, 5, 9)) + 0.1)
    genes = np.arange(9) < 6  # an even number: the middle of the two in the middle
    expected = np.median(np.log2(rho1[:, :6] / rho2[:, :6]), axis=1, keepdims=True)
    np.testing.assert_allclose(composition_shift(rho1, rho2, genes), expected)
    np.testing.assert_allclose(composition_shift(rho2, rho1, genes), -expected)
    one, two = centred(rho1, rho2, genes)
    np.testing.assert_allclose(np.median(np.log2(one[:, :6] / two[:, :6]), axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(one * two, rho1 * rho2)


def test_well_counted_genes_have_a_hundred_molecules_in_either_group():
    many = np.full(12, 1000.0)
    few = many.copy()
    few[3], few[7] = 99, 100
    assert well_counted(many, few).tolist() == [i != 3 for i in range(12)]
    assert well_counted(few, many).tolist() == [i != 3 for i in range(12)]
    with pytest.raises(ValueError, match=r"groups: expected at least 10 genes with 100 molecules .* found 9"):
        well_counted(np.where(np.arange(12) < 3, 0, many), many)


def test_centre_is_asked_for_by_true(cells):
    with pytest.raises(ValueError, match="centre: expected False or True, found 'median'"):
        differential_expression(Share(), cells, ONE, TWO, centre="median")
