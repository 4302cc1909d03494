"""Measure how often the numbers of a column are rounded to each unit, by range of values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.rounding import FRACTIONS, MAX_ERROR_STEPS, PARTS_OF_A_DAY, Rounding, nearest_with_ending

BLOCK_ROWS = 50
"""Minimum rows of a block of neighbouring bins."""
MAX_EXPONENT, MIN_EXPONENT = 9, -15
"""Powers of ten of the candidate rounding units."""


Level = tuple[float, float]
"""A rounding unit and the ending of its numbers, 0 for multiples of the unit."""


class Levels(NamedTuple):
    """The rounding levels that enough persons have, coarsest first, and the level of each row, shape (n,)."""

    units: list[Level]
    of_row: Integers


def rounding_levels(
    numbers: Floats,
    who: Integers | None,
    *,
    floor: int,
    step: float,
    units_per_day: float | None,
    endings: Sequence[Level] = (),
) -> Levels:
    """Return the coarsest unit of which each number is a multiple.

    Args:
        numbers: The numbers, without point masses.
        who: Person of each row; None if each row is one person.
        floor: Minimum persons of a unit; rarer units are merged into the next coarser one.
        step: The finest step of the column, 0 for none.
        units_per_day: For datetimes, units of the numeric scale in a day; None for numbers.
        endings: Frequent endings: periods and remainders.
    """
    plain = [(unit, 0.0) for unit in candidate_units(step, units_per_day)]
    units = sorted([*plain, *endings], key=lambda unit: (-unit[0], unit[1]))
    level = _coarsest_unit(numbers, units)
    if step:
        # Digits below the step are errors of floating-point arithmetic, or too rare to be released.
        level = np.minimum(level, len(units) - 1)
    persons = np.arange(len(level)) if who is None else who
    n_persons = np.bincount(np.unique(np.stack([level, persons]), axis=1)[0], minlength=len(units) + 1)
    merged = _merge_rare_levels(n_persons, floor)
    names, level = np.unique(merged[level], return_inverse=True)
    return Levels([units[at] if at < len(units) else (0.0, 0.0) for at in names], level.astype(np.int64))


def measure_rounding(
    low: Floats, high: Floats, counts: Floats, gap: Integers, gap_counts: Floats, levels: Levels
) -> Rounding:
    """Measure the rounding of the numbers inside bins.

    Args:
        low: Lower end of each bin.
        high: Upper end of each bin, equal to the lower for a point mass.
        counts: Rows of each bin by rounding level, 0 for point masses and gaps, shape (bins, levels).
        gap: The gap of each bin, -1 for the others.
        gap_counts: Rows of each gap by rounding level, shape (gaps, levels).
        levels: The rounding levels.
    """
    rows, enclosed = counts.sum(1), _is_enclosed(low, high, levels.units)
    block = _assign_blocks(np.where(enclosed, 0.0, rows))
    if rows[enclosed].any():
        block[enclosed] = block[-1] + 1 + _assign_blocks(rows[enclosed])
    sums = np.zeros((int(block.max()) + 1, len(levels.units)))
    np.add.at(sums, block, counts)
    first = np.array([int(np.argmax(block == own)) for own in range(len(sums))])
    last = np.array([len(block) - 1 - int(np.argmax(block[::-1] == own)) for own in range(len(sums))])
    border = np.concatenate([low[:1], (high[:-1] + low[1:]) / 2, high[-1:]])
    # Blocks without such numbers of their own have the units of the whole column.
    shares = (sums + sums.sum(0) / max(float(sums.sum()), 1.0)) / (sums.sum(1, keepdims=True) + 1.0)
    ends = border[first], border[last + 1]
    inner = np.flatnonzero(gap >= 0)
    if len(inner):
        # The numbers of each gap between point masses stay in it, and are rounded to units that fit there.
        block[inner] = len(shares) + np.arange(len(inner))
        own = gap_counts[gap[inner]]
        shares = np.concatenate([shares, own / own.sum(1, keepdims=True)])
        ends = np.append(ends[0], low[inner]), np.append(ends[1], high[inner])
    units, endings = np.array(levels.units).T
    return Rounding(units, block, shares, *ends, endings if endings.any() else None)


def _is_enclosed(low: Floats, high: Floats, units: list[Level]) -> npt.NDArray[np.bool_]:
    """Return whether each bin is an interval between two point masses with no number as round as both between them."""
    at, single = np.arange(len(low)), low == high
    before = np.maximum.accumulate(np.where(single, at, -1))
    after = np.minimum.accumulate(np.where(single, at, len(low))[::-1])[::-1]
    between = np.flatnonzero(~single & (before >= 0) & (after < len(low)))
    known = [level for level in units if level[0]]
    unit = np.append([own for own, _ in known], 0.0)[_coarsest_unit(low, known)]
    first, second = before[between], after[between]
    out = np.zeros(len(low), bool)
    out[between] = low[second] - low[first] <= np.minimum(unit[first], unit[second]) * (1 + 1e-9)
    return out


def _coarsest_unit(data: Floats, units: list[tuple[float, float]]) -> Integers:
    """Return the index of the coarsest unit of which each number is a multiple; one past the last for none."""
    single = bool((data.astype(np.float32) == data).all())
    level = np.full(len(data), len(units))
    error = MAX_ERROR_STEPS * math.ulp(float(np.abs(data).max(initial=0.0)))
    for at, (unit, ending) in enumerate(units):
        left = np.flatnonzero(level == len(units))
        near = nearest_with_ending(data[left], unit, ending)
        same = (
            near.astype(np.float32) == data[left]
            if single and unit < 1
            else np.abs(near - data[left]) <= min(error, unit / 1000)
        )
        level[left[same]] = at
    return level


def candidate_units(step: float, units_per_day: float | None) -> list[float]:
    """Return the rounding units of a column, coarsest first; its step is the finest, if it has one."""
    if units_per_day is not None:
        found = {units_per_day / parts for parts in PARTS_OF_A_DAY}
        found = {unit for unit in found if unit >= 1 and unit == int(unit)}
    else:
        tens = [10.0**power for power in range(MIN_EXPONENT, MAX_EXPONENT + 1)]
        found = {float(f"{ten * part:.3g}") for ten in tens for part in (1, 0.5, 0.25, 0.2)}
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


def _assign_blocks(rows: Floats) -> Integers:
    """Return the block of each bin."""
    before = np.cumsum(rows) - rows
    block = before // BLOCK_ROWS
    if rows.sum() - block[-1] * BLOCK_ROWS < BLOCK_ROWS and block[-1] > 0:
        block = np.minimum(block, max(int(rows.sum()) // BLOCK_ROWS - 1, 0))
    out: Integers = np.unique(block, return_inverse=True)[1].astype(np.int64)
    return out
