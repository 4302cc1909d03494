"""Tables on standard input and output."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.cli import BAD_INPUT, DONE, main
from tabsynth.data import read


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


def test_semicolons_decimal_commas_and_integers_are_kept(tmp_path: Path) -> None:
    lines = ["age;pain;level;mg", *(f"{20 + i};{i % 4 + 1};{i % 3},0;{i},5" for i in range(60))]
    source = tmp_path / "stays.csv"
    source.write_text("\n".join(lines) + "\n")
    split = ["split", str(source), "--train", str(tmp_path / "train.csv"), "--holdout", str(tmp_path / "held.csv")]
    assert main(split) == DONE
    assert (tmp_path / "train.csv").read_text().startswith("age;pain;level;mg\n")
    schema, model, out = (str(tmp_path / name) for name in ("schema.yaml", "m.tabsynth", "out.csv"))
    assert main(["inspect", str(source), "--schema", schema]) == DONE
    assert main(["fit", str(source), "--schema", schema, "--model", "marginal", "--output", model]) == DONE
    assert main(["sample", model, "-n", "40", "--seed", "0", "--separator", ";", "--output", out]) == DONE
    header, *rows = Path(out).read_text().splitlines()
    assert header == lines[0]
    assert all(re.fullmatch(r"\d+;[1-4];[0-2],0;\d+,\d", row) for row in rows), rows[:3]
    assert main(["sample", model, "--separator", ";", "--output", str(tmp_path / "out.parquet")]) == BAD_INPUT


def test_few_integers_with_decimal_commas_get_the_questions_of_integers(tmp_path: Path) -> None:
    plain, german = tmp_path / "plain.csv", tmp_path / "german.csv"
    rows = [(i % 2, i % 3, i / 4) for i in range(60)]
    plain.write_text("ill,slope,mg\n" + "".join(f"{a:.1f},{b:.1f},{c}\n" for a, b, c in rows))
    german.write_text("ill;slope;mg\n" + "".join(f"{a:.1f};{b:.1f};{c}\n".replace(".", ",") for a, b, c in rows))
    schemas = [read(path, separator=mark).schema for path, mark in ((plain, ","), (german, ";"))]
    assert [[column.kind for column in schema.values()] for schema in schemas] == [
        ["categorical", "numeric", "numeric"]
    ] * 2
    assert schemas[0].questions == schemas[1].questions
    assert set(schemas[0].questions) == {"slope"}
