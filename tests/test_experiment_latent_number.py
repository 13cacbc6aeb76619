"""Sizes and cuts judged by counts: halves are what they claim, agreement finds what was put in, tables are whole."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2
from small import cells_by_hand

from course_lib.experiments import latent_number

SHORT = {"epochs": 2, "lr": 1e-3}
SEEN = ("cortex", "pbmc3k")


@pytest.fixture(scope="module")
def data():
    """Two types that differ in half of 30 genes, and little in their totals."""
    rng = np.random.default_rng(0)
    types = rng.integers(0, 2, 120)
    rates = np.array([np.repeat([3.0, 1.0], 15), np.repeat([1.0, 3.0], 15)])
    return latent_number.Counted(cells_by_hand(rng.poisson(rates[types])), types.astype(str), SHORT)


@pytest.fixture(scope="module")
def cuts_table():
    return pd.read_csv(Path(latent_number.__file__).parents[2] / "data" / "results" / "latent_number_cuts.csv")


def test_no_molecule_is_lost_or_counted_twice(data):
    one, other = latent_number.halves_of_molecules(data.cells, seed=3)
    assert torch.equal(one.x + other.x, data.cells.x)
    assert min(float(one.x.min()), float(other.x.min())) >= 0
    assert float(one.x.sum() / data.cells.x.sum()) == pytest.approx(0.5, abs=0.02)
    again, _ = latent_number.halves_of_molecules(data.cells, seed=3)
    assert torch.equal(one.x, again.x)


def test_halves_of_poisson_counts_are_independent_poisson_counts():
    """Independent tables of counts: the joint frequencies are the product of the margins, by Pearson's χ²."""
    counts = np.random.default_rng(1).poisson(2.0, size=(40_000, 1))
    one, other = (part.x.numpy().ravel() for part in latent_number.halves_of_molecules(cells_by_hand(counts), seed=0))
    for half in (one, other):
        assert half.mean() == pytest.approx(1.0, abs=0.02)
        assert half.var() == pytest.approx(half.mean(), rel=0.03)  # Poisson
    joint = pd.crosstab(np.minimum(one, 4), np.minimum(other, 4)).to_numpy()
    expected = np.outer(joint.sum(1), joint.sum(0)) / joint.sum()
    assert ((joint - expected) ** 2 / expected).sum() < chi2.ppf(0.999, 16)


def test_the_cloud_keeps_each_cells_total_and_has_one_profile(data):
    cloud = latent_number.one_cloud(data)
    assert cloud.labels is None
    torch.testing.assert_close(cloud.cells.x.sum(1), data.cells.x.sum(1))
    first, second = (cloud.cells.x[data.labels == name].mean(0) for name in "01")
    was = [data.cells.x[data.labels == name].mean(0) for name in "01"]
    assert float((first - second).abs().mean()) < 0.5 < float((was[0] - was[1]).abs().mean())


def test_agreement_is_the_mean_ari_with_the_others():
    same, swapped, other = np.array(list("aabb")), np.array(list("ccdd")), np.array(list("abab"))
    assert latent_number.agreement([same, swapped]) == [1, 1]
    assert latent_number.agreement([same, swapped, other]) == pytest.approx([0.25, 0.25, -0.5])
    assert np.isnan(latent_number.agreement([same])).all()


def test_a_dimension_that_says_nothing_is_not_active(data):
    model = latent_number.train(data.cells, 3, SHORT, seed=0)
    with torch.no_grad():  # q(z₂∣x) = N(0, 1) whatever x is, the others far from it
        for head in (model.z_encoder.to_mu, model.z_encoder.to_log_variance):
            head.weight.zero_()
            head.bias.copy_(torch.tensor([-2.0, -2.0, 0.0]))
    found = latent_number.held_out(model, data.cells)
    assert found["active"] == 2
    assert found["elbo"] == pytest.approx(found["reconstruction"] + found["kl_z"], rel=1e-5)
    assert found["iwae"] <= found["elbo"] + 0.5


def test_held_out_cells_teach_nothing(data, monkeypatch):
    seen = {}

    class Stop(Exception):
        pass

    def learn(cells, *rest):
        seen["learned"] = {tuple(row) for row in cells.x.tolist()}
        return train(cells, *rest)

    def judge(model, cells):
        seen["held out"] = {tuple(row) for row in cells.x.tolist()}
        raise Stop

    train = latent_number.train
    monkeypatch.setattr(latent_number, "train", learn)
    monkeypatch.setattr(latent_number, "held_out", judge)
    monkeypatch.setattr(latent_number, "cut", lambda *rest: {latent_number.RESOLUTION: np.array(["0"])})
    with pytest.raises(Stop):
        latent_number.one_size(data, 2, seed=0)
    assert (len(seen["learned"]), len(seen["held out"])) == (108, 12)
    assert not seen["learned"] & seen["held out"]


def test_run_writes_both_tables_and_their_provenance(data, tmp_path, monkeypatch):
    cloud = latent_number.one_cloud(data)
    monkeypatch.setattr(latent_number, "DATA", {"pbmc3k": lambda: data, "one_cloud": lambda: cloud})
    monkeypatch.setattr(latent_number, "SIZES", (2, latent_number.N_LATENT))
    monkeypatch.setattr(latent_number, "RESOLUTIONS", (0.1, 1.0))
    table = pd.read_csv(latent_number.run(2, tmp_path))
    assert table[["data", "seed", "n_latent"]].values.tolist() == [
        ["one_cloud", 0, 10], ["one_cloud", 1, 10],
        ["pbmc3k", 0, 2], ["pbmc3k", 0, 10], ["pbmc3k", 1, 2], ["pbmc3k", 1, 10],
    ]  # fmt: skip
    cuts = pd.read_csv(tmp_path / "latent_number_cuts.csv")
    assert cuts["resolution"].tolist() == [0.1, 1.0] * 4
    assert json.loads((tmp_path / "latent_number.json").read_text(encoding="utf-8"))["seeds"] == [0, 1]
    assert table["agreement"].between(-1, 1).all()
    between = table[table["n_latent"] == 10].set_index(["data", "seed"])["agreement"]
    at_one = cuts[cuts["resolution"] == 1].set_index(["data", "seed"])["seeds"]
    pd.testing.assert_series_equal(between.sort_index(), at_one.sort_index(), check_names=False)


def test_the_tables_are_whole(table, cuts_table, made):
    assert made["settings"] == json.loads(json.dumps(latent_number.provenance(5)["settings"]))
    assert made["seeds"] == [0, 1, 2, 3, 4]
    for name in SEEN:
        found = table[table["data"] == name]
        assert found[["seed", "n_latent"]].values.tolist() == [[s, n] for s in range(5) for n in latent_number.SIZES]
    assert not table.isna().any(axis=1)[table["data"].isin(SEEN)].any()
    assert (table["iwae"] <= table["elbo"]).all()
    assert table["active"].between(0, table["n_latent"]).all()
    for name in (*SEEN, "one_cloud"):
        found = cuts_table[cuts_table["data"] == name]
        expected = [[s, g] for s in range(5) for g in latent_number.RESOLUTIONS]
        assert found[["seed", "resolution"]].values.tolist() == expected
    assert cuts_table[["halves", "seeds"]].stack().between(-0.1, 1).all()


def test_halves_do_not_agree_on_what_is_not_there(cuts_table):
    cloud = cuts_table[(cuts_table["data"] == "one_cloud") & (cuts_table["n_clusters"] > 1)]
    assert cloud["halves"].abs().max() < 0.05
    assert cloud["n_clusters"].max() > 30
    real = cuts_table[cuts_table["data"].isin(SEEN) & (cuts_table["n_clusters"] > 1)]
    assert real["halves"].min() > 0.2
