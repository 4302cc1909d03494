"""Tables of a database in the form that relations read: numbers, labels, parents' rows, and rows of histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.column_values import UNIT_NANOSECONDS, numeric_values, to_datetimes
from tabsynth.codec.pandas_dtypes import datetime_series, dtype_name, numeric_series
from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.database.root_rows import parent_rows
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey

Cell = tuple[str, str]
"""A table and one of its columns."""


class LinkedTables:
    """Tables whose columns may be replaced.

    Args:
        tables: The tables by name; the frames are not changed.
        schema: Their schema.

    Attributes:
        frames: The current tables.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> None:
        self.frames = {name: frame.reset_index(drop=True) for name, frame in tables.items()}
        self.schema = schema
        self._numbers: dict[Cell, Floats] = {}
        self._parents: dict[Cell, Integers] = {}

    def link(self, table: str, key: str) -> ForeignKey:
        """Return the foreign key of a column."""
        return next(one for one in self.schema.foreign_keys if (one.table, one.column) == (table, key))

    def parents(self, table: str, key: str) -> Integers:
        """Return the parent's row number of each row, -1 for none, shape (n,)."""
        if (table, key) not in self._parents:
            self._parents[table, key] = parent_rows(self.frames, self.schema, self.link(table, key))
        return self._parents[table, key]

    def column(self, table: str, column: str) -> Column:
        """Return the schema of a column."""
        return self.schema.tables[table][column]

    def numbers(self, table: str, column: str) -> Floats:
        """Return a numeric column, or a date in seconds, missing as NaN, shape (n,)."""
        if (table, column) not in self._numbers:
            kind = self.column(table, column)
            data = numeric_values(kind, self.frames[table][column])
            self._numbers[table, column] = data * unit_seconds(kind)
        return self._numbers[table, column]

    def labels(self, table: str, column: str) -> pd.Series:
        """Return a column as text, missing as an empty text."""
        return pd.Series(text_labels(self.frames[table][column]), dtype=object)

    def comparable(self, table: str, column: str) -> npt.NDArray[Any]:
        """Return a column whose missing values are equal to each other, shape (n,)."""
        if isinstance(self.column(table, column), (Numeric, Datetime)):
            return np.nan_to_num(self.numbers(table, column), nan=-np.inf)
        return self.labels(table, column).to_numpy(dtype=object)

    def from_parent(self, table: str, key: str, column: str) -> Floats:
        """Return a numeric column of each row's parent, NaN without one, shape (n,)."""
        values = self.numbers(self.link(table, key).parent, column)
        return np.append(values, np.nan)[self.parents(table, key)]

    def some(self, link: ForeignKey, parents: Integers) -> LinkedTables:
        """Return the tables with some rows of a link's parent only, and only their rows of the child table."""
        rows = np.isin(self.parents(link.table, link.column), parents)
        chosen = {link.parent: self.frames[link.parent].iloc[parents], link.table: self.frames[link.table][rows]}
        return LinkedTables({**self.frames, **chosen}, self.schema)

    def put(self, table: str, column: str, data: Floats) -> None:
        """Replace a column by numbers, or by dates in seconds; its dtype stays as it is."""
        kind, frame = self.column(table, column), self.frames[table]
        dtype = dtype_name(frame[column])
        if isinstance(kind, Datetime):
            series = datetime_series(to_datetimes(kind, np.round(data / unit_seconds(kind))), dtype, kind)
        else:
            series = numeric_series(data, dtype, kind)
        self.frames[table] = frame.assign(**{column: series.set_axis(frame.index)})
        self._numbers.pop((table, column), None)

    def add(self, table: str, column: Column, data: npt.NDArray[Any]) -> None:
        """Add a column with its schema."""
        self.frames[table] = self.frames[table].assign(**{column.name: data})
        own = self.schema.tables[table]
        own = replace(own, columns={**own.columns, column.name: column})
        self.schema = replace(self.schema, tables={**self.schema.tables, table: own})

    def place(self, table: str, column: str, series: pd.Series) -> None:
        """Replace a column by values of its own kind."""
        self.frames[table] = self.frames[table].assign(**{column: series.set_axis(self.frames[table].index)})
        self._numbers.pop((table, column), None)

    def reorder(self, table: str, rows: Integers) -> None:
        """Put the rows of a table into another order."""
        self.frames[table] = self.frames[table].iloc[rows].reset_index(drop=True)
        links = [key for key in self.schema.foreign_keys if table in (key.table, key.parent)]
        for cell in [(table, name) for name in self.schema.tables[table]]:
            self._numbers.pop(cell, None)
        for key in links:
            self._parents.pop((key.table, key.column), None)

    def keys(self, table: str) -> set[str]:
        """Return the columns that are primary or foreign keys."""
        foreign = {key.column for key in self.schema.foreign_keys if key.table == table}
        return foreign | {self.schema.primary_keys.get(table, "")}

    def numeric(self, table: str, *, dates: bool) -> list[str]:
        """Return the numeric columns that are no keys, with or without dates."""
        kinds = (Numeric, Datetime) if dates else Numeric
        keys = self.keys(table)
        return [
            name for name, kind in self.schema.tables[table].items() if isinstance(kind, kinds) and name not in keys
        ]

    def groups(self, table: str, most: int) -> list[str]:
        """Return the columns of categories that have at most so many values and are no keys."""
        keys = self.keys(table)
        kinds = {name: kind.kind for name, kind in self.schema.tables[table].items() if name not in keys}
        wanted = [name for name, kind in kinds.items() if kind in ("categorical", "boolean")]
        return [name for name in wanted if 1 < self.frames[table][name].nunique() <= most]


def text_labels(values: pd.Series) -> npt.NDArray[Any]:
    """Return values as text, missing as an empty text, shape (n,)."""
    codes, known = pd.factorize(values)
    return np.array([*map(str, known), ""], dtype=object)[codes]


def unit_seconds(column: Column) -> float:
    """Return the seconds of a date's unit, 1 for numbers."""
    return UNIT_NANOSECONDS[column.resolution or "s"] / 1e9 if isinstance(column, Datetime) else 1.0


def history_codes(tables: LinkedTables, table: str, keys: tuple[str, ...]) -> Integers:
    """Return the number of the history to which each row belongs, shape (n,).

    Args:
        tables: The tables.
        table: The table of the rows.
        keys: The foreign key to the parent, then further columns that distinguish a parent's histories.
    """
    rows = tables.parents(table, keys[0])
    alone = len(tables.frames[tables.link(table, keys[0]).parent]) + np.arange(len(rows))
    rows = np.where(rows < 0, alone, rows)
    parts = [pd.factorize(tables.labels(table, column))[0] for column in keys[1:]]
    codes = pd.MultiIndex.from_arrays([rows, *parts]) if parts else pd.Index(rows)
    return np.asarray(pd.factorize(codes)[0], np.int64)


def previous_rows(codes: Integers) -> Integers:
    """Return the row before each one in its history, -1 for the first, shape (n,)."""
    order = np.argsort(codes, kind="stable")
    out = np.full(len(codes), -1, np.int64)
    same = codes[order][1:] == codes[order][:-1]
    out[order[1:][same]] = order[:-1][same]
    return out


def rounding_unit(data: Floats) -> float:
    """Return the step of a column's numbers, 0 where there is none."""
    decimals = shared_decimals(data[~np.isnan(data)])
    return 0.0 if decimals is None else 10.0**-decimals


def tolerance(data: Floats) -> float:
    """Return the largest difference between a column's numbers and computed ones that rounding explains."""
    return 0.501 * rounding_unit(data) + exact_tolerance(data)


def exact_tolerance(data: Floats) -> float:
    """Return the largest difference that the precision of numbers explains."""
    return 1e-3 * rounding_unit(data) + 1e-9 * float(np.nanmax(np.abs(data), initial=0.0))
