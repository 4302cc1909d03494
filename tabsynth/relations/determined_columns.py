"""Columns that another column determines: by value, or as a calendar function such as the weekday or the month."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats

PARTS: Mapping[str, Callable[[pd.DatetimeIndex], Any]] = {
    "quarter": lambda moments: moments.quarter,
    "weekday": lambda moments: moments.day_of_week,
    "month": lambda moments: moments.month,
    "hour": lambda moments: moments.hour,
    "year": lambda moments: moments.year,
    "day": lambda moments: moments.day,
    "week": lambda moments: moments.isocalendar().week,
    "minute": lambda moments: moments.minute,
    "quarter of a year": lambda moments: moments.year * 4 + moments.quarter,
    "month of a year": lambda moments: moments.year * 12 + moments.month,
    "day of the year": lambda moments: moments.day_of_year,
    "date": lambda moments: moments.values.astype("datetime64[D]").astype(np.int64),
}
"""Calendar functions, those of fewest values first."""


def calendar_part(data: Floats, unit: str, part: str) -> Floats:
    """Return a calendar function of datetimes in units of their resolution, NaN where missing, shape (n,)."""
    missing = np.isnan(data)
    ticks = np.where(missing, 0, data).astype(np.int64) * UNIT_NANOSECONDS[unit]
    own = np.asarray(PARTS[part](pd.DatetimeIndex(ticks.astype("datetime64[ns]"))), dtype=np.float64)
    return np.where(missing, np.nan, own)


def _look_up(keys: Floats, values: Sequence[float], numbers: Sequence[float]) -> Floats:
    """Look up the number of each key in a table of ascending values, NaN for keys that are not in the table."""
    known = np.array(values)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, np.array(numbers)[at], np.nan)


class DeterminedColumn(ABC):
    """Base class of rules by which one column determines another.

    Attributes:
        group: The determining column.
        column: The dependent column.
    """

    group: str
    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.group, self.column)

    @abstractmethod
    def number(self, values: Mapping[str, Any]) -> Floats:
        """Return the number or token that each row determines, NaN if it determines none."""

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        number = self.number(values)
        return np.asarray(np.isnan(number) | np.isnan(values[self.column]) | (values[self.column] == number))


@dataclass(frozen=True)
class LookupRule(DeterminedColumn):
    """A number is a function of another column, as the population of a country is.

    Attributes:
        group: The determining column.
        values: Its values: numbers or tokens, ascending.
        column: The numeric column.
        numbers: Its number for each value.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
        exempt: Another number that the column may have, such as 0 for free shipping; None for no number.
    """

    group: str
    values: tuple[float, ...]
    column: str
    numbers: tuple[float, ...]
    text: str
    evidence: float
    exempt: float | None = None

    def number(self, values: Mapping[str, Any]) -> Floats:
        """Return the number that each row's value determines, NaN if it determines none."""
        out = _look_up(values[self.group], self.values, self.numbers)
        return out if self.exempt is None else np.where(values[self.column] == self.exempt, np.nan, out)

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Overwrite the number; if it is pinned, choose a value that determines this number."""
        rows = ~self.holds(values) & ~pinned[self.column]
        values[self.column][rows] = self.number(values)[rows]
        numbers = np.array(self.numbers)
        for row in np.flatnonzero(~self.holds(values) & ~pinned[self.group]):
            fitting = np.flatnonzero(numbers == values[self.column][row])
            if len(fitting):
                values[self.group][row] = self.values[fitting[int(seed[row] * len(fitting))]]


@dataclass(frozen=True)
class CalendarRule(DeterminedColumn):
    """A column is a calendar function of a datetime column.

    Attributes:
        group: The datetime column.
        unit: Its resolution.
        part: The function, one of ``PARTS``.
        column: The dependent column.
        values: Values of the function, ascending; empty if the column is the function plus ``shift``.
        numbers: Number or token of the column for each of them.
        shift: Added to the function where there are no ``values``.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
    """

    group: str
    unit: str
    part: str
    column: str
    values: tuple[float, ...]
    numbers: tuple[float, ...]
    shift: float
    text: str
    evidence: float

    def number(self, values: Mapping[str, Any]) -> Floats:
        """Return the number or token that each row's datetime determines, NaN if it determines none."""
        part = calendar_part(values[self.group], self.unit, self.part)
        if not self.values:
            return part + self.shift
        return _look_up(part, self.values, self.numbers)

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Overwrite the column; if it is pinned, copy a datetime of another row that determines its value."""
        rows = ~self.holds(values) & ~pinned[self.column]
        number = self.number(values)
        values[self.column][rows] = number[rows]
        violated = np.flatnonzero(~self.holds(values) & ~pinned[self.group])
        for wanted in np.unique(values[self.column][violated]):
            fitting = values[self.group][number == wanted]
            here = violated[values[self.column][violated] == wanted]
            if len(fitting):
                values[self.group][here] = fitting[(seed[here] * len(fitting)).astype(np.int64)]
