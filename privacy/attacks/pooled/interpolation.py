"""Interpolation: a synthetic row that lies exactly on the line between two real rows.

SMOTE and its variants interpolate between two records. Such a row may be far from both, but in the numeric columns the
directions to the two are exactly opposite, which does not happen by chance. Rounding hides it.
"""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.pooled.real_rows import RealRows

MAX_INTERPOLATED_ROWS = 1_000
"""Maximum number of tested synthetic rows."""

MIN_NUMERIC_COLUMNS = 3
"""Minimum number of numeric columns in which the records differ; on a grid of integers, lines in a plane are common."""

TOLERANCE = 1e-10


def is_applicable(table: EncodedTable) -> bool:
    """Return whether the table has enough numeric columns."""
    return bool(table.values.shape[1] >= MIN_NUMERIC_COLUMNS)


def score_interpolation(real: RealRows, synthetic: EncodedTable) -> Floats:
    """Return the number of synthetic rows of which each real row is an end, shape (n,).

    A synthetic row that lies between several pairs, as on a grid of integers, is not counted.
    """
    axis = _random_direction(synthetic.values.shape[1])
    rows = synthetic.values[:MAX_INTERPOLATED_ROWS]
    ends = [pair for pair in (_find_ends(real, row, axis) for row in rows) if pair is not None]
    return np.bincount(np.array(ends, dtype=np.int64).ravel(), minlength=len(real.table)).astype(np.float64)


def _find_ends(real: RealRows, row: Floats, axis: Floats) -> tuple[int, int] | None:
    """Return the only two real rows on a line through a row, on either side of it; None if there are more or fewer."""
    offset = real.table.values - row
    offset /= real.space.spread
    length = np.sqrt(np.einsum("ij,ij->i", offset, offset))
    length[~(length > 1e-9)] = np.nan  # a copy or missing
    projected = (offset @ axis) / length
    if not _has_near_opposites(projected):
        return None
    positive, negative = np.flatnonzero(projected >= 0), np.flatnonzero(projected < 0)
    if not len(positive) or not len(negative):
        return None
    # Both sides in order: a search for sorted numbers stays in the cache.
    positive = positive[np.argsort(projected[positive])]
    negative = negative[np.argsort(-projected[negative], kind="stable")]
    ahead, opposite = projected[positive], -projected[negative]
    position = np.searchsorted(opposite, ahead)
    ends: list[tuple[int, int]] = []
    for at in (np.minimum(position, len(negative) - 1), np.maximum(position - 1, 0)):
        near = np.flatnonzero(np.abs(opposite[at] - ahead) < TOLERANCE)
        if not len(near):
            continue
        one, other = positive[near], negative[at[near]]
        first, second = (offset[side] / length[side, None] for side in (one, other))
        collinear = np.abs(first + second).max(axis=1) < 10 * TOLERANCE
        collinear &= (np.abs(first) > TOLERANCE).sum(axis=1) >= MIN_NUMERIC_COLUMNS
        ends += zip(one[collinear].tolist(), other[collinear].tolist(), strict=True)
    distinct = set(ends)
    return distinct.pop() if len(distinct) == 1 else None


def _has_near_opposites(projected: Floats) -> bool:
    """Return whether two numbers of different sign and nearly equal size are among these."""
    numbers = projected[~np.isnan(projected)]
    # The sign is in the lowest bit of the size: numbers are sorted several times as fast as their positions. Between
    # two near opposites, the sign changes between two neighbours that are as near.
    keys = (np.abs(numbers).view(np.int64) & ~1) | (numbers < 0)
    keys.sort()
    sizes = keys.view(np.float64)
    near = sizes[1:] - sizes[:-1] < 2 * TOLERANCE
    return bool((near & ((keys[1:] ^ keys[:-1]) & 1).astype(np.bool_)).any())


def _random_direction(size: int) -> Floats:
    """Return a fixed direction that is not a direction of a grid."""
    return np.random.default_rng(size).normal(size=size)
