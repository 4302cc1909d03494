"""Exact relations of one row that involve columns that are computed from other rows or tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import ArithmeticRelation, relation_from_dict
from tabsynth.relations.arithmetic_discovery import discover_relations
from tabsynth.relations.linked.column_relation import ColumnRelation
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables, rounding_unit


@dataclass(frozen=True)
class RowFormula(ColumnRelation):
    """A column that is computed from others of its row.

    Attributes:
        table, column: The column.
        relation: The relation, which is solved for the column.
        unit: The step to which the column is rounded, 0 for none.
    """

    relation: ArithmeticRelation
    unit: float

    def __str__(self) -> str:
        """Return the relation as a formula."""
        return f"{self.table}: {self.relation}"

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The columns that are read."""
        return tuple((self.table, name) for name in self.relation.columns if name != self.column)

    def apply(self, tables: LinkedTables) -> None:
        """Compute the column where all others are present."""
        numbers = {name: tables.numbers(self.table, name) for name in self.relation.columns}
        if self.column == self.relation.column:
            data = self.relation.predict(numbers)
        else:
            data = self.relation.solve_for(self.column, numbers)
        values = numbers[self.column]
        present = np.isfinite(data) & ~np.isnan(values)
        tables.put(self.table, self.column, np.where(present, rounded(data, self.unit), values))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(data["table"], data["column"], relation_from_dict(data["relation"]), float(data["unit"]))


def rounded(data: Floats, unit: float) -> Floats:
    """Return numbers rounded to whole units, a power of ten up to 1."""
    return np.asarray(np.round(data, round(-np.log10(unit)))) if unit else data


def discover_formulas(tables: LinkedTables, table: str, computed: Collection[str]) -> list[RowFormula]:
    """Find the relations of one row that read or compute a computed column.

    Args:
        tables: The database.
        table: One of its tables.
        computed: Columns that relations between rows or tables compute.
    """
    numbers = {name: tables.numbers(table, name) for name in tables.numeric(table, dates=False)}
    left, fixed, out = list(discover_relations(numbers)), set(computed), []
    while touched := [relation for relation in left if fixed & set(relation.columns)]:
        relation = touched[0]
        left.remove(relation)
        free = [name for name in relation.columns if name not in fixed]
        if free:
            out.append(RowFormula(table, free[0], relation, rounding_unit(numbers[free[0]])))
            fixed.add(free[0])
    return out
