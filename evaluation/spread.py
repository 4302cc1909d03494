"""The intervals of the mean shape and trend errors, from one set of draws of both tables."""

from __future__ import annotations

import numpy as np

from tabsynth.evaluation.coded import Coded, Floats, Ints
from tabsynth.evaluation.distance import (
    contingency_pairs,
    correlation_distance,
    correlations_of,
    moments,
    pair_keys,
    standardised,
)
from tabsynth.evaluation.resample import Resample, Side, half_width

GRID = 512
"""Points at which the draws (not the value) compare two continuous distributions."""


def spreads(real: Coded, other: Coded, rng: np.random.Generator) -> tuple[float, float]:
    """Half widths of the 95 % intervals of the mean shape and mean trend error, as fractions."""
    if min(len(real), len(other)) < 2:
        return 1.0, 1.0
    resample = Resample.of(len(real), len(other), rng)
    shape = half_width(shape_draws(real, other, resample).mean(axis=1))
    trend = half_width(_trend_draws(real, other, resample)) if len(real.book.names) > 1 else 0.0
    return shape, trend


def shape_draws(real: Coded, other: Coded, resample: Resample) -> Floats:
    """Shape error of every column under every draw, shape (DRAWS, d)."""
    out = []
    continuous = iter(range(real.values.shape[1]))
    for j, size in enumerate(real.book.sizes):
        if real.book.continuous[j]:
            at = next(continuous)
            out.append(_number_draws(real.values[:, at], other.values[:, at], resample))
        else:
            out.append(resample.variation(real.codes[:, j], other.codes[:, j], int(size))[1])
    return np.column_stack(out)


def _number_draws(real: Floats, other: Floats, resample: Resample) -> Floats:
    """Kolmogorov-Smirnov on a grid, or the difference of missing shares if larger, under every draw."""
    left, right, size = _grid_codes(real, other)
    steps = [np.cumsum(each, axis=1) for each in resample.shift(left, right, size, skip=1)]
    p, q = (np.bincount(codes, minlength=size).astype(np.float64) for codes in (left, right))
    missing = p[0] / len(left) - q[0] / len(right)
    gap = np.cumsum(p[1:] / max(p[1:].sum(), 1.0) - q[1:] / max(q[1:].sum(), 1.0))
    absent = [each[:, :1] for each in resample.shift(np.minimum(left, 1), np.minimum(right, 1), 2)]
    gaps = np.append(gap, missing)
    own, chance = (np.hstack([each, other]) for each, other in zip(steps, absent, strict=True))
    return resample.calibrated((own, chance), gaps, _largest, float(np.abs(gaps).max()))


def _largest(gap: Floats) -> Floats:
    return np.asarray(np.abs(gap).max(axis=-1))


def _grid_codes(real: Floats, other: Floats) -> tuple[Ints, Ints, int]:
    """Codes of numbers on a grid of pooled quantiles, 0 for missing, and how many codes there are."""
    pooled = np.concatenate([real[~np.isnan(real)], other[~np.isnan(other)]])
    points = np.unique(np.quantile(pooled, np.linspace(0, 1, GRID), method="lower")) if len(pooled) else np.zeros(1)
    codes = [np.where(np.isnan(x), 0, np.searchsorted(points, x, "left") + 1).astype(np.int64) for x in (real, other)]
    return codes[0], codes[1], len(points) + 1


def _trend_draws(real: Coded, other: Coded, resample: Resample) -> Floats:
    """Mean trend error under every draw, shape (DRAWS,)."""
    d = len(real.book.names)
    total = np.zeros(resample.left.weights.shape[0])
    c = real.values.shape[1]
    if c > 1:
        (r, r_drawn), (s, s_drawn) = (
            _correlation_draws(table.values, side) for table, side in ((real, resample.left), (other, resample.right))
        )
        upper = np.triu_indices(c, 1)
        observed = correlation_distance(r, s)[upper]
        defined = ~(np.isnan(r) | np.isnan(s))[upper]
        gap = np.nan_to_num(r - s)[upper][defined]
        deviation = np.nan_to_num((r_drawn - r) - (s_drawn - s))[:, upper[0], upper[1]][:, defined]
        total += resample.calibrated(deviation, gap, lambda x: np.abs(x) / 2, observed[defined]).sum(axis=1)
    for a, b in contingency_pairs(real):
        left, right, size = pair_keys(real, other, a, b)
        total += resample.variation(left, right, size)[1]
    return np.asarray(total / (d * (d - 1) / 2))


def _correlation_draws(values: Floats, side: Side) -> tuple[Floats, Floats]:
    """Correlations of the rows drawn from, shape (c, c), and under every draw, shape (DRAWS, c, c)."""
    scaled = standardised(values)[side.rows]
    groups = side.weights.shape[1]
    each = np.stack([moments(scaled[side.marks == g]) for g in range(groups)])
    drawn = (side.weights @ each.reshape(groups, -1)).reshape(-1, *each.shape[1:])
    return correlations_of(each.sum(axis=0)), correlations_of(drawn)
