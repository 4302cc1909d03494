"""Discover bounds of a number that hold under a condition, such as no income below an age.

A bound needs three kinds of evidence: rows that would violate it if the column were independent of the condition, rows
that would if the distribution under the condition continued smoothly beyond the bound, and rows that would if the odds
of the condition did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.conditional.conditions import Condition
from tabsynth.relations.conditional.rules import ThresholdRule
from tabsynth.relations.order_evidence import logistic_violations, smooth_violations, without_point_masses
from tabsynth.relations.row_rule_discovery import MIN_ROWS, is_free
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.states import MIN_STATE_ROWS, negated, scan_rows, state_rows
from tabsynth.schema.rounding import roundest_number

MIN_EVIDENCE_ROWS = 30.0
"""Minimum rows that would violate a bound by chance: many states and columns are compared."""

MAX_END_ROWS = (30, 250, 2000)
"""Maximum rows at the end of a column in which a condition must not hold before more rows are compared."""

MIN_VALUES = 4
"""Minimum different numbers of the bounded column."""


def discover_thresholds(
    columns: Columns,
    states: Sequence[Condition],
    computed: Mapping[str, frozenset[str]],
    related: Collection[frozenset[str]],
    ordered: Collection[frozenset[str]],
    deciders: Mapping[str, Collection[str]],
) -> list[ThresholdRule]:
    """Find the bounds that hold under a state of another column, or outside it.

    Args:
        columns: The table.
        states: Its states.
        computed: Columns that an exact relation computes, with those that it reads.
        related: Pairs of columns with a rule of their own.
        ordered: Those whose rule is an order, which says nothing about missing cells.
        deciders: The columns that decide another one.
    """
    tried = _conditions(states)
    if not tried:
        return []
    scan = scan_rows(len(next(iter(columns.values.values()))))
    holds = state_rows(tried, columns, scan)
    states_of = _StatesOfRows(tried, columns)
    out: list[ThresholdRule] = []
    for name, data in columns.numbers.items():
        order = np.argsort(data[scan], kind="stable")[: int((~np.isnan(data[scan])).sum())]
        if len(order) < MIN_ROWS or len(np.unique(data[scan][order])) < MIN_VALUES:
            continue
        # By chance a sample may contain half of the expected evidence.
        needed = MIN_EVIDENCE_ROWS / 2 * len(holds[0]) / len(data)
        found: list[ThresholdRule] = []
        ascending: Integers | None = None
        for sign in (1.0, -1.0):
            open_ = states_of.absent_from_end(sign * data)
            own = holds[open_][:, order[:: int(sign)]]
            count = own.sum(axis=1)
            for at in open_[(count > 0) & (count * own.argmax(axis=1) / len(order) >= needed)]:
                condition = tried[at]
                pair = frozenset((name, condition.column))
                stated = pair in related and (condition.least is not None or pair not in ordered)
                if len(pair) < 2 or stated or not is_free(name, condition.column, computed):
                    continue
                if any(frozenset((name, other)) in related for other in deciders.get(condition.column, ())):
                    continue  # the two rules say the same
                if ascending is None:
                    ascending = np.argsort(data)[: int((~np.isnan(data)).sum())]
                rule = _threshold(name, sign, condition, columns, ascending[:: int(sign)])
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


class _StatesOfRows:
    """Which of several conditions hold in some of the rows."""

    def __init__(self, conditions: Sequence[Condition], columns: Columns) -> None:
        """Arrange the conditions by column, and count their rows."""
        names = {name: at for at, name in enumerate(dict.fromkeys(own.column for own in conditions))}
        self.values = [columns.values[name] for name in names]
        self.column = np.array([names[own.column] for own in conditions])
        self.least = np.array([[np.nan if own.least is None else own.least] for own in conditions])
        self.most = np.array([[np.nan if own.most is None else own.most] for own in conditions])
        self.negated = np.array([[own.negated] for own in conditions])
        self.count = np.array([own.of(columns.values).sum() for own in conditions])

    def hold(self, which: Integers, rows: Integers) -> Bools:
        """Return whether conditions hold in rows, shape (conditions, rows)."""
        used, at = np.unique(self.column[which], return_inverse=True)
        own = np.stack([self.values[column][rows] for column in used])[at]
        missing, least = np.isnan(own), self.least[which]
        inside = np.where(np.isnan(least), missing, (own >= least) & (own <= self.most[which]))
        outside = ~inside & (np.isnan(least) | ~missing)
        return np.asarray(np.where(self.negated[which], outside, inside))

    def absent_from_end(self, data: Floats) -> Integers:
        """Return the conditions with as many rows below their least number as a bound needs beyond it."""
        present = np.flatnonzero(~np.isnan(data))
        open_ = np.arange(len(self.column))
        least = present[_least_rows(data[present], min(MAX_END_ROWS[-1], len(present) // 2))]
        for most_rows in MAX_END_ROWS:
            rows = least[:most_rows]
            if not len(open_) or not len(rows):
                break
            count = np.clip(self.count[open_], 1, len(present))
            needed = np.minimum(MIN_EVIDENCE_ROWS / count, 0.5) * len(present)
            held = self.hold(open_, rows)
            first = np.where(held.any(axis=1), held.argmax(axis=1), len(rows))
            open_ = open_[first >= np.minimum(needed, len(rows))]
        return open_


def _least_rows(data: Floats, count: int) -> Integers:
    """Return the positions of the least numbers, in ascending order."""
    if not count:
        return np.zeros(0, np.int64)
    rows = np.argpartition(data, count - 1)[:count]
    return np.asarray(rows[np.argsort(data[rows], kind="stable")])


def _threshold(name: str, sign: float, condition: Condition, columns: Columns, order: Integers) -> ThresholdRule | None:
    """Return the rule that a number is beyond a bound under a condition, None without enough evidence.

    Args:
        name: The column of the number.
        sign: 1 for a lower bound, -1 for an upper one.
        condition: The condition.
        columns: The table.
        order: The rows with a number, in ascending order of the number times the sign, shape (n,).
    """
    data, here = sign * columns.numbers[name][order], condition.of(columns.values)[order]
    own, rows = data[here], order[here]
    if min(len(own), len(data) - len(own)) < MIN_STATE_ROWS or own[0] == own[-1]:
        return None  # a constant is a functional dependency
    least = float(own[0])
    outside = int(np.searchsorted(data, least))
    independent = len(own) * outside / len(data)
    if independent < min(MIN_EVIDENCE_ROWS, len(own) / 2):
        return None
    separate = outside == len(data) - len(own)
    evidence = min(independent, _edge_evidence(own, columns.steps[name]))
    if not separate and evidence >= MIN_EVIDENCE_ROWS:
        evidence = min(evidence, logistic_violations(data, here, least))
    if not separate and evidence < MIN_EVIDENCE_ROWS:
        return None
    bound = -roundest_number(-least, -float(data[outside - 1]), columns.steps[name]) + 0.0
    end = rows[own == bound]
    if len(end) and not columns.is_supported(end) and not _is_round(bound, columns.steps[name]):
        return None
    text = f"{name} {'>=' if sign > 0 else '<='} {_spelled(sign * bound, columns.units[name])} if {condition.text}"
    evidence = independent if separate else evidence
    return ThresholdRule(name, sign, sign * bound, condition, text, round(float(evidence), 1))


def _edge_evidence(own: Floats, step: float) -> float:
    """Return the rows expected beyond the least of ascending numbers if the distribution continued smoothly.

    The lower tail of positive skewed numbers, such as incomes, is smooth on the logarithmic scale only.
    """
    own = without_point_masses(own)
    least = float(own[0])
    smooth = smooth_violations(own - least, step, concave=True)
    if least <= 0 or smooth < MIN_EVIDENCE_ROWS:
        return smooth
    return min(smooth, smooth_violations(np.log(own / least), 0.0, concave=True))


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
