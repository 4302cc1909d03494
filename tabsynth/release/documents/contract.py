"""The data contract: public facts of the columns, as a pandera schema and a Frictionless Table Schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from tabsynth.common.formula_cells import mark_formula
from tabsynth.errors import InputError
from tabsynth.schema.columns import Categorical, Column, Datetime, Identifier, Numeric
from tabsynth.schema.datetime_formats import default_format
from tabsynth.schema.schema import Schema

PANDERA_VERSION = "0.20.0"
"""The version of pandera's format that the contract is written in."""


@dataclass(frozen=True)
class PublicColumn:
    """Facts about a column that a release may publish: declared ones, and those of the synthetic rows.

    Facts that were inferred from the real rows are left out, for a bound or a rare value may be a person's.
    """

    name: str
    type: str
    """``integer``, ``number``, ``boolean``, ``string``, ``date`` or ``datetime``."""

    dtype: str
    nullable: bool
    description: str = ""
    low: float | None = None
    high: float | None = None
    values: tuple[str | int | float | bool, ...] | None = None
    unique: bool = False
    format: str = ""


def public_columns(frame: pd.DataFrame, schema: Schema) -> list[PublicColumn]:
    """Return the public facts of each column.

    Raises:
        InputError: A column has a type that no contract names.
    """
    return [_public_column(frame[name], schema[name]) for name in frame.columns]


def _public_column(values: pd.Series, column: Column) -> PublicColumn:
    kind, dtype = _type_of(values)
    declared = column.origin != "inferred"
    missing = bool(values.isna().any())
    facts: dict[str, Any] = {"nullable": missing or (declared and column.nullable), "description": column.description}
    if isinstance(column, Numeric) and declared and kind in ("integer", "number"):
        facts |= {"low": column.low, "high": column.high}
    if isinstance(column, Categorical) and kind == "string":
        shown = sorted({str(value) for value in values.dropna()})
        facts["values"] = tuple(map(str, column.values)) if declared and column.values else tuple(shown)
    if isinstance(column, Identifier):
        facts["unique"] = not missing and bool(values.is_unique)
    if isinstance(column, Datetime) and kind == "string" and (column.format or "").startswith("%Y-%m-%d"):
        kind, facts["format"] = "datetime", column.format
    elif kind == "datetime":
        facts["format"] = default_format(values)
    if kind == "datetime":
        kind = "date" if facts["format"] == "%Y-%m-%d" else kind
    return PublicColumn(column.name, kind, dtype, **facts)


def _type_of(values: pd.Series) -> tuple[str, str]:
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return "string", "category"
    if pd.api.types.is_bool_dtype(kind):
        return "boolean", str(kind)
    if pd.api.types.is_integer_dtype(kind):
        return "integer", str(kind)
    if pd.api.types.is_float_dtype(kind):
        return "number", str(kind)
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "datetime", str(kind)
    if pd.api.types.is_string_dtype(kind) or pd.api.types.is_object_dtype(kind):
        return "string", "str"
    raise InputError(f"column {values.name!r}: a release has no type for {kind}; convert it to text")


def pandera_yaml(columns: Sequence[PublicColumn], title: str) -> str:
    """Return the contract in pandera's YAML (``pandera.io.from_yaml``)."""
    out: dict[str, Any] = {}
    for column in columns:
        checks: dict[str, Any] = {}
        if column.low is not None:
            checks["greater_than_or_equal_to"] = column.low
        if column.high is not None:
            checks["less_than_or_equal_to"] = column.high
        if column.values is not None:
            checks["isin"] = list(column.values)
        out[column.name] = {
            "title": None,
            "description": column.description or None,
            "dtype": column.dtype,
            "nullable": column.nullable,
            "checks": checks or None,
            "unique": column.unique,
            "coerce": False,
            "required": True,
            "regex": False,
        }
    whole = {
        "schema_type": "dataframe",
        "version": PANDERA_VERSION,
        "columns": out,
        "checks": None,
        "index": None,
        "dtype": None,
        "coerce": False,
        "strict": True,
        "name": None,
        "ordered": True,
        "unique": None,
        "report_duplicates": "all",
        "unique_column_names": True,
        "add_missing_columns": False,
        "title": title or None,
        "description": None,
    }
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=1000)


def table_schema(columns: Sequence[PublicColumn]) -> dict[str, Any]:
    """Return the contract as a Frictionless Table Schema, for the CSV file, in which formulas are marked."""
    fields = []
    for column in columns:
        entry: dict[str, Any] = {"name": mark_formula(column.name), "type": column.type}
        if column.description:
            entry["description"] = column.description
        if column.format:
            entry["format"] = column.format
        if column.type == "boolean":
            entry |= {"trueValues": ["True"], "falseValues": ["False"]}
        limits: dict[str, Any] = {"required": not column.nullable, "unique": column.unique}
        limits |= {} if column.low is None else {"minimum": column.low}
        limits |= {} if column.high is None else {"maximum": column.high}
        limits |= {} if column.values is None else {"enum": [mark_formula(str(value)) for value in column.values]}
        fields.append({**entry, "constraints": {key: value for key, value in limits.items() if value is not False}})
    return {"fields": fields, "missingValues": [""]}


def csv_schema(frame: pd.DataFrame) -> Schema:
    """Return a schema with which the CSV file has the contract's formats: ISO 8601, the coarsest that is exact."""
    return Schema(
        {
            name: Datetime(name=name, format=default_format(frame[name]))
            for name in frame.columns
            if pd.api.types.is_datetime64_any_dtype(frame[name].dtype)
        }
    )
