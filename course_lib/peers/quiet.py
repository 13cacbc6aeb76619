"""scvi-tools without its voice: no bars, no log lines, no advice, so that a cell's output is what the cell prints.

    with quiet():
        model.train(max_epochs=20, **QUIET_TRAINING)

An error is never silenced, and a warning of the course's own comes through.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

QUIET_TRAINING: dict[str, Any] = {
    "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False,
}  # fmt: skip
LOGGERS = ("scvi", "lightning.pytorch", "lightning.fabric")


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, only errors of scvi-tools and Lightning are logged, and warnings from outside of the course are dropped.

    Afterwards the loggers speak as loud as before. Import scvi first: its import sets how loud it speaks.
    """
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", module=r"course_lib(\.|$)")
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)
