"""Discover values that a column has exactly where one of several conditions holds, and counts of conditions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.conditional.conditions import LARGEST, Condition
from tabsynth.relations.conditional.rules import CauseRule, CountRule, ThresholdRule
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.states import MIN_STATE_ROWS, Rows, negated, scan_rows, state_rows
from tabsynth.schema.rounding import roundest_number

MAX_SHOWN = 4
"""Maximum number of conditions that the text of a rule lists."""

MAX_SCREENED = 500
"""Maximum rows of a state, and of the others, on which an interval that separates them is searched."""

MAX_COUNTED_VALUES, MAX_COUNTED_STATES = 8, 160
"""Maximum number of states of a column, and of all columns, that a count may consist of."""


def discover_causes(
    columns: Columns, states: Sequence[Condition], bounds: Sequence[ThresholdRule], decided: Collection[str]
) -> Iterator[CauseRule]:
    """Find the values that occur exactly if one of several conditions is true.

    Args:
        columns: The table.
        states: Its states.
        bounds: Bounds that hold under a condition.
        decided: Columns that a relation or another rule decides.
    """
    if not states:
        return
    scan = scan_rows(len(columns.values[states[0].column]))
    rows = state_rows(states, columns, scan)
    share = rows.shape[1] / len(columns.values[states[0].column])
    # Counts of at most a few thousand rows are exact in single precision.
    together = (rows.astype(np.float32) @ rows.T.astype(np.float32)).astype(np.float64)
    count = np.diag(together)
    names = [state.column for state in states]
    column = np.unique(names, return_inverse=True)[1].astype(np.int64)
    for at, target in enumerate(states):
        if not count[at] or (target.column in decided and target.least is not None):
            continue
        beyond = [_beyond(rule) for rule in bounds if _decides(rule, target)]
        pure, same, contrary = _causes_of(at, together, count, column, rows, share)
        # Equivalent columns are left out first: their equality is another rule.
        tried: set[tuple[Condition, ...]] = set()
        before: list[int] = [-1]
        for left_out in (same | contrary, same, np.zeros(len(states), bool)):
            if tried and not left_out.any():
                break  # a cycle: two columns that imply each other would be repaired alternately without end
            kept = np.flatnonzero(pure & ~np.isin(column, column[left_out])).tolist()
            if kept == before or not kept + beyond:
                continue
            before = kept
            causes = [states[i] for i in kept]
            rule = _cause_rule(target, [*causes, *beyond], columns, decided)
            if rule is not None and rule.causes not in tried:
                tried.add(rule.causes)
                yield rule
        for i in [] if tried else np.flatnonzero(contrary).tolist():
            absent = Condition(states[i].column, None, None, text=f"{states[i].column} is missing")
            rule = _cause_rule(target, [negated(states[i]), absent], columns, decided)
            if rule is not None:
                yield rule
                break


def _causes_of(
    at: int, together: Floats, count: Floats, column: Integers, rows: Rows, share: float
) -> tuple[Rows, Rows, Rows]:
    """Return the states that imply a state in all rows, with evidence.

    Also return which states are equivalent, and which are complementary.
    """
    both = together[:, at]
    rate = both / np.maximum(count, 1)
    pure = (both == count) & (column != column[at]) & (count >= MIN_STATE_ROWS * share)
    same = (both == count) & (count == count[at]) & (column != column[at])
    contrary = (both == 0) & (count == rows.shape[1] - count[at]) & (column != column[at])
    rival = np.full(int(column.max()) + 1, count[at] / rows.shape[1])
    other = (both < count) & (count >= MIN_STATE_ROWS * share)
    np.maximum.at(rival, column[other], rate[other])
    # By chance a sample may contain half of the expected evidence.
    enough = count * (1 - rival[column]) >= MIN_EVIDENCE_ROWS * share / (1 + (share < 1))
    return pure & enough, same, contrary


def _decides(rule: ThresholdRule, target: Condition) -> bool:
    """Return whether a column is in a state beyond the bound of a rule."""
    own = rule.condition
    return own.negated and (own.column, own.least) == (target.column, target.least)


def _beyond(rule: ThresholdRule) -> Condition:
    """Return the condition that a number is beyond the bound of a rule."""
    if rule.sign > 0:
        end = float(np.nextafter(rule.bound, -np.inf))
        return Condition(rule.column, -LARGEST, end, text=f"{rule.column} < {rule.bound:g}")
    end = float(np.nextafter(rule.bound, np.inf))
    return Condition(rule.column, end, LARGEST, text=f"{rule.column} > {rule.bound:g}")


def _cause_rule(
    target: Condition, causes: Sequence[Condition], columns: Columns, decided: Collection[str]
) -> CauseRule | None:
    """Return the rule that a state occurs exactly if a condition is true, None without enough evidence."""
    values = columns.values
    present = target.of(values)
    missing = np.isnan(values[target.column]) if target.least is not None else np.zeros(len(present), bool)
    holds = [own & ~missing for own in (cause.of(values) for cause in causes)]
    kept = [at for at, own in enumerate(holds) if own.any() and not (own & ~present).any()]
    causes = [causes[at] for at in kept]
    if not causes:
        return None
    holds = [holds[at] for at in kept]
    rest = ~missing & ~np.logical_or.reduce(holds)
    if (present & rest).any():
        outside = _outside(present, rest, target, columns)
        causes += outside
        holds += [own.of(values) & ~missing for own in outside]
    caused = np.logical_or.reduce(holds)
    free = ~caused & ~missing
    evidence = float(free.sum() * present.sum() / max((~missing).sum(), 1))
    if (present & ~caused).any() or evidence < MIN_EVIDENCE_ROWS:
        return None
    needed = _cover(holds)
    others = len(np.unique(values[target.column][free & ~np.isnan(values[target.column])]))
    labelled = target.least is not None and target.column in columns.labels
    used = {causes[at].column for at in needed}
    moves_causes = labelled and not (target.column in columns.numbers and used <= {*decided})
    if (others < 2 or moves_causes) and len(used) < 2:
        return None  # a functional dependency between two columns, or a bound that moves the other one
    known, counts = np.zeros(0), np.zeros(0, np.int64)
    if target.column not in columns.numbers or target.column in columns.groups:
        own = columns.keys.get(target.column, values[target.column])
        rows = np.flatnonzero(free & ~np.isnan(own))
        rows = rows[np.argsort(own[rows], kind="stable")]
        known, start, counts = np.unique(own[rows], return_index=True, return_counts=True)
        if target.column in columns.numbers:  # the vocabulary of categories has frequent values only
            enough = columns.n_persons(rows, start) >= columns.min_group
            known, counts = known[enough], counts[enough]
        if not len(known) and (target.least is not None or target.column not in columns.numbers):
            return None
    shown = " or ".join(causes[at].text for at in needed[:MAX_SHOWN])
    more = f" or {len(needed) - MAX_SHOWN} more" if len(needed) > MAX_SHOWN else ""
    text = f"{target.text} if and only if {shown}{more}"
    weights = tuple((counts / max(counts.sum(), 1)).tolist())
    return CauseRule(
        target.column, target.least, tuple(causes), tuple(known.tolist()), weights, text, round(evidence, 1)
    )


def _outside(present: Rows, rest: Rows, target: Condition, columns: Columns) -> list[Condition]:
    """Return the condition that a number is outside an interval, if it separates the remaining rows of a state."""
    here, other = present & rest, ~present & rest
    if min(int(here.sum()), int(other.sum())) < MIN_STATE_ROWS:
        return []
    one, two = np.flatnonzero(here)[:MAX_SCREENED], np.flatnonzero(other)[:MAX_SCREENED]
    for name, own in columns.numbers.items():
        screened = own[two]
        if name == target.column or ((own[one] >= screened.min()) & (own[one] <= screened.max())).any():
            continue
        if np.isnan(own[rest]).any():
            continue
        least, most = float(own[other].min()), float(own[other].max())
        below, above = own[here & (own < least)], own[here & (own > most)]
        if len(below) + len(above) < here.sum() or least == most:
            continue
        out = []
        if len(below) >= MIN_STATE_ROWS:
            end = roundest_number(float(below.max()), least, columns.steps[name])
            out.append(Condition(name, -LARGEST, end, text=f"{name} <= {end:g}"))
        if len(above) >= MIN_STATE_ROWS:
            end = -roundest_number(-float(above.min()), -most, columns.steps[name])
            out.append(Condition(name, end, LARGEST, text=f"{name} >= {end:g}"))
        if len(below) >= MIN_STATE_ROWS * (len(below) > 0) and len(above) >= MIN_STATE_ROWS * (len(above) > 0):
            return out
    return []


def _cover(holds: Sequence[Rows]) -> list[int]:
    """Return conditions with the same union of rows as all of them, those that add most rows first."""
    left = np.logical_or.reduce(holds)
    out: list[int] = []
    while left.any():
        out.append(int(np.argmax([(own & left).sum() for own in holds])))
        left &= ~holds[out[-1]]
    return out


def discover_counts(columns: Columns, states: Sequence[Condition], decided: Collection[str]) -> Iterator[CountRule]:
    """Find whole numbers that count conditions on other columns, by least squares on their states.

    Args:
        columns: The table.
        states: Its states.
        decided: Columns that a relation or another rule decides.
    """
    many = {name: sum(state.column == name for state in states) for name in {state.column for state in states}}
    used = [state for state in states if many[state.column] <= MAX_COUNTED_VALUES]
    counts = [name for name in columns.groups if name in columns.numbers and name not in decided]
    if not used or len(used) > MAX_COUNTED_STATES:
        return
    scan = scan_rows(len(columns.values[used[0].column]))
    rows = state_rows(used, columns, scan).astype(np.float64)
    for name in counts:
        target = columns.numbers[name][scan]
        own = [i for i, state in enumerate(used) if state.column != name]
        here = ~np.isnan(target)
        if here.sum() < len(own) + MIN_STATE_ROWS or (target[here] % 1).any() or len(np.unique(target[here])) < 3:
            continue
        rule = _count_rule(name, [used[i] for i in own], rows[own][:, here], target[here], columns)
        if rule is not None:
            yield rule


def _count_rule(
    name: str, states: Sequence[Condition], rows: Floats, target: Floats, columns: Columns
) -> CountRule | None:
    """Return the rule that a column counts states, None if it does not."""
    design = np.vstack([rows, np.ones(rows.shape[1])])
    weights = np.linalg.pinv(design @ design.T, rcond=1e-9, hermitian=True) @ (design @ target)
    if np.abs(weights @ design - target).max() > 1e-3:
        return None
    terms: list[Condition] = []
    for column in dict.fromkeys(state.column for state in states):
        at = [i for i, state in enumerate(states) if state.column == column]
        rest = ~np.any(rows[at] > 0, axis=0)
        least = min(float(weights[at].min()), 0.0 if rest.any() else np.inf)
        factors = weights[at] - least
        # The contributions of equivalent columns cancel out.
        if (np.isclose(factors, 0, atol=1e-3) | np.isclose(factors, 1, atol=1e-3)).all():
            terms += [states[i] for i, factor in zip(at, factors, strict=True) if factor > 0.5]
    values = {term.column: columns.values[term.column] for term in terms}
    if len(values) < 2:
        return None
    constant = columns.numbers[name] - np.sum([term.of(values) for term in terms], axis=0)
    constant = constant[~np.isnan(constant)]
    if np.ptp(constant) != 0:
        return None
    shown = ", ".join(term.text for term in terms[:MAX_SHOWN])
    more = f" and {len(terms) - MAX_SHOWN} more" if len(terms) > MAX_SHOWN else ""
    text = f"{name} counts {shown}{more}" + f" plus {constant[0]:g}" * bool(constant[0])
    return CountRule(name, float(constant[0]), tuple(terms), text, float(len(constant)))
