"""Detect units: compare quantiles under known conversions, and find a second unit within one column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.errors import InputError, MissingDependencyError
from tabsynth.mixing.matching.column_profiles import QUANTILE_LEVELS, Profile
from tabsynth.mixing.matching.name_similarity import analyte_in_name, candidate_units, unit_in_name
from tabsynth.mixing.units import Conversion, conversion

MAX_SAME_UNIT_DISTANCE, MIN_OTHER_UNIT_DISTANCE = 0.6, 1.2
"""Distances between columns of one unit, in units of their spread: rarely above the first, never above the second."""

MIN_SECOND_UNIT_SHARE = 0.03
"""Minimum share of a source's values in a second unit."""

MIN_SECOND_UNIT_VALUES = 5
"""Minimum distinct values in a second unit."""


@dataclass(frozen=True)
class UnitComparison:
    """The best unit conversion from one column to another.

    Attributes:
        distance: Mean distance of the quantiles in spreads, after the conversion.
        raw_distance: The same without a conversion.
        unit: The column's unit; None without a conversion.
        to: The other column's unit.
        analyte: The substance, where the conversion depends on it.
        both_named: Whether both names contain their unit.
    """

    distance: float
    raw_distance: float
    unit: str | None = None
    to: str | None = None
    analyte: str | None = None
    both_named: bool = False

    @property
    def certain(self) -> bool:
        """Whether the columns are close after the conversion, and either far apart before it or both units named."""
        if self.unit is None or self.distance > MAX_SAME_UNIT_DISTANCE:
            return False
        return self.raw_distance >= 2 * MIN_OTHER_UNIT_DISTANCE or (
            self.both_named and self.raw_distance > self.distance
        )


def quantile_distance(one: Profile, other: Profile, change: Conversion | None = None) -> float:
    """Return the mean distance of the converted quantiles of ``other`` from those of ``one``, by their mean spread."""
    if one.quantiles is None or other.quantiles is None:
        return float("inf")
    scale, offset = (1.0, 0.0) if change is None else (change.scale, change.offset)
    moved = other.quantiles * scale + offset
    spread = 0.5 * (one.spread + abs(scale) * other.spread)
    return float(np.abs(one.quantiles - moved).mean() / spread)


def compare_units(one: Profile, other: Profile) -> UnitComparison:
    """Return the best conversion from ``other`` to ``one`` that their names allow; none if they agree."""
    plain = quantile_distance(one, other)
    analyte = analyte_in_name(one.words) or analyte_in_name(other.words)
    have, want = unit_in_name(other.words), unit_in_name(one.words)
    if have and want:
        change = find_conversion(have, want, analyte)
        if change is not None:
            same = change == Conversion(1.0)
            return UnitComparison(
                quantile_distance(one, other, change), plain, None if same else have, want, analyte, both_named=True
            )
    if not np.isfinite(plain) or (plain <= MAX_SAME_UNIT_DISTANCE and not have):
        return UnitComparison(plain, plain)
    best = UnitComparison(plain, plain)
    kept = candidate_units(one.words) or candidate_units(other.words)
    for to in [want] if want else kept:
        for unit in [have] if have else kept:
            change = find_conversion(unit, to, analyte)
            if change is None or change == Conversion(1.0):
                continue
            found = quantile_distance(one, other, change)
            # Of pairs with the same factor the first is chosen, because the usual unit of a quantity is listed first.
            if found < best.distance - 1e-9 and found < 0.5 * plain:
                best = UnitComparison(found, plain, unit, to, analyte)
    return best


def find_conversion(unit: str, to: str, analyte: str | None) -> Conversion | None:
    """Return a conversion, or None where the dimensions differ or pint is not installed."""
    try:
        return conversion(unit, to, analyte)
    except (InputError, MissingDependencyError):
        return None


@dataclass(frozen=True)
class SecondUnit:
    """A second unit of the values below (or above) a bound."""

    unit: str
    to: str
    analyte: str | None
    below: float | None
    above: float | None
    share: float


def detect_second_unit(values: Floats, column_words: tuple[str, ...]) -> SecondUnit | None:
    """Detect a second unit within one column: two clusters with a gap, related by a known conversion.

    Args:
        values: The numbers, without missing values and sentinels.
        column_words: The words of the column's name, which must imply a quantity.
    """
    kept, analyte = candidate_units(column_words), analyte_in_name(column_words)
    if not kept or len(values) < 20 or values.min() <= 0:
        return None
    ordered = np.sort(values)
    gaps = np.diff(np.log(ordered))
    at = int(np.argmax(gaps))
    low, high = ordered[: at + 1], ordered[at + 1 :]
    share = min(len(low), len(high)) / len(values)
    if share < MIN_SECOND_UNIT_SHARE or min(len(low), len(high)) < 5 or gaps[at] < np.log(1.5):
        return None
    minor, major = (low, high) if len(low) < len(high) else (high, low)
    if len(np.unique(minor)) < MIN_SECOND_UNIT_VALUES:  # 1 and 2 years are not a gap
        return None
    levels = QUANTILE_LEVELS[2:-2]
    spread = float(np.subtract(*np.quantile(major, [0.9, 0.1]))) or 1.0
    best: tuple[float, str, str] | None = None
    for to in kept:
        for unit in kept:
            change = find_conversion(unit, to, analyte)
            if change is None or change.offset or change == Conversion(1.0):
                continue
            moved = minor * change.scale
            apart = float(np.abs(np.quantile(moved, levels) - np.quantile(major, levels)).mean()) / spread
            if apart < MAX_SAME_UNIT_DISTANCE and (best is None or apart < best[0] - 1e-9):
                best = (apart, unit, to)
    if best is None:
        return None
    bound = float(np.exp(0.5 * (np.log(low[-1]) + np.log(high[0]))))
    digits = float(f"{bound:.3g}")
    below = minor is low
    return SecondUnit(best[1], best[2], analyte, digits if below else None, None if below else digits, share)
