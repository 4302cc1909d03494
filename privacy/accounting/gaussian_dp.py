"""Gaussian differential privacy: conversions between mu, (epsilon, delta) and the area under the ROC curve.

A mechanism is mu-GDP if distinguishing its outputs on two neighbours is at least as hard as distinguishing N(0, 1)
from N(mu, 1): Dong, Roth and Su, "Gaussian differential privacy", JRSS B 84, 2022.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import erfinv, log_ndtr, ndtr, ndtri, ndtri_exp

from tabsynth.errors import PrivacyError

MAX_MU = 100.0

CONTINUOUS_SCALE = 2.0
"""From this scale on, the sum of exp(-n^2 / (2 s^2)) over the integers is s sqrt(2 pi) in double precision."""


def gdp_delta(epsilon: float, mu: float) -> float:
    """Return the delta of a mu-GDP mechanism at an epsilon (corollary 1)."""
    if mu <= 0:
        return 0.0
    first = ndtr(-epsilon / mu + mu / 2)  # scipy.stats.norm takes 30 times as long for one number
    return float(first - np.exp(epsilon + log_ndtr(-epsilon / mu - mu / 2)))


def gdp_epsilon(mu: float, delta: float) -> float:
    """Return the epsilon of a mu-GDP mechanism at a delta."""
    low, high = 0.0, max(1.0, mu * mu)
    while gdp_delta(high, mu) > delta:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if gdp_delta(middle, mu) > delta else (low, middle)
    return high


def gdp_mu(epsilon: float, delta: float) -> float:
    """Return the largest mu whose GDP implies (epsilon, delta)-DP.

    Raises:
        PrivacyError: Delta is 0: no Gaussian mechanism has that.

    Example:
        >>> round(gdp_mu(1.0, 1e-6), 3)
        0.237
    """
    if not 0 < delta < 1:
        raise PrivacyError(f"a Gaussian mechanism needs a delta above 0 and below 1, not {delta!r}")
    low, high = 0.0, MAX_MU
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if gdp_delta(epsilon, middle) <= delta else (low, middle)
    return low


@lru_cache(maxsize=4096)
def discrete_gaussian_mu(sigma: float) -> float:
    """Return the smallest mu for which discrete Gaussian noise on a count that a unit changes by one is mu-GDP.

    The likelihood ratio of the noise and the noise plus one is monotone, so the best tests are thresholds t, and the
    trade-off function is linear between them. With z(t) the standard normal quantile of P(noise <= t), it is at least
    that of mu-GDP if z(t) - z(t - 1) <= mu for every integer t. This difference is largest at t = 0, where it is
    2 z(0); it is about (1 + 1 / (24 sigma^2)) / sigma.

    A vector of whole numbers that a unit changes by at most k in Euclidean norm is k mu-GDP: a change by d in one cell
    is d changes by one, and independent cells compose as the root of the sum of squares (Dong, Roth and Su, corollary
    2). Charges whose scale depends on earlier outputs compose likewise (Smith and Thakurta, "Fully adaptive composition
    for Gaussian differential privacy", 2022).

    Args:
        sigma: Scale of the noise, whose probabilities are proportional to exp(-n^2 / (2 sigma^2)).

    Example:
        >>> round(discrete_gaussian_mu(1.0), 4), round(discrete_gaussian_mu(10.0), 4)
        (1.0458, 0.1)
    """
    if sigma >= CONTINUOUS_SCALE:
        return 2 * math.sqrt(2) * float(erfinv(1 / (sigma * math.sqrt(2 * math.pi))))
    return _small_scale_mu(sigma)


def _small_scale_mu(sigma: float) -> float:
    # log P(noise <= -1): the terms of n relative to that of n = 1
    ratios = sum(math.exp(-(n * n - 1) / (2 * sigma**2)) for n in range(1, math.ceil(40 * sigma) + 2))
    log_tail = math.log(ratios) - 1 / (2 * sigma**2)
    return -2 * float(ndtri_exp(log_tail - math.log1p(2 * math.exp(log_tail))))


@lru_cache(maxsize=4096)
def discrete_gaussian_sigma(mu: float) -> float:
    """Return the scale of the noise for which ``discrete_gaussian_mu`` is ``mu``.

    Example:
        >>> round(discrete_gaussian_sigma(1.0), 4)
        1.0418
    """
    sigma = 1 / (math.sqrt(2 * math.pi) * math.erf(mu / math.sqrt(8)))
    if sigma >= CONTINUOUS_SCALE:
        return sigma
    low, high = 1 / MAX_MU, CONTINUOUS_SCALE
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _small_scale_mu(middle) > mu else (low, middle)
    return high


def gdp_auc(mu: float) -> float:
    """Return the largest area under the ROC curve of any test under mu-GDP."""
    return float(ndtr(mu / math.sqrt(2)))


def gdp_mu_from_auc(auc: float) -> float:
    """Return the smallest mu that allows an area under the ROC curve; 0 for areas up to 0.5."""
    return max(0.0, math.sqrt(2) * float(ndtri(min(auc, 1 - 1e-15)))) if auc > 0.5 else 0.0
