"""Discover pairs of numbers that are equal where another column is missing, such as prices without a discount."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS, MIN_ROWS, is_free
from tabsynth.relations.row_rules import EqualityRule
from tabsynth.relations.rule_columns import Columns

SCREEN_ROWS = 12
"""Number of rows in which a column is missing on which all pairs are compared before all rows are."""


def discover_missing_equalities(columns: Columns, computed: Mapping[str, frozenset[str]]) -> Iterator[EqualityRule]:
    """Find the pairs that are equal wherever a column is missing, and differ in other rows.

    Args:
        columns: The table.
        computed: Columns that a relation or formula computes, with those that it reads. Where one of these is missing,
            nothing computes the column.
    """
    for group, values in columns.values.items():
        absent = np.isnan(values)
        if group in columns.absent or not MIN_ROWS <= absent.sum() <= len(values) - MIN_ROWS:
            continue
        rows = np.flatnonzero(absent)[:: max(1, int(absent.sum()) // SCREEN_ROWS)]
        for unit in dict.fromkeys(columns.units.values()):
            names = [name for name, own in columns.units.items() if own == unit and name != group]
            if len(names) < 2:
                continue
            for one, other in _nearly_equal(np.stack([columns.numbers[name][rows] for name in names])):
                if _is_open(names[one], names[other], group, computed):
                    yield from _rule(names[one], names[other], group, absent, columns)


def _nearly_equal(block: Floats) -> list[tuple[int, int]]:
    """Return the pairs of columns, the later one first, that are equal wherever both are present."""
    equal = block[:, None] == block
    unknown = np.isnan(block)
    same = (equal | unknown[:, None] | unknown).all(axis=2) & equal.any(axis=2)
    return [(int(one), int(other)) for one, other in np.argwhere(np.tril(same, -1))]


def _is_open(column: str, source: str, group: str, computed: Mapping[str, frozenset[str]]) -> bool:
    """Return whether the equality can be repaired: nothing computes one of both from the other where it applies."""
    return is_free(column, source, computed) or any(group in computed.get(name, ()) for name in (column, source))


def _rule(column: str, source: str, group: str, absent: Bools, columns: Columns) -> Iterator[EqualityRule]:
    """Yield the equality if it holds in all rows in which the column is missing, with enough evidence."""
    first, second = columns.numbers[column], columns.numbers[source]
    both = ~np.isnan(first) & ~np.isnan(second)
    here, rest = both & absent, both & ~absent
    equal: Floats = first == second
    if here.sum() < MIN_ROWS or not equal[here].all() or np.ptp(first[here]) == 0 or not rest.any():
        return
    evidence = float(here.sum() * (1 - equal[rest].mean()))
    if evidence >= MIN_EVIDENCE_ROWS:
        text = f"{column} == {source} if {group} is missing"
        yield EqualityRule(group, 0.0, column, source, text, round(evidence, 1), missing=True)
