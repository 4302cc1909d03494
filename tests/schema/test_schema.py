"""Columns, schemas and constraints: accepted and refused facts, and their JSON form."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.errors import InputError, SchemaError
from tabsynth.schema import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Schema, Text
from tabsynth.schema.columns import KINDS
from tabsynth.schema.constraints import Inequality, constraint_from_dict
from tabsynth.schema.schema import VERSION
from tabsynth.schema.validation import row_values

EXAMPLE: dict[str, Any] = {
    "version": 1,
    "columns": {
        "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
        "sex": {"kind": "categorical", "values": ["f", "m"], "nullable": True, "role": "sensitive"},
        "seen": {"kind": "datetime", "format": "%Y-%m-%d"},
        "left": {"kind": "datetime", "format": "%Y-%m-%d", "nullable": True},
        "mrn": {"kind": "identifier"},
        "note": {"kind": "text"},
        "alive": {"kind": "boolean"},
    },
    "constraints": [{"kind": "inequality", "low": "seen", "high": "left", "strict": False}],
}

names = st.text(min_size=1, max_size=8)
shared = {
    "nullable": st.booleans(),
    "role": st.sampled_from([None, "sensitive", "quasi_identifier", "source"]),
    "origin": st.sampled_from(["declared", "measured", "inferred"]),
    "why": st.text(max_size=5),
}
bounds = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2).map(sorted)
columns = st.one_of(
    st.builds(Boolean, name=names, **shared),
    st.builds(Text, name=names, replacement=st.text(max_size=5), **shared),
    st.builds(Identifier, name=names, pattern=st.sampled_from([None, "[0-9]{5}"]), **shared),
    st.builds(
        Categorical,
        name=names,
        values=st.none() | st.lists(st.text(max_size=4), min_size=1, max_size=5, unique=True).map(tuple),
        ordered=st.booleans(),
        **shared,
    ),
    st.builds(
        lambda low_high, **facts: Numeric(low=low_high[0], high=low_high[1], **facts),
        bounds,
        name=names,
        decimals=st.none() | st.integers(0, 17),
        **shared,
    ),
    st.builds(
        Datetime,
        name=names,
        resolution=st.sampled_from([None, "s", "D"]),
        low=st.none() | st.just("1900-01-01"),
        high=st.none() | st.dates(datetime.date(1900, 1, 1)).map(datetime.date.isoformat),
        **shared,
    ),
)
schemas = st.lists(columns, max_size=6, unique_by=lambda column: column.name).map(
    lambda found: Schema({column.name: column for column in found})
)


class TestForm:
    def test_example_round_trips(self) -> None:
        assert Schema.from_dict(EXAMPLE).to_dict() == EXAMPLE

    @given(schemas)
    def test_every_schema_survives_json(self, schema: Schema) -> None:
        again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
        assert again == schema
        assert list(again) == list(schema)

    def test_file(self, tmp_path: Path) -> None:
        schema = Schema.from_dict(EXAMPLE)
        schema.to_json(tmp_path / "schema.json")
        assert Schema.from_json(str(tmp_path / "schema.json")) == schema

    def test_version_is_optional(self) -> None:
        assert Schema.from_dict({"columns": {}}).to_dict() == {"version": VERSION, "columns": {}}

    def test_is_a_mapping_in_order(self) -> None:
        schema = Schema.from_dict(EXAMPLE)
        assert list(schema) == list(EXAMPLE["columns"])
        assert len(schema) == 7
        assert schema["age"] == Numeric(name="age", low=0, high=120, decimals=0)
        assert "weight" not in schema

    def test_facts_left_out_have_their_defaults(self) -> None:
        assert Numeric(name="x").to_dict() == {"kind": "numeric"}

    def test_dates_as_yaml_reads_them(self) -> None:
        column = Datetime(name="d", low=datetime.date(2020, 1, 31), high=datetime.datetime(2021, 1, 1, 12))  # type: ignore[arg-type]
        assert (column.low, column.high) == ("2020-01-31", "2021-01-01T12:00:00")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"kind": "number"}, "column 'x': kind 'number' is not one of categorical, boolean, numeric"),
        ({}, "column 'x': kind None"),
        ("numeric", "column 'x': expected {\"kind\": ...}, not 'numeric'"),
        ({"kind": ["numeric"]}, r"kind \['numeric'\] is not one of"),
        (
            {"kind": "numeric", "lo": 1},
            "'lo' does not belong to a numeric column; there are csv_format, decimals, description, format, high, low",
        ),
        ({"kind": "numeric", "csv_format": "#,##0"}, "csv_format must be a format of plain numbers"),
        ({"kind": "numeric", "csv_format": 2}, "csv_format must be a format of plain numbers"),
        ({"kind": "text", 1: 2, "a": 3}, "1, 'a' does not belong to a text column"),
        ({"kind": "numeric", "low": 2, "high": 1}, "low 2 is above high 1"),
        ({"kind": "numeric", "low": "2"}, "low must be a finite number, not '2'"),
        ({"kind": "numeric", "high": float("nan")}, "high must be a finite number, not nan"),
        ({"kind": "numeric", "high": float("inf")}, "high must be a finite number, not inf; leave it out"),
        ({"kind": "numeric", "low": True}, "low must be a finite number, not True"),
        ({"kind": "numeric", "decimals": 1.5}, "decimals must be a whole number from 0 to 17, not 1.5"),
        ({"kind": "numeric", "decimals": -1}, "decimals must be a whole number from 0 to 17, not -1"),
        ({"kind": "categorical", "values": []}, "values must not be empty"),
        ({"kind": "categorical", "values": "ab"}, "values must be a list, not str"),
        ({"kind": "categorical", "values": ["a", "a"]}, "values holds a value twice"),
        ({"kind": "categorical", "values": ["a", None]}, "value None is not text, a number or a boolean"),
        ({"kind": "categorical", "values": [["a"]]}, r"value \['a'\] is not text"),
        ({"kind": "categorical", "ordered": 1}, "ordered must be true or false, not 1"),
        ({"kind": "datetime", "resolution": "Y"}, "resolution 'Y' is not one of ns, us, ms, s, min, h, D"),
        ({"kind": "datetime", "format": "%Q"}, "format '%Q' has the unknown directive '%Q'"),
        ({"kind": "datetime", "format": "%Y-%"}, "has the unknown directive '%'"),
        ({"kind": "datetime", "format": "day"}, "format must be a strftime format such as '%Y-%m-%d', not 'day'"),
        ({"kind": "datetime", "low": "31/12/2020"}, "low must be a date in ISO 8601, such as '2024-12-31'"),
        ({"kind": "datetime", "high": 2020}, "high must be a date in ISO 8601, such as '2024-12-31', not 2020"),
        ({"kind": "datetime", "low": "2021-01-01", "high": "2020-01-01"}, "low 2021-01-01 is above high 2020-01-01"),
        ({"kind": "identifier", "pattern": "("}, r"pattern '\(' is not a regular expression"),
        ({"kind": "identifier", "pattern": 5}, "pattern 5 is not a regular expression"),
        ({"kind": "text", "replacement": None}, "replacement must be text, not None"),
        ({"kind": "boolean", "nullable": "yes"}, "nullable must be true or false, not 'yes'"),
        ({"kind": "boolean", "role": "label"}, "role 'label' is not one of target, sensitive"),
        ({"kind": "boolean", "origin": "guessed"}, "origin 'guessed' is not one of declared, measured, inferred"),
        ({"kind": "boolean", "why": 3}, "why must be text, not 3"),
    ],
)
def test_a_bad_column_is_named(facts: Any, message: str) -> None:
    with pytest.raises(SchemaError, match="column 'x': ") as caught:
        Schema.from_dict({"columns": {"x": facts}})
    caught.match(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "a schema is a mapping"),
        ({}, "a schema is a mapping"),
        ({"columns": ["a"]}, "a schema is a mapping"),
        ({"columns": {}, "version": VERSION + 1}, "upgrade tabsynth"),
        ({"columns": {}, "version": "1"}, "schema version '1'"),
        ({"columns": {}, "rows": 3, 4: 5}, "unknown keys in a schema: 4, 'rows'"),
        ({"columns": {3: {"kind": "text"}}}, "name must be text, not 3"),
        ({"columns": {}, "constraints": 5}, "constraints are a list, not 5"),
        ({"columns": {}, "constraints": [{"kind": "total"}]}, "one of inequality"),
    ],
)
def test_a_bad_schema_is_refused(data: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.from_dict(data)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot read the schema"), ("{", "is not JSON"), ("[]", "a schema is a mapping")]
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "s.json").write_text(content)
    with pytest.raises(SchemaError, match=message):
        Schema.from_json(tmp_path / "s.json")


class TestRoles:
    def test_with_role(self) -> None:
        assert Schema.from_dict(EXAMPLE).with_role("sensitive") == ["sex"]

    @pytest.mark.parametrize("role", ["target", "person", "weight"])
    def test_some_roles_are_for_one_column(self, role: Any) -> None:
        with pytest.raises(SchemaError, match=f"role '{role}' is given to several columns: 'a', 'b'"):
            Schema({name: Text(name=name, role=role) for name in "ab"})

    def test_columns_are_filed_under_their_name(self) -> None:
        with pytest.raises(SchemaError, match="column 'a' is filed under another name: 'b'"):
            Schema({"a": Text(name="b")})


class TestReplace:
    def test_a_change_is_declared_and_answers_the_question(self) -> None:
        asked = Numeric(name="x", origin="inferred", question="a code or a quantity?", low=1, nullable=True)
        schema = Schema({"x": asked})
        assert schema.questions == {"x": "a code or a quantity?"}
        new = schema.replace("x", high=9)
        assert new["x"] == Numeric(name="x", low=1, high=9, nullable=True)
        assert new.questions == {}
        assert schema["x"] is asked

    def test_another_kind_keeps_what_both_share(self) -> None:
        schema = Schema({"x": Numeric(name="x", low=1, nullable=True, role="target")})
        assert schema.replace("x", kind="categorical", values=[1, 2])["x"] == Categorical(
            name="x", nullable=True, role="target", values=(1, 2)
        )

    def test_order_and_constraints_stay(self) -> None:
        schema = Schema.from_dict(EXAMPLE)
        new = schema.replace("sex", nullable=False)
        assert list(new) == list(schema)
        assert new.constraints == schema.constraints

    def test_unknown_names(self) -> None:
        schema = Schema.from_dict(EXAMPLE)
        with pytest.raises(SchemaError, match="no column 'weight'; there are 'age', 'sex'"):
            schema.replace("weight", low=1)
        with pytest.raises(SchemaError, match="kind 'number' is not one of"):
            schema.replace("age", kind="number")
        with pytest.raises(SchemaError, match="'values' does not belong to a numeric column"):
            schema.replace("age", values=[1])


class TestConstraints:
    frame = pd.DataFrame({"a": [1, 2, 3, np.nan, 4], "b": [2, 2, 1, 0, np.nan]})

    def values(self, dtype: str = "float64") -> dict[str, Any]:
        schema = Schema({"a": Numeric(name="a", nullable=True), "b": Numeric(name="b", nullable=True)})
        return row_values(self.frame.astype(dtype), schema, ("a", "b"))

    def test_inequality(self) -> None:
        assert Inequality(low="a", high="b").holds(self.values()).tolist() == [True, True, False, True, True]
        strict = Inequality(low="a", high="b", strict=True)
        assert strict.holds(self.values()).tolist() == [True, False, False, True, True]

    @pytest.mark.parametrize("dtype", ["Int64", "Float64"])
    def test_nullable_types(self, dtype: str) -> None:
        held = Inequality(low="a", high="b").holds(self.values(dtype))
        assert held.dtype == bool
        assert held.tolist() == [True, True, False, True, True]

    def test_round_trip(self) -> None:
        constraint = Inequality(low="a", high="b", strict=True)
        assert constraint_from_dict(constraint.to_dict()) == constraint
        assert constraint.columns == ("a", "b")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (None, "a constraint is"),
            ({"low": "a", "high": "b"}, "one of inequality"),
            ({"kind": ["inequality"]}, "one of inequality"),
            ({"kind": "inequality", "low": "a"}, "missing .* 'high'"),
            ({"kind": "inequality", "low": "a", "high": "b", "by": 1}, "unexpected keyword argument 'by'"),
            ({"kind": "inequality", "low": "a", "high": 5}, "between two column names"),
            ({"kind": "inequality", "low": "a", "high": "b", "strict": "no"}, "strict or not"),
            ({"kind": "inequality", "low": "a", "high": "a"}, "between two columns, not 'a' and itself"),
        ],
    )
    def test_refusals(self, data: Any, message: str) -> None:
        with pytest.raises(SchemaError, match=message):
            constraint_from_dict(data)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ([Numeric(name="a")], "names unknown columns: 'b'"),
            ([Numeric(name="a"), Datetime(name="b")], "compares datetime and numeric columns"),
            ([Categorical(name="a"), Categorical(name="b")], "compares categorical columns; it needs two numeric"),
        ],
    )
    def test_a_schema_checks_what_is_compared(self, columns: list[Column], message: str) -> None:
        with pytest.raises(SchemaError, match=message):
            Schema({column.name: column for column in columns}, (Inequality(low="a", high="b"),))


def test_errors_are_value_errors() -> None:
    assert issubclass(SchemaError, InputError)
    assert issubclass(SchemaError, ValueError)


def test_kinds_are_named_as_they_name_themselves() -> None:
    assert {name: kind.kind for name, kind in KINDS.items()} == {name: name for name in KINDS}
