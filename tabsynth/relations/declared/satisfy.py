"""Frames of drawn rows that satisfy the constraints of their schema."""

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
from tabsynth.schema.columns import Identifier

N_DONORS = 256
"""Rows that are drawn to be donors."""


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
    """Rows that satisfy all rules on single rows, without the derived columns.

    Args:
        rules: The rules.
        frame: Drawn rows, with the derived columns.
        codec: Their vocabulary.
        pins: What a condition decides.
        rng: Chooses among donors.
        more: Draws rows again, given their numbers.
        strict: Refuse conditions under which the rules cannot be satisfied; otherwise such rows stay as they are.

    Raises:
        ConditionError: The conditions contradict the rules.
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
    """The share of drawn rows in which each rule on single rows had to be repaired."""
    *_, repaired = _run(rules, frame, codec, Pins(), rng, None)
    return [count / max(len(frame), 1) for count in repaired]


def satisfy_keys(
    rules: RuleSet, frame: pd.DataFrame, codec: Codec, pins: Pins, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows in which every declared key occurs once.

    Raises:
        InputError: A key has fewer values than there are rows.
    """
    if not len(frame):
        return frame
    plain = RuleSet(rules.schema, rules.rules, rules.keys, ())
    values = read_columns(plain, frame)
    before = {name: own.copy() for name, own in values.items()}
    free = {name: ~pins.decided(name, len(frame)) for name in rules.columns}
    for key in rules.keys:
        if not any(isinstance(rules.schema[name], Identifier) for name in key.of):
            make_unique(key, values, free, rules.grids(codec), lambda trial, _: rules.hold(trial), rng)
    return write_columns(plain, frame, codec.dtypes, before, values)


def _run(
    rules: RuleSet,
    frame: pd.DataFrame,
    codec: Codec,
    pins: Pins,
    rng: np.random.Generator,
    more: Callable[[Integers], pd.DataFrame] | None,
) -> tuple[pd.DataFrame, Integers, list[int]]:
    """The frame as far as it can be repaired, the rows that cannot, and how often each rule was repaired."""
    if not len(frame) or not rules.rules:
        plain = frame.drop(columns=[one.name for one in rules.derived])
        return plain, np.zeros(0, np.int64), [0] * len(rules.rules)
    values = read_columns(rules, frame)
    before: dict[str, Any] = {name: own.copy() for name, own in values.items()}

    def draw_more() -> Columns:
        assert more is not None
        rows = more(np.resize(np.arange(len(frame)), N_DONORS))
        return read_columns(rules, rows) | read_context(rules, rows)

    donors = None if more is None else draw_more
    repair = Repair(rules, rules.grids(codec), rng, lambda: read_context(rules, frame), donors)
    left = repair.run(values, pins)
    return write_columns(rules, frame, codec.dtypes, before, values), left, repair.repaired
