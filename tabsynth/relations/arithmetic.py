"""Exact arithmetic relations among numeric columns: copies, sums, ratios, products and changes of unit.

A column that is computed from others in every training row is computed in every synthetic row. The model learns it
nevertheless, so that it can be conditioned on; then one of its terms is solved for instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Bools, Floats

MIN_ROWS = 50
"""Minimum number of rows from which a relation is accepted."""

MIN_SPREAD_STEPS = 25
"""A relation that holds only after rounding needs a column whose standard deviation is this many rounding steps."""

FLOAT32_PRECISION = 2**-23
"""Relative precision of numbers that were stored as 32-bit floats, as some statistics packages do."""

MIN_COMPUTED_DECIMALS = 5
"""A column with at least this many decimals is taken as computed, so it may have passed through 32-bit floats."""


@dataclass(frozen=True)
class ArithmeticRelation:
    """A column computed from others.

    Attributes:
        column: The computed column.
        constant: Added to the sum, or multiplied by the product.
        terms: The other columns with their factors, or with their exponents.
        product: Whether the terms are multiplied as powers rather than summed.
    """

    column: str
    constant: float
    terms: tuple[tuple[str, float], ...]
    product: bool = False

    def __str__(self) -> str:
        """Return the relation as a formula, such as ``total = 0.81 * net + tax``."""
        if self.product:
            powers = [name if power == 1 else f"{name}^{power:g}" for name, power in self.terms]
            return f"{self.column} = " + " * ".join([f"{self.constant:g}"] * (self.constant != 1) + powers)
        terms = [name if factor == 1 else f"{factor:g} * {name}" for name, factor in self.terms]
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
        """Compute the column from its terms, shape (n,); not finite where a term is missing or on division by zero."""
        with np.errstate(all="ignore"):
            if self.product:
                powers = [np.power(numbers[name], power) for name, power in self.terms]
                return np.asarray(self.constant * np.prod(powers, axis=0))
            return np.asarray(self.constant + np.sum([k * numbers[name] for name, k in self.terms], axis=0))

    def solve_for(self, name: str, numbers: Mapping[str, Floats]) -> Floats:
        """Solve the relation for one of its terms, shape (n,)."""
        factor = dict(self.terms)[name]
        with np.errstate(all="ignore"):
            if self.product:
                return np.asarray(numbers[name] * np.power(numbers[self.column] / self.predict(numbers), 1 / factor))
            return np.asarray(numbers[name] + (numbers[self.column] - self.predict(numbers)) / factor)


def relation_from_dict(values: Mapping[str, Any]) -> ArithmeticRelation:
    """Rebuild a relation from plain data."""
    terms = tuple((str(name), float(factor)) for name, factor in values["terms"])
    return ArithmeticRelation(str(values["column"]), float(values["constant"]), terms, bool(values["product"]))


def enforce(
    relations: Sequence[ArithmeticRelation],
    coders: Mapping[str, QuantileCoder],
    numbers: Mapping[str, Floats],
    pinned: Mapping[str, Bools],
) -> dict[str, Floats]:
    """Compute each column from its terms, or solve for a term if the column is pinned or out of range.

    Args:
        relations: The relations, each after those whose columns it reads.
        coders: The coder of each numeric column.
        numbers: The values of every numeric column, NaN where missing, shape (n,) each.
        pinned: Cells that must not change, shape (n,) for each column.

    Returns:
        The columns with the relations enforced, shape (n,) each.
    """
    out, fixed = dict(numbers), {name: observed.copy() for name, observed in pinned.items()}
    _apply(relations, coders, out, fixed, clip=True)
    for relation in reversed(relations):
        _solve_for_term(relation, coders, out, fixed)
    _apply(relations, coders, out, fixed, clip=False)
    return out


def _apply(
    relations: Sequence[ArithmeticRelation],
    coders: Mapping[str, QuantileCoder],
    out: dict[str, Floats],
    fixed: dict[str, Bools],
    clip: bool,
) -> None:
    """Compute the columns that are not fixed, in place; ``clip`` limits them to their range and fixes clipped cells."""
    for relation in relations:
        coder, observed, predicted = coders[relation.column], out[relation.column], relation.predict(out)
        solvable = np.isfinite(predicted) & ~np.isnan(observed) & ~fixed[relation.column]
        value = coder.round_to_step(np.where(solvable, predicted, 0.0))
        if clip:
            inside = np.clip(value, coder.low[0], coder.high[-1])
            fixed[relation.column] |= solvable & (inside != value)
            value = inside
        out[relation.column] = np.where(solvable, value, observed)


def _solve_for_term(
    relation: ArithmeticRelation, coders: Mapping[str, QuantileCoder], out: dict[str, Floats], fixed: dict[str, Bools]
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
        satisfied = violated & (np.abs(observed - relation.predict(trial)) <= _tolerance(coders[relation.column]))
        out[name] = np.where(satisfied, trial[name], out[name])
        fixed[name] = fixed[name] | satisfied


def _tolerance(coder: QuantileCoder) -> float:
    """Return the largest deviation that rounding alone explains."""
    scale = max(abs(float(coder.low[0])), abs(float(coder.high[-1])), 1e-300)
    return (0.0 if coder.decimals is None else 0.51 * 10.0**-coder.decimals) + 1e-9 * scale


def is_exact(observed: Floats, predicted: Floats) -> bool:
    """Return whether a column equals its prediction up to its own rounding in all rows where both are present."""
    present = np.isfinite(predicted) & ~np.isnan(observed)
    if present.sum() < max(MIN_ROWS, 0.5 * (~np.isnan(observed)).sum()):
        return False
    values = observed[present]
    spread = float(values.std())
    decimals = shared_decimals(values)
    unit = 0.0 if decimals is None else 10.0**-decimals
    worst = float(np.abs(values - predicted[present]).max())
    size = float(np.abs(values).max())
    exact = worst <= 1e-9 * max(size, spread)
    single = FLOAT32_PRECISION * size if decimals is None or decimals >= MIN_COMPUTED_DECIMALS else 0.0
    slack = max(0.501 * unit, single)
    return spread > 0 and (exact or (max(unit, slack) * MIN_SPREAD_STEPS <= spread and worst <= slack))
