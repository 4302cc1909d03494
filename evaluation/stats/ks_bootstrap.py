"""Interval of the mean shape error, and family-wise bounds of the columns, from common bootstrap draws."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.bootstrap import Resample, familywise_bound, half_width
from tabsynth.evaluation.stats.encoded_table import EncodedTable

N_GRID_POINTS = 512
"""Number of points at which the draws (not the value) compare two continuous distributions."""


def shape_spread(real: EncodedTable, other: EncodedTable, rng: np.random.Generator) -> tuple[float, Floats]:
    """Return half the width of the 95 % interval of the mean shape error, and bounds of the columns, shape (d,)."""
    if min(len(real), len(other)) < 2:
        return 1.0, np.ones(len(real.encoding.names))
    draws, chance = shape_draws(real, other, Resample.of(len(real), len(other), rng))
    return half_width(draws.mean(axis=1)), familywise_bound(chance.mean(axis=0), chance.std(axis=0))


def shape_draws(real: EncodedTable, other: EncodedTable, resample: Resample) -> Floats:
    """Return draws and null values of the shape error of every column, shape (2, N_DRAWS, d)."""
    out = []
    continuous = iter(range(real.values.shape[1]))
    for j, size in enumerate(real.encoding.sizes):
        if real.encoding.continuous[j]:
            at = next(continuous)
            out.append(_number_draws(real.values[:, at], other.values[:, at], resample))
        else:
            out.append(resample.total_variation(real.codes[:, j], other.codes[:, j], int(size))[1])
    return np.stack(out, axis=-1)


def _number_draws(real: Floats, other: Floats, resample: Resample) -> Floats:
    """Return draws of the Kolmogorov-Smirnov distance on a grid, or the difference of missing shares if larger."""
    left, right, size = _grid_codes(real, other)
    steps = [np.cumsum(each, axis=1) for each in resample.share_deviations(left, right, size, skip=1)]
    p, q = (np.bincount(codes, minlength=size).astype(np.float64) for codes in (left, right))
    missing = p[0] / len(left) - q[0] / len(right)
    gap = np.cumsum(p[1:] / max(p[1:].sum(), 1.0) - q[1:] / max(q[1:].sum(), 1.0))
    absent = [each[:, :1] for each in resample.share_deviations(np.minimum(left, 1), np.minimum(right, 1), 2)]
    gaps = np.append(gap, missing)
    own, chance = (np.hstack([each, other]) for each, other in zip(steps, absent, strict=True))
    return resample.calibrate((own, chance), gaps, _largest, float(np.abs(gaps).max()))


def _largest(gap: Floats) -> Floats:
    return np.asarray(np.abs(gap).max(axis=-1))


def _grid_codes(real: Floats, other: Floats) -> tuple[Integers, Integers, int]:
    """Return codes of numbers on a grid of pooled quantiles (0 for missing), and the number of codes."""
    pooled = np.concatenate([real[~np.isnan(real)], other[~np.isnan(other)]])
    points = (
        np.unique(np.quantile(pooled, np.linspace(0, 1, N_GRID_POINTS), method="lower")) if len(pooled) else np.zeros(1)
    )
    codes = [np.where(np.isnan(x), 0, np.searchsorted(points, x, "left") + 1).astype(np.int64) for x in (real, other)]
    return codes[0], codes[1], len(points) + 1
