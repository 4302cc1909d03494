"""Discover numbers whose decimals depend on the value of another column, such as amounts in several currencies."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.conditional.rules import DecimalsRule
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.states import MIN_STATE_ROWS, scan_rows
from tabsynth.schema.rounding import is_decimal

MAX_DECIMALS = 8
"""Maximum decimals of numbers that are compared."""

MIN_DIFFERENT = 10
"""Minimum different numbers of a value; a single number is no evidence of rounding."""


def discover_decimals(columns: Columns, decided: Collection[str]) -> Iterator[DecimalsRule]:
    """Find the columns whose numbers have fewer decimals where another column has certain values.

    Args:
        columns: The table.
        decided: Columns that a relation or another rule decides.
    """
    scanned = {name: _codes(own[scan_rows(len(own))]) for name, own in columns.groups.items()}
    for name, data in columns.numbers.items():
        if columns.units[name] != "number" or name in decided or columns.steps[name] >= 1:
            continue
        own = _decimals(data)
        present = own[own >= 0]
        if not len(present) or present.min() == present.max():
            continue
        few = own[scan_rows(len(own))]
        found = [
            _rule(name, group, own, columns) for group in scanned if group != name and _differ(few, scanned[group])
        ]
        best = max((rule for rule in found if rule is not None), key=lambda rule: rule.evidence, default=None)
        if best is not None:
            yield best


def _codes(values: Floats) -> Integers:
    """Return a code for each value, the last one for missing cells."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _differ(decimals: Floats, codes: Integers) -> bool:
    """Return whether the numbers of some values of a column have fewer decimals, in a sample of the rows."""
    highest = int(decimals.max())
    present = np.bincount(codes[decimals >= 0], minlength=1)
    finest = np.bincount(codes[decimals == highest], minlength=len(present))
    return bool(((present > 0) & (finest == 0)).any())


def _decimals(data: Floats) -> Floats:
    """Return the decimals of each number, -1 where missing, one more than the maximum beyond it, shape (n,)."""
    out = np.where(np.isnan(data), -1.0, MAX_DECIMALS + 1.0)
    largest = float(np.nanmax(np.abs(data)))
    for decimals in range(MAX_DECIMALS + 1):
        left = np.flatnonzero(out == MAX_DECIMALS + 1)
        out[left[is_decimal(data[left], decimals, largest)]] = decimals
    return out


def _rule(name: str, group: str, decimals: Floats, columns: Columns) -> DecimalsRule | None:
    """Return the rule that a column decides the decimals of a number, None without enough evidence."""
    values = columns.groups[group]
    limits: dict[float, int] = {}
    evidence = 0.0
    for value in columns.labels[group]:
        here = (values == value) & (decimals >= 0)
        rest = decimals[~here & (decimals >= 0)]
        different = len(np.unique(columns.numbers[name][here]))
        if here.sum() < MIN_STATE_ROWS or not len(rest) or different < MIN_DIFFERENT:
            continue
        most = int(decimals[here].max())
        expected = float(here.sum() * (rest > most).mean())
        if expected >= MIN_EVIDENCE_ROWS:
            limits[value] = most
            evidence += expected
    if not limits:
        return None
    text = f"{name} has at most {min(limits.values())} decimals for {len(limits)} values of {group}"
    known = sorted(limits)
    return DecimalsRule(name, group, tuple(known), tuple(limits[own] for own in known), text, round(evidence, 1))
