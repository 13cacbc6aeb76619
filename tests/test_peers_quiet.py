"""scvi-tools kept quiet for a while, and nothing else."""

import importlib.util
import logging
import warnings

import numpy as np
import pytest
from anndata import AnnData

from course_lib.peers.quiet import LOGGERS, QUIET_TRAINING, quiet


def test_loggers_speak_again_afterwards_also_after_an_error():
    levels = dict(zip(LOGGERS, (10, 20, 30), strict=True))
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        with quiet():
            assert {logging.getLogger(name).level for name in LOGGERS} == {logging.ERROR}
            assert not logging.getLogger("lightning.pytorch.utilities.rank_zero").isEnabledFor(logging.WARNING)
            assert logging.getLogger("course_lib").isEnabledFor(logging.WARNING)
        assert {name: logging.getLogger(name).level for name in LOGGERS} == levels
        with pytest.raises(RuntimeError, match="an error is never silenced"), quiet():
            raise RuntimeError("an error is never silenced")
        assert {name: logging.getLogger(name).level for name in LOGGERS} == levels
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def test_a_warning_of_the_courses_own_comes_through_and_others_do_not():
    with warnings.catch_warnings(record=True) as heard, quiet():
        for module in ("scvi.model", "lightning.pytorch", "course_libs", "course_lib.analysis.gate", "course_lib"):
            warnings.warn_explicit("heard?", UserWarning, f"{module}.py", 1, module=module, registry={})
    assert [warning.filename for warning in heard] == ["course_lib.analysis.gate.py", "course_lib.py"]


@pytest.mark.skipif(
    importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
)
def test_training_says_nothing_and_keeps_its_history(scvi, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    data = AnnData(random.poisson(1.0, (120, 20)).astype(np.float32))
    with quiet():
        scvi.settings.seed = 0
        scvi.model.SCVI.setup_anndata(data)
        model = scvi.model.SCVI(data, n_hidden=8)
        model.train(max_epochs=2, **QUIET_TRAINING)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert len(model.history["elbo_train"]) == 2
    assert list(tmp_path.iterdir()) == []  # no log folder, no checkpoint
    print(model.summary_string)
    assert "\x1b" not in capfd.readouterr().out
