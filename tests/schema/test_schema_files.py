"""Schema files edited by hand: JSON and YAML, partial files, and facts of another kind."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.common.yaml_files import parse_yaml
from tabsynth.data import Table
from tabsynth.data.sample_datasets import open_table
from tabsynth.errors import DataError, SchemaError
from tabsynth.schema import Schema

FRAME = pd.DataFrame(
    {
        "NO": ["NO", "SE"] * 30,
        "zip": ["01234", "00815"] * 30,
        "fee": [f"{i},50" for i in range(60)],
        "ward": list(range(60)),
        "surname": ["Li", "Wu"] * 30,
        "seen": [f"{i % 28 + 1:02}.03.2021" for i in range(60)],
    }
)


def _inferred(folder: Path, name: str) -> Path:
    FRAME.to_csv(folder / "t.csv", index=False)
    open_table(folder / "t.csv").schema.to_json(folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["s.json", "s.yaml", "s.YML"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    path = _inferred(tmp_path, name)
    before = open_table(tmp_path / "t.csv").schema
    for column in before:
        one = before[column].to_dict()
        other = Schema.from_json(path)[column].to_dict()
        hidden = () if name == "s.json" else ("why", "question")
        assert {key: value for key, value in one.items() if key not in hidden} == other


def test_yaml_explains_in_comments(tmp_path: Path) -> None:
    text = _inferred(tmp_path, "s.yaml").read_text("utf-8")
    assert "# question:" in text
    assert "# why:" in text
    assert text.startswith("# A schema of tabsynth.")
    assert not Schema.from_json(tmp_path / "s.yaml").questions


@pytest.mark.parametrize(
    ("column", "kind"), [("fee", "categorical"), ("seen", "text"), ("seen", "numeric"), ("fee", "datetime")]
)
def test_a_change_of_kind_is_enough(tmp_path: Path, column: str, kind: str) -> None:
    path = _inferred(tmp_path, "s.json")
    data = json.loads(path.read_text("utf-8"))
    assert data["columns"][column]["format"]
    data["columns"][column]["kind"] = kind
    path.write_text(json.dumps(data))
    with pytest.warns(
        UserWarning, match=f"column '{column}': .*'format'.* does not belong to a {kind} column and is ign"
    ):
        schema = Schema.from_json(path)
    assert schema[column].kind == kind
    assert not getattr(schema[column], "format", None)


def test_left_over_facts_of_several_columns_are_one_warning() -> None:
    facts = {"kind": "categorical", "decimals": 0}
    with pytest.warns(UserWarning, match="does not belong") as caught:
        Schema.from_dict({"columns": {"a": facts, "b": facts, "c": {"kind": "text", "low": 1}}})
    assert [str(item.message).partition(" does")[0] for item in caught] == [
        "columns 'a', 'b': 'decimals'",
        "column 'c': 'low'",
    ]


def test_misspelt_facts_are_refused() -> None:
    with pytest.raises(SchemaError, match="'lo' does not belong to a numeric column"):
        Schema.from_dict({"columns": {"a": {"kind": "numeric", "lo": 1}}})


def test_a_partial_schema_is_completed(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "s.yaml").write_text(
        "columns:\n  ward: {kind: categorical, description: hospital ward}\n  zip: {kind: text}\n"
    )
    with pytest.warns(UserWarning, match=r"t.csv: columns .* are inferred: 'NO', 'fee', 'surname', 'seen'"):
        table = open_table(tmp_path / "t.csv", Schema.from_json(tmp_path / "s.yaml"))
    assert list(table.schema) == list(FRAME)
    assert table.schema["ward"].description == "hospital ward"
    assert [table.schema[name].origin for name in ("ward", "fee")] == ["declared", "inferred"]
    assert table.frame["fee"].tolist()[:2] == [0.5, 1.5]
    assert table.frame["zip"].tolist()[0] == "01234"
    with pytest.raises(SchemaError, match="'absent' of the schema is not in the table"):
        open_table(
            tmp_path / "t.csv", Schema.from_dict({"columns": {"absent": {"kind": "text"}, "ward": {"kind": "text"}}})
        )


def test_yaml_reads_what_is_written_in_it(tmp_path: Path) -> None:
    text = "a: [NO, 01234, 1:30, 1e-3, 1_000, 0, -5, .5, 1.5, true, 0x1F, '7', 2021-03-05, +1, 12:30:45, 1.]"
    values = parse_yaml(text)["a"]
    assert values[:12] == ["NO", "01234", "1:30", 0.001, 1000, 0, -5, 0.5, 1.5, True, 31, "7"]
    assert values[13:] == [1, "12:30:45", 1.0]
    (tmp_path / "s.yaml").write_text(
        "columns:\n  d: {kind: datetime, low: 2021-03-05}\n  c: {kind: categorical, values: [NO, 01]}\n"
    )
    schema = Schema.from_json(tmp_path / "s.yaml")
    assert schema["d"].to_dict()["low"] == "2021-03-05"
    assert schema["c"].to_dict()["values"] == ["NO", "01"]


@pytest.mark.parametrize(
    "text",
    ["columns: [1]", "a: 1", "columns: {a: {kind: numeric}, a: {kind: text}}", "[", "columns: {1: {kind: text}}"],
)
def test_malformed_yaml_is_a_schema_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(SchemaError):
        Schema.from_json(tmp_path / "s.yaml")


def test_dictionaries_and_files_may_declare_some_columns_in_python(tmp_path: Path) -> None:
    frame = pd.DataFrame({"grade": [1, 2, 3] * 20, "age": range(20, 80)})
    part = {"columns": {"grade": {"kind": "categorical"}}}
    Schema.from_dict(part).to_json(tmp_path / "part.json")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    for data, schema in (
        (frame, part),
        (frame, tmp_path / "part.json"),
        (tmp_path / "rows.csv", part),
        (tmp_path / "rows.csv", tmp_path / "part.json"),
    ):
        with pytest.warns(UserWarning, match="not in the schema are inferred: 'age'"):
            table = Table.of(data, schema)  # type: ignore[arg-type]
        assert [(name, column.kind) for name, column in table.schema.items()] == [
            ("grade", "categorical"),
            ("age", "numeric"),
        ]
    with pytest.raises(SchemaError, match="'age' of the table is not in the schema"):
        Table.of(frame, Schema.from_dict(part))


@pytest.mark.parametrize("values", [[1, 2, 3], [1.0, 2.0, 3.0], ["1", "2", "3"]])
@pytest.mark.parametrize("cells", ["{}", "{}.0"])
def test_whole_numbers_of_categories_are_written_in_any_form(tmp_path: Path, values: list[object], cells: str) -> None:
    if values == ["1", "2", "3"] and cells == "{}.0":
        return  # text is compared as it is written
    (tmp_path / "rows.csv").write_text("grade,k\n" + "".join(f"{cells.format(1 + i % 3)},{i}\n" for i in range(30)))
    declared = {"columns": {"grade": {"kind": "categorical", "values": values}, "k": {"kind": "numeric"}}}
    assert set(ts.read(tmp_path / "rows.csv", schema=Schema.from_dict(declared)).frame["grade"]) == set(values)


def test_an_undeclared_value_is_named_whatever_its_type(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("grade,k\n" + "".join(f"{1 + i % 3},{i}\n" for i in range(30)))
    declared = {"columns": {"grade": {"kind": "categorical", "values": [1, 2]}, "k": {"kind": "numeric"}}}
    with pytest.raises(DataError, match="column 'grade': 1 values are not in the schema, such as '3'; .* allows 1, 2"):
        ts.read(tmp_path / "rows.csv", schema=Schema.from_dict(declared))
