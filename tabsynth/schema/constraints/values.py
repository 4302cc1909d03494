"""Constraints between values: combinations and lookups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools, Integers
from tabsynth.errors import SchemaError
from tabsynth.schema.columns import Boolean, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.constraints.base import (
    NO_STEPS,
    Constraint,
    Determined,
    OfColumns,
    Steps,
    Values,
    plain_mapping,
    present,
)

MAX_SPELLED = 3
"""Maximum number of combinations that a description spells out."""


class ListedValues(Constraint):
    """Base class of constraints that list values of categorical, boolean or numeric columns."""

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise SchemaError for a column without values to list."""
        _check_listed(self, columns)


@dataclass(frozen=True, kw_only=True)
class Combinations(ListedValues, OfColumns):
    """Columns whose values occur only in some combinations, such as city and country.

    Attributes:
        of: The columns.
        values: The combinations, a list of values for each; None for those of the training rows, which a fit writes
            into its schema (not under privacy).
    """

    kind: ClassVar[str] = "combinations"
    values: tuple[tuple[Any, ...], ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "of", self._check_names(self.of, 2, "of"))
        if self.values is not None:
            object.__setattr__(self, "values", _combinations(self, self.of, self.values))

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        if self.values is None:
            return np.ones(len(values[self.of[0]]), bool)
        return (find_combination(values, self.of, self.values) >= 0) | ~present(values, self.of)

    def describe(self) -> str:
        """Return the constraint as readable text."""
        count = "those of the training rows" if self.values is None else f"{len(self.values)} combinations"
        return f"({', '.join(self.of)}) in {count}"


@dataclass(frozen=True, kw_only=True)
class Forbidden(ListedValues, OfColumns):
    """Combinations of values that never occur together.

    Attributes:
        of: The columns.
        values: The forbidden combinations, a list of values for each.
    """

    kind: ClassVar[str] = "forbidden"
    values: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "of", self._check_names(self.of, 1, "of"))
        object.__setattr__(self, "values", _combinations(self, self.of, self.values))

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        return find_combination(values, self.of, self.values) < 0

    def describe(self) -> str:
        """Return the constraint as readable text."""
        spelled = [" and ".join(f"{n} == {v!r}" for n, v in zip(self.of, row, strict=True)) for row in self.values]
        more = f" and {len(spelled) - MAX_SPELLED} more" if len(spelled) > MAX_SPELLED else ""
        return "never " + ", never ".join(spelled[:MAX_SPELLED]) + more


@dataclass(frozen=True, kw_only=True)
class Lookup(ListedValues):
    """A column that another one determines, such as the country of a city.

    Attributes:
        column: The determined column.
        by: The column that determines it.
        values: Its value for each value of ``by``; for a value that is not listed, the column is free.
    """

    kind: ClassVar[str] = "lookup"
    column: str
    by: str
    values: Mapping[Any, Any] | tuple[tuple[Any, Any], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_names((self.column, self.by), 2, "column and by")
        pairs = list(self.values.items() if isinstance(self.values, Mapping) else self.values)
        if not pairs or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            raise self._refuse(f"values must map the values of {self.by!r}, not {self.values!r}")
        object.__setattr__(self, "values", tuple((key, value) for key, value in pairs))

    @property
    def pairs(self) -> tuple[tuple[Any, Any], ...]:
        """The values of ``by``, each with the value of the column."""
        return self.values if isinstance(self.values, tuple) else tuple(self.values.items())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, self.by)

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        good = np.ones(len(values[self.by]), bool)
        for cell in self.determined(values):
            good[cell.rows] = (values[cell.column][cell.rows] == cell.values[cell.rows]).astype(bool)
        return good

    def determined(self, values: Values) -> Iterable[Determined]:
        """Return the column's cells in rows whose value of ``by`` is listed."""
        pairs = self.pairs
        at = position(values[self.by], [key for key, _ in pairs])
        wanted = np.empty(len(pairs), dtype=object)
        wanted[:] = [value for _, value in pairs]
        cells = wanted[np.maximum(at, 0)]
        if values[self.column].dtype != object:
            cells = cells.astype(np.float64)
        yield Determined(self.column, (at >= 0) & present(values, self.columns), cells)

    def describe(self) -> str:
        """Return the constraint as readable text."""
        return f"{self.column} is looked up by {self.by} ({len(self.pairs)} values)"

    def to_dict(self) -> dict[str, Any]:
        """Return the constraint as plain data."""
        return {**super().to_dict(), "values": plain_mapping(self.pairs)}


def position(own: Any, known: Sequence[Any]) -> Integers:
    """Return the position of each cell's value in a list, -1 if it is not in the list, shape (n,)."""
    places = {value: at for at, value in enumerate(known)}
    missing = next((at for at, value in enumerate(known) if pd.isna(value)), -1)
    codes, values = pd.factorize(np.asarray(own))
    found = [places.get(value, -1) for value in values.tolist()]
    return np.array([*found, missing], np.int64)[codes]


def find_combination(values: Values, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Integers:
    """Return a number >= 0 for rows whose values are one of the combinations, else -1, shape (n,)."""
    key = np.zeros(len(values[names[0]]), np.int64)
    own = np.zeros(len(rows), np.int64)
    good = np.ones(len(key), bool)
    for at, name in enumerate(names):
        listed = [row[at] for row in rows]
        places = {value: number for number, value in enumerate(dict.fromkeys(listed))}
        code = position(values[name], list(places))
        good &= code >= 0
        key = key * len(places) + np.maximum(code, 0)
        own = own * len(places) + np.array([places[value] for value in listed], np.int64)
    return np.where(good & np.isin(key, own), key, -1)


def _combinations(constraint: Constraint, names: tuple[str, ...], rows: Any) -> tuple[tuple[Any, ...], ...]:
    good = isinstance(rows, (list, tuple)) and len(rows) > 0
    if good and len(names) == 1:
        rows = [row if isinstance(row, (list, tuple)) else (row,) for row in rows]
    if not good or not all(isinstance(row, (list, tuple)) and len(row) == len(names) for row in rows):
        raise SchemaError(
            f"constraint {constraint.kind}: values must be a list of combinations of {len(names)} values, not {rows!r}"
        )
    return tuple(tuple(row) for row in rows)


def _check_listed(constraint: Constraint, columns: Mapping[str, Column]) -> None:
    for name in constraint.columns:
        if isinstance(columns[name], (Datetime, Identifier, Text)):
            raise SchemaError(
                f"constraint {constraint.kind}: column {name!r} is {columns[name].kind}; it needs categorical, boolean "
                "or numeric columns"
            )
        if isinstance(columns[name], Boolean) and any(
            not isinstance(value, bool) for value in _listed(constraint, name)
        ):
            raise SchemaError(f"constraint {constraint.kind}: the values of the boolean {name!r} are true and false")
        if isinstance(columns[name], Numeric) and any(
            isinstance(value, (str, bool)) for value in _listed(constraint, name)
        ):
            raise SchemaError(f"constraint {constraint.kind}: the values of the numeric {name!r} are numbers")


def _listed(constraint: Constraint, name: str) -> list[Any]:
    """Return the values of a column that a constraint lists."""
    if isinstance(constraint, Lookup):
        return [pair[constraint.by != name and 1] for pair in constraint.values]
    if isinstance(constraint, (Combinations, Forbidden)):
        return [row[constraint.of.index(name)] for row in constraint.values or ()]
    return []
