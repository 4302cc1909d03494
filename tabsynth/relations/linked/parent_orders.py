"""Order between a column of child rows and columns of their parent: no visit before birth, no dose after discharge."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.relations.linked.column_relation import ColumnRelation
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables, rounding_unit, unit_seconds
from tabsynth.relations.row_rule_discovery import MIN_ROWS, order_rule
from tabsynth.relations.rule_columns import Columns
from tabsynth.schema.columns import Datetime
from tabsynth.schema.database.database_schema import ForeignKey


@dataclass(frozen=True)
class ParentOrder(ColumnRelation):
    """A column that lies between columns of the row's parent.

    Attributes:
        table, column: The column.
        key: The foreign key to the parent.
        parent: The parent.
        low: Columns of the parent that are lower bounds.
        high: Columns of the parent that are upper bounds.
        unit: The step of the column, for dates in seconds.
        is_order: Whether the column orders the rows; values are then clipped to the bound.
    """

    key: str
    parent: str
    low: tuple[str, ...]
    high: tuple[str, ...]
    unit: float
    is_order: bool

    @classmethod
    def of(cls, tables: LinkedTables, link: ForeignKey, column: str, low: Iterable[str], high: Iterable[str]) -> Self:
        """Return the order of a column of a child table and columns of its parent."""
        kind, values = tables.column(link.table, column), tables.numbers(link.table, column)
        unit = unit_seconds(kind) if isinstance(kind, Datetime) else rounding_unit(values)
        is_order = column == tables.schema.order.get(link.table)
        return cls(link.table, column, link.column, link.parent, tuple(low), tuple(high), unit, is_order)

    def __str__(self) -> str:
        """Return the rule as users read it, such as ``patients.born <= visits.day``."""
        low, high = (" and ".join(f"{self.parent}.{name}" for name in names) for names in (self.low, self.high))
        return f"{low} <= " * bool(low) + f"{self.table}.{self.column}" + f" <= {high}" * bool(high)

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The columns that are read."""
        return tuple((self.parent, name) for name in (*self.low, *self.high))

    def apply(self, tables: LinkedTables) -> None:
        """Reflect values beyond a bound at the bound."""
        values = tables.numbers(self.table, self.column)
        least, most = self._bounds(tables)
        if self.unit:  # the outermost whole steps between the bounds
            least = np.ceil(np.round(least / self.unit, 6)) * self.unit
            most = np.floor(np.round(most / self.unit, 6)) * self.unit
        with np.errstate(invalid="ignore"):
            below, above = values < least, values > most
        if not (below | above).any():
            return
        moved = values.copy()
        if not self.is_order:
            moved[below], moved[above] = (2 * least - values)[below], (2 * most - values)[above]
        moved = np.minimum(np.maximum(moved, least), np.maximum(most, least))
        tables.put(self.table, self.column, np.where(below | above, moved, values))

    def _bounds(self, tables: LinkedTables) -> tuple[Floats, Floats]:
        rows = len(tables.frames[self.table])
        low = [tables.from_parent(self.table, self.key, name) for name in self.low]
        high = [tables.from_parent(self.table, self.key, name) for name in self.high]
        least = np.fmax.reduce([np.full(rows, -np.inf), *low])
        return least, np.fmin.reduce([np.full(rows, np.inf), *high])

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(**{**data, "low": tuple(data["low"]), "high": tuple(data["high"])})


def discover_parent_orders(
    tables: LinkedTables, link: ForeignKey, computed: Collection[Cell], min_group: int
) -> list[ParentOrder]:
    """Find the columns of a child table that lie between columns of its parent in all rows.

    Args:
        tables: The database.
        link: The child's foreign key.
        computed: Columns that are computed, which cannot be moved.
        min_group: As in ``discover_rules``.
    """
    rows = tables.parents(link.table, link.column)
    if (rows >= 0).sum() < MIN_ROWS or link.parent == link.table:
        return []
    out = []
    for column in tables.numeric(link.table, dates=True):
        if (link.table, column) in computed:
            continue
        values, is_date = tables.numbers(link.table, column), isinstance(tables.column(link.table, column), Datetime)
        bounds: dict[bool, list[str]] = {True: [], False: []}
        outermost = {True: pd.Series(values).groupby(rows).min(), False: pd.Series(values).groupby(rows).max()}
        for name in tables.numeric(link.parent, dates=True):
            if isinstance(tables.column(link.parent, name), Datetime) == is_date:
                above: Floats = np.append(tables.numbers(link.parent, name), np.nan)
                for is_low, side in outermost.items():
                    pair: tuple[Floats, Floats] = above[side.index.to_numpy()], np.asarray(side, np.float64)
                    low, high = pair if is_low else pair[::-1]
                    if is_ordered(low, high, min_group):
                        bounds[is_low].append(name)
        if bounds[True] or bounds[False]:
            out.append(ParentOrder.of(tables, link, column, bounds[True], bounds[False]))
    return out


def is_ordered(low: Floats, high: Floats, min_group: int) -> bool:
    """Return whether one column is at most another in all rows, with evidence."""
    with np.errstate(invalid="ignore"):
        if (low > high).any():
            return False
    numbers = {"a": low, "b": high}
    steps = {side: rounding_unit(data[~np.isnan(data)][:1000]) for side, data in numbers.items()}
    columns = Columns(numbers, dict.fromkeys(numbers, "number"), steps, {}, {}, {}, {}, (), min_group)
    return order_rule("a", "b", 0.0, columns) is not None
