"""Values of categories as plain data for JSON, and back: dates, decimals, periods and intervals are tagged."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.schema.cell_types import zone_name


def plain_value(value: Any) -> Any:
    """Return a numpy scalar as a Python one."""
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value


def to_plain(value: Any) -> Any:
    """Return a value as JSON data.

    Raises:
        TypeError: There is no plain form of such a value.
    """
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, pd.Timestamp):
        return [
            "timestamp",
            value.tz_localize(None).isoformat(),
            value.unit,
            None if value.tz is None else zone_name(value.tz),
        ]
    if isinstance(value, datetime.datetime):
        return ["datetime", value.isoformat()]
    if isinstance(value, datetime.date):
        return ["date", value.isoformat()]
    if isinstance(value, decimal.Decimal):
        return ["decimal", str(value)]
    if isinstance(value, pd.Timedelta):
        return ["timedelta", int(value.as_unit("ns").value), value.unit]
    if isinstance(value, pd.Period):
        return ["period", value.ordinal, value.freqstr]
    if isinstance(value, pd.Interval):
        return ["interval", to_plain(plain_value(value.left)), to_plain(plain_value(value.right)), value.closed]
    raise TypeError(f"a category of type {type(value).__name__} cannot be kept")


def from_plain(value: Any) -> Any:
    """Inverse of ``to_plain``."""
    if not isinstance(value, list):
        return value
    kind, first, *more = value
    if kind == "timestamp":
        moment = pd.Timestamp(first).as_unit(more[0])
        return moment if more[1] is None else moment.tz_localize(more[1])
    if kind == "datetime":
        return datetime.datetime.fromisoformat(first)
    if kind == "date":
        return datetime.date.fromisoformat(first)
    if kind == "decimal":
        return decimal.Decimal(first)
    if kind == "timedelta":
        return pd.Timedelta(first, unit="ns").as_unit(more[0])
    if kind == "period":
        return pd.Period(ordinal=first, freq=more[0])
    if kind == "interval":
        return pd.Interval(from_plain(first), from_plain(more[0]), more[1])
    raise ValueError(f"unknown kind of value {kind!r}")
