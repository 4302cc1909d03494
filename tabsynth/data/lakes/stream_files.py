"""Files of Arrow (Feather) and of JSON lines."""

from __future__ import annotations

import datetime
import json
import math
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.json

from tabsynth.data.lakes.arrow_tables import frame_to_arrow
from tabsynth.errors import DataError, SourceError, quote

ROWS = 1 << 15
"""Rows that are converted at a time."""


def arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an Arrow file, which may also be a stream.

    Raises:
        SourceError: The file is damaged, or of another kind.
        DataError: Nested columns.
    """
    with path.open("rb") as file:
        try:
            is_file = file.read(6) == b"ARROW1"
            file.seek(0)
            reader: Any = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            _check_flat(path, reader.schema)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else iter(reader)
            for batch in batches:
                batch.validate(full=True)  # offsets of a damaged file would read other memory
                yield batch
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{str(path)!r} is not Arrow, or is damaged or cut short: {error}") from error


def read_json_lines(path: Path) -> pa.Table:
    """Read one JSON object for each line.

    Raises:
        DataError: A line is not an object, a column mixes types, or is nested.
        SourceError: The file cannot be read.
    """
    try:
        table = pyarrow.json.read_json(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{str(path)!r} is not a table as JSON lines: {error}") from error
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    _check_flat(path, table.schema)
    return table


def _check_flat(path: Path, schema: pa.Schema) -> None:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise DataError(f"{str(path)!r} has duplicate column names: {quote(twice)}; give every column its own name")
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested:
        raise DataError(f"{str(path)!r} has nested columns: {quote(nested)}; flatten or drop them")


def write_json_lines(frame: pd.DataFrame, sink: IO[bytes]) -> None:
    """Write each row as a JSON object; missing values are null, dates ISO 8601 text.

    Raises:
        DataError: A column has values of several types, or infinite numbers.
    """
    for start in range(0, len(frame), ROWS):
        table = frame_to_arrow(frame.iloc[start : start + ROWS], "JSON")
        for row in table.to_pylist():
            plain = {name: _plain(name, value) for name, value in row.items()}
            sink.write(json.dumps(plain, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _plain(name: str, value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (datetime.timedelta, uuid.UUID)):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        raise DataError(f"column {name!r}: JSON cannot hold infinite numbers; write CSV or Parquet")
    return None if isinstance(value, float) and math.isnan(value) else value
