"""Discover rules that every row satisfies, with the evidence that they do not hold by chance.

The evidence of a rule is the expected number of rows that would violate it by chance. For an order between two columns
it is the smaller of two estimates: the violations if the columns were independent, and those if the distribution of
their difference, or of their ratio, continued smoothly beyond the boundary, by log-linear extrapolation of its two
outermost bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import permutations

import numpy as np
import numpy.typing as npt

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.order_evidence import edge_rows, log_ratios, smooth_violations, tail_rows
from tabsynth.relations.row_rules import EqualityRule, OrderRule, whole_ticks
from tabsynth.relations.rule_columns import Columns
from tabsynth.schema.column_names import names_say_age, names_say_birth, names_say_death, names_say_order
from tabsynth.schema.rounding import roundest_number

MIN_EVIDENCE_ROWS = 12.0
"""Minimum evidence: expected number of rows that violate the rule by chance."""

MIN_BOUND_EVIDENCE_ROWS = 40.0
"""Minimum evidence of a bound other than 0 on a difference."""

MIN_ROWS = 50
MAX_SCAN_ROWS = 2000
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MIN_OVERLAP_SHARE = 0.02
"""Minimum share of violations under independence, for an order without rows near its boundary."""

MAX_TAIL_ROWS = 0.01
"""Maximum expected number of rows beyond the boundary of such an order."""

MIN_BOUNDARY_ROWS = 5
"""Minimum rows at the boundary of a bounded difference."""

MIN_EDGE_ROWS = 30
"""Minimum rows beside the boundary of a difference whose distribution breaks off there."""

MIN_RANGE_ROWS = 1000
"""Minimum rows for a bound of dates that few of them reach: a tail of few rows looks like one in fewer."""

SCREEN_ROWS = 200
"""Rows on which orders are screened before more rows are."""


def discover_rules(columns: Columns, computed: Mapping[str, frozenset[str]]) -> tuple[OrderRule | EqualityRule, ...]:
    """Find the orders and equalities of two columns that hold in all rows.

    Args:
        columns: The table.
        computed: Columns that an arithmetic relation computes, with the columns that it reads. No rule is searched
            between a computed column and a column that it reads, or between two computed columns.
    """
    rows = len(next(iter(columns.numbers.values()), ()))
    if rows < MIN_ROWS:
        return ()
    found: list[OrderRule | EqualityRule] = []
    for unit in dict.fromkeys(columns.units.values()):
        names = [name for name, own in columns.units.items() if own == unit]
        found += _pair_rules(names, columns, computed)
    return tuple(found)


def _pair_rules(
    names: list[str], columns: Columns, computed: Mapping[str, frozenset[str]]
) -> Iterator[OrderRule | EqualityRule]:
    """Find order and equality between columns of one unit."""
    if len(names) < 2:
        return
    rows = len(columns.numbers[names[0]])
    scan = np.stack([columns.numbers[name][:: max(1, rows // MAX_SCAN_ROWS)] for name in names])
    labelled, owner = _label_rows(columns, slice(None, None, max(1, rows // MAX_SCAN_ROWS)))
    least, most = np.nanmin(scan, axis=1), np.nanmax(scan, axis=1)
    whole = np.array([columns.steps[name] > 0 and columns.steps[name] % 1 == 0 for name in names])
    open_, is_date = _may_be_ordered(scan), columns.units[names[0]] != "number"
    codes: dict[str, Integers] = {}
    for i, name in enumerate(names):
        near = np.flatnonzero(open_[i] | (whole & whole[i]))
        differences = scan[near] - scan[i]
        minimum, at_minimum = np.full(len(names), -np.inf), np.zeros(len(names))
        minimum[near] = np.fmin.reduce(differences, axis=1)
        at_minimum[near] = (differences == minimum[near, None]).sum(axis=1)
        equal = np.zeros(len(names))
        equal[i + 1 :] = np.count_nonzero(scan[i + 1 :] == scan[i], axis=1)
        for j in np.flatnonzero((minimum >= 0) & (least < most[i])):
            # Repairs cannot change a computed column, so the other column of its rule must be free.
            if j != i and is_free(name, names[j], computed):
                rule = order_rule(name, names[j], 0.0, columns)
                if rule is not None:
                    yield rule
        # A bound that follows from the ranges of the two columns is not a rule.
        bounded = whole & whole[i] & (minimum != 0) & (least - most[i] < minimum)
        bounded[near] &= (at_minimum[near] >= 3) | [is_date and _breaks_off(own, rows) for own in differences]
        for j in np.flatnonzero(bounded):
            free = is_free(name, names[j], computed)
            rule = order_rule(name, names[j], float(minimum[j]), columns) if free else None
            if rule is not None:
                yield rule
        for j in np.flatnonzero(equal >= 0.01 * scan.shape[1]):
            if j > i and is_free(name, names[j], computed):
                both = (~np.isnan(scan[i]) & ~np.isnan(scan[j])).astype(np.float32)
                size, hits = labelled @ both, labelled @ (scan[i] == scan[j]).astype(np.float32)
                groups = dict.fromkeys(owner[at] for at in np.flatnonzero((hits == size) & (size > 0)))
                for own in set(groups) - set(codes):
                    codes[own] = np.unique(columns.groups[own], return_inverse=True)[1].astype(np.int64)
                if groups:
                    yield from _equalities(names[j], name, {own: codes[own] for own in groups}, columns)


def _may_be_ordered(scan: Floats) -> Bools:
    """Return which columns are nowhere less than each other one in the first rows of a sample, (columns, columns)."""
    few = scan[:, :SCREEN_ROWS]
    return np.stack([~(few < own).any(axis=1) for own in few])


def _sources(name: str, computed: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the columns from which a column is computed, directly or not."""
    found, new = set[str](), {name}
    while new:  # two columns may be computed from each other, in different rows
        new = {source for one in new for source in computed.get(one, ())} - found
        found |= new
    return frozenset(found)


def is_free(one: str, other: str, computed: Mapping[str, frozenset[str]]) -> bool:
    """Return whether a rule between two columns can be repaired without breaking an exact relation."""
    both = one in computed and other in computed
    return not both and one not in _sources(other, computed) and other not in _sources(one, computed)


def order_rule(low: str, high: str, gap: float, columns: Columns) -> OrderRule | None:
    """Return the rule ``high - low >= gap`` if it holds in all rows and has enough evidence."""
    first, second = columns.numbers[low], columns.numbers[high]
    both = np.flatnonzero(~np.isnan(first) & ~np.isnan(second))
    first, second = first[both], second[both]
    if len(first) < MIN_ROWS:
        return None
    difference = second - first
    if gap != 0:
        gap = supported_gap(difference, both, columns, is_date=columns.units[low] != "number")
        if gap == 0:
            return None
    if difference.min() < gap or np.ptp(difference) == 0:
        return None
    text = f"{low} <= {high}"
    if gap == 0 and names_say_order(low, high):
        return OrderRule(low, high, gap, text, float(len(first)))
    # Rows that satisfy the rule with any value of the other column are no evidence.
    relevant = (first + gap > second.min()) & (second < first.max() + gap)
    if relevant.sum() < MIN_EVIDENCE_ROWS:
        return None
    dates = columns.units[low] != "number"
    stated = names_say_birth(low, high, typed=dates) or names_say_death(low, high, typed=dates)
    if gap == 0 and (stated or names_say_age(low, high)):
        return OrderRule(low, high, gap, text, float(relevant.sum()))
    every = _independent_violations(first, second, gap)
    first, second, margin = first[relevant], second[relevant], difference[relevant] - gap
    independent = _independent_violations(first, second, gap)
    step = max(columns.steps[low], columns.steps[high])
    smooth = smooth_violations(np.sort(margin), step)
    if gap == 0:
        smooth = max(smooth, smooth_violations(np.sort(log_ratios(first, second, step)), 0.0))
    evidence = min(every, smooth)
    far = (
        gap == 0
        and independent >= max(MIN_OVERLAP_SHARE * len(margin), MIN_EVIDENCE_ROWS)
        and tail_rows(margin) <= MAX_TAIL_ROWS
    )
    needed = MIN_EVIDENCE_ROWS if gap == 0 else MIN_BOUND_EVIDENCE_ROWS
    exact = (difference == gap).sum() >= MIN_BOUNDARY_ROWS
    if gap != 0 and (smooth < needed or not exact):
        smooth, needed = edge_rows(np.sort(margin), step), MIN_EDGE_ROWS
        evidence = min(every, smooth)
    if every < needed or (evidence < needed and not far):
        return None
    unit = columns.units[low].removeprefix("number").replace("datetime", "")
    if gap > 0:
        text = f"{high} - {low} >= {gap:g}{unit}"
    if gap < 0:
        text = f"{low} - {high} <= {-gap:g}{unit}"
    return OrderRule(low, high, gap, text, round(independent if far else evidence, 1))


def supported_gap(difference: Floats, rows: Integers, columns: Columns, *, is_date: bool) -> float:
    """Return a minimum difference that enough rows have, or a round one well below those of dates; 0 for none."""
    least = float(difference.min())
    end = rows[difference == least]
    if len(end) >= MIN_BOUNDARY_ROWS and columns.is_supported(end):
        return least
    if not is_date:
        return 0.0
    order = np.argsort(difference)
    inner = max(columns.supporting_rows(rows[order]), MIN_BOUNDARY_ROWS)
    if len(order) < MIN_RANGE_ROWS or inner >= len(order):
        return 0.0
    return roundest_number(3 * least - 2 * float(difference[order[inner]]), least + 1, 1.0)


def _breaks_off(difference: Floats, rows: int) -> bool:
    """Return whether the distribution of a difference in a sample of the rows may break off at its minimum."""
    own = np.sort(difference)[: int((~np.isnan(difference)).sum())]
    # By chance a sample may contain half of the expected evidence.
    return len(own) > 0 and edge_rows(own - own[0], 1.0) >= MIN_EDGE_ROWS * len(difference) / rows / 2


def _independent_violations(low: Floats, high: Floats, gap: float) -> float:
    """Return the expected rows that violate an order if the columns were independent."""
    return float(np.searchsorted(np.sort(high), low + gap, side="left").sum() / len(low))


def _label_rows(columns: Columns, rows: slice) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return indicators of each value of the low-cardinality columns, shape (values, rows), and each value's column."""
    known = [(name, value) for name, labels in columns.labels.items() for value in labels]
    if not known:
        return np.zeros((0, len(next(iter(columns.numbers.values()))[rows])), np.float32), []
    return np.stack([columns.groups[name][rows] == value for name, value in known]).astype(np.float32), [
        name for name, _ in known
    ]


def _equalities(column: str, source: str, groups: Mapping[str, Integers], columns: Columns) -> Iterator[EqualityRule]:
    """Find values of other columns, given as codes, for which two numeric columns are always equal."""
    first, second = columns.numbers[column], columns.numbers[source]
    both = ~np.isnan(first) & ~np.isnan(second)
    equal = (first == second)[both]
    if equal.all():
        return
    for name, codes in groups.items():
        if name in (column, source):
            continue
        code = codes[both]
        size = np.bincount(code)
        hits = np.bincount(code, weights=equal)
        for at in np.flatnonzero((hits == size) & (size >= MIN_ROWS)):
            value = float(columns.groups[name][both][int(np.argmax(code == at))])
            rest = (len(equal) - size[at] - hits.sum() + hits[at]) / max(len(equal) - size[at], 1)
            # Two columns that are constant in a group are equal without depending on each other.
            differ = np.ptp(first[both][code == at]) > 0
            if size[at] * rest >= MIN_EVIDENCE_ROWS and differ and not np.isnan(value):
                text = f"{column} == {source} if {name} == {columns.labels[name][value]}"
                yield EqualityRule(name, value, column, source, text, round(float(size[at] * rest), 1))


def discover_date_orders(columns: Columns, computed: Mapping[str, frozenset[str]]) -> Iterator[OrderRule]:
    """Find orders that hold in whole units of the coarser resolution.

    Args:
        columns: The table.
        computed: Columns that an exact relation computes, with the columns that it reads.
    """
    units = {name: unit.removeprefix("datetime ") for name, unit in columns.units.items() if unit != "number"}
    for low, high in permutations(units, 2):
        if units[low] == units[high] or not is_free(low, high, computed):
            continue
        coarse = max((units[low], units[high]), key=UNIT_NANOSECONDS.__getitem__)
        ticks = {name: UNIT_NANOSECONDS[coarse] // UNIT_NANOSECONDS[units[name]] for name in (low, high)}
        few = {name: whole_ticks(columns.numbers[name][:MAX_SCAN_ROWS], own) for name, own in ticks.items()}
        if (few[high] < few[low]).any():
            continue
        own = {name: whole_ticks(columns.numbers[name], number) for name, number in ticks.items()}
        unit = dict.fromkeys(own, f"datetime {coarse}")
        rule = order_rule(low, high, 0.0, replace(columns, numbers=own, steps=dict.fromkeys(own, 1.0), units=unit))
        if rule is not None:
            yield replace(rule, text=f"{rule.text} in {coarse}", low_ticks=ticks[low], high_ticks=ticks[high])
