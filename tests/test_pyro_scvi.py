"""The Pyro programs beside the course's own model: same weights, same draws, same numbers, site by site."""

import numpy as np
import pytest
import scipy.stats
import torch

pytest.importorskip("pyro", reason="Pyro is not installed: pip install -e '.[test,pyro]'")

from small import cells_by_hand

from course_lib.analysis.latent import get_latent_representation
from course_lib.data.cells import Cells
from course_lib.models.scvi import SCVI, LibraryPrior
from course_lib.models.vae import VAE
from course_lib.programs import pyro_scvi, slips
from course_lib.programs.pyro_scvi import ZINB, SCVIGuide, SCVIModel

N_CELLS, N_GENES, N_TABLE = 24, 7, 96


@pytest.fixture(scope="module")
def pyro():
    import pyro
    import pyro.infer
    import pyro.poutine

    return pyro


@pytest.fixture
def cells() -> Cells:
    random = np.random.default_rng(0)
    x = random.negative_binomial(2, 0.2, size=(N_CELLS, N_GENES)) + 1
    return cells_by_hand(x, batch=random.integers(2, size=N_CELLS), batches=("a", "b"))


def a_model(cells: Cells, **options) -> SCVI:
    """Random weights, θ of its own for each gene, another library in each batch; evaluation mode."""
    torch.manual_seed(1)
    prior = LibraryPrior(torch.tensor([3.5, 4.5]), torch.tensor([0.3, 0.6]))
    model = SCVI(cells.genes, cells.batches, library_prior=prior, n_latent=3, hidden=(16,), **options)
    with torch.no_grad():
        model.decoder.log_theta.normal_()
    return model.eval()


@torch.no_grad()
def traced(pyro, scvi: SCVI, cells: Cells, n_cells: int = N_TABLE):
    """The guide's trace and the model's, replayed on its draws."""
    torch.manual_seed(2)
    guided = pyro.poutine.trace(SCVIGuide(scvi, n_cells)).get_trace(cells.x, cells.batch)
    replayed = pyro.poutine.replay(SCVIModel(scvi, n_cells), guided)
    seen = pyro.poutine.trace(replayed).get_trace(cells.x, cells.batch)
    guided.compute_log_prob()
    seen.compute_log_prob()
    return guided.nodes, seen.nodes


# The same numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encode_batch", [False, True])
@torch.no_grad()
def test_each_site_has_the_log_probability_of_our_model_times_the_scale(pyro, cells, encode_batch):
    scvi = a_model(cells, encode_batch=encode_batch)
    guided, seen = traced(pyro, scvi, cells)
    torch.manual_seed(2)
    q, q_library = scvi.encode(cells.x, cells.batch), scvi.encode_library(cells.x, cells.batch)
    z, log_library = q.rsample(), q_library.rsample()
    expected = {
        "z": scvi.prior.log_prob(z),
        "log_library": scvi.prior_library(cells.batch).log_prob(log_library),
        "x": scvi.decode(z, log_library, cells.batch).log_prob(cells.x),
    }
    for site, log_prob in expected.items():
        assert float(seen[site]["log_prob_sum"]) == pytest.approx(N_TABLE / N_CELLS * float(log_prob.sum()), rel=1e-6)
    for site, log_prob in {"z": q.log_prob(z), "log_library": q_library.log_prob(log_library)}.items():
        assert float(guided[site]["log_prob_sum"]) == pytest.approx(N_TABLE / N_CELLS * float(log_prob.sum()), rel=1e-6)


def test_the_sites_agree_with_scipy(pyro, cells):
    scvi = a_model(cells)
    _, seen = traced(pyro, scvi, cells, n_cells=N_CELLS)
    z, log_library = (seen[site]["value"].detach().double().numpy() for site in ("z", "log_library"))
    codes = cells.batch.numpy()
    mean, sd = np.array([3.5, 4.5])[codes], np.array([0.3, 0.6])[codes]
    assert float(seen["z"]["log_prob_sum"]) == pytest.approx(scipy.stats.norm.logpdf(z).sum(), rel=1e-6)
    in_scipy = scipy.stats.norm.logpdf(log_library[:, 0], mean, sd).sum()
    assert float(seen["log_library"]["log_prob_sum"]) == pytest.approx(in_scipy, rel=1e-6)
    counts = seen["x"]["fn"].base_dist
    mu, theta, pi = (p.detach().double().numpy() for p in (counts.mu, counts.theta, counts.zi_probs))
    np.testing.assert_allclose(mu.sum(1), np.exp(log_library[:, 0]), rtol=1e-5)  # ρ sums to one
    x = cells.x.numpy()
    nb = scipy.stats.nbinom.pmf(x, theta, theta / (theta + mu))
    in_scipy = np.log(np.where(x == 0, pi, 0) + (1 - pi) * nb).sum()
    assert float(seen["x"]["log_prob_sum"]) == pytest.approx(in_scipy, rel=1e-5)


@torch.no_grad()
def test_the_mean_field_bound_is_our_loss_and_pyros_usual_one_our_log_weight(pyro, cells):
    scvi = a_model(cells)
    programs = SCVIModel(scvi, N_TABLE), SCVIGuide(scvi, N_TABLE)
    found, expected = {}, {}
    for name in ("TraceMeanField_ELBO", "Trace_ELBO"):
        torch.manual_seed(3)
        found[name] = float(getattr(pyro.infer, name)()(*programs)(cells.x, cells.batch)) / N_TABLE
    torch.manual_seed(3)
    expected["TraceMeanField_ELBO"] = float(scvi.loss(cells)["loss"])
    torch.manual_seed(3)
    expected["Trace_ELBO"] = -float(scvi.log_weights(cells, 1).mean())
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_gradients_are_those_of_our_loss(pyro, cells):
    scvi = a_model(cells)
    torch.manual_seed(3)
    (pyro.infer.TraceMeanField_ELBO()(SCVIModel(scvi, 96), SCVIGuide(scvi, 96))(cells.x, cells.batch) / 96).backward()
    found = {name: p.grad.clone() for name, p in scvi.named_parameters()}
    scvi.zero_grad()
    torch.manual_seed(3)
    scvi.loss(cells)["loss"].backward()
    for name, parameter in scvi.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_both_estimates_mean_the_same_and_the_one_with_kl_in_closed_form_spreads_less(pyro, cells):
    scvi = a_model(cells)
    programs = SCVIModel(scvi, N_CELLS), SCVIGuide(scvi, N_CELLS)
    torch.manual_seed(4)
    usual, closed = (
        np.array([float(elbo(*programs)(cells.x, cells.batch)) / N_CELLS for _ in range(100)])
        for elbo in (pyro.infer.Trace_ELBO(), pyro.infer.TraceMeanField_ELBO())
    )
    error = np.hypot(usual.std(), closed.std()) / 100**0.5
    assert abs(usual.mean() - closed.mean()) < 4 * error
    assert closed.std() < usual.std()


@torch.no_grad()
def test_a_minibatch_stands_for_the_whole_table(pyro, cells):
    """Over four disjoint minibatches the mean of the scaled sites is the whole table's sum."""
    scvi = a_model(cells)
    guided, whole = traced(pyro, scvi, cells, n_cells=N_CELLS)
    draws = {site: guided[site]["value"] for site in ("z", "log_library")}
    sums = dict.fromkeys(("z", "log_library", "x"), 0.0)
    for part in torch.arange(N_CELLS).split(6):
        given = pyro.poutine.condition(SCVIModel(scvi, N_CELLS), {site: value[part] for site, value in draws.items()})
        trace = pyro.poutine.trace(given).get_trace(cells.x[part], cells.batch[part])
        trace.compute_log_prob()
        for site in sums:
            sums[site] += float(trace.nodes[site]["log_prob_sum"]) / 4
    assert sums == pytest.approx({site: float(whole[site]["log_prob_sum"]) for site in sums}, rel=1e-5)


# The program as a program ---------------------------------------------------------------------------------------------


def test_without_counts_the_model_makes_cells_whose_totals_follow_the_prior(cells):
    scvi = a_model(cells)
    torch.manual_seed(0)
    with torch.no_grad():
        scvi.decoder.to_zi_logits.weight.zero_()
        scvi.decoder.to_zi_logits.bias.fill_(-20.0)  # no zeros put in
        scvi.decoder.log_theta.fill_(5.0)
        x = SCVIModel(scvi, 4_000)(None, torch.zeros(4_000, dtype=torch.int64))
    assert x.shape == (4_000, N_GENES)
    assert (x == x.round()).all()
    assert float(x.min()) >= 0
    expected = np.exp(3.5 + 0.3**2 / 2)  # the mean of a log-normal
    assert float(x.sum(1).mean()) == pytest.approx(expected, rel=0.03)


def test_shapes_one_event_for_each_cell(pyro, cells):
    _, seen = traced(pyro, a_model(cells), cells)
    events = {site: (seen[site]["fn"].batch_shape, seen[site]["fn"].event_shape) for site in ("z", "log_library", "x")}
    assert events == {
        "z": ((N_CELLS,), (3,)), "log_library": ((N_CELLS,), (1,)), "x": ((N_CELLS,), (N_GENES,)),
    }  # fmt: skip
    assert seen["theta"]["type"] == "param"


def test_the_programs_learn_the_models_own_tensors_and_leave_no_global_store(pyro, cells):
    scvi = a_model(cells)
    loss = pyro.infer.Trace_ELBO()(SCVIModel(scvi, N_CELLS), SCVIGuide(scvi, N_CELLS))
    assert {id(p) for p in loss.parameters()} == {id(p) for p in scvi.parameters()}
    before = {name: p.clone() for name, p in scvi.named_parameters()}
    codes = get_latent_representation(scvi, cells)
    loss(cells.x, cells.batch).backward()
    torch.optim.Adam(loss.parameters(), lr=0.1).step()
    assert all((p != before[name]).any() for name, p in scvi.named_parameters())
    assert (get_latent_representation(scvi, cells) != codes).any()
    theta = SCVIModel(scvi, N_CELLS).theta
    torch.testing.assert_close(theta, scvi.decoder.log_theta.exp())
    assert list(pyro.get_param_store().keys()) == []


def test_our_zinb_is_pyros():
    from pyro.distributions import ZeroInflatedNegativeBinomial as Theirs

    x = torch.arange(40.0).unsqueeze(1)
    mu, theta, logits = torch.tensor([0.5, 5.0, 50.0]), torch.tensor([0.4, 2.0, 30.0]), torch.tensor([-3.0, 0.0, 1.0])
    theirs = Theirs(theta, logits=(mu / theta).log(), gate_logits=logits)  # total count θ, log odds log μ − log θ
    torch.testing.assert_close(ZINB(mu, theta, logits).log_prob(x), theirs.log_prob(x), rtol=1e-4, atol=1e-5)
    larger = ZINB(mu, theta, logits).expand((4, 3))
    assert larger.batch_shape == larger.sample().shape == (4, 3)
    torch.testing.assert_close(larger.log_prob(torch.ones(4, 3))[2], ZINB(mu, theta, logits).log_prob(torch.ones(3)))


# Slips ----------------------------------------------------------------------------------------------------------------


def test_pyro_refuses_a_forgotten_to_event(pyro, cells):
    scvi = a_model(cells)
    programs = slips.slipped("no_to_event")
    with pytest.raises(ValueError, match=r"Shape mismatch inside plate\('cells'\) at site x"):
        pyro.infer.Trace_ELBO().loss(programs.SCVIModel(scvi, 24), programs.SCVIGuide(scvi, 24), cells.x, cells.batch)


@torch.no_grad()
def test_a_slip_changes_its_line_and_nothing_else(pyro, cells):
    """Without a scale the bound is that of the minibatch; every other site is untouched."""
    scvi = a_model(cells)
    _, right = traced(pyro, scvi, cells)
    programs = slips.slipped("no_plate_scale")
    torch.manual_seed(2)
    guided = pyro.poutine.trace(programs.SCVIGuide(scvi, N_TABLE)).get_trace(cells.x, cells.batch)
    given = pyro.poutine.replay(programs.SCVIModel(scvi, N_TABLE), guided)
    trace = pyro.poutine.trace(given).get_trace(cells.x, cells.batch)
    trace.compute_log_prob()
    for site in ("z", "log_library", "x"):
        found = float(trace.nodes[site]["log_prob_sum"])
        assert found * N_TABLE / N_CELLS == pytest.approx(float(right[site]["log_prob_sum"]), rel=1e-5)


@pytest.mark.parametrize("name", slips.SLIPS)
def test_every_slip_is_another_program(name):
    module = slips.slipped(name)
    assert module.SCVIModel is not SCVIModel
    assert module.__name__.startswith(pyro_scvi.__name__)


def test_a_domain_is_checked_and_a_meaning_is_not():
    mu, logits = torch.ones(N_CELLS, 3), torch.full((N_CELLS, 3), -1.0)
    with pytest.raises(ValueError, match="Expected parameter theta"):
        ZINB(mu, logits, mu)
    assert ZINB(2 * mu, mu, logits).log_prob(mu).isfinite().all()  # μ and θ exchanged


def test_a_slip_whose_line_has_gone_is_refused(monkeypatch):
    monkeypatch.setitem(slips.SLIPS, "no_log1p", slips.Slip("y = torch.log2(x)", "y = x"))
    with pytest.raises(ValueError, match=r"SLIPS\['no_log1p'\]: expected its line 1 times in pyro_scvi, found 0"):
        slips.slipped("no_log1p")
    with pytest.raises(ValueError, match="name: expected"):
        slips.slipped("no_such_slip")


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [SCVIModel, SCVIGuide])
def test_other_models_are_refused(program, cells):
    with pytest.raises(TypeError, match="scvi: expected an SCVI, found VAE"):
        program(VAE(N_GENES), 10)
    prior = LibraryPrior(torch.ones(2), torch.ones(2))
    for options in ({"gene_likelihood": "nb"}, {"dispersion": "gene-batch"}):
        with pytest.raises(ValueError, match="the programs write down no other model"):
            program(SCVI(cells.genes, cells.batches, library_prior=prior, **options), 10)
    with pytest.raises(ValueError, match="found 'zinb', 'gene' and none"):
        program(SCVI(cells.genes, cells.batches, library_prior=None), 10)
    with pytest.raises(ValueError, match="n_cells: expected a whole number"):
        program(a_model(cells), 0)
