"""Rows of drivers that return Python objects, as Arrow batches, and back."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tabsynth.data.sql.definitions import DECIMAL_FIELD
from tabsynth.data.sql.names import check_names
from tabsynth.errors import DataError

BATCH_ROWS = 1 << 15


def row_batches(
    names: Sequence[str], chunks: Iterable[Sequence[Sequence[Any]]], booleans: Iterable[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yield chunks of rows as batches, at least one; ``booleans`` are columns of 0 and 1."""
    check_names(names)
    is_empty = True
    for rows in chunks:
        is_empty = False
        yield rows_to_batch(names, rows, booleans)
    if is_empty:
        yield pa.RecordBatch.from_pylist([], schema=pa.schema([(name, pa.string()) for name in names]))


def rows_to_batch(names: Sequence[str], rows: Sequence[Sequence[Any]], booleans: Iterable[str] = ()) -> pa.RecordBatch:
    """Convert rows to a batch.

    Args:
        names: The columns.
        rows: The rows.
        booleans: Columns of 0 and 1 that mean false and true.

    Raises:
        DataError: A column mixes types.
    """
    flags = set(booleans)
    arrays, fields = [], []
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        array, metadata = _array(name, list(values), is_boolean=name in flags)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=metadata))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _array(name: str, values: list[Any], *, is_boolean: bool) -> tuple[pa.Array, dict[bytes, bytes] | None]:
    kinds = {type(value) for value in values if value is not None}
    if is_boolean and kinds <= {int, bool} and {*values} <= {0, 1, None}:
        return pa.array([None if value is None else bool(value) for value in values], pa.bool_()), None
    if Decimal in kinds and kinds <= {Decimal, int}:
        return pa.array([None if value is None else str(value) for value in values], pa.string()), DECIMAL_FIELD
    if kinds == {int, float}:
        values = [None if value is None else float(value) for value in values]
    elif kinds & {uuid.UUID, datetime.time, datetime.timedelta, bytes, memoryview}:
        values = [_plain(value) for value in values]
    try:
        return pa.array(values), None
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    found = " and ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(f"column {name!r} mixes {found}, or holds values of a type that no column has; cast it in a query")


def _plain(value: Any) -> Any:
    """Return the times and identifiers as text, intervals as seconds, bytes in hexadecimal."""
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    return value if value is None else str(value)


def batch_to_rows(rows: pa.Table, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of Python objects, in lists of limited length."""
    for batch in rows.select(list(columns)).to_batches(max_chunksize=BATCH_ROWS):
        yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
