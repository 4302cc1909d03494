"""Common column types: convert the sources' columns to Arrow, find a type that fits all, and cast to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tabsynth.errors import InputError
from tabsynth.mixing.plan.entries import code_texts

MAX_EXACT_FLOAT = 2**53
"""Whole floats below are exact integers."""


@dataclass
class ColumnType:
    """The type of one column of one source.

    Attributes:
        type: The Arrow type.
        numbers: Whether all values are numbers, including numbers mapped from codes.
        whole: Whether all numbers are whole and at most ``MAX_EXACT_FLOAT`` in size.
        empty: Whether all values are missing.
    """

    type: pa.DataType
    numbers: bool = True
    whole: bool = True
    empty: bool = False

    def add(self, other: ColumnType) -> None:
        """Merge another batch."""
        self.numbers &= other.numbers
        self.whole &= other.whole
        self.empty &= other.empty


def to_arrow(values: pd.Series) -> tuple[pa.Array, ColumnType]:
    """Convert to Arrow: numbers and dates keep their type, other values become text."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        dates = _plain_array(values)
        dates = dates.cast(pa.timestamp("ns", dates.type.tz))
        return dates, ColumnType(dates.type, numbers=False)
    if _has_number_dtype(values):
        if pd.api.types.is_float_dtype(values.dtype):
            return _plain_array(values).cast(pa.float64()), ColumnType(pa.float64(), whole=_are_whole(values.dropna()))
        if not (values > np.iinfo(np.int64).max).any():
            whole = not ((values > MAX_EXACT_FLOAT) | (values < -MAX_EXACT_FLOAT)).any()
            return _plain_array(values).cast(pa.int64()), ColumnType(pa.int64(), whole=whole)
    present = values.dropna()
    numbers = not _has_number_dtype(values) and all(
        isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in present
    )
    whole = not numbers or _are_whole(pd.to_numeric(present))
    text = pa.array(code_texts(values), pa.string(), from_pandas=True)
    return text, ColumnType(pa.string(), numbers, whole, empty=present.empty)


def common_type(column: str, types: Mapping[str, ColumnType]) -> pa.DataType:
    """Return the type of a column of the mixed table, given its type in each source.

    Zoned dates take the zone of the first source; their instants are unchanged.

    Raises:
        InputError: Some sources have dates and others do not, only some of them have a time zone, or one has integers
            that the floats of another cannot hold.
    """
    filled = {source: item for source, item in types.items() if not item.empty} or types
    dates = {source: item.type for source, item in filled.items() if pa.types.is_timestamp(item.type)}
    if dates:
        if len(dates) < len(filled):
            other = next(source for source in filled if source not in dates)
            raise InputError(
                f"column {column!r} has dates in {next(iter(dates))!r}, but not in {other!r}; map it to a datetime "
                "column, with the format of its dates"
            )
        naive = [source for source, kind in dates.items() if kind.tz is None]
        if naive and len(naive) < len(dates):
            zoned, kind = next((source, kind) for source, kind in dates.items() if kind.tz is not None)
            raise InputError(
                f"column {column!r} has the time zone {kind.tz} in {zoned!r} and none in {naive[0]!r}; give both a "
                "time zone, or none (dt.tz_localize)"
            )
        return next(iter(dates.values()))
    if all(item.numbers for item in filled.values()):
        integers = all(item.type == pa.int64() or item.whole for item in filled.values())
        large = [source for source, item in filled.items() if item.type == pa.int64() and not item.whole]
        if large and not integers:
            floats = next(source for source, item in filled.items() if item.type != pa.int64() and not item.whole)
            raise InputError(
                f"column {column!r} has integers above 2**53 in {large[0]!r}, and decimals or numbers as large in "
                f"{floats!r}, whose type may have rounded them; read the column as text in both sources"
            )
        return pa.int64() if integers else pa.float64()
    return pa.string()


def cast_to(values: Any, wanted: pa.DataType) -> Any:
    """Cast a column to its type in the mixed table."""
    if values.type == wanted:
        return values
    if wanted == pa.string() and pa.types.is_floating(values.type):
        return pa.array(code_texts(values.to_pandas()), pa.string(), from_pandas=True)
    if wanted == pa.int64() and values.type == pa.string():
        values = values.cast(pa.float64())
    return values.cast(wanted)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert to pandas: integers are nullable only where values are missing."""
    frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return pd.DataFrame({name: compact_integers(frame[name]) for name in frame}, index=range(len(frame)))


def compact_integers(values: pd.Series) -> pd.Series:
    """Convert nullable integers without missing values to plain integers."""
    whole = pd.api.types.is_integer_dtype(values.dtype)
    return values.astype("int64") if whole and values.notna().all() else values


def _plain_array(values: pd.Series) -> Any:
    array = pa.array(values, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _has_number_dtype(values: pd.Series) -> bool:
    kind = values.dtype
    return bool(pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind))


def _are_whole(numbers: pd.Series) -> bool:
    return bool((numbers % 1 == 0).all() and (not len(numbers) or numbers.abs().max() < MAX_EXACT_FLOAT))
