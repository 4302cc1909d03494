"""Row-wise preprocessing under a public schema: parse, clamp, default. No row affects another row's result.

Values beyond the bounds are clamped; values that cannot be parsed as their column's kind count as missing. An
undeclared category becomes "other" if that is declared, otherwise it counts as missing. In a column that is not
nullable, missing cells become the last value: the largest number, the last declared category. Errors, warnings, columns
and types never depend on the data.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.privacy.mechanisms.canonical_cells import cells_to_text, encode_text, to_date_text, to_numbers, to_text
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Numeric, to_naive_utc
from tabsynth.schema.datetime_formats import parse_text
from tabsynth.schema.schema import Schema

_FIRST, _LAST = pd.Timestamp.min.ceil("D").to_pydatetime(), pd.Timestamp.max.floor("D").to_pydatetime()

OTHER = "other"
"""The category that replaces all undeclared ones, if it is declared."""


def private_table(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Preprocess a table; called inside a mechanism's read, after the charge.

    Args:
        frame: The raw rows, with bounded contributions of each person.
        schema: A schema that passes ``private_schema``.

    Returns:
        Columns in the schema's order: numbers as float64, dates as naive UTC ``datetime64[ns]``, categories and
        booleans as objects of the schema's own values, identifiers and text as ``"present"`` or None.
    """
    out = {name: private_column(frame[name], column) for name, column in schema.items()}
    return pd.DataFrame(out, index=pd.RangeIndex(len(frame)))


def private_column(values: pd.Series, column: Column) -> pd.Series:
    """Preprocess one column."""
    if isinstance(column, Numeric):
        return pd.Series(_clamp_numbers(column, to_numbers(values)))
    if isinstance(column, Datetime):
        return pd.Series(_clamp_dates(column, to_dates(values, column.format)))
    texts = to_text(values)
    if isinstance(column, Boolean):
        default = None if column.nullable else True
        return _map_to_declared(texts, _SPELLINGS, default, default)
    if isinstance(column, Categorical):
        declared = column.values or ()
        known = {text: value for text, value in zip(cells_to_text(declared), declared, strict=True) if text is not None}
        absent = None if column.nullable else (column.values or (None,))[-1]
        return _map_to_declared(texts, known, absent, OTHER if OTHER in known else absent)
    present = {text: "present" for text in texts if text is not None}
    return _map_to_declared(texts, present, None if column.nullable else "present", "present")


_SPELLINGS = {"False": False, "True": True, "0": False, "1": True}


def _map_to_declared(texts: npt.NDArray[np.object_], known: dict[str, Any], absent: Any, unknown: Any) -> pd.Series:
    """Return the declared values of texts, ``absent`` for missing and ``unknown`` for undeclared ones."""
    codes, uniques = encode_text(texts)
    table = np.empty(len(uniques), dtype=object)
    table[:] = [absent if text is None else known.get(text, unknown) for text in uniques]
    return pd.Series(table[codes], dtype=object)


def _clamp_numbers(column: Numeric, data: Floats) -> Floats:
    low = -math.inf if column.low is None else column.low
    high = math.inf if column.high is None else column.high
    if not column.nullable:
        data = np.where(np.isnan(data), high, data)
    data = np.clip(data, low, high)  # before rounding, which would overflow for large numbers
    return data if column.decimals is None else np.clip(np.round(data, column.decimals), low, high)


def _clamp_dates(column: Datetime, data: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    low, high = (_date_bound(bound, other) for bound, other in ((column.low, _FIRST), (column.high, _LAST)))
    if not column.nullable:
        data = np.where(np.isnat(data), high, data)
    return np.minimum(np.maximum(data, low), high)


def _date_bound(text: str | None, otherwise: datetime.datetime) -> np.datetime64:
    bound = otherwise if text is None else to_naive_utc(datetime.datetime.fromisoformat(text))
    return np.datetime64(min(max(bound, _FIRST), _LAST), "ns")


def to_dates(values: pd.Series, format: str | None) -> npt.NDArray[np.datetime64]:
    """Parse a column as naive UTC ``datetime64[ns]``, shape (n,); NaT where missing or not of the format."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(values.dtype):
        plain = values.to_numpy()
        low, high = (np.datetime64(end).astype(plain.dtype) for end in (_FIRST, _LAST))
        return np.asarray(np.minimum(np.maximum(plain, low), high).astype("datetime64[ns]"))
    out = np.full(len(values), np.datetime64("NaT"), "datetime64[ns]")
    text = to_date_text(values, format)
    is_text = text != None  # noqa: E711 - cell by cell
    if is_text.any():
        codes, uniques = encode_text(text[is_text])
        parsed = parse_text(pd.Series(uniques, dtype=object), format or "ISO8601", utc=True)
        out[is_text] = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[ns]")[codes]
    others = np.flatnonzero(~is_text)
    out[others] = np.array([_date(cell) for cell in values.astype(object).to_numpy()[others]], "datetime64[ns]")
    return out


def _date(value: Any) -> np.datetime64:
    if isinstance(value, (datetime.date, np.datetime64)) and not pd.isna(value):
        try:
            instant = to_naive_utc(pd.Timestamp(value).to_pydatetime(warn=False))
        except (ValueError, OverflowError):
            return np.datetime64("NaT", "ns")
        return np.datetime64(min(max(instant, _FIRST), _LAST), "ns")
    return np.datetime64("NaT", "ns")
