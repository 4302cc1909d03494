"""All relations along histories and between tables of a database, in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.errors import ConditionError
from tabsynth.relations.linked.aggregate_discovery import discover_aggregates, discover_sums_with_terms
from tabsynth.relations.linked.aggregates import Aggregate
from tabsynth.relations.linked.constant_columns import ConstantColumn, discover_constants
from tabsynth.relations.linked.copies import Copy, discover_copies
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables
from tabsynth.relations.linked.parent_orders import ParentOrder, discover_parent_orders
from tabsynth.relations.linked.previous_values import PreviousValue, discover_previous_values
from tabsynth.relations.linked.row_formulas import RowFormula, discover_formulas
from tabsynth.relations.linked.running_discovery import discover_running_totals
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.relations.linked.time_values import TimeValue, discover_time_values
from tabsynth.schema.constraints import RefusedRule
from tabsynth.schema.database.database_schema import DatabaseSchema

LinkedRelation = Copy | ConstantColumn | RunningTotal | PreviousValue | TimeValue | Aggregate | ParentOrder | RowFormula

KINDS: dict[str, type[LinkedRelation]] = {
    "copy": Copy,
    "constant column": ConstantColumn,
    "running total": RunningTotal,
    "previous value": PreviousValue,
    "time value": TimeValue,
    "aggregate": Aggregate,
    "parent order": ParentOrder,
    "row formula": RowFormula,
}


@dataclass(frozen=True)
class LinkedRelations:
    """Relations that hold in all rows of a database; create them with ``discover``.

    Attributes:
        relations: The relations, each after those whose columns it reads.
    """

    relations: tuple[LinkedRelation, ...] = ()

    @classmethod
    def discover(
        cls, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, *, min_group: int
    ) -> tuple[Self, dict[str, pd.DataFrame]]:
        """Find the relations of a database.

        Args:
            tables: The tables by name.
            schema: Their schema.
            min_group: Minimum number of histories behind each released constant.

        Returns:
            The relations, and the tables, in which rows of equal time are sorted such that running totals continue.
        """
        linked = LinkedTables(tables, schema)
        for name in schema.tables:
            _sort(linked, name)
        refused = {
            one.rule for table in schema.tables.values() for one in table.constraints if isinstance(one, RefusedRule)
        }
        relations: list[LinkedRelation] = []
        links = [key for key in schema.foreign_keys if not {key.parent, key.table} & set(schema.reference)]
        for link in links:
            relations += discover_copies(linked, link)
        copied = {cell for one in relations for cell in one.targets}
        for name in schema.tables:
            relations += [
                one for one in discover_running_totals(linked, name, min_group) if not copied & {*one.targets}
            ]
        for name in schema.tables:
            relations += discover_previous_values(linked, name)
            relations += discover_time_values(linked, name, min_group)
        for link in links:
            copies = {column for table, column in copied if table == link.table}
            relations += discover_aggregates(linked, link, copies)
        taken = {cell for one in relations for cell in _along_history(one)}
        for name in schema.tables:
            relations += discover_constants(linked, name, {column for table, column in taken if table == name})
        chosen = _without_circles(linked, relations, refused)
        computed = {cell for one in chosen for cell in one.targets}
        for name in schema.tables:
            chosen += discover_formulas(linked, name, {column for table, column in computed if table == name})
        chosen = _without_circles(linked, chosen, refused)
        computed = {cell for one in chosen for cell in one.targets}
        for link in links:
            known = {column for table, column in computed if table == link.parent}
            chosen += discover_sums_with_terms(linked, link, known)
        chosen = _without_circles(linked, chosen, refused)
        computed = {cell for one in chosen for cell in one.targets}
        for link in links:
            chosen += discover_parent_orders(linked, link, computed, min_group)
        return cls(_in_order(linked, _without_circles(linked, chosen, refused))), linked.frames

    @property
    def computed(self) -> dict[Cell, LinkedRelation]:
        """The relation that computes each computed column."""
        every = [one for one in self.relations if not isinstance(one, ParentOrder) and not _is_drawn(one)]
        return {cell: one for one in every for cell in one.targets if not _moves(one, cell)}

    @property
    def constants(self) -> tuple[ConstantColumn, ...]:
        """The columns that are constant within the rows of a table above."""
        return tuple(one for one in self.relations if isinstance(one, ConstantColumn))

    def totals(self, table: str) -> tuple[RunningTotal, ...]:
        """Return the running totals of a table."""
        return tuple(one for one in self.relations if isinstance(one, RunningTotal) and one.table == table)

    def apply(
        self, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, held: Collection[Cell] = ()
    ) -> dict[str, pd.DataFrame]:
        """Return the tables with all relations, computed or enforced.

        Args:
            tables: The tables by name; rows of a history are in order.
            schema: Their schema.
            held: Columns that must not change, even if a total leaves its bounds.
        """
        linked = LinkedTables(tables, schema)
        for one in self.relations:
            if isinstance(one, RunningTotal) and set(held) & set(one.targets):
                one = one.unbounded()
            one.apply(linked)
        return linked.frames

    def check_conditions(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise if a condition is on a computed column.

        Raises:
            ConditionError: It is computed from other rows, so it cannot be chosen.
        """
        computed = self.computed
        for table, conditions in given.items():
            for column in conditions:
                one = computed.get((table, column))
                if one is not None and not (isinstance(one, Aggregate) and one.is_count):
                    raise ConditionError(
                        f"given names {table}.{column}, which is computed: {one}; put the condition on a column "
                        "from which it is computed, or choose among the sampled rows"
                    )

    def describe(self) -> list[str]:
        """Return the relations as formulas."""
        return [str(one) for one in self.relations]

    def to_list(self) -> list[dict[str, Any]]:
        """Return the relations as plain data."""
        names = {cls: name for name, cls in KINDS.items()}
        return [{"kind": names[type(one)], **one.to_dict()} for one in self.relations]

    @classmethod
    def from_list(cls, data: Iterable[Mapping[str, Any]]) -> Self:
        """Read what ``to_list`` writes."""
        plain = [dict(item) for item in data]
        return cls(tuple(KINDS[item.pop("kind")].from_dict(item) for item in plain))


def _sort(tables: LinkedTables, table: str) -> None:
    """Sort the rows of a child table by parent and time; rows of one time stay in their order."""
    main, order = tables.schema.main_key(table), tables.schema.order.get(table)
    if main is not None and order is not None:
        times = tables.numbers(table, order)
        rows = np.lexsort((times, tables.parents(table, main.column)))
        if (np.diff(rows) < 0).any():
            tables.reorder(table, rows)


def _without_circles(
    tables: LinkedTables, relations: Iterable[LinkedRelation], refused: Collection[str]
) -> list[LinkedRelation]:
    """Return the relations that are not refused, without circular dependencies between them."""
    out: list[LinkedRelation] = []
    for one in relations:
        if str(one) in refused:
            continue
        variants = (one, one.unbounded()) if isinstance(one, RunningTotal) else (one,)
        out += [variant for variant in variants if _can_join(tables, variant, out)][:1]
    return out


def _can_join(tables: LinkedTables, one: LinkedRelation, relations: list[LinkedRelation]) -> bool:
    """Return whether no other relation computes the column, and no circular dependency arises."""
    taken = {cell for other in relations for cell in other.targets}
    try:
        _in_order(tables, [*relations, one])
    except CycleError:
        return False
    return not taken & set(one.targets)


def _along_history(one: LinkedRelation) -> tuple[Cell, ...]:
    """Return the columns that a relation computes, and those that a running total reads."""
    return (*one.targets, *(one.reads if isinstance(one, RunningTotal) else ()))


def _is_drawn(one: LinkedRelation) -> bool:
    """Return whether the values of a constant column are sampled."""
    return isinstance(one, ConstantColumn) and not one.source


def _moves(one: LinkedRelation, cell: Cell) -> bool:
    """Return whether a relation changes a column only where its total would leave its bounds."""
    return isinstance(one, RunningTotal) and cell[1] in dict(one.terms)


def _in_order(tables: LinkedTables, relations: list[LinkedRelation]) -> tuple[LinkedRelation, ...]:
    """Return the relations, each after those whose columns it reads."""
    by_cell = {cell: at for at, one in enumerate(relations) for cell in one.targets}
    graph = {at: {by_cell[cell] for cell in _reads(tables, one) if cell in by_cell} for at, one in enumerate(relations)}
    return tuple(relations[at] for at in TopologicalSorter(graph).static_order())


def _reads(tables: LinkedTables, one: LinkedRelation) -> tuple[Cell, ...]:
    return (*one.reads, *one.reads_parent(tables)) if isinstance(one, RunningTotal) else one.reads
