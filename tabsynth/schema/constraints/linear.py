"""Constraints that compute a column of numbers from others: sums and products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tabsynth.common.arrays import Bools
from tabsynth.errors import SchemaError
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.constraints.base import (
    NO_STEPS,
    Constraint,
    Steps,
    Values,
    check_number,
)
from tabsynth.schema.constraints.linear_forms import LinearForm, ProductForm


class Formal(Constraint):
    """Base class of constraints that are conjunctions of linear forms and products."""

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        good = [form.holds(values, steps) for form in self.linear_forms()]
        good += [form.holds(values, steps) for form in self.product_forms()]
        return np.asarray(np.logical_and.reduce(good), dtype=bool)

    def describe(self) -> str:
        """Return the constraint as readable text."""
        return " and ".join(map(str, (*self.linear_forms(), *self.product_forms())))


@dataclass(frozen=True, kw_only=True)
class ComputedColumn(Formal):
    """Base class of constraints that compute one column from others, the terms."""

    column: str
    terms: Mapping[str, float] | tuple[Any, ...]
    constant: float = 0.0
    tolerance: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "terms", _weighted(self, self.column, self.terms))
        for name in ("constant", "tolerance"):
            check_number(self, name, getattr(self, name))

    @property
    def pairs(self) -> tuple[tuple[str, float], ...]:
        """The terms with their factors or exponents."""
        return _weighted(self, self.column, self.terms)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, *(name for name, _ in self.pairs))

    def to_dict(self) -> dict[str, Any]:
        """Return the constraint as plain data."""
        return {**super().to_dict(), "terms": dict(self.pairs)}


@dataclass(frozen=True, kw_only=True)
class Linear(ComputedColumn):
    """``column = constant + sum(factor * term)``: a total, a difference, a change of unit, a date plus days.

    Attributes:
        column: The column computed from the others.
        terms: The other columns: a list of those that are added, or each with its factor.
        constant: Constant term.
        tolerance: Deviation allowed; by default half of the column's last declared decimal.
    """

    kind: ClassVar[str] = "linear"

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise SchemaError unless all are numbers or dates."""
        check_comparable(self, [columns[name] for name in self.columns], mixed=True)

    def linear_forms(self) -> tuple[LinearForm, ...]:
        """Return the equation."""
        terms = ((self.column, 1.0), *((name, -factor) for name, factor in self.pairs))
        equation = LinearForm(terms, -self.constant, 0.0, 0.0, tolerance=self.tolerance, target=self.column)
        return (equation,)


@dataclass(frozen=True, kw_only=True)
class Product(ComputedColumn):
    """``column = constant * product(term ** exponent)``: an amount, a ratio, an index.

    Attributes:
        column: The column computed from the others.
        terms: The other columns: a list of those that are multiplied, or each with its exponent (-1 divides).
        constant: The factor.
        tolerance: Deviation allowed; by default half of the column's last declared decimal.
    """

    kind: ClassVar[str] = "product"
    constant: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.constant:
            raise self._refuse("constant must not be 0")

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise SchemaError unless all are numbers."""
        dated = [name for name in self.columns if not isinstance(columns[name], Numeric)]
        if dated:
            raise self._refuse(f"column {dated[0]!r} is {columns[dated[0]].kind}; it needs numeric columns")

    def product_forms(self) -> tuple[ProductForm, ...]:
        """Return the product."""
        return (ProductForm(self.column, self.pairs, self.constant, self.tolerance),)


def check_comparable(constraint: Constraint, columns: list[Column], *, mixed: bool = False) -> None:
    """Raise SchemaError unless columns are all numbers or all dates; ``mixed`` allows both together."""
    kinds = {type(column) for column in columns}
    if kinds <= {Numeric} or kinds <= {Datetime} or (mixed and kinds <= {Numeric, Datetime}):
        return
    raise SchemaError(
        f"constraint {constraint.to_dict()} compares {' and '.join(sorted(kind.kind for kind in kinds))} columns; "
        f"it needs {'numeric or datetime ones' if mixed else 'two numeric or two datetime ones'}"
    )


def _weighted(constraint: Constraint, column: str, terms: Any) -> tuple[tuple[str, float], ...]:
    """Check terms and return them with their factors or exponents."""
    if isinstance(terms, (list, tuple)) and all(isinstance(item, str) for item in terms):
        pairs = [(name, 1.0) for name in terms]
    else:
        pairs = list(terms.items() if isinstance(terms, Mapping) else terms)
    names = [name for name, _ in pairs]
    if not pairs or not isinstance(column, str) or not all(isinstance(name, str) for name in names):
        raise SchemaError(f"constraint {constraint.kind}: terms must be column names, with factors or not: {terms!r}")
    if column in names or len(set(names)) < len(names):
        raise SchemaError(f"constraint {constraint.kind}: {column!r} and its terms must be different columns")
    for name, factor in pairs:
        check_number(constraint, f"the factor of {name!r}", factor)
        if not factor:
            raise SchemaError(f"constraint {constraint.kind}: the factor of {name!r} must not be 0")
    return tuple((name, float(factor)) for name, factor in pairs)
