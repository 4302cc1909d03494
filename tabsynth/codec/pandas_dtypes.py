"""Names of pandas dtypes, and columns cast to a named dtype."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tabsynth.schema.cell_types import zone_name
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.datetime_formats import days_in_zone, format_dates, format_zone, has_offset
from tabsynth.schema.number_formats import NumberFormat, format_numbers

TEXT_DTYPES = frozenset({"object", "string"})
DECIMAL128 = re.compile(r"decimal128\((\d+), (\d+)\)")


def dtype_name(values: pd.Series) -> str:
    """Name of the dtype, read by ``parse_dtype``; for object columns it includes the type of the Python objects."""
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        inner = dtype_name(pd.Series(kind.categories)) if len(kind.categories) else "object"
        return "category" if inner in TEXT_DTYPES else f"category:{inner}"
    if isinstance(kind, pd.ArrowDtype):
        return f"arrow:{kind.pyarrow_dtype}"
    if isinstance(kind, pd.SparseDtype):
        return f"sparse:{kind.subtype}:{float(np.asarray(kind.fill_value))}"
    if isinstance(kind, pd.StringDtype):
        return f"string:{kind.storage}:{'NA' if kind.na_value is pd.NA else 'nan'}"
    if isinstance(kind, pd.DatetimeTZDtype):
        return f"datetime64[{kind.unit}, {zone_name(kind.tz)}]"
    return _object_dtype_name(values.dropna()) if pd.api.types.is_object_dtype(kind) else str(kind)


def _object_dtype_name(present: pd.Series) -> str:
    """Name of an object column by its first present value."""
    first = present.iloc[0] if len(present) else ""
    if isinstance(first, decimal.Decimal):
        places = [max(-exponent, 0) for value in present if isinstance(exponent := _exponent(value), int)]
        return f"object:decimal:{min(places, default=0)}:{max(places, default=0)}"
    if isinstance(first, datetime.datetime):
        what = "datetime" if isinstance(first, pd.Timestamp) else "pydatetime"
        return f"object:{what}" if first.tzinfo is None else f"object:{what}:{zone_name(first.tzinfo)}"
    if isinstance(first, datetime.date):
        return "object:date"
    return "object:datetime64" if isinstance(first, np.datetime64) else "object"


def _exponent(value: Any) -> Any:
    return value.as_tuple().exponent if isinstance(value, decimal.Decimal) else None


def parse_dtype(name: str) -> Any:
    """Return the dtype of a name from ``dtype_name``."""
    if name.startswith("string:"):
        _, storage, missing = name.split(":")
        return pd.StringDtype(storage, na_value=pd.NA if missing == "NA" else np.nan)
    if name.startswith("sparse:"):
        _, subtype, fill = name.split(":")
        return pd.SparseDtype(subtype, fill_value=np.dtype(subtype).type(float(fill)))
    if not name.startswith("arrow:"):
        return pd.api.types.pandas_dtype("object" if name.startswith("object") else name)
    inner = name.removeprefix("arrow:")
    if inner == "string":
        return pd.ArrowDtype(pa.string())
    match = DECIMAL128.fullmatch(inner)
    if match is not None:
        return pd.ArrowDtype(pa.decimal128(int(match[1]), int(match[2])))
    return pd.ArrowDtype.construct_from_string(f"{inner}[pyarrow]")


def check_dtype_name(name: Any) -> str:
    """Return the name of a dtype from a file.

    Raises:
        ValueError: There is no such dtype.
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is no name of a data type")
    try:
        parse_dtype(name.removeprefix("category:"))
    except (TypeError, KeyError) as error:
        raise ValueError(f"{name!r} is no name of a data type") from error
    return name


def time_zone(dtype: str, column: Datetime) -> str | None:
    """Return the time zone of a datetime column, from its dtype name or its format; None if it has none."""
    dtype = dtype.removeprefix("category:")
    if dtype.startswith("object:"):
        _, _, zone = dtype.removeprefix("object:").partition(":")
        return zone or None
    if dtype.startswith("datetime64"):
        kind = pd.api.types.pandas_dtype(dtype)
        return zone_name(kind.tz) if isinstance(kind, pd.DatetimeTZDtype) else None
    if dtype.startswith("arrow:timestamp"):
        return parse_dtype(dtype).pyarrow_dtype.tz or None
    return format_zone(column.format)


def holds_instants(dtype: str) -> bool:
    """Return whether a datetime column of this dtype name holds points in time, not text."""
    return dtype.removeprefix("category:").startswith(("datetime64", "object:", "arrow:timestamp", "arrow:date"))


def numeric_series(data: npt.NDArray[np.float64], dtype: str, column: Column | None = None) -> pd.Series:
    """Return the numbers (missing as NaN) as a column of a dtype, or as text in the format of its schema."""
    if isinstance(column, Numeric) and column.format is not None:
        return pd.Series(format_numbers(data + 0.0, column.format), dtype=object)  # no -0.0
    if isinstance(column, Numeric) and column.csv_format is not None and "e" in column.csv_format.lower():
        data = format_numbers(data, column.csv_format).astype(np.float64)  # as many digits as the file has
    if dtype.startswith("category"):
        inner = dtype.removeprefix("category").removeprefix(":") or "float64"
        return numeric_series(data, inner).astype("category")
    absent = np.isnan(data)
    if dtype.startswith(("object:decimal:", "arrow:decimal")):
        return _decimals(data, dtype)
    if dtype == "object":
        whole = bool((data[~absent] % 1 == 0).all())
        plain = np.where(absent, 0, data).astype(np.int64) if whole else data
        return pd.Series(plain.astype(object)).where(~absent, None)
    kind = parse_dtype(dtype)
    if pd.api.types.is_integer_dtype(kind):
        filled = np.rint(np.where(absent, 0, data)).astype(np.int64)
        if not absent.any():
            return _cast(filled, kind)
        return _cast(filled, "Int64" if isinstance(kind, np.dtype) else kind).mask(absent)
    return _cast(data, kind).mask(absent) if isinstance(kind, pd.ArrowDtype) else _cast(data, kind)


def _decimals(data: npt.NDArray[np.float64], dtype: str) -> pd.Series:
    """Return the numbers as Python decimals of as many places as the column has."""
    kind = None if dtype.startswith("object") else parse_dtype(dtype)
    least, most = map(int, dtype.split(":")[2:]) if kind is None else (kind.pyarrow_dtype.scale,) * 2
    form = str(NumberFormat(least=least, most=most))
    cells = np.empty(len(data), dtype=object)
    cells[:] = [None if text is None else decimal.Decimal(text) for text in format_numbers(np.round(data, most), form)]
    series: pd.Series = pd.Series(cells, dtype=object if kind is None else kind)
    return series


def value_series(values: npt.NDArray[np.object_], dtype: str, categories: list[Any], ordered: bool) -> pd.Series:
    """Return the values (missing as None) as a column of a dtype; ``categories`` for a categorical one."""
    if dtype.startswith("category"):
        return pd.Series(pd.Categorical(values, categories=categories, ordered=ordered))
    series = pd.Series(values, dtype=object)
    if dtype.startswith(("object:decimal:", "arrow:decimal")):  # keys
        series = series.map(lambda key: key if key is None else decimal.Decimal(key))
    if dtype.startswith("object") or (dtype == "bool" and series.isna().any()):
        return series
    kind = parse_dtype(dtype)
    if series.isna().any() and isinstance(kind, np.dtype) and kind.kind in "iuf":
        return pd.Series(pd.to_numeric(series).astype(np.float64))
    return _cast(series, kind)


def datetime_series(instants: pd.Series, dtype: str, column: Datetime) -> pd.Series:
    """Naive datetimes as a column of a dtype: datetimes of a zone and unit, Python dates, or text in a format.

    They are in UTC, except that days of a time zone are local, as ``to_moments`` returns them.
    """
    if dtype.startswith("category:"):
        return datetime_series(instants, dtype.removeprefix("category:"), column).astype("category")
    if holds_instants(dtype):
        zone = time_zone(dtype, column)
        local = zone is not None and column.resolution == "D"
        zoned = days_in_zone(instants, zone) if local else _in_zone(instants, zone)
        if dtype.startswith("object:"):
            return _datetime_objects(zoned, dtype)
        return _cast(zoned, parse_dtype(dtype)) if dtype.startswith("datetime64") else zoned.astype(parse_dtype(dtype))
    text = _format_datetimes(instants, column)
    return text if dtype == "object" else value_series(text.to_numpy(), dtype, sorted(set(text.dropna())), False)


def _in_zone(instants: pd.Series, zone: str | None) -> pd.Series:
    """Return naive UTC datetimes in a zone."""
    return instants if zone is None else instants.dt.tz_localize("UTC").dt.tz_convert(zone)


def _datetime_objects(moments: pd.Series, dtype: str) -> pd.Series:
    """Return the datetimes as Python objects: dates, datetimes or timestamps, missing as None."""
    cells: pd.Series
    if dtype == "object:date":
        cells = moments.dt.date.astype(object)
    elif dtype.startswith("object:pydatetime"):
        cells = pd.Series([None if m is pd.NaT else m.to_pydatetime(warn=False) for m in moments], dtype=object)
    elif dtype == "object:datetime64":
        cells = pd.Series([None if m is pd.NaT else m.to_datetime64() for m in moments], dtype=object)
    else:
        cells = moments.astype(object)
    return cells.where(moments.notna(), None)


def _format_datetimes(instants: pd.Series, column: Datetime) -> pd.Series:
    """Return the naive UTC datetimes as text in the column's format."""
    form = column.format or ("%Y-%m-%d" if column.resolution == "D" else "%Y-%m-%dT%H:%M:%S")
    moments = instants.dt.tz_localize("UTC") if has_offset(form) else instants
    return pd.Series(format_dates(moments, form, column.resolution).to_pandas(), dtype=object).where(
        instants.notna(), None
    )


def missing_series(column: Column, rows: int, dtype: str) -> pd.Series:
    """Return a column of missing values only."""
    if isinstance(column, Datetime):
        return datetime_series(pd.Series(np.full(rows, np.datetime64("NaT"), "datetime64[ns]")), dtype, column)
    if isinstance(column, Numeric):
        return numeric_series(np.full(rows, np.nan), dtype, column)
    return value_series(np.full(rows, None, dtype=object), dtype, [], False)


def _cast(values: Any, kind: Any) -> pd.Series:
    """Return the values as a column of a dtype."""
    series: pd.Series = pd.Series(values, dtype=kind)
    return series
