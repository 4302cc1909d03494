"""Exact relations among columns of numbers: a copy, a total of its parts, a ratio, a product, a change of unit.

A column that is computed from others in every training row is computed in every synthetic row too. It is still
modelled, so it can be conditioned on; then one of its terms is solved for instead.
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
"""Fewest rows from which a relation is believed."""

MIN_SPREAD_STEPS = 25
"""A relation that holds only after rounding must tell the column to this share of its spread."""

FLOAT32_PRECISION = 2**-23
"""Precision of numbers that were kept as 32-bit floats, as statistics packages do, relative to their size."""

MIN_COMPUTED_DECIMALS = 5
"""A column of so many decimals was computed, and may have been kept as such floats."""


@dataclass(frozen=True)
class ArithmeticRelation:
    """A column computed from others.

    Attributes:
        column: The computed column.
        constant: Added to the sum, or what the product is multiplied by.
        terms: The other columns with their factors, or with their exponents.
        product: Whether the terms are multiplied as powers rather than summed.
    """

    column: str
    constant: float
    terms: tuple[tuple[str, float], ...]
    product: bool = False

    def __str__(self) -> str:
        """The relation as a formula, such as ``total = 0.81 * net + tax``."""
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
        """Whether each row obeys up to the rounding of the column, whose coder is given, shape (n,)."""
        own, wanted = numbers[self.column], self.predict(numbers)
        computed = coder.decimals is None or coder.decimals >= MIN_COMPUTED_DECIMALS
        single = FLOAT32_PRECISION * np.abs(own) if computed else 0.0
        with np.errstate(invalid="ignore"):
            return np.asarray(~np.isfinite(wanted) | ~(np.abs(own - wanted) > _tolerance(coder) + single))

    def predict(self, numbers: Mapping[str, Floats]) -> Floats:
        """The column computed from its terms, shape (n,); not finite where a term is missing or zero divides."""
        with np.errstate(all="ignore"):
            if self.product:
                parts = [np.power(numbers[name], power) for name, power in self.terms]
                return np.asarray(self.constant * np.prod(parts, axis=0))
            return np.asarray(self.constant + np.sum([k * numbers[name] for name, k in self.terms], axis=0))

    def solve_for(self, name: str, numbers: Mapping[str, Floats]) -> Floats:
        """Solve for one of the terms, shape (n,)."""
        factor = dict(self.terms)[name]
        with np.errstate(all="ignore"):
            if self.product:
                return np.asarray(numbers[name] * np.power(numbers[self.column] / self.predict(numbers), 1 / factor))
            return np.asarray(numbers[name] + (numbers[self.column] - self.predict(numbers)) / factor)


def relation_from_dict(data: Mapping[str, Any]) -> ArithmeticRelation:
    """Rebuild a relation from plain data."""
    terms = tuple((str(name), float(factor)) for name, factor in data["terms"])
    return ArithmeticRelation(str(data["column"]), float(data["constant"]), terms, bool(data["product"]))


def enforce(
    laws: Sequence[ArithmeticRelation],
    coders: Mapping[str, QuantileCoder],
    numbers: Mapping[str, Floats],
    pinned: Mapping[str, Bools],
) -> dict[str, Floats]:
    """Enforce relations: columns are computed, unless pinned or out of range; then a term is solved for.

    Args:
        laws: The relations, each after those whose columns it reads.
        coders: Their coders.
        numbers: Every column's numbers, NaN where missing, shape (n,) each.
        pinned: Numbers that must stay as they are.
    """
    out, fixed = dict(numbers), {name: own.copy() for name, own in pinned.items()}
    _apply(laws, coders, out, fixed, held=True)
    for law in reversed(laws):
        _solve_for_term(law, coders, out, fixed)
    _apply(laws, coders, out, fixed, held=False)
    return out


def _apply(
    laws: Sequence[ArithmeticRelation],
    coders: Mapping[str, QuantileCoder],
    out: dict[str, Floats],
    fixed: dict[str, Bools],
    held: bool,
) -> None:
    """Compute the columns that are not fixed, in place; ``held`` clips them to their range and fixes them there."""
    for law in laws:
        coder, own, wanted = coders[law.column], out[law.column], law.predict(out)
        here = np.isfinite(wanted) & ~np.isnan(own) & ~fixed[law.column]
        value = coder.round_to_step(np.where(here, wanted, 0.0))
        if held:
            inside = np.clip(value, coder.low[0], coder.high[-1])
            fixed[law.column] |= here & (inside != value)
            value = inside
        out[law.column] = np.where(here, value, own)


def _solve_for_term(
    law: ArithmeticRelation, coders: Mapping[str, QuantileCoder], out: dict[str, Floats], fixed: dict[str, Bools]
) -> None:
    """Where the column is fixed and violates the relation, solve for one of its terms and fix that, in place."""
    own = out[law.column]
    for name, _ in sorted(law.terms, key=lambda term: -len(coders[term[0]].low)):
        wanted = law.predict(out)
        off = fixed[law.column] & np.isfinite(wanted) & (np.abs(own - wanted) > _tolerance(coders[law.column]))
        if not off.any():
            return
        coder, solved = coders[name], law.solve_for(name, out)
        moved = coder.round_to_step(np.where(off & np.isfinite(solved), solved, 0.0))
        inside = (moved >= coder.low[0]) & (moved <= coder.high[-1])
        trial = {**out, name: np.where(off & np.isfinite(solved) & inside & ~fixed[name], moved, out[name])}
        met = off & (np.abs(own - law.predict(trial)) <= _tolerance(coders[law.column]))
        out[name] = np.where(met, trial[name], out[name])
        fixed[name] = fixed[name] | met


def _tolerance(coder: QuantileCoder) -> float:
    """Largest deviation from the relation by rounding alone."""
    scale = max(abs(float(coder.low[0])), abs(float(coder.high[-1])), 1e-300)
    return (0.0 if coder.decimals is None else 0.51 * 10.0**-coder.decimals) + 1e-9 * scale


def is_exact(own: Floats, wanted: Floats) -> bool:
    """Whether a column equals what it should be up to its own rounding, in all rows where both are there."""
    both = np.isfinite(wanted) & ~np.isnan(own)
    if both.sum() < max(MIN_ROWS, 0.5 * (~np.isnan(own)).sum()):
        return False
    data = own[both]
    spread = float(data.std())
    decimals = shared_decimals(data)
    unit = 0.0 if decimals is None else 10.0**-decimals
    worst = float(np.abs(data - wanted[both]).max())
    size = float(np.abs(data).max())
    exact = worst <= 1e-9 * max(size, spread)
    single = FLOAT32_PRECISION * size if decimals is None or decimals >= MIN_COMPUTED_DECIMALS else 0.0
    slack = max(0.501 * unit, single)
    return spread > 0 and (exact or (max(unit, slack) * MIN_SPREAD_STEPS <= spread and worst <= slack))
