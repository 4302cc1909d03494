"""Make frames of sampled rows satisfy the constraints of their schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Integers
from tabsynth.errors import ConditionError
from tabsynth.relations.declared.cells import read_columns, read_context, write_columns
from tabsynth.relations.declared.donors import Columns
from tabsynth.relations.declared.keys import make_unique
from tabsynth.relations.declared.pins import Pins
from tabsynth.relations.declared.repair import Repair
from tabsynth.relations.declared.rule_set import RuleSet

N_DONORS = 256
"""Number of additional rows that are sampled as donors."""


def satisfy(
    rules: RuleSet,
    frame: pd.DataFrame,
    codec: Codec,
    pins: Pins,
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
        pins: Cells that a condition fixes or restricts.
        rng: Random generator.
        more: Samples the rows at given positions again.
        strict: Raise if rows cannot be repaired; otherwise they are returned unchanged.

    Raises:
        ConditionError: Some rows cannot be repaired, as when conditions contradict the rules.
    """
    out, left, _ = _run(rules, frame, codec, pins, rng, more)
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
    *_, repaired = _run(rules, frame, codec, Pins(), rng, None)
    return [count / max(len(frame), 1) for count in repaired]


def satisfy_keys(
    rules: RuleSet,
    frame: pd.DataFrame,
    codec: Codec,
    pins: Pins,
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
    plain = RuleSet(rules.schema, rules.rules, rules.keys, ())
    values = read_columns(plain, frame)
    before = {name: cells.copy() for name, cells in values.items()}
    free = {name: ~pins.decided(name, len(frame)) for name in rules.columns}
    for key in rules.repeatable_keys:
        make_unique(key, values, free, rules.grids(codec), lambda trial, _: rules.hold(trial), rng, strict=strict)
    return write_columns(plain, frame, codec.dtypes, before, values)


def _run(
    rules: RuleSet,
    frame: pd.DataFrame,
    codec: Codec,
    pins: Pins,
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
    left = repair.run(values, pins)
    return write_columns(rules, frame, codec.dtypes, before, values), left, repair.repaired
