"""Discover bounds of a number that hold under a condition, such as no income below an age.

A bound needs the evidence of an order: rows that would violate it if the column were independent of the condition, and
rows that would if the distribution under the condition continued smoothly beyond the bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.conditional.conditions import Condition
from tabsynth.relations.conditional.rules import ThresholdRule
from tabsynth.relations.order_evidence import smooth_violations
from tabsynth.relations.row_rule_discovery import MIN_ROWS, is_free
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.states import MIN_STATE_ROWS, negated, scan_rows, state_rows
from tabsynth.schema.rounding import roundest_number

MIN_EVIDENCE_ROWS = 30.0
"""Minimum rows that would violate a bound by chance: many states and columns are compared."""

MIN_VALUES = 4
"""Minimum different numbers of the bounded column."""


def discover_thresholds(
    columns: Columns,
    states: Sequence[Condition],
    computed: Mapping[str, frozenset[str]],
    related: Collection[frozenset[str]],
    deciders: Mapping[str, Collection[str]],
) -> list[ThresholdRule]:
    """Find the bounds that hold under a state of another column, or outside it.

    Args:
        columns: The table.
        states: Its states.
        computed: Columns that an exact relation computes, with those that it reads.
        related: Pairs of columns with a rule of their own.
        deciders: The columns that decide another one.
    """
    tried = _conditions(states)
    if not tried:
        return []
    scan = scan_rows(len(next(iter(columns.values.values()))))
    holds = state_rows(tried, columns, scan)
    out: list[ThresholdRule] = []
    for name, data in columns.numbers.items():
        order = np.argsort(data[scan], kind="stable")[: int((~np.isnan(data[scan])).sum())]
        if len(order) < MIN_ROWS or len(np.unique(data[scan][order])) < MIN_VALUES:
            continue
        own = holds[:, order]
        count = own.sum(axis=1)
        beyond = {1.0: own.argmax(axis=1), -1.0: own[:, ::-1].argmax(axis=1)}
        # By chance a sample may contain half of the expected evidence.
        needed = MIN_EVIDENCE_ROWS / 2 * len(holds[0]) / len(data)
        ends = _end_rows(data)
        found: list[ThresholdRule] = []
        for sign, outside in beyond.items():
            for at in np.flatnonzero((count > 0) & (count * outside / len(order) >= needed)):
                condition = tried[at]
                pair = frozenset((name, condition.column))
                if len(pair) < 2 or pair in related or not is_free(name, condition.column, computed):
                    continue
                if any(frozenset((name, other)) in related for other in deciders.get(condition.column, ())):
                    continue  # the two rules say the same
                own_column = columns.values[condition.column]
                if condition.of({condition.column: own_column[ends[sign]]}).any():
                    continue  # fewer rows are beyond the bound than are needed as evidence
                rule = _threshold(name, sign, condition, columns)
                if rule is not None:
                    found.append(rule)
        out += _without_implied(found)
    return out


def _conditions(states: Sequence[Condition]) -> list[Condition]:
    """Return the states and their negations, one of both for columns of two values."""
    of_column: dict[str, list[Condition]] = {}
    for state in states:
        of_column.setdefault(state.column, []).append(state)
    out: list[Condition] = []
    for own in of_column.values():
        out += [negated(state) for state in own]
        values = [state for state in own if state.least is not None]
        out += [state for state in own if state.least is None or len(values) != 2 or len(own) > 2]
    return out


def _end_rows(data: Floats) -> dict[float, Integers]:
    """Return the rows of the least and of the largest numbers, as few as a bound needs beyond it."""
    present = np.flatnonzero(~np.isnan(data))
    order = present[np.argsort(data[present], kind="stable")]
    count = min(int(MIN_EVIDENCE_ROWS), len(present) // 2)
    return {1.0: order[:count], -1.0: order[len(order) - count :]}


def _threshold(name: str, sign: float, condition: Condition, columns: Columns) -> ThresholdRule | None:
    """Return the rule that a number is beyond a bound under a condition, None without enough evidence."""
    data = sign * columns.numbers[name]
    here, present = condition.of(columns.values), ~np.isnan(data)
    own, others = data[here & present], data[~here & present]
    if min(len(own), len(others)) < MIN_STATE_ROWS:
        return None
    least = float(own.min())
    if least == own.max():
        return None  # a functional dependency
    outside = others[others < least]
    independent = len(own) * len(outside) / (len(own) + len(others))
    if independent < min(MIN_EVIDENCE_ROWS, len(own) / 2):
        return None
    separate = len(outside) == len(others)
    evidence = min(independent, _edge_evidence(own, columns.steps[name]))
    if not separate and evidence < MIN_EVIDENCE_ROWS:
        return None
    bound = -roundest_number(-least, -float(outside.max()), columns.steps[name]) + 0.0
    if 0 < int((own == bound).sum()) < columns.min_group and not _is_round(bound, columns.steps[name]):
        return None
    text = f"{name} {'>=' if sign > 0 else '<='} {_spelled(sign * bound, columns.units[name])} if {condition.text}"
    evidence = independent if separate else evidence
    return ThresholdRule(name, sign, sign * bound, condition, text, round(float(evidence), 1))


def _edge_evidence(own: Floats, step: float) -> float:
    """Return the rows expected beyond the least number if the distribution continued smoothly.

    The lower tail of positive skewed numbers, such as incomes, is smooth on the logarithmic scale only.
    """
    least = float(own.min())
    smooth = smooth_violations(own - least, step)
    return min(smooth, smooth_violations(np.log(own / least), 0.0)) if least > 0 else smooth


def _spelled(bound: float, unit: str) -> str:
    """Return a bound as users read it."""
    if not unit.startswith("datetime"):
        return f"{bound:g}"
    ticks = int(bound) * UNIT_NANOSECONDS[unit.removeprefix("datetime ")]
    return str(np.datetime64(ticks, "ns").astype("datetime64[s]")).removesuffix("T00:00:00")


def _is_round(bound: float, step: float) -> bool:
    """Return whether a bound is whole or a multiple of ten steps, so that it is no single person's number."""
    return bound % 1 == 0 or (step > 0 and abs(bound / (10 * step) - round(bound / (10 * step))) < 1e-6)


def _without_implied(rules: Sequence[ThresholdRule]) -> Iterator[ThresholdRule]:
    """Yield the rules, without those of single values that a rule of several values of the same column implies."""
    for rule in rules:
        if not any(_implies(other, rule) for other in rules):
            yield rule


def _implies(wide: ThresholdRule, narrow: ThresholdRule) -> bool:
    """Return whether a bound under a wider condition makes another one superfluous."""
    one, other = wide.condition, narrow.condition
    tighter = narrow.sign * (narrow.bound - wide.bound) > 0
    wider = one.negated and other.least is not None and (one.least is None or not other.negated)
    return wide is not narrow and wide.sign == narrow.sign and one.column == other.column and wider and not tighter
