"""The linear forms and products of a schema's constraints, each with the column that it determines.

An equation determines its column by arithmetic. An inequality determines it by the value of its form (a distance, a
remainder), which the model learns as a derived column, so that the distribution of that value is preserved.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.schema.columns import Column, Datetime, Numeric, to_naive_utc
from tabsynth.schema.constraints.linear_forms import LinearForm, ProductForm, spell_sum
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import schema_steps

Form = LinearForm | ProductForm

SINGULAR = 1e-9
"""A form is linearly dependent on others if its remaining factors are below this; it determines no column."""


@dataclass(frozen=True)
class DerivedColumn:
    """The value of an inequality's form, which the model learns as a column.

    Attributes:
        name: The column's name.
        form: The form.
        scale: Factor of the value: units of the dates' resolution in a day, else 1.
        decimals: Decimals of the scaled value; None without rounding.
    """

    name: str
    form: LinearForm
    scale: float
    decimals: int | None

    def measure(self, values: Mapping[str, Floats]) -> Floats:
        """Compute the column, missing as NaN, shape (n,)."""
        data = self.form.total(values) * self.scale
        return data if self.decimals is None else np.round(data, self.decimals)

    def bounds(self, columns: Mapping[str, Column]) -> tuple[float, float] | None:
        """Return the least and greatest value that declared bounds allow; None if a column has no bound."""
        low = high = self.form.constant
        for name, factor in self.form.terms:
            ends = declared_bounds(columns[name])
            if None in ends:
                return None
            near, far = sorted(factor * end for end in ends if end is not None)
            low, high = low + near, high + far
        low = low if self.form.least is None else max(low, self.form.least)
        high = high if self.form.greatest is None else min(high, self.form.greatest)
        step = 0.0 if self.decimals is None or not self.form.strict else 10.0**-self.decimals
        low, high = low * self.scale, high * self.scale
        return (low + step, high - step * (self.form.greatest is not None)) if low < high else (low, low)

    def column(self, columns: Mapping[str, Column], *, nullable: bool) -> Numeric:
        """Return the column's schema, within declared bounds."""
        low, high = self.bounds(columns) or (None, None)
        return Numeric(name=self.name, low=low, high=high, decimals=self.decimals, nullable=nullable)


@dataclass(frozen=True)
class Equation:
    """A form with the column that it determines.

    Attributes:
        form: The form.
        target: The column; None for a form that determines no column and is only checked.
        derived: The column of an inequality's value; None for an equation.
    """

    form: Form
    target: str | None
    derived: DerivedColumn | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part, the target first."""
        return tuple(sorted(self.form.columns, key=lambda name: name != self.target))

    def solve(self, name: str, values: Mapping[str, Floats]) -> Floats:
        """Solve for a column, shape (n,); NaN or infinite where there is no solution."""
        if isinstance(self.form, ProductForm):
            return self.form.solve(name, values)
        if self.derived is not None:
            return self.form.solve(name, values, values[self.derived.name])
        return self.form.solve(name, values, self.form.least or 0.0)


def build_equations(schema: Schema, forms: Iterable[Form]) -> tuple[Equation, ...]:
    """Assign each form a column that it determines, if one is left, by Gaussian elimination; equations come first."""
    names = list(schema)
    rows: list[tuple[Floats, int]] = []
    out: list[Equation] = []
    taken: set[str] = set(schema)
    ordered = sorted(dict.fromkeys(forms), key=lambda form: not _is_equation(form))
    for form in ordered:
        left = np.zeros(len(names))
        pairs = form.terms if isinstance(form, LinearForm) else ((form.column, -1.0), *form.terms)
        for name, factor in pairs:
            left[names.index(name)] = factor
        for row, pivot in rows:
            left = left - left[pivot] * row
        left[np.abs(left) < SINGULAR] = 0.0
        free = [name for name in form.columns if left[names.index(name)]]
        if not free or (len(form.columns) == 1 and not _is_equation(form)):
            out.append(Equation(form, None))
            continue
        at = names.index(free[0])
        new = left / left[at]
        rows = [(row - row[at] * new, pivot) for row, pivot in rows] + [(new, at)]
        if isinstance(form, LinearForm) and not form.is_equation:
            derived = _derive(form, schema, taken)
            taken.add(derived.name)
            out.append(Equation(form, free[0], derived))
        else:
            out.append(Equation(form, free[0]))
    return tuple(out)


def declared_bounds(column: Column) -> tuple[float | None, float | None]:
    """Return the declared bounds of a column, in days since 1970 for dates."""
    if isinstance(column, Numeric):
        return column.low, column.high
    if isinstance(column, Datetime):
        return _days(column.low), _days(column.high)
    return None, None


def _days(instant: str | None) -> float | None:
    if instant is None:
        return None
    moment = to_naive_utc(datetime.datetime.fromisoformat(instant))
    return (moment - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)


def _is_equation(form: Form) -> bool:
    return isinstance(form, ProductForm) or form.is_equation


def _derive(form: LinearForm, schema: Schema, taken: set[str]) -> DerivedColumn:
    """Return the derived column of an inequality's form."""
    name = spell_sum(form.terms, form.constant)
    while name in taken:
        name += "'"
    columns = [schema[column_name] for column_name in form.columns]
    steps = schema_steps(schema, form.columns)
    whole = all(abs(factor) == 1 for _, factor in form.terms) and len(steps) == len(columns)
    if all(isinstance(column, Datetime) for column in columns):
        finest = min(steps.values(), default=1.0) if whole else 1 / 86400
        return DerivedColumn(name, form, float(round(1 / finest)), 0)
    if whole and all(isinstance(column, Numeric) for column in columns):
        decimals = [column.decimals or 0 for column in columns if isinstance(column, Numeric)]
        return DerivedColumn(name, form, 1.0, max(decimals))
    return DerivedColumn(name, form, 1.0, None)
