"""The committed tables of the cortex, and the functions that made them."""

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from small import three_types

from course_lib.data.cells import cells_from_counts
from course_lib.experiments import cortex
from course_lib.experiments.record import RESULTS
from course_lib.models.scvi import SCVI
from course_lib.probability.bounds import ELBO

SCORES, NATS = ["ari", "nmi", "asw"], ["elbo", "reconstruction", "kl_z", "kl_library"]


@pytest.fixture(scope="module")
def medians(table):
    return table.groupby("method")[SCORES + NATS].median()


@pytest.fixture(scope="module")
def small():
    return three_types()


# The tables -----------------------------------------------------------------------------------------------------------


def test_the_table_holds_every_method_for_five_seeds(table):
    assert list(table.columns) == cortex.COLUMNS
    assert table["method"].tolist() == [*cortex.METHODS] * 5
    assert sorted(table["seed"].unique()) == [0, 1, 2, 3, 4]
    assert np.isfinite(table[SCORES]).all().all()
    assert table[["ari", "nmi"]].min().min() > 0
    assert table[SCORES].max().max() < 1


def test_terms_add_up_to_the_bound_and_only_a_learned_library_costs_nats(table):
    models = table[table["method"] != "pca"]
    total = models["reconstruction"] + models["kl_z"] + models["kl_library"].fillna(0)
    np.testing.assert_allclose(models["elbo"], total, atol=2e-3)
    learned = table["method"].isin(["scvi", "scvi_tools_learned"])
    assert (table["kl_library"].notna() == learned).all()
    assert (table.loc[learned, "kl_library"] > 0).all()
    assert table.loc[table["method"] == "pca", NATS].isna().all().all()


def test_the_provenance_is_that_of_the_script(table, made):
    today = {"settings": cortex.SETTINGS, "seeds": sorted(table["seed"].unique())}
    assert {name: made[name] for name in today} == today
    assert made["versions"]["scvi-tools"].startswith("1.4")
    assert made["chosen_on"] == cortex.CHOSEN_ON


def test_the_published_table_is_that_of_the_script_and_names_its_source():
    written = pd.read_csv(RESULTS / "cortex_published.csv")
    pd.testing.assert_frame_equal(written, cortex.published())
    assert written["source"].str.contains("scVI-reproducibility").all()
    assert (written["doi"] == "10.1038/s41592-018-0229-2").all()


def test_the_published_table_keeps_what_beats_scvi():
    first = cortex.published().query("run == 1").set_index("method")
    assert first["nmi"].idxmax() == first["asw"].idxmax() == first["ari"].idxmax() == "SIMLR"
    assert first.loc["ZIFA", "ari"] > first.loc["scVI", "ari"]
    assert first["imputation_error"].idxmin() == "ZINB-WaVE"
    assert first["negative_log_likelihood"].idxmin() == "scVI"


# What the tables say --------------------------------------------------------------------------------------------------


def test_full_scvi_finds_the_classes_better_than_pca_in_every_seed(table, medians):
    assert medians.loc["scvi", "ari"] >= 0.70
    assert medians.loc["scvi", "nmi"] >= 0.75
    for score in ("ari", "nmi"):
        scores = table.pivot(index="seed", columns="method", values=score)
        assert (scores["scvi"] > scores["pca"]).all()


def test_the_bound_with_a_learned_library_lies_eight_percent_below_scvi_tools_in_every_seed(table):
    bound = table.pivot(index="seed", columns="method", values="elbo")
    assert (bound["scvi"] <= 0.92 * bound["scvi_tools_learned"]).all()


# The functions --------------------------------------------------------------------------------------------------------


def test_one_seed_runs_small_without_scvi_tools_and_repeats(small):
    cells, labels = small
    first, second = (cortex.run_seed(cells, labels, 1, peer=False, epochs=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert first["method"].tolist() == ["scvi", "scvi_observed", "pca"]
    assert list(first.columns) == cortex.COLUMNS
    assert not first.equals(cortex.run_seed(cells, labels, 2, peer=False, epochs=3))


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
)
@pytest.mark.filterwarnings("ignore")  # of scvi-tools, Lightning and what they import
def test_one_seed_runs_small_with_scvi_tools(small):
    cells, labels = small
    table = cortex.run_seed(cells, labels, 0, epochs=2, their_epochs=2).set_index("method")
    assert list(table.index) == [*cortex.METHODS]
    models = table.drop(index="pca")
    total = models["reconstruction"] + models["kl_z"] + models["kl_library"].fillna(0)
    np.testing.assert_allclose(models["elbo"], total, rtol=1e-5)
    assert table["kl_library"].notna().to_dict() == {
        name: name in ("scvi", "scvi_tools_learned") for name in table.index
    }


def test_a_bound_is_the_mean_over_cells_of_averages_over_draws(small):
    """Against draws taken by hand."""
    cells, _ = small
    torch.manual_seed(0)
    model = SCVI(cells.genes, library_prior=None, n_latent=10).eval()
    found = cortex.held_out_bound(model, cells)
    with torch.no_grad():
        q = model.encode(cells.x)
        log_library = cells.x.sum(1, keepdim=True).log()
        z = q.sample((400,))
        draws = -model.decode(z, log_library, cells.batch).log_prob(cells.x)  # (K, N)
        kl = (0.5 * (q.mean**2 + q.variance - 1) - q.stddev.log()).sum(-1)
    standard_error = float(draws.mean(1).std()) * (1 / 25 + 1 / 400) ** 0.5
    assert abs(found["reconstruction"] - float(draws.mean())) < 4 * standard_error
    assert found["kl_z"] == pytest.approx(float(kl.mean()), rel=1e-5)
    assert found["elbo"] == pytest.approx(found["reconstruction"] + found["kl_z"], rel=1e-6)
    assert np.isnan(found["kl_library"])


def test_mean_terms_weigh_every_kl_with_one():
    bound = ELBO(torch.tensor([-10.0, -20.0]), torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.5]))
    assert cortex.mean_terms(bound) == {"elbo": 18.0, "reconstruction": 15.0, "kl_z": 2.0, "kl_library": 1.0}


def test_pca_starts_from_shares(small):
    few, _ = small
    doubled = cells_from_counts(AnnData(2 * few.x.numpy()))
    np.testing.assert_allclose(np.abs(cortex.pca_codes(doubled)), np.abs(cortex.pca_codes(few)), atol=1e-3)


def test_run_writes_the_tables_and_their_provenance(small, tmp_path, monkeypatch):
    monkeypatch.setattr(cortex, "counts_and_types", lambda data: small)
    one_seed = cortex.run_seed
    monkeypatch.setattr(cortex, "run_seed", lambda *a: one_seed(*a, peer=False, epochs=1))
    monkeypatch.setattr(cortex, "made_with", lambda *names: {"versions": {}})  # scvi-tools may be absent
    path = cortex.run(2, tmp_path)
    assert len(pd.read_csv(path)) == 2 * 3
    assert json.loads((tmp_path / "cortex.json").read_text(encoding="utf-8"))["seeds"] == [0, 1]
    assert (tmp_path / "cortex_published.csv").exists()
