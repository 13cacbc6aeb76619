"""totalVI against quadrature over z and every β, its corners, what it refuses, and a simulation with truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from small import same_weights, weights_of
from torch.nn.functional import softplus

from course_lib.analysis.latent import get_latent_representation
from course_lib.analysis.mixing import label_knn_accuracy
from course_lib.analysis.proteins import foreground_probability
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.citeseq_process import simulate_citeseq
from course_lib.data.protein_cells import ProteinCells, cells_from_mudata
from course_lib.models.scvi import start_at_profile
from course_lib.models.totalvi import TOTALVI, BackgroundPrior, lower_heap, start_of_background
from course_lib.training import fit

N, G, T, B = 12, 4, 3, 2


def some_cells(n: int = N, n_genes: int = G, n_proteins: int = T, n_batches: int = B, seed: int = 0) -> ProteinCells:
    """Counts without structure; every third cell has no antibodies."""
    rng = np.random.default_rng(seed)
    protein = torch.from_numpy(rng.poisson(rng.lognormal(1.5, 1.0, (n, n_proteins)))).float()
    protein[::3] = torch.nan
    return ProteinCells(
        torch.from_numpy(rng.poisson(3.0, (n, n_genes)) + 1).float(), torch.arange(n) % n_batches,
        tuple(f"g{j}" for j in range(n_genes)), tuple(f"s{j}" for j in range(n_batches)), counts=True,
        protein=protein, proteins=tuple(f"p{j}" for j in range(n_proteins)),
    )  # fmt: skip


def a_model(cells: ProteinCells, seed: int = 0, **settings) -> TOTALVI:
    """Random weights, a prior of β that differs between batches and antibodies; in evaluation mode."""
    n_batches, n_proteins = len(cells.batches), len(cells.proteins)
    torch.manual_seed(seed)
    mean, sd = torch.randn(n_batches, n_proteins) + 1.5, 0.2 + 0.5 * torch.rand(n_batches, n_proteins)
    background = BackgroundPrior(mean, sd, torch.ones(n_batches, dtype=torch.bool))
    settings = {"n_latent": 2, "hidden": (8,), "background": background} | settings
    return TOTALVI(cells.genes, cells.batches, cells.proteins, **settings).eval()


# The bound ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_dimension():
    """A model of one latent dimension in double precision, its cells, and log p(x, y∣s) of each by quadrature."""
    cells = some_cells()
    model = a_model(cells, n_latent=1)
    fit(model, cells, epochs=60, batch_size=N, lr=1e-2, progress=False)  # so that draws come from where the mass is
    cells = replace(cells, x=cells.x.double(), protein=cells.protein.double())
    model = model.double()
    with torch.no_grad():
        return model, cells, by_quadrature(model, cells)


def by_quadrature(model: TOTALVI, cells: ProteinCells) -> np.ndarray:
    """log ∫ p(z) p(x∣z) Π_t ∫ p(y_t∣z, β_t) p(β_t∣s) dβ_t dz: the antibodies are independent once z is known."""
    z, dz = np.linspace(-7, 7, 281, retstep=True)
    u, du = np.linspace(-7, 7, 141, retstep=True)  # β = exp(c + d u)
    c, d = model.background_mean.detach().numpy(), model.background_log_sd.detach().exp().numpy()
    result = np.empty(len(cells))
    for n in range(len(cells)):
        s = int(cells.batch[n])
        batch, grid = torch.full((len(z),), s), torch.from_numpy(z)[:, None]
        p_x = model.decode(grid, cells.x[n].sum().log().expand(len(z), 1), batch)
        log_p = norm.logpdf(z) + p_x.log_prob(cells.x[n]).numpy()
        if cells.has_protein[n]:
            log_beta = torch.from_numpy(c[s] + d[s] * u[:, None])  # (U, T)
            p_y = model.decode_protein(grid, log_beta[:, None, :].expand(-1, len(z), -1), batch).base_dist
            each = p_y.log_prob(cells.protein[n]).numpy() + norm.logpdf(u)[:, None, None]  # (U, Z, T)
            log_p = log_p + (logsumexp(each, axis=0) + math.log(du)).sum(-1)
        result[n] = logsumexp(log_p) + math.log(dz)
    return result


def test_the_bound_lies_below_the_evidence_and_importance_weights_reach_it(one_dimension):
    model, cells, evidence = one_dimension
    torch.manual_seed(0)
    with torch.no_grad():
        bounds = torch.stack([model.elbo(cells).value for _ in range(400)]).numpy()
        weights = torch.cat([model.log_weights(cells, 4_000) for _ in range(5)])
    error = bounds.std(0) / np.sqrt(len(bounds))
    assert (bounds.mean(0) - evidence < 4 * error).all()
    assert (bounds.mean(0) - evidence < -0.005).any()  # and is no copy of it
    reached = (torch.logsumexp(weights, 0) - math.log(len(weights))).numpy()
    np.testing.assert_allclose(reached, evidence, atol=0.05)


def test_the_bound_is_the_mean_of_the_log_weights(one_dimension):
    """One has its KLs in closed form, the other from draws."""
    model, cells, _ = one_dimension
    torch.manual_seed(1)
    with torch.no_grad():
        bounds = torch.stack([model.elbo(cells).value for _ in range(500)])
        weights = model.log_weights(cells, 5_000)
    error = (bounds.var(0) / len(bounds) + weights.var(0) / len(weights)).sqrt()
    assert ((bounds.mean(0) - weights.mean(0)).abs() < 4 * error).all()


def test_terms_of_a_cell_without_antibodies_are_zero_and_its_bound_is_that_of_its_rna(one_dimension):
    model, cells, _ = one_dimension
    blind = cells.without_protein()
    torch.manual_seed(0)
    with torch.no_grad():
        bound, of_rna = model.elbo(cells), by_quadrature(model, blind)
        weights = model.log_weights(blind, 20_000)
    lacking = ~cells.has_protein
    for name in ("nll_protein", "kl_background"):
        assert (bound.further[name][lacking] == 0).all()
        assert (bound.further[name][~lacking] > 0).all()
    np.testing.assert_allclose((torch.logsumexp(weights, 0) - math.log(20_000)).numpy(), of_rna, atol=0.05)
    torch.testing.assert_close(
        bound.value, bound.reconstruction - bound.kl_z - bound.further["nll_protein"] - bound.further["kl_background"]
    )


def test_the_kl_of_the_background_is_the_sum_over_a_cells_antibodies_written_out():
    cells = some_cells()
    model = a_model(cells)
    with torch.no_grad():
        torch.manual_seed(0)
        found = model.elbo(cells).further["kl_background"]
        torch.manual_seed(0)
        z = model.encode(cells.x, cells.batch, cells.protein).rsample()  # the first that the bound draws
        q = model.encode_background(z, cells.batch)
    for n in range(N):
        kl = 0.0
        for t in range(T) if cells.has_protein[n] else ():
            c, d = (
                model.background_mean[cells.batch[n], t].item(),
                model.background_log_sd[cells.batch[n], t].exp().item(),
            )
            m, r = q.mean[n, t].item(), q.stddev[n, t].item()
            kl += math.log(d / r) + (r**2 + (m - c) ** 2) / (2 * d**2) - 0.5
        assert found[n].item() == pytest.approx(kl, rel=1e-4)


def test_the_loss_is_minus_the_bound_and_nan_reaches_no_gradient():
    cells = some_cells()
    model = a_model(cells)
    torch.manual_seed(0)
    terms = model.loss(cells, kl_weight=0.5)
    expected = terms["reconstruction"] + 0.5 * terms["kl_z"] + terms["nll_protein"] + terms["kl_background"]
    torch.testing.assert_close(terms["loss"], expected)
    terms["loss"].backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None for parameter in model.parameters())


# The parts ------------------------------------------------------------------------------------------------------------


def test_the_encoder_sees_logarithms_of_both_and_whether_there_are_antibodies():
    cells = some_cells()
    model = a_model(cells)
    seen = cells.has_protein.float().unsqueeze(-1)
    inputs = torch.cat([torch.log1p(cells.x), torch.log1p(cells.protein).nan_to_num(0.0), seen], -1)
    torch.testing.assert_close(model.encode(cells.x, cells.batch, cells.protein).mean, model.z_encoder(inputs).mean)
    blind = model.encode(cells.x)
    torch.testing.assert_close(blind.mean, model.encode(cells.x, cells.batch, cells.without_protein().protein).mean)
    told = torch.cat([inputs[:, :G], torch.zeros(N, T), torch.ones(N, 1)], -1)  # a cell that has them, all zero
    assert not torch.allclose(blind.mean, model.z_encoder(told).mean)


def test_foreground_never_lies_below_background_whatever_the_weights():
    cells = some_cells()
    model = a_model(cells)
    with torch.no_grad():
        for parameter in model.protein_decoder.parameters():
            parameter.copy_(30 * torch.randn_like(parameter))
        p = model.decode_protein(torch.randn(N, 2), torch.randn(N, T), cells.batch).base_dist
    assert (p.mu_foreground >= p.mu_background).all()
    alpha = 1 + softplus(
        model.protein_decoder.to_alpha(
            model.protein_decoder.trunk(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
        )
    )
    p = model.decode_protein(torch.zeros(1, 2), torch.full((1, T), 2.0), torch.zeros(1, dtype=torch.int64)).base_dist
    torch.testing.assert_close(p.mu_foreground, alpha * math.exp(2.0))


def test_the_prior_of_the_background_is_that_of_batch_and_antibody():
    cells = some_cells()
    model = a_model(cells)
    prior = model.prior_background(torch.tensor([1, 0, 1]))
    assert prior.batch_shape == (3, T)
    torch.testing.assert_close(prior.mean, model.background_mean[[1, 0, 1]])
    torch.testing.assert_close(prior.stddev, model.background_log_sd.exp()[[1, 0, 1]])
    assert model.background_mean.requires_grad
    assert model.background_log_sd.requires_grad


def test_antibodies_are_hidden_from_the_encoder_in_training_alone_and_scored_all_the_same():
    cells = some_cells(3_000)
    model = a_model(cells, hide_protein=0.3)
    assert model.shown(cells.protein) is cells.protein  # evaluation
    model.train()
    torch.manual_seed(0)
    shown = model.shown(cells.protein)
    had, has = cells.has_protein, ~shown.isnan().any(-1)
    assert (has & ~had).sum() == 0
    assert (had & ~has).sum() / had.sum() == pytest.approx(0.3, abs=0.03)
    assert shown[has].equal(cells.protein[has])
    bound = model.elbo(cells)
    assert (bound.further["nll_protein"][had] > 0).all()
    assert a_model(cells, hide_protein=0.0).train().shown(cells.protein) is cells.protein


def test_the_background_starts_at_the_lower_heap_of_each_antibody_in_each_batch():
    mdata = simulate_citeseq(2_000, 50, 6, background_sd=0.05, phi=20.0, mistaken=0.0, n_changed=2, dropout=0.0, seed=3)
    cells = cells_from_mudata(mdata, batch_key="batch")
    start = start_of_background(cells)
    truth = torch.from_numpy(mdata["protein"].uns["truth"]["background_mean"])
    assert start.mean.shape == (2, 6)
    torch.testing.assert_close(start.mean.double(), truth, atol=0.1, rtol=0)
    assert start.measured.all()
    one = start_of_background(cells.without_protein(cells.batch == 1))
    assert one.measured.tolist() == [True, False]
    torch.testing.assert_close(one.mean[1], one.mean[0])
    assert lower_heap(np.zeros(9)) == (0.0, 0.1)
    model = TOTALVI(cells.genes, cells.batches, cells.proteins, background=one).eval()
    q = model.encode_background(torch.zeros(1, 10), torch.tensor([0]))
    assert (q.mean - one.mean[0]).abs().max() < 0.6  # near the prior, where it would else be near 0


# Corners --------------------------------------------------------------------------------------------------------------


def corners() -> dict[str, ProteinCells]:
    cells = some_cells()
    paired = cells[cells.has_protein]
    zero = paired.protein.clone()
    zero[:, 1] = 0
    alone = replace(paired, batch=torch.zeros_like(paired.batch), batches=("s0",))
    return {
        "no antibodies at all": cells.without_protein(),
        "all cells paired": paired,
        "an antibody all zero": replace(paired, protein=zero),
        "a batch without antibodies": cells.without_protein(cells.batch == 1),
        "one batch": alone,
        "a cell without any count of an antibody": replace(paired, protein=torch.zeros_like(paired.protein)),
        "counts of a hundred thousand": replace(paired, protein=paired.protein * 100_000),
    }


@pytest.mark.parametrize("corner", corners())
def test_it_trains_at_the_corners(corner):
    cells = corners()[corner]
    model = a_model(cells)
    history = fit(model, cells, epochs=3, batch_size=4, progress=False)
    assert np.isfinite(history.to_numpy(dtype=float)).all()
    assert {"train_nll_protein", "train_kl_background"} <= set(history)
    if corner == "no antibodies at all":
        assert (history[["train_nll_protein", "train_kl_background"]] == 0).all(axis=None)


def test_a_broken_run_goes_on_as_if_it_had_not_broken(tmp_path):
    cells = some_cells(40)
    whole, broken = a_model(cells), a_model(cells)
    fit(whole, cells, epochs=4, batch_size=16, progress=False)
    fit(broken, cells, epochs=2, batch_size=16, checkpoint=tmp_path, progress=False)
    fit(broken, cells, epochs=4, batch_size=16, checkpoint=tmp_path, progress=False)
    assert same_weights(weights_of(whole), weights_of(broken))
    with pytest.raises(ValueError, match="content of cells"):
        fit(
            broken,
            cells.without_protein(torch.tensor([1])),
            epochs=5,
            batch_size=16,
            checkpoint=tmp_path,
            progress=False,
        )


# What it refuses ------------------------------------------------------------------------------------------------------


def test_it_refuses_what_cannot_be():
    cells = some_cells()
    prior = BackgroundPrior(torch.zeros(B, T), torch.ones(B, T), torch.ones(B, dtype=torch.bool))
    with pytest.raises(ValueError, match="proteins: expected at least one name, found none"):
        TOTALVI(cells.genes, cells.batches, background=prior)
    with pytest.raises(ValueError, match="hide_protein: expected 0 ≤ hide_protein < 1, found 1"):
        TOTALVI(cells.genes, cells.batches, cells.proteins, background=prior, hide_protein=1)
    with pytest.raises(TypeError, match=r"background: expected a BackgroundPrior, found NoneType.*start_of_background"):
        TOTALVI(cells.genes, cells.batches, cells.proteins, background=None)
    narrow = BackgroundPrior(torch.zeros(B, 2), torch.ones(B, 2), torch.ones(B, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"background: expected 2 batches × 3 antibodies.*found \(2, 2\)"):
        TOTALVI(cells.genes, cells.batches, cells.proteins, background=narrow)
    with pytest.raises(ValueError, match="BackgroundPrior: expected finite means and sds > 0"):
        BackgroundPrior(torch.zeros(B, T), torch.zeros(B, T), torch.ones(B, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"cells: expected ProteinCells, found Cells.*cells_from_mudata"):
        a_model(cells).loss(Cells(cells.x, cells.batch, cells.genes, cells.batches))
    with pytest.raises(ValueError, match="two cells with antibodies in each batch that has any, found none"):
        start_of_background(cells.without_protein())
    with pytest.raises(ValueError, match="found one in batch 's0'"):
        start_of_background(cells[torch.tensor([1, 2, 5])])
    plain = replace(cells_from_counts(np.ones((4, G))), genes=cells.genes, batches=cells.batches)
    with pytest.raises(ValueError, match="expected the 3 antibodies of the model beside the RNA, found cells without"):
        fit(a_model(cells), plain, epochs=1, progress=False)


# The simulation -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recovered():
    mdata = simulate_citeseq(800, 100, 9, n_types=3, n_changed=8, dropout=0.0, seed=0)
    cells = cells_from_mudata(mdata, batch_key="batch", label_key="cell_type")
    torch.manual_seed(0)
    model = TOTALVI(cells.genes, cells.batches, cells.proteins, background=start_of_background(cells), n_latent=5)
    start_at_profile(model.decoder, cells)
    fit(model, cells, epochs=40, one_cycle=True, lr=2e-2, batch_size=64, eps=0.01, progress=False)
    return mdata, cells, model


@pytest.mark.slow
def test_foreground_types_and_background_of_a_simulation_are_found(recovered):
    mdata, cells, model = recovered
    truth = mdata["protein"].layers["foreground"]
    found = foreground_probability(model, cells).to_numpy()
    assert ((found > 0.5) == truth).mean() > 0.97
    sure = np.abs(found - 0.5) > 0.4
    assert sure.mean() > 0.85
    assert ((found > 0.5) == truth)[sure].mean() > 0.985  # where it says 90 % it is right about that often, or oftener
    z, half = get_latent_representation(model, cells), np.arange(len(cells)) < 400
    assert label_knn_accuracy(z[half], cells.label[half], z[~half], cells.label[~half]) > 0.95
    c = mdata["protein"].uns["truth"]["background_mean"]
    with torch.no_grad():
        learned = model.background_mean.double().numpy()
    assert np.abs(learned - c).max() < 0.3
    assert np.corrcoef((learned[0] - learned[1]), (c[0] - c[1]))[0, 1] > 0.9  # β is per batch


@pytest.mark.slow
def test_foreground_is_found_from_the_rna_alone_too(recovered):
    mdata, cells, model = recovered
    truth = mdata["protein"].layers["foreground"]
    found = foreground_probability(model, cells.without_protein()).to_numpy()
    assert ((found > 0.5) == truth).mean() > 0.85
