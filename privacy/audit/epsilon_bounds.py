"""Lower bounds on epsilon and mu from scores of repeated runs with and without one record.

Higher scores indicate runs with the record. Bounds are one-sided: for equal distributions each exceeds zero with
probability at most its level.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, norm, rankdata

from tabsynth.common.arrays import Floats
from tabsynth.privacy.accounting.gaussian_dp import gdp_auc, gdp_mu, gdp_mu_from_auc
from tabsynth.privacy.attacks.rate_tests import MIN_POWER

LEVEL = 0.05
"""Probability that a reported lower bound exceeds the truth."""

VIOLATION_LEVEL = 1e-4
"""Error probability of the bound that declares a violation, small enough for hundreds of audits of correct code."""

FACTORS = (1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0)
"""Ratios of true to claimed epsilon whose detection is simulated."""

N_SIMULATED_AUDITS = 60
"""Audits that are simulated to estimate the power of a bound."""

MAX_THRESHOLDS = 200
"""Maximum number of candidate thresholds on the first half of the runs."""


def epsilon_from_counts(hits: int, n: int, alarms: int, m: int, delta: float, level: float = LEVEL) -> float:
    """Return a lower bound on epsilon from the true and false positives of a test, by two exact bounds.

    Kairouz, Oh and Viswanath, "The composition theorem for differential privacy", ICML 2015, theorem 2.1; Jagielski,
    Ullman and Oprea, "Auditing differentially private machine learning", NeurIPS 2020.

    Args:
        hits: Number of true positives: runs with the record that the test classifies as such.
        n: Number of runs with the record.
        alarms: Number of false positives: runs without the record that the test classifies as runs with it.
        m: Number of runs without the record.
        delta: Delta of the claim.
        level: Probability that the bound exceeds the true epsilon.

    Example:
        >>> [round(epsilon_from_counts(r, r, 0, r, 0.0), 2) for r in (100, 1000, 20000)]
        [3.28, 5.6, 8.6]
    """
    return float(_compute_bounds(np.array([hits]), n, np.array([alarms]), m, delta, level)[0])


def epsilon_from_runs(inside: Floats, outside: Floats, delta: float, level: float = LEVEL) -> float:
    """Return a lower bound on epsilon, with a threshold selected on the first half of the runs for the second."""
    half_in, half_out = len(inside) // 2, len(outside) // 2
    threshold = _select_threshold(inside[:half_in], outside[:half_out], delta)
    test_in, test_out = inside[half_in:], outside[half_out:]
    hits, alarms = int((test_in >= threshold).sum()), int((test_out >= threshold).sum())
    return epsilon_from_counts(hits, len(test_in), alarms, len(test_out), delta, level)


def mu_from_runs(inside: Floats, outside: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Return an estimate and a lower bound of mu from the AUC, which is at most ``gdp_auc`` under mu-GDP.

    No threshold is selected, so all runs are used. One-sided, with DeLong's variance (Biometrics 44, 1988).
    """
    n, m = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))
    above = (ranks[:n] - rankdata(inside)) / m
    below = 1 - (ranks[n:] - rankdata(outside)) / n
    auc = float(above.mean())
    spread = math.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    if spread == 0:  # perfect separation: the rule of three, generalised to any level
        return gdp_mu_from_auc(auc), gdp_mu_from_auc(auc + math.log(level) / min(n, m))
    return gdp_mu_from_auc(auc), gdp_mu_from_auc(auc - float(norm.ppf(1 - level)) * spread)


def power_of_mu(claim: float, truth: float, runs: int, level: float = LEVEL) -> float:
    """Return the probability that the lower bound on mu exceeds ``claim`` if mu is ``truth`` (not a perfect ROC)."""
    auc = gdp_auc(truth)
    # Hanley and McNeil, Radiology 143, 1982, for two normal variables of equal variance
    both = (auc / (2 - auc), 2 * auc**2 / (1 + auc))
    variance = (auc * (1 - auc) + (runs - 1) * (both[0] + both[1] - 2 * auc**2)) / runs**2
    return float(norm.cdf((auc - gdp_auc(claim)) / math.sqrt(max(variance, 1e-300)) - norm.ppf(1 - level)))


@cache
def power_of_epsilon(claim: float, delta: float, mu: float, runs: int) -> float:
    """Return the share of simulated audits of a mu-GDP mechanism whose bound on epsilon exceeds ``claim``."""
    rng = np.random.default_rng(0)
    detected = sum(
        epsilon_from_runs(rng.normal(mu, 1, runs), rng.normal(0, 1, runs), delta, VIOLATION_LEVEL) > claim
        for _ in range(N_SIMULATED_AUDITS)
    )
    return detected / N_SIMULATED_AUDITS


def detectable_factor(claim: float, delta: float, mu: float | None, runs: int) -> float | None:
    """Return the smallest ratio of true to claimed epsilon that is declared a violation with probability 0.8.

    Args:
        claim: The claimed epsilon.
        delta: Delta of the claim.
        mu: The Gaussian-DP claim, if there is one; its test is more powerful.
        runs: Number of runs with the record, and of runs without it.

    Returns:
        None if not even the largest ratio is detected, or if no Gaussian mechanism has the claim (delta 0).
    """
    if mu is not None and gdp_mu_from_auc(1 + math.log(VIOLATION_LEVEL) / runs) <= mu:
        return None  # even perfect separation would not refute the claim

    def is_detected(factor: float) -> bool:
        truth = gdp_mu(factor * claim, delta)
        if mu is not None:
            return power_of_mu(mu, truth, runs, VIOLATION_LEVEL) >= MIN_POWER
        return power_of_epsilon(claim, delta, truth, runs) >= MIN_POWER

    return next((factor for factor in FACTORS if is_detected(factor)), None) if delta > 0 else None


def max_measurable_epsilon(runs: int, delta: float) -> float:
    """Return the largest bound that an audit with this number of runs can reach."""
    half = runs - runs // 2
    return epsilon_from_counts(half, half, 0, half, delta)


def _select_threshold(inside: Floats, outside: Floats, delta: float) -> float:
    """Return the threshold with the largest lower bound on the given runs."""
    pooled = np.concatenate([inside, outside])
    candidates = np.unique(np.quantile(pooled, np.linspace(0, 1, MAX_THRESHOLDS), method="lower"))
    hits = len(inside) - np.searchsorted(np.sort(inside), candidates, "left")
    alarms = len(outside) - np.searchsorted(np.sort(outside), candidates, "left")
    bounds = _compute_bounds(hits, len(inside), alarms, len(outside), delta, LEVEL)
    gaps = hits / len(inside) - alarms / len(outside)  # breaks ties between equal bounds
    return float(candidates[np.lexsort((gaps, bounds))[-1]])


def _compute_bounds(
    hits: npt.NDArray[np.int64], n: int, alarms: npt.NDArray[np.int64], m: int, delta: float, level: float
) -> Floats:
    """Compute ``epsilon_from_counts`` for several thresholds, shape (t,)."""
    tail = level / 2
    hit = np.where(hits == 0, 0.0, beta.ppf(tail, np.maximum(hits, 1), n - hits + 1))
    alarm = np.where(alarms == m, 1.0, beta.ppf(1 - tail, alarms + 1, np.maximum(m - alarms, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.log(np.maximum(hit - delta, 0) / alarm)
        down = np.log(np.maximum(1 - alarm - delta, 0) / (1 - hit))
    return np.asarray(np.maximum(np.fmax(up, down), 0.0))
