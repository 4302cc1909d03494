"""Ends of a numeric column that are based on enough persons."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.schema.rounding import roundest_number


def extremes(values: Floats, who: Integers | None, floor: int) -> tuple[float, float]:
    """Return the floor-th smallest and largest value by person; the median where they would cross."""
    if who is None:
        low, high = values[floor - 1], values[len(values) - floor]
    else:
        low, high = values[_nth_person(who, floor)], values[len(who) - 1 - _nth_person(who[::-1], floor)]
    return (float(low), float(high)) if low <= high else (float(np.median(values)),) * 2


def _nth_person(who: Integers, nth: int) -> int:
    """Return the position at which the nth distinct person appears."""
    return int(np.sort(np.unique(who, return_index=True)[1])[nth - 1])


def round_ends(
    raw: Floats, who: Integers | None, values: Floats, floor: int, step: float, decimals: int | None
) -> tuple[float, float]:
    """Return the ends of clipped values, each moved inward to the roundest number before the next value.

    Therefore no end is one person's value. An end that ``floor`` persons share is unchanged.
    """
    ends = []
    for sign, end in ((1.0, float(values[0])), (-1.0, float(values[-1]))):
        rows = raw == end
        persons = int(rows.sum()) if who is None else len(np.unique(who[rows]))
        inner = values[values > end] if sign > 0 else values[values < end]
        if persons < floor and len(inner):
            rounded = sign * roundest_number(sign * end, sign * float(inner[0] if sign > 0 else inner[-1]), step)
            end = rounded if decimals is None else round(rounded, decimals)
        ends.append(end)
    return (ends[0], ends[1]) if ends[0] <= ends[1] else (float(values[0]), float(values[-1]))


def are_rare_ends(raw: Floats, who: Integers | None, values: Floats, floor: int) -> Bools:
    """Return which rows have an end that is the number of fewer than ``floor`` persons, shape (n,)."""
    out = np.zeros(len(values), bool)
    for end in (values[0], values[-1]):
        rows = np.flatnonzero(raw == end)
        if (len(rows) if who is None else len(np.unique(who[rows]))) < floor:
            out |= values == end
    return out
