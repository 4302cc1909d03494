"""Verdicts of an audit: violation, consistent with sufficient power, or inconclusive; never that a release is safe.

A lower bound on epsilon is not a guarantee, and a negative result is evidence only if the audit has enough power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tabsynth.privacy.attacks.rate_tests import MIN_POWER

Kind = Literal["VIOLATION", "CONSISTENT, powered", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Claim:
    """A claimed epsilon, and the measured lower bound.

    Attributes:
        epsilon: The claimed epsilon.
        delta: Delta of the claim.
        measured: Lower bound on epsilon, at 95 % confidence.
        most: Largest bound that the audit could have measured, with every guess correct.
        power: Probability of detecting twice the claimed epsilon.
        method: Description of the measurement.
    """

    epsilon: float
    delta: float
    measured: float
    most: float
    power: float
    method: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the claim as plain data."""
        keys = ("epsilon", "delta", "measured", "most", "power", "method")
        return {key: getattr(self, key) for key in keys}


def decide(violated: bool, powered: bool) -> Kind:
    """Return the verdict."""
    if violated:
        return "VIOLATION"
    return "CONSISTENT, powered" if powered else "INCONCLUSIVE"


def judge_claim(claim: Claim, significant: Sequence[str] = ()) -> tuple[Kind, str]:
    """Return the verdict on a claimed epsilon, and a sentence that explains it.

    Args:
        claim: The claimed and the measured epsilon.
        significant: The significant attacks after correction, most significant first.
    """
    verdict = decide(claim.measured > claim.epsilon, claim.power >= MIN_POWER)
    summary = f"measured epsilon at least {claim.measured:.2f}, claimed {claim.epsilon:g} (delta {claim.delta:.0e})"
    if verdict == "VIOLATION":
        return verdict, f"Epsilon exceeds the claim: {summary}."
    power = f"twice the claim would have been detected with probability {claim.power:.2f}"
    if significant:
        others = f" and {len(significant) - 1} more" if len(significant) > 1 else ""
        return verdict, (
            f"Training rows are recognised beyond chance by {significant[0][0].lower()}{significant[0][1:]}{others}, "
            f"but not beyond the claim: {summary}, and {power}."
        )
    if verdict == "INCONCLUSIVE":
        return verdict, f"No conclusion: {summary}, but {power}; at most {claim.most:.2f} could have been measured."
    return verdict, f"No evidence against the claim: {summary}, and {power}. A lower bound is not a guarantee."


def judge_attacks(significant: Sequence[str], powered: bool, planted: str) -> tuple[Kind, str]:
    """Return the verdict without a claim: whether any attack distinguishes training rows from controls.

    Args:
        significant: The significant attacks after correction, most significant first.
        powered: Whether small leaks would have been detected.
        planted: Sentence that lists the leaks that would have been detected.
    """
    verdict = decide(bool(significant), powered)
    if verdict == "VIOLATION":
        first, others = significant[0][0].lower() + significant[0][1:], len(significant) - 1
        more = f" {others} more attack{'s succeed' if others > 1 else ' succeeds'}." if others else ""
        return verdict, f"The synthetic table reveals training rows, most significantly by {first}.{more}"
    if verdict == "INCONCLUSIVE":
        return verdict, f"No conclusion: no attack is significant, but small leaks would have been missed. {planted}"
    return verdict, f"No violation found: no attack distinguishes training rows from controls beyond chance. {planted}"
