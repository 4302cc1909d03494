"""Repair rows so that several rules hold, and the state of rules in model files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeGuard

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools
from tabsynth.errors import quote
from tabsynth.relations.arithmetic import NO_RANGES
from tabsynth.relations.categories.distinct_values import DistinctRule
from tabsynth.relations.categories.group_bounds import GroupBoundsRule
from tabsynth.relations.conditional.conditions import condition_from_state
from tabsynth.relations.conditional.date_shifts import DateShiftRule
from tabsynth.relations.conditional.elapsed import ElapsedRule
from tabsynth.relations.conditional.pair_bounds import PairBoundRule
from tabsynth.relations.conditional.rules import CauseRule, CountRule, DecimalsRule, ThresholdRule
from tabsynth.relations.determined_columns import CalendarRule, LookupRule
from tabsynth.relations.formulas.expressions import formula_from_state
from tabsynth.relations.formulas.rule import FormulaRule
from tabsynth.relations.row_rules import BandRule, EqualityRule, OrderRule, Values

MAX_SWEEPS = 3
"""Rounds of repairs: a repair may violate a rule that was repaired before."""

RowRule = (
    OrderRule
    | EqualityRule
    | BandRule
    | LookupRule
    | CalendarRule
    | ThresholdRule
    | CauseRule
    | CountRule
    | DecimalsRule
    | ElapsedRule
    | DistinctRule
    | GroupBoundsRule
    | FormulaRule
    | PairBoundRule
    | DateShiftRule
)

KINDS: dict[str, type[RowRule]] = {
    "order": OrderRule,
    "equality": EqualityRule,
    "band": BandRule,
    "lookup": LookupRule,
    "calendar": CalendarRule,
    "threshold": ThresholdRule,
    "causes": CauseRule,
    "count": CountRule,
    "decimals": DecimalsRule,
    "elapsed": ElapsedRule,
    "distinct": DistinctRule,
    "group_bounds": GroupBoundsRule,
    "formula": FormulaRule,
    "pair_bound": PairBoundRule,
    "date_shift": DateShiftRule,
}

PLAIN_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "float": (float, int),
    "float | None": (float, int, type(None)),
    "int": (int,),
    "bool": (bool,),
}
"""Types of the texts and numbers in the state of a rule, by annotation."""

DecidingRule = LookupRule | CalendarRule | CountRule | ElapsedRule | FormulaRule | DateShiftRule
DECIDING = (LookupRule, CalendarRule, CountRule, ElapsedRule, FormulaRule, DateShiftRule)
"""Rules in which other columns determine a column."""


def repair(
    rules: Sequence[RowRule],
    values: Values,
    coders: Mapping[str, QuantileCoder],
    fixed: Mapping[str, Bools],
    computed: Collection[str],
    rng: np.random.Generator,
    ranges: Mapping[str, tuple[float, float]] = NO_RANGES,
) -> dict[str, Any]:
    """Repair values so that the rules hold as far as the fixed cells allow.

    Args:
        rules: The rules.
        values: The values.
        coders: The coder of each numeric column.
        fixed: Cells that must not change, shape (n,) for each column.
        computed: Columns that an exact relation computes afterwards; only whether they are missing may change.
        rng: Random generator.
        ranges: Fixed columns that a formula may change within an inclusive range.
    """
    out = {name: np.array(own, dtype=np.float64) for name, own in values.items()}
    pinned = {name: own | (name in computed) for name, own in fixed.items()}
    lookups = [rule for rule in rules if _is_deciding(rule)]
    held: dict[str, Bools] = {}
    for _ in range(2):  # a moved date changes the columns that it determines, and the bounds that depend on these
        for lookup in lookups:
            if not held or not lookup.holds(out).all():
                pins = {**pinned, **held, lookup.column: pinned[lookup.column]}
                seed = rng.random(len(out[lookup.column]))
                if isinstance(lookup, FormulaRule):
                    lookup.repair(out, coders, pins, seed, ranges.get(lookup.column))
                else:
                    lookup.repair(out, coders, pins, seed)
        # Numbers that another column determines stay; the other numbers of their rules are moved.
        decided = {rule.column: pinned[rule.column] | ~np.isnan(rule.number(out)) for rule in lookups}
        _sweep(rules, out, coders, {**pinned, **held, **decided}, fixed, rng)
        if all(lookup.holds(out).all() for lookup in lookups):
            break
        held = {name: np.ones(len(out[name]), bool) for lookup in lookups for name in lookup.columns}
    return out


def _sweep(
    rules: Sequence[RowRule],
    out: dict[str, Any],
    coders: Mapping[str, QuantileCoder],
    pinned: Mapping[str, Bools],
    fixed: Mapping[str, Bools],
    rng: np.random.Generator,
) -> None:
    """Repair the rules in which no column determines another, in place."""
    bounds = [rule for rule in rules if isinstance(rule, ThresholdRule)]
    for sweep in range(MAX_SWEEPS):
        for rule in rules:
            if not _is_deciding(rule) and not rule.holds(out).all():
                pins = {**pinned, **{name: fixed[name] for name in _emptied(rule)}}
                if isinstance(rule, OrderRule) and sweep % 2:  # another rule has moved the larger number back
                    pins[rule.high] = np.ones(len(out[rule.high]), bool)
                seed = rng.random(len(out[rule.columns[0]]))
                if isinstance(rule, ThresholdRule):
                    if sweep % 2:  # the number is moved instead, for another rule has set the condition back
                        pins[rule.condition.column] = np.ones(len(seed), bool)
                    rule.repair(out, coders, pins, seed, [own for own in bounds if own.column == rule.column])
                else:
                    rule.repair(out, coders, pins, seed)


def _is_deciding(rule: RowRule) -> TypeGuard[DecidingRule]:
    """Return whether other columns determine a column; a number that may also be exempt is not determined."""
    return isinstance(rule, DECIDING) and not (isinstance(rule, LookupRule) and rule.exempt is not None)


def _emptied(rule: RowRule) -> tuple[str, ...]:
    """Return the column whose missing cells a rule determines."""
    if isinstance(rule, ThresholdRule) and rule.condition.negated and rule.condition.least is None:
        return (rule.condition.column,)
    return (rule.column,) if isinstance(rule, CauseRule) and rule.value is None else ()


def all_hold(rules: Sequence[RowRule], values: Values, rows: int) -> Bools:
    """Return the rows in which every rule holds, shape (n,)."""
    return np.asarray(np.logical_and.reduce([np.ones(rows, bool), *(rule.holds(values) for rule in rules)]), dtype=bool)


def rule_state(rule: RowRule) -> dict[str, Any]:
    """Return a rule as plain data."""
    kind = next(name for name, cls in KINDS.items() if isinstance(rule, cls))
    return {"kind": kind, **asdict(rule)}


def rule_from_state(data: Mapping[str, Any]) -> RowRule:
    """Rebuild a rule from its state.

    Raises:
        ValueError: A text or number is of another type.
    """
    plain = {key: value for key, value in data.items() if key != "kind"}
    if data["kind"] == "band":
        plain |= {key: tuple(plain[key]) for key in ("lower", "upper", "labels")}
        plain["terms"] = tuple((str(name), float(sign)) for name, sign in plain["terms"])
    if data["kind"] == "date_shift":
        plain |= {key: tuple(plain[key]) for key in ("months", "values")}
    if data["kind"] in ("lookup", "calendar"):
        plain |= {key: tuple(plain[key]) for key in ("values", "numbers")}
    if data["kind"] == "formula":
        plain["formula"] = formula_from_state(plain["formula"])
    if data["kind"] == "threshold":
        plain["condition"] = condition_from_state(plain["condition"])
    if data["kind"] == "pair_bound" and plain["condition"] is not None:
        plain["condition"] = condition_from_state(plain["condition"])
    for key in ("causes", "terms"):
        if data["kind"] in ("causes", "count") and key in plain:
            plain[key] = tuple(map(condition_from_state, plain[key]))
    if data["kind"] in ("causes", "decimals"):
        plain |= {key: tuple(plain[key]) for key in ("choices", "weights", "values", "decimals") if key in plain}
    if data["kind"] == "group_bounds":
        plain |= {key: tuple(plain[key]) for key in ("values", "lower", "upper", "first", "last")}
    if data["kind"] == "distinct":
        plain["members"] = tuple(plain["members"])
        plain |= {key: tuple(map(tuple, plain[key])) for key in ("values", "codes", "weights")}
    rule = KINDS[data["kind"]](**plain)
    for own in fields(rule):
        expected = PLAIN_TYPES.get(str(own.type), object)
        if not isinstance(getattr(rule, own.name), expected):
            raise ValueError(f"{own.name} of a rule is {quote(getattr(rule, own.name))}")
    return rule
