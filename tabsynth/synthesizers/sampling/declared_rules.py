"""Rows of a token model that satisfy declared constraints under conditions, and discovered rules as far as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.common.arrays import Bools, Integers
from tabsynth.relations.categories.token_rules import TokenRule, hold
from tabsynth.relations.declared.fixed_cells import FixedCells
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.declared.satisfy import satisfy, satisfy_keys
from tabsynth.relations.enforcement import Relations
from tabsynth.schema.columns import Datetime
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.sampling.conditions import Conditions, source_column
from tabsynth.synthesizers.sampling.rejection import sample_valid

MAX_RULE_REDRAWS = 10
"""Redraws of rows that violate a discovered rule."""


def sample_satisfying(
    schema: Schema,
    codec: Codec,
    discovered: Callable[[pd.DataFrame], Bools],
    conditions: Conditions,
    draw: Callable[[Integers, int], pd.DataFrame],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return the rows that satisfy the schema's constraints.

    Args:
        schema: The schema.
        codec: The vocabulary of the model.
        discovered: Function that returns the rows in which all discovered relations hold.
        conditions: Conditions on each row.
        draw: Draws the rows of given numbers, at an attempt counted from 0.
        rng: Random generator of the repairs.

    Raises:
        ConditionError: The conditions contradict the constraints.
    """
    n = len(conditions.fixed)
    rules = RuleSet.of(schema)
    fixed_cells = fixed_cells_of(conditions, codec, rules)

    def sample(left: Integers, attempt: int) -> pd.DataFrame:
        rows = draw(left, attempt)
        return satisfy(rules, rows, codec, fixed_cells.of_rows(left), rng, more=lambda more: draw(left[more], attempt))

    def valid(rows: pd.DataFrame, attempt: int) -> Bools:
        # A condition may contradict a discovered rule, but never a declared constraint.
        return discovered(rows) if attempt < MAX_RULE_REDRAWS else np.ones(len(rows), bool)

    rows = sample_valid(n, sample, valid)
    return satisfy_keys(rules, rows, codec, fixed_cells, rng) if rules.keys else rows


def satisfy_keys_of_mixture(
    schema: Schema, codec: Codec, rows: pd.DataFrame, conditions: Conditions, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the rows of all sources without repeated keys; ``conditions`` are those on every row."""
    rules = RuleSet.of(schema)
    fixed_cells = fixed_cells_of(conditions, codec, rules)
    fixed_cells = replace(fixed_cells, restricted=fixed_cells.restricted | {source_column(schema)})
    return satisfy_keys(rules, rows, codec, fixed_cells, rng)


def discovered_hold(
    codec: Codec,
    relations: Relations,
    functions: Sequence[TokenRule],
    learned: Sequence[int],
    rows: pd.DataFrame,
) -> Bools:
    """Return the rows in which all discovered relations hold, shape (n,).

    Args:
        codec: The vocabulary of the model.
        relations: Exact relations and rules.
        functions: Rules between tokens, which hold in the sampled ones; a relation or constraint may break them.
        learned: Positions of the slots that the dependencies count.
        rows: The rows.
    """
    good = relations.hold(rows, codec)
    changed = relations.columns | {name for rule in codec.schema.constraints for name in rule.columns}
    names = [codec.slots[position].column for position in learned]
    pairs = {one: {names[slot] for slot in one.slots} for one in functions}
    # A column that is learned in place of another, such as a difference, is not in the rows.
    touched = [one for one in functions if changed & pairs[one] and pairs[one] <= set(rows.columns)]
    if touched:
        tokens = np.full((len(rows), len(names)), -1, np.int32)
        for slot in {slot for one in touched for slot in one.slots}:
            tokens[:, slot] = codec.encode_column(names[slot], rows[names[slot]])
        good &= hold(tokens, touched)
    return good


def fixed_cells_of(conditions: Conditions, codec: Codec, rules: RuleSet) -> FixedCells:
    """Return the cells of the rules' columns that conditions fix or restrict."""
    known = conditions.fixed >= 0
    fixed = {name: np.asarray(known[:, codec.positions(name)].any(axis=1), dtype=bool) for name in rules.columns}
    bounds = {}
    for name, span in conditions.ranges.items():
        column = codec.schema[name]
        unit = UNIT_NANOSECONDS[column.resolution or "s"] / UNIT_NANOSECONDS["D"] if isinstance(column, Datetime) else 1
        bounds[name] = (span.low * unit, span.high * unit)
    return FixedCells({name: rows for name, rows in fixed.items() if rows.any()}, frozenset(conditions.allowed), bounds)
