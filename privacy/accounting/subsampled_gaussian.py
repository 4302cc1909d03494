"""Renyi curve of the Poisson-subsampled Gaussian mechanism, vectorised over orders and terms.

The formulas are those of Mironov, Talwar and Zhang, "Renyi differential privacy of the sampled Gaussian mechanism"
(arXiv 1908.10530), section 3.3, which dp-accounting evaluates one order and one term at a time. The search for the
noise of DP-SGD needs a curve for each candidate.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, log_ndtr, logsumexp

from tabsynth.common.arrays import Floats

N_TERMS = (128, 1000)
"""Terms of the series of a fractional order: those tried first, and the maximum."""

LOG_PRECISION = 30.0
"""The series ends where both terms decrease and are below its sum by this factor, as a logarithm."""


def sampled_gaussian_curve(rate: float, multiplier: float, orders: Floats) -> Floats:
    """Return the Renyi divergence of one step at each order; infinity where the series does not converge.

    Args:
        rate: Probability of each unit to be in the sample.
        multiplier: Standard deviation of the noise, in units of the sensitivity.
        orders: Orders above 1.
    """
    if rate == 0:
        return np.zeros(len(orders))
    if rate == 1:
        return np.asarray(orders / (2 * multiplier**2), np.float64)
    moments = np.empty(len(orders))
    whole = orders == np.floor(orders)
    moments[whole] = _whole_moments(rate, multiplier, orders[whole])
    left = np.flatnonzero(~whole)
    for n_terms in N_TERMS:
        moments[left] = _fractional_moments(rate, multiplier, orders[left], n_terms)
        left = left[np.isinf(moments[left])]
    return np.asarray(moments / (orders - 1), np.float64)


def _whole_moments(rate: float, multiplier: float, orders: Floats) -> Floats:
    """Return the logarithm of the moment at each whole order, a binomial sum."""
    i = np.arange(orders.max(initial=0) + 1)
    rest = orders[:, None] - i
    terms = np.where(
        rest >= 0,
        _log_binomial(orders[:, None], i, np.maximum(rest, 0))
        + i * math.log(rate)
        + rest * math.log1p(-rate)
        + (i * i - i) / (2 * multiplier**2),
        -np.inf,
    )
    return np.asarray(logsumexp(terms, axis=1), np.float64)


def _fractional_moments(rate: float, multiplier: float, orders: Floats, n_terms: int) -> Floats:
    """Return the logarithm of the moment at each fractional order, or infinity if ``n_terms`` are too few."""
    i = np.arange(float(n_terms))
    rest = orders[:, None] - i
    binomial = _log_binomial(orders[:, None], i, rest)
    middle = multiplier**2 * math.log(1 / rate - 1) + 0.5
    log_rate, log_other = math.log(rate), math.log1p(-rate)
    below = (
        binomial
        + i * log_rate
        + rest * log_other
        + (i * i - i) / (2 * multiplier**2)
        + log_ndtr((middle - i) / multiplier)
    )
    above = (
        binomial
        + rest * log_rate
        + i * log_other
        + (rest * rest - rest) / (2 * multiplier**2)
        + log_ndtr((rest - middle) / multiplier)
    )
    total = np.logaddexp.accumulate(np.logaddexp(below, above), axis=1)
    decreasing = (np.diff(below, axis=1) < 0) & (np.diff(above, axis=1) < 0)
    ends = decreasing & (np.maximum(below, above) < total - LOG_PRECISION)[:, 1:]
    return np.where(ends.any(axis=1), total[np.arange(len(total)), ends.argmax(axis=1) + 1], np.inf)


def _log_binomial(n: Floats, k: Floats, rest: Floats) -> Floats:
    """Return the logarithm of the absolute generalised binomial coefficient of n and k = n - rest."""
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(rest + 1), np.float64)
