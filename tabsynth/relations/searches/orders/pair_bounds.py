"""Discover bounds of a column by another one that hold under a condition, or after multiplication by a number.

The difference of two columns, or the logarithm of their ratio, is a number whose bound is searched as that of a column:
with the rows that would violate it if it were independent of the condition, if its distribution under the condition
continued smoothly beyond the bound, if the odds of the condition did, and if the columns were independent of each other
under the condition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.conditional.conditions import Condition
from tabsynth.relations.conditional.pair_bounds import PairBoundRule
from tabsynth.relations.row_rule_discovery import MAX_SCAN_ROWS, MIN_EDGE_ROWS, is_free, supported_gap
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.orders.factors import CONVERSIONS, bounding_factor
from tabsynth.relations.searches.orders.pair_evidence import (
    Case,
    Pair,
    condition_evidence,
    expected_violations,
    independent_violations,
    is_sharp,
    rows_at_edge,
    violations_elsewhere,
)
from tabsynth.relations.searches.states import MIN_STATE_ROWS, negated

MIN_EVIDENCE_ROWS, MIN_BOUND_EVIDENCE_ROWS, MIN_CONVERSION_EVIDENCE_ROWS = 30.0, 40.0, 20.0
"""Minimum rows that would violate an order, another bound, and one by a factor that converts units, by chance."""

SCREEN_ROWS = 400
"""Rows on which all pairs and conditions are compared."""

MIN_SCREENED = 4.0
"""Minimum rows of these that would violate a bound by chance."""

EDGE_WIDTH, MIN_NEAR_ROWS = 0.1, 2
"""Distance from the end of the logarithms of ratios within which some of these rows must be, and their number."""

MAX_PAIR_COLUMNS, MAX_CONDITIONS = 40, 120
"""Maximum columns of one unit whose pairs are compared, and maximum conditions, those of most rows."""

MIN_VALUES, MIN_PAIR_VALUES = 3, 8
"""Minimum different numbers of either column, and of one of both."""


def discover_pair_bounds(
    columns: Columns,
    states: Sequence[Condition],
    reads: Mapping[str, frozenset[str]],
    equal: Collection[tuple[frozenset[str], str]],
) -> Iterator[PairBoundRule]:
    """Find the bounds of the difference or ratio of two columns, those of differences under conditions only.

    Args:
        columns: The table.
        states: Its states.
        reads: Columns that a relation or another rule decides, with those that it reads.
        equal: Pairs of columns that are equal under a condition, with the column of the condition.
    """
    rows = len(next(iter(columns.values.values())))
    conditions: list[tuple[Condition, Bools]] | None = None
    for unit in dict.fromkeys(columns.units.values()):
        names = [name for name, own in columns.units.items() if own == unit]
        known = {name: len(np.unique(columns.numbers[name][:MAX_SCAN_ROWS])) for name in names}
        names = [name for name in names if known[name] >= MIN_VALUES]
        if not 2 <= len(names) <= MAX_PAIR_COLUMNS:
            continue
        free = [own for own in combinations(names, 2) if max(known[name] for name in own) >= MIN_PAIR_VALUES]
        free = [own for own in free if is_free(*own, reads)]
        pairs = [Pair(*pair, ratio) for ratio in (False, True)[: 1 + (unit == "number")] for pair in free]
        if pairs:
            if conditions is None:
                conditions = _conditions(states, columns, slice(None, None, max(1, rows // SCREEN_ROWS)))
            found = list(_search(pairs, conditions, columns))
            yield from (own for own in _without_implied(found) if not _is_part(own, equal, reads))


def _conditions(states: Sequence[Condition], columns: Columns, rows: slice) -> list[tuple[Condition, Bools]]:
    """Return the states and their negations, those of most rows first, with the rows in which they hold."""
    few = {name: columns.values[name][rows] for name in {state.column for state in states}}
    both = [(own, own.of(few)) for state in states for own in (state, negated(state))]
    # Of equivalent conditions the first one is used, those of categories before those of numbers.
    both.sort(key=lambda one: (-int(one[1].sum()), one[0].column in columns.numbers, one[0].negated))
    known: dict[bytes, tuple[Condition, Bools]] = {}
    for own, here in both[:MAX_CONDITIONS]:
        every = own.of(columns.values)
        if not every.all():
            known.setdefault(np.packbits(every).tobytes(), (own, here))
    return list(known.values())


def _is_part(
    rule: PairBoundRule, equal: Collection[tuple[frozenset[str], str]], reads: Mapping[str, frozenset[str]]
) -> bool:
    """Return whether a bound follows from an equality under its condition, or from what computes the condition."""
    column = rule.condition.column if rule.condition else ""
    if {rule.low, rule.high} <= reads.get(column, frozenset()):
        return True
    return rule.gap == 0 and rule.factor == 1 and (frozenset((rule.low, rule.high)), column) in equal


def _search(pairs: list[Pair], conditions: list[tuple[Condition, Bools]], columns: Columns) -> Iterator[PairBoundRule]:
    """Search the bounds of pairs of one unit."""
    rows = len(columns.numbers[pairs[0].low])
    screen = slice(None, None, max(1, rows // SCREEN_ROWS))
    numbers = {name: own[screen] for name, own in columns.numbers.items()}
    block = np.stack([pair.of(numbers) for pair in pairs], axis=1)
    missing = np.isnan(block)
    lowest, highest = np.where(missing, np.inf, block), np.where(missing, -np.inf, block)
    known = (~missing).astype(np.float32)
    present = known.sum(axis=0)
    ends = lowest.min(axis=0), highest.max(axis=0)
    near = [(np.abs(block - end) < EDGE_WIDTH).sum(axis=0) >= MIN_NEAR_ROWS for end in ends]
    for at, pair in enumerate(pairs):
        if pair.is_ratio and (near[0][at] or near[1][at]):
            yield from _bounds(Case(pair, None), (bool(near[0][at]), bool(near[1][at])), columns)
    needed = max(MIN_SCREENED, MIN_EVIDENCE_ROWS * len(block) / rows / 2)
    for condition, here in conditions:
        if here.sum() < needed:
            continue
        size = known[here].sum(axis=0)
        outside = (
            (lowest < lowest[here].min(axis=0)).sum(axis=0),
            (highest > highest[here].max(axis=0)).sum(axis=0),
        )
        enough = [(size >= needed) & (count * size >= needed * present) for count in outside]
        for at, pair in enumerate(pairs):
            case = Case(pair, condition)
            if case.exempts_zero:
                yield from _bounds(case, (True, True), columns)
            elif not case.is_own and (enough[0][at] or enough[1][at]):
                yield from _bounds(case, (bool(enough[0][at]), bool(enough[1][at])), columns)


def _bounds(case: Case, sides: tuple[bool, bool], columns: Columns) -> Iterator[PairBoundRule]:
    """Yield the bounds on the sides of a pair of columns."""
    pair = case.pair
    for own, wanted in ((pair, sides[0]), (Pair(pair.high, pair.low, pair.is_ratio), sides[1])):
        rule = _bound(Case(own, case.condition), columns) if wanted else None
        if rule is not None:
            yield rule


def _bound(case: Case, columns: Columns) -> PairBoundRule | None:
    """Return the bound of a pair under a condition if it holds in all rows and has enough evidence."""
    pair, condition, exempts = case.pair, case.condition, case.exempts_zero
    rows = len(columns.numbers[pair.low])
    if condition is not None and not exempts and rows >= 2 * MAX_SCAN_ROWS:
        few = slice(None, None, rows // MAX_SCAN_ROWS)
        values = {name: columns.values[name][few] for name in (pair.low, pair.high, condition.column)}
        margin = pair.of(values)
        known = ~np.isnan(margin)
        if (
            violations_elsewhere(margin[known], condition.of(values)[known])
            < MIN_EVIDENCE_ROWS * MAX_SCAN_ROWS / rows / 2
        ):
            return None
    margin = pair.of(columns.values)
    known = np.flatnonzero(~np.isnan(margin))
    here = condition.of(columns.values)[known] if condition else np.ones(len(known), bool)
    if here.sum() < MIN_STATE_ROWS:
        return None
    own = known[here]
    low, high = columns.numbers[pair.low][own], columns.numbers[pair.high][own]
    bound = (
        bounding_factor(low, high, columns.steps[pair.low]) if pair.is_ratio else _gap(pair, high - low, own, columns)
    )
    if bound is None:
        return None
    factor, gap = bound
    if exempts and (pair.is_ratio or margin[known].min() >= gap):
        return None  # the bound holds in all rows
    is_order = not pair.is_ratio and 0 <= gap <= max(columns.steps[pair.low], columns.steps[pair.high])
    breaks_off = not pair.is_ratio and rows_at_edge(pair, low, high, gap, columns) >= MIN_EDGE_ROWS
    needed = MIN_EVIDENCE_ROWS if is_order or breaks_off else MIN_BOUND_EVIDENCE_ROWS
    is_smooth = not (breaks_off and is_sharp(high - low, pair, columns))
    needed = MIN_CONVERSION_EVIDENCE_ROWS if pair.is_ratio and factor in CONVERSIONS else needed
    evidence = 0.0
    # By chance a sample may contain half of the expected evidence.
    for every in (len(known) // MAX_SCAN_ROWS, 1) if len(known) >= 2 * MAX_SCAN_ROWS else (1,):
        least = needed if every == 1 else needed / every / 2
        few = slice(None, None, every)
        evidence = expected_violations(pair, low[few], high[few], factor, gap, columns, concave=not is_order)
        evidence = min(evidence, independent_violations(low[few], high[few], factor, gap)) if evidence >= least else 0.0
        if condition is not None and not exempts and evidence >= least:
            evidence = min(evidence, condition_evidence(margin[known][few], here[few], is_smooth=is_smooth))
        if evidence < least:
            return None
    text = _text(pair, factor, gap, columns) + (f" if {condition.text}" if condition else "")
    return PairBoundRule(pair.low, pair.high, factor, gap, condition, text, round(float(evidence), 1))


def _gap(pair: Pair, difference: Floats, rows: Integers, columns: Columns) -> tuple[float, float] | None:
    """Return the factor 1 and the minimum difference, None if there is no bound that enough rows support."""
    least = float(difference.min())
    steps = [columns.steps[name] for name in (pair.low, pair.high)]
    if min(steps) > 0 and all(step % 1 == 0 for step in steps):
        gap = supported_gap(difference, rows, columns, is_date=columns.units[pair.low] != "number")
        if least == 0 or gap:
            return 1.0, gap if least else 0.0
    # A strict order: the numbers differ by a step at least.
    strict = max(steps) if abs(least - max(steps)) <= 1e-9 * max(steps) else 0.0
    return (1.0, strict) if least >= 0 else None


def _text(pair: Pair, factor: float, gap: float, columns: Columns) -> str:
    """Return the bound as users read it."""
    unit = columns.units[pair.low].removeprefix("number").replace("datetime", "")
    if pair.is_ratio:
        if len(f"{factor:g}") > len(f"{1 / factor:g}"):
            return f"{pair.high} >= {1 / factor:g} * {pair.low}"
        return f"{pair.low} <= {factor:g} * {pair.high}"
    if gap > 0:
        return f"{pair.high} - {pair.low} >= {gap:g}{unit}"
    return f"{pair.low} - {pair.high} <= {-gap:g}{unit}" if gap < 0 else f"{pair.low} <= {pair.high}"


def _without_implied(rules: Sequence[PairBoundRule]) -> Iterator[PairBoundRule]:
    """Yield the rules that no other rule of the same columns implies, by a wider condition."""
    for rule in rules:
        if not any(_implies(other, rule) for other in rules if other is not rule):
            yield rule


def _implies(wide: PairBoundRule, narrow: PairBoundRule) -> bool:
    """Return whether a rule under a wider condition makes another one superfluous."""
    if (wide.low, wide.high) != (narrow.low, narrow.high) or wide.gap < narrow.gap or wide.factor > narrow.factor:
        return False
    one, other = wide.condition, narrow.condition
    if one is None or other is None:
        return one is None
    wider = one.negated and other.least is not None and (one.least is None or not other.negated)
    return one == other or (one.column == other.column and wider and one.least != other.least)
