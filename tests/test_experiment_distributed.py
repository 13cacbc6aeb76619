"""Two processes: the committed tables, and a small run of the real thing beside its steps, taken by hand."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import torch

from course_lib.data.files import cells_from_file
from course_lib.data.split import split_indices
from course_lib.experiments import distributed
from course_lib.experiments.million import write_cells
from course_lib.experiments.record import RESULTS
from course_lib.models.scvi import SCVI, log_library_moments
from course_lib.training.fit import learning_rate_at, shuffled

NEED = pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="Lightning is not installed: pip install -e '.[test,pyro]'"
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    write_cells(path, 640)  # ten blocks
    return path


# The tables -----------------------------------------------------------------------------------------------------------


def test_the_table_holds_every_run_for_three_seeds_at_equal_steps(table, made):
    assert list(table.columns) == distributed.COLUMNS
    runs = [(p, b, s) for p, b, s in table[["processes", "batch_norm", "shards"]].itertuples(index=False)]
    assert runs == distributed.RUNS * 3
    assert table["steps"].nunique() == 1
    assert (table["processes"] * table["batch_size"] == distributed.BATCH_SIZE).all()
    assert made["seeds"] == [0, 1, 2]


def test_two_processes_reach_the_bound_of_one_to_the_noise_between_seeds(table):
    for batch_norm in distributed.BATCH_NORM:
        runs = table[(table["shards"] == "dealt") & (table["batch_norm"] == batch_norm)]
        bound = runs.pivot(index="seed", columns="processes", values="elbo")
        assert abs((bound[2] - bound[1]).mean()) < 2 * bound[1].std()
        assert (bound[2] / bound[1] - 1).abs().max() < 0.001  # on the same split: seeds lie five times as far apart
        assert bound[1].std() > 5 * (bound[2] - bound[1]).abs().max()


def test_halves_of_a_sorted_file_cost_nats_in_every_seed(table):
    runs = table.query("processes == 2 and batch_norm == 'own'")
    bound = runs.pivot(index="seed", columns="shards", values="elbo")
    assert (bound["halves"] > bound["dealt"]).all()


def test_killed_runs_ended_at_the_weights_of_the_undisturbed_one():
    faults = pd.read_csv(RESULTS / "distributed_faults.csv")
    assert faults["killed"].tolist() == [*distributed.FAULTS]
    assert (faults["exit"] != 0).all()
    assert (faults["resumed_from_step"] < faults["killed_at_step"]).all()
    assert (faults["resumed_from_step"] > 0).all()
    assert (faults["difference"] == 0).all()
    assert (faults["elbo"] == faults["elbo_undisturbed"]).all()


def test_the_seconds_are_there_for_every_way_and_repeat():
    time = pd.read_csv(RESULTS / "distributed_time.csv")
    ways = time[["processes", "threads", "total_batch"]].itertuples(index=False, name=None)
    assert [*ways] == distributed.TIMED * distributed.REPEATS
    assert (time[["seconds", "cells_per_second", "cpu_s"]] > 0).all().all()


# The real thing -------------------------------------------------------------------------------------------------------


@NEED
@pytest.mark.slow
def test_two_processes_take_the_steps_of_averaged_gradients_and_a_killed_one_resumes_them(stored, tmp_path):
    """One killed in the second epoch, both taken up again: at the end the weights of a loop written out by hand."""
    run = {"cells": stored, "devices": 2, "batch_size": 64, "epochs": 2, "seed": 3, "checkpoints": tmp_path / "saved"}
    broken = distributed.in_new_process(**run, kill=(1,), kill_at=7)
    assert broken["exit"] != 0
    assert (tmp_path / "saved" / "last.ckpt").exists()
    found = distributed.in_new_process(**run, weights=tmp_path / "weights.pt")
    assert (found["steps"], found["steps_here"], found["processes"]) == (10, 5, 2)
    expected = by_hand(stored, seed=3, epochs=2, batch_size=64)
    for name, tensor in torch.load(tmp_path / "weights.pt").items():
        if name.endswith("encoder.trunk.0.bias"):
            continue  # BatchNorm takes it out again: its gradient is nothing but rounding
        atol = 1e-4 if name.endswith("running_mean") else 1e-5  # which that bias moves
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=atol, msg=name)


def by_hand(path, seed: int, epochs: int, batch_size: int) -> dict[str, torch.Tensor]:
    """Two ranks in turn: each with its shard, its order and its noise; one step along the mean of their gradients.

    As DDP says of itself, BatchNorm's averages are those of the first rank.
    """
    from course_lib.programs.cells_data import epoch_seed, shard

    cells = cells_from_file(path, batch_key="batch")
    learn, _ = (cells.subset(part) for part in split_indices(len(cells), (0.9, 0.1), seed))
    torch.manual_seed(seed)
    model = SCVI(cells.genes, cells.batches, library_prior=log_library_moments(learn), batch_norm="encoder")
    adam = torch.optim.Adam(model.parameters(), eps=distributed.EPS, weight_decay=distributed.WEIGHT_DECAY)
    shards = [learn.subset(shard(len(learn), rank, 2, seed)) for rank in (0, 1)]
    step, steps = 0, epochs * -(-len(shards[0]) // batch_size)
    for epoch in range(epochs):
        noise, minibatches = [], []
        for rank in (0, 1):
            number = epoch_seed(seed, epoch, rank)
            torch.manual_seed(number)
            noise.append(torch.get_rng_state())
            minibatches.append(list(shuffled(shards[rank], batch_size, torch.Generator().manual_seed(number))))
        for pair in zip(*minibatches, strict=True):
            adam.zero_grad()
            for rank in (1, 0):  # the first rank last: its averages stay
                kept = {name: b.clone() for name, b in model.named_buffers()}
                torch.set_rng_state(noise[rank])
                (model.loss(pair[rank])["loss"] / 2).backward()
                noise[rank] = torch.get_rng_state()
                if rank == 1:
                    for name, buffer in model.named_buffers():
                        buffer.copy_(kept[name])
            adam.param_groups[0]["lr"] = learning_rate_at(step / steps, distributed.LR, True)
            adam.step()
            step += 1
    return model.state_dict()


@NEED
def test_synchronised_batch_norm_is_refused_on_a_cpu(tmp_path):
    """What the module's first lines say of PyTorch."""
    import torch.distributed as processes

    processes.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on GPU"):
            torch.nn.SyncBatchNorm(3)(torch.ones(4, 3))
    finally:
        processes.destroy_process_group()


def test_the_bound_is_the_mean_over_cells(stored):
    cells = cells_from_file(stored, batch_key="batch")
    torch.manual_seed(0)
    scvi = SCVI(cells.genes, cells.batches, library_prior=log_library_moments(cells)).eval()
    found = distributed.bound(scvi, cells)
    with torch.no_grad():
        draws = np.array([float(scvi.loss(cells[np.arange(640)])["loss"]) for _ in range(20)])
    assert abs(found - draws.mean()) < 4 * draws.std() * (1 / 5 + 1 / 20) ** 0.5


@pytest.mark.slow
def test_a_run_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)ended with 2.*invalid choice: 'some'"):
        distributed.in_new_process(devices=1, batch_norm="some")


def test_the_cells_are_written_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(distributed, "write_cells", lambda path, n: calls.append(n) or path.write_bytes(b"cells"))
    for _ in range(2):
        assert distributed.write_once(tmp_path / "cells.h5ad", 5).read_bytes() == b"cells"
    assert calls == [5]
    assert [p.name for p in tmp_path.iterdir()] == ["cells.h5ad"]


def test_the_command_line_of_two_machines_is_understood(tmp_path):
    options = distributed.parser().parse_args(["--devices", "4", "--nodes", "2", "--checkpoints", str(tmp_path)])
    assert (options.devices, options.nodes, options.batch_norm, options.shards) == (4, 2, "own", "dealt")
    assert distributed.resume(options) is None
    (tmp_path / "last.ckpt").touch()
    assert distributed.resume(options) == str(tmp_path / "last.ckpt")
