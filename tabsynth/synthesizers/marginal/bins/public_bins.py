"""Public fine cells of a column, derived from its declaration only.

A low-cardinality column gets a cell for each value. A wide numeric column gets single cells for round numbers, where
real amounts have point masses, and one cell for each interval between them. Its cells are grouped in a few ``blocks``,
which are measured as well, because the sum of many noisy cells is noisier than one noisy sum.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import UNIT_NANOSECONDS, categorical_values, numeric_values
from tabsynth.common.arrays import Floats, Integers
from tabsynth.errors import PrivacyError
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Numeric, Value, to_naive_utc

MAX_RANGE = 1e100
"""Maximum declared range of a numeric column; squares of wider ones overflow."""

MAX_SINGLE_VALUES = 256
"""A numeric column of at most this many values gets a cell for each."""

N_STEPS = 128
"""Approximate number of equal steps of a wide numeric column."""

N_SIGNIFICANT_DIGITS = 2
"""Numbers of this many significant digits are round."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The public cells of a column: its values or intervals in order, then missing if the column is nullable.

    Attributes:
        values: Declared values of a categorical column; empty for a numeric one.
        low, high: Ends of each cell of a numeric column, shape (cells,), equal for a single number.
        decimals: Decimals of the numbers, None if they are not rounded.
        nullable: Whether there is a cell for missing values.
        blocks: The block of each cell, shape (size,), ascending; all zero if there is one level only.
    """

    values: tuple[Value, ...]
    low: Floats
    high: Floats
    decimals: int | None
    nullable: bool
    blocks: Integers

    @property
    def size(self) -> int:
        """Number of cells."""
        return max(len(self.values), len(self.low)) + self.nullable

    @property
    def line(self) -> bool:
        """Whether the cells are numeric."""
        return len(self.low) > 0

    @property
    def span(self) -> float:
        """Width of the range of the numbers; 1 where there is a single number, so that shares of it are not zero."""
        return float(self.high[-1] - self.low[0]) or 1.0

    @cached_property
    def edges(self) -> Floats:
        """Upper edges of the cells but the last, shape (cells - 1,); a single number has a separate cell."""
        between = (self.high[:-1] + self.low[1:]) / 2
        touches = self.high[:-1] == self.low[1:]
        single = self.low[:-1] == self.high[:-1]
        return np.where(touches & single, np.nextafter(self.high[:-1], np.inf), between)

    def encode(self, column: Column, values: pd.Series) -> Integers:
        """Return the cell of each row, shape (n,); every undeclared value falls in the last cell."""
        if self.line:
            data = numeric_values(column, values)
            cells = np.searchsorted(self.edges, np.nan_to_num(data), side="right")
            return np.where(np.isnan(data), self.size - 1, cells).astype(np.int64)
        codes, uniques = pd.factorize(categorical_values(column, values), use_na_sentinel=True)
        known = pd.Index(self.values, dtype=object).get_indexer(pd.Index(uniques, dtype=object))
        table = np.append(np.where(known < 0, self.size - 1, known), self.size - 1)
        return table[codes].astype(np.int64)


def column_grid(column: Column) -> Grid:
    """Return the public cells of a column.

    Raises:
        PrivacyError: The schema does not declare the column's values or bounds.
    """
    if isinstance(column, Boolean):
        return _categorical_grid((False, True), column.nullable)
    if isinstance(column, Categorical):
        if column.values is None:
            raise PrivacyError(f"column {column.name!r}: no values are declared; declare them in the schema")
        return _categorical_grid(column.values, column.nullable)
    if isinstance(column, (Numeric, Datetime)):
        ends = _numeric_bounds(column)
        if ends is None:
            raise PrivacyError(f"column {column.name!r}: low and high are not both declared; declare both")
        if not ends[1] - ends[0] <= MAX_RANGE:
            raise PrivacyError(f"column {column.name!r}: the range from low to high is too wide; narrow the bounds")
        return numeric_grid(*ends, column.decimals if isinstance(column, Numeric) else 0, column.nullable)
    raise PrivacyError(f"column {column.name!r}: a {column.kind} column is not learned")


def numeric_grid(low: float, high: float, decimals: int | None, nullable: bool) -> Grid:
    """Return the cells of the numbers from ``low`` to ``high``."""
    step = 0.0 if decimals is None else 10.0**-decimals
    if low == high or (step and (high - low) / step < MAX_SINGLE_VALUES):
        single: Floats = low + step * np.arange(round((high - low) / step) + 1 if step else 1, dtype=np.float64)
        single = single if decimals is None else np.round(single, decimals)
        return Grid((), single, single, decimals, nullable, np.zeros(len(single) + nullable, np.int64))
    points = round_numbers(low, high, step)
    if step:
        points = np.unique(np.round(points, decimals or 0))
        starts, stops = np.round(points[:-1] + step, decimals or 0), np.round(points[1:] - step, decimals or 0)
        open_ = stops - starts > -step / 2
    else:  # unrounded numbers have point masses at the ends and at zero, if anywhere
        starts, stops, open_ = points[:-1], points[1:], np.ones(len(points) - 1, bool)
        points = np.unique([low, high, *([0.0] if low <= 0 <= high else [])])
    lows, highs = np.concatenate([points, starts[open_]]), np.concatenate([points, stops[open_]])
    order = np.lexsort((highs, lows))
    lows, highs = lows[order], highs[order]
    blocks = _blocks((lows + highs) / 2, low, high)
    return Grid((), lows, highs, decimals, nullable, np.append(blocks, [blocks[-1] + 1] * nullable).astype(np.int64))


def round_numbers(low: float, high: float, step: float) -> Floats:
    """Return likely point masses between ``low`` and ``high``: equal steps, and numbers of two significant digits."""
    width = (high - low) / N_STEPS
    even = 10.0 ** math.ceil(math.log10(width))
    even = next(even * part for part in (0.1, 0.2, 0.5, 1.0) if even * part >= width * 0.999)
    parts = [np.array([low, high]), even * np.arange(math.ceil(low / even), math.floor(high / even) + 1)]
    most = max(abs(low), abs(high))
    least = max(step, most * (1e-6 if step else 1e-4))  # smaller numbers are not distinguished
    tens = 10.0 ** np.arange(math.floor(math.log10(least)), math.floor(math.log10(most)) + 1)
    digits = np.arange(10 ** (N_SIGNIFICANT_DIGITS - 1), 10**N_SIGNIFICANT_DIGITS) / 10 ** (N_SIGNIFICANT_DIGITS - 1)
    sized = np.outer(tens, digits).ravel()
    signed = np.concatenate([-sized, [0.0], sized])
    parts.append(signed[(signed >= low) & (signed <= high)])
    points = np.concatenate(parts)
    small = np.abs(points) < 1e6  # larger numbers have no twelve decimals
    points[small] = np.round(points[small], 12)
    return np.unique(points)


def _blocks(middle: Floats, low: float, high: float) -> Integers:
    """Group cells: halves of the signed decades below an eighth of the range, else eighths; zero is its own block."""
    eighth = (high - low) / 8
    size = np.abs(middle)
    small = size < eighth
    decade = np.floor(2 * np.log10(np.maximum(size, 1e-300)))
    key = np.where(small, np.sign(middle) * (decade + 1000), 0)
    key = np.where(small, key, np.sign(middle) * (2000 + np.floor(size / eighth)))
    return np.concatenate([[0], np.cumsum(np.diff(key) != 0)]).astype(np.int64)


def _categorical_grid(values: tuple[Value, ...], nullable: bool) -> Grid:
    none = np.empty(0)
    return Grid(values, none, none, None, nullable, np.zeros(len(values) + nullable, np.int64))


def _numeric_bounds(column: Numeric | Datetime) -> tuple[float, float] | None:
    """Return the declared bounds of a column in its units."""
    if column.low is None or column.high is None:
        return None
    if isinstance(column, Numeric):
        return float(column.low), float(column.high)
    unit = UNIT_NANOSECONDS[column.resolution or "s"]
    epoch = datetime.datetime(1970, 1, 1)
    low, high = (
        (to_naive_utc(datetime.datetime.fromisoformat(str(end))) - epoch) // datetime.timedelta(microseconds=1)
        for end in (column.low, column.high)
    )
    return float(low * 1000 // unit), float(high * 1000 // unit)
