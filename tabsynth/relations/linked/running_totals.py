"""Running totals of a history, such as the balance after each transaction, a counter, or the numbers 1, 2, 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.linked.column_relation import ColumnRelation
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables, history_codes, previous_rows


@dataclass(frozen=True)
class RunningTotal(ColumnRelation):
    """A column whose value is that of the previous row plus the change of the row.

    Attributes:
        table, column: The column.
        keys: Columns that identify a history: the foreign key to the parent, then further ones.
        terms: Columns that are added, with their factors; missing values count as 0.
        constant: Added in every row.
        sign: A column of categories that determine a factor of the change; empty for none.
        factors: The factor of each category, by its text.
        default: The factor of other categories.
        start: Initial value, to which the first row's change is added; None if the first row is sampled.
        start_column: The parent's column with the initial value; empty for none.
        opening: A column with the total before the row's change; empty for none.
        decimals: Decimals of the total; None where it has no rounding.
        floor: Lower bound of the total, None for none; changes that would cross it are reduced.
        end: Total of each history's last row, None if it varies; the last change is then computed.
    """

    keys: tuple[str, ...]
    terms: tuple[tuple[str, float], ...] = ()
    constant: float = 0.0
    sign: str = ""
    factors: tuple[tuple[str, float], ...] = ()
    default: float = 1.0
    start: float | None = None
    start_column: str = ""
    opening: str = ""
    decimals: int | None = None
    floor: float | None = None
    end: float | None = None

    def __str__(self) -> str:
        """Return the relation as a formula, such as ``balance = previous balance + amount * sign(type)``."""
        parts = [name if factor == 1 else f"{factor:g} * {name}" for name, factor in self.terms]
        parts += [f"{self.constant:g}"] * (self.constant != 0)
        change = " + ".join(parts)
        if self.sign:
            by_value = ", ".join(f"{value}: {factor:g}" for value, factor in self.factors)
            change = f"({change})" if len(parts) > 1 else change
            change = f"{{{by_value}}}[{self.sign}]" + ("" if change == "1" else f" * {change}")
        opening = f", {self.opening} = previous {self.column}" if self.opening else ""
        return f"{self.table}.{self.column} = previous {self.column} + {change}{opening}".replace("+ -1 * ", "- ")

    @property
    def targets(self) -> tuple[Cell, ...]:
        """The columns that are computed or, to keep the total in bounds, changed."""
        moved = self.terms[0][0] if self.floor is not None or self.end is not None else ""
        return tuple((self.table, name) for name in (self.column, self.opening, moved) if name)

    @property
    def reads(self) -> tuple[Cell, ...]:
        """The columns of the same table that are read."""
        names = (*(name for name, _ in self.terms), self.sign)
        return tuple((self.table, name) for name in names if name and (self.table, name) not in self.targets)

    def reads_parent(self, tables: LinkedTables) -> tuple[Cell, ...]:
        """Return the parent's column that is read."""
        return ((tables.link(self.table, self.keys[0]).parent, self.start_column),) if self.start_column else ()

    def unbounded(self) -> RunningTotal:
        """Return the total without bounds, so that it changes no column that it reads."""
        return replace(self, floor=None, end=None)

    def factor_of(self, values: Any) -> Floats:
        """Return the factor of each category, given as text, shape (n,)."""
        known = dict(self.factors)
        return np.array([known.get(value, self.default) for value in values], dtype=np.float64)

    def change(self, tables: LinkedTables) -> Floats:
        """Return the change of each row, shape (n,)."""
        out = np.full(len(tables.frames[self.table]), self.constant)
        for name, factor in self.terms:
            out += factor * np.nan_to_num(tables.numbers(self.table, name))
        return out * self.factor_of(tables.labels(self.table, self.sign)) if self.sign else out

    def apply(self, tables: LinkedTables) -> None:
        """Compute the column in rows whose histories are in order."""
        if not len(tables.frames[self.table]):
            return
        codes = history_codes(tables, self.table, self.keys)
        if self.floor is not None or self.end is not None:
            self._bound(tables, codes)
        change = self.change(tables)
        start = self._start(tables, codes, change)
        scale = 1.0 if self.decimals is None else 10.0**self.decimals
        if self.decimals is not None:  # sums of whole numbers are exact
            change, start = np.rint(change * scale), np.rint(start * scale)
        total = running_sums(change + start, codes)
        tables.put(self.table, self.column, total / scale)
        if self.opening:
            tables.put(self.table, self.opening, (total - change) / scale)

    def _start(self, tables: LinkedTables, codes: Integers, change: Floats) -> Floats:
        """Return the initial value in the first row of each history, 0 in other rows, shape (n,)."""
        first = previous_rows(codes) < 0
        values = tables.numbers(self.table, self.column)
        start = np.where(first, np.nan_to_num(values) - change, 0.0)
        if self.start is not None:  # a row without a parent is the remainder of a history
            start = np.where(first & (tables.parents(self.table, self.keys[0]) >= 0), self.start, start)
        elif self.start_column:
            parent = tables.from_parent(self.table, self.keys[0], self.start_column)
            start = np.where(first & ~np.isnan(parent), parent, start)
        return start

    def _bound(self, tables: LinkedTables, codes: Integers) -> None:
        """Reduce changes that would cross the floor, and set the last change so that the total reaches its end."""
        name, change = self.terms[0][0], self.change(tables)
        start, before = self._start(tables, codes, change), previous_rows(codes)
        place = running_sums(np.ones(len(codes)), codes).astype(np.int64)
        by_place = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place)[1:-1]))
        is_last = np.ones(len(codes), bool)
        is_last[before[before >= 0]] = False
        wanted, total = change.copy(), start.copy()
        free = self.start is None and not self.start_column  # then the first row's total is as it is
        for number, rows in enumerate(by_place):
            if number:
                total[rows] = total[before[rows]]
            if self.floor is not None and (number or not free):
                least = np.minimum(self.floor - total[rows], 0.0)
                wanted[rows] = np.where(change[rows] < 0, np.maximum(change[rows], least), change[rows])
            if self.end is not None and (number or not free):
                wanted[rows] = np.where(is_last[rows], self.end - total[rows], wanted[rows])
            total[rows] += wanted[rows]
        moved = np.abs(wanted - change) > 1e-9
        if moved.any():
            factor = self.terms[0][1] * (self.factor_of(tables.labels(self.table, self.sign)) if self.sign else 1.0)
            amount = tables.numbers(self.table, name)
            moved &= factor != 0
            new = np.divide(wanted, factor, out=amount.copy(), where=moved)
            tables.put(
                self.table, name, new if self.decimals is None else np.asarray(new.round(self.decimals), np.float64)
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        pairs = {name: tuple((str(one), float(other)) for one, other in data[name]) for name in ("terms", "factors")}
        return cls(**{**data, **pairs, "keys": tuple(data["keys"])})


def running_sums(data: Floats, codes: Integers) -> Floats:
    """Return the sum of each row and those before it in its history, shape (n,)."""
    order = np.argsort(codes, kind="stable")
    out = np.empty(len(data))
    sums, own = np.cumsum(data[order]), codes[order]
    first = np.flatnonzero(np.diff(own, prepend=-1))
    before = np.concatenate([[0.0], sums])[first]
    out[order] = sums - np.repeat(before, np.diff(np.append(first, len(own))))
    return out
