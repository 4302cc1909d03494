"""Evidence of a bound or an order: rows that would violate it if distributions or dependences continued smoothly."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit, ndtri

from tabsynth.common.arrays import Bools, Floats

MIN_STEPS = 100
"""Minimum size of numbers, in steps, whose ratios count as continuous."""

MIN_MASS_SHARE, MIN_MASS_RATIO = 0.05, 5.0
"""Minimum share of the rows with one number that is a point mass, and minimum ratio to the rows of its neighbours."""

EDGE_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of the rows from which the width of the intervals beside a bound is estimated."""

MIN_COMPARED_ROWS = 20
"""Minimum rows of two neighbouring intervals that are compared."""

MAX_SCALE_TOKENS = 12
"""Maximum number of tokens of a slot without order that may be the steps of a scale."""

N_NEWTON_STEPS, MAX_NEWTON_STEP, RIDGE = 20, 3.0, 1e-2
"""Number and maximum size of the Newton steps of a logistic regression, and its penalty, which bounds its weights."""


def log_ratios(first: Floats, second: Floats, step: float) -> Floats:
    """Return the logarithms of ``second / first`` in the rows whose ratio is approximately continuous.

    A part of a sum is bounded by the sum. If sums differ in size, few rows are near this boundary by their difference,
    but many by their ratio.

    Args:
        first: The smaller numbers, shape (n,).
        second: The larger ones, shape (n,).
        step: The smallest difference between two numbers.
    """
    fine = first > MIN_STEPS * step
    return np.asarray(np.log(second[fine] / first[fine]))


def smooth_violations(margin: Floats, step: float, *, concave: bool = False) -> float:
    """Return the expected rows just below 0 by log-linear extrapolation of the margins' two outermost bins.

    Args:
        margin: The margins, ascending, shape (n,).
        step: The smallest difference between two numbers.
        concave: Whether the ratio of neighbouring bins continues to fall as between the outermost three, as in the
            tails of a normal distribution.
    """
    if not len(margin):
        return 0.0
    best = 0.0
    for share in (0.02, 0.05, 0.1, 0.2):
        width = max(float(margin[int(share * (len(margin) - 1))]) / 2, step)
        if width <= 0:
            width = float(margin[min(int(np.searchsorted(margin, 0.0, side="right")), len(margin) - 1)]) or np.inf
        ends = np.searchsorted(margin, width * np.arange(1, 4)).tolist()
        inner, outer, third = ends[0], ends[1] - ends[0], ends[2] - ends[1]
        if inner:
            ratio = min(1.0, inner / max(outer, 1))
            if concave and ratio < 1 and third:
                ratio *= min(1.0, ratio * third / max(outer, 1))
            best = max(best, inner * ratio)
    return best


def without_point_masses(data: Floats) -> Floats:
    """Leave out frequent numbers whose neighbours are rare, such as a zero among amounts, except the least number.

    Args:
        data: The numbers, ascending, shape (n,).
    """
    least = max(int(MIN_MASS_SHARE * len(data)), 1)
    if not (data[least:] == data[:-least]).any():
        return data
    first = np.flatnonzero(np.diff(data, prepend=np.nan) != 0)
    known, count = data[first], np.diff(first, append=len(data))
    padded = np.pad(count, 2)
    beside = np.max([padded[:-4], padded[1:-3], padded[3:-1], padded[4:]], axis=0)
    masses = (count >= MIN_MASS_SHARE * len(data)) & (count > MIN_MASS_RATIO * beside)
    masses[:1] = False
    return np.asarray(data[~np.isin(data, known[masses])]) if masses.any() else data


def edge_rows(margin: Floats, step: float) -> int:
    """Return the rows beside their least number at which margins break off, 0 if they only become rare there.

    An interval of any width beside it has two thirds of the rows of the next one or more, unlike a smooth tail.

    Args:
        margin: The margins, ascending, shape (n,).
        step: The smallest difference between two numbers.
    """
    best = 0
    for share in EDGE_SHARES if len(margin) else ():
        margin = margin - margin[0]
        width = max(float(margin[int(share * (len(margin) - 1))]) / 2, step)
        inner, both = np.searchsorted(margin, [width, 2 * width]).tolist()
        if both < MIN_COMPARED_ROWS:
            continue
        if inner < 0.4 * both - 0.3 * np.sqrt(both):
            return 0
        best = max(best, inner)
    return best


def tail_rows(margin: Floats) -> float:
    """Return the expected rows below 0 if the lower tail of the margins were exponential."""
    edge = float(np.quantile(margin, 0.1))
    tail = edge - margin[margin < edge]
    return float(0.1 * len(margin) * np.exp(-edge / max(float(tail.mean()) if len(tail) else 0.0, 1e-300)))


def logistic_violations(data: Floats, holds: Bools, least: float) -> float:
    """Return the rows below a bound in which a condition would hold by the logistic regression on the rows above it.

    A condition that depends strongly on a number becomes rare towards one of its ends, without a bound. The regressor
    is the normal score of the number's rank.

    Args:
        data: The numbers, none missing, shape (n,).
        holds: Whether the condition holds in each row, shape (n,).
        least: The least number in the rows in which it holds.
    """
    known, code, count = np.unique(data, return_inverse=True, return_counts=True)
    scores = ndtri((np.cumsum(count) - count / 2) / len(data))
    hits, size = np.bincount(code, weights=holds).astype(np.float64), count.astype(np.float64)
    inside = known >= least
    beside = inside & (known <= np.median(data[data >= least]))
    expected = []
    # The odds of a value between others have a maximum, and may fall near the bound only.
    for used, powers in ((inside, (0, 1)), (inside, (0, 1, 2)), (beside, (0, 1))):
        design = np.stack([scores**power for power in powers])
        weights = _logistic_weights(design[:, used], hits[used], size[used])
        expected.append(float(size[~inside] @ expit(weights @ design[:, ~inside])))
    return min(expected)


def _logistic_weights(design: Floats, hits: Floats, count: Floats) -> Floats:
    """Return the weights of a logistic regression on grouped rows, by Newton's method."""
    weights = np.zeros(len(design))
    for _ in range(N_NEWTON_STEPS):
        chance = expit(weights @ design)
        gradient = design @ (hits - count * chance) - RIDGE * weights
        hessian = (design * (count * chance * (1 - chance))) @ design.T + RIDGE * np.eye(len(design))
        weights = weights + np.clip(np.linalg.solve(hessian, gradient), -MAX_NEWTON_STEP, MAX_NEWTON_STEP)
    return weights


def extrapolated_rates(counts: Floats, sizes: Floats, rivals: Bools) -> Floats:
    """Return the rate that follows on the smallest two of each column at their distance in logits; 0 without two.

    Args:
        counts: Occurrences, shape (n, columns).
        sizes: Number of trials of each row, shape (n,).
        rivals: Whether a rate is used, shape (n, columns).
    """
    if len(counts) < 2:
        return np.zeros(counts.shape[1])
    rates = (counts + 0.5) / (sizes + 1)[:, None]
    least, following = np.partition(np.where(rivals, logit(np.minimum(rates, 1 - 1e-9)), np.inf), 1, axis=0)[:2]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.isinf(following), 0.0, expit(2 * least - following)))
