"""How far the fidelity errors would move with other rows: a delete-a-group jackknife on counts."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

from tabsynth.evaluation.coded import Coded, Floats, Ints
from tabsynth.evaluation.distance import (
    contingency_pairs,
    correlation_distance,
    correlations_of,
    moments,
    pair_keys,
    standardised,
)

GROUPS = 20
"""Groups of rows that the jackknife leaves out in turn."""

INTERVAL_ROWS = 50_000
"""Rows a side that the jackknife looks at; the spread is scaled to all rows."""

GRID = 512
"""Points at which the jackknife (not the value) compares two continuous distributions."""


def spreads(real: Coded, other: Coded, rng: np.random.Generator) -> tuple[float, float]:
    """Half widths of the 95 % intervals of the mean shape and mean trend error, as fractions.

    Delete-a-group jackknife (Kott, "The delete-a-group jackknife", Journal of Official Statistics 17, 2001): the g-th
    replicate leaves the g-th group of rows out of both tables, so that the sampling noise of both counts. A bootstrap
    would be biased here: drawing rows twice adds distance of its own.
    """
    sides = [_subsample(table, rng) for table in (real, other)]
    groups = min(GROUPS, len(sides[0]), len(sides[1]))
    if groups < 2:
        return 1.0, 1.0
    marks = [rng.permutation(len(table)) % groups for table in sides]
    shape = _jackknife(_shape_replicates(sides[0], sides[1], marks[0], marks[1], groups))
    pairs = len(real.book.names) > 1
    trend = _jackknife(_trend_replicates(sides[0], sides[1], marks[0], marks[1], groups)) if pairs else 0.0
    used = 1 / len(sides[0]) + 1 / len(sides[1])
    scale = float(np.sqrt((1 / len(real) + 1 / len(other)) / used))
    return shape * scale, trend * scale


def _subsample(table: Coded, rng: np.random.Generator) -> Coded:
    return table if len(table) <= INTERVAL_ROWS else table.take(rng.permutation(len(table))[:INTERVAL_ROWS])


def _jackknife(replicates: Floats) -> float:
    """Half width of the 95 % interval from leave-one-group-out replicates, shape (g,)."""
    g = len(replicates)
    variance = (g - 1) / g * float(((replicates - replicates.mean()) ** 2).sum())
    half: float = float(student.ppf(0.975, g - 1)) * variance**0.5
    return half


def _left_out(keys: Ints, size: int, marks: Ints, groups: int) -> Floats:
    """Shares of each key with one group left out, shape (groups, size)."""
    counts = np.bincount(marks * size + keys, minlength=groups * size).reshape(groups, size)
    rest = (counts.sum(axis=0) - counts).astype(np.float64)
    shares: Floats = rest / rest.sum(axis=1, keepdims=True)
    return shares


def _shape_replicates(real: Coded, other: Coded, left: Ints, right: Ints, groups: int) -> Floats:
    """Mean shape error with each group of rows left out, shape (groups,)."""
    total = np.zeros(groups)
    continuous = iter(range(real.values.shape[1]))
    for j, size in enumerate(real.book.sizes):
        if not real.book.continuous[j]:
            p = _left_out(real.codes[:, j], int(size), left, groups)
            q = _left_out(other.codes[:, j], int(size), right, groups)
            total += 0.5 * np.abs(p - q).sum(axis=1)
            continue
        at = next(continuous)
        a, b, cells = _grid_codes(real.values[:, at], other.values[:, at])
        p, q = _left_out(a, cells, left, groups), _left_out(b, cells, right, groups)
        total += np.maximum(_grid_distance(p, q), np.abs(p[:, 0] - q[:, 0]))
    return total / len(real.book.names)


def _grid_codes(real: Floats, other: Floats) -> tuple[Ints, Ints, int]:
    """Codes of numbers on a grid of pooled quantiles, 0 for missing, and how many codes there are."""
    pooled = np.concatenate([real[~np.isnan(real)], other[~np.isnan(other)]])
    points = np.unique(np.quantile(pooled, np.linspace(0, 1, GRID), method="lower")) if len(pooled) else np.zeros(1)
    codes = [np.where(np.isnan(x), 0, np.searchsorted(points, x, "left") + 1).astype(np.int64) for x in (real, other)]
    return codes[0], codes[1], len(points) + 1


def _grid_distance(p: Floats, q: Floats) -> Floats:
    """Kolmogorov-Smirnov over the present values of shares with shape (groups, cells)."""
    cumulative: list[Floats] = []
    for shares in (p, q):
        present = shares[:, 1:].sum(axis=1, keepdims=True)
        cumulative.append(np.cumsum(shares[:, 1:], axis=1) / np.where(present > 0, present, 1.0))
    distance: Floats = np.abs(cumulative[0] - cumulative[1]).max(axis=1)
    return distance


def _trend_replicates(real: Coded, other: Coded, left: Ints, right: Ints, groups: int) -> Floats:
    """Mean trend error with each group of rows left out, shape (groups,)."""
    d = len(real.book.names)
    total = np.zeros(groups)
    if real.values.shape[1] > 1:
        found = [
            correlations_of(_left_out_moments(table.values, marks, groups))
            for table, marks in ((real, left), (other, right))
        ]
        total += correlation_distance(found[0], found[1]).sum(axis=(1, 2)) / 2
    for a, b in contingency_pairs(real):
        keys, others, size = pair_keys(real, other, a, b)
        p, q = _left_out(keys, size, left, groups), _left_out(others, size, right, groups)
        total += 0.5 * np.abs(p - q).sum(axis=1)
    return total / (d * (d - 1) / 2)


def _left_out_moments(values: Floats, marks: Ints, groups: int) -> Floats:
    """``moments`` with one group left out, shape (groups, 4, c, c)."""
    scaled = standardised(values)
    each = np.stack([moments(scaled[marks == g]) for g in range(groups)])
    rest: Floats = each.sum(axis=0) - each
    return rest
