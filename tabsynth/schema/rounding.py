"""Rounding of a column by range of values: hundreds here, whole dollars or cents there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers, check_numbers

MAX_ENDING_DECIMALS = 6
FRACTIONS = tuple(1 / parts for parts in (3, 6, 8, 12, 16))
PARTS_OF_A_DAY = tuple(
    86_400 / seconds for seconds in (86_400, 43_200, 21_600, 10_800, 7200, 3600, 1800, 900, 600, 300, 60, 30, 10, 1)
)
DRAW_BITS = 2.0**16
MAX_ERROR_STEPS = 16
"""Maximum error of arithmetic in units in the last place, as in 0.1 + 0.2, or in dates stored as decimal years."""
MAX_CODES, MIN_REPEATS, MAX_DENSITY, MIN_FREQUENT_SHARE = 4096, 10, 0.5, 0.95
"""Limits of sparse integers: maximum distinct values, minimum rows of each on average, maximum share of the integers in
their range, minimum share of rows with a frequent value."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """Rounding units of a column and how often each occurs.

    A unit may have an ending: a price is rounded to 12.99 with the unit 1 and the ending 0.99.

    Attributes:
        units: The units, coarsest first, shape (units,); 0 for numbers that are multiples of no unit.
        block: The block of each bin, shape (bins,).
        shares: Share of the numbers whose coarsest unit is each of them, shape (blocks, units).
        low, high: Ends of each block, shape (blocks,).
        endings: The ending of each unit, 0 for its multiples, shape (units,); None if all are 0.
    """

    units: Floats
    block: Integers
    shares: Floats
    low: Floats
    high: Floats
    endings: Floats | None = None

    @property
    def _levels(self) -> list[tuple[float, float]]:
        """The units and their endings."""
        endings = np.zeros(len(self.units)) if self.endings is None else self.endings
        return list(zip(self.units.tolist(), endings.tolist(), strict=True))

    def levels_of(self, value: Floats) -> Integers:
        """Return the position of the coarsest unit of which each number is a multiple, of the last for none."""
        multiple = [_is_multiple(value, [level]) for level in self._levels[:-1]]
        return np.asarray(np.argmax([*multiple, np.ones(len(value), bool)], axis=0), np.int64)

    def check(self, bins: int) -> None:
        """Raise a ValueError unless the arrays fit each other and a number of bins."""
        blocks, units = len(self.low), self.units.shape
        shapes = self.high.shape == self.low.shape and self.shares.shape == (blocks, *units) and units[0] > 0
        if not shapes or (self.endings is not None and self.endings.shape != units):
            raise ValueError("the rounding units of a number do not match their shares")
        for array in (self.units, self.shares, self.low, self.high, *([] if self.endings is None else [self.endings])):
            check_numbers(array, array.shape, "the rounding units of a number")
        whole = self.block.shape == (bins,) and self.block.dtype.kind in "iu"
        if not whole or not ((self.block >= 0) & (self.block < blocks)).all():
            raise ValueError("the rounding units of a number do not match its bins")

    def round(self, value: Floats, run: Integers, draw: Floats, atoms: Floats) -> Floats:
        """Round each number to a unit that is sampled with the frequencies of its block, shape (n,).

        Args:
            value: The numbers.
            run: The bin of each.
            draw: Uniform random numbers in [0, 1) that decide the units.
            atoms: Point masses, sorted, which other numbers should not equal.
        """
        level = (np.cumsum(self.shares, axis=1)[self.block[run]] <= draw[:, None]).sum(1)
        return self.round_to(value, run, np.minimum(level, len(self.units) - 1), atoms)

    def round_to(self, value: Floats, run: Integers, level: Integers, atoms: Floats) -> Floats:
        """Round each number to a unit, or to a finer one if it has no free multiple nearby, shape (n,).

        Args:
            value: The numbers.
            run: The bin of each.
            level: The position of its unit.
            atoms: Point masses, sorted, which other numbers should not equal.
        """
        block, units, out = self.block[run], self._levels, value.copy()
        open_rows = np.arange(len(value))
        for at in range(len(units)):
            here = open_rows[level[open_rows] <= at]
            if not len(here):
                continue
            low, high = self.low[block[here]], self.high[block[here]]
            near, free = _rounded(value[here], units[: at + 1], atoms)
            beyond = np.flatnonzero((near < low) | (near > high))
            if len(beyond) and units[at][0]:  # at the end of a block, the next multiple inside
                moved = value[here[beyond]] + np.where(near[beyond] < low[beyond], 1, -1) * units[at][0]
                near[beyond], free[beyond] = _rounded(moved, units[: at + 1], atoms)
            last = at == len(units) - 1
            inside = free & (near >= low) & (near <= high)
            done = here[inside | last]
            out[done] = near[inside | last]
            open_rows = np.setdiff1d(open_rows, done, assume_unique=True)
        return out


def _rounded(value: Floats, units: list[tuple[float, float]], atoms: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the nearest numbers of the last unit, and whether each is of no other unit and no point mass."""
    unit, ending = units[-1]
    if not unit:
        return value, np.ones(len(value), bool)
    nearest = near = nearest_with_ending(value, unit, ending)
    side = np.where(value >= near, 1.0, -1.0)
    for steps in (1, -1, 2, -2):
        # Two steps only past rounder numbers: 70 and 80, next to 75, are multiples of 10.
        again = _is_multiple(near, units[:-1]) | (_isin_sorted(near, atoms) & (abs(steps) == 1))
        if not again.any():
            break
        near = np.where(again, nearest_with_ending(nearest + steps * side * unit, unit, ending), near)
    return near, ~(_is_multiple(near, units[:-1]) | _isin_sorted(near, atoms))


def _is_multiple(value: Floats, units: list[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    """Return whether each number is a multiple of one of the units, shape (n,)."""
    out = np.zeros(len(value), bool)
    for unit, ending in units:
        out |= nearest_with_ending(value, unit, ending) == value
    return out


def common_step(values: Floats, who: Integers | None, floor: int, decimals: int | None) -> int:
    """Return the greatest step, in units of the last decimal, of all but fewer than ``floor`` persons.

    Args:
        values: The numbers.
        who: Person of each row; None if each row is one person.
        floor: Persons whose numbers count.
        decimals: Decimals of the column; None for none.
    """
    if decimals is None or np.abs(values).max() * 10.0**decimals >= 2.0**53:
        return 1
    whole = np.abs(np.rint(values * 10.0**decimals)).astype(np.int64)
    persons = np.arange(len(whole)) if who is None else np.unique(who, return_inverse=True)[1]
    # Fewer than `floor` odd persons leave at least one of `floor` groups of persons whole.
    steps = {int(np.gcd.reduce(whole[persons % floor == group])) for group in range(floor)}
    for step in sorted(steps, reverse=True):
        if step > 1 and len(np.unique(persons[whole % step != 0])) < floor:
            return step
    return 1


def is_sparse(values: Floats, rows: Integers, floor: int) -> bool:
    """Return whether integers repeat and leave gaps, as codes do.

    Args:
        values: The numbers, sorted.
        rows: Rows (or persons) of each distinct number.
        floor: Minimum rows of a frequent number.
    """
    if len(rows) < 3 or len(rows) > MAX_CODES or len(values) < MIN_REPEATS * len(rows) or (values % 1).any():
        return False
    step = float(np.gcd.reduce(np.diff(np.unique(values)).astype(np.int64)))
    span = (values[-1] - values[0]) / step + 1
    return bool(len(rows) < MAX_DENSITY * span and rows[rows >= floor].sum() >= MIN_FREQUENT_SHARE * rows.sum())


def is_decimal(data: Floats, decimals: int, largest: float) -> npt.NDArray[np.bool_]:
    """Return which numbers have at most this many decimals, up to the rounding error of a few operations, shape (n,).

    Args:
        data: The numbers, none missing.
        decimals: The number of decimals.
        largest: The largest absolute number of the column, whose precision errors have.
    """
    error = min(MAX_ERROR_STEPS * math.ulp(largest), 1e-3 * 10.0**-decimals)
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(np.round(data, decimals) - data) <= error)


def nearest_with_ending(value: Floats, unit: float, ending: float) -> Floats:
    """Return the nearest multiples of a unit plus an ending, shape (n,)."""
    if not ending:
        return nearest_multiple(value, unit)
    return np.asarray(np.round(nearest_multiple(value - ending, unit) + ending, MAX_ENDING_DECIMALS))


def nearest_multiple(value: Floats, unit: float) -> Floats:
    """Return the nearest multiples of a unit, as exact as floats are, shape (n,)."""
    if unit >= 1:
        return np.asarray(np.rint(value / unit) * unit)
    inverse = np.rint(1 / unit)
    if abs(inverse * unit - 1) > 1e-9:  # such as 0.3
        parts = Fraction(repr(unit))
        return np.asarray(np.rint(value / unit) * parts.numerator / parts.denominator)
    with np.errstate(over="ignore"):
        scaled = np.rint(value * inverse)
    return np.asarray(np.where(np.abs(scaled) < 2.0**53, scaled / inverse, value))


def roundest_number(low: float, high: float, step: float = 0.0) -> float:
    """Return the multiple of the largest power of ten (and of a step) in [low, high), where ``low < high``."""
    exponent = math.ceil(math.log10(max(abs(low), abs(high), high - low)))
    number = low
    for power in range(exponent, exponent - 17, -1):
        unit = max(round(10.0**power / step), 1) * step if step else 10.0**power
        if not unit:  # below the least number that float64 holds
            break
        number = math.ceil(low / unit) * unit
        if unit == step or low <= number < high:
            break
    return number if low <= number < high else low


def _isin_sorted(value: Floats, atoms: Floats) -> npt.NDArray[np.bool_]:
    if not len(atoms):
        return np.zeros(len(value), bool)
    at = np.minimum(np.searchsorted(atoms, value), len(atoms) - 1)
    return np.asarray(atoms[at] == value)
