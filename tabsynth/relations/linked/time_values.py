"""Columns that the time of a row determines for all histories, such as the holidays of a chain of shops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.pandas_dtypes import dtype_name, value_series
from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.database.root_rows import root_rows
from tabsynth.relations.linked.column_relation import ColumnRelation
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS, MIN_ROWS
from tabsynth.schema.columns import Numeric

MAX_TIMES = 2000
"""Maximum number of times of a calendar."""

MIN_COVERED_SHARE = 0.9
"""Minimum share of rows whose times occur in enough roots."""


@dataclass(frozen=True)
class TimeValue(ColumnRelation):
    """A column that has one value at each time.

    Attributes:
        table, column: The column.
        order: The column of the times.
        times: The times, in seconds for dates.
        values: The value at each of them, None for missing. Rows with other times are unchanged.
    """

    order: str
    times: tuple[float, ...]
    values: tuple[Any, ...]

    def __str__(self) -> str:
        """Return the relation as text, such as ``sales.holiday is a function of week``."""
        return f"{self.table}.{self.column} is a function of {self.order}"

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The column of the times."""
        return ((self.table, self.order),)

    def apply(self, tables: LinkedTables) -> None:
        """Set the column to the values of the rows' times."""
        at = pd.Index(self.times).get_indexer(pd.Index(tables.numbers(self.table, self.order)))
        known, column = at >= 0, tables.frames[self.table][self.column]
        if not known.any():
            return
        if isinstance(tables.column(self.table, self.column), Numeric):
            own = np.array([np.nan if value is None else value for value in self.values], np.float64)
            numbers = tables.numbers(self.table, self.column)
            tables.put(self.table, self.column, np.where(known, own[at], numbers))
        else:
            held = column.astype(object).where(column.notna(), None).to_numpy(dtype=object, copy=True)
            held[known] = np.array([*self.values, None], dtype=object)[:-1][at[known]]
            levels = sorted({value for value in (*held, *self.values) if value is not None})
            dtype = dtype_name(column)
            tables.place(self.table, self.column, value_series(held, dtype, levels, False).astype(column.dtype))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(**{**data, "times": tuple(data["times"]), "values": tuple(data["values"])})


def discover_time_values(tables: LinkedTables, table: str, min_group: int) -> list[TimeValue]:
    """Find the columns of a child table that have one value at each time.

    Args:
        tables: The database.
        table: A child table.
        min_group: Minimum number of roots with rows at the time of a released value.
    """
    order, frame = tables.schema.order.get(table), tables.frames[table]
    if order is None or tables.schema.main_key(table) is None or len(frame) < MIN_ROWS:
        return []
    moments, at = np.unique(tables.numbers(table, order), return_inverse=True)
    if not 1 < len(moments) <= MAX_TIMES or np.isnan(moments).any():
        return []
    roots = root_rows(tables.frames, tables.schema)[table]
    enough = pd.Series(roots).groupby(at).nunique().to_numpy() >= min_group
    if enough[at].mean() < MIN_COVERED_SHARE:
        return []
    out, excluded = [], {*tables.keys(table), *tables.schema.composite_keys.get(table, ()), order}
    for name, column in tables.schema.tables[table].items():
        if name in excluded or column.kind not in ("numeric", "boolean", "categorical"):
            continue
        values = _values_at(tables, table, name, at, len(moments))
        if values is not None:
            chosen = np.flatnonzero(enough)
            out.append(TimeValue(table, name, order, tuple(moments[chosen].tolist()), tuple(values[i] for i in chosen)))
    return out


def _values_at(tables: LinkedTables, table: str, name: str, at: Integers, times: int) -> list[Any] | None:
    """Return the value of a column at each time, None without evidence that there is only one."""
    codes, levels = pd.factorize(tables.frames[table][name], use_na_sentinel=False)
    first = np.full(times, -1)
    first[at[::-1]] = codes[::-1]
    if not np.array_equal(first[at], codes):
        return None
    shares: Floats = np.bincount(codes) / len(codes)
    by_chance = np.bincount(at, minlength=times) - 1
    if (by_chance * (1 - shares[first])).sum() < MIN_EVIDENCE_ROWS:
        return None
    held = [None if pd.isna(value) else getattr(value, "item", lambda value=value: value)() for value in levels]
    return [held[code] for code in first]
