"""Insert rows of frames into a table, and record completed writes."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from tabsynth.data.lakes.arrow_tables import frame_to_arrow
from tabsynth.data.sql.definitions import DATE, DATETIME, ColumnDefinition, Database, TableDefinition
from tabsynth.data.sql.names import TableName
from tabsynth.errors import DataError, quote
from tabsynth.schema.columns import Datetime
from tabsynth.schema.datetime_formats import format_zone, has_offset
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_instants

CHUNK_ROWS = 1 << 16
"""Rows that are converted and sent at a time."""

MARKS = TableName("tabsynth_writes")
"""Table that records completed writes, in the target database."""


def insert_rows(
    database: Database,
    target: TableName,
    definition: TableDefinition,
    schema: Schema | None,
    frame: pd.DataFrame,
) -> None:
    """Insert the rows of a frame in chunks, without the columns that the database computes.

    Raises:
        DataError: The columns differ from those of the table.
    """
    for start in range(0, len(frame), CHUNK_ROWS):
        part = frame.iloc[start : start + CHUNK_ROWS]
        part = part.drop(columns=[column.name for column in definition.columns if column.generated], errors="ignore")
        rows = to_arrow(part)
        expected = [column.name for column in definition.columns if not column.generated]
        if sorted(rows.column_names) != sorted(expected):
            raise DataError(
                f"the rows have the columns {quote(rows.column_names)}, the table has {quote(expected)}; align them"
            )
        for column in definition.columns:
            given = None if schema is None else schema.get(column.name)
            if column.name in part and column.family in (DATE, DATETIME) and isinstance(given, Datetime):
                place = rows.column_names.index(column.name)
                rows = rows.set_column(place, column.name, _instants(part[column.name], given, column.family))
        database.insert(target, definition, rows)


def mark_written(database: Database, token: str) -> None:
    """Record within the transaction that a write was made, so that its repetition can be recognised."""
    definition = database.definition(MARKS)
    if definition is None:
        definition = TableDefinition((ColumnDefinition("token", database.type_of(pa.string()), nullable=False),))
        database.create(MARKS, definition)
    database.insert(MARKS, definition, pa.table({"token": pa.array([token])}))


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return the rows in types that databases hold.

    Raises:
        DataError: A column has values of several types.
    """
    rows = frame_to_arrow(frame, "a database").replace_schema_metadata(None)
    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":  # no database is finer than microseconds
            moments = rows.column(place).cast(pa.timestamp("us", field.type.tz), safe=False)
            rows = rows.set_column(place, field.name, moments)
    return rows


def _instants(values: pd.Series, column: Datetime, family: str) -> pa.Array:
    """Convert dates stored as text or without a time to the database's type."""
    if isinstance(values.dtype, pd.DatetimeTZDtype) or (
        values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) != "string"
    ):
        return pa.array(values, from_pandas=True)
    instants = to_instants(values, column.format)
    zone = format_zone(column.format)
    if zone is not None and family == DATETIME:
        home = "UTC" if has_offset(column.format) else zone
        return pa.array(instants.dt.tz_localize(home), pa.timestamp("us", zone), from_pandas=True, safe=False)
    moments = pa.array(instants, pa.timestamp("us"), from_pandas=True, safe=False)
    return moments.cast(pa.date32(), safe=False) if family == DATE else moments
