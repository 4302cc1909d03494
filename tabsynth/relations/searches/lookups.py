"""Discover numbers that the value of another column determines, such as the population of a country."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.determined_columns import LookupRule
from tabsynth.relations.row_rule_discovery import MAX_SCAN_ROWS, MIN_EVIDENCE_ROWS, MIN_ROWS
from tabsynth.relations.rule_columns import Columns

MIN_EXEMPT_SHARE, MIN_EXEMPT_EVIDENCE_ROWS = 0.05, 60.0
"""Minimum share of a number that may be an exception from a lookup, and minimum evidence of the other rows."""

MIN_COVERED_SHARE = 0.8
"""Minimum share of rows whose value is frequent enough to decide a number."""


def discover_lookups(columns: Columns, computed: Collection[str], moved: Collection[str] = ()) -> Iterator[LookupRule]:
    """Find numeric columns that are a function of another column, one rule for each.

    Columns without missing values whose tokens are single numbers are left to functional dependencies between tokens,
    unless the repair of another rule may move them.

    Args:
        columns: The table.
        computed: Columns that an exact relation computes.
        moved: Columns that the repair of another rule may move.
    """
    open_ = [name for name in columns.numbers if name not in computed and (name in columns.varied or name in moved)]
    # Of several columns the one with the fewest values is chosen: the country, not the city.
    for group, values in sorted(columns.keys.items(), key=lambda item: len(np.unique(item[1]))):
        for name in _candidates(group, values, open_, columns):
            rule = _lookup(group, name, values, columns)
            if rule is not None:
                open_.remove(name)
                yield rule
    yield from _with_exempt_numbers([name for name in columns.numbers if name not in computed], columns)


def _with_exempt_numbers(names: Sequence[str], columns: Columns) -> Iterator[LookupRule]:
    """Yield the lookups that hold in all rows but those with one frequent number, one for each column."""
    scan = slice(None, None, max(1, len(next(iter(columns.values.values()))) // MAX_SCAN_ROWS))
    own: dict[str, tuple[float, Floats]] = {}
    for name in names:
        known, counts = np.unique(columns.numbers[name][scan], return_counts=True)
        often = np.flatnonzero(~np.isnan(known) & (counts >= MIN_EXEMPT_SHARE * counts.sum()))
        if len(often) and len(known) > 2:
            exempt = float(known[often[np.argmax(counts[often])]])
            own[name] = exempt, np.where(columns.numbers[name] == exempt, np.nan, columns.numbers[name])
    without = replace(columns, numbers={name: numbers for name, (_, numbers) in own.items()})
    done: set[str] = set()
    for group, values in sorted(columns.keys.items(), key=lambda item: len(np.unique(item[1]))):
        every = _candidates(group, values, list(own), columns)
        for name in _candidates(group, values, list(own), without):
            rule = _lookup(group, name, values, without) if name not in done and name not in every else None
            # Each number must differ from the exempt one, which any value may have.
            if rule is None or rule.evidence < MIN_EXEMPT_EVIDENCE_ROWS or own[name][0] in rule.numbers:
                continue
            exempt = own[name][0]
            free = columns.keys[group][columns.numbers[name] == exempt]
            if np.isin(rule.values, free).sum() < 2:
                continue  # the number is exempt for some values only
            done.add(name)
            yield replace(rule, text=f"{rule.text} unless {name} == {exempt:g}", exempt=exempt)


def _candidates(group: str, values: Floats, names: Sequence[str], columns: Columns) -> list[str]:
    """Return the numeric columns with one number for each value of a column, in a sample of the rows."""
    names = [name for name in names if name != group]
    if not names:
        return []
    scan = slice(None, None, max(1, len(values) // MAX_SCAN_ROWS))
    return [names[at] for at in single_valued(values[scan], np.stack([columns.numbers[name][scan] for name in names]))]


def single_valued(values: Floats, numbers: Floats) -> list[int]:
    """Return the columns, as rows of a matrix, that have at most one number for each value."""
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
    if not len(order) or not len(numbers):
        return []
    start = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    block = numbers[:, order]
    most, least = np.fmax.reduceat(block, start, axis=1), np.fmin.reduceat(block, start, axis=1)
    return np.flatnonzero(~(most > least).any(axis=1)).tolist()


def value_table(values: Floats, numbers: Floats, columns: Columns) -> tuple[Floats, Floats, Floats] | None:
    """Return the values of enough persons, their numbers and their persons.

    None if a value has two numbers, or if rows of these values are less than ``MIN_COVERED_SHARE``.
    """
    both = np.flatnonzero(~np.isnan(values) & ~np.isnan(numbers))
    if len(both) < MIN_ROWS:
        return None
    both = both[np.argsort(values[both], kind="stable")]
    values, numbers = values[both], numbers[both]
    start = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    if (np.maximum.reduceat(numbers, start) != np.minimum.reduceat(numbers, start)).any():
        return None
    persons = columns.n_persons(both, start)
    kept = persons >= columns.min_group
    if np.diff(np.append(start, len(values)))[kept].sum() < MIN_COVERED_SHARE * len(values):
        return None
    return values[start][kept], numbers[start][kept], persons[kept].astype(np.float64)


def _lookup(group: str, name: str, values: Floats, columns: Columns) -> LookupRule | None:
    """Return the rule that a column decides a number, None without enough evidence."""
    found = value_table(values, columns.numbers[name], columns)
    if found is None or len(np.unique(found[1])) < 2:
        return None
    known, numbers, persons = found
    evidence = lookup_evidence(numbers, persons)
    if evidence < MIN_EVIDENCE_ROWS:
        return None
    text = f"{name} is a function of {group} with {len(known)} values"
    return LookupRule(group, tuple(known.tolist()), name, tuple(numbers.tolist()), text, round(evidence, 1))


def lookup_evidence(numbers: Floats, persons: Floats) -> float:
    """Return how many persons would have another number by chance, given the number of each value and its persons."""
    _, code = np.unique(numbers, return_inverse=True)
    share = np.bincount(code, weights=persons)[code] / persons.sum()
    return float(((persons - 1) * (1 - share)).sum())
