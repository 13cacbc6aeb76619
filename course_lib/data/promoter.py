"""A promoter that is on and off, simulated molecule by molecule (Gillespie 1977, https://doi.org/10.1021/j100540a008).

Four things can happen in a cell, each at its own rate, in units of the mRNA's decay:

    off → on            k_on, if off
    on → off            k_off, if on
    one mRNA is made    r, if on
    one mRNA decays     the number of molecules

The time to the next event is exponential with the sum of the rates, and which event it is has the odds of the rates: no
step of time to choose, no approximation. ``probability.bursts`` has the distribution that this tends to.

Axes: N cells, T events.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from course_lib.arguments import positive, seed_number, whole_number

# What each event adds to (is the promoter on, molecules): on, off, made, decayed.
_CHANGE = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


@dataclass(frozen=True)
class Trace:
    """One cell over time: from ``time[i]`` to ``time[i + 1]`` it is in state i."""

    time: NDArray[np.float64]  # (T + 1,), in lifetimes of the mRNA, from 0
    on: NDArray[np.bool_]  # (T + 1,)
    mrna: NDArray[np.int64]  # (T + 1,)


def promoter_counts(
    n_cells: int, k_on: float, k_off: float, rate: float, *, until: float = 12.0, seed: int = 0
) -> NDArray[np.int64]:
    """Molecules in each of N cells at one time, all cells simulated side by side.

    Parameters
    ----------
    n_cells : N.   k_on, k_off, rate : > 0; ``rate`` is r.
    until : lifetimes of the mRNA to simulate. Each cell starts without mRNA, its promoter in its stationary state; of
        what it lacks then a share of e^−until is still lacking at the end, 6 in a million after twelve lifetimes.

    Returns
    -------
    (N,) counts.

    Raises
    ------
    TypeError, ValueError : a number of another kind, or out of its range.
    """
    n_cells, until = whole_number("n_cells", n_cells), positive("until", until)
    k_on, k_off, rate = _rates(k_on, k_off, rate)
    rng = np.random.default_rng(seed_number(seed))
    state = _at_the_start(rng, n_cells, k_on, k_off)  # (N, 2)
    time, counts = np.zeros(n_cells), np.zeros(n_cells, np.int64)
    cells = np.arange(n_cells)  # those that have not come to the end
    while len(cells):
        wait, after = _next_event(rng, state, k_on, k_off, rate)
        time = time + wait
        ended = time > until
        counts[cells[ended]] = state[ended, 1]  # as it was before the event that comes too late
        cells, time, state = cells[~ended], time[~ended], after[~ended]
    return counts


def promoter_trace(k_on: float, k_off: float, rate: float, *, until: float, seed: int = 0) -> Trace:
    """Every event in one cell up to ``until``, in lifetimes of the mRNA; it starts as in :func:`promoter_counts`.

    Raises TypeError or ValueError for a number of another kind, or out of its range.
    """
    until, (k_on, k_off, rate) = positive("until", until), _rates(k_on, k_off, rate)
    rng = np.random.default_rng(seed_number(seed))
    times, states = [0.0], [_at_the_start(rng, 1, k_on, k_off)]
    while True:
        wait, after = _next_event(rng, states[-1], k_on, k_off, rate)
        if times[-1] + wait[0] > until:
            break
        times.append(times[-1] + float(wait[0]))
        states.append(after)
    on, mrna = np.concatenate(states).T  # (T + 1,) each
    return Trace(np.array(times), on == 1, mrna)


def _at_the_start(rng: np.random.Generator, n_cells: int, k_on: float, k_off: float) -> NDArray[np.int64]:
    """(N, 2): the promoter on with probability k_on/(k_on + k_off), and no mRNA."""
    on = rng.random(n_cells) < k_on / (k_on + k_off)
    return np.stack([on, np.zeros(n_cells)], axis=1).astype(np.int64)


def _next_event(
    rng: np.random.Generator, state: NDArray[np.int64], k_on: float, k_off: float, rate: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How long each cell waits, (N,), and its state after the event, (N, 2)."""
    on, mrna = state.T
    rates = np.stack([k_on * (1 - on), k_off * on, rate * on, mrna], axis=1)  # (N, 4)
    reached = np.cumsum(rates, axis=1)
    total = reached[:, -1]  # > 0: an off promoter can go on, an on one off
    wait = rng.exponential(1 / total)
    event = (rng.random(len(state)) * total >= reached.T).sum(axis=0)  # the first whose sum exceeds the draw
    return wait, state + _CHANGE[event]


def _rates(k_on: float, k_off: float, rate: float) -> tuple[float, float, float]:
    return positive("k_on", k_on), positive("k_off", k_off), positive("rate", rate)
