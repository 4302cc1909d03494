"""The command sample, and its conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.cli import DONE, main
from tabsynth.cli.sample import parse_given
from tabsynth.errors import ConditionError
from tabsynth.schema import Schema


class TestSample:
    def test_rows_have_the_tables_columns_and_values(self, fitted: Path) -> None:
        made = pd.read_csv(fitted / "synthetic.csv")
        assert len(made) == 80
        assert list(made.columns) == ["age", "bmi", "sex", "outcome"]
        assert set(made["sex"]) <= {"f", "m"}

    def test_same_seed_same_file(self, fitted: Path, tmp_path: Path) -> None:
        line = ["sample", str(fitted / "m.tabsynth"), "-n", "80", "--seed", "1", "--output", str(tmp_path / "s.csv")]
        assert main(line) == DONE
        assert (tmp_path / "s.csv").read_bytes() == (fitted / "synthetic.csv").read_bytes()

    def test_parquet_and_default_number_of_rows(
        self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["sample", str(fitted / "m.tabsynth"), "--output", str(tmp_path / "s.parquet")]) == DONE
        shown = json.loads(capsys.readouterr().out)
        assert shown["rows"] == len(pd.read_parquet(tmp_path / "s.parquet")) == 120
        assert shown["seed"] >= 0  # drawn, and said so that the draw can be repeated

    def test_conditions(self, fitted: Path, tmp_path: Path) -> None:
        line = ["sample", str(fitted / "m.tabsynth"), "-n", "20", "--output", str(tmp_path / "s.csv")]
        assert main([*line, "--given", "sex=f", "--given", "age=40:60"]) == DONE
        made = pd.read_csv(tmp_path / "s.csv")
        assert len(made) == 20
        assert set(made["sex"]) == {"f"}
        assert made["age"].between(40, 60).all()


class TestConditions:
    SCHEMA = Schema.from_dict(
        {
            "columns": {
                "age": {"kind": "numeric"},
                "stage": {"kind": "categorical", "values": [1, 2, 3]},
                "smoker": {"kind": "boolean"},
                "seen": {"kind": "datetime"},
                "a=b": {"kind": "categorical"},
                "code": {"kind": "categorical"},
                "ratio": {"kind": "categorical", "values": ["1:2", "2:1"]},
            }
        }
    )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("age=60:80", ("age", (60, 80))),
            ("age=60:", ("age", (60, None))),
            ("age=:-1.5", ("age", (None, -1.5))),
            ("age=", ("age", None)),
            ("stage=1,3", ("stage", [1, 3])),
            ("code=7", ("code", 7)),
            ("code=", ("code", None)),
            ("seen=2020-01-01T10:00:", ("seen", ("2020-01-01T10:00", None))),
            ("age=-1.5", ("age", -1.5)),
            ("stage=2", ("stage", 2)),
            ("smoker=True", ("smoker", True)),
            ("seen=2020-01-01:2020-12-31", ("seen", ("2020-01-01", "2020-12-31"))),
            ("seen=2020-01-01T10:00:2020-01-01T12:30", ("seen", ("2020-01-01T10:00", "2020-01-01T12:30"))),
            ("seen=2020-01-01T10:00", ("seen", "2020-01-01T10:00")),
            ("seen=2020-01-01T10:00:00", ("seen", "2020-01-01T10:00:00")),
            ("a=b=c", ("a=b", "c")),
            ("ratio=1:2", ("ratio", "1:2")),
        ],
    )
    def test_values_have_the_columns_type(self, text: str, expected: tuple[str, object]) -> None:
        assert parse_given([text], self.SCHEMA, {"code": (7, 9)}) == dict([expected])

    def test_none_and_twice(self) -> None:
        assert parse_given([], self.SCHEMA) is None
        with pytest.raises(ConditionError, match="'age' twice"):
            parse_given(["age=1", "age=2"], self.SCHEMA)
