"""Bins for the rare numbers between point masses, such as the few odd amounts among round ones."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tabsynth.codec.numbers.rounding_units import Level, Levels
from tabsynth.common.arrays import Floats, Integers


class Bins(NamedTuple):
    """The bins of a column: ends, rows, and token of each, shape (bins,) each."""

    low: Floats
    high: Floats
    mass: Floats
    token: Integers


class Gaps(NamedTuple):
    """Gaps between neighbouring point masses: the bin before each, and the ends without the point masses."""

    bin_before: Integers
    low: Floats
    high: Floats


def find_gaps(bins: Bins, step: float) -> Gaps:
    """Return the gaps between neighbouring point masses that have room for other numbers.

    Args:
        bins: The bins.
        step: The finest step of the column, 0 for none.
    """
    single = bins.low == bins.high
    gap = np.flatnonzero(single[:-1] & single[1:] & (np.diff(bins.low) > 1.5 * step))
    low, high = bins.low[gap], bins.low[gap + 1]
    if step:
        return Gaps(gap, low + step / 2, high - step / 2)
    return Gaps(gap, np.nextafter(low, np.inf), np.nextafter(high, -np.inf))


def rare_rows(gaps: Gaps, values: Floats) -> tuple[Integers, Integers]:
    """Return the positions of the numbers in gaps, and the gap of each, shape (n,) each; the values are sorted."""
    if not len(gaps.low):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    at = np.maximum(np.searchsorted(gaps.low, values, side="right") - 1, 0)
    rare = np.flatnonzero((values >= gaps.low[at]) & (values <= gaps.high[at]))
    return rare, at[rare]


def gap_counts(gaps: Gaps, numbers: Floats, at: Integers, who: Integers | None, floor: int, levels: Levels) -> Floats:
    """Return the rows of each gap by rounding level, so that no count describes fewer than ``floor`` persons.

    The numbers of a level are pooled over neighbouring gaps until they are those of enough persons, and are spread
    over these gaps by the number of multiples in each.

    Args:
        gaps: The gaps.
        numbers: The numbers in gaps, sorted.
        at: The gap of each.
        who: Person of each; None if each row is one person.
        floor: Minimum persons of a pool.
        levels: The rounding levels of the numbers.
    """
    out = np.zeros((len(gaps.low), len(levels.units)))
    for number in range(len(levels.units)):
        rows = np.flatnonzero(levels.of_row == number)
        for pool in _pools(at[rows], None if who is None else who[rows], floor):
            out[:, number] += _spread(numbers[rows[pool]], at[rows[pool]], gaps, levels.units[: number + 1])
    return out


def _pools(at: Integers, who: Integers | None, floor: int) -> list[slice]:
    """Return consecutive rows of enough persons, those of one gap always together; none if all are too few."""
    first = [*np.flatnonzero(np.diff(at, prepend=-1)).tolist(), len(at)]
    out: list[slice] = []
    begin, persons = 0, set[int]()
    for start, stop in pairwise(first):
        persons |= set(range(start, stop) if who is None else who[start:stop].tolist())
        if len(persons) >= floor:
            out.append(slice(begin, stop))
            begin, persons = stop, set()
    if out and begin < len(at):
        out[-1] = slice(out[-1].start, len(at))
    return out


def _spread(numbers: Floats, at: Integers, gaps: Gaps, units: list[Level]) -> Floats:
    """Return the rows of each gap, with the numbers spread within twice their mean deviation of their mean."""
    out = np.zeros(len(gaps.low))
    middle = numbers.mean()
    spread = 2 * np.abs(numbers - middle).mean()
    pooled = slice(int(at[0]), int(at[-1]) + 1)
    low, high = gaps.low[pooled], gaps.high[pooled]
    within = np.maximum(low, middle - spread), np.minimum(high, middle + spread)
    for room in (_multiples(*within, units), _multiples(low, high, units), high - low):
        if room.any():
            out[pooled] = len(numbers) * room / room.sum()
            break
    return out


def _multiples(low: Floats, high: Floats, units: list[Level]) -> Floats:
    """Return how many multiples of the last unit, but of no coarser one, lie between two ends, shape (n,)."""
    unit, ending = units[-1]
    if not unit:
        return np.asarray(np.maximum(high - low, 0.0))
    coarser = [own for own, rest in units[:-1] if rest == ending and abs(own / unit - round(own / unit)) < 1e-9]
    count = [
        np.maximum(np.floor((high - ending) / own + 1e-9) - np.ceil((low - ending) / own - 1e-9) + 1, 0.0)
        for own in [unit, *coarser[-1:]]
    ]
    return np.asarray(np.maximum(count[0] - (count[1] if coarser else 0.0), 0.0))


def insert_gaps(bins: Bins, gaps: Gaps, rows: Floats, step: float) -> tuple[Bins, Integers]:
    """Return the bins with those of gaps, and the gap of each bin, -1 for the others.

    A gap belongs to the tokens of the point masses beside it, half to each if these differ.

    Args:
        bins: The bins.
        gaps: The gaps.
        rows: The rows of each gap, which the point masses do not count.
        step: The finest step of the column, 0 for none.
    """
    low, high, width = gaps.low, gaps.high, gaps.high - gaps.low
    middle = low + (np.maximum(np.floor(width / step / 2 + 0.25), 1.0) * step if step else width / 2)
    halved = (bins.token[gaps.bin_before] != bins.token[gaps.bin_before + 1]) & (middle < high - step / 2)
    middle = np.where(halved, middle, high)
    tokens = bins.token[gaps.bin_before], bins.token[gaps.bin_before + 1]
    left = (low, middle, rows * (middle - low) / width, tokens[0])
    right = (middle, high, rows * (high - middle) / width, tokens[1])
    order = np.argsort(np.concatenate([np.arange(len(bins.low)), gaps.bin_before + 0.3, gaps.bin_before[halved] + 0.6]))
    columns = zip(bins, left, right, strict=True)
    joined = (np.concatenate([own, one, two[halved]])[order] for own, one, two in columns)
    number = np.arange(len(low))
    return Bins(*joined), np.concatenate([np.full(len(bins.low), -1), number, number[halved]])[order]
