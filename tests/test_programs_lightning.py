"""Our model and its programs, trained by Lightning: the steps of ``fit``, and of a loop written out by hand."""

import itertools

import numpy as np
import pytest
import torch

pytest.importorskip("pyro", reason="Pyro is not installed: pip install -e '.[test,pyro]'")
pytest.importorskip("lightning", reason="Lightning is not installed: pip install -e '.[test,pyro]'")

from small import cells_by_hand, same_weights, three_types, weights_of

from course_lib.analysis.latent import get_latent_representation
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.rows import BLOCK
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.models.vae import VAE
from course_lib.programs import cells_data
from course_lib.programs.cells_data import CellsData, Minibatches, epoch_seed, shard
from course_lib.programs.lightning_scvi import LightningSCVI
from course_lib.programs.pyro_lightning import LightningSVI
from course_lib.programs.pyro_scvi import SCVIGuide, SCVIModel
from course_lib.programs.recipe import trainer
from course_lib.training.fit import fit, learning_rate_at, shuffled

pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning and what it imports

RECIPE = {"lr": 2e-2, "one_cycle": True, "eps": 0.01, "weight_decay": 1e-6}
BATCH_SIZE = 30  # eight minibatches of the 240 cells: Pyro's scale, a power of two, rounds nothing


@pytest.fixture(scope="module")
def cells() -> Cells:
    return three_types()[0]


def a_model(cells: Cells) -> SCVI:
    torch.manual_seed(0)
    return SCVI(cells.genes, library_prior=log_library_moments(cells), n_latent=3, hidden=(16,))


def programs(scvi: SCVI, cells: Cells) -> tuple[SCVIModel, SCVIGuide]:
    return SCVIModel(scvi, len(cells)), SCVIGuide(scvi, len(cells))


def mean_field():
    from pyro.infer import TraceMeanField_ELBO

    return TraceMeanField_ELBO()


# Steps ----------------------------------------------------------------------------------------------------------------


def test_an_epoch_of_lightning_and_of_pyro_ends_at_the_weights_of_fit_bit_for_bit(cells):
    expected, by_lightning, by_pyro = (a_model(cells) for _ in range(3))
    fit(expected, cells, epochs=1, batch_size=BATCH_SIZE, seed=epoch_seed(3, 0, 0), progress=False, **RECIPE)
    data = CellsData(cells, batch_size=BATCH_SIZE, seed=3)
    trainer(1).fit(LightningSCVI(by_lightning, seed=3, **RECIPE), data)
    trainer(1).fit(LightningSVI(*programs(by_pyro, cells), mean_field(), seed=3, **RECIPE), data)
    assert same_weights(weights_of(by_lightning), weights_of(expected))
    assert same_weights(weights_of(by_pyro), weights_of(expected))


def test_three_epochs_are_those_of_a_loop_written_out(cells):
    """Plain PyTorch; the minibatches and the noise of each epoch by its seed, the rate by the share of steps done."""
    expected, found = a_model(cells), a_model(cells)
    trainer(3).fit(LightningSCVI(found, seed=5, **RECIPE), CellsData(cells, batch_size=64, seed=5))
    adam = torch.optim.Adam(expected.parameters(), eps=0.01, weight_decay=1e-6, fused=True)
    step = 0
    for epoch in range(3):
        torch.manual_seed(epoch_seed(5, epoch, 0))
        order = torch.Generator().manual_seed(epoch_seed(5, epoch, 0))
        for minibatch in shuffled(cells, 64, order):
            adam.param_groups[0]["lr"] = learning_rate_at(step / 12, 2e-2, True)  # 240 cells: four minibatches an epoch
            adam.zero_grad()
            expected.loss(minibatch)["loss"].backward()
            adam.step()
            step += 1
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)


def test_pyros_usual_bound_trains_too_and_the_model_answers(cells):
    scvi = a_model(cells)
    before = float(scvi.eval().loss(cells)["loss"].detach())
    scvi.train()
    trainer(8).fit(LightningSVI(*programs(scvi, cells), seed=0, **RECIPE), CellsData(cells, batch_size=BATCH_SIZE))
    assert not scvi.z_encoder.training
    assert float(scvi.eval().loss(cells)["loss"].detach()) < before - 5
    assert get_latent_representation(scvi, cells).shape == (240, 3)


def test_a_resumed_run_ends_at_the_weights_of_the_unbroken_one(cells, tmp_path):
    from lightning.pytorch.callbacks import ModelCheckpoint

    unbroken, broken, resumed = (a_model(cells) for _ in range(3))
    data = CellsData(cells, batch_size=BATCH_SIZE, seed=1)
    trainer(4).fit(LightningSCVI(unbroken, seed=1, **RECIPE), data)
    saving = ModelCheckpoint(tmp_path, save_last=True, save_on_train_epoch_end=True)

    class PowerFailure(Exception):
        pass

    class Stop(LightningSCVI):
        def on_train_batch_end(self, *_):
            if self.global_step == 20:  # in the middle of the third epoch
                raise PowerFailure

    with pytest.raises(PowerFailure):
        trainer(4, callbacks=[saving]).fit(Stop(broken, seed=1, **RECIPE), data)
    again = trainer(4)
    again.fit(LightningSCVI(resumed, seed=1, **RECIPE), data, ckpt_path=str(tmp_path / "last.ckpt"))
    assert again.global_step == 32
    assert same_weights(weights_of(resumed), weights_of(unbroken))
    assert not same_weights(weights_of(broken), weights_of(unbroken))


def test_validation_is_the_mean_over_its_cells_and_moves_nothing(cells):
    learn, judge = cells[:200], cells[200:]
    alone, judged = a_model(cells), a_model(cells)
    trainer(2).fit(LightningSCVI(alone, seed=0), CellsData(learn, batch_size=BATCH_SIZE))
    runner = trainer(2)
    runner.fit(LightningSCVI(judged, seed=0), CellsData(learn, batch_size=16, validation=judge))
    runner = trainer(2)
    judged = a_model(cells)
    runner.fit(LightningSCVI(judged, seed=0), CellsData(learn, batch_size=BATCH_SIZE, validation=judge))
    assert same_weights(weights_of(judged), weights_of(alone))
    with torch.no_grad():
        draws = [float(judged.loss(judge)["loss"]) for _ in range(50)]
    assert abs(float(runner.callback_metrics["validation_loss"]) - np.mean(draws)) < 5 * np.std(draws)


def test_other_genes_and_arguments_are_refused(cells):
    model = a_model(cells)
    others = cells_by_hand(cells.x, genes=[f"h{g}" for g in range(cells.n_genes)])
    with pytest.raises(ValueError, match="cells: expected the 30 genes of the model"):
        trainer(1).fit(LightningSCVI(model), CellsData(others))
    with pytest.raises(TypeError, match="model: expected an SCVI, found VAE"):
        LightningSCVI(VAE(30))
    with pytest.raises(ValueError, match="lr: expected"):
        LightningSCVI(model, lr=0.0)
    with pytest.raises(ValueError, match="seed: expected"):
        LightningSCVI(model, seed=-1)


# What each process sees -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_cells", [4, 64, 129, 1_000])
@pytest.mark.parametrize("n_ranks", [1, 2])
def test_shards_are_disjoint_equal_and_leave_out_less_than_one_cell_for_each_process(n_cells, n_ranks):
    shards = [shard(n_cells, rank, n_ranks, seed=0).tolist() for rank in range(n_ranks)]
    assert {len(s) for s in shards} == {n_cells // n_ranks}
    together = [*itertools.chain(*shards)]
    assert len(set(together)) == len(together) > n_cells - n_ranks
    assert set(together) <= set(range(n_cells))
    assert all(s == sorted(s) for s in shards)
    if n_ranks == 1:
        assert together == list(range(n_cells))


def test_shards_are_blocks_of_neighbours_from_the_whole_of_a_sorted_file():
    n_cells = 100 * BLOCK
    batch = np.repeat([0, 1, 2, 3], n_cells // 4)  # a file sorted by batch
    for rank in (0, 1):
        mine = shard(n_cells, rank, 2, seed=0)
        assert (mine.diff() > 1).sum() < len(mine) / BLOCK + 1  # a new place once in a block
        shares = np.bincount(batch[mine.numpy()], minlength=4) / len(mine)
        assert shares.min() > 0.1
    assert shard(n_cells, 0, 2, seed=0).tolist() != shard(n_cells, 0, 2, seed=1).tolist()


def test_seeds_differ_between_epochs_processes_and_runs():
    seeds = [epoch_seed(seed, epoch, rank) for seed in range(5) for epoch in range(50) for rank in range(4)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("batch_size", [2, 3, 4, 8, 300])
def test_an_epoch_has_as_many_steps_as_it_says_and_every_cell_once(cells, sparse, batch_size):
    for n_cells in (2, 3, 9, 17, 25):
        table = cells_from_counts(cells.x[:n_cells].numpy(), sparse=sparse)
        parts = list(Minibatches(table, batch_size, lambda: 7))
        assert len(parts) == len(Minibatches(table, batch_size, lambda: 7))
        seen = torch.cat([part.x for part in parts])
        assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, cells.x[:n_cells].tolist()))
        assert min(map(len, parts)) >= 2


def test_lightning_shuffles_anew_in_every_epoch(cells):
    seen: list[list[float]] = []

    class Watching(LightningSCVI):
        def on_train_epoch_start(self):
            super().on_train_epoch_start()
            seen.append([])

        def training_step(self, minibatch, step):
            seen[-1] += minibatch.x.sum(1).tolist()
            return super().training_step(minibatch, step)

    trainer(3).fit(Watching(a_model(cells)), CellsData(cells, batch_size=BATCH_SIZE, seed=2))
    expected = [
        torch.cat([part.x.sum(1) for part in Minibatches(cells, BATCH_SIZE, lambda e=e: epoch_seed(2, e, 0))]).tolist()
        for e in range(3)
    ]
    assert seen == expected
    assert seen[0] != seen[1] != seen[2]


def test_cells_that_cannot_be_shared_out_are_refused(cells):
    with pytest.raises(ValueError, match="cells: expected at least 2 for each of 3 processes, found 5"):
        shard(5, 0, 3, seed=0)
    with pytest.raises(ValueError, match="rank: expected a whole number from 0 to 1"):
        shard(10, 2, 2, seed=0)
    with pytest.raises(TypeError, match="cells: expected cells, found ndarray"):
        CellsData(cells.x.numpy())
    with pytest.raises(ValueError, match="batch_size: expected a whole number ≥ 2"):
        CellsData(cells, batch_size=1)
    with pytest.raises(ValueError, match="validation: expected the 30 genes of cells"):
        CellsData(cells, validation=cells_by_hand(cells.x, genes=[f"h{g}" for g in range(30)]))
    with pytest.raises(ValueError, match="CellsData: expected a Trainer"):
        CellsData(cells).train_dataloader()
    assert cells_data.CellsData is CellsData
