"""Dates that are whole months after another date, such as a maturity by the term of a loan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.conditional.elapsed import moved, to_moments

DAYS_OF_A_MONTH = 30.436875


@dataclass(frozen=True)
class DateShiftRule:
    """A date is one of a few numbers of months after another date, which a third column may determine.

    Attributes:
        column: The later date.
        start: The earlier date.
        unit: The resolution of both.
        shift: Days added to the months, such as -1 for the last day of a contract.
        months: Numbers of months, ascending if no column determines them.
        group: The column that determines the number, "" for none.
        values: Its value for each of them: a number or a token, ascending; empty without it.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
    """

    column: str
    start: str
    unit: str
    shift: int
    months: tuple[float, ...]
    group: str
    values: tuple[float, ...]
    text: str
    evidence: float

    def __post_init__(self) -> None:
        """Raise a ValueError for months that a file cannot have."""
        if not self.months or not np.isfinite(self.months).all() or abs(self.shift) > 1:
            raise ValueError("a date is a finite number of months after another one")
        if self.group and len(self.values) != len(self.months):
            raise ValueError("each value of the group has its months")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.start, self.column, *([self.group] if self.group else []))

    def number(self, values: Mapping[str, Any]) -> Floats:
        """Return the later date of each row, that of the nearest number of months without a group, NaN if unknown."""
        months = np.array(self.months)
        day = UNIT_NANOSECONDS["D"] / UNIT_NANOSECONDS[self.unit]
        if self.group:
            known, own = np.array(self.values), values[self.group]
            at = np.minimum(np.searchsorted(known, own), len(known) - 1)
            count = np.where(known[at] == own, months[at], np.nan)
        else:
            near = ((values[self.column] - values[self.start]) / day - self.shift) / DAYS_OF_A_MONTH
            at = np.searchsorted((months[1:] + months[:-1]) / 2, near)
            count = np.where(np.isnan(near), np.nan, months[at])
        return shifted(values[self.start], count, self.shift, self.unit)

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        number = self.number(values)
        return np.asarray(np.isnan(number) | np.isnan(values[self.column]) | (values[self.column] == number))

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Overwrite the later date; if it is pinned, move the earlier one by the difference."""
        rows = ~self.holds(values) & ~pinned[self.column]
        values[self.column][rows] = self.number(values)[rows]
        rows = ~self.holds(values) & ~pinned[self.start]
        trial = values[self.start] + np.where(rows, values[self.column] - self.number(values), 0.0)
        good = rows & self.holds({**values, self.start: trial})
        values[self.start][good] = trial[good]


def shifted(start: Floats, months: Floats, shift: int, unit: str) -> Floats:
    """Return dates later by months and days, NaN where one of them is unknown, shape (n,)."""
    unknown = np.isnan(start) | np.isnan(months)
    later = moved(to_moments(np.where(unknown, np.nan, start), unit), months, "months").astype(np.int64)
    ticks = (later + shift * UNIT_NANOSECONDS["D"]) // UNIT_NANOSECONDS[unit]
    return np.where(unknown, np.nan, ticks.astype(np.float64))
