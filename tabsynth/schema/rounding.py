"""Rounding of a column by range of values: hundreds here, whole dollars or cents there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers

BLOCK_ROWS = 50
"""Minimum rows of a block of neighbouring bins."""
MAX_EXPONENT, MIN_EXPONENT = 9, -15
"""Powers of ten of the candidate rounding units."""
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

    Attributes:
        units: The units, coarsest first, shape (units,); 0 for numbers that are multiples of no unit.
        block: The block of each bin, shape (bins,).
        shares: Share of the numbers whose coarsest unit is each of them, shape (blocks, units).
        low, high: Ends of each block, shape (blocks,).
    """

    units: Floats
    block: Integers
    shares: Floats
    low: Floats
    high: Floats

    def round(self, value: Floats, run: Integers, draw: Floats, atoms: Floats) -> Floats:
        """Round each number to a unit drawn with the frequencies of its block, shape (n,).

        Args:
            value: The numbers.
            run: The bin of each.
            draw: Uniform random numbers in [0, 1) that decide the units.
            atoms: Point masses, sorted, which other numbers should not equal.
        """
        block = self.block[run]
        level = (np.cumsum(self.shares, axis=1)[block] <= draw[:, None]).sum(1)
        level = np.minimum(level, len(self.units) - 1)
        out = value.copy()
        open_rows = np.arange(len(value))
        for at, unit in enumerate(self.units.tolist()):
            here = open_rows[level[open_rows] <= at]
            if not len(here):
                continue
            near = self._rounded(value[here], at, unit, atoms)
            last = at == len(self.units) - 1
            inside = (near >= self.low[block[here]]) & (near <= self.high[block[here]])
            done = here[inside | last]
            out[done] = near[inside | last]
            open_rows = np.setdiff1d(open_rows, done, assume_unique=True)
        return out

    def _rounded(self, value: Floats, at: int, unit: float, atoms: Floats) -> Floats:
        """Return the nearest multiples of a unit, excluding multiples of coarser units and point masses if possible."""
        if not unit:
            return value
        near = nearest_multiple(value, unit)
        side = np.where(value >= near, 1.0, -1.0)
        for move in (side, -side):
            taken = _isin_sorted(near, atoms)
            for coarser in self.units[:at].tolist():
                taken |= nearest_multiple(near, coarser) == near
            if not taken.any():
                break
            near = np.where(taken, nearest_multiple(nearest_multiple(value, unit) + move * unit, unit), near)
        return near


def measure_rounding(
    values: Floats,
    who: Integers | None,
    start: Integers,
    low: Floats,
    high: Floats,
    *,
    floor: int,
    step: float,
    units_per_day: float | None,
) -> Rounding | None:
    """Measure the rounding of the numbers inside bins.

    Args:
        values: All numbers, sorted.
        who: Person of each row; None if each row is one person.
        start: The first row of each bin.
        low: Lower end of each bin.
        high: Upper end of each bin, equal to the lower for a point mass.
        floor: Minimum persons of a unit; rarer units are merged into the next coarser one.
        step: The finest step of the column, 0 for none.
        units_per_day: For datetimes, units of the numeric scale in a day; None for numbers.

    Returns:
        The rounding, or None if every number is rounded to the step alone.
    """
    is_value = low == high
    rows = np.diff(np.append(start, len(values)))
    inside = np.repeat(~is_value, rows) & (values != 0)  # zero is a multiple of every unit
    if not inside.any():
        return None
    units = _candidate_units(step, units_per_day)
    level = _coarsest_unit(values[inside], units)
    if step:
        # Digits below the step are errors of floating-point arithmetic, or too rare to be released.
        level = np.minimum(level, len(units) - 1)
    persons = np.arange(len(level)) if who is None else who[inside]
    n_persons = np.bincount(np.unique(np.stack([level, persons]), axis=1)[0], minlength=len(units) + 1)
    merged = _merge_rare_levels(n_persons, floor)
    names, level = np.unique(merged[level], return_inverse=True)
    observed_units = np.array([units[at] if at < len(units) else 0.0 for at in names])
    if observed_units.tolist() == [step]:
        return None
    block = _assign_blocks(np.where(is_value, 0, rows))
    counts = np.zeros((int(block[-1]) + 1, len(names)))
    np.add.at(counts, (np.repeat(block, rows)[inside], level), 1.0)
    first = np.flatnonzero(np.diff(block, prepend=-1))
    last = np.append(first[1:], len(start)) - 1
    border = np.concatenate([low[:1], (high[:-1] + low[1:]) / 2, high[-1:]])
    # Blocks without such numbers of their own have the units of the whole column.
    shares = (counts + counts.sum(0) / counts.sum()) / (counts.sum(1, keepdims=True) + 1.0)
    return Rounding(observed_units, block, shares, border[first], border[last + 1])


def _coarsest_unit(data: Floats, units: list[float]) -> Integers:
    """Return the index of the coarsest unit of which each number is a multiple; one past the last for none."""
    single = bool((data.astype(np.float32) == data).all())
    level = np.full(len(data), len(units))
    error = MAX_ERROR_STEPS * math.ulp(float(np.abs(data).max()))
    for at, unit in enumerate(units):
        left = np.flatnonzero(level == len(units))
        near = nearest_multiple(data[left], unit)
        same = (
            near.astype(np.float32) == data[left]
            if single and unit < 1
            else np.abs(near - data[left]) <= min(error, unit / 1000)
        )
        level[left[same]] = at
    return level


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
    """Return whether numbers have at most so many decimals, but for the error of a few operations, shape (n,).

    Args:
        data: The numbers, none missing.
        decimals: The number of decimals.
        largest: The largest absolute number of the column, whose precision errors have.
    """
    error = min(MAX_ERROR_STEPS * math.ulp(largest), 1e-3 * 10.0**-decimals)
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(np.round(data, decimals) - data) <= error)


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
    for power in range(exponent, exponent - 17, -1):
        unit = max(round(10.0**power / step), 1) * step if step else 10.0**power
        number = math.ceil(low / unit) * unit
        if unit == step or low <= number < high:
            break
    return number if low <= number < high else low


def _candidate_units(step: float, units_per_day: float | None) -> list[float]:
    """Return the rounding units of a column, coarsest first; its step is the finest, if it has one."""
    if units_per_day is not None:
        found = {units_per_day / parts for parts in PARTS_OF_A_DAY}
        found = {unit for unit in found if unit >= 1 and unit == int(unit)}
    else:
        tens = [10.0**power for power in range(MIN_EXPONENT, MAX_EXPONENT + 1)]
        found = {float(f"{ten * part:.3g}") for ten in tens for part in (1, 0.5, 0.25)}
        found |= set(FRACTIONS) if step == 0 or step < 1e-6 else set()
    coarser = (unit for unit in found if unit > step * (1 + 1e-9))
    return [*sorted(coarser, reverse=True), *([step] if step else [])]


def _merge_rare_levels(counts: Integers, floor: int) -> Integers:
    """Merge each rare level into the next coarser frequent one, else a finer one."""
    enough = np.flatnonzero(counts >= floor)
    if not len(enough):
        return np.full(len(counts), int(np.argmax(counts)))
    before = np.searchsorted(enough, np.arange(len(counts)), side="right") - 1
    return np.asarray(enough[np.maximum(before, 0)])


def _assign_blocks(rows: Integers) -> Integers:
    """Return the block of each bin."""
    before = np.cumsum(rows) - rows
    block = before // BLOCK_ROWS
    if rows.sum() - block[-1] * BLOCK_ROWS < BLOCK_ROWS and block[-1] > 0:
        block = np.minimum(block, max(int(rows.sum()) // BLOCK_ROWS - 1, 0))
    out: Integers = np.unique(block, return_inverse=True)[1].astype(np.int64)
    return out


def _isin_sorted(value: Floats, atoms: Floats) -> npt.NDArray[np.bool_]:
    if not len(atoms):
        return np.zeros(len(value), bool)
    at = np.minimum(np.searchsorted(atoms, value), len(atoms) - 1)
    return np.asarray(atoms[at] == value)
