"""Frequent endings of numbers and times, such as prices that end in .99 and stays that end at 12:00."""

from __future__ import annotations

import math

import numpy as np

from tabsynth.codec.numbers.rounding_units import candidate_units
from tabsynth.common.arrays import Floats, Integers

MIN_ENDING_SHARE, MIN_ENDING_ROWS = 0.03, 10
"""Minimum share and rows of the numbers that have an ending."""

MIN_RATIO = 3.0
"""Minimum frequency of an ending relative to others of its period, and to others that are rounded as it is."""

MIN_PERIODS = 5
"""Minimum times that the period of an ending fits into the middle four fifths of the numbers."""

MAX_ENDINGS, MAX_STEPS = 20, 10**6
"""Maximum number of endings of a column, the most frequent first, and maximum steps of a period."""

MIN_STEP = 1e-6
PERIODS = (1.0, 10.0, 100.0, 1000.0)


def frequent_endings(
    values: Floats, who: Integers | None, floor: int, step: float, units_per_day: float | None
) -> list[tuple[float, float]]:
    """Return periods and the remainders of numbers that are more frequent than other remainders.

    Args:
        values: The numbers without point masses, sorted.
        who: Person of each row; None if each row is one person.
        floor: Minimum persons of an ending.
        step: The finest step of the column, 0 for none.
        units_per_day: For datetimes, units of the numeric scale in a day; None for numbers.
    """
    if step >= MIN_STEP and units_per_day is not None:
        only = _only_time(values, who, floor, step, units_per_day)
        if only is not None:
            return [(units_per_day, only)]
    if step < MIN_STEP or len(values) < MIN_ENDING_ROWS / MIN_ENDING_SHARE:
        return []
    span = float(np.subtract(*np.quantile(values, [0.9, 0.1])))
    periods = PERIODS if units_per_day is None else (units_per_day / 24, units_per_day, 7 * units_per_day)
    steps = np.rint(values / step)
    found: dict[tuple[int, int], int] = {}
    for period in periods:
        count = round(period / step)
        if not 3 <= count <= MAX_STEPS or abs(count * step - period) > 1e-9 * period or span < MIN_PERIODS * period:
            continue
        ending = np.mod(steps, count).astype(np.int64)
        rows = np.bincount(ending, minlength=count)
        level = _levels(count, step, units_per_day)
        of_level, size = np.bincount(level, weights=rows), np.bincount(level)
        others = (of_level[level] - rows) / np.maximum(size[level] - 1, 1)
        expected = len(values) / count
        least = max(MIN_ENDING_ROWS, MIN_ENDING_SHARE * len(values), MIN_RATIO * expected + 5 * math.sqrt(expected))
        often = (rows >= least) & (rows >= MIN_RATIO * others) & (size[level] > 1) & (np.arange(count) > 0)
        for own in np.flatnonzero(often).tolist():
            # Numbers with the ending of a shorter period have this one by chance.
            implied = [number * other / count for (other, rest), number in found.items() if own % other == rest]
            persons = rows[own] if who is None else len(np.unique(who[ending == own]))
            if persons >= floor and rows[own] >= MIN_RATIO * max(implied, default=0.0):
                found[count, own] = int(rows[own])
    often_first = sorted(found, key=lambda key: -found[key])[:MAX_ENDINGS]
    return [(round(count * step, 6), round(own * step, 6)) for count, own in often_first]


def _only_time(values: Floats, who: Integers | None, floor: int, step: float, units_per_day: float) -> float | None:
    """Return the time of day of all moments; None if they have several, or the first of the day."""
    count = round(units_per_day / step)
    if (
        abs(count * step - units_per_day) > 1e-9 * units_per_day
        or len(values if who is None else np.unique(who)) < floor
    ):
        return None
    time = np.mod(np.rint(values / step), count)
    return float(time[0] * step) if len(time) and time[0] and (time == time[0]).all() else None


def _levels(count: int, step: float, units_per_day: float | None) -> Integers:
    """Return the coarsest rounding unit below a period of which each ending is a multiple, as its position."""
    units = [round(unit / step) for unit in candidate_units(step, units_per_day) if unit < count * step]
    exact = [unit for unit in units if unit and count % unit == 0]
    out = np.full(count, len(exact))
    for at in range(len(exact) - 1, -1, -1):
        out[:: exact[at]] = at
    return out
