"""scANVI: its bound by hand, label by label, against evidence by quadrature and a case that has a closed form."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
import torch
from anndata import AnnData
from devices import DEVICES
from sklearn.linear_model import LogisticRegression
from small import three_types
from torch import Tensor, nn
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn.functional import one_hot

from course_lib.analysis.exact_bound import bound_by_quadrature
from course_lib.analysis.labels import predict
from course_lib.analysis.posterior import get_marginal_ll, get_normalized_expression
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.models.scanvi import SCANVI, label_frequencies, start_at_regression
from course_lib.models.scvi import SCVI, LibraryPrior
from course_lib.probability.quadrature import Grid
from course_lib.training import fit

GENES, LABELS = tuple(f"g{j}" for j in range(6)), ("a", "b", "c")


def some_cells(label: list[int] | None, n: int = 5, n_genes: int = 6, labels=LABELS) -> Cells:
    """Counts in double precision, in two batches."""
    x = torch.from_numpy(np.random.default_rng(0).poisson(4.0, (n, n_genes)) + 1.0)
    batch = torch.arange(n) % 2
    codes = None if label is None else torch.tensor(label)
    return Cells(x, batch, tuple(f"g{j}" for j in range(n_genes)), ("s1", "s2"), codes, labels)


def p_c(n_labels: int) -> Tensor:
    """Labels that are not equally probable: 1 to 2 to 3."""
    return torch.arange(1.0, n_labels + 1) / torch.arange(1.0, n_labels + 1).sum()


def a_model(cells: Cells, n_latent: int = 2, learned: bool = False, **settings) -> SCANVI:
    """Random weights, large enough that labels differ, in double precision; and a prior that is not uniform."""
    torch.manual_seed(0)
    settings = {"label_prior": p_c(len(cells.labels))} | settings
    prior = LibraryPrior(torch.tensor([3.0, 3.4]), torch.tensor([0.3, 0.4])) if learned else None
    model = SCANVI(
        cells.genes, cells.batches, cells.labels, library_prior=prior, n_latent=n_latent, hidden=(7,), **settings
    )
    with torch.no_grad():
        for network in (model.classifier, model.u_encoder, model.u_decoder):
            for weights in network.parameters():
                weights.mul_(2.0)
    return model.double().eval()


# The bound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learned", [False, True])
def test_the_bound_is_the_sum_over_labels_written_out_with_the_same_draws(learned):
    label = [-1, 2, -1, 0, -1]
    cells = some_cells(label)
    model = a_model(cells, learned=learned)
    torch.manual_seed(1)
    bound = model.elbo(cells)

    torch.manual_seed(1)
    q = model.encode(cells.x)
    z = q.rsample()
    log_library, kl_library = cells.x.sum(-1, keepdim=True).log(), torch.zeros(5)
    if learned:
        q_library = model.encode_library(cells.x)
        log_library = q_library.rsample()
        kl_library = kl_divergence(q_library, model.prior_library(cells.batch)).sum(-1)
    noise = torch.randn(3, 5, 2, dtype=torch.float64)  # of u, for every label
    for n in range(5):
        one, batch = z[n : n + 1], cells.batch[n : n + 1]
        value = model.decode(one, log_library[n : n + 1], batch).log_prob(cells.x[n : n + 1]).item()
        value -= q.log_prob(z)[n].sum().item() + kl_library[n].item()
        for c in range(3):
            weight = float(label[n] == c) if label[n] >= 0 else torch.softmax(model.classifier(one), -1)[0, c].item()
            if weight == 0:
                continue
            code = torch.tensor([c])
            q_u = model.encode_u(one, code)
            u = q_u.mean + q_u.stddev * noise[c, n]
            within = model.decode_u(u, code).log_prob(one).sum() - kl_divergence(q_u, Normal(0.0, 1.0)).sum()
            value += weight * (
                within.item() + np.log([1 / 6, 2 / 6, 3 / 6][c]) - np.log(weight)
            )  # log p(c), and the entropy of q(c)
        assert bound.value[n].item() == pytest.approx(value, abs=1e-7), n  # p(c) is kept in single precision
    assert set(bound.further) == {"kl_u", "kl_label"}
    assert (bound.kl_library is not None) == learned


def test_a_known_label_costs_log_c_and_an_unknown_one_at_most_that():
    cells = some_cells([-1, 2, -1, 0, -1])
    kl_label = a_model(cells, label_prior=None).elbo(cells).further["kl_label"]
    torch.testing.assert_close(kl_label[[1, 3]], torch.full((2,), np.log(3)).double())
    unknown = kl_label[[0, 2, 4]]
    assert ((unknown > 0) & (unknown < np.log(3))).all()


def test_the_cost_of_a_label_stays_finite_where_the_classifier_is_sure():
    cells = some_cells([-1] * 5)
    model = a_model(cells)
    model.classifier.bias.data.copy_(torch.tensor([2000.0, 0.0, 0.0]))
    terms = model.loss(cells)
    terms["loss"].backward()
    assert terms["kl_label"].item() == pytest.approx(np.log(6))
    assert all(weights.grad is None or torch.isfinite(weights.grad).all() for weights in model.parameters())


def two_label_cells() -> Cells:
    return some_cells([-1, 0, 1, -1], n=4, n_genes=3, labels=("a", "b"))


def evidence_by_quadrature(model: SCANVI, cells: Cells) -> Tensor:
    """log p(x∣s), or log p(x, c∣s) where a label is known, by the trapezoid rule over z and u, one dimension each."""
    z, u = Grid(-14, 14, 561), Grid(-8, 8, 321)
    found = []
    for n in range(len(cells)):
        x, batch, label = cells.x[n], cells.batch[n], int(cells.label[n])
        log_p_x = model.decode(z.z[:, None, None], x.sum().log().expand(len(z.z), 1, 1), batch[None]).log_prob(x)[:, 0]
        by_label = []
        for c in [label] if label >= 0 else range(len(model.labels)):
            p_z = model.decode_u(u.z[:, None], torch.full((len(u.z),), c))  # (U, 1)
            log_p_zu = p_z.log_prob(z.z[:, None, None])[..., 0] + Normal(0.0, 1.0).log_prob(u.z)  # (Z, U)
            by_label.append(
                z.log_integral(log_p_x + u.log_integral(log_p_zu)) + p_c(len(model.labels)).double().log()[c]
            )
        found.append(torch.stack(by_label).logsumexp(0))
    return torch.stack(found)


@torch.no_grad()
def test_the_bound_is_below_the_evidence_by_quadrature_and_many_draws_reach_it(monkeypatch):
    cells = two_label_cells()
    model = a_model(cells, n_latent=1)
    evidence = evidence_by_quadrature(model, cells)
    torch.manual_seed(0)
    copies = torch.arange(4).repeat(4_000)
    elbo = model.elbo(cells[copies]).value.view(4_000, 4).mean(0)
    assert (elbo < evidence - 0.05).all()
    # a q(z∣x) as wide as the prior: weights without a heavy tail
    monkeypatch.setattr(model, "encode", lambda x, batch=None: Normal(x.new_zeros(len(x), 1), 2.5))
    weights = (model.log_weights(cells, 40_000) - evidence).exp()  # (K, N), mean one
    error = weights.std(0) / len(weights) ** 0.5
    assert (error < 0.02).all()
    assert ((weights.mean(0) - 1).abs() < 4 * error).all()


@torch.no_grad()
def test_the_classifier_has_no_say_in_the_importance_weights():
    cells = two_label_cells()
    model = a_model(cells, n_latent=1)
    torch.manual_seed(0)
    before = model.log_weights(cells, 3)
    model.classifier.weight.data.mul_(-5)
    torch.manual_seed(0)
    torch.testing.assert_close(model.log_weights(cells, 3), before)


class LinearMixture(nn.Module):
    """Exact posteriors of z∣u, c ~ N(a u + b_c, v): q(u∣z, c) by Bayes' rule, q(c∣z) likewise."""

    a, v = 0.8, 0.3
    b = torch.tensor([-1.5, 0.2, 2.0], dtype=torch.float64)

    def p_z(self, u: Tensor, label: Tensor) -> Normal:
        return Normal(self.a * u + self.b[label].unsqueeze(-1), self.v**0.5)

    def q_u(self, z: Tensor, label: Tensor) -> Normal:
        precision = 1 + self.a**2 / self.v
        return Normal(self.a / self.v * (z - self.b[label].unsqueeze(-1)) / precision, precision**-0.5)

    def log_p_zc(self, z: Tensor) -> Tensor:
        """(N, L) to (N, C): log p(z∣c), a Gaussian of variance a² + v."""
        return Normal(self.b, (self.a**2 + self.v) ** 0.5).log_prob(z.unsqueeze(-1)).sum(-2)


@torch.no_grad()
def test_with_exact_posteriors_of_c_and_u_the_bound_pays_for_z_alone(monkeypatch):
    cells = some_cells([-1, 2, -1, 0, -1])
    model, exact = a_model(cells), LinearMixture()
    monkeypatch.setattr(model, "decode_u", exact.p_z)
    monkeypatch.setattr(model, "encode_u", exact.q_u)
    monkeypatch.setattr(model, "classify", lambda z: Categorical(logits=exact.log_p_zc(z) + p_c(3).double().log()))
    q = model.encode(cells.x)
    z = q.sample()
    n_draws = 20_000
    copies = torch.arange(5).repeat(n_draws)
    bound = model.elbo_at(z[copies], Normal(q.mean[copies], q.stddev[copies]), cells[copies])
    spent = (bound.value - bound.reconstruction).view(n_draws, 5)  # u is drawn anew
    by_label = scipy.stats.norm(exact.b.numpy(), np.sqrt(exact.a**2 + exact.v)).logpdf(z.numpy()[..., None]).sum(1)
    by_label = by_label + np.log([1 / 6, 2 / 6, 3 / 6])  # log p(z, c), (N, C)
    log_p = scipy.special.logsumexp(by_label, axis=1)  # log p(z), (N,)
    log_p[[1, 3]] = by_label[[1, 3], [2, 0]]
    expected = log_p - q.log_prob(z).sum(-1).numpy()
    error = spent.std(0) / n_draws**0.5
    assert (error < 0.02).all()
    assert (np.abs(spent.mean(0).numpy() - expected) < 4 * error.numpy()).all()
    # and with the exact q(u∣z, c) a single draw of u gives p(z∣c) itself
    torch.manual_seed(2)
    weights = model.log_weights(cells, 1)[0]
    torch.manual_seed(2)
    z = q.rsample((1,))[0]
    log_p_z = exact.log_p_zc(z) + p_c(3).double().log()
    known = one_hot(torch.tensor([0, 2, 0, 0, 0]), 3).bool()
    log_p_z[[1, 3]] = log_p_z[[1, 3]].masked_fill(~known[[1, 3]], -torch.inf)
    log_x = model.decode(z, cells.x.sum(-1, keepdim=True).log(), cells.batch).log_prob(cells.x)
    torch.testing.assert_close(weights, log_x + log_p_z.logsumexp(-1) - q.log_prob(z).sum(-1))


def test_gradients_of_the_bound_are_its_slopes():
    cells = some_cells([-1, 2, -1], n=3)
    model = a_model(cells)

    def loss_of(bias: Tensor, weight: Tensor) -> Tensor:
        torch.manual_seed(0)
        parameters = {"classifier.bias": bias, "u_decoder.to_mu.weight": weight}
        return torch.func.functional_call(Summed(model), {f"model.{k}": v for k, v in parameters.items()}, (cells,))

    leaves = (model.classifier.bias.detach().clone(), model.u_decoder.to_mu.weight.detach().clone())
    assert torch.autograd.gradcheck(loss_of, [leaf.requires_grad_() for leaf in leaves])


class Summed(nn.Module):
    def __init__(self, model: SCANVI):
        super().__init__()
        self.model = model

    def forward(self, cells: Cells) -> Tensor:
        return self.model.loss(cells)["loss"]


# The loss -------------------------------------------------------------------------------------------------------------


def test_classification_is_the_cross_entropy_of_logits_summed_over_labelled_cells_and_divided_by_all():
    label = [-1, 2, -1, 0, -1]
    cells = some_cells(label)
    model = a_model(cells, classification_weight=7.0)
    torch.manual_seed(3)
    terms = model.loss(cells)
    torch.manual_seed(3)
    z = model.encode(cells.x).rsample()
    logits = (z @ model.classifier.weight.T + model.classifier.bias).detach().numpy()
    log_q = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)  # one softmax, not two
    expected = -(log_q[1, 2] + log_q[3, 0]) / 5
    assert terms["classification"].item() == pytest.approx(expected, abs=1e-10)
    torch.manual_seed(3)
    bound = model.elbo(cells)
    assert terms["loss"].item() == pytest.approx(-bound.value.mean().item() + 7.0 * expected, abs=1e-9)


def test_a_sure_and_right_classifier_pays_nothing():
    """Two softmaxes would leave log(1 + (C − 1)/e) for ever: no output could say more than one against zeros."""
    cells = some_cells([0] * 5)
    model = a_model(cells)
    model.classifier.bias.data.copy_(torch.tensor([500.0, 0.0, 0.0]))
    assert model.loss(cells)["classification"].item() == pytest.approx(0, abs=1e-12)


def test_the_bound_alone_never_asks_the_classifier_about_labelled_cells():
    for label, asked in ([0, 1, 2, 0, 1], False), ([-1] * 5, True):
        cells = some_cells(label)
        model = a_model(cells)
        model.elbo(cells).value.sum().backward()
        gradient = model.classifier.weight.grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) == asked


def test_cells_without_any_label_are_cells_whose_labels_are_all_missing():
    missing, none = some_cells([-1] * 5), some_cells(None)
    model = a_model(missing)
    losses = []
    for cells in (missing, none):
        torch.manual_seed(0)
        losses.append({name: value.item() for name, value in model.loss(cells).items()})
    assert losses[0] == losses[1]
    assert losses[0]["classification"] == 0


def test_the_kl_weight_weighs_z_alone():
    cells = some_cells([-1, 2, -1, 0, -1])
    model = a_model(cells)
    terms = []
    for weight in (1.0, 0.25):
        torch.manual_seed(0)
        terms.append(model.loss(cells, kl_weight=weight))
    torch.testing.assert_close(terms[0]["loss"] - terms[1]["loss"], 0.75 * terms[0]["kl_z"])


def test_one_label_alone_is_certain():
    cells = some_cells([0, -1, -1, -1, 0], labels=("only",))
    model = a_model(cells)
    terms = model.loss(cells)
    assert terms["kl_label"].item() == pytest.approx(0, abs=1e-12)
    assert terms["classification"].item() == 0
    assert (predict(model, cells) == "only").all()


def test_z_has_no_prior_in_closed_form_and_who_asks_for_one_is_refused():
    cells = some_cells([0, 1, 2, 0, 1])
    model = a_model(cells, n_latent=1)
    assert not hasattr(model, "prior")
    with pytest.raises(TypeError, match="lacks prior"):
        bound_by_quadrature(model, cells, Grid())


# Start, training, answers ---------------------------------------------------------------------------------------------


def labelled(keep: float = 0.1) -> tuple[AnnData, np.ndarray, np.ndarray]:
    """Three types apart from each other; which cells keep their label."""
    cells, types = three_types()
    data = AnnData(cells.x.numpy(), obs=pd.DataFrame(index=[f"c{i}" for i in range(len(types))]))
    kept = np.random.default_rng(1).random(len(types)) < keep
    data.obs["label"] = pd.Categorical(np.where(kept, types, None))
    return data, types, kept


def trained(data: AnnData, **settings) -> tuple[SCANVI, Cells, pd.DataFrame]:
    cells = cells_from_counts(data, label_key="label")
    torch.manual_seed(0)
    model = SCANVI(
        cells.genes, cells.batches, cells.labels, library_prior=None, n_latent=3, hidden=(16,), gene_likelihood="nb",
        **settings,
    )  # fmt: skip
    return model, cells, fit(model, cells, epochs=30, lr=1e-2, batch_size=32, progress=False)


def test_from_a_tenth_of_the_labels_it_finds_the_rest():
    data, types, kept = labelled()
    model, cells, history = trained(data)
    assert kept.sum() < 40
    assert (predict(model, cells) == types)[~kept].mean() > 0.97
    assert {"train_kl_u", "train_kl_label", "train_classification"} <= set(history)
    unlabelled = cells_from_counts(data)
    assert np.isfinite(get_marginal_ll(model, unlabelled, n_samples=3)).all()  # asked as any scVI
    assert get_normalized_expression(model, unlabelled).shape == cells.x.shape


def test_a_type_whose_label_nobody_has_is_called_by_the_others_names():
    data, types, _ = labelled()
    data.obs["label"] = pd.Categorical(np.where(types == "2", None, data.obs["label"].astype(object)))
    model, cells, _ = trained(data)
    assert model.labels == ("0", "1")
    assert set(predict(model, cells)[types == "2"]) <= {"0", "1"}


def test_all_labels_and_a_type_of_one_cell_are_learned_like_any_others():
    data, types, _ = labelled()
    rare = np.flatnonzero(types == "2")[1:]  # one cell of the third type is left
    data, types = data[np.setdiff1d(np.arange(len(types)), rare)].copy(), np.delete(types, rare)
    data.obs["label"] = pd.Categorical(types)
    model, cells, history = trained(data)
    assert (cells.label >= 0).all()
    assert (predict(model, cells) == types).mean() > 0.98
    assert predict(model, cells)[types == "2"].tolist() == ["2"]
    # every label is known, so that each cell pays log C for it: −log p(c)
    np.testing.assert_allclose(history["train_kl_label"], np.log(3), rtol=1e-5)


@pytest.mark.parametrize("learned", [False, True])
def test_it_starts_from_a_trained_scvi(learned):
    cells = some_cells([0, 1, 2, 0, 1])
    model = a_model(cells, learned=learned)
    prior = LibraryPrior(model.library_mean.float(), model.library_sd.float()) if learned else None
    torch.manual_seed(9)
    scvi = SCVI(cells.genes, cells.batches, library_prior=prior, n_latent=2, hidden=(7,)).double().eval()
    classifier = model.classifier.weight.clone()
    model.start_from(scvi)
    torch.testing.assert_close(model.encode(cells.x).mean, scvi.encode(cells.x).mean)
    z, library = torch.randn(5, 2).double(), torch.ones(5, 1).double()
    torch.testing.assert_close(
        model.decode(z, library, cells.batch).log_prob(cells.x), scvi.decode(z, library, cells.batch).log_prob(cells.x)
    )
    torch.testing.assert_close(model.classifier.weight, classifier)  # its own networks stay
    with torch.no_grad():
        scvi.z_encoder.to_mu.weight.zero_()
    assert model.z_encoder.to_mu.weight.abs().sum() > 0  # a copy, not the same tensors


@pytest.mark.parametrize("names, sparse", [(("0", "1", "2"), False), (("0", "1"), False), (("0", "1", "2"), True)])
def test_the_classifier_starts_at_the_logistic_regression_of_labels_on_z(names, sparse):
    data, types, _ = labelled(keep=0.5)
    data.obs["label"] = pd.Categorical(np.where(np.isin(types, names), data.obs["label"].astype(object), None))
    cells = cells_from_counts(data, label_key="label")
    torch.manual_seed(0)
    model = SCANVI(cells.genes, cells.batches, cells.labels, library_prior=None, n_latent=3, hidden=(16,)).eval()
    start_at_regression(model, cells_from_counts(data, label_key="label", sparse=True) if sparse else cells)
    z = model.encode(cells.x).mean.detach().numpy()
    known = data.obs["label"].notna().to_numpy()
    other = LogisticRegression(max_iter=5_000).fit(z[known], data.obs["label"].to_numpy()[known].astype(str))
    np.testing.assert_allclose(predict(model, cells, soft=True), other.predict_proba(z), atol=1e-3)


@pytest.mark.parametrize("cells_on", DEVICES)
@pytest.mark.parametrize("model_on", DEVICES)
def test_the_classifier_starts_wherever_model_and_cells_lie(model_on, cells_on):
    cells = some_cells([0, 1, 2, 0, 1])
    here, there = a_model(cells), a_model(cells).to(model_on)
    start_at_regression(here, cells)
    start_at_regression(there, cells.to(cells_on))
    assert there.classifier.weight.device.type == model_on
    torch.testing.assert_close(there.classifier.weight.cpu(), here.classifier.weight, rtol=1e-3, atol=1e-4)


def test_frequencies_are_the_labels_shares_among_the_labelled_cells():
    cells = some_cells([2, 0, -1, 0, 1])
    torch.testing.assert_close(label_frequencies(cells), torch.tensor([0.5, 0.25, 0.25]))
    model = a_model(cells, label_prior=label_frequencies(cells))
    torch.testing.assert_close(model.prior_label.probs, torch.tensor([0.5, 0.25, 0.25]).double())


def test_a_start_at_the_regression_needs_a_cell_of_every_label():
    cells = some_cells([-1, 2, -1, 0, -1])
    for wrong, message in (
        (some_cells([-1] * 5), "expected cells with labels, found none"),
        (some_cells(None), "expected cells with labels, found none"),
        (cells, "expected a labelled cell of every label, found none of 'b'"),
    ):
        with pytest.raises(ValueError, match=f"cells: {message}"):
            start_at_regression(a_model(cells), wrong)
        with pytest.raises(ValueError, match=f"cells: {message}"):
            label_frequencies(wrong)
    with pytest.raises(ValueError, match="cells: the model numbers the labels"):
        start_at_regression(a_model(cells), some_cells([0, 1, 2, 0, 1], labels=("c", "b", "a")))
    only = some_cells([0, -1, -1, -1, 0], labels=("only",))
    model = a_model(only)
    before = model.classifier.weight.clone()
    start_at_regression(model, only)
    torch.testing.assert_close(model.classifier.weight, before)


# Refusals -------------------------------------------------------------------------------------------------------------

BUILD = {"genes": GENES, "batches": ("s1",), "labels": LABELS, "library_prior": None}


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        ({"labels": ()}, ValueError, "labels: expected at least one name, found none.*train an SCVI"),
        ({"labels": ("a", "a")}, ValueError, "labels: expected names that differ"),
        ({"labels": "ab"}, TypeError, "labels: expected a sequence of names"),
        ({"labels": (1, 2)}, TypeError, "labels: expected names that are strings"),
        ({"labels": None}, TypeError, "labels: expected a sequence of names"),
        ({"classification_weight": -1}, ValueError, "classification_weight: expected a number ≥ 0, found -1"),
        ({"classification_weight": "50"}, TypeError, "classification_weight: expected a number"),
        ({"label_prior": [0.2, 0.3, 0.5]}, TypeError, "label_prior: expected a tensor"),
        (
            {"label_prior": torch.ones(3)},
            ValueError,
            "label_prior: expected a probability > 0 for each of the 3 labels",
        ),
        ({"label_prior": torch.tensor([0.0, 0.5, 0.5])}, ValueError, "label_prior: expected a probability > 0"),
        ({"label_prior": torch.tensor([0.5, 0.5])}, ValueError, "label_prior: expected a probability > 0"),
        ({"label_prior": torch.tensor([0.5, 0.5, float("nan")])}, ValueError, "label_prior: expected"),
        ({"n_latent": 0}, ValueError, "n_latent"),
        ({"hidden": ()}, ValueError, "hidden: expected at least one"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong, error, message):
    with pytest.raises(error, match=message):
        SCANVI(**(BUILD | wrong))


@pytest.mark.parametrize(
    "labels, message",
    [
        (("a", "b"), r"numbers the labels \('a', 'b', 'c'\), found \('a', 'b'\); make these cells without a label_key"),
        (("b", "a", "c"), "numbers the labels"),
        (("a", "b", "d"), ".*it knows no 'd': train one that does, or make these cells without a label_key"),
    ],
)
def test_cells_with_other_labels_are_refused_in_training_and_afterwards(labels, message):
    model = a_model(some_cells([0, 1, 2, 0, 1]))
    others = some_cells([0, 1, 0, 1, 0], labels=labels)
    for ask in (lambda: fit(model, others, epochs=1, progress=False), lambda: predict(model, others)):
        with pytest.raises(ValueError, match=f"cells: the model {message}"):
            ask()


@pytest.mark.parametrize(
    "other, message",
    [
        ({"genes": GENES[::-1]}, "expected the genes of this model"),
        ({"batches": ("s2", "s1")}, "expected the batches of this model"),
        ({"n_latent": 3}, "settings of this model"),
        ({"hidden": (8,)}, "settings of this model"),
        ({"gene_likelihood": "nb"}, "settings of this model"),
        ({"gene_likelihood": "poisson"}, "settings of this model"),
        ({"batch_norm": "none"}, "settings of this model"),
        ({"encode_batch": True}, "settings of this model"),
        ({"library_prior": LibraryPrior(torch.tensor([3.0, 3.4]), torch.tensor([0.3, 0.4]))}, "settings of this model"),
    ],
)
def test_it_does_not_start_from_an_scvi_that_is_built_otherwise(other, message):
    cells = some_cells([0, 1, 2, 0, 1])
    model = a_model(cells)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = {"genes": GENES, "batches": cells.batches, "library_prior": None, "n_latent": 2, "hidden": (7,)}
    with pytest.raises(ValueError, match=f"scvi: .*{message}"):
        model.start_from(SCVI(**(settings | other)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for nothing in (None, nn.Linear(2, 2)):
        with pytest.raises(TypeError, match="scvi: expected a trained SCVI"):
            model.start_from(nothing)


def test_all_pairs_of_label_and_cell_are_enumerated():
    cells = some_cells([-1] * 5)
    model = a_model(cells)
    z = torch.randn(4, 5, 2)
    each, codes = model.each_label(z)
    assert each.shape == (4, 3, 5, 2)
    for k, c in itertools.product(range(4), range(3)):
        torch.testing.assert_close(each[k, c], z[k])
    assert codes.squeeze(-1).tolist() == [0, 1, 2]
