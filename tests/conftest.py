"""What many test files need: the committed table of an experiment, and figures that are closed after each test."""

import json
import signal
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(__file__).resolve().parents[1] / "data" / "results"


# In the background of a script, processes ignore Ctrl-C, and so do those that they start: tests interrupt some.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def close_figures():
    """No test leaves a figure open for the next; those that draw nothing do not pay for matplotlib."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def experiment(request: pytest.FixtureRequest) -> str:
    """``batches`` in ``test_experiment_batches.py``."""
    return request.module.__name__.removeprefix("test_experiment_")


@pytest.fixture(scope="module")
def table(request) -> pd.DataFrame:
    """The committed table of the experiment that the file tests."""
    return pd.read_csv(RESULTS / f"{experiment(request)}.csv")


@pytest.fixture(scope="module")
def made(request) -> dict:
    """With what that table was made."""
    return json.loads((RESULTS / f"{experiment(request)}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scvi():
    """scvi-tools, quiet; only tests that are skipped without it ask for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scvi
        import scvi.module
    scvi.settings.verbosity = 40  # errors
    return scvi
