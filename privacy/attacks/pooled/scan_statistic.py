"""Exact scan test for a concentration of members at the top of a ranking, of unknown depth.

A strong leak of few records affects the very top of a ranking and a weak leak of many reaches further down, so no
single depth is best. The statistic is the maximum Berk-Jones deviation over all depths (Berk and Jones, Z.
Wahrscheinlichkeitstheorie 47, 1979). Its p-value, the probability that a hypergeometric walk crosses the boundary, is
exact for an exchangeable order.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers

MAX_DEPTH_SHARE = 0.1
"""Maximum depth of the scan, as a share of all records."""

MIN_DEPTH, MAX_DEPTH = 20, 1_000


def rank_labels(score: Floats, is_member: npt.NDArray[np.bool_], tie_order: Integers) -> npt.NDArray[np.bool_]:
    """Return the membership of the records with the highest scores, ties in random order, shape (depth,).

    Records with the minimum score are excluded, because their order has no meaning.
    """
    order = tie_order[np.argsort(-score[tie_order], kind="stable")]
    depth = max(MIN_DEPTH, min(int(MAX_DEPTH_SHARE * len(score)), MAX_DEPTH))
    return np.asarray(is_member[order[: min(depth, int((score > score.min()).sum()))]])


def scan_statistic(labels: npt.NDArray[np.bool_], share: float) -> tuple[float, int]:
    """Return the maximum deviation of the share of members among the first k records, and its k; 0 without records."""
    if not len(labels):
        return 0.0, 0
    k = np.arange(1, len(labels) + 1)
    deviation = _deviation(np.cumsum(labels), k, share)
    best = int(deviation.argmax())
    return float(deviation[best]), best + 1


@lru_cache(maxsize=1024)
def scan_p_value(statistic: float, members: int, controls: int, depth: int) -> float:
    """Return the probability of a statistic at least as large if the order is exchangeable.

    Args:
        statistic: The statistic of ``scan_statistic``.
        members: Number of members in the whole ranking.
        controls: Number of other records in it.
        depth: Number of scanned records.

    Example:
        >>> from math import log
        >>> [round(scan_p_value(20 * log(2), 500, 500, depth), 7) for depth in (20, 100)]  # the first 20 are members
        [8e-07, 1.5e-06]
    """
    if statistic <= 0:
        return 1.0
    total = members + controls
    boundary = _boundary(statistic, depth, members / total)
    walk = np.zeros(depth + 2)  # probability of each number of members so far, without a crossing
    walk[0], crossed = 1.0, 0.0
    remaining = np.maximum(members - np.arange(depth + 2), 0)
    for k, bound in enumerate(boundary.tolist(), 1):
        top = min(k, bound)
        step = walk[:top] * remaining[:top] / (total - k + 1)
        walk[:top] -= step
        walk[1 : top + 1] += step
        if bound <= k:
            crossed += float(walk[bound:].sum())
            walk[bound:] = 0.0
    return min(crossed, 1.0)


def _deviation(count: Integers, k: Integers, share: float) -> Floats:
    """Return the Kullback-Leibler divergence of count / k from a share, times k; 0 at or below the share."""
    rate = count / k
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(rate > 0, rate * np.log(rate / share), 0.0)
        down = np.where(rate < 1, (1 - rate) * np.log((1 - rate) / (1 - share)), 0.0)
    return np.asarray(np.where(rate > share, k * (up + down), 0.0))


def _boundary(statistic: float, depth: int, share: float) -> Integers:
    """Return, for each number of records k, the minimum members that reach a statistic; k + 1 if none do."""
    k = np.arange(1, depth + 1)
    low, high = np.zeros(depth, np.int64), k + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        reached = _deviation(np.minimum(middle, k), k, share) >= statistic - 1e-9
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.asarray(high)
