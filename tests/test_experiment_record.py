"""What an experiment leaves behind: a table and its provenance, whole or not at all, and a command line."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from course_lib.experiments import record

TABLE = pd.DataFrame({"seed": [0, 1], "value": [1 / 3, 1234567.0], "method": ["ours", "Σx"]})


def test_a_table_is_written_alike_everywhere_with_its_provenance_beside_it(tmp_path):
    path = record.save(TABLE, tmp_path / "new" / "results", "found", {"data": "−ELBO", "seeds": [0, 1]})
    assert path == tmp_path / "new" / "results" / "found.csv"
    assert path.read_bytes().decode() == "seed,value,method\n0,0.33333,ours\n1,1.2346e+06,Σx\n"
    assert path.with_suffix(".json").read_bytes().decode() == (
        '{\n  "data": "−ELBO",\n  "seeds": [\n    0,\n    1\n  ]\n}\n'
    )
    assert sorted(file.name for file in path.parent.iterdir()) == ["found.csv", "found.json"]


def test_digits_are_chosen_and_a_further_table_has_no_provenance_of_its_own(tmp_path):
    every_digit = record.save(TABLE, tmp_path, "every_digit", float_format=None)
    assert pd.read_csv(every_digit)["value"].tolist() == TABLE["value"].tolist()
    assert "0.333,ours" in record.save(TABLE, tmp_path, "few", float_format="%.3f").read_text(encoding="utf-8")
    assert not list(tmp_path.glob("*.json"))


def test_a_run_that_breaks_off_while_it_writes_leaves_the_table_before(tmp_path, monkeypatch):
    record.save(TABLE[:1], tmp_path, "found", {"seeds": [0]})
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(TypeError):  # a provenance that cannot be written stops both files
        record.save(TABLE, tmp_path, "found", {"seeds": {0, 1}})
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before

    def half(self, text, **_):
        self.write_bytes(text.encode()[: len(text) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="No space left"):
        record.save(TABLE, tmp_path, "found", {"seeds": [0, 1]})
    assert {file: file.read_bytes() for file in before} == before


def asked(monkeypatch, *words, **options):
    """What ``run`` is called with for these words on the command line."""
    given = {}
    monkeypatch.setattr(sys, "argv", ["experiment", *words])
    record.command_line("An experiment.", lambda **named: given.update(named) or Path("table.csv"), **options)
    return given


def test_the_command_line_hands_on_what_was_chosen_by_name(monkeypatch, capsys):
    assert asked(monkeypatch, seeds=5) == {"n_seeds": 5, "folder": record.RESULTS}
    assert capsys.readouterr().out == "table.csv\n"
    assert asked(monkeypatch, "--seeds", "2", "--to", "there", seeds=5) == {"n_seeds": 2, "folder": Path("there")}
    options = {"repeats": 3, "data": ["cortex", "mosaic"]}
    assert asked(monkeypatch, **options) == {"repeats": 3, "data": ["cortex", "mosaic"], "folder": record.RESULTS}
    chosen = asked(monkeypatch, "--repeats", "1", "--data", "mosaic", **options)
    assert (chosen["repeats"], chosen["data"]) == (1, ["mosaic"])


@pytest.mark.parametrize("words", [("--seeds", "0"), ("--seeds", "-1"), ("--seeds", "two"), ("--data", "cortex")])
def test_the_command_line_refuses_what_makes_no_table(monkeypatch, capsys, words):
    with pytest.raises(SystemExit):
        asked(monkeypatch, *words, seeds=5)
    said = capsys.readouterr().err
    assert f"expected a whole number from 1, found '{words[1]}'" in said or "unrecognized arguments: --data" in said


def test_made_with_names_the_versions_it_was_asked_for():
    made = record.made_with("cortex", "torch", "numpy")
    assert made["script"] == "course_lib.experiments.cortex"
    assert set(made["versions"]) == {"python", "torch", "numpy"}
    assert json.loads(json.dumps(made)) == made
