"""Discover orders with an exempt value, such as a total of at least the base price unless the total is 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.row_rule_discovery import SCREEN_ROWS, is_free, order_rule
from tabsynth.relations.row_rules import OrderRule
from tabsynth.relations.rule_columns import Columns

MAX_EXEMPT_SHARE = 0.5
"""Maximum share of rows that violate the order."""

MIN_EXEMPT_ROWS = 5
"""Minimum rows that violate the order."""


def discover_exempt_orders(columns: Columns, computed: Mapping[str, frozenset[str]]) -> Iterator[OrderRule]:
    """Find pairs of numbers that are ordered in all rows but those with one value of one of them.

    Args:
        columns: The table.
        computed: Columns that an exact relation computes, with the columns that it reads.
    """
    names = [name for name, unit in columns.units.items() if unit == "number"]
    if len(names) < 2:
        return
    rows = len(columns.numbers[names[0]])
    few = np.stack([columns.numbers[name][:: max(1, rows // SCREEN_ROWS)][:SCREEN_ROWS] for name in names])
    for i, low in enumerate(names):
        for j in _may_be_exempt(few, i):
            high = names[j]
            if not is_free(low, high, computed):
                continue
            first, second = columns.numbers[low], columns.numbers[high]
            violating = np.flatnonzero(first > second)
            present = int((~np.isnan(first) & ~np.isnan(second)).sum())
            if not MIN_EXEMPT_ROWS <= len(violating) <= MAX_EXEMPT_SHARE * present:
                continue
            if not columns.is_supported(violating):
                continue
            for name, own in ((high, second), (low, first)):
                rule = _exempt_order(low, high, name, own, violating, columns)
                if rule is not None:
                    yield rule
                    break


def _may_be_exempt(few: Floats, low: int) -> list[int]:
    """Return the columns that are less than one only in rows with one value of either, in a sample of the rows."""
    less = few < few[low]
    rare = (less.sum(axis=1) <= MAX_EXEMPT_SHARE * less.shape[1]) & (np.arange(len(few)) != low)
    own = np.where(less, few, np.nan)
    other = np.where(less, few[low], np.nan)
    single = [~(np.fmax.reduce(side, axis=1) > np.fmin.reduce(side, axis=1)) for side in (own, other)]
    return np.flatnonzero(rare & (single[0] | single[1])).tolist()


def _exempt_order(
    low: str, high: str, name: str, values: Floats, violating: Integers, columns: Columns
) -> OrderRule | None:
    """Return the order that holds unless one of its columns has the value of the violating rows."""
    exempt = float(values[violating[0]])
    if (values[violating] != exempt).any():
        return None
    numbers = {low: columns.numbers[low], high: columns.numbers[high]}
    numbers[name] = np.where(values == exempt, np.nan, values)
    rule = order_rule(low, high, 0.0, replace(columns, numbers=numbers))
    if rule is None:
        return None
    return replace(rule, text=f"{rule.text} unless {name} == {exempt:g}", exempt_column=name, exempt=exempt)
