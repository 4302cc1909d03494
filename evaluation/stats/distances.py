"""Distances between the columns, and between the pairs of columns, of two tables.

The definitions are those of SDMetrics (KSComplement, TVComplement, CorrelationSimilarity, ContingencySimilarity), as
errors: 1 - similarity. Missing values are included: they are an additional value of a category and an additional row of
a contingency table, and a number's error is at least the difference of the shares of missing values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_DENSE_CELLS = 4_000_000
"""Maximum number of cells of a dense contingency table."""


def shape_errors(real: EncodedTable, other: EncodedTable) -> Floats:
    """Return the distance of every column's distribution, shape (d,), each from 0 to 1.

    The distance is the total variation for categories, and for numbers the Kolmogorov-Smirnov statistic of the present
    values, or the difference of the shares of missing values if that is larger.
    """
    out = np.empty(len(real.encoding.names))
    continuous = iter(range(real.values.shape[1]))
    for j, size in enumerate(real.encoding.sizes):
        if real.encoding.continuous[j]:
            at = next(continuous)
            out[j] = number_distance(real.values[:, at], other.values[:, at])
        else:
            p = np.bincount(real.codes[:, j], minlength=size) / len(real)
            q = np.bincount(other.codes[:, j], minlength=size) / len(other)
            out[j] = 0.5 * np.abs(p - q).sum()
    return np.clip(out, 0.0, 1.0)


def trend_errors(real: EncodedTable, other: EncodedTable) -> Floats:
    """Return the distance of every pair's relation, shape (d, d), each from 0 to 1.

    The distance is half the difference of Pearson correlations for two numbers, otherwise the total variation between
    the contingency tables, with numbers in ten equal-width bins of the real table's range.
    """
    d = len(real.encoding.names)
    out = np.zeros((d, d))
    at = np.flatnonzero(real.encoding.continuous)
    if len(at):
        out[np.ix_(at, at)] = correlation_distance(
            pairwise_correlations(real.values), pairwise_correlations(other.values)
        )
    for (a, b), _, (left, right) in contingency_tables([real, other]):
        out[a, b] = out[b, a] = total_variation(left, right, len(real), len(other))
    return np.clip(out, 0.0, 1.0)


def pairwise_correlations(values: Floats) -> Floats:
    """Return Pearson correlations over pairwise complete rows, shape (c, c); NaN if a column does not vary."""
    return correlations_from_moments(pairwise_moments(standardise(values)))


def number_distance(real: Floats, other: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance, or the difference of missing shares if larger.

    It is 1 if only the real column has values.
    """
    a, b = np.sort(real[~np.isnan(real)]), np.sort(other[~np.isnan(other)])
    missing = abs(len(a) / len(real) - len(b) / len(other))
    if not len(a) or not len(b):
        return 1.0 if len(a) else missing
    # Each distribution function is farthest above the other at one of its own values, after the last equal one.
    above = (np.arange(len(a)) + 1) / len(a) - np.searchsorted(b, a, "right") / len(b)
    below = (np.arange(len(b)) + 1) / len(b) - np.searchsorted(a, b, "right") / len(a)
    return max(float(above.max()), float(below.max()), missing)


def standardise(values: Floats) -> Floats:
    """Scale columns to mean 0 and standard deviation 1 (0 if constant) for numerical stability; NaN is preserved."""
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    centred = values - np.where(present, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(present, centred, 0.0) ** 2).sum(axis=0) / count)
    largest = np.abs(np.where(present, values, 0.0)).max(axis=0, initial=0.0)
    constant = deviation <= 1e-12 * largest
    scaled = np.where(constant, 0.0, centred) / np.where(constant, 1.0, deviation)
    return np.where(present, scaled, np.nan)


def pairwise_moments(values: Floats) -> Floats:
    """Return counts, sums, sums of squares and products over pairwise complete rows.

    Args:
        values: Shape (..., rows, c).

    Returns:
        Shape (..., 4, c, c).
    """
    present = (~np.isnan(values)).astype(np.float64)
    filled = np.nan_to_num(values)
    turned = np.swapaxes(filled, -1, -2)
    counts = np.swapaxes(present, -1, -2) @ present
    return np.stack([counts, turned @ present, turned**2 @ present, turned @ filled], axis=-3)


def correlations_from_moments(pairwise_moments: Floats) -> Floats:
    """Return Pearson correlations from moments of shape (..., 4, c, c)."""
    count, total, squares, product = np.moveaxis(pairwise_moments, -3, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        other = np.swapaxes(total, -1, -2)
        variance = squares / count - (total / count) ** 2
        both = variance * np.swapaxes(variance, -1, -2)
        covariance = product / count - total * other / count**2
        out = np.where((variance > 1e-12) & (np.swapaxes(variance, -1, -2) > 1e-12), covariance / np.sqrt(both), np.nan)
    return np.clip(out, -1.0, 1.0)


def correlation_distance(real: Floats, other: Floats) -> Floats:
    """Return half the difference of correlations; 1 if a correlation is defined in the real table only."""
    gap = np.abs(np.nan_to_num(real) - np.nan_to_num(other)) / 2
    gap = np.where(np.isnan(other) & ~np.isnan(real), 1.0, gap)
    index = np.arange(gap.shape[-1])
    gap[..., index, index] = 0.0
    return gap


def contingency_pairs(table: EncodedTable) -> list[tuple[int, int]]:
    """Return the pairs of columns with at least one category."""
    continuous = table.encoding.continuous
    return [(a, b) for a, b in combinations(range(len(continuous)), 2) if not (continuous[a] and continuous[b])]


def contingency_tables(tables: Sequence[EncodedTable]) -> Iterator[tuple[tuple[int, int], Integers, list[Integers]]]:
    """Yield contingency tables of each pair of columns with at least one category.

    Yields:
        The two columns; the cell of every row of the concatenated tables, shape (rows,); and the counts of the cells in
        each table, shape (cells,) each.
    """
    codes = np.ascontiguousarray(np.vstack([table.codes for table in tables]).T)  # contiguous columns
    ends = np.cumsum([len(table) for table in tables])
    sizes = tables[0].encoding.sizes
    for a, b in contingency_pairs(tables[0]):
        size = int(sizes[a] * sizes[b])
        keys = codes[a] * sizes[b] + codes[b]
        if size > MAX_DENSE_CELLS:  # count only the cells that occur
            occurring, keys = np.unique(keys, return_inverse=True)
            size = len(occurring)
        yield (a, b), keys, [np.bincount(part, minlength=size) for part in np.split(keys, ends[:-1])]


def total_variation(left: Integers, right: Integers, n: int, m: int) -> float:
    """Return the total variation between counts of n and of m rows, with an exact integer sum."""
    return 0.5 * float(np.abs(left * m - right * n).sum()) / (n * m)
