"""The simulator of antibodies draws what its equations say."""

import numpy as np
import pytest
from scipy.stats import nbinom

from course_lib.data.citeseq_process import simulate_citeseq
from course_lib.data.protein_cells import cells_from_mudata
from course_lib.data.scvi_process import simulate


def test_the_rna_is_that_of_the_process_below_and_both_pass_the_gate():
    mdata = simulate_citeseq(60, 40, 5, n_changed=2, seed=4)
    alone = simulate(60, 40, n_changed=2, seed=4)
    np.testing.assert_array_equal(mdata["rna"].X, alone.X)
    cells = cells_from_mudata(mdata, batch_key="batch", label_key="cell_type")
    assert cells.protein.shape == (60, 5)
    assert cells.has_protein.all()
    assert (simulate_citeseq(60, 40, 5, n_changed=2, seed=5)["protein"].X != mdata["protein"].X).any()


def test_foreground_stands_where_the_target_is_but_for_mistakes():
    protein = simulate_citeseq(4_000, 40, 6, n_changed=2, mistaken=0.1, seed=0)["protein"]
    has_target = protein.obs["cell_type"].to_numpy()[:, None] == protein.var["target"].to_numpy()
    wrong = (protein.layers["foreground"] != has_target).mean()
    assert wrong == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / has_target.size))
    sure = simulate_citeseq(50, 40, 6, n_changed=2, mistaken=0.0)["protein"]
    assert (
        sure.layers["foreground"] == (sure.obs["cell_type"].to_numpy()[:, None] == sure.var["target"].to_numpy())
    ).all()


def test_counts_are_negative_binomial_around_background_and_foreground():
    """Each count through its own distribution function: uniform, if the process is the one written down."""
    protein = simulate_citeseq(3_000, 40, 4, n_changed=2, phi=3.0, alpha=5.0, seed=1)["protein"]
    alpha, foreground = protein.var["alpha"].to_numpy(), protein.layers["foreground"]
    mu = protein.layers["background"] * np.where(foreground, alpha, 1.0)
    y, p = protein.X.astype(int), 3.0 / (3.0 + mu)
    at, below = nbinom.cdf(y, 3.0, p), nbinom.cdf(y - 1, 3.0, p)
    u = below + np.random.default_rng(0).random(y.shape) * (at - below)
    for part in (foreground, ~foreground):
        histogram = np.histogram(u[part], bins=10, range=(0, 1))[0]
        expected = part.sum() / 10
        assert ((histogram - expected) ** 2 / expected).sum() < 28  # χ² with 9 degrees of freedom: p < .001


def test_background_belongs_to_antibody_and_batch():
    mdata = simulate_citeseq(4_000, 40, 5, n_changed=2, background_sd=0.3, seed=2)
    protein = mdata["protein"]
    log, batch = np.log(protein.layers["background"]), protein.obs["batch"].cat.codes.to_numpy()
    truth = protein.uns["truth"]["background_mean"]
    for s in (0, 1):
        np.testing.assert_allclose(log[batch == s].mean(0), truth[s], atol=4 * 0.3 / np.sqrt(2_000))
        np.testing.assert_allclose(log[batch == s].std(0), 0.3, rtol=0.1)
    assert (protein.var["alpha"] > 1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.0}, "alpha: expected a number > 1, found 1"),
        ({"background_median": 0}, "background_median: expected a number > 0"),
        ({"background_sd": -0.1}, "background_sd: expected a number ≥ 0"),
        ({"phi": 0}, "phi: expected a number > 0"),
        ({"mistaken": 1}, "mistaken: expected 0 ≤ mistaken < 1"),
        ({"n_proteins": 0}, "n_proteins: expected a whole number ≥ 1"),
        ({"n_types": 0}, "n_types: expected a whole number ≥ 1"),
    ],
)
def test_parameters_out_of_their_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        simulate_citeseq(50, 40, **{"n_changed": 2, "n_proteins": 5} | settings)
