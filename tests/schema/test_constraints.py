"""Declared constraints: plain data, satisfied rows and refused declarations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tabsynth.errors import DataError, SchemaError
from tabsynth.schema import Schema
from tabsynth.schema.constraints import KINDS, constraint_from_dict
from tabsynth.schema.validation import check_against_schema, satisfies

COLUMNS: dict[str, Any] = {
    "a": {"kind": "numeric", "nullable": True, "decimals": 1},
    "b": {"kind": "numeric", "nullable": True, "decimals": 1},
    "c": {"kind": "numeric", "nullable": True, "decimals": 1},
    "from": {"kind": "datetime", "nullable": True, "resolution": "D"},
    "to": {"kind": "datetime", "nullable": True, "resolution": "D"},
    "city": {"kind": "categorical", "nullable": True},
    "land": {"kind": "categorical", "nullable": True},
    "yes": {"kind": "boolean", "nullable": True},
    "no": {"kind": "boolean", "nullable": True},
}

# Each constraint with rows of which the first satisfies it, the second does not, and the third has a gap.
CASES: list[tuple[dict[str, Any], dict[str, list[Any]]]] = [
    ({"kind": "inequality", "low": "a", "high": "b", "strict": True}, {"a": [1, 2, 3], "b": [2, 2, None]}),
    ({"kind": "order", "sequence": ["a", "b", "c"]}, {"a": [1, 1, None], "b": [2, 3, 0], "c": [2, 2, 1]}),
    (
        {"kind": "order", "sequence": ["from", "to"], "least": 1.0, "greatest": 30.0},
        {"from": ["2020-01-01"] * 2 + [None], "to": ["2020-01-31", "2020-02-01", "2020-01-01"]},
    ),
    ({"kind": "range", "column": "b", "low": "a", "high": 9}, {"a": [1, 1, None], "b": [9, 0.5, 2]}),
    (
        {"kind": "range", "column": "a", "by": "city", "bounds": {"Bern": [0, 5], "Oslo": [5, None]}},
        {"a": [7, 7, 7], "city": ["Oslo", "Bern", None]},
    ),
    (
        {"kind": "linear", "column": "c", "terms": {"a": 1.0, "b": 2.0}, "constant": 1.0},
        {"a": [1, 1, None], "b": [2, 2, 2], "c": [6.0, 6.2, 1]},
    ),
    (
        {"kind": "product", "column": "c", "terms": {"a": 1.0, "b": -2.0}},
        {"a": [8, 8, None], "b": [2, 2, 2], "c": [2, 2.2, 1]},
    ),
    (
        {"kind": "combinations", "of": ["city", "yes"], "values": [["Bern", True], ["Oslo", False]]},
        {"city": ["Bern", "Bern", None], "yes": [True, False, True]},
    ),
    (
        {"kind": "lookup", "column": "land", "by": "city", "values": {"Bern": "CH"}},
        {"city": ["Oslo", "Bern", "Bern"], "land": ["CH", "NO", None]},
    ),
    (
        {"kind": "forbidden", "of": ["city", "yes"], "values": [["Bern", True]]},
        {"city": ["Oslo", "Bern", "Bern"], "yes": [True, True, None]},
    ),
    ({"kind": "one_of", "of": ["yes", "no"], "exactly": True}, {"yes": [True, True, None], "no": [False, True, True]}),
    ({"kind": "unique", "of": ["a", "city"]}, {"a": [1, 1, None], "city": ["Bern", "Bern", "Bern"]}),
    (
        {"kind": "if_then", "when": "a < 18", "then": 'b == 0 and city != "Bern"'},
        {"a": [20, 3, 3], "b": [5, 0, 0], "city": ["Bern", "Bern", None]},
    ),
    ({"kind": "missing", "column": "b", "when": "yes"}, {"b": [None, 1, 1], "yes": [True, True, None]}),
    ({"kind": "missing", "column": "b", "when": "not missing(a)"}, {"b": [1, None, None], "a": [None, None, 1]}),
    ({"kind": "expression", "rule": "where(a < 18, b == 0, True)"}, {"a": [3, 3, None], "b": [0, 1, 1]}),
    ({"kind": "expression", "rule": "a + 2 * b <= c"}, {"a": [3, 3, None], "b": [0, 1, 1], "c": [3, 4, 0]}),
    ({"kind": "expression", "rule": "city == land"}, {"city": ["x", "x", None], "land": ["x", "y", "y"]}),
    ({"kind": "refused", "rule": "a <= b"}, {"a": [1, 2, 3]}),
]


def schema_of(rule: dict[str, Any], columns: list[str]) -> Schema:
    return Schema.from_dict({"columns": {name: COLUMNS[name] for name in columns}, "constraints": [rule]})


def frame_of(rows: dict[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame({n: pd.to_datetime(v) if COLUMNS[n]["kind"] == "datetime" else v for n, v in rows.items()})


@pytest.mark.parametrize(("rule", "rows"), CASES)
def test_rows_satisfy_a_constraint_or_not(rule: dict[str, Any], rows: dict[str, list[Any]]) -> None:
    schema = schema_of(rule, list(rows))
    constraint = schema.constraints[0]
    expected = [True] * 3 if rule["kind"] == "refused" else [True, False, True]
    assert satisfies(constraint, frame_of(rows), schema).tolist() == expected
    assert constraint.describe()


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@pytest.mark.parametrize(("rule", "rows"), CASES)
def test_constraints_survive_a_file(
    rule: dict[str, Any], rows: dict[str, list[Any]], suffix: str, tmp_path: Path
) -> None:
    schema = schema_of(rule, list(rows))
    schema.to_json(tmp_path / f"schema{suffix}")
    read = Schema.from_json(tmp_path / f"schema{suffix}")
    assert read.constraints == schema.constraints
    assert read.constraints[0].to_dict() == schema.constraints[0].to_dict() == rule | schema.constraints[0].to_dict()


def test_every_kind_is_tried() -> None:
    assert {rule["kind"] for rule, _ in CASES} == set(KINDS)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"kind": "order", "sequence": ["a"]}, "at least 2 different column names"),
        ({"kind": "order", "sequence": ["a", "b"], "least": 5, "greatest": 3}, "no difference is at least 5"),
        ({"kind": "order", "sequence": ["a", "from"]}, "compares datetime and numeric"),
        ({"kind": "range", "column": "a"}, "give low, high or both"),
        ({"kind": "range", "column": "a", "by": "city", "bounds": {"x": [3, 1]}}, "range of 'x' is empty"),
        ({"kind": "linear", "column": "a", "terms": ["a", "b"]}, "must be different columns"),
        ({"kind": "linear", "column": "a", "terms": {"b": 0}}, "factor of 'b' must not be 0"),
        ({"kind": "product", "column": "from", "terms": ["a"]}, "needs numeric columns"),
        ({"kind": "combinations", "of": ["city", "from"]}, "column 'from' is datetime"),
        ({"kind": "forbidden", "of": ["city"], "values": [["x", "y"]]}, "combinations of 1 values"),
        (
            {"kind": "lookup", "column": "a", "by": "city", "values": {"x": "y"}},
            "the numeric 'a' are numbers",
        ),
        ({"kind": "lookup", "column": "land", "by": "city", "values": {}}, "must map the values of 'city'"),
        ({"kind": "if_then", "when": "a <", "then": "b == 0"}, "cannot be read"),
        ({"kind": "expression", "rule": "open(a)"}, "'open' is not one of"),
        ({"kind": "expression", "rule": "1 < 2"}, "reads no column"),
        ({"kind": "expression", "rule": "a < ghost"}, "names unknown columns: 'ghost'"),
        ({"kind": "missing", "column": "a", "when": "missing(a)"}, "cannot depend on itself"),
        ({"kind": "one_of", "of": ["yes", "no"], "exactly": 1}, "exactly must be true or false"),
        ({"kind": "unique", "of": ["a"], "on_violation": "ignore"}, "is one of error, exclude, repair, drop"),
    ],
)
def test_refusals(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        schema_of(rule, list(COLUMNS))


def test_a_violation_is_an_error_unless_declared_otherwise() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    rule = {"kind": "order", "sequence": ["a", "b"]}
    with pytest.raises(DataError, match="1 rows violate the constraint .* the first is row 1"):
        check_against_schema(frame, schema_of(rule, ["a", "b"]))
    check_against_schema(frame, schema_of({**rule, "on_violation": "exclude"}, ["a", "b"]))


def test_numbers_as_group_values_survive_json(tmp_path: Path) -> None:
    rule = {"kind": "range", "column": "a", "by": "city", "bounds": [[1, [0, 5]], [2, [5, None]]]}
    schema = schema_of(rule, ["a", "city"])
    schema.to_json(tmp_path / "s.json")
    assert Schema.from_json(tmp_path / "s.json").constraints == schema.constraints


def test_an_equation_holds_up_to_the_rounding_of_its_column() -> None:
    constraint = constraint_from_dict({"kind": "linear", "column": "c", "terms": {"a": 1 / 3}})
    schema = Schema.from_dict({"columns": {n: COLUMNS[n] for n in ("a", "c")}, "constraints": [constraint.to_dict()]})
    frame = pd.DataFrame({"a": [10.0, 10.0], "c": [3.3, 3.4]})
    assert satisfies(constraint, frame, schema).tolist() == [True, False]
