"""Explain a privacy guarantee in words, from the trade-off function of its mechanism.

The trade-off function gives the largest true-positive rate of any membership attack at a false-positive rate (Dong,
Roth and Su, "Gaussian differential privacy", JRSS B 84, 2022). It also bounds reconstruction: an attacker who guesses a
secret with probability p without the release succeeds with at most the true-positive rate at false-positive rate p
(Hayes, Mahloujifar and Balle, "Bounding training data reconstruction in DP-SGD", NeurIPS 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tabsynth.privacy.accounting.gaussian_dp import gdp_epsilon
from tabsynth.privacy.accounting.ledger import PrivacyLedger

DELTAS = (1e-12, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
"""Points of the privacy profile whose bounds are intersected."""

FPR = 0.01
PRIOR = 0.001
"""Chance of guessing a secret with 1,000 equally likely values."""


def max_tpr(profile: Iterable[tuple[float, float]], fpr: float) -> float:
    """Return the largest true-positive rate at ``fpr`` that all (epsilon, delta) guarantees of a mechanism allow.

    Example:
        >>> round(max_tpr([(1.0, 1e-6)], 0.01), 4)
        0.0272
    """
    bounds = [1.0]
    for epsilon, delta in profile:
        if math.isfinite(epsilon) and epsilon < 700:
            bounds += [math.exp(epsilon) * fpr + delta, 1 - math.exp(-epsilon) * (1 - delta - fpr)]
    return max(fpr, min(bounds))


def explain_ledger(ledger: PrivacyLedger) -> str:
    """Explain what the charges of a ledger mean for a training record; empty without a guarantee."""
    if not len(ledger) or not ledger.secure or math.isinf(ledger.epsilon()):
        return ""
    return _explain(profile_of(ledger), ledger.unit)


def uses_dp_sgd(ledger: PrivacyLedger) -> bool:
    """Return whether a charge paid for DP-SGD, whose noise is floating point."""
    return any(
        charge.event["type"] == "PoissonSampledDpEvent" or "DP-SGD" in charge.purpose for charge in ledger.entries
    )


def profile_of(ledger: PrivacyLedger) -> list[tuple[float, float]]:
    """Return points (epsilon, delta) of a ledger's privacy profile, for its own delta and larger ones."""
    return [(ledger.epsilon(delta), delta) for delta in sorted({ledger.delta, *_above(ledger.delta)})]


def explain_gaussian(epsilon: float, delta: float, mu: float, unit: str = "row") -> str:
    """Explain a budget of Gaussian DP."""
    return _explain(_gaussian_profile(epsilon, delta, mu), unit)


def gaussian_bounds(epsilon: float, delta: float, mu: float) -> tuple[float, float]:
    """Return what an attacker achieves at most against a budget of Gaussian DP.

    Returns:
        The share of the records in the training table that the attacker recognises at a false-positive rate of ``FPR``,
        and the probability of guessing a secret of which each value has probability ``PRIOR``.
    """
    profile = _gaussian_profile(epsilon, delta, mu)
    return max_tpr(profile, FPR), max_tpr(profile, PRIOR)


def explain_claim(epsilon: float, delta: float, unit: str = "row") -> str:
    """Explain an (epsilon, delta) of an unknown mechanism."""
    return _explain([(epsilon, delta)], unit)


def _gaussian_profile(epsilon: float, delta: float, mu: float) -> list[tuple[float, float]]:
    return [(epsilon, delta), *((gdp_epsilon(mu, d), d) for d in _above(delta))]


def _above(delta: float) -> list[float]:
    return [other for other in DELTAS if other > delta]


def _explain(profile: list[tuple[float, float]], unit: str) -> str:
    who = "rows" if unit == "row" else "persons"
    tpr = f"{max_tpr(profile, FPR):.1%}"
    return (
        f"An attacker who sees every output and knows all other {who} recognises at most {tpr} of the {who} "
        f"in the training table if {FPR:.0%} of others are mistaken for them (guessing: {FPR:.0%}), and guesses a "
        f"secret of 1,000 equally likely values with probability at most {max_tpr(profile, PRIOR):.2%} ({PRIOR:.1%} "
        "without the release)."
    )
