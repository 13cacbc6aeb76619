"""What the loss was, term by term and epoch by epoch."""

from collections.abc import Mapping

import pandas as pd
from torch import Tensor


def number(value: Tensor | float) -> float:
    """Python's float, which has double precision. ``item()`` leaves the gradient behind without a warning."""
    return float(value.item() if isinstance(value, Tensor) else value)


class Means:
    """Running means over cells. A minibatch's term is a mean over its cells, so it counts once per cell."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._cells: dict[str, int] = {}

    def add(self, terms: Mapping[str, Tensor | float], n_cells: int) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + number(value) * n_cells
            self._cells[name] = self._cells.get(name, 0) + n_cells

    def values(self) -> dict[str, float]:
        return {name: total / self._cells[name] for name, total in self._sums.items()}


class History:
    """One row per finished epoch."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._epoch = Means()

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, part: str, terms: Mapping[str, Tensor | float], n_cells: int) -> None:
        """Note the terms of ``n_cells`` cells; ``part`` is ``"train"`` or ``"validation"``."""
        self._epoch.add({f"{part}_{name}": value for name, value in terms.items()}, n_cells)

    def end_epoch(self, kl_weight: float) -> dict[str, float]:
        """Close the epoch: its row, with the mean over cells of every term noted since the last."""
        self.rows.append({**self._epoch.values(), "kl_weight": kl_weight})
        self._epoch = Means()
        return self.rows[-1]

    def frame(self) -> pd.DataFrame:
        """Index ``epoch`` from 1; columns ``train_…``, ``validation_…``, ``kl_weight``."""
        return pd.DataFrame(self.rows, index=pd.RangeIndex(1, len(self.rows) + 1, name="epoch"))
