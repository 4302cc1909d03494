"""The schema of a table from its definition in a database, without reading a row."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd

from tabsynth.data.sql.check_expressions import Bound, Fact, Membership, parse_check
from tabsynth.data.sql.definitions import (
    ARRAY,
    BINARY,
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    FLOAT,
    INTEGER,
    INTERVAL,
    JSON,
    MONEY,
    UUID,
    XML,
    ColumnDefinition,
    TableDefinition,
    array_length,
    type_size,
)
from tabsynth.errors import SchemaError
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.constraints import Inequality
from tabsynth.schema.schema import Schema

NUMBERS = (INTEGER, DECIMAL, FLOAT, MONEY, INTERVAL)

UUID_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

REPLACEMENTS = {
    JSON: "{}", XML: "<removed/>", BINARY: "", ARRAY: "{}", "inet": "0.0.0.0/32", "cidr": "0.0.0.0/0",
    "macaddr": "00:00:00:00:00:00", "timetz": "00:00:00+00", "time with time zone": "00:00:00+00",
}  # fmt: skip
"""Placeholders of free text for types that accept only a form of text, by family or type."""

TEXT_QUESTION = "the database does not say what the text is: categories, an identifier or free text?"


def schema_from_definition(definition: TableDefinition) -> Schema:
    """Return the schema that a definition alone states.

    Columns of text and of numbers without bounds leave open what they hold: they are marked ``inferred`` where only the
    rows could say it.
    """
    facts = [fact for check in definition.checks for fact in parse_check(check)]
    columns = {column.name: _column(column, definition, facts) for column in definition.columns}
    return _with_constraints(columns, definition, facts)


def merge_schemas(inferred: Schema, declared: Schema, frame: pd.DataFrame) -> Schema:
    """Return the schema of a table that was read: inferred, with what the database declares.

    A kind that the database alone decides is taken from there (an enum, a list of values, a date, a key), another from
    the values, also where they are not what the database declares: SQLite checks no type. NOT NULL, bounds and the type
    in the database are always the declared ones.
    """
    columns = {name: _merge(column, declared.get(name), frame[name]) for name, column in inferred.items()}
    constraints = tuple(one for one in declared.constraints if all(_kind_allows(columns, n) for n in one.columns))
    return Schema(columns, constraints, sdv=declared.sdv)


def _kind_allows(columns: dict[str, Column], name: str) -> bool:
    return isinstance(columns.get(name), (Numeric, Datetime))


def _merge(inferred: Column, declared: Column | None, values: pd.Series) -> Column:
    if declared is None:
        return inferred
    if isinstance(declared, Identifier) and declared.pattern is not None:
        spelled = values.dropna().astype(str).str.fullmatch(declared.pattern)
        declared = declared if bool(spelled.all()) else replace(declared, pattern=None)
    is_other = isinstance(declared, Boolean) and not isinstance(inferred, Boolean) and bool(values.notna().any())
    if declared.origin == "declared" and not isinstance(declared, (Numeric, Datetime)) and not is_other:
        return replace(declared, role=inferred.role)
    if isinstance(declared, Text) and isinstance(inferred, Identifier):  # no key of this form need be a valid value
        return replace(declared, nullable=declared.nullable, role=inferred.role, why=inferred.why)
    changes: dict[str, Any] = {"nullable": declared.nullable, "sql_type": declared.sql_type}
    if isinstance(inferred, Numeric) and isinstance(declared, Numeric):
        changes |= {"low": declared.low, "high": declared.high}
    if isinstance(inferred, Datetime) and isinstance(declared, Datetime):
        changes |= {"low": declared.low, "high": declared.high}
    if isinstance(inferred, Text) and isinstance(declared, Text):
        changes["replacement"] = declared.replacement
    return replace(inferred, **changes)


def _column(column: ColumnDefinition, table: TableDefinition, facts: Iterable[Fact]) -> Column:
    name, family = column.name, column.family
    own = [fact for fact in facts if fact.column == name]
    shared: dict[str, Any] = {"name": name, "nullable": column.nullable, "sql_type": column.type}
    is_key = (name,) == table.primary_key or name in table.unique or any(name in link.columns for link in table.links)
    members = next((fact.values for fact in own if isinstance(fact, Membership)), None)
    if is_key:
        return Identifier(**shared, pattern=UUID_PATTERN if family == UUID else None)
    if column.labels:
        return Categorical(**shared, values=column.labels)
    if family == BOOLEAN:
        return Boolean(**shared)
    if family in (DATE, DATETIME):
        return Datetime(**shared, resolution="D" if family == DATE else None, **_instants(own))
    if members is not None:
        return Categorical(**shared, values=members)
    if family == UUID:
        return Identifier(**shared, pattern=UUID_PATTERN)
    if family in NUMBERS:
        size = type_size(column.type)
        decimals = 0 if family == INTEGER else 2 if family == MONEY else size[1] if family == DECIMAL and size else None
        decimals = decimals if decimals is None or 0 <= decimals <= 17 else None
        bounds = _numbers(own, decimals)
        return Numeric(**shared, decimals=decimals, **bounds)
    placeholder = REPLACEMENTS.get(column.type.lower(), REPLACEMENTS.get(family))
    if placeholder is not None:
        if family == ARRAY and column.type.isupper():  # of DuckDB
            placeholder = f"[{', '.join(['NULL'] * (array_length(column.type) or 0))}]"
        return Text(**shared, origin="inferred", replacement=placeholder)
    return Categorical(**shared, origin="inferred", question=TEXT_QUESTION)


def _numbers(facts: Iterable[Fact], decimals: int | None) -> dict[str, Any]:
    """Return the inclusive bounds; a strict one moves to the next number that the type can hold."""
    low, high = -math.inf, math.inf
    for fact in facts:
        if not isinstance(fact, Bound) or isinstance(fact.value, (str, type(None))):
            continue
        value = float(fact.value)
        step = 0.0 if decimals is None else 10.0**-decimals
        if fact.operator in (">", ">="):
            low = max(low, _beyond(value, step, math.inf) if fact.operator == ">" else value)
        else:
            high = min(high, _beyond(value, step, -math.inf) if fact.operator == "<" else value)
    bounds = {"low": low, "high": high}
    found = {side: int(bound) if bound == int(bound) else bound for side, bound in bounds.items() if abs(bound) < 1e300}
    return found if low <= high else {}


def _beyond(value: float, step: float, direction: float) -> float:
    """Return the next number above or below a strict bound."""
    if not step:
        return math.nextafter(value, direction)
    moved = value + math.copysign(step, direction)
    return round(moved, max(0, round(-math.log10(step))))


def _instants(facts: Iterable[Fact]) -> dict[str, Any]:
    """Return inclusive bounds of dates; strict ones are kept as inclusive, the nearest that text can say."""
    out: dict[str, str] = {}
    for fact in facts:
        if isinstance(fact, Bound) and isinstance(fact.value, str):
            out["low" if fact.operator in (">", ">=") else "high"] = fact.value.replace(" ", "T", 1)
    try:
        Datetime(name="bounds", low=out.get("low"), high=out.get("high"))
    except SchemaError:
        return {}
    return out


def _with_constraints(columns: dict[str, Column], table: TableDefinition, facts: Iterable[Fact]) -> Schema:
    """Add order between two columns, and the primary key, in SDV's words."""
    constraints = []
    for fact in facts:
        if not isinstance(fact, Bound) or fact.other is None or not {fact.column, fact.other} <= set(columns):
            continue
        kinds = {type(columns[name]) for name in (fact.column, fact.other)}
        if kinds not in ({Numeric}, {Datetime}) or fact.column == fact.other:
            continue
        ends = (fact.column, fact.other) if fact.operator[0] == "<" else (fact.other, fact.column)
        constraints.append(Inequality(low=ends[0], high=ends[1], strict="=" not in fact.operator))
    key = list(table.primary_key)
    sdv = {"primary_key": key[0] if len(key) == 1 else key} if key else {}
    return Schema(columns, tuple(constraints), sdv=sdv)
