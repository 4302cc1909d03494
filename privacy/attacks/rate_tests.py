"""Success rates of attacks, with exact intervals, p-values and power.

All tests are one-sided, because an attack that is worse than chance is no evidence of a leak. The p-values come from
the hypergeometric distribution, which is exact for any number of rows, or from the tie-corrected Mann-Whitney test.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import beta, binom, hypergeom, mannwhitneyu, norm

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import clopper_pearson
from tabsynth.errors import DataError

LEVEL = 0.05
"""Error probability of a reported bound, and significance level of a single attack."""

VIOLATION_LEVEL = 0.01
"""Family-wise error rate of an audit, over all its tests."""

MIN_POWER = 0.8
"""Minimum probability of detection of an effect that counts as detectable."""

TEST_SHARES = {
    "copies_exact": 0.4,
    "shadow_auc": 0.15,
    "nearest_pairs": 0.12,
    "shared_cells": 0.12,
    "interpolated_rows": 0.06,
}
"""Shares of the error rate of the tests that detect leaks of few records; the other tests divide the rest."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A true-positive rate at a fixed false-positive rate.

    Attributes:
        fpr: The nominal false-positive rate.
        value: Share of members above the threshold that at most ``fpr`` of the controls exceed.
        interval: 95 % interval of the true-positive rate at exactly ``fpr``; it includes the error of the threshold.
        chance: True-positive rate if members and controls have the same distribution.
        p: p-value under that hypothesis.
        members: Number of members.
        controls: Number of controls.
    """

    fpr: float
    value: float
    interval: tuple[float, float]
    chance: float
    p: float
    members: int
    controls: int


def fisher_p_value(a: int, n: int, b: int, m: int) -> float:
    """Return the one-sided p-value of Fisher's exact test that the rate a/n exceeds b/m.

    Example:
        >>> round(fisher_p_value(10, 10, 0, 10), 8)
        5.41e-06
    """
    return float(hypergeom.sf(a - 1, n + m, a + b, n))


def tpr_at_fpr(members: Floats, controls: Floats, fpr: float) -> Rate:
    """Return the true-positive rate of a score (higher for members) at a false-positive rate.

    The interval combines two exact bounds, each at 1.25 % on either side: of the rank of the threshold among the
    controls (binomial), and of the share of members above it (Clopper-Pearson). With fewer than about 4.4 / ``fpr``
    controls the threshold has no upper bound, and the lower bound of the rate is 0.

    Args:
        members: Scores of the training records, shape (n,).
        controls: Scores of the control records, shape (m,).
        fpr: Between 0 and 1.
    """
    n, m = len(members), len(controls)
    if not n or not m:
        raise DataError("a true-positive rate needs at least one member and one control")
    descending = np.sort(controls)[::-1]
    allowed = int(np.floor(fpr * m + 1e-9))
    above = _count_above(members, descending, allowed)
    min_rank = int(binom.ppf(0.0125, m, fpr))  # lower bound of the number of controls above the true threshold
    if binom.cdf(min_rank, m, fpr) > 0.0125:
        min_rank -= 1
    max_rank = int(binom.ppf(0.9875, m, fpr))
    low = clopper_pearson(_count_above(members, descending, min_rank), n, 0.975)[0] if min_rank >= 0 else 0.0
    high = clopper_pearson(_count_above(members, descending, max_rank + 1), n, 0.975)[1]
    # Of the first `above + allowed` rows in descending order, at most `allowed` are controls (ties only lower
    # `above`): the number of members before a given control is negative hypergeometric.
    p = float(hypergeom.cdf(allowed, n + m, m, above + allowed)) if above else 1.0
    interval = min(low, above / n), max(high, above / n)
    return Rate(fpr=fpr, value=above / n, interval=interval, chance=fpr, p=p, members=n, controls=m)


def tpr_in_set(members: Floats, controls: Floats, passed: int, fpr: float) -> Rate:
    """Return the true-positive rate among the records that an attack selects, with ``fpr`` over all controls.

    The selection is part of the attack, so controls outside the set count as true negatives, and ``fpr`` of all
    controls is a larger share of the controls in the set. This share is the chance level.

    Args:
        members: Scores of the training records in the set, shape (n,).
        controls: Scores of the controls in the set, shape (m,).
        passed: Number of controls outside the set.
        fpr: False-positive rate over all m + ``passed`` controls.
    """
    all_controls = np.concatenate([controls, np.full(passed, -np.inf)])
    rate = tpr_at_fpr(members, all_controls, fpr)
    allowed = min(np.floor(fpr * len(all_controls) + 1e-9), len(controls))
    # Members and controls are exchangeable within the set only.
    p = tpr_at_fpr(members, controls, allowed / len(controls)).p
    return replace(rate, chance=min(1.0, fpr * len(all_controls) / len(controls)), p=p)


def _count_above(members: Floats, descending: Floats, allowed: int) -> int:
    """Count the members above the control at rank ``allowed`` in descending order."""
    return int((members > descending[allowed]).sum()) if allowed < len(descending) else len(members)


def mann_whitney_p_value(members: Floats, controls: Floats) -> float:
    """Return the one-sided, tie-corrected Mann-Whitney p-value that members score higher."""
    if np.ptp(np.concatenate([members, controls])) == 0:
        return 1.0
    return float(mannwhitneyu(members, controls, alternative="greater", method="asymptotic").pvalue)


def holm_correction(p: Sequence[float], weights: Sequence[float] | None = None) -> Floats:
    """Correct p-values for multiple testing (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p: The p-values.
        weights: Weight of each test; default: equal weights.

    Example:
        >>> [round(float(x), 2) for x in holm_correction([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p, dtype=np.float64)
    weight_array = np.ones(len(p_values)) if weights is None else np.asarray(weights, dtype=np.float64)
    order = np.argsort(p_values / weight_array, kind="stable")
    scaled = p_values[order] / weight_array[order] * np.cumsum(weight_array[order][::-1])[::-1]
    out = np.empty(len(p_values))
    out[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return out


def share_level(names: Sequence[str]) -> dict[str, float]:
    """Return each test's share of the family-wise error rate; the shares add up to 1."""
    fixed = {name: TEST_SHARES[name] for name in names if name in TEST_SHARES}
    others = [name for name in names if name not in TEST_SHARES]
    shares = fixed | {name: (1 - sum(fixed.values())) / len(others) for name in others}
    return {name: shares[name] / sum(shares.values()) for name in names}


def power_of_tpr(members: int, controls: int, fpr: float, ratio: float, level: float) -> float:
    """Return the power of ``tpr_at_fpr`` for an attack whose true-positive rate is ``ratio`` times its false one.

    It is averaged over 400 quantiles of the actual false-positive rate of the threshold.
    """
    allowed = int(np.floor(fpr * controls + 1e-9))
    # The p-value of ``tpr_at_fpr`` decreases with the number of members above the threshold: find the first that is
    # significant.
    min_above = 1 + bisect_left(
        range(1, members + 1),
        -level,
        key=lambda above: -hypergeom.cdf(allowed, members + controls, controls, above + allowed),
    )
    if min_above > members:
        return 0.0
    rate = beta.ppf((np.arange(400) + 0.5) / 400, allowed + 1, controls - allowed)
    return float(binom.sf(min_above - 1, members, np.minimum(ratio * rate, 1.0)).mean())


def detectable_tpr(members: int, controls: int, fpr: float, level: float) -> float | None:
    """Return the smallest true-positive rate that is detected with probability 0.8; None if not even a rate of 1 is."""
    low, high = 1.0, 1.0 / fpr
    if fpr * controls < 1 or power_of_tpr(members, controls, fpr, high, level) < MIN_POWER:
        return None
    for _ in range(25):
        middle = (low * high) ** 0.5
        detected = power_of_tpr(members, controls, fpr, middle, level) >= MIN_POWER
        low, high = (low, middle) if detected else (middle, high)
    return min(high * fpr, 1.0)


def normal_interval(value: float, spread: float) -> tuple[float, float]:
    """Return the 95 % interval of an estimate with a known standard error."""
    half_width = float(norm.ppf(0.975)) * spread
    return value - half_width, value + half_width
