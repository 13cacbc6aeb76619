"""The small parts beside the training loop, each on its own."""

import io
import math
import signal
import sys
import threading

import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.contexts import seeded, uninterrupted
from course_lib.data.split import split_indices
from course_lib.training import progress as progress_module
from course_lib.training.fit import kl_weight_at, minibatches
from course_lib.training.history import History
from course_lib.training.progress import Progress, outcome

CPU = torch.device("cpu")


# Minibatches


@given(n_cells=st.integers(2, 3000), batch_size=st.integers(2, 300), seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_minibatches_hold_each_cell_once_and_never_a_cell_alone(n_cells, batch_size, seed):
    parts = minibatches(n_cells, batch_size, torch.Generator().manual_seed(seed))
    np.testing.assert_array_equal(np.sort(torch.cat(parts).numpy()), np.arange(n_cells))
    sizes = [len(part) for part in parts]
    assert all(size == batch_size for size in sizes[:-1])
    assert 2 <= sizes[-1] <= batch_size + 1


def test_a_single_leftover_cell_joins_the_minibatch_before():
    assert [len(part) for part in minibatches(9, 4, torch.Generator())] == [4, 5]
    assert [len(part) for part in minibatches(10, 4, torch.Generator())] == [4, 4, 2]
    assert [len(part) for part in minibatches(3, 2, torch.Generator())] == [3]


def test_minibatch_order_follows_the_generator_and_changes_with_each_epoch():
    shuffle, same = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    first, second = torch.cat(minibatches(50, 8, shuffle)), torch.cat(minibatches(50, 8, shuffle))
    assert torch.equal(first, torch.cat(minibatches(50, 8, same)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, torch.arange(50))


# Split


@given(
    n=st.integers(10, 5000),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200, deadline=None)
def test_split_parts_are_disjoint_exhaustive_and_rounded_to_within_one_cell(n, weights, seed):
    fractions = [weight / sum(weights) for weight in weights]
    if min(fractions) * n <= 1 + 1e-9:
        return  # a part of one cell between two halves, such as 1.5 to 2.5, may round away: refused, see below
    parts = split_indices(n, fractions, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * n) <= 1
        assert (np.diff(part) > 0).all()


def test_a_part_that_rounding_leaves_empty_is_refused():
    with pytest.raises(
        ValueError, match=r"n: expected enough cells for a part of each of .*, found 10, with which one would be empty"
    ):
        split_indices(10, (0.15, 0.10, 0.10, 0.20, 0.45))  # the second would run from 1.5 to 2.5, both round to 2


def test_split_is_random_and_follows_the_seed():
    train, test = split_indices(1000)
    assert (len(train), len(test)) == (800, 200)
    np.testing.assert_array_equal(train, split_indices(1000, (0.8, 0.2), seed=0)[0])
    assert not np.array_equal(train, split_indices(1000, seed=1)[0])
    assert abs(test.mean() - 499.5) < 4 * 1000 / math.sqrt(12 * 200)  # uniform draws: mean within 4 standard errors


@pytest.mark.parametrize(
    ("n", "fractions", "message"),
    [
        (100, (0.8, 0.3), "add up to 1"),
        (100, (1.2, -0.2), "positive"),
        (100, (), "add up to 1"),
        (2, (0.9, 0.1), "n: expected enough cells for a part of each of .*, found 2, with which one would be empty"),
        (0, (0.8, 0.2), "n: expected a whole number ≥ 1, found 0"),
        (100, (0.8, math.nan), r"fractions\[1\]: expected a finite number, found nan"),
        (10.0, (0.8, 0.2), "n: expected a whole number such as 10, found 10.0"),
        (100, 0.8, "fractions: expected a sequence of numbers, found 0.8"),
        (100, "0.8", "fractions: expected a sequence of numbers"),
    ],
)
def test_split_says_what_is_wrong(n, fractions, message):
    with pytest.raises((ValueError, TypeError), match=message):
        split_indices(n, fractions)


def test_a_seed_that_is_none_is_refused():
    with pytest.raises(ValueError, match="seed: expected a whole number ≥ 0, found -1"):
        split_indices(10, seed=-1)


# Warm-up


def test_kl_weight_rises_linearly_to_its_full_value_at_the_end_of_warm_up():
    assert [kl_weight_at(epoch, 2.0, 4) for epoch in range(1, 7)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert kl_weight_at(1, 0.3, 0) == 0.3
    assert kl_weight_at(1, 0.3, 1) == 0.3
    assert kl_weight_at(3, 0.1, 3) == 0.1 != 0.1 * 3 / 3  # exactly, whatever the rounding


# History


@given(
    st.lists(st.tuples(st.integers(1, 200), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30),
)
def test_history_holds_the_mean_over_cells_of_every_term(minibatch_means):
    sizes, loss, kl = (np.array(column) for column in zip(*minibatch_means, strict=True))
    history = History()
    for n, a, b in minibatch_means:
        history.add("train", {"loss": torch.tensor(a, dtype=torch.float64), "kl_z": b}, n)
    history.end_epoch(1.0)
    row = history.frame().loc[1]
    np.testing.assert_allclose(row["train_loss"], np.average(loss, weights=sizes), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(row["train_kl_z"], np.average(kl, weights=sizes), rtol=1e-9, atol=1e-6)


def test_history_is_a_frame_by_epoch_and_each_epoch_starts_anew():
    history = History()
    for value in (4.0, 2.0):
        history.add("train", {"loss": value}, 3)
        history.add("validation", {"loss": value + 1}, 2)
        history.end_epoch(0.5)
    history.add("train", {"loss": 99.0}, 3)  # an epoch that never ended
    expected = pd.DataFrame(
        {"train_loss": [4.0, 2.0], "validation_loss": [5.0, 3.0], "kl_weight": [0.5, 0.5]},
        index=pd.RangeIndex(1, 3, name="epoch"),
    )
    pd.testing.assert_frame_equal(history.frame(), expected)


# Random numbers


def test_seeded_gives_the_seeds_numbers_and_leaves_the_callers_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(5, CPU):
        assert torch.equal(torch.rand(3), expected)
        with seeded(6, CPU):  # as validation does inside training
            torch.rand(100)
        inner = torch.rand(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(4)[3:], inner)


# Interrupts


@pytest.mark.parametrize("presses", [1, 3])
def test_an_interrupt_waits_for_the_end_of_the_block_and_comes_then(presses):
    before, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with uninterrupted():
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
            done.append("block")
        done.append("after")
    assert done == ["block"]
    assert signal.getsignal(signal.SIGINT) is before
    with uninterrupted():
        pass  # nothing is left over


def test_an_error_in_the_block_is_not_held_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), uninterrupted():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_never_sees_an_interrupt_leaves_the_signal_alone():
    inside = []

    def work():
        with uninterrupted():
            inside.append(signal.getsignal(signal.SIGINT))

    (thread := threading.Thread(target=work)).start()
    thread.join()
    assert inside == [signal.getsignal(signal.SIGINT)]


# Progress


class Terminal(io.StringIO):
    def __init__(self, interactive):
        super().__init__()
        self.interactive = interactive

    def isatty(self):
        return self.interactive


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when told to."""
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


def run_progress(monkeypatch, clock, *, interactive, seconds_per_epoch, shown=True):
    terminal = Terminal(interactive)
    monkeypatch.setattr(sys, "stderr", terminal)
    rows = []
    with Progress(50, shown) as line:
        for epoch in range(1, 51):
            line.update(epoch, rows)
            rows.append({"train_loss": 1234.5 + epoch, "validation_loss": 4321.5})
            clock[0] += seconds_per_epoch
        line.finish(outcome(50, 50, 0))
    return terminal.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten(monkeypatch, clock):
    written = run_progress(monkeypatch, clock, interactive=True, seconds_per_epoch=1.0)
    assert written.count("\n") == 1
    assert written.count("\r") == 51
    assert "epoch 50 of 50 · train loss 1284 · validation loss 4322" in written
    assert written.endswith("\r\033[Ktrained 50 of 50 epochs\n")


def test_updates_are_throttled(monkeypatch, clock):
    written = run_progress(monkeypatch, clock, interactive=True, seconds_per_epoch=0.0625)
    assert written.count("epoch ") == math.ceil(50 / 4)  # 16 epochs a second, 4 updates a second


def test_a_log_file_gets_the_last_text_only(monkeypatch, clock):
    written = run_progress(monkeypatch, clock, interactive=False, seconds_per_epoch=1.0)
    assert written == "trained 50 of 50 epochs\n"


def test_progress_false_is_silent(monkeypatch, clock):
    assert run_progress(monkeypatch, clock, interactive=True, seconds_per_epoch=1.0, shown=False) == ""


def test_an_error_ends_the_line_with_its_name(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", Terminal(True))

    def fail():
        with Progress(3) as line:
            line.update(1, [])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert sys.stderr.getvalue().endswith("stopped by ZeroDivisionError\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((50, 50, 0), "trained 50 of 50 epochs"),
        ((50, 50, 48), "trained 50 of 50 epochs; kept epoch 48"),
        ((37, 100, 30), "stopped early after 37 of 100 epochs; kept epoch 30"),
    ],
)
def test_the_last_text_says_how_the_run_ended_and_no_loss(arguments, text):
    assert outcome(*arguments) == text


@pytest.mark.slow
def test_in_jupyter_one_plain_output_is_updated_in_place_and_ends_in_the_same_text():
    source = """
from course_lib.training.progress import Progress
import time
with Progress(3) as line:
    for epoch in range(1, 4):
        line.update(epoch, [{"train_loss": time.time()}])
        time.sleep(0.3)
    line.finish("trained 3 of 3 epochs")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data == {"text/plain": "trained 3 of 3 epochs"}
    assert output.metadata == {}
