"""Columns with a value of the previous row of the history, or the time since it, such as days since the last visit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.linked.column_relation import ColumnRelation
from tabsynth.relations.linked.linked_tables import (
    Cell,
    LinkedTables,
    exact_tolerance,
    history_codes,
    previous_rows,
    tolerance,
)
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS, MIN_ROWS
from tabsynth.schema.columns import Datetime, Numeric

TIME_UNITS = {"days": 86_400.0, "hours": 3600.0, "weeks": 7 * 86_400.0, "minutes": 60.0, "seconds": 1.0}
"""Units of the time since the row before, with their seconds."""


@dataclass(frozen=True)
class PreviousValue(ColumnRelation):
    """A column that is computed from a column of the row before.

    Attributes:
        table, column: The column.
        key: The foreign key to the parent whose histories the rows are.
        source: The column of the previous row that is read.
        unit: A unit of ``TIME_UNITS`` in which the time since then is counted; empty for the value itself.
        missing: Whether the first rows of histories have no value; otherwise their values are sampled.
    """

    key: str
    source: str
    unit: str = ""
    missing: bool = False

    def __str__(self) -> str:
        """Return the relation as a formula, such as ``visits.days_since = day - previous day, in days``."""
        if self.unit:
            return f"{self.table}.{self.column} = {self.source} - previous {self.source}, in {self.unit}"
        return f"{self.table}.{self.column} = previous {self.source}"

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The column that is read."""
        return ((self.table, self.source),)

    def apply(self, tables: LinkedTables) -> None:
        """Compute the column in rows whose histories are in order."""
        before = previous_rows(history_codes(tables, self.table, (self.key,)))
        column = tables.frames[self.table][self.column]
        if not len(column):
            return
        if isinstance(tables.column(self.table, self.column), (Numeric, Datetime)):
            first = np.full(len(column), np.nan) if self.missing else tables.numbers(self.table, self.column)
            computed = np.where(before < 0, first, self._computed(tables, before))
            tables.put(self.table, self.column, computed)
        else:
            values = tables.frames[self.table][self.source].take(np.maximum(before, 0)).set_axis(column.index)
            later = pd.Series(before >= 0, column.index)
            first_rows = column.where(later) if self.missing else column
            tables.place(self.table, self.column, values.astype(column.dtype).where(later, first_rows))

    def _computed(self, tables: LinkedTables, before: Integers) -> Floats:
        """Return the numbers of all rows; those of first rows are undefined."""
        source = tables.numbers(self.table, self.source)
        return (source - source[before]) / TIME_UNITS[self.unit] if self.unit else source[before]

    def holds(self, tables: LinkedTables, before: Integers) -> bool:
        """Return whether the relation holds in all rows that have a row before."""
        rows = np.flatnonzero(before >= 0)
        if isinstance(tables.column(self.table, self.column), (Numeric, Datetime)):
            observed, computed = tables.numbers(self.table, self.column), self._computed(tables, before)
            slack = tolerance(observed) if self.unit else exact_tolerance(observed)
            known = np.isnan(observed) == np.isnan(computed)
            with np.errstate(invalid="ignore"):
                return bool((known & ~(np.abs(observed - computed) > slack))[rows].all())
        labels = tables.labels(self.table, self.column).to_numpy(), tables.labels(self.table, self.source).to_numpy()
        return bool((labels[0][rows] == labels[1][before[rows]]).all())


def discover_previous_values(tables: LinkedTables, table: str) -> list[PreviousValue]:
    """Find the columns of a child table that are computed from a column of the row before.

    Args:
        tables: The database; rows of a history are in order.
        table: A child table.
    """
    link = tables.schema.main_key(table)
    if link is None:
        return []
    before = previous_rows(history_codes(tables, table, (link.column,)))
    later = np.flatnonzero(before >= 0)
    if len(later) < MIN_ROWS:
        return []
    order, keys = tables.schema.order.get(table), tables.keys(table)
    columns = [name for name in tables.schema.tables[table] if name not in {*keys, order}]
    labels = {name: tables.labels(table, name).to_numpy() for name in columns}
    changing = [
        name for name in columns if (labels[name][later] != labels[name][before[later]]).sum() >= MIN_EVIDENCE_ROWS
    ]
    out = []
    for name in columns:
        candidates = [
            PreviousValue(table, name, link.column, source)
            for source in changing
            if source != name and tables.column(table, source).kind == tables.column(table, name).kind
        ]
        if order is not None and isinstance(tables.column(table, name), Numeric) and name in changing:
            dated = isinstance(tables.column(table, order), Datetime)
            candidates += [PreviousValue(table, name, link.column, order, unit) for unit in TIME_UNITS if dated]
        relation = next((one for one in candidates if one.holds(tables, before)), None)
        if relation is not None:
            first = tables.frames[table][name][before < 0]
            out.append(replace(relation, missing=bool(first.isna().all())))
    return out
