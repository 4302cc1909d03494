"""Discover all rules of a table; columns that one kind of rule determines are left out of the next search."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from tabsynth.common.arrays import Floats
from tabsynth.relations.conditional.date_shifts import DateShiftRule
from tabsynth.relations.conditional.elapsed import ElapsedRule
from tabsynth.relations.determined_columns import CalendarRule, LookupRule
from tabsynth.relations.formulas.rule import FormulaRule
from tabsynth.relations.row_rule_discovery import MIN_ROWS, discover_date_orders, discover_rules
from tabsynth.relations.row_rules import BandRule, EqualityRule, OrderRule
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.rule_repair import RowRule
from tabsynth.relations.searches.bands import discover_bands
from tabsynth.relations.searches.causes import discover_causes, discover_counts
from tabsynth.relations.searches.dates.calendar_parts import discover_calendar_rules
from tabsynth.relations.searches.dates.date_shifts import discover_date_shifts
from tabsynth.relations.searches.dates.elapsed import discover_elapsed
from tabsynth.relations.searches.decimals import discover_decimals
from tabsynth.relations.searches.distinct_values import discover_distinct
from tabsynth.relations.searches.formulas import discover_formulas
from tabsynth.relations.searches.group_bounds import discover_group_bounds
from tabsynth.relations.searches.lookups import discover_lookups
from tabsynth.relations.searches.missing_equalities import discover_missing_equalities
from tabsynth.relations.searches.orders.exempt_orders import discover_exempt_orders
from tabsynth.relations.searches.orders.pair_bounds import discover_pair_bounds
from tabsynth.relations.searches.states import find_states
from tabsynth.relations.searches.thresholds import discover_thresholds


def discover_all(
    columns: Columns, categories: Mapping[str, Floats], computed: Mapping[str, frozenset[str]]
) -> tuple[RowRule, ...]:
    """Find the rules that hold in all rows.

    Args:
        columns: The table.
        categories: Tokens of categorical columns, rare and missing ones as NaN, shape (n,) each.
        computed: Columns that an exact relation computes, with those that it reads.
    """
    if not columns.values or len(next(iter(columns.values.values()))) < MIN_ROWS:
        return ()
    formulas = discover_formulas(columns, computed)
    computed = {**computed, **{rule.column: frozenset(rule.formula.columns) for rule in formulas}}
    bound = {*computed, *(name for read in computed.values() for name in read)}
    ages = tuple(discover_elapsed(columns, computed, bound))
    decided = {*computed, *(rule.column for rule in ages)}
    shifts = tuple(discover_date_shifts(columns, computed, {*bound, *(own for rule in ages for own in rule.columns)}))
    computed |= {rule.column: frozenset(rule.columns) - {rule.column} for rule in shifts}
    decided |= {rule.column for rule in shifts}
    calendar = tuple(discover_calendar_rules(columns, categories, decided))
    decided |= {rule.column for rule in calendar}
    rules = (
        *discover_rules(columns, computed),
        *discover_bands(columns, computed),
        *discover_date_orders(columns, computed),
        *discover_exempt_orders(columns, computed),
        *discover_missing_equalities(columns, computed),
    )
    moved = {name for rule in rules if isinstance(rule, OrderRule) for name in rule.columns}
    others = (*rules, *discover_lookups(columns, decided, moved))
    # A year that a date determines is also a step function of the date.
    others = tuple(rule for rule in others if not (isinstance(rule, BandRule) and rule.column in decided))
    known = (*ages, *shifts, *calendar, *others, *formulas)
    deciding = (BandRule, CalendarRule, DateShiftRule, ElapsedRule, FormulaRule, LookupRule)
    deciders = {
        rule.column: set(rule.columns) - {rule.column}
        for rule in known
        if isinstance(rule, deciding) and getattr(rule, "exempt", None) is None
    }
    states = find_states(columns)
    counts = tuple(discover_counts(columns, states, {*computed, *deciders}))
    related = {frozenset(rule.columns) for rule in known}
    related |= {frozenset((rule.column, term.column)) for rule in counts for term in rule.terms}
    orders = [rule for rule in known if isinstance(rule, OrderRule)]
    distinct = tuple(discover_distinct(columns, {frozenset(rule.columns) for rule in orders if rule.gap > 0}))
    related |= {frozenset(pair) for rule in distinct for pair in combinations(rule.members, 2)}
    boxes = tuple(discover_group_bounds(columns, {*computed, *deciders}, related))
    related |= {frozenset(rule.columns) for rule in boxes}
    ordered = {frozenset(rule.columns) for rule in orders}
    bounds = discover_thresholds(columns, states, computed, related, ordered, deciders)
    fixed = {*computed, *deciders, *(rule.column for rule in counts)}
    reads = {**computed, **{name: frozenset(own) for name, own in deciders.items()}}
    equal = {(frozenset((own.column, own.source)), own.group) for own in known if isinstance(own, EqualityRule)}
    pairs = tuple(discover_pair_bounds(columns, states, reads, equal))
    causes = tuple(discover_causes(columns, states, bounds, fixed))
    return (*known, *counts, *causes, *bounds, *pairs, *discover_decimals(columns, fixed), *distinct, *boxes)
