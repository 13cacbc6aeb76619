"""ELBO and IWAE against models whose evidence is known."""

import numpy as np
import pytest
import scipy.special
import torch

from course_lib.probability.bounds import ELBO, iwae
from course_lib.probability.linear_gaussian import LinearGaussian


def test_the_loss_is_minus_the_elbo_averaged_over_cells():
    bound = ELBO(reconstruction=torch.tensor([-10.0, -20.0]), kl_z=torch.tensor([1.0, 3.0]))
    np.testing.assert_allclose(bound.value, [-11.0, -23.0])
    terms = bound.loss()
    assert {name: float(value) for name, value in terms.items()} == {"loss": 17.0, "reconstruction": 15.0, "kl_z": 2.0}
    assert float(bound.loss(kl_weight=0.5)["loss"]) == 16.0


def test_the_library_pays_a_second_kl_which_warm_up_does_not_touch():
    bound = ELBO(torch.tensor([-10.0, -20.0]), torch.tensor([1.0, 3.0]), kl_library=torch.tensor([0.5, 1.5]))
    np.testing.assert_allclose(bound.value, [-11.5, -24.5])
    terms = {name: float(value) for name, value in bound.loss(kl_weight=0.25).items()}
    assert terms == {"loss": 15.0 + 0.25 * 2.0 + 1.0, "reconstruction": 15.0, "kl_z": 2.0, "kl_library": 1.0}
    assert float(bound.loss()["loss"]) == float(-bound.value.mean())


def test_iwae_is_the_log_of_the_mean_weight():
    log_weights = torch.randn(7, 3, dtype=torch.float64) * 5 - 900  # far below what exp can hold in one step
    expected = scipy.special.logsumexp(log_weights.numpy(), axis=0, b=1 / 7)
    np.testing.assert_allclose(iwae(log_weights), expected, rtol=1e-12)


def test_iwae_rises_with_k_from_the_elbo_towards_the_evidence():
    torch.manual_seed(0)
    model = LinearGaussian(torch.randn(6, 2).double(), torch.zeros(6).double(), torch.tensor(0.8).double())
    x = model.evidence().sample((200,))
    q = model.best_diagonal(x)
    q = torch.distributions.MultivariateNormal(q.mean + 0.3, q.covariance_matrix * 1.5)  # a poor encoder
    z = q.sample((5_000,))  # (K, N, L)
    log_weights = (
        torch.distributions.Normal(z @ model.weight.T + model.bias, model.sigma).log_prob(x).sum(-1)
        + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
        - q.log_prob(z)
    )
    bounds = {k: float(iwae(log_weights[: 5000 // k * k].reshape(k, -1)).mean()) for k in (1, 5, 50)}
    evidence = float(model.evidence().log_prob(x).mean())
    assert bounds[1] == pytest.approx(float(model.elbo(x, q).mean()), abs=0.01)
    assert bounds[1] < bounds[5] < bounds[50] < evidence
    assert float(iwae(log_weights).mean()) == pytest.approx(evidence, abs=0.01)


def test_iwae_refuses_weights_without_a_sample_axis():
    with pytest.raises(ValueError, match=r"log_weights: expected \(K, N\)"):
        iwae(torch.zeros(5))


def test_further_terms_are_paid_in_full_and_keep_their_names():
    costs = {"kl_u": torch.tensor([1.0, 2.0]), "kl_background": torch.tensor([0.5, 0.0])}
    bound = ELBO(torch.tensor([-3.0, -4.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.25, 0.75]), costs)
    np.testing.assert_allclose(bound.value, [-5.75, -7.75])
    terms = bound.loss(kl_weight=0.5)
    assert list(terms) == ["loss", "reconstruction", "kl_z", "kl_library", "kl_u", "kl_background"]
    assert float(terms["loss"]) == 3.5 + 0.5 * 1.0 + 0.5 + 1.5 + 0.25
    assert float(terms["kl_u"]) == 1.5


@pytest.mark.parametrize("name", ["loss", "reconstruction", "kl_z", "kl_library"])
def test_a_further_term_may_not_take_the_name_of_another(name):
    with pytest.raises(ValueError, match=f"further: expected names of its own.*{name}.*rename"):
        ELBO(torch.zeros(2), torch.zeros(2), further={name: torch.zeros(2)})
