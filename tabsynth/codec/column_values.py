"""Read a column's cells as its coder wants them, and choose the coder that fits the column's kind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import Coder, ValueCoder
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import decimals_of, measure_quantiles
from tabsynth.codec.rare_value_pooling import substitute
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_instants, to_numbers

Lines = dict[str, npt.NDArray[np.float64]]
"""Columns as numbers, missing as NaN, shape (n,) each."""

UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "D": 86400 * 10**9}
"""Nanoseconds of each resolution."""


def measure_column(
    column: Column, values: pd.Series, tokens: int, min_group: int, persons: npt.NDArray[np.int64] | None
) -> Coder:
    """The coder that fits a column's kind."""
    if isinstance(column, (Numeric, Datetime)):
        data = line_of(column, values)
        decimals: int | None = 0
        if isinstance(column, Numeric):
            found = decimals_of(data)
            decimals = found if column.decimals is None else column.decimals
        line = measure_quantiles(
            data,
            tokens=tokens,
            decimals=decimals,
            min_group=min_group,
            persons=persons,
            low=column.low if isinstance(column, Numeric) else None,
            high=column.high if isinstance(column, Numeric) else None,
            units_per_day=UNITS["D"] / UNITS[column.resolution or "s"] if isinstance(column, Datetime) else None,
        )
        # With fewer persons than the floor there is no number to release: the column is missing or nothing.
        return line or _nothing(values)
    declared = column.values if isinstance(column, Categorical) and column.origin == "declared" else None
    if isinstance(column, Boolean):
        declared = (True, False)
    ordered = isinstance(column, Categorical) and column.ordered
    members = members_of(column, values)
    coder = ValueCoder.measure(members, declared=declared, ordered=ordered, min_group=min_group, persons=persons)
    return substitute(coder, members, column)


def lines_of(frame: pd.DataFrame, schema: Schema, coders: Mapping[str, Coder]) -> Lines:
    """The columns whose coder places them on a line, as numbers."""
    names = [name for name, coder in coders.items() if isinstance(coder, QuantileCoder)]
    return {name: line_of(schema[name], frame[name]) for name in names}


def _nothing(values: pd.Series) -> ValueCoder:
    """A coder that releases no value: every row is missing."""
    absent = int(values.isna().sum())
    return ValueCoder((), np.array([len(values) - absent, absent]), np.array([False, True]))


def line_of(column: Column, values: pd.Series) -> npt.NDArray[np.float64]:
    """A numeric or datetime column as float64 (datetimes in units of their resolution), missing as NaN."""
    if not isinstance(column, Datetime):
        return to_numbers(values, getattr(column, "format", None))
    moments = to_instants(values, column.format)
    out = moments.to_numpy().astype(np.int64) // UNITS[column.resolution or "s"]
    return np.where(moments.isna().to_numpy(), np.nan, out.astype(np.float64))


def members_of(column: Column, values: pd.Series) -> pd.Series:
    """A column of values as its coder wants it: identifiers and text only say whether they are there."""
    if isinstance(column, (Identifier, Text)):
        return values.isna().map({True: None, False: "present"}).astype(object)
    if isinstance(column, Boolean):
        return values.astype(object).where(values.notna(), None)
    return values


def instants_of(column: Datetime, data: npt.NDArray[np.float64]) -> pd.Series:
    """Naive UTC datetimes of numbers in units of the column's resolution."""
    units = np.nan_to_num(data).astype(np.int64) * UNITS[column.resolution or "s"]
    return pd.Series(np.where(np.isnan(data), np.iinfo(np.int64).min, units).astype("datetime64[ns]"))
