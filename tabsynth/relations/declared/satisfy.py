"""Make frames of sampled rows satisfy the constraints of their schema."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.pandas_dtypes import dtype_name
from tabsynth.common.arrays import Bools, Integers
from tabsynth.errors import ConditionError
from tabsynth.relations.declared.cells import read_columns, read_context, write_columns
from tabsynth.relations.declared.fixed_cells import FixedCells
from tabsynth.relations.declared.hot_deck import Columns, put, take
from tabsynth.relations.declared.keys import make_unique
from tabsynth.relations.declared.repair import Repair
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.columns import Datetime
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import row_values

N_DONORS = 256
"""Number of additional rows that are sampled as donors."""

N_COPIES = 100
"""Random rows of a child table from which a row that could not be repaired is copied in turn."""


def satisfy(
    rules: RuleSet,
    frame: pd.DataFrame,
    codec: Codec,
    fixed_cells: FixedCells,
    rng: np.random.Generator,
    *,
    more: Callable[[Integers], pd.DataFrame] | None = None,
    strict: bool = True,
) -> pd.DataFrame:
    """Repair rows so that they satisfy all rules on single rows, and drop the derived columns.

    Args:
        rules: The rules.
        frame: Sampled rows, with the derived columns.
        codec: The codec of the rows.
        fixed_cells: Cells that a condition fixes or restricts.
        rng: Random generator.
        more: Samples the rows at given positions again.
        strict: Raise if rows cannot be repaired; otherwise they are returned unchanged.

    Raises:
        ConditionError: Some rows cannot be repaired, as when conditions contradict the rules.
    """
    out, left, _ = _run(rules, frame, codec, fixed_cells, rng, more)
    if strict and len(left):
        values = read_columns(rules, frame.assign(**{name: out[name] for name in rules.columns}).iloc[left])
        broken = [rule.describe() for rule in rules.rules if not rule.holds(values, rules.steps).all()]
        raise ConditionError(
            f"{len(left)} of {len(frame)} rows cannot satisfy the rules ({'; '.join(broken) or 'and their ranges'}); "
            "the conditions may contradict them, or no similar row satisfies them"
        )
    return out


def count_repairs(rules: RuleSet, frame: pd.DataFrame, codec: Codec, rng: np.random.Generator) -> list[float]:
    """Return the share of sampled rows in which each rule on single rows had to be repaired."""
    *_, repaired = _run(rules, frame, codec, FixedCells(), rng, None)
    return [count / max(len(frame), 1) for count in repaired]


def satisfy_keys(
    rules: RuleSet,
    frame: pd.DataFrame,
    codec: Codec,
    fixed_cells: FixedCells,
    rng: np.random.Generator,
    *,
    strict: bool = True,
) -> pd.DataFrame:
    """Make the declared keys unique; unless ``strict``, keys that cannot be are left repeated.

    Raises:
        InputError: A key has fewer values than there are rows.
    """
    if not len(frame) or not rules.repeatable_keys:
        return frame
    plain = _plain(rules)
    values = read_columns(plain, frame)
    before = {name: cells.copy() for name, cells in values.items()}
    free = {name: ~fixed_cells.decided(name, len(frame)) for name in rules.columns}
    for key in rules.repeatable_keys:
        make_unique(key, values, free, rules.grids(codec), lambda trial, _: rules.hold(trial), rng, strict=strict)
    return write_columns(plain, frame, codec.dtypes, before, values)


def satisfy_linked(
    schema: Schema, frame: pd.DataFrame, order: str | None, given: Collection[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Repair rows of a child table as far as possible, and make its declared keys unique.

    Args:
        schema: The schema of the rows.
        frame: The rows with their dates.
        order: The column by which histories are ordered, which does not change; None without order.
        given: Columns under a condition, which do not change.
        rng: Random generator.

    Raises:
        InputError: A key has fewer values than there are rows.
    """
    rules, held = RuleSet.of(schema), {*given, *([] if order is None else [order])}
    if not rules or not len(frame):
        return frame
    broken = ~rules.hold(row_values(frame, schema, rules.columns))
    if broken.any():
        frame = repair_frame(rules, frame, broken, rng, held)
    values = row_values(frame, schema, rules.columns)
    before = {name: cells.copy() for name, cells in values.items()}
    broken = _copy_from_others(rules, values, order, held, rng)
    free = {name: np.full(len(frame), name not in held) for name in rules.columns}
    for key in rules.repeatable_keys:
        make_unique(key, values, free, rules.grids(None), lambda new, at: rules.hold(new) | broken[at], rng)
    return write_columns(_plain(rules), frame, _dtypes(rules, frame), before, values)


def _copy_from_others(
    rules: RuleSet, values: Columns, order: str | None, held: Collection[str], rng: np.random.Generator
) -> Bools:
    """Give violating rows the cells of random other rows, dates as distances from the order column, in place.

    Returns:
        The rows that still violate a rule, shape (n,).
    """
    broken, grids = ~rules.hold(values), rules.grids(None)
    donors, rows = np.flatnonzero(~broken), np.flatnonzero(broken)
    dated = [name for name in rules.columns if order in values and isinstance(rules.schema[name], Datetime)]
    for _ in range(N_COPIES if len(donors) else 0):
        if not len(rows):
            break
        chosen = donors[rng.integers(len(donors), size=len(rows))]
        trial = take(values, chosen) | {name: values[name][rows] for name in rules.columns if name in held}
        for name in dated:
            if order is not None and name not in held:
                moved = grids[name].snap(trial[name] + values[order][rows] - values[order][chosen])
                trial[name] = grids[name].clip(moved, np.ones(len(rows), bool))
        inside = [grid.inside(trial[name]) | np.isnan(trial[name]) for name, grid in grids.items()]
        good = np.logical_and.reduce([rules.hold(trial), *inside])
        put(values, rows, trial, good)
        rows = rows[~good]
    return np.isin(np.arange(len(broken)), rows)


def repair_frame(
    rules: RuleSet, frame: pd.DataFrame, broken: Bools, rng: np.random.Generator, held: Collection[str] = ()
) -> pd.DataFrame:
    """Repair rows of a frame without derived columns as far as possible; the other rows are donors.

    Args:
        rules: The rules.
        frame: The rows.
        broken: The rows to repair, shape (n,).
        rng: Random generator.
        held: Columns that do not change.
    """
    values = row_values(frame, rules.schema, rules.columns)
    before = {name: cells.copy() for name, cells in values.items()}
    for one in rules.derived:
        values[one.name] = np.where(one.form.holds(values, rules.steps), one.measure(values) / one.scale, np.nan)
    fixed_cells = FixedCells({name: ~broken | (name in held) for name in rules.columns})
    Repair(rules, rules.grids(None), rng, lambda: read_context(rules, frame)).run(values, fixed_cells)
    return write_columns(_plain(rules), frame, _dtypes(rules, frame), before, values)


def _plain(rules: RuleSet) -> RuleSet:
    """Return the rules without the derived columns, which a frame of schema columns does not have."""
    return RuleSet(rules.schema, rules.rules, rules.keys, ())


def _dtypes(rules: RuleSet, frame: pd.DataFrame) -> dict[str, str]:
    return {name: dtype_name(frame[name]) for name in rules.columns}


def _run(
    rules: RuleSet,
    frame: pd.DataFrame,
    codec: Codec,
    fixed_cells: FixedCells,
    rng: np.random.Generator,
    more: Callable[[Integers], pd.DataFrame] | None,
) -> tuple[pd.DataFrame, Integers, list[int]]:
    """Return the repaired frame, the rows that could not be repaired, and the repaired rows of each rule."""
    if not len(frame) or not rules.rules:
        plain = frame.drop(columns=[one.name for one in rules.derived])
        return plain, np.zeros(0, np.int64), [0] * len(rules.rules)
    values = read_columns(rules, frame)
    before: dict[str, Any] = {name: cells.copy() for name, cells in values.items()}

    def draw_more() -> Columns:
        assert more is not None
        rows = more(np.resize(np.arange(len(frame)), N_DONORS))
        return read_columns(rules, rows) | read_context(rules, rows)

    donors = None if more is None else draw_more
    repair = Repair(rules, rules.grids(codec), rng, lambda: read_context(rules, frame), donors)
    left = repair.run(values, fixed_cells)
    return write_columns(rules, frame, codec.dtypes, before, values), left, repair.repaired
