"""The pictures of the training loop show what they were given: losses by epoch and by step, the epoch that is kept."""

import numpy as np
import pandas as pd
from drawn import words

from course_lib.figures import training_loop as figures


def history(*losses: float) -> pd.DataFrame:
    table = pd.DataFrame({"train_loss": losses, "validation_loss": losses})
    return table.set_index(pd.RangeIndex(1, len(losses) + 1, name="epoch"))


def test_steps_are_epochs_times_minibatches_the_last_one_counted():
    fig = figures.by_minibatch({10: history(3, 2, 1), 4: history(3, 1)}, n_cells=10)
    by_epoch, by_step = ([list(line.get_xdata()) for line in ax.lines] for ax in fig.axes)
    assert by_epoch == [[1, 2, 3], [1, 2]]
    assert by_step == [[1, 2, 3], [3, 6]]
    assert {"10 cells", "4 cells"} <= set(words(fig.axes[0].texts))


def test_the_epoch_that_is_kept_is_marked_at_its_validation_loss():
    table = history(3, 1, 2, 2.5)
    (ax,) = figures.early_stop(table, best_epoch=2).axes
    (mark,) = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (2, 1)
    assert {"kept: epoch 2", "patience"} <= set(words(ax.texts))


def test_a_cycle_is_drawn_beside_the_constant_rate():
    done = np.linspace(0, 1, 5)
    constant, cycle = figures.one_cycle(done, done**2, 0.3).axes[0].lines
    assert set(constant.get_ydata()) == {0.3}
    np.testing.assert_array_equal(cycle.get_ydata(), done**2)
