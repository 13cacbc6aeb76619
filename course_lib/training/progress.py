"""One line that says how far training is, updated in place, and that ends in the same text every run."""

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

SECONDS_BETWEEN_UPDATES = 0.25


class Progress:
    """Shows a line in Jupyter (as an output that updates in place) or in a terminal (on stderr); else nothing.

    Where stderr goes to a file, only the last text is written. That text holds no measured number, so that a committed
    notebook does not change when it runs again.
    """

    def __init__(self, epochs: int, shown: bool = True) -> None:
        self.epochs = epochs
        self._line = _line() if shown else None
        self._next_update = 0.0
        self._open = False

    def update(self, epoch: int, rows: list[dict[str, float]]) -> None:
        """An epoch begins; ``rows`` is the history so far. Shown at most four times a second."""
        now = time.monotonic()
        if self._line is not None and now >= self._next_update:
            self._next_update = now + SECONDS_BETWEEN_UPDATES
            self._open = True
            self._line(f"epoch {epoch} of {self.epochs}{_losses(rows[-1]) if rows else ''}", False)

    def finish(self, text: str) -> None:
        """Leave ``text`` as the last word."""
        if self._line is not None:
            self._line(text, True)
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._open and kind is not None:
            self.finish(f"stopped by {kind.__name__}")


def outcome(trained: int, epochs: int, best_epoch: int) -> str:
    """The last word on a run: epochs trained, and whose weights were kept (``best_epoch=0``: the last epoch's)."""
    text = (
        f"trained {trained} of {epochs} epochs"
        if trained == epochs
        else (f"stopped early after {trained} of {epochs} epochs")
    )
    return f"{text}; kept epoch {best_epoch}" if best_epoch else text


def _losses(row: Mapping[str, float]) -> str:
    shown = {"train": "train_loss", "validation": "validation_loss"}
    return "".join(f" · {part} loss {row[column]:.4g}" for part, column in shown.items() if column in row)


def _line() -> Callable[[str, bool], None]:
    """The function that shows a text; its second argument says whether it is the last."""
    ipython: Any = sys.modules.get("IPython")  # asked for only where it is loaded already
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return _jupyter_line()
    return _terminal_line


def _jupyter_line() -> Callable[[str, bool], None]:
    from IPython.display import DisplayHandle

    handle = DisplayHandle()
    shown = False

    def line(text: str, last: bool) -> None:
        nonlocal shown
        show = handle.update if shown else handle.display
        show({"text/plain": text}, raw=True)  # plain text: no widget, no HTML, nothing that needs state
        shown = True

    return line


def _terminal_line(text: str, last: bool) -> None:
    in_place = sys.stderr.isatty()
    if in_place:
        sys.stderr.write(f"\r\033[K{text}")  # \033[K clears what a longer text left behind
    elif last:
        sys.stderr.write(text)
    if last:
        sys.stderr.write("\n")
    sys.stderr.flush()
