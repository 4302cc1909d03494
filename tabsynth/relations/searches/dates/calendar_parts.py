"""Discover columns that are a calendar function of a datetime column."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.determined_columns import PARTS, CalendarRule, calendar_part
from tabsynth.relations.row_rule_discovery import MAX_SCAN_ROWS, MIN_EVIDENCE_ROWS
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.lookups import lookup_evidence, single_valued, value_table

SCREEN_ROWS = 300
"""Rows on which all columns are compared with each part before more rows are."""


def discover_calendar_rules(
    columns: Columns, categories: Mapping[str, Floats], computed: Collection[str]
) -> Iterator[CalendarRule]:
    """Find numbers and categories that a datetime column decides through its weekday, month or another part.

    Args:
        columns: The table.
        categories: Tokens of categorical columns, rare and missing ones as NaN, shape (n,) each.
        computed: Columns that an exact relation computes.
    """
    moments = [name for name, unit in columns.units.items() if unit.startswith("datetime")]
    numbers = {name: own for name, own in columns.numbers.items() if name not in moments and name not in computed}
    open_ = {**numbers, **categories}
    for moment in moments:
        data, unit = columns.numbers[moment], columns.units[moment].removeprefix("datetime ")
        step = max(1, len(data) // MAX_SCAN_ROWS)
        names, few = list(open_), np.array([own[::step][:SCREEN_ROWS] for own in open_.values()])
        for part in PARTS:
            scan = calendar_part(data[::step], unit, part)
            whole: Floats | None = None
            for name in (names[at] for at in single_valued(scan[:SCREEN_ROWS], few)):
                if name not in open_ or not single_valued(scan, open_[name][None, ::step]):
                    continue
                whole = calendar_part(data, unit, part) if whole is None else whole
                rule = _rule(moment, unit, part, whole, name, open_[name], columns)
                if rule is not None:
                    del open_[name]
                    yield rule


def _rule(
    moment: str, unit: str, part: str, values: Floats, name: str, numbers: Floats, columns: Columns
) -> CalendarRule | None:
    """Return the rule that a part of a datetime determines a column, None without enough evidence."""
    table = value_table(values, numbers, columns)
    if table is None or len(np.unique(table[1])) < 2:
        return None
    known, decided, persons = table
    evidence = lookup_evidence(decided, persons)
    if evidence < MIN_EVIDENCE_ROWS:
        return None
    text = f"{name} is a function of the {part} of {moment}"
    shift = decided - known
    if (shift == shift[0]).all() and bool(((numbers - values == shift[0]) | np.isnan(numbers - values)).all()):
        return CalendarRule(moment, unit, part, name, (), (), float(shift[0]), text, round(evidence, 1))
    known_values, decided_numbers = tuple(known.tolist()), tuple(decided.tolist())
    return CalendarRule(moment, unit, part, name, known_values, decided_numbers, 0.0, text, round(evidence, 1))
