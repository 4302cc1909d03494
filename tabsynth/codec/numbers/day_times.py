"""Distribution of the time of day of a datetime column, such as appointments between 8 and 18 o'clock.

The moments of a bin that is wider than a few hours are spread over it in proportion to this distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tabsynth.common.arrays import Floats, Integers, check_numbers

PARTS = (96, 48, 24, 12, 8)
"""Numbers of parts of a day that are tried, the most first."""

MAX_RARE_SHARE = 0.02
"""Maximum share of the rows in parts of a day with too few persons."""

MIN_ROWS, MIN_DAYS = 20, 3
"""Minimum moments other than midnight, and days between the first and the last decile."""

MIN_DEVIATIONS = 6.0
"""Minimum deviation from a uniform distribution, in standard deviations of the chi-squared statistic."""


@dataclass(frozen=True, eq=False)
class DayTimes:
    """A distribution of the time of day, as a piecewise linear clock that runs fast in frequent parts of the day.

    Attributes:
        day: Units of the column in a day.
        shares: Share of the moments in each of several equal parts of the day, shape (parts,).
    """

    day: float
    shares: Floats

    @cached_property
    def _ends(self) -> Floats:
        return np.asarray(np.concatenate([[0.0], np.cumsum(self.shares)]) / self.shares.sum())

    @cached_property
    def _hours(self) -> Floats:
        return np.linspace(0.0, 1.0, len(self.shares) + 1)

    def elapsed(self, moments: Floats) -> Floats:
        """Return the days on this clock until each moment, shape (n,)."""
        days = np.floor(moments / self.day)
        return np.asarray(days + np.interp(moments / self.day - days, self._hours, self._ends))

    def moments(self, elapsed: Floats) -> Floats:
        """Return the moments at which the clock shows a number of days, shape (n,)."""
        days = np.floor(elapsed)
        return np.asarray((days + np.interp(elapsed - days, self._ends, self._hours)) * self.day)

    def between(self, low: Floats, high: Floats, share: Floats) -> Floats:
        """Return the moments at a share of the time between two moments, shape (n,)."""
        first, last = self.elapsed(low), self.elapsed(high)
        inside = self.moments(first + share * (last - first))
        return np.asarray(np.where(last > first, np.clip(inside, low, high), low + share * (high - low)))

    def share(self, low: Floats, high: Floats, moments: Floats) -> Floats:
        """Return the share of the time between two moments that is before each of some moments, shape (n,)."""
        moments = np.clip(moments, low, high)
        first, last = self.elapsed(low), self.elapsed(high)
        width = np.where(last > first, last - first, np.maximum(high - low, 1e-300))
        passed = np.where(last > first, self.elapsed(moments) - first, moments - low)
        return np.asarray(np.clip(passed / width, 0.0, 1.0))

    def check(self) -> None:
        """Raise a ValueError unless the numbers describe a distribution."""
        what = "the times of day of a datetime are no distribution"
        check_numbers(self.shares, (self.shares.size,), what, low=0.0)
        if not self.shares.sum() > 0 or not (np.isfinite(self.day) and self.day > 0):
            raise ValueError(what)


def measure_day_times(values: Floats, who: Integers | None, floor: int, units_per_day: float | None) -> DayTimes | None:
    """Measure the distribution of the time of day; None for numbers, and for times at any hour.

    Args:
        values: The moments, sorted.
        who: Person of each row; None if each row is one person.
        floor: Minimum persons of a part of the day.
        units_per_day: Units of the moments in a day; None for numbers.
    """
    if units_per_day is None or units_per_day < PARTS[-1]:
        return None
    time = np.mod(values, units_per_day)
    timed = time != 0
    if timed.sum() < MIN_ROWS or np.subtract(*np.quantile(values, [0.9, 0.1])) < MIN_DAYS * units_per_day:
        return None
    time, persons = time[timed], None if who is None else who[timed]
    for parts in (own for own in PARTS if units_per_day % own == 0):
        part = (time * parts // units_per_day).astype(np.int64)
        rows = np.bincount(part, minlength=parts)
        counts = rows
        if persons is not None:
            counts = np.bincount(np.unique(np.stack([part, persons]), axis=1)[0], minlength=parts)
        often = counts >= floor
        if rows[~often].sum() <= MAX_RARE_SHARE * len(time):
            expected = len(time) / parts
            excess = float(((rows - expected) ** 2 / expected).sum()) - (parts - 1)
            is_uniform = excess < MIN_DEVIATIONS * np.sqrt(2.0 * (parts - 1))
            return None if is_uniform else DayTimes(units_per_day, np.where(often, rows, 0.0))
    return None
