"""Exact arithmetic relations among numeric columns: copies, sums, ratios, products, logarithms and changes of unit.

A column that is computed from others in every training row is computed in every synthetic row. The model also learns
the column, so that it supports conditions; under a condition, the relation is solved for one of its terms instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Bools, Floats

MIN_ROWS = 50
"""Minimum number of rows from which a relation is accepted."""

MIN_SPREAD_STEPS = 25
"""Minimum standard deviation, in rounding steps, of a column that its relation matches only after rounding."""

NO_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType({})

FLOAT32_PRECISION = 2**-23
"""Relative precision of numbers that were stored as 32-bit floats, as some statistics packages do."""

MIN_COMPUTED_DECIMALS = 5
"""A column with at least this many decimals counts as computed, so that its numbers may have been 32-bit floats."""

DIGITS = (1, 2, 3, 4, 5, 6, 8, 12)
"""Significant digits to which coefficients are rounded, the fewest that are exact."""

_UNITS = (2.20462, 2.2046226, 2.54, 0.3048, 0.9144, 1.609344, 1.60934, 28.349523, 3.785412, 4.184, 1.8, 18.0182, 38.67)
UNIT_FACTORS = tuple(sorted({*_UNITS, *(1 / factor for factor in _UNITS), 0.453592, 0.621371, 3.28084, 0.393701}))
"""Factors between units of weight, length, volume, energy, temperature, glucose and cholesterol. Rounded numbers of a
column identify such a factor only approximately."""

MAX_FACTOR_ERROR = 1e-3
"""Maximum relative difference of a fitted factor to that of a change of unit."""

FUNCTIONS: Mapping[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "log": (np.log, np.exp),
    "log1p": (np.log1p, np.expm1),
}
"""Functions that may be applied to the terms of a sum, with their inverses."""


@dataclass(frozen=True)
class ArithmeticRelation:
    """A column computed from others.

    Attributes:
        column: The computed column.
        constant: Added to the sum, or multiplied by the product.
        terms: The other columns with their factors, or with their exponents.
        product: Whether the terms are multiplied as powers rather than summed.
        function: A function of ``FUNCTIONS`` that is applied to the terms of a sum; empty for none.
    """

    column: str
    constant: float
    terms: tuple[tuple[str, float], ...]
    product: bool = False
    function: str = ""

    def __str__(self) -> str:
        """Return the relation as a formula, such as ``total = 0.81 * net + tax``."""
        if self.product:
            powers = [name if power == 1 else f"{name}^{power:g}" for name, power in self.terms]
            return f"{self.column} = " + " * ".join([f"{self.constant:g}"] * (self.constant != 1) + powers)
        shown = [(f"{self.function}({name})" if self.function else name, factor) for name, factor in self.terms]
        terms = [name if factor == 1 else f"{factor:g} * {name}" for name, factor in shown]
        return f"{self.column} = " + " + ".join(terms + [f"{self.constant:g}"] * (self.constant != 0))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, *(name for name, _ in self.terms))

    def holds(self, numbers: Mapping[str, Floats], coder: QuantileCoder) -> Bools:
        """Return whether each row satisfies the relation up to the rounding of the column's coder, shape (n,)."""
        observed, predicted = numbers[self.column], self.predict(numbers)
        computed = coder.decimals is None or coder.decimals >= MIN_COMPUTED_DECIMALS
        single = FLOAT32_PRECISION * np.abs(observed) if computed else 0.0
        with np.errstate(invalid="ignore"):
            return np.asarray(~np.isfinite(predicted) | ~(np.abs(observed - predicted) > _tolerance(coder) + single))

    def predict(self, numbers: Mapping[str, Floats]) -> Floats:
        """Compute the column from its terms, shape (n,); not finite if a term is missing or a division is by zero."""
        with np.errstate(all="ignore"):
            if self.product:
                powers = [np.power(numbers[name], power) for name, power in self.terms]
                return np.asarray(self.constant * np.prod(powers, axis=0))
            apply = FUNCTIONS[self.function][0] if self.function else np.asarray
            return np.asarray(self.constant + np.sum([k * apply(numbers[name]) for name, k in self.terms], axis=0))

    def solve_for(self, name: str, numbers: Mapping[str, Floats]) -> Floats:
        """Solve the relation for one of its terms, shape (n,)."""
        factor = dict(self.terms)[name]
        with np.errstate(all="ignore"):
            if self.product:
                return np.asarray(numbers[name] * np.power(numbers[self.column] / self.predict(numbers), 1 / factor))
            change = (numbers[self.column] - self.predict(numbers)) / factor
            if not self.function:
                return np.asarray(numbers[name] + change)
            apply, invert = FUNCTIONS[self.function]
            return np.asarray(invert(apply(numbers[name]) + change))


def relation_from_dict(values: Mapping[str, Any]) -> ArithmeticRelation:
    """Rebuild a relation from plain data."""
    terms = tuple((str(name), float(factor)) for name, factor in values["terms"])
    column, function = str(values["column"]), str(values.get("function", ""))
    return ArithmeticRelation(column, float(values["constant"]), terms, bool(values["product"]), function)


def can_compute(relation: ArithmeticRelation, relations: Sequence[ArithmeticRelation]) -> bool:
    """Return whether a relation may be added to others: none computes its column, and no term depends on its column."""
    read = {other.column: {name for name, _ in other.terms} for other in relations}
    ahead, seen = [name for name, _ in relation.terms], {name for name, _ in relation.terms}
    while ahead:
        more = read.get(ahead.pop(), set()) - seen
        seen |= more
        ahead += more
    return relation.column not in read and relation.column not in seen


def in_order(relations: Sequence[ArithmeticRelation]) -> tuple[ArithmeticRelation, ...]:
    """Return relations sorted so that each comes after those whose columns it reads."""
    left, out = list(relations), []
    while left:
        computed = {relation.column for relation in left}
        ready = [relation for relation in left if not computed & {name for name, _ in relation.terms}]
        if not ready:
            raise AssertionError(f"relations depend on each other: {', '.join(map(str, left))}")
        out += ready
        left = [relation for relation in left if relation not in ready]
    return tuple(out)


def enforce(
    relations: Sequence[ArithmeticRelation],
    coders: Mapping[str, QuantileCoder],
    numbers: Mapping[str, Floats],
    pinned: Mapping[str, Bools],
    ranges: Mapping[str, tuple[float, float]] = NO_RANGES,
    clip: bool = True,
) -> dict[str, Floats]:
    """Compute each column from its terms, or solve for a term if the column is pinned or out of range.

    Args:
        relations: The relations, each after those whose columns it reads.
        coders: The coder of each numeric column.
        numbers: The values of every numeric column, NaN where missing, shape (n,) each.
        pinned: Cells that must not change, shape (n,) for each column.
        ranges: Pinned columns that may change within an inclusive range.
        clip: Whether terms give way where a computed number is out of range.

    Returns:
        The columns with the relations enforced, shape (n,) each.
    """
    out, fixed = dict(numbers), {name: observed.copy() for name, observed in pinned.items()}
    _apply(relations, coders, out, fixed, clip)
    for relation in reversed(relations):
        _solve_for_term(relation, coders, out, fixed, ranges)
    for relation in relations:  # a number beyond the range of its column is better than a wrong one
        fixed[relation.column] &= pinned[relation.column] | relation.holds(out, coders[relation.column])
    _apply(relations, coders, out, fixed, clip=False, ranges=ranges)
    return out


def _apply(
    relations: Sequence[ArithmeticRelation],
    coders: Mapping[str, QuantileCoder],
    out: dict[str, Floats],
    fixed: dict[str, Bools],
    clip: bool,
    ranges: Mapping[str, tuple[float, float]] = NO_RANGES,
) -> None:
    """Compute the columns that are not fixed, in place; ``clip`` limits them to their range and fixes clipped cells.

    A fixed column with a range is computed where the result lies in the range.
    """
    for relation in relations:
        coder, observed, predicted = coders[relation.column], out[relation.column], relation.predict(out)
        present = np.isfinite(predicted) & ~np.isnan(observed)
        value = _rounded(coder, np.where(present, predicted, 0.0))
        low, high = ranges.get(relation.column, (np.inf, -np.inf))
        solvable = present & (~fixed[relation.column] | ((value >= low) & (value <= high)))
        if clip:
            inside = np.clip(value, coder.low[0], coder.high[-1])
            fixed[relation.column] |= solvable & (inside != value)
            value = inside
        out[relation.column] = np.where(solvable, value, observed)


def _solve_for_term(
    relation: ArithmeticRelation,
    coders: Mapping[str, QuantileCoder],
    out: dict[str, Floats],
    fixed: dict[str, Bools],
    ranges: Mapping[str, tuple[float, float]],
) -> None:
    """Where a fixed column violates its relation, solve for one of its terms and fix that term, in place."""
    observed = out[relation.column]
    for name, _ in sorted(relation.terms, key=lambda term: -len(coders[term[0]].low)):
        predicted = relation.predict(out)
        violated = (
            fixed[relation.column]
            & np.isfinite(predicted)
            & (np.abs(observed - predicted) > _tolerance(coders[relation.column]))
        )
        if not violated.any():
            return
        coder, solved = coders[name], relation.solve_for(name, out)
        moved = coder.round_to_step(np.where(violated & np.isfinite(solved), solved, 0.0))
        inside = (moved >= coder.low[0]) & (moved <= coder.high[-1])
        trial = {**out, name: np.where(violated & np.isfinite(solved) & inside & ~fixed[name], moved, out[name])}
        again = relation.predict(trial)
        low, high = ranges.get(relation.column, (np.inf, -np.inf))
        within = (np.abs(observed - again) <= _tolerance(coders[relation.column])) | ((again >= low) & (again <= high))
        satisfied = violated & within
        out[name] = np.where(satisfied, trial[name], out[name])
        fixed[name] = fixed[name] | satisfied


def _rounded(coder: QuantileCoder, value: Floats) -> Floats:
    """Round computed numbers to the column's step, or to one of its frequent numbers that is as near."""
    rounded = coder.round_to_step(value)
    if not len(coder.atoms):
        return rounded
    at = np.searchsorted(coder.atoms, value)
    below, above = coder.atoms[np.maximum(at - 1, 0)], coder.atoms[np.minimum(at, len(coder.atoms) - 1)]
    near = np.where(value - below <= above - value, below, above)
    error = np.abs(rounded - value) + 1e-9 * np.abs(coder.high[-1]) + FLOAT32_PRECISION * np.abs(value)
    return np.where(np.abs(near - value) <= error, near, rounded)


def _tolerance(coder: QuantileCoder) -> float:
    """Return the largest deviation that rounding alone explains."""
    scale = max(abs(float(coder.low[0])), abs(float(coder.high[-1])), 1e-300)
    return (0.0 if coder.decimals is None else 0.51 * 10.0**-coder.decimals) + 1e-9 * scale


def is_exact(observed: Floats, predicted: Floats, min_spread_steps: float = MIN_SPREAD_STEPS) -> bool:
    """Return whether a column equals its prediction up to its own rounding in all rows where both are present."""
    present = np.isfinite(predicted) & ~np.isnan(observed)
    if present.sum() < max(MIN_ROWS, 0.5 * (~np.isnan(observed)).sum()):
        return False
    values = observed[present]
    spread, decimals = float(values.std()), shared_decimals(values)
    unit = 0.0 if decimals is None else 10.0**-decimals
    worst, size = float(np.abs(values - predicted[present]).max()), float(np.abs(values).max())
    exact = worst <= 1e-9 * max(size, spread)
    single = FLOAT32_PRECISION * size if decimals is None or decimals >= MIN_COMPUTED_DECIMALS else 0.0
    slack = max(0.501 * unit, single)
    return spread > 0 and (exact or (max(unit, slack) * min_spread_steps <= spread and worst <= slack))


def round_coefficients(
    column: str, terms: Sequence[tuple[str, float]], columns: Mapping[str, Floats], function: str = ""
) -> ArithmeticRelation | None:
    """Round the coefficients to the fewest digits that keep the relation exact, None if none do."""
    candidates = [tuple((name, float(f"{k:.{digits - 1}e}")) for name, k in terms) for digits in DIGITS]
    if all(0 < abs(k) < 0.5 for _, k in terms):  # minutes as hours
        candidates.insert(3, tuple((name, 1 / round(1 / k)) for name, k in terms))
    candidates.insert(3, tuple((name, float(Fraction(k).limit_denominator(12))) for name, k in terms))  # not 0.333
    if len(terms) == 1:
        near = [own for own in UNIT_FACTORS if abs(own / terms[0][1] - 1) < MAX_FACTOR_ERROR]
        candidates = [((terms[0][0], own),) for own in near] + candidates
    fallbacks: list[ArithmeticRelation] = []
    for rounded in candidates:
        rest = columns[column] - ArithmeticRelation(column, 0.0, rounded, function=function).predict(columns)
        rest = rest[np.isfinite(rest)]
        if not len(rest) or _differ_by_steps(rest, columns[column]):
            return None
        # Any constant between the extremes of the residuals fits; a round one is preferred, the middle is the fallback.
        middle = float((rest.min() + rest.max()) / 2)
        for constant in (0.0, float(np.round(middle))):
            relation = ArithmeticRelation(column, constant, rounded, function=function)
            if is_exact(columns[column], relation.predict(columns)):
                return relation
        fallbacks += [
            ArithmeticRelation(column, own, rounded, function=function) for own in (float(np.round(middle, 3)), middle)
        ]
    return next((own for own in fallbacks if is_exact(columns[column], own.predict(columns))), None)


def _differ_by_steps(rest: Floats, observed: Floats) -> bool:
    """Return whether some residuals are a few whole steps of the column, which rounding does not explain."""
    decimals = shared_decimals(observed)
    if decimals is None or np.ptp(rest) == 0:
        return False
    steps = (rest - rest[0]) * 10.0**decimals
    return bool((np.abs(steps - np.rint(steps)) < 1e-6).all() and 0.5 < np.abs(steps).max() < 3.5)
