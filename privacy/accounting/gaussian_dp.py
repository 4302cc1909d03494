"""Gaussian differential privacy: conversions between mu, (epsilon, delta) and the area under the ROC curve.

A mechanism is mu-GDP if distinguishing its outputs on two neighbours is at least as hard as distinguishing N(0, 1)
from N(mu, 1): Dong, Roth and Su, "Gaussian differential privacy", JRSS B 84, 2022.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from tabsynth.errors import PrivacyError

MAX_MU = 100.0


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


def gdp_auc(mu: float) -> float:
    """Return the largest area under the ROC curve of any test under mu-GDP."""
    return float(ndtr(mu / math.sqrt(2)))


def gdp_mu_from_auc(auc: float) -> float:
    """Return the smallest mu that allows an area under the ROC curve; 0 for areas up to 0.5."""
    return max(0.0, math.sqrt(2) * float(ndtri(min(auc, 1 - 1e-15)))) if auc > 0.5 else 0.0
