"""Numbers that change little from row to row, such as a price index, are sampled as the sum of their steps.

The tokens of such a number are wider than its steps, so that numbers sampled inside the tokens would jump.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.quantile_bins import measure_quantiles, shared_decimals
from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.database.root_rows import root_rows
from tabsynth.relations.linked.linked_tables import LinkedTables, history_codes, previous_rows
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.schema.columns import Numeric
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

STEP = " step"
"""End of the name of a column of steps."""

MIN_STEPS = 100
"""Minimum number of steps other than 0 for a decision."""

MIN_INSIDE = 0.5
"""Minimum share of them that end in the token in which they start."""

MIN_TOKENS, MAX_TOKENS, TOKEN_RATE = 16, 256, 1.4
"""Bounds on the approximate number of tokens of a number, and its ratio to the square root of the number of rows."""

Totals = Mapping[str, tuple[RunningTotal, ...]]


def default_tokens(rows: int) -> int:
    """Return the approximate number of tokens of a number in a table of histories, so that it takes one slot."""
    return int(np.clip(TOKEN_RATE * np.sqrt(rows), MIN_TOKENS, MAX_TOKENS))


def add_steps(
    tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, totals: Totals, *, min_group: int
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema, Totals, Totals]:
    """Return tables and schema with the steps of slow numbers, which are the running totals of their steps.

    Args:
        tables: The tables by name.
        schema: Their schema.
        totals: Running totals of each table; their columns are unchanged.
        min_group: Minimum number of roots.

    Returns:
        The tables, their schema, all running totals, and those of slow numbers.
    """
    linked, roots = LinkedTables(tables, schema), root_rows(tables, schema)
    out, schemas, found = dict(tables), dict(schema.tables), dict[str, tuple[RunningTotal, ...]]()
    for name in schema.tables:
        link, order = schema.main_key(name), schema.order.get(name)
        if link is None or order is None or name in schema.reference or len(tables[name]) < MIN_STEPS:
            continue
        before = _before(linked, name, link.column, order)
        taken = {order, *(c for rule in schema.tables[name].constraints for c in rule.columns)}
        taken |= {c for one in totals.get(name, ()) for c in (one.column, one.opening, *dict(one.terms))}
        chosen = []
        for column in linked.numeric(name, dates=False):
            data = linked.numbers(name, column)
            if column in taken or not _is_slow(data, before, roots[name], min_group):
                continue
            decimals, step = shared_decimals(data), np.where(before < 0, np.nan, data - data[before])
            step = step if decimals is None else np.asarray(step.round(decimals), np.float64)
            title = column + STEP
            out[name] = out[name].assign(**{title: step})
            columns = {**schemas[name].columns, title: Numeric(name=title, decimals=decimals, nullable=True)}
            schemas[name] = Schema(columns, schemas[name].constraints)
            chosen.append(RunningTotal(name, column, (link.column,), ((title, 1.0),), decimals=decimals))
        if chosen:
            found[name] = tuple(chosen)
    every = {name: (*totals.get(name, ()), *found.get(name, ())) for name in schema.tables}
    return out, replace(schema, tables=schemas), every, found


def join_steps(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, steps: Totals) -> dict[str, pd.DataFrame]:
    """Return sampled tables whose slow numbers are the sums of their steps, without the steps.

    Args:
        tables: Sampled tables of the schema that ``add_steps`` returned, histories in order.
        schema: This schema.
        steps: The running totals that it returned.
    """
    linked = LinkedTables(tables, schema)
    for totals in steps.values():
        for one in totals:
            one.apply(linked)
    columns = {name: [term for one in totals for term, _ in one.terms] for name, totals in steps.items()}
    return {name: frame.drop(columns=columns.get(name, [])) for name, frame in linked.frames.items()}


def read_totals(data: Mapping[str, Sequence[Mapping[str, Any]]]) -> Totals:
    """Rebuild the running totals of tables from plain data."""
    return {name: tuple(RunningTotal.from_dict(one) for one in totals) for name, totals in data.items()}


def _before(tables: LinkedTables, table: str, key: str, order: str) -> Integers:
    """Return the row before each one in its history, -1 for the first, shape (n,)."""
    rows = np.argsort(tables.numbers(table, order), kind="stable")
    earlier = previous_rows(history_codes(tables, table, (key,))[rows])
    out = np.full(len(rows), -1)
    out[rows] = np.where(earlier < 0, -1, rows[earlier])
    return out


def _is_slow(data: Floats, before: Integers, roots: Integers, min_group: int) -> bool:
    """Return whether most steps of a number stay inside its token."""
    if np.isnan(data).any():
        return False
    later = np.flatnonzero(before >= 0)
    moved = later[data[later] != data[before[later]]]
    if len(moved) < MIN_STEPS or len(np.unique(roots[moved])) < min_group:
        return False
    coder = measure_quantiles(
        data,
        tokens=default_tokens(len(data)),
        decimals=shared_decimals(data),
        min_group=min_group,
        persons=np.unique(roots, return_inverse=True)[1],
    )
    if coder is None:
        return False
    tokens = coder.encode(data)
    return bool((tokens[moved] == tokens[before[moved]]).mean() >= MIN_INSIDE)
