"""Tables on standard input and output."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.cli.main import main


class Stream:
    """A text stream over bytes, as those of a process."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "jsonl", "xlsx"])
def test_a_table_comes_from_standard_input(tmp_path: Path, monkeypatch, capsys, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    ts.write(pd.DataFrame({"a": range(30), "s": ["x", "y", "z"] * 10}), path)
    monkeypatch.setattr(sys, "stdin", Stream(path.read_bytes()))
    assert main(["inspect", "-", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rows"] == 30
    assert set(said["schema"]["columns"]) == {"a", "s"}


def test_a_sample_goes_to_standard_output_and_nothing_else(tmp_path: Path, capfdbinary) -> None:
    table, model = tmp_path / "t.csv", str(tmp_path / "m.tabsynth")
    ts.write(pd.DataFrame({"a": range(60), "s": ["x", "y", "z"] * 20}), table)
    assert main(["fit", str(table), "--model", "marginal", "-o", model]) == 0
    capfdbinary.readouterr()
    assert main(["sample", model, "-n", "20", "--seed", "0", "-o", "-"]) == 0
    out, _ = capfdbinary.readouterr()
    frame = pd.read_csv(io.BytesIO(out))
    assert (len(frame), list(frame)) == (20, ["a", "s"])


def test_standard_input_is_one_table(capsys) -> None:
    assert main(["evaluate", "-", "-"]) == 2
    assert "one table only" in capsys.readouterr().err
