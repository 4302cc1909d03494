"""Base class of the constraints, and functions that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools
from tabsynth.errors import SchemaError
from tabsynth.schema.columns import Column
from tabsynth.schema.constraints.linear_forms import LinearForm, ProductForm

Values = Mapping[str, Any]
"""Columns as arrays, shape (n,): numbers as float64, dates as days since 1970 (both NaN where missing), the rest as
objects (None where missing)."""

Steps = Mapping[str, float]
"""The distance of neighbouring values of columns with declared decimals or resolution."""

OnViolation = Literal["error", "exclude", "repair", "drop"]

NO_STEPS: Steps = {}


@dataclass(frozen=True)
class Determined:
    """Cells of one column that the other cells of their row determine.

    Attributes:
        column: The column.
        rows: Rows whose cell is determined, shape (n,).
        values: The values in the form of ``Values``, shape (n,); meaningful where ``rows`` is true.
    """

    column: str
    rows: Bools
    values: Any


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A rule that every synthetic row satisfies.

    A rule counts as satisfied in rows in which a value that it reads is missing, unless it refers to missing cells.

    Attributes:
        on_violation: Treatment of training rows that violate the rule: ``error`` refuses the table, ``exclude``
            trains on them without the rule, ``repair`` changes the cells that violate it, ``drop`` leaves the rows out.
            A private fit ignores it.
    """

    kind: ClassVar[str]
    on_violation: OnViolation = "error"

    def __post_init__(self) -> None:
        if self.on_violation not in get_args(OnViolation):
            raise SchemaError(
                f"on_violation of a constraint is one of {', '.join(get_args(OnViolation))}, not {self.on_violation!r}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        raise NotImplementedError

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the constraint as readable text."""
        raise NotImplementedError

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise SchemaError if the constraint does not apply to columns of this kind."""

    def linear_forms(self) -> tuple[LinearForm, ...]:
        """Return linear forms that are together equivalent to the constraint; empty if there are none."""
        return ()

    def product_forms(self) -> tuple[ProductForm, ...]:
        """Return products that are together equivalent to the constraint; empty if there are none."""
        return ()

    def determined(self, values: Values) -> Iterable[Determined]:
        """Return the cells that other cells determine: no other value satisfies the constraint."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return the constraint as plain data, without defaults and parsed expressions."""
        out: dict[str, Any] = {"kind": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.init and (item.default is MISSING or value != item.default):
                out[item.name] = _plain(value)
        return out

    def _refuse(self, why: str) -> SchemaError:
        return SchemaError(f"constraint {self.kind}: {why}")

    def _check_names(self, names: object, at_least: int, what: str) -> tuple[str, ...]:
        """Check a list of distinct column names and return it as a tuple."""
        good = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
        if not good or not isinstance(names, (list, tuple)) or len(names) < at_least or len(set(names)) < len(names):
            raise self._refuse(f"{what} must be a list of at least {at_least} different column names, not {names!r}")
        return tuple(names)


@dataclass(frozen=True, kw_only=True)
class OfColumns(Constraint):
    """Base class of constraints on a list of columns, ``of``."""

    of: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return self.of


def is_missing(values: Any) -> Bools:
    """Return which cells are missing, shape (n,)."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return np.isnan(values)  # pandas takes several times as long for few rows
    return np.asarray(pd.isna(values), dtype=bool)


def present(values: Values, names: Iterable[str]) -> Bools:
    """Return the rows in which none of the columns is missing, shape (n,)."""
    return np.asarray(np.logical_and.reduce([~is_missing(values[name]) for name in names]), dtype=bool)


def plain_mapping(pairs: tuple[tuple[Any, Any], ...]) -> Any:
    """Convert pairs to JSON: a mapping if all keys are text, else a list of pairs."""
    if all(isinstance(key, str) for key, _ in pairs):
        return dict(pairs)
    return [[key, value] for key, value in pairs]


def check_number(constraint: Constraint, name: str, value: object) -> None:
    """Raise SchemaError unless an attribute is a finite number or None."""
    good = value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value))
    if not good:
        raise SchemaError(f"constraint {constraint.kind}: {name} must be a finite number, not {value!r}")


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
