"""Rates of attacks with exact intervals, p-values and power.

Every test here is one-sided (an attack that does worse than chance shows nothing) and holds its level for any number
of rows: the p-values come from the hypergeometric distribution, or from the tie-corrected Mann-Whitney test.
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
"""Chance that a reported bound is above the truth, and of a significant result of an attack on its own."""

VIOLATION_LEVEL = 0.01
"""The false-alarm rate of a whole audit, after correction for the number of its tests."""

TEST_SHARES = {
    "copies_exact": 0.4,
    "shadow_auc": 0.15,
    "nearest_pairs": 0.12,
    "shared_cells": 0.12,
    "interpolated_rows": 0.06,
}
"""Share of that rate for the tests that few leaked records make significant; the others divide the rest."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A true-positive rate at a fixed false-positive rate.

    Attributes:
        fpr: The false-positive rate asked for.
        value: Share of members above the threshold that at most ``fpr`` of the controls exceed.
        interval: 95 % interval of the true-positive rate at exactly ``fpr``; it covers the threshold's noise too.
        chance: True-positive rate if members and controls have the same distribution.
        p: Chance of as many members above the threshold if they are.
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
    """Return the one-sided p-value that a/n is beyond b/m by chance: Fisher's exact test.

    Example:
        >>> round(fisher_p_value(10, 10, 0, 10), 8)
        5.41e-06
    """
    return float(hypergeom.sf(a - 1, n + m, a + b, n))


def tpr_at_fpr(members: Floats, controls: Floats, fpr: float) -> Rate:
    """Return the true-positive rate of a score (higher for members) at a false-positive rate.

    The interval joins two exact bounds: where the threshold of true rate ``fpr`` lies among the controls (binomial),
    and the share of members beyond it (Clopper-Pearson), each side at 1.25 %. With fewer than about 4.4 / ``fpr``
    controls no threshold is surely that strict, and the lower bound is 0.

    Args:
        members: Scores of the records that were learned, shape (n,).
        controls: Scores of records that were not, shape (m,).
        fpr: Between 0 and 1.
    """
    n, m = len(members), len(controls)
    if not n or not m:
        raise DataError("a true-positive rate needs at least one member and one control")
    falling = np.sort(controls)[::-1]
    allowed = int(np.floor(fpr * m + 1e-9))
    above = _count_above(members, falling, allowed)
    strict = int(binom.ppf(0.0125, m, fpr))  # fewer than this many controls exceed the threshold of true rate fpr
    if binom.cdf(strict, m, fpr) > 0.0125:
        strict -= 1
    lax = int(binom.ppf(0.9875, m, fpr))
    low = clopper_pearson(_count_above(members, falling, strict), n, 0.975)[0] if strict >= 0 else 0.0
    high = clopper_pearson(_count_above(members, falling, lax + 1), n, 0.975)[1]
    # Of the first `above + allowed` of all rows in falling order at most `allowed` are controls (ties only lower
    # `above`): the number of members before a given control is negative hypergeometric.
    p = float(hypergeom.cdf(allowed, n + m, m, above + allowed)) if above else 1.0
    interval = min(low, above / n), max(high, above / n)
    return Rate(fpr=fpr, value=above / n, interval=interval, chance=fpr, p=p, members=n, controls=m)


def tpr_in_set(members: Floats, controls: Floats, passed: int, fpr: float) -> Rate:
    """Return the true-positive rate among the records that an attack selects, with ``fpr`` over all controls.

    Whom an attack points at is part of the attack: a control outside its set is a record that it did not mistake, so
    that ``fpr`` of all controls is a larger share of those within. That share is what chance alone recognises.

    Args:
        members: Scores of the records in the set that were learned, shape (n,).
        controls: Scores of those in the set that were not, shape (m,).
        passed: Controls outside the set.
        fpr: Of all m + ``passed`` controls.
    """
    everybody = np.concatenate([controls, np.full(passed, -np.inf)])
    rate = tpr_at_fpr(members, everybody, fpr)
    allowed = min(np.floor(fpr * len(everybody) + 1e-9), len(controls))
    # within the set members and controls are exchangeable, with those outside they are not
    p = tpr_at_fpr(members, controls, allowed / len(controls)).p
    return replace(rate, chance=min(1.0, fpr * len(everybody) / len(controls)), p=p)


def _count_above(members: Floats, falling: Floats, allowed: int) -> int:
    """Members strictly above the largest control that must not be exceeded, with ``allowed`` controls before it."""
    return int((members > falling[allowed]).sum()) if allowed < len(falling) else len(members)


def mann_whitney_p_value(members: Floats, controls: Floats) -> float:
    """Return the one-sided p-value that members score higher: Mann-Whitney, corrected for ties."""
    if np.ptp(np.concatenate([members, controls])) == 0:
        return 1.0
    return float(mannwhitneyu(members, controls, alternative="greater", method="asymptotic").pvalue)


def holm_correction(p: Sequence[float], weights: Sequence[float] | None = None) -> Floats:
    """P-values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p: The p-values.
        weights: Share of the level that each test gets; default: the same.

    Example:
        >>> [round(float(x), 2) for x in holm_correction([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, dtype=np.float64)
    shares = np.ones(len(given)) if weights is None else np.asarray(weights, dtype=np.float64)
    order = np.argsort(given / shares, kind="stable")
    scaled = given[order] / shares[order] * np.cumsum(shares[order][::-1])[::-1]
    out = np.empty(len(given))
    out[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return out


def share_level(names: Sequence[str]) -> dict[str, float]:
    """Share of the audit's false-alarm rate that each test gets; they add up to 1."""
    given = {name: TEST_SHARES[name] for name in names if name in TEST_SHARES}
    others = [name for name in names if name not in TEST_SHARES]
    shares = given | {name: (1 - sum(given.values())) / len(others) for name in others}
    return {name: shares[name] / sum(shares.values()) for name in names}


def power_of_tpr(members: int, controls: int, fpr: float, ratio: float, level: float) -> float:
    """Return the power of ``tpr_at_fpr`` against an attack whose true-positive rate is ``ratio`` times its false one.

    Exact up to an average over 400 quantiles of the threshold's own rate.
    """
    allowed = int(np.floor(fpr * controls + 1e-9))
    # the p-value of ``tpr_at_fpr`` falls with the number of members above the threshold: the least that is enough
    least = 1 + bisect_left(
        range(1, members + 1),
        -level,
        key=lambda above: -hypergeom.cdf(allowed, members + controls, controls, above + allowed),
    )
    if least > members:
        return 0.0
    rate = beta.ppf((np.arange(400) + 0.5) / 400, allowed + 1, controls - allowed)
    return float(binom.sf(least - 1, members, np.minimum(ratio * rate, 1.0)).mean())


def detectable_tpr(members: int, controls: int, fpr: float, level: float, power: float = 0.8) -> float | None:
    """Return the smallest detectable true-positive rate at a false one; None if not even 1 would be detected."""
    low, high = 1.0, 1.0 / fpr
    if fpr * controls < 1 or power_of_tpr(members, controls, fpr, high, level) < power:
        return None
    for _ in range(25):
        middle = (low * high) ** 0.5
        found = power_of_tpr(members, controls, fpr, middle, level) >= power
        low, high = (low, middle) if found else (middle, high)
    return min(high * fpr, 1.0)


def normal_interval(value: float, spread: float) -> tuple[float, float]:
    """95 % interval of an estimate with a known standard error."""
    half = float(norm.ppf(0.975)) * spread
    return value - half, value + half
