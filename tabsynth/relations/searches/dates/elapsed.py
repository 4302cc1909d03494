"""Discover whole numbers that count the days, months or years between two dates, or until a fixed day."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import permutations
from typing import Any

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.conditional.elapsed import MEASURES, ElapsedRule, Moments, elapsed, moved, to_moments
from tabsynth.relations.pairwise_fit import unexplained_shares
from tabsynth.relations.row_rule_discovery import MIN_ROWS
from tabsynth.relations.rule_columns import Columns

SCREEN_ROWS = 200
"""Number of rows on which all pairs of dates are compared with all numbers."""

MAX_DATES = 8
"""Maximum number of date columns of which pairs are compared."""

MIN_VALUES, MIN_COUNTS = 4, 2
"""Minimum different numbers of ages on a fixed day, and between two dates."""

MAX_AGE_UNEXPLAINED = 0.3
"""Maximum share of the variance of ages that the rounding to years may be."""

AGES, MAX_AGE = ("years", "years of 365.25 days"), 200
"""Measures of ages on a fixed day, and the maximum age."""


def discover_elapsed(columns: Columns, decided: Collection[str], bound: Collection[str]) -> Iterator[ElapsedRule]:
    """Find the numbers that count the time between two dates, or until a fixed day.

    Args:
        columns: The table.
        decided: Columns that a relation or another rule decides.
        bound: Columns of exact relations, which are not moved.
    """
    units = {name: unit.removeprefix("datetime ") for name, unit in columns.units.items() if unit != "number"}
    dates = {name: to_moments(columns.numbers[name], unit) for name, unit in list(units.items())[:MAX_DATES]}
    numbers = {name: own for name, own in columns.numbers.items() if name not in units and _is_whole(own)}
    open_ = {name: own for name, own in numbers.items() if name not in decided}
    if not dates or not open_:
        return
    years = {name: own for name, own in numbers.items() if _are_years(own)}
    units |= dict.fromkeys(years, "year")
    starts = {**dates, **{name: to_moments(own, "year") for name, own in years.items()}}
    pairs = [*permutations(dates, 2), *((start, end) for start in years for end in dates)]
    for start, end in pairs:
        few = _few_rows(starts[start], dates[end])
        for measure in MEASURES if start in dates else ("calendar years",):
            for name in _screened(starts[start][few], dates[end][few], measure, few, open_):
                if start == name or {name, start, end} <= {*bound}:
                    continue
                # The date of birth is moved for an age, else the later date.
                movable = [own for own in ((start, end) if "year" in measure else (end, start)) if own in dates]
                moves = next((own for own in movable if own not in bound), "")
                both = starts[start], dates[end]
                rule = _between(name, start, end, measure, *both, open_[name], units, moves)
                if rule is not None:
                    del open_[name]
                    yield rule
    for start in dates:
        for name in _nearly_linear(columns.numbers[start], open_):
            rule = _until(name, start, dates[start], open_[name], units, "" if start in bound else start)
            if rule is not None:
                del open_[name]
                yield rule


def _is_whole(data: Floats) -> bool:
    """Return whether a column has several whole numbers and nothing else."""
    if (data[:SCREEN_ROWS] % 1 > 0).any():
        return False
    present = data[~np.isnan(data)]
    return len(present) >= MIN_ROWS and not (present % 1).any() and len(np.unique(present[:1000])) >= MIN_COUNTS


def _are_years(data: Floats) -> bool:
    return bool(np.nanmin(data) >= 1800 and np.nanmax(data) <= 2200)


def _few_rows(start: Moments, end: Moments) -> Integers:
    """Return some of the rows in which two dates are present."""
    rows = np.flatnonzero(~np.isnat(start) & ~np.isnat(end))
    return rows[:: max(1, len(rows) // SCREEN_ROWS)]


def _screened(start: Moments, end: Moments, measure: str, rows: Integers, numbers: dict[str, Floats]) -> list[str]:
    """Return the numbers that differ from the time between two dates by a constant, in a sample of the rows."""
    if not numbers or len(rows) < MIN_ROWS:
        return []
    time = elapsed(start, end, measure)
    rest = np.stack([own[rows] for own in numbers.values()]) - time
    names = list(numbers)
    same = np.fmax.reduce(rest, axis=1) == np.fmin.reduce(rest, axis=1)
    return [names[at] for at in np.flatnonzero(same & ((~np.isnan(rest)).sum(axis=1) >= MIN_ROWS / 2))]


def _between(
    name: str,
    start: str,
    end: str,
    measure: str,
    first: Moments,
    last: Moments,
    numbers: Floats,
    units: dict[str, str],
    moves: str,
) -> ElapsedRule | None:
    """Return the rule that a number counts the time between two dates, None if a row contradicts it."""
    rest = numbers - elapsed(first, last, measure)
    here = ~np.isnan(rest)
    if here.sum() < MIN_ROWS or np.ptp(rest[here]) != 0 or len(np.unique(numbers[here])) < MIN_COUNTS:
        return None
    shift = float(rest[here][0])
    text = f"{name} counts the {measure} from {start} to {end}" + f" plus {shift:g}" * bool(shift)
    return ElapsedRule(name, start, units[start], end, units[end], measure, shift, moves, text, float(here.sum()))


def _nearly_linear(date: Floats, numbers: dict[str, Floats]) -> list[str]:
    """Return the numbers that are a line in a date up to the rounding to years, in a sample of the rows."""
    if not numbers:
        return []
    few = np.flatnonzero(~np.isnan(date))
    few = few[:: max(1, len(few) // SCREEN_ROWS)]
    shares = unexplained_shares(np.stack([own[few] for own in numbers.values()]), date[None, few])[:, 0]
    return [name for name, share in zip(numbers, shares, strict=True) if share <= MAX_AGE_UNEXPLAINED]


def _until(
    name: str, start: str, first: Moments, numbers: Floats, units: dict[str, str], moves: str
) -> ElapsedRule | None:
    """Return the rule that a number is an age in years on a fixed day, None if there is no such day."""
    few = slice(None, None, max(1, len(numbers) // SCREEN_ROWS))
    sample = first[few], numbers[few]
    known = ~np.isnat(sample[0]) & ~np.isnan(sample[1]) & (np.abs(sample[1]) <= MAX_AGE)
    if not known.any() or all(_fixed_day(sample[0][known], sample[1][known], own) is None for own in AGES):
        return None
    here = ~np.isnat(first) & ~np.isnan(numbers)
    if here.sum() < MIN_ROWS or len(np.unique(numbers[here])) < MIN_VALUES or np.abs(numbers[here]).max() > MAX_AGE:
        return None
    for measure in AGES:
        day = _fixed_day(first[here], numbers[here], measure)
        if day is None:
            continue
        for moment in day:
            fixed = str(moment.astype("datetime64[D]"))
            end = np.full(len(first), np.datetime64(fixed, "ns"))
            if bool((elapsed(first, end, measure) == numbers)[here].all()):
                text = f"{name} counts the {measure} from {start} to {fixed}"
                return ElapsedRule(name, start, units[start], "", fixed, measure, 0.0, moves, text, float(here.sum()))
    return None


def _fixed_day(first: Moments, numbers: Floats, measure: str) -> tuple[Any, Any] | None:
    """Return the middle and the first of the moments until which numbers are ages, None if there are none."""
    least, most = moved(first, numbers, measure).max(), moved(first, numbers + 1, measure).min()
    return (least + (most - least) // 2, least) if least < most else None
