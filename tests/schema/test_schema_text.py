"""A schema as text, and without some of its columns."""

from __future__ import annotations

import pytest

from tabsynth.errors import SchemaError
from tabsynth.schema import Schema


def test_a_column_is_dropped_unless_a_constraint_needs_it() -> None:
    columns = {"low": {"kind": "numeric"}, "high": {"kind": "numeric"}, "note": {"kind": "text"}}
    rule = {"kind": "inequality", "low": "low", "high": "high"}
    schema = Schema.from_dict({"columns": columns, "constraints": [rule]})
    assert list(schema.drop("note")) == ["low", "high"]
    assert schema.drop("note").constraints == schema.constraints
    with pytest.raises(SchemaError, match="'low'"):
        schema.drop("low")
    with pytest.raises(SchemaError, match="no column 'nots'"):
        schema.drop("nots")


def test_a_printed_schema_has_a_line_for_each_column() -> None:
    schema = Schema.from_dict({"columns": {"id": {"kind": "identifier"}, "sex": {"kind": "boolean", "role": "target"}}})
    assert str(schema) == "id   identifier\nsex  boolean      target"
