"""Recurring differences between numeric columns, measured under differential privacy.

If two numbers are sampled independently inside wide tokens, an equality such as payment = bill is lost. The search
counts, for every pair of columns of one kind and step, the rows in which both numbers are equal. Pairs whose noisy
count exceeds a minimum share of the rows are selected, and their difference is counted on a few public cells for each
token of the later column. ``relations.recurring_differences.RecurringDifference`` samples from these counts.

Sensitivity: each query is a histogram in which a row falls in at most one cell, so a unit of k rows changes it by at
most k in Euclidean norm. Each histogram has independent noise and is charged its own share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np

from tabsynth.codec.codec import Codec
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.recurring_differences import MIN_RECURRING_SHARE, RecurringDifference
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.count_estimates import project_to_simplex
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader

SEARCH_SHARE = 0.03
"""Maximum share of the budget for the search; nothing is spent if noise would hide every equality."""

DIFFERENCE_SHARE = 0.01
"""Maximum share of the budget for the differences of each pair."""

MAX_DIFFERENCES_SHARE = 0.08
"""Maximum share of the budget for the differences of all pairs together."""

MIN_SIGMAS = 4.0
"""Minimum noisy count of equal rows, in standard deviations of its noise."""

MAX_SEARCH_NOISE = 0.125
"""Sufficient precision of the search: standard deviation of the noise, relative to the minimum number of equal rows."""

MAX_HIDDEN_ROWS_SHARE = 0.2
"""The search is skipped if equalities in this share of the rows would be hidden by noise."""

ColumnReader = Callable[[str], Floats]


def measure_recurring_differences(
    schema: Schema, grids: Mapping[str, Grid], codec: Codec, read_column: ColumnReader, rows: float, source: CountSource
) -> tuple[dict[str, RecurringDifference], float]:
    """Measure recurring differences by their later column; also return the share of the budget that was spent.

    Args:
        schema: The public schema.
        grids: The public cells of each column.
        codec: The codec of the public schema.
        read_column: Function that reads a column's numbers, missing as NaN, shape (n,).
        rows: The noisy number of rows.
        source: The source of noisy counts, which charges them.
    """
    pairs = candidate_pairs(schema, grids, codec)
    each = search_share(len(pairs), rows, source)
    if not each:
        return {}, 0.0
    sigma = source.sigma(each)
    coders = {name: _numeric_coder(codec, name) for pair in pairs for name in pair}
    reads = [_equality_reader(read_column, coders, pair) for pair in pairs]
    names = sorted(coders)
    measured = source.counts(reads, [each] * len(pairs), f"equal numbers in {len(pairs)} pairs", names)
    counts = [float(count[0]) for count in measured]
    selected: list[tuple[str, str]] = []
    for place in np.argsort(counts)[::-1]:
        taken = {name for pair in selected for name in pair}
        if counts[place] >= max(MIN_SIGMAS * sigma, MIN_RECURRING_SHARE * rows) and not taken & set(pairs[place]):
            selected.append(pairs[place])
    if not selected:
        return {}, each * len(pairs)
    reads = [_difference_reader(read_column, coders, pair) for pair in selected]
    names = sorted({name for pair in selected for name in pair})
    share_each = min(DIFFERENCE_SHARE, MAX_DIFFERENCES_SHARE / len(selected))
    tables = source.counts(reads, [share_each] * len(selected), f"differences of {len(selected)} pairs", names)
    differences = {
        own: _difference_of_counts(other, coders[own], difference_cells(coders[other], coders[own]), table)
        for (other, own), table in zip(selected, tables, strict=True)
    }
    return differences, each * len(pairs) + share_each * len(selected)


def search_share(pairs: int, rows: float, source: CountSource) -> float:
    """Return the share of the budget for the search of each pair; 0 if noise would hide every equality."""
    if not pairs:
        return 0.0
    most = SEARCH_SHARE / pairs
    if MIN_SIGMAS * source.sigma(most) > MAX_HIDDEN_ROWS_SHARE * rows:
        return 0.0
    # The variance of the noise is inversely proportional to the share.
    wanted = MAX_SEARCH_NOISE * MIN_RECURRING_SHARE * rows
    return most * min(1.0, (source.sigma(most) / wanted) ** 2)


def candidate_pairs(schema: Schema, grids: Mapping[str, Grid], codec: Codec) -> list[tuple[str, str]]:
    """Return pairs of numeric columns of one kind and step whose declared ranges overlap, the earlier column first."""
    wide = [name for name, grid in grids.items() if grid.line and bool((grid.low < grid.high).any())]
    wide = [name for name in wide if isinstance(codec.coders[name], QuantileCoder)]
    return [
        (a, b)
        for a, b in combinations(wide, 2)
        if _lattice(schema[a]) == _lattice(schema[b])
        and grids[a].low[0] < grids[b].high[-1]
        and grids[b].low[0] < grids[a].high[-1]
    ]


def difference_cells(first: QuantileCoder, second: QuantileCoder) -> tuple[Floats, Floats]:
    """Return the ends of the public cells of a difference: zero, and powers of ten on both sides."""
    step = 1e-9 if first.decimals is None else 10.0**-first.decimals
    low, high = second.low[0] - first.high[-1], second.high[-1] - first.low[0]
    largest = max(abs(low), abs(high), 10 * step)
    tens = np.append(step * 10.0 ** np.arange(np.ceil(np.log10(largest / step))), largest)
    ends = np.unique(tens)
    lows = np.concatenate([-ends[:0:-1], [0.0], ends[:-1]])
    highs = np.concatenate([-ends[-2::-1], [0.0], ends[1:]])
    return lows, highs


def _lattice(column: Column) -> tuple[str, object]:
    if isinstance(column, Datetime):
        return "datetime", column.resolution
    return column.kind, column.decimals if isinstance(column, Numeric) else None


def _numeric_coder(codec: Codec, name: str) -> QuantileCoder:
    coder = codec.coders[name]
    assert isinstance(coder, QuantileCoder)
    return coder


def _wide_token_values(
    read_column: ColumnReader, coders: Mapping[str, QuantileCoder], pair: tuple[str, str]
) -> list[Floats]:
    """Read both columns in the rows in which both tokens contain more than one number."""
    data = [read_column(name) for name in pair]
    here = np.ones(len(data[0]), bool)
    for name, values in zip(pair, data, strict=True):
        low, high = coders[name].token_bounds()
        token = coders[name].encode(values)
        here &= np.append(high > low, [False, False])[token]
    return [values[here] for values in data]


def _equality_reader(read_column: ColumnReader, coders: Mapping[str, QuantileCoder], pair: tuple[str, str]) -> Reader:
    """Return a reader of the number of rows with equal numbers, shape (1,)."""

    def read() -> Integers:
        first, second = _wide_token_values(read_column, coders, pair)
        return np.array([np.count_nonzero(first == second)])

    return read


def _difference_reader(read_column: ColumnReader, coders: Mapping[str, QuantileCoder], pair: tuple[str, str]) -> Reader:
    """Return a reader of the difference's histogram in each token of the later column, shape (tokens * cells,)."""
    own = coders[pair[1]]
    lows, highs = difference_cells(coders[pair[0]], own)

    def read() -> Integers:
        first, second = _wide_token_values(read_column, coders, pair)
        cell = np.searchsorted((highs[:-1] + lows[1:]) / 2, second - first, side="right")
        size = own.n_ordered_tokens * len(lows)
        return np.bincount(own.encode(second).astype(np.int64) * len(lows) + cell, minlength=size)

    return read


def _difference_of_counts(
    partner: str, own: QuantileCoder, cells: tuple[Floats, Floats], noisy: Floats
) -> RecurringDifference:
    """Build a recurring difference from noisy counts; only equal numbers are sampled jointly."""
    lows, highs = cells
    every = np.arange(len(lows))
    measured = []
    for counts in noisy.reshape(own.n_ordered_tokens, len(lows)):
        mass = np.maximum(project_to_simplex(counts, max(float(counts.sum()), 1.0)), 1e-6)
        rows = np.append(np.rint(mass), [0, 0]).astype(np.int64)
        emit = np.append(np.ones(len(lows), bool), [False, False])
        edges = (highs[:-1] + lows[1:]) / 2
        measured.append(QuantileCoder(lows, highs, mass, every, edges, rows, emit, own.decimals))
    return RecurringDifference(
        partner, np.arange(own.n_ordered_tokens, dtype=np.int64), tuple(measured), has_point_masses=True
    )
