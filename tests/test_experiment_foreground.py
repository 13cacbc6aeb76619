"""What foreground is worth: starts and folds do what they say; and the committed table."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from course_lib.data.citeseq_process import simulate_citeseq
from course_lib.data.protein_cells import cells_from_mudata
from course_lib.experiments import foreground


@pytest.fixture(scope="module")
def cells():
    mdata = simulate_citeseq(150, 30, 8, n_changed=2, seed=0)
    return cells_from_mudata(mdata, batch_key="batch", label_key="cell_type")


def test_one_start_is_the_lower_heap_across_the_antibodies_of_single_cells(cells, monkeypatch):
    monkeypatch.setattr(foreground, "CELLS_PER_BATCH", 3)
    found = foreground.one_start(cells, seed=0)
    assert found.mean.shape == (2, 8)
    assert (found.mean == found.mean[:, :1]).all()
    rng = np.random.default_rng(0)
    for s in (0, 1):
        chosen = rng.choice(np.flatnonzero(cells.batch.numpy() == s), 3)
        lows = [
            GaussianMixture(2, random_state=0).fit(np.log1p(cells.protein[[n]].double().numpy()).T).means_.min()
            for n in chosen
        ]
        assert found.mean[s, 0].item() == pytest.approx(np.mean(lows), rel=1e-5)


@pytest.mark.slow
def test_one_seed_runs_small_with_every_method_and_type(cells, monkeypatch):
    monkeypatch.setitem(foreground.GATED, "mosaic", ("protein_0", "protein_1"))
    table = foreground.run_seed("mosaic", cells, 0, epochs=1)
    kinds = table[table["measure"] == "probability"]
    assert len(kinds) == 3 * 2 * 3  # methods, antibodies, types
    assert (table.loc[table["measure"] == "alpha", "value"] >= 1).all()
    assert set(table["method"]) == {"gate", "totalvi", "totalvi_fold2", "one_start"}


def test_alpha_of_a_type_is_the_mean_over_its_cells(cells):
    from course_lib.experiments.proteins import train

    model = train(cells, 0, epochs=1)
    table = foreground.mean_alpha(model, cells)
    with torch.no_grad():
        h = model.protein_decoder.trunk(model.encode(cells.x, cells.batch, cells.protein).mean, cells.batch)
        alpha = 1 + torch.nn.functional.softplus(model.protein_decoder.to_alpha(h))
    np.testing.assert_allclose(table.to_numpy(), alpha.numpy(), rtol=1e-5)
    rows = foreground.by_type(cells, ("protein_2",), "m", "alpha", table)
    first = (cells.label == 0).numpy()
    assert rows[0] == ("m", "alpha", f"protein_2 {cells.labels[0]}", pytest.approx(alpha[first, 2].mean().item()))


# The committed table --------------------------------------------------------------------------------------------------


def means(table, data, method, measure):
    chosen = (table["data"] == data) & (table["method"] == method) & (table["measure"] == measure)
    return table[chosen].groupby("name")["value"].mean()


def test_the_committed_table_is_whole(table, made):
    assert made["seeds"] == sorted(table["seed"].unique()) == list(range(5))
    for data, n in (("mosaic", 16), ("pair", 10)):
        for method in ("totalvi", "totalvi_fold2", "one_start"):
            assert len(means(table, data, method, "agreement")) == n
    assert table["value"].notna().all()


def test_monocytes_are_called_foreground_of_cd3_of_a_small_alpha_and_a_fold_takes_most_of_that_away(table):
    p, folded = (means(table, "mosaic", method, "probability") for method in ("totalvi", "totalvi_fold2"))
    alpha = means(table, "mosaic", "totalvi", "alpha")
    assert p["cd3.1 Mono"] > 0.5
    assert folded["cd3.1 Mono"] < 0.5 * p["cd3.1 Mono"]
    assert folded["cd3.1 CD4 T"] > 0.95
    assert alpha["cd3.1 Mono"] < 2.5 < alpha["cd3.1 CD4 T"]
    assert folded["cd4.1 Mono"] > 0.8  # the dim CD4 of monocytes is real, and stays


def test_antibodies_that_start_from_one_background_are_mostly_called_foreground(table):
    own, one = (means(table, "mosaic", method, "agreement") for method in ("totalvi", "one_start"))
    assert own.mean() > one.mean()
