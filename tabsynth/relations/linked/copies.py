"""Columns of child rows that repeat a column of their parent, such as an order's price of a product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.relations.arithmetic import MIN_ROWS
from tabsynth.relations.linked.column_relation import ColumnRelation
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS
from tabsynth.schema.columns import Datetime, Numeric
from tabsynth.schema.database.database_schema import ForeignKey

MIN_PARENTS = 5
"""Minimum number of parents that would differ from their children by chance."""


SCAN_PARENTS = 20
"""Number of parents on which candidates are compared first."""


@dataclass(frozen=True)
class Copy(ColumnRelation):
    """A column that is equal to a column of the row's parent.

    Attributes:
        table, column: The column.
        key: The foreign key to the parent.
        parent, source: The parent's column.
        evidence: Rows expected to differ by chance; none does.
    """

    key: str
    parent: str
    source: str
    evidence: float

    def __str__(self) -> str:
        """Return the relation as a formula, such as ``items.price = products.price``."""
        return f"{self.table}.{self.column} = {self.parent}.{self.source}"

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The column that is read."""
        return ((self.parent, self.source),)

    def apply(self, tables: LinkedTables) -> None:
        """Copy the parent's values; rows without a parent are unchanged."""
        rows = tables.parents(self.table, self.key)
        column, source = tables.frames[self.table][self.column], tables.frames[self.parent][self.source]
        if not len(source) or not (rows >= 0).any():
            return
        if isinstance(tables.column(self.table, self.column), (Numeric, Datetime)):
            copied = tables.from_parent(self.table, self.key, self.source)
            tables.put(self.table, self.column, np.where(rows >= 0, copied, tables.numbers(*self.targets[0])))
        else:
            values = source.take(np.maximum(rows, 0)).set_axis(column.index)
            tables.place(
                self.table, self.column, values.astype(column.dtype).where(pd.Series(rows >= 0, column.index), column)
            )


def discover_copies(tables: LinkedTables, link: ForeignKey) -> list[Copy]:
    """Find the columns of a child table that are equal to a parent's column in all rows."""
    rows = tables.parents(link.table, link.column)
    linked = np.flatnonzero(rows >= 0)
    if len(linked) < MIN_ROWS or link.parent == link.table:
        return []
    scan = tables.some(link, np.unique(rows[linked])[:SCAN_PARENTS])
    out = []
    for column in tables.schema.tables[link.table]:
        if column in tables.keys(link.table) or column == tables.schema.order.get(link.table):
            continue
        for source in tables.schema.tables[link.parent]:
            same = tables.column(link.parent, source).kind == tables.column(link.table, column).kind
            if same and source not in tables.keys(link.parent) and _evidence(scan, link, column, source) is not None:
                evidence = _evidence(tables, link, column, source)
                if evidence is not None and evidence[0] >= MIN_EVIDENCE_ROWS and evidence[1] >= MIN_PARENTS:
                    out.append(Copy(link.table, column, link.column, link.parent, source, round(evidence[0], 1)))
                    break
    return out


def _evidence(tables: LinkedTables, link: ForeignKey, column: str, source: str) -> tuple[float, float] | None:
    """Return the rows and the parents expected to differ by chance, None if a row does."""
    rows = tables.parents(link.table, link.column)
    linked = np.flatnonzero(rows >= 0)
    values, above = tables.comparable(link.table, column)[linked], tables.comparable(link.parent, source)
    if not (values == above[rows[linked]]).all():
        return None
    return _expected(values), _expected(above[np.unique(rows[linked])])


def _expected(values: npt.NDArray[Any]) -> float:
    """Return the expected number of values that differ from those of randomly chosen other rows."""
    shares = np.unique(values.astype(str) if values.dtype == object else values, return_counts=True)[1] / len(values)
    return float(len(values) * (1 - (shares**2).sum()))
