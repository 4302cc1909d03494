"""Measure how often the numbers of a column are rounded to each unit, by range of values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.rounding import FRACTIONS, MAX_ERROR_STEPS, PARTS_OF_A_DAY, Rounding, nearest_with_ending

BLOCK_ROWS = 50
"""Minimum rows of a block of neighbouring bins."""
MAX_EXPONENT, MIN_EXPONENT = 9, -15
"""Powers of ten of the candidate rounding units."""


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
    endings: Sequence[tuple[float, float]] = (),
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
        endings: Frequent endings: periods and remainders.

    Returns:
        The rounding, or None if every number is rounded to the step alone.
    """
    is_value = low == high
    rows = np.diff(np.append(start, len(values)))
    inside = np.repeat(~is_value, rows) & (values != 0)  # zero is a multiple of every unit
    if not inside.any():
        return None
    plain = [(unit, 0.0) for unit in candidate_units(step, units_per_day)]
    units = sorted([*plain, *endings], key=lambda unit: (-unit[0], unit[1]))
    level = _coarsest_unit(values[inside], units)
    if step:
        # Digits below the step are errors of floating-point arithmetic, or too rare to be released.
        level = np.minimum(level, len(units) - 1)
    persons = np.arange(len(level)) if who is None else who[inside]
    n_persons = np.bincount(np.unique(np.stack([level, persons]), axis=1)[0], minlength=len(units) + 1)
    merged = _merge_rare_levels(n_persons, floor)
    names, level = np.unique(merged[level], return_inverse=True)
    observed = [units[at] if at < len(units) else (0.0, 0.0) for at in names]
    if observed == [(step, 0.0)]:
        return None
    block = _assign_blocks(np.where(is_value, 0, rows))
    counts = np.zeros((int(block[-1]) + 1, len(names)))
    np.add.at(counts, (np.repeat(block, rows)[inside], level), 1.0)
    # Numbers too rare for a bin of their own are counted as the single value beside them: others have their units.
    joined = np.repeat(is_value, rows) & (values != np.repeat(low, rows)) & (values != 0)
    for numbers, sign in ((values[joined], 1.0), (np.repeat(low, rows)[joined], -1.0)):
        own = np.minimum(_coarsest_unit(numbers, units), len(merged) - 1)
        known = np.isin(merged[own], names)
        at = np.searchsorted(names, merged[own][known])
        np.add.at(counts, (np.repeat(block, rows)[joined][known], at), sign)
    counts = np.maximum(counts, 0.0)
    first = np.flatnonzero(np.diff(block, prepend=-1))
    last = np.append(first[1:], len(start)) - 1
    border = np.concatenate([low[:1], (high[:-1] + low[1:]) / 2, high[-1:]])
    # Blocks without such numbers of their own have the units of the whole column.
    shares = (counts + counts.sum(0) / max(float(counts.sum()), 1.0)) / (counts.sum(1, keepdims=True) + 1.0)
    observed_units, observed_endings = np.array(observed).T
    return Rounding(
        observed_units,
        block,
        shares,
        border[first],
        border[last + 1],
        observed_endings if observed_endings.any() else None,
    )


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
