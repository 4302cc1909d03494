"""The command inspect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.cli import BAD_INPUT, DONE, main
from tabsynth.schema import Schema


class TestInspect:
    def test_json_into_a_pipe(self, fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["inspect", str(fitted / "train.csv")]) == DONE
        shown = json.loads(capsys.readouterr().out)
        assert shown["rows"] == 120
        assert list(shown["schema"]["columns"]) == ["age", "bmi", "sex", "outcome"]
        assert isinstance(shown["questions"], dict)

    def test_schema_file_can_be_given_to_fit(self, fitted: Path, tmp_path: Path) -> None:
        schema = tmp_path / "schema.json"
        assert main(["inspect", str(fitted / "train.csv"), "--output", str(schema)]) == DONE
        line = ["fit", str(fitted / "train.csv"), "--schema", str(schema), "--epochs", "1"]
        assert main([*line, "--output", str(tmp_path / "m.tabsynth")]) == DONE

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
    def test_table_on_a_terminal(self, fitted: Path) -> None:
        import pty

        ours, theirs = pty.openpty()
        line = [sys.executable, "-m", "tabsynth", "inspect", "train.csv"]
        subprocess.run(line, cwd=fitted, stdout=theirs, stderr=subprocess.DEVNULL, timeout=900, check=True)
        os.close(theirs)
        shown = os.read(ours, 1 << 16).decode()
        os.close(ours)
        assert shown.startswith("train.csv: 120 rows, 4 columns")
        assert "quartiles" in shown
        assert "numeric" in shown


def test_an_edited_schema_is_read_and_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pd.DataFrame({"pain": [1, 2, 3, 4] * 10, "slope": [1, 2, 3, 2] * 10})
    rows.to_csv(tmp_path / "stays.csv", index=False)
    schema = tmp_path / "schema.yaml"
    line = ["inspect", str(tmp_path / "stays.csv"), "--schema", str(schema), "--json"]
    assert main(line) == DONE
    assert set(json.loads(capsys.readouterr().out)["questions"]) == {"pain", "slope"}
    edited = schema.read_text().replace("pain: {kind: numeric", "pain: {role: target, kind: categorical")
    schema.write_text(edited)
    assert main(line) == DONE
    shown = capsys.readouterr()
    assert schema.read_text() == edited
    assert "did not change it" in shown.err
    data = json.loads(shown.out)
    assert data["schema"]["columns"]["pain"]["kind"] == "categorical"
    assert set(data["questions"]) == {"slope"}  # the other is answered
    schema.write_text("a letter")
    assert main(line) == BAD_INPUT
    assert schema.read_text() == "a letter"


def test_a_schema_of_linked_tables_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, schema = tmp_path / "clinic", tmp_path / "clinic.yaml"
    folder.mkdir()
    pd.DataFrame({"patient_id": range(1, 41), "pain": [1, 2, 3, 4] * 10}).to_csv(folder / "patients.csv", index=False)
    visits = pd.DataFrame({"visit_id": range(1, 81), "patient_id": [*range(1, 41)] * 2, "slope": [1, 2, 3, 2] * 20})
    visits.to_csv(folder / "visits.csv", index=False)
    line = ["inspect", str(folder), "--schema", str(schema), "--json"]
    assert main(line) == DONE
    assert {"patients.pain", "visits.slope"} <= set(json.loads(capsys.readouterr().out)["questions"])
    edited = schema.read_text().replace("pain: {kind: numeric", "pain: {kind: categorical")
    schema.write_text(edited)
    assert main(line) == DONE
    questions = set(json.loads(capsys.readouterr().out)["questions"])
    assert schema.read_text() == edited
    assert "visits.slope" in questions
    assert "patients.pain" not in questions


def test_pooled_values_are_reported_by_inspect_and_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wards.csv"
    pd.DataFrame({"ward": [f"W{i // 4}" for i in range(60)], "age": range(20, 80)}).to_csv(path, index=False)
    assert main(["inspect", str(path), "--json"]) == DONE
    assert "fewer than 5 rows" in json.loads(capsys.readouterr().out)["questions"]["ward"]
    assert main(["fit", str(path), "--model", "marginal", "--seed", "0", "--output", str(tmp_path / "m")]) == DONE
    said = [line for line in capsys.readouterr().err.splitlines() if "lower min_group" in line]
    assert len(said) == 1
    assert said[0].startswith("tabsynth: column 'ward': 100.0% of its values")


def test_options_of_reading_reach_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, schema = tmp_path / "patients.csv", tmp_path / "schema.json"
    path.write_bytes(("größe|note\n" + "1.250|sehr gut\n2.500|?\n" * 20).encode("latin-1"))
    options = ["--separator", "|", "--decimal", ",", "--encoding", "latin-1", "--missing", "?"]
    assert main(["inspect", str(path), "--schema", str(schema), *options]) == DONE
    columns = Schema.from_json(schema)
    assert columns["größe"].to_dict()["format"] == "#.##0"
    assert columns["note"].nullable
    assert main(["inspect", str(path), "--separator", "||"]) == BAD_INPUT
    assert main(["inspect", "sklearn:iris", "--separator", ";"]) == BAD_INPUT
    assert main(["inspect", str(path), "--sheet", "a", *options]) == BAD_INPUT
    assert "one character" in capsys.readouterr().err
