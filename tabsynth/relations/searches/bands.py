"""Discover columns of few values that are step functions of a number, such as an age group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.row_rule_discovery import MIN_BOUNDARY_ROWS, MIN_EVIDENCE_ROWS, MIN_ROWS
from tabsynth.relations.row_rules import BandRule
from tabsynth.relations.rule_columns import MAX_GROUPS, Columns
from tabsynth.schema.rounding import roundest_number

MAX_SUM_COLUMNS = 60
"""Maximum numeric columns whose sums and differences are searched for bands."""

MAX_SCAN_ROWS, MAX_SCREEN_ROWS = 1000, 5000
"""Maximum rows on which candidates are searched, and on which their steps are counted before those of all rows."""


def discover_bands(columns: Columns, computed: Mapping[str, frozenset[str]]) -> Iterator[BandRule]:
    """Find low-cardinality columns that are step functions of a number, or of a sum or difference of two.

    Args:
        columns: The table.
        computed: Columns that an exact relation computes, with those that it reads.
    """
    step = max(1, len(next(iter(columns.numbers.values()), ())) // MAX_SCAN_ROWS)
    groups = {name: own[::step] for name, own in columns.groups.items() if name not in computed}
    varied = {name: len(np.unique(own[~np.isnan(own)])) for name, own in groups.items()}
    groups = {name: own for name, own in groups.items() if varied[name] > 1}
    if not groups:
        return
    codes = np.stack(list(groups.values()))
    sizes = np.array([varied[name] for name in groups])
    done: set[str] = set()
    scan = {name: own[::step] for name, own in columns.numbers.items()}
    for terms in _features(columns, computed):
        feature = _feature(terms, columns, slice(None, None, step))
        order = np.argsort(feature, kind="stable")[: int((~np.isnan(feature)).sum())]
        if len(order) < MIN_ROWS or len(np.unique(feature[order])) <= 2 * MAX_GROUPS * (len(terms) > 1):
            continue
        own = codes[:, order]
        switches = ((own[:, 1:] != own[:, :-1]) & ~np.isnan(own[:, 1:]) & ~np.isnan(own[:, :-1])).sum(axis=1)
        for at in np.flatnonzero((switches > 0) & (switches <= 2 * sizes)):
            name = list(groups)[at]
            if (
                name not in done
                and name not in dict(terms)
                and not (len(terms) > 1 and _decided(codes[at], terms, scan))
            ):
                rule = _band(name, terms, columns)
                if rule is not None:
                    done.add(name)
                    yield rule


def _decided(codes: Floats, terms: tuple[tuple[str, float], ...], numbers: Mapping[str, Floats]) -> bool:
    """Return whether a single term already determines the column, so that a sum of two is not needed."""
    for name, _ in terms:
        pairs = np.stack([numbers[name], codes], axis=1)
        pairs = np.unique(pairs[~np.isnan(pairs).any(axis=1)], axis=0)
        if len(np.unique(pairs[:, 0])) == len(pairs) < len(codes) / 2:
            return True
    return False


def _features(columns: Columns, computed: Mapping[str, frozenset[str]]) -> Iterator[tuple[tuple[str, float], ...]]:
    """Yield single numeric columns, then sums and differences of two of one unit."""
    names = [name for name in columns.numbers if len(np.unique(columns.numbers[name][:1000])) > 3]
    yield from (((name, 1.0),) for name in names)
    plain = [name for name in names if name not in computed and columns.units[name] == "number"]
    if len(plain) <= MAX_SUM_COLUMNS:
        for sign in (1.0, -1.0):
            yield from (((one, 1.0), (other, sign)) for one, other in combinations(plain, 2))


def _feature(terms: tuple[tuple[str, float], ...], columns: Columns, rows: slice) -> Floats:
    return np.asarray(np.sum([sign * columns.numbers[name][rows] for name, sign in terms], axis=0))


def _band(name: str, terms: tuple[tuple[str, float], ...], columns: Columns) -> BandRule | None:
    """Return the rule that a column is a step function of a feature, None if a row violates it."""
    feature, values = _feature(terms, columns, slice(None)), columns.groups[name]
    both = ~np.isnan(feature) & ~np.isnan(values)
    feature, values = feature[both], values[both]
    kinds, counts = np.unique(values, return_counts=True)
    few = slice(None, None, max(1, len(values) // MAX_SCREEN_ROWS))
    # A sample of the rows has no more steps than all rows.
    if np.count_nonzero(np.diff(values[few][np.lexsort((values[few], feature[few]))])) >= 2 * len(kinds):
        return None
    order = np.lexsort((values, feature))
    feature, values, rows = feature[order], values[order], np.flatnonzero(both)[order]
    start = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    stop = np.append(start[1:], len(values))
    evidence = len(values) - float(counts.max())
    if (
        len(kinds) < 2
        or len(start) > 2 * len(kinds)
        or (stop - start).min() < MIN_BOUNDARY_ROWS
        or not all(columns.is_supported(rows[begin:end]) for begin, end in zip(start, stop, strict=True))
    ):
        return None
    if evidence < MIN_EVIDENCE_ROWS or (feature[start[1:]] <= feature[stop[:-1] - 1]).any():
        return None
    if len(np.unique(feature)) <= len(kinds):
        return None
    lower, upper = _edges(feature, start, stop, rows, columns)
    spelled = " ".join(("- " if sign < 0 else "+ ") + term for term, sign in terms).removeprefix("+ ")
    text = f"{name} is a step function of {spelled} with {len(start)} steps"
    return BandRule(name, terms, tuple(lower), tuple(upper), tuple(values[start].tolist()), text, evidence)


def _edges(
    feature: Floats, start: Integers, stop: Integers, rows: Integers, columns: Columns
) -> tuple[list[float], list[float]]:
    """Return the ends of each band: round numbers beside the outermost values that enough persons support."""
    spans = [slice(begin, end) for begin, end in zip(start.tolist(), stop.tolist(), strict=True)]
    ends = [supported_end(feature[own], columns.supporting_rows(rows[own])) for own in spans]
    mirrored = [-supported_end(-feature[own][::-1], columns.supporting_rows(rows[own][::-1])) for own in spans]
    return ends, mirrored


def supported_end(own: Floats, min_group: int) -> float:
    """Return the lower end of ascending numbers that at least ``min_group`` rows support, rounded."""
    at = min(max(min_group, 1), len(own)) - 1
    if (own[: at + 1] == own[0]).all():
        return float(own[0])
    inner = own[own > own[at]]
    return roundest_number(float(own[at]), float(inner[0])) if len(inner) and min_group > 1 else float(own[at])
