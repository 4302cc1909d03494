"""A mixed-type table as the numbers that a torch classifier reads, and back again inside the columns' domain.

Numbers and dates are scaled to mean 0 and deviation 1; a missing one is 0 and has a place of its own that says so.
Categories are one-hot, with a place for missing and for values that were not there when the features were measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.column_values import instants_of, line_of
from tabsynth.codec.pandas_dtypes import datetime_series, dtype_name, numeric_series, value_series
from tabsynth.codec.quantile_bins import decimals_of
from tabsynth.common.arrays import Floats
from tabsynth.data.table import Table
from tabsynth.errors import DataError, quote
from tabsynth.schema.columns import Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema


@dataclass(frozen=True, eq=False)
class Numbers:
    """One column of numbers: its scale, its domain, and where it stands.

    Attributes:
        name: The column.
        at: Its place; the place after it says whether it is missing.
        middle, spread: Mean and deviation, 1 for a constant.
        low, high: The schema's bounds where there are any, else what was seen.
        decimals: To how many its values are rounded; None = not at all.
    """

    name: str
    at: int
    middle: float
    spread: float
    low: float
    high: float
    decimals: int | None


@dataclass(frozen=True, eq=False)
class Values:
    """One column of categories: ``values[k]`` is at place ``at + 1 + k``, missing and unknown at place ``at``."""

    name: str
    at: int
    values: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Features:
    """How a table becomes a matrix; build it with ``Features.measure``.

    Attributes:
        schema: The table's schema.
        numbers: Its numeric and datetime columns.
        values: Its columns of categories.
        width: Places in all.
    """

    schema: Schema
    numbers: tuple[Numbers, ...]
    values: tuple[Values, ...]
    width: int

    @classmethod
    def measure(cls, table: Table) -> Features:
        """Read scales and categories off a table; identifiers and free text are left out.

        Raises:
            DataError: No column is left.
        """
        numbers, values, at = [], [], 0
        for name in table.frame.columns:
            column = table.schema[name]
            if isinstance(column, (Identifier, Text)):
                continue
            if isinstance(column, (Numeric, Datetime)):
                numbers.append(_scaled(column, line_of(column, table.frame[name]), at))
                at += 2
            else:
                found = tuple(pd.unique(table.frame[name].dropna().astype(object)))
                values.append(Values(name, at, found))
                at += 1 + len(found)
        if not at:
            raise DataError("no column can be learned: identifiers and free text are left out")
        return cls(table.schema, tuple(numbers), tuple(values), at)

    @property
    def names(self) -> list[str]:
        """The columns that are read."""
        return [item.name for item in self.numbers] + [item.name for item in self.values]

    def encode(self, frame: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Rows as features, shape (n, width).

        Raises:
            DataError: A column is missing, or a value is of the wrong type.
        """
        absent = [name for name in self.names if name not in frame.columns]
        if absent:
            raise DataError(f"the rows lack the columns {quote(absent)}, which the classifier was fitted on")
        out = np.zeros((len(frame), self.width), np.float32)
        rows = np.arange(len(frame))
        for number in self.numbers:
            data = line_of(self.schema[number.name], frame[number.name])
            missing = np.isnan(data)
            out[:, number.at] = np.where(missing, 0.0, (data - number.middle) / number.spread)
            out[:, number.at + 1] = missing
        for value in self.values:
            codes = pd.Index(value.values, dtype=object).get_indexer(frame[value.name].astype(object))
            out[rows, value.at + 1 + codes] = 1.0  # an unknown value has the code -1
        return out

    def decode(self, matrix: npt.NDArray[np.floating[Any]], like: pd.DataFrame, reach: float) -> pd.DataFrame:
        """Rows whose values in the learned columns are those of a matrix; the rest stays.

        Numbers are put on their decimals and inside their bounds; cells that are missing in ``like``, and categories
        whose features stand on missing, stay as they are.

        Args:
            matrix: Shape (n, width), a single 1 among the places of each category.
            like: The rows that the matrix was made from.
            reach: How far a number may lie from that of ``like``, in deviations, after rounding too.
        """
        out = like.copy()
        for number in self.numbers:
            column, old = self.schema[number.name], line_of(self.schema[number.name], like[number.name])
            data = matrix[:, number.at].astype(np.float64) * number.spread + number.middle
            data = _inside(number, data, old, reach * number.spread)
            dtype = dtype_name(like[number.name])
            new = (
                datetime_series(instants_of(column, data), dtype, column)
                if isinstance(column, Datetime)
                else numeric_series(data, dtype)
            )
            out[number.name] = new.set_axis(like.index)
        for value in self.values:
            codes = matrix[:, value.at : value.at + 1 + len(value.values)].argmax(axis=1) - 1
            out[value.name] = _recoded(like[value.name], value.values, codes)
        return out


def _scaled(column: Numeric | Datetime, data: Floats, at: int) -> Numbers:
    """A column's scale and domain from its numbers (NaN where missing)."""
    present = data[~np.isnan(data)] if not np.isnan(data).all() else np.zeros(1)
    low, high = float(present.min()), float(present.max())
    if isinstance(column, Datetime):
        decimals: int | None = 0
        ends = [None if end is None else pd.Series([pd.Timestamp(end)]) for end in (column.low, column.high)]
        bounds = [None if end is None else float(line_of(column, end)[0]) for end in ends]
    else:
        decimals = decimals_of(present) if column.decimals is None else column.decimals
        bounds = [column.low, column.high]
    low, high = (seen if bound is None else bound for seen, bound in zip((low, high), bounds, strict=True))
    return Numbers(column.name, at, float(present.mean()), float(present.std()) or 1.0, low, high, decimals)


def _recoded(old: pd.Series, values: tuple[Any, ...], codes: npt.NDArray[np.integer[Any]]) -> pd.Series:
    """A column of other categories; a cell whose code is -1, or that is missing, stays as it is."""
    cells = old.astype(object).where(old.notna(), None).to_numpy(dtype=object).copy()
    known = (codes >= 0) & old.notna().to_numpy()
    cells[known] = np.array([*values, None], dtype=object)[codes[known]]
    is_category = isinstance(old.dtype, pd.CategoricalDtype)
    own = list(old.cat.categories) if is_category else []
    categories = [*own, *(value for value in values if value not in own)]
    new = value_series(cells, dtype_name(old), categories, is_category and bool(old.cat.ordered))
    return new.set_axis(old.index)


def _inside(number: Numbers, data: Floats, old: Floats, reach: float) -> Floats:
    """Numbers within reach of the old ones and inside the domain, on its decimals; missing stays missing."""
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
        # A range that holds no other number on the lattice leaves the old one.
        data = np.where((data > high + step * 1e-6) | (data < low - step * 1e-6), old, data)
    return np.where(np.isnan(old), np.nan, data)
