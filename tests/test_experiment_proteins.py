"""RNA and antibodies, together and apart: what is scored, against scores made otherwise; and the committed table."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import torch

from course_lib.analysis.antibodies import centred_log_ratio, positive_probability
from course_lib.data.citeseq_process import simulate_citeseq
from course_lib.data.protein_cells import ProteinCells, cells_from_mudata
from course_lib.experiments import proteins
from course_lib.experiments.proteins import AntibodiesAlone

peer = pytest.mark.skipif(
    importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
)
LABELS = ("totalvi", "rna", "antibodies", "pca_rna", "pca_clr", "pca_both", "scvi_tools")
IMPUTE = {
    "impute_batch": ("ridge", "knn", "totalvi", "totalvi_zeros", "scvi_tools"),
    "impute_cells": ("ridge", "knn", "totalvi", "totalvi_zeros"),
}


@pytest.fixture(scope="module")
def cells() -> ProteinCells:
    """Three types and two batches, one of which is called as the mosaic's."""
    mdata = simulate_citeseq(200, 60, 12, alpha=12.0, n_changed=5, dropout=0.0, seed=0)
    mdata["rna"].obs["batch"] = mdata["rna"].obs["batch"].cat.rename_categories(["p3_0", "p4_0"])
    return cells_from_mudata(mdata, batch_key="batch", label_key="cell_type")


def test_the_cells_are_those_with_both_and_each_is_held_out_once():
    cells = proteins.paired_cells()
    assert (len(cells), cells.n_genes, len(cells.proteins)) == (800, 500, 224)
    assert cells.has_protein.all()
    assert cells.batches == ("p3_0", "p4_0")
    parts = [proteins.held_out(800, seed) for seed in range(5)]
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(800))
    for learn, test in parts:
        assert len(test) == 160
        assert set(learn) | set(test) == set(range(800))
        assert not set(learn) & set(test)
    assert set(proteins.GATED["mosaic"]) <= set(cells.proteins)


def test_the_pair_has_genes_by_their_spread_and_all_antibodies():
    cells = proteins.pair_cells()
    assert (len(cells), cells.n_genes, len(cells.proteins)) == (400, 1_000, 14)
    assert set(proteins.GATED["pair"]) <= set(cells.proteins)
    assert not any(name.endswith(proteins.SUFFIX) for name in cells.genes)


def test_held_out_cells_are_named_by_the_others_and_every_confusion_is_counted():
    codes = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2] * 20)[:, None] + np.linspace(0, 0.01, 120)[:, None]
    types = np.array(["a", "a", "a", "b", "b", "b"] * 20)
    test = np.array([0, 3, 6, 9])
    types[9] = "a"  # lies among the b
    learn = np.setdiff1d(np.arange(120), test)
    rows = {(measure, name): value for _, _, measure, name, value in proteins.judge(codes, types, learn, test, seed=0)}
    assert rows["label_knn", ""] == 0.75
    assert {name: n for (measure, name), n in rows.items() if measure == "named"} == {
        "a → a": 2,
        "a → b": 1,
        "b → b": 1,
    }
    assert rows["ari", ""] > 0.9


def test_correlations_are_within_batches():
    rng = np.random.default_rng(0)
    truth, batch = rng.normal(size=(50, 3)), np.repeat([0, 1], 25)
    guess = truth + rng.normal(size=(50, 3))
    guess[:, 2] = 1.0
    found = proteins.pearson(guess + 100 * batch[:, None], truth - 100 * batch[:, None], batch)
    centred = [table - np.stack([table[batch == s].mean(0) for s in (0, 1)])[batch] for table in (guess, truth)]
    expected = [np.corrcoef(centred[0][:, t], centred[1][:, t])[0, 1] for t in (0, 1)]
    np.testing.assert_allclose(found[:2], expected)
    assert np.isnan(found[2])


def test_components_are_learned_from_the_training_cells_and_both_tables_weigh_the_same(cells):
    learn = np.arange(150)
    found = proteins.components_of_all(cells, learn)
    assert {name: codes.shape[1] for name, codes in found.items()} == {"pca_rna": 10, "pca_clr": 10, "pca_both": 20}
    changed = torch.cat([cells.protein[:150], cells.protein[150:].flip(1)])
    other = proteins.components_of_all(
        ProteinCells(cells.x, cells.batch, cells.genes, cells.batches, protein=changed, proteins=cells.proteins), learn
    )
    np.testing.assert_allclose(found["pca_clr"][:150], other["pca_clr"][:150], atol=1e-6)
    both = found["pca_both"][learn]
    log = np.log1p(cells.x.numpy() / cells.x.sum(-1, keepdim=True).numpy() * 1e4)
    for part, name, table in (
        (both[:, :10], "pca_rna", log),
        (both[:, 10:], "pca_clr", centred_log_ratio(cells.protein)),
    ):
        share = found[name][learn].var(0).sum() / table[learn].var(0).sum()  # of the table's variance
        np.testing.assert_allclose(part.var(0).sum(), share, rtol=1e-4)


def test_the_antibodies_alone_know_nothing_of_the_rna(cells):
    torch.manual_seed(0)
    model = proteins.train(cells, 0, AntibodiesAlone, epochs=1)
    other = proteins.AntibodiesAlone.encode(model, 3 * cells.x + 1, cells.batch, cells.protein)
    assert other.mean.equal(model.encode(cells.x, cells.batch, cells.protein).mean)
    bound = model.elbo(cells)
    assert (bound.reconstruction == 0).all()
    assert (bound.further["nll_protein"] > 0).all()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.decoder.parameters())


def test_foreground_is_held_against_the_gate_cell_by_cell(cells):
    ratios = centred_log_ratio(cells.protein.numpy())
    names = ("protein_0", "protein_4")
    truth = pd.DataFrame(0.0, index=range(len(cells)), columns=list(cells.proteins))
    expected = {}
    for name in names:
        j = cells.proteins.index(name)
        for s, batch in enumerate(cells.batches):
            inside = (cells.batch == s).numpy()
            positive = positive_probability(ratios[inside, j]) > 0.5
            truth.loc[inside, name] = positive.astype(float)
            flipped = np.flatnonzero(inside)[: 10 * (s + 1)]  # the answer is wrong for so many
            truth.loc[flipped, name] = 1 - truth.loc[flipped, name]
            expected[f"{name} {batch}"] = 1 - 10 * (s + 1) / inside.sum()
    rows = proteins.gates(cells, names, {"method": truth})
    found = {name: value for _, _, measure, name, value in rows if measure == "agreement"}
    assert found == pytest.approx(expected)


@peer
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_imputation_never_sees_what_it_is_judged_by(cells, monkeypatch):
    monkeypatch.setattr(proteins, "IMPUTE_COMPONENTS", 5)
    seen = []
    train = proteins.train

    def watched(given, *arguments, **named):
        seen.append(given)
        return train(given, *arguments, **named)

    monkeypatch.setattr(proteins, "train", watched)
    hidden = torch.arange(len(cells)) % 5 == 0
    rows = proteins.impute(cells, hidden, 0, epochs=2, peer=False)
    assert len(seen) == 2
    for given in seen:
        assert given.has_protein.equal(~hidden)
    found = {method for _, method, measure, _, _ in rows if measure == "pearson"}
    assert found == set(IMPUTE["impute_cells"])
    knn = [value for _, method, measure, _, value in rows if (method, measure) == ("ridge", "pearson")]
    assert np.median(knn) > 0.3  # the RNA of the simulation says which type, and so which antibodies


@peer
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_one_seed_runs_small(cells, monkeypatch):
    monkeypatch.setitem(proteins.GATED, "mosaic", ("protein_0",))
    monkeypatch.setitem(proteins.GATED, "pair", ("protein_1",))
    table = proteins.run_seed(cells, cells, 1, epochs=1, peer_epochs=1)
    labels = table[(table["task"] == "labels") & (table["measure"] == "label_knn")]
    assert set(labels["method"]) == set(LABELS)
    for task, methods in IMPUTE.items():
        scored = table[(table["task"] == task) & (table["measure"] == "pearson")]
        assert set(scored["method"]) == set(methods)
        assert (scored.groupby("method").size() == 12).all()
    gate = table[(table["task"] == "gate") & (table["data"] == "mosaic") & (table["measure"] == "positive")]
    assert set(gate["method"]) == {"gate", "totalvi", "totalvi_prior", "scvi_tools"}


# The committed table --------------------------------------------------------------------------------------------------


def pivot(table: pd.DataFrame, task: str, measure: str) -> pd.DataFrame:
    """Seeds × methods, the median over names."""
    rows = table[(table["data"] == "mosaic") & (table["task"] == task) & (table["measure"] == measure)]
    return rows.groupby(["seed", "method"])["value"].median().unstack()


def test_the_committed_table_is_whole(table, made):
    assert made["seeds"] == sorted(table["seed"].unique()) == list(range(5))
    assert set(pivot(table, "labels", "label_knn")) == set(pivot(table, "labels", "ari")) == set(LABELS)
    for task, methods in IMPUTE.items():
        rows = table[(table["task"] == task) & (table["measure"] == "pearson")]
        assert (rows.groupby(["seed", "method"]).size() == 224).all()
        assert set(rows["method"]) == set(methods)
    named = table[table["measure"] == "named"].groupby("method")["value"].sum()
    assert (named == 800).all()  # every cell was held out once
    assert ((table.loc[table["measure"].isin(["label_knn", "agreement"]), "value"].dropna()) <= 1).all()


def test_both_together_name_held_out_cells_better_than_either_alone(table):
    found = pivot(table, "labels", "label_knn").mean()
    assert found["totalvi"] > found["rna"]
    assert found["totalvi"] > found["antibodies"]
    assert found["pca_both"] > found["pca_rna"]


def test_an_encoder_that_practised_without_antibodies_imputes_single_cells_better_in_every_seed(table):
    """Where a whole batch lacks them, half of all cells are practice enough: there it makes hardly a difference."""
    found = pivot(table, "impute_cells", "pearson")
    assert (found["totalvi"] > found["totalvi_zeros"]).all()
    found = pivot(table, "impute_batch", "pearson").mean()
    assert abs(found["totalvi"] - found["totalvi_zeros"]) < 0.05


def test_rna_takes_some_cd8_t_cells_for_cd4_and_antibodies_set_that_right(table):
    named = table[(table["measure"] == "named") & (table["name"] == "CD8 T → CD4 T")].groupby("method")["value"].sum()
    assert named["rna"] > 3 * named["totalvi"]
    assert named["pca_rna"] > 3 * named["totalvi"]


def test_we_do_not_beat_the_simplest_ways_and_say_so(table):
    """Both PCAs side by side name held-out cells as well, and ridge and neighbours impute a batch as well."""
    found = pivot(table, "labels", "label_knn").mean()
    assert abs(found["totalvi"] - found["pca_both"]) < 0.02
    found = pivot(table, "impute_batch", "pearson").mean()
    assert abs(found["totalvi"] - found[["ridge", "knn"]].max()) < 0.03
    found = pivot(table, "labels", "ari").mean()
    assert found["pca_clr"] > found["totalvi"]


def test_foreground_agrees_with_the_gate_where_a_cell_has_the_target_or_has_not(table):
    gate = table[(table["task"] == "gate") & (table["measure"] == "agreement") & (table["method"] == "totalvi")]
    found = gate.groupby(["data", "name"])["value"].mean()
    assert found["pair"].min() > 0.95
    assert found["mosaic"][["cd19 p3_0", "cd19 p4_0", "cd14 p3_0", "cd14 p4_0"]].min() > 0.9
