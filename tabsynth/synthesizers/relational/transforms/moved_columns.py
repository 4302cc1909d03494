"""Columns that are constant within the rows of a table above are learned as columns of that table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.pandas_dtypes import dtype_name, parse_dtype
from tabsynth.common.arrays import Integers
from tabsynth.relations.linked.constant_columns import ConstantColumn, rows_above
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables
from tabsynth.relations.linked.parent_orders import ParentOrder, is_ordered
from tabsynth.schema.columns import Datetime
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema


@dataclass(frozen=True)
class MovedColumn:
    """A column that is learned in a table above.

    Attributes:
        table, column: The table and column of its values.
        above, name: The table and column in which they are learned.
        dtype: Dtype of the column.
        nullable: Whether it has missing values.
        shared: Whether the table above also has the column in the training tables.
    """

    table: str
    column: str
    above: str
    name: str
    dtype: str
    nullable: bool
    shared: bool

    @property
    def cell(self) -> Cell:
        """The table and column of its values."""
        return self.table, self.column

    def to_dict(self) -> dict[str, Any]:
        """Return the column as plain data."""
        return asdict(self)


def move_columns(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    constants: Iterable[ConstantColumn],
    between: Mapping[str, str],
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema, tuple[MovedColumn, ...]]:
    """Return tables and schema with constant columns in the tables above.

    Args:
        tables: The tables by name.
        schema: Their schema.
        constants: The columns.
        between: Tables of series, with the columns that are constant within a series, by the table of their rows.

    Returns:
        The tables, their schema, and the columns that were moved.
    """
    out, kinds, moved = dict(tables), {name: dict(own.columns) for name, own in schema.tables.items()}, []
    linked = LinkedTables(tables, schema)
    for one in constants:
        table = one.table if one.column in kinds[one.table] else between[one.table]
        values, kind = out[table][one.column], kinds[table].pop(one.column)
        name = one.source or _free_name(f"{one.column} of {one.table}", kinds[one.above])
        out[table] = out[table].drop(columns=one.column)
        missing = bool(values.isna().any())
        moved.append(MovedColumn(table, one.column, one.above, name, dtype_name(values), missing, one.source != ""))
        if one.source:
            continue
        above = _values_above(values, rows_above(linked, table, one.above), len(out[one.above]))
        out[one.above] = out[one.above].assign(**{name: above.set_axis(out[one.above].index)})
        kinds[one.above][name] = replace(kind, name=name, nullable=bool(above.isna().any()))
    schemas = {name: Schema(columns, schema.tables[name].constraints) for name, columns in kinds.items()}
    return out, replace(schema, tables=schemas), tuple(moved)


def moved_orders(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    moved: Iterable[MovedColumn],
    computed: Collection[Cell],
    min_group: int,
) -> tuple[ParentOrder, ...]:
    """Return the orders between the columns of a table and those that are moved from it to its parent.

    Args:
        tables: The tables before columns are moved.
        schema: Their schema.
        moved: The columns that are moved.
        computed: Columns that other relations compute.
        min_group: Minimum number of roots.
    """
    linked, sides, moved = LinkedTables(tables, schema), dict[Cell, tuple[list[str], list[str]]](), tuple(moved)
    gone = {(one.table, one.column) for one in moved} | {*computed}
    for one in moved:
        key = schema.main_key(one.table)
        if key is None or key.parent != one.above or one.column not in linked.numeric(one.table, dates=True):
            continue
        bound, is_date = linked.numbers(one.table, one.column), isinstance(linked.column(*one.cell), Datetime)
        for column in linked.numeric(one.table, dates=True):
            if (one.table, column) in gone or isinstance(linked.column(one.table, column), Datetime) != is_date:
                continue
            values, names = linked.numbers(one.table, column), sides.setdefault((one.table, column), ([], []))
            names[0].extend([one.name] * is_ordered(bound, values, min_group))
            names[1].extend([one.name] * is_ordered(values, bound, min_group))
    return tuple(
        ParentOrder.of(linked, key, column, low, high)
        for (table, column), (low, high) in sides.items()
        if (low or high) and (key := schema.main_key(table)) is not None
    )


def restore_columns(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    moved: Iterable[MovedColumn],
    orders: Iterable[ParentOrder],
) -> dict[str, pd.DataFrame]:
    """Return sampled tables with the moved columns in their original tables.

    Args:
        tables: Sampled tables of the schema that ``move_columns`` returned.
        schema: This schema.
        moved: The columns that it moved.
        orders: Result of ``moved_orders``.
    """
    linked = LinkedTables(tables, schema)
    rows = {one: rows_above(linked, one.table, one.above) for one in moved}
    for one, above in rows.items():
        if not one.nullable and not one.shared:
            filled = _without_gaps(linked.frames[one.above][one.name], above)
            linked.place(one.above, one.name, filled)
    for order in orders:
        order.apply(linked)
    out = dict(linked.frames)
    for one, above in rows.items():
        values = out[one.above][one.name].take(above).reset_index(drop=True)
        out[one.table] = out[one.table].assign(**{one.column: _cast(values, one.dtype)})
    for one in rows:
        if not one.shared:
            out[one.above] = out[one.above].drop(columns=one.name)
    return out


def _values_above(values: pd.Series, rows: Integers, count: int) -> pd.Series:
    """Return the value of each row's first child, missing where there is none."""
    parents, first = np.unique(rows, return_index=True)
    taken = values.take(first).set_axis(parents)
    if len(parents) < count and pd.api.types.is_bool_dtype(taken.dtype):
        taken = taken.astype("boolean")
    elif len(parents) < count and pd.api.types.is_integer_dtype(taken.dtype) and isinstance(taken.dtype, np.dtype):
        taken = taken.astype("Int64")
    return taken.reindex(np.arange(count))


def _without_gaps(values: pd.Series, rows: Integers) -> pd.Series:
    """Return a column in which rows with children take a missing value from the row before, or after, them."""
    used = np.unique(rows)
    known = values.iloc[used]
    if not known.isna().any():
        return values
    out = values.copy()
    out.iloc[used] = known.ffill().bfill()
    return out


def _cast(values: pd.Series, dtype: str) -> pd.Series:
    """Return values in the dtype of the training column, if it allows their missing values."""
    kind = parse_dtype(dtype) if not dtype.startswith("category") else values.dtype
    whole = isinstance(kind, np.dtype) and kind.kind in "iub"
    return values if values.dtype == kind or (whole and values.isna().any()) else values.astype(kind)


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
