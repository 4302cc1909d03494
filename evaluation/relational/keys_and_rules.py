"""Dangling, repeated and missing keys, and violations of rules, in percent of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.relational.encoded_database import EncodedDatabase
from tabsynth.evaluation.relational.errors_of_links import link_name
from tabsynth.evaluation.relational.siblings import place_table
from tabsynth.schema.columns import Datetime
from tabsynth.schema.validation import satisfies

MAX_REAL_VIOLATIONS = 0.001
"""Maximum share of real rows that violate an order that counts as a rule."""

MIN_SHUFFLED_VIOLATIONS = 0.002
"""Minimum share of pairs of unrelated values that violate an order that counts as a rule."""

MIN_RULE_ROWS = 30
N_SHUFFLED_ROWS = 2_000
Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Violations:
    """Share of rows that violate a rule or have a faulty key, in percent."""

    synthetic: float
    real: float


def key_faults(
    real: Tables, synthetic: Tables, sides: tuple[EncodedDatabase, EncodedDatabase]
) -> dict[tuple[str, str], Violations]:
    """Measure repeated and missing primary keys by table, and dangling and missing foreign keys by link."""
    schema = sides[0].schema
    out: dict[tuple[str, str], Violations] = {}
    for name in schema.tables:
        columns = (
            [schema.primary_keys[name]] if name in schema.primary_keys else list(schema.composite_keys.get(name, ()))
        )
        if columns and name not in schema.reference:
            shares = []
            for tables in (synthetic, real):
                frame = tables[name][columns]
                shares.append(_percent((frame.duplicated() | frame.isna().any(axis=1)).to_numpy()))
            out[name, "repeated_keys"] = Violations(*shares)
    for key in schema.foreign_keys:
        dangling, missing = [], []
        for tables, side in ((synthetic, sides[1]), (real, sides[0])):
            absent = tables[key.table][key.column].isna().to_numpy()
            dangling.append(_percent((side.parents[key] < 0) & ~absent))
            missing.append(_percent(absent))
        out[link_name(key), "dangling_keys"] = Violations(*dangling)
        if any(missing):
            out[link_name(key), "missing_keys"] = Violations(*missing)
    return out


def rule_violations(
    real: Tables, synthetic: Tables, sides: tuple[EncodedDatabase, EncodedDatabase]
) -> dict[tuple[str, str], Violations]:
    """Measure violations of declared constraints, and of orders that real rows satisfy, by table and rule.

    An order relates two dates or two numbers of a row, or of a row and its ancestors.
    """
    schema = sides[0].schema
    out: dict[tuple[str, str], Violations] = {}
    for name, table in schema.tables.items():
        if name in schema.reference:
            continue
        for constraint in table.constraints:
            if not constraint.columns:
                continue
            shares = [_percent(~satisfies(constraint, tables[name], table)) for tables in (synthetic, real)]
            out[name, _describe(constraint.to_dict())] = Violations(*shares)
        left, right = (dict(_numbers(side, name)) for side in sides)
        for low, high in _orders(left):
            rule = f"{low[1]} ≤ {high[1]}"
            if (name, rule) not in out:
                shares = [_percent(numbers[low] > numbers[high]) for numbers in (right, left)]
                out[name, rule] = Violations(*shares)
    return out


def _describe(constraint: Mapping[str, object]) -> str:
    if constraint.get("kind") == "inequality":
        return f"{constraint['low']} {'<' if constraint.get('strict') else '≤'} {constraint['high']}"
    facts = ", ".join(f"{key} {value}" for key, value in constraint.items() if key != "kind")
    return f"{constraint.get('kind')}: {facts}"


def _numbers(side: EncodedDatabase, name: str) -> Iterator[tuple[tuple[bool, str, int], Floats]]:
    """Yield the dates and numbers of each row and its ancestors, with (whether a date, name, generations up)."""
    rows, table, above = np.arange(len(side.tables[name])), name, 0
    while True:
        ancestors = place_table(side.tables[table], rows)
        numbers = [
            n for n, number in zip(ancestors.encoding.names, ancestors.encoding.continuous, strict=True) if number
        ]
        for at, column in enumerate(numbers):
            dated = isinstance(side.schema.tables[table][column], Datetime)
            yield (dated, column if not above else f"{table}.{column}", above), ancestors.values[:, at]
        key = side.schema.main_key(table)
        if key is None:
            return
        rows, table, above = np.append(side.parents[key], -1)[rows], key.parent, above + 1


def _orders(
    numbers: Mapping[tuple[bool, str, int], Floats],
) -> Iterator[tuple[tuple[bool, str, int], tuple[bool, str, int]]]:
    """Yield pairs of columns (one of the row itself) that are ordered in real rows, but not for unrelated values."""
    for low, first in numbers.items():
        for high, second in numbers.items():
            if low == high or low[0] != high[0] or (low[2] and high[2]):
                continue
            both = ~np.isnan(first) & ~np.isnan(second)
            if both.sum() < MIN_RULE_ROWS or (first[both] > second[both]).mean() > MAX_REAL_VIOLATIONS:
                continue
            if (first[both] == second[both]).all():
                continue
            some = np.linspace(0, int(both.sum()) - 1, min(int(both.sum()), N_SHUFFLED_ROWS)).astype(np.int64)
            one, another = np.sort(first[both][some]), second[both][some]
            larger = len(one) - np.searchsorted(one, another, side="right")
            if larger.mean() / len(one) >= MIN_SHUFFLED_VIOLATIONS:
                yield low, high


def _percent(mask: np.ndarray) -> float:
    return 100 * float(mask.mean()) if len(mask) else 0.0
