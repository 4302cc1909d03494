"""Fit a ``QuantileCoder``: cut a numeric column into bins shared by enough persons, and group bins into tokens."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tabsynth.codec.numbers.column_ends import are_rare_ends, extremes, round_ends
from tabsynth.codec.numbers.day_times import measure_day_times
from tabsynth.codec.numbers.gap_bins import Bins
from tabsynth.codec.numbers.inner_numbers import describe_inner_numbers
from tabsynth.codec.numbers.local_clock import LocalClock
from tabsynth.codec.numeric_encoder import QuantileCoder, count_persons
from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.schema.rounding import common_step, is_decimal, is_sparse

MAX_BINS = 2048
"""Upper bound on the number of intervals, so that the bins do not reproduce the raw column."""

MIN_SINGLE_DECIMALS = 4
"""Numbers of fewer decimals are no evidence of 32-bit floats."""

MIN_TAIL_ROWS = 8
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
    clock: LocalClock | None = None,
) -> QuantileCoder | None:
    """Fit the encoder to a numeric column.

    Args:
        data: The column, missing as NaN, shape (n,).
        tokens: Approximate number of tokens. A value with more than 1 / ``tokens`` of the rows gets its own token; so
            does every value if there are at most ``tokens`` of them.
        decimals: Decimals of the column; None leaves numbers inside an interval unrounded.
        min_group: Minimum persons of each bin, and the order statistic at which the ends are taken and rounded inward.
        persons: Person of each row, shape (n,); by default each row is its own person.
        low: Public lower bound, at which intervals are cut.
        high: Public upper bound, at which intervals are cut.
        units_per_day: For datetimes, units of the numbers per day.
        clock: For datetimes in a zone with summer time, the local time in which the bins are cut.

    Returns:
        The encoder, or None if fewer than ``min_group`` persons have a value.
    """
    present = ~np.isnan(data)
    clock = None if clock is None else clock.measure(data[present])
    kept = data[present] if clock is None else clock.to_local(data[present])
    order = np.argsort(kept, kind="stable")
    values = kept[order]
    who = None if persons is None else persons[present][order]
    floor = max(min_group, 1)
    if len(values) < floor or (who is not None and len(np.unique(who)) < floor):
        return None
    raw = values
    values = np.clip(values, *extremes(values, who, floor))
    unit = common_step(values, who, floor, decimals)
    step = 0.0 if decimals is None else unit / 10.0**decimals
    if decimals is not None and unit > 1:  # numbers of too few persons break it
        values = np.round(np.rint(values / step) * step, decimals)
    values, sparse = _snap_to_frequent(values, who, floor)
    moved = np.zeros(len(values), bool)
    if not sparse:
        values = np.clip(values, *round_ends(raw, who, values, floor, step, decimals))
        moved = are_rare_ends(raw, who, values, floor)
    # Amounts of histories: credits and debits follow different rules, so that no bin has numbers of both signs.
    below = 0 if who is None else int((values < 0).sum())
    start, is_value, row = _cut_bins(values, who, floor, tokens, sparse, below, moved)
    bin_low, bin_high = _bin_bounds(values, start, is_value, row, step)
    if below:
        ends = np.append(start[1:], len(values))
        bin_low = np.where(start >= below, np.maximum(bin_low, 0.0), bin_low)
        bin_high = np.where(ends <= below, np.minimum(bin_high, -step), bin_high)
    mass = np.diff(np.append(start, len(values))).astype(np.float64)
    bins, rounding = describe_inner_numbers(
        Bins(bin_low, bin_high, mass, _assign_tokens(mass, tokens, below)),
        values,
        np.where(moved, raw, values),
        who,
        start,
        floor=floor,
        step=step,
        units_per_day=units_per_day,
        has_gaps=not sparse,
    )
    bin_low, bin_high = bins.low, bins.high
    if low is not None:
        bin_low, bin_high = np.maximum(bin_low, low), np.maximum(bin_high, low)
    if high is not None:
        bin_low, bin_high = np.minimum(bin_low, high), np.minimum(bin_high, high)
    n_tokens = int(bins.token[-1]) + 1
    coder = QuantileCoder(
        low=bin_low,
        high=bin_high,
        mass=bins.mass,
        token=bins.token,
        edges=_bin_edges(bin_low, bin_high, below > 0),
        counts=np.zeros(n_tokens + 2, np.int64),
        allowed_tokens=np.ones(n_tokens + 2, bool),
        decimals=decimals,
        unit=unit,
        single=_is_single(raw, who, floor, decimals),
        day_times=measure_day_times(values, who, floor, units_per_day),
    )
    if clock is not None:
        coder = _in_utc(coder, clock)
    encoded = coder.encode(data)
    counts = np.bincount(encoded, minlength=coder.size).astype(np.int64)
    n_persons = counts if persons is None else count_persons(encoded, persons, coder.size)
    allowed = n_persons > 0
    allowed[coder.missing] = n_persons[coder.missing] >= floor
    return replace(coder, counts=counts, allowed_tokens=allowed, rounding=rounding)


def _in_utc(coder: QuantileCoder, clock: LocalClock) -> QuantileCoder:
    """Return an encoder of moments in UTC, from one of local times."""
    low, high = (np.maximum.accumulate(clock.to_utc(ends)) for ends in (coder.low, coder.high))
    return replace(coder, low=low, high=high, clock=clock)


def shared_decimals(data: Floats, persons: Integers | None = None, min_group: int = 1) -> int | None:
    """Return the fewest decimals that fewer than ``min_group`` persons exceed; None for over 15."""
    data, who = data[~np.isnan(data)], None if persons is None else persons[~np.isnan(data)]
    largest = float(np.abs(data).max(initial=0.0))
    for decimals in range(16):
        finer = ~is_decimal(data, decimals, largest)
        data, who = data[finer], None if who is None else who[finer]
        if (len(data) if who is None else len(np.unique(who))) < min_group:
            return decimals
    return None


def _is_single(values: Floats, who: Integers | None, floor: int, decimals: int | None) -> bool:
    """Return whether the numbers of all but fewer than ``floor`` persons are 32-bit floats that no short decimal is."""
    with np.errstate(over="ignore"):
        wide = values.astype(np.float32) != values
    persons = int(wide.sum()) if who is None else len(np.unique(who[wide]))
    return persons < floor and (decimals is None or decimals >= MIN_SINGLE_DECIMALS)


def _snap_to_frequent(values: Floats, who: Integers | None, floor: int) -> tuple[Floats, bool]:
    """Move rare sparse whole numbers to the nearest frequent one; also return whether the values are such numbers."""
    first = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    rows = np.diff(np.append(first, len(values)))
    n_persons = rows if who is None else count_persons(np.repeat(np.arange(len(first)), rows), who, len(first))
    if not is_sparse(values, n_persons, floor):
        return values, False
    known = values[first][n_persons >= floor]
    after = np.minimum(np.searchsorted(known, values), len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.where(np.abs(known[before] - values) < np.abs(known[after] - values), before, after)
    return known[nearer], True


def _cut_bins(
    values: Floats, who: Integers | None, floor: int, tokens: int, sparse: bool, below: int, moved: Bools
) -> tuple[Integers, npt.NDArray[np.bool_], Integers]:
    """Return the first row of each bin, whether the bin is one value, and a row that has that value."""
    first = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    rows = np.diff(np.append(first, len(values)))
    label = np.repeat(np.arange(len(first)), rows)
    n_persons = rows if who is None else count_persons(label, who, len(first))
    few = sparse or len(first) <= tokens
    group = floor if few else max(floor, math.ceil(len(values) / MAX_BINS))
    single = (n_persons >= floor) & (few | (rows >= group)) & ~moved[first]
    # Intervals between single values are cut at every `width` rows, counted from the interval's own start.
    width = max(group, min(2 * floor, len(values) // (2 * tokens)))
    interval = np.cumsum(single | np.append(False, single[:-1]) | ((first == below) & (below > 0)))
    begins = np.flatnonzero(np.diff(interval, prepend=-1))
    before = np.cumsum(rows) - rows
    within = (before - np.repeat(before[begins], np.diff(np.append(begins, len(first))))) // width
    cut = np.diff(interval, prepend=-1).astype(bool) | (np.diff(within, prepend=0) != 0)
    start = first[cut]
    is_value = single[cut]
    return _merge_small_bins(start, is_value, len(values), below, who, floor)


def _merge_small_bins(
    start: Integers, is_value: npt.NDArray[np.bool_], rows: int, below: int, who: Integers | None, floor: int
) -> tuple[Integers, npt.NDArray[np.bool_], Integers]:
    """Merge intervals of too few persons into a neighbour, of the same sign if any; ``below`` rows are negative."""
    stop = np.append(start[1:], rows)
    n_persons = stop - start
    if who is not None:
        n_persons = count_persons(np.repeat(np.arange(len(start)), n_persons), who, len(start))
    if (is_value | (n_persons >= floor)).all():
        return start, is_value, start
    merged: list[_Bin] = []
    for begin, end, alone in zip(start.tolist(), stop.tolist(), is_value.tolist(), strict=True):
        bin_ = _Bin(begin, end, alone, begin)
        # A small interval joins the interval before it, otherwise the single value beside it.
        last = merged[-1] if merged and (merged[-1].begin < below) == (begin < below) else None
        if last and not last.is_value and not alone and min(bin_.persons(who), last.persons(who)) < floor:
            merged[-1] = _Bin(last.begin, end, False, last.begin)
        else:
            merged.append(bin_)
    strong: list[_Bin] = []
    for bin_ in merged:
        weak_before = bool(strong) and not strong[-1].is_value and strong[-1].persons(who) < floor
        across = bool(strong) and (strong[-1].begin < below <= bin_.begin) and bin_ is not merged[-1]
        if strong and (weak_before or (not bin_.is_value and bin_.persons(who) < floor and not across)):
            last = strong[-1]
            single = bin_ if bin_.is_value else last
            strong[-1] = _Bin(last.begin, bin_.end, bin_.is_value or last.is_value, single.row)
        else:
            strong.append(bin_)
    return (
        np.array([bin_.begin for bin_ in strong], np.int64),
        np.array([bin_.is_value for bin_ in strong], bool),
        np.array([bin_.row for bin_ in strong], np.int64),
    )


class _Bin(NamedTuple):
    """Rows [begin, end) of the sorted values; a bin with ``is_value`` is the one value at ``row``."""

    begin: int
    end: int
    is_value: bool
    row: int

    def persons(self, who: Integers | None) -> int:
        """Return the distinct persons among the rows."""
        return self.end - self.begin if who is None else len(np.unique(who[self.begin : self.end]))


def _bin_bounds(
    values: Floats, start: Integers, is_value: npt.NDArray[np.bool_], row: Integers, step: float
) -> tuple[Floats, Floats]:
    """Return the ends of each bin: mean -+ twice the mean absolute deviation, which is exact for a uniform interval."""
    stop = np.append(start[1:], len(values))
    rows = stop - start
    single = is_value | (values[start] == values[stop - 1])
    middle = np.where(single, values[row], np.add.reduceat(values, start) / rows)
    spread = np.add.reduceat(np.abs(values - np.repeat(middle, rows)), start) / rows
    spread[single] = 0.0
    low, high = middle - 2 * spread, middle + 2 * spread
    left, right = slice(None, -1), slice(1, None)
    margin = np.where(is_value, step / 2, 0.0)
    # Two intervals with a gap narrower than they are share a border, because the gap may be due to chance.
    width = np.where(is_value[left] | is_value[right], 0.0, np.maximum(spread[left], spread[right]) * 4)
    over = high[left] + margin[left] + width > low[right] - margin[right]
    border = np.clip((high[left] + low[right]) / 2, middle[left], middle[right])
    border = np.where(is_value[left], np.minimum(middle[left] + step / 2, middle[right]), border)
    border = np.where(is_value[right], np.maximum(middle[right] - step / 2, middle[left]), border)
    high[left] = np.where(over & ~is_value[left], border, high[left])
    low[right] = np.where(over & ~is_value[right], border, low[right])
    return np.clip(low, values[0], values[-1]), np.clip(high, values[0], values[-1])


def _bin_edges(low: Floats, high: Floats, signed: bool) -> Floats:
    """Return the edges between bins: half way, but a single value has no width."""
    edges = (high[:-1] + low[1:]) / 2
    left, right = low[:-1] == high[:-1], low[1:] == high[1:]
    edges = np.where(left & ~right, np.nextafter(high[:-1], np.inf), edges)
    edges = np.where(right & ~left, low[1:], edges)
    return np.where(signed & (high[:-1] < 0) & (low[1:] >= 0), 0.0, edges)


def _assign_tokens(mass: Floats, tokens: int, below: int) -> Integers:
    """Return the token of each bin: one each if they suffice, else equal shares, heavy bins alone and finer tails."""
    if len(mass) <= tokens:
        return np.arange(len(mass), dtype=np.int64)
    total = float(mass.sum())
    share = total / tokens
    ends = np.cumsum(mass)
    tail = np.array([share / 2**i for i in range(1, 64) if share / 2**i >= MIN_TAIL_ROWS])
    heavy = mass >= share
    parts = (np.arange(1, tokens) * share, tail, total - tail, ends[heavy], (ends - mass)[heavy], np.array([below]))
    piece = np.searchsorted(np.unique(np.concatenate(parts)), ends - mass / 2, side="right")
    return np.unique(piece, return_inverse=True)[1].astype(np.int64)
