"""Discover numbers whose range a column of many values bounds, such as the latitude by the postcode."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.categories.group_bounds import GroupBoundsRule
from tabsynth.relations.row_rule_discovery import MAX_SCAN_ROWS
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.bands import supported_end

MIN_GROUPS = 8
"""Minimum number of values of a column that bounds a number; bounds under single values are another kind of rule."""

MIN_GROUP_ROWS = 20
"""Minimum rows of a value that has bounds."""

MIN_COVERED_SHARE = 0.8
"""Minimum share of the rows whose value has bounds."""

MAX_INSIDE_SHARE = 0.3
"""Maximum share of the column's numbers between the bounds of a group, on average."""


def discover_group_bounds(
    columns: Columns, decided: Collection[str], related: Collection[frozenset[str]]
) -> Iterator[GroupBoundsRule]:
    """Find the numbers whose range within groups is far smaller than that of the column, one rule for each number.

    Args:
        columns: The table.
        decided: Columns that a relation or another rule decides.
        related: Pairs of columns with a rule of their own.
    """
    names = [name for name in columns.numbers if name in columns.varied and name not in decided]
    if not names:
        return
    step = max(1, len(columns.numbers[names[0]]) // MAX_SCAN_ROWS)
    ranks = np.stack([_ranks(columns.numbers[name][::step]) for name in names])
    best: dict[str, tuple[float, str]] = {}
    for group, values in columns.keys.items():
        inside = _inside_shares(values[::step], ranks)
        for at in np.flatnonzero(inside <= MAX_INSIDE_SHARE).tolist():
            name = names[at]
            if name != group and frozenset((name, group)) not in related:
                best[name] = min(best.get(name, (1.0, "")), (float(inside[at]), group))
    for name, (_, group) in best.items():
        rule = _rule(name, group, columns)
        if rule is not None:
            yield rule


def _ranks(data: Floats) -> Floats:
    """Return the share of numbers below or equal to each, NaN where missing."""
    present = np.sort(data[~np.isnan(data)])
    return np.where(np.isnan(data), np.nan, np.searchsorted(present, data) / max(len(present), 1))


def _inside_shares(values: Floats, ranks: Floats) -> Floats:
    """Return the mean share of each column's numbers between the ends of a group; 1 with too few groups."""
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
    start = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    size = np.diff(np.append(start, len(order)))
    if (size > 1).sum() < MIN_GROUPS:
        return np.ones(len(ranks))
    block = ranks[:, order]
    width = np.fmax.reduceat(block, start, axis=1) - np.fmin.reduceat(block, start, axis=1)
    # The range of few rows is smaller than that of their distribution.
    width = np.minimum(width * (size + 1) / np.maximum(size - 1, 1), 1)
    width, size = width[:, size > 1], size[size > 1]
    weight = np.where(np.isnan(width), 0, size)
    return np.asarray((np.nan_to_num(width) * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1))


def _rule(name: str, group: str, columns: Columns) -> GroupBoundsRule | None:
    """Return the bounds of a number by group, None if too few rows have bounds, or if these are wide."""
    numbers, values = columns.numbers[name], columns.keys[group]
    both = ~np.isnan(numbers) & ~np.isnan(values)
    rows = np.flatnonzero(both)[np.lexsort((numbers[both], values[both]))]
    numbers, values = numbers[rows], values[rows]
    start = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    stop = np.append(start[1:], len(values))
    large = stop - start >= MIN_GROUP_ROWS
    start, stop = start[large], stop[large]
    floors = [_floor(rows[begin:end], columns) for begin, end in zip(start.tolist(), stop.tolist(), strict=True)]
    large = stop - start >= 4 * np.array(floors, np.int64)
    start, stop, floors = start[large], stop[large], np.array(floors, np.int64)[large].tolist()
    if len(start) < MIN_GROUPS or (stop - start).sum() < MIN_COVERED_SHARE * len(values):
        return None
    every, size = np.sort(numbers), stop - start
    step = columns.steps[name]
    parts = [numbers[begin:end] for begin, end in zip(start.tolist(), stop.tolist(), strict=True)]
    ends = [_ends(own, floor, step) for own, floor in zip(parts, floors, strict=True)]
    mirrored = [_ends(-own[::-1], floor, step) for own, floor in zip(parts, floors, strict=True)]
    (lower, first), (upper, last) = np.array(ends).T, -np.array(mirrored).T
    inside = (np.searchsorted(every, upper, side="right") - np.searchsorted(every, lower)) / len(every)
    if (size * inside).sum() > MAX_INSIDE_SHARE * size.sum() or (first == last).all():
        return None
    text = f"{group} bounds {name} for {len(start)} values"
    evidence = round(float((size * (1 - inside)).sum()), 1)
    return GroupBoundsRule(
        name,
        group,
        tuple(values[start].tolist()),
        tuple(lower.tolist()),
        tuple(upper.tolist()),
        tuple(first.tolist()),
        tuple(last.tolist()),
        text,
        evidence,
    )


def _floor(rows: Integers, columns: Columns) -> int:
    """Return the number of rows at either end of a group that enough persons have."""
    return max(columns.supporting_rows(rows), columns.supporting_rows(rows[::-1]))


def _ends(own: Floats, floor: int, step: float) -> tuple[float, float]:
    """Return a bound below ascending numbers of a group, and the lowest number that enough rows support.

    The bound depends on the least number only through a doubling of the distance, which starts with the distance of
    supported numbers, and with that of the next of n rows: it is outside their range with probability 2 / (n + 1).
    """
    first = supported_end(own, floor)
    least = 2 * float(own[-floor] - own[floor - 1]) / len(own)
    distance = max(float(own[2 * floor - 1]) - first, least, step)
    bound = first - distance
    while bound > own[0]:
        distance *= 2
        bound = first - distance
    return bound, first
