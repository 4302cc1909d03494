"""Histories of linked tables as rows: a row for each root row, with its columns and a summary of all rows below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import numeric_values
from tabsynth.common.arrays import Integers
from tabsynth.data.database.root_rows import root_rows, root_table, tables_below
from tabsynth.errors import DataError, InputError, quote
from tabsynth.evaluation.inputs import describe_frame
from tabsynth.schema.columns import Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

Tables = Mapping[str, pd.DataFrame]

N_VALUES = 5
"""Number of most frequent categories whose shares in a history become columns."""


def audit_rows(
    train: Tables, synthetic: Any, holdout: Any, schema: Any
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None, Schema]:
    """Convert linked tables to tables of histories, for an audit of rows, and return their schema.

    Args:
        train: The training tables.
        synthetic: The synthetic tables.
        holdout: Real tables of other root rows, or None.
        schema: The schema of the linked tables.

    Raises:
        InputError: An argument is not a mapping of tables by name, or a table is missing.
        DataError: The root table has no rows.
    """
    if not isinstance(schema, DatabaseSchema):
        raise InputError("an audit of linked tables needs their DatabaseSchema as schema=")
    named = {"train": train, "synthetic": synthetic, "holdout": holdout}
    given = {side: tables for side, tables in named.items() if tables is not None}
    for side, tables in given.items():
        if not isinstance(tables, Mapping):
            raise InputError(f"{side} must be a mapping of frames by name, as train is, not {type(tables).__name__}")
        missing = [name for name in schema.tables if name not in tables and name not in schema.reference]
        if missing:
            raise InputError(f"{side} has no table {quote(missing)}; pass the tables of the schema in every argument")
    frames, columns = join_histories(list(given.values()), schema)
    return frames[0], frames[1], frames[2] if holdout is not None else None, columns


def table_fingerprints(train: Any, synthetic: Any, holdout: Any) -> dict[str, Any]:
    """Return the provenance of linked tables: rows and hash of each table; nothing for one table."""
    sides = {"train": train, "synthetic": synthetic, "holdout": holdout}
    linked = {side: tables for side, tables in sides.items() if isinstance(tables, Mapping)}
    found = {side: {name: describe_frame(frame) for name, frame in tables.items()} for side, tables in linked.items()}
    return {"linked_tables": found} if found else {}


def join_histories(databases: Sequence[Tables], schema: DatabaseSchema) -> tuple[list[pd.DataFrame], Schema]:
    """Return a row for each root row of each database, and the schema of these rows.

    For every table below the root, a row has the number of its rows; for numbers and dates the mean, minimum and
    maximum; for categories the first and last value, the number of distinct ones and the shares of the most frequent.

    Args:
        databases: Their tables by name.
        schema: Their schema.

    Raises:
        DataError: A root table has no rows.
    """
    root = root_table(schema)
    if any(not len(tables[root]) for tables in databases):
        raise DataError(f"the root table {root!r} has no rows; its rows are the records of the audit")
    columns = dict(_attackable_columns(schema, root))
    if columns and not Schema(columns).with_role("sensitive"):
        columns = {name: replace(column, role=column.role or "sensitive") for name, column in columns.items()}
    frames = [tables[root][list(columns)].reset_index(drop=True) for tables in databases]
    roots = [root_rows(tables, schema) for tables in databases]
    for name in tables_below(schema, root)[1:]:
        parts = [
            _sort_by_root(tables[name], values_or_rows[name], schema, name)
            for tables, values_or_rows in zip(databases, roots, strict=True)
        ]
        summaries: list[dict[str, pd.Series]] = [
            {f"{name}.count": pd.Series(np.bincount(rows, minlength=len(frame)))}
            for (_, rows), frame in zip(parts, frames, strict=True)
        ]
        columns[f"{name}.count"] = Numeric(name=f"{name}.count", decimals=0)
        for column in _attackable_columns(schema, name).values():
            for part, values_or_rows in zip(summaries, _summarise(column, parts), strict=True):
                part |= {f"{name}.{column.name}.{what}": values for what, values in values_or_rows.items()}
        for item, values in summaries[0].items():
            kind = Numeric if pd.api.types.is_numeric_dtype(values.dtype) else Categorical
            columns.setdefault(item, kind(name=item, nullable=True))
        frames = [
            pd.concat([frame, pd.DataFrame(part).reindex(frame.index)], axis=1)
            for frame, part in zip(frames, summaries, strict=True)
        ]
    return frames, Schema(columns)


def _attackable_columns(schema: DatabaseSchema, name: str) -> dict[str, Column]:
    """Return the columns of a table other than keys, identifiers and text."""
    keys = {schema.primary_keys.get(name), *(key.column for key in schema.foreign_keys if key.table == name)}
    schema_columns = schema.tables[name].items()
    return {
        column: kind
        for column, kind in schema_columns
        if column not in keys and not isinstance(kind, (Identifier, Text))
    }


def _sort_by_root(
    frame: pd.DataFrame, roots: Integers, schema: DatabaseSchema, name: str
) -> tuple[pd.DataFrame, Integers]:
    """Return the rows that have a root row, sorted by root row and time, and the numbers of their root rows."""
    order = schema.order.get(name)
    times = np.zeros(len(frame)) if order is None else numeric_values(schema.tables[name][order], frame[order])
    chosen = np.lexsort((times, roots))
    chosen = chosen[roots[chosen] >= 0]
    return frame.iloc[chosen].reset_index(drop=True), roots[chosen]


def _summarise(column: Column, parts: Sequence[tuple[pd.DataFrame, Integers]]) -> list[dict[str, pd.Series]]:
    """Return the summaries of a column over the rows of each history, for each database."""
    if isinstance(column, (Numeric, Datetime)):
        groups = [pd.Series(numeric_values(column, frame[column.name])).groupby(rows) for frame, rows in parts]
        return [{"mean": group.mean(), "least": group.min(), "greatest": group.max()} for group in groups]
    text = [frame[column.name].astype(object).map(_to_text, na_action="ignore") for frame, _ in parts]
    frequent = pd.concat(text).value_counts().index[:N_VALUES]
    out = []
    for values, (_, rows) in zip(text, parts, strict=True):
        group = values.groupby(rows)
        shares = {f"share {value}": (values == value).groupby(rows).mean() for value in frequent}
        out.append({"first": group.first(), "last": group.last(), "different": group.nunique().astype(float), **shares})
    return out


def _to_text(value: Any) -> str:
    """Return a category as text; whole numbers have the same text in every dtype."""
    return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)
