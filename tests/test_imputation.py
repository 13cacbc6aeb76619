"""What a model puts where a count is missing: against SciPy, against counts that were really dropped."""

import numpy as np
import pytest
import scipy.stats
import torch
from small import cells_by_hand
from torch import Tensor
from torch.distributions import Independent, Normal

from course_lib.analysis import parts
from course_lib.analysis.imputation import absolute_errors, impute, median_l1
from course_lib.analysis.posterior import get_normalized_expression, posterior_predictive_sample
from course_lib.data.cells import cells_from_counts
from course_lib.data.corrupt import Hidden
from course_lib.data.scvi_process import simulate
from course_lib.models.scvi import SCVI, LibraryPrior
from course_lib.probability.counts import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial

Z_BOUND = 5.0  # see test_toys
GENES = tuple("abcd")


class Known(torch.nn.Module):
    """μ, θ and π as given, whatever the cell: z and ℓ are carried along, with a spread ``sd`` of log μ from ℓ."""

    n_latent, learns_library = 1, True

    def __init__(self, mu, theta, zi_logits=None, sd=0.0, batches=("all cells",), genes=GENES):
        super().__init__()
        self.mu, self.theta, self.zi_logits, self.sd = mu, theta, zi_logits, sd
        self.genes, self.batches = tuple(genes), batches

    def encode(self, x: Tensor) -> Normal:
        return Normal(torch.zeros(len(x), 1), 1.0)

    def encode_library(self, x: Tensor) -> Normal:
        return Normal(torch.zeros(len(x), 1), self.sd + 1e-12)

    def decode(self, z: Tensor, log_library: Tensor, batch: Tensor) -> Independent:
        mu = log_library.exp() * self.mu  # (K, N, G)
        if self.theta is None:
            return Independent(Poisson(mu), 1)
        if self.zi_logits is None:
            return Independent(NegativeBinomial(mu, self.theta), 1)
        return Independent(ZeroInflatedNegativeBinomial(mu, self.theta, self.zi_logits.expand_as(mu)), 1)


MU, THETA, LOGITS = (
    torch.tensor([0.3, 2.0, 9.0, 40.0]),
    torch.tensor([0.8, 3.0, 1.5, 6.0]),
    torch.tensor([-1.0, 0, 1, -2]),
)
CELLS = cells_by_hand([[0, 3, 0, 0], [1, 0, 0, 50]], genes=GENES)
ZERO = CELLS.x.numpy() == 0


def scipys():
    return scipy.stats.nbinom(THETA.numpy(), (THETA / (THETA + MU)).numpy())


def test_the_mean_is_that_of_the_negative_binomial_dropout_left_out():
    np.testing.assert_allclose(impute(Known(MU, THETA, LOGITS), CELLS), np.tile(MU, (2, 1)), rtol=1e-6)


def test_the_three_that_ask_for_a_missing_count_leave_those_that_are_there():
    model = Known(MU, THETA, LOGITS)
    law, pi = scipys(), torch.sigmoid(LOGITS).numpy()
    expected = {
        "given_zero": pi / (pi + (1 - pi) * law.pmf(0)) * MU.numpy(),
        "above_zero_mean": MU.numpy() / law.sf(0),
        "above_zero_median": law.isf(law.sf(0) / 2),
    }
    for estimate, value in expected.items():
        found = impute(model, CELLS, estimate)
        np.testing.assert_allclose(found, np.where(ZERO, value, CELLS.x), rtol=1e-5, err_msg=estimate)


@pytest.mark.parametrize("zi_logits", [None, LOGITS])
def test_the_rate_is_the_mean_of_w_given_the_count_by_quadrature(zi_logits):
    found = impute(Known(MU, THETA, zi_logits), CELLS, "rate")
    for (n, g), x in np.ndenumerate(CELLS.x.numpy()):
        mu, theta = float(MU[g]), float(THETA[g])
        w = np.logspace(-30, 3, 40_001)
        prior = scipy.stats.gamma(theta, scale=mu / theta).pdf(w) * w  # mass in steps of log w
        kept = 1.0 if zi_logits is None else 1 - float(torch.sigmoid(zi_logits[g]))
        joint = prior * kept * scipy.stats.poisson.pmf(x, w)  # w, x, and not dropped
        dropped = (1 - kept) * prior * (x == 0)
        expected = (w * joint).sum() / (joint + dropped).sum()
        assert found[n, g] == pytest.approx(expected, rel=1e-5, abs=40 * 1e-7)  # μ (1 − P), in single precision


def test_draws_are_averaged_after_the_question_and_not_before():
    """E_q[P(dropout∣0) μ] is no function of E_q[μ]: with ℓ uncertain they differ, and many draws find the first."""
    model, sd = Known(MU, THETA, LOGITS, sd=1.0), 1.0
    found = impute(model, CELLS, "given_zero", n_samples=20_000)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    mu = np.exp(sd * nodes)[:, None] * MU.numpy()
    nb_zero = (1 + mu / THETA.numpy()) ** -THETA.numpy()
    pi = torch.sigmoid(LOGITS).numpy()
    value = pi / (pi + (1 - pi) * nb_zero) * mu
    expected = (weights[:, None] * value).sum(0) / weights.sum()
    np.testing.assert_allclose(found[ZERO], np.tile(expected, (2, 1))[ZERO], rtol=0.08)
    at_mean = pi / (pi + (1 - pi) * (1 + mu[30] / THETA.numpy()) ** -THETA.numpy()) * MU.numpy()
    assert np.abs(at_mean / expected - 1).min() > 0.2


def test_the_mean_is_scvi_tools_name_for_it():
    """Our ``get_normalized_expression`` with the latent library: another path to E_q[ℓρ]."""
    torch.manual_seed(0)
    model = SCVI(GENES, library_prior=LibraryPrior(torch.tensor([3.0]), torch.tensor([0.3])), hidden=(8,)).eval()
    other = get_normalized_expression(model, CELLS, library_size="latent", n_samples=4_000)
    np.testing.assert_allclose(impute(model, CELLS, n_samples=4_000), other, rtol=0.05)


def test_the_true_parameters_forecast_what_dropout_removed():
    """Over all zeros of a simulation, and over those of a high forecast: on average the count that stood there."""
    data = simulate(
        4_000, 4, n_types=1, n_changed=0, log_library_means=(3.0,), log_library_sd=0.0, batch_sd=0.0, seed=2
    )
    mu = torch.from_numpy(np.exp(3.0) * data.layers["rho"][0]).float()
    logits = torch.from_numpy(np.log(data.layers["zi_probs"]) - np.log1p(-data.layers["zi_probs"])).float()
    model = Known(mu, torch.from_numpy(data.var["theta"].to_numpy()).float(), logits, genes=tuple(data.var_names))
    model.decode = lambda z, log_library, batch: Independent(  # π varies from cell to cell: all cells in one part
        ZeroInflatedNegativeBinomial(mu.expand(len(z), 4_000, 4), model.theta, logits.expand(len(z), 4_000, 4)), 1
    )
    found = impute(model, cells_from_counts(data), "given_zero", n_samples=2)
    zero = np.asarray(data.X) == 0
    y = data.layers["before_dropout"].astype(float)
    for where in (zero, zero & (found > 3)):
        gap = (y - found)[where]
        assert abs(gap.mean()) < Z_BOUND * gap.std() / np.sqrt(where.sum())


def test_parts_of_cells_give_what_all_at_once_give(monkeypatch):
    cells = cells_by_hand(np.arange(24).reshape(6, 4) % 5, genes=GENES)
    whole = impute(Known(MU, THETA, LOGITS), cells, "rate")
    monkeypatch.setattr(parts, "CHUNK", 110)  # one cell at a time
    np.testing.assert_allclose(impute(Known(MU, THETA, LOGITS), cells, "rate"), whole, rtol=1e-6)


def test_asking_leaves_the_models_mode_and_the_generator_alone():
    model = SCVI(GENES, library_prior=LibraryPrior(torch.tensor([3.0]), torch.tensor([0.3])), hidden=(8,)).train()
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = impute(model, CELLS, seed=3)
    assert torch.rand(1) == expected
    assert model.training
    np.testing.assert_array_equal(impute(model, CELLS, seed=3), first)
    assert (impute(model, CELLS, seed=4) != first).any()


HIDDEN = Hidden(np.array([0, 1]), np.array([0, 2]), np.array([3.0, 10.0], dtype=np.float32))


def test_errors_are_taken_where_counts_were_hidden():
    imputed = np.array([[1.0, 99, 99], [99, 99, 14.0]])
    np.testing.assert_array_equal(absolute_errors(imputed, HIDDEN), [2, 4])
    assert median_l1(imputed, HIDDEN) == 3


def test_the_median_does_not_see_how_large_the_larger_half_is():
    hidden = Hidden(np.arange(3), np.zeros(3, dtype=int), np.array([1, 2, 1000], dtype=np.float32))
    assert median_l1(np.ones((3, 1)), hidden) == 1


def test_bad_input_is_named():
    model = Known(MU, THETA, LOGITS)
    with pytest.raises(ValueError, match=r"estimate: expected 'mean', .* or 'rate', found 'median'"):
        impute(model, CELLS, "median")
    with pytest.raises(
        ValueError, match="estimate: expected a model with dropout for 'given_zero', found a negative bin"
    ):
        impute(Known(MU, THETA), CELLS, "given_zero")
    with pytest.raises(TypeError, match=r"model: expected a negative binomial, .* to ask for 'rate', found Poisson"):
        impute(Known(MU, None), CELLS, "rate")
    with pytest.raises(ValueError, match="n_samples: expected a whole number ≥ 1, found 0"):
        impute(model, CELLS, n_samples=0)
    with pytest.raises(ValueError, match="genes"):
        impute(model, cells_by_hand([[1, 2, 3, 4]]))
    with pytest.raises(ValueError, match=r"imputed: expected a value for every cell and gene, at least \(2, 3\)"):
        median_l1(np.ones((2, 2)), HIDDEN)
    with pytest.raises(ValueError, match="hidden: expected an entry or more, found none"):
        median_l1(np.ones((2, 3)), HIDDEN[:0])


def test_a_poisson_has_a_mean_to_impute():
    np.testing.assert_allclose(impute(Known(MU, None), CELLS), np.tile(MU, (2, 1)), rtol=1e-6)
    assert posterior_predictive_sample(Known(MU, None), CELLS).shape == (1, 2, 4)
