"""Discover bounds of a number that hold under a condition, such as no income below an age.

A bound needs three kinds of evidence: rows that would violate it if the column were independent of the condition, rows
that would if the distribution under the condition continued smoothly beyond the bound, and rows that would if the odds
of the condition did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

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

MAX_SCREEN_ROWS = 2000
"""Maximum rows of a condition on which the evidence is estimated before it is measured on all."""

MIN_VALUES = 4
"""Minimum different numbers of the bounded column."""

Codes = npt.NDArray[np.int16]
"""Codes of the states of a column, shape (n,)."""


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
        rows: _OrderedRows | None = None
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
                rows = rows or _OrderedRows(data, states_of)
                rule = _threshold(name, sign, condition, columns, rows, rows.hold(at))
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
        """Give each state of each column a code: 0 for missing cells, 1 for values that are no state."""
        names = {name: at for at, name in enumerate(dict.fromkeys(own.column for own in conditions))}
        self.codes = np.ones((len(names), len(columns.values[next(iter(names))])), np.int16)
        known: list[dict[float | None, int]] = [{None: 0} for _ in names]
        for name, at in names.items():
            self.codes[at, np.isnan(columns.values[name])] = 0
        for own in conditions:
            at = names[own.column]
            if own.least not in known[at]:
                known[at][own.least] = len(known[at]) + 1
                self.codes[at, columns.values[own.column] == own.least] = known[at][own.least]
        self.column = np.array([names[own.column] for own in conditions])
        self.code = np.array([known[names[own.column]][own.least] for own in conditions], np.int16)
        self.negated = np.array([own.negated for own in conditions])
        self.count = np.array(
            [np.count_nonzero(self.holds(at, self.codes[self.column[at]])) for at in range(len(conditions))]
        )

    def holds(self, at: int, own: Codes) -> Bools:
        """Return where one condition holds, given the codes of its column in some rows, shape (n,)."""
        code = self.code[at]
        if not self.negated[at]:
            return np.asarray(own == code)
        return np.asarray((own != code) & (own != 0))

    def hold(self, which: Integers, rows: Integers) -> Bools:
        """Return whether conditions hold in rows, shape (conditions, rows)."""
        used, at = np.unique(self.column[which], return_inverse=True)
        own, code = self.codes[used[:, None], rows][at], self.code[which, None]
        return np.asarray(np.where(self.negated[which, None], (own != code) & (own != 0), own == code))

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


class _OrderedRows:
    """The rows in ascending order of a number, without those in which it is missing."""

    def __init__(self, data: Floats, states: _StatesOfRows) -> None:
        """Sort the rows."""
        self.order = np.argsort(data)[: int((~np.isnan(data)).sum())]
        self.data = data[self.order]
        self._states = states
        self._codes: dict[int, Codes] = {}

    def hold(self, at: int) -> Bools:
        """Return in which of the rows a condition holds, shape (n,)."""
        column = int(self._states.column[at])
        if column not in self._codes:
            self._codes[column] = self._states.codes[column][self.order]
        return self._states.holds(at, self._codes[column])


def _threshold(
    name: str, sign: float, condition: Condition, columns: Columns, rows: _OrderedRows, here: Bools
) -> ThresholdRule | None:
    """Return the rule that a number is beyond a bound under a condition, None without enough evidence.

    Args:
        name: The column of the number.
        sign: 1 for a lower bound, -1 for an upper one.
        condition: The condition.
        columns: The table.
        rows: The rows in ascending order of the number.
        here: In which of them the condition holds, shape (n,).
    """
    data, order = (rows.data, rows.order) if sign > 0 else (-rows.data[::-1], rows.order[::-1])
    here = here[:: int(sign)]
    count = int(np.count_nonzero(here))
    if min(count, len(data) - count) < MIN_STATE_ROWS:
        return None
    least, greatest = float(data[np.argmax(here)]), float(data[len(data) - 1 - np.argmax(here[::-1])])
    outside = int(np.searchsorted(data, least))
    independent = count * outside / len(data)
    # A constant is a functional dependency.
    if least == greatest or independent < min(MIN_EVIDENCE_ROWS, count / 2):
        return None
    separate = outside == len(data) - count
    if not separate and count > MAX_SCREEN_ROWS:
        # The evidence of every few rows, in order, is nearly proportional to that of all.
        every = count // MAX_SCREEN_ROWS
        if _edge_evidence(data[np.flatnonzero(here)[::every]], columns.steps[name]) < MIN_EVIDENCE_ROWS / every / 2:
            return None
    own = data[here]
    evidence = min(independent, _edge_evidence(own, columns.steps[name]))
    if not separate and evidence >= MIN_EVIDENCE_ROWS:
        evidence = min(evidence, logistic_violations(data, here, least))
    if not separate and evidence < MIN_EVIDENCE_ROWS:
        return None
    bound = -roundest_number(-least, -float(data[outside - 1]), columns.steps[name]) + 0.0
    end = order[here][own == bound]
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
    wider = wider and one.least != other.least
    return wide is not narrow and wide.sign == narrow.sign and one.column == other.column and wider and not tighter
