"""Discover orders between datetimes of two resolutions, such as a time of dispatch and a day of delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import permutations

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.relations.row_rule_discovery import MAX_SCAN_ROWS, is_free, order_rule
from tabsynth.relations.row_rules import OrderRule, whole_ticks
from tabsynth.relations.rule_columns import Columns


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
