"""Columns of a parent that are computed from its children: their number, sum, mean, first, last, least or greatest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables, unit_seconds

FUNCTIONS = ("count", "sum", "last", "first", "max", "min", "mean")
"""Functions of the children's column, those that explain a parent's column best first."""


@dataclass(frozen=True)
class Aggregate:
    """A parent's column that is computed from the rows of a child table.

    Attributes:
        parent, column: The parent's column.
        child, key: The child table and its foreign key.
        function: One of ``FUNCTIONS``.
        source: The child's column; empty for a count.
        times: A column by which the source is multiplied before summing; empty for none.
        where, value: Only rows of this category count, given as text; empty for all.
        factor: Factor of the aggregate.
        terms: Columns of the parent that are added, with their factors; missing values count as 0.
        empty: The value of parents without children; None if it is not determined.
        missing: Whether parents without children have no value.
        evidence: Rows expected to differ by chance; none does.
    """

    parent: str
    column: str
    child: str
    key: str
    function: str
    source: str = ""
    times: str = ""
    where: str = ""
    value: str = ""
    factor: float = 1.0
    terms: tuple[tuple[str, float], ...] = ()
    empty: float | None = None
    missing: bool = False
    evidence: float = 0.0

    def __str__(self) -> str:
        """Return the relation as a formula, such as ``orders.total = sum(items.price * items.quantity)``."""
        what = " * ".join(f"{self.child}.{name}" for name in (self.source, self.times) if name) or self.child
        what += f" where {self.where} is {self.value}" if self.where else ""
        out = f"{self.parent}.{self.column} = " + f"{self.factor:g} * " * (self.factor != 1)
        terms = [name if factor == 1 else f"{factor:g} * {name}" for name, factor in self.terms]
        return " + ".join([f"{out}{self.function}({what})", *terms])

    @property
    def targets(self) -> tuple[Cell, ...]:
        """The column that is computed."""
        return ((self.parent, self.column),)

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The columns that are read."""
        child_columns = [(self.child, name) for name in (self.source, self.times, self.where) if name]
        return (*child_columns, *((self.parent, name) for name, _ in self.terms))

    @property
    def is_count(self) -> bool:
        """Whether the column is the number of children, which is in the plan of a history anyway."""
        return self.function == "count" and not self.where and not self.terms and self.factor == 1

    def compute(self, tables: LinkedTables) -> tuple[Floats, Bools]:
        """Return the computed column, dates in seconds, and which parents have children, shape (parents,) each."""
        parents = len(tables.frames[self.parent])
        rows = tables.parents(self.child, self.key)
        counted = rows >= 0
        if self.where:
            counted &= (tables.labels(self.child, self.where) == self.value).to_numpy()
        data = np.ones(len(rows))
        for name in (self.source, self.times):
            data = data * tables.numbers(self.child, name) if name else data
        out = self.factor * aggregate(self.function, data[counted], rows[counted], parents)
        for name, factor in self.terms:
            out = out + factor * np.nan_to_num(tables.numbers(self.parent, name))
        return out, np.bincount(rows[rows >= 0], minlength=parents) > 0

    def apply(self, tables: LinkedTables) -> None:
        """Compute the column."""
        data, has_children = self.compute(tables)
        values = tables.numbers(self.parent, self.column)
        without = np.full(len(values), np.nan) if self.missing else values
        without = without if self.empty is None else np.full(len(values), self.empty)
        tables.put(self.parent, self.column, self.rounded(np.where(has_children, data, without), tables))

    def rounded(self, data: Floats, tables: LinkedTables) -> Floats:
        """Return numbers with the rounding of the column."""
        kind = tables.column(self.parent, self.column)
        decimals = getattr(kind, "decimals", None)
        return data if decimals is None or unit_seconds(kind) != 1.0 else np.asarray(np.round(data, decimals))

    def to_dict(self) -> dict[str, Any]:
        """Return the relation as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(**{**data, "terms": tuple((str(name), float(factor)) for name, factor in data["terms"])})


def aggregate(function: str, data: Floats, rows: Integers, parents: int) -> Floats:
    """Return one number for each parent, NaN where none is defined.

    Args:
        function: One of ``FUNCTIONS``.
        data: The children's values, in their order; missing ones are skipped, shape (n,).
        rows: The parent's row number of each child, shape (n,).
        parents: Number of parents.
    """
    if function in ("count", "sum"):
        return np.asarray(np.bincount(rows, weights=np.nan_to_num(data), minlength=parents), np.float64)
    grouped = pd.Series(data).groupby(rows)
    return np.asarray(getattr(grouped, function)().reindex(np.arange(parents)), np.float64)
