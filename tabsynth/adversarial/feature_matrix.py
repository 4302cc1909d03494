"""Encode a mixed-type table as a feature matrix, and decode it inside the columns' domains.

Numbers and dates are standardised, with an indicator of missingness; categories are one-hot, with one feature for
missing and unknown values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.column_values import numeric_values, to_datetimes
from tabsynth.codec.pandas_dtypes import datetime_series, dtype_name, numeric_series, value_series
from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Floats
from tabsynth.data.table import Table
from tabsynth.errors import DataError, quote
from tabsynth.schema.columns import Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema


@dataclass(frozen=True, eq=False)
class NumericFeature:
    """A numeric or datetime column; feature ``at`` is its value, ``at + 1`` the indicator of missingness.

    ``low`` and ``high`` are the schema's bounds, else the observed range; ``decimals`` None means no rounding.
    """

    name: str
    at: int
    mean: float
    scale: float
    low: float
    high: float
    decimals: int | None


@dataclass(frozen=True, eq=False)
class CategoricalFeature:
    """A categorical column: feature ``at + 1 + k`` is ``values[k]``, feature ``at`` missing or unknown."""

    name: str
    at: int
    values: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class FeatureMatrix:
    """Encoder of tables as matrices of ``width`` features."""

    schema: Schema
    numbers: tuple[NumericFeature, ...]
    values: tuple[CategoricalFeature, ...]
    width: int

    @classmethod
    def measure(cls, table: Table) -> FeatureMatrix:
        """Measure scales and categories; identifiers and free text are left out."""
        numbers, values, at = [], [], 0
        for name in table.frame.columns:
            column = table.schema[name]
            if isinstance(column, (Identifier, Text)):
                continue
            if isinstance(column, (Numeric, Datetime)):
                numbers.append(_measure_numeric(column, numeric_values(column, table.frame[name]), at))
                at += 2
            else:
                found = tuple(pd.unique(table.frame[name].dropna().astype(object)))
                values.append(CategoricalFeature(name, at, found))
                at += 1 + len(found)
        if not at:
            raise DataError("no column to learn: identifiers and free text are left out")
        return cls(table.schema, tuple(numbers), tuple(values), at)

    @property
    def names(self) -> list[str]:
        """The encoded columns."""
        return [item.name for item in self.numbers] + [item.name for item in self.values]

    def encode(self, frame: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Return the features of rows, shape (n, width)."""
        absent = [name for name in self.names if name not in frame.columns]
        if absent:
            raise DataError(f"missing columns: {quote(absent)}; give every column that the classifier was fitted on")
        out = np.zeros((len(frame), self.width), np.float32)
        rows = np.arange(len(frame))
        for number in self.numbers:
            data = numeric_values(self.schema[number.name], frame[number.name])
            missing = np.isnan(data)
            out[:, number.at] = np.where(missing, 0.0, (data - number.mean) / number.scale)
            out[:, number.at + 1] = missing
        for value in self.values:
            codes = pd.Index(value.values, dtype=object).get_indexer(frame[value.name].astype(object))
            out[rows, value.at + 1 + codes] = 1.0  # an unknown value has the code -1
        return out

    def decode(self, matrix: npt.NDArray[np.floating[Any]], like: pd.DataFrame, reach: float) -> pd.DataFrame:
        """Decode a matrix (n, width) into the encoded columns of ``like``, whose missing cells stay missing.

        Numbers are rounded to their decimals, and stay within their bounds and within ``reach`` standard deviations of
        those of ``like``.
        """
        out = like.copy()
        for number in self.numbers:
            column, old = self.schema[number.name], numeric_values(self.schema[number.name], like[number.name])
            data = matrix[:, number.at].astype(np.float64) * number.scale + number.mean
            data = _clip(number, data, old, reach * number.scale)
            dtype = dtype_name(like[number.name])
            new = (
                datetime_series(to_datetimes(column, data), dtype, column)
                if isinstance(column, Datetime)
                else numeric_series(data, dtype)
            )
            out[number.name] = new.set_axis(like.index)
        for value in self.values:
            codes = matrix[:, value.at : value.at + 1 + len(value.values)].argmax(axis=1) - 1
            out[value.name] = _replace_categories(like[value.name], value.values, codes)
        return out


def _measure_numeric(column: Numeric | Datetime, data: Floats, at: int) -> NumericFeature:
    """Scale and domain of a column."""
    present = data[~np.isnan(data)] if not np.isnan(data).all() else np.zeros(1)
    low, high = float(present.min()), float(present.max())
    if isinstance(column, Datetime):
        decimals: int | None = 0
        ends = [None if end is None else pd.Series([pd.Timestamp(end)]) for end in (column.low, column.high)]
        bounds = [None if end is None else float(numeric_values(column, end)[0]) for end in ends]
    else:
        decimals = shared_decimals(present) if column.decimals is None else column.decimals
        bounds = [column.low, column.high]
    low, high = (seen if bound is None else bound for seen, bound in zip((low, high), bounds, strict=True))
    return NumericFeature(column.name, at, float(present.mean()), float(present.std()) or 1.0, low, high, decimals)


def _replace_categories(old: pd.Series, values: tuple[Any, ...], codes: npt.NDArray[np.integer[Any]]) -> pd.Series:
    """Replace categories; a missing cell, or one whose code is -1, is kept."""
    cells = old.astype(object).where(old.notna(), None).to_numpy(dtype=object).copy()
    known = (codes >= 0) & old.notna().to_numpy()
    cells[known] = np.array([*values, None], dtype=object)[codes[known]]
    is_category = isinstance(old.dtype, pd.CategoricalDtype)
    own = list(old.cat.categories) if is_category else []
    categories = [*own, *(value for value in values if value not in own)]
    new = value_series(cells, dtype_name(old), categories, is_category and bool(old.cat.ordered))
    return new.set_axis(old.index)


def _clip(number: NumericFeature, data: Floats, old: Floats, reach: float) -> Floats:
    """Return the numbers within reach of the old ones and inside the domain, rounded."""
    low, high = (
        np.maximum(old - reach, np.minimum(old, number.low)),
        np.minimum(old + reach, np.maximum(old, number.high)),
    )
    data = np.clip(data, low, high)
    if number.decimals is not None:
        step = 10.0**-number.decimals
        rounded = np.round(data, number.decimals)
        over, under = rounded > high + step * 1e-6, rounded < low - step * 1e-6
        data = np.round(rounded - step * over + step * under, number.decimals)
        # No other rounded number is in range: keep the old one.
        data = np.where((data > high + step * 1e-6) | (data < low - step * 1e-6), old, data)
    return np.where(np.isnan(old), np.nan, data)
