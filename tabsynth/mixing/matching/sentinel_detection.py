"""Detect numbers that mean missing: a spike at 0, -9 or 999 that the other sources do not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tabsynth.common.arrays import Floats
from tabsynth.mixing.matching.column_profiles import MIN_SPIKE_ROWS, SENTINELS, Profile

MAX_CHANCE_PROBABILITY = 1e-6
"""Maximum p-value of a spike: the probability of so many equal values, given the other sources."""


@dataclass(frozen=True)
class Sentinel:
    """A number that probably means missing, in ``count`` rows of ``source``.

    Attributes:
        certain: Whether it lies outside the range of every other source.
        why: The evidence.
    """

    source: str
    value: float
    count: int
    certain: bool
    why: str


def find_sentinels(column: Profile, mine: Floats, others: Sequence[Floats]) -> list[Sentinel]:
    """Find the sentinels of one source's column.

    Args:
        column: Its profile.
        mine: All its numbers.
        others: The numbers of the other sources, in this source's unit.
    """
    if column.is_coded and column.spikes:
        low, high = min(mine[~np.isin(mine, list(column.spikes))]), max(mine[~np.isin(mine, list(column.spikes))])
        return [
            Sentinel(column.source, value, count, False, f"{value:g} in {count} rows, beside codes {low:g} to {high:g}")
            for value, count in column.spikes.items()
        ]
    if not len(mine) or (column.is_coded and not (mine == mine[0]).all()):
        return []
    kept = [other[~np.isin(other, list(SENTINELS))] for other in others]
    pooled = np.concatenate(kept) if kept else np.empty(0)
    found = [
        _test_candidate(column, mine, float(value), pooled, others) for value in sorted(set(mine) & SENTINELS, key=abs)
    ]
    return [item for item in found if item is not None]


def _test_candidate(
    column: Profile, mine: Floats, value: float, pooled: Floats, others: Sequence[Floats]
) -> Sentinel | None:
    """Compare one candidate with the other sources, or with the source itself where there are none."""
    count = int((mine == value).sum())
    alone = value in column.spikes
    if count < MIN_SPIKE_ROWS and not alone:
        return None
    rest = mine[mine != value]
    if len(pooled) < 20:
        if not alone:
            return None
        return Sentinel(column.source, value, count, False, f"{value:g} in {count} rows, far from all other values")
    low, high = np.quantile(pooled, [0.001, 0.999])
    inside = low <= value <= high
    # The rule of three: an upper bound of the frequency of a number that is absent from the other sources.
    times, rows = sum(int((other == value).sum()) for other in others), sum(map(len, others))
    chance = max(times, 3) / max(rows, 1)
    usual = float(stats.binom.sf(count - 1, len(mine), min(chance, 1.0))) > MAX_CHANCE_PROBABILITY
    spread = float(np.subtract(*np.quantile(pooled, [0.95, 0.05]))) or 1.0
    far = float(np.abs(pooled - value).min()) > 0.1 * spread
    if inside or (usual and not alone) or not (far or alone):
        return None
    share = count / len(mine)
    if not len(rest):
        why = f"every value is {value:g}, which no other source has"
    else:
        bounds = f"{_round_bound(low)} and {_round_bound(high)}"
        why = f"{value:g} in {share:.0%} of the values; the others lie between {bounds}"
    return Sentinel(column.source, value, count, far and not usual, why)


def _round_bound(value: float) -> str:
    """Return a bound rounded to two digits, so that it does not disclose one person's value."""
    return f"{float(f'{value:.2g}'):g}"
