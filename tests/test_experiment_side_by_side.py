"""Ours beside scvi-tools: settings that are the same where they are said to be, splits, scores, and the table."""

import importlib.util
import inspect
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from small import three_types

from course_lib.analysis.antibodies import AMBIGUOUS
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.split import split_indices
from course_lib.experiments import cortex, pair, scvi_tools, side_by_side
from course_lib.experiments.side_by_side import DATA, PROGRAMS, Asked
from course_lib.models.scvi import SCVI
from course_lib.peers.scvi_tools import from_scvi_tools

peer = pytest.mark.skipif(
    importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
)
quietly = pytest.mark.filterwarnings("ignore")  # of scvi-tools, Lightning and what they import
OURS = ("same_settings", "course")


@pytest.fixture(scope="module")
def small() -> AnnData:
    """240 cells of three types in two runs, some of no type."""
    cells, types = three_types()
    data = AnnData(cells.x.numpy().copy())
    data.obs["cell_type"] = np.where(np.arange(240) % 30 == 7, AMBIGUOUS, types.astype("<U9"))
    data.obs["batch"] = np.random.default_rng(1).permutation(np.repeat(["5k", "10k"], 120))
    return data


@pytest.fixture(scope="module")
def asked(small) -> Asked:
    return replace(DATA["pair"], load=lambda: small)


# Who learns from what -------------------------------------------------------------------------------------------------


def test_settings_were_chosen_on_cells_that_are_validation_here_too():
    parts = DATA["cortex"].split(3005, 0)
    training, validation, test = split_indices(3005, cortex.SPLIT, 0)
    for name, expected in (("training", training), ("validation", validation), ("test", test)):
        np.testing.assert_array_equal(parts[name], expected)
    parts = DATA["pair"].split(400, 0)
    _, validation = split_indices(400, (1 - pair.VALIDATION, pair.VALIDATION), 0)
    np.testing.assert_array_equal(parts["validation"], validation)


@pytest.mark.parametrize("name", DATA)
def test_every_cell_has_one_part_and_each_part_its_share(name):
    parts = DATA[name].split(1_000, 3)
    assert {part: len(index) for part, index in parts.items()} == {"training": 650, "validation": 100, "test": 250}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(1_000))


@pytest.mark.parametrize("program", OURS)
def test_held_out_cells_teach_nothing(small, asked, program):
    cells = cells_from_counts(small, batch_key="batch")
    parts = asked.split(240, 2)
    changed = cells.x.clone()
    changed[parts["test"]] *= 3
    codes = []
    for x in (cells.x, changed):
        these = Cells(x, cells.batch, cells.genes, cells.batches)
        arguments = (these[parts["training"]], these[parts["test"]], these, 2, 2)
        codes.append(side_by_side.run_program(program, asked, *arguments)[0])
    rest = np.setdiff1d(np.arange(240), parts["test"])
    np.testing.assert_array_equal(codes[0][rest], codes[1][rest])
    assert (codes[0][parts["test"]] != codes[1][parts["test"]]).any()


# The same settings ----------------------------------------------------------------------------------------------------


@pytest.fixture
def fits(monkeypatch) -> list[tuple]:
    """What was handed to ``fit``: model, cells, settings."""
    seen: list[tuple] = []
    fit = side_by_side.fit
    monkeypatch.setattr(
        side_by_side, "fit", lambda *a, **k: (seen.append((*a, k)), fit(*a, **k | {"epochs": 1, "kl_warmup": 0}))
    )
    return seen


@peer
@quietly
def test_their_settings_are_scvi_tools_own_defaults(scvi, small, asked, fits):
    from scvi.model._utils import get_max_epochs_heuristic
    from scvi.train import TrainingPlan

    side_by_side.run_seed(small, asked, 0, programs=("same_settings",))
    ((model, training, settings),) = fits
    defaults = {name: value.default for name, value in inspect.signature(TrainingPlan).parameters.items()}
    assert (settings["lr"], settings["eps"], settings["weight_decay"], settings["kl_warmup"]) == tuple(
        defaults[name] for name in ("lr", "eps", "weight_decay", "n_epochs_kl_warmup")
    )
    assert (defaults["max_kl_weight"], defaults["optimizer"]) == (1.0, "Adam")
    assert settings["batch_size"] == inspect.signature(scvi.model.SCVI.train).parameters["batch_size"].default
    assert settings["epochs"] == get_max_epochs_heuristic(len(training))
    assert not settings.get("one_cycle", False)
    theirs = scvi_tools.build(training, 0, learn_library=False)
    theirs.is_trained_ = True
    twin = from_scvi_tools(theirs)
    assert str(model) == str(twin)  # layers, widths, dropout, likelihood, library
    assert {name: part.shape for name, part in model.state_dict().items()} == {
        name: part.shape for name, part in twin.state_dict().items()
    }


def test_same_epochs_have_the_same_weight_of_the_kl(small, asked, monkeypatch):
    seen = []
    monkeypatch.setattr(side_by_side, "fit", lambda model, *a, **k: seen.append(k) or model.eval())
    side_by_side.run_seed(small, asked, 0, programs=OURS)
    assert [settings.get("kl_warmup", 0) for settings in seen] == [400, 0]


@peer
@quietly
@pytest.mark.parametrize("n_cells", [1, 1_714, 20_000, 33_333, 1_000_000])
def test_epochs_are_those_that_they_would_train(scvi, n_cells):
    from scvi.model._utils import get_max_epochs_heuristic

    assert side_by_side.their_epochs(n_cells) == get_max_epochs_heuristic(n_cells)


def test_the_course_trains_as_its_experiments_do(small, asked, fits):
    side_by_side.run_seed(small, asked, 0, programs=("course",))
    ((model, training, settings),) = fits
    assert settings == {
        "epochs": pair.EPOCHS, "lr": pair.LR, "batch_size": pair.BATCH_SIZE, "one_cycle": True, "seed": 0,
        "eps": pair.EPS, "weight_decay": pair.WEIGHT_DECAY, "progress": False,
    }  # fmt: skip
    assert len(training) == 156
    assert (model.decoder.gene_likelihood, model.learns_library) == ("nb", False)
    assert DATA["cortex"].training == {"epochs": cortex.EPOCHS, "lr": cortex.LR, "batch_size": 128}
    assert side_by_side.ADAM == {"eps": cortex.EPS, "weight_decay": cortex.WEIGHT_DECAY}


@peer
@quietly
def test_their_model_has_our_batches_in_our_order(scvi, small):
    cells = cells_from_counts(small, batch_key="batch")
    flipped = Cells(cells.x, 1 - cells.batch, cells.genes, cells.batches[::-1])  # the same runs, other codes
    for these in (cells, flipped):
        theirs = scvi_tools.build(these, 0, learn_library=False)
        theirs.is_trained_ = True
        ours = from_scvi_tools(theirs)
        assert ours.batches == these.batches
        few = these[np.arange(20)]
        mine, other = cortex.held_out_bound(ours, few), cortex.mean_terms(scvi_tools.bound(theirs, few, 400))
        assert mine["kl_z"] == pytest.approx(other["kl_z"], rel=1e-4)
        assert mine["reconstruction"] == pytest.approx(other["reconstruction"], rel=0.02)  # 25 and 400 draws
        np.testing.assert_allclose(scvi_tools.latent(theirs, few), ours.encode(few.x).mean.detach(), atol=1e-5)


# What is measured -----------------------------------------------------------------------------------------------------


def test_cells_of_no_type_have_no_say_in_types_and_one_in_mixing(small):
    types, batch = small.obs["cell_type"].to_numpy(str), small.obs["batch"].to_numpy(str)
    random = np.random.default_rng(0)
    codes = 20 * np.stack([types == "0", types == "1"], axis=1) + random.normal(0, 0.5, (240, 2))
    codes[types == AMBIGUOUS] = random.normal(0, 300, (8, 2))
    found = side_by_side.scores(codes, small, "batch", 0)
    assert (found["ari"], found["nmi"]) == (1, 1)
    assert 0.5 < found["entropy"] < np.log(2)
    assert found["entropy_ceiling"] == pytest.approx(found["entropy"], abs=0.05)  # runs were dealt out at random
    assert set(side_by_side.scores(codes, small, None, 0)) == {"ari", "nmi"}
    moved = codes + 1e4 * (batch == "5k")[:, None]
    apart = side_by_side.scores(moved, small, "batch", 0)
    assert apart["entropy"] < 0.01 < 0.5 < apart["entropy_ceiling"]


def test_scores_are_scikit_learns_on_kmeans(small):
    from sklearn.cluster import KMeans

    types = small.obs["cell_type"].to_numpy(str)
    codes = np.random.default_rng(3).normal(size=(240, 2)) + 3 * (types == "2")[:, None]
    found = side_by_side.scores(codes, small, None, 0)
    known = types != AMBIGUOUS
    clusters = KMeans(3, n_init=50, random_state=9).fit_predict(codes[known])
    assert found["ari"] == pytest.approx(adjusted_rand_score(types[known], clusters), abs=0.02)
    assert found["nmi"] == pytest.approx(normalized_mutual_info_score(types[known], clusters), abs=0.02)


def test_seconds_are_of_the_processor_and_of_training_alone(small, asked, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(side_by_side.time, "process_time", lambda: clock[0])

    def spend(seconds, result):
        clock[0] += seconds
        return result

    monkeypatch.setattr(side_by_side, "fit", lambda model, *a, **k: spend(7.0, model.eval()))
    bound = side_by_side.held_out_bound
    monkeypatch.setattr(side_by_side, "held_out_bound", lambda *a: spend(100.0, bound(*a)))
    start = side_by_side.start_at_profile
    monkeypatch.setattr(side_by_side, "start_at_profile", lambda *a: spend(1000.0, start(*a)))
    assert side_by_side.run_seed(small, asked, 0, programs=OURS)["cpu_s"].tolist() == [7.0, 7.0]


def test_one_seed_runs_small_without_scvi_tools_and_repeats(small, asked):
    first, second = (side_by_side.run_seed(small, asked, 1, programs=OURS, epochs=2) for _ in range(2))
    pd.testing.assert_frame_equal(first.drop(columns="cpu_s"), second.drop(columns="cpu_s"))
    assert first["program"].tolist() == [*OURS]
    assert first["epochs"].tolist() == [2, 2]
    assert set(first.columns) == set(side_by_side.COLUMNS) - {"data"}
    alone = replace(asked, batch_key=None)
    assert "entropy" not in side_by_side.run_seed(small, alone, 1, programs=("course",), epochs=1)


@peer
@quietly
def test_run_writes_every_program_and_its_provenance(scvi, small, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "DATA", {"pair": asked, "cortex": replace(asked, batch_key=None)})
    one_seed = side_by_side.run_seed
    monkeypatch.setattr(side_by_side, "run_seed", lambda *a, epochs=2: one_seed(*a, epochs=epochs))
    path = side_by_side.run(2, tmp_path)
    table, made = pd.read_csv(path), json.loads((tmp_path / "side_by_side.json").read_text(encoding="utf-8"))
    assert list(table.columns) == side_by_side.COLUMNS
    assert table["program"].tolist() == [*PROGRAMS] * 4
    assert made["seeds"] == [0, 1]
    assert made["data"]["pair"] == {"cells": 240, "genes": 30}
    assert (table["entropy"].notna() == (table["data"] == "pair")).all()


def test_both_models_of_ours_are_scvi(small, asked, fits):
    side_by_side.run_seed(small, asked, 0, programs=OURS)
    assert [type(model) for model, *_ in fits] == [SCVI, SCVI]
    shares = torch.log_softmax(fits[1][0].decoder.to_rho.bias.detach(), 0)  # one epoch later, still near the profile
    counts = fits[1][1].x.sum(0)
    assert np.corrcoef(shares, (counts + 1).log())[0, 1] > 0.99


# The committed table --------------------------------------------------------------------------------------------------


def test_the_table_is_whole(table, made):
    assert list(table.columns) == side_by_side.COLUMNS
    assert made["seeds"] == [0, 1, 2, 3, 4]
    rows = set(zip(table["seed"], table["data"], table["program"], strict=True))
    assert rows == {(seed, data, program) for seed in range(5) for data in DATA for program in PROGRAMS}
    assert len(table) == len(rows)
    assert np.isfinite(table[["elbo", "ari", "nmi", "cpu_s"]]).all().all()
    runs = table["data"] == "pair"
    for column in ("entropy", "entropy_ceiling"):
        assert (table[column].notna() == runs).all()
    assert (table.loc[runs, "entropy"] < np.log(2)).all()
    assert (table.loc[table["program"] != "course", "epochs"] == 400).all()


def test_the_provenance_is_that_of_the_script(made):
    now = side_by_side.provenance({}, 5)["settings"]
    assert made["settings"] == json.loads(json.dumps(now))
    assert made["versions"]["scvi-tools"].startswith("1.4")
    assert made["threads"] == 1


def by_program(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row for each seed and data set, a column for each program."""
    return table.pivot(index=["data", "seed"], columns="program", values=column)


def test_at_the_same_settings_the_programs_agree_in_every_seed(table):
    bound = by_program(table, "elbo")
    assert (bound["same_settings"] / bound["scvi_tools"] - 1).abs().max() < 0.03


def test_the_courses_training_has_the_better_bound_in_every_seed_but_on_the_pair(table):
    bound = by_program(table, "elbo")
    gain = bound[["scvi_tools", "same_settings"]].min(axis=1) - bound["course"]
    assert (gain.loc[["cortex", "pbmc3k"]] > 0).all()
    assert (bound["course"] / bound["scvi_tools"]).loc["pbmc3k"].max() < 0.96  # 400 epochs learn PBMC3k by heart
    assert gain.loc["pair"].min() < 0 < gain.loc["pair"].max()  # 260 cells: there it goes either way


def test_the_courses_training_takes_an_eighth_of_the_time_in_every_seed(table):
    seconds = by_program(table, "cpu_s")
    assert (seconds["course"] < seconds["scvi_tools"] / 8).all()
    assert (seconds["same_settings"] < seconds["scvi_tools"] / 1.5).all()


def test_types_are_found_better_by_the_courses_training_on_pbmc3k_alone(table):
    gain = by_program(table, "ari").eval("course - scvi_tools")
    assert (gain.loc["pbmc3k"] > 0).all()
    for data in ("cortex", "pair"):
        assert abs(gain.loc[data].mean()) < 0.05


def test_on_the_pair_no_program_mixes_the_runs_better_in_every_seed(table):
    entropy = by_program(table, "entropy").loc["pair"]
    gain = entropy["course"] - entropy["scvi_tools"]
    assert gain.min() < 0 < gain.max()
