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
    codes = {name: _codes(own) for name, own in columns.groups.items()}
    if not codes:
        return
    # An indicator of each value of each of the columns, in a sample of the rows.
    scanned = {name: own[scan_rows(len(own))] for name, own in codes.items()}
    values = np.concatenate([np.arange(own.max() + 1)[:, None] == own for own in scanned.values()]).astype(np.float32)
    owner = np.repeat(list(scanned), [int(own.max()) + 1 for own in scanned.values()])
    for name, data in columns.numbers.items():
        if columns.units[name] != "number" or name in decided or columns.steps[name] >= 1:
            continue
        own = _decimals(data)
        present = own[own >= 0]
        if not len(present) or present.min() == present.max():
            continue
        few = own[scan_rows(len(own))]
        # A rule needs a value none of whose numbers in the sample has the most decimals.
        counts = values @ np.stack([few >= 0, few == few.max()], axis=1).astype(np.float32)
        differ = dict.fromkeys(owner[(counts[:, 0] > 0) & (counts[:, 1] == 0)].tolist())
        found = [_rule(name, group, own, codes[group], columns) for group in differ if group != name]
        best = max((rule for rule in found if rule is not None), key=lambda rule: rule.evidence, default=None)
        if best is not None:
            yield best


def _codes(values: Floats) -> Integers:
    """Return a code for each value in ascending order, the last one for missing cells."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _decimals(data: Floats) -> Floats:
    """Return the decimals of each number, -1 where missing, one more than the maximum beyond it, shape (n,)."""
    out = np.where(np.isnan(data), -1.0, MAX_DECIMALS + 1.0)
    largest = float(np.nanmax(np.abs(data)))
    for decimals in range(MAX_DECIMALS + 1):
        left = np.flatnonzero(out == MAX_DECIMALS + 1)
        out[left[is_decimal(data[left], decimals, largest)]] = decimals
    return out


def _rule(name: str, group: str, decimals: Floats, codes: Integers, columns: Columns) -> DecimalsRule | None:
    """Return the rule that a column decides the decimals of a number, None without enough evidence."""
    values = columns.groups[group]
    limits: dict[float, int] = {}
    evidence = 0.0
    present = np.flatnonzero(decimals >= 0)
    levels = MAX_DECIMALS + 2
    counts = np.bincount(codes[present] * levels + decimals[present].astype(np.int64), minlength=levels)
    counts = np.pad(counts, (0, -len(counts) % levels)).reshape(-1, levels)
    for code in np.flatnonzero(counts.sum(axis=1) >= MIN_STATE_ROWS):
        own, rest = counts[code], counts.sum(axis=0) - counts[code]
        most = int(np.flatnonzero(own)[-1])
        expected = float(own.sum() * rest[most + 1 :].sum() / max(rest.sum(), 1))
        here = present[codes[present] == code] if expected >= MIN_EVIDENCE_ROWS else present[:0]
        different = len(np.unique(columns.numbers[name][here]))
        if different >= MIN_DIFFERENT and float(values[here[0]]) in columns.labels[group]:
            limits[float(values[here[0]])] = most
            evidence += expected
    if not limits:
        return None
    text = f"{name} has at most {min(limits.values())} decimals for {len(limits)} values of {group}"
    known = sorted(limits)
    return DecimalsRule(name, group, tuple(known), tuple(limits[own] for own in known), text, round(evidence, 1))
