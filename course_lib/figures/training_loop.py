"""The pictures of the appendix on the training loop: minibatches, early stopping, one cycle of the learning rate.

Every function takes what was computed and returns a finished figure; nothing is computed here but positions.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from course_lib.figures.style import CATEGORIES, COLOUR, finding, label_lines


def by_minibatch(histories: Mapping[int, pd.DataFrame], n_cells: int) -> Figure:
    """The validation loss of the same network with small and large minibatches, by passes and by steps.

    Parameters
    ----------
    histories : size of the minibatches → what ``fit`` returned.   n_cells : trained on.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.6), sharey=True)
    for (size, history), colour in zip(histories.items(), CATEGORIES, strict=False):
        loss, steps = history["validation_loss"], history.index.to_numpy() * -(-n_cells // size)
        left.plot(history.index, loss, color=colour)
        right.plot(steps, loss, color=colour)
        left.text(0.85, loss.iloc[0], f"{size:,} cells", color=colour, ha="right", va="center")
    left.set(xlabel="epoch: passes over all cells", xscale="log", xlim=(0.11, None), ylim=(0, None))
    left.set_ylabel("validation loss, squared error per gene")
    right.set(xlabel="steps: changes of the weights", xscale="log")
    for ax in (left, right):
        ax.set_xticks([1, 10, 100], ["1", "10", "100"])
    finding(left, "Epoch by epoch, small minibatches learn faster")
    finding(right, "After as many steps all end alike")
    return fig


def early_stop(history: pd.DataFrame, best_epoch: int) -> Figure:
    """Training and validation loss up to where patience ran out, and the epoch whose weights are kept.

    Parameters
    ----------
    history : what ``fit`` returned with ``patience``.   best_epoch : index of the lowest validation loss.
    """
    fig, ax = plt.subplots(figsize=(9.0, 4.6))
    best = float(history.loc[best_epoch, "validation_loss"])
    ax.axvspan(best_epoch, len(history), color="#ececec", lw=0)
    ax.plot(history.index, history["train_loss"], color=COLOUR["model"], ls=(0, (1, 1)), label="training")
    ax.plot(history.index, history["validation_loss"], color=COLOUR["model"], label="validation")
    ax.plot(best_epoch, best, "o", ms=10, mfc="none", mew=2.2, color=COLOUR["highlight"])
    ax.annotate(
        f"kept: epoch {best_epoch}", (best_epoch, best), (0, 26), textcoords="offset points",
        color=COLOUR["highlight"], ha="center", va="bottom",
        arrowprops={"arrowstyle": "-", "color": COLOUR["highlight"]},
    )  # fmt: skip
    middle = (best_epoch + len(history)) / 2
    ax.text(
        middle, 0.96, "patience", color=COLOUR["reference"], ha="center", va="top", transform=ax.get_xaxis_transform()
    )
    ax.set(xlabel="epoch", ylabel="squared error per gene", xlim=(1, len(history)))
    finding(ax, "Past its best epoch a network learns its cells by heart")
    label_lines(ax)
    return fig


def one_cycle(done: ArrayLike, rate: ArrayLike, constant: float) -> Figure:
    """The learning rate over a run of one cycle, beside a constant one.

    Parameters
    ----------
    done : (K,) share of the run that is behind.   rate : (K,) learning rate.   constant : the usual one.
    """
    fig, ax = plt.subplots(figsize=(9.0, 3.9))
    ax.plot(done, np.full(np.shape(done), constant), color=COLOUR["reference"], ls="--", label="constant")
    ax.plot(done, rate, color=COLOUR["model"], label="one cycle")
    ax.set(xlabel="share of the run that is behind", ylabel="learning rate", xlim=(0, 1), ylim=(0, None))
    times = np.max(rate) / constant
    finding(ax, f"One cycle: up to {times:.0f} times the usual rate, then down to nothing")
    label_lines(ax)
    return fig
