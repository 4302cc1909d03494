"""Read Parquet files; integers and booleans with missing values become nullable."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tabsynth.data.file_formats import EmptyTableError
from tabsynth.data.provenance import attach_provenance, from_metadata
from tabsynth.errors import DataError, SourceError, quote
from tabsynth.schema.cell_types import check_dates


def open_parquet(path: Path) -> pyarrow.parquet.ParquetFile:
    """Open a Parquet file, and check its columns and rows.

    Raises:
        SourceError: The file is damaged, or of another kind.
        DataError: Duplicate or nested columns, or no rows.
    """
    try:
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False)  # a buffer holds all that was read
        schema = file.schema_arrow
    except Exception as error:  # damaged files raise any kind of error
        raise SourceError(f"{str(path)!r} is not Parquet, or is damaged or cut short: {error}") from error
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    fault = f"has duplicate column names: {quote(twice)}; give every column a unique name" if twice else ""
    fault = fault or (f"has nested columns: {quote(nested)}; flatten or drop them" if nested else "")
    empty = not fault and not file.metadata.num_rows
    fault = "has columns but no rows" if empty else fault
    if fault:
        file.close()
        raise (EmptyTableError if empty else DataError)(f"{str(path)!r} {fault}")
    return file


def arrow_to_frame(table: pa.Table) -> pd.DataFrame:
    """Return the Arrow to pandas; integers and booleans with missing values become nullable."""
    try:
        frame: pd.DataFrame = attach_provenance(table.to_pandas(), from_metadata(table.schema))
    except Exception as error:  # damaged metadata of pandas raises any kind of error
        check_dates(table)
        raise SourceError(f"its metadata of pandas are damaged ({error}); write the file again") from error
    if not isinstance(frame.index, pd.RangeIndex):
        named = [name for name in frame.index.names if name is not None]
        frame = frame.reset_index(level=named) if named else frame
        frame = frame.reset_index(drop=True)[[n for n in table.column_names if n in frame.columns]]
    for field in table.schema:
        if field.name not in frame.columns:
            continue
        column, values = table.column(field.name), frame[field.name]
        if pa.types.is_integer(field.type) and not pd.api.types.is_integer_dtype(values.dtype) and column.null_count:
            frame[field.name] = column.to_pandas(types_mapper=lambda kind: getattr(pd, _nullable_dtype(kind))())
        elif _has_zoned_categories(field.type) and values.dtype.categories.tz is None:
            categories = values.cat.categories.tz_localize("UTC").tz_convert(field.type.value_type.tz)
            frame[field.name] = values.cat.rename_categories(categories)
        elif pa.types.is_boolean(field.type) and values.dtype == object:
            frame[field.name] = values.astype("boolean")
        elif pa.types.is_decimal(field.type):
            exact = all(value is None or Decimal(repr(float(value))) == value for value in values)
            frame[field.name] = values.astype(np.float64) if exact else values
    return frame


def _has_zoned_categories(kind: pa.DataType) -> bool:
    """Return whether these are categories of moments with a time zone, which Arrow's conversion removes."""
    return pa.types.is_dictionary(kind) and pa.types.is_timestamp(kind.value_type) and kind.value_type.tz is not None


def _nullable_dtype(kind: pa.DataType) -> str:
    """Return the name of pandas' nullable dtype for an Arrow integer."""
    return str(kind).replace("uint", "UInt").replace("int", "Int") + "Dtype"
