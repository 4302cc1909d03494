"""Constraints in the expression language of ``tabsynth.schema.expressions``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tabsynth.common.arrays import Bools, Floats
from tabsynth.errors import InputError, SchemaError
from tabsynth.schema.constraints.base import NO_STEPS, Constraint, Determined, Steps, Values, is_missing, present
from tabsynth.schema.constraints.linear_forms import MAX_ROUNDING_STEPS, RELATIVE_PRECISION, LinearForm
from tabsynth.schema.constraints.recognition import assignments, computed_columns, linear_forms_of
from tabsynth.schema.expressions import Formula


@dataclass(frozen=True, kw_only=True)
class Expression(Constraint):
    """An expression that is true in every row, such as ``where(age < 18, kids == 0, True)``.

    Sums and differences are recognised and enforced in the same way as the constraints ``order`` and ``linear``. A
    numeric column that equals a formula of other columns is computed from it, to within half a unit of its last
    declared decimal.

    Attributes:
        rule: The expression.
    """

    kind: ClassVar[str] = "expression"
    rule: str
    formula: Formula = field(init=False, repr=False, compare=False)
    computed: tuple[tuple[str, Formula], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "formula", _parse(self, "rule", self.rule))
        computed = [(name, Formula.of_tree(own)) for name, own in computed_columns(self.formula.tree)]
        unknown = any(not own.names or name in own.names for name, own in computed)
        object.__setattr__(self, "computed", () if unknown or self.linear_forms() else tuple(computed))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return tuple(sorted(self.formula.names))

    def linear_forms(self) -> tuple[LinearForm, ...]:
        """Return the linear forms that are equivalent to the expression; empty if there are none."""
        return linear_forms_of(self.formula.tree)

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        forms = self.linear_forms()
        if forms and all(np.asarray(values[name]).dtype != object for name in self.columns):
            return np.asarray(np.logical_and.reduce([form.holds(values, steps) for form in forms]), dtype=bool)
        if self.computed and all(_has_numbers(values[name]) for name, _ in self.computed):
            good = [_agree(values[name], _numbers(own, values), steps.get(name)) for name, own in self.computed]
            return np.asarray(np.logical_and.reduce(good), dtype=bool)
        true, readable = _evaluate(self.formula, values)
        return true | ~readable

    def determined(self, values: Values) -> Iterable[Determined]:
        """Return the numbers that the formulas of other columns compute."""
        for name, own in self.computed:
            if _has_numbers(values[name]):
                numbers = _numbers(own, values)
                yield Determined(name, np.isfinite(numbers) & ~np.isnan(values[name]), numbers)

    def describe(self) -> str:
        """Return the expression."""
        return self.rule


@dataclass(frozen=True, kw_only=True)
class IfThen(Constraint):
    """An expression that is true in every row in which a condition is true.

    Attributes:
        when: The condition.
        then: The consequence.
    """

    kind: ClassVar[str] = "if_then"
    when: str
    then: str
    condition: Formula = field(init=False, repr=False, compare=False)
    consequence: Formula = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "condition", _parse(self, "when", self.when))
        object.__setattr__(self, "consequence", _parse(self, "then", self.then))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return tuple(sorted(self.condition.names | self.consequence.names))

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        true, readable = _evaluate(self.consequence, values)
        return ~self._applies(values) | true | ~readable

    def determined(self, values: Values) -> Iterable[Determined]:
        """Return the columns that the consequence sets to one value or to missing, where the condition is true."""
        rows = self._applies(values)
        for name, value in assignments(self.consequence.tree):
            here = rows if value is None else rows & ~is_missing(values[name])
            yield Determined(name, here & (name not in self.condition.names), _constant(values[name], value))

    def _applies(self, values: Values) -> Bools:
        return _evaluate(self.condition, values)[0]

    def describe(self) -> str:
        """Return the constraint as readable text."""
        return f"if {self.when} then {self.then}"


@dataclass(frozen=True, kw_only=True)
class MissingWhen(Constraint):
    """A column that is missing where an expression is true, and by default nowhere else.

    Attributes:
        column: The column.
        when: The expression.
        only: Whether the column is present in all other rows.
    """

    kind: ClassVar[str] = "missing"
    column: str
    when: str
    only: bool = True
    condition: Formula = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.column, str) or not isinstance(self.only, bool):
            raise self._refuse("column must be a column name, and only true or false")
        object.__setattr__(self, "condition", _parse(self, "when", self.when))
        if self.column in self.condition.names:
            raise self._refuse(f"whether {self.column!r} is missing cannot depend on itself")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, *sorted(self.condition.names))

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        wanted, known = _evaluate(self.condition, values)
        absent = is_missing(values[self.column])
        return ~known | np.where(wanted, absent, ~absent | (not self.only))

    def determined(self, values: Values) -> Iterable[Determined]:
        """Return the missing cells."""
        rows, _ = _evaluate(self.condition, values)
        yield Determined(self.column, rows, _constant(values[self.column], None))

    def describe(self) -> str:
        """Return the constraint as readable text."""
        return f"{self.column} is missing {'just where' if self.only else 'where'} {self.when}"


def _parse(constraint: Constraint, name: str, text: Any) -> Formula:
    try:
        formula = Formula.parse(text, None, name)
    except InputError as error:
        raise SchemaError(f"constraint {constraint.kind}: {error}") from error
    if not formula.names:
        raise SchemaError(f"constraint {constraint.kind}: {name} {text!r} reads no column")
    return formula


def _evaluate(formula: Formula, values: Values) -> tuple[Bools, Bools]:
    """Return the rows in which an expression is true, and those in which it reads no missing value, shape (n,) each."""
    n, names = len(values[next(iter(formula.names))]), formula.value_names
    readable = present(values, names) if names else np.ones(n, bool)
    if n and readable.all():
        return formula.evaluate(values, n).astype(bool), readable
    rows, true = np.flatnonzero(readable), np.zeros(n, bool)
    if len(rows):
        held = {name: values[name][rows] for name in formula.names}
        true[rows] = formula.evaluate(held, len(rows)).astype(bool)
    return true, readable


def _has_numbers(cells: Any) -> bool:
    return np.asarray(cells).dtype != object


def _numbers(formula: Formula, values: Values) -> Floats:
    """Return the number that a formula computes in each row, NaN where it reads a missing value, shape (n,)."""
    readable = present(values, formula.names)
    out = np.full(len(readable), np.nan)
    if readable.any():
        own = formula.evaluate({name: values[name][readable] for name in formula.names}, int(readable.sum()))
        if own.dtype.kind not in "fbiu":
            raise InputError(f"the formula {formula.text!r} is not a number; compare a numeric column with numbers")
        out[readable] = own
    return out


def _agree(observed: Floats, computed: Floats, step: float | None) -> Bools:
    """Return whether numbers equal computed ones to within half a step, or one of both is missing, shape (n,)."""
    slack = MAX_ROUNDING_STEPS * (step or 0.0) + RELATIVE_PRECISION * np.abs(computed)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(observed - computed) <= slack) | np.isnan(observed) | np.isnan(computed))


def _constant(like: Any, value: Any) -> Any:
    """Return a constant column, None for missing, shape (n,)."""
    if np.asarray(like).dtype != object:
        return np.full(len(like), np.nan if value is None else float(value))
    out = np.empty(len(like), dtype=object)
    out[:] = value
    return out
