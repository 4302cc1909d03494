"""Discover numbers that a formula determines in some rows only, such as a payment of settled claims.

The rows are those with one value of another column, each value with a formula or a constant of its own, or those in
which the number is not 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from tabsynth.common.arrays import Bools, Integers
from tabsynth.relations.formulas.expressions import Formula, constant
from tabsynth.relations.formulas.extrema import discover_extrema
from tabsynth.relations.formulas.factors import discover_factors
from tabsynth.relations.formulas.features import discover_features
from tabsynth.relations.formulas.found import MIN_EVIDENCE_ROWS, Found, sampled
from tabsynth.relations.formulas.pieces import discover_pieces
from tabsynth.relations.formulas.rule import agree
from tabsynth.relations.formulas.two_terms import discover_two_terms

MAX_COLUMNS = 24
"""Maximum numeric columns of the search."""

MAX_GROUP_COLUMNS, MAX_GROUPS = 6, 8
"""Maximum number of columns within whose values formulas are searched, and of the values of each."""

MIN_VALUE_ROWS, MAX_SCAN_ROWS = 40, 2000
"""Minimum rows in which a formula is searched, and maximum; all rows then confirm it."""

MIN_ZERO_SHARE, MAX_ZERO_SHARE = 0.05, 0.95
"""Share of the rows that are 0 where the others are searched."""

MAX_ELSEWHERE_SHARE = 0.5
"""Maximum share of the rows of other values in which the formula of a value may hold."""

PLAIN = ("constant", "column")
"""Kinds of formulas that other rules state."""


def discover_within_values(found: Found) -> None:
    """Find the numbers that a formula determines within values of a column of few values, or where they are not 0."""
    columns = found.columns
    if not 2 <= len(found.names("number")) <= MAX_COLUMNS:
        return
    sizes = {name: len(own) for name, own in columns.labels.items()}
    groups = sorted((name for name, size in sizes.items() if 2 <= size <= MAX_GROUPS), key=sizes.__getitem__)
    for group in groups[:MAX_GROUP_COLUMNS]:
        values = columns.groups[group]
        known = np.unique(values[~np.isnan(values)]).tolist()
        within = {value: own for value in known if (own := _formulas(values == value, group, found))}
        for target in found.targets("number"):
            parts = {value: own[target] for value, own in within.items() if target in own}
            _add(target, group, parts, found)
    for target in found.targets("number"):
        numbers = columns.numbers[target]
        zeros = float((numbers == 0).sum()) / max(int((~np.isnan(numbers)).sum()), 1)
        if MIN_ZERO_SHARE <= zeros <= MAX_ZERO_SHARE:
            for formula, rounding in [*_formulas(numbers != 0, "", found, {target}).values()]:
                found.add(target, formula, rounding, exempt=0.0)


def _add(target: str, group: str, parts: Mapping[float, tuple[Formula, str]], found: Found) -> None:
    """Add the formula of each value, if one of them is no constant, and if it holds."""
    computing = {formula: rounding for formula, rounding in parts.values() if formula.kind not in PLAIN}
    roundings = set(computing.values())
    if len(roundings) != 1:
        return
    (rounding,) = roundings
    columns = found.columns
    elsewhere = np.flatnonzero(~np.isnan(columns.numbers[target]) & ~np.isin(columns.groups[group], list(parts)))
    if len(elsewhere) and len(computing) > 1:
        return
    values = {name: own[elsewhere] for name, own in columns.values.items()}
    for formula in computing:
        known = np.isfinite(formula.of(values))
        good = agree(values[target], formula.of(values), columns.steps[target], rounding)
        if (good & known).sum() > MAX_ELSEWHERE_SHARE * known.sum():
            return  # it has exceptions, not a condition
    keys = tuple((value,) for value in parts)
    found.add(target, Formula("by_group", tuple(own for own, _ in parts.values()), names=(group,), keys=keys), rounding)


def _formulas(
    here: Bools, group: str, found: Found, wanted: Collection[str] | None = None
) -> dict[str, tuple[Formula, str]]:
    """Return the formulas, with their roundings, of numbers in some rows; constants among them."""
    rows = np.flatnonzero(here)
    if len(rows) < MIN_VALUE_ROWS or not found.columns.is_supported(rows):
        return {}
    targets = [name for name in found.targets("number") if name != group and (wanted is None or name in wanted)]
    out = {name: (constant(number), "nearest") for name, number in _constants(targets, rows, found)}
    targets = [name for name in targets if name not in out]
    if targets:
        own = _restricted(found, rows[sampled(len(rows), MAX_SCAN_ROWS)], targets, {group, *out})
        for search in (discover_extrema, discover_features, discover_factors, discover_two_terms):
            if own.columns.numbers:
                search(own)
        if own.columns.numbers:
            discover_pieces(own, multiplied=False)
        out |= {rule.column: (rule.formula, rule.rounding) for rule in own.rules}
    return out


def _constants(targets: Collection[str], rows: Integers, found: Found) -> Iterator[tuple[str, float]]:
    """Yield the numbers that are constant in some rows."""
    for name in targets:
        own = found.columns.numbers[name][rows]
        own = own[~np.isnan(own)]
        if len(own) >= MIN_EVIDENCE_ROWS and own.min() == own.max():
            yield name, float(own[0])


def _restricted(found: Found, rows: Integers, targets: Collection[str], without: Collection[str]) -> Found:
    """Return a search in some rows, of some columns, among those that are present there and vary."""
    columns = found.columns
    numbers = {name: own[rows] for name, own in columns.numbers.items() if name not in without}
    present = {name: own[~np.isnan(own)] for name, own in numbers.items()}
    numbers = {
        name: own
        for name, own in numbers.items()
        if len(present[name]) >= MIN_VALUE_ROWS and np.ptp(present[name]) > 0 and columns.units[name] == "number"
    }
    persons = None if columns.persons is None else columns.persons[rows]
    units = dict.fromkeys(numbers, "number")
    view = replace(
        columns, numbers=numbers, values=numbers, units=units, groups={}, labels={}, keys={}, persons=persons
    )
    # Nothing else may be computed, but what depends on a column still does.
    others = {name: found.reads.get(name, frozenset()) for name in numbers if name not in targets}
    return Found.start(view, {**found.reads, **others})
