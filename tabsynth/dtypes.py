"""The pandas dtype of a column as a word, and a column put back into it."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.dates import ZONE
from tabsynth.schema import Column, Datetime


def dtype_name(values: pd.Series) -> str:
    """The dtype's name; an object column of dates is told from one of text."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "category"
    if values.dtype != object:
        return str(values.dtype)
    first = values.dropna()
    kind = type(first.iloc[0]) if len(first) else str
    if issubclass(kind, datetime.datetime):
        zone = first.iloc[0].tzinfo
        return "object:datetime" if zone is None else f"object:datetime:{pd.Timestamp(first.iloc[0]).tz}"
    return "object:date" if issubclass(kind, datetime.date) else "object"


def zone_of(dtype: str, column: Datetime) -> str | None:
    """The time zone of a column of datetimes; None where it has none.

    Args:
        dtype: Its dtype, as ``dtype_name`` gives it.
        column: Its schema; a format may end in a zone.
    """
    if dtype.startswith("datetime64"):
        kind = pd.api.types.pandas_dtype(dtype)
        return str(kind.tz) if isinstance(kind, pd.DatetimeTZDtype) else None
    if dtype.startswith("object:datetime:"):
        return dtype.removeprefix("object:datetime:")
    zone = ZONE.search(column.format or "")
    if zone is not None and zone[0] != "Z":
        return zone[0] if ":" in zone[0] else f"{zone[0][:3]}:{zone[0][3:]}"
    return "UTC" if zone is not None or "%z" in (column.format or "") else None


def numeric_series(data: npt.NDArray[np.float64], dtype: str) -> pd.Series:
    """Numbers (missing as NaN) as a column of a dtype."""
    if dtype == "category":
        return pd.Series(pd.Categorical(data))
    if dtype == "object":
        whole = bool((data[~np.isnan(data)] % 1 == 0).all())
        plain = np.where(np.isnan(data), 0, data).astype(np.int64) if whole else data
        return pd.Series(plain.astype(object)).where(~np.isnan(data), None)
    kind = pd.api.types.pandas_dtype(dtype)
    if pd.api.types.is_integer_dtype(kind):
        absent = np.isnan(data)
        filled = np.rint(np.where(absent, 0, data)).astype(np.int64)
        if not absent.any():
            return _cast(filled, kind)
        return _cast(filled, "Int64" if isinstance(kind, np.dtype) else kind).mask(absent)
    return _cast(data, kind)


def value_series(values: npt.NDArray[np.object_], dtype: str, categories: list[Any], ordered: bool) -> pd.Series:
    """Values (missing as None) as a column of a dtype; ``categories`` for a categorical one."""
    if dtype == "category":
        return pd.Series(pd.Categorical(values, categories=categories, ordered=ordered))
    series = pd.Series(values, dtype=object)
    if dtype == "object" or (dtype == "bool" and series.isna().any()):
        return series
    kind = pd.api.types.pandas_dtype(dtype)
    if series.isna().any() and isinstance(kind, np.dtype):
        return pd.Series(pd.to_numeric(series).astype(np.float64))
    return _cast(series, kind)


def datetime_series(instants: pd.Series, dtype: str, column: Datetime) -> pd.Series:
    """Naive UTC datetimes as a column of a dtype: datetimes of a zone and unit, Python dates, or text in a format."""
    if dtype.startswith("datetime64"):
        kind = pd.api.types.pandas_dtype(dtype)
        zoned = instants.dt.tz_localize("UTC") if isinstance(kind, pd.DatetimeTZDtype) else instants
        return _cast(zoned, kind)
    if dtype == "object:date":
        dates: pd.Series = instants.dt.date.astype(object)
        return dates.where(instants.notna(), None)
    if dtype.startswith("object:datetime"):
        zone = zone_of(dtype, column)
        moments = instants if zone is None else instants.dt.tz_localize("UTC").dt.tz_convert(zone)
        return moments.astype(object).where(instants.notna(), None)
    days = column.resolution == "D"
    if column.format and "%z" in column.format:
        instants = instants.dt.tz_localize("UTC")
    text = instants.dt.strftime(column.format or ("%Y-%m-%d" if days else "%Y-%m-%dT%H:%M:%S"))
    text = text.astype(object).where(instants.notna(), None)
    return text if dtype == "object" else value_series(text.to_numpy(), dtype, sorted(set(text.dropna())), False)


def empty_like(column: Column, rows: int, dtype: str) -> pd.Series:
    """A column of nothing but missing values."""
    if isinstance(column, Datetime):
        return datetime_series(pd.Series(np.full(rows, np.datetime64("NaT"), "datetime64[ns]")), dtype, column)
    return value_series(np.full(rows, None, dtype=object), dtype, [], False)


def _cast(values: Any, kind: Any) -> pd.Series:
    """Values as a column of a dtype."""
    series: pd.Series = pd.Series(values, dtype=kind)
    return series
