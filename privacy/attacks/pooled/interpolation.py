"""Interpolation: a synthetic row that lies exactly on the line between two real rows.

SMOTE and its variants place rows between a record and another one. Such a row may be far from both, but in the numeric
columns the directions to the two are exactly opposite, which chance does not bring. Rounded numbers hide it.
"""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.pooled.real_rows import RealRows

MAX_INTERPOLATED_ROWS = 1_000
"""Maximum number of synthetic rows that are searched."""

MIN_NUMERIC_COLUMNS = 3
"""Numeric columns in which the two records must differ: on a grid of whole numbers, lines in a plane are common."""

TOLERANCE = 1e-10


def is_applicable(table: EncodedTable) -> bool:
    """Return whether the table has enough numeric columns."""
    return bool(table.values.shape[1] >= MIN_NUMERIC_COLUMNS)


def score_interpolation(real: RealRows, made: EncodedTable) -> Floats:
    """Return the synthetic rows of which each real row is one of the two ends, shape (n,).

    A row that lies between many pairs, as on a grid of whole numbers, counts for none.
    """
    ends = [pair for pair in (_find_ends(real, row) for row in made.values[:MAX_INTERPOLATED_ROWS]) if pair is not None]
    return np.bincount(np.array(ends, dtype=np.int64).ravel(), minlength=len(real.table)).astype(np.float64)


def _find_ends(real: RealRows, row: Floats) -> tuple[int, int] | None:
    """Return the only two real rows on a line through a row and on both sides of it, if there are."""
    away = (real.table.values - row) / real.space.spread
    length = np.sqrt((away**2).sum(axis=1))
    usable = np.flatnonzero(length > 1e-9)  # neither a copy nor missing
    if len(usable) < 2:
        return None
    directions = away[usable] / length[usable, None]
    projected = directions @ _random_direction(directions.shape[1])
    ahead, behind = np.flatnonzero(projected >= 0), np.flatnonzero(projected < 0)
    if not len(ahead) or not len(behind):
        return None
    behind = behind[np.argsort(-projected[behind], kind="stable")]
    opposite = -projected[behind]
    after = np.searchsorted(opposite, projected[ahead])
    ends: list[tuple[int, int]] = []
    for at in (np.minimum(after, len(behind) - 1), np.maximum(after - 1, 0)):
        near = np.flatnonzero(np.abs(opposite[at] - projected[ahead]) < TOLERANCE)
        one, other = ahead[near], behind[at[near]]
        same = np.abs(directions[one] + directions[other]).max(axis=1) < 10 * TOLERANCE
        same &= (np.abs(directions[one]) > TOLERANCE).sum(axis=1) >= MIN_NUMERIC_COLUMNS
        ends += zip(usable[one[same]].tolist(), usable[other[same]].tolist(), strict=True)
    distinct = set(ends)
    return distinct.pop() if len(distinct) == 1 else None


def _random_direction(size: int) -> Floats:
    """Return a fixed direction that no grid has."""
    return np.random.default_rng(size).normal(size=size)
