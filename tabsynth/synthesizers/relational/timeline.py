"""Encoding of the times of child rows as distances from a date of the parent and from the previous sibling.

Since distances are not negative, times are ordered by construction: no child precedes its parent's origin or its
previous sibling, and none follows its parent's end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import UNIT_NANOSECONDS, numeric_values, to_datetimes
from tabsynth.codec.pandas_dtypes import check_dtype_name, datetime_series, dtype_name, numeric_series
from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.columns import Column, Datetime, Numeric, column_from_dict
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.occurrences.calendar_days import is_daily

MIN_ORDERED_SHARE = 0.95
"""Minimum share of children after a date of the parent that is an origin, or before one that is an end."""

NANOSECONDS = 1e9

MIN_PACED_ROWS = 4
"""Minimum rows of the histories whose spans and mean gaps are compared."""


@dataclass(frozen=True)
class Axis:
    """The order column of a child table as numbers.

    Attributes:
        column: The column's schema.
        dtype: Its pandas dtype.
        seconds: Length of one unit for dates; 0 for a numeric order column.
    """

    column: Column
    dtype: str
    seconds: float

    @classmethod
    def of(cls, column: Column, values: pd.Series) -> Self:
        """Return the axis of an order column."""
        return cls(column, dtype_name(values), cls.unit_of(column))

    @staticmethod
    def unit_of(column: Column) -> float:
        """Return the seconds in one unit of a column of dates, 0 for numbers."""
        return UNIT_NANOSECONDS[column.resolution or "s"] / NANOSECONDS if isinstance(column, Datetime) else 0.0

    def numbers(self, column: Column, values: pd.Series) -> Floats:
        """Return a column of the same kind in units of the axis, missing as NaN, shape (n,)."""
        data = numeric_values(column, values)
        if isinstance(column, Datetime):
            return data * (UNIT_NANOSECONDS[column.resolution or "s"] / NANOSECONDS / self.seconds)
        return data

    def accepts(self, column: Column) -> bool:
        """Return whether a column can be compared with the order column."""
        return isinstance(column, Datetime) if self.seconds else isinstance(column, Numeric)

    def series(self, data: Floats, column: Column, dtype: str) -> pd.Series:
        """Return the numbers in units of the axis as values of a column."""
        if isinstance(column, Datetime):
            factor = self.seconds / (UNIT_NANOSECONDS[column.resolution or "s"] / NANOSECONDS)
            return datetime_series(to_datetimes(column, np.round(data * factor)), dtype, column)
        return numeric_series(data, dtype, column)

    def to_dict(self) -> dict[str, Any]:
        """Return the axis as plain data."""
        return {"name": self.column.name, "column": self.column.to_dict(), "dtype": self.dtype, "seconds": self.seconds}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        axis = cls(column_from_dict(data["name"], data["column"]), check_dtype_name(data["dtype"]), data["seconds"])
        if axis.seconds != axis.unit_of(axis.column):
            raise ValueError("the unit of an order column is not that of its resolution")
        return axis


@dataclass(frozen=True)
class Timeline:
    """Encoding of the times of a child table relative to its parent.

    Attributes:
        axis: The order column.
        origin: The parent's date that precedes its children, such as the birth; None for the start of the window.
        end: The parent's date that follows its children, such as the death. If it is missing in a row, or None, the end
            of the window takes its place.
        window: First and last time of the table.
        dated: Whether the first child's time is a distance from the start of the window, not from the origin. This
            suits observation that starts on one date for parents of all ages.
        spanned: Whether the last child's time is a distance from the first child's, not from the end. This suits
            histories that are much shorter than the window.
        paced: Whether, if ``spanned``, the plan contains the mean gap between siblings instead of the whole span. This
            suits histories of different lengths with similar rates.
        step: Length, such as a week, of which the distance of any two times is a multiple; 0 if there is none.
        offsets: Other date columns of the child and their dtypes; each is encoded as its distance from the order
            column.
    """

    axis: Axis
    origin: str | None
    end: str | None
    window: tuple[float, float]
    spanned: bool = False
    offsets: dict[str, str] = field(default_factory=dict)
    step: float = 0.0
    dated: bool = False
    paced: bool = False

    @classmethod
    def fit(
        cls,
        child: pd.DataFrame,
        schema: Schema,
        order: str,
        parent: pd.DataFrame,
        parent_schema: Schema,
        rows: Integers,
        roots: Integers,
        min_group: int,
    ) -> Self:
        """Choose origin, end and offsets.

        Args:
            child: The child's rows.
            schema: Their schema.
            order: The order column.
            parent: The parent's rows.
            parent_schema: Their schema.
            rows: The parent's row number of each child, shape (n,).
            roots: The root's row number of each child, shape (n,).
            min_group: Minimum number of roots with a time at or beyond each end of the window.
        """
        axis = Axis.of(schema[order], child[order])
        times = axis.numbers(schema[order], child[order])
        spans = pd.Series(times).groupby(roots).agg(["min", "max"])
        rank = min(min_group, len(spans))
        window = float(np.sort(spans["min"])[rank - 1]), float(np.sort(spans["max"])[-rank])
        before: dict[str, float] = {}
        after: dict[str, float] = {}
        for name in parent_schema:
            if not axis.accepts(parent_schema[name]):
                continue
            dates = axis.numbers(parent_schema[name], parent[name])
            distance = times - dates[rows]
            present = ~np.isnan(distance)
            if not present.any():
                continue
            if not axis.seconds and np.median(np.abs(distance[present])) > window[1] - window[0]:
                continue  # a number of another kind, such as the size of a shop beside codes of departments
            if present.all() and np.mean(distance >= 0) >= MIN_ORDERED_SHARE:
                before[name] = float(np.median(distance))
            if np.mean(distance[present] <= 0) >= MIN_ORDERED_SHARE:
                after[name] = float(np.median(-distance[present]))
        origin = min(before, key=before.__getitem__, default=None)
        after.pop(origin or "", None)
        end = min(after, key=after.__getitem__, default=None)
        offsets = {
            name: dtype_name(child[name])
            for name in schema
            if name != order and axis.seconds and isinstance(schema[name], Datetime)
        }
        timeline = cls(axis, origin, end, window, False, offsets)
        last = pd.Series(times).groupby(rows).agg(["min", "max"])
        low, high = timeline.bounds(parent, parent_schema)
        to_end = high[last.index] - last["max"].to_numpy()
        spanned = bool(np.median(last["max"] - last["min"]) < np.median(np.abs(to_end)))
        dated = _spread(last["min"].to_numpy()) < _spread(last["min"].to_numpy() - low[last.index])
        span, count = (last["max"] - last["min"]).to_numpy(), np.bincount(rows)[last.index]
        long = (count >= MIN_PACED_ROWS) & (span > 0)
        paced = spanned and _log_spread(span[long] / (count[long] - 1)) < _log_spread(span[long])
        return replace(timeline, spanned=spanned, dated=dated, paced=paced, step=_common_step(times - window[0]))

    @property
    def daily(self) -> bool:
        """Whether all times are whole days, some of them one day apart."""
        return is_daily(self.step, self.axis.seconds)

    def first_origin(self, low: Floats) -> Floats:
        """Return the time from which each parent's first child is measured, shape (parents,).

        Args:
            low: Origin of each parent, shape (parents,).
        """
        return np.full(len(low), self.window[0]) if self.dated else low

    def on_grid(self, times: Floats, *, later: bool) -> Floats:
        """Round times up (``later``) or down to a whole number of steps from the start of the window."""
        if not self.step:
            return times
        steps = (times - self.window[0]) / self.step
        return np.asarray((np.ceil(steps) if later else np.floor(steps)) * self.step + self.window[0])

    def bounds(self, parent: pd.DataFrame, parent_schema: Schema) -> tuple[Floats, Floats]:
        """Return the origin and end of each parent's history, shape (parents,)."""
        low, high = np.full(len(parent), self.window[0]), np.full(len(parent), self.window[1])
        if self.origin is not None:
            dates = self.axis.numbers(parent_schema[self.origin], parent[self.origin])
            low = np.where(np.isnan(dates), low, dates)  # missing for parents without children
        if self.end is not None:
            dates = self.axis.numbers(parent_schema[self.end], parent[self.end])
            high = np.where(np.isnan(dates), high, dates)
        return low, high

    def to_dict(self) -> dict[str, Any]:
        """Return the timeline as plain data."""
        return {**asdict(self), "axis": self.axis.to_dict(), "window": list(self.window)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        offsets = {name: check_dtype_name(dtype) for name, dtype in data["offsets"].items()}
        known = {"axis": Axis.from_dict(data["axis"]), "window": tuple(data["window"]), "offsets": offsets}
        return cls(**{**data, **known})


def _spread(data: Floats) -> float:
    """Return the mean absolute distance from the median."""
    return float(np.abs(data - np.median(data)).mean())


def _log_spread(data: Floats) -> float:
    return _spread(np.log(data)) if len(data) else np.inf


def _common_step(distances: Floats) -> float:
    """Return the greatest common divisor of all distances, 0 if some are not whole numbers."""
    whole = np.round(distances)
    if not np.array_equal(whole, distances) or np.abs(whole).max() >= 2**53:
        return 0.0
    return float(np.gcd.reduce(whole.astype(np.int64)))
