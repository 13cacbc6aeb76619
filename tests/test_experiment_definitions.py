"""The table of definitions that differ: each measure against something computed otherwise."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from torch import nn

from course_lib.analysis.differential_expression import default_pseudocount
from course_lib.data.cells import cells_from_counts
from course_lib.experiments import definitions
from course_lib.peers.quiet import QUIET_TRAINING, quiet

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
    ),
    pytest.mark.filterwarnings("ignore"),  # of scvi-tools, Lightning and what they import
]
N_CELLS, N_GENES, EPOCHS = 240, 40, 10


def two_types() -> tuple[AnnData, np.ndarray]:
    """Counts in two batches, as a layer, of two types; and which cells are of the first."""
    random = np.random.default_rng(0)
    profiles = random.dirichlet(np.full(N_GENES, 0.4), size=2)
    types = random.integers(2, size=N_CELLS)
    counts = random.poisson(random.lognormal(5.5, 0.3, (N_CELLS, 1)) * profiles[types] + 1e-3).astype(np.float32)
    data = AnnData(np.log1p(counts), layers={"counts": counts})
    data.obs["run"] = np.where(random.random(N_CELLS) < 0.4, "b", "a")
    return data, types == 0


@pytest.fixture(scope="module")
def trained(scvi):
    """Their model with its own defaults, and the cells of one type."""
    data, first = two_types()
    with quiet():
        scvi.settings.seed = 0
        scvi.model.SCVI.setup_anndata(data, layer="counts", batch_key="run")
        model = scvi.model.SCVI(data, n_hidden=16, n_latent=3)
        model.train(max_epochs=EPOCHS, **QUIET_TRAINING)
    return model, first


@pytest.fixture(scope="module")
def found(trained):
    model, first = trained
    return definitions.differing_definitions(model, first, ~first).set_index("what")


def test_every_definition_has_a_number_by_either(found):
    assert found.index.is_unique
    assert list(found.columns) == definitions.COLUMNS[1:]
    assert np.isfinite(found[["by_theirs", "by_ours"]].to_numpy(dtype=float)).all()
    assert (found["by_theirs"] != found["by_ours"]).drop("batch correction").all()  # or it would not differ
    assert (found["scvi_tools"] != found["course"]).all()


def test_what_is_said_of_training_is_what_happened(found, trained):
    model, _ = trained
    assert tuple(found.loc["cells learned from", ["by_theirs", "by_ours"]]) == (0.9 * N_CELLS, N_CELLS)
    row = found.loc["KL warm-up"]
    assert row["by_theirs"] == pytest.approx(float(model.history["kl_weight"].iloc[-1, 0]))  # what they wrote down
    assert f"epoch {EPOCHS}" in row["measured"]
    idle = (N_GENES + 1) * 16 + 2 * 16 + 2 * (16 + 1)  # linear, BatchNorm, two heads
    assert tuple(found.loc["library size", ["by_theirs", "by_ours"]]) == (idle, 0)
    assert "True" in found.loc["library size", "scvi_tools"]
    before = model.module.l_encoder.state_dict()["mean_encoder.weight"].clone()
    fresh = type(model)(model.adata, n_hidden=16, n_latent=3)
    fresh.module.l_encoder.load_state_dict(model.module.l_encoder.state_dict())
    with quiet():
        fresh.train(max_epochs=1, **QUIET_TRAINING)
    assert torch.equal(fresh.module.l_encoder.state_dict()["mean_encoder.weight"], before)  # nothing was learned


@pytest.mark.parametrize("momentum", [0.01, 0.1])
def test_half_of_an_average_is_forgotten_after_so_many_steps(momentum):
    norm, steps = nn.BatchNorm1d(1, momentum=momentum), 0
    norm.running_mean.fill_(1.0)
    while float(norm.running_mean) > 0.5:
        norm(torch.tensor([[-1.0], [1.0]]))  # mean zero
        steps += 1
    assert steps - 1 < definitions.half_life(momentum) <= steps


def test_of_averages_the_course_says_a_tenth_and_scvi_tools_a_hundredth(found):
    row = found.loc["running averages of BatchNorm"]
    assert ("0.01" in row["scvi_tools"], "0.1" in row["course"]) == (True, True)
    assert row["by_theirs"] == pytest.approx(69, abs=0.1)
    assert row["by_ours"] == pytest.approx(6.6, abs=0.1)


def test_expression_is_drawn_anew_there_and_repeats_here(found):
    assert found.loc["normalised expression", "by_theirs"] > 0.5
    assert found.loc["normalised expression", "by_ours"] == 0
    assert definitions.apart(np.array([1.0, 2.0, 4.0]), np.array([1.1, 2.0, 5.0])) == pytest.approx(0.1)


@pytest.mark.parametrize("likelihood", ["zinb", "nb", "poisson"])
def test_their_constant_moves_logarithms_as_the_formula_says(trained, likelihood):
    """By hand in extended precision: where x > 0 the NB's formula with and without 1e-8."""
    model, _ = trained
    other = type(model)(model.adata, n_hidden=16, n_latent=3, gene_likelihood=likelihood)
    other.is_trained_ = True
    other.module.eval()
    if likelihood != "poisson":
        other.module.px_r.data.fill_(-5.0)  # θ = 0.007
    other.module.decoder.px_scale_decoder[0].weight.data.mul_(20)  # some ρ near zero: there the 1e-8 counts
    ours = definitions.from_scvi_tools(other)
    cells = definitions.cells_for(ours, model.adata, layer="counts", batch_key="run")
    moved = definitions.logarithms_moved(other, ours, cells)
    if likelihood == "poisson":
        assert moved < 1e-10  # theirs is PyTorch's own
        return
    with torch.no_grad():
        p = ours.decode(ours.encode(cells.x).mean, cells.x.sum(1, keepdim=True).log(), cells.batch).base_dist
    x, mu, theta = (np.asarray(part, dtype=np.longdouble) for part in (cells.x, p.mu, p.theta))

    def formula(e):
        return theta * (np.log(theta + e) - np.log(theta + mu + e)) + x * (np.log(mu + e) - np.log(theta + mu + e))

    by_hand = np.abs(formula(np.longdouble(1e-8)) - formula(np.longdouble(0)))[x > 0].max()
    assert moved == pytest.approx(float(by_hand), rel=0.02)
    assert moved > 1e-6


def test_questions_are_asked_as_their_defaults_ask(found, trained):
    model, first = trained
    assert 'mode="vanilla"' in found.loc["question", "scvi_tools"]
    assert "False" in found.loc["batch correction", "scvi_tools"]
    with quiet(), definitions.numbered(0):
        theirs = model.differential_expression(idx1=first, idx2=~first, silent=True)
    assert found.loc["question", "by_theirs"] == (theirs["bayes_factor"].abs() >= 3).sum()
    with quiet(), definitions.numbered(0):
        theirs = model.differential_expression(idx1=first, idx2=~first, mode="change", silent=True)
    assert found.loc["pseudocount c", "by_theirs"] == pytest.approx(1e6 * theirs["pseudocounts"].iloc[0])
    assert found.loc["LFC that is reported", "by_theirs"] == pytest.approx(theirs["lfc_mean"].abs().max())
    assert found.loc["p(DE)", "by_theirs"] == pytest.approx(theirs["proba_de"].mean())
    assert found.loc["p(DE)", "by_ours"] > found.loc["p(DE)", "by_theirs"]
    cells = cells_from_counts(model.adata, layer="counts")
    assert found.loc["pseudocount c", "by_ours"] == pytest.approx(1e6 * default_pseudocount(cells))


def test_means_decide_where_pairs_do_not(found):
    row = found.loc["what is compared"]
    assert row["by_theirs"] > row["by_ours"]
    table = pd.DataFrame({"proba_de": [0.0, 0.05, 0.06, 0.5, 0.94, 0.95, 1.0, 1.0]})
    assert definitions.undecided(table) == 3 / 8


def test_a_tenth_of_a_group_counts_as_outlying_whatever_it_is(found, trained):
    _, first = trained
    assert found.loc["outlying cells", "by_theirs"] == pytest.approx(0.1 * first.sum(), abs=1)


def test_the_callers_random_numbers_stay_and_the_seed_decides(trained, found):
    model, first = trained
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    again = definitions.differing_definitions(model, first, ~first).set_index("what")
    drawn = float(torch.rand(1)), np.random.random()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert drawn == (float(torch.rand(1)), np.random.random())  # noqa: NPY002
    pd.testing.assert_frame_equal(again, found)


def test_groups_that_overlap_and_models_of_another_kind_are_refused(trained):
    model, first = trained
    with pytest.raises(ValueError, match="group"):
        definitions.differing_definitions(model, first, first)
    with pytest.raises(TypeError, match=r"model: expected a scvi.model.SCVI"):
        definitions.differing_definitions(model.adata, first, ~first)
