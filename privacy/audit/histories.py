"""Histories of linked tables as rows: one for each root row, with its columns and a summary of all rows below it."""

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
from tabsynth.evaluation.inputs import fingerprint
from tabsynth.schema.columns import Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

Tables = Mapping[str, pd.DataFrame]

N_VALUES = 5
"""Most frequent values of a category of which a history's share is a column."""


def audit_rows(
    train: Tables, synthetic: Any, holdout: Any, schema: Any
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None, Schema]:
    """Return the histories of three databases as tables that an audit of rows attacks, and their schema.

    Args:
        train: The real tables that the model learned from.
        synthetic: The synthetic tables.
        holdout: Real tables of other root rows, or None.
        schema: The database's schema.

    Raises:
        InputError: An argument is no mapping of tables by name, or a table is missing.
        DataError: The root table has no rows, or holds a held-out key.
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
            raise InputError(f"{side} has no table {quote(missing)}")
    frames, columns = join_histories(list(given.values()), schema)
    return frames[0], frames[1], frames[2] if holdout is not None else None, columns


def table_fingerprints(train: Any, synthetic: Any, holdout: Any) -> dict[str, Any]:
    """Return the provenance of linked tables: rows and hash of each table; nothing for one table."""
    sides = {"train": train, "synthetic": synthetic, "holdout": holdout}
    linked = {side: tables for side, tables in sides.items() if isinstance(tables, Mapping)}
    found = {
        side: {name: {"rows": len(frame), "sha256": fingerprint(frame)} for name, frame in tables.items()}
        for side, tables in linked.items()
    }
    return {"linked_tables": found} if found else {}


def join_histories(databases: Sequence[Tables], schema: DatabaseSchema) -> tuple[list[pd.DataFrame], Schema]:
    """Return one row for each root row of each database, and the schema of these rows.

    Of every table below the root a row has the number of its rows; of a number or date its mean, least and greatest; of
    a category the first and the last, the number of different ones and the shares of the most frequent.

    Args:
        databases: Their tables by name.
        schema: Their schema.

    Raises:
        DataError: A root table has no rows.
    """
    root = root_table(schema)
    if any(not len(tables[root]) for tables in databases):
        raise DataError(f"the root table {root!r} has no rows; its rows are the units of the audit")
    columns = dict(_attacked(schema, root))
    if columns and not Schema(columns).with_role("sensitive"):
        columns = {name: replace(column, role=column.role or "sensitive") for name, column in columns.items()}
    frames = [tables[root][list(columns)].reset_index(drop=True) for tables in databases]
    roots = [root_rows(tables, schema) for tables in databases]
    for name in tables_below(schema, root)[1:]:
        parts = [_sorted(tables[name], own[name], schema, name) for tables, own in zip(databases, roots, strict=True)]
        made: list[dict[str, pd.Series]] = [
            {f"{name}.count": pd.Series(np.bincount(rows, minlength=len(frame)))}
            for (_, rows), frame in zip(parts, frames, strict=True)
        ]
        columns[f"{name}.count"] = Numeric(name=f"{name}.count", decimals=0)
        for column in _attacked(schema, name).values():
            for part, own in zip(made, _summaries(column, parts), strict=True):
                part |= {f"{name}.{column.name}.{what}": values for what, values in own.items()}
        for item, values in made[0].items():
            kind = Numeric if pd.api.types.is_numeric_dtype(values.dtype) else Categorical
            columns.setdefault(item, kind(name=item, nullable=True))
        frames = [
            pd.concat([frame, pd.DataFrame(part).reindex(frame.index)], axis=1)
            for frame, part in zip(frames, made, strict=True)
        ]
    return frames, Schema(columns)


def _attacked(schema: DatabaseSchema, name: str) -> dict[str, Column]:
    """Return the columns of a table that are no keys, identifiers or text."""
    keys = {schema.primary_keys.get(name), *(key.column for key in schema.foreign_keys if key.table == name)}
    own = schema.tables[name].items()
    return {column: kind for column, kind in own if column not in keys and not isinstance(kind, (Identifier, Text))}


def _sorted(frame: pd.DataFrame, roots: Integers, schema: DatabaseSchema, name: str) -> tuple[pd.DataFrame, Integers]:
    """Return the rows that have a root, sorted by root and time, and their roots."""
    order = schema.order.get(name)
    times = np.zeros(len(frame)) if order is None else numeric_values(schema.tables[name][order], frame[order])
    chosen = np.lexsort((times, roots))
    chosen = chosen[roots[chosen] >= 0]
    return frame.iloc[chosen].reset_index(drop=True), roots[chosen]


def _summaries(column: Column, parts: Sequence[tuple[pd.DataFrame, Integers]]) -> list[dict[str, pd.Series]]:
    """Return what the rows of each history add up to in one column, for each database."""
    if isinstance(column, (Numeric, Datetime)):
        found = [pd.Series(numeric_values(column, frame[column.name])).groupby(rows) for frame, rows in parts]
        return [{"mean": own.mean(), "least": own.min(), "greatest": own.max()} for own in found]
    text = [frame[column.name].astype(object).map(_spelled, na_action="ignore") for frame, _ in parts]
    often = pd.concat(text).value_counts().index[:N_VALUES]
    out = []
    for values, (_, rows) in zip(text, parts, strict=True):
        own = values.groupby(rows)
        shares = {f"share {value}": (values == value).groupby(rows).mean() for value in often}
        out.append({"first": own.first(), "last": own.last(), "different": own.nunique().astype(float), **shares})
    return out


def _spelled(value: Any) -> str:
    """Return a category as text; whole numbers are spelled alike in every dtype."""
    return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)
