"""The definition of a new table, from the schema and, where that has no type, from the rows."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

import pyarrow as pa

from tabsynth.data.sql.definitions import (
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    ENUM,
    ENUM_TYPE,
    FLOAT,
    INTEGER,
    OTHER,
    TEXT,
    ColumnDefinition,
    Database,
    TableDefinition,
    is_type_name,
    type_family,
)
from tabsynth.data.sql.names import TableName, quote_identifier, quote_literal
from tabsynth.schema.columns import Categorical, Column, Datetime, Numeric
from tabsynth.schema.constraints import Inequality
from tabsynth.schema.datetime_formats import format_zone
from tabsynth.schema.schema import Schema


def new_definition(database: Database, rows: pa.Schema, schema: Schema | None) -> TableDefinition:
    """Return the definition of a table for rows.

    The type of a column is the one that the schema took from a database, if this database knows it, else follows from
    the rows. NOT NULL, the primary key, bounds and lists of values are those of the schema.

    Args:
        database: Database of the new table.
        rows: The rows' Arrow types.
        schema: The schema of the table.
    """
    known = schema if schema is not None else Schema({})
    columns = tuple(_column(database, field, known.get(field.name)) for field in rows)
    families = {column.name: column.family for column in columns}
    key = known.sdv.get("primary_key")
    keys = (key,) if isinstance(key, str) else tuple(key or ())
    checks = [check for name in rows.names if name in known for check in _checks(known[name], families[name])]
    for constraint in known.constraints:
        if isinstance(constraint, Inequality) and set(constraint.columns) <= set(rows.names):
            sign = "<" if constraint.strict else "<="
            checks.append(f"{quote_identifier(constraint.low)} {sign} {quote_identifier(constraint.high)}")
    return TableDefinition(columns, keys if set(keys) <= set(rows.names) else (), checks=tuple(checks))


def create_statement(name: TableName, definition: TableDefinition, types: Sequence[str] | None = None) -> str:
    """Return the statement that creates a table."""
    types = types or [column.type for column in definition.columns]
    parts = [
        f"{quote_identifier(column.name)} {spelled}{'' if column.nullable else ' NOT NULL'}"
        for column, spelled in zip(definition.columns, types, strict=True)
    ]
    if definition.primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quote_identifier, definition.primary_key))})")
    parts += [f"CHECK ({check})" for check in definition.checks]
    for link in definition.links:
        own, other = (", ".join(map(quote_identifier, names)) for names in (link.columns, link.parent_columns))
        parts.append(f"FOREIGN KEY ({own}) REFERENCES {link.parent.sql}{f' ({other})' if other else ''}")
    return f"CREATE TABLE {name.sql} ({', '.join(parts)})"


def _column(database: Database, field: pa.Field, column: Column | None) -> ColumnDefinition:
    quote_identifier(field.name)
    nullable = column is None or column.nullable
    declared = column.sql_type if column is not None and is_type_name(column.sql_type) else ""
    if declared and database.accepts(declared):
        return ColumnDefinition(field.name, declared, nullable)
    is_enum = type_family(declared) == OTHER and isinstance(column, Categorical) and _are_text(column.values)
    if declared and is_enum and (declared == ENUM_TYPE) != database.enums_have_names:
        # An enum of another database: the same name and labels, created here.
        return ColumnDefinition(
            field.name, declared, nullable, labels=tuple(map(str, getattr(column, "values", None) or ()))
        )
    kind = field.type
    if isinstance(column, Datetime) and (
        pa.types.is_timestamp(kind) or (pa.types.is_string(kind) and _is_date(column))
    ):
        zone = kind.tz if pa.types.is_timestamp(kind) else format_zone(column.format)
        kind = pa.date32() if column.resolution == "D" and zone is None else pa.timestamp("us", zone)
    return ColumnDefinition(field.name, database.type_of(kind), nullable)


def _is_date(column: Datetime) -> bool:
    """Return whether text of the column's format is a whole date, not a time or a month alone."""
    parts = set(re.findall(r"%[-^]?([A-Za-z])", column.format or "%Y %d"))
    return bool(parts & set("YyGc")) and bool(parts & set("dejuc"))


def _are_text(values: Sequence[object] | None) -> bool:
    return bool(values) and all(isinstance(value, str) for value in values or ())


def _moment(bound: object) -> str:
    """Return a bound in the form of stored moments: SQLite compares them as text, and a day is before its midnight."""
    try:
        return datetime.datetime.fromisoformat(str(bound)).isoformat(sep=" ")
    except ValueError:
        return str(bound)


def _checks(column: Column, family: str) -> list[str]:
    """Return the CHECK expressions for bounds and lists of values, in a type that can be compared with them."""
    name = quote_identifier(column.name)
    out = []
    is_number = isinstance(column, Numeric) and family in (INTEGER, DECIMAL, FLOAT)
    if is_number or (isinstance(column, Datetime) and family in (DATE, DATETIME)):
        ends = (("low", ">="), ("high", "<="))
        bounds = [(sign, getattr(column, side)) for side, sign in ends if getattr(column, side) is not None]
        literals = [(sign, quote_literal(_moment(bound) if family == DATETIME else bound)) for sign, bound in bounds]
        out += [" AND ".join(f"{name} {sign} {literal}" for sign, literal in literals)] if bounds else []
    if isinstance(column, Categorical) and column.values is not None and family not in (ENUM, BOOLEAN):
        comparable = family == TEXT if _are_text(column.values) else family in (INTEGER, DECIMAL, FLOAT)
        out += [f"{name} IN ({', '.join(map(quote_literal, column.values))})"] if comparable else []
    return out
