"""Columns that are constant in all rows below a row of another table, such as a person's salary on each visit."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.relations.linked.column_relation import ColumnRelation
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS, MIN_ROWS
from tabsynth.schema.constraints import RefusedRule

SCAN_PARENTS = 20
"""Number of parents within which columns are compared first."""


@dataclass(frozen=True)
class ConstantColumn(ColumnRelation):
    """A column with one value in all rows below a row of another table.

    Attributes:
        table, column: The column.
        above: The topmost table within whose rows the column is constant: the parent's, or one further up.
        source: The column of that table with the value; empty if it has none.
        evidence: Rows of that table within which the column would vary by chance; it never does.
    """

    above: str
    source: str
    evidence: float

    def __str__(self) -> str:
        """Return the relation as text, such as ``visits.salary is constant within patients``."""
        if self.source:
            return f"{self.table}.{self.column} = {self.above}.{self.source}"
        return f"{self.table}.{self.column} is constant within {self.above}"

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The column that is read."""
        return ((self.above, self.source),) if self.source else ()

    def apply(self, tables: LinkedTables) -> None:
        """Set the column, in all rows below a row, to that row's value, or to the value of the first of them."""
        rows, column = rows_above(tables, self.table, self.above), tables.frames[self.table][self.column]
        linked = np.flatnonzero(rows >= 0)
        if not len(linked):
            return
        if self.source:
            values = tables.frames[self.above][self.source].take(np.maximum(rows, 0)).set_axis(column.index)
            values = values.astype(column.dtype).where(pd.Series(rows >= 0, column.index), column)
        else:
            first, inverse = np.unique(rows[linked], return_index=True, return_inverse=True)[1:]
            taken = np.arange(len(rows))
            taken[linked] = linked[first[inverse]]
            values = column.take(taken)
        tables.place(self.table, self.column, values)


@dataclass(frozen=True, eq=False)
class Level:
    """The rows of a table grouped by the rows of a table above.

    Attributes:
        above: The table above.
        units: One row of the table for each row of the level below, shape (units,).
        first: The first of these rows in each group, shape (groups,).
        groups: The group of each of them, shape (units,).
        parents: Row number of each group in the table above, shape (groups,).
    """

    above: str
    units: Integers
    first: Integers
    groups: Integers
    parents: Integers

    @property
    def scan(self) -> Integers:
        """The units of the first groups."""
        return np.flatnonzero(self.groups < SCAN_PARENTS)

    def holds(self, codes: Integers, groups: int | None = None) -> bool:
        """Return whether the codes of all units, or of those of the first groups, are equal within each group."""
        own = self.groups if groups is None else self.groups[self.scan]
        first = np.zeros(int(own.max()) + 1, np.int64)
        first[own[::-1]] = codes[::-1]
        return bool((codes == first[own]).all())


def rows_above(tables: LinkedTables, table: str, above: str) -> Integers:
    """Return the row number, in a table above, of the row to which each row belongs; -1 for none, shape (n,)."""
    return next(rows for name, rows in _levels(tables, table) if name == above)


def discover_constants(tables: LinkedTables, table: str, taken: Collection[str]) -> list[ConstantColumn]:
    """Find the columns of a child table that are constant within the rows of a table above.

    Args:
        tables: The database.
        table: A child table.
        taken: Columns that other relations compute or read along a history.
    """
    frame, own = tables.frames[table], tables.schema.tables[table]
    if len(frame) < MIN_ROWS or table in tables.schema.reference:
        return []
    ruled = {name for rule in own.constraints if not isinstance(rule, RefusedRule) for name in rule.columns}
    ordered = {tables.schema.order.get(table), *tables.schema.composite_keys.get(table, ())}
    excluded = ruled | ordered | tables.keys(table) | {*taken}
    levels = _grouped_levels(tables, table)
    found = (
        _constant(tables, table, name, levels) for name in own if name not in excluded and own[name].role != "person"
    )
    return [one for one in found if one is not None]


def _levels(tables: LinkedTables, table: str) -> Iterator[tuple[str, Integers]]:
    """Yield the tables above a table, its parent first, and the row there of each of its rows."""
    rows = np.arange(len(tables.frames[table]))
    while (key := tables.schema.main_key(table)) is not None:
        rows = np.append(tables.parents(table, key.column), -1)[rows]
        table = key.parent
        yield table, rows


def _grouped_levels(tables: LinkedTables, table: str) -> list[Level]:
    """Return the tables above a table up to the first in which some row has no row, its parent first."""
    out, units = [], np.arange(len(tables.frames[table]))
    for above, rows in _levels(tables, table):
        if (rows < 0).any():  # a row without a parent would have no value
            break
        parents, first, groups = np.unique(rows[units], return_index=True, return_inverse=True)
        out.append(Level(above, units, units[first], groups, parents))
        units = units[first]  # further up, rows below the same row are evidence only once
    return out


def _constant(tables: LinkedTables, table: str, column: str, levels: list[Level]) -> ConstantColumn | None:
    """Return the topmost table within whose rows a column is constant, if there is one."""
    values, found = tables.frames[table][column], None
    if not levels or not levels[0].holds(_codes(values.iloc[levels[0].scan]), SCAN_PARENTS):
        return None
    codes = _codes(values)
    for at, level in enumerate(levels):
        own = codes[level.units]
        if not level.holds(own):
            break
        evidence = _expected_to_vary(own, level.groups)
        if evidence >= MIN_EVIDENCE_ROWS:
            source = _source(tables, table, column, level) if at else ""
            found = ConstantColumn(table, column, level.above, source, round(evidence, 1))
    return found


def _codes(values: pd.Series) -> Integers:
    """Return the number of each value, one for all missing values, shape (n,)."""
    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0], np.int64)


def _expected_to_vary(codes: Integers, groups: Integers) -> float:
    """Return the number of groups within which codes would vary if they were independent."""
    shares = np.bincount(codes) / len(codes)
    sizes, often = np.unique(np.bincount(groups), return_counts=True)
    return float(sum(count * (1 - (shares**size).sum()) for size, count in zip(sizes, often, strict=True)))


def _source(tables: LinkedTables, table: str, column: str, level: Level) -> str:
    """Return the column of a table above that is equal to a constant column; empty if there is none."""
    kind, values = tables.column(table, column).kind, tables.comparable(table, column)[level.first]
    for name, own in tables.schema.tables[level.above].items():
        if own.kind != kind or name in tables.keys(level.above):
            continue
        if (tables.comparable(level.above, name)[level.parents] == values).all():
            return name
    return ""
