"""Convert a column's cells for its encoder, and choose the encoder by the column's kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import Coder, ValueCoder
from tabsynth.codec.numbers.local_clock import LocalClock, local_clock
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import measure_quantiles, shared_decimals
from tabsynth.codec.rare_value_pooling import substitute
from tabsynth.schema.cell_types import unwrap_timestamps, zone_name
from tabsynth.schema.columns import (
    Boolean,
    Categorical,
    Column,
    Datetime,
    Identifier,
    Numeric,
    Resolution,
    Text,
)
from tabsynth.schema.datetime_formats import coarsen_format
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_moments, to_numbers

NumericColumns = dict[str, npt.NDArray[np.float64]]
"""Columns as numbers, missing as NaN, shape (n,) each."""

UNIT_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "D": 86400 * 10**9,
}
"""Nanoseconds of each resolution."""


def measure_column(
    column: Column, values: pd.Series, tokens: int, min_group: int, persons: npt.NDArray[np.int64] | None
) -> Coder:
    """Fit the encoder for a column's kind."""
    if isinstance(column, (Numeric, Datetime)):
        data = numeric_values(column, values)
        decimals: int | None = 0
        if isinstance(column, Numeric):
            decimals = shared_decimals(data) if column.decimals is None else column.decimals
        numeric = measure_quantiles(
            data,
            tokens=tokens,
            decimals=decimals,
            min_group=min_group,
            persons=persons,
            low=column.low if isinstance(column, Numeric) else None,
            high=column.high if isinstance(column, Numeric) else None,
            units_per_day=UNIT_NANOSECONDS["D"] / UNIT_NANOSECONDS[column.resolution or "s"]
            if isinstance(column, Datetime)
            else None,
            clock=local_clock_of(column, values),
        )
        # With fewer than min_group persons no number may be released.
        return numeric or _all_missing_coder(values)
    declared = column.values if isinstance(column, Categorical) and column.origin == "declared" else None
    if isinstance(column, Boolean):
        declared = (True, False)
    ordered = isinstance(column, Categorical) and column.ordered
    members = categorical_values(column, values)
    coder = ValueCoder.measure(members, declared=declared, ordered=ordered, min_group=min_group, persons=persons)
    return substitute(coder, members, column)


def local_clock_of(column: Column, values: pd.Series) -> LocalClock | None:
    """Return the local time of a datetime column with a time zone; None for days, which are local already."""
    if not isinstance(column, Datetime) or column.resolution == "D":
        return None
    zone = getattr(unwrap_timestamps(values).dtype, "tz", None)
    return None if zone is None else local_clock(zone, zone_name(zone), UNIT_NANOSECONDS[column.resolution or "s"])


def hide_rare_precision(
    column: Column, values: pd.Series, min_group: int, persons: npt.NDArray[np.int64] | None
) -> Column:
    """Return an inferred column with the decimals or the resolution that at least ``min_group`` persons have."""
    if not column.why:
        return column
    if isinstance(column, Datetime):
        return _hide_rare_resolution(column, values, min_group, persons)
    if not isinstance(column, Numeric) or column.decimals == 0:
        return column
    decimals = shared_decimals(numeric_values(column, values), persons, min_group)
    if decimals is None or decimals == column.decimals:
        return column
    return replace(column, decimals=decimals, why="all values are numbers" if decimals else "all values are integers")


def _hide_rare_resolution(
    column: Datetime, values: pd.Series, min_group: int, persons: npt.NDArray[np.int64] | None
) -> Datetime:
    """Return the column with the coarsest resolution such that fewer than ``min_group`` persons have a finer date."""
    present = values.notna().to_numpy()
    who = None if persons is None else persons[present]
    for resolution in get_args(Resolution)[::-1]:  # the coarsest first
        moments = to_moments(values, replace(column, resolution=resolution)).to_numpy()[present]
        finer = moments.astype(np.int64) % UNIT_NANOSECONDS[resolution] != 0
        if resolution == column.resolution or (finer.sum() if who is None else len(np.unique(who[finer]))) < min_group:
            spelled = column.format and coarsen_format(column.format, column.resolution or "s", resolution)
            return replace(column, resolution=resolution, format=spelled)
    return column


def numeric_columns(frame: pd.DataFrame, schema: Schema, coders: Mapping[str, Coder]) -> NumericColumns:
    """Return the columns with a ``QuantileCoder``, as numbers."""
    names = [name for name, coder in coders.items() if isinstance(coder, QuantileCoder)]
    return {name: numeric_values(schema[name], frame[name]) for name in names}


def _all_missing_coder(values: pd.Series) -> ValueCoder:
    """Return an encoder without values: every decoded cell is missing."""
    absent = int(values.isna().sum())
    return ValueCoder((), np.array([len(values) - absent, absent]), np.array([False, True]))


def numeric_values(column: Column, values: pd.Series) -> npt.NDArray[np.float64]:
    """Return a numeric or datetime column as float64 (datetimes in units of their resolution), missing as NaN."""
    if not isinstance(column, Datetime):
        return to_numbers(values, getattr(column, "format", None))
    moments = to_moments(values, column)
    out = moments.to_numpy().astype(np.int64) // UNIT_NANOSECONDS[column.resolution or "s"]
    return np.where(moments.isna().to_numpy(), np.nan, out.astype(np.float64))


def categorical_values(column: Column, values: pd.Series) -> pd.Series:
    """Return a categorical column for its encoder; identifiers and text are reduced to present or missing."""
    if isinstance(column, (Identifier, Text)):
        return values.isna().map({True: None, False: "present"}).astype(object)
    if isinstance(column, Boolean):
        return values.astype(object).where(values.notna(), None)
    return values


def to_datetimes(column: Datetime, data: npt.NDArray[np.float64]) -> pd.Series:
    """Return the naive datetimes of numbers in units of the column's resolution, as ``to_moments`` does."""
    units = np.nan_to_num(data).astype(np.int64) * UNIT_NANOSECONDS[column.resolution or "s"]
    return pd.Series(np.where(np.isnan(data), np.iinfo(np.int64).min, units).astype("datetime64[ns]"))
