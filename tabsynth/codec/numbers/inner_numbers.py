"""Describe the numbers of a column that are no point masses: bins for rare ones, and the rounding of all."""

from __future__ import annotations

import numpy as np

from tabsynth.codec.numbers.gap_bins import Bins, find_gaps, gap_counts, insert_gaps, rare_rows
from tabsynth.codec.numbers.number_endings import frequent_endings
from tabsynth.codec.numbers.rounding_units import measure_rounding, rounding_levels
from tabsynth.codec.numbers.unit_frequencies import correct_frequencies
from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.rounding import Rounding


def describe_inner_numbers(
    bins: Bins,
    values: Floats,
    exact: Floats,
    who: Integers | None,
    start: Integers,
    *,
    floor: int,
    step: float,
    units_per_day: float | None,
    has_gaps: bool,
) -> tuple[Bins, Rounding | None]:
    """Return the bins with those of rare numbers between point masses, and the rounding of numbers inside bins.

    Args:
        bins: The bins; rare numbers are counted in the point mass beside them.
        values: All numbers, sorted.
        exact: The same, without the change of rare numbers to the ends of the column.
        who: Person of each row; None if each row is one person.
        start: The first row of each bin.
        floor: Minimum persons of a unit, and of the numbers that a bin describes.
        step: The finest step of the column, 0 for none.
        units_per_day: For datetimes, units of the numeric scale in a day; None for numbers.
        has_gaps: Whether numbers between point masses may be drawn; not those between codes.

    Returns:
        The bins, and the rounding; None if every number is rounded to the step alone.
    """
    bin_of = np.searchsorted(start, np.arange(len(values)), side="right") - 1
    is_inner = (bins.low < bins.high)[bin_of]
    at = np.full(len(values), -1)
    gaps = find_gaps(bins, step)
    if has_gaps:
        rare, of_rare = rare_rows(gaps, values)
        at[rare] = of_rare
    rows = np.flatnonzero((is_inner | (at >= 0)) & (exact != 0))  # zero is a multiple of every unit
    if not len(rows):
        return bins, None
    numbers, persons, at = values[rows], None if who is None else who[rows], at[rows]
    endings = frequent_endings(exact[rows], persons, floor, step, units_per_day)
    levels = rounding_levels(exact[rows], persons, floor=floor, step=step, units_per_day=units_per_day, endings=endings)
    level, bin_of, rare = levels.of_row, bin_of[rows], np.flatnonzero(at >= 0)
    rare_persons = None if persons is None else persons[rare]
    by_gap = gap_counts(gaps, numbers[rare], at[rare], rare_persons, floor, levels._replace(of_row=level[rare]))
    pooled = rare[np.asarray(by_gap.sum(axis=0) > 0)[level[rare]]]
    mass = bins.mass - np.bincount(bin_of[pooled], minlength=len(bins.mass))
    known = by_gap.sum(axis=1) > 0
    gaps = gaps._replace(**{name: own[known] for name, own in gaps._asdict().items()})
    counts = np.zeros((len(bins.low), len(levels.units)))
    inner = np.flatnonzero(at < 0)
    np.add.at(counts, (bin_of[inner], level[inner]), 1.0)
    bins, gap = insert_gaps(bins._replace(mass=mass), gaps, by_gap[known].sum(1), step)
    if levels.units == [(step, 0.0)]:
        return bins, None
    every = np.zeros((len(gap), len(levels.units)))
    every[gap < 0] = counts
    rounding = measure_rounding(bins.low, bins.high, every, gap, by_gap[known], levels)
    return bins, correct_frequencies(rounding, bins)
