"""Discover dates that are a few numbers of whole months after another date, such as the maturity of a loan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import permutations

import numpy as np

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.conditional.date_shifts import DateShiftRule, shifted
from tabsynth.relations.conditional.elapsed import elapsed, to_moments
from tabsynth.relations.row_rule_discovery import MIN_ROWS, is_free
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.dates.elapsed import MAX_DATES, SCREEN_ROWS

SHIFTS = (0, -1)
"""Days added to the months: a contract may end on the day before."""

MAX_COUNTS, MIN_DAYS = 12, 14
"""Maximum numbers of months, and minimum distance in days: other dates are near each other by chance."""

MIN_EVIDENCE_ROWS = 30.0
"""Minimum rows that would differ by chance."""


def discover_date_shifts(
    columns: Columns, computed: Mapping[str, frozenset[str]], bound: Collection[str]
) -> Iterator[DateShiftRule]:
    """Find the dates that are whole months after another one in all rows.

    Args:
        columns: The table.
        computed: Columns that a relation decides, with those that it reads.
        bound: Columns of other relations, which no shift determines.
    """
    done: set[str] = set()
    units = {name: unit.removeprefix("datetime ") for name, unit in columns.units.items() if unit != "number"}
    for start, column in permutations(list(units)[:MAX_DATES], 2):
        unit = units[start]
        free = is_free(start, column, computed) and column not in bound
        if not free or {start, column} & done or units[column] != unit or unit not in UNIT_NANOSECONDS:
            continue
        rule = _shift(start, column, unit, columns)
        if rule is not None:
            done.add(column)
            yield rule


def _shift(start: str, column: str, unit: str, columns: Columns) -> DateShiftRule | None:
    """Return the rule of two dates, None if a row contradicts it."""
    first, last = columns.numbers[start], columns.numbers[column]
    both = np.flatnonzero(~np.isnan(first) & ~np.isnan(last))
    few = both[:: max(1, len(both) // SCREEN_ROWS)]
    day = UNIT_NANOSECONDS["D"] / UNIT_NANOSECONDS[unit]
    if len(both) < MIN_ROWS or ((last - first)[few] < MIN_DAYS * day).any():
        return None
    for shift in SHIFTS:
        if _months(first[few], last[few], shift, unit) is None:
            continue
        months = _months(first[both], last[both], shift, unit)
        if months is None:
            continue
        known, at = np.unique(months, return_inverse=True)
        days = np.unique((last - first)[both])
        # Numbers of days that are all different are no months.
        if len(known) > MAX_COUNTS or len(days) <= len(known):
            return None
        if not all(columns.is_supported(both[at == own]) for own in range(len(known))):
            return None
        evidence = float(len(both) * (1 - 1 / len(days)))
        if evidence < MIN_EVIDENCE_ROWS:
            return None
        group, values, numbers = _group(months, both, columns, {start, column})
        ends = f"{known[0]:g}" if len(known) == 1 else f"{known[0]:g} to {known[-1]:g}"
        text = f"{column} is {ends} months after {start}" + " minus 1 day" * bool(shift)
        text += f" by {group}" * bool(group)
        return DateShiftRule(column, start, unit, shift, numbers, group, values, text, round(evidence, 1))
    return None


def _months(first: Floats, last: Floats, shift: int, unit: str) -> Floats | None:
    """Return the months between two dates, None unless they are whole in all rows."""
    day = UNIT_NANOSECONDS["D"] // UNIT_NANOSECONDS[unit]
    # Three days more: the 31st is moved to the last day of a month.
    months = elapsed(to_moments(first, unit), to_moments(last + (3 - shift) * day, unit), "months")
    return months if (shifted(first, months, shift, unit) == last).all() else None


def _group(
    months: Floats, rows: Integers, columns: Columns, dates: Collection[str]
) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Return the column of few values that determines the months, its values, and the months of each."""
    known = np.unique(months)
    for name, own in columns.groups.items():
        values, at = np.unique(own[rows], return_inverse=True)
        if name in dates or np.isnan(values).any() or len(values) > MAX_COUNTS or len(known) < 2:
            continue
        least, most = np.full(len(values), np.inf), np.full(len(values), -np.inf)
        np.minimum.at(least, at, months)
        np.maximum.at(most, at, months)
        if (least == most).all():
            return name, tuple(values.tolist()), tuple(least.tolist())
    return "", (), tuple(known.tolist())
