"""The form in which tables are learned: series, constant columns, slow numbers, and relations between tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.relations.linked.linked_relations import LinkedRelations
from tabsynth.relations.linked.parent_orders import ParentOrder
from tabsynth.relations.linked.slow_numbers import Totals, add_steps, join_steps, read_totals
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.relational.histories.series import Series, history_totals, join_series, split_series
from tabsynth.synthesizers.relational.transforms.determinants import Determinant, discover_determinants
from tabsynth.synthesizers.relational.transforms.levels import Level, add_levels, join_levels
from tabsynth.synthesizers.relational.transforms.moved_columns import (
    MovedColumn,
    move_columns,
    moved_orders,
    restore_columns,
)
from tabsynth.synthesizers.relational.transforms.partial_totals import (
    PartialTotal,
    add_partial_totals,
    join_partial_totals,
)


@dataclass(frozen=True, eq=False)
class LearnedTables:
    """The tables of a database in the form in which they are learned.

    Attributes:
        tables: The tables by name.
        schema: Their schema.
        totals: Running totals of each table.
    """

    tables: Mapping[str, pd.DataFrame]
    schema: DatabaseSchema
    totals: Totals


@dataclass(frozen=True, eq=False)
class TableTransforms:
    """Transformations between the tables of a database and the form in which they are learned.

    Attributes:
        series: Tables whose series are learned as a separate table.
        steps: Numbers that are learned as sums of their steps, by table.
        columns: Columns of each table of series, and of each table with moved columns, in order.
        linked: Exact relations between the rows of linked tables.
        moved: Columns that are learned in a table above.
        orders: Orders between columns of a table and those that were moved from it.
        determinants: Columns of a table whose categories determine one that was moved from it.
        levels: Numbers of series that are learned relative to their means.
        partial: Totals that are the sum of child rows in many rows.
    """

    series: tuple[Series, ...] = ()
    steps: Totals = field(default_factory=dict)
    columns: Mapping[str, list[str]] = field(default_factory=dict)
    linked: LinkedRelations = field(default_factory=LinkedRelations)
    moved: tuple[MovedColumn, ...] = ()
    orders: tuple[ParentOrder, ...] = ()
    determinants: tuple[Determinant, ...] = ()
    levels: tuple[Level, ...] = ()
    partial: tuple[PartialTotal, ...] = ()

    @classmethod
    def prepare(
        cls, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, *, min_group: int
    ) -> tuple[Self, LearnedTables]:
        """Transform the tables of a database to the form in which they are learned.

        Args:
            tables: Tables that fit the schema.
            schema: Their schema.
            min_group: Minimum number of roots.
        """
        linked, tables = LinkedRelations.discover(tables, schema, min_group=min_group)
        within, inner, series = split_series(tables, schema, min_group=min_group)
        between = {split.table: split.between for split in series}
        whole, outer = within, inner
        within, inner, moved = move_columns(whole, outer, linked.constants, between)
        orders = moved_orders(whole, outer, moved, linked.computed, min_group)
        determinants = discover_determinants(whole, outer, moved, linked.computed, min_group)
        names = {*between, *(one.table for one in linked.constants)}
        columns = {name: tables[name].columns.tolist() for name in tables if name in names}
        within, inner, totals, steps = add_steps(
            within, inner, history_totals(linked, schema, series), min_group=min_group
        )
        summed = [one for own in totals.values() for one in own]
        taken = {*linked.computed, *((one.table, one.column) for one in moved)}
        taken |= {(one.table, one.column) for one in orders}
        taken |= {(one.table, name) for one in summed for name in (one.column, one.opening, *dict(one.terms))}
        within, inner, levels = add_levels(within, inner, series, taken, min_group=min_group)
        taken |= {(one.table, one.column) for one in levels}
        within, inner, partial = add_partial_totals(within, inner, taken, min_group=min_group)
        transforms = cls(series, steps, columns, linked, moved, orders, determinants, levels, partial)
        return transforms, LearnedTables(within, inner, totals)

    def restore(
        self,
        drawn: dict[str, pd.DataFrame],
        learned: DatabaseSchema,
        schema: DatabaseSchema,
        conditions: Mapping[str, Mapping[str, Any]],
        rng: np.random.Generator,
    ) -> dict[str, pd.DataFrame]:
        """Return sampled tables in the form of the training tables.

        Args:
            drawn: Sampled tables in the form in which they are learned.
            learned: Their schema.
            schema: The schema of the training tables.
            conditions: Conditions by table; relations do not change their columns.
            rng: Random generator.
        """
        held = {(name, column) for name in conditions for column in conditions[name]}
        drawn = join_partial_totals(drawn, learned, self.partial, held, rng)
        drawn = join_steps(join_levels(drawn, learned, schema, self.levels), learned, self.steps)
        whole = restore_columns(drawn, learned, self.moved, self.orders)
        rows_of = {split.between: split.table for split in self.series}
        for one in self.determinants:
            if one.column not in conditions.get(rows_of.get(one.table, one.table), {}):
                whole[one.table] = one.apply(whole[one.table])
        joined = join_series(whole, self.series, self.columns)
        joined |= {name: joined[name][names] for name, names in self.columns.items()}
        return self.linked.apply(joined, schema, held)

    def move_conditions(self, given: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Return conditions by table; those on moved columns are on the table in which the columns are learned."""
        out = {name: dict(own) for name, own in given.items()}
        tables = {split.between: split.table for split in self.series}
        for one in self.moved:
            own = out.get(tables.get(one.table, one.table), {})
            if one.column in own:
                out.setdefault(one.above, {})[one.name] = own.pop(one.column)
        return {name: own for name, own in out.items() if own}

    @property
    def relative(self) -> dict[str, set[str]]:
        """Numbers of each table that are learned as steps, or relative to the mean of their series."""
        out = {name: {n for one in own for n in (one.column, *dict(one.terms))} for name, own in self.steps.items()}
        for one in self.levels:
            out.setdefault(one.table, set()).add(one.column)
        return out

    def describe(self) -> list[str]:
        """Return the relations between rows and tables as formulas."""
        return [*self.linked.describe(), *map(str, (*self.orders, *self.determinants, *self.partial))]

    def to_dict(self) -> dict[str, Any]:
        """Return the transforms as plain data."""
        return {
            "series": [split.to_dict() for split in self.series],
            "steps": {name: [one.to_dict() for one in own] for name, own in self.steps.items()},
            "columns": dict(self.columns),
            "linked_relations": self.linked.to_list(),
            "moved": [one.to_dict() for one in self.moved],
            "moved_orders": [one.to_dict() for one in self.orders],
            "determinants": [one.to_dict() for one in self.determinants],
            "levels": [asdict(one) for one in self.levels],
            "partial_totals": [asdict(one) for one in self.partial],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(
            tuple(Series.from_dict(item) for item in data["series"]),
            read_totals(data.get("steps", {})),
            {name: list(columns) for name, columns in data["columns"].items()},
            LinkedRelations.from_list(data.get("linked_relations", ())),
            tuple(MovedColumn(**item) for item in data.get("moved", ())),
            tuple(ParentOrder.from_dict(item) for item in data.get("moved_orders", ())),
            tuple(Determinant.from_dict(item) for item in data.get("determinants", ())),
            tuple(Level(**item) for item in data.get("levels", ())),
            tuple(PartialTotal.from_dict(one) for one in data.get("partial_totals", ())),
        )
