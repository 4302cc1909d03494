"""Whole days, months or years between two dates, such as an age at admission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats, Integers

DAYS_OF_A_YEAR = 365.25
MEASURES = ("days", "years", "years of 365.25 days", "calendar years", "months", "weeks", "hours")
"""Units in which the time between two dates may be counted."""

NS_OF_A_DAY, NS_OF_AN_HOUR = UNIT_NANOSECONDS["D"], UNIT_NANOSECONDS["h"]
Moments = npt.NDArray[np.datetime64]


def to_moments(data: Floats, unit: str) -> Moments:
    """Return datetimes in units of a resolution, or years for the unit "year", as moments; NaT where missing."""
    missing = np.isnan(data)
    if unit == "year":
        years = (np.where(missing, 1970, np.clip(data, 1700, 2250)) - 1970).astype("datetime64[Y]")
        out = years.astype("datetime64[ns]")
    else:
        out = (np.where(missing, 0, data).astype(np.int64) * UNIT_NANOSECONDS[unit]).astype("datetime64[ns]")
    out[missing] = np.datetime64("NaT")
    return np.asarray(out)


def _parts(moments: Moments) -> tuple[Integers, Integers]:
    """Return months since 1970 and the days of the month."""
    months = moments.astype("datetime64[M]")
    days = (moments.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return months.astype(np.int64), days


def elapsed(start: Moments, end: Moments, measure: str) -> Floats:
    """Return what a measure counts between two moments, NaN where one is missing, shape (n,)."""
    missing = np.isnat(start) | np.isnat(end)
    start, end = (np.where(missing, np.datetime64(0, "ns"), own) for own in (start, end))
    days = (end.astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.int64)
    out: npt.NDArray[Any]
    if measure == "hours":
        out = (end - start).astype(np.int64) // NS_OF_AN_HOUR
    elif measure in ("days", "weeks"):
        out = days // (7 if measure == "weeks" else 1)
    elif measure == "years of 365.25 days":
        out = np.floor(days / DAYS_OF_A_YEAR)
    elif measure == "calendar years":
        out = end.astype("datetime64[Y]").astype(np.int64) - start.astype("datetime64[Y]").astype(np.int64)
    else:
        (first, day), (last, other) = _parts(start), _parts(end)
        out = last - first - (other < day)
        out = out // 12 if measure == "years" else out
    return np.where(missing, np.nan, out.astype(np.float64))


def moved(moments: Moments, count: Floats, measure: str) -> Moments:
    """Return moments later by a count of a measure; the 29th to 31st may become the last day of a month."""
    steps = np.where(np.isnan(count), 0, count)
    if measure in ("hours", "days", "weeks", "years of 365.25 days"):
        length = {"hours": NS_OF_AN_HOUR, "days": NS_OF_A_DAY, "weeks": 7 * NS_OF_A_DAY}
        size = length.get(measure, round(DAYS_OF_A_YEAR * NS_OF_A_DAY))
        by = steps.astype(np.int64) * size
        by = by - by % NS_OF_A_DAY if measure.startswith("years") else by
        return np.asarray(moments + by.astype("timedelta64[ns]"))
    months = moments.astype("datetime64[M]") + (steps * (1 if measure == "months" else 12)).astype(np.int64)
    longest = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) - 1
    time = moments - moments.astype("datetime64[D]")
    day = np.minimum(_parts(moments)[1], longest)
    return np.asarray((months.astype("datetime64[D]") + day).astype("datetime64[ns]") + time)


@dataclass(frozen=True)
class ElapsedRule:
    """A whole number counts the time between two dates, or since a date until a fixed day.

    Attributes:
        column: The number.
        start: The column of the earlier date.
        start_unit: Its resolution; "year" for a column of years.
        end: The column of the later date; empty for a fixed day.
        end_unit: Its resolution, or the fixed day.
        measure: What is counted, one of ``MEASURES``.
        shift: Added to the count.
        moves: The date that is moved where the number differs; empty to overwrite the number.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
    """

    column: str
    start: str
    start_unit: str
    end: str
    end_unit: str
    measure: str
    shift: float
    moves: str
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, self.start, *([self.end] if self.end else []))

    def _moments(self, values: Mapping[str, Any]) -> tuple[Moments, Moments]:
        """Return the two dates of each row."""
        start = to_moments(values[self.start], self.start_unit)
        if self.end:
            return start, to_moments(values[self.end], self.end_unit)
        return start, np.full(len(start), np.datetime64(self.end_unit, "ns"))

    def number(self, values: Mapping[str, Any]) -> Floats:
        """Return the count of each row, NaN where a date is missing, shape (n,)."""
        return elapsed(*self._moments(values), self.measure) + self.shift

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        number = self.number(values)
        return np.asarray(np.isnan(number) | np.isnan(values[self.column]) | (values[self.column] == number))

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Move a date, or overwrite the number where that is impossible."""
        if self.moves:
            self._move(self.moves, values, coders[self.moves], pinned[self.moves])
        rows = ~self.holds(values) & ~pinned[self.column]
        values[self.column][rows] = self.number(values)[rows]

    def _move(self, name: str, values: dict[str, Any], coder: QuantileCoder, pinned: Bools) -> None:
        """Move the dates of a column so that they agree with the numbers, if the range of the dates allows it."""
        rows = ~self.holds(values) & ~pinned
        if not rows.any():
            return
        excess = values[self.column] - self.number(values)
        start, end = self._moments(values)
        at, by = (start, -excess) if name == self.start else (end, excess)
        unit = self.start_unit if name == self.start else self.end_unit
        ticks = moved(at, by, self.measure).astype(np.int64) // UNIT_NANOSECONDS[unit]
        trial = np.where(rows, ticks.astype(np.float64), values[name])
        good = rows & self.holds({**values, name: trial}) & (trial >= coder.low[0]) & (trial <= coder.high[-1])
        values[name][good] = trial[good]
