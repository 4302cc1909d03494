"""Ties between columns under privacy: how often two numbers are the same though their tokens are wide, and where.

A payment that equals the bill before it is lost when both are placed at random inside their tokens. First the rows in
which two numbers are the same are counted, for every pair of columns of one kind and lattice. The pairs whose noisy
count is a share of the rows that matters are tied; their difference is then counted on few public cells, for each token
of the later column. ``ties.RecurringDifference`` decodes by it.

Sensitivity: every read gives a histogram in which a row falls in one cell or in none, so that a unit of k rows changes
it by at most k in Euclidean norm; the histograms are noised apart and each is charged its own share.
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
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader
from tabsynth.synthesizers.marginal.one_way_marginals import project_to_simplex

SEARCH_SHARE = 0.03
"""Share of the budget for the search, of which nothing is spent where noise would hide every tie."""

DIFFERENCE_SHARE = 0.01
"""Share of the budget for the differences of each tie, of many ties less."""

MAX_DIFFERENCES_SHARE = 0.08
"""Share of the budget for the differences of all ties."""

MIN_SIGMAS = 4.0
"""A tie stands out of the noise by as many standard deviations."""

MAX_HIDDEN_ROWS_SHARE = 0.2
"""No search where less than this share of the rows would be lost in the noise."""

ColumnReader = Callable[[str], Floats]


def measure_recurring_differences(
    schema: Schema, grids: Mapping[str, Grid], codec: Codec, lines: ColumnReader, rows: float, source: CountSource
) -> tuple[dict[str, RecurringDifference], float]:
    """Ties by their later column, and the share of the budget that they cost.

    Args:
        schema: The public schema.
        grids: The public cells of each column.
        codec: The tokens.
        lines: Reads a column's numbers, missing as NaN, shape (n,).
        rows: The noisy number of rows.
        source: Where counts come from.
    """
    pairs = candidate_pairs(schema, grids, codec)
    sigma = source.sigma(SEARCH_SHARE / len(pairs)) if pairs else np.inf
    if MIN_SIGMAS * sigma > MAX_HIDDEN_ROWS_SHARE * rows:
        return {}, 0.0
    coders = {name: _numeric_coder(codec, name) for pair in pairs for name in pair}
    reads = [_equality_reader(lines, coders, pair) for pair in pairs]
    names = sorted(coders)
    found = source.counts(
        reads, [SEARCH_SHARE / len(pairs)] * len(pairs), f"equal numbers in {len(pairs)} pairs", names
    )
    counts = [float(count[0]) for count in found]
    tied: list[tuple[str, str]] = []
    for place in np.argsort(counts)[::-1]:
        taken = {name for pair in tied for name in pair}
        if counts[place] >= max(MIN_SIGMAS * sigma, MIN_RECURRING_SHARE * rows) and not taken & set(pairs[place]):
            tied.append(pairs[place])
    if not tied:
        return {}, SEARCH_SHARE
    reads = [_difference_reader(lines, coders, pair) for pair in tied]
    names = sorted({name for pair in tied for name in pair})
    each = min(DIFFERENCE_SHARE, MAX_DIFFERENCES_SHARE / len(tied))
    tables = source.counts(reads, [each] * len(tied), f"differences of {len(tied)} pairs", names)
    ties = {
        own: _difference_of_counts(other, coders[own], difference_cells(coders[other], coders[own]), table)
        for (other, own), table in zip(tied, tables, strict=True)
    }
    return ties, SEARCH_SHARE + each * len(tied)


def candidate_pairs(schema: Schema, grids: Mapping[str, Grid], codec: Codec) -> list[tuple[str, str]]:
    """Pairs of wide lines of one kind and lattice whose ranges meet, by public facts alone; the earlier first."""
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
    """Public cells of a difference: zero alone, and powers of ten to both sides; ends of each cell."""
    step = 1e-9 if first.decimals is None else 10.0**-first.decimals
    low, high = second.low[0] - first.high[-1], second.high[-1] - first.low[0]
    most = max(abs(low), abs(high), 10 * step)
    tens = np.append(step * 10.0 ** np.arange(np.ceil(np.log10(most / step))), most)
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


def _wide_token_values(lines: ColumnReader, coders: Mapping[str, QuantileCoder], pair: tuple[str, str]) -> list[Floats]:
    """Numbers of both columns in the rows where both are in tokens that say less than they do."""
    data = [lines(name) for name in pair]
    here = np.ones(len(data[0]), bool)
    for name, values in zip(pair, data, strict=True):
        low, high = coders[name].token_bounds()
        token = coders[name].encode(values)
        here &= np.append(high > low, [False, False])[token]
    return [values[here] for values in data]


def _equality_reader(lines: ColumnReader, coders: Mapping[str, QuantileCoder], pair: tuple[str, str]) -> Reader:
    """Reads in how many rows both numbers are one; shape (1,)."""

    def read() -> Integers:
        first, second = _wide_token_values(lines, coders, pair)
        return np.array([np.count_nonzero(first == second)])

    return read


def _difference_reader(lines: ColumnReader, coders: Mapping[str, QuantileCoder], pair: tuple[str, str]) -> Reader:
    """Reads the cells of the difference within each token of the later column, shape (tokens * cells,)."""
    own = coders[pair[1]]
    lows, highs = difference_cells(coders[pair[0]], own)

    def read() -> Integers:
        first, second = _wide_token_values(lines, coders, pair)
        cell = np.searchsorted((highs[:-1] + lows[1:]) / 2, second - first, side="right")
        size = own.n_ordered_tokens * len(lows)
        return np.bincount(own.encode(second).astype(np.int64) * len(lows) + cell, minlength=size)

    return read


def _difference_of_counts(
    partner: str, own: QuantileCoder, cells: tuple[Floats, Floats], noisy: Floats
) -> RecurringDifference:
    """The tie of noisy counts; only equal numbers are kept together, the rest stays where its tokens put it."""
    lows, highs = cells
    every = np.arange(len(lows))
    found = []
    for counts in noisy.reshape(own.n_ordered_tokens, len(lows)):
        mass = np.maximum(project_to_simplex(counts, max(float(counts.sum()), 1.0)), 1e-6)
        rows = np.append(np.rint(mass), [0, 0]).astype(np.int64)
        emit = np.append(np.ones(len(lows), bool), [False, False])
        edges = (highs[:-1] + lows[1:]) / 2
        found.append(QuantileCoder(lows, highs, mass, every, edges, rows, emit, own.decimals))
    return RecurringDifference(
        partner, np.arange(own.n_ordered_tokens, dtype=np.int64), tuple(found), has_point_masses=True
    )
