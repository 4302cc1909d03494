"""Distances between the columns, and the pairs of columns, of two tables.

The definitions are those of SDMetrics (KSComplement, TVComplement, CorrelationSimilarity, ContingencySimilarity), as
errors: 1 - similarity. Missing values count: a category has one more value, "missing"; a number's error is at least
the difference of the shares of missing values; a contingency table has a row for missing.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from tabsynth.evaluation.coded import Coded, Floats, Ints

FULL = 4_000_000
"""Cells of a contingency table up to which every one is counted, empty ones too."""


def shape_errors(real: Coded, other: Coded) -> Floats:
    """Distance of every column's distribution, shape (d,), each from 0 to 1.

    Total variation for categories. For numbers the Kolmogorov-Smirnov statistic of the present values, or the
    difference of the shares of missing values if that is larger.
    """
    out = np.empty(len(real.book.names))
    continuous = iter(range(real.values.shape[1]))
    for j, size in enumerate(real.book.sizes):
        if real.book.continuous[j]:
            at = next(continuous)
            out[j] = _number_distance(real.values[:, at], other.values[:, at])
        else:
            p = np.bincount(real.codes[:, j], minlength=size) / len(real)
            q = np.bincount(other.codes[:, j], minlength=size) / len(other)
            out[j] = 0.5 * np.abs(p - q).sum()
    return np.clip(out, 0.0, 1.0)


def trend_errors(real: Coded, other: Coded) -> Floats:
    """Distance of every pair's relation, shape (d, d), each from 0 to 1.

    Half the difference of Pearson's correlations for two numbers; else the total variation between the contingency
    tables, where a number is cut into ten equal-width bins of the real table's range.
    """
    d = len(real.book.names)
    out = np.zeros((d, d))
    at = np.flatnonzero(real.book.continuous)
    if len(at):
        out[np.ix_(at, at)] = correlation_distance(correlations(real.values), correlations(other.values))
    # both tables in one count, the other one's rows as negatives; columns lie together and keys are small, for speed
    codes = np.ascontiguousarray(np.vstack([real.codes, other.codes]).T.astype(np.int32))
    n, m = len(real), len(other)
    weights = np.r_[np.full(n, float(m)), np.full(m, -float(n))]  # whole numbers, so that the sums are exact
    for a, b in contingency_pairs(real):
        width, size = int(real.book.sizes[b]), int(real.book.sizes[a] * real.book.sizes[b])
        keys = codes[a].astype(np.int64) * width + codes[b] if size > 2**31 else codes[a] * np.int32(width) + codes[b]
        if size > FULL:  # more cells than are worth an array: keep those that occur
            keys = np.unique(keys, return_inverse=True)[1]
        out[a, b] = out[b, a] = 0.5 * np.abs(np.bincount(keys, weights)).sum() / (n * m)
    return np.clip(out, 0.0, 1.0)


def correlations(values: Floats) -> Floats:
    """Pearson's correlations over the rows where both are present, shape (c, c); NaN where one does not vary."""
    return correlations_of(moments(standardised(values)))


def _number_distance(real: Floats, other: Floats) -> float:
    """Kolmogorov-Smirnov, or the difference in missing shares if larger; 1 if only the real column has values."""
    a, b = np.sort(real[~np.isnan(real)]), np.sort(other[~np.isnan(other)])
    missing = abs(len(a) / len(real) - len(b) / len(other))
    if not len(a) or not len(b):
        return 1.0 if len(a) else missing
    points = np.concatenate([a, b])
    gap = np.searchsorted(a, points, "right") / len(a) - np.searchsorted(b, points, "right") / len(b)
    return max(float(np.abs(gap).max()), missing)


def standardised(values: Floats) -> Floats:
    """Columns with mean 0 and deviation 1 (all 0 if constant), NaN kept: sums of squares then lose no digits."""
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    centred = values - np.where(present, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(present, centred, 0.0) ** 2).sum(axis=0) / count)
    largest = np.abs(np.where(present, values, 0.0)).max(axis=0, initial=0.0)
    constant = deviation <= 1e-12 * largest
    scaled = np.where(constant, 0.0, centred) / np.where(constant, 1.0, deviation)
    return np.where(present, scaled, np.nan)


def moments(values: Floats) -> Floats:
    """Pairwise counts, sums, sums of squares and products over rows where both are present, shape (4, c, c)."""
    present = (~np.isnan(values)).astype(np.float64)
    filled = np.nan_to_num(values)
    return np.stack([present.T @ present, filled.T @ present, (filled**2).T @ present, filled.T @ filled])


def correlations_of(moments: Floats) -> Floats:
    """Pearson's correlations of moments with shape (..., 4, c, c)."""
    count, total, squares, product = np.moveaxis(moments, -3, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        other = np.swapaxes(total, -1, -2)
        variance = squares / count - (total / count) ** 2
        both = variance * np.swapaxes(variance, -1, -2)
        covariance = product / count - total * other / count**2
        out = np.where((variance > 1e-12) & (np.swapaxes(variance, -1, -2) > 1e-12), covariance / np.sqrt(both), np.nan)
    return np.clip(out, -1.0, 1.0)


def correlation_distance(real: Floats, other: Floats) -> Floats:
    """Half the difference; 1 where a correlation is defined in the real table only."""
    gap = np.abs(np.nan_to_num(real) - np.nan_to_num(other)) / 2
    gap = np.where(np.isnan(other) & ~np.isnan(real), 1.0, gap)
    index = np.arange(gap.shape[-1])
    gap[..., index, index] = 0.0
    return gap


def contingency_pairs(table: Coded) -> list[tuple[int, int]]:
    """Pairs of which at least one is a category."""
    continuous = table.book.continuous
    return [(a, b) for a, b in combinations(range(len(continuous)), 2) if not (continuous[a] and continuous[b])]


def pair_keys(real: Coded, other: Coded, a: int, b: int) -> tuple[Ints, Ints, int]:
    """One number for each pair of codes, in both tables, and how many there are."""
    width, size = int(real.book.sizes[b]), int(real.book.sizes[a] * real.book.sizes[b])
    left = real.codes[:, a] * width + real.codes[:, b]
    right = other.codes[:, a] * width + other.codes[:, b]
    if size > 4 * (len(left) + len(right)):  # more cells than rows could fill: keep those that occur
        cells, keys = np.unique(np.concatenate([left, right]), return_inverse=True)
        return keys[: len(left)], keys[len(left) :], len(cells)
    return left, right, size
