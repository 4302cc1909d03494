"""Values, names and columns that a format cannot hold are refused, those that it can are written."""

from __future__ import annotations

import datetime
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.common.yaml_files import read_yaml
from tabsynth.errors import DataError, TabsynthError


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.feather", "t.jsonl", "t.xlsx", "t.db"])
@pytest.mark.parametrize(
    "values",
    [["\ud800", "a"], [2**70, 1], [1j, 2j], [{1}, {2}]],
    ids=["half a surrogate", "huge integers", "complex numbers", "sets"],
)
def test_odd_values_are_written_or_refused(tmp_path: Path, values: list[Any], name: str) -> None:
    path = tmp_path / name
    target = f"sqlite:///{path}#rows" if name == "t.db" else path
    try:
        ts.write(pd.DataFrame({"x": pd.Series(values, dtype=object)}), target)
    except TabsynthError:
        assert name == "t.db" or not path.exists()  # the database's file exists, without the table
    else:
        assert path.stat().st_size


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "Float64", "boolean", "string", "datetime64[ns]"])
@pytest.mark.parametrize("rows", [0, 2])
def test_columns_without_values_are_written(tmp_path: Path, dtype: str, rows: int) -> None:
    frame = pd.DataFrame({"x": pd.array([pd.NA] * rows, dtype=dtype), "y": np.arange(rows)})
    for name in ("t.csv", "t.parquet", "t.feather", "t.jsonl", "t.xlsx"):
        ts.write(frame, tmp_path / name)
        if rows:
            assert ts.read(tmp_path / name).frame["x"].isna().all()


def test_names_that_are_no_unicode_are_refused(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet", "t.jsonl", "t.xlsx"):
        with pytest.raises(DataError, match="valid Unicode"):
            ts.write(pd.DataFrame({"\udfff": [1, 2]}), tmp_path / name)


def test_json_keeps_durations_and_keys_as_text_and_refuses_infinities(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    key = uuid.UUID(int=7)
    ts.write(pd.DataFrame({"span": [pd.Timedelta(hours=3)], "key": [key]}), path)
    assert json.loads(path.read_text()) == {"span": "0 days 03:00:00", "key": str(key)}
    with pytest.raises(DataError, match="column 'x': JSON cannot hold infinite numbers"):
        ts.write(pd.DataFrame({"x": [1.0, np.inf]}), path)
    assert json.loads(path.read_text())["key"] == str(key)


@pytest.mark.parametrize("dtype", ["object", "string[python]", "category"])
def test_text_that_is_no_unicode_is_refused_before_a_fit(dtype: str) -> None:
    frame = pd.DataFrame({"s": pd.Series(["\ud800", "a", None] * 10, dtype=object).astype(dtype)})
    with pytest.raises(DataError, match=r"column 's': '\\ud800' is not valid Unicode"):
        ts.MarginalSynthesizer().fit(frame, seed=0)
    with pytest.raises(DataError, match="column names must be valid Unicode"):
        ts.Schema.infer(pd.DataFrame({"\ud800": [1, 2]}))


def test_escapes_of_half_a_surrogate_pair_are_refused_in_schemas_and_rules(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(r'{"columns": {"s": {"kind": "categorical", "values": ["\ud800", "a"]}}}')
    with pytest.raises(TabsynthError, match="not valid Unicode"):
        ts.Schema.from_json(path)
    path = tmp_path / "rules.yaml"
    path.write_text('columns:\n  s: {kind: categorical, values: ["\\ud800", a]}\n')
    with pytest.raises(TabsynthError, match="not valid Unicode"):
        read_yaml(path, "rules")


@pytest.mark.parametrize(
    ("categories", "says"),
    [
        ([(1, 2), (1, 3)], "type tuple"),
        ([b"a", b"b"], "type bytes"),
        ([datetime.time(1), datetime.time(2)], "type time"),
        ([uuid.UUID(int=1), uuid.UUID(int=2)], "type UUID"),
        ([frozenset([1]), frozenset([2])], "type frozenset"),
        ([1j, 2j], "type complex"),
        ([1.0, np.inf], "infinite category"),
    ],
)
def test_categories_that_no_model_file_can_hold_are_refused_before_a_fit(categories: list[Any], says: str) -> None:
    frame = pd.DataFrame({"c": pd.Categorical(categories * 20)})
    with pytest.raises(DataError, match=rf"column 'c' has .*{says}"):
        ts.MarginalSynthesizer().fit(frame, seed=0)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([10**400, 1], "infinite"),
        ([pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-02")], "with and without a time zone"),
        ([datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], "with and without"),
    ],
)
def test_objects_that_have_no_common_form_are_refused(values: list[Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        ts.Schema.infer(pd.DataFrame({"c": pd.Series(values * 20, dtype=object)}))


@pytest.mark.parametrize("data", [pd.Series([1]), None, [[1]]], ids=["series", "none", "list"])
def test_only_tables_are_written(tmp_path: Path, data: Any) -> None:
    with pytest.raises(DataError, match="expected a DataFrame or a Table to write, not"):
        ts.write(data, tmp_path / "t.csv")
