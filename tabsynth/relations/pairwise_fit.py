"""Unexplained variance of a straight line through two columns, for all pairs of columns with missing cells."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats

MAX_UNEXPLAINED_SHARE = 1e-3
"""A pair of columns is a candidate of a relation if at most this share of the variance is unexplained."""

MIN_PRESENT_SHARE = 0.25
"""Minimum share of rows in which both columns are present."""


def unexplained_shares(targets: Floats, sources: Floats) -> Floats:
    """Return the share of each target's variance that a line in each source leaves unexplained, (targets, sources)."""
    here, there = ~np.isnan(targets), ~np.isnan(sources)
    if here.all() and there.all():
        return _without_gaps(targets, sources)
    first, second = np.where(here, targets, 0.0), np.where(there, sources, 0.0)
    first = np.where(here, first - first.sum(1, keepdims=True) / np.maximum(here.sum(1, keepdims=True), 1), 0.0)
    second = np.where(there, second - second.sum(1, keepdims=True) / np.maximum(there.sum(1, keepdims=True), 1), 0.0)
    one, two = here.astype(float), there.astype(float)
    rows = one @ two.T
    with np.errstate(all="ignore"):
        mean, other = first @ two.T / rows, one @ second.T / rows
        covariance = first @ second.T / rows - mean * other
        variance = first**2 @ two.T / rows - mean**2
        spread = one @ (second**2).T / rows - other**2
        shares = 1 - covariance**2 / (variance * spread)
    return np.where((rows >= MIN_PRESENT_SHARE * targets.shape[1]) & np.isfinite(shares), shares, 1.0)


def _without_gaps(targets: Floats, sources: Floats) -> Floats:
    """Return the shares for columns without missing cells."""
    first = targets - targets.mean(axis=1, keepdims=True)
    second = sources - sources.mean(axis=1, keepdims=True)
    squares, others = np.square(first).sum(axis=1), np.square(second).sum(axis=1)
    with np.errstate(all="ignore"):
        shares = 1 - (first @ second.T) ** 2 / squares[:, None] / others
    return np.where(np.isfinite(shares), shares, 1.0)
