"""Conditions on the columns of a child table, which every sampled row of the table satisfies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Floats, Tokens
from tabsynth.errors import ConditionError, quote
from tabsynth.relations.categories.determined_tokens import propagate
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.declared.satisfy import satisfy
from tabsynth.relations.enforcement import NOTHING, Relations
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.history import History
from tabsynth.synthesizers.relational.timeline import Timeline
from tabsynth.synthesizers.sampling.conditions import Conditions
from tabsynth.synthesizers.sampling.declared_rules import fixed_cells_of


def conditions_by_table(
    given: Mapping[str, Mapping[str, Any]] | None, schema: DatabaseSchema
) -> Mapping[str, Mapping[str, Any]]:
    """Return the conditions of each table, empty for None.

    Raises:
        ConditionError: Not a mapping by table.
    """
    given = {} if given is None else given
    named = isinstance(given, Mapping)
    if not named or not all(isinstance(one, Mapping) for one in given.values()):
        got = f"{quote(given)}: {type(next(iter(given.values()))).__name__}" if named else type(given).__name__
        raise ConditionError(f"given is a mapping by table, such as {{{schema.roots[0]!r}: {{...}}}}, not {got}")
    return given


def check_table_conditions(
    given: Mapping[str, Mapping[str, Any]],
    schema: DatabaseSchema,
    visible: Mapping[str, Schema],
    timelines: Mapping[str, Timeline | None],
    relative: Mapping[str, Collection[str]],
) -> None:
    """Check the conditions of each table.

    Args:
        given: The conditions by table.
        schema: The database.
        visible: Schema of each learned table, keys apart.
        timelines: How the times of each child table are expressed.
        relative: Numbers of each table that are sampled as steps, or relative to the mean of their series.

    Raises:
        ConditionError: An unknown table, or a column of a child table that does not support conditions.
    """
    for name, own in given.items():
        if name not in visible or name not in schema.tables:
            known = [other for other in schema.tables if other in visible]
            raise ConditionError(f"given names the table {name!r}; conditions are on {quote(known)}")
        if name in schema.roots:
            keys = {schema.primary_keys.get(name), *(link.column for link in schema.foreign_keys if link.table == name)}
            if unmet := [column for column in own if column in keys]:
                raise ConditionError(f"{quote(unmet)} of {name!r} cannot be given: keys are made up; leave it out")
        else:
            _check_child_columns(name, own, visible[name], timelines.get(name), relative.get(name, ()))


def _check_child_columns(
    name: str, given: Mapping[str, Any], visible: Schema, timeline: Timeline | None, relative: Collection[str]
) -> None:
    """Raise ConditionError if a condition is on a column that is not sampled with the row."""
    dated = set() if timeline is None else {timeline.axis.column.name, *timeline.offsets}
    free = [column for column in visible if column not in dated and column not in relative]
    refused = [column for column in given if column not in free]
    if refused:
        raise ConditionError(
            f"conditions on the child table {name!r} are on {quote(free) or 'no column'}, not on {quote(refused)}: "
            "keys and dates are drawn with the plan of each history, slow numbers by their steps, and "
            "numbers of series relative to their mean"
        )


def slot_limits(codec: Codec, positions: Sequence[int], given: Mapping[str, Any] | None) -> list[Floats | None]:
    """Return the allowed share of each token of each slot, None for a slot without a condition."""
    conditions = Conditions.of(codec, given, 1)
    out = conditions.limits(codec, positions)
    for at, position in enumerate(positions):
        token = int(conditions.fixed[0, position])
        if token >= 0:
            out[at] = np.eye(1, codec.slots[position].size, token)[0]
    return out


def restrict(history: History, given: Mapping[str, Any] | None) -> History:
    """Return a history whose samples contain only tokens that the conditions allow.

    Raises:
        ConditionError: The model cannot generate a value.
    """
    allowed, bias = list(history.allowed), list(history.bias)
    for at, limit in enumerate(slot_limits(history.codec, history.order, given)):
        if limit is not None:
            allowed[at] = allowed[at] & (limit > 0)
            bias[at] = bias[at] + np.log(np.maximum(limit, 1e-9)).astype(np.float32)
            if not allowed[at].any():
                column = history.codec.slots[history.order[at]].column
                raise ConditionError(f"given[{column!r}] is a value that the model cannot generate; choose another")
    return replace(history, allowed=propagate(history.functions, allowed), bias=bias)


def decode_rows(
    codec: Codec,
    relations: Relations,
    rules: RuleSet,
    tokens: Tokens,
    given: Mapping[str, Any] | None,
    rng: np.random.Generator,
    numbers: Mapping[str, Floats] = NOTHING,
) -> pd.DataFrame:
    """Decode sampled tokens into rows that satisfy conditions and, as far as possible, declared constraints.

    Args:
        codec: The vocabulary.
        relations: Relations between columns.
        rules: Declared constraints.
        tokens: Shape (n, slots).
        given: Conditions that every row must satisfy.
        rng: Source of random numbers.
        numbers: Numbers that were sampled with their tokens, NaN where missing, shape (n,) each; relations may change
            them.
    """
    conditions = Conditions.of(codec, given, len(tokens))
    held = conditions.held(codec) if conditions.any else None
    known = {name: own for name, own in numbers.items() if name not in conditions.ranges} | conditions.numbers
    rows = relations.decode(
        codec, tokens, rng, ranges=conditions.ranges, numbers=known, given=conditions.numbers, fixed_tokens=held
    )
    rows = satisfy(rules, rows, codec, fixed_cells_of(conditions, codec, rules), rng, strict=False)
    return conditions.finish(rows, codec)
