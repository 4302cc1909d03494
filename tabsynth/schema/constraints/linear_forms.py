"""Linear forms and products of columns, to which orders, ranges, sums, differences and ratios reduce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.common.arrays import Bools, Floats

RELATIVE_PRECISION = 1e-12
"""Rounding error of a sum of numbers, relative to their size."""

MAX_ROUNDING_STEPS = 0.501
"""Deviation from an equation by the rounding of its column, in steps."""

DEFAULT_TOLERANCE = 1e-6
"""Deviation from an equation of columns without declared decimals, relative to their size."""


@dataclass(frozen=True)
class LinearForm:
    """``least <= constant + sum(factor * column) <= greatest`` wherever all columns are present.

    Attributes:
        terms: The columns with their factors.
        constant: Constant term.
        least, greatest: The bounds; equal in an equation.
        strict: Whether the bounds themselves are excluded.
        tolerance: Allowed deviation from an equation; None for half a step of the target.
        target: The column to compute from the others first.
    """

    terms: tuple[tuple[str, float], ...]
    constant: float = 0.0
    least: float | None = 0.0
    greatest: float | None = None
    strict: bool = False
    tolerance: float | None = None
    target: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part, the target first."""
        names = [name for name, _ in self.terms]
        return tuple(sorted(names, key=lambda name: name != self.target))

    @property
    def is_equation(self) -> bool:
        """Whether it is an equation."""
        return self.least is not None and self.least == self.greatest

    def total(self, values: Mapping[str, Any]) -> Floats:
        """Compute the form's value in each row, shape (n,); NaN where a column is missing."""
        parts = [factor * np.asarray(values[name], dtype=np.float64) for name, factor in self.terms]
        return np.asarray(self.constant + np.sum(parts, axis=0))

    def slack(self, values: Mapping[str, Any], steps: Mapping[str, float]) -> Floats:
        """Return the tolerance of each row for rounding, shape (n,)."""
        scale = np.sum([np.abs(k * np.asarray(values[name], dtype=np.float64)) for name, k in self.terms], axis=0)
        if not self.is_equation:
            exact = self.constant == 0 and {abs(k) for _, k in self.terms} == {1.0} and len(self.terms) <= 2
            exact = exact and (self.least or 0.0) == 0 and self.greatest is None
            return np.zeros(len(scale)) if exact else np.asarray(RELATIVE_PRECISION * (scale + abs(self.constant)))
        if self.tolerance is not None:
            return np.asarray(self.tolerance + RELATIVE_PRECISION * scale)
        factor = abs(dict(self.terms).get(self.target, 1.0))
        if self.target in steps:
            return np.asarray(MAX_ROUNDING_STEPS * factor * steps[self.target] + RELATIVE_PRECISION * scale)
        return np.asarray(DEFAULT_TOLERANCE * scale)

    def holds(self, values: Mapping[str, Any], steps: Mapping[str, float]) -> Bools:
        """Return whether each row is within the bounds, shape (n,)."""
        total, slack = self.total(values), self.slack(values, steps)
        good = np.ones(len(total), bool)
        with np.errstate(invalid="ignore"):
            if self.least is not None:
                good &= total > self.least if self.strict else total >= self.least - slack
            if self.greatest is not None:
                good &= total < self.greatest if self.strict else total <= self.greatest + slack
        return good | np.isnan(total)

    def solve(self, name: str, values: Mapping[str, Any], wanted: Floats | float) -> Floats:
        """Solve for a column such that the form has the wanted value, shape (n,)."""
        rest = [k * np.asarray(values[other], dtype=np.float64) for other, k in self.terms if other != name]
        others = np.sum([np.zeros(len(values[name])), *rest], axis=0)
        return np.asarray((wanted - self.constant - others) / self._factor(name))

    def _factor(self, name: str) -> float:
        return dict(self.terms)[name]

    def __str__(self) -> str:
        """Return the form as readable text, such as ``total = net + tax``."""
        if self.is_equation:
            return f"{self.target} = {self._spell_rest()}"
        if self.constant == 0 and sorted(k for _, k in self.terms) == [-1.0, 1.0] and not self.least:
            high = next(name for name, k in self.terms if k == 1)
            low = next(name for name, k in self.terms if k == -1)
            if self.least == 0 and self.greatest is None:
                return f"{low} {'<' if self.strict else '<='} {high}"
        sign = "<" if self.strict else "<="
        own = spell_sum(self.terms, self.constant)
        left = "" if self.least is None else f"{self.least:g} {sign} "
        right = "" if self.greatest is None else f" {sign} {self.greatest:g}"
        return left + own + right

    def _spell_rest(self) -> str:
        divisor = self._factor(self.target)
        rest = tuple((name, -factor / divisor + 0.0) for name, factor in self.terms if name != self.target)
        return spell_sum(rest, ((self.least or 0.0) - self.constant) / divisor)


@dataclass(frozen=True)
class ProductForm:
    """``column = constant * product(column ** exponent)`` where all columns are present and no divisor is zero.

    Attributes:
        column: The computed column.
        terms: The other columns with their exponents.
        constant: The factor.
        tolerance: Deviation allowed; None for half a step of the column.
    """

    column: str
    terms: tuple[tuple[str, float], ...]
    constant: float = 1.0
    tolerance: float | None = None

    @property
    def target(self) -> str:
        """The column to compute first."""
        return self.column

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part, the target first."""
        return (self.column, *(name for name, _ in self.terms))

    def predict(self, values: Mapping[str, Any]) -> Floats:
        """Compute the column from the others, shape (n,)."""
        with np.errstate(all="ignore"):
            parts = [np.power(np.asarray(values[name], dtype=np.float64), power) for name, power in self.terms]
            return np.asarray(self.constant * np.prod(parts, axis=0))

    def holds(self, values: Mapping[str, Any], steps: Mapping[str, float]) -> Bools:
        """Return whether each row satisfies the equation up to rounding, shape (n,)."""
        own, wanted = np.asarray(values[self.column], dtype=np.float64), self.predict(values)
        if self.tolerance is not None:
            slack: Any = self.tolerance
        else:
            slack = MAX_ROUNDING_STEPS * steps[self.column] if self.column in steps else DEFAULT_TOLERANCE * np.abs(own)
        with np.errstate(invalid="ignore"):
            good = np.abs(own - wanted) <= slack + RELATIVE_PRECISION * np.abs(own)
        return np.asarray(good | ~np.isfinite(wanted) | np.isnan(own))

    def solve(self, name: str, values: Mapping[str, Any], wanted: Floats | float = 0.0) -> Floats:
        """Solve for a column, shape (n,); not finite where there is no solution."""
        if name == self.column:
            return self.predict(values)
        with np.errstate(all="ignore"):
            rest = np.prod(
                [np.power(np.asarray(values[other], dtype=np.float64), p) for other, p in self.terms if other != name]
                or [np.ones(len(values[name]))],
                axis=0,
            )
            return np.asarray(np.power(values[self.column] / (self.constant * rest), 1 / dict(self.terms)[name]))

    def __str__(self) -> str:
        """Return the product as readable text, such as ``bmi = 10000 * weight * height^-2``."""
        powers = [name if power == 1 else f"{name}^{power:g}" for name, power in self.terms]
        return f"{self.column} = " + " * ".join([f"{self.constant:g}"] * (self.constant != 1) + powers)


def spell_sum(terms: tuple[tuple[str, float], ...], constant: float) -> str:
    """Format a weighted sum."""
    out = ""
    for name, factor in terms:
        size = name if abs(factor) == 1 else f"{abs(factor):g} * {name}"
        out += (f" - {size}" if factor < 0 else f" + {size}") if out else (f"-{size}" if factor < 0 else size)
    if constant or not out:
        out += f" {'-' if constant < 0 else '+'} {abs(constant):g}" if out else f"{constant:g}"
    return out
