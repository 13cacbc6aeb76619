"""The committed tables of the three ways and of the slips, and the functions that made them."""

import importlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from small import three_types

from course_lib.experiments import cortex, programs
from course_lib.experiments.record import RESULTS

TERMS = ["reconstruction", "kl_z", "kl_library"]


def need_the_extra() -> None:
    pytest.importorskip("pyro", reason="Pyro is not installed: pip install -e '.[test,pyro]'")
    pytest.importorskip("lightning", reason="Lightning is not installed: pip install -e '.[test,pyro]'")


@pytest.fixture(scope="module")
def slips() -> pd.DataFrame:
    return pd.read_csv(RESULTS / "programs_slips.csv")


# The tables -----------------------------------------------------------------------------------------------------------


def test_the_tables_hold_every_way_and_every_slip_for_five_seeds(table, slips, made):
    assert list(table.columns) == programs.COLUMNS
    assert table["way"].tolist() == [*programs.WAYS] * 5
    assert list(slips.columns) == programs.SLIP_COLUMNS
    assert slips["slip"].tolist() == [*programs.SLIPS] * 5
    assert np.isfinite(slips[["bound", "elbo", "reported"]]).all().all()
    assert made["seeds"] == sorted(table["seed"].unique()) == sorted(slips["seed"].unique()) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(table["elbo"], table[TERMS].sum(axis=1), atol=2e-3)


def test_our_loop_gives_the_bounds_of_the_cortex_table(table):
    """The same model, seed, split and recipe: the same number, made by another script."""
    theirs = pd.read_csv(RESULTS / "cortex.csv").query("method == 'scvi'").set_index("seed")["elbo"]
    ours = table.query("way == 'fit'").set_index("seed")["elbo"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_every_way_ends_within_two_percent_of_ours_in_every_seed(table):
    bound = table.pivot(index="seed", columns="way", values="elbo")
    ratio = bound.div(bound["fit"], axis=0)
    assert ratio.sub(1).abs().max().max() < 0.02
    assert (bound["lightning"] - bound["pyro_mean_field"]).abs().max() < 1  # one estimator, one stream of noise


def test_pyro_costs_more_of_the_processor_in_every_seed_and_lightning_little(table):
    seconds = table.pivot(index="seed", columns="way", values="cpu_s")
    assert (seconds["pyro"] > seconds["fit"]).all()
    assert seconds["lightning"].median() < seconds["pyro"].median()


def test_slips_that_cost_and_slips_that_hide(slips):
    """Cost: bound above that of the right program, same seed. Hidden: reported far from what it is."""
    bound = slips.pivot(index="seed", columns="slip", values="bound")
    cost = bound.sub(bound["right"], axis=0)
    for slip in ("prior_of_genes", "prior_of_totals", "no_library_in_guide", "scale_in_guide_only", "swapped"):
        assert (cost[slip] > 3).all(), slip
    assert (cost["swapped"] > 1_000).all()
    assert (cost["no_library_in_guide"] > 100).all()
    assert cost["no_plate_scale"].abs().max() < 10  # Adam does not notice a factor
    reported = slips.pivot(index="seed", columns="slip", values="reported")
    assert (reported["no_plate_scale"] < 0.1 * reported["right"]).all()


def test_the_right_slip_is_the_row_of_pyro(table, slips):
    right = slips.query("slip == 'right'").set_index("seed")
    pyro = table.query("way == 'pyro'").set_index("seed")["elbo"]
    np.testing.assert_allclose(right["elbo"], pyro, rtol=1e-6)
    np.testing.assert_allclose(right["reported"], pyro, rtol=1e-3)  # KL exact there, from draws here


def test_the_committed_lines_are_those_of_the_code():
    need_the_extra()
    pd.testing.assert_frame_equal(pd.read_csv(RESULTS / "programs_lines.csv"), programs.lines_of_parts())


# The functions --------------------------------------------------------------------------------------------------------


def test_lines_of_code_leave_out_comments_docstrings_and_what_is_empty(tmp_path, monkeypatch):
    (tmp_path / "counted_module.py").write_text(
        '"""A module."""\n\nX = "a string"  # one\n\n\ndef f(\n    a,\n):\n    """Says.\n\n    In lines.\n    """\n'
        '    # nothing\n    return """two\nlines"""\n\n\nclass C:\n    """Nothing else."""\n\n    @property\n'
        "    def p(self):\n        return 1\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    counted_module = importlib.import_module("counted_module")
    assert programs.code_lines(counted_module.f) == 5
    assert programs.code_lines(counted_module.C) == 4
    assert programs.code_lines(counted_module.C.p) == 3
    assert programs.code_lines(counted_module) == 1 + 5 + 4
    assert programs.code_lines(counted_module.f, counted_module.f) == 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Lightning, and Pyro's about the slip
def test_one_seed_runs_small_and_repeats(monkeypatch):
    need_the_extra()
    cells, _ = three_types()
    monkeypatch.setattr(programs, "DRAWS", 2)
    ways, slips = programs.run_seed(cells, 1, epochs=1)
    assert ways["way"].tolist() == [*programs.WAYS]
    assert slips["slip"].tolist() == [*programs.SLIPS]
    again = programs.slip_costs("no_log1p", *split(cells), 1, epochs=1)
    assert slips.set_index("slip").loc["no_log1p", "bound"] == pytest.approx(again["bound"])


def split(cells):
    training, _, test = (cells[i] for i in programs.split_indices(len(cells), programs.SPLIT, 1))
    return training, test


def test_reported_is_the_bound_per_cell_whatever_the_minibatches():
    need_the_extra()
    from course_lib.programs.pyro_scvi import SCVIGuide, SCVIModel

    training, test = split(three_types()[0])
    scvi = programs.new_model(training, 0).eval()
    found = programs.reported_bound(scvi, SCVIModel(scvi, 777), SCVIGuide(scvi, 777), test)
    torch.manual_seed(0)
    with torch.no_grad():
        draws = torch.stack([-scvi.log_weights(test, 1).squeeze(0) for _ in range(200)])  # (K, N)
    error = float(draws.mean(1).std()) * (1 / 25 + 1 / 200) ** 0.5
    assert abs(found - float(draws.mean())) < 4 * error


def test_slipped_priors_are_moments_of_something_else():
    training, _ = split(three_types()[0])
    x = training.x.numpy()
    of_genes, of_totals = (programs.slipped_prior(name, training) for name in programs.PRIORS)
    assert float(of_genes.mean) == pytest.approx(np.log1p(x).mean(), rel=1e-5)
    assert float(of_totals.mean) == pytest.approx(x.sum(1).mean(), rel=1e-5)
    assert float(of_totals.sd) == pytest.approx(x.sum(1).std(ddof=1), rel=1e-4)


def test_the_settings_are_those_of_the_cortex(made):
    assert made["settings"] == json.loads(json.dumps({k: v for k, v in cortex.SETTINGS.items() if k != "scvi_tools"}))
    assert {"pyro-ppl", "lightning", "torch"} <= set(made["versions"])
