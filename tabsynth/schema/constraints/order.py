"""Constraints that bound a column of numbers by others: order and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tabsynth.common.arrays import Bools
from tabsynth.errors import SchemaError
from tabsynth.schema.columns import Column
from tabsynth.schema.constraints.base import (
    NO_STEPS,
    Constraint,
    Steps,
    Values,
    check_number,
    is_missing,
    plain_mapping,
)
from tabsynth.schema.constraints.linear import Formal, check_comparable
from tabsynth.schema.constraints.linear_forms import LinearForm


@dataclass(frozen=True, kw_only=True)
class Inequality(Formal):
    """``low <= high`` (or ``<`` when strict) wherever both are present."""

    kind: ClassVar[str] = "inequality"
    low: str
    high: str
    strict: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.low, self.high)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.low, str) or not isinstance(self.high, str) or not isinstance(self.strict, bool):
            raise SchemaError(f"an inequality is between two column names, strict or not: {self.to_dict()}")
        if self.low == self.high:
            raise SchemaError(f"an inequality is between two columns, not {self.low!r} and itself")

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise SchemaError unless both are numbers or both are dates."""
        check_comparable(self, [columns[name] for name in self.columns])

    def linear_forms(self) -> tuple[LinearForm, ...]:
        """Return the difference of the two columns."""
        return (_difference(self.low, self.high, 0.0, None, self.strict),)

    def to_dict(self) -> dict[str, Any]:
        """Return the constraint as plain data."""
        return {**super().to_dict(), "strict": self.strict}


@dataclass(frozen=True, kw_only=True)
class Order(Formal):
    """Columns in ascending order, with bounds on the difference of neighbours (days, for dates).

    Attributes:
        sequence: The columns, smallest first.
        least, greatest: Bounds of each difference.
        strict: Whether the bounds themselves are excluded.
    """

    kind: ClassVar[str] = "order"
    sequence: tuple[str, ...]
    least: float = 0.0
    greatest: float | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sequence", self._check_names(self.sequence, 2, "sequence"))
        check_number(self, "greatest", self.greatest)
        if self.least is None:
            raise self._refuse("least must be a finite number, not None")
        check_number(self, "least", self.least)
        if not isinstance(self.strict, bool):
            raise self._refuse(f"strict must be true or false, not {self.strict!r}")
        if self.greatest is not None and (self.greatest < self.least or (self.strict and self.greatest == self.least)):
            raise self._refuse(f"no difference is at least {self.least:g} and at most {self.greatest:g}")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return self.sequence

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise SchemaError unless all are numbers or all are dates."""
        check_comparable(self, [columns[name] for name in self.columns])

    def linear_forms(self) -> tuple[LinearForm, ...]:
        """Return the differences of neighbours."""
        pairs = zip(self.sequence, self.sequence[1:], strict=False)
        return tuple(_difference(low, high, self.least, self.greatest, self.strict) for low, high in pairs)


@dataclass(frozen=True, kw_only=True)
class Range(Constraint):
    """A column within bounds: numbers, other columns, or a pair of numbers for each value of a group column.

    Attributes:
        column: The column.
        low, high: A number, the name of a column, or None for no bound; exclusive with ``by``.
        by: The column of groups.
        bounds: ``[low, high]`` for each value of ``by``; groups that are not listed are unbounded.
    """

    kind: ClassVar[str] = "range"
    column: str
    low: float | str | None = None
    high: float | str | None = None
    by: str | None = None
    bounds: Mapping[Any, Any] | tuple[tuple[Any, tuple[float | None, float | None]], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.column, str):
            raise self._refuse(f"column must be a column name, not {self.column!r}")
        grouped = self.bounds.items() if isinstance(self.bounds, Mapping) else self.bounds
        if (self.by is None) != (not grouped) or (self.by is not None and (self.low, self.high) != (None, None)):
            raise self._refuse("give low and high, or by and bounds")
        if self.by is None and self.low is None and self.high is None:
            raise self._refuse("give low, high or both")
        for name, end in (("low", self.low), ("high", self.high)):
            if not isinstance(end, str):
                check_number(self, name, end)
        out = []
        for value, pair in grouped:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise self._refuse(f"the bounds of {value!r} must be [low, high], not {pair!r}")
            for end in pair:
                check_number(self, f"a bound of {value!r}", end)
            if pair[0] is not None and pair[1] is not None and pair[0] > pair[1]:
                raise self._refuse(f"the range of {value!r} is empty: {pair!r}")
            out.append((value, tuple(pair)))
        object.__setattr__(self, "bounds", tuple(out))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        ends = [end for end in (self.low, self.high) if isinstance(end, str)]
        return (self.column, *ends, *([self.by] if self.by else []))

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise SchemaError unless the bounds can be compared with the column."""
        ends = [columns[end] for end in (self.low, self.high) if isinstance(end, str)]
        check_comparable(self, [columns[self.column], *ends])

    def linear_forms(self) -> tuple[LinearForm, ...]:
        """Return a form for each bound; none with ``by``."""
        if self.by:
            return ()
        out = []
        for end, sign in ((self.low, 1.0), (self.high, -1.0)):
            if isinstance(end, str):
                low, high = (end, self.column) if sign > 0 else (self.column, end)
                out.append(_difference(low, high, 0.0, None, False))
            elif end is not None:
                out.append(LinearForm(((self.column, sign),), -sign * end, target=self.column))
        return tuple(out)

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        if not self.by:
            return np.asarray(np.logical_and.reduce([form.holds(values, steps) for form in self.linear_forms()]), bool)
        own, group = np.asarray(values[self.column], dtype=np.float64), values[self.by]
        good = np.ones(len(own), bool)
        with np.errstate(invalid="ignore"):
            for value, (low, high) in self.groups:
                outside = (own < (-np.inf if low is None else low)) | (own > (np.inf if high is None else high))
                good &= ~(outside & np.asarray(group == value, dtype=bool))
        return good | is_missing(group)

    @property
    def groups(self) -> tuple[tuple[Any, tuple[float | None, float | None]], ...]:
        """The range of each value of ``by``."""
        return self.bounds if isinstance(self.bounds, tuple) else tuple(self.bounds.items())

    def describe(self) -> str:
        """Return the constraint as readable text."""
        if not self.by:
            return " and ".join(map(str, self.linear_forms()))
        spelled = ", ".join(f"{value}: {low} to {high}" for value, (low, high) in self.groups)
        return f"{self.column} within the range of its {self.by} ({spelled})"

    def to_dict(self) -> dict[str, Any]:
        """Return the constraint as plain data."""
        out = super().to_dict()
        if self.by:
            out["bounds"] = plain_mapping(tuple((value, list(pair)) for value, pair in self.groups))
        return out


def _difference(low: str, high: str, least: float, greatest: float | None, strict: bool) -> LinearForm:
    return LinearForm(((high, 1.0), (low, -1.0)), 0.0, least, greatest, strict, target=high)
