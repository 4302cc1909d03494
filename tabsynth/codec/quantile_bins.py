"""Measure a ``QuantileCoder``: cut a column of numbers into runs that rest on enough persons, and runs into tokens."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tabsynth.codec.numeric_encoder import QuantileCoder, persons_per
from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.rounding import is_sparse, measure_rounding

KNOTS = 2048
"""A stretch holds at least one 2048th of the rows, so that the table of runs stays short and holds no raw column."""

TAIL = 8
"""The outermost tokens are halved until they hold about this many rows, for heavy tails."""


def measure_quantiles(
    data: Floats,
    *,
    tokens: int,
    decimals: int | None,
    min_group: int = 5,
    persons: Integers | None = None,
    low: float | None = None,
    high: float | None = None,
    units_per_day: float | None = None,
) -> QuantileCoder | None:
    """Measure a column of numbers.

    Args:
        data: The column, missing as NaN, shape (n,).
        tokens: About how many tokens to cut the line into; values held by more than a ``tokens``-th of the rows get a
            token of their own, and so does every value where there are no more than ``tokens`` of them.
        decimals: Decimals that the column keeps; None leaves numbers inside a stretch unrounded.
        min_group: How many persons each knot rests on, and the order statistic at which extremes are taken.
        persons: Who each row is about, shape (n,); by default every row is a person of its own.
        low: Public lower bound, at which stretches are cut.
        high: Public upper bound, at which stretches are cut.
        units_per_day: For datetimes, how many units of the line a day has.

    Returns:
        The coder, or None when fewer than ``min_group`` persons have a value.
    """
    present = ~np.isnan(data)
    order = np.argsort(data[present], kind="stable")
    values = data[present][order]
    who = None if persons is None else persons[present][order]
    floor = max(min_group, 1)
    if len(values) < floor or (who is not None and len(np.unique(who)) < floor):
        return None
    values = np.clip(values, *_extremes(values, who, floor))
    values, sparse = _known_only(values, who, floor)
    unit = _unit(values, decimals)
    start, own, row = _runs(values, who, floor, tokens, sparse)
    step = 0.0 if decimals is None else unit / 10.0**decimals
    run_low, run_high = _ends(values, start, own, row, step)
    rounding = measure_rounding(
        values, who, start, run_low, run_high, floor=floor, step=step, units_per_day=units_per_day
    )
    if low is not None:
        run_low, run_high = np.maximum(run_low, low), np.maximum(run_high, low)
    if high is not None:
        run_low, run_high = np.minimum(run_low, high), np.minimum(run_high, high)
    mass = np.diff(np.append(start, len(values))).astype(np.float64)
    token = _tokens(mass, tokens)
    line = int(token[-1]) + 1
    coder = QuantileCoder(
        low=run_low,
        high=run_high,
        mass=mass,
        token=token,
        edges=_edges(run_low, run_high),
        counts=np.zeros(line + 2, np.int64),
        emit=np.ones(line + 2, bool),
        decimals=decimals,
        unit=unit,
    )
    encoded = coder.encode(data)
    counts = np.bincount(encoded, minlength=coder.size).astype(np.int64)
    held = counts if persons is None else persons_per(encoded, persons, coder.size)
    emit = held > 0
    emit[coder.missing] = held[coder.missing] >= floor
    return replace(coder, counts=counts, emit=emit, rounding=rounding)


def decimals_of(data: Floats, most: int = 15) -> int | None:
    """The fewest decimals to which every number is already rounded, or None."""
    data = data[~np.isnan(data)]
    for decimals in range(most + 1):
        sample = data[:1000]
        if (np.round(sample, decimals) == sample).all() and (np.round(data, decimals) == data).all():
            return decimals
    return None


def _extremes(values: Floats, who: Integers | None, floor: int) -> tuple[float, float]:
    """The floor-th smallest and largest value by person; one middle value where they would cross."""
    if who is None:
        low, high = values[floor - 1], values[len(values) - floor]
    else:
        low, high = values[_nth_person(who, floor)], values[len(who) - 1 - _nth_person(who[::-1], floor)]
    return (float(low), float(high)) if low <= high else (float(np.median(values)),) * 2


def _nth_person(who: Integers, nth: int) -> int:
    """Position at which the nth distinct person appears."""
    return int(np.sort(np.unique(who, return_index=True)[1])[nth - 1])


def _unit(values: Floats, decimals: int | None) -> int:
    """The greatest common divisor of all values, in units of the last decimal."""
    if decimals is None or np.abs(values).max() * 10.0**decimals >= 2.0**53:
        return 1
    return max(int(np.gcd.reduce(np.abs(np.rint(np.unique(values) * 10.0**decimals)).astype(np.int64))), 1)


def _known_only(values: Floats, who: Integers | None, floor: int) -> tuple[Floats, bool]:
    """Sparse whole numbers, those of too few persons moved to the nearest known one; and whether they are sparse."""
    first = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    rows = np.diff(np.append(first, len(values)))
    held = rows if who is None else persons_per(np.repeat(np.arange(len(first)), rows), who, len(first))
    if not is_sparse(values, held, floor):
        return values, False
    known = values[first][held >= floor]
    after = np.minimum(np.searchsorted(known, values), len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.where(np.abs(known[before] - values) < np.abs(known[after] - values), before, after)
    return known[nearer], True


def _runs(
    values: Floats, who: Integers | None, floor: int, tokens: int, sparse: bool
) -> tuple[Integers, npt.NDArray[np.bool_], Integers]:
    """First row of each run, whether the run is one value, and a row that holds that value."""
    first = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    rows = np.diff(np.append(first, len(values)))
    label = np.repeat(np.arange(len(first)), rows)
    held = rows if who is None else persons_per(label, who, len(first))
    few = sparse or len(first) <= tokens
    group = floor if few else max(floor, math.ceil(len(values) / KNOTS))
    single = (held >= floor) & (few | (rows >= group))
    # Stretches between single values: cut at every `group` rows, counted from the stretch's own start.
    stretch = np.cumsum(single | np.append(False, single[:-1]))
    begins = np.flatnonzero(np.diff(stretch, prepend=-1))
    before = np.cumsum(rows) - rows
    within = (before - np.repeat(before[begins], np.diff(np.append(begins, len(first))))) // group
    cut = np.diff(stretch, prepend=-1).astype(bool) | (np.diff(within, prepend=0) != 0)
    start = first[cut]
    own = single[cut]
    return _merged(start, own, len(values), who, floor)


def _merged(
    start: Integers, own: npt.NDArray[np.bool_], rows: int, who: Integers | None, floor: int
) -> tuple[Integers, npt.NDArray[np.bool_], Integers]:
    """Join stretches of too few persons to a neighbour; also the row that holds each single run's value."""
    stop = np.append(start[1:], rows)
    held = stop - start
    if who is not None:
        held = persons_per(np.repeat(np.arange(len(start)), held), who, len(start))
    if (own | (held >= floor)).all():
        return start, own, start
    joined: list[_Run] = []
    for begin, end, alone in zip(start.tolist(), stop.tolist(), own.tolist(), strict=True):
        run = _Run(begin, end, alone, begin)
        # A weak stretch goes to the stretch before it, and else, at the end, to the single value beside it.
        if joined and not joined[-1].own and not alone and min(run.persons(who), joined[-1].persons(who)) < floor:
            joined[-1] = _Run(joined[-1].begin, end, False, joined[-1].begin)
        else:
            joined.append(run)
    strong: list[_Run] = []
    for run in joined:
        weak_before = bool(strong) and not strong[-1].own and strong[-1].persons(who) < floor
        if strong and (weak_before or (not run.own and run.persons(who) < floor)):
            last = strong[-1]
            single = run if run.own else last
            strong[-1] = _Run(last.begin, run.end, run.own or last.own, single.row)
        else:
            strong.append(run)
    return (
        np.array([run.begin for run in strong], np.int64),
        np.array([run.own for run in strong], bool),
        np.array([run.row for run in strong], np.int64),
    )


class _Run(NamedTuple):
    """Rows [begin, end) of the sorted values; ``own`` runs are the one value at ``row``."""

    begin: int
    end: int
    own: bool
    row: int

    def persons(self, who: Integers | None) -> int:
        """Distinct persons among the rows."""
        return self.end - self.begin if who is None else len(np.unique(who[self.begin : self.end]))


def _ends(
    values: Floats, start: Integers, own: npt.NDArray[np.bool_], row: Integers, step: float
) -> tuple[Floats, Floats]:
    """Ends of each run: median -+ twice the mean absolute deviation, which is exact for a uniform stretch."""
    stop = np.append(start[1:], len(values))
    rows = stop - start
    middle = np.where(own, values[row], values[(start + stop - 1) // 2])
    spread = np.add.reduceat(np.abs(values - np.repeat(middle, rows)), start) / rows
    spread[own] = 0.0
    low, high = middle - 2 * spread, middle + 2 * spread
    left, right = slice(None, -1), slice(1, None)
    margin = np.where(own, step / 2, 0.0)
    over = high[left] + margin[left] > low[right] - margin[right]
    border = np.clip((high[left] + low[right]) / 2, middle[left], middle[right])
    border = np.where(own[left], np.minimum(middle[left] + step / 2, middle[right]), border)
    border = np.where(own[right], np.maximum(middle[right] - step / 2, middle[left]), border)
    high[left] = np.where(over & ~own[left], border, high[left])
    low[right] = np.where(over & ~own[right], border, low[right])
    return np.clip(low, values[0], values[-1]), np.clip(high, values[0], values[-1])


def _edges(low: Floats, high: Floats) -> Floats:
    """Where runs part: a single value is met only by itself, otherwise half way."""
    edges = (high[:-1] + low[1:]) / 2
    left, right = low[:-1] == high[:-1], low[1:] == high[1:]
    edges = np.where(left & ~right, np.nextafter(high[:-1], np.inf), edges)
    return np.where(right & ~left, low[1:], edges)


def _tokens(mass: Floats, tokens: int) -> Integers:
    """The token of each run: one each where they suffice, else equal shares with heavy runs alone and finer tails."""
    if len(mass) <= tokens:
        return np.arange(len(mass), dtype=np.int64)
    total = float(mass.sum())
    share = total / tokens
    ends = np.cumsum(mass)
    tail = [share / 2**i for i in range(1, 64) if share / 2**i >= TAIL]
    heavy = mass >= share
    breaks = np.unique(
        np.concatenate(
            [
                np.arange(1, tokens) * share,
                tail,
                total - np.array(tail),
                ends[heavy],
                (ends - mass)[heavy],
            ]
        )
    )
    piece = np.searchsorted(breaks, ends - mass / 2, side="right")
    return np.unique(piece, return_inverse=True)[1].astype(np.int64)
